"""What the hub does of its own accord for devices that are in: messages, events, images, tunnels.

`Hub.publisher` is where a lab reaches in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from labctl.errors import UsageError
from labctl.hub.binding import BindingTable
from labctl.hub.chores import Chores
from labctl.hub.device_log import Device
from labctl.hub.discovery import Discovery
from labctl.hub.endpoints import HUB_ENDPOINT, build_endpoints
from labctl.hub.frames import Frame
from labctl.hub.outages import Outages
from labctl.hub.post import Means, Post
from labctl.hub.pushes import Pushes
from labctl.hub.reporter import Reporter
from labctl.hub.services.base import Service
from labctl.hub.services.device_management import DeviceManagementService, SupplierChange
from labctl.hub.services.events import DEVICE_LOG_CHANGED, EventsService, LoggedEvent
from labctl.hub.services.messaging import Importance, Message, MessagingService
from labctl.hub.services.ota import OtaService
from labctl.hub.services.time import zigbee_time
from labctl.hub.services.tunneling import TunnelingService
from labctl.hub.settings import HUB, HubSettings
from labctl.hub.tallies import Tallies
from labctl.hub.tunnels import CLUSTER_ID as TUNNELING
from labctl.hub.tunnels import Tunnels
from labctl.meters import Meter
from labctl.radio.coordinator import Coordinator, Incoming
from labctl.smart_energy.clusters.events import EventLogId
from labctl.smart_energy.disagreements import DeviceSettings
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.ota_image import OtaImage

_US = 1_000_000
_MESSAGING, _DEVICE_MANAGEMENT, _EVENTS, _OTA = 0x0703, 0x0708, 0x0709, 0x0019


class Publisher:
    """Everything that goes out without a device asking for it, and the endpoints it goes out from.

    `find` and `treated` as for `Pushes`.
    """

    def __init__(
        self,
        settings: HubSettings,
        meters: Sequence[Meter],
        coordinator: Coordinator,
        chores: Chores,
        reporter: Reporter,
        *,
        find: Callable[[Eui64], Device | None],
        treated: Callable[[Device], DeviceSettings],
    ) -> None:
        """Raise `ValueError` when two meters have one name."""
        self._settings = settings
        self._reporter = reporter
        self._chores = chores
        self._find = find
        self.tallies = Tallies()
        post = Post(coordinator, reporter, self.tallies, find)
        self._means = Means(post, chores, reporter, self.tallies)
        self._discovery = Discovery(coordinator, post.next_sequence, settings.patience.answer_s)
        self._tunnels = Tunnels(
            self._means,
            self._discovery,
            enabled=settings.tunnels.open,
            endpoint=HUB_ENDPOINT,
        )
        self.endpoints = build_endpoints(
            settings, meters, reporter.now_us(), self._means, self._tunnels
        )
        shown = {meter.name: meter for meter in meters}
        self._pushes = Pushes(
            self.endpoints,
            {
                number: shown[endpoint.name]
                for number, endpoint in self.endpoints.items()
                if endpoint.name in shown
            },
            self._means,
            find=find,
            treated=treated,
            looking=Outages(meters, reporter, self._supply_restored).look,
        )
        self._told: set[Eui64] = set()
        self._last_id = 0

    # -- for the hub ------------------------------------------------------------------------------

    def start(self, bindings: BindingTable) -> None:
        """The network is up."""
        self._pushes.start(bindings)

    def authorised(self, device: Device) -> None:
        """A device got in."""
        self.tallies.joins += 1
        self._tunnels.authorised(device)
        if self._settings.ota.notify and self._settings.ota.images:
            self._chores.later(
                self._settings.patience.identify_after_s, lambda: self._tell_of_images(device)
            )

    def heard(self, device: Device) -> None:
        """A device that is in said something."""
        self._tunnels.heard(device)

    def default_response(self, device: Device, packet: Incoming, frame: Frame) -> None:
        """A device answers a command of the hub's with a status alone."""
        if packet.cluster_id == TUNNELING:
            self._tunnels.default_response(device, frame)

    def zdo_answer(self, device: Device, packet: Incoming) -> None:
        """A device answers a question about its endpoints."""
        self._discovery.answered(device, packet)

    def forgotten(self, eui64: Eui64) -> None:
        """A device is out."""
        self._tunnels.forget(eui64)
        self._tunnel_service.forget(eui64)
        self._ota.forget(eui64)
        self._told.discard(eui64)
        self.device_log_changed()

    def device_log_changed(self) -> None:
        """An entry or a key of the device log was added or removed: GBCS wants it written down."""
        self.event(DEVICE_LOG_CHANGED, log=EventLogId.SECURITY)

    @property
    def post(self) -> Post:
        """How the hub sends commands of its own."""
        return self._means.post

    def log_event(self, event_id: int) -> None:
        """Write an event into the hub's network log, and tell nobody of it."""
        event = LoggedEvent(EventLogId.NETWORK, event_id, self._now())
        for _, service in self._services(HUB, _EVENTS):
            assert isinstance(service, EventsService)
            service.record(event)

    # -- messages ---------------------------------------------------------------------------------

    def message(
        self,
        text: str,
        *,
        meter: str | None = None,
        confirm: bool = False,
        enhanced: bool = False,
        importance: Importance = Importance.LOW,
        duration_min: int | None = None,
    ) -> Message:
        """Publish a text on one meter's endpoint, or on all; whoever is bound is told at once.

        Raises `UsageError` for a meter that is not there and for a text that is too long.
        """
        try:
            message = Message(
                message_id=self._new_id(),
                text=text,
                confirm=confirm,
                enhanced=enhanced,
                importance=importance,
                duration_min=duration_min,
            )
        except ValueError as error:
            raise UsageError(str(error), mend="shorten the text") from None
        told = 0
        for number, service in self._services(meter, _MESSAGING):
            assert isinstance(service, MessagingService)
            told += self._pushes.publish(number, _MESSAGING, service.publish(message))
        self._reporter.note("message-published", message_id=message.message_id, devices=told)
        return message

    def cancel_message(self, message_id: int, *, meter: str | None = None) -> bool:
        """Take a message back. False: it is not the last one anywhere."""
        found = False
        for number, service in self._services(meter, _MESSAGING):
            assert isinstance(service, MessagingService)
            word = service.cancel(message_id, self._now())
            if word is not None:
                found = True
                self._pushes.publish(number, _MESSAGING, word)
        if found:
            self._reporter.note("message-cancelled", message_id=message_id)
        return found

    # -- meters, supplier, events -----------------------------------------------------------------

    def meters_changed(self) -> None:
        """Something was done to a meter: push what is another than before, without delay.

        Meters are asked for whole seconds: what happened within the present one shows in the next.
        """
        self._pushes.look()
        self._chores.later(1.0, self._pushes.look)

    def _supply_restored(self, meter: str, event_id: int) -> None:
        self.event(event_id, endpoint=meter)

    def change_supplier(
        self, *, proposed_id: int, name: str, contact: str = "", at: int, meter: str | None = None
    ) -> None:
        """Announce another supplier, from `at` (UTC seconds) on. Raises `UsageError`."""
        if len(name.encode()) > 16 or len(contact.encode()) > 19:
            raise UsageError("a supplier has a name of 16 octets and 19 octets of contact at most")
        change = SupplierChange(
            event_id=self._new_id(),
            proposed_id=proposed_id,
            name=name,
            contact=contact,
            at=zigbee_time(at),
        )
        for number, service in self._services(meter, _DEVICE_MANAGEMENT):
            assert isinstance(service, DeviceManagementService)
            word = service.announce(change, self._reporter.now_us())
            self._pushes.publish(number, _DEVICE_MANAGEMENT, word)

    def event(
        self,
        event_id: int,
        *,
        log: EventLogId = EventLogId.GENERAL,
        data: bytes = b"",
        endpoint: str = HUB,
    ) -> None:
        """Write an event into a log of the hub or of a meter, and tell whoever is bound.

        Raises `UsageError` for what cannot be an event.
        """
        try:
            event = LoggedEvent(log, event_id, self._now(), data)
        except ValueError as error:
            raise UsageError(str(error)) from None
        for number, service in self._services(endpoint, _EVENTS):
            assert isinstance(service, EventsService)
            self._pushes.publish(number, _EVENTS, service.record(event))

    # -- images and tunnels -----------------------------------------------------------------------

    async def notify_image(self, eui64: Eui64, image: OtaImage | None = None) -> bool:
        """Tell a device of an image; whether it was delivered."""
        device = self._find(eui64)
        if device is None or device.endpoint is None:
            return False
        return await self._ota.notify(eui64, device.endpoint, image)

    def offer_image(self, image: OtaImage) -> None:
        """Serve one more image than the rig's, until it is withdrawn."""
        self._ota.offer(image)

    def withdraw_image(self, image: OtaImage) -> None:
        """Serve an image that was offered no longer."""
        self._ota.withdraw(image)

    async def upgrade_now(self, eui64: Eui64) -> bool:
        """Tell a device that waits with its image to take it into use."""
        device = self._find(eui64)
        if device is None or device.endpoint is None:
            return False
        return await self._ota.upgrade_now(eui64, device.endpoint)

    async def through_tunnel(self, eui64: Eui64, data: bytes) -> bool:
        """Send octets through a tunnel to a device, whoever opened it. Raises `UsageError`."""
        try:
            return await self._tunnels.send(eui64, data) or await self._tunnel_service.send(
                eui64, data
            )
        except ValueError as error:
            raise UsageError(str(error)) from None

    def _tell_of_images(self, device: Device) -> None:
        if device.eui64 in self._told or not device.authorised or device.endpoint is None:
            return
        self._told.add(device.eui64)
        self._chores.run(self._notify(device))

    async def _notify(self, device: Device) -> None:
        await self.notify_image(device.eui64)

    # -- finding ----------------------------------------------------------------------------------

    @property
    def _ota(self) -> OtaService:
        service = self.endpoints[HUB_ENDPOINT].services[_OTA]
        assert isinstance(service, OtaService)
        return service

    @property
    def _tunnel_service(self) -> TunnelingService:
        service = self.endpoints[HUB_ENDPOINT].services[TUNNELING]
        assert isinstance(service, TunnelingService)
        return service

    def _services(self, name: str | None, cluster_id: int) -> list[tuple[int, Service[Any]]]:
        found = [
            (number, endpoint.services[cluster_id])
            for number, endpoint in self.endpoints.items()
            if cluster_id in endpoint.services and name in (None, endpoint.name)
        ]
        if not found:
            raise UsageError(
                f"there is no endpoint {name!r}",
                mend=f"there is {', '.join(e.name for e in self.endpoints.values())}",
            )
        return found

    def _now(self) -> int:
        return zigbee_time(self._reporter.now_us() // _US)

    def _new_id(self) -> int:
        """Ids are of the time, as GBCS has them, and never the same twice."""
        self._last_id = max(self._last_id + 1, self._now())
        return self._last_id
