"""Limits that follow from what the rig file says of a device."""

from __future__ import annotations

import pytest

from labctl.campaign.case import Measure
from labctl.campaign.measurements import Measurements
from labctl.events import CaseOutcome

DECLARED = (Measure("gap_s", "s", most=60, why="proposal"),)


def judged(measure: Measurements, value: float) -> CaseOutcome:
    measure.take("gap_s", value)
    return measure.results[0].outcome


def test_what_the_rig_expects_takes_the_place_of_what_was_declared() -> None:
    measure = Measurements(DECLARED, {})
    measure.expect("gap_s", most=180, good_to=120)
    assert judged(measure, 150) is CaseOutcome.MARGINAL
    assert judged(measure, 181) is CaseOutcome.FAIL
    assert measure["gap_s"].unit == "s"


def test_the_rig_files_own_limits_come_first() -> None:
    measure = Measurements(DECLARED, {"gap_s": {"most": 30}})
    measure.expect("gap_s", most=180)
    assert judged(measure, 31) is CaseOutcome.FAIL


def test_nobody_says_afterwards_what_would_have_been_right() -> None:
    measure = Measurements(DECLARED, {})
    measure.take("gap_s", 90)
    with pytest.raises(RuntimeError, match="before it was said"):
        measure.expect("gap_s", most=180)


def test_what_was_not_declared_cannot_be_expected() -> None:
    with pytest.raises(KeyError):
        Measurements(DECLARED, {}).expect("another", most=1)
