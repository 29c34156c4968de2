"""What one stream's nights are said to show."""

from __future__ import annotations

import itertools
import random

import pytest
from drift_nights import loss_drift, shares, value_drift, values, wobble

from labctl.statistics.changes import Cause
from labctl.statistics.drift import Restart, Settings, State
from labctl.statistics.streams import DAY_US, RSSI, Night, Reading, seconds


@pytest.mark.parametrize("nights", [0, 1, 29])
def test_before_thirty_nights_it_is_too_early_to_say(nights: int) -> None:
    drift = value_drift(values(*wobble(-60, nights)))
    assert drift.state is State.TOO_EARLY
    assert drift.sentence == f"too early to say ({nights} of 30 nights)"
    assert drift.level is drift.change is drift.p is None


def test_missing_nights_are_no_nights() -> None:
    calm = [Night(day * DAY_US, 3, 200) for day in range(29)]
    without = [Night((29 + day) * DAY_US, 0, 0) for day in range(9)]
    drift = loss_drift([*calm, *without])
    assert drift.sentence == "too early to say (29 of 30 nights)"


def test_the_history_shows_what_was_counted() -> None:
    nights = [Night(day * DAY_US, day % 3, 200 + day) for day in range(40)]
    history = loss_drift(nights).history
    assert [night.value for night in history] == [n.lost / n.attempted for n in nights]
    assert [night.z is None for night in history] == [True] * 30 + [False] * 10


def test_a_steady_stream_is_steady() -> None:
    drift = value_drift(values(*wobble(-60, 200)))
    assert drift.state is State.STEADY
    assert drift.sentence == "steady"
    assert drift.level == pytest.approx(-60, abs=0.2)
    assert not drift.past


def test_the_sums_are_those_of_page() -> None:
    """Written out again from the nights' deviations: k = 0.5, a night adds 2.5 at most."""
    chance = random.Random(5)
    drift = value_drift(
        values(*(chance.gauss(20, 4) for _ in range(120))), measure=seconds("join", 1.0)
    )
    up = down = 0.0
    judged = [night for night in drift.history if night.z is not None]
    assert len(judged) == 90
    assert not drift.past
    for night in judged:
        assert night.z is not None
        up = max(0.0, up + max(-2.5, min(2.5, night.z - 0.5)))
        down = max(0.0, down + max(-2.5, min(2.5, -night.z - 0.5)))
        assert (night.up, night.down) == (pytest.approx(up), pytest.approx(down))
        assert max(up, down) <= 6.0


def test_a_change_is_found_with_its_first_night_size_and_direction() -> None:
    drift = value_drift(values(*wobble(-60, 60), *wobble(-66, 12)))
    change = drift.change
    assert drift.state is State.ALARM
    assert change
    assert change.cause is Cause.FOUND
    assert change.worse
    assert 59 <= change.began_us // DAY_US <= 61
    assert 61 <= change.found_us // DAY_US <= 64
    assert change.before == pytest.approx(-60, abs=0.3)
    assert change.p < 1e-4
    assert change.effect == pytest.approx(-6, abs=0.4)


def test_the_size_of_a_change_is_in_its_interval() -> None:
    chance, inside, found = random.Random(6), 0, 0
    for _ in range(60):
        drift = loss_drift(shares(chance, (90, 0.02), (25, 0.04)))
        if drift.change and drift.change.worse:
            found += 1
            low, high = drift.change.interval.low, drift.change.interval.high
            assert low < drift.change.effect < high
            inside += low <= 0.02 <= high
    assert found >= 54
    # 95 % of changes that were known beforehand; found ones were chosen, and a few less are inside.
    assert inside >= 0.85 * found


def test_one_terrible_night_is_no_drift_and_two_are_none() -> None:
    for bad in (1, 2):
        calm = wobble(-60, 80)
        calm[60 : 60 + bad] = [-95.0] * bad
        assert not value_drift(values(*calm[: 60 + bad])).change
        assert not value_drift(values(*calm)).past


def test_what_is_less_than_the_least_effect_is_no_alarm_however_sure() -> None:
    """Two decibels at a spread of 0.5: each night says so, and nobody needs to hear it."""
    drift = value_drift(values(*wobble(-60, 60, 0.5), *wobble(-62, 100, 0.5)))
    assert drift.state is State.STEADY
    assert not drift.past
    assert drift.level == pytest.approx(-62, abs=0.3), "it is what the stream is like by now"


def test_a_drift_does_not_eat_its_baseline() -> None:
    """A quarter of a decibel a night: no night is remarkable, the sum of them is."""
    slow = [level - 0.25 * day for day, level in enumerate(wobble(-60, 25))]
    drift = value_drift(values(*wobble(-60, 60), *slow))
    assert drift.state is State.ALARM
    assert drift.change
    assert drift.change.before == pytest.approx(-60, abs=0.8)


def test_after_a_change_has_lasted_thirty_nights_it_is_the_level_and_is_remembered() -> None:
    drift = value_drift(values(*wobble(-60, 60), *wobble(-66, 60)))
    assert drift.state is State.STEADY
    assert drift.level == pytest.approx(-66, abs=0.3)
    (change,) = drift.past
    assert change.worse
    assert not change.over
    first, second = drift.segments
    assert (first.reason, second.reason) == (Restart.FIRST_NIGHT, Restart.LEVEL)
    assert second.began_us == change.began_us
    assert first.nights + second.nights == 120
    assert first.level == pytest.approx(-60, abs=0.3)


def test_a_stream_that_goes_back_goes_on_with_its_old_baseline() -> None:
    drift = value_drift(values(*wobble(-60, 60), *wobble(-66, 10), *wobble(-60, 40)))
    assert drift.state is State.STEADY
    assert drift.level == pytest.approx(-60, abs=0.3)
    (change,) = drift.past
    assert change.over
    assert 68 <= change.until_us // DAY_US <= 71
    assert len(drift.segments) == 1


def test_the_nights_of_a_change_are_the_new_baseline_at_once() -> None:
    drift = value_drift(values(*wobble(-60, 60), *wobble(-66, 31)))
    assert drift.state is State.STEADY
    assert drift.level == pytest.approx(-66, abs=0.3)
    assert drift.history[-1].z is not None


def test_the_nights_of_a_change_that_went_back_are_not_in_the_baseline() -> None:
    drift = value_drift(values(*wobble(-60, 40), *wobble(-68, 14), *wobble(-60, 16)))
    assert drift.past
    first, last = drift.history[40], drift.history[-1]
    assert first.spread
    assert last.spread == pytest.approx(first.spread, rel=0.1)
    assert last.expected == pytest.approx(first.expected, abs=0.3)


def test_an_interval_knows_how_few_nights_both_levels_are_of() -> None:
    """Student's t of 29 degrees, 2.045, times the spread, times sqrt(1/5 + 1/30)."""
    old = values(*wobble(-60, 30), version="1.0")
    change = value_drift([*old, *values(*[-66.0] * 5, version="1.1", first=30)]).change
    assert change
    spread = 1.0 / 2.0 * (change.interval.high - change.interval.low) / (2.045 * 0.4830)
    base = value_drift([*old, *values(-60.0, version="1.0", first=30)]).history[-1]
    assert base.spread == pytest.approx(spread, rel=0.01)


def test_an_alarm_stands_while_the_change_does() -> None:
    nights = values(*wobble(-60, 60), *wobble(-66, 29))
    states = [value_drift(nights[:count]).state for count in range(60, 90)]
    first = states.index(State.ALARM)
    assert set(states[first:-1]) == {State.ALARM}


def test_an_improvement_is_not_worse() -> None:
    drift = value_drift(values(*wobble(-66, 60), *wobble(-60, 10)))
    assert drift.change
    assert not drift.change.worse
    assert drift.change.effect > 0


# -- what is known to have changed ---------------------------------------------------------------


def test_a_new_version_starts_again_and_is_compared_with_the_one_before() -> None:
    old = values(*wobble(-60, 60), version="1.0")
    new = values(*wobble(-66, 29), version="1.1", first=60)
    early = value_drift([*old, *new[:4]])
    assert (early.sentence, early.change) == ("too early to say (4 of 30 nights)", None)
    drift = value_drift([*old, *new[:10]])
    assert drift.state is State.TOO_EARLY
    assert drift.change
    assert drift.change.cause is Cause.VERSION
    assert drift.change.began_us == new[0].at_us
    assert drift.change.worse
    assert drift.p == drift.change.p
    assert drift.p is not None
    assert drift.p < 1e-4
    assert drift.segments[-1].detail == "1.1"


def test_what_a_version_changed_is_remembered_when_it_has_a_baseline() -> None:
    old = values(*wobble(-60, 60), version="1.0")
    worse = value_drift([*old, *values(*wobble(-66, 40), version="1.1", first=60)])
    same = value_drift([*old, *values(*wobble(-60, 40), version="1.1", first=60)])
    assert worse.state is same.state is State.STEADY
    assert [change.cause for change in worse.past] == [Cause.VERSION]
    assert not same.past


def test_a_version_that_changes_nothing_is_no_change_of_size() -> None:
    old = values(*wobble(-60, 60), version="1.0")
    drift = value_drift([*old, *values(*wobble(-60, 12), version="1.1", first=60)])
    assert drift.change
    assert abs(drift.change.effect) < 0.3
    assert drift.p is not None
    assert drift.p > 0.5


def test_a_version_too_short_for_a_baseline_does_not_hide_the_one_before_it() -> None:
    old = values(*wobble(-60, 60), version="1.0")
    short = values(*wobble(-60, 7), version="1.1", first=60)
    drift = value_drift([*old, *short, *values(*wobble(-66, 10), version="1.2", first=67)])
    assert drift.change
    assert drift.change.before == pytest.approx(-60, abs=0.3)


def test_after_a_long_gap_the_old_baseline_says_nothing() -> None:
    drift = value_drift([*values(*wobble(-60, 60)), *values(*wobble(-66, 8), first=110)])
    assert drift.sentence == "too early to say (8 of 30 nights)"
    assert drift.change is None
    assert drift.segments[-1].reason is Restart.GAP
    assert drift.segments[-1].detail == "51 days without a night"


def test_a_change_that_stands_when_a_version_comes_is_kept() -> None:
    old = values(*wobble(-60, 60), *wobble(-66, 10), version="1.0")
    drift = value_drift([*old, *values(*wobble(-60, 6), version="1.1", first=70)])
    (change,) = drift.past
    assert change.worse
    assert drift.change
    assert drift.change.before == pytest.approx(-60, abs=0.3), "compared with the undisturbed level"


# -- any nights ----------------------------------------------------------------------------------


def test_any_nights_are_judged_and_always_the_same() -> None:
    chance = random.Random(11)
    for _ in range(150):
        day, nights = 0, []
        for _ in range(chance.randrange(1, 200)):
            day += chance.choice((1, 1, 1, 2, 9, 50))
            attempted = chance.choice((0, 1, 5, 300))
            lost = chance.choice((0, attempted, chance.randint(0, attempted)))
            nights.append(Night(day * DAY_US, lost, attempted, chance.choice("aaaaaaaaaab")))
        drift = loss_drift(nights)
        assert drift == loss_drift(nights)
        assert drift.p is None or 0 <= drift.p <= 1
        assert sum(s.nights for s in drift.segments) == len(drift.history)
        begins = [segment.began_us for segment in drift.segments]
        assert begins == sorted(set(begins))
        for change in (*drift.past, *([drift.change] if drift.change else [])):
            assert change.began_us <= change.found_us
            assert change.began_us <= change.until_us
            assert change.interval.low <= change.effect <= change.interval.high
        for one, two in itertools.pairwise(drift.past):
            assert one.until_us <= two.until_us


@pytest.mark.parametrize("value", [0.0, -70.0, 1e300, 1e-300])
def test_values_of_any_size_are_judged(value: float) -> None:
    drift = value_drift([Reading(day * DAY_US, value) for day in range(40)], measure=RSSI)
    assert drift.state is State.STEADY


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in (
        {"allowance": 0.0},
        {"threshold": -1.0},
        {"cap": 0.4},
        {"baseline_nights": 4},
        {"window_nights": 29},
        {"step_nights": 1},
        {"false_discoveries": 1.0},
    ):
        with pytest.raises(ValueError, match=r"."):
            Settings(**wrong)  # type: ignore[arg-type]
