"""All streams together: what is left when many were looked at, and what moved the whole rig.

Among 200 streams, each of which has a false alarm in a year, every other morning has one. `correct`
applies Benjamini and Hochberg's procedure to the p-values of all streams that could be judged
tonight (those without an alarm take part with theirs, or the correction would be of the alarms
alone): of the findings that it confirms, at most one in twenty is expected to be none. Their
p-values are those of `changes`. Streams of one rig move together, positively; the procedure holds
for that.

`attribute` then asks whose change it is. When the reference device of the rig moved in the same
direction in the same nights, or most devices of the rig did, it is the environment's.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from labctl.statistics.baseline import NORMAL
from labctl.statistics.changes import CAP, Change
from labctl.statistics.drift import DEFAULT, Drift, Settings, State
from labctl.statistics.streams import DAY_US

REFERENCE_LEVEL = 0.01
"""How unlikely the reference's nights must be by chance to say that it moved as well."""
FEWEST_DEVICES = 3
"""Most of two devices is not a rig."""
APART_US = 7 * DAY_US
"""Changes that began within a week of one another are of the same nights: a beginning is known to
within some nights."""


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """The q-value of each p-value: the least false discovery rate at which it is a finding."""
    count = len(p_values)
    q_values, least = [1.0] * count, 1.0
    order = sorted(range(count), key=lambda index: p_values[index], reverse=True)
    for rank, index in zip(range(count, 0, -1), order, strict=True):
        least = min(least, p_values[index] * count / rank)
        q_values[index] = least
    return q_values


def correct(drifts: Iterable[Drift], settings: Settings = DEFAULT) -> list[Drift]:
    """The same drifts with `q`, and `confirmed` where there is a change.

    A drift of which it is too early to say anything has no q. Streams of several rigs may be
    corrected together; what is read together should be.
    """
    drifts = list(drifts)
    tested = [index for index, drift in enumerate(drifts) if drift.p is not None]
    q_values = benjamini_hochberg([drifts[index].p or 0.0 for index in tested])
    for index, q in zip(tested, q_values, strict=True):
        change = drifts[index].change
        large = change is not None and abs(change.effect) >= drifts[index].measure.least_effect
        confirmed = large and q <= settings.false_discoveries
        drifts[index] = replace(drifts[index], q=q, confirmed=confirmed if change else None)
    return drifts


class Finding(enum.Enum):
    """What a stream's drift is, once the other streams have been asked."""

    TOO_EARLY = "too early to say"
    STEADY = "steady"
    SUSPECTED = "suspected"
    """An alarm of this stream; among so many streams it may be chance."""
    REGRESSION = "regression"
    """The device (or its firmware) got worse."""
    IMPROVEMENT = "improvement"
    ENVIRONMENT = "environment"
    """The rig's surroundings changed: other devices, the reference above all, moved as well."""


@dataclass(frozen=True, slots=True)
class Attributed:
    """A drift, what it is, and why that is said (one sentence, for a person)."""

    drift: Drift
    finding: Finding
    reason: str


def attribute(drifts: Iterable[Drift], references: Mapping[str, str]) -> list[Attributed]:
    """What each corrected drift is. `references` names the reference device of each rig.

    Devices are compared within one rig and one band; a stream without a band is compared with all
    streams of its rig. The reference's own changes are the environment's: it is what does not
    change. Raises ValueError for drifts that were not corrected.
    """
    drifts = list(drifts)
    for drift in drifts:
        if drift.change is not None and drift.confirmed is None:
            raise ValueError(f"{drift.key} has not been corrected across streams")
    return [_attributed(drift, drifts, references.get(drift.key.rig)) for drift in drifts]


def _attributed(drift: Drift, drifts: Sequence[Drift], reference: str | None) -> Attributed:
    change = drift.change
    if change is None or (drift.state is State.TOO_EARLY and not drift.confirmed):
        early = drift.state is State.TOO_EARLY
        return Attributed(drift, Finding.TOO_EARLY if early else Finding.STEADY, drift.sentence)
    if not drift.confirmed:
        return Attributed(
            drift, Finding.SUSPECTED, "an alarm of this stream alone, not yet beyond chance"
        )
    if drift.key.device == reference:
        return Attributed(drift, Finding.ENVIRONMENT, "this is the rig's reference device")
    place = [other for other in drifts if _same_place(drift, other)]
    others = [other for other in place if other.key.device == reference]
    moved = [other for other in others if moved_as_well(other, change)]
    if moved:
        names = ", ".join(sorted({f"{other.key.case} {other.key.quantity}" for other in moved}))
        reason = f"the reference device {reference} moved in the same nights ({names})"
        return Attributed(drift, Finding.ENVIRONMENT, reason)
    most = _most_devices(place, change)
    if most:
        return Attributed(drift, Finding.ENVIRONMENT, most)
    finding = Finding.REGRESSION if change.worse else Finding.IMPROVEMENT
    if reference is None:
        return Attributed(drift, finding, "the rig has no reference device to compare it with")
    able = [other for other in others if _deviations(other, change)]
    if not able:
        reason = f"the reference device {reference} has no judged nights to compare it with"
        return Attributed(drift, finding, reason)
    return Attributed(drift, finding, f"the reference device {reference} did not move")


def _same_place(one: Drift, other: Drift) -> bool:
    bands = {one.key.band, other.key.band}
    return one.key.rig == other.key.rig and (len(bands) == 1 or "" in bands)


def _deviations(reference: Drift, change: Change) -> list[float]:
    """The reference's nights since the change began, in its spreads, worse above zero."""
    return [
        night.z * reference.measure.worse
        for night in reference.history
        if night.z is not None and change.began_us <= night.at_us <= change.until_us
    ]


def moved_as_well(reference: Drift, change: Change) -> bool:
    """Did this stream move in the same direction in the same nights?

    One question, asked of nights that another stream chose: a plain test of their mean (1 %, one
    side), which needs no alarm of its own. Nights count for three spreads at most.
    """
    nights = _deviations(reference, change)
    if not nights:
        return False
    sign = 1 if change.worse else -1
    mean = math.fsum(min(max(sign * z, -CAP), CAP) for z in nights) / len(nights)
    # The level is of thirty nights at least, and is off by as much as they are.
    error = math.sqrt(1 / len(nights) + 1 / reference.needed)
    return mean >= NORMAL.inv_cdf(1 - REFERENCE_LEVEL) * error


def _most_devices(place: Sequence[Drift], change: Change) -> str:
    """A sentence when more than half of at least three judged devices moved; else nothing."""
    judged = {drift.key.device for drift in place if drift.state is not State.TOO_EARLY}
    moved = {
        drift.key.device
        for drift in place
        if drift.change is not None
        and drift.state is State.ALARM
        and drift.change.worse == change.worse
        and abs(drift.change.began_us - change.began_us) <= APART_US
    }
    if len(judged) < FEWEST_DEVICES or 2 * len(moved) <= len(judged):
        return ""
    return f"{len(moved)} of the rig's {len(judged)} devices moved in the same nights"
