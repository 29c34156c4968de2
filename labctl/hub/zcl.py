"""ZCL dispatch: from a device's frame to the hub's answers, without sending anything.

The path of a Read Attributes of known attributes is kept short; 17,000 of them make a night.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

from zigpy.zcl.foundation import Attribute as WriteRecord
from zigpy.zcl.foundation import Status

from labctl.clock import Clock
from labctl.events import EventBus, ReadServed, Refused
from labctl.hub import access
from labctl.hub import frames as zcl
from labctl.hub.device_log import Device
from labctl.hub.endpoints import Endpoint
from labctl.hub.frames import Frame, MalformedFrame
from labctl.hub.reads import ReadBook
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

_ATTRIBUTE_INFO: Final = struct.Struct("<HB")
_READABLE: Final = 0x01

Answers = list[bytes]


class Refusal(Exception):
    """Ends the handling of a frame: recorded, and answered with `status` (None: not at all)."""

    def __init__(
        self, layer: str, cause: str, status: int | None, command_id: int | None = None
    ) -> None:
        super().__init__(cause)
        self.layer = layer
        self.cause = cause
        self.status = status
        self.command_id = command_id


class Dispatcher:
    """Turns frames into answers and events.

    `own_answer` is offered each frame that answers a request of the hub's own.
    """

    def __init__(
        self,
        settings: HubSettings,
        endpoints: Mapping[int, Endpoint],
        reads: ReadBook,
        bus: EventBus,
        clock: Clock,
        own_answer: Callable[[Device, Incoming, Frame], bool],
    ) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._reads = reads
        self._bus = bus
        self._clock = clock
        self._own_answer = own_answer
        self._general: dict[
            int, Callable[[Device, Incoming, Service[Any], Frame, int], Answers]
        ] = {
            zcl.READ_ATTRIBUTES: self._read,
            zcl.WRITE_ATTRIBUTES: self._write,
            zcl.WRITE_ATTRIBUTES_UNDIVIDED: self._write,
            zcl.WRITE_ATTRIBUTES_NO_RESPONSE: self._write,
            zcl.DISCOVER_ATTRIBUTES: self._discover_attributes,
            zcl.DISCOVER_ATTRIBUTES_EXTENDED: self._discover_attributes,
            zcl.DISCOVER_COMMANDS_RECEIVED: self._discover_commands,
            zcl.DISCOVER_COMMANDS_GENERATED: self._discover_commands,
        }

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
            self._refuse(device, packet, frame, refusal)
            if refusal.status is None or frame is None or packet.broadcast:
                return []
            answers = [zcl.default_response(frame, refusal.status)]
        return [self._outgoing(packet, data) for data in answers]

    def _answers(self, device: Device, packet: Incoming, frame: Frame, received_us: int) -> Answers:
        if not frame.cluster_specific and frame.command_id in zcl.GENERAL_RESPONSES:
            # Answers to requests of ours. Others, Default Responses above all, need no answer.
            self._own_answer(device, packet, frame)
            return []
        service = self._service(device, packet)
        self._demand_security(device, packet, service)
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
                f"manufacturer-specific command of manufacturer 0x{frame.manufacturer:04X}",
                _UNSUP_MANUFACTURER_COMMAND
                if frame.cluster_specific
                else _UNSUP_MANUFACTURER_GENERAL,
                frame.command_id,
            )
        if frame.cluster_specific:
            return self._command(device, packet, service, frame, received_us)
        handler = self._general.get(frame.command_id)
        if handler is None:
            raise Refusal(
                "zcl",
                f"general command 0x{frame.command_id:02X} is not supported",
                _UNSUP_GENERAL_COMMAND,
            )
        return handler(device, packet, service, frame, received_us)

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
        elif service.security is not Security.NONE:
            raise Refusal("aps", "application data before key establishment", None)

    # -- general commands -------------------------------------------------------------------------

    def _read(
        self,
        device: Device,
        packet: Incoming,
        service: Service[Any],
        frame: Frame,
        received_us: int,
    ) -> Answers:
        payload = frame.payload
        count, odd = divmod(len(payload), 2)
        if odd or not count:
            raise Refusal("zcl", "malformed Read Attributes", MALFORMED, zcl.READ_ATTRIBUTES)
        attribute_ids: tuple[int, ...] = struct.unpack(f"<{count}H", payload)
        records, worst = service.read(attribute_ids, received_us)
        self._served(device, packet, attribute_ids, None, worst, received_us)
        return [zcl.general_answer(frame, zcl.READ_ATTRIBUTES_RESPONSE, records)]

    def _write(
        self,
        device: Device,
        packet: Incoming,
        service: Service[Any],
        frame: Frame,
        received_us: int,
    ) -> Answers:
        answers: list[tuple[int, int]] = []
        rest = frame.payload
        while rest:
            try:
                record, rest = WriteRecord.deserialize(rest)
            except (ValueError, KeyError) as error:
                raise Refusal(
                    "zcl", f"malformed Write Attributes: {error}", MALFORMED, frame.command_id
                ) from None
            attribute_id = int(record.attrid)
            known = service.knows_attribute(attribute_id)
            status = self._settings.write_status if known else UNSUPPORTED_ATTRIBUTE
            answers.append((status, attribute_id))
        if not answers:
            raise Refusal("zcl", "Write Attributes of nothing", MALFORMED, frame.command_id)
        silent = frame.command_id == zcl.WRITE_ATTRIBUTES_NO_RESPONSE
        names = ", ".join(f"0x{attribute_id:04X}" for _, attribute_id in answers)
        self._refuse(
            device,
            packet,
            frame,
            Refusal(
                "application",
                f"write of attribute {names}",
                None if silent else answers[0][0],
                frame.command_id,
            ),
        )
        if silent:
            return []
        payload = b"".join(bytes((s,)) + a.to_bytes(2, "little") for s, a in answers)
        return [zcl.general_answer(frame, zcl.WRITE_ATTRIBUTES_RESPONSE, payload)]

    def _discover_attributes(
        self,
        device: Device,
        packet: Incoming,
        service: Service[Any],
        frame: Frame,
        received_us: int,
    ) -> Answers:
        """Discover Attributes and its extended form (ZCL 2.5.13, 2.5.22)."""
        if len(frame.payload) < 3:
            raise Refusal("zcl", "malformed Discover Attributes", MALFORMED, frame.command_id)
        start, limit = _ATTRIBUTE_INFO.unpack_from(frame.payload)
        found = [d for d in service.served_attributes() if int(d.id) >= start]
        extended = frame.command_id == zcl.DISCOVER_ATTRIBUTES_EXTENDED
        payload = bytes((len(found) <= limit,))
        for definition in found[:limit]:
            payload += _ATTRIBUTE_INFO.pack(int(definition.id), int(definition.zcl_type))
            if extended:
                payload += bytes((_READABLE,))
        answer = (
            zcl.DISCOVER_ATTRIBUTES_EXTENDED_RESPONSE
            if extended
            else zcl.DISCOVER_ATTRIBUTES_RESPONSE
        )
        return [zcl.general_answer(frame, answer, payload)]

    def _discover_commands(
        self,
        device: Device,
        packet: Incoming,
        service: Service[Any],
        frame: Frame,
        received_us: int,
    ) -> Answers:
        """Discover Commands Received and Generated (ZCL 2.5.18, 2.5.20)."""
        if len(frame.payload) < 2:
            raise Refusal("zcl", "malformed Discover Commands", MALFORMED, frame.command_id)
        start, limit = frame.payload[0], frame.payload[1]
        received = frame.command_id == zcl.DISCOVER_COMMANDS_RECEIVED
        commands = sorted(service.commands) if received else service.generated
        found = [c for c in commands if c >= start]
        answer = (
            zcl.DISCOVER_COMMANDS_RECEIVED_RESPONSE
            if received
            else zcl.DISCOVER_COMMANDS_GENERATED_RESPONSE
        )
        payload = bytes((len(found) <= limit, *found[:limit]))
        return [zcl.general_answer(frame, answer, payload)]

    # -- cluster commands -------------------------------------------------------------------------

    def _command(
        self,
        device: Device,
        packet: Incoming,
        service: Service[Any],
        frame: Frame,
        received_us: int,
    ) -> Answers:
        command_id = frame.command_id
        if not service.knows_command(command_id):
            raise Refusal(
                "zcl",
                f"cluster 0x{service.cluster_id:04X} has no command 0x{command_id:02X}",
                _UNSUP_CLUSTER_COMMAND,
                command_id,
            )
        if not access.may_command(device.kind, service, command_id):
            raise Refusal(
                "application",
                f"a {device.kind} may not send command 0x{command_id:02X} "
                f"of cluster 0x{service.cluster_id:04X}",
                self._settings.refusal_status,
                command_id,
            )
        if command_id not in service.commands:
            raise Refusal(
                "zcl",
                f"command 0x{command_id:02X} of cluster 0x{service.cluster_id:04X} is not served",
                _UNSUP_CLUSTER_COMMAND,
                command_id,
            )
        try:
            fields = service.parse(command_id, frame.payload)
        except ValueError as error:
            raise Refusal(
                "zcl", f"malformed command 0x{command_id:02X}: {error}", MALFORMED, command_id
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
            self._bus.emit(event)
        status = outcome if isinstance(outcome, int) else SUCCESS
        self._served(device, packet, (), command_id, status, received_us)
        if not isinstance(outcome, int):
            return [
                Frame(a.control, frame.sequence, a.command_id, a.payload).octets() for a in outcome
            ]
        if outcome == SUCCESS and frame.default_response_disabled:
            return []
        return [zcl.default_response(frame, outcome)]

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
        self._bus.emit(
            ReadServed(
                at_us=received_us,
                eui64=device.eui64,
                initiator="device",
                endpoint=packet.destination_endpoint,
                cluster_id=packet.cluster_id,
                attributes=attributes,
                command_id=command_id,
                status=status,
                latency_us=self._clock.now_us() - received_us,
                aps_encrypted=packet.aps_encrypted,
                schedule=self._reads.schedule_of(
                    device.eui64,
                    packet.destination_endpoint,
                    packet.cluster_id,
                    attributes,
                    command_id,
                ),
            )
        )

    def _refuse(
        self, device: Device, packet: Incoming, frame: Frame | None, refusal: Refusal
    ) -> None:
        command_id = refusal.command_id
        if command_id is None and frame is not None and frame.cluster_specific:
            command_id = frame.command_id
        self._bus.emit(
            Refused(
                at_us=self._clock.now_us(),
                eui64=device.eui64,
                layer=refusal.layer,
                cause=refusal.cause,
                endpoint=packet.destination_endpoint,
                cluster_id=packet.cluster_id,
                command_id=command_id,
                status=refusal.status,
            )
        )

    @staticmethod
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
