"""What a rig's nights say: which streams moved and whose doing that is, which cases are flaky."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from labctl.record.history import attempts, streams
from labctl.statistics.across import Attributed, attribute, correct
from labctl.statistics.cusum import judge
from labctl.statistics.flakes import Flakiness, flakiness


@dataclass(frozen=True, slots=True)
class Trend:
    """A rig over nights. `reference` is the device that stays the same, if one was named."""

    rig: str
    reference: str | None
    nights: int
    """The most that any stream has."""
    findings: tuple[Attributed, ...]
    """Every stream; what changed comes first."""
    flakes: tuple[Flakiness, ...]
    """Cases with a flaky night, the worst first."""


def trend(db: sqlite3.Connection, rig: str, reference: str | None = None) -> Trend:
    """Judge the streams of a rig. Without a `reference`, the newest campaign's is taken."""
    if reference is None:
        row = db.execute(
            "SELECT reference FROM campaigns JOIN runs ON runs.id = run_id WHERE rig = ?"
            " ORDER BY runs.id DESC LIMIT 1",
            (rig,),
        ).fetchone()
        reference = row[0] if row else None
    drifts = correct(judge(stream) for stream in streams(db, rig))
    found = attribute(drifts, {} if reference is None else {rig: reference})
    found.sort(key=lambda each: (each.drift.change is None, each.drift.key))
    return Trend(
        rig=rig,
        reference=reference,
        nights=max((len(drift.history) for drift in drifts), default=0),
        findings=tuple(found),
        flakes=tuple(flake for flake in flakiness(attempts(db, rig)) if flake.flaky),
    )
