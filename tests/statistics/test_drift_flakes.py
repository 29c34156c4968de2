"""Flakes are found from attempts."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from labctl.statistics.flakes import Attempt, CaseKey, Outcome, flakiness

OUTCOMES = {"p": Outcome.PASSED, "f": Outcome.FAILED, "-": Outcome.NOTHING}


def attempts(case: str, *nights: str, firmware: str = "1.0") -> Iterator[Attempt]:
    for night, outcomes in enumerate(nights):
        for letter in outcomes:
            key = CaseKey("north", "ihd", firmware, case)
            yield Attempt(key, f"2026-11-{night + 1:02}", OUTCOMES[letter])


def test_pass_and_fail_in_one_night_is_a_flake() -> None:
    (found,) = flakiness(attempts("join", "p", "fp", "f", "ff", "p-p", "pff"))
    assert found.flaky_nights == ("2026-11-02", "2026-11-06")
    assert (found.nights, found.repeated, found.flaky, found.failed) == (6, 4, 2, 2)
    assert found.rate == pytest.approx(1 / 3)
    # Wilson's, of 2 in 6.
    assert found.interval.low == pytest.approx(0.0968, abs=1e-4)
    assert found.interval.high == pytest.approx(0.7000, abs=1e-4)


def test_pass_one_night_and_fail_the_next_is_no_flake() -> None:
    (found,) = flakiness(attempts("join", "p", "f", "p", "f"))
    assert (found.flaky, found.failed, found.repeated) == (0, 2, 0)


def test_what_says_nothing_about_the_product_is_no_attempt() -> None:
    (found,) = flakiness(attempts("join", "-f", "p-", "--"))
    assert (found.nights, found.flaky, found.repeated) == (2, 0, 0)
    assert flakiness(attempts("join", "-", "--")) == []


def test_another_firmware_is_another_case() -> None:
    both = [*attempts("join", "p"), *attempts("join", "f", firmware="1.1")]
    assert [found.flaky for found in flakiness(both)] == [0, 0]


def test_attempts_of_several_cases_come_in_any_order_and_the_most_flaky_first() -> None:
    steady = list(attempts("steady", "p", "p", "p", "p"))
    some = list(attempts("some", "pf", "p", "p", "p"))
    most = list(attempts("most", "pf", "fp", "p", "p"))
    mixed = [*steady, *some, *most]
    random.Random(1).shuffle(mixed)
    assert [found.key.case for found in flakiness(mixed)] == ["most", "some", "steady"]
