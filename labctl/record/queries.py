"""Read-only questions to the database: the runs, and everything about one run.

All take an open connection (`database.open_for_reading`, or `Recorder.connection` while the run
goes on) and return the values of `rows.py`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import sqlite3
from collections.abc import Iterable

from labctl.errors import UsageError
from labctl.record import fetch
from labctl.record.bearers import bearers
from labctl.record.campaign import campaign
from labctl.record.circumstances import away, infrastructure, rejoins, silenced, unpaired
from labctl.record.compliance import Circumstances, compliance
from labctl.record.delivery import deliveries
from labctl.record.links import links
from labctl.record.rows import EventRow, Run, RunData, Schedule
from labctl.record.survey import load_survey, surveys_of_run

_RUNS = (
    "SELECT id, rig, kind, started_us, ended_us, verdict, simulated, labctl_version, host,"
    " config_sha256, note, reasons, pruned_us FROM runs"
)

#: Kinds of events that have a section of their own in `RunData`.
_TOLD_ELSEWHERE = frozenset({"refused", "device-described", "radio-up", "pairing-window-closed"})


def runs(db: sqlite3.Connection, *, rig: str | None = None, limit: int | None = None) -> list[Run]:
    """The runs, newest first; of one rig when `rig` is given; at most `limit`."""
    return _fetch_runs(
        db,
        "WHERE :rig IS NULL OR rig = :rig ORDER BY id DESC LIMIT :limit",
        {"rig": rig, "limit": -1 if limit is None else limit},
    )


def find_run(db: sqlite3.Connection, rig_or_run: str | int) -> Run:
    """The run of that number, or the newest run of the rig of that name.

    A rig whose name is a number is found by its name only when there is no such run. Raises
    `UsageError`, with a suggestion, when there is neither.
    """
    text = str(rig_or_run)
    if text.isascii() and text.isdecimal() and len(text) < 19:
        found = _fetch_runs(db, "WHERE id = :id", {"id": int(text)})
        if found:
            return found[0]
    newest = runs(db, rig=text, limit=1)
    if newest:
        return newest[0]
    rigs = [rig for (rig,) in db.execute("SELECT DISTINCT rig FROM runs ORDER BY rig")]
    close = difflib.get_close_matches(text, rigs, n=1)
    if close:
        mend = f"Did you mean {close[0]}?"
    elif rigs:
        mend = f"There are runs of {', '.join(rigs[:10])}; `labctl runs` lists them."
    else:
        mend = "Nothing was recorded here yet: run `labctl bench` first."
    raise UsageError(f"no run and no rig is called {text!r} in this database", mend=mend)


def newest_campaign(db: sqlite3.Connection, rig: str) -> Run | None:
    """The newest campaign's run of a rig; None when there was none."""
    return next((run for run in runs(db, rig=rig) if run.kind == "campaign"), None)


def _fetch_runs(db: sqlite3.Connection, where: str, values: dict[str, object]) -> list[Run]:
    found = fetch.rows(db, Run, f"{_RUNS} {where}", values)
    return [dataclasses.replace(run, reasons=tuple(json.loads(str(run.reasons)))) for run in found]


def last_rig_time_us(db: sqlite3.Connection, rig: str) -> int:
    """When a simulated run of `rig` was last heard of, in rig time; 0 when there was none."""
    simulated = [run for run in runs(db, rig=rig) if run.simulated]
    return max(
        (run.ended_us or _last_recorded_us(db, run) for run in simulated),
        default=0,
    )


def load_run(db: sqlite3.Connection, run_id: int, *, until_us: int | None = None) -> RunData:
    """Everything of one run. `until_us` is the time now, for a run that is still going on.

    For a run without an end, and without `until_us`, the last thing recorded counts as its end.
    Raises `UsageError` when there is no such run.
    """
    run = find_run(db, run_id)
    end_us = end_of(db, run) if run.ended_us is not None or until_us is None else until_us
    events = fetch.events(db, run.id)
    joins = fetch.joins(db, run.id)
    pairings = fetch.pairings(db, run.id)
    devices = fetch.devices(db, run.id, events, pairings, joins)
    data = RunData(
        run=run,
        until_us=end_us,
        radios=fetch.radios(db, run.id),
        devices=devices,
        pairings=pairings,
        joins=joins,
        schedules=(),
        links=links(db, run.id, run.started_us, end_us),
        reads=fetch.reads(db, run.id),
        refusals=fetch.refusals(events, devices, joins),
        infrastructure=infrastructure(events, end_us),
        events=tuple(event for event in events if event.kind not in _TOLD_ELSEWHERE),
        bearers=bearers(db, run.id, events, run.started_us, end_us),
        campaign=campaign(db, run.id) if run.kind == "campaign" else None,
        surveys=tuple(load_survey(db, each) for each in surveys_of_run(db, run.id))
        if run.kind == "survey"
        else (),
    )
    absent = away(
        {device.id for device in devices},
        joins,
        events,
        data.infrastructure,
        data.bearers.suspensions,
        end_us,
    )
    delivered = deliveries(db, run.id, events, absent, end_us)
    return dataclasses.replace(
        data,
        schedules=_schedules(db, data, events),
        bearers=dataclasses.replace(data.bearers, deliveries=delivered),
    )


def end_of(db: sqlite3.Connection, run: Run) -> int:
    """When the run ended; for one that goes on or was cut off, what was recorded last."""
    return run.ended_us if run.ended_us is not None else _last_recorded_us(db, run)


def _last_recorded_us(db: sqlite3.Connection, run: Run) -> int:
    latest = run.started_us
    for table in ("reads", "link_samples", "events"):
        (at_us,) = db.execute(
            f"SELECT max(at_us) FROM {table} WHERE run_id = ?",  # noqa: S608 - our own names
            (run.id,),
        ).fetchone()
        latest = max(latest, at_us or 0)
    return latest


def _schedules(
    db: sqlite3.Connection, data: RunData, events: Iterable[EventRow]
) -> tuple[Schedule, ...]:
    found = []
    for schedule in fetch.rows(
        db,
        Schedule,
        "SELECT id, device_id, name, cluster_id, attributes, period_ms, tolerance_ms, endpoint"
        " FROM read_schedules WHERE run_id = :run ORDER BY device_id, period_ms, id",
        {"run": data.run.id},
    ):
        times = [
            at_us
            for (at_us,) in db.execute(
                "SELECT at_us FROM reads WHERE schedule_id = ? AND initiator = 'device'"
                " AND at_us <= ? ORDER BY at_us, id",
                (schedule.id, data.until_us),
            )
        ]
        device = data.device(schedule.device_id)
        attempts = [join for join in data.joins if join.device_id == schedule.device_id]
        reference_us = data.authorised_us(schedule.device_id)
        if reference_us is None and not attempts and device is not None:
            # It came paired: what it owes, it owes from the first sign of life.
            reference_us = device.first_heard_us
        absences = unpaired(schedule.device_id, data.joins, events, data.until_us)
        # A device that was removed for good owes nothing afterwards.
        gone = bool(absences) and absences[-1].end_us > data.until_us
        result = compliance(
            times,
            period_ms=schedule.period_ms,
            tolerance_ms=schedule.tolerance_ms,
            reference_us=reference_us,
            end_us=absences[-1].start_us if gone else data.until_us,
            circumstances=Circumstances(
                infrastructure=data.infrastructure,
                unpaired=absences,
                rejoins=rejoins(attempts, data.until_us),
                suspended=silenced(schedule.device_id, data.bearers.suspensions),
            ),
        )
        found.append(dataclasses.replace(schedule, result=result))
    return tuple(found)
