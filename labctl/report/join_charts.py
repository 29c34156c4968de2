"""The joins of one device, drawn: the steps of an attempt as bars, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labctl.record.rows import Join
from labctl.report.formats import duration, words
from labctl.report.scale import Scale, linear

#: At most this many attempts are drawn step by step; all are listed in the table.
MOST_DRAWN = 4

_PHASES = {
    "beacon-request": "network",
    "association": "network",
    "transport-key": "network",
    "device-announce": "network",
    "key-initiate": "keys",
    "key-ephemeral": "keys",
    "key-confirm": "keys",
    "link-key-installed": "keys",
    "discovery": "use",
    "first-read": "use",
}


@dataclass(frozen=True, slots=True)
class StepBar:
    """One step: its bar in percent of the attempt's length, and what stands beside it."""

    name: str
    left: float
    width: float
    phase: str
    status: str
    took: str
    detail: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, drawn."""

    join: Join
    steps: tuple[StepBar, ...]
    x: Scale
    took: str


def attempts(joins: Sequence[Join]) -> list[Attempt]:
    """The attempts worth drawing: the first that was authorised, and the last of the others."""
    with_steps = [join for join in joins if join.steps]
    good = [join for join in with_steps if join.outcome == "authorised"][:1]
    others = [join for join in with_steps if join not in good]
    # A plain rejoin of four quick steps is worth a line in the table, not a drawing.
    others = [join for join in others if join.outcome != "authorised"]
    chosen = {join.id for join in [*good, *others[-(MOST_DRAWN - len(good)) :]]}
    return [_draw(join) for join in joins if join.id in chosen]


def _draw(join: Join) -> Attempt:
    end_us = max([step.at_us for step in join.steps] + [join.ended_us or join.started_us])
    span_s = max(0.001, (end_us - join.started_us) / 1e6)
    x = linear(0, span_s, most=6, least_span=0.1)
    bars = []
    before_us = join.started_us
    for step in join.steps:
        left = x.percent((before_us - join.started_us) / 1e6)
        right = x.percent((step.at_us - join.started_us) / 1e6)
        bars.append(
            StepBar(
                name=words(step.step),
                left=min(left, 99.0),
                width=max(0.6, round(right - left, 3)),
                phase=_PHASES.get(step.step, "network"),
                status=step.status,
                took=duration(step.at_us - before_us),
                detail=step.detail,
            )
        )
        before_us = step.at_us
    took = "" if join.ended_us is None else duration(join.ended_us - join.started_us)
    return Attempt(join, tuple(bars), x, took)
