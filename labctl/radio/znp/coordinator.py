"""A Z-Stack (ZNP) stick as Smart Energy coordinator and trust centre."""

from __future__ import annotations

import asyncio
import logging
import os
import struct
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import zigpy_znp.commands as c
import zigpy_znp.types as t

from labctl.errors import DeliveryError, RigError
from labctl.events import Band, JoinKind
from labctl.radio.coordinator import (
    Coordinator,
    CoordinatorListener,
    EndpointDescriptor,
    Incoming,
    JoinDecision,
    NetworkSettings,
    Outgoing,
    PhySettings,
    RadioState,
)
from labctl.radio.fence import Fence
from labctl.radio.troubles import gone, why_lost
from labctl.radio.znp import mt
from labctl.radio.znp.addresses import AddressBook
from labctl.radio.znp.channels import Channels
from labctl.radio.znp.connection import (
    Connection,
    NotBuiltIn,
    Refused,
    driver_configuration,
    handed_on,
)
from labctl.radio.znp.firmware import APPLICATION_LINK_KEYS, Firmware, identify
from labctl.radio.znp.forming import (
    FORM_ANEW,
    Network,
    bring_up,
    read_network,
    set_power,
    start,
)
from labctl.radio.znp.joins import TOLD_AFTER_S, join_seen
from labctl.radio.znp.link_keys import LinkKeys
from labctl.radio.znp.memory import Memory
from labctl.radio.znp.policies import Policies
from labctl.radio.znp.receiving import DEVICE_ANNOUNCE, OWN_NWK, Inbox, nwk_in_the_stick
from labctl.radio.znp.sending import Sender
from labctl.radio.znp.tables import ACTIVE_KEY, KEY_OCTETS
from labctl.radio.znp.troubles import driver_errors, start_failed
from labctl.secret import Secret
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64

_LOGGER = logging.getLogger(__name__)

_WATCHDOG_S = 30.0
_ALL_ROUTERS, _ALL_DEVICES = 0xFFFC, 0xFFFF
_SMART_ENERGY = 0x0109
_BIND, _UNBIND = 0x0021, 0x0022
_ALL_RESPONSES = 0xFFFF
_HEARD = (_ALL_RESPONSES, _BIND, _UNBIND)
"""Requests are heard only where they are asked for one by one. Bindings are: the hub keeps its own,
and sends by them. The NCP answers these too, so the hub's answers are not sent."""

_ANSWERED_BY_THE_NCP = frozenset({_BIND | 0x8000, _UNBIND | 0x8000})
_FRAME_DELAY_MS, _WINDOW = 50, 1


@dataclass(frozen=True, slots=True)
class ZnpPort:
    """Where the NCP is. `path` is a device, a pty, or ``socket://host:port``.

    `shown_path` is what is told to people when the real path means nothing to them.
    """

    name: str
    path: str
    baudrate: int = 115200
    flow_control: str | None = None
    eui64: Eui64 | None = None
    serial_number: str | None = None
    shown_path: str | None = None
    fence: Fence | None = None
    """Asked before every write to the port."""


class ZnpCoordinator(Coordinator):
    """The `Coordinator` on unmodified zigpy-znp, for Z-Stack 3.x.0 (see docs/drivers.md).

    `random_octets` makes network keys and PAN ids; virtual rigs pass a seeded one.
    """

    def __init__(self, port: ZnpPort, random_octets: Callable[[int], bytes] = os.urandom) -> None:
        self._port = port
        self._random_octets = random_octets
        self._listener: CoordinatorListener | None = None
        self._connection: Connection | None = None
        self._keys: LinkKeys | None = None
        self._sender: Sender | None = None
        self._policies: Policies | None = None
        self._settings: NetworkSettings | None = None
        self._endpoints: tuple[EndpointDescriptor, ...] = ()
        self._profiles: dict[int, int] = {}
        self._inbox: Inbox | None = None
        self._channels: Channels | None = None
        self._power_dbm = 0
        self._addresses = AddressBook()
        self._parents: dict[Eui64, int] = {}
        self._given_key: set[Eui64] = set()
        self._unheard: set[Eui64] = set()
        self._open_until_s = 0.0
        self._counter = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._restarting = False
        self._stopping = False
        self._lost: str | None = None

    # -- life ---------------------------------------------------------------------------------

    def listen(self, listener: CoordinatorListener) -> None:
        """Set the one listener."""
        self._listener = listener

    async def start(
        self, settings: NetworkSettings, endpoints: Sequence[EndpointDescriptor]
    ) -> tuple[RadioState, ...]:
        """Open the stick; resume its network or form one. Raises `RigError`."""
        if self._listener is None:
            raise AssertionError("listen() comes before start()")
        phy = _the_one_bearer(settings, self._port.name)
        self._settings, self._endpoints = settings, tuple(endpoints)
        self._profiles = {each.endpoint: each.profile_id for each in endpoints}
        connection = self._connection = Connection(
            driver_configuration(
                path=self._port.path,
                baudrate=self._port.baudrate,
                flow_control=self._port.flow_control,
            ),
            self._connection_lost,
            self._port.fence,
        )
        try:
            await connection.connect()
            firmware = await identify(connection, self._port.path)
            resumed = await bring_up(connection, settings, self._random_octets, self._port.name)
            state = await self._settle(connection, firmware, phy, resumed)
        except Exception as error:
            lost = self._lost
            await self.stop()
            if lost is not None and not isinstance(error, RigError):
                raise gone(lost, self._port.path) from error
            raise start_failed(error, self._port.path) from error
        return (state,)

    async def _settle(
        self, connection: Connection, firmware: Firmware, phy: PhySettings, resumed: bool
    ) -> RadioState:
        """After the start of the network: checks, keys, all that RAM forgot; then the state."""
        network = await read_network(connection)
        assert network is not None  # `bring_up` saw to it
        self._check(network, phy)
        keys = self._keys = LinkKeys(connection, radio=self._port.name, restart=self._restart)
        self._sender = Sender(connection, radio=self._port.name)
        self._policies = Policies(connection, lambda: self._spawn(self._follow_policies()))
        self._inbox = Inbox(
            connection,
            self._sender,
            self._addresses,
            spawn=self._spawn,
            driver=self._driver,
            deliver=self._deliver,
        )
        now = Channel(0, network.channel)
        self._channels = Channels(
            connection, self._inbox, self._sender, radio=self._port.name, now=now, moved=self._moved
        )
        await keys.learn()
        connection.on_confirm = self._sender.confirmed
        connection.on_message = self._message
        self._bind(connection)
        if resumed:
            # They may have missed a change of the network key before.
            self._policies.expect(keys.partners, keyless=False)
        await self._after_reset(connection)
        assert self._settings is not None
        if keys.slots < self._settings.max_devices:
            raise RigError(
                f"the NCP keeps {keys.slots} link keys, the hub wants {self._settings.max_devices}",
                where=self._port.name,
                mend="set hub.max_devices lower",
            )
        for partner in keys.partners:
            self._addresses.keyed(partner)
            nwk = await nwk_in_the_stick(connection, partner)
            if nwk is not None:
                self._addresses.remember(partner, nwk)
        remarks = list(firmware.remarks)
        if now != phy.channel:
            remarks.append(
                f"the network is at {now}, where it moved to; the rig file says {phy.channel}"
            )
        if self._power_dbm != phy.tx_power_dbm:
            remarks.append(
                f"it transmits with {self._power_dbm} dBm: {phy.tx_power_dbm} dBm takes a stick "
                "with a power amplifier"
            )
        foreign = await keys.application_keys()
        if foreign:
            remarks.append(
                f"the stick holds {foreign} application link keys of the {APPLICATION_LINK_KEYS} "
                "that it has room for: labctl stores none there"
            )
        self._spawn(self._watch(connection))
        return RadioState(
            name=self._port.name,
            driver="znp",
            path=self._port.shown_path or self._port.path,
            eui64=network.eui64,
            band=Band.GHZ_2_4,
            page=0,
            channel=network.channel,
            pan_id=network.pan_id,
            extended_pan_id=network.extended_pan_id,
            resumed=resumed,
            tx_power_dbm=self._power_dbm,
            serial_number=self._port.serial_number,
            manufacturer="Texas Instruments",
            model="CC13x2/CC26x2",
            firmware=firmware.name,
            protocol_version=firmware.protocol,
            key_table_size=keys.slots,
            remarks=tuple(remarks),
        )

    def _check(self, network: Network, phy: PhySettings) -> None:
        assert self._settings is not None
        if self._port.eui64 is not None and self._port.eui64 != network.eui64:
            raise RigError(
                f"this stick is {network.eui64}, the inventory says {self._port.eui64}",
                where=self._port.path,
                mend="another stick is on this path: correct the inventory or swap the sticks",
            )
        wanted = self._settings.pan_id
        if wanted is not None and network.pan_id != wanted:
            raise RigError(
                f"the stick's network has PAN id 0x{network.pan_id:04x}, "
                f"the rig file asks for 0x{wanted:04x}",
                where=self._port.name,
                mend="remove hub.pan_id from the rig file, or " + FORM_ANEW,
            )

    async def _after_reset(self, connection: Connection) -> None:
        """What a reset forgets: policies, power, endpoints, how fragments go, what we hear of."""
        assert self._settings is not None
        assert self._policies is not None
        await self._policies.begin()  # first: what it does by itself is open to strangers
        await self._permit_joining(connection, 0)
        wanted_dbm = self._settings.phys[0].tx_power_dbm
        self._power_dbm = await set_power(connection, wanted_dbm, self._port.name)
        for endpoint in self._endpoints:
            await connection.do(
                f"endpoint {endpoint.endpoint}",
                c.AF.Register.Req(
                    Endpoint=endpoint.endpoint,
                    ProfileId=endpoint.profile_id,
                    DeviceId=endpoint.device_id,
                    DeviceVersion=endpoint.device_version,
                    LatencyReq=c.af.LatencyReq.NoLatencyReqs,
                    InputClusters=t.ClusterIdList(endpoint.server_clusters),
                    OutputClusters=t.ClusterIdList(endpoint.client_clusters),
                ),
            )
            await connection.do(
                f"fragments of endpoint {endpoint.endpoint}",
                c.AF.APSFConfigSet.Req(
                    Endpoint=endpoint.endpoint,
                    FrameDelay=t.uint8_t(_FRAME_DELAY_MS),
                    WindowSize=t.uint8_t(_WINDOW),
                ),
            )
        for cluster_id in _HEARD:
            await connection.do(
                "hearing ZDO", c.ZDO.MsgCallbackRegister.Req(ClusterId=t.ClusterId(cluster_id))
            )

    async def _restart(self) -> None:
        """Reset the stick under a running hub, and bring everything back."""
        connection = self._running
        self._restarting = True
        try:
            await start(connection)
        finally:
            self._restarting = False
        await self._after_reset(connection)
        left_s = self._open_until_s - self._now_s()
        if left_s >= 1:
            await self._permit_joining(connection, int(left_s))

    async def _watch(self, connection: Connection) -> None:
        """Ask now and then whether the stick is alive: its port may be, and its firmware not."""
        while True:
            await asyncio.sleep(_WATCHDOG_S)
            try:
                await connection.still_there()
            except (TimeoutError, Refused, NotBuiltIn) as error:
                connection.lost(
                    "the NCP does not answer any more"
                    if isinstance(error, TimeoutError)
                    else why_lost(error)
                )
                return
            except ConnectionError:
                return  # told already

    async def stop(self) -> None:
        """Close joining and the port. The network stays in the NCP."""
        self._stopping = True
        connection, self._connection = self._connection, None
        if self._policies is not None:
            self._policies.end()
        for task in tuple(self._tasks):
            task.cancel()
        if connection is None:
            return
        if self._lost is None and self._policies is not None:
            with suppress(RigError), self._driver():
                await self._permit_joining(connection, 0)
        connection.gone = connection.gone or "the coordinator was stopped"
        await connection.disconnect()

    async def abandon(self) -> None:
        """Close the port without a word to the NCP, which would be waited for."""
        self._connection_lost("it was given up")
        await self.stop()

    async def check_alive(self) -> None:
        """SYS_PING."""
        with self._driver():
            await self._running.still_there()

    # -- joining and keys -----------------------------------------------------------------------

    async def permit_joining(self, seconds: int) -> None:
        """Open the NCP and tell the routers; 0 closes both."""
        if not 0 <= seconds <= 254:
            raise ValueError(f"a permit-join broadcast lasts 0 to 254 s, not {seconds}")
        with self._driver():
            await self._permit_joining(self._running, seconds)
        self._open_until_s = self._now_s() + seconds

    async def _permit_joining(self, connection: Connection, seconds: int) -> None:
        # By this request alone: with a frame of our own the NCP would not give out the key. Old
        # builds do not open the coordinator by the broadcast.
        for mode, destination in (
            (t.AddrMode.NWK, OWN_NWK),
            (t.AddrMode.Broadcast, _ALL_ROUTERS),
        ):
            await connection.do(
                "changing joining",
                c.ZDO.MgmtPermitJoinReq.Req(
                    AddrMode=mode,
                    Dst=t.NWK(destination),
                    Duration=t.uint8_t(seconds),
                    TCSignificance=t.uint8_t(1),
                ),
            )

    async def link_keys(self) -> dict[Eui64, Secret]:
        """The keys in the NCP's install-code slots, whichever they are."""
        with self._driver():
            return await self._key_table.read()

    async def install_link_key(
        self, eui64: Eui64, key: Secret, *, bearer: int | None = None
    ) -> None:
        """Store it in the device's install-code slot, and read back."""
        async with self._turn:
            with self._driver():
                await self._key_table.write(eui64, key)
                assert self._policies is not None
                self._policies.expect([eui64], keyless=True)
                await self._policies.follow()
        self._addresses.keyed(eui64)

    async def erase_link_key(self, eui64: Eui64) -> None:
        """Remove the device's entry."""
        async with self._turn:
            with self._driver():
                await self._key_table.erase(eui64)
                assert self._policies is not None
                self._policies.forget(eui64)
        self._addresses.unkeyed(eui64)

    async def remove_device(self, eui64: Eui64, nwk: int) -> None:
        """APS Remove Device to its parent, or a leave to a child of ours."""
        parent = self._parents.get(eui64, OWN_NWK)
        with self._driver():
            await self._running.do(
                f"removing {eui64}",
                c.ZDO.ExtSecApsRemoveReq.Req(
                    NWK=t.NWK(nwk), IEEE=_driver_eui64(eui64), ParentNWK=t.NWK(parent)
                ),
            )

    @property
    def tells_refusals(self) -> bool:
        """There is nothing in MT for that."""
        return False

    def address_of(self, eui64: Eui64) -> int | None:
        """From the NCP's own table, and what was heard since."""
        return self._addresses.nwk_of(eui64)

    async def allow_partner_keys(self, allowed: bool) -> None:
        """Z-Stack always sends them, and there is no command for it."""
        if not allowed:
            _LOGGER.info("%s: Z-Stack cannot be kept from sending partner keys", self._port.name)

    async def send_network_key(self, eui64: Eui64, nwk: int, key: Secret) -> None:
        """ZDO_EXT_UPDATE_NWK_KEY."""
        with self._driver():
            sequence = (await self._key_sequence() + 1) % 256
            data = struct.pack("<HB", nwk, sequence) + key.reveal()
            await self._running.must(
                f"sending the network key to {eui64}", mt.ZDO_EXT_UPDATE_NWK_KEY, data
            )

    async def switch_network_key(self) -> None:
        """ZDO_EXT_SWITCH_NWK_KEY; from then on devices that missed the key are let back."""
        assert self._policies is not None
        with self._driver():
            sequence = (await self._key_sequence() + 1) % 256
            data = struct.pack("<HB", _ALL_DEVICES, sequence)
            await self._running.must("switching the network key", mt.ZDO_EXT_SWITCH_NWK_KEY, data)
            self._policies.key_changed(self._key_table.partners)
            await self._policies.follow()

    async def network_keys(self) -> tuple[Secret, ...]:
        """From the NCP's memory, where it follows its number."""
        with self._driver():
            item = await self._active_key()
        return (Secret(item[1 : 1 + KEY_OCTETS]),)

    async def _key_sequence(self) -> int:
        return (await self._active_key())[0]

    async def _active_key(self) -> bytes:
        item = await Memory(self._running).read(ACTIVE_KEY)
        if item is None:
            raise RigError(
                "the firmware does not show the number of its network key",
                where=self._port.name,
                mend="the vendor's own builds lock it: use one of the Z-Stack 3.x.0 builds for "
                "coordinators",
            )
        return item

    # -- data ---------------------------------------------------------------------------------

    async def send(self, packet: Outgoing) -> None:
        """Send and wait for delivery. Raises `DeliveryError`.

        A frame that is to be encrypted goes only to a device that the NCP has a key of its own for:
        for all others it would take the default key, and say nothing.
        """
        if self._sender is None or self._connection is None:
            raise RigError("the radio is not running", where=self._port.name)
        if packet.profile_id == 0 and packet.cluster_id in _ANSWERED_BY_THE_NCP:
            return
        if packet.aps_encrypt:
            eui64 = self._addresses.eui64_of(packet.nwk)
            if eui64 is None or not self._key_table.holds(eui64):
                raise DeliveryError(
                    f"there is no link key for 0x{packet.nwk:04x} (SEC_NO_KEY)",
                    status="SEC_NO_KEY",
                    where=self._port.name,
                )
        with self._driver():
            await self._sender.send(packet)
        if packet.aps_ack and packet.profile_id and self._policies is not None:
            reached = self._addresses.eui64_of(packet.nwk)
            if reached is not None:
                self._policies.reached(reached)

    async def counters(self) -> dict[str, int]:
        """None: Z-Stack builds for sticks count nothing that a host could ask for."""
        return {}

    # -- channels ---------------------------------------------------------------------------------

    async def energy_scan(
        self, channels: Sequence[Channel], *, exponent: int = 5
    ) -> dict[Channel, int]:
        """By the NCP's own network management; levels are between -87 and -10 dBm."""
        with self._driver():
            return await self._moves.energy_scan(channels, exponent)

    async def change_channel(self, bearer: int, channel: Channel) -> None:
        """By the NCP's own network management, some seconds later."""
        if bearer:
            raise RigError("a ZNP stick has one bearer", where=self._port.name)
        with self._driver():
            await self._moves.change(channel)

    async def announce_channel(self, bearer: int, channel: Channel) -> None:
        """Broadcast Mgmt_NWK_Update_req with the scan duration that means "change channel"."""
        with self._driver():
            await self._moves.announce(channel)

    # -- what the NCP tells -----------------------------------------------------------------------

    def _bind(self, connection: Connection) -> None:
        for response, handle in (
            (c.ZDO.TCDevInd.Callback, self._joined),
            (c.ZDO.LeaveInd.Callback, self._left),
            (c.ZDO.MsgCbIncoming.Callback, self._zdo_message),
            (c.SYS.ResetInd.Callback, self._reset),
        ):
            connection.callback_for_response(response(partial=True), partial(handed_on, handle))

    def _reset(self, _: Any) -> None:
        if not self._restarting and not self._stopping:
            assert self._connection is not None
            self._connection.lost("the NCP reset on its own")

    def _joined(self, told: Any) -> None:
        """Somebody was let in: a join, or a rejoin of either kind."""
        if self._stopping:
            return
        assert self._listener is not None
        assert self._policies is not None
        eui64, nwk, parent = Eui64(str(told.SrcIEEE)), int(told.SrcNwk), int(told.ParentNwk)
        join = join_seen(
            eui64,
            nwk,
            parent,
            is_open=self._now_s() < self._open_until_s + TOLD_AFTER_S,
            had_nwk=None if eui64 in self._unheard else self._addresses.nwk_of(eui64),
            key_missing=self._policies.may_be_keyless(eui64),
        )
        if not self._key_table.holds(eui64):
            _LOGGER.warning(
                "%s: the trust centre let %s in under the default key, which everybody knows: "
                "change the network key",
                self._port.name,
                eui64,
            )
        self._addresses.remember(eui64, nwk)
        self._parents[eui64] = parent
        if join.decision is JoinDecision.KEY_SENT:
            self._given_key.add(eui64)
        if join.kind is JoinKind.JOIN:
            self._unheard.add(eui64)  # if it cannot read the key, it tries again from there
        self._listener.join_seen(join)

    def _moved(self, channel: Channel) -> None:
        assert self._listener is not None
        self._listener.channel_changed(0, channel)

    def _left(self, told: Any) -> None:
        if self._stopping or told.Rejoin:
            return  # a rejoin is told when it is done
        assert self._listener is not None
        eui64 = Eui64(str(told.IEEE))
        self._parents.pop(eui64, None)
        self._given_key.discard(eui64)
        self._listener.device_left(eui64, int(told.NWK))

    def _zdo_message(self, told: Any) -> None:
        if not self._stopping and self._inbox is not None:
            self._inbox.zdo_message(told)

    def _message(self, message: mt.Message) -> None:
        if not self._stopping and self._inbox is not None:
            self._inbox.message(message)

    def _deliver(self, message: mt.Message, eui64: Eui64 | None, data: bytes) -> None:
        assert self._listener is not None
        assert message.nwk is not None
        assert self._policies is not None
        endpoint = message.destination_endpoint
        if eui64 is not None:
            self._unheard.discard(eui64)
        if not endpoint and message.cluster_id == DEVICE_ANNOUNCE and eui64 in self._given_key:
            self._given_key.discard(eui64)  # it could read the key, and has used it
            self._policies.reached(eui64)
        self._counter = (self._counter + 1) % 256
        self._listener.packet_received(
            Incoming(
                nwk=message.nwk,
                eui64=eui64,
                source_endpoint=message.source_endpoint,
                destination_endpoint=endpoint,
                # Not told: the firmware hands up what fits the endpoint.
                profile_id=self._profiles.get(endpoint, _SMART_ENERGY) if endpoint else 0,
                cluster_id=message.cluster_id,
                data=data,
                # The default key opens frames as well: it has to be a key of the device's own.
                aps_encrypted=message.secured
                and eui64 is not None
                and self._key_table.holds(eui64),
                broadcast=message.broadcast or bool(message.group),
                lqi=message.lqi,
                rssi_dbm=None,
                aps_counter=self._counter,
            )
        )

    async def _follow_policies(self) -> None:
        assert self._policies is not None
        try:
            with self._driver():
                await self._policies.follow()
        except RigError as error:
            _LOGGER.warning("rejoins without the network key stay allowed: %s", error)

    # -- helpers ----------------------------------------------------------------------------------

    @property
    def _running(self) -> Connection:
        if self._connection is None:
            raise RigError("the radio is not running", where=self._port.name)
        return self._connection

    @property
    def _moves(self) -> Channels:
        if self._channels is None or self._connection is None:
            raise RigError("the radio is not running", where=self._port.name)
        return self._channels

    @property
    def _key_table(self) -> LinkKeys:
        if self._keys is None or self._connection is None:
            raise RigError("the radio is not running", where=self._port.name)
        return self._keys

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": "ZNP", "exception": error})

    def _driver(self) -> AbstractContextManager[None]:
        return driver_errors(self._port.name, self._why_gone)

    def _why_gone(self) -> str | None:
        return self._lost or ("the coordinator was stopped" if self._stopping else None)

    def _connection_lost(self, cause: str) -> None:
        if self._stopping or self._lost is not None:
            return
        self._lost = cause
        if self._sender is not None:
            self._sender.abandon(cause)
        if self._listener is not None and self._policies is not None:
            self._listener.connection_lost(cause)


def _the_one_bearer(settings: NetworkSettings, radio: str) -> PhySettings:
    phy = settings.phys[0]
    if len(settings.phys) > 1 or phy.channel.page:
        raise RigError(
            "a ZNP stick is for 2.4 GHz alone: Z-Stack has neither channel pages nor a second PHY",
            where=radio,
            mend="use an EZSP stick for 868 MHz",
        )
    return phy


def _driver_eui64(eui64: Eui64) -> t.EUI64:
    value, _ = t.EUI64.deserialize(eui64.little_endian)
    return value
