"""How many probes, and when fewer are enough."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from labctl.statistics.intervals import Sides, clopper_pearson
from labctl.statistics.plans import (
    Decision,
    Plan,
    fixed_plan,
    operating_characteristic,
    sequential_plan,
    smallest_plan,
)

TABLE = {
    0.10: {0: 29, 1: 46, 2: 61, 3: 76, 5: 103},
    0.05: {0: 59, 1: 93, 2: 124, 3: 153, 5: 208},
    0.01: {0: 299, 1: 473, 2: 628, 3: 773, 5: 1049},
}
CASES = [(limit, lost, n) for limit, row in TABLE.items() for lost, n in row.items()]


@pytest.mark.parametrize(("limit", "lost", "probes"), CASES)
def test_the_table_of_probes(limit: float, lost: int, probes: int) -> None:
    assert smallest_plan(limit, lost) == probes
    assert clopper_pearson(lost, probes, 0.95, Sides.UPPER).high < limit
    assert clopper_pearson(lost, probes - 1, 0.95, Sides.UPPER).high >= limit
    assert binom.cdf(lost, probes, limit) <= 0.05 < binom.cdf(lost, probes - 1, limit)


def test_the_fixed_plan_ends_at_the_third_loss_or_at_61() -> None:
    plan = fixed_plan()
    assert plan.most == 61
    assert plan.decide(60, 0) is Decision.OPEN
    assert plan.decide(61, 2) is Decision.MET
    assert plan.decide(61, 3) is Decision.MISSED
    assert plan.decide(3, 3) is Decision.MISSED


def test_a_plan_without_loss_is_brittle() -> None:
    """A 1 % link passes 29 of 29 three times in four."""
    found = operating_characteristic(fixed_plan(allowed_lost=0), 0.01)
    assert found.met == pytest.approx(0.99**29)
    assert found.met == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.03, 0.1, 0.4])
def test_the_fixed_plans_characteristic_is_the_binomials(share: float) -> None:
    assert operating_characteristic(fixed_plan(), share).met == pytest.approx(
        binom.cdf(2, 61, share)
    )


def test_the_sequential_plan_is_as_good_as_the_fixed_one_and_takes_fewer_probes() -> None:
    one, other = fixed_plan(), sequential_plan()
    assert operating_characteristic(other, 0.10).met <= 0.05
    assert operating_characteristic(other, 0.01).met >= operating_characteristic(one, 0.01).met
    for share in (0.0, 0.001, 0.005, 0.01, 0.02):
        before, after = (operating_characteristic(each, share) for each in (one, other))
        assert after.met >= before.met - 0.001
        assert after.mean_probes < before.mean_probes
    for percent in range(0, 100, 7):
        assert operating_characteristic(other, percent / 100).mean_probes < one.most
    assert operating_characteristic(other, 0.0).mean_probes == 32
    assert operating_characteristic(other, 1.0).mean_probes == other.least == 10


@pytest.mark.parametrize("share", [0.01, 0.05, 0.10, 0.25])
def test_the_characteristic_is_what_happens(share: float) -> None:
    plan, rng, rounds = sequential_plan(), random.Random(7), 1500
    met = sent = 0
    for _ in range(rounds):
        probes = lost = 0
        while (decision := plan.decide(probes, lost)) is Decision.OPEN:
            probes += 1
            lost += rng.random() < share
        met += decision is Decision.MET
        sent += probes
    exact = operating_characteristic(plan, share)
    assert met / rounds == pytest.approx(exact.met, abs=0.03)
    assert sent / rounds == pytest.approx(exact.mean_probes, rel=0.05)


@given(
    st.floats(0.02, 0.3),
    st.floats(0.05, 0.5),
    st.sampled_from((0.01, 0.05, 0.1)),
    st.integers(1, 5),
)
def test_any_sequential_plan_keeps_what_it_promises(
    limit: float, part: float, wrong_pass: float, losses: int
) -> None:
    plan = sequential_plan(limit, limit * part, wrong_pass, 0.05, losses, 5)
    assert operating_characteristic(plan, limit).met <= wrong_pass
    # Who loses more passes less often.
    better, worse = (operating_characteristic(plan, limit * f).met for f in (0.5, 1.5))
    assert better >= worse


@given(st.integers(0, 200), st.integers(0, 200), st.floats(1, 20))
def test_correlation_makes_neither_decision_easier(probes: int, lost: int, effect: float) -> None:
    """What is met with a design effect is shown by the probes' worth in whole numbers."""
    lost = min(lost, probes)
    plan = sequential_plan()
    decision = plan.decide(probes, lost, effect)
    if decision is Decision.MET:
        assert probes >= plan.pass_at[0] * effect * (1 - 1e-9)
        assert plan.decide(probes, lost) is not Decision.OPEN
    elif decision is Decision.MISSED:
        assert lost >= effect * (1 - 1e-9)


def test_a_plan_says_how_many_more_it_needs_and_allows() -> None:
    plan = sequential_plan()
    assert plan.still_needed(10, 0) == 22
    assert plan.still_needed(40, 1) == plan.pass_at[1] - 40
    assert plan.still_needed(40, 5) == 0
    assert plan.allowed(31) is None
    assert plan.allowed(32) == 0
    assert plan.allowed(64) == 1
    assert plan.allowed(64, 2.0) == 0


def test_no_answer_before_the_least_probes() -> None:
    plan = sequential_plan()
    assert plan.decide(9, 9) is Decision.OPEN
    assert plan.decide(10, 10) is Decision.MISSED


@pytest.mark.parametrize(
    ("pass_at", "fail_until"),
    [((), ()), ((5, 4), (0, 0)), ((5,), (0, 0)), ((5, 9), (0, 9))],
)
def test_a_plan_that_contradicts_itself_is_refused(
    pass_at: tuple[int, ...], fail_until: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"plan|pass"):
        Plan(0.1, pass_at, fail_until)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="good < limit"):
        sequential_plan(0.1, 0.2)
    with pytest.raises(ValueError, match="design effect"):
        sequential_plan().decide(1, 0, 0.5)
    with pytest.raises(ValueError, match="not a share"):
        sequential_plan().decide(1, 2)
    with pytest.raises(ValueError, match="share of losses"):
        operating_characteristic(fixed_plan(), 1.5)
    with pytest.raises(ValueError, match="limit"):
        smallest_plan(1.0, 0)
