"""The mirror of a gas meter that sleeps, and the proxy that serves what it says (SE 1.4 D.3.4.4).

The meter's server asks for a mirror, then reports its attributes of Basic, Metering and Prepayment
to the endpoint that it is given, every half hour; the last report says "complete" and is answered
with what the hub has for the meter, as notification flags. From then on the gas endpoint serves
what was reported, and its logs are made of the reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, runtime_checkable

from zigpy.zcl import Cluster
from zigpy.zcl.foundation import Status

from labctl.events import DeviceKind
from labctl.hub.services.base import (
    NOT_AUTHORIZED,
    SUCCESS,
    Answer,
    Outcome,
    Report,
    Request,
    Security,
    Service,
)
from labctl.meters import GasProxy, Meter
from labctl.meters.mirrored import MirroredGas
from labctl.smart_energy.clusters import Basic, Metering, Prepayment
from labctl.smart_energy.eui64 import Eui64

REQUEST_MIRROR: Final = 0x01
REMOVE_MIRROR: Final = 0x02
CONFIGURE_MIRROR: Final = 0x08
GET_NOTIFIED_MESSAGE: Final = 0x0B

TUNNEL_MESSAGE_PENDING: Final = 21
NEW_SUB_GHZ_MASKS: Final = 24
ENERGY_SCAN_PENDING: Final = 25
CHANNEL_CHANGE_PENDING: Final = 26
"""Bits of the functional notification flags."""

_MIRROR_RESPONSE, _MIRROR_REMOVED, _REPORT_RESPONSE = 0x01, 0x02, 0x09
_FROM_CLIENT: Final = 0x11
"""Frame control of an answer from the hub's client: no Default Response wanted."""
_NO_MIRROR: Final = 0xFFFF
_SUMMATION: Final = 0x0000
_REPORTING_STATUS: Final = 0xFFFE
_COMPLETE: Final = 0x01
_SCHEME_B: Final = 0x02
"""Notification scheme with the functional flags and four sets of others, as GB meters use it."""
_FLAG_SETS: Final = 5
_INVALID_FIELD: Final = int(Status.INVALID_FIELD)


@runtime_checkable
class ShowsMeter(Protocol):
    """A service of the gas endpoint: its meter can be replaced by the one that reports."""

    meter: Meter
    cluster_id: int

    def show(self, records: Mapping[int, bytes]) -> None:
        """Serve these attributes as they were reported."""

    def withhold(self) -> None:
        """Answer numbers with the invalid value."""

    def release(self) -> None:
        """Answer them again."""


class GasMirror:
    """What one gas meter told. `model` is the meter that the rig describes.

    `shown` are the services that go over from the model to the reports. `endpoint` is the
    mirror's. Until the first report registers and history are invalid: a display that read the
    model's first would see the register jump.
    """

    def __init__(self, model: GasProxy, endpoint: int, shown: Sequence[ShowsMeter]) -> None:
        self.endpoint = endpoint
        self.holder: Eui64 | None = None
        self.meter: MirroredGas | None = None
        self._model = model
        self._shown = shown
        self._flags = [0] * _FLAG_SETS
        self.told: Callable[[int], None] = _nobody_listens
        """Called with the functional flags whenever the meter is given them."""
        for service in shown:
            if service.cluster_id == Metering.cluster_id:
                service.withhold()

    def notify(self, bit: int) -> None:
        """Set a functional notification flag for the next answer (`TUNNEL_MESSAGE_PENDING`)."""
        self._flags[0] |= 1 << bit

    def take(self, cluster_id: int, reports: Sequence[Report], now_us: int) -> bool:
        """Keep what was reported. Whether it was the end of a push."""
        complete = False
        records: dict[int, bytes] = {}
        for report in reports:
            if report.attribute_id == _REPORTING_STATUS:
                complete = report.value == _COMPLETE
                continue
            records[report.attribute_id] = report.record
            if cluster_id == int(Metering.cluster_id) and report.attribute_id == _SUMMATION:
                self._count(int(report.value), now_us)
        for service in self._shown:
            if service.cluster_id == cluster_id:
                service.show(records)
        return complete

    def release(self) -> None:
        """The meter gave its mirror back. What it said last stays."""
        self.holder = None

    def answer(self) -> Answer:
        """Mirror Report Attribute Response; what it says is said once."""
        flags = b"".join(flags.to_bytes(4, "little") for flags in self._flags)
        self.told(self._flags[0])
        self._flags = [0] * _FLAG_SETS
        return Answer(_REPORT_RESPONSE, bytes((_SCHEME_B,)) + flags, _FROM_CLIENT)

    def withdraw(self, bit: int) -> None:
        """Take a functional notification flag back that was not told yet."""
        self._flags[0] &= ~(1 << bit)

    def _count(self, litres: int, now_us: int) -> None:
        if self.meter is not None:
            self.meter.report(now_us, litres)
            return
        self.meter = MirroredGas(self._model, now_us, litres)
        for service in self._shown:
            service.release()
            service.meter = self.meter


class MirrorService(Service[None]):
    """One cluster of the mirror: a client that takes reports.

    Basic alone has its server there too. Metering and Prepayment are served by the gas endpoint; a
    display that found them here as well would take the home for one with two gas meters.
    """

    also_client = True

    def __init__(self, mirror: GasMirror, definition: type[Cluster]) -> None:
        self.definition = definition
        self.mirror = mirror
        self.server = definition is Basic
        if definition is Basic:
            self.security = Security.NONE
        if definition is Metering:
            self.client_commands = frozenset(
                {REQUEST_MIRROR, REMOVE_MIRROR, CONFIGURE_MIRROR, GET_NOTIFIED_MESSAGE}
            )
            self.client_generated = (_MIRROR_RESPONSE, _MIRROR_REMOVED, _REPORT_RESPONSE)
        super().__init__([])

    def state(self, now_us: int) -> None:
        """Nothing but what was reported."""
        return

    def client_command(self, request: Request, fields: Any) -> Outcome:
        """A meter asks for its mirror, gives it back, or configures it."""
        mirror = self.mirror
        if request.command_id == REQUEST_MIRROR:
            if request.kind is DeviceKind.GAS_METER and mirror.holder in (None, request.eui64):
                mirror.holder = request.eui64
                return [_mirror_at(mirror.endpoint)]
            return [_mirror_at(_NO_MIRROR)]
        if request.eui64 != mirror.holder:
            return NOT_AUTHORIZED
        if request.command_id == REMOVE_MIRROR:
            mirror.release()
            return [Answer(_MIRROR_REMOVED, _u16(mirror.endpoint), _FROM_CLIENT)]
        return SUCCESS

    def report(self, request: Request, reports: Sequence[Report]) -> Outcome:
        """Take a report of the meter whose mirror this is, and of nobody else."""
        if request.eui64 != self.mirror.holder:
            return NOT_AUTHORIZED
        metering = self.cluster_id == int(Metering.cluster_id)
        if metering and any(
            report.attribute_id == _SUMMATION and not isinstance(report.value, int)
            for report in reports
        ):
            return _INVALID_FIELD
        complete = self.mirror.take(self.cluster_id, reports, request.now_us)
        self.show({report.attribute_id: report.record for report in reports})
        return [self.mirror.answer()] if complete and metering else SUCCESS


def mirror_services(mirror: GasMirror) -> list[MirrorService]:
    """The clusters of the mirror's endpoint."""
    definitions: tuple[type[Cluster], ...] = (Basic, Metering, Prepayment)
    return [MirrorService(mirror, definition) for definition in definitions]


def _nobody_listens(flags: int) -> None:
    """Whoever waits for the meter to read its flags puts itself in the place of this."""


def _mirror_at(endpoint: int) -> Answer:
    return Answer(_MIRROR_RESPONSE, _u16(endpoint), _FROM_CLIENT)


def _u16(value: int) -> bytes:
    return value.to_bytes(2, "little")
