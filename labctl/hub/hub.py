"""The communications hub: puts its parts together and hands them what the radio says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from labctl.clock import Clock
from labctl.errors import ConfigurationError, DeliveryError, RigError
from labctl.events import (
    DeviceSeen,
    Direction,
    EventBus,
    LinkSample,
    Note,
    PairingArmed,
    PairingRemoved,
    RadioLost,
    RadioUp,
    Refused,
    Severity,
)
from labctl.hub import binding, zcl
from labctl.hub import frames as zcl_frames
from labctl.hub.binding import BindingTable
from labctl.hub.chores import Chores
from labctl.hub.device_log import Device, DeviceLog
from labctl.hub.endpoints import build_endpoints
from labctl.hub.frames import Frame, MalformedFrame
from labctl.hub.identify import Identification
from labctl.hub.inbox import Inbox, Work
from labctl.hub.joins import JoinBook
from labctl.hub.key_establishment import CLUSTER_ID as KEY_ESTABLISHMENT
from labctl.hub.key_establishment import KeyEstablishments
from labctl.hub.keys import Keys
from labctl.hub.reads import ReadBook
from labctl.hub.settings import HubSettings, PairingRequest
from labctl.hub.trust_centre import NOT_IN_THE_LOG, TrustCentre
from labctl.meters import Meter
from labctl.radio.coordinator import (
    Coordinator,
    CoordinatorListener,
    Incoming,
    JoinSeen,
    Outgoing,
    RadioState,
)
from labctl.smart_energy.cbke import Identity
from labctl.smart_energy.eui64 import Eui64

_ZDO_PROFILE = 0x0000
_FIRST_DATA_CLUSTER = 0x0700
_LAST_DATA_CLUSTER = 0x070F


class Hub(CoordinatorListener):
    """A GB communications hub on one coordinator.

    `meters` become ESI endpoints 2, 3, ... in their order. `identities` are the hub's certificates
    by suite; their subject must be the radio's EUI-64. `random_octets` supplies ephemeral keys.

    Nothing that a device sends makes the hub raise: what devices do wrong is an event.
    """

    def __init__(
        self,
        settings: HubSettings,
        coordinator: Coordinator,
        bus: EventBus,
        clock: Clock,
        *,
        meters: Sequence[Meter],
        identities: Mapping[int, Identity],
        random_octets: Callable[[int], bytes],
    ) -> None:
        """Raise `ConfigurationError` when settings, meters and identities do not go together."""
        self._settings = settings
        self._coordinator = coordinator
        self._bus = bus
        self._clock = clock
        self._identities = {suite: identities[suite] for suite in settings.suites}
        self._random_octets = random_octets
        self._chores = Chores(self._bug)
        self._log = DeviceLog(settings.network.max_devices)
        self._known = {device.eui64: device for device in settings.devices}
        for logged in settings.devices:
            self._log.add(logged)
        self._inboxes: dict[str, Inbox] = {}
        try:
            self._endpoints = build_endpoints(settings, meters, clock.now_us())
            self._reads = ReadBook(
                settings.schedules, {e.name: e.number for e in self._endpoints.values()}
            )
        except ValueError as error:
            raise ConfigurationError(str(error), mend="correct the rig file") from error
        self._dispatcher = zcl.Dispatcher(
            settings, self._endpoints, self._reads, bus, clock, self._own_answer
        )
        self._keys = Keys(coordinator)
        self._identification = Identification(
            coordinator, bus, clock, self._chores, settings.patience
        )
        self._radio: RadioState | None = None
        self._lost = False

    # -- life -------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bring the network up and serve. Raises `RigError`, `ConfigurationError`."""
        self._coordinator.listen(self)
        descriptors = [endpoint.descriptor for endpoint in self._endpoints.values()]
        radio = await self._coordinator.start(self._settings.network, descriptors)
        try:
            await self._take_over(radio)
        except BaseException:
            await self._coordinator.stop()
            raise

    async def _take_over(self, radio: RadioState) -> None:
        self._check_identities(radio)
        book = JoinBook(self._bus, self._clock, radio)
        self._trust_centre = TrustCentre(
            log=self._log,
            book=book,
            keys=self._keys,
            coordinator=self._coordinator,
            bus=self._bus,
            clock=self._clock,
            chores=self._chores,
            patience=self._settings.patience,
            authorised=self._identification.soon,
        )
        self._bindings = BindingTable(radio.eui64, self._endpoints, self._settings.bindings_limit)
        self._key_establishments = KeyEstablishments(
            identities=self._identities,
            own=radio.eui64,
            random_octets=self._random_octets,
            coordinator=self._coordinator,
            keys=self._keys,
            trust_centre=self._trust_centre,
            bus=self._bus,
            clock=self._clock,
            chores=self._chores,
            enqueue=self._enqueue,
        )
        strangers = await self._keys.resume(self._log)
        self._announce(radio, strangers)
        self._radio = radio

    def _check_identities(self, radio: RadioState) -> None:
        for suite, identity in self._identities.items():
            if identity.subject != radio.eui64:
                raise ConfigurationError(
                    f"the suite {suite} certificate is of {identity.subject}, "
                    f"the radio is {radio.eui64}",
                    where=radio.name,
                    mend="use the certificate of this radio, or let the lab CA issue one",
                )

    def _announce(self, radio: RadioState, strangers: list[Eui64]) -> None:
        now_us = self._clock.now_us()
        self._bus.emit(
            RadioUp(
                at_us=now_us,
                name=radio.name,
                driver=radio.driver,
                band=radio.band,
                path=radio.path,
                eui64=radio.eui64,
                page=radio.page,
                channel=radio.channel,
                pan_id=radio.pan_id,
                extended_pan_id=radio.extended_pan_id,
                resumed=radio.resumed,
                tx_power_dbm=radio.tx_power_dbm,
                serial_number=radio.serial_number,
                manufacturer=radio.manufacturer,
                model=radio.model,
                firmware=radio.firmware,
                protocol_version=radio.protocol_version,
            )
        )
        for device in self._log:
            self._device_seen(device)
        for declaration in self._reads.declarations(now_us):
            self._bus.emit(declaration)
        for stranger in strangers:
            self._note("key-of-unlisted-device", Severity.WARNING, stranger)

    async def stop(self) -> None:
        """End joins and windows, and stop the radio. Safe to call twice."""
        if self._radio is not None and not self._lost:
            self._radio = None
            try:
                await self._trust_centre.close()
            except RigError as error:
                self._note("radio-error", Severity.ERROR, cause=error.what)
        self._radio = None
        await self._chores.cancel()
        await self._coordinator.stop()

    # -- pairing ----------------------------------------------------------------------------------

    @property
    def radio(self) -> RadioState:
        """The radio as it runs; only between `start` and `stop`."""
        if self._radio is None:
            raise RigError("the hub is not running")
        return self._radio

    def authorised(self, eui64: Eui64) -> bool:
        """Whether a device holds an established link key: then it needs no pairing."""
        device = self._log.get(eui64)
        return device is not None and device.authorised

    def endpoint_of(self, name: str) -> int:
        """The endpoint of the meter of that name, or of `HUB`. Raises `KeyError`."""
        return {e.name: e.number for e in self._endpoints.values()}[name]

    async def pair(self, request: PairingRequest) -> None:
        """Let a device in: its install-code key into the radio, joining open for the window.

        A device that is authorised keeps its key (GBCS CCS01). Returns when the window is open;
        what comes of it are events. Raises `ConfigurationError` for a device that nobody
        described, `RigError` when the log is full or the radio fails.
        """
        logged = request.device or self._known.get(request.eui64)
        device = self._log.get(request.eui64)
        if device is None:
            if logged is None:
                raise ConfigurationError(
                    f"{request.eui64} is not in the device log",
                    mend="give the device with the request, or put it into the rig file",
                )
            device = self._log.add(logged)
            self._device_seen(device)
        self._trust_centre.opened(device)
        await self._keys.install_code_key(device)
        self._bus.emit(
            PairingArmed(
                at_us=self._clock.now_us(),
                eui64=device.eui64,
                method=request.method,
                requested_by=request.requested_by,
                window_s=request.window_s,
                consent_reference=request.consent_reference,
            )
        )
        await self._trust_centre.windows.open(device, request.window_s)

    async def unpair(self, eui64: Eui64, reason: str) -> None:
        """Remove a device from the network and from the log. Raises `RigError`."""
        device = self._log.get(eui64)
        if device is None:
            return
        await self._trust_centre.forget(device, f"unpaired: {reason}")
        self._key_establishments.forget(device)
        if device.nwk is not None:
            try:
                await self._coordinator.remove_device(device.eui64, device.nwk)
            except RigError as error:
                self._note("not-removed", Severity.WARNING, eui64, cause=error.what)
        await self._keys.erase(device)
        self._bindings.forget(device.eui64)
        self._log.remove(device)
        self._inboxes.pop(device.eui64, None)
        self._bus.emit(PairingRemoved(at_us=self._clock.now_us(), eui64=eui64, reason=reason))

    # -- what the radio tells ---------------------------------------------------------------------

    def packet_received(self, packet: Incoming) -> None:
        """A packet arrived. Never raises, whatever is in it."""
        if self._radio is None:
            return
        device = self._sender(packet)
        if device is None:
            self._refuse_stranger(packet)
            return
        now_us = self._clock.now_us()
        if not packet.broadcast:
            self._sample(device, packet, now_us)
        if packet.profile_id == _ZDO_PROFILE:
            if packet.cluster_id == binding.DEVICE_ANNOUNCE:
                self._announced(packet)
                return
        else:
            device.endpoint = packet.source_endpoint
        self._trust_centre.heard(device, secured=packet.aps_encrypted)
        if packet.aps_encrypted:
            self._key_establishments.heard_secured(device)
        self._enqueue(device, partial(self._handle, device, packet, now_us))

    def join_seen(self, join: JoinSeen) -> None:
        """The NCP dealt with a joiner."""
        if self._radio is not None:
            self._trust_centre.join_seen(join)

    def device_left(self, eui64: Eui64, nwk: int) -> None:
        """A device left the network."""
        device = self._log.get(eui64)
        if device is not None and self._radio is not None:
            self._trust_centre.left(device)

    def connection_lost(self, cause: str) -> None:
        """The radio is gone: infrastructure."""
        name = self._radio.name if self._radio is not None else "radio"
        self._lost = True
        self._bus.emit(RadioLost(at_us=self._clock.now_us(), name=name, cause=cause))

    def _sender(self, packet: Incoming) -> Device | None:
        if packet.eui64 is None:
            return self._log.at(packet.nwk)
        device = self._log.get(packet.eui64)
        if device is not None and device.nwk != packet.nwk:
            self._log.moved(device, packet.nwk)
        return device

    def _announced(self, packet: Incoming) -> None:
        announce = binding.parse_announce(packet.data)
        device = self._log.get(announce.eui64) if announce is not None else None
        if announce is not None and device is not None:
            self._trust_centre.announced(device, announce.nwk)

    def _sample(self, device: Device, packet: Incoming, now_us: int) -> None:
        radio = self.radio
        device.lqi = packet.lqi
        self._bus.emit(
            LinkSample(
                at_us=now_us,
                eui64=device.eui64,
                radio=radio.name,
                direction=Direction.TO_HUB,
                page=radio.page,
                channel=radio.channel,
                lqi=packet.lqi,
                rssi_dbm=packet.rssi_dbm,
            )
        )

    def _refuse_stranger(self, packet: Incoming) -> None:
        if packet.broadcast:
            return  # others' Device_annce and discovery pass by here; the join was recorded
        if packet.eui64 is None:
            self._note("unknown-sender", Severity.WARNING, nwk=packet.nwk)
            return
        self._bus.emit(
            Refused(
                at_us=self._clock.now_us(),
                eui64=packet.eui64,
                layer="nwk",
                cause=NOT_IN_THE_LOG,
                endpoint=packet.destination_endpoint,
                cluster_id=packet.cluster_id,
            )
        )

    # -- one device's work ------------------------------------------------------------------------

    def _enqueue(self, device: Device, work: Work) -> None:
        inbox = self._inboxes.get(device.eui64)
        if inbox is None:
            inbox = self._inboxes[device.eui64] = Inbox(
                self._chores, self._settings.queue_limit, partial(self._dropped, device)
            )
        inbox.put(work)

    async def _handle(self, device: Device, packet: Incoming, received_us: int) -> None:
        if self._log.get(device.eui64) is not device:
            return  # unpaired while it waited
        if packet.profile_id == _ZDO_PROFILE:
            answers = self._zdo(device, packet)
        else:
            frame = self._key_establishment_frame(packet)
            if frame is not None:
                await self._key_establishments.received(device, packet, frame)
                return
            answers = self._dispatcher.handle(device, packet, received_us)
            if answers and device.authorised:
                data = _FIRST_DATA_CLUSTER <= packet.cluster_id <= _LAST_DATA_CLUSTER
                self._trust_centre.progressed(device, read=data)
                self._identification.soon(device)
        for answer in answers:
            await self._send(device, answer)

    def _key_establishment_frame(self, packet: Incoming) -> Frame | None:
        if packet.cluster_id != KEY_ESTABLISHMENT:
            return None
        try:
            frame = zcl_frames.parse(packet.data)
        except MalformedFrame:
            return None  # the dispatcher refuses and records it
        return frame if self._key_establishments.wants(packet, frame) else None

    def _zdo(self, device: Device, packet: Incoming) -> list[Outgoing]:
        if packet.broadcast:
            return []
        answer = self._bindings.answer(
            packet.cluster_id, packet.data, device.eui64, authorised=device.authorised
        )
        if device.authorised:
            self._trust_centre.progressed(device, read=False)
        if answer is None:
            return []
        if answer.refusal:
            self._bus.emit(
                Refused(
                    at_us=self._clock.now_us(),
                    eui64=device.eui64,
                    layer="zdo",
                    cause=answer.refusal,
                    endpoint=0,
                    cluster_id=packet.cluster_id,
                    status=answer.status,
                )
            )
        return [
            Outgoing(
                nwk=packet.nwk,
                source_endpoint=0,
                destination_endpoint=0,
                cluster_id=answer.cluster_id,
                data=answer.data,
                profile_id=_ZDO_PROFILE,
            )
        ]

    async def _send(self, device: Device, packet: Outgoing) -> None:
        try:
            await self._coordinator.send(packet)
        except DeliveryError as error:
            self._note(
                "answer-not-delivered",
                Severity.WARNING,
                device.eui64,
                cause=error.what,
                status=error.status,
                cluster_id=packet.cluster_id,
                endpoint=packet.source_endpoint,
            )
        except RigError as error:
            self._note("radio-error", Severity.ERROR, device.eui64, cause=error.what)

    def _own_answer(self, device: Device, packet: Incoming, frame: Frame) -> bool:
        if (
            packet.cluster_id == KEY_ESTABLISHMENT
            and frame.command_id == zcl_frames.DEFAULT_RESPONSE
        ):
            self._key_establishments.default_response(device, frame)
            return True
        return self._identification.answered(device, packet, frame)

    def _dropped(self, device: Device, count: int) -> None:
        self._note("requests-dropped", Severity.WARNING, device.eui64, count=count)

    # -- for the record ---------------------------------------------------------------------------

    def _device_seen(self, device: Device) -> None:
        self._bus.emit(
            DeviceSeen(
                at_us=self._clock.now_us(),
                eui64=device.eui64,
                name=device.name,
                kind=device.kind,
                manufacturer=device.manufacturer,
                model=device.model,
            )
        )

    def _note(
        self,
        kind: str,
        severity: Severity,
        eui64: str | None = None,
        **detail: object,
    ) -> None:
        self._bus.emit(
            Note(
                at_us=self._clock.now_us(),
                kind=kind,
                severity=severity,
                eui64=eui64,
                detail=detail,
            )
        )

    def _bug(self, error: BaseException) -> None:
        """A task of ours failed. A radio that failed under it is no bug."""
        if isinstance(error, RigError):
            self._note("radio-error", Severity.ERROR, cause=error.what)
            return
        self._note("internal-error", Severity.ERROR, error=type(error).__name__)
        self._chores.report(error)
