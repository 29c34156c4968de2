"""An EZSP stick as Smart Energy coordinator and trust centre."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import bellows.types as t
import zigpy.exceptions
from bellows.exception import ControllerError, EzspError

from labctl.errors import RigError
from labctl.events import Band, JoinKind
from labctl.radio.coordinator import (
    Coordinator,
    CoordinatorListener,
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
from labctl.radio.ezsp.application import SmartEnergyApplication, application_configuration
from labctl.radio.ezsp.key_engine import EzspKeyEngine, built_in_suites
from labctl.radio.ezsp.link_keys import LinkKeyTable, driver_eui64
from labctl.radio.ezsp.messages import ReceivedFrame, Sender, received_frame
from labctl.secret import Secret
from labctl.smart_energy.eui64 import Eui64

_LOGGER = logging.getLogger(__name__)

_SECURITY_STATE = 0x0A00
"""HAVE_NETWORK_KEY | REQUIRE_ENCRYPTED_KEY: a Smart Energy trust centre, no global key."""

_EXTENDED_SECURITY = 0x0100
"""NWK_LEAVE_REQUEST_NOT_ALLOWED. In RAM only: set again after every start."""

_MGMT_PERMIT_JOINING = 0x0036
_DEVICE_ANNOUNCE = 0x0013
_ALL_ROUTERS = 0xFFFC
_UNKNOWN_NODE = 0xFFFF

_PARTNER_KEYS_ALLOWED, _PARTNER_KEYS_DENIED = 0x61, 0x60
"""EzspDecisionId for APP_KEY_REQUEST_POLICY."""

_PARTNER_KEY_SENT = frozenset(
    {"TC_APP_KEY_SENT_TO_REQUESTER", "APP_LINK_KEY_ESTABLISHED", "TC_RESPONDED_TO_KEY_REQUEST"}
)

_JOIN_KINDS = {
    t.EmberDeviceUpdate.STANDARD_SECURITY_SECURED_REJOIN: JoinKind.SECURED_REJOIN,
    t.EmberDeviceUpdate.STANDARD_SECURITY_UNSECURED_JOIN: JoinKind.JOIN,
    t.EmberDeviceUpdate.STANDARD_SECURITY_UNSECURED_REJOIN: JoinKind.UNSECURED_REJOIN,
}
_JOIN_DECISIONS = {
    t.EmberJoinDecision.USE_PRECONFIGURED_KEY: JoinDecision.KEY_SENT,
    t.EmberJoinDecision.SEND_KEY_IN_THE_CLEAR: JoinDecision.KEY_SENT,
    t.EmberJoinDecision.DENY_JOIN: JoinDecision.DENIED,
    t.EmberJoinDecision.NO_ACTION: JoinDecision.NO_ACTION,
}


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


class EzspCoordinator(Coordinator):
    """The `Coordinator` on unmodified bellows (EZSP 13; see docs/drivers.md for others).

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
        self._eui64_of: dict[int, Eui64] = {}
        self._nwk_of: dict[Eui64, int] = {}
        self._address_slots: dict[Eui64, int] = {}
        self._address_table_size = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._unresolved: dict[int, list[ReceivedFrame]] = {}
        self._stopping = False
        self._lost: str | None = None

    # -- life ---------------------------------------------------------------------------------

    def listen(self, listener: CoordinatorListener) -> None:
        """Set the one listener."""
        self._listener = listener

    async def start(
        self, settings: NetworkSettings, endpoints: Sequence[EndpointDescriptor]
    ) -> RadioState:
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
        )
        self._app = app
        try:
            await app.connect()
            resumed = await self._bring_up(app, settings)
        except Exception as error:
            await self.stop()
            raise self._start_failed(error) from error
        ezsp = app._ezsp
        ezsp.add_callback(self._ezsp_callback)
        self._keys = LinkKeyTable(ezsp, radio=self._port.name)
        self._sender = Sender(ezsp, radio=self._port.name)
        try:
            state = await self._settle(app, settings, resumed)
        except Exception as error:
            await self.stop()
            raise self._start_failed(error) from error
        return state

    async def _bring_up(self, app: SmartEnergyApplication, settings: NetworkSettings) -> bool:
        """Start the network that the NCP holds, or form one. True when it was there before."""
        try:
            await app.initialize(auto_form=False)
            if not settings.form_anew:
                return True
            await self._leave(app)
        except zigpy.exceptions.NetworkNotFormed:
            _LOGGER.debug("%s holds no network", self._port.name)
        self._stop_watchdog(app)
        await self._form(app, settings)
        await app.initialize(auto_form=False)
        return False

    @staticmethod
    def _stop_watchdog(app: SmartEnergyApplication) -> None:
        """The first `initialize` started one, and the next will not know of it."""
        if app._watchdog_task is not None:
            app._watchdog_task.cancel()
            app._watchdog_task = None

    async def _leave(self, app: SmartEnergyApplication) -> None:
        """Forget the network that the NCP holds, and be as after plugging it in."""
        self._stop_watchdog(app)
        await app._ezsp.leaveNetwork()
        await app.disconnect()
        await app.connect()

    async def _form(self, app: SmartEnergyApplication, settings: NetworkSettings) -> None:
        """Form as a Smart Energy trust centre: security state, empty key table, network."""
        ezsp = app._ezsp
        pan_id = settings.pan_id
        if pan_id is None:
            pan_id = 1 + int.from_bytes(self._random_octets(4), "big") % 0xFFFD
        extended = settings.extended_pan_id
        if extended is None:
            # GBCS: the extended PAN id is the hub's own address on the HAN.
            (own,) = await ezsp.getEui64()
            extended = Eui64(str(own))
        await ezsp.clearKeyTable()
        state = t.EmberInitialSecurityState(
            bitmask=t.EmberInitialSecurityBitmask(_SECURITY_STATE),
            preconfiguredKey=t.KeyData(bytes(16)),
            networkKey=t.KeyData(self._random_octets(16)),
            networkKeySequenceNumber=0,
            preconfiguredTrustCenterEui64=t.EUI64.convert("00:00:00:00:00:00:00:00"),
        )
        (status,) = await ezsp.setInitialSecurityState(state=state)
        self._must_be_ok(status, "the NCP did not take the trust centre's security state")
        await ezsp.formNetwork(
            parameters=t.EmberNetworkParameters(
                panId=t.EmberPanId(pan_id),
                extendedPanId=driver_eui64(extended),
                # bellows types it unsigned; the NCP reads a signed octet
                radioTxPower=t.uint8_t(settings.tx_power_dbm % 256),
                radioChannel=t.uint8_t(settings.channel),
                joinMethod=t.EmberJoinMethod.USE_MAC_ASSOCIATION,
                nwkManagerId=t.EmberNodeId(0),
                nwkUpdateId=t.uint8_t(0),
                channels=t.Channels.from_channel_list([settings.channel]),
            )
        )

    async def _settle(
        self, app: SmartEnergyApplication, settings: NetworkSettings, resumed: bool
    ) -> RadioState:
        """After NETWORK_UP: what RAM forgot, checks, addresses; then the state for the record."""
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
        if network.channel != settings.channel:
            _LOGGER.warning(
                "%s resumes on channel %d; the rig file says %d",
                self._port.name,
                network.channel,
                settings.channel,
            )
        if settings.pan_id is not None and int(network.pan_id) != settings.pan_id:
            raise RigError(
                f"the stick's network has PAN id 0x{int(network.pan_id):04x}, "
                f"the rig file asks for 0x{settings.pan_id:04x}",
                where=self._port.name,
                mend="remove hub.pan_id from the rig file, or reset the stick with "
                "`bellows leave` (all devices must then be paired again)",
            )
        await self._learn_addresses()
        return RadioState(
            name=self._port.name,
            driver="ezsp",
            path=self._port.shown_path or self._port.path,
            eui64=eui64,
            band=Band.GHZ_2_4,
            page=0,
            channel=int(network.channel),
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
        )

    async def _learn_addresses(self) -> None:
        """Short addresses of the devices whose keys the NCP holds, from its own tables."""
        ezsp, keys = self._ezsp, self._keys
        assert keys is not None
        status, size = await ezsp.getConfigurationValue(
            configId=t.EzspConfigId.CONFIG_ADDRESS_TABLE_SIZE
        )
        if t.sl_Status.from_ember_status(status) == t.sl_Status.OK:
            self._address_table_size = int(size)
        for partner in await keys.read():
            (nwk,) = await ezsp.lookupNodeIdByEui64(eui64=driver_eui64(partner))
            if nwk != _UNKNOWN_NODE:
                self._remember(partner, int(nwk))

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

    # -- joining and keys -----------------------------------------------------------------------

    async def permit_joining(self, seconds: int) -> None:
        """Open the NCP and tell the routers; 0 closes both."""
        if not 0 <= seconds <= 254:
            raise ValueError(f"a permit-join broadcast lasts 0 to 254 s, not {seconds}")
        with self._driver():
            await self._permit_joining(seconds)

    async def _permit_joining(self, seconds: int) -> None:
        (status,) = await self._ezsp.permitJoining(duration=seconds)
        self._must_be_ok(status, "the NCP did not change joining")
        frame = t.EmberApsFrame(
            profileId=0x0000,
            clusterId=_MGMT_PERMIT_JOINING,
            sourceEndpoint=0,
            destinationEndpoint=0,
            options=t.EmberApsOption.APS_OPTION_NONE,
            groupId=0,
            sequence=0,
        )
        self._zdo_sequence = (self._zdo_sequence + 1) % 256
        # TC_Significance is 1 since R21: the trust centre's own policy decides all the same.
        await self._ezsp.send_broadcast(
            address=t.BroadcastAddress(_ALL_ROUTERS),
            aps_frame=frame,
            radius=t.uint8_t(30),
            message_tag=t.uint8_t(0),
            aps_sequence=t.uint8_t(0),
            data=bytes([self._zdo_sequence, seconds, 0x01]),
        )

    async def link_keys(self) -> dict[Eui64, Secret]:
        """The NCP's link key table."""
        with self._driver():
            return await self._key_table.read()

    async def install_link_key(self, eui64: Eui64, key: Secret) -> None:
        """Write to the NCP's link key table, and read back."""
        with self._driver():
            await self._key_table.write(eui64, key)

    async def erase_link_key(self, eui64: Eui64) -> None:
        """Erase from the NCP's link key table."""
        with self._driver():
            await self._key_table.erase(eui64)

    async def remove_device(self, eui64: Eui64, nwk: int) -> None:
        """APS Remove Device, addressed to the device itself (a router) or by its parent, us."""
        target = driver_eui64(eui64)
        with self._driver():
            (status,) = await self._ezsp.removeDevice(
                destShort=t.EmberNodeId(nwk), destLong=target, targetLong=target
            )
        self._must_be_ok(status, f"the NCP did not remove {eui64}")

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
        self._must_be_ok(status, "the NCP did not take the policy for partner link keys")

    async def send_network_key(self, eui64: Eui64, nwk: int, key: Secret) -> None:
        """unicastNwkKeyUpdate."""
        with self._driver():
            (status,) = await self._ezsp.unicastNwkKeyUpdate(
                destShort=t.EmberNodeId(nwk),
                destLong=driver_eui64(eui64),
                key=t.KeyData(key.reveal()),
            )
        self._must_be_ok(status, f"the NCP did not send the network key to {eui64}")

    async def switch_network_key(self) -> None:
        """broadcastNetworkKeySwitch."""
        with self._driver():
            (status,) = await self._ezsp.broadcastNetworkKeySwitch()
        self._must_be_ok(status, "the NCP did not switch the network key")

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

    # -- what the NCP tells -----------------------------------------------------------------------

    def _ezsp_callback(self, name: str, args: list[Any]) -> None:
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
        elif self._key_engine is not None:
            self._key_engine.handle(name, args)

    def _partner_key(self, partner: t.EUI64, status: Any) -> None:
        """What came of an APS Request Key. The NCP tells who asked, or nobody when it failed."""
        assert self._listener is not None
        eui64 = Eui64(str(partner))
        refusal = "" if status.name in _PARTNER_KEY_SENT else status.name
        nobody = not int.from_bytes(eui64.big_endian, "big")
        self._listener.partner_key(PartnerKey(None if nobody else eui64, refusal))

    def _trust_centre_join(
        self,
        nwk: int,
        ieee: t.EUI64,
        update: t.EmberDeviceUpdate,
        decision: t.EmberJoinDecision,
        parent: int,
    ) -> None:
        assert self._listener is not None
        eui64 = Eui64(str(ieee))
        if update == t.EmberDeviceUpdate.DEVICE_LEFT:
            self._listener.device_left(eui64, int(nwk))
            return
        kind = _JOIN_KINDS.get(update)
        if kind is None:
            _LOGGER.warning("%s: unknown device update %r", self._port.name, update)
            return
        verdict = _JOIN_DECISIONS.get(decision, JoinDecision.NO_ACTION)
        if verdict is not JoinDecision.DENIED:
            self._remember(eui64, int(nwk))
        self._listener.join_seen(
            JoinSeen(eui64=eui64, nwk=int(nwk), kind=kind, decision=verdict, parent_nwk=int(parent))
        )

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
            return
        eui64 = self._eui64_of.get(frame.nwk)
        if eui64 is None and frame.aps.clusterId == _DEVICE_ANNOUNCE and frame.aps.profileId == 0:
            eui64 = _announced(frame.data)
            if eui64 is not None:
                self._remember(eui64, frame.nwk)
        if eui64 is None or frame.nwk in self._unresolved:
            waiting = self._unresolved.setdefault(frame.nwk, [])
            waiting.append(frame)
            if len(waiting) == 1:
                self._spawn(self._resolve(frame.nwk))
            return
        self._deliver(frame, eui64)

    def _is_for_the_host(self, frame: ReceivedFrame) -> bool:
        """ZDO frames that the NCP has not dealt with: those flagged, announces, and answers."""
        return bool(
            frame.aps.options & t.EmberApsOption.APS_OPTION_ZDO_RESPONSE_REQUIRED
            or frame.aps.clusterId == _DEVICE_ANNOUNCE
            or frame.aps.clusterId & 0x8000
        )

    async def _resolve(self, nwk: int) -> None:
        """Ask the NCP who a sender is, then hand on its frames in their order."""
        eui64: Eui64 | None = None
        try:
            with self._driver():
                status, ieee = await self._ezsp.lookupEui64ByNodeId(nodeId=t.EmberNodeId(nwk))
            if t.sl_Status.from_ember_status(status) == t.sl_Status.OK:
                eui64 = Eui64(str(ieee))
                self._remember(eui64, nwk)
        except RigError as error:
            _LOGGER.warning("who is 0x%04x? %s", nwk, error)
        for frame in self._unresolved.pop(nwk):
            self._deliver(frame, eui64)

    def _deliver(self, frame: ReceivedFrame, eui64: Eui64 | None) -> None:
        assert self._listener is not None
        aps = frame.aps
        self._listener.packet_received(
            Incoming(
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
            )
        )

    # -- addresses ------------------------------------------------------------------------------

    def _remember(self, eui64: Eui64, nwk: int) -> None:
        """Keep a device's short address, and pin it in the NCP, which encrypts by EUI-64."""
        if self._nwk_of.get(eui64) == nwk:
            return
        previous = self._nwk_of.get(eui64)
        if previous is not None:
            self._eui64_of.pop(previous, None)
        self._nwk_of[eui64] = nwk
        self._eui64_of[nwk] = eui64
        self._spawn(self._pin(eui64, nwk))

    async def _pin(self, eui64: Eui64, nwk: int) -> None:
        slot = self._address_slots.setdefault(eui64, len(self._address_slots))
        if slot >= self._address_table_size:
            return  # the NCP's own cache has to do; sends tell if it does not
        try:
            with self._driver():
                await self._ezsp.replaceAddressTableEntry(
                    addressTableIndex=slot,
                    newEui64=driver_eui64(eui64),
                    newId=t.EmberNodeId(nwk),
                    newExtendedTimeout=False,
                )
        except RigError as error:
            _LOGGER.warning("the address of %s is not pinned: %s", eui64, error)

    # -- helpers ----------------------------------------------------------------------------------

    @property
    def _ezsp(self) -> Any:
        if self._app is None or self._app._ezsp is None:
            raise RigError("the radio is not running", where=self._port.name)
        return self._app._ezsp

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
        RuntimeError); before that such an error would be ours, and is let through.
        """
        try:
            yield
        except RigError:
            raise
        except (EzspError, ControllerError, zigpy.exceptions.ZigbeeException) as error:
            raise RigError(f"the NCP did not do it: {error!r}", where=self._port.name) from error
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
            raise RigError(
                f"the stick is gone: {self._lost or error!r}",
                where=self._port.name,
                mend="plug the stick in again and start the run anew",
            ) from error

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

    def _must_be_ok(self, status: Any, what: str) -> None:
        if t.sl_Status.from_ember_status(status) != t.sl_Status.OK:
            raise RigError(f"{what}: {status!r}", where=self._port.name)

    def _start_failed(self, error: Exception) -> RigError:
        """What a person at the rig can do about a start that failed."""
        if isinstance(error, RigError):
            return error
        path = self._port.path
        if isinstance(error, FileNotFoundError):
            return RigError(
                "there is no such port",
                where=path,
                mend="is the stick plugged in? `ls /dev/serial/by-id` shows what is",
            )
        if isinstance(error, PermissionError):
            return RigError(
                f"the port cannot be opened: {error}",
                where=path,
                mend="join the group that owns the port (dialout on Debian), or close the program "
                "that holds it",
            )
        if isinstance(error, TimeoutError):
            return RigError(
                "nothing on this port speaks EZSP",
                where=path,
                mend="check the baud rate and flow control in the inventory, and that the stick "
                "has EZSP firmware; unplug it and plug it in again if it is hung",
            )
        return RigError(f"the stick did not start: {error!r}", where=path)


def _announced(data: bytes) -> Eui64 | None:
    """The EUI-64 in a Device_annce: sequence number, NWK address, IEEE address, capability."""
    return Eui64.from_little_endian(data[3:11]) if len(data) >= 11 else None
