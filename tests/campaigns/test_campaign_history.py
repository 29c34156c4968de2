"""A short version of the simulated history, and that it notices what it is there to notice."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT / "campaigns"))

import history  # noqa: E402

from labctl.statistics.drift import Settings  # noqa: E402


def short(settings: Settings | None = None, **more: int) -> history.Figures:
    sizes = {"streams": 30, "nights": 365, "faults": 30} | more
    return history.row(history.SPREADS, seed=5, settings=settings, **sizes)


def test_false_alarms_are_few_and_a_rise_is_found_soon() -> None:
    figures = short()
    assert figures.false_alarms <= history.MOST_FALSE_ALARMS
    assert figures.nights_to_find <= history.MOST_NIGHTS
    assert figures.good
    assert sum(map(math.isinf, figures.delays)) <= 2
    # What a test of the packets of each night would have said of the same nights.
    assert figures.plain_alarms > 10 * figures.false_alarms


@pytest.mark.parametrize(
    "settings", [Settings(threshold=3.0), Settings(threshold=14.0)], ids=["hasty", "slow"]
)
def test_settings_that_are_hasty_or_slow_are_noticed(settings: Settings) -> None:
    assert not short(settings).good


def test_the_same_seed_has_the_same_nights() -> None:
    assert short(streams=10, nights=90, faults=3) == short(streams=10, nights=90, faults=3)


def test_what_a_lab_reads_is_corrected() -> None:
    counted = history.mornings(
        history.SPREADS, seed=2, streams=40, nights=200, faults=8, settings=Settings()
    )
    # 5 % of the mornings that have a finding at all; of 170 mornings with a baseline, about eight.
    assert counted.false_findings <= 8
    assert sum(delay < math.inf for delay in counted.delays) >= 6
