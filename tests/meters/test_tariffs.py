"""Tariffs: which price holds when, and until when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.meters import Tariff, Tier, pence

MIDNIGHT_S = 1_767_571_200  # 2026-01-05T00:00:00Z
HOUR_S = 3600


def tariff(*tiers: Tier, start_s: int = MIDNIGHT_S - 30 * 24 * HOUR_S) -> Tariff:
    return Tariff("Standard", 24_500, 54_794, start_s, tiers)


NIGHT = Tier("Night", 12_000, 0, 7 * 60)
LATE = Tier("Late", 10_000, 23 * 60, 5 * 60)


def test_pence_become_hundred_thousandths_of_a_pound() -> None:
    assert pence(24.5) == 24_500
    assert pence(54.794) == 54_794


def test_one_price_has_no_end() -> None:
    price = tariff().price_at(MIDNIGHT_S + 5)
    assert (price.tier, price.label, price.unit_price) == (1, "Standard", 24_500)
    assert price.start_s == MIDNIGHT_S - 30 * 24 * HOUR_S
    assert price.end_s is None


@pytest.mark.parametrize(
    ("hour", "tier", "start", "end"),
    [
        (0, 2, 0, 7),
        (6.99, 2, 0, 7),
        (7, 1, 7, 24),
        (23.99, 1, 7, 24),
    ],
)
def test_a_tier_holds_in_its_window(hour: float, tier: int, start: int, end: int) -> None:
    price = tariff(NIGHT).price_at(MIDNIGHT_S + int(hour * HOUR_S))
    assert price.tier == tier
    assert price.start_s == MIDNIGHT_S + start * HOUR_S
    assert price.end_s == MIDNIGHT_S + end * HOUR_S


@pytest.mark.parametrize(
    ("hour", "tier", "start", "end"), [(1, 2, -1, 5), (5, 1, 5, 23), (23, 2, 23, 29)]
)
def test_a_tier_may_span_midnight(hour: int, tier: int, start: int, end: int) -> None:
    price = tariff(LATE).price_at(MIDNIGHT_S + hour * HOUR_S)
    assert price.tier == tier
    assert (price.start_s, price.end_s) == (
        MIDNIGHT_S + start * HOUR_S,
        MIDNIGHT_S + end * HOUR_S,
    )


def test_the_first_tier_that_holds_wins() -> None:
    both = tariff(NIGHT, LATE)
    assert both.price_at(MIDNIGHT_S + 2 * HOUR_S).label == "Night"
    assert both.price_at(MIDNIGHT_S + 23 * HOUR_S).label == "Late"


def test_a_tier_that_fills_the_day_never_switches() -> None:
    price = tariff(Tier("Always", 9_000, 60, 60)).price_at(MIDNIGHT_S)
    assert (price.tier, price.end_s) == (2, None)


def test_no_price_is_older_than_its_tariff() -> None:
    price = tariff(NIGHT, start_s=MIDNIGHT_S + HOUR_S).price_at(MIDNIGHT_S + 2 * HOUR_S)
    assert price.start_s == MIDNIGHT_S + HOUR_S


minutes = st.integers(min_value=0, max_value=1439)


@given(
    st.lists(st.tuples(minutes, minutes), max_size=4),
    st.integers(min_value=0, max_value=3 * 86_400),
)
def test_a_price_holds_from_its_start_to_its_end(
    windows: list[tuple[int, int]], offset_s: int
) -> None:
    some = tariff(*(Tier(f"T{i}", 1000 * i, a, b) for i, (a, b) in enumerate(windows)))
    now_s = MIDNIGHT_S + offset_s
    price = some.price_at(now_s)
    assert price.start_s <= now_s
    assert some.price_at(price.start_s).tier == price.tier
    if price.end_s is not None:
        assert now_s < price.end_s
        assert some.price_at(price.end_s - 1).tier == price.tier
        assert some.price_at(price.end_s).tier != price.tier


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "x" * 25},
        {"unit_price": -1},
        {"standing_charge": 2**32},
        {"tiers": (Tier("x" * 13, 1, 0, 1),)},
        {"tiers": (Tier("x", 1, 0, 1440),)},
        {"tiers": (Tier("x", -1, 0, 60),)},
    ],
)
def test_a_tariff_that_does_not_fit_the_air_is_refused(bad: dict[str, object]) -> None:
    good: dict[str, object] = {
        "name": "Standard",
        "unit_price": 1,
        "standing_charge": 1,
        "start_s": 0,
    }
    with pytest.raises(ValueError, match=r"octets|32 bits|outside"):
        Tariff(**(good | bad))  # type: ignore[arg-type]
