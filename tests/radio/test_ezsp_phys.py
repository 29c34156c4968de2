"""The EZSP coordinator in both bands: one network at 868 MHz, two PHYs of one stick, airtime."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import bellows.types as t
import pytest
import zigpy.config as zc
import zigpy.state
from bellows.ezsp import EZSP

from labctl.errors import RigError
from labctl.events import Band, JoinKind
from labctl.radio.coordinator import (
    CoordinatorListener,
    EndpointDescriptor,
    Incoming,
    JoinSeen,
    NetworkSettings,
    Outgoing,
    PhySettings,
    RadioState,
)
from labctl.radio.ezsp import EzspCoordinator, EzspPort
from labctl.radio.ezsp import duty_cycle as ezsp_duty_cycle
from labctl.radio.ezsp.connection import Connection
from labctl.secret import Secret
from labctl.smart_energy.airtime import DutyCycleState, Limits
from labctl.smart_energy.channels import Channel, channels_of_page
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.clock import run
from labctl.virtual.ncp import (
    RETAIL,
    SUB_GHZ_KIT,
    SWITCH_COORDINATOR,
    Flash,
    Hardware,
    Identity,
    VirtualEzspNcp,
)
from labctl.virtual.ncp.status import Ember
from labctl.virtual.ncp.versions import NEWEST
from labctl.virtual.node import (
    Indication,
    Node,
    NodeListener,
    NodeState,
    Role,
    SimpleDescriptor,
    Status,
)
from labctl.virtual.propagation import Propagation

STICK = Eui64("00:00:5e:ef:10:00:00:01")
CAD = Eui64("00:00:5e:ef:10:00:00:02")
GAS_METER = Eui64("00:00:5e:ef:10:00:00:03")
KEY = Secret(bytes(range(16)))
NATIVE = Channel(0, 15)
SUB_GHZ = Channel(28, 26)
OTHER = Channel(30, 35)
ENDPOINTS = (EndpointDescriptor(1, 0x0500, (0x0000, 0x0702), (0x0800,)),)
AT_2_4 = NetworkSettings(phys=(PhySettings(NATIVE, 8),))
AT_868 = NetworkSettings(phys=(PhySettings(SUB_GHZ, 14),))
DUAL = NetworkSettings(phys=(PhySettings(NATIVE, 8), PhySettings(SUB_GHZ, 14)))
VERSIONS = [8, 13, 14, NEWEST]
every_version = pytest.mark.parametrize("version", VERSIONS, ids=[f"EZSP {v}" for v in VERSIONS])


@dataclass
class Host(CoordinatorListener):
    packets: list[Incoming] = field(default_factory=list)
    joins: list[JoinSeen] = field(default_factory=list)
    left: list[Eui64] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    moves: list[tuple[int, Channel]] = field(default_factory=list)
    states: list[tuple[int, DutyCycleState]] = field(default_factory=list)

    def packet_received(self, packet: Incoming) -> None:
        self.packets.append(packet)
        self.order.append("packet")

    def join_seen(self, join: JoinSeen) -> None:
        self.joins.append(join)
        self.order.append("join")

    def device_left(self, eui64: Eui64, nwk: int) -> None:
        self.left.append(eui64)
        self.order.append("left")

    def channel_changed(self, bearer: int, channel: Channel) -> None:
        self.moves.append((bearer, channel))

    def duty_cycle_changed(self, bearer: int, state: DutyCycleState) -> None:
        self.states.append((bearer, state))

    def connection_lost(self, cause: str, bearer: int = 0) -> None:
        raise AssertionError(cause)

    def from_device(self, eui64: Eui64) -> list[Incoming]:
        return [each for each in self.packets if each.eui64 == eui64 and each.profile_id == 0x0109]


@dataclass
class Device(NodeListener):
    node: Node = field(init=False)
    received: list[bytes] = field(default_factory=list)

    def data_received(self, indication: Indication) -> None:
        self.received.append(indication.payload)

    async def send(self, data: bytes) -> Status:
        return await self.node.send(
            0x0000,
            source_endpoint=1,
            destination_endpoint=1,
            profile_id=0x0109,
            cluster_id=0x0702,
            payload=data,
            aps_secured=True,
        )


@dataclass
class Lab:
    air: Air
    ncp: VirtualEzspNcp
    port: int
    host: Host
    coordinator: EzspCoordinator
    devices: list[Device] = field(default_factory=list)

    async def start(self, settings: NetworkSettings) -> tuple[RadioState, ...]:
        return await self.coordinator.start(settings, ENDPOINTS)

    async def restart(self, settings: NetworkSettings) -> tuple[RadioState, ...]:
        await self.coordinator.stop()
        self.coordinator = _coordinator(self.port)
        self.coordinator.listen(self.host)
        return await self.start(settings)

    def device(self, eui64: Eui64, *, awake: bool = True) -> Device:
        device = Device()
        device.node = Node(
            self.air,
            NodeState(eui64=eui64, role=Role.END_DEVICE),
            device,
            rng=random.Random(str(eui64)),
            position=(3.0, 0.0, 0.0),
            rx_on_when_idle=awake,
        )
        device.node.endpoints[1] = SimpleDescriptor(1, 0x0109, 0x0502, 1, (0x0000,), (0x0702,))
        device.node.power_on()
        self.devices.append(device)
        return device

    async def let_in(self, device: Device, channel: Channel) -> None:
        eui64 = device.node.state.eui64
        await self.coordinator.install_link_key(eui64, KEY)
        await self.coordinator.permit_joining(60)
        (beacon,) = await device.node.active_scan([(channel.page, channel.number)])
        assert await device.node.join(beacon, link_key=KEY.reveal()) is None
        await asyncio.sleep(2)

    async def talk(self, device: Device, data: bytes = b"question") -> Incoming:
        """Up and down once; what came up."""
        eui64 = device.node.state.eui64
        before = len(self.host.from_device(eui64))
        assert await device.send(data) is Status.SUCCESS
        await asyncio.sleep(0.5)
        (packet,) = self.host.from_device(eui64)[before:]
        assert packet.data == data
        await self.coordinator.send(Outgoing(packet.nwk, 1, 1, 0x0702, b"answer"))
        assert device.received[-1] == b"answer"
        return packet


def _coordinator(port: int) -> EzspCoordinator:
    return EzspCoordinator(
        EzspPort(name="stick", path=f"socket://127.0.0.1:{port}"), random.Random(3).randbytes
    )


@asynccontextmanager
async def laboratory(hardware: Hardware, version: int, flash: Path | None) -> AsyncIterator[Lab]:
    air = Air(rng=random.Random(1), propagation=Propagation(shadowing_db=0))
    ncp = VirtualEzspNcp(
        air=air,
        eui64=STICK,
        flash=Flash(flash),
        rng=random.Random(2),
        identity=Identity.speaking(version),
        hardware=hardware,
    )
    port = await ncp.listen("127.0.0.1", 0)
    lab = Lab(air, ncp, port, Host(), _coordinator(port))
    lab.coordinator.listen(lab.host)
    try:
        yield lab
    finally:
        await lab.coordinator.stop()
        for device in lab.devices:
            device.node.power_off()
        await ncp.close()


def with_a(
    hardware: Hardware,
    work: Callable[[Lab], Coroutine[Any, Any, None]],
    version: int = 13,
    flash: Path | None = None,
) -> None:
    async def main() -> None:
        async with laboratory(hardware, version, flash) as lab:
            await work(lab)

    run(main(), fast=True)


# -- one network at 868 MHz -----------------------------------------------------------------------


@every_version
def test_a_network_at_868_mhz_is_formed_resumed_and_used(version: int) -> None:
    async def work(lab: Lab) -> None:
        (first,) = await lab.start(AT_868)
        assert (first.name, first.band, first.at) == ("stick", Band.MHZ_868, SUB_GHZ)
        assert (first.tx_power_dbm, first.resumed, first.remarks) == (14, False, ())
        gas_meter = lab.device(GAS_METER, awake=False)
        await lab.let_in(gas_meter, SUB_GHZ)
        assert [(join.eui64, join.bearer) for join in lab.host.joins] == [(GAS_METER, 0)]
        packet = await lab.talk(gas_meter)
        assert (packet.bearer, packet.aps_encrypted) == (0, True)
        (second,) = await lab.restart(AT_868)
        assert (second.at, second.resumed, second.pan_id) == (SUB_GHZ, True, first.pan_id)
        await lab.talk(gas_meter)

    with_a(SUB_GHZ_KIT, work, version)


@pytest.mark.parametrize("channel", [Channel(29, 62), Channel(30, 61), Channel(31, 0)], ids=str)
def test_channels_of_every_page_come_back_as_they_were_given(channel: Channel) -> None:
    async def work(lab: Lab) -> None:
        settings = NetworkSettings(phys=(PhySettings(channel, -5),))
        for _ in range(2):
            (state,) = await lab.restart(settings)
            assert (state.at, state.tx_power_dbm) == (channel, -5)

    with_a(SUB_GHZ_KIT, work)


def test_a_network_resumed_elsewhere_in_its_band_is_a_remark() -> None:
    async def work(lab: Lab) -> None:
        await lab.start(AT_868)
        (state,) = await lab.restart(NetworkSettings(phys=(PhySettings(OTHER, 14),)))
        assert state.at == SUB_GHZ
        (remark,) = state.remarks
        assert str(SUB_GHZ) in remark
        assert str(OTHER) in remark

    with_a(SUB_GHZ_KIT, work)


def test_a_network_resumed_in_the_other_band_is_an_error_and_stays() -> None:
    async def work(lab: Lab) -> None:
        (state,) = await lab.start(AT_2_4)
        with pytest.raises(RigError, match=r"asks for 868\.45 MHz") as error:
            await lab.restart(AT_868)
        assert "form-anew" in error.value.mend
        (again,) = await lab.restart(AT_2_4)
        assert (again.resumed, again.pan_id) == (True, state.pan_id)
        (anew,) = await lab.restart(replace(AT_868, form_anew=True))
        assert (anew.at, anew.resumed) == (SUB_GHZ, False)

    with_a(SWITCH_COORDINATOR, work)


# -- two PHYs of one stick ------------------------------------------------------------------------


@every_version
def test_two_phys_are_two_bearers_of_one_network(version: int) -> None:
    async def work(lab: Lab) -> None:
        first, second = await lab.start(DUAL)
        assert (first.name, first.band, first.at) == ("stick", Band.GHZ_2_4, NATIVE)
        assert (second.name, second.band, second.at) == ("stick/868", Band.MHZ_868, SUB_GHZ)
        assert (first.tx_power_dbm, second.tx_power_dbm) == (8, 14)
        assert (first.eui64, first.pan_id, first.extended_pan_id) == (
            second.eui64,
            second.pan_id,
            second.extended_pan_id,
        )
        cad, gas_meter = lab.device(CAD), lab.device(GAS_METER, awake=False)
        await lab.let_in(cad, NATIVE)
        await lab.let_in(gas_meter, SUB_GHZ)
        assert [(join.eui64, join.bearer) for join in lab.host.joins] == [(CAD, 0), (GAS_METER, 1)]
        announces = {each.eui64: each.bearer for each in lab.host.packets if each.profile_id == 0}
        assert announces == {CAD: 0, GAS_METER: 1}
        assert (await lab.talk(cad)).bearer == 0
        assert (await lab.talk(gas_meter)).bearer == 1
        assert (await lab.talk(gas_meter, bytes(200))).bearer == 1
        assert [lab.coordinator.bearer_of(each) for each in (CAD, GAS_METER, STICK)] == [0, 1, 0]
        # a reset takes the second PHY down: the start brings it up again, and knows who is where
        states = await lab.restart(DUAL)
        assert [(state.at, state.resumed) for state in states] == [(NATIVE, True), (SUB_GHZ, True)]
        assert lab.coordinator.bearer_of(GAS_METER) == 1
        assert (await lab.talk(gas_meter)).bearer == 1
        assert (await lab.talk(cad)).bearer == 0

    with_a(SWITCH_COORDINATOR, work, version)


def test_a_device_that_comes_back_on_the_other_band_is_told_of_with_that_bearer() -> None:
    async def work(lab: Lab) -> None:
        await lab.start(DUAL)
        device = lab.device(CAD)
        await lab.let_in(device, SUB_GHZ)
        assert (await lab.talk(device)).bearer == 1
        lab.air.drop = lambda sender, receiver, psdu: medium_page(sender) != 0
        there = [(NATIVE.page, NATIVE.number)]
        assert await device.node.rejoin(secured=True, channels=there) is None
        await asyncio.sleep(2)
        assert lab.host.joins[-1].kind is JoinKind.SECURED_REJOIN
        assert lab.host.joins[-1].bearer == 0
        assert (await lab.talk(device)).bearer == 0
        assert lab.coordinator.bearer_of(CAD) == 0

    def medium_page(radio: Any) -> int:
        return int(radio.medium.page)

    with_a(SWITCH_COORDINATOR, work)


def test_a_join_is_told_before_what_the_device_sends_and_before_it_leaves() -> None:
    async def work(lab: Lab) -> None:
        await lab.start(DUAL)
        device = lab.device(GAS_METER)
        await lab.let_in(device, SUB_GHZ)
        assert lab.host.order[0] == "join"
        device.node.leave()
        await asyncio.sleep(2)
        assert lab.host.order[-1] == "left"
        assert lab.coordinator.bearer_of(GAS_METER) == 0

    with_a(SWITCH_COORDINATOR, work)


# -- moving ---------------------------------------------------------------------------------------


@every_version
def test_a_move_of_the_second_phy_is_told_once_and_kept_over_a_restart(version: int) -> None:
    async def work(lab: Lab) -> None:
        await lab.start(DUAL)
        device = lab.device(GAS_METER)
        await lab.let_in(device, SUB_GHZ)
        await lab.coordinator.change_channel(1, OTHER)
        await asyncio.sleep(1)
        assert lab.host.moves == [(1, OTHER)]
        assert device.node.set_phy_channel(0, OTHER.page, OTHER.number)
        assert (await lab.talk(device)).bearer == 1
        first, second = await lab.restart(DUAL)
        assert (first.at, second.at) == (NATIVE, OTHER)
        (remark,) = first.remarks
        assert str(OTHER) in remark
        assert (await lab.talk(device)).bearer == 1
        # a new network begins where the rig file says
        first, second = await lab.restart(replace(DUAL, form_anew=True))
        assert (second.at, second.resumed, first.remarks) == (SUB_GHZ, False, ())
        first, second = await lab.restart(DUAL)
        assert (second.at, first.remarks) == (SUB_GHZ, ())

    with_a(SWITCH_COORDINATOR, work, version)


@every_version
@pytest.mark.parametrize(
    ("hardware", "settings", "there"),
    [(RETAIL, AT_2_4, Channel(0, 25)), (SUB_GHZ_KIT, AT_868, OTHER)],
    ids=["2.4 GHz", "868 MHz"],
)
def test_a_move_of_the_network_is_told_once_and_kept_by_the_stick(
    hardware: Hardware, settings: NetworkSettings, there: Channel, version: int
) -> None:
    async def work(lab: Lab) -> None:
        await lab.start(settings)
        await lab.coordinator.change_channel(0, there)
        await lab.coordinator.change_channel(0, there)
        await asyncio.sleep(1)
        assert lab.host.moves == [(0, there)]
        (state,) = await lab.restart(settings)
        assert state.at == there

    with_a(hardware, work, version)


def test_a_move_that_the_stick_makes_by_itself_is_told() -> None:
    async def work(lab: Lab) -> None:
        await lab.start(DUAL)
        assert lab.ncp.firmware.phys.set_radio_channel(20) == {"status": Ember.SUCCESS}
        await asyncio.sleep(1)
        assert lab.host.moves == [(0, Channel(0, 20))]

    with_a(SWITCH_COORDINATOR, work)


def test_moves_out_of_the_band_and_of_bearers_that_are_not_are_refused() -> None:
    async def work(lab: Lab) -> None:
        await lab.start(DUAL)
        for bearer, channel in ((0, SUB_GHZ), (1, NATIVE), (2, OTHER), (-1, OTHER)):
            with pytest.raises(RigError, match=r"within its band|no bearer"):
                await lab.coordinator.change_channel(bearer, channel)
        assert lab.host.moves == []

    with_a(SWITCH_COORDINATOR, work)


# -- scans ----------------------------------------------------------------------------------------


@every_version
def test_an_energy_scan_goes_over_all_pages(version: int) -> None:
    async def work(lab: Lab) -> None:
        await lab.start(DUAL)
        channels = [each for page in (31, 0, 29, 28, 30) for each in channels_of_page(page)]
        loud = {Channel(0, 26): -40, Channel(29, 62): -55, Channel(30, 48): -60}
        for channel, level in loud.items():
            lab.air.noise_dbm[channel.page, channel.number] = level
        levels = await lab.coordinator.energy_scan(channels, exponent=3)
        assert set(levels) == set(channels)
        for channel, level in levels.items():
            if channel in loud:
                assert abs(level - loud[channel]) <= 1
            else:
                assert level < -80
        device = lab.device(CAD)
        await lab.let_in(device, SUB_GHZ)  # the radios are back on their channels
        assert await lab.coordinator.energy_scan([]) == {}

    with_a(SWITCH_COORDINATOR, work, version)


@every_version
def test_a_scan_of_a_band_that_the_stick_has_not_names_the_firmware(version: int) -> None:
    async def work(lab: Lab) -> None:
        await lab.start(AT_2_4)
        with pytest.raises(RigError, match="INVALID_CHANNEL_MASK") as error:
            await lab.coordinator.energy_scan([SUB_GHZ])
        assert "retail" in error.value.mend
        assert len(await lab.coordinator.energy_scan([NATIVE])) == 1

    with_a(RETAIL, work, version)


# -- the duty cycle -------------------------------------------------------------------------------


@every_version
def test_the_firmwares_account_is_read_and_its_limits_are_set(version: int) -> None:
    async def work(lab: Lab) -> None:
        await lab.start(DUAL)
        device = lab.device(GAS_METER)
        await lab.let_in(device, SUB_GHZ)
        assert await lab.coordinator.duty_cycle(0) is None
        counted = await lab.coordinator.duty_cycle(1)
        assert counted is not None
        assert counted.state is DutyCycleState.NORMAL
        assert counted.hub_airtime_us < 720_000
        limits = Limits(720_000, 1_440_000, 2_880_000)
        await lab.coordinator.set_duty_cycle_limits(1, limits)
        for _ in range(400):
            if lab.host.states and lab.host.states[-1][1] is DutyCycleState.CRITICAL:
                break
            await device.send(bytes(70))
            await lab.coordinator.send(Outgoing(device.node.state.nwk, 1, 1, 0x0702, bytes(70)))
        assert lab.host.states == [(1, DutyCycleState.LIMITED), (1, DutyCycleState.CRITICAL)]
        counted = await lab.coordinator.duty_cycle(1)
        assert counted is not None
        assert counted.state is DutyCycleState.CRITICAL
        node = lab.ncp.firmware.network.node
        assert node is not None
        # as exact as it is told: 0.01 % of the hour
        assert counted.hub_airtime_us == node.sent_airtime_us(1) // 360_000 * 360_000
        nwk = device.node.state.nwk
        heard_us = node.heard_airtime_us(1)[nwk]
        assert counted.device_airtime_us == {nwk: heard_us // 360_000 * 360_000}
        assert counted.device_airtime_us[nwk] > 360_000

    with_a(SWITCH_COORDINATOR, work, version)


@pytest.mark.parametrize(
    ("hardware", "settings"),
    [
        (RETAIL, AT_2_4),
        (replace(SUB_GHZ_KIT, duty_cycle=False), AT_868),
        (
            replace(SUB_GHZ_KIT, duty_cycle=False, refusal=Ember.LIBRARY_NOT_PRESENT),
            AT_868,
        ),
    ],
    ids=["2.4 GHz", "no library", "no library, told otherwise"],
)
def test_where_nothing_is_counted_the_answer_is_none_and_limits_an_error(
    hardware: Hardware, settings: NetworkSettings
) -> None:
    async def work(lab: Lab) -> None:
        await lab.start(settings)
        assert await lab.coordinator.duty_cycle(0) is None
        with pytest.raises(RigError) as error:
            await lab.coordinator.set_duty_cycle_limits(0, Limits())
        assert "sub-GHz firmware" in error.value.mend

    with_a(hardware, work)


def test_an_array_of_airtimes_is_read_as_far_as_it_goes() -> None:
    entries = b"\x00\x00\x02\x00" + b"\x34\x12\x01\x00" + b"\xff\xff\x00\x00"
    expected = {0x0000: 720_000, 0x1234: 360_000}
    assert ezsp_duty_cycle.entries(b"\x03" + entries) == expected
    assert ezsp_duty_cycle.entries(b"\xff" + entries) == expected, "a count that cannot be"
    assert ezsp_duty_cycle.entries(b"\x00" + entries) == {}
    assert ezsp_duty_cycle.entries(b"") == {}
    assert ezsp_duty_cycle.state_of(9) is DutyCycleState.SUSPENDED


# -- what the stick has not -----------------------------------------------------------------------


@every_version
@pytest.mark.parametrize("refusal", [Ember.INVALID_CALL, Ember.LIBRARY_NOT_PRESENT])
def test_asked_for_two_bands_a_retail_stick_names_the_firmware_that_has_them(
    version: int, refusal: Ember
) -> None:
    async def work(lab: Lab) -> None:
        with pytest.raises(RigError, match="no second PHY") as error:
            await lab.start(DUAL)
        for word in ("switch coordinator", "BRD4155A", "BRD4197A", "retail", "hub.sub_ghz.radio"):
            assert word in error.value.mend

    with_a(replace(RETAIL, refusal=refusal), work, version)


@every_version
@pytest.mark.parametrize(
    ("hardware", "settings", "mend"),
    [(RETAIL, AT_868, "retail"), (SUB_GHZ_KIT, AT_2_4, "")],
    ids=["868 MHz of a retail stick", "2.4 GHz of a sub-GHz one"],
)
def test_a_band_that_the_stick_has_not_is_told_when_forming(
    hardware: Hardware, settings: NetworkSettings, mend: str, version: int
) -> None:
    async def work(lab: Lab) -> None:
        with pytest.raises(RigError, match="forms no network at") as error:
            await lab.start(settings)
        assert str(settings.phys[0].channel) in str(error.value)
        assert mend in error.value.mend
        assert not lab.ncp.firmware.contents.node.joined

    with_a(hardware, work, version)


@pytest.mark.parametrize(
    ("phys", "what"),
    [
        ((PhySettings(NATIVE, 8), PhySettings(SUB_GHZ, 40)), "TRANSMIT_INVALID_POWER"),
        ((PhySettings(NATIVE, 8), PhySettings(Channel(0, 20), 8)), "sub-GHz"),
        ((PhySettings(SUB_GHZ, 8), PhySettings(OTHER, 8)), "sub-GHz"),
    ],
)
def test_a_second_phy_that_cannot_be_is_an_error(phys: Sequence[PhySettings], what: str) -> None:
    async def work(lab: Lab) -> None:
        with pytest.raises(RigError, match=what):
            await lab.start(NetworkSettings(phys=tuple(phys)))

    with_a(SWITCH_COORDINATOR, work)


# -- the drivers' gaps ----------------------------------------------------------------------------


async def limits_with(kind: type[EZSP], version: int) -> Any:
    """getDutyCycleLimits of a driver's own connection."""
    async with laboratory(SUB_GHZ_KIT, version, None) as lab:
        ezsp = kind(
            {
                zc.CONF_DEVICE_PATH: f"socket://127.0.0.1:{lab.port}",
                zc.CONF_DEVICE_BAUDRATE: 115200,
                zc.CONF_DEVICE_FLOW_CONTROL: None,
            }
        )
        await ezsp.connect(use_thread=False)
        try:
            return await ezsp.getDutyCycleLimits()
        finally:
            await ezsp.disconnect()


@every_version
def test_bellows_cannot_read_duty_cycle_limits_and_our_connection_can(version: int) -> None:
    with pytest.raises(TimeoutError):
        run(limits_with(EZSP, version), fast=True)
    _, limits = run(limits_with(Connection, version), fast=True)
    assert (limits.limited, limits.critical, limits.suspended) == Limits().hundredths


def test_zigpys_channels_carry_a_page_but_cannot_be_iterated_or_saved() -> None:
    mask = t.Channels(SUB_GHZ.mask)
    assert mask.serialize() == SUB_GHZ.mask.to_bytes(4, "little")
    with pytest.raises(ValueError, match="unexpected members"):
        list(mask)
    with pytest.raises(ValueError, match="Must be between 11 and 26"):
        t.Channels.from_channel_list([SUB_GHZ.ember_byte])
    network = zigpy.state.NetworkInfo(channel=SUB_GHZ.ember_byte, channel_mask=mask)
    with pytest.raises(ValueError, match="unexpected members"):
        network.as_dict()
