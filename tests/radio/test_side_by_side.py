"""Two coordinators that are one to the hub: who gets what, and what the hub is told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from labctl.errors import RigError
from labctl.events import JoinKind
from labctl.radio.coordinator import (
    Coordinator,
    CoordinatorListener,
    DutyCycle,
    EndpointDescriptor,
    Incoming,
    JoinDecision,
    JoinSeen,
    NetworkSettings,
    Outgoing,
    PartnerKey,
    PhySettings,
    RadioState,
    in_network,
    network_of,
    short_address,
)
from labctl.radio.side_by_side import SideBySide
from labctl.secret import Secret
from labctl.smart_energy.airtime import DutyCycleState, Limits
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64

IHD = Eui64("00:00:5e:ef:10:00:00:01")
CODE, AGREED = Secret(b"\xc0" * 16), Secret(b"\xa9" * 16)
PHYS = (PhySettings(Channel(0, 20), 8), PhySettings(Channel(28, 26), 14))
SETTINGS = NetworkSettings(PHYS, pan_id=0x1234, max_devices=4)


class Stick(Coordinator):
    """Keeps what it was asked for."""

    def __init__(self, number: int, journal: list[str]) -> None:
        self.number = number
        self.eui64 = Eui64(f"00005eef1000ff0{number}")
        self.journal = journal
        self.keys: dict[Eui64, Secret] = {}
        self.addresses: dict[Eui64, int] = {}
        self.settings: NetworkSettings | None = None
        self.broken = False
        self.hub: CoordinatorListener | None = None

    def note(self, what: str) -> None:
        self.journal.append(f"{self.number} {what}")

    async def start(
        self, settings: NetworkSettings, endpoints: Sequence[EndpointDescriptor]
    ) -> tuple[RadioState, ...]:
        if self.broken:
            raise RigError("no such stick")
        self.settings = settings
        self.note("start")
        (phy,) = settings.phys
        return (
            RadioState(
                name=f"stick-{self.number}",
                driver="ezsp",
                path="none",
                eui64=self.eui64,
                band=phy.channel.band,
                page=phy.channel.page,
                channel=phy.channel.number,
                pan_id=settings.pan_id or 0x4321,
                extended_pan_id=self.eui64,
                resumed=False,
            ),
        )

    async def stop(self) -> None:
        self.note("stop")

    def listen(self, listener: CoordinatorListener) -> None:
        self.hub = listener

    async def permit_joining(self, seconds: int) -> None:
        self.note(f"permit {seconds}")

    async def link_keys(self) -> dict[Eui64, Secret]:
        return dict(self.keys)

    async def install_link_key(
        self, eui64: Eui64, key: Secret, *, bearer: int | None = None
    ) -> None:
        self.note("install")
        self.keys[eui64] = key

    async def erase_link_key(self, eui64: Eui64) -> None:
        self.note("erase")
        self.keys.pop(eui64, None)

    async def send(self, packet: Outgoing) -> None:
        self.note(f"send {packet.nwk:04x}")

    async def remove_device(self, eui64: Eui64, nwk: int) -> None:
        self.note(f"remove {nwk:04x}")

    def address_of(self, eui64: Eui64) -> int | None:
        return self.addresses.get(eui64)

    async def allow_partner_keys(self, allowed: bool) -> None:
        self.note(f"partner keys {allowed}")

    async def send_network_key(self, eui64: Eui64, nwk: int, key: Secret) -> None:
        self.note(f"network key {nwk:04x}")

    async def switch_network_key(self) -> None:
        self.note("switch")

    async def energy_scan(
        self, channels: Sequence[Channel], *, exponent: int = 5
    ) -> dict[Channel, int]:
        return dict.fromkeys(channels, -90 - self.number)

    async def change_channel(self, bearer: int, channel: Channel) -> None:
        self.note(f"change bearer {bearer} to {channel.number}")

    async def duty_cycle(self, bearer: int) -> DutyCycle | None:
        return DutyCycle(DutyCycleState.LIMITED, 1, {0x1A2B: 7}) if self.number else None

    async def set_duty_cycle_limits(self, bearer: int, limits: Limits) -> None:
        self.note(f"limits of bearer {bearer}")

    async def counters(self) -> dict[str, int]:
        return {"aps_tx_bcast": self.number}


class Hub(CoordinatorListener):
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.packets: list[Incoming] = []
        self.joins: list[JoinSeen] = []
        self.told: list[object] = []

    def packet_received(self, packet: Incoming) -> None:
        self.packets.append(packet)

    def join_seen(self, join: JoinSeen) -> None:
        self.joins.append(join)

    def device_left(self, eui64: Eui64, nwk: int) -> None:
        self.told.append(("left", nwk))

    def partner_key(self, request: PartnerKey) -> None:
        self.told.append(request)

    def duty_cycle_changed(self, bearer: int, state: DutyCycleState) -> None:
        self.told.append((bearer, state))

    def channel_changed(self, bearer: int, channel: Channel) -> None:
        self.told.append((bearer, channel))

    def joining_changed(self, bearer: int, is_open: bool) -> None:
        self.told.append((bearer, is_open))

    def connection_lost(self, cause: str, bearer: int = 0) -> None:
        self.told.append(("lost", bearer, cause))


class Pair:
    """Two sticks under one hub."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.sticks = Stick(0, self.journal), Stick(1, self.journal)
        self.hub = Hub()
        self.both = SideBySide(self.sticks)
        self.both.listen(self.hub)

    def tells(self, number: int) -> CoordinatorListener:
        hub = self.sticks[number].hub
        assert hub is not None
        return hub

    def starts(self) -> tuple[RadioState, ...]:
        states = asyncio.run(self.both.start(SETTINGS, ()))
        self.journal.clear()
        return states


PACKET = Incoming(
    nwk=0x1A2B,
    eui64=IHD,
    source_endpoint=1,
    destination_endpoint=1,
    profile_id=0x0109,
    cluster_id=0x0702,
    data=b"\x00",
    aps_encrypted=True,
    broadcast=False,
    lqi=200,
    rssi_dbm=-50,
    aps_counter=1,
)
JOIN = JoinSeen(IHD, 0x1A2B, JoinKind.JOIN, JoinDecision.KEY_SENT, 0)


def test_each_gets_its_own_channel_and_the_ids_of_the_rig_file_are_the_first_networks() -> None:
    pair = Pair()
    states = pair.starts()
    assert [state.at for state in states] == [phy.channel for phy in PHYS]
    first, second = (stick.settings for stick in pair.sticks)
    assert first == replace(SETTINGS, phys=PHYS[:1])
    assert second == replace(SETTINGS, phys=PHYS[1:], pan_id=None)


def test_when_the_second_does_not_start_the_first_is_stopped_again() -> None:
    pair = Pair()
    pair.sticks[1].broken = True
    with pytest.raises(RigError, match="no such stick"):
        asyncio.run(pair.both.start(SETTINGS, ()))
    assert pair.journal == ["0 start", "1 stop", "0 stop"]


def test_an_exported_log_is_refused() -> None:
    with pytest.raises(RigError, match="side by side"):
        asyncio.run(Pair().both.start(replace(SETTINGS, not_on=IHD), ()))


def test_the_same_short_address_on_both_networks_is_two_addresses_of_the_hub() -> None:
    pair = Pair()
    pair.starts()
    for number in (0, 1):
        pair.tells(number).packet_received(PACKET)
    one, two = pair.hub.packets
    assert one is PACKET
    assert (two.bearer, network_of(two.nwk), short_address(two.nwk)) == (1, 1, 0x1A2B)
    for packet in (one, two):
        asyncio.run(pair.both.send(Outgoing(packet.nwk, 1, 1, 0x0702, b"")))
    assert pair.journal == ["0 send 1a2b", "1 send 1a2b"]


def test_what_goes_to_one_device_goes_over_its_network() -> None:
    async def scenario(both: SideBySide) -> None:
        nwk = in_network(0x1A2B, 1)
        await both.remove_device(IHD, nwk)
        await both.send_network_key(IHD, nwk, AGREED)
        await both.change_channel(1, Channel(28, 3))
        await both.set_duty_cycle_limits(1, Limits(1, 2, 3))

    pair = Pair()
    pair.starts()
    asyncio.run(scenario(pair.both))
    assert pair.journal == [
        "1 remove 1a2b",
        "1 network key 1a2b",
        "1 change bearer 0 to 3",
        "1 limits of bearer 0",
    ]


def test_what_concerns_the_hub_goes_to_both() -> None:
    async def scenario(both: SideBySide) -> dict[str, int]:
        await both.permit_joining(60)
        await both.allow_partner_keys(True)
        await both.switch_network_key()
        return await both.counters()

    pair = Pair()
    pair.starts()
    counts = asyncio.run(scenario(pair.both))
    assert pair.journal == [
        f"{number} {what}"
        for what in ("permit 60", "partner keys True", "switch")
        for number in (0, 1)
    ]
    assert counts == {"stick-0/aps_tx_bcast": 0, "stick-1/aps_tx_bcast": 1}


def test_a_code_opens_both_networks_and_an_agreed_key_closes_the_other_first() -> None:
    async def scenario(both: SideBySide) -> None:
        await both.install_link_key(IHD, CODE)
        assert all(stick.keys == {IHD: CODE} for stick in pair.sticks)
        pair.journal.clear()
        await both.install_link_key(IHD, AGREED, bearer=1)

    pair = Pair()
    pair.starts()
    asyncio.run(scenario(pair.both))
    assert pair.journal == ["0 erase", "1 install"]
    assert pair.sticks[0].keys == {}
    assert pair.sticks[1].keys == {IHD: AGREED}
    assert asyncio.run(pair.both.link_keys()) == {IHD: AGREED}
    asyncio.run(pair.both.erase_link_key(IHD))
    assert asyncio.run(pair.both.link_keys()) == {}


def test_after_a_restart_a_device_is_where_its_key_is() -> None:
    pair = Pair()
    pair.sticks[1].keys = {IHD: AGREED}
    pair.sticks[0].addresses = {IHD: 0x0001}  # from before it moved
    pair.sticks[1].addresses = {IHD: 0x1A2B}
    pair.starts()
    assert pair.both.bearer_of(IHD) == 1
    assert pair.both.address_of(IHD) == in_network(0x1A2B, 1)


def test_of_two_keys_of_a_device_the_one_where_it_was_heard_counts() -> None:
    pair = Pair()
    pair.sticks[0].keys = {IHD: CODE}
    pair.sticks[1].keys = {IHD: AGREED}
    pair.starts()
    pair.tells(1).join_seen(JOIN)
    assert asyncio.run(pair.both.link_keys()) == {IHD: AGREED}
    assert pair.hub.joins[0].bearer == 1
    assert network_of(pair.hub.joins[0].nwk) == 1


def test_leaving_the_one_network_for_the_other_is_no_leaving_of_the_hub() -> None:
    pair = Pair()
    pair.starts()
    pair.tells(0).join_seen(JOIN)
    pair.tells(1).join_seen(JOIN)
    pair.tells(0).device_left(IHD, 0x1A2B)
    assert pair.hub.told == []
    pair.tells(1).device_left(IHD, 0x1A2B)
    assert pair.hub.told == [("left", in_network(0x1A2B, 1))]


def test_a_joiner_that_was_denied_stays_where_it_was() -> None:
    pair = Pair()
    pair.starts()
    pair.tells(0).join_seen(JOIN)
    pair.tells(1).join_seen(replace(JOIN, decision=JoinDecision.DENIED))
    assert pair.both.bearer_of(IHD) == 0


def test_each_band_is_scanned_by_its_stick() -> None:
    pair = Pair()
    pair.starts()
    low, high = Channel(28, 3), Channel(0, 11)
    assert asyncio.run(pair.both.energy_scan([low, high])) == {high: -90, low: -91}


def test_airtime_and_news_of_a_stick_carry_its_number() -> None:
    async def scenario(both: SideBySide) -> tuple[DutyCycle | None, DutyCycle | None]:
        return await both.duty_cycle(0), await both.duty_cycle(1)

    pair = Pair()
    pair.starts()
    none, counted = asyncio.run(scenario(pair.both))
    assert none is None
    assert counted == DutyCycle(DutyCycleState.LIMITED, 1, {in_network(0x1A2B, 1): 7})
    hub = pair.tells(1)
    hub.duty_cycle_changed(0, DutyCycleState.CRITICAL)
    hub.channel_changed(0, Channel(28, 4))
    hub.joining_changed(0, True)
    hub.partner_key(PartnerKey(IHD))
    hub.connection_lost("pulled out")
    assert pair.hub.told == [
        (1, DutyCycleState.CRITICAL),
        (1, Channel(28, 4)),
        (1, True),
        PartnerKey(IHD),
        ("lost", 1, "pulled out"),
    ]


def test_one_alone_is_not_side_by_side() -> None:
    with pytest.raises(ValueError, match="two"):
        SideBySide([Stick(0, [])])
