"""The communications hub: puts its parts together and hands them what the radio says."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from labctl.clock import Clock
from labctl.errors import ConfigurationError, DeliveryError, LabctlError, RigError, UsageError
from labctl.events import Band, EventBus, Severity
from labctl.hub import binding, causes
from labctl.hub import frames as zcl
from labctl.hub.bearer_care import BearerCare
from labctl.hub.bearers import Bearers
from labctl.hub.binding import BindingTable
from labctl.hub.chores import Chores
from labctl.hub.device_log import Device, DeviceLog, KeyState
from labctl.hub.device_reads import DeviceReads, Reading
from labctl.hub.discovery import Discovery
from labctl.hub.endpoints import Endpoint
from labctl.hub.eviction import Eviction
from labctl.hub.frames import Frame, MalformedFrame
from labctl.hub.gate import WITHHELD, Gate
from labctl.hub.identify import Identification
from labctl.hub.inbox import Inbox, Work
from labctl.hub.joins import JoinBook
from labctl.hub.key_engine import Arithmetics, HostArithmetics, RadioArithmetics, radio_identities
from labctl.hub.key_establishment import CLUSTER_ID as KEY_ESTABLISHMENT
from labctl.hub.key_establishment import KeyEstablishments
from labctl.hub.keys import Keys
from labctl.hub.network_key import NetworkKeyUpdate
from labctl.hub.odd_frames import OddFrames
from labctl.hub.pairings import Pairings
from labctl.hub.pretence import Pretences
from labctl.hub.probing import Probed, Probing
from labctl.hub.provocation import Provocation
from labctl.hub.publisher import Publisher
from labctl.hub.radio_loss import RadioLosses
from labctl.hub.reads import ReadBook
from labctl.hub.rehearsal import Rehearsals
from labctl.hub.reporter import Reporter
from labctl.hub.settings import HubSettings, LoggedDevice, PairingRequest
from labctl.hub.trust_centre import TrustCentre
from labctl.hub.vault import KeptLog, Vault
from labctl.hub.withholding import Withholding
from labctl.hub.zcl import Dispatcher
from labctl.meters import Meter
from labctl.radio.coordinator import (
    Coordinator,
    CoordinatorListener,
    Incoming,
    JoinSeen,
    NetworkSettings,
    Outgoing,
    PartnerKey,
    RadioState,
    short_address,
)
from labctl.smart_energy.airtime import DutyCycleState
from labctl.smart_energy.cbke import Identity
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.disagreements import USUAL, DeviceSettings
from labctl.smart_energy.eui64 import Eui64

_ZDO_PROFILE = 0x0000
_DATA_CLUSTERS = range(0x0700, 0x0710)
_RX_ON_WHEN_IDLE = 0x08  # capability information, R22 table 3.62
NOBODY: Final = Eui64("00" * 8)
"""Whoever it was, the radio did not say."""


IdentitySource = Callable[[Eui64], Mapping[int, Identity]]
"""Gives the hub's certificates by suite, once the radio's address is known."""


class Hub(CoordinatorListener):
    """A GB communications hub on one coordinator.

    `meters` become ESI endpoints 2, 3, ... in their order. `identities` are the hub's certificates
    by suite, or a function that gives them for the radio's EUI-64, which must be their subject.
    `random_octets` supplies ephemeral keys. `vault` keeps the device log with its keys over
    restarts and changes of the stick; without one the log lasts as long as the hub.

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
        identities: Mapping[int, Identity] | IdentitySource,
        random_octets: Callable[[int], bytes],
        vault: Vault | None = None,
    ) -> None:
        """Raise `ConfigurationError` when settings, meters and identities do not go together."""
        self._settings = settings
        self._gate = None
        if _has_sub_ghz(settings.network):
            self._gate = Gate(coordinator)
            coordinator = self._gate.coordinator
        self._coordinator = coordinator
        self._bus = bus
        self._clock = clock
        self._identity_source = identities
        self._identities: dict[Eui64, Mapping[int, Identity]] = {}
        """The hub's certificates, by the address of the radio that they are for."""
        if not callable(identities):
            _of_suites(identities, settings.suites)
        self._random_octets = random_octets
        self._reporter = Reporter(bus, clock)
        self._chores = Chores(self._task_failed)
        self._log = DeviceLog(
            settings.network.max_devices,
            gas_proxy_counts=settings.gas_proxy_counts,
            vault=vault,
        )
        self._keys = Keys(coordinator, self._log)
        self._known = {device.eui64: device for device in settings.devices}
        for logged in settings.devices:
            _demand_suites(logged, settings.suites)
            self._log.declare(logged)
        self._inboxes: dict[str, Inbox] = {}
        try:
            self.publisher = Publisher(
                settings,
                meters,
                coordinator,
                self._chores,
                self._reporter,
                find=self._log.get,
                treated=self._treated,
            )
            self._endpoints = self.publisher.endpoints
            self._reads = ReadBook(settings.schedules, _numbers(self._endpoints))
        except ValueError as error:
            raise ConfigurationError(str(error), mend="correct the rig file") from error
        self._identification = Identification(
            coordinator, self._reporter, self._chores, settings.patience
        )
        self._withholding = Withholding(self._reporter)
        self._device_reads = DeviceReads(coordinator, self._reporter, settings.patience.answer_s)
        self.odd_frames = OddFrames(coordinator, self._reporter, self._log.get)
        self._discovery = Discovery(
            coordinator, self.publisher.post.next_sequence, settings.patience.answer_s
        )
        self._probing = Probing(
            coordinator, self._reporter, self._discovery, self.publisher.post.next_sequence
        )
        self.pretences = Pretences(self._reporter)
        self._dispatcher = Dispatcher(
            settings,
            self._endpoints,
            self._reads,
            self._reporter,
            own_answer=self._own_answer,
            served=self._served,
            treated=self._treated,
            pretences=self.pretences,
        )
        self.rehearsals = Rehearsals(
            settings, self._endpoints, self._reads, clock, self._treated, self.pretences
        )
        self._bearers: Bearers | None = None
        self._care: BearerCare | None = None
        self._losses: RadioLosses | None = None

    # -- life -------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bring the network up and serve. Raises `RigError`, `ConfigurationError`."""
        self._coordinator.listen(self)
        descriptors = [endpoint.descriptor for endpoint in self._endpoints.values()]
        kept = self._log.load()
        states = await self._coordinator.start(_network(self._settings.network, kept), descriptors)
        try:
            await self._take_over(Bearers(states), kept)
        except BaseException:
            await self._coordinator.stop()
            raise

    async def _take_over(self, bearers: Bearers, kept: KeptLog) -> None:
        """Everything that has to wait for the radio's address."""
        radio = bearers.first
        arithmetics: Arithmetics = HostArithmetics(self._random_octets)
        in_radio = await radio_identities(
            self._coordinator, self._settings.key_engine, self._settings.suites, radio.name
        )
        if in_radio is not None:
            assert self._coordinator.key_engine is not None  # whose certificates these are
            arithmetics = RadioArithmetics(self._coordinator.key_engine)
            self._identities = {radio.eui64: dict(in_radio)}
        else:
            self._identities = {state.eui64: self._certificates_of(state) for state in bearers}
        eviction = Eviction(self._coordinator, self._keys, self._reporter, self._chores)
        self._trust_centre = TrustCentre(
            log=self._log,
            book=JoinBook(self._bus, self._clock, bearers),
            eviction=eviction,
            keys=self._keys,
            coordinator=self._coordinator,
            reporter=self._reporter,
            chores=self._chores,
            patience=self._settings.patience,
            authorised=self._got_in,
        )
        self._bindings = BindingTable(
            self._own_address, self._endpoints, self._settings.bindings_limit
        )
        self.publisher.start(self._bindings)
        self._key_establishments = KeyEstablishments(
            identities=lambda device: self._identities[bearers.of(device).eui64],
            own=lambda device: bearers.of(device).eui64,
            arithmetics=arithmetics,
            coordinator=self._coordinator,
            keys=self._keys,
            trust_centre=self._trust_centre,
            reporter=self._reporter,
            chores=self._chores,
            patience=self._settings.patience,
            enqueue=partial(self._enqueue, droppable=False),
            treated=self._treated,
            practices=self._dispatcher.practices,
        )
        self._pairings = Pairings(
            settings=self._settings,
            known=self._known,
            log=self._log,
            keys=self._keys,
            eviction=eviction,
            trust_centre=self._trust_centre,
            key_establishments=self._key_establishments,
            coordinator=self._coordinator,
            reporter=self._reporter,
            chores=self._chores,
            forgotten=self._forgotten,
        )
        self._network_key = NetworkKeyUpdate(
            self._log, self._coordinator, self._reporter, self._random_octets
        )
        swapped = kept.hub is not None and kept.hub != radio.eui64
        if kept.devices and kept.extended_pan_id not in (None, radio.extended_pan_id):
            raise RigError(
                f"the radio holds the network {radio.extended_pan_id}, "
                f"the device log is of {kept.extended_pan_id}",
                where=radio.name,
                mend="`labctl hub export` and `labctl hub import` move a log to another radio; "
                "without its key store the rig begins a log of its own",
            )
        beside = bearers.beside
        if beside is not None and kept.beside not in (None, beside.eui64):
            raise RigError(
                f"the second radio is {beside.eui64}, the device log knows {kept.beside} there",
                where=beside.name,
                mend="plug that one in again; on another one the devices of its band must be "
                "unpaired and paired anew, with a key store of their own",
            )
        self._log.belongs_to(
            radio.eui64, radio.extended_pan_id, beside=beside.eui64 if beside else None
        )
        resumption = await self._keys.resume(swapped=swapped)
        for state in bearers:
            self._reporter.radio_up(state)
        if swapped:
            self._reporter.note(
                "trust-centre-swapped", Severity.WARNING, before=kept.hub, now=radio.eui64
            )
        for device in self._log:
            nwk = self._coordinator.address_of(device.eui64)
            if nwk is not None:
                self._log.moved(device, nwk, self._coordinator.bearer_of(device.eui64))
        for device in resumption.restored:
            self._reporter.note("key-restored", eui64=device.eui64, state=device.key.value)
        for device in self._log:
            self._reporter.device_declared(device)
        for declaration in self._reads.declarations(self._clock.now_us()):
            self._bus.emit(declaration)
        for stranger in resumption.strangers:
            self._reporter.note("key-of-unlisted-device", Severity.WARNING, stranger)
        for device in self._log:
            if device.key is KeyState.UNPROVEN:
                self._trust_centre.unproven(device)
        self._care = BearerCare(
            self._settings.bearers,
            bearers=bearers,
            log=self._log,
            endpoints=self._endpoints,
            coordinator=self._coordinator,
            gate=self._gate,
            bus=self._bus,
            post=self.publisher.post,
            chores=self._chores,
            reporter=self._reporter,
            log_alert=self.publisher.log_event,
            described=lambda device: self._known.get(device.eui64),
        )
        self._bearers = bearers
        losses = self._losses = RadioLosses(
            bearers=bearers,
            log=self._log,
            keys=self._keys,
            trust_centre=self._trust_centre,
            key_establishments=self._key_establishments,
            bus=self._bus,
            reporter=self._reporter,
        )
        self._losses.care = self._care
        self._reporter.without_radio = lambda: bool(losses.cause)
        self._care.start()

    def _certificates_of(self, radio: RadioState) -> Mapping[int, Identity]:
        """Raise `ConfigurationError` unless there is one of each suite, made for this radio."""
        source = self._identity_source
        offered = source(radio.eui64) if callable(source) else source
        identities = _of_suites(offered, self._settings.suites)
        for suite, identity in identities.items():
            if identity.subject != radio.eui64:
                raise ConfigurationError(
                    f"the suite {suite} certificate is of {identity.subject}, "
                    f"the radio is {radio.eui64}",
                    where=radio.name,
                    mend="use the certificate of this radio, or let the lab CA issue one",
                )
        return identities

    def _own_address(self, partner: Eui64) -> Eui64:
        """The address that a device knows the hub by."""
        assert self._bearers is not None  # bindings are made over a running radio
        device = self._log.get(partner)
        return self._bearers.first.eui64 if device is None else self._bearers.of(device).eui64

    async def stop(self) -> None:
        """End joins and windows, and stop the radio. Safe to call twice."""
        running, self._bearers = self._bearers is not None, None
        lost = "" if self._losses is None else self._losses.cause
        try:
            await self._chores.cancel()
            if self._care is not None:
                self._care.close()
            if running and lost:
                self._trust_centre.radio_gone(lost)
            elif running:
                await self._wind_up(self._key_establishments.close())
                await self._wind_up(self._trust_centre.close())
        finally:
            await self._coordinator.stop()

    async def _wind_up(self, work: Coroutine[None, None, None]) -> None:
        """Do one of the last things; a radio that fails now must not keep the others from it."""
        try:
            await work
        except RigError as error:
            self._reporter.note("radio-error", Severity.ERROR, cause=error.what)

    # -- pairing ----------------------------------------------------------------------------------

    @property
    def radio(self) -> RadioState:
        """The hub's own radio as it runs. Raises `RigError` before `start` and after `stop`."""
        return self.bearers.first

    @property
    def bearers(self) -> Bearers:
        """What frames go over. Raises `RigError` before `start` and after `stop`."""
        if self._bearers is None:
            raise RigError("the hub is not running")
        return self._bearers

    def authorised(self, eui64: Eui64) -> bool:
        """Whether a device holds an established link key: then it needs no pairing."""
        device = self._log.get(eui64)
        return device is not None and device.authorised and not device.unconfirmed

    def endpoint_of(self, name: str) -> int:
        """The endpoint of the meter of that name, or of `HUB`. Raises `KeyError`."""
        return _numbers(self._endpoints)[name]

    async def pair(self, request: PairingRequest) -> None:
        """Let a device in: its install-code key into the radio, joining open for the window.

        A device that is authorised keeps its key (GBCS CCS01), and one that was removed not long
        ago may use its old one in the first half of the window. Returns when the window is open;
        what comes of it are events. Raises `ConfigurationError` for a device that nobody
        described, `UsageError` without a consent reference where one is demanded, `RigError` when
        the log is full or the radio fails. Each refusal is recorded too.
        """
        self.bearers  # noqa: B018 - raises when there are none
        await self._pairings.pair(request)
        self.publisher.device_log_changed()

    async def offer(self, seconds: int) -> None:
        """Open joining to see who comes, for 1 to 65535 s; 0 ends it. Nobody gets in by that.

        Whoever tries and is not listed is noted (`joiner-offered`) and in `offered`.
        """
        self.bearers  # noqa: B018 - raises when there are none
        await self._pairings.offer(seconds)

    async def close_joining(self) -> None:
        """End every window, and an offer, now, as if their time were up. Raises `RigError`.

        Nobody can begin a join any more; returns when those that are under way have ended, which
        takes no longer than `Patience.finish_s`.
        """
        self.bearers  # noqa: B018 - raises when there are none
        await self._trust_centre.windows.open_to_all(0)
        await self._trust_centre.end_windows()

    @property
    def offered(self) -> tuple[Eui64, ...]:
        """Who tried to join while an offer was open, in the order of their coming."""
        return self._pairings.offered

    async def confirm(self, request: PairingRequest) -> None:
        """Pair a device that was offered; it gets in at its next try. Raises as `pair` does."""
        await self._pairings.confirm(request)

    async def unpair(self, eui64: Eui64, reason: str) -> bool:
        """Remove a device from the network and from the log. Raises `RigError`.

        False when it was on the network and did not answer: then it is refused from now on.
        """
        return await self._pairings.unpair(eui64, reason)

    def forget_old_key(self, eui64: Eui64) -> None:
        """A removed device was reset to its factory state: its next pairing begins with its
        install code, and not for half a window with the key that it had."""
        self._log.forget_old_key(eui64)

    async def establish_key(self, eui64: Eui64, *, suite: int | None = None) -> None:
        """Begin key establishment with a device; what comes of it is a join. Raises `RigError`."""
        device = self._log.get(eui64)
        if device is None:
            raise RigError(f"{eui64} is not in the device log", mend="pair it first")
        await self._key_establishments.initiate(device, suite=suite)

    def provoke(self, eui64: Eui64, what: Provocation | None) -> None:
        """Do something wrong on purpose in the device's next key establishment, once.

        None takes it back. Raises `RigError` before `start`.
        """
        self.bearers  # noqa: B018 - raises when there are none
        self._key_establishments.provoke(eui64, what)

    def withhold(self, eui64: Eui64, cluster_id: int, *, answers: bool) -> None:
        """Leave a device's requests on a cluster unanswered on purpose; `answers`: no longer."""
        if answers:
            self._withholding.end(eui64, cluster_id)
        else:
            self._withholding.begin(eui64, cluster_id)

    async def read_device(
        self,
        eui64: Eui64,
        cluster_id: int,
        attributes: Sequence[int],
        *,
        endpoint: int | None = None,
    ) -> list[Reading]:
        """Read attributes of a device's server. Raises `UsageError`, `RigError`."""
        self.bearers  # noqa: B018 - raises when there are none
        device = self._log.get(eui64)
        if device is None:
            raise UsageError(f"{eui64} is not in the device log")
        return await self._device_reads.read(device, cluster_id, attributes, endpoint)

    async def probe(self, eui64: Eui64, *, answer_s: float = 5.0) -> Probed:
        """Send a device one read, and see whether it arrives and what comes back.

        Raises `RigError` when the radio fails, or nothing was heard of the device in this run.
        """
        self.bearers  # noqa: B018 - raises when there are none
        device = self._log.get(eui64)
        if device is None:
            raise UsageError(f"{eui64} is not in the device log")
        return await self._probing.probe(device, answer_s)

    def identify(self, eui64: Eui64) -> None:
        """Ask a device once more who it is; what it says is a `DeviceSeen`. Raises `UsageError`."""
        device = self._log.get(eui64)
        if device is None:
            raise UsageError(f"{eui64} is not in the device log")
        self._identification.again(device)

    async def update_network_key(self) -> None:
        """Give every device that listens a new network key, and switch to it. Takes some 10 s.

        Devices that missed it come back by an unsecured rejoin. Raises `RigError`.
        """
        self.bearers  # noqa: B018 - raises when there are none
        await self._network_key.run()

    @property
    def care(self) -> BearerCare:
        """Airtime, suspension, links. Raises `RigError` before `start`."""
        if self._care is None:
            raise RigError("the hub is not running")
        return self._care

    async def change_channel(
        self, channel: Channel | None = None, *, bearer: int = 0, cause: str = "asked for"
    ) -> RadioState | None:
        """Move a bearer to `channel`, or to the quietest of its page, with its devices following.

        A sleepy gas meter on it is waited for, which can take an hour and a half. Returns where
        the bearer is when it moved; None when no channel is worth the move. Raises `RigError`,
        and `ValueError` for a channel of another band.
        """
        self.bearers  # noqa: B018 - raises when there are none
        return await self.care.agility.change(bearer, cause, channel)

    def device_log(self) -> DeviceLog:
        """The log, for looking at."""
        return self._log

    @property
    def lost(self) -> Mapping[int, str]:
        """The bearers whose radio is lost at the moment, and why."""
        return {} if self._losses is None else self._losses.lost

    def declare(self) -> None:
        """Say again what a record begins with: radios, devices, read schedules.

        For a record that begins while the hub runs. What is counted until now is told before.
        """
        for bearer, state in enumerate(self.bearers):
            self._reporter.radio_up(state)
            if bearer in self.lost:
                self._losses_known.again(bearer)
        for device in self._log:
            self._reporter.device_declared(device)
        for declaration in self._reads.declarations(self._clock.now_us()):
            self._bus.emit(declaration)

    @property
    def _losses_known(self) -> RadioLosses:
        assert self._losses is not None  # there are bearers
        return self._losses

    def _forgotten(self, device: Device) -> None:
        """A device is out: nothing of it stays."""
        self._bindings.forget(device.eui64)
        self._dispatcher.practices.forget(device.eui64)
        self.publisher.forgotten(device.eui64)
        if self._care is not None:
            self._care.forgotten(device.eui64)
        self._inboxes.pop(device.eui64, None)

    # -- what the radio tells ---------------------------------------------------------------------

    def packet_received(self, packet: Incoming) -> None:
        """A packet arrived. Never raises, whatever is in it."""
        bearers = self._bearers
        if bearers is None:
            return
        device = self._sender(packet)
        if device is None:
            self._refuse_stranger(packet)
            return
        now_us = self._clock.now_us()
        self.publisher.tallies.heard(packet)
        if not packet.broadcast:
            self._reporter.sample(device, packet, bearers[packet.bearer], now_us)
        if packet.profile_id != _ZDO_PROFILE:
            device.endpoint = packet.source_endpoint
        elif packet.cluster_id == binding.DEVICE_ANNOUNCE:
            self._announced(device, packet)
            return
        if packet.aps_encrypted:
            self._key_establishments.heard_secured(device)
        self._trust_centre.heard(device, secured=packet.aps_encrypted)
        if self._gate is not None and not self.care.admits(device, packet, now_us):
            return
        if self._withholding.takes(device, packet):
            return
        self._enqueue(device, partial(self._handle, device, packet, now_us))

    def overheard(self, packet: Incoming) -> None:
        """The radio answers it; what is left is to say how it was heard, and what it costs."""
        bearers = self._bearers
        device = None if bearers is None else self._sender(packet)
        if bearers is None or device is None:
            return
        now_us = self._clock.now_us()
        if not packet.broadcast:
            self._reporter.sample(device, packet, bearers[packet.bearer], now_us)
        self.care.overheard(device, packet, now_us)

    def child_polled(self, nwk: int) -> None:
        """A device asked for frames that wait for it."""
        device = None if self._bearers is None else self._log.at(nwk)
        if device is not None:
            self.care.polled(device, self._clock.now_us())

    def join_seen(self, join: JoinSeen) -> None:
        """The NCP dealt with a joiner."""
        if self._bearers is not None:
            self._trust_centre.join_seen(join)
            self._pairings.join_seen(join)

    def device_left(self, eui64: Eui64, nwk: int) -> None:
        """A device left the network."""
        device = self._log.get(eui64)
        if device is not None and self._bearers is not None:
            self._trust_centre.left(device)

    def partner_key(self, request: PartnerKey) -> None:
        """Two devices asked the NCP for a link key between them."""
        if self._bearers is None:
            return
        if request.refusal:
            self._reporter.refused(
                request.requester or NOBODY, "aps", f"partner link key: {request.refusal}"
            )
            return
        self._reporter.note("partner-key-sent", eui64=request.requester)

    def duty_cycle_changed(self, bearer: int, state: DutyCycleState) -> None:
        """The airtime of a sub-GHz bearer crossed a limit, in either direction."""
        if self._bearers is not None:
            self.care.duty_cycle_changed(bearer, state)

    def channel_changed(self, bearer: int, channel: Channel) -> None:
        """A bearer moved to another channel."""
        if self._bearers is not None:
            self.care.channel_changed(bearer, channel)

    def joining_changed(self, bearer: int, is_open: bool) -> None:
        """A radio says that joining is open now, or closed."""
        if self._bearers is not None:
            kind = "joining-opened" if is_open else "joining-closed"
            self._reporter.note(kind, radio=self._bearers[bearer].name)

    def connection_lost(self, cause: str, bearer: int = 0) -> None:
        """A radio is gone: infrastructure, and the end of whatever was under way on it."""
        if self._losses is not None and self._bearers is not None:
            self._losses.went(cause, bearer, self._coordinator.silent_s(bearer))

    async def connection_restored(self, states: Sequence[RadioState], bearer: int = 0) -> None:
        """A lost radio is back. Raises `RigError` when what it is to be told does not arrive."""
        if self._losses is not None and self._bearers is not None:
            await self._losses.back(tuple(states), bearer)

    def _sender(self, packet: Incoming) -> Device | None:
        if packet.eui64 is None:
            return self._log.at(packet.nwk)
        device = self._log.get(packet.eui64)
        if device is not None and (device.nwk != packet.nwk or device.bearer != packet.bearer):
            changed = device.bearer != packet.bearer
            self._log.moved(device, packet.nwk, packet.bearer)
            if changed and self._care is not None:
                self._care.changed_bearer(device, packet)
        return device

    def _announced(self, device: Device, packet: Incoming) -> None:
        """A device may announce itself and nobody else."""
        announce = binding.parse_announce(packet.data)
        if announce is None or (announce.eui64, announce.nwk) != (
            device.eui64,
            short_address(packet.nwk),
        ):
            cause = "malformed Device_annce" if announce is None else "Device_annce of another"
            self._reporter.refused(device.eui64, "zdo", cause, packet=packet)
            return
        device.sleepy = not announce.capability & _RX_ON_WHEN_IDLE
        self._trust_centre.announced(device)

    def _refuse_stranger(self, packet: Incoming) -> None:
        if packet.broadcast:
            return  # others' Device_annce and discovery pass by here; the join was recorded
        if packet.eui64 is None:
            self._reporter.note("unknown-sender", Severity.WARNING, nwk=packet.nwk)
            return
        self._reporter.refused(packet.eui64, "nwk", causes.NOT_IN_THE_LOG, packet=packet)

    # -- one device's work ------------------------------------------------------------------------

    def _enqueue(self, device: Device, work: Work, *, droppable: bool = True) -> None:
        inbox = self._inboxes.get(device.eui64)
        if inbox is None:
            inbox = self._inboxes[device.eui64] = Inbox(
                self._chores, self._settings.queue_limit, partial(self._dropped, device)
            )
        inbox.put(work, droppable=droppable)

    async def _handle(self, device: Device, packet: Incoming, received_us: int) -> None:
        if self._log.get(device.eui64) is not device:
            return  # unpaired while it waited
        if packet.profile_id == _ZDO_PROFILE:
            answers = self._zdo(device, packet)
        elif (frame := _key_establishment_frame(packet)) is not None:
            await self._key_establishments.received(device, packet, frame, received_us)
            return
        else:
            answers = self._dispatcher.handle(device, packet, received_us)
        if answers and device.authorised:
            self._trust_centre.progressed(device, read=False)
            self._identification.soon(device)
            self.publisher.heard(device)
        for answer in answers:
            await self._send(device, answer)

    def _zdo(self, device: Device, packet: Incoming) -> list[Outgoing]:
        if packet.broadcast:
            return []
        if packet.cluster_id & binding.RESPONSE:
            self.publisher.zdo_answer(device, packet)
            self._discovery.answered(device, packet)
            self.care.zdo_answer(device, packet)
            return []
        answer = self._bindings.answer(
            packet.cluster_id, packet.data, device.eui64, authorised=device.authorised
        )
        if answer is None:
            return []
        if answer.refusal:
            self._reporter.refused(
                device.eui64, "zdo", answer.refusal, packet=packet, status=answer.status
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
            self.care.links.delivered(device, True)
        except DeliveryError as error:
            if error.status not in WITHHELD:
                self.care.links.delivered(device, False)
            self._reporter.note(
                "answer-not-delivered",
                Severity.WARNING,
                device.eui64,
                cause=error.what,
                status=error.status,
                cluster_id=packet.cluster_id,
                endpoint=packet.source_endpoint,
            )
        except RigError as error:
            self._reporter.note("radio-error", Severity.ERROR, device.eui64, cause=error.what)

    def _got_in(self, device: Device) -> None:
        self._identification.soon(device)
        self.publisher.authorised(device)
        if self._care is not None:
            self._care.authorised(device)

    def _served(self, device: Device, cluster_id: int) -> None:
        if cluster_id in _DATA_CLUSTERS:
            self._trust_centre.progressed(device, read=True)

    def _own_answer(self, device: Device, packet: Incoming, frame: Frame) -> None:
        if self._device_reads.answered(device, packet, frame):
            return
        if self._probing.answered(device, packet, frame):
            return
        if packet.cluster_id != KEY_ESTABLISHMENT:
            self._identification.answered(device, packet, frame)
            self.care.answered(device, packet, frame)
            if frame.command_id == zcl.DEFAULT_RESPONSE:
                self.publisher.default_response(device, packet, frame)
        elif frame.command_id == zcl.DEFAULT_RESPONSE:
            self._key_establishments.default_response(device, frame)

    def _treated(self, device: Device) -> DeviceSettings:
        """How a device is treated where the sources disagree."""
        logged = self._known.get(device.eui64)
        return USUAL if logged is None else logged.settings

    def _dropped(self, device: Device, count: int) -> None:
        self._reporter.note("requests-dropped", Severity.WARNING, device.eui64, count=count)

    def _task_failed(self, error: BaseException) -> None:
        """A task of ours failed. A radio or a disk that failed under it is no bug."""
        if isinstance(error, RigError):
            self._reporter.note("radio-error", Severity.ERROR, cause=error.what)
            return
        if not isinstance(error, LabctlError):
            self._reporter.note("internal-error", Severity.ERROR, error=type(error).__name__)
        self._chores.report(error)


def _of_suites(identities: Mapping[int, Identity], suites: Sequence[int]) -> dict[int, Identity]:
    missing = [suite for suite in suites if suite not in identities]
    if missing:
        raise ConfigurationError(
            f"the hub is to offer suite {missing[0]} and has no certificate of it",
            mend="give a certificate for each of hub.suites, or use the lab CA",
        )
    return {suite: identities[suite] for suite in suites}


def _demand_suites(device: LoggedDevice, suites: Sequence[int]) -> None:
    """What is on offer to a device must be among what the hub has."""
    missing = [suite for suite in device.settings.suites or () if suite not in suites]
    if missing:
        raise ConfigurationError(
            f"suite {missing[0]} is to be on offer to {device.name}, and the hub does not have it",
            mend="name it in hub.suites, or leave it out of the device's settings",
        )


def _has_sub_ghz(network: NetworkSettings) -> bool:
    return any(phy.channel.band is Band.MHZ_868 for phy in network.phys)


def _numbers(endpoints: Mapping[int, Endpoint]) -> dict[str, int]:
    return {endpoint.name: number for number, endpoint in endpoints.items()}


def _key_establishment_frame(packet: Incoming) -> Frame | None:
    """The frame, if it is a command of the key establishment cluster sent to us alone."""
    if packet.cluster_id != KEY_ESTABLISHMENT or packet.broadcast:
        return None
    try:
        frame = zcl.parse(packet.data)
    except MalformedFrame:
        return None  # the dispatcher refuses and records it
    return frame if frame.cluster_specific and frame.manufacturer is None else None


def _network(settings: NetworkSettings, kept: KeptLog) -> NetworkSettings:
    """A stick that holds no network gets the one of the log, so that devices find it again."""
    if kept.extended_pan_id is None:
        return settings
    if not kept.restore:
        return replace(settings, extended_pan_id=kept.extended_pan_id)
    return replace(settings, extended_pan_id=kept.extended_pan_id, form_anew=True, not_on=kept.hub)
