"""What every service of the hub is: one cluster's server side on one endpoint."""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import zigpy.types as t
from zigpy.zcl import Cluster
from zigpy.zcl.foundation import Status, ZCLAttributeDef, ZCLCommandDef

from labctl.events import DeviceKind, Event
from labctl.smart_energy.disagreements import USUAL, DeviceSettings
from labctl.smart_energy.eui64 import Eui64

S = TypeVar("S")

_NUMBERS = (t.uint24_t, t.uint32_t, t.uint48_t)
_RECORD = struct.Struct("<HBB")
_FAILURE = struct.Struct("<HB")

SUCCESS = int(Status.SUCCESS)
FAILURE = int(Status.FAILURE)
NOT_AUTHORIZED = int(Status.NOT_AUTHORIZED)
MALFORMED = int(Status.MALFORMED_COMMAND)
NOT_FOUND = int(Status.NOT_FOUND)
UNSUPPORTED_ATTRIBUTE = int(Status.UNSUPPORTED_ATTRIBUTE)
UNSUP_GENERAL_COMMAND = int(Status.UNSUP_GENERAL_COMMAND)
INVALID_VALUE = int(Status.INVALID_VALUE)
INVALID_DATA_TYPE = int(Status.INVALID_DATA_TYPE)

SOLICITED = 0x19
"""Frame control of an answer to which no Default Response is wanted: server to client."""
PUSHED = 0x09
"""Frame control of a cluster command from server to client."""


class Security(enum.Enum):
    """Which APS security a cluster asks for (SE 1.4a 5.4.6).

    EITHER is for Time and Keep-Alive, on which sources disagree: both ways are served, and the
    answer goes out the way the request came in.
    """

    NONE = "none"
    EITHER = "either"
    LINK_KEY = "link key"


@dataclass(frozen=True, slots=True)
class Request:
    """A cluster command from a device, with what a service may need to know of it.

    `endpoint` is the hub's; `source_endpoint` the device's. `settings` hold where the sources
    disagree.
    """

    eui64: Eui64
    kind: DeviceKind
    endpoint: int
    command_id: int
    payload: bytes
    now_us: int
    source_endpoint: int = 1
    settings: DeviceSettings = USUAL
    """How the hub treats the device where the sources disagree."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A cluster command in answer. It takes the request's sequence number."""

    command_id: int
    payload: bytes
    control: int = SOLICITED


@dataclass(frozen=True, slots=True)
class Report:
    """An attribute that a device reported; `record` is how Read Attributes answers it."""

    attribute_id: int
    value: Any
    record: bytes


Outcome = Sequence[Answer] | int
"""Answers in their order, or the status of a Default Response."""


Value = int | bytes | str


@dataclass(frozen=True, slots=True)
class Attribute(Generic[S]):
    """An attribute that is served: a definition, and how it follows from the service's state.

    A `value` that is no function never changes and is encoded once. A function may give None: the
    attribute is not there for now, and is answered as one that is unsupported.
    """

    definition: ZCLAttributeDef
    value: Callable[[S], Value | None] | Value


Record = bytes | Callable[[S], bytes]


class Service(Generic[S]):
    """The server side of a cluster.

    Subclasses give `attributes` and override `state` (what attributes are functions of) and
    `command`. A payload that does not fit the command's schema never reaches `command`.
    """

    definition: type[Cluster]
    security = Security.LINK_KEY
    commands: frozenset[int] = frozenset()
    """Commands that `command` carries out; others are answered as unsupported."""
    server = True
    """Whether the endpoint lists the cluster's server side."""
    sends: tuple[str, ...] = ()
    """Names of the commands from server to client that the hub may send."""
    also_client = False
    """Whether the endpoint lists the cluster's client side too."""
    client_commands: frozenset[int] = frozenset()
    """Commands from server to client that `client_command` takes."""
    client_generated: tuple[int, ...] = ()
    """Commands from client to server that the hub may send, in their order."""
    writable: frozenset[int] = frozenset()
    """Attributes that `write` sets, for devices that may."""

    def __init__(self, attributes: Iterable[Attribute[S]]) -> None:
        self.cluster_id = int(self.definition.cluster_id)
        attributes = tuple(attributes)
        self._definitions = {int(a.definition.id): a.definition for a in attributes}
        self._records: dict[int, Record[S]] = {int(a.definition.id): _record(a) for a in attributes}
        self._withheld: dict[int, Record[S]] = {}
        self._schemas: dict[int, Any] = {
            int(command.id): command.schema for command in self.definition.ServerCommandDefs
        }
        self._client_schemas: dict[int, Any] = {
            int(command.id): command.schema for command in self.definition.ClientCommandDefs
        }
        self.generated = tuple(
            sorted(int(command_of(self.definition, name).id) for name in self.sends)
        )

    def state(self, now_us: int) -> S:
        """What the attributes are functions of, at `now_us`."""
        raise NotImplementedError

    def command(self, request: Request, fields: Any) -> Outcome:
        """Carry out a command; `fields` is its payload by zigpy's schema."""
        raise NotImplementedError

    def client_command(self, request: Request, fields: Any) -> Outcome:
        """Take a command from a device's server to the hub's client."""
        raise NotImplementedError

    def report(self, request: Request, reports: Sequence[Report]) -> Outcome:
        """Take a device's report of its attributes. Only a mirror does."""
        return UNSUP_GENERAL_COMMAND

    def write(self, attribute_id: int, value: Any, now_us: int) -> int:
        """Set a writable attribute; `value` is of its type. Returns the status."""
        raise NotImplementedError

    def events(self, request: Request, fields: Any) -> Iterable[Event]:
        """What is worth recording of a command, beside that it was served."""
        return ()

    # -- used by the dispatcher -----------------------------------------------------------------

    def read(
        self, attribute_ids: Sequence[int], now_us: int, settings: DeviceSettings = USUAL
    ) -> tuple[bytes, int]:
        """The records of a Read Attributes Response, and the worst status in them.

        `settings` are the reader's: where sources disagree, attributes may differ by it.
        """
        parts: list[bytes] = []
        worst = SUCCESS
        state: S | None = None
        records = self._records
        for attribute_id in attribute_ids:
            record = records.get(attribute_id)
            if record is None:
                worst = UNSUPPORTED_ATTRIBUTE
                parts.append(_FAILURE.pack(attribute_id, UNSUPPORTED_ATTRIBUTE))
            elif isinstance(record, bytes):
                parts.append(record)
            else:
                if state is None:
                    state = self.state(now_us)
                part = record(state)
                parts.append(part)
                if part[2]:
                    worst = part[2]
        return b"".join(parts), worst

    def show(self, records: Mapping[int, bytes]) -> None:
        """Serve these attributes as a device reported them, as Read Attributes records."""
        self._records.update(records)

    def withhold(self) -> None:
        """Answer numbers that are functions of the state with their type's invalid value."""
        for attribute_id, record in self._records.items():
            definition = self._definitions.get(attribute_id)
            type_: Any = None if definition is None else definition.type
            if callable(record) and type_ in _NUMBERS and definition is not None:
                self._withheld[attribute_id] = record
                head = _RECORD.pack(attribute_id, SUCCESS, int(definition.zcl_type))
                self._records[attribute_id] = head + b"\xff" * (int(type_._bits) // 8)

    def release(self) -> None:
        """Undo `withhold`."""
        self._records.update(self._withheld)
        self._withheld.clear()

    def knows_attribute(self, attribute_id: int) -> bool:
        """Whether the attribute is served."""
        return attribute_id in self._records

    def knows_command(self, command_id: int) -> bool:
        """Whether the cluster's definition has the command, served or not."""
        return command_id in self._schemas

    def parse(self, command_id: int, payload: bytes) -> Any:
        """A command's fields. Raises `ValueError`. Octets added by a later version are allowed."""
        fields, _ = self._schemas[command_id].deserialize(payload)
        return fields

    def knows_client_command(self, command_id: int) -> bool:
        """Whether the cluster's definition has the command from server to client."""
        return command_id in self._client_schemas

    def parse_from_server(self, command_id: int, payload: bytes) -> Any:
        """The fields of a command from server to client. Raises `ValueError`."""
        fields, _ = self._client_schemas[command_id].deserialize(payload)
        return fields

    def attribute_type(self, attribute_id: int) -> int:
        """The ZCL type of an attribute that is served."""
        return int(self._definitions[attribute_id].zcl_type)

    def served_attributes(self) -> list[ZCLAttributeDef]:
        """The definitions of what is served, by id."""
        return [self._definitions[i] for i in sorted(self._definitions)]


def defined(definition: type[Cluster], name: str) -> ZCLAttributeDef:
    """An attribute of a cluster by name."""
    found: ZCLAttributeDef = getattr(definition.AttributeDefs, name)
    return found


def command_of(definition: type[Cluster], name: str) -> ZCLCommandDef:
    """A server-to-client command of a cluster by name."""
    found: ZCLCommandDef = getattr(definition.ClientCommandDefs, name)
    return found


def answer(command: ZCLCommandDef, control: int = SOLICITED, **fields: Any) -> Answer:
    """An answer by zigpy's schema of the command."""
    schema: Any = command.schema
    return Answer(int(command.id), schema(**fields).serialize(), control)


def _record(attribute: Attribute[S]) -> Record[S]:
    """A Read Attributes record (ZCL 2.5.2): id, status, type, value."""
    definition = attribute.definition
    type_: Any = definition.type
    head = _RECORD.pack(int(definition.id), SUCCESS, int(definition.zcl_type))
    value = attribute.value
    if not callable(value):
        octets: bytes = type_(value).serialize()
        return head + octets
    absent = _FAILURE.pack(int(definition.id), UNSUPPORTED_ATTRIBUTE)
    if not issubclass(type_, int):

        def record(state: S) -> bytes:
            found = value(state)
            return absent if found is None else head + type_(found).serialize()

        return record
    return _integer(value, head, int(type_._bits) // 8, bool(type_._signed), absent)


def _integer(
    value: Callable[[S], Value | None], head: bytes, size: int, signed: bool, absent: bytes
) -> Record[S]:
    def record(state: S) -> bytes:
        number = value(state)
        if number is None:
            return absent
        return head + number.to_bytes(size, "little", signed=signed)  # type: ignore[union-attr]

    return record
