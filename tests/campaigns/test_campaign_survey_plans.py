"""The campaign of survey plans in short, and that it notices what it is there to notice."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT / "campaigns"))

import survey_plans  # noqa: E402

from labctl.statistics.reach import Reach, Rules  # noqa: E402

RULES = Rules()


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.85])
def test_links_that_are_just_not_good_enough_seldom_pass(rho: float) -> None:
    """At most 5 %, and three standard errors of 200 links."""
    assert survey_plans.at_margin(2, 0.0, rho, 200).share(Reach.PASS) <= 0.05 + 0.046


def test_without_the_design_effect_correlated_ones_do() -> None:
    found = survey_plans.at_margin(2, 0.0, 0.85, 100, survey_plans.TRUSTING)
    assert found.share(Reach.PASS) > 0.25


def test_links_with_6_db_more_pass_soon() -> None:
    found = survey_plans.at_margin(2, 6.0, 0.0, 100)
    assert found.share(Reach.PASS) > 0.9
    assert found.mean_probes < 50


@pytest.mark.parametrize("rho", survey_plans.COVERAGE_RHOS)
def test_intervals_cover(rho: float) -> None:
    """93 to 97 %, and two standard errors of 300 waypoints."""
    over_all, strata = survey_plans.coverage(2, rho, 300)
    assert 0.905 <= over_all.share <= 0.995
    assert over_all.waypoints == sum(each.waypoints for each in strata.values()) == 300


def test_houses_with_known_truth_are_surveyed_rightly_and_cheaply() -> None:
    found = survey_plans.houses(2, 5, lambda rng: 0.0)
    assert found.not_passing >= 15
    assert found.wrong_passes <= 0.05 * found.not_passing
    assert found.agreeing > 0.9 * found.links
    assert found.cost <= 0.60
    assert found.one_way_told >= 0.9 * found.one_way > 0
    assert found.alike_told <= 0.02 * found.alike


def test_the_truth_is_what_an_endless_survey_finds() -> None:
    truth = survey_plans.just_not(RULES.pass_margin_db, -100.0, RULES)
    assert truth.verdict(RULES) is Reach.MARGINAL
    rng = random.Random(1)
    fades = survey_plans.fading(rng, 0.5)
    count = 20_000
    short = sum(round(truth.mean_dbm + next(fades)) < -90 for _ in range(count))
    assert short / count == pytest.approx(RULES.loss_limit, abs=0.012)
    better = survey_plans.Truth(truth.mean_dbm + 2, -100.0)
    assert better.verdict(RULES) is Reach.PASS
    assert survey_plans.Truth(-104.0, -100.0).verdict(RULES) is Reach.FAIL


def test_it_fails_when_a_claim_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["survey_plans", "--links", "40", "--waypoints", "200", "--houses", "1"]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(survey_plans, "RHOS", (0.95,))
    monkeypatch.setattr(survey_plans, "COVERAGE_RHOS", (0.8,))
    monkeypatch.setattr(survey_plans, "Rules", lambda **_: survey_plans.TRUSTING)
    assert survey_plans.main() == 1
    said = capsys.readouterr().out
    assert "seed 1" in said
    assert "DOES NOT HOLD" in said
    assert "wrong passes at rho 0.95" in said
