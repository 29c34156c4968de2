"""An EZSP stick as Smart Energy coordinator and trust centre."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import bellows.types as t
from bellows.ash import AshException

from labctl.errors import RigError
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
    RadioKeyEngine,
    RadioState,
)
from labctl.radio.ezsp import duty_cycle
from labctl.radio.ezsp.addresses import AddressBook, pin
from labctl.radio.ezsp.application import SmartEnergyApplication, application_configuration
from labctl.radio.ezsp.children import ChildPhys
from labctl.radio.ezsp.forming import FORM_ANEW, bring_up, must_be_ok
from labctl.radio.ezsp.joins import Departure, change_of
from labctl.radio.ezsp.key_engine import EzspKeyEngine, built_in_suites
from labctl.radio.ezsp.link_keys import LinkKeyTable, driver_eui64, network_key
from labctl.radio.ezsp.messages import ReceivedFrame, Sender, received_frame
from labctl.radio.ezsp.phys import Phys
from labctl.radio.ezsp.troubles import DRIVER_ERRORS, gone, start_failed, why_lost
from labctl.radio.fence import Fence
from labctl.secret import Secret
from labctl.smart_energy.airtime import Limits
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64

_LOGGER = logging.getLogger(__name__)

_EXTENDED_SECURITY = 0x0100
"""NWK_LEAVE_REQUEST_NOT_ALLOWED. In RAM only: set again after every start."""

_MGMT_PERMIT_JOINING = 0x0036
_JOINING_IS_OPEN = {
    t.sl_Status.ZIGBEE_NETWORK_OPENED: True,
    t.sl_Status.ZIGBEE_NETWORK_CLOSED: False,
}
_DEVICE_ANNOUNCE = 0x0013
_MGMT_NWK_UPDATE = 0x0038
_CHANGE_CHANNEL = 0xFE
"""A scan duration that stands for a change of the channel (R22 2.4.3.3.9)."""
_ALL_ROUTERS, _ALL_DEVICES = 0xFFFC, 0xFFFF
_IEEE_ADDR_REQUEST, _IEEE_ADDR_RESPONSE = 0x0001, 0x8001
_ADDRESS_TIMEOUT_S = 5.0
_PIN_AGAIN_S = (0.5, 2.0, 5.0)
_MOST_WAITING = 16
"""Frames of one unknown sender, and unknown senders, that wait until it is known who they are."""

_PARTNER_KEYS_ALLOWED, _PARTNER_KEYS_DENIED = 0x61, 0x60
"""EzspDecisionId for APP_KEY_REQUEST_POLICY."""

_PARTNER_KEY_SENT = frozenset(
    {"TC_APP_KEY_SENT_TO_REQUESTER", "APP_LINK_KEY_ESTABLISHED", "TC_RESPONDED_TO_KEY_REQUEST"}
)


@dataclass(frozen=True, slots=True)
class EzspPort:
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


class EzspCoordinator(Coordinator):
    """The `Coordinator` on unmodified bellows (EZSP 8 and later; see docs/drivers.md).

    `random_octets` makes network keys and PAN ids; virtual rigs pass a seeded one.
    """

    def __init__(self, port: EzspPort, random_octets: Callable[[int], bytes] = os.urandom) -> None:
        self._port = port
        self._random_octets = random_octets
        self._zdo_sequence = 0
        self._listener: CoordinatorListener | None = None
        self._app: SmartEnergyApplication | None = None
        self._keys: LinkKeyTable | None = None
        self._sender: Sender | None = None
        self._key_engine: EzspKeyEngine | None = None
        self._phys: Phys | None = None
        self._children: ChildPhys | None = None
        self._changes = asyncio.Lock()
        self._addresses = AddressBook(lambda *entry: self._spawn(self._pin(*entry)))
        self._tasks: set[asyncio.Task[None]] = set()
        self._unresolved: dict[int, list[ReceivedFrame]] = {}
        self._asked: dict[int, asyncio.Future[None]] = {}
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
        app = SmartEnergyApplication(
            application_configuration(
                path=self._port.path,
                baudrate=self._port.baudrate,
                flow_control=self._port.flow_control,
                max_devices=settings.max_devices,
            ),
            endpoints=endpoints,
            on_connection_lost=self._connection_lost,
            fence=self._port.fence,
        )
        self._app = app
        try:
            await app.connect()
            resumed = await bring_up(app, settings, self._random_octets, self._port.name)
        except Exception as error:
            await self.stop()
            raise start_failed(error, self._port.path) from error
        ezsp = app._ezsp
        ezsp.add_callback(self._ezsp_callback)
        self._keys = LinkKeyTable(ezsp, radio=self._port.name)
        self._sender = Sender(ezsp, radio=self._port.name)
        try:
            states = await self._settle(app, settings, resumed)
        except Exception as error:
            await self.stop()
            raise start_failed(error, self._port.path) from error
        return states

    async def _settle(
        self, app: SmartEnergyApplication, settings: NetworkSettings, resumed: bool
    ) -> tuple[RadioState, ...]:
        """After NETWORK_UP: what RAM forgot, checks, addresses; then the states for the record."""
        ezsp, keys, sender = app._ezsp, self._keys, self._sender
        assert keys is not None
        assert sender is not None
        (status,) = await ezsp.setValue(
            valueId=t.EzspValueId.VALUE_EXTENDED_SECURITY_BITMASK,
            value=t.uint16_t(_EXTENDED_SECURITY).serialize(),
        )
        if t.sl_Status.from_ember_status(status) != t.sl_Status.OK:
            _LOGGER.warning("%s: no extended security bitmask: %r", self._port.name, status)
        await sender.learn_frame_size()
        suites = await built_in_suites(ezsp)
        if suites:
            self._key_engine = EzspKeyEngine(ezsp, keys, suites, self._port.name)
        key_table_size = await keys.size()
        if key_table_size < settings.max_devices:
            raise RigError(
                f"the NCP keeps {key_table_size} link keys, the hub wants {settings.max_devices}",
                where=self._port.name,
                mend="set hub.max_devices lower, or use firmware with a larger key table",
            )
        info, network = app.state.node_info, app.state.network_info
        eui64 = Eui64(str(info.ieee))
        if self._port.eui64 is not None and self._port.eui64 != eui64:
            raise RigError(
                f"this stick is {eui64}, the inventory says {self._port.eui64}",
                where=self._port.path,
                mend="another stick is on this path: correct the inventory or swap the sticks",
            )
        if settings.pan_id is not None and int(network.pan_id) != settings.pan_id:
            raise RigError(
                f"the stick's network has PAN id 0x{int(network.pan_id):04x}, "
                f"the rig file asks for 0x{settings.pan_id:04x}",
                where=self._port.name,
                mend="remove hub.pan_id from the rig file, or " + FORM_ANEW,
            )
        self._phys = phys = Phys(ezsp, radio=self._port.name)
        remarks = await phys.begin(
            Channel.from_ember_byte(int(network.channel)),
            settings.phys,
            pan_id=int(network.pan_id),
            resumed=resumed,
        )
        if phys.dual:
            self._children = ChildPhys(ezsp)
            await self._children.read()
        if phys.sub_ghz is not None:
            await self._hear_of_polls(ezsp)
        await self._addresses.learn(ezsp, set(await keys.read()))
        first = RadioState(
            name=self._port.name,
            driver="ezsp",
            path=self._port.shown_path or self._port.path,
            eui64=eui64,
            band=phys.channels[0].band,
            page=phys.channels[0].page,
            channel=phys.channels[0].number,
            pan_id=int(network.pan_id),
            extended_pan_id=Eui64(str(network.extended_pan_id)),
            resumed=resumed,
            tx_power_dbm=int(network.tx_power),
            serial_number=self._port.serial_number,
            manufacturer=info.manufacturer,
            model=info.model,
            firmware=info.version,
            protocol_version=int(ezsp.ezsp_version),
            key_table_size=key_table_size,
            remarks=tuple(remarks),
        )
        others = (
            replace(
                first,
                name=f"{self._port.name}/868",
                band=channel.band,
                page=channel.page,
                channel=channel.number,
                tx_power_dbm=settings.phys[bearer].tx_power_dbm,
                remarks=(),
            )
            for bearer, channel in enumerate(phys.channels[1:], 1)
        )
        return (first, *others)

    async def _hear_of_polls(self, ezsp: Any) -> None:
        """They cost airtime, which the host counts where the law limits it."""
        (status,) = await ezsp.setPolicy(
            policyId=t.EzspPolicyId.POLL_HANDLER_POLICY,
            decisionId=t.EzspDecisionId.POLL_HANDLER_CALLBACK,
        )
        if t.sl_Status.from_ember_status(status) != t.sl_Status.OK:
            _LOGGER.warning("%s: polls are not told: %r", self._port.name, status)

    async def stop(self) -> None:
        """Close joining and the port. The network stays in the NCP."""
        self._stopping = True
        app, self._app = self._app, None
        for task in tuple(self._tasks):
            task.cancel()
        if app is None:
            return
        if self._lost is None and app._ezsp is not None and app._ezsp.is_ezsp_running:
            with suppress(RigError), self._driver():
                await app._ezsp.permitJoining(0)
        await app.shutdown(db=False)

    async def abandon(self) -> None:
        """Close the port without a word to the NCP, which would be waited for."""
        self._connection_lost("it was given up")
        await self.stop()

    # -- joining and keys -----------------------------------------------------------------------

    async def permit_joining(self, seconds: int) -> None:
        """Open the NCP and tell the routers; 0 closes both."""
        if not 0 <= seconds <= 254:
            raise ValueError(f"a permit-join broadcast lasts 0 to 254 s, not {seconds}")
        with self._driver():
            await self._permit_joining(seconds)

    async def _permit_joining(self, seconds: int) -> None:
        (status,) = await self._ezsp.permitJoining(duration=seconds)
        must_be_ok(status, "the NCP did not change joining", self._port.name)
        # TC_Significance is 1 since R21: the trust centre's own policy decides all the same.
        await self._broadcast_zdo(_ALL_ROUTERS, _MGMT_PERMIT_JOINING, bytes((seconds, 0x01)))

    async def _broadcast_zdo(self, destination: int, cluster_id: int, request: bytes) -> None:
        """`request` without its sequence number."""
        frame = t.EmberApsFrame(
            profileId=0x0000,
            clusterId=cluster_id,
            sourceEndpoint=0,
            destinationEndpoint=0,
            options=t.EmberApsOption.APS_OPTION_NONE,
            groupId=0,
            sequence=0,
        )
        self._zdo_sequence = (self._zdo_sequence + 1) % 256
        await self._ezsp.send_broadcast(
            address=t.BroadcastAddress(destination),
            aps_frame=frame,
            radius=t.uint8_t(30),
            message_tag=t.uint8_t(0),
            aps_sequence=t.uint8_t(0),
            data=bytes((self._zdo_sequence,)) + request,
        )

    async def link_keys(self) -> dict[Eui64, Secret]:
        """The NCP's link key table."""
        with self._driver():
            return await self._key_table.read()

    async def network_keys(self) -> tuple[Secret, ...]:
        """The NCP's own: of both PHYs."""
        with self._driver():
            return (await network_key(self._ezsp, radio=self._port.name),)

    async def install_link_key(
        self, eui64: Eui64, key: Secret, *, bearer: int | None = None
    ) -> None:
        """Write to the NCP's link key table, and read back."""
        with self._driver():
            await self._key_table.write(eui64, key)
        self._addresses.keyed(eui64)

    async def erase_link_key(self, eui64: Eui64) -> None:
        """Erase from the NCP's link key table."""
        with self._driver():
            await self._key_table.erase(eui64)
        self._addresses.unkeyed(eui64)

    async def remove_device(self, eui64: Eui64, nwk: int) -> None:
        """APS Remove Device, addressed to the device itself (a router) or by its parent, us."""
        target = driver_eui64(eui64)
        with self._driver():
            (status,) = await self._ezsp.removeDevice(
                destShort=t.EmberNodeId(nwk), destLong=target, targetLong=target
            )
        must_be_ok(status, f"the NCP did not remove {eui64}", self._port.name)

    def address_of(self, eui64: Eui64) -> int | None:
        """From the NCP's own tables, and what was heard since."""
        return self._addresses.nwk_of(eui64)

    def bearer_of(self, eui64: Eui64) -> int:
        """The PHY of a child, from the NCP's child table; 0 for all others."""
        return 0 if self._children is None else self._children.bearer_of(eui64)

    @property
    def key_engine(self) -> RadioKeyEngine | None:
        """Key establishment in the NCP, where its firmware has the libraries."""
        return self._key_engine

    async def allow_partner_keys(self, allowed: bool) -> None:
        """APP_KEY_REQUEST_POLICY. The NCP decides by that and by its key table alone."""
        decision = _PARTNER_KEYS_ALLOWED if allowed else _PARTNER_KEYS_DENIED
        with self._driver():
            (status,) = await self._ezsp.setPolicy(
                policyId=t.EzspPolicyId.APP_KEY_REQUEST_POLICY,
                decisionId=t.EzspDecisionId(decision),
            )
        must_be_ok(status, "the NCP did not take the policy for partner link keys", self._port.name)

    async def send_network_key(self, eui64: Eui64, nwk: int, key: Secret) -> None:
        """unicastNwkKeyUpdate."""
        with self._driver():
            (status,) = await self._ezsp.unicastNwkKeyUpdate(
                destShort=t.EmberNodeId(nwk),
                destLong=driver_eui64(eui64),
                key=t.KeyData(key.reveal()),
            )
        must_be_ok(status, f"the NCP did not send the network key to {eui64}", self._port.name)

    async def switch_network_key(self) -> None:
        """broadcastNetworkKeySwitch."""
        with self._driver():
            (status,) = await self._ezsp.broadcastNetworkKeySwitch()
        must_be_ok(status, "the NCP did not switch the network key", self._port.name)

    # -- data ---------------------------------------------------------------------------------

    async def send(self, packet: Outgoing) -> None:
        """Send and wait for delivery. Raises `DeliveryError`."""
        if self._sender is None or self._app is None:
            raise RigError("the radio is not running", where=self._port.name)
        with self._driver():
            await self._sender.send(packet)

    async def counters(self) -> dict[str, int]:
        """The NCP's counters by their EZSP names, lower case."""
        with self._driver():
            counts = await self._ezsp.read_counters()
        return {
            kind.name.removeprefix("COUNTER_").lower(): int(count) for kind, count in counts.items()
        }

    # -- bearers ----------------------------------------------------------------------------------

    async def energy_scan(
        self, channels: Sequence[Channel], *, exponent: int = 5
    ) -> dict[Channel, int]:
        """startScan, page by page."""
        with self._driver():
            return await self._bearers.energy_scan(channels, exponent)

    async def change_channel(self, bearer: int, channel: Channel) -> None:
        """setRadioChannel or, for the second PHY, multiPhySetRadioChannel."""
        with self._driver():
            await self._bearers.change_channel(bearer, channel)
        await self._look_where_we_are()
        if self._bearers.channels[bearer] != channel:
            raise RigError(
                f"the NCP is at {self._bearers.channels[bearer]} and not at {channel}",
                where=self._port.name,
            )

    async def announce_channel(self, bearer: int, channel: Channel) -> None:
        """Broadcast Mgmt_NWK_Update_req with the scan duration that means "change channel".

        It goes to sleepy children too, and over both PHYs; the mask says whose page is meant.
        """
        request = channel.mask.to_bytes(4, "little") + bytes((_CHANGE_CHANNEL, 0))
        with self._driver():
            await self._broadcast_zdo(_ALL_DEVICES, _MGMT_NWK_UPDATE, request)

    async def _look_where_we_are(self) -> None:
        assert self._listener is not None
        with self._driver():
            moved = await self._bearers.moved()
        for bearer, channel in moved:
            self._listener.channel_changed(bearer, channel)

    async def duty_cycle(self, bearer: int) -> DutyCycle | None:
        """getCurrentDutyCycle, of the bearer in the sub-GHz band."""
        if bearer != self._bearers.sub_ghz:
            return None
        with self._driver():
            return await duty_cycle.read(self._ezsp)

    async def set_duty_cycle_limits(self, bearer: int, limits: Limits) -> None:
        """setDutyCycleLimitsInStack, and read back."""
        if bearer != self._bearers.sub_ghz:
            raise RigError(
                "there is no duty cycle at 2.4 GHz",
                where=self._port.name,
                mend=duty_cycle.NEEDS_DUTY_CYCLE,
            )
        with self._driver():
            await duty_cycle.set_limits(self._ezsp, limits, self._port.name)

    # -- what the NCP tells -----------------------------------------------------------------------

    def _ezsp_callback(self, name: str, args: list[Any]) -> None:
        if self._stopping:
            return  # what was under way when the end came
        try:
            self._handle_callback(name, args)
        except Exception as error:  # noqa: BLE001 - bellows would log it and go on as if all were well
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"what {name} told could not be handled", "exception": error}
            )

    def _handle_callback(self, name: str, args: list[Any]) -> None:
        version = int(self._ezsp.ezsp_version)
        if name == "incomingMessageHandler":
            self._frame_received(received_frame(version, args))
        elif name == "messageSentHandler":
            assert self._sender is not None
            self._sender.message_sent(version, args)
        elif name == "trustCenterJoinHandler":
            self._trust_centre_join(*args)
        elif name == "zigbeeKeyEstablishmentHandler":
            self._partner_key(*args)
        elif name == "stackStatusHandler":
            self._stack_status(args[0])
        elif name == "pollHandler":
            assert self._listener is not None
            self._listener.child_polled(int(args[0]))
        elif name == "dutyCycleHandler":
            self._duty_cycle_changed(args[2])
        elif name == "childJoinHandler" and self._children is not None:
            index, joining, _nwk, ieee, _kind = args
            if joining:
                self._children.placed(Eui64(str(ieee)), int(index))
            else:
                self._children.gone(Eui64(str(ieee)))
        elif self._key_engine is not None:
            self._key_engine.handle(name, args)

    def _stack_status(self, status: Any) -> None:
        what = t.sl_Status.from_ember_status(status)
        if what == t.sl_Status.ZIGBEE_CHANNEL_CHANGED and self._phys is not None:
            self._spawn(self._look_after_a_move())
        elif what in _JOINING_IS_OPEN and self._listener is not None:
            self._listener.joining_changed(0, _JOINING_IS_OPEN[what])

    async def _look_after_a_move(self) -> None:
        try:
            await self._look_where_we_are()
        except RigError as error:
            _LOGGER.warning("the channel changed, but where to? %s", error)

    def _duty_cycle_changed(self, state: Any) -> None:
        # The list of devices that comes along is misaligned: `duty_cycle` asks for a good one.
        assert self._listener is not None
        bearer = None if self._phys is None else self._phys.sub_ghz
        if bearer is not None:
            self._listener.duty_cycle_changed(bearer, duty_cycle.state_of(state))

    def _partner_key(self, partner: t.EUI64, status: Any) -> None:
        """What came of an APS Request Key. The NCP tells who asked, or nobody when it failed."""
        assert self._listener is not None
        eui64 = Eui64(str(partner))
        refusal = "" if status.name in _PARTNER_KEY_SENT else status.name
        nobody = not int.from_bytes(eui64.big_endian, "big")
        self._listener.partner_key(PartnerKey(None if nobody else eui64, refusal))

    def _trust_centre_join(self, *args: Any) -> None:
        change = change_of(*args)
        if change is None:
            _LOGGER.warning("%s: unknown device update %r", self._port.name, args)
            return
        if isinstance(change, JoinSeen) and change.decision is not JoinDecision.DENIED:
            self._addresses.remember(change.eui64, change.nwk)
        if self._children is None:
            self._tell(change)
            return
        # A join is told with its PHY, for which the child table has to be asked: whatever happens
        # to devices is told in turn, and the device's own frames wait.
        hold = isinstance(change, JoinSeen) and self._is_free(change.nwk)
        held = self._unresolved.setdefault(change.nwk, []) if hold else None
        self._spawn(self._tell_in_turn(self._children, change, held))

    def _tell(self, change: JoinSeen | Departure) -> None:
        assert self._listener is not None
        if isinstance(change, JoinSeen):
            self._listener.join_seen(change)
        else:
            self._listener.device_left(change.eui64, change.nwk)

    def _is_free(self, nwk: int) -> bool:
        return nwk not in self._unresolved and len(self._unresolved) < _MOST_WAITING

    async def _tell_in_turn(
        self, children: ChildPhys, change: JoinSeen | Departure, held: list[ReceivedFrame] | None
    ) -> None:
        async with self._changes:
            if isinstance(change, JoinSeen):
                bearer = children.bearer_of(change.eui64)
                try:
                    with self._driver():
                        bearer = await children.locate(change.eui64)
                except RigError as error:
                    _LOGGER.warning("on which PHY is %s? %s", change.eui64, error)
                change = replace(change, bearer=bearer)
            self._tell(change)
        if held is not None:
            del self._unresolved[change.nwk]
            for frame in held:
                self._deliver(frame, self._addresses.eui64_of(frame.nwk))

    def _frame_received(self, frame: ReceivedFrame) -> None:
        if frame.kind not in (
            t.EmberIncomingMessageType.INCOMING_UNICAST,
            t.EmberIncomingMessageType.INCOMING_UNICAST_REPLY,
            t.EmberIncomingMessageType.INCOMING_BROADCAST,
            t.EmberIncomingMessageType.INCOMING_MULTICAST,
        ):
            return
        if self._app is None or frame.nwk == self._app.state.node_info.nwk:
            return  # our own ZDO, which bellows' start-up asks and awaits
        if frame.aps.profileId == 0 and not self._is_for_the_host(frame):
            self._overheard(frame)
            return
        eui64 = self._addresses.eui64_of(frame.nwk)
        if eui64 is None and frame.aps.clusterId == _DEVICE_ANNOUNCE and frame.aps.profileId == 0:
            eui64 = _announced(frame.data)
            if eui64 is not None:
                self._addresses.remember(eui64, frame.nwk)
        if eui64 is None and frame.eui64 is not None:
            eui64 = frame.eui64
            self._addresses.remember(eui64, frame.nwk)
        if frame.aps.profileId == 0 and frame.aps.clusterId == _IEEE_ADDR_RESPONSE:
            self._identified(frame)
            return
        if eui64 is None or frame.nwk in self._unresolved:
            self._hold(frame)
            return
        self._deliver(frame, eui64)

    def _overheard(self, frame: ReceivedFrame) -> None:
        """The NCP answers, and nobody waits for the sender's address."""
        eui64 = self._addresses.eui64_of(frame.nwk)
        if eui64 is not None and frame.nwk not in self._unresolved:
            assert self._listener is not None
            self._listener.overheard(self._incoming(frame, eui64))

    def _is_for_the_host(self, frame: ReceivedFrame) -> bool:
        """ZDO frames that the NCP has not dealt with: those flagged, announces, and answers."""
        return bool(
            frame.aps.options & t.EmberApsOption.APS_OPTION_ZDO_RESPONSE_REQUIRED
            or frame.aps.clusterId == _DEVICE_ANNOUNCE
            or frame.aps.clusterId & 0x8000
        )

    def _hold(self, frame: ReceivedFrame) -> None:
        """Keep a frame until it is known who sent it."""
        waiting = self._unresolved.get(frame.nwk)
        if waiting is None:
            if len(self._unresolved) >= _MOST_WAITING:
                self._deliver(frame, None)
                return
            self._unresolved[frame.nwk] = [frame]
            self._spawn(self._resolve(frame.nwk))
        elif len(waiting) < _MOST_WAITING:
            waiting.append(frame)

    async def _resolve(self, nwk: int) -> None:
        """Ask the NCP who a sender is, else the sender; then hand on its frames in their order."""
        try:
            with self._driver():
                status, ieee = await self._ezsp.lookupEui64ByNodeId(nodeId=t.EmberNodeId(nwk))
            if t.sl_Status.from_ember_status(status) == t.sl_Status.OK:
                self._addresses.remember(Eui64(str(ieee)), nwk)
            else:
                await self._ask_for_its_address(nwk)
        except RigError as error:
            _LOGGER.info("who is 0x%04x? %s", nwk, error)
        for frame in self._unresolved.pop(nwk):
            self._deliver(frame, self._addresses.eui64_of(nwk))

    async def _ask_for_its_address(self, nwk: int) -> None:
        """IEEE_addr_req (R22 2.4.3.1.2): after a restart the NCP knows only its own children."""
        self._zdo_sequence = (self._zdo_sequence + 1) % 256
        answered = self._asked[nwk] = asyncio.get_running_loop().create_future()
        request = bytes([self._zdo_sequence]) + nwk.to_bytes(2, "little") + b"\x00\x00"
        try:
            await self.send(Outgoing(nwk, 0, 0, _IEEE_ADDR_REQUEST, request, profile_id=0))
            async with asyncio.timeout(_ADDRESS_TIMEOUT_S):
                await answered
        except TimeoutError:
            _LOGGER.info("0x%04x does not tell its address", nwk)
        finally:
            del self._asked[nwk]

    def _identified(self, frame: ReceivedFrame) -> None:
        """IEEE_addr_rsp: sequence number, status, IEEE address, NWK address."""
        if len(frame.data) >= 12 and frame.data[1] == 0:
            nwk = int.from_bytes(frame.data[10:12], "little")
            self._addresses.remember(Eui64.from_little_endian(frame.data[2:10]), nwk)
        answered = self._asked.get(frame.nwk)
        if answered is not None and not answered.done():
            answered.set_result(None)

    async def _pin(self, slot: int, eui64: Eui64, nwk: int) -> None:
        for delay_s in (*_PIN_AGAIN_S, None):
            try:
                with self._driver():
                    await pin(self._ezsp, slot, eui64, nwk)
                return
            except RigError as error:
                # The NCP refuses while a message to that entry is under way.
                if delay_s is None:
                    _LOGGER.warning("%s", error)
                    return
            await asyncio.sleep(delay_s)

    def _deliver(self, frame: ReceivedFrame, eui64: Eui64 | None) -> None:
        assert self._listener is not None
        self._listener.packet_received(self._incoming(frame, eui64))

    def _incoming(self, frame: ReceivedFrame, eui64: Eui64 | None) -> Incoming:
        aps = frame.aps
        return Incoming(
            nwk=frame.nwk,
            eui64=eui64,
            source_endpoint=int(aps.sourceEndpoint),
            destination_endpoint=int(aps.destinationEndpoint),
            profile_id=int(aps.profileId),
            cluster_id=int(aps.clusterId),
            data=frame.data,
            aps_encrypted=bool(aps.options & t.EmberApsOption.APS_OPTION_ENCRYPTION),
            broadcast=frame.kind
            in (
                t.EmberIncomingMessageType.INCOMING_BROADCAST,
                t.EmberIncomingMessageType.INCOMING_MULTICAST,
            ),
            lqi=frame.lqi,
            rssi_dbm=frame.rssi_dbm,
            aps_counter=int(aps.sequence),
            bearer=0 if self._children is None else self._children.bearer_of(eui64),
        )

    # -- helpers ----------------------------------------------------------------------------------

    @property
    def _ezsp(self) -> Any:
        if self._app is None or self._app._ezsp is None:
            raise RigError("the radio is not running", where=self._port.name)
        return self._app._ezsp

    @property
    def _bearers(self) -> Phys:
        if self._phys is None or self._app is None:
            raise RigError("the radio is not running", where=self._port.name)
        return self._phys

    @property
    def _key_table(self) -> LinkKeyTable:
        if self._keys is None or self._app is None:
            raise RigError("the radio is not running", where=self._port.name)
        return self._keys

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @contextmanager
    def _driver(self) -> Iterator[None]:
        """Around every call of the driver: its errors become a `RigError`.

        Once the port is gone bellows stumbles over its own missing transport (AttributeError,
        RuntimeError); before that such an error would be ours, and is let through. A line that
        failed (ASH) is told as such even before the loss of the port is: it may be closing.
        """
        try:
            yield
        except RigError:
            raise
        except AshException as error:
            raise gone(self._lost or why_lost(error), self._port.name) from error
        except DRIVER_ERRORS as error:
            raise RigError(
                f"the NCP did not do it: {why_lost(error)}", where=self._port.name
            ) from error
        except TimeoutError as error:
            raise RigError(
                "the NCP did not answer in time",
                where=self._port.name,
                mend="unplug the stick and plug it in again; if that helps only for a while, "
                "update its firmware",
            ) from error
        except Exception as error:
            if self._lost is None and not self._stopping and not isinstance(error, OSError):
                raise
            raise gone(self._lost or why_lost(error), self._port.name) from error

    def _connection_lost(self, cause: str) -> None:
        if self._stopping or self._lost is not None:
            return
        self._lost = cause
        if self._sender is not None:
            self._sender.abandon(cause)
        if self._key_engine is not None:
            self._key_engine.abandon(cause)
        if self._listener is not None:
            self._listener.connection_lost(cause)


def _announced(data: bytes) -> Eui64 | None:
    """The EUI-64 in a Device_annce: sequence number, NWK address, IEEE address, capability."""
    return Eui64.from_little_endian(data[3:11]) if len(data) >= 11 else None
