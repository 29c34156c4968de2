"""The ZNP coordinator on unmodified zigpy-znp, against the virtual stick and a node on its air."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.errors import DeliveryError, RigError
from labctl.events import JoinKind
from labctl.radio.coordinator import (
    BROADCAST_DELIVERY_S,
    CoordinatorListener,
    EndpointDescriptor,
    Incoming,
    JoinDecision,
    JoinSeen,
    NetworkSettings,
    OtherRadioError,
    Outgoing,
    PhySettings,
    RadioState,
)
from labctl.radio.znp import ZnpCoordinator, ZnpPort
from labctl.radio.znp.addresses import AddressBook
from labctl.radio.znp.policies import EXPECTED_FOR_S
from labctl.secret import Secret
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.clock import run
from labctl.virtual.node import (
    Admission,
    Indication,
    JoinFailure,
    LinkKey,
    Node,
    NodeListener,
    NodeState,
    Role,
    SimpleDescriptor,
    Status,
)
from labctl.virtual.propagation import Propagation
from labctl.virtual.znp import Firmware, Memory, VirtualZnpNcp
from labctl.virtual.znp.nvram import Item, Table
from labctl.virtual.znp.status import Z
from labctl.virtual.znp.structures import TclkEntry

STICK = Eui64("00:00:5e:ef:10:00:00:01")
DEVICE = Eui64("00:00:5e:ef:10:00:00:02")
OTHER = Eui64("00:00:5e:ef:10:00:00:03")
KEY = Secret(bytes(range(16)))
NEW_KEY = Secret(bytes(range(16, 32)))
DEFAULT_KEY = b"ZigBeeAlliance09"
SETTINGS = NetworkSettings((PhySettings(Channel(0, 15), tx_power_dbm=5),))
ENDPOINTS = (
    EndpointDescriptor(1, 0x0508, (0x0000, 0x000A, 0x0025, 0x0800), (0x0800,)),
    EndpointDescriptor(2, 0x0500, (0x0000, 0x0700, 0x0701, 0x0702), (0x0800,)),
)


@dataclass
class Host(CoordinatorListener):
    packets: list[Incoming] = field(default_factory=list)
    joins: list[JoinSeen] = field(default_factory=list)
    left: list[Eui64] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def packet_received(self, packet: Incoming) -> None:
        self.packets.append(packet)
        self.arrived.set()

    def join_seen(self, join: JoinSeen) -> None:
        self.joins.append(join)

    def device_left(self, eui64: Eui64, nwk: int) -> None:
        self.left.append(eui64)

    def connection_lost(self, cause: str, bearer: int = 0) -> None:
        self.lost.append(cause)

    def channel_changed(self, bearer: int, channel: Channel) -> None:
        self.channels.append(channel)

    @property
    def metering(self) -> list[Incoming]:
        return [p for p in self.packets if (p.profile_id, p.cluster_id) == (0x0109, 0x0702)]

    async def packet(self) -> Incoming:
        async with asyncio.timeout(30):
            while not self.metering:
                self.arrived.clear()
                await self.arrived.wait()
        return self.metering[0]


@dataclass
class Device(NodeListener):
    received: list[Indication] = field(default_factory=list)
    observed: list[Indication] = field(default_factory=list)

    def data_received(self, indication: Indication) -> None:
        self.received.append(indication)

    def zdo_observed(self, indication: Indication) -> None:
        self.observed.append(indication)


@dataclass
class Lab:
    """A stick, and a device beside it, on one air."""

    air: Air
    ncp: VirtualZnpNcp
    port: int
    host: Host
    coordinator: ZnpCoordinator
    device: Device
    node: Node

    async def start(self, wanted: NetworkSettings = SETTINGS) -> RadioState:
        (state,) = await self.coordinator.start(wanted, ENDPOINTS)
        return state

    async def restart(self, wanted: NetworkSettings = SETTINGS) -> RadioState:
        await self.coordinator.stop()
        self.coordinator = coordinator(self.port)
        self.coordinator.listen(self.host)
        return await self.start(wanted)

    async def join(self, key: Secret = KEY) -> JoinFailure | None:
        for _ in range(5):  # a beacon may collide with something; devices scan again, too
            beacons = await self.node.active_scan([15])
            if beacons:
                return await self.node.join(beacons[0], link_key=key.reveal())
        return JoinFailure.NO_BEACON

    async def joined(self) -> None:
        await self.coordinator.install_link_key(DEVICE, KEY)
        await self.coordinator.permit_joining(60)
        assert await self.join() is None
        await asyncio.sleep(1)

    async def up(self, data: bytes, *, aps_secured: bool = True) -> Status:
        """The device sends."""
        return await self.node.send(
            0x0000,
            source_endpoint=1,
            destination_endpoint=2,
            profile_id=0x0109,
            cluster_id=0x0702,
            payload=data,
            aps_secured=aps_secured,
        )

    async def down(self, data: bytes, *, aps_encrypt: bool = True) -> None:
        """The hub sends."""
        nwk = self.node.state.nwk
        await self.coordinator.send(Outgoing(nwk, 2, 1, 0x0702, data, aps_encrypt=aps_encrypt))

    @property
    def lets_back(self) -> bool:
        """Whether the trust centre gives the network key to those who rejoin without it."""
        return self.ncp.firmware.trust.default_key_rejoins

    def entry(self, eui64: Eui64) -> TclkEntry | None:
        entries = map(TclkEntry.unpack, self.ncp.firmware.nvram.entries(Table.TCLK))
        return next((entry for entry in entries if entry.partner == eui64), None)

    def replace(self, name: str, handler: Callable[..., Any]) -> Callable[..., Any]:
        """Another answer of the firmware to one command; returns its own."""
        handlers = self.ncp.firmware._handlers
        own: Callable[..., Any] = handlers[name]
        handlers[name] = handler
        return own


def coordinator(port: int) -> ZnpCoordinator:
    return ZnpCoordinator(
        ZnpPort(name="stick", path=f"socket://127.0.0.1:{port}"), random.Random(3).randbytes
    )


@asynccontextmanager
async def laboratory(folder: Path | None, firmware: Firmware | None = None) -> AsyncIterator[Lab]:
    air = Air(rng=random.Random(1), propagation=Propagation(shadowing_db=0))
    ncp = VirtualZnpNcp(
        air=air,
        eui64=STICK,
        memory=Memory(folder / "stick.json") if folder else None,
        rng=random.Random(2),
        firmware=firmware,
    )
    port = await ncp.listen("127.0.0.1", 0)
    host, device = Host(), Device()
    node = Node(
        air,
        NodeState(eui64=DEVICE, role=Role.END_DEVICE),
        device,
        rng=random.Random(4),
        position=(3.0, 0.0, 0.0),
        reassemble=True,
    )
    node.endpoints[1] = SimpleDescriptor(1, 0x0109, 0x0502, 1, (0x0000,), (0x0700, 0x0702))
    node.power_on()
    lab = Lab(air, ncp, port, host, coordinator(port), device, node)
    lab.coordinator.listen(host)
    try:
        yield lab
    finally:
        await lab.coordinator.stop()
        node.power_off()
        await ncp.close()


def in_the_lab(
    work: Callable[[Lab], Coroutine[Any, Any, None]],
    *,
    folder: Path | None = None,
    firmware: Firmware | None = None,
) -> None:
    told: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with laboratory(folder, firmware) as lab:
            await work(lab)

    run(main(), fast=True)
    assert told == []


# -- the network ----------------------------------------------------------------------------------


def test_it_forms_what_the_settings_say_and_resumes() -> None:
    async def work(lab: Lab) -> None:
        first = await lab.start(replace(SETTINGS, pan_id=0x1A2B))
        assert not first.resumed
        assert (first.driver, first.eui64, first.channel, first.page) == ("znp", STICK, 15, 0)
        assert (first.pan_id, first.tx_power_dbm, first.key_table_size) == (0x1A2B, 5, 40)
        assert first.extended_pan_id == STICK, "GBCS: the extended PAN id is the hub's address"
        assert first.firmware == "Z-Stack 2.7.1 of 2025-03-21"
        second = await lab.restart()
        assert second.resumed
        assert (second.pan_id, second.channel) == (first.pan_id, first.channel)

    in_the_lab(work)


def test_no_throw_away_network_is_on_the_air_before_it() -> None:
    async def work(lab: Lab) -> None:
        heard: set[tuple[int, int]] = set()
        own = lab.ncp.firmware.network.form

        def form(channel: int) -> None:
            own(channel)
            heard.add((channel, lab.ncp.firmware.network.nib.pan_id))

        lab.ncp.firmware.network.form = form  # type: ignore[method-assign]
        state = await lab.start()
        assert heard == {(15, state.pan_id)}

    in_the_lab(work)


def test_the_network_key_is_of_the_given_source_of_randomness() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        node = lab.ncp.firmware.network.node
        assert node is not None
        assert node.state.network_key in {
            random.Random(3).randbytes(n)[-16:] for n in range(16, 64)
        }

    in_the_lab(work)


def test_the_network_key_can_be_read_for_a_capture() -> None:
    async def main(lab: Lab) -> None:
        await lab.start()
        (key,) = await lab.coordinator.network_keys()
        assert key.reveal() in [
            each for each, label in lab.ncp.wireshark_keys() if "network" in label
        ]

    in_the_lab(main)


def test_the_network_survives_a_power_cut_of_the_stick(tmp_path: Path) -> None:
    seen: list[RadioState] = []

    async def work(lab: Lab) -> None:
        seen.append(await lab.start())
        await lab.coordinator.install_link_key(DEVICE, KEY)

    in_the_lab(work, folder=tmp_path)

    async def again(lab: Lab) -> None:
        seen.append(await lab.start())
        assert await lab.coordinator.link_keys() == {DEVICE: KEY}

    in_the_lab(again, folder=tmp_path)
    assert seen[1].resumed
    assert seen[0].pan_id == seen[1].pan_id


def test_a_network_of_another_use_is_refused_and_given_up_only_on_demand() -> None:
    async def work(lab: Lab) -> None:
        first = await lab.start()
        await lab.coordinator.install_link_key(OTHER, KEY)
        items = lab.ncp.firmware.nvram.items
        mark = next(key for key in items if key[0] == 7)
        del items[mark]  # as if somebody else had formed it
        with pytest.raises(RigError, match="not a Smart Energy one") as caught:
            await lab.restart()
        assert "--form-anew" in caught.value.mend
        state = await lab.restart(replace(SETTINGS, form_anew=True))
        assert not state.resumed
        assert state.pan_id == first.pan_id, "the same seed"
        assert await lab.coordinator.link_keys() == {}

    in_the_lab(work)


def test_a_start_that_was_cut_short_finds_its_own_network_the_next_time() -> None:
    async def work(lab: Lab) -> None:
        network = lab.ncp.firmware.network
        own = network.form

        def form(channel: int) -> None:
            own(channel)
            starting.cancel()

        network.form = form  # type: ignore[method-assign]
        starting = asyncio.create_task(lab.start())
        with pytest.raises(asyncio.CancelledError):
            await starting
        pan_id = network.nib.pan_id
        state = await lab.restart()
        assert (state.resumed, state.pan_id) == (True, pan_id)

    in_the_lab(work)


def test_a_pan_id_that_somebody_near_has_is_another_one_then() -> None:
    async def work(lab: Lab) -> None:
        network = lab.ncp.firmware.network
        own = network.form

        def form(channel: int) -> None:
            lab.ncp.firmware.nvram[Item.PANID] = b"\x34\x12"
            own(channel)

        network.form = form  # type: ignore[method-assign]
        assert (await lab.start()).pan_id == 0x1234
        assert (await lab.restart()).resumed
        with pytest.raises(RigError, match="another network"):
            await lab.restart(replace(SETTINGS, form_anew=True, pan_id=0x1A2B))

    in_the_lab(work)


def test_only_the_network_that_it_had_is_resumed_when_that_is_wanted() -> None:
    async def work(lab: Lab) -> None:
        with pytest.raises(OtherRadioError, match="no network"):
            await lab.start(replace(SETTINGS, only=STICK))
        await lab.restart()
        assert (await lab.restart(replace(SETTINGS, only=STICK))).resumed
        with pytest.raises(OtherRadioError, match=str(OTHER)):
            await lab.restart(replace(SETTINGS, only=OTHER))

    in_the_lab(work)


def test_the_stick_of_an_exported_log_is_not_the_one_to_take_it_over() -> None:
    async def work(lab: Lab) -> None:
        with pytest.raises(RigError, match="exported"):
            await lab.start(replace(SETTINGS, not_on=STICK))

    in_the_lab(work)


def test_another_channel_than_the_rig_files_is_remarked() -> None:
    async def work(lab: Lab) -> None:
        assert (await lab.start()).remarks == ()
        wanted = replace(SETTINGS, phys=(PhySettings(Channel(0, 20), tx_power_dbm=5),))
        state = await lab.restart(wanted)
        assert state.channel == 15
        (remark,) = state.remarks
        assert "channel 15" in remark
        assert "20" in remark

    in_the_lab(work)


def test_the_vendors_own_firmware_does_but_not_all_of_it() -> None:
    """Its keys cannot be read, and no command removes one."""

    async def work(lab: Lab) -> None:
        (remark,) = (await lab.start()).remarks
        assert "vendor's own" in remark
        await lab.joined()
        await lab.down(bytes(400))
        with pytest.raises(RigError, match="number of its network key"):
            await lab.coordinator.send_network_key(DEVICE, lab.node.state.nwk, NEW_KEY)
        await lab.coordinator.erase_link_key(DEVICE)
        assert await lab.coordinator.link_keys() == {}
        assert (await lab.restart()).resumed

    in_the_lab(work, firmware=Firmware.stock())


def test_868_mhz_is_refused() -> None:
    async def work(lab: Lab) -> None:
        wanted = NetworkSettings((PhySettings(Channel(28, 10), tx_power_dbm=14),))
        with pytest.raises(RigError, match=r"2\.4 GHz alone"):
            await lab.start(wanted)

    in_the_lab(work)


def test_more_devices_than_the_firmware_keeps_keys_of_are_refused() -> None:
    async def work(lab: Lab) -> None:
        with pytest.raises(RigError, match="keeps 40 link keys"):
            await lab.start(replace(SETTINGS, max_devices=41))

    in_the_lab(work)


def test_a_stick_without_an_amplifier_transmits_with_what_it_can() -> None:
    async def work(lab: Lab) -> None:
        system = lab.ncp.firmware.system
        own = system.sys_set_tx_power
        lab.replace("sys_set_tx_power", lambda dbm: own(dbm) if dbm <= 5 else Z.INVALID_PARAMETER)
        state = await lab.start(
            replace(SETTINGS, phys=(PhySettings(Channel(0, 15), tx_power_dbm=8),))
        )
        assert state.tx_power_dbm == 5
        assert [r for r in state.remarks if "amplifier" in r]
        assert system.tx_power_dbm == 5

    in_the_lab(work)


@pytest.mark.parametrize(("version", "words"), [(1.2, "one key for all"), (3.0, "forgets")])
def test_firmware_that_cannot_be_a_trust_centre_is_refused(
    monkeypatch: pytest.MonkeyPatch, version: float, words: str
) -> None:
    from labctl.radio.znp.connection import Connection

    async def older(_: Any) -> float:
        return version

    monkeypatch.setattr(Connection, "detect_zstack_version", older)

    async def work(lab: Lab) -> None:
        with pytest.raises(RigError, match=words) as caught:
            await lab.start()
        assert "CC2652" in caught.value.mend

    in_the_lab(work)


# -- keys -----------------------------------------------------------------------------------------


def test_link_keys_are_stored_replaced_and_erased() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.coordinator.install_link_key(DEVICE, KEY)
        await lab.coordinator.install_link_key(OTHER, KEY)
        await lab.coordinator.install_link_key(DEVICE, NEW_KEY)
        assert await lab.coordinator.link_keys() == {DEVICE: NEW_KEY, OTHER: KEY}
        await lab.coordinator.erase_link_key(OTHER)
        await lab.coordinator.erase_link_key(OTHER)
        assert await lab.coordinator.link_keys() == {DEVICE: NEW_KEY}
        await lab.coordinator.install_link_key(OTHER, KEY)
        assert await lab.coordinator.link_keys() == {DEVICE: NEW_KEY, OTHER: KEY}

    in_the_lab(work)


def test_a_full_key_table_is_said_and_harms_nothing() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        for number in range(40):
            await lab.coordinator.install_link_key(Eui64(f"{number + 1:016x}"), KEY)
        with pytest.raises(RigError, match="full"):
            await lab.coordinator.install_link_key(DEVICE, KEY)
        assert len(await lab.coordinator.link_keys()) == 40
        await lab.coordinator.install_link_key(Eui64(f"{7:016x}"), NEW_KEY)
        assert (await lab.coordinator.link_keys())[Eui64(f"{7:016x}")] == NEW_KEY

    in_the_lab(work)


def keeps_what_it_has(lab: Lab) -> None:
    """Firmware that takes a key for a device only once."""
    trust = lab.ncp.firmware.trust

    def add(format: int, eui64: Eui64, code: bytes) -> Z:
        return Z.SUCCESS if lab.entry(eui64) else trust.add_install_code(eui64, code)

    lab.replace("app_cnf_bdb_add_installcode", add)


def test_firmware_that_does_not_write_over_a_key_is_made_to_forget_it_first() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        keeps_what_it_has(lab)
        await lab.coordinator.install_link_key(DEVICE, NEW_KEY)
        assert await lab.coordinator.link_keys() == {DEVICE: NEW_KEY}
        assert lab.host.lost == []

    in_the_lab(work)


def test_where_no_command_helps_the_tables_are_written_and_the_stick_restarted() -> None:
    """As with the vendor's own firmware, which has no command that removes a key."""

    async def work(lab: Lab) -> None:
        before = await lab.start()
        await lab.joined()
        keeps_what_it_has(lab)
        del lab.ncp.firmware._handlers["zdo_remove_link_key"]
        await lab.coordinator.install_link_key(DEVICE, NEW_KEY)
        assert await lab.coordinator.link_keys() == {DEVICE: NEW_KEY}
        assert lab.host.lost == [], "a restart of our own is no loss"
        lab.node.state.link_keys[STICK] = LinkKey(STICK, NEW_KEY.reveal())
        await lab.down(b"under the new key")
        assert lab.device.received[-1].payload == b"under the new key"
        assert await lab.up(b"too") is Status.SUCCESS
        assert (await lab.host.packet()).aps_encrypted
        await lab.coordinator.erase_link_key(DEVICE)
        assert await lab.coordinator.link_keys() == {}
        assert lab.ncp.firmware.trust.install_codes_only, "what RAM forgot is set again"
        network = lab.ncp.firmware.network
        assert network.nib.pan_id == before.pan_id

    in_the_lab(work)


def test_a_key_that_the_stick_does_not_take_is_an_error() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        lab.replace("app_cnf_bdb_add_installcode", lambda **_: Z.SUCCESS)
        lab.replace("sys_nv_write", lambda **_: Z.SUCCESS)
        with pytest.raises(RigError, match="holds another one"):
            await lab.coordinator.install_link_key(DEVICE, KEY)

    in_the_lab(work)


def test_an_erase_that_the_stick_refuses_is_an_error() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.coordinator.install_link_key(DEVICE, KEY)
        lab.replace("zdo_remove_link_key", lambda **_: Z.SUCCESS)
        lab.replace("sys_nv_write", lambda **_: Z.SUCCESS)
        with pytest.raises(RigError, match="did not erase"):
            await lab.coordinator.erase_link_key(DEVICE)

    in_the_lab(work)


def test_an_application_key_of_somebody_elses_gives_way() -> None:
    """Data would go under that one, and ours be used for the trust centre's commands alone."""

    async def work(lab: Lab) -> None:
        await lab.start()
        foreign = bytes(range(100, 116))
        lab.ncp.firmware.trust.zdo_sec_add_link_key(0xFFFE, DEVICE, foreign)
        state = await lab.restart()
        assert [r for r in state.remarks if "1 application link key" in r]
        await lab.joined()
        await lab.down(b"hello")
        assert lab.device.received[-1].aps_secured

    in_the_lab(work)


# -- joins ----------------------------------------------------------------------------------------


def test_a_device_with_a_key_joins_and_keeps_its_key() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        (join,) = lab.host.joins
        assert (join.eui64, join.kind, join.parent_nwk) == (DEVICE, JoinKind.JOIN, 0x0000)
        assert join.decision is JoinDecision.KEY_SENT
        announce = next(p for p in lab.host.packets if p.cluster_id == 0x0013)
        assert (announce.eui64, announce.profile_id, announce.broadcast) == (DEVICE, 0, True)
        await asyncio.sleep(60)
        assert lab.node.state.joined, "no exchange of keys is asked for"
        assert await lab.coordinator.link_keys() == {DEVICE: KEY}

    in_the_lab(work)


def test_a_device_without_a_key_is_not_let_in_and_nobody_is_told() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.coordinator.permit_joining(60)
        assert await lab.join() is JoinFailure.NO_NETWORK_KEY
        assert await lab.join(Secret(DEFAULT_KEY)) is JoinFailure.NO_NETWORK_KEY
        assert lab.host.joins == []
        assert lab.entry(DEVICE) is None

    in_the_lab(work)


def test_a_wrong_key_is_seen_as_a_join_without_an_announcement() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.coordinator.install_link_key(DEVICE, KEY)
        await lab.coordinator.permit_joining(60)
        assert await lab.join(NEW_KEY) is JoinFailure.NO_NETWORK_KEY
        assert await lab.join(NEW_KEY) is JoinFailure.NO_NETWORK_KEY
        await asyncio.sleep(5)
        assert [(join.eui64, join.kind) for join in lab.host.joins] == [(DEVICE, JoinKind.JOIN)] * 2
        assert not [p for p in lab.host.packets if p.cluster_id == 0x0013]

    in_the_lab(work)


def test_a_closed_network_says_so_in_its_beacon() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.coordinator.install_link_key(DEVICE, KEY)
        assert await lab.join() is JoinFailure.NOT_PERMITTED
        await lab.coordinator.permit_joining(30)
        await asyncio.sleep(31)
        assert await lab.join() is JoinFailure.NOT_PERMITTED
        assert lab.host.joins == []

    in_the_lab(work)


@pytest.mark.parametrize("seconds", [-1, 255, 256])
def test_a_permit_of_more_than_254_s_is_refused(seconds: int) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        with pytest.raises(ValueError, match="254"):
            await lab.coordinator.permit_joining(seconds)

    in_the_lab(work)


def test_policies_are_set_at_each_start_and_after_each_reset() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        trust = lab.ncp.firmware.trust
        expected = (True, False, False)
        policies = (
            trust.install_codes_only,
            trust.require_key_exchange,
            trust.default_key_rejoins,
        )
        assert policies == expected
        await lab.restart()
        trust = lab.ncp.firmware.trust
        assert (trust.install_codes_only, trust.default_key_rejoins) == (True, False)

    in_the_lab(work)


async def comes_back(lab: Lab, *, secured: bool) -> bool:
    """The device rejoins the network that it was on."""
    failure: JoinFailure | None = JoinFailure.NO_BEACON
    for _ in range(5):  # as with a join: a beacon may collide with something
        if failure is JoinFailure.NO_BEACON:
            failure = await lab.node.rejoin(secured=secured, channels=[15])
    await asyncio.sleep(1)
    return failure is None


def test_a_rejoin_with_the_network_key_is_one() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        assert await comes_back(lab, secured=True)
        join = lab.host.joins[-1]
        assert (join.kind, join.decision) == (JoinKind.SECURED_REJOIN, JoinDecision.NO_ACTION)
        await lab.coordinator.permit_joining(0)
        assert await comes_back(lab, secured=True)
        assert lab.host.joins[-1].kind is JoinKind.SECURED_REJOIN

    in_the_lab(work)


def test_nobody_gets_the_network_key_by_an_unsecured_rejoin() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.down(b"you are here")
        await lab.coordinator.permit_joining(0)
        lab.host.joins.clear()
        assert not await comes_back(lab, secured=False)
        assert lab.host.joins == []

    in_the_lab(work)


def test_after_a_change_of_the_network_key_who_missed_it_is_let_back_once() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.coordinator.permit_joining(0)
        nwk = lab.node.state.nwk
        lab.node.power_off()
        await lab.coordinator.send_network_key(DEVICE, nwk, NEW_KEY)
        await asyncio.sleep(BROADCAST_DELIVERY_S)
        await lab.coordinator.switch_network_key()
        lab.node.power_on()
        trust = lab.ncp.firmware.trust
        assert trust.default_key_rejoins
        assert await comes_back(lab, secured=False)
        assert lab.host.joins[-1].kind is JoinKind.UNSECURED_REJOIN
        assert await lab.up(b"here again") is Status.SUCCESS
        assert (await lab.host.packet()).eui64 == DEVICE
        assert not trust.default_key_rejoins, "everybody is back: closed again"

    in_the_lab(work)


def test_whoever_has_a_key_may_come_back_to_a_stick_that_was_restarted_or_replaced() -> None:
    """They may not have the network key: it changed while they were off, or with the stick."""

    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.restart()
        assert lab.lets_back, "who is here is not known"
        await lab.down(b"you are here")
        await asyncio.sleep(1)
        assert not lab.lets_back
        await lab.restart(replace(SETTINGS, form_anew=True, extended_pan_id=STICK))
        await lab.coordinator.install_link_key(DEVICE, NEW_KEY)  # hashed, as with another stick
        lab.node.state.link_keys[STICK] = LinkKey(STICK, NEW_KEY.reveal())
        assert await comes_back(lab, secured=False)
        assert lab.host.joins[-1].kind is JoinKind.UNSECURED_REJOIN
        await lab.coordinator.erase_link_key(DEVICE)
        await asyncio.sleep(1)
        assert not lab.lets_back

    in_the_lab(work)


def test_a_stranger_that_got_the_network_key_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.coordinator.install_link_key(OTHER, KEY)  # somebody is expected
        lab.ncp.firmware.trust.admission(DEVICE, 0x1234, Admission.UNSECURED_REJOIN, 0x0000)
        await asyncio.sleep(1)
        assert lab.host.joins[-1].eui64 == DEVICE

    in_the_lab(work)
    assert "under the default key" in caplog.text


def test_who_does_not_come_back_within_a_day_does_not_keep_the_network_open() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.coordinator.install_link_key(OTHER, KEY)
        await lab.coordinator.send_network_key(DEVICE, lab.node.state.nwk, NEW_KEY)
        await asyncio.sleep(BROADCAST_DELIVERY_S)
        await lab.coordinator.switch_network_key()
        await lab.down(b"1")
        assert lab.ncp.firmware.trust.default_key_rejoins
        await asyncio.sleep(EXPECTED_FOR_S + 1)
        assert not lab.ncp.firmware.trust.default_key_rejoins

    in_the_lab(work)


def test_a_device_that_leaves_is_told_and_one_that_will_rejoin_is_not() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        told = lab.ncp.firmware.zdo.leave_heard
        told(DEVICE, lab.node.state.nwk, request=False, rejoin=True)
        await asyncio.sleep(1)
        assert lab.host.left == []
        told(DEVICE, lab.node.state.nwk, request=False, rejoin=False)
        await asyncio.sleep(1)
        assert lab.host.left == [DEVICE]

    in_the_lab(work)


def test_a_removed_device_leaves() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.coordinator.remove_device(DEVICE, lab.node.state.nwk)
        await asyncio.sleep(5)
        assert not lab.node.state.joined

    in_the_lab(work)


# -- data -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [3, 60, 83, 220, 221, 230, 231, 240, 241, 400, 1500])
@pytest.mark.parametrize("encrypt", [False, True])
def test_packets_of_any_length_arrive_whole_in_both_directions(length: int, encrypt: bool) -> None:
    data = random.Random(length).randbytes(length)

    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.down(data, aps_encrypt=encrypt)
        (down,) = lab.device.received
        assert down.payload == data
        assert down.aps_secured is encrypt
        assert (down.source_endpoint, down.destination_endpoint) == (2, 1)
        assert (down.profile_id, down.cluster_id) == (0x0109, 0x0702)
        assert await lab.up(data, aps_secured=encrypt) is Status.SUCCESS
        up = await lab.host.packet()
        assert up.data == data
        assert (up.eui64, up.nwk) == (DEVICE, lab.node.state.nwk)
        assert up.aps_encrypted is encrypt
        assert (up.source_endpoint, up.destination_endpoint) == (1, 2)
        assert up.rssi_dbm is None
        assert 0 < up.lqi <= 255
        assert not up.broadcast

    in_the_lab(work)


@pytest.mark.parametrize("endpoint", [1, 2])
def test_a_frame_leaves_from_the_endpoint_that_it_is_of(endpoint: int) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.coordinator.send(Outgoing(lab.node.state.nwk, endpoint, 1, 0x0702, b"x"))
        (down,) = lab.device.received
        assert (down.source_endpoint, down.profile_id) == (endpoint, 0x0109)

    in_the_lab(work)


def test_long_messages_at_the_same_time_do_not_mix() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        messages = [random.Random(n).randbytes(300 + n) for n in range(4)]
        await asyncio.gather(*(lab.down(message) for message in messages))
        assert sorted(i.payload for i in lab.device.received) == sorted(messages)

    in_the_lab(work)


def test_a_senders_frames_stay_in_order_around_a_long_one() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        messages = [b"before", random.Random(5).randbytes(700), b"after", b"and after"]
        firmware = lab.ncp.firmware
        nwk = lab.node.state.nwk
        for data in messages:  # as fast as the line is, and faster than any air
            firmware.af.data_received(
                Indication(
                    source=nwk,
                    source_eui64=DEVICE,
                    destination=0x0000,
                    source_endpoint=1,
                    destination_endpoint=2,
                    profile_id=0x0109,
                    cluster_id=0x0702,
                    payload=data,
                    aps_secured=True,
                    counter=1,
                    ack_requested=True,
                    lqi=200,
                    rssi_dbm=-50,
                )
            )
        await asyncio.sleep(2)
        assert [packet.data for packet in lab.host.metering] == messages
        assert firmware.af._received == {}, "the stick's heap is free again"

    in_the_lab(work)


def test_a_long_message_that_the_stick_has_lost_takes_nothing_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        lab.replace("af_data_retrieve", lambda **_: {"status": Z.FAILURE, "data": b""})
        assert await lab.up(bytes(400)) is Status.SUCCESS
        assert await lab.up(b"short") is Status.SUCCESS
        await asyncio.sleep(1)
        assert [packet.data for packet in lab.host.metering] == [b"short"]

    in_the_lab(work)
    assert "is lost" in caplog.text


def test_a_busy_stick_is_asked_again() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        answers = [Z.BUFFER_FULL, Z.MEM_ERROR]

        def busy(**request: Any) -> Any:
            return answers.pop() if answers else own(**request)

        own = lab.replace("af_data_request_ext", busy)
        await lab.down(b"patience")
        assert [i.payload for i in lab.device.received] == [b"patience"]

    in_the_lab(work)


def test_a_device_that_is_gone_is_a_delivery_error() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        lab.node.power_off()
        with pytest.raises(DeliveryError) as caught:
            await lab.down(b"x")
        assert caught.value.status in ("MAC_NO_ACK", "APS_NO_ACK")

    in_the_lab(work)


def test_what_the_mac_could_not_deliver_is_sent_again() -> None:
    """Z-Stack itself repeats only what nobody acknowledges end to end."""

    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        lab.node.power_off()
        sending = asyncio.create_task(lab.down(b"after a while"))
        await asyncio.sleep(3)
        lab.node.power_on()
        await sending
        assert [i.payload for i in lab.device.received] == [b"after a while"]

    in_the_lab(work)


def test_encryption_without_a_key_is_refused_at_once() -> None:
    """The stick would take the default key, and say that all went well."""

    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.coordinator.erase_link_key(DEVICE)
        with pytest.raises(DeliveryError) as caught:
            await lab.down(b"x")
        assert caught.value.status == "SEC_NO_KEY"
        assert lab.entry(DEVICE) is None

    in_the_lab(work)


def test_a_frame_under_the_default_key_is_not_taken_for_encrypted() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.coordinator.erase_link_key(DEVICE)
        lab.ncp.firmware.trust.needs_a_key(DEVICE)
        lab.node.state.link_keys[STICK] = LinkKey(STICK, DEFAULT_KEY)
        assert await lab.up(b"under a key that everybody knows") is Status.SUCCESS
        assert not (await lab.host.packet()).aps_encrypted

    in_the_lab(work)


def test_discovery_is_answered_once_and_by_the_stick_alone() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        body = bytes.fromhex("fdff 0901 01 0107 00".replace(" ", ""))
        answers = await lab.node.zdo_broadcast(0xFFFD, 0x0006, body, collect_s=3)
        assert [(source, body[0], body[4:]) for source, body in answers] == [(0, 0, b"\x02")]
        simple = await lab.node.zdo(0x0000, 0x0004, bytes.fromhex("000002"))
        assert simple is not None
        assert simple[0] == 0
        assert not [p for p in lab.host.packets if p.cluster_id in (0x0006, 0x0004)]

    in_the_lab(work)


def test_a_bind_request_is_heard_and_answered_by_the_stick_alone() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        request = STICK.little_endian + b"\x02\x00\x07\x03" + DEVICE.little_endian + b"\x01"
        answer = await lab.node.zdo(0x0000, 0x0021, request)
        assert answer == b"\x00"
        (bind,) = [p for p in lab.host.packets if p.cluster_id == 0x0021]
        assert (bind.eui64, bind.profile_id, bind.data[1:]) == (DEVICE, 0, request)
        lab.device.observed.clear()
        nwk = lab.node.state.nwk
        await lab.coordinator.send(
            Outgoing(nwk, 0, 0, 0x8021, bind.data[:1] + b"\x84", profile_id=0)
        )
        await asyncio.sleep(2)
        assert not [i for i in lab.device.observed if i.cluster_id == 0x8021]

    in_the_lab(work)


@pytest.mark.parametrize("length", [3, 400])
def test_a_bug_of_the_hubs_is_told_to_the_loop_and_not_lost_in_the_driver(length: int) -> None:
    class Clumsy(Host):
        def packet_received(self, packet: Incoming) -> None:
            if packet.cluster_id == 0x0702:
                raise ZeroDivisionError("on purpose")

    told: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with laboratory(None) as lab:
            lab.coordinator.listen(Clumsy())
            await lab.start()
            await lab.joined()
            await lab.up(bytes(length))
            await asyncio.sleep(1)

    run(main(), fast=True)
    assert [type(context["exception"]) for context in told] == [ZeroDivisionError]


def test_a_zdo_request_of_the_hubs_is_answered() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        nwk = lab.node.state.nwk
        request = b"\x2a" + nwk.to_bytes(2, "little")
        await lab.coordinator.send(Outgoing(nwk, 0, 0, 0x0005, request, profile_id=0))
        await asyncio.sleep(2)
        (answer,) = [p for p in lab.host.packets if p.cluster_id == 0x8005]
        assert answer.data == b"\x2a\x00" + nwk.to_bytes(2, "little") + b"\x01\x01"
        assert (answer.eui64, answer.profile_id) == (DEVICE, 0)

    in_the_lab(work)


def test_a_sender_that_the_stick_does_not_know_is_asked_for_its_address() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        nwk = lab.node.state.nwk
        assert lab.coordinator._inbox is not None
        lab.coordinator._inbox._addresses = lab.coordinator._addresses = AddressBook()
        lab.replace("util_addrmgr_nwk_addr_lookup", lambda **_: {"eui64": Eui64("ff" * 8)})
        assert await lab.up(b"hello") is Status.SUCCESS
        packet = await lab.host.packet()
        assert (packet.nwk, packet.eui64, packet.data) == (nwk, DEVICE, b"hello")

    in_the_lab(work)


def test_after_a_restart_it_knows_who_is_where() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.restart()
        assert lab.coordinator.address_of(DEVICE) == lab.node.state.nwk
        await lab.down(b"hello again")
        assert lab.device.received[-1].payload == b"hello again"

    in_the_lab(work)


def test_nothing_is_counted() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        assert await lab.coordinator.counters() == {}

    in_the_lab(work)


# -- channels -------------------------------------------------------------------------------------


def test_an_energy_scan_tells_the_level_of_each_channel() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        channels = [Channel(0, 26), Channel(0, 11), Channel(0, 20)]
        levels = await lab.coordinator.energy_scan(channels, exponent=3)
        assert set(levels) == set(channels)
        assert all(-87 <= level <= -10 for level in levels.values())
        with pytest.raises(RigError, match="alone"):
            await lab.coordinator.energy_scan([Channel(28, 3)])

    in_the_lab(work)


def test_the_network_moves_without_telling_anybody() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.coordinator.change_channel(0, Channel(0, 25))
        assert lab.host.channels == [Channel(0, 25)]
        await lab.coordinator.change_channel(0, Channel(0, 25))
        assert lab.host.channels == [Channel(0, 25)]
        assert not [i for i in lab.device.observed if i.cluster_id == 0x0038]
        state = await lab.restart()
        assert state.channel == 25

    in_the_lab(work)


def test_a_change_of_the_channel_is_broadcast_and_the_stick_stays_meanwhile() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.coordinator.announce_channel(0, Channel(0, 25))
        await asyncio.sleep(9)
        (heard,) = [i for i in lab.device.observed if i.cluster_id == 0x0038]
        assert heard.destination == 0xFFFF
        # Sequence number, channels, "change channel", update id.
        assert heard.payload[1:] == bytes.fromhex("00000002 fe 00")
        assert lab.ncp.firmware.network.nib.channel == 15

    in_the_lab(work)


# -- trouble --------------------------------------------------------------------------------------


def test_a_stick_with_another_address_is_not_used() -> None:
    async def work(lab: Lab) -> None:
        port = ZnpPort(name="stick", path=f"socket://127.0.0.1:{lab.port}", eui64=OTHER)
        lab.coordinator = ZnpCoordinator(port)
        lab.coordinator.listen(lab.host)
        with pytest.raises(RigError, match=str(STICK)):
            await lab.start()

    in_the_lab(work)


def test_a_port_that_is_not_there_is_said_with_a_mend(tmp_path: Path) -> None:
    async def main() -> None:
        nowhere = ZnpCoordinator(ZnpPort(name="stick", path=str(tmp_path / "ttyNONE")))
        nowhere.listen(Host())
        with pytest.raises(RigError) as caught:
            await nowhere.start(SETTINGS, ENDPOINTS)
        assert "ttyNONE" in str(caught.value)
        assert caught.value.mend

    run(main(), fast=False)


def test_a_port_where_nothing_speaks_znp_is_said() -> None:
    async def main() -> None:
        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(100):
                continue
            writer.close()

        server = await asyncio.start_server(mute, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        silent = coordinator(port)
        silent.listen(Host())
        with pytest.raises(RigError, match="speaks ZNP"):
            await silent.start(SETTINGS, ENDPOINTS)
        server.close()

    run(main(), fast=True)


def test_a_stick_that_is_pulled_out_is_told_once() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.ncp.close()
        await asyncio.sleep(60)
        assert len(lab.host.lost) == 1
        for call in (
            lab.down(b"x"),
            lab.coordinator.permit_joining(60),
            lab.coordinator.check_alive(),
            lab.coordinator.link_keys(),
            lab.coordinator.change_channel(0, Channel(0, 20)),
        ):
            with pytest.raises(RigError):
                await call

    in_the_lab(work)


def test_a_request_that_is_under_way_ends_with_the_stick() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        lab.node.power_off()
        began = asyncio.get_running_loop().time()
        sending = asyncio.create_task(lab.down(b"x"))
        await asyncio.sleep(0.1)
        await lab.ncp.close()
        with pytest.raises(DeliveryError):
            await sending
        assert asyncio.get_running_loop().time() - began < 1

    in_the_lab(work)


def test_a_stick_that_resets_on_its_own_is_lost() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        lab.ncp.crash()
        await asyncio.sleep(5)
        assert lab.host.lost == ["the NCP reset on its own"]

    in_the_lab(work)


def test_a_stick_that_hangs_is_found_out() -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        lab.ncp.hang()
        await asyncio.sleep(60)
        (cause,) = lab.host.lost
        assert "does not answer" in cause

    in_the_lab(work)


def test_an_ordinary_end_on_the_real_clock_is_no_error() -> None:
    async def main() -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with laboratory(None) as lab:
            await lab.start()
            await lab.coordinator.permit_joining(60)
            await lab.coordinator.stop()
            await lab.coordinator.stop()
        return told

    assert run(main(), fast=False) == []


@settings(max_examples=200, deadline=None)
@given(frames=st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=60)), max_size=5))
def test_no_frame_of_the_sticks_can_break_the_connection(frames: list[tuple[int, bytes]]) -> None:
    import zigpy_znp.types as t
    from zigpy_znp.frames import GeneralFrame, TransportFrame
    from zigpy_znp.uart import ZnpMtProtocol

    from labctl.radio.znp.connection import Connection, driver_configuration

    async def main() -> None:
        connection = Connection(
            driver_configuration(path="socket://127.0.0.1:1", baudrate=1, flow_control=None),
            lambda _: None,
        )
        connection.nvram.align_structs = True
        port = ZnpMtProtocol(connection)
        for command, data in frames:
            for spoken in (command, 0x4400 | command & 3 | 0x80):
                header = t.CommandHeader(spoken >> 8 | (spoken & 0xFF) << 8)
                port.data_received(TransportFrame(GeneralFrame(header, data)).serialize())

    run(main(), fast=True)


def test_a_short_address_that_passes_to_another_device_is_no_longer_the_firsts() -> None:
    book = AddressBook()
    book.remember(DEVICE, 0x1111)
    book.remember(OTHER, 0x1111)
    assert book.eui64_of(0x1111) == OTHER
    assert book.nwk_of(DEVICE) is None
    book.remember(DEVICE, 0x1111)
    assert book.eui64_of(0x1111) == DEVICE


def test_strangers_are_forgotten_and_devices_with_a_key_are_not() -> None:
    book = AddressBook()
    book.keyed(DEVICE)
    book.remember(DEVICE, 0x4000)
    for number in range(1000):
        book.remember(Eui64(f"{number + 0x1000:016x}"), number)
    assert book.nwk_of(DEVICE) == 0x4000
    assert len(book._nwk_of) < 300
