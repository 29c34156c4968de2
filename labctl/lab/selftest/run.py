"""Trials of one stick or of all sticks of a rig, each under a lease of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from labctl.clock import wall_us
from labctl.errors import BusyError, RigError
from labctl.lab.doctor.examine import software
from labctl.lab.selftest.report import Report
from labctl.lab.selftest.steps import Step
from labctl.lab.selftest.trial import Trial
from labctl.lab.survey import Look, Row, State, kept, lease_of


async def try_out(
    row: Row,
    *,
    form: bool = False,
    give_up: bool = False,
    told: Callable[[Step], None] = lambda _: None,
    look: Look | None = None,
) -> Report:
    """One trial. `row` is of a survey that did not ask.

    Raises `RigError` when the stick is not there, `BusyError` when somebody has it.
    """
    if row.state is State.MISSING and row.trouble is not None:
        raise row.trouble
    if row.held_by:
        raise BusyError(
            f"it is in use by {', '.join(row.held_by)}",
            where=row.port.device,
            mend="wait for it, or end it",
        )
    if not row.attempts:
        raise RigError("this is no stick that labctl drives", where=row.port.device)
    lease = lease_of(row, look or Look(), purpose="selftest")
    trial = Trial(
        path=row.port.device,
        attempts=row.attempts,
        form=form,
        give_up=give_up,
        told=told,
        fence=lease.check,
    )
    async with kept(lease):
        await trial.run()
    state = State.SILENT if trial.probed is None else State.ANSWERED
    return Report(
        replace(row, state=state, probed=trial.probed),
        tuple(trial.steps),
        wall_us(),
        software().evidence,
    )


def report_names(rows: Sequence[Row]) -> list[str]:
    """File names for the reports: by radio, or by kind of stick; no two alike."""
    names: list[str] = []
    for row in rows:
        said = row.names[0] if row.names else (row.port.stick.name if row.port.stick else "stick")
        slug = re.sub(r"[^A-Za-z0-9]+", "-", said).strip("-").lower() or "stick"
        name, number = f"selftest-{slug}", 2
        while name in names:
            name, number = f"selftest-{slug}-{number}", number + 1
        names.append(name)
    return names
