"""Meters, tariffs and journals for the tests."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hypothesis import strategies as st

from labctl.meters import (
    BlockPeriod,
    Blocks,
    ElectricityMeter,
    GasMeter,
    GasProxy,
    Journal,
    LoadProfile,
    MeterSettings,
    Originator,
    ProfileShape,
    SupplyState,
    Tariff,
    Tier,
)
from labctl.meters.entries import (
    ClockSet,
    CreditAdjusted,
    DebtSet,
    DemandSet,
    EmergencySelected,
    EmergencySetUp,
    Entry,
    OutageBegan,
    OutageEnded,
    PaymentModeSet,
    SupplyAsked,
    TariffSet,
    ToppedUp,
)

ORIGIN_S = 1_767_571_200  # Monday 2026-01-05T00:00:00Z
DAY_S = 86_400
HOUR_S = 3600
US = 1_000_000

NIGHT = Tier("Night", 12_000, 0, 7 * 60)
PLAIN = Tariff("Standard", 24_500, 54_794, ORIGIN_S)
TWO_TIERS = Tariff("Night", 24_500, 54_794, ORIGIN_S, (NIGHT,))
BLOCKS = Tariff(
    "Blocks",
    1,
    10_000,
    ORIGIN_S,
    (NIGHT,),
    blocks=Blocks((20_000, 45_000), ((10_000, 20_000, 30_000), (5_000, 6_000, 7_000))),
)
DAILY_BLOCKS = Tariff(
    "Daily",
    1,
    0,
    ORIGIN_S,
    (NIGHT,),
    blocks=Blocks((5_000,), ((10_000, 20_000),), BlockPeriod.DAY, individual=True),
)
TARIFFS = (PLAIN, TWO_TIERS, BLOCKS, DAILY_BLOCKS)


def electricity(
    journal: Journal | None = None, *, seed: int = 1, **changed: Any
) -> ElectricityMeter:
    values: dict[str, Any] = {
        "name": "electricity",
        "mpxn": "1200012345678",
        "serial_number": "E6S1",
        "tariff": TWO_TIERS,
        "profile": LoadProfile(
            ProfileShape.DOMESTIC, base=250, peak=5750, origin_s=ORIGIN_S, seed=seed
        ),
        "start_wh": None,
    }
    settings, others = _sorted(values | changed, journal)
    return ElectricityMeter(settings, **others)


def gas(journal: Journal | None = None, *, offset_s: int = 0, **changed: Any) -> GasProxy:
    profile = LoadProfile(
        ProfileShape.HEATING,
        base=0,
        peak=1_200_000,
        origin_s=ORIGIN_S,
        seed=2,
        season_percent=80,
    )
    values: dict[str, Any] = {
        "name": "gas",
        "mpxn": "4100012345",
        "serial_number": "G4A1",
        "tariff": PLAIN,
        "profile": profile,
        "start_litres": None,
    }
    settings, others = _sorted(values | changed, journal)
    return GasProxy(GasMeter(settings, **others), wake_offset_s=offset_s)


def _sorted(
    values: dict[str, Any], journal: Journal | None
) -> tuple[MeterSettings, dict[str, Any]]:
    """The settings among the values, with the journal if there is one, and the other values."""
    names = {field.name for field in fields(MeterSettings)}
    own = {name: value for name, value in values.items() if name in names}
    if journal is not None:
        own["journal"] = journal
    return MeterSettings(**own), {n: v for n, v in values.items() if n not in names}


def at(hours: float) -> int:
    """Microseconds of rig time, hours after the origin."""
    return round((ORIGIN_S + hours * HOUR_S) * US)


_CODES = st.sampled_from([f"{number:020}" for number in range(6)] + ["123", "x" * 20])
_AMOUNTS = st.integers(0, 30_00000)


@st.composite
def _entry(draw: st.DrawFn, at_us: int) -> Entry:
    until = draw(st.none() | st.integers(0, 30 * HOUR_S).map(lambda s: at_us + s * US))
    meter = draw(st.sampled_from([None, "electricity", "gas"]))
    common: dict[str, Any] = {"at_us": at_us, "meter": meter}
    return draw(
        st.sampled_from(
            [
                DemandSet(rate=draw(st.none() | st.integers(0, 9000)), until_us=until, **common),
                OutageBegan(until_us=until, **common),
                OutageEnded(**common),
                SupplyAsked(
                    state=draw(st.sampled_from(SupplyState)),
                    originator=draw(st.sampled_from(Originator)),
                    **common,
                ),
                TariffSet(tariff=draw(st.sampled_from(TARIFFS)), **common),
                ClockSet(offset_s=draw(st.sampled_from([-3600, 0, 1800, 3600])), **common),
                ToppedUp(code=draw(_CODES), amount=draw(st.none() | _AMOUNTS), **common),
                EmergencySelected(**common),
                EmergencySetUp(limit=draw(_AMOUNTS), threshold=draw(_AMOUNTS), **common),
                DebtSet(
                    number=draw(st.sampled_from([1, 2, 3])),
                    amount=draw(_AMOUNTS),
                    recovery=draw(st.none() | st.integers(0, 10_000)),
                    **common,
                ),
                CreditAdjusted(
                    amount=draw(st.integers(-5_00000, 5_00000)),
                    absolute=draw(st.booleans()),
                    **common,
                ),
                PaymentModeSet(prepayment=draw(st.booleans()), **common),
            ]
        )
    )


@st.composite
def journals(draw: st.DrawFn, most: int = 8, days: int = 12) -> Journal:
    """Anything that can be done to meters in some days after the origin."""
    times = draw(st.lists(st.integers(0, days * DAY_S * 4), max_size=most))
    return Journal([draw(_entry(ORIGIN_S * US + quarter * US // 4)) for quarter in sorted(times)])
