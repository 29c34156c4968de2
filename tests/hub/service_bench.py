"""Services asked directly, without a hub or a radio: octets in, octets out."""

from __future__ import annotations

from typing import Any

from labctl.events import DeviceKind
from labctl.hub.services.base import Answer, Outcome, Request, Service
from labctl.meters import (
    Blocks,
    Debt,
    ElectricityMeter,
    GasMeter,
    GasProxy,
    Journal,
    LoadProfile,
    MeterSettings,
    Prepayment,
    ProfileShape,
    SwitchingTable,
    Tariff,
    Tier,
)
from labctl.smart_energy.disagreements import USUAL, DeviceSettings
from labctl.smart_energy.eui64 import Eui64

START_S = 1_767_600_000  # 2026-01-05T08:00:00Z, a Monday
EPOCH_S = 946_684_800
HALF_HOUR_S, DAY_S = 1800, 86_400
NOW = START_S - EPOCH_S
DEVICE = Eui64("00:0d:6f:00:0a:90:69:e7")

TOU = Tariff(
    name="Day/Night",
    unit_price=24_500,
    standing_charge=54_794,
    start_s=START_S - DAY_S,
    tiers=(Tier("Night", 12_000, 0, 7 * 60),),
)
BLOCK = Tariff(
    name="Blocks",
    unit_price=1,
    standing_charge=54_794,
    start_s=START_S - DAY_S,
    tariff_id=7,
    co2_g_per_kwh=207,
    blocks=Blocks((1_000_000, 2_000_000, 3_000_000), ((10_600, 11_200, 11_750, 12_000),)),
)


def u(value: int, octets: int) -> bytes:
    return value.to_bytes(octets, "little")


def utc(zigbee: int) -> int:
    return zigbee + EPOCH_S


def electricity(
    tariff: Tariff | None = TOU,
    *,
    watts: int = 360,
    export_w: int = 0,
    prepayment: Prepayment | None = None,
    journal: Journal | None = None,
) -> ElectricityMeter:
    """A constant load, so that every figure can be worked out by hand."""
    return ElectricityMeter(
        MeterSettings(
            name="electricity",
            mpxn="1200012345678",
            serial_number="E6S1",
            tariff=tariff,
            profile=flat(watts),
            journal=Journal() if journal is None else journal,
            prepayment=prepayment,
        ),
        start_wh=None,
        export=flat(export_w) if export_w else None,
    )


def gas(tariff: Tariff | None = BLOCK, *, prepayment: Prepayment | None = None) -> GasProxy:
    """60 litres an hour."""
    settings = MeterSettings(
        name="gas",
        mpxn="4100012345",
        serial_number="G4A1",
        tariff=tariff,
        profile=flat(60_000),
        prepayment=prepayment,
    )
    return GasProxy(GasMeter(settings, start_litres=None))


def flat(rate: int) -> LoadProfile:
    return LoadProfile(
        ProfileShape.FLAT, base=rate, peak=0, origin_s=START_S, seed=1, noise_percent=0
    )


def account(**changes: Any) -> Prepayment:
    return Prepayment(
        **(
            {
                "credit": 5_00000,
                "emergency_limit": 10_00000,
                "emergency_threshold": 1_00000,
                "debts": (Debt(20_00000, 10000, "Meter"), Debt(), Debt(30_00000, 2500, "Debt")),
            }
            | changes
        )
    )


def friendly_table() -> SwitchingTable:
    from labctl.meters import Switch

    return SwitchingTable((((Switch(0, 1), Switch(9 * 60, 0), Switch(18 * 60, 1))),))


def request(
    command: int,
    payload: bytes,
    *,
    at_s: int = START_S,
    kind: DeviceKind = DeviceKind.PPMID,
    eui64: Eui64 = DEVICE,
    settings: DeviceSettings = USUAL,
) -> Request:
    return Request(
        eui64=eui64,
        kind=kind,
        endpoint=2,
        command_id=command,
        payload=payload,
        now_us=at_s * 1_000_000,
        settings=settings,
    )


def ask(service: Service[Any], command: int, payload: bytes = b"", **how: Any) -> Outcome:
    """What a service answers to a command."""
    fields = service.parse(command, payload)
    return service.command(request(command, payload, **how), fields)


def published(service: Service[Any], command: int, payload: bytes = b"", **how: Any) -> list[bytes]:
    """The payloads of the answers, which there must be."""
    outcome = ask(service, command, payload, **how)
    assert not isinstance(outcome, int), f"status 0x{outcome:02X}"
    for answer in outcome:
        assert isinstance(answer, Answer)
        assert len(answer.payload) <= 1497
    return [answer.payload for answer in outcome]


def value(service: Service[Any], attribute: int, *, at_s: int = START_S) -> bytes | None:
    """The octets of an attribute, None when it is unsupported."""
    records, _ = service.read((attribute,), at_s * 1_000_000)
    if records[2]:
        assert records[2] == 0x86
        return None
    return records[4:]


def number(service: Service[Any], attribute: int, *, at_s: int = START_S) -> int | None:
    octets = value(service, attribute, at_s=at_s)
    return None if octets is None else int.from_bytes(octets, "little")
