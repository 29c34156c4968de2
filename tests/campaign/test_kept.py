"""How a device kept a schedule, with what it was excused for left out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.campaign.kept import Kept, kept
from labctl.record.compliance import SETTLING_US, Interval

S = 1_000_000


def look(times_s: Sequence[float], end_s: float, *excused: tuple[float, float]) -> Kept:
    """At reads that are due every 10 s."""
    return kept(
        [round(at * S) for at in times_s],
        0,
        round(end_s * S),
        [Interval(round(a * S), round(b * S), "out") for a, b in excused],
        period_us=10 * S,
        tolerance_us=2 * S,
    )


def test_a_device_that_reads_as_it_should() -> None:
    found = look(range(5, 605, 10), 600)
    assert found.interval_s(95) == 10
    assert found.longest_s == 10
    assert found.share_of(10 * S) == pytest.approx(100, abs=1)


def test_a_gap_is_as_long_as_it_was() -> None:
    found = look([0, 10, 20, 95, 105], 110)
    assert found.longest_s == 75
    assert found.interval_s(50) == 10


def test_silence_up_to_the_end_is_a_gap() -> None:
    assert look([0, 10, 20], 500).longest_s == 480


def test_a_device_that_never_read_was_silent_all_the_time() -> None:
    found = look([], 3600)
    assert found.longest_s == 3600
    assert found.share_of(10 * S) == 0
    assert math.isnan(found.interval_s(95))


def test_a_device_that_has_just_come_is_given_time_for_discovery() -> None:
    late_s = SETTLING_US / S - 60
    found = look([late_s + 10 * n for n in range(60)], late_s + 600)
    assert found.longest_s == 10
    assert found.share_of(10 * S) == pytest.approx(100)


def test_one_that_comes_later_than_that_is_not() -> None:
    late_s = SETTLING_US / S + 600
    assert look([late_s + 10 * n for n in range(60)], late_s + 600).longest_s == late_s


def test_an_outage_of_the_rig_is_not_held_against_it() -> None:
    found = look([*range(0, 300, 10), *range(900, 1200, 10)], 1200, (292, 895))
    assert found.longest_s == 10
    assert max(found.intervals_us) == 10 * S
    assert found.excused_us == 603 * S
    assert found.share_of(10 * S) == pytest.approx(100, abs=2)


def test_silence_that_outlasts_the_excuse_counts_from_its_end() -> None:
    assert look(range(0, 300, 10), 1200, (292, 600)).longest_s == 600


def test_excuses_that_overlap_count_once() -> None:
    found = look(range(0, 100, 10), 100, (20, 50), (30, 60), (55, 58))
    assert found.excused_us == 40 * S


@given(
    st.lists(st.integers(0, 100_000), max_size=60, unique=True),
    st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 100_000)), max_size=8),
)
def test_whatever_happened_no_time_counts_twice(
    times: list[int], excused: list[tuple[int, int]]
) -> None:
    found = look(sorted(times), 100_000, *((a, b) for a, b in excused if a < b))
    assert 0 <= found.owed_us <= 100_000 * S
    assert 0 <= found.longest_us <= found.owed_us
    assert sum(found.intervals_us) <= found.owed_us
    assert 0 <= found.observed <= len(times)
