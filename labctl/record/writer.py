"""How each event becomes rows: one method for each kind of event, inside somebody's transaction.

The writer knows ids and statements; `recorder.py` knows when to write and what to do about errors.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from labctl import events as ev
from labctl.record.bearer_writer import BearerWriter
from labctl.record.campaign_writer import CampaignWriter
from labctl.record.ids import Known, Rows
from labctl.record.interrupted import close_interrupted
from labctl.record.link_writer import LinkWriter
from labctl.record.survey_writer import SurveyWriter

_INSERT_READ = (
    "INSERT INTO reads (run_id, device_id, at_us, initiator, schedule_id, endpoint, cluster_id,"
    " command_id, attributes, status, latency_us, aps_encrypted, radio_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_IDENTITY_FIELDS = (
    "name",
    "kind",
    "manufacturer",
    "model",
    "hardware_version",
    "firmware_version",
    "certificate_suite",
    "certificate_issuer",
)


def attributes_text(attributes: Sequence[int]) -> str:
    """Attribute ids as they stand in the database: ``0x0000,0x0400``."""
    return ",".join(f"0x{attribute:04x}" for attribute in attributes)


class Writer:
    """Turns events into rows of one run. Call `write` inside a transaction.

    Take a `snapshot` before and `restore` it after a rollback, since ids that were handed out
    inside the transaction are void then.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._rows = Rows(connection)
        self._links = LinkWriter(self._rows)
        self._reads: list[tuple[Any, ...]] = []
        self._last_seen: dict[int, int] = {}
        self._handlers: dict[type[ev.Event], Callable[[Any], None]] = {
            ev.LinkSample: self._link_sample,
            ev.ReadServed: self._read_served,
            ev.RunStarted: self._run_started,
            ev.RunEnded: self._run_ended,
            ev.RadioUp: self._radio_up,
            ev.RadioLost: self._radio_lost,
            ev.DeviceSeen: self._device_seen,
            ev.PairingArmed: self._pairing_armed,
            ev.PairingWindowClosed: self._pairing_window_closed,
            ev.PairingRemoved: self._pairing_removed,
            ev.JoinStarted: self._join_started,
            ev.JoinStepTaken: self._join_step_taken,
            ev.JoinEnded: self._join_ended,
            ev.ReadScheduleDeclared: self._read_schedule_declared,
            ev.Refused: self._refused,
            ev.Note: self._note,
            **BearerWriter(self._rows, self._event).handlers,
            **CampaignWriter(self._rows).handlers,
            **SurveyWriter(self._rows).handlers,
        }

    # -- transactions ------------------------------------------------------------------------

    @property
    def run_id(self) -> int | None:
        """The current run, None before the first."""
        return self._rows.known.run_id

    def snapshot(self) -> Known:
        """What `restore` needs to undo everything that is written from now on."""
        return self._rows.known.copy()

    def restore(self, snapshot: Known) -> None:
        """Go back to `snapshot`, after the transaction was rolled back."""
        self._rows.known = snapshot
        self._links.clear()
        self._reads.clear()
        self._last_seen.clear()

    def write(self, batch: Sequence[ev.Event]) -> None:
        """Write the rows of `batch`, in its order."""
        for event in batch:
            handler = self._handlers.get(type(event))
            if handler is None:
                raise TypeError(f"the recorder does not know {type(event).__name__}")
            handler(event)
        self._write_hot_rows()

    def _write_hot_rows(self) -> None:
        self._links.flush()
        if self._reads:
            self._db.executemany(_INSERT_READ, self._reads)
            self._reads.clear()
        if self._last_seen:
            self._db.executemany(
                "UPDATE devices SET last_seen_us = max(last_seen_us, ?) WHERE id = ?",
                [(at_us, device_id) for device_id, at_us in self._last_seen.items()],
            )
            self._last_seen.clear()

    # -- the two hot tables ------------------------------------------------------------------

    def _link_sample(self, event: ev.LinkSample) -> None:
        device_id = self._rows.device(event.eui64, event.at_us)
        self._last_seen[device_id] = event.at_us
        self._links.add(event, device_id)

    def _read_served(self, event: ev.ReadServed) -> None:
        device_id = self._rows.device(event.eui64, event.at_us)
        schedule_id = None
        if event.schedule is not None:
            schedule_id = self._rows.known.schedules.get((event.eui64, event.schedule))
        self._reads.append(
            (
                self.run_id,
                device_id,
                event.at_us,
                event.initiator,
                schedule_id,
                event.endpoint,
                event.cluster_id,
                event.command_id,
                attributes_text(event.attributes),
                event.status,
                event.latency_us,
                int(event.aps_encrypted),
                self._rows.known.bearers.get(device_id),
            )
        )

    # -- runs and radios ---------------------------------------------------------------------

    def _run_started(self, event: ev.RunStarted) -> None:
        self._write_hot_rows()
        close_interrupted(self._db, event.rig)
        run_id = self._rows.insert(
            "runs",
            rig=event.rig,
            kind=event.kind,
            started_us=event.at_us,
            simulated=int(event.simulated),
            labctl_version=event.labctl_version,
            host=event.host,
            config_sha256=event.config_sha256,
            note=event.note,
        )
        self._rows.known.next_run(run_id)

    def _run_ended(self, event: ev.RunEnded) -> None:
        self._db.execute(
            "UPDATE runs SET ended_us = ?, verdict = ?, reasons = ? WHERE id = ?",
            (event.at_us, event.verdict.value, json.dumps(list(event.reasons)), self.run_id),
        )

    def _radio_up(self, event: ev.RadioUp) -> None:
        values = asdict(event)
        values["up_us"] = values.pop("at_us")
        values["band"] = event.band.value
        values["resumed"] = int(event.resumed)
        self._rows.known.radios[event.name] = self._rows.insert(
            "radios", run_id=self.run_id, **values
        )
        self._event(event.at_us, "radio-up", detail={"radio": event.name, "resumed": event.resumed})

    def _radio_lost(self, event: ev.RadioLost) -> None:
        self._event(
            event.at_us,
            "radio-lost",
            severity=ev.Severity.ERROR,
            detail={"radio": event.name, "cause": event.cause}
            | ({"silent_us": event.silent_us} if event.silent_us else {}),
        )

    # -- devices and pairings ----------------------------------------------------------------

    def _device_seen(self, event: ev.DeviceSeen) -> None:
        device_id = self._rows.device(event.eui64, event.at_us)
        self._last_seen[device_id] = event.at_us
        told = {
            name: str(value) if name == "kind" else value
            for name in _IDENTITY_FIELDS
            if (value := getattr(event, name)) is not None
        }
        known = self._rows.known.identities.get(event.eui64, {})
        changed = {name: value for name, value in told.items() if known.get(name) != value}
        if not changed:
            return
        self._rows.known.identities[event.eui64] = {**known, **changed}
        assignments = ", ".join(f"{name} = ?" for name in changed)
        self._db.execute(
            f"UPDATE devices SET {assignments} WHERE id = ?",  # noqa: S608 - our own names
            (*changed.values(), device_id),
        )
        # The row holds the newest; the event keeps what was true in this run (requirement E5).
        self._event(event.at_us, "device-described", device_id=device_id, detail=changed)

    def _pairing_armed(self, event: ev.PairingArmed) -> None:
        self._rows.insert(
            "pairings",
            run_id=self.run_id,
            device_id=self._rows.device(event.eui64, event.at_us),
            method=event.method.value,
            requested_by=event.requested_by,
            consent_reference=event.consent_reference,
            armed_us=event.at_us,
            window_s=event.window_s,
        )

    def _open_pairing(self, device_id: int) -> int | None:
        row = self._db.execute(
            "SELECT p.id FROM pairings p JOIN runs r ON r.id = p.run_id"
            " WHERE p.device_id = ? AND p.removed_us IS NULL"
            " AND r.rig = (SELECT rig FROM runs WHERE id = ?) ORDER BY p.id DESC LIMIT 1",
            (device_id, self.run_id),
        ).fetchone()
        return None if row is None else row[0]

    def _pairing_window_closed(self, event: ev.PairingWindowClosed) -> None:
        device_id = self._rows.device(event.eui64, event.at_us)
        self._db.execute(
            "UPDATE pairings SET closed_us = ?, authorised = ? WHERE id = ?",
            (event.at_us, int(event.authorised), self._open_pairing(device_id)),
        )
        self._event(
            event.at_us,
            "pairing-window-closed",
            device_id=device_id,
            detail={"authorised": event.authorised},
        )

    def _pairing_removed(self, event: ev.PairingRemoved) -> None:
        device_id = self._rows.device(event.eui64, event.at_us)
        self._db.execute(
            "UPDATE pairings SET removed_us = ?, removal_reason = ? WHERE id = ?",
            (event.at_us, event.reason, self._open_pairing(device_id)),
        )
        # The pairing's row may be an earlier run's; the event says in which run it was removed.
        self._event(
            event.at_us, "pairing-removed", device_id=device_id, detail={"reason": event.reason}
        )

    # -- joins -------------------------------------------------------------------------------

    def _join_started(self, event: ev.JoinStarted) -> None:
        self._rows.known.joins[event.join] = self._rows.insert(
            "joins",
            run_id=self.run_id,
            eui64=event.eui64,
            device_id=self._rows.known_device(event.eui64),
            kind=event.kind.value,
            band=event.band.value,
            page=event.page,
            channel=event.channel,
            nwk=event.nwk,
            parent_nwk=event.parent_nwk,
            started_us=event.at_us,
        )

    def _join_step_taken(self, event: ev.JoinStepTaken) -> None:
        join_id = self._rows.known.joins.get(event.join)
        if join_id is None:
            self._stray(event)
            return
        self._rows.insert(
            "join_steps",
            join_id=join_id,
            step=event.step.value,
            at_us=event.at_us,
            elapsed_us=event.elapsed_us,
            status=event.status.value,
            detail=event.detail,
        )

    def _join_ended(self, event: ev.JoinEnded) -> None:
        join_id = self._rows.known.joins.get(event.join)
        if join_id is None:
            self._stray(event)
            return
        (eui64,) = self._db.execute("SELECT eui64 FROM joins WHERE id = ?", (join_id,)).fetchone()
        # A stranger that was let in is one no longer.
        device_id = (
            self._rows.device(eui64, event.at_us)
            if event.outcome is ev.JoinOutcome.AUTHORISED
            else self._rows.known_device(eui64)
        )
        self._db.execute(
            "UPDATE joins SET ended_us = ?, outcome = ?, cause = ?, device_id = ? WHERE id = ?",
            (event.at_us, event.outcome.value, event.cause or None, device_id, join_id),
        )

    def _stray(self, event: ev.JoinStepTaken | ev.JoinEnded) -> None:
        """Keep a step whose join began before this run rather than lose it."""
        self._event(
            event.at_us,
            "join-unknown",
            severity=ev.Severity.WARNING,
            detail={"event": type(event).__name__, **asdict(event)},
        )

    # -- schedules, refusals, notes ----------------------------------------------------------

    def _read_schedule_declared(self, event: ev.ReadScheduleDeclared) -> None:
        self._rows.known.schedules[event.eui64, event.name] = self._rows.insert(
            "read_schedules",
            run_id=self.run_id,
            device_id=self._rows.device(event.eui64, event.at_us),
            name=event.name,
            cluster_id=event.cluster_id,
            attributes=attributes_text(event.attributes),
            period_ms=event.period_ms,
            tolerance_ms=event.tolerance_ms,
            endpoint=event.endpoint,
        )

    def _refused(self, event: ev.Refused) -> None:
        device_id = self._rows.known_device(event.eui64)
        detail = {
            name: value
            for name in ("layer", "cause", "endpoint", "cluster_id", "command_id", "status")
            if (value := getattr(event, name)) is not None
        }
        if device_id is None:
            detail["eui64"] = event.eui64
        self._event(
            event.at_us,
            "refused",
            device_id=device_id,
            severity=ev.Severity.WARNING,
            detail=detail,
        )

    def _note(self, event: ev.Note) -> None:
        device_id = None if event.eui64 is None else self._rows.known_device(event.eui64)
        detail = dict(event.detail)
        if event.eui64 is not None and device_id is None:
            detail["eui64"] = event.eui64
        self._event(
            event.at_us, event.kind, device_id=device_id, severity=event.severity, detail=detail
        )

    # -- helpers -----------------------------------------------------------------------------

    def _event(
        self,
        at_us: int,
        kind: str,
        *,
        device_id: int | None = None,
        severity: ev.Severity = ev.Severity.INFO,
        detail: dict[str, object],
    ) -> None:
        self._rows.insert(
            "events",
            run_id=self.run_id,
            at_us=at_us,
            kind=kind,
            device_id=device_id,
            severity=severity.value,
            detail=json.dumps(detail, ensure_ascii=False, default=str),
        )
