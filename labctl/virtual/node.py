"""A Zigbee PRO node on the virtual air: MAC, NWK, APS and ZDO of one device.

The virtual NCP (`virtual/ncp/`) puts EZSP on top of a coordinator `Node`, the virtual devices
(`virtual/devices/`) put an application on top of an end-device `Node`. Neither knows the other.

Roles: coordinator and end device, in a star. There are no routers yet, and asking for one is an
error rather than a pretence. A coordinator has one radio, its PHY 0, or a second one below 1 GHz
as PHY 1: one network on both, each child on the one that it came by. A device has one radio, and
is on whichever band it joins.
Left out: groups, source routes, orphan scans, PAN identifier conflicts, Tunnel, Verify-Key and
Confirm-Key (Smart Energy establishes keys its own way), the enhanced beacon requests and the link
power control of R22's annex D.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar, overload

from labctl.errors import ConfigurationError
from labctl.smart_energy.airtime import DutyCycleState, Limits
from labctl.smart_energy.channels import Channel, channels_of_page
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.frames import aps, from_air, nwk, to_air
from labctl.virtual.frames.aps import ApsFrame
from labctl.virtual.phy import phy_of
from labctl.virtual.stack.aps import ACK_WAIT_S, Aps
from labctl.virtual.stack.duty_cycle import DutyCycle
from labctl.virtual.stack.following import Following
from labctl.virtual.stack.joining import Joining
from labctl.virtual.stack.mac import Mac
from labctl.virtual.stack.nwk import Nwk
from labctl.virtual.stack.parent import Parent
from labctl.virtual.stack.polling import Poller
from labctl.virtual.stack.radios import Radios
from labctl.virtual.stack.scanning import Scanning
from labctl.virtual.stack.sending import Sender
from labctl.virtual.stack.state import LinkKey, NodeState
from labctl.virtual.stack.trust_centre import TrustCentre
from labctl.virtual.stack.types import (
    Admission,
    Beacon,
    Indication,
    JoinFailure,
    Level,
    NodeListener,
    PhySettings,
    Role,
    SimpleDescriptor,
    Status,
    TrustCentreDecision,
)
from labctl.virtual.stack.waiting import Waiting
from labctl.virtual.stack.zdo import Zdo, capability_of

__all__ = [
    "Admission",
    "Beacon",
    "DutyCycle",
    "DutyCycleState",
    "Indication",
    "JoinFailure",
    "Level",
    "LinkKey",
    "Node",
    "NodeListener",
    "NodeState",
    "PhySettings",
    "Role",
    "SimpleDescriptor",
    "Status",
    "TrustCentreDecision",
    "loop_time",
]

_T = TypeVar("_T")

LEAVE_DELAY_S = 0.5
"""Between the answer to a Mgmt_Leave_req and the leave itself."""


class Node:
    """One Zigbee node. Everything runs on the event loop's clock; randomness from `rng` alone.

    `reassemble`: put fragments together and acknowledge them (devices). An NCP's host does that
    itself, so the NCP passes False, gets each block as an `Indication` and answers with
    `acknowledge_block`.
    `manufacturer_code`, `max_transfer` go into the node descriptor.

    A router role raises `ConfigurationError`: this air is a star.
    """

    def __init__(
        self,
        air: Air,
        state: NodeState,
        listener: NodeListener,
        *,
        rng: random.Random,
        position: tuple[float, float, float] = (0.0, 0.0, 0.0),
        tx_power_dbm: float = 8,
        rx_on_when_idle: bool = True,
        mains_powered: bool = True,
        reassemble: bool = True,
        manufacturer_code: int = 0x0000,
        max_transfer: int = 1500,
        max_children: int = 32,
    ) -> None:
        if state.role is Role.ROUTER:
            raise ConfigurationError(
                f"the virtual node {state.eui64} cannot be a router: the virtual air is a star",
                mend="Make it an end device, or test routers with real ones.",
            )
        self.air = air
        self.state = state
        self.listener = listener
        self.rng = rng
        self.position = position
        self.tx_power_dbm = tx_power_dbm
        self.rx_on_when_idle = rx_on_when_idle or state.role is Role.COORDINATOR
        self.mains_powered = mains_powered
        self.reassemble = reassemble
        self.manufacturer_code = manufacturer_code
        self.max_transfer = max_transfer
        self.max_children = max_children
        self.long_poll_s = 5.0  # sleeping devices, see `Poller`
        self.short_poll_s = 0.25
        self.keepalive_s = 60.0  # always-on end devices
        self.endpoints: dict[int, SimpleDescriptor] = {}
        self.takes_data_under_key_of: Callable[[Eui64], bool] = lambda _partner: True
        """Whether data secured with a partner's link key is taken; commands always are."""
        self.transport_key_of: Callable[[Eui64], bytes | None] = lambda _partner: None
        """What a trust centre's commands are secured with, where it is not the link key."""
        self.retries_after_mac_failure = True
        """Whether the APS layer tries again what the MAC could not deliver; Z-Stack does not."""
        self.ack_wait_s = ACK_WAIT_S  # for an APS acknowledgement, before each repetition
        self.obeys_channel_changes = True  # end devices: go where the coordinator says it goes
        self.obeys_removal = True  # end devices: leave when told to
        self.accepts_swap = True  # end devices: another trust centre that knows our key's hash
        self.takes_key_updates = True  # end devices: the next network key
        self.parent_heard: Level | None = None
        """End device: how the last frame of the parent arrived."""
        self.counters: dict[str, int] = defaultdict(int)
        self.last_counter = 0
        self.powered = False
        self.life = 0  # counts power cycles
        self._waiting = Waiting()
        self._eui64_by_short: dict[int, Eui64] = {}
        self._leave_timer: asyncio.TimerHandle | None = None
        self.mac: Mac
        """The native radio's."""
        self.macs: dict[int, Mac]
        """Those that run the network, by PHY. PHY 0 is there as long as the power is on."""
        self._radios: Radios
        self.nwk: Nwk
        self.aps: Aps
        self.objects: Zdo
        self.parent: Parent
        self.trust_centre: TrustCentre
        self.joining: Joining
        self.scanning: Scanning
        self._following: Following
        self._poller: Poller
        self._sender: Sender

    # -- life --------------------

    def power_on(self) -> None:
        """Attach to the air. A node whose state is joined is on its network at once."""
        if self.powered:
            return
        self.counters.clear()
        for link_key in self.state.link_keys.values():
            link_key.incoming_counter = 0  # kept in RAM by real stacks
        self.life += 1
        self._radios = Radios(self)
        self.mac, self.macs = self._radios.native, self._radios.running
        self.parent = Parent(self)
        self.nwk = Nwk(self)
        self.aps = Aps(self)
        self.objects = Zdo(self)
        self.trust_centre = TrustCentre(self)
        self.joining = Joining(self)
        self.scanning = Scanning(self)
        self._following = Following(self)
        self._poller = Poller(self)
        self._sender = Sender(self)
        self.parent_heard = None
        self.powered = True
        self.resume_radio()
        if self.state.joined:
            self.network_up()

    def power_off(self) -> None:
        """Cut the power: the radio is gone at once, all timers die, RAM state is lost.

        Whoever awaits something of this node is cancelled: a task dies with its device.
        """
        if not self.powered:
            return
        self.powered = False
        self._following.cancel()
        self._poller.stop()
        self.nwk.stop()
        self.aps.close()
        self.parent.close()
        self._radios.close()
        if self._leave_timer is not None:
            self._leave_timer.cancel()
            self._leave_timer = None
        self._sender.close()
        self._waiting.cancel_all()

    def move(self, position: tuple[float, float, float]) -> None:
        """Carry the node to another place, metres."""
        self.position = position
        if self.powered:
            self._radios.move(position)

    @property
    def repetitions(self) -> int:
        """How often its MAC sent a frame again since the power came on."""
        return self._radios.repetitions if self.powered else 0

    def set_tx_power(self, dbm: float) -> None:
        """Change the transmit power of the native radio, dBm."""
        self.tx_power_dbm = dbm
        if self.powered:
            self.mac.radio.set_tx_power(dbm)

    # -- PHYs --------------------

    @property
    def phys(self) -> dict[int, PhySettings]:
        """The radios that the network runs on. None while there is no network or no power."""
        return self._radios.settings() if self.powered else {}

    def phy_of(self, short: int) -> int | None:
        """The PHY that a child is on; None when it is no child. Known before its admission."""
        child = self.parent.children.get(short) if self.powered else None
        return None if child is None else child.phy

    def start_phy(self, index: int, page: int, channel: int, tx_power_dbm: float) -> bool:
        """Coordinator on 2.4 GHz: take its network to a sub-GHz channel as well, as PHY 1.

        False when there is no network or no power, and when that PHY runs already. After a loss of
        power it has to be started again; its children are remembered. Raises `ValueError` for
        another index, a page or a channel that is not below 1 GHz, and an end device.
        """
        if self.state.role is not Role.COORDINATOR:
            raise ValueError("an end device has one radio")
        return self.powered and self._radios.start(index, page, channel, tx_power_dbm)

    def stop_phy(self, index: int) -> bool:
        """Silence PHY 1; its children stay in the table. False when it does not run."""
        return self.powered and self._radios.stop(index)

    def set_phy_channel(self, index: int, page: int, channel: int) -> bool:
        """Go on with the network on another channel, without a word to anybody.

        An end device follows a move of its network that way. False when that PHY does not run.
        Raises `ValueError` for a channel that is none, or is not in the PHY's band.
        """
        return self.powered and self._radios.set_channel(index, page, channel)

    def follow(self, channel: Channel, after_s: float) -> bool:
        """End device: go to `channel` after so many seconds, as the network is said to do.

        False, and nothing happens, for a channel of another band, for the present one, and off the
        network. Whoever finds nobody there loses the parent, and has to search.
        """
        return self.powered and self._following.later(channel, after_s)

    def set_phy_power(self, index: int, tx_power_dbm: float) -> bool:
        """Another transmit power, dBm. False when that PHY does not run."""
        return self.powered and self._radios.set_power(index, tx_power_dbm)

    def listen(self, on: bool) -> None:
        """Switch all receivers off for a while (a processor that is busy), or back to what they
        ought to be."""
        for index, layer in self.macs.items() if self.powered else ():
            if on:
                self._radios.resume(index)
            else:
                layer.radio.listen(False)

    # -- airtime --------------------

    def duty_cycle(self, phy: int = 0) -> DutyCycle | None:
        """The airtime account of a sub-GHz radio; None for one at 2.4 GHz, or that is not there."""
        layer = self._radios.with_account(phy) if self.powered else None
        return None if layer is None else layer.account.report()

    def set_duty_cycle_limits(self, phy: int, limits: Limits | None) -> bool:
        """Other limits than R22's for the page; None: no limits, and the state is off. Until the
        power goes. False where there is no such account."""
        layer = self._radios.with_account(phy) if self.powered else None
        if layer is not None:
            layer.account.set_limits(limits)
        return layer is not None

    def suspend_phy(self, phy: int, suspended: bool) -> None:
        """Send nothing at all on a sub-GHz radio, whatever its account says; or no longer so."""
        layer = self.macs.get(phy) if self.powered else None
        if layer is not None:
            layer.account.mute(suspended)

    def sent_airtime_us(self, phy: int = 0) -> int:
        """All that a radio has transmitted since the power came, microseconds."""
        layer = self.macs.get(phy) if self.powered else None
        return 0 if layer is None else layer.radio.airtime_us

    def heard_airtime_us(self, phy: int = 0) -> dict[int, int]:
        """What a sub-GHz radio has heard of each neighbour since the power came, microseconds, by
        short address: its frames, repetitions too, and its acknowledgements."""
        layer = self.macs.get(phy) if self.powered else None
        if layer is None:
            return {}
        return {
            each: us for each, us in layer.account.heard_total_us.items() if isinstance(each, int)
        }

    def duty_cycle_changed(self, phy: int, state: DutyCycleState) -> None:
        """A radio's account is in another state: tell the owner."""
        self.listener.duty_cycle_changed(phy, state)

    # -- networks --------------------

    async def active_scan(
        self,
        channels: Sequence[int] | Sequence[tuple[int, int]],
        duration: int | None = None,
        *,
        page: int = 0,
    ) -> list[Beacon]:
        """Beacon requests on each channel, and the beacons heard.

        Channels are numbers on `page`, or pairs of page and number: a device has one radio for all
        bands, a dual-band coordinator looks with the one that the page is of. `duration` n means
        960 symbols × (2^n + 1) on each channel, a symbol being 16 µs at 2.4 GHz and 10 µs below;
        None: 3, and 5 below 1 GHz.
        """
        if not self.powered:
            return []
        return await self.scanning.active_scan(_with_page(channels, page), duration)

    @overload
    async def energy_scan(
        self, channels: Sequence[int], duration: int | None = None, *, page: int = 0
    ) -> dict[int, int]: ...

    @overload
    async def energy_scan(
        self, channels: Sequence[tuple[int, int]], duration: int | None = None
    ) -> dict[tuple[int, int], int]: ...

    async def energy_scan(
        self,
        channels: Sequence[int] | Sequence[tuple[int, int]],
        duration: int | None = None,
        *,
        page: int = 0,
    ) -> dict[int, int] | dict[tuple[int, int], int]:
        """Peak energy for each channel, dBm, by number or by pair, as it was asked for.

        What is heard: the receiver's own noise, disturbers, and the frames of others.
        """
        if not self.powered:
            return {}
        peaks = await self.scanning.energy_scan(_with_page(channels, page), duration)
        if channels and isinstance(channels[0], int):
            return {channel: dbm for (_, channel), dbm in peaks.items()}
        return peaks

    def form(
        self,
        *,
        page: int,
        channel: int,
        pan_id: int,
        extended_pan_id: Eui64,
        network_key: bytes,
        network_key_sequence: int = 0,
        update_id: int = 0,
    ) -> None:
        """Coordinator: start a network as its trust centre.

        Link keys that the state already holds stay: they are put there before forming.
        """
        state = self.state
        if state.role is not Role.COORDINATOR:
            raise ConfigurationError("only a coordinator forms a network")
        phy_of(page)
        if self.powered:
            self.network_down()
            self.parent.close()
        state.children.clear()
        state.page, state.channel, state.pan_id = page, channel, pan_id
        state.extended_pan_id = extended_pan_id
        state.nwk, state.parent, state.parent_eui64 = 0x0000, 0xFFFF, None
        state.trust_centre = state.eui64
        state.network_key, state.network_key_sequence = network_key, network_key_sequence
        state.alternate_network_key = b""
        state.update_id = update_id
        state.joined = True
        if self.powered:
            self.nwk.security.forget_counters()
            self.resume_radio()
            self.network_up()
        self.listener.network_changed()

    def permit_joining(self, seconds: int) -> None:
        """0 closes, 255 opens for good. Affects beacons and associations at this node."""
        if self.powered:
            self.parent.permit_joining(seconds)

    async def join(
        self, beacon: Beacon, *, link_key: bytes, key_timeout_s: float = 5.0
    ) -> JoinFailure | None:
        """Associate with `beacon`, wait for the network key under `link_key`, announce.

        None when joined. `link_key` becomes the trust centre's entry in `state.link_keys`. Whatever
        network the state held before is forgotten, also when joining fails.
        """
        if not self.powered:
            return JoinFailure.ASSOCIATION_TIMEOUT
        return await self.joining.join(beacon, link_key, key_timeout_s)

    async def rejoin(
        self,
        *,
        secured: bool,
        key_timeout_s: float = 5.0,
        channels: Sequence[int] | Sequence[tuple[int, int]] | None = None,
    ) -> JoinFailure | None:
        """NWK rejoin (R22 3.6.1.4.2) to the network in `state`; announces when it succeeds.

        Looks on the network's channel first, then on the other `channels`: numbers on its page, or
        pairs of page and number on any; None: all of its page. A device that finds its network on
        another band goes there.
        """
        if not self.powered:
            return JoinFailure.NO_BEACON
        if channels is None:
            channels = [each.number for each in channels_of_page(self.state.page)]
        return await self.joining.rejoin(
            secured=secured,
            key_timeout_s=key_timeout_s,
            channels=_with_page(channels, self.state.page),
        )

    def leave(self) -> None:
        """Send a NWK leave and forget the network and all keys."""
        self._leave(rejoin=False)

    def _leave(self, *, rejoin: bool) -> None:
        if self.state.joined and self.powered:
            destination = self.state.parent
            if self.state.role is Role.COORDINATOR:
                destination = nwk.BROADCAST_RX_ON
            self.nwk.send_command(destination, nwk.leave(request=False, rejoin=rejoin))
        if self.powered:
            self.network_down()
            self.parent.close()
            self.aps.fail_all()
        if rejoin:
            self.state.joined = False
        else:
            self.state.forget_network()
        if self.powered:
            self.resume_radio()
        self.listener.network_changed()
        self.listener.left(rejoin)

    def told_to_leave(self, rejoin: bool) -> None:
        """The parent or the trust centre wants us gone. With `rejoin` network and keys stay."""
        if self.state.joined and self.obeys_removal:
            self._leave(rejoin=rejoin)

    def leave_soon(self, rejoin: bool) -> None:
        """Leave once the answer to the request is out."""
        if self._leave_timer is None:
            loop = asyncio.get_running_loop()
            self._leave_timer = loop.call_later(LEAVE_DELAY_S, self._leave_now, rejoin)

    def _leave_now(self, rejoin: bool) -> None:
        self._leave_timer = None
        self.told_to_leave(rejoin)

    # -- data --------------------

    async def send(
        self,
        destination: int,
        *,
        source_endpoint: int,
        destination_endpoint: int,
        profile_id: int,
        cluster_id: int,
        payload: bytes,
        aps_secured: bool = False,
        ack: bool = True,
        counter: int | None = None,
        block: int | None = None,
        block_count: int | None = None,
        radius: int = 30,
    ) -> Status:
        """APSDE-DATA.request, unicast or broadcast (0xFFFC..0xFFFF), and its confirm.

        With `block` the caller fragments by himself and passes `counter` for blocks after the
        first; without, a payload that is too long for a frame is fragmented here (window 1) when
        the node reassembles, and is TOO_LONG otherwise. `last_counter` is the counter used.
        """
        confirmed: asyncio.Future[Status] = asyncio.get_running_loop().create_future()

        def done(status: Status) -> None:
            if not confirmed.done():
                confirmed.set_result(status)

        refused = self.request(
            destination,
            source_endpoint=source_endpoint,
            destination_endpoint=destination_endpoint,
            profile_id=profile_id,
            cluster_id=cluster_id,
            payload=payload,
            aps_secured=aps_secured,
            ack=ack,
            counter=counter,
            block=block,
            block_count=block_count,
            radius=radius,
            done=done,
        )
        if refused is not None:
            await asyncio.sleep(0)  # a caller that tries again and again lets the others run
            return refused
        return await self._waiting.until(confirmed)

    def withdraw_data(self, which: Callable[[int, int], bool]) -> None:
        """Send no more of the data frames under way whose profile and cluster `which` says yes to:
        no repetition, no further block. Their confirms say NO_ACK."""
        if self.powered:
            self.aps.withdraw(which)

    def reserve_counter(self) -> int:
        """An APS counter for a caller that wants to know it before he sends."""
        return self.aps.next_counter()

    @property
    def newest_counter(self) -> int:
        """The APS counter that was given out last, to a caller or to a frame of our own."""
        return self.aps.counter

    def request(
        self,
        destination: int,
        *,
        source_endpoint: int,
        destination_endpoint: int,
        profile_id: int,
        cluster_id: int,
        payload: bytes,
        done: Callable[[Status], None],
        aps_secured: bool = False,
        ack: bool = True,
        counter: int | None = None,
        block: int | None = None,
        block_count: int | None = None,
        radius: int = 30,
    ) -> Status | None:
        """`send` for callers without a task, and for those that want to know at once.

        None: under way; `done` will be called with the confirm, unless the power goes first.
        A status: refused on the spot, nothing was sent, `done` will never be called. `last_counter`
        is the counter used.
        """
        if not self.powered:
            return Status.NOT_JOINED
        return self._sender.request(
            destination,
            ApsFrame(
                aps.Kind.DATA,
                destination_endpoint=destination_endpoint,
                cluster=cluster_id,
                profile=profile_id,
                source_endpoint=source_endpoint,
                ack_request=ack,
            ),
            payload,
            done,
            secured=aps_secured,
            counter=counter,
            block=block,
            block_count=block_count,
            radius=radius,
        )

    def acknowledge_block(self, indication: Indication, bitmap: int = 0xFF) -> None:
        """Send the APS acknowledgement for one fragment (nodes that do not reassemble)."""
        if self.powered and self.state.joined and indication.block is not None:
            self.aps.acknowledge(indication, bitmap)

    def max_payload(self, *, aps_secured: bool, fragmented: bool = False) -> int:
        """Octets of APS payload that fit in one frame: 82, less 9 secured, less 2 fragmented."""
        return self.aps.max_payload(secured=aps_secured, fragmented=fragmented)

    async def zdo(
        self, destination: int, cluster_id: int, body: bytes, *, timeout_s: float = 5.0
    ) -> bytes | None:
        """Send a ZDO request (sequence number added) and await its response body, or None.

        For broadcasts use `zdo_broadcast`. The body returned starts after the sequence number.
        """
        if not self.powered:
            return None
        return await self.objects.client.ask(destination, cluster_id, body, timeout_s)

    async def zdo_broadcast(
        self, destination: int, cluster_id: int, body: bytes, *, collect_s: float
    ) -> list[tuple[int, bytes]]:
        """Broadcast a ZDO request and collect (source, response body) for `collect_s` seconds."""
        if not self.powered:
            return []
        return await self.objects.client.ask_all(destination, cluster_id, body, collect_s)

    def zdo_tell(self, destination: int, cluster_id: int, body: bytes) -> bool:
        """Send a ZDO frame that has no answer (sequence number added); whether it is under way."""
        if not self.powered:
            return False
        return self.objects.client.tell(destination, cluster_id, body)

    def request_link_key(self, partner: Eui64) -> None:
        """Ask the trust centre for a link key with `partner` (Request-Key, R22 4.4.7).

        `NodeListener.key_received("application", partner)` tells when it has come. Nothing happens
        without a trust centre link key, or when the trust centre will not.
        """
        state = self.state
        trust_centre = state.trust_centre
        link_key = None if trust_centre is None else state.link_keys.get(trust_centre)
        if self.powered and state.joined and link_key is not None:
            payload = aps.request_key(aps.KeyType.REQUEST_APPLICATION, to_air(partner))
            self.aps.send_command(0x0000, payload, link_key=link_key.key)

    def fast_poll(self, seconds: float) -> None:
        """Sleeping device: fetch frames every `short_poll_s` for so long."""
        if self.powered:
            self._poller.expect(seconds)

    def expect_answer(self) -> None:
        """Something was sent: a sleeping device polls fast for a while."""
        self._poller.expect()

    def told_of_channel(self, channel: Channel, update_id: int) -> None:
        """The coordinator says where its network goes."""
        if self.obeys_channel_changes:
            self._following.told(channel, update_id)

    def poll_again(self) -> None:
        """The parent said that it has more for us."""
        self._poller.again()

    # -- trust centre (coordinator only) --------------------

    def transport_network_key(self, eui64: Eui64, nwk: int) -> None:
        """Send the network key under that device's link key."""
        if self.powered and self.state.joined:
            self.trust_centre.transport_network_key(eui64, nwk)

    def remove_device(self, parent: int, target: Eui64) -> Status:
        """APS Remove-Device to the parent, or a NWK leave to a direct child (R22 4.4.5).

        `parent` 0x0000 (ourselves) for a direct child; the device's own address sends it an APS
        Remove-Device that names itself, under its link key.
        """
        if not self.powered or not self.state.joined:
            return Status.NOT_JOINED
        return self.trust_centre.remove_device(parent, target)

    def begin_key_update(self, key: bytes, sequence: int | None = None) -> int:
        """Take `key` as the next network key and unicast it to every child that has the present
        one (R22 4.6.3.4.2). Returns its sequence number, the next one unless told otherwise;
        `switch_network_key` makes it count."""
        state = self.state
        if sequence is None:
            sequence = (state.network_key_sequence + 1) & 0xFF
        state.alternate_network_key = key
        state.alternate_key_sequence = sequence
        self.listener.network_changed()
        for child in list(self.parent.children.values()):
            if child.authenticated:
                self.trust_centre.transport_alternate_key(from_air(child.eui64), child.nwk)
        return state.alternate_key_sequence

    def switch_network_key(self) -> None:
        """Broadcast Switch-Key for the key of `begin_key_update`, and switch (R22 4.4.8)."""
        sequence = self.state.alternate_key_sequence
        self.aps.send_command(nwk.BROADCAST_ALL, aps.switch_key(sequence))
        self.nwk.security.switch_key(sequence)

    # -- for the layers --------------------

    @property
    def capability(self) -> int:
        """Our capability information (R22 table 3.62)."""
        return capability_of(self)

    def indicate(self, indication: Indication) -> None:
        """An APS data frame has arrived whole."""
        if indication.destination_endpoint == 0:
            if indication.profile_id == 0:
                self._poller.answered()
                self.objects.received(indication)
            return
        self._poller.answered()
        if indication.destination_endpoint != 0xFF:
            self.listener.data_received(indication)
            return
        for endpoint, descriptor in list(self.endpoints.items()):
            if indication.profile_id in (descriptor.profile_id, 0xFFFF):
                self.listener.data_received(replace(indication, destination_endpoint=endpoint))

    def learn(self, eui64: bytes, short: int) -> None:
        """A device has this short address now; whoever had it before has it no more."""
        addresses = self.state.addresses
        address = from_air(eui64)
        if addresses.get(address) == short:
            return
        for other in [each for each, its in addresses.items() if its == short]:
            del addresses[other]
        addresses[address] = short
        self.listener.network_changed()

    def eui64_of(self, short: int) -> Eui64 | None:
        """The 64-bit address behind a short one, if known."""
        addresses = self.state.addresses
        found = self._eui64_by_short.get(short)
        if found is not None and addresses.get(found) == short:
            return found
        if short == self.state.nwk:
            return self.state.eui64
        for eui64, its in addresses.items():
            if its == short:
                self._eui64_by_short[short] = eui64
                return eui64
        return None

    def radio_for(self, page: int) -> Mac:
        """The radio that works on a page: a coordinator on 2.4 GHz has another one below."""
        return self._radios.on_page(page)

    def resume_radio(self, *, joining: bool = False, phy: int = 0) -> None:
        """Set a radio to what the state says: its network, or nothing at all."""
        self._radios.resume(phy, joining=joining)

    def network_up(self) -> None:
        """We are on a network."""
        self.nwk.start()
        if self.state.role is Role.END_DEVICE:
            self._poller.start()

    def network_down(self) -> None:
        """We are off it."""
        self._following.cancel()
        self.nwk.stop()
        self._poller.stop()
        self.stop_phy(1)

    async def until(self, future: asyncio.Future[_T]) -> _T:
        """The future's result. Cancelled when the power goes."""
        return await self._waiting.until(future)

    async def wait_for(self, future: asyncio.Future[_T], seconds: float) -> _T | None:
        """The future's result, or None after `seconds`. Cancelled when the power goes."""
        return await self._waiting.at_most(future, seconds)

    async def sleep(self, seconds: float) -> None:
        """Wait, unless the power goes first."""
        await self.wait_for(asyncio.get_running_loop().create_future(), seconds)


def _with_page(
    channels: Sequence[int] | Sequence[tuple[int, int]], page: int
) -> list[tuple[int, int]]:
    return [(page, each) if isinstance(each, int) else (each[0], each[1]) for each in channels]


def loop_time() -> float:
    """The event loop's time, s."""
    return asyncio.get_running_loop().time()
