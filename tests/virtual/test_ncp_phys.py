"""The NCP's radios: both bands, two PHYs, pages in scans, the duty cycle, and what is refused.

Unmodified bellows is the host, but where it reads a frame wrong: there raw octets are looked at.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import bellows.types as t
import pytest
import zigpy.config as zc
from bellows.ezsp import EZSP
from ncp_support import RawHost, connected, fast, stick
from node_pair import CLEAN
from test_ncp_bellows import Hub, configuration
from test_ncp_network import CAD, ENCRYPTED, KEY, RETRY, Device, aps, arm, hub, unicast
from test_ncp_network import OTHER as OTHER_DEVICE

from labctl.smart_energy.airtime import DutyCycleState
from labctl.smart_energy.channels import (
    SE_SUB_GHZ_MASKS,
    Channel,
    channels_of_mask,
    channels_of_page,
    mask_of_channels,
)
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.ncp import (
    RETAIL,
    SUB_GHZ_KIT,
    SWITCH_COORDINATOR,
    Flash,
    Hardware,
    VirtualEzspNcp,
)
from labctl.virtual.ncp.status import Ember
from labctl.virtual.node import Status

SUB_GHZ = Channel(28, 26)
OTHER = Channel(30, 35)
NATIVE = Channel(0, 20)
NETWORK_KEY = bytes(range(0x30, 0x40))
GET_CURRENT, HANDLER, SET_LIMITS, GET_LIMITS, GET_STATE = 0x4C, 0x4D, 0x40, 0x4B, 0x35
OK = t.EmberStatus.SUCCESS
SMART_ENERGY, HOME_AUTOMATION = 0x0A00, 0x0B84  # initial security


@asynccontextmanager
async def host(port: int) -> AsyncIterator[EZSP]:
    """bellows without its application, connected."""
    ezsp = EZSP(
        {
            zc.CONF_DEVICE_PATH: f"socket://127.0.0.1:{port}",
            zc.CONF_DEVICE_BAUDRATE: 115200,
            zc.CONF_DEVICE_FLOW_CONTROL: None,
        }
    )
    await ezsp.connect(use_thread=False)
    try:
        yield ezsp
    finally:
        await ezsp.disconnect()


async def form(
    ezsp: EZSP, channel: Channel, power: int = 8, *, bitmask: int = SMART_ENERGY
) -> None:
    state = t.EmberInitialSecurityState(
        bitmask=t.EmberInitialSecurityBitmask(bitmask),
        preconfiguredKey=t.KeyData(bytes(16 if bitmask == SMART_ENERGY else range(16))),
        networkKey=t.KeyData(NETWORK_KEY),
        networkKeySequenceNumber=0,
        preconfiguredTrustCenterEui64=t.EUI64.convert("00:00:00:00:00:00:00:00"),
    )
    assert await ezsp.setInitialSecurityState(state=state) == [OK]
    await ezsp.formNetwork(
        parameters=t.EmberNetworkParameters(
            panId=0x1A2B,
            extendedPanId=t.EUI64.convert("00:11:22:33:44:55:66:77"),
            radioTxPower=power,
            radioChannel=channel.ember_byte,
            joinMethod=t.EmberJoinMethod.USE_MAC_ASSOCIATION,
            nwkManagerId=0,
            nwkUpdateId=0,
            channels=t.Channels(channel.mask),
        )
    )


async def start_second(ezsp: EZSP, channel: Channel = SUB_GHZ, power: int = 14) -> Any:
    (status,) = await ezsp.multiPhyStart(
        phyIndex=1, page=channel.page, channel=channel.offset, power=power, bitmask=0
    )
    return status


async def scan(ezsp: EZSP, kind: int, mask: int, duration: int = 2) -> Any:
    return await ezsp.startScan(
        scanType=t.EzspNetworkScanType(kind), channelMask=t.Channels(mask), duration=duration
    )


def on(hardware: Hardware, work: Callable[[VirtualEzspNcp, EZSP], Any], **more: Any) -> None:
    """Run `work` on a stick of this kind, bellows connected to it."""

    async def main() -> None:
        async with stick(hardware=hardware, **more) as (ncp, port), host(port) as ezsp:
            await work(ncp, ezsp)

    fast(main)


# -- one sub-GHz network --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "channel",
    [Channel(28, 0), SUB_GHZ, Channel(29, 27), Channel(29, 62), Channel(30, 61), Channel(31, 12)],
    ids=str,
)
def test_a_network_is_formed_and_resumed_on_a_sub_ghz_channel(channel: Channel) -> None:
    async def main() -> None:
        flash = Flash()
        async with stick(hardware=SUB_GHZ_KIT, flash=flash) as (ncp, port):
            async with host(port) as ezsp:
                await form(ezsp, channel, power=14)
                radio = ncp.firmware.network.node
                assert radio is not None
                assert (radio.state.page, radio.state.channel) == (channel.page, channel.number)
                assert radio.mac.radio.medium is radio.air.medium(channel.page, channel.number)
            async with host(port) as ezsp:  # which resets the stick
                assert await ezsp.getRadioParameters(phyIndex=0) == [
                    t.EmberStatus.INVALID_CALL,
                    t.EmberMultiPhyRadioParameters(0, 0, 0),
                ]
                with ezsp.wait_for_stack_status(t.sl_Status.NETWORK_UP) as up:
                    assert await ezsp.initialize_network() == t.sl_Status.OK
                    await up
                status, kind, parameters = await ezsp.getNetworkParameters()
                assert (status, kind) == (OK, t.EmberNodeType.COORDINATOR)
                assert parameters.radioChannel == channel.ember_byte
                assert int(parameters.channels) == channel.mask
                assert parameters.radioTxPower == 14
                status, radio = await ezsp.getRadioParameters(phyIndex=0)
                assert status == OK
                assert (radio.radioTxPower, radio.radioPage, radio.radioChannel) == (
                    14,
                    channel.page,
                    channel.offset,
                )

    fast(main)


def test_bellows_runs_a_sub_ghz_network_as_it_is() -> None:
    async def main() -> None:
        async with stick(hardware=SUB_GHZ_KIT) as (_, port):
            app = Hub(configuration(port))
            await app.connect()
            await form(app._ezsp, SUB_GHZ, bitmask=HOME_AUTOMATION)
            await app.initialize()
            assert app.state.network_info.channel == SUB_GHZ.ember_byte
            assert app.state.network_info.channel_mask == SUB_GHZ.mask
            await asyncio.sleep(60)
            assert app.lost == []
            assert app._watchdog_failures == 0
            await app.shutdown()

    fast(main)


def test_a_stick_forms_in_the_bands_that_it_has() -> None:
    async def refused(channel: Channel, ezsp: EZSP) -> None:
        with pytest.raises(Exception, match="PHY_INVALID_CHANNEL"):
            await form(ezsp, channel)

    async def retail(_: VirtualEzspNcp, ezsp: EZSP) -> None:
        await refused(SUB_GHZ, ezsp)
        await form(ezsp, NATIVE)

    async def kit(_: VirtualEzspNcp, ezsp: EZSP) -> None:
        await refused(NATIVE, ezsp)
        await form(ezsp, SUB_GHZ)

    on(RETAIL, retail)
    on(SUB_GHZ_KIT, kit)


# -- two PHYs -------------------------------------------------------------------------------------


def test_the_second_phy_starts_beside_the_network_and_stops() -> None:
    async def work(ncp: VirtualEzspNcp, ezsp: EZSP) -> None:
        assert await ezsp.getPhyInterfaceCount() == [2]
        assert await start_second(ezsp) == t.EmberStatus.INVALID_CALL, "no network yet"
        await form(ezsp, NATIVE)
        assert (await ezsp.getRadioParameters(phyIndex=1))[0] == t.EmberStatus.INVALID_CALL
        assert await start_second(ezsp, Channel(29, 62)) == OK
        status, radio = await ezsp.getRadioParameters(phyIndex=1)
        assert status == OK
        # in the page, not over all pages: channel 62 is the ninth of page 29
        assert radio == t.EmberMultiPhyRadioParameters(14, 29, 8)
        assert await start_second(ezsp) == t.EmberStatus.INVALID_CALL, "it runs already"
        node = ncp.firmware.network.node
        assert node is not None
        assert {page_and_channel(phy) for phy in node.phys.values()} == {(0, 20), (29, 62)}
        assert await ezsp.multiPhySetRadioPower(phyIndex=1, power=-3) == [OK]
        assert (await ezsp.getRadioParameters(phyIndex=1))[1].radioTxPower == -3
        assert (await ezsp.getRadioParameters(phyIndex=0))[1].radioTxPower == 8
        assert await ezsp.multiPhyStop(phyIndex=1) == [OK]
        assert len(node.phys) == 1
        assert await ezsp.multiPhyStop(phyIndex=1) == [t.EmberStatus.INVALID_CALL]
        assert await ezsp.multiPhySetRadioPower(phyIndex=1, power=3) == [t.EmberStatus.INVALID_CALL]
        assert await move(ezsp, 1, OTHER) == t.EmberStatus.INVALID_CALL
        assert await start_second(ezsp) == OK, "and again"

    on(SWITCH_COORDINATOR, work)


def page_and_channel(phy: Any) -> tuple[int, int]:
    return phy.page, phy.channel


async def move(ezsp: EZSP, phy: int, channel: Channel) -> Any:
    (status,) = await ezsp.multiPhySetRadioChannel(
        phyIndex=phy, page=channel.page, channel=channel.offset
    )
    return status


def test_the_second_phy_is_down_after_each_reset_until_it_is_started() -> None:
    async def main() -> None:
        async with stick(hardware=SWITCH_COORDINATOR) as (ncp, port):
            async with host(port) as ezsp:
                await form(ezsp, NATIVE)
                assert await start_second(ezsp) == OK
            async with host(port) as ezsp:
                with ezsp.wait_for_stack_status(t.sl_Status.NETWORK_UP) as up:
                    assert await ezsp.initialize_network() == t.sl_Status.OK
                    await up
                assert (await ezsp.getRadioParameters(phyIndex=0))[0] == OK
                assert (await ezsp.getRadioParameters(phyIndex=1))[0] == t.EmberStatus.INVALID_CALL
                assert ncp.firmware.network.node is not None
                assert len(ncp.firmware.network.node.phys) == 1
                assert await start_second(ezsp) == OK
                await ezsp.leaveNetwork()
                assert (await ezsp.getRadioParameters(phyIndex=1))[0] == t.EmberStatus.INVALID_CALL

    fast(main)


def test_what_cannot_be_started_is_refused() -> None:
    async def work(_: VirtualEzspNcp, ezsp: EZSP) -> None:
        await form(ezsp, NATIVE)

        async def start(phy: int, page: int, channel: int, power: int) -> Any:
            (status,) = await ezsp.multiPhyStart(
                phyIndex=phy, page=page, channel=channel, power=power, bitmask=0
            )
            return status

        assert await start(2, 28, 0, 14) == t.EmberStatus.BAD_ARGUMENT
        assert await start(0, 28, 0, 14) == t.EmberStatus.BAD_ARGUMENT
        for page, channel in ((28, 27), (29, 9), (27, 0), (0, 20), (32, 0)):
            assert await start(1, page, channel, 14) == t.EmberStatus.PHY_INVALID_CHANNEL
        assert await start(1, 28, 0, 21) == t.EmberStatus.PHY_INVALID_POWER
        assert await start(1, 28, 0, 14) == OK
        assert await move(ezsp, 1, NATIVE) == t.EmberStatus.PHY_INVALID_CHANNEL
        assert await ezsp.multiPhySetRadioPower(phyIndex=1, power=40) == [
            t.EmberStatus.PHY_INVALID_POWER
        ]
        assert await ezsp.sendLinkPowerDeltaRequest() == [t.EmberStatus.INVALID_CALL]

    on(SWITCH_COORDINATOR, work)


def test_no_second_phy_beside_a_sub_ghz_network() -> None:
    async def work(_: VirtualEzspNcp, ezsp: EZSP) -> None:
        await form(ezsp, SUB_GHZ)
        assert await start_second(ezsp, OTHER) == t.EmberStatus.INVALID_CALL

    on(SWITCH_COORDINATOR, work)


@pytest.mark.parametrize("refusal", [Ember.INVALID_CALL, Ember.LIBRARY_NOT_PRESENT])
@pytest.mark.parametrize("kind", [RETAIL, SUB_GHZ_KIT], ids=["retail", "868 MHz alone"])
def test_a_stick_with_one_radio_refuses_all_of_it(kind: Hardware, refusal: Ember) -> None:
    async def work(_: VirtualEzspNcp, ezsp: EZSP) -> None:
        await form(ezsp, NATIVE if kind is RETAIL else SUB_GHZ)
        assert await ezsp.getPhyInterfaceCount() == [1]
        assert await start_second(ezsp) == refusal
        assert await ezsp.multiPhyStop(phyIndex=1) == [refusal]
        assert await ezsp.multiPhySetRadioPower(phyIndex=1, power=3) == [refusal]
        assert await move(ezsp, 1, OTHER) == refusal
        assert (await ezsp.getRadioParameters(phyIndex=1))[0] == t.EmberStatus.INVALID_CALL

    on(replace(kind, refusal=refusal), work)


# -- moving ---------------------------------------------------------------------------------------


def test_a_move_is_told_once_and_survives_a_reset() -> None:
    async def main() -> None:
        async with stick(hardware=SUB_GHZ_KIT) as (ncp, port):
            async with host(port) as ezsp:
                statuses = stack_statuses(ezsp)
                (status,) = await ezsp.setRadioChannel(channel=OTHER.ember_byte)
                assert status == t.EmberStatus.INVALID_CALL, "no network yet"
                await form(ezsp, SUB_GHZ)
                statuses.clear()
                for _ in range(2):  # the second time it is there already
                    assert await ezsp.setRadioChannel(channel=OTHER.ember_byte) == [OK]
                await asyncio.sleep(1)
                assert statuses == [t.EmberStatus.CHANNEL_CHANGED]
                assert await ezsp.getLogicalChannel() == [OTHER.ember_byte]
                for wrong in (NATIVE.ember_byte, 0x9F, 0x00, 0xFF):
                    assert await ezsp.setRadioChannel(channel=wrong) == [
                        t.EmberStatus.PHY_INVALID_CHANNEL
                    ]
                node = ncp.firmware.network.node
                assert node is not None
                assert node.mac.radio.medium is node.air.medium(OTHER.page, OTHER.number)
            async with host(port) as ezsp:
                assert await ezsp.initialize_network() == t.sl_Status.OK
                assert (await ezsp.getNetworkParameters())[2].radioChannel == OTHER.ember_byte

    fast(main)


def test_each_phy_moves_for_itself() -> None:
    async def work(ncp: VirtualEzspNcp, ezsp: EZSP) -> None:
        statuses = stack_statuses(ezsp)
        await form(ezsp, NATIVE)
        assert await start_second(ezsp) == OK
        statuses.clear()
        assert await move(ezsp, 1, OTHER) == OK
        assert await ezsp.setRadioChannel(channel=25) == [OK]
        await asyncio.sleep(1)
        assert statuses == [t.EmberStatus.CHANNEL_CHANGED] * 2
        node = ncp.firmware.network.node
        assert node is not None
        assert {page_and_channel(phy) for phy in node.phys.values()} == {(0, 25), (30, 35)}

    on(SWITCH_COORDINATOR, work)


def stack_statuses(ezsp: EZSP) -> list[Any]:
    heard: list[Any] = []
    ezsp.add_callback(
        lambda name, args: heard.append(args[0]) if name == "stackStatusHandler" else None
    )
    return heard


# -- scans ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0x07FFF800, *SE_SUB_GHZ_MASKS], ids=["0", "28", "29", "30", "31"])
@pytest.mark.parametrize("network", [False, True], ids=["no network", "network"])
def test_an_energy_scan_covers_every_channel_of_a_page(mask: int, network: bool) -> None:
    air = Air(rng=random.Random(1), propagation=CLEAN)
    channels = channels_of_mask(mask)
    loud = channels[-1]
    air.noise_dbm[loud.page, loud.number] = -50.0

    async def work(_: VirtualEzspNcp, ezsp: EZSP) -> None:
        if network:
            await form(ezsp, NATIVE)
            assert await start_second(ezsp) == OK
        results = await scan(ezsp, 0, mask)
        assert [octet for octet, _ in results] == [channel.ember_byte for channel in channels]
        levels = dict(results)
        assert abs(levels.pop(loud.ember_byte) + 50) <= 1
        assert max(levels.values()) < -80

    on(SWITCH_COORDINATOR, work, air=air)


def test_a_page_is_scanned_before_its_phy_is_started() -> None:
    async def work(_: VirtualEzspNcp, ezsp: EZSP) -> None:
        await form(ezsp, NATIVE)
        results = await scan(ezsp, 0, mask_of_channels(channels_of_page(30)))
        assert len(results) == 27
        assert await start_second(ezsp, OTHER) == OK

    on(SWITCH_COORDINATOR, work)


def test_masks_of_other_bands_and_bits_without_a_channel_are_refused() -> None:
    async def refused(ezsp: EZSP, *masks: int) -> None:
        for mask in masks:
            for kind in (0, 1):
                with pytest.raises(Exception, match="MAC_INVALID_CHANNEL_MASK"):
                    await scan(ezsp, kind, mask)

    async def retail(_: VirtualEzspNcp, ezsp: EZSP) -> None:
        await refused(ezsp, *SE_SUB_GHZ_MASKS, 0, 0x400, 27 << 27 | 1)

    async def kit(_: VirtualEzspNcp, ezsp: EZSP) -> None:
        await refused(ezsp, 0x07FFF800, 29 << 27 | 0x3FF, 28 << 27)

    on(RETAIL, retail)
    on(SUB_GHZ_KIT, kit)


def test_an_active_scan_finds_the_network_by_its_condensed_channel() -> None:
    async def main() -> None:
        air = Air(rng=random.Random(1), propagation=CLEAN)
        other = VirtualEzspNcp(
            eui64=Eui64("00:0d:6f:00:11:22:33:55"),
            air=air,
            rng=random.Random(3),
            position=(2.0, 0.0, 0.0),
            hardware=SUB_GHZ_KIT,
        )
        port = await other.listen()
        async with stick(hardware=SWITCH_COORDINATOR, air=air) as (_, own), host(port) as theirs:
            await form(theirs, Channel(29, 28))
            async with host(own) as ezsp:
                ((found, lqi, rssi),) = await scan(ezsp, 1, SE_SUB_GHZ_MASKS[1], 3)
                assert found.channel == Channel(29, 28).ember_byte
                assert found.panId == 0x1A2B
                assert lqi > 200
                assert -70 < rssi < -20
        await other.close()

    fast(main)


# -- the duty cycle -------------------------------------------------------------------------------


def test_without_a_sub_ghz_radio_or_the_library_nothing_is_counted() -> None:
    async def main(hardware: Hardware, channel: Channel) -> None:
        async with stick(hardware=hardware) as (_, port), connected(port) as raw:
            await raw.start()
            await raw.form(channel=channel.ember_byte)
            assert await raw.command(GET_STATE) == bytes([hardware.refusal, 0])
            assert await raw.command(SET_LIMITS, struct.pack("<HHH", 1, 2, 3)) == bytes(
                [hardware.refusal]
            )
            assert await raw.command(GET_LIMITS) == bytes([hardware.refusal]) + bytes(6)
            assert await raw.command(GET_CURRENT, b"\x05") == bytes([hardware.refusal]) + bytes(134)

    no_library = replace(SUB_GHZ_KIT, duty_cycle=False, refusal=Ember.LIBRARY_NOT_PRESENT)
    fast(lambda: main(RETAIL, NATIVE))
    fast(lambda: main(no_library, SUB_GHZ))


def test_at_2_4_ghz_alone_the_duty_cycle_is_off() -> None:
    async def main() -> None:
        async with stick(hardware=SWITCH_COORDINATOR) as (_, port), connected(port) as raw:
            await raw.start()
            await raw.form()
            assert await raw.command(GET_STATE) == b"\x00\x00"
            limits = struct.pack("<HHH", 1, 2, 3)
            assert await raw.command(SET_LIMITS, limits) == bytes([Ember.INVALID_CALL])

    fast(main)


def test_limits_are_the_pages_own_until_they_are_set() -> None:
    async def main() -> None:
        async with stick(hardware=SUB_GHZ_KIT) as (_, port), connected(port) as raw:
            await raw.start()
            await raw.form(channel=OTHER.ember_byte)
            assert await raw.command(GET_LIMITS) == b"\x00" + struct.pack("<HHH", 150, 208, 250)
            for wrong in ((0, 2, 3), (1, 0, 3), (1, 2, 0), (2, 2, 3), (3, 2, 4), (1, 3, 3)):
                answer = await raw.command(SET_LIMITS, struct.pack("<HHH", *wrong))
                assert answer == bytes([Ember.BAD_ARGUMENT]), wrong
            assert await raw.command(SET_LIMITS, struct.pack("<HHH", 10, 20, 30)) == b"\x00"
            assert await raw.command(GET_LIMITS) == b"\x00" + struct.pack("<HHH", 10, 20, 30)
            assert await raw.command(SET_LIMITS, bytes(6)) == b"\x00"
            assert await raw.command(GET_LIMITS) == b"\x00" + struct.pack("<HHH", 150, 208, 250)

    fast(main)


async def joined(raw: RawHost, device: Device, channel: Channel, index: int = 0) -> None:
    """Let a device with a key of its own in over this channel."""
    await arm(raw, device.node.state.eui64, index=index)
    (beacon, *_) = await device.node.active_scan([(channel.page, channel.number)])
    assert await device.node.join(beacon, link_key=KEY) is None
    await asyncio.sleep(2)


def child_data(answer: bytes) -> tuple[int, Eui64, int, int]:
    """Status, address, short address and PHY of getChildData."""
    status, eui64, _, nwk, phy = struct.unpack_from("<B8sBHB", answer)
    return status, Eui64.from_little_endian(eui64), nwk, phy


@pytest.mark.parametrize("sleepy", [False, True], ids=["awake", "sleepy"])
def test_children_of_both_phys_are_served_and_known_by_their_phy(sleepy: bool) -> None:
    async def main() -> None:
        air = Air(rng=random.Random(1), propagation=CLEAN)
        async with stick(hardware=SWITCH_COORDINATOR, air=air) as (_, port), connected(port) as raw:
            await hub(raw)
            start = struct.pack("<BBBbB", 1, SUB_GHZ.page, SUB_GHZ.offset, 14, 0)
            assert await raw.command(0xF8, start) == b"\x00"
            near, far = Device(air, CAD), Device(air, OTHER_DEVICE, rx_on=not sleepy)
            await joined(raw, near, NATIVE)
            await joined(raw, far, SUB_GHZ, index=1)
            assert child_data(await raw.command(0x4A, b"\x00")) == (0, CAD, near.nwk, 0)
            assert child_data(await raw.command(0x4A, b"\x01")) == (0, OTHER_DEVICE, far.nwk, 1)
            raw.callbacks.clear()
            for device in (near, far):
                assert await device.send(b"question") is Status.SUCCESS
                parameters = await raw.callback(0x45)
                assert parameters.endswith(b"\x08question")
                frame = aps(ENCRYPTED | RETRY)
                assert (await raw.command(0x34, unicast(device.nwk, frame, b"answer")))[0] == 0
                sent = await raw.callback(0x3F)
                assert sent[3 + 11 + 1] == 0, "delivered"
                assert device.heard.data[-1].payload == b"answer"
            # a rejoin over the other band moves the child to the other PHY
            assert await raw.command(0xF9, b"\x01") == b"\x00"
            assert await far.node.rejoin(secured=True, channels=[(0, 20)]) is None
            await asyncio.sleep(2)
            assert child_data(await raw.command(0x4A, b"\x01")) == (0, OTHER_DEVICE, far.nwk, 0)
            near.off()
            far.off()

    fast(main)


def test_a_child_keeps_its_phy_over_a_reset_and_is_deaf_until_the_phy_is_started() -> None:
    async def main() -> None:
        air = Air(rng=random.Random(1), propagation=CLEAN)
        async with stick(hardware=SWITCH_COORDINATOR, air=air) as (_, port), connected(port) as raw:
            await hub(raw)
            start = struct.pack("<BBBbB", 1, SUB_GHZ.page, SUB_GHZ.offset, 14, 0)
            assert await raw.command(0xF8, start) == b"\x00"
            device = Device(air, CAD)
            await joined(raw, device, SUB_GHZ)
            await raw.start()
            await raw.add_endpoint(1, 0x0702)
            assert await raw.command(0x17, b"\x00\x00") == b"\x00"
            assert child_data(await raw.command(0x4A, b"\x00")) == (0, CAD, device.nwk, 1)
            assert await device.send(b"lost") is not Status.SUCCESS
            assert await raw.command(0xF8, start) == b"\x00"
            raw.callbacks.clear()
            assert await device.send(b"heard") is Status.SUCCESS
            assert (await raw.callback(0x45)).endswith(b"\x05heard")
            device.off()

    fast(main)


def consumed(answer: bytes) -> list[tuple[int, int]]:
    """Node and 0.01 % of each entry of getCurrentDutyCycle."""
    assert len(answer) == 1 + 134
    assert answer[0] == 0
    return [struct.unpack_from("<HH", answer, 2 + 4 * index) for index in range(answer[1])]


def test_what_was_sent_is_counted_and_the_states_are_told() -> None:
    async def main() -> None:
        air = Air(rng=random.Random(1), propagation=CLEAN)
        async with stick(hardware=SUB_GHZ_KIT, air=air) as (ncp, port), connected(port) as raw:
            await raw.start()
            await raw.add_endpoint(1, 0x0702)
            await raw.form(channel=SUB_GHZ.ember_byte)
            assert await raw.command(GET_STATE) == bytes([0, DutyCycleState.NORMAL])
            device = Device(air, CAD)
            await joined(raw, device, SUB_GHZ)
            assert await raw.command(SET_LIMITS, struct.pack("<HHH", 2, 4, 8)) == b"\x00"
            raw.callbacks.clear()
            told: list[tuple[int, int]] = []
            for _ in range(400):
                refused = (await raw.command(0x34, unicast(device.nwk, aps(RETRY), bytes(80))))[0]
                assert refused == 0
                await asyncio.sleep(0.5)
                told += states(raw)
                if told and told[-1][0] == DutyCycleState.SUSPENDED:
                    break
            assert [state for state, _ in told] == [2, 3, 4]
            # as much as the limit says had been used; the last one is never reached
            assert [used for _, used in told] == [2, 4, 7]
            node = ncp.firmware.network.node
            assert node is not None
            assert node.sent_airtime_us(0) // 360_000 == 7
            assert await raw.command(GET_STATE) == bytes([0, DutyCycleState.SUSPENDED])
            (own, child, nobody) = consumed(await raw.command(GET_CURRENT, b"\x03"))
            assert own == (0x0000, 7)
            assert child[0] == device.nwk
            assert child[1] == node.heard_airtime_us(0)[device.nwk] // 360_000 > 0
            assert nobody == (0xFFFF, 0)
            # all is silent now
            before = node.sent_airtime_us(0)
            raw.callbacks.clear()
            assert (await raw.command(0x34, unicast(device.nwk, aps(RETRY), b"x")))[0] == 0
            assert (await raw.callback(0x3F, 60))[3 + 11 + 1] == Ember.DELIVERY_FAILED
            assert node.sent_airtime_us(0) == before
            # the hour goes by, and the account is empty again
            raw.callbacks.clear()
            await asyncio.sleep(4000)
            assert [state for state, _ in states(raw)][-1] == DutyCycleState.NORMAL
            assert consumed(await raw.command(GET_CURRENT, b"\x01")) == [(0x0000, 0)]
            assert await raw.command(GET_CURRENT, b"\x22") == bytes([Ember.BAD_ARGUMENT]) + bytes(
                134
            )
            device.off()

    fast(main)


def states(raw: RawHost) -> list[tuple[int, int]]:
    """State and the hub's own consumption of each dutyCycleHandler so far, which are taken."""
    found = []
    for entry in [entry for entry in raw.callbacks if entry[1] == HANDLER]:
        raw.callbacks.remove(entry)
        page, channel, state, number, again, node, used = struct.unpack_from("<BBBBHHH", entry[2])
        assert (page, channel) == (SUB_GHZ.page, SUB_GHZ.offset)
        assert number == again
        assert node == 0x0000
        assert len(entry[2]) == 6 + 4 * number
        found.append((state, used))
    return found
