"""The access table at work: what each kind of device may do, and what it hears otherwise."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from fake_radio import AUTHORITY, IDENTITIES, Bench, FakeCoordinator, with_hub

from labctl.events import DeviceKind, Note, Refused
from labctl.hub import LoggedDevice
from labctl.secret import Secret
from labctl.smart_energy.access import AccessTable
from labctl.smart_energy.clusters import CLUSTERS
from labctl.smart_energy.disagreements import ApsSecurity, DeviceSettings
from labctl.smart_energy.eui64 import Eui64

DEVICE = Eui64("00:0d:6f:00:0a:90:70:01")
IDENTITIES.setdefault(DEVICE, {2: AUTHORITY.issue(DEVICE, lambda n: bytes(range(1, n + 1)))})


def of_kind(kind: DeviceKind, settings: DeviceSettings | None = None) -> LoggedDevice:
    more: Mapping[str, DeviceSettings] = {} if settings is None else {"settings": settings}
    return LoggedDevice(eui64=DEVICE, name="it", kind=kind, link_key=Secret(bytes(16)), **more)


def radio() -> FakeCoordinator:
    return FakeCoordinator({DEVICE: Secret(b"\xe1" * 16)})


@pytest.mark.parametrize(
    ("kind", "command", "allowed"),
    [
        (DeviceKind.CAD, 0x0C, False),
        (DeviceKind.IHD, 0x0C, False),
        (DeviceKind.PPMID, 0x0C, True),
        (DeviceKind.LOAD_SWITCH, 0x0C, False),
        (DeviceKind.HAND_HELD_TERMINAL, 0x0C, False),
        (DeviceKind.GAS_METER, 0x0C, False),
        (DeviceKind.PPMID, 0x0B, False),
        (DeviceKind.PPMID, 0x0D, False),
    ],
)
def test_only_a_ppmid_may_switch_the_supply_on(
    kind: DeviceKind, command: int, allowed: bool
) -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device(of_kind(kind))
        payload = {0x0C: b"\x02", 0x0B: bytes(18), 0x0D: bytes(8)}[command]
        (answer,) = await device.get(0x0702, command, payload)
        refused = [r for r in bench.of(Refused) if r.layer == "application"]
        assert bool(refused) is not allowed
        if not allowed:
            assert answer == bytes((0x18, 0x77, 0x0B, command, 0x7E))
            assert (refused[0].cluster_id, refused[0].command_id) == (0x0702, command)

    with_hub(scenario, radio=radio(), devices=(of_kind(kind),))


@pytest.mark.parametrize("status", [0x7E, 0xC0])
def test_a_read_that_is_denied_is_answered_attribute_by_attribute(status: int) -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device(of_kind(DeviceKind.LOAD_SWITCH))
        answer = await device.read(0x0702, 0x0000, 0x0300)
        assert answer == bytes((0x00, 0x00, status, 0x00, 0x03, status))
        (refused,) = bench.of(Refused)
        assert (refused.layer, refused.status) == ("application", status)
        assert "load-switch may not read cluster 0x0702" in refused.cause
        assert await device.read(0x000A, 0x0001, endpoint=1) == bytes.fromhex("0100 00 18 06")

    kind = of_kind(DeviceKind.LOAD_SWITCH)
    with_hub(scenario, radio=radio(), devices=(kind,), refusal_status=status)


def test_another_table_gives_other_rights() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device(of_kind(DeviceKind.LOAD_SWITCH))
        assert await device.read(0x0702, 0x0300) == bytes.fromhex("0003 00 30 00")
        assert bench.of(Refused) == []

    with_hub(
        scenario,
        radio=radio(),
        devices=(of_kind(DeviceKind.LOAD_SWITCH),),
        access=AccessTable.everything(CLUSTERS),
    )


def test_a_hand_held_terminal_may_write_how_long_the_hub_identifies_itself() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device(of_kind(DeviceKind.HAND_HELD_TERMINAL))
        where = {"cluster": 0x0003, "endpoint": 1, "secured": True}
        write = bytes.fromhex("00 5a 02 0000 21 3c00")
        assert await device.ask(write, **where) == [bytes.fromhex("18 5a 04 00")]
        assert await device.read(0x0003, 0x0000, endpoint=1) == bytes.fromhex("0000 00 21 3c00")
        assert await device.get(0x0003, 0x01, endpoint=1) == [bytes.fromhex("19 77 00 3c00")]
        wrong_type = bytes.fromhex("00 5a 02 0000 20 3c")
        assert await device.ask(wrong_type, **where) == [bytes.fromhex("18 5a 04 8d 0000")]
        both = bytes.fromhex("00 5a 03 0000 21 0000 fdff 21 0000")
        assert await device.ask(both, **where) == [bytes.fromhex("18 5a 04 88 0000 86 fdff")]
        assert await device.read(0x0003, 0x0000, endpoint=1) == bytes.fromhex("0000 00 21 3c00")
        assert await device.get(0x0003, 0x00, b"\x00\x00", endpoint=1) == [
            bytes.fromhex("18 77 0b 00 00")
        ]
        assert await device.get(0x0003, 0x01, endpoint=1) == [bytes.fromhex("18 77 0b 01 8b")]

    kind = of_kind(DeviceKind.HAND_HELD_TERMINAL)
    with_hub(scenario, radio=radio(), devices=(kind,))


def practices(bench: Bench) -> list[tuple[object, object]]:
    return [(n.detail["what"], n.detail["how"]) for n in bench.of(Note) if n.kind == "practice"]


def test_what_a_device_does_where_sources_disagree_is_noted_once_for_each_way() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device(of_kind(DeviceKind.CAD))
        for secured in (True, True, False):
            await device.read(0x000A, 0x0000, endpoint=1, secured=secured)
        await device.read(0x0025, 0x0000, endpoint=1, secured=True)
        await device.read(0x000A, 0x0007, endpoint=1, secured=False)
        assert practices(bench) == [
            ("time-security", "aps"),
            ("time-security", "network"),
            ("keep-alive-security", "aps"),
            ("time-base", "local"),
        ]

    with_hub(scenario, radio=radio(), devices=(of_kind(DeviceKind.CAD),))


def test_security_on_time_can_be_demanded_of_a_device() -> None:
    strict = of_kind(DeviceKind.CAD, DeviceSettings(time_security=ApsSecurity.REQUIRED))

    async def scenario(bench: Bench) -> None:
        device = bench.device(strict)
        frame = bytes.fromhex("00 5a 00 0000")
        assert await device.ask(frame, cluster=0x000A, endpoint=1) == [
            bytes.fromhex("18 5a 0b 00 01")
        ]
        assert practices(bench) == [("time-security", "network")]
        assert await device.read(0x000A, 0x0001, endpoint=1) == bytes.fromhex("0100 00 18 06")
        assert await device.read(0x0025, 0x0000, endpoint=1, secured=False) is not None

    with_hub(scenario, radio=radio(), devices=(strict,))
