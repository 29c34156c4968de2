"""ZCL dispatch: from a device's frame to the hub's answers, without sending anything.

The path of a Read Attributes of known attributes is kept short; 17,000 of them make a night.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from zigpy.zcl.foundation import Status

from labctl.events import ReadServed
from labctl.hub import frames as zcl
from labctl.hub.access import Access
from labctl.hub.device_log import Device, KeyState
from labctl.hub.endpoints import Endpoint
from labctl.hub.frames import Frame, MalformedFrame
from labctl.hub.general import DISCOVERY, WRITES, reported_attributes, written_attributes
from labctl.hub.practices import TIME, Practices
from labctl.hub.pretence import Pretences
from labctl.hub.reads import ReadBook
from labctl.hub.refusal import Refusal
from labctl.hub.reporter import Reporter
from labctl.hub.services.base import (
    FAILURE,
    INVALID_DATA_TYPE,
    MALFORMED,
    SUCCESS,
    UNSUPPORTED_ATTRIBUTE,
    Outcome,
    Request,
    Security,
    Service,
)
from labctl.hub.settings import HubSettings
from labctl.radio.coordinator import Incoming, Outgoing
from labctl.smart_energy.clusters import SMART_ENERGY_PROFILE
from labctl.smart_energy.disagreements import ApsSecurity, DeviceSettings

_UNSUP_CLUSTER: Final = int(Status.UNSUPPORTED_CLUSTER)
_UNSUP_CLUSTER_COMMAND: Final = int(Status.UNSUP_CLUSTER_COMMAND)
_UNSUP_GENERAL_COMMAND: Final = int(Status.UNSUP_GENERAL_COMMAND)
_UNSUP_MANUFACTURER_COMMAND: Final = int(Status.UNSUP_MANUF_CLUSTER_COMMAND)
_UNSUP_MANUFACTURER_GENERAL: Final = int(Status.UNSUP_MANUF_GENERAL_COMMAND)
_WILDCARD_PROFILE: Final = 0xFFFF

_FAILED: Final = struct.Struct("<HB")
_BEFORE_KEYS: Final = frozenset({Security.NONE})


@dataclass(frozen=True, slots=True)
class _Asked:
    """One frame of a device at a service of the hub's, received at `at_us`."""

    device: Device
    packet: Incoming
    service: Service[Any]
    frame: Frame
    at_us: int


class Dispatcher:
    """Turns frames into answers and events.

    `own_answer` gets each frame that answers a request of the hub's own, `served` each cluster
    that a device was really served from. `treated` tells how a device is treated where the sources
    disagree, `pretences` what it is told on purpose that is not so.
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
        treated: Callable[[Device], DeviceSettings],
        pretences: Pretences,
    ) -> None:
        self._settings = settings
        self._pretences = pretences
        self._access = Access(settings.access)
        self._treated = treated
        self.practices = Practices(reporter)
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
        if general and frame.command_id == zcl.READ_ATTRIBUTES:
            return [self._read(device, packet, service, frame, received_us)]
        asked = _Asked(device, packet, service, frame, received_us)
        if not general:
            return self._from_server(asked) if frame.from_server else self._command(asked)
        if frame.command_id == zcl.REPORT_ATTRIBUTES and frame.from_server:
            return self._report(asked)
        if frame.command_id in WRITES:
            return self._write(asked)
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
            if not packet.aps_encrypted and (
                service.security is Security.LINK_KEY
                or (service.security is Security.EITHER and self._wants_security(device, packet))
            ):
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

    def _wants_security(self, device: Device, packet: Incoming) -> bool:
        settings = self._treated(device)
        of_time = packet.cluster_id == TIME
        wanted = settings.time_security if of_time else settings.keep_alive_security
        if wanted is ApsSecurity.REQUIRED:
            self.practices.read(device.eui64, packet.cluster_id, (), secured=False)
        return wanted is ApsSecurity.REQUIRED

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
        if not frame.from_server and not service.server:
            raise Refusal(
                "zcl",
                "a frame for the server side of a cluster that the hub is only a client of",
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
        """Without an `_Asked`: to make one costs 2 % of what a read takes."""
        count, odd = divmod(len(frame.payload), 2)
        if odd or not count:
            raise Refusal("zcl", "malformed Read Attributes", MALFORMED)
        attribute_ids: tuple[int, ...] = struct.unpack(f"<{count}H", frame.payload)
        if not self._access.may_read(device.kind, service.cluster_id):
            return self._deny_read(
                _Asked(device, packet, service, frame, received_us), attribute_ids
            )
        if device in self._pretences:
            records, worst = self._pretences.read(
                device,
                packet.destination_endpoint,
                service,
                attribute_ids,
                received_us,
                self._treated(device),
            )
        else:
            records, worst = service.read(attribute_ids, received_us, self._treated(device))
        if service.security is Security.EITHER:
            self.practices.read(
                device.eui64, service.cluster_id, attribute_ids, secured=packet.aps_encrypted
            )
        self._served(device, packet, attribute_ids, None, worst, received_us)
        return zcl.general_answer(frame, zcl.READ_ATTRIBUTES_RESPONSE, records)

    def _deny_read(self, asked: _Asked, attribute_ids: tuple[int, ...]) -> bytes:
        """Answered attribute by attribute, and recorded as one refusal."""
        status = self._settings.refusal_status
        kind, cluster_id = asked.device.kind, asked.service.cluster_id
        self._refuse_part(
            asked, f"a device of kind {kind} may not read cluster 0x{cluster_id:04X}", status
        )
        records = b"".join(_FAILED.pack(attribute_id, status) for attribute_id in attribute_ids)
        return zcl.general_answer(asked.frame, zcl.READ_ATTRIBUTES_RESPONSE, records)

    def _write(self, asked: _Asked) -> list[bytes]:
        """Decided attribute by attribute; what is refused of it is recorded as one refusal."""
        service, frame = asked.service, asked.frame
        written = written_attributes(frame)
        check = [
            self._objection_to_write(asked.device, service, i, type_) for i, type_, _ in written
        ]
        if frame.command_id == zcl.WRITE_ATTRIBUTES_UNDIVIDED and any(check):
            statuses = [status or self._settings.write_status for status in check]
        else:
            statuses = [
                status or service.write(attribute_id, value, asked.at_us)
                for status, (attribute_id, _, value) in zip(check, written, strict=True)
            ]
        silent = frame.command_id == zcl.WRITE_ATTRIBUTES_NO_RESPONSE
        refused = [
            (status, attribute_id)
            for status, (attribute_id, _, _) in zip(statuses, written, strict=True)
            if status
        ]
        if refused:
            names = ", ".join(f"0x{attribute_id:04X}" for _, attribute_id in refused)
            status = None if silent else refused[0][0]
            self._refuse_part(asked, f"write of attribute {names}", status)
        if silent:
            return []
        # Success is told in one octet for all of it (ZCL 2.5.5).
        payload = b"".join(
            bytes((status,)) + attribute_id.to_bytes(2, "little")
            for status, attribute_id in refused
        )
        return [
            zcl.general_answer(frame, zcl.WRITE_ATTRIBUTES_RESPONSE, payload or bytes((SUCCESS,)))
        ]

    def _objection_to_write(
        self, device: Device, service: Service[Any], attribute_id: int, type_: int
    ) -> int:
        """Why an attribute cannot be written, as a status; SUCCESS when it can."""
        if not service.knows_attribute(attribute_id):
            return UNSUPPORTED_ATTRIBUTE
        if attribute_id not in service.writable or not self._access.may_write(
            device.kind, service.cluster_id
        ):
            return self._settings.write_status
        if type_ != service.attribute_type(attribute_id):
            return INVALID_DATA_TYPE
        return SUCCESS

    def _report(self, asked: _Asked) -> list[bytes]:
        """A server of the device reports to a client of the hub's: to a mirror."""
        reports = reported_attributes(asked.frame)
        outcome = asked.service.report(self._request(asked), reports)
        if isinstance(outcome, int) and outcome != SUCCESS:
            raise Refusal("application", "reports are not taken", outcome, asked.frame.command_id)
        return _frames(asked.frame, outcome)

    # -- cluster commands -------------------------------------------------------------------------

    def _command(self, asked: _Asked) -> list[bytes]:
        service, command_id = asked.service, asked.frame.command_id
        self._demand_right(asked.device, service, command_id)
        try:
            fields = service.parse(command_id, asked.frame.payload)
        except ValueError as error:
            raise Refusal(
                "zcl", f"malformed command 0x{command_id:02X}: {error}", MALFORMED
            ) from None
        request = self._request(asked)
        outcome = service.command(request, fields)
        for event in service.events(request, fields):
            self._reporter.emit(event)
        status = outcome if isinstance(outcome, int) else SUCCESS
        self._served(asked.device, asked.packet, (), command_id, status, asked.at_us)
        return _frames(asked.frame, outcome)

    def _from_server(self, asked: _Asked) -> list[bytes]:
        """A command from a device's server to a client of the hub's."""
        service, command_id = asked.service, asked.frame.command_id
        name = f"command 0x{command_id:02X} of the server of cluster 0x{service.cluster_id:04X}"
        if not service.knows_client_command(command_id):
            raise Refusal("zcl", f"there is no {name}", _UNSUP_CLUSTER_COMMAND)
        if command_id not in service.client_commands:
            raise Refusal("zcl", f"{name} is not taken", _UNSUP_CLUSTER_COMMAND)
        try:
            fields = service.parse_from_server(command_id, asked.frame.payload)
        except ValueError as error:
            raise Refusal(
                "zcl", f"malformed command 0x{command_id:02X}: {error}", MALFORMED
            ) from None
        return _frames(asked.frame, service.client_command(self._request(asked), fields))

    def _request(self, asked: _Asked) -> Request:
        device, packet, frame = asked.device, asked.packet, asked.frame
        return Request(
            device.eui64,
            device.kind,
            packet.destination_endpoint,
            frame.command_id,
            frame.payload,
            asked.at_us,
            packet.source_endpoint,
            self._treated(device),
        )

    def _demand_right(self, device: Device, service: Service[Any], command_id: int) -> None:
        name = f"command 0x{command_id:02X} of cluster 0x{service.cluster_id:04X}"
        if not service.knows_command(command_id):
            raise Refusal("zcl", f"there is no {name}", _UNSUP_CLUSTER_COMMAND)
        if not self._access.may_command(device.kind, service.cluster_id, command_id):
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

    def _refuse_part(self, asked: _Asked, why: str, status: int | None) -> None:
        """For the record alone: the frame itself has an answer."""
        refusal = Refusal("application", why, status, asked.frame.command_id)
        self._refuse(asked.device, asked.packet, asked.frame, refusal)

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


def _frames(request: Frame, outcome: Outcome) -> list[bytes]:
    """What goes out: the answers, or a Default Response where one is wanted."""
    if not isinstance(outcome, int):
        return [
            Frame(a.control, request.sequence, a.command_id, a.payload).octets() for a in outcome
        ]
    if outcome == SUCCESS and request.default_response_disabled:
        return []
    return [zcl.default_response(request, outcome)]


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
