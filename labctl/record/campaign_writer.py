"""How the events of a campaign become rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labctl import events as ev
from labctl.record.ids import Rows


class CampaignWriter:
    """One method for each kind of event."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.handlers: dict[type[ev.Event], Callable[[Any], None]] = {
            ev.CampaignStarted: self._campaign_started,
            ev.CaseStarted: self._case_started,
            ev.CaseEnded: self._case_ended,
        }

    def _campaign_started(self, event: ev.CampaignStarted) -> None:
        self._rows.insert(
            "campaigns",
            run_id=self._rows.known.run_id,
            generation=event.generation,
            meters=event.meters,
            selection=event.selection,
            reference=event.reference,
            seed=event.seed,
        )

    def _case_started(self, event: ev.CaseStarted) -> None:
        self._rows.db.execute(
            "INSERT INTO cases (name, title) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET title = excluded.title",
            (event.case, event.title),
        )

    def _case_ended(self, event: ev.CaseEnded) -> None:
        (case_id,) = self._rows.db.execute(
            "SELECT id FROM cases WHERE name = ?", (event.case,)
        ).fetchone()
        result_id = self._rows.insert(
            "results",
            run_id=self._rows.known.run_id,
            case_id=case_id,
            device_id=None if event.eui64 is None else self._rows.device(event.eui64, event.at_us),
            attempt=event.attempt,
            started_us=event.started_us,
            ended_us=event.at_us,
            outcome=event.outcome.value,
            cause=event.cause,
            band=event.band.value if event.band else None,
            firmware_version=event.firmware_version,
            quarantine=event.quarantine,
        )
        captured = event.captured
        if captured is not None:
            self._rows.insert(
                "artefacts",
                run_id=self._rows.known.run_id,
                kind="capture",
                path=captured.path,
                sha256=captured.sha256,
                bytes=captured.octets,
                result_id=result_id,
                first_frame=captured.first_frame,
                last_frame=captured.last_frame,
                first_us=captured.first_us,
                last_us=captured.last_us,
                left_out=captured.left_out,
            )
        for measured in event.measurements:
            self._rows.insert(
                "measurements",
                result_id=result_id,
                name=measured.name,
                unit=measured.unit,
                value=measured.value,
                text=measured.text,
                least=measured.least,
                most=measured.most,
                good_from=measured.good_from,
                good_to=measured.good_to,
                outcome=measured.outcome.value,
            )
