"""Pushes: what devices that are bound are told without asking, when it changes.

What a push of a tariff, a price or a calendar says is what the service would answer to a Get now,
with the frame control of a command that nobody asked for. Without a binding nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from labctl.events import DeviceKind, Severity
from labctl.hub.binding import Binding, BindingTable
from labctl.hub.chores import nothing
from labctl.hub.device_log import Device
from labctl.hub.endpoints import Endpoint
from labctl.hub.inbox import Inbox
from labctl.hub.post import Letter, Means
from labctl.hub.services.base import PUSHED, Answer, Request, Service
from labctl.meters import Meter
from labctl.smart_energy.disagreements import USUAL, DeviceSettings
from labctl.smart_energy.eui64 import Eui64

_US = 1_000_000
_MINUTE_US = 60 * _US
_DAY_S = 86_400
_ANY_EVENT = b"\xff\xff\xff\xff"
_NOW = bytes(4)
_MOST_WAITING: Final = 64
"""Pushes that wait for a device; the oldest are dropped beyond that."""

GETS: Final[Mapping[int, tuple[tuple[int, bytes], ...]]] = {
    0x0700: (
        (0x00, b"\x01"),  # Get Current Price
        (0x06, _NOW + _ANY_EVENT + b"\x00\x00"),  # Get Tariff Information: all that are known
        (0x09, _NOW + _ANY_EVENT + b"\x01\x00"),  # Get CO2 Value
        (0x0B, _NOW + _ANY_EVENT + b"\x01\x00"),  # Get Billing Period
        (0x0C, _NOW + _ANY_EVENT + b"\x01\x00"),  # Get Consolidated Bill
    ),
    0x0707: (
        (0x00, _NOW + _ANY_EVENT + b"\x00\xff" + _ANY_EVENT),  # Get Calendar: any type, any issuer
    ),
    0x0708: ((0x00, b""),),  # Get Change Of Tenancy
}
"""The questions whose answers are watched, by cluster."""

Said = tuple[tuple[int, bytes], ...]


class Pushes:
    """Watches what the meters' services would say, and tells those who are bound.

    Once a minute it looks, cheaply, whether a meter's price, tariff, tenancy or journal is another
    than before, or the day; `look` does so at once. `looking` is called at each look.
    """

    def __init__(
        self,
        endpoints: Mapping[int, Endpoint],
        meters: Mapping[int, Meter],
        means: Means,
        *,
        find: Callable[[Eui64], Device | None],
        treated: Callable[[Device], DeviceSettings],
        looking: Callable[[], None] = nothing,
    ) -> None:
        """`meters` by the endpoint that shows them."""
        self._endpoints = endpoints
        self._meters = meters
        self._means = means
        self._find = find
        self._treated = treated
        self._looking = looking
        self._bindings: BindingTable | None = None
        self._states: dict[int, object] = {}
        self._said: dict[tuple[int, int, int], Said] = {}
        self._lines: dict[Eui64, Inbox] = {}
        """What is still to be sent, by device."""

    def start(self, bindings: BindingTable) -> None:
        """Take what is said now for what everybody knows, and look every minute from now on."""
        self._bindings = bindings
        now_us = self._means.reporter.now_us()
        for endpoint, meter in self._meters.items():
            self._states[endpoint] = _state_of(meter, now_us)
            self._changed(endpoint, now_us)
        self._again(now_us)

    def look(self) -> None:
        """See whether anything changed, and push it."""
        self._looking()
        now_us = self._means.reporter.now_us()
        for endpoint, meter in self._meters.items():
            state = _state_of(meter, now_us)
            if self._states.get(endpoint) == state:
                continue
            self._states[endpoint] = state
            for cluster_id, index in self._changed(endpoint, now_us):
                self._repeat(endpoint, cluster_id, GETS[cluster_id][index], now_us)

    def publish(self, endpoint: int, cluster_id: int, answer: Answer) -> int:
        """Send a command to whoever is bound; the number of devices that it goes to."""
        partners = self._partners(endpoint, cluster_id)
        for binding in partners:
            self._send(binding, [answer])
        return len(partners)

    def _again(self, now_us: int) -> None:
        """The next look is when the minute is full: prices change at full minutes."""

        def due() -> None:
            self.look()
            self._again(self._means.reporter.now_us())

        self._means.chores.later((_MINUTE_US - now_us % _MINUTE_US) / _US, due)

    def _changed(self, endpoint: int, now_us: int) -> list[tuple[int, int]]:
        """Which of the questions have another answer than before."""
        changed: list[tuple[int, int]] = []
        for cluster_id, service in self._endpoints[endpoint].services.items():
            for index, get in enumerate(GETS.get(cluster_id, ())):
                key = (endpoint, cluster_id, index)
                said = _without_now(service, _ask(service, get, endpoint, now_us))
                if self._said.get(key) != said:
                    self._said[key] = said
                    changed.append((cluster_id, index))
        return changed

    def _repeat(self, endpoint: int, cluster_id: int, get: tuple[int, bytes], now_us: int) -> None:
        service = self._endpoints[endpoint].services[cluster_id]
        for binding in self._partners(endpoint, cluster_id):
            device = self._find(binding.partner)
            if device is not None:
                answers = _ask(service, get, endpoint, now_us, device, self._treated(device))
                self._send(binding, answers)

    def _partners(self, endpoint: int, cluster_id: int) -> list[Binding]:
        bindings = self._bindings.of(endpoint, cluster_id) if self._bindings else []
        return [b for b in bindings if self._may_be_told(b.partner)]

    def _may_be_told(self, eui64: Eui64) -> bool:
        device = self._find(eui64)
        return device is not None and device.authorised

    def _send(self, binding: Binding, answers: Sequence[Answer]) -> None:
        """One after the other to each device: a price that is sent again must not come after a
        newer one.
        """
        if not answers:
            return
        line = self._lines.get(binding.partner)
        if line is None:
            line = self._lines[binding.partner] = Inbox(
                self._means.chores, _MOST_WAITING, partial(self._dropped, binding.partner)
            )
        line.put(partial(self._deliver, binding, answers))

    def _dropped(self, eui64: Eui64, count: int) -> None:
        self._means.reporter.note("pushes-dropped", Severity.WARNING, eui64, count=count)

    async def _deliver(self, binding: Binding, answers: Sequence[Answer]) -> None:
        for answer in answers:
            letter = Letter(
                eui64=binding.partner,
                source_endpoint=binding.endpoint,
                endpoint=binding.partner_endpoint,
                cluster_id=binding.cluster_id,
                command_id=answer.command_id,
                payload=answer.payload,
                control=PUSHED,
            )
            if not await self._means.post.send(letter):
                return
            self._means.reporter.note(
                "pushed",
                eui64=binding.partner,
                endpoint=binding.endpoint,
                cluster_id=binding.cluster_id,
                command_id=answer.command_id,
            )


def _state_of(meter: Meter, now_us: int) -> object:
    """Everything that a push could follow from, cheap to compare."""
    now_s = now_us // _US
    price = meter.price_at(now_s)
    return (
        len(meter.journal),
        None if price is None else (price.start_s, price.unit_price, price.tier),
        meter.tenancy_since(now_s),
        now_s // _DAY_S,  # billing periods end and calendars turn at midnight
    )


_NOBODY = Eui64("00" * 8)


def _ask(
    service: Service[Any],
    get: tuple[int, bytes],
    endpoint: int,
    now_us: int,
    device: Device | None = None,
    settings: DeviceSettings = USUAL,
) -> Sequence[Answer]:
    """What the service answers to a Get; nothing, if a Default Response."""
    command_id, payload = get
    if command_id not in service.commands:
        return ()
    request = Request(
        eui64=_NOBODY if device is None else device.eui64,
        kind=DeviceKind.OTHER if device is None else device.kind,
        endpoint=endpoint,
        command_id=command_id,
        payload=payload,
        now_us=now_us,
        settings=settings,
    )
    outcome = service.command(request, service.parse(command_id, payload))
    return () if isinstance(outcome, int) else outcome


def _without_now(service: Service[Any], answers: Sequence[Answer]) -> Said:
    """The answers with the time of asking struck out."""
    said: list[tuple[int, bytes]] = []
    for answer in answers:
        fields = service.parse_from_server(answer.command_id, answer.payload)
        if getattr(fields, "current_time", None) is not None:
            fields = fields.replace(current_time=0)
        said.append((answer.command_id, fields.serialize()))
    return tuple(said)
