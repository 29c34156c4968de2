"""ZCL dispatch: from a device's frame to the hub's answers, without sending anything.

The path of a Read Attributes of known attributes is kept short; 17,000 of them make a night.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

from zigpy.zcl.foundation import Status

from labctl.events import ReadServed
from labctl.hub import access
from labctl.hub import frames as zcl
from labctl.hub.device_log import Device, KeyState
from labctl.hub.endpoints import Endpoint
from labctl.hub.frames import Frame, MalformedFrame
from labctl.hub.general import DISCOVERY, WRITES, written_attributes
from labctl.hub.reads import ReadBook
from labctl.hub.refusal import Refusal
from labctl.hub.reporter import Reporter
from labctl.hub.services.base import (
    FAILURE,
    MALFORMED,
    SUCCESS,
    UNSUPPORTED_ATTRIBUTE,
    Request,
    Security,
    Service,
)
from labctl.hub.settings import HubSettings
from labctl.radio.coordinator import Incoming, Outgoing
from labctl.smart_energy.clusters import SMART_ENERGY_PROFILE

_UNSUP_CLUSTER: Final = int(Status.UNSUPPORTED_CLUSTER)
_UNSUP_CLUSTER_COMMAND: Final = int(Status.UNSUP_CLUSTER_COMMAND)
_UNSUP_GENERAL_COMMAND: Final = int(Status.UNSUP_GENERAL_COMMAND)
_UNSUP_MANUFACTURER_COMMAND: Final = int(Status.UNSUP_MANUF_CLUSTER_COMMAND)
_UNSUP_MANUFACTURER_GENERAL: Final = int(Status.UNSUP_MANUF_GENERAL_COMMAND)
_WILDCARD_PROFILE: Final = 0xFFFF

_BEFORE_KEYS: Final = frozenset({Security.NONE})


class Dispatcher:
    """Turns frames into answers and events.

    `own_answer` gets each frame that answers a request of the hub's own, `served` each cluster
    that a device was really served from.
    """

    def __init__(
        self,
        settings: HubSettings,
        endpoints: Mapping[int, Endpoint],
        reads: ReadBook,
        reporter: Reporter,
        *,
        own_answer: Callable[[Device, Incoming, Frame], None],
        served: Callable[[Device, int], None],
    ) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._reads = reads
        self._reporter = reporter
        self._own_answer = own_answer
        self._was_served = served

    def handle(self, device: Device, packet: Incoming, received_us: int) -> list[Outgoing]:
        """The answers to a frame, in their order."""
        frame: Frame | None = None
        try:
            frame = zcl.parse(packet.data)
            answers = self._answers(device, packet, frame, received_us)
        except MalformedFrame as error:
            self._refuse(device, packet, frame, Refusal("zcl", str(error), None))
            return []
        except Refusal as refusal:
            if packet.broadcast:
                refusal.status = None
            self._refuse(device, packet, frame, refusal)
            if refusal.status is None or frame is None:
                return []
            answers = [zcl.default_response(frame, refusal.status)]
        return [_outgoing(packet, data) for data in answers]

    def _answers(
        self, device: Device, packet: Incoming, frame: Frame, received_us: int
    ) -> list[bytes]:
        general = not frame.cluster_specific
        if general and frame.command_id in zcl.GENERAL_RESPONSES:
            # Answers to requests of ours. Others, Default Responses above all, need no answer.
            self._own_answer(device, packet, frame)
            return []
        service = self._service(device, packet)
        self._demand_security(device, packet, service)
        self._demand_sense(packet, service, frame)
        if not general:
            return self._command(device, packet, service, frame, received_us)
        if frame.command_id == zcl.READ_ATTRIBUTES:
            return [self._read(device, packet, service, frame, received_us)]
        if frame.command_id in WRITES:
            return self._write(device, packet, service, frame)
        discover = DISCOVERY.get(frame.command_id)
        if discover is None:
            raise Refusal(
                "zcl",
                f"general command 0x{frame.command_id:02X} is not supported",
                _UNSUP_GENERAL_COMMAND,
            )
        return [discover(service, frame)]

    # -- before anything is looked at -------------------------------------------------------------

    def _service(self, device: Device, packet: Incoming) -> Service[Any]:
        if packet.profile_id not in (SMART_ENERGY_PROFILE, _WILDCARD_PROFILE):
            raise Refusal("aps", f"profile 0x{packet.profile_id:04X} is not Smart Energy", None)
        endpoint = self._endpoints.get(packet.destination_endpoint)
        if endpoint is None:
            raise Refusal("aps", f"the hub has no endpoint {packet.destination_endpoint}", None)
        service = endpoint.services.get(packet.cluster_id)
        if service is None:
            raise Refusal(
                "zcl",
                f"endpoint {endpoint.number} does not serve cluster 0x{packet.cluster_id:04X}",
                _UNSUP_CLUSTER if device.authorised else None,
            )
        return service

    def _demand_security(self, device: Device, packet: Incoming, service: Service[Any]) -> None:
        """SE 1.4a 5.4.6: nothing under the install-code key, nothing unsecured where it matters."""
        if device.authorised:
            if service.security is Security.LINK_KEY and not packet.aps_encrypted:
                raise Refusal(
                    "aps", "the cluster needs APS security and the frame has none", FAILURE
                )
        elif packet.aps_encrypted:
            raise Refusal(
                "aps", "secured with the install-code key: key establishment is still to come", None
            )
        elif device.key is KeyState.NONE:
            raise Refusal("aps", "the device is not paired and has no window", None)
        elif service.security not in _BEFORE_KEYS:
            raise Refusal("aps", "application data before key establishment", None)

    @staticmethod
    def _demand_sense(packet: Incoming, service: Service[Any], frame: Frame) -> None:
        if packet.broadcast:
            raise Refusal("zcl", "broadcast to a server of the hub", None, frame.command_id)
        if frame.from_server and not service.also_client:
            raise Refusal(
                "zcl",
                "a frame for the client side of a cluster that the hub only serves",
                _UNSUP_CLUSTER,
                frame.command_id,
            )
        if frame.manufacturer is not None:
            raise Refusal(
                "zcl",
                f"command of manufacturer 0x{frame.manufacturer:04X}",
                _UNSUP_MANUFACTURER_COMMAND
                if frame.cluster_specific
                else _UNSUP_MANUFACTURER_GENERAL,
                frame.command_id,
            )

    # -- general commands -------------------------------------------------------------------------

    def _read(
        self,
        device: Device,
        packet: Incoming,
        service: Service[Any],
        frame: Frame,
        received_us: int,
    ) -> bytes:
        count, odd = divmod(len(frame.payload), 2)
        if odd or not count:
            raise Refusal("zcl", "malformed Read Attributes", MALFORMED)
        attribute_ids: tuple[int, ...] = struct.unpack(f"<{count}H", frame.payload)
        records, worst = service.read(attribute_ids, received_us)
        self._served(device, packet, attribute_ids, None, worst, received_us)
        return zcl.general_answer(frame, zcl.READ_ATTRIBUTES_RESPONSE, records)

    def _write(
        self, device: Device, packet: Incoming, service: Service[Any], frame: Frame
    ) -> list[bytes]:
        """Refused attribute by attribute, and recorded as one refusal."""
        written = written_attributes(frame)
        statuses = [
            self._settings.write_status if service.knows_attribute(i) else UNSUPPORTED_ATTRIBUTE
            for i in written
        ]
        silent = frame.command_id == zcl.WRITE_ATTRIBUTES_NO_RESPONSE
        names = ", ".join(f"0x{attribute_id:04X}" for attribute_id in written)
        status = None if silent else statuses[0]
        self._refuse(
            device,
            packet,
            frame,
            Refusal("application", f"write of attribute {names}", status, frame.command_id),
        )
        if silent:
            return []
        payload = b"".join(
            bytes((status,)) + attribute_id.to_bytes(2, "little")
            for status, attribute_id in zip(statuses, written, strict=True)
        )
        return [zcl.general_answer(frame, zcl.WRITE_ATTRIBUTES_RESPONSE, payload)]

    # -- cluster commands -------------------------------------------------------------------------

    def _command(
        self,
        device: Device,
        packet: Incoming,
        service: Service[Any],
        frame: Frame,
        received_us: int,
    ) -> list[bytes]:
        command_id = frame.command_id
        self._demand_right(device, service, command_id)
        try:
            fields = service.parse(command_id, frame.payload)
        except ValueError as error:
            raise Refusal(
                "zcl", f"malformed command 0x{command_id:02X}: {error}", MALFORMED
            ) from None
        request = Request(
            device.eui64,
            device.kind,
            packet.destination_endpoint,
            command_id,
            frame.payload,
            received_us,
        )
        outcome = service.command(request, fields)
        for event in service.events(request, fields):
            self._reporter.emit(event)
        status = outcome if isinstance(outcome, int) else SUCCESS
        self._served(device, packet, (), command_id, status, received_us)
        if not isinstance(outcome, int):
            return [
                Frame(a.control, frame.sequence, a.command_id, a.payload).octets() for a in outcome
            ]
        if outcome == SUCCESS and frame.default_response_disabled:
            return []
        return [zcl.default_response(frame, outcome)]

    def _demand_right(self, device: Device, service: Service[Any], command_id: int) -> None:
        name = f"command 0x{command_id:02X} of cluster 0x{service.cluster_id:04X}"
        if not service.knows_command(command_id):
            raise Refusal("zcl", f"there is no {name}", _UNSUP_CLUSTER_COMMAND)
        if not access.may_command(device.kind, service, command_id):
            raise Refusal(
                "application",
                f"a device of kind {device.kind} may not send {name}",
                self._settings.refusal_status,
            )
        if command_id not in service.commands:
            raise Refusal("zcl", f"{name} is not served", _UNSUP_CLUSTER_COMMAND)

    # -- for the record ---------------------------------------------------------------------------

    def _served(
        self,
        device: Device,
        packet: Incoming,
        attributes: tuple[int, ...],
        command_id: int | None,
        status: int,
        received_us: int,
    ) -> None:
        endpoint, cluster_id = packet.destination_endpoint, packet.cluster_id
        self._reporter.emit(
            ReadServed(
                at_us=received_us,
                eui64=device.eui64,
                initiator="device",
                endpoint=endpoint,
                cluster_id=cluster_id,
                attributes=attributes,
                command_id=command_id,
                status=status,
                latency_us=self._reporter.now_us() - received_us,
                aps_encrypted=packet.aps_encrypted,
                schedule=self._reads.schedule_of(
                    device.eui64, endpoint, cluster_id, attributes, command_id
                ),
            )
        )
        self._was_served(device, cluster_id)

    def _refuse(
        self, device: Device, packet: Incoming, frame: Frame | None, refusal: Refusal
    ) -> None:
        command_id = refusal.command_id
        if command_id is None and frame is not None and frame.cluster_specific:
            command_id = frame.command_id
        self._reporter.refused(
            device.eui64,
            refusal.layer,
            refusal.cause,
            packet=packet,
            command_id=command_id,
            status=refusal.status,
        )


def _outgoing(packet: Incoming, data: bytes) -> Outgoing:
    """An answer goes out with the security that the request came in with."""
    return Outgoing(
        nwk=packet.nwk,
        source_endpoint=packet.destination_endpoint,
        destination_endpoint=packet.source_endpoint,
        cluster_id=packet.cluster_id,
        data=data,
        aps_encrypt=packet.aps_encrypted,
    )
