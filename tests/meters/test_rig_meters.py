"""From a rig file to meters that run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from labctl.config.loading import load_rig
from labctl.config.resolved import LoadedRig
from labctl.errors import ConfigurationError
from labctl.meters import ElectricityMeter, GasProxy, Journal, Meter, MeterRole, SupplyState
from labctl.meters.entries import ToppedUp
from labctl.rig.meters import meters

PROJECT = Path(__file__).parents[2]
US = 1_000_000
HOUR_S = 3600

METERS = """
  grid:
    kind: electricity
    mpxn: "1200012345671"
    serial_number: E1
    generation: {peak_w: 4000}
    billing_day: 15
    tariff:
      name: Weekend
      unit_p_per_kwh: 30
      standing_charge_p_per_day: 50
      co2_g_per_kwh: 180
      tiers: [{label: Night, unit_p_per_kwh: 10}]
      switching:
        time: local
        days: [[{at: "00:00", value: 2}, {at: "07:00", value: 1}], [{at: "00:00", value: 2}]]
        weeks: [[1, 1, 1, 1, 1, 2, 2]]
        seasons: [{start: "01-01", week: 1}]
        special_days: [{date: "12-25", day: 2}, {date: 2026-01-06, day: 2}]
    prepayment:
      credit: 3.21
      emergency_credit: 5
      debts: [{label: Old, owed: 12, per_day: 0.5}]
      payment_debt: {owed: 40, percent: 25, weekly_cap: 10}
      non_disablement: {days: [[{at: "00:00", value: 1}, {at: "10:00", value: 0}]]}
  surplus: {kind: electricity, mpxn: "1200012345672", serial_number: E2, role: export, home: grid}
  panels:
    kind: electricity
    mpxn: "1200012345673"
    serial_number: E3
    role: generation
    home: grid
  measured:
    kind: electricity
    mpxn: "1200012345674"
    serial_number: E4
    csv: {path: load.csv, outside: hold}
    tariff:
      unit_p_per_kwh: 1
      blocks: {thresholds: [2], unit_p_per_kwh: [[10, 20]], period: day}
  gas:
    kind: gas
    mpxn: "3300012345"
    serial_number: G1
    wake_offset: 5min
    start_m3: 7000
    days: local
"""


@pytest.fixture
def rig_file(tmp_path: Path) -> Path:
    shutil.copy(PROJECT / "inventory.yaml", tmp_path)
    text = f"rig: homes\nhub: {{radio: virtual-ezsp}}\nmeters:{METERS}virtual: {{seed: 4}}\n"
    (tmp_path / "homes.yaml").write_text(text)
    (tmp_path / "load.csv").write_text(
        "timestamp,kW\n2026-01-05T00:00:00Z,1\n2026-01-05T02:00:00Z,0.5\n"
    )
    return tmp_path / "homes.yaml"


def origin_s(loaded: LoadedRig) -> int:
    assert loaded.rig.virtual is not None
    return round(loaded.rig.virtual.start.timestamp())


def by_name(loaded: LoadedRig, journal: Journal | None = None) -> dict[str, Meter]:
    made = meters(loaded, origin_s=origin_s(loaded), journal=journal)
    return {meter.name: meter for meter in made}


def test_four_electricity_meters_and_gas(rig_file: Path) -> None:
    loaded = load_rig(rig_file)
    found = by_name(loaded)
    assert list(found) == ["grid", "surplus", "panels", "measured", "gas"]
    grid, surplus, panels = found["grid"], found["surplus"], found["panels"]
    assert isinstance(surplus, ElectricityMeter)
    assert surplus.role is MeterRole.EXPORT
    summer_s = origin_s(loaded) - 190 * 24 * HOUR_S
    exported = grid.received_history.day(summer_s, 1)
    assert exported == surplus.received_history.day(summer_s, 1)
    assert 0 < (exported or 0) < (panels.history.day(summer_s, 1) or 0)


def test_tariff_and_account_come_as_written(rig_file: Path) -> None:
    loaded = load_rig(rig_file)
    start_s = origin_s(loaded)
    journal = Journal()
    grid = by_name(loaded, journal)["grid"]
    price = grid.price_at(start_s + 8 * HOUR_S)
    assert price is not None
    assert (price.unit_price, price.label) == (30_000, "Weekend")
    assert price.end_s == start_s + 24 * HOUR_S, "Tuesday is special"
    assert grid.price_at(start_s + 30 * HOUR_S).label == "Night"  # type: ignore[union-attr]
    assert grid.tariff is not None
    assert (grid.tariff.standing_charge, grid.tariff.co2_g_per_kwh) == (50_000, 180)
    assert grid.billing.period(start_s)[0] == start_s - 21 * 24 * HOUR_S
    account = grid.prepayment
    assert account is not None
    opened = account.at(start_s)
    assert (opened.credit, opened.emergency_limit) == (3_21000, 5_00000)
    assert [debt.amount for debt in opened.debts] == [12_00000, 0, 40_00000]
    assert (opened.debts[0].recovery, opened.debts[2].recovery) == (50_000, 2500)
    assert account.declared.payment_debt_cap == 10_00000
    assert grid.supply_at((start_s + 9 * HOUR_S) * US).state is SupplyState.ON
    journal.append(ToppedUp(at_us=(start_s + HOUR_S) * US, meter="grid", code="1" * 20))
    assert account.at(start_s + HOUR_S).topped_up == 10_00000


def test_a_measured_load_and_its_blocks(rig_file: Path) -> None:
    loaded = load_rig(rig_file)
    start_s = origin_s(loaded)
    measured = by_name(loaded)["measured"]
    assert measured.consumed(start_s, start_s + 3 * HOUR_S) == 2500
    prices = [measured.price_at(start_s + hours * HOUR_S) for hours in (1, 2)]
    assert [price.unit_price for price in prices if price] == [10_000, 20_000]


def test_the_gas_meter_wakes_at_its_offset(rig_file: Path) -> None:
    loaded = load_rig(rig_file)
    proxy = by_name(loaded)["gas"]
    assert isinstance(proxy, GasProxy)
    assert proxy.last_wake_s(origin_s(loaded) + 299) == origin_s(loaded) - 1500
    assert proxy.meter.at(origin_s(loaded) * US).summation == 7_000_000


@pytest.mark.parametrize(
    ("text", "where"),
    [("timestamp,kW\n2026-01-05T00:00:00Z,1\nnow,1\n", "load.csv:3"), ("\xff", "load.csv")],
)
def test_a_spoiled_load_is_a_configuration_error(rig_file: Path, text: str, where: str) -> None:
    loaded = load_rig(rig_file)
    rig_file.with_name("load.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError) as caught:
        by_name(loaded)
    assert str(caught.value.where).endswith(where)


def test_the_shipped_rig_has_a_past() -> None:
    loaded = load_rig(PROJECT / "rigs" / "virtual.yaml")
    for meter in meters(loaded, origin_s=origin_s(loaded)):
        days = meter.history.days(origin_s(loaded), 731)
        assert all(day.amount is not None for day in days)
