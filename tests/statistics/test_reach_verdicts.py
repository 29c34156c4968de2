"""The verdict on a direction and on a link."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.events import Verdict
from labctl.statistics.intervals import wilson
from labctl.statistics.plans import Decision
from labctl.statistics.reach import (
    Answer,
    Direction,
    DirectionProbes,
    PlanKind,
    Reach,
    Rules,
    assess,
    link,
    worst,
)

SENSITIVITY = -100
FIXED = Rules(plan=PlanKind.FIXED)


def around(dbm: float, count: int = 61, lost: int = 0, spread: float = 1.0) -> list[int | None]:
    """Levels that scatter a little, with losses spread evenly among them."""
    rng = random.Random(f"{dbm} {count} {lost}")
    probes: list[int | None] = [round(rng.gauss(dbm, spread)) for _ in range(count)]
    for number in range(lost):
        probes[(2 * number + 1) * count // (2 * lost)] = None
    return probes


def said(probes: list[int | None], rules: Rules | None = None) -> Direction:
    return assess(probes, SENSITIVITY, rules)


def test_the_words_are_those_of_a_run() -> None:
    assert {reach.value for reach in Reach} < {verdict.value for verdict in Verdict}


def test_a_strong_link_passes_at_once_and_at_less_power() -> None:
    found = said(around(-60))
    assert found.verdict is Reach.PASS
    assert found.decided_at == 32
    assert found.settled
    assert found.passes_lower is Answer.YES
    assert found.delivery is Decision.MET
    assert found.p10_margin_db is not None
    assert found.margin_at_least_db is not None
    assert 30 < found.margin_at_least_db <= found.p10_margin_db < 41


def test_a_link_that_passes_only_just_does_not_pass_6_db_lower() -> None:
    """14 dB of margin: 8 with less power."""
    found = said(around(-86, 120))
    assert found.verdict is Reach.PASS
    assert found.passes_lower is Answer.NO


def test_a_link_without_the_full_margin_is_marginal() -> None:
    found = said(around(-93))
    assert found.verdict is Reach.MARGINAL
    assert found.passes_lower is Answer.NO
    assert found.p10_margin_db == pytest.approx(6, abs=1)


def test_a_link_at_the_sensitivity_fails_though_it_delivers() -> None:
    found = said(around(-99.5))
    assert found.verdict is Reach.FAIL
    assert found.delivery_ratio == 1.0


def test_a_strong_link_that_loses_a_fifth_fails() -> None:
    found = said(around(-60, 61, 12))
    assert found.verdict is Reach.FAIL
    assert found.delivery is Decision.MISSED
    assert found.passes_lower is Answer.NO
    assert 0.8 in found.interval


def test_a_dead_link_fails_after_ten_probes() -> None:
    found = said([None] * 10)
    assert found.verdict is Reach.FAIL
    assert found.decided_at == 10
    assert found.p10_margin_db is None
    assert found.margin_at_least_db is None
    assert found.interval.low == 0.0


def test_a_lost_probe_is_in_the_percentile() -> None:
    """7 of 61 lost: the 10th percentile is one of them, however strong the others."""
    assert said(around(-60, 61, 7)).p10_margin_db is None
    assert said(around(-60, 61, 6)).p10_margin_db is not None


@pytest.mark.parametrize("count", [0, 1, 9, 31])
def test_too_few_probes_are_incomplete_and_it_says_how_many_more(count: int) -> None:
    found = said(around(-60, count))
    assert found.verdict is Reach.INCOMPLETE
    assert not found.settled
    assert found.still_needed == 32 - count
    assert found.passes_lower is Answer.OPEN
    assert found.delivery_ratio == (1.0 if count else None)


def test_the_first_decision_stands() -> None:
    """Later probes are shown, and decide nothing."""
    passed = around(-60, 32)
    after = said([*passed, *[None] * 40])
    assert after.verdict is Reach.PASS
    assert after.decided_at == 32
    assert after.levels.lost == 40
    failed = [None] * 10
    assert said([*failed, *around(-60, 100)]).verdict is Reach.FAIL


def test_the_fixed_plan_sends_61_and_allows_two() -> None:
    assert said(around(-60, 60), FIXED).verdict is Reach.INCOMPLETE
    assert said(around(-60, 61), FIXED).decided_at == 61
    assert said(around(-60, 61, 2), replace(FIXED, correlation_counts=False)).verdict is Reach.PASS
    assert said(around(-60, 61, 3), FIXED).verdict is Reach.FAIL


def test_probes_that_are_alike_count_for_fewer() -> None:
    """Blocks of eight at one level: 64 probes, of which eight say something."""
    rng = random.Random(1)
    fades = [round(rng.gauss(-84, 5)) for _ in range(8)]
    fades = [max(level, -90) for level in fades]
    blocks: list[int | None] = [level for level in fades for _ in range(8)]
    found = said(blocks)
    assert found.verdict is Reach.INCOMPLETE
    assert found.design_effect > 1.5
    trusting = said(blocks, Rules(correlation_counts=False))
    assert trusting.verdict is Reach.PASS
    assert trusting.design_effect == 1.0
    shuffled = list(blocks)
    rng.shuffle(shuffled)
    assert said(shuffled).effective_probes > 2 * found.effective_probes


def test_probes_that_are_alike_are_enough_where_no_fade_could_matter() -> None:
    rng = random.Random(2)
    blocks: list[int | None] = [level for _ in range(5) for level in [round(rng.gauss(-55, 3))] * 8]
    assert said(blocks).decided_at == 32


def test_what_stays_open_to_the_end_is_settled_and_incomplete_or_marginal() -> None:
    rules = Rules(most_probes=20)
    found = said(around(-60, 20), rules)
    assert (found.verdict, found.settled, found.still_needed) == (Reach.INCOMPLETE, True, 0)
    assert found.decided_at is None
    # The lesser margin is shown, the full one neither shown nor missed.
    nearly = around(-80, 40)
    for at in (0, 25):
        nearly[at] = -91
    found = said(nearly, Rules(most_probes=40, correlation_counts=False))
    assert (found.verdict, found.decided_at, found.settled) == (Reach.MARGINAL, None, True)


def test_by_estimate_a_margin_need_not_be_shown() -> None:
    """Four of 61 below 10 dB: the 10th percentile has it, with 95 % certainty it does not."""
    probes = around(-80)
    for at in (5, 20, 35, 50):
        probes[at] = -91
    assert said(probes).verdict is Reach.MARGINAL
    estimate = said(probes, Rules(margin_shown=False))
    assert estimate.verdict is Reach.PASS
    assert estimate.passes_lower is Answer.YES
    lower = said(around(-88), Rules(margin_shown=False))
    assert (lower.verdict, lower.passes_lower) == (Reach.PASS, Answer.NO)
    assert said(around(-94), Rules(margin_shown=False)).verdict is Reach.MARGINAL
    assert said(around(-99), Rules(margin_shown=False)).verdict is Reach.FAIL
    assert said(around(-94, 20), Rules(margin_shown=False)).verdict is Reach.INCOMPLETE


@given(
    st.lists(st.one_of(st.none(), st.integers(-108, -70)), max_size=70), st.sampled_from(PlanKind)
)
def test_one_by_one_or_together_and_never_two_minds(
    probes: list[int | None], kind: PlanKind
) -> None:
    rules = Rules(plan=kind)
    taken = DirectionProbes(SENSITIVITY, rules)
    settled_as: Reach | None = None
    for level in probes:
        taken.add(level)
        now = taken.result()
        assert (now.settled, now.verdict is Reach.FAIL) == (taken.settled, taken.failed)
        if settled_as is not None:
            assert now.verdict is settled_as
        elif now.settled:
            settled_as = now.verdict
            assert now.decided_at == now.probes
        else:
            assert now.still_needed >= 1
        assert (now.delivery_ratio or 0) in now.interval
    assert taken.result() == assess(probes, SENSITIVITY, rules)


@given(st.lists(st.integers(-108, -60), min_size=1, max_size=60), st.integers(1, 20))
def test_more_sensitive_is_never_worse(levels: list[int], better: int) -> None:
    order = [Reach.FAIL, Reach.INCOMPLETE, Reach.MARGINAL, Reach.PASS]
    rules = Rules(correlation_counts=False)
    before, after = (assess(levels, SENSITIVITY - more, rules).verdict for more in (0, better))
    # From incomplete a verdict may come, but no pass turns into less.
    assert (
        order.index(after) >= order.index(before)
        or before is Reach.INCOMPLETE
        or (before is Reach.MARGINAL and after is Reach.INCOMPLETE)
    )


def test_the_shown_interval_is_wilsons_of_the_effective_probes() -> None:
    found = said(around(-80, 61, 4))
    effect = found.design_effect
    assert found.interval == wilson(57 / effect, 61 / effect)
    assert effect >= 1


def test_a_link_is_as_good_as_its_worse_direction() -> None:
    strong, weak, dead = said(around(-60)), said(around(-93)), said([None] * 10)
    short = said(around(-60, 5))
    assert link(strong, strong).verdict is Reach.PASS
    assert link(strong, weak).verdict is link(weak, strong).verdict is Reach.MARGINAL
    assert link(strong, weak).p10_margin_db == weak.p10_margin_db
    assert link(strong, dead).verdict is Reach.FAIL
    assert link(strong, dead).p10_margin_db is None
    assert link(strong, short).verdict is Reach.INCOMPLETE
    assert not link(strong, short).settled
    assert link(dead, short).verdict is Reach.FAIL
    assert link(dead, short).settled
    assert link(strong, strong).passes_lower is Answer.YES
    assert link(strong, weak).passes_lower is Answer.NO
    assert link(strong, short).passes_lower is Answer.OPEN


def test_a_link_finds_asymmetry_that_the_powers_do_not_explain() -> None:
    down, up = said(around(-60)), said(around(-72))
    assert link(down, up).asymmetry.found
    assert not link(down, up, expected_db=12).asymmetry.found
    assert not link(down, up, Rules(asymmetry_db=15)).asymmetry.found


def test_a_failure_outweighs_what_is_not_known() -> None:
    assert worst([Reach.PASS, Reach.INCOMPLETE, Reach.FAIL]) is Reach.FAIL
    assert worst([Reach.PASS, Reach.MARGINAL, Reach.INCOMPLETE]) is Reach.INCOMPLETE
    assert worst([Reach.PASS, Reach.MARGINAL]) is Reach.MARGINAL
    assert worst([]) is Reach.INCOMPLETE


def test_rules_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="margin that fails"):
        Rules(pass_margin_db=2)
    with pytest.raises(ValueError, match="most probes"):
        Rules(most_probes=5)
    with pytest.raises(ValueError, match="good < limit"):
        Rules(good_loss=0.2)
    with pytest.raises(ValueError, match="errors between"):
        Rules(confidence=0.4)
