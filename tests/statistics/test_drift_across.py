"""Many streams together: the correction, and whose change it is."""

from __future__ import annotations

import random

import pytest
from drift_nights import loss_drift, shares, value_drift, values, wobble

from labctl.statistics.across import (
    Finding,
    attribute,
    benjamini_hochberg,
    correct,
    moved_as_well,
)
from labctl.statistics.drift import Drift, Settings, State

REFERENCE = {"north": "reference"}


def moved(device: str, by: float = -6.0, nights: int = 10, **more: str) -> Drift:
    return value_drift(
        values(*wobble(-60, 60), *wobble(-60 + by, nights)), device=device, quantity="RSSI", **more
    )


def calm(device: str, **more: str) -> Drift:
    return moved(device, 0.0, **more)


def findings(*drifts: Drift, references: dict[str, str] | None = None) -> dict[str, Finding]:
    asked = REFERENCE if references is None else references
    return {
        one.drift.key.device: one.finding for one in attribute(correct(drifts), references=asked)
    }


def test_the_correction_is_that_of_the_paper() -> None:
    """Benjamini and Hochberg 1995, section 4.1: of 15 comparisons four are rejected at 5 %."""
    p_values = [
        *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
        *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
    ]
    chance = random.Random(1)
    order = list(range(15))
    chance.shuffle(order)
    q_values = benjamini_hochberg([p_values[index] for index in order])
    rejected = {index for index, q in zip(order, q_values, strict=True) if q <= 0.05}
    assert rejected == {0, 1, 2, 3}
    assert q_values[order.index(0)] == pytest.approx(0.0015)
    assert q_values[order.index(3)] == pytest.approx(0.0095 * 15 / 4)


def test_the_correction_of_nothing_is_nothing() -> None:
    assert benjamini_hochberg([]) == []
    assert correct([]) == []
    assert attribute([], {}) == []


def test_what_is_certain_alone_is_not_among_many() -> None:
    """The same weak alarm among two streams and among two hundred."""
    chance = random.Random(8)
    weak = next(
        drift
        for drift in (loss_drift(shares(chance, (60, 0.02), (9, 0.032))) for _ in range(200))
        if drift.state is State.ALARM and drift.p is not None and 0.001 < drift.p < 0.02
    )
    few = correct([weak, calm("other")])
    many = correct([weak, *(calm(f"device-{number}") for number in range(199))])
    assert few[0].confirmed
    assert many[0].confirmed is False
    assert many[0].q is not None
    assert many[0].q > 0.05
    found = attribute(many, {})[0]
    assert found.finding is Finding.SUSPECTED


def test_streams_of_which_it_is_too_early_to_speak_take_no_part() -> None:
    early = [value_drift(values(*wobble(-60, 12)), device=f"new-{n}") for n in range(500)]
    drifts = correct([moved("ihd"), *early])
    assert drifts[0].confirmed
    assert {(drift.q, drift.confirmed) for drift in drifts[1:]} == {(None, None)}
    assert attribute(drifts, {})[1].reason == "too early to say (12 of 30 nights)"


def test_a_device_that_moves_alone_has_a_regression_or_an_improvement() -> None:
    assert findings(moved("ihd"), calm("reference"), calm("cad")) == {
        "ihd": Finding.REGRESSION,
        "reference": Finding.STEADY,
        "cad": Finding.STEADY,
    }
    assert findings(moved("ihd", 6.0), calm("reference"))["ihd"] is Finding.IMPROVEMENT


def test_what_the_reference_does_as_well_is_the_environment() -> None:
    found = findings(moved("ihd"), moved("reference"), calm("cad"))
    assert found["ihd"] is found["reference"] is Finding.ENVIRONMENT


def test_the_reference_needs_no_alarm_of_its_own() -> None:
    """Two decibels are below the least effect, and not by chance in the same nights."""
    reference = moved("reference", -2.0)
    assert reference.state is State.STEADY
    assert findings(moved("ihd"), reference)["ihd"] is Finding.ENVIRONMENT


def test_a_reference_that_moved_the_other_way_excuses_nothing() -> None:
    assert findings(moved("ihd"), moved("reference", 6.0))["ihd"] is Finding.REGRESSION


def test_a_reference_that_moved_at_another_time_excuses_nothing() -> None:
    before = value_drift(
        values(*wobble(-60, 35), *wobble(-66, 8), *wobble(-60, 27)), device="reference"
    )
    assert before.past
    assert findings(moved("ihd"), before)["ihd"] is Finding.REGRESSION


def test_worse_is_compared_with_worse_whatever_is_measured() -> None:
    """More loss at the device goes with fewer decibels at the reference."""
    chance = random.Random(3)
    lossy = loss_drift(shares(chance, (60, 0.02), (10, 0.08)), device="ihd")
    assert lossy.change
    assert moved_as_well(moved("reference"), lossy.change)
    assert not moved_as_well(moved("reference", 6.0), lossy.change)


def test_one_band_excuses_nothing_on_the_other() -> None:
    device = moved("ihd", band="2.4 GHz")
    other = findings(device, moved("reference", band="868 MHz"))
    assert other["ihd"] is Finding.REGRESSION
    assert findings(device, moved("reference", band="2.4 GHz"))["ihd"] is Finding.ENVIRONMENT
    assert findings(device, moved("reference"))["ihd"] is Finding.ENVIRONMENT


def test_one_rig_excuses_nothing_on_another() -> None:
    found = findings(moved("ihd"), moved("reference", rig="south"))
    assert found["ihd"] is Finding.REGRESSION


def test_when_most_devices_of_a_rig_move_it_is_the_environment_without_a_reference() -> None:
    three = [moved("a"), moved("b"), moved("c")]
    assert set(findings(*three, calm("d"), calm("e"), references={}).values()) == {
        Finding.ENVIRONMENT,
        Finding.STEADY,
    }
    half = findings(*three[:2], calm("d"), calm("e"), references={})
    assert half["a"] is Finding.REGRESSION
    assert findings(*three[:2], references={})["a"] is Finding.REGRESSION, "two are no rig"


def test_devices_that_moved_weeks_apart_did_not_move_together() -> None:
    others = [moved(name, nights=27) for name in ("a", "b")]
    late = value_drift(values(*wobble(-60, 77), *wobble(-66, 10)), device="ihd")
    found = findings(late, *others, references={})
    assert found["ihd"] is Finding.REGRESSION
    assert found["a"] is Finding.ENVIRONMENT, "two of three, in the same nights"


def test_one_device_with_many_streams_is_one_device() -> None:
    streams = [moved("ihd", case=f"case-{number}") for number in range(9)]
    found = attribute(correct([*streams, calm("a"), calm("b")]), {})
    assert {one.finding for one in found if one.drift.key.device == "ihd"} == {Finding.REGRESSION}


def test_the_reason_says_what_the_reference_did() -> None:
    def reason(*others: Drift, references: dict[str, str] | None = None) -> str:
        asked = REFERENCE if references is None else references
        return attribute(correct([moved("ihd"), *others]), asked)[0].reason

    assert reason(calm("reference")) == "the reference device reference did not move"
    assert "has no judged nights" in reason()
    assert "no reference device" in reason(references={})
    assert "moved in the same nights (reads RSSI)" in reason(moved("reference"))


def test_a_new_version_that_makes_it_worse_is_a_regression_before_its_thirty_nights() -> None:
    old = values(*wobble(-60, 60), version="1.0")
    worse = value_drift([*old, *values(*wobble(-66, 8), version="1.1", first=60)], device="ihd")
    same = value_drift([*old, *values(*wobble(-60, 8), version="1.1", first=60)], device="cad")
    assert findings(worse, same, calm("reference")) == {
        "ihd": Finding.REGRESSION,
        "cad": Finding.TOO_EARLY,
        "reference": Finding.STEADY,
    }


def test_drifts_have_to_be_corrected_first() -> None:
    with pytest.raises(ValueError, match="not been corrected"):
        attribute([moved("ihd")], {})


def test_the_share_of_false_discoveries_is_a_setting() -> None:
    strict = Settings(false_discoveries=1e-12)
    assert correct([moved("ihd", -4.0, 4)], strict)[0].confirmed is False
    assert correct([moved("ihd", -4.0, 4)])[0].confirmed is True


def test_a_regression_is_seldom_excused_by_a_reference_that_did_nothing() -> None:
    """1 % is promised; 200 drawn references, whose baselines are drawn as well."""
    chance = random.Random(12)
    change = moved("ihd").change
    assert change
    excused = sum(
        moved_as_well(
            value_drift(values(*(chance.gauss(-60, 1.5) for _ in range(70))), device="reference"),
            change,
        )
        for _ in range(300)
    )
    assert excused <= 9
