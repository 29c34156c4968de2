"""What the hub would say to a frame of a device, without the device: nothing is sent or recorded.

No device can be told to ask for what it must not have. So that it can be shown on a real rig too,
a frame is handed to a dispatcher like the hub's own, with the same services, access table and
settings; what it answers and what it would record goes to whoever asked, and to nobody else.

The services are the hub's: should a frame be obeyed, it is obeyed in earnest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labctl.clock import Clock
from labctl.errors import RigError
from labctl.events import Event, EventBus, Refused
from labctl.hub import frames as zcl
from labctl.hub.device_log import Device
from labctl.hub.endpoints import Endpoint
from labctl.hub.frames import Frame
from labctl.hub.pretence import Pretences
from labctl.hub.reads import ReadBook
from labctl.hub.reporter import Reporter
from labctl.hub.settings import HubSettings
from labctl.hub.zcl import Dispatcher
from labctl.radio.coordinator import Incoming
from labctl.smart_energy.clusters import SMART_ENERGY_PROFILE
from labctl.smart_energy.disagreements import DeviceSettings

_KEY_ESTABLISHMENT = 0x0800
_SEQUENCE = 1
_BEST_LQI = 255


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What one frame would have led to."""

    answers: tuple[Frame, ...]
    events: tuple[Event, ...]

    @property
    def refused(self) -> tuple[Refused, ...]:
        """What would stand in the record as refused."""
        return tuple(event for event in self.events if isinstance(event, Refused))

    @property
    def status(self) -> int | None:
        """The status that a Default Response or Write Attributes Response tells; None without."""
        for answer in self.answers:
            if answer.command_id == zcl.DEFAULT_RESPONSE and len(answer.payload) >= 2:
                return answer.payload[1]
            if answer.command_id == zcl.WRITE_ATTRIBUTES_RESPONSE and answer.payload:
                return answer.payload[0]
        return None


class Rehearsals:
    """Frames as if they came from devices of the log; `clock` is the rig's."""

    def __init__(
        self,
        settings: HubSettings,
        endpoints: Mapping[int, Endpoint],
        reads: ReadBook,
        clock: Clock,
        treated: Callable[[Device], DeviceSettings],
        pretences: Pretences,
    ) -> None:
        self._bus = EventBus()
        self._clock = clock
        self._endpoints = endpoints
        self._dispatcher = Dispatcher(
            settings,
            endpoints,
            reads,
            Reporter(self._bus, clock),
            own_answer=_nobody_asked,
            served=_nobody_served,
            treated=treated,
            pretences=pretences,
        )

    @property
    def served(self) -> tuple[tuple[int, int], ...]:
        """Every endpoint of the hub with every cluster whose frames a dispatcher gets.

        Key establishment has a way of its own (`Hub`).
        """
        return tuple(
            (number, cluster_id)
            for number, each in self._endpoints.items()
            for cluster_id in each.services
            if cluster_id != _KEY_ESTABLISHMENT
        )

    def serving(self, cluster_id: int) -> tuple[int, ...]:
        """The endpoints of the hub that have the server side of the cluster."""
        return tuple(
            number
            for number, each in self._endpoints.items()
            if cluster_id in each.services and each.services[cluster_id].server
        )

    def play(self, device: Device, endpoint: int, cluster_id: int, frame: Frame) -> Rehearsal:
        """What would come of a frame under the device's link key. Raises `RigError`."""
        return self.hear(device, endpoint, cluster_id, frame.octets())

    def hear(self, device: Device, endpoint: int, cluster_id: int, octets: bytes) -> Rehearsal:
        """The same for octets, which need not be a frame. Raises `RigError`."""
        if not device.authorised:
            raise RigError(f"{device.name} is not authorised: all that it asks is refused")
        events: list[Event] = []
        forget = self._bus.subscribe(events.append)
        try:
            answers = self._dispatcher.handle(
                device,
                _packet(device, endpoint, cluster_id, octets),
                self._clock.now_us(),
            )
        finally:
            forget()
        return Rehearsal(tuple(zcl.parse(answer.data) for answer in answers), tuple(events))

    def read(self, device: Device, endpoint: int, cluster_id: int, *attributes: int) -> bytes:
        """The records that a Read Attributes would bring the device. Raises `RigError`."""
        payload = b"".join(attribute.to_bytes(2, "little") for attribute in attributes)
        frame = Frame(0x00, _SEQUENCE, zcl.READ_ATTRIBUTES, payload)
        return b"".join(a.payload for a in self.play(device, endpoint, cluster_id, frame).answers)

    def write(
        self, device: Device, endpoint: int, cluster_id: int, attribute: int, type_: int, raw: bytes
    ) -> Rehearsal:
        """What a Write Attributes would bring the device. Raises `RigError`."""
        payload = attribute.to_bytes(2, "little") + bytes((type_,)) + raw
        return self.play(
            device, endpoint, cluster_id, Frame(0x00, _SEQUENCE, zcl.WRITE_ATTRIBUTES, payload)
        )

    def command(
        self, device: Device, endpoint: int, cluster_id: int, command_id: int, payload: bytes
    ) -> Rehearsal:
        """What a cluster command would bring the device. Raises `RigError`."""
        frame = Frame(zcl.CLUSTER_SPECIFIC, _SEQUENCE, command_id, payload)
        return self.play(device, endpoint, cluster_id, frame)


def _packet(device: Device, endpoint: int, cluster_id: int, octets: bytes) -> Incoming:
    return Incoming(
        nwk=device.nwk or 0,
        eui64=device.eui64,
        source_endpoint=device.endpoint or 1,
        destination_endpoint=endpoint,
        profile_id=SMART_ENERGY_PROFILE,
        cluster_id=cluster_id,
        data=octets,
        aps_encrypted=True,
        broadcast=False,
        lqi=_BEST_LQI,
        rssi_dbm=None,
        aps_counter=0,
    )


def _nobody_asked(_device: Device, _packet: Incoming, _frame: Frame) -> None:
    """An answer to a request that the hub has not made."""


def _nobody_served(_device: Device, _cluster_id: int) -> None:
    """Nobody was really served."""
