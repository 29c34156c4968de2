"""The firmware: takes EZSP frames, gives responses, sends callbacks.

Every command is answered at once. A callback carries the sequence number of the last command, and
goes out only after that command's response: a host that matches by number alone would otherwise
take it for the answer.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity as Certificates
from labctl.virtual.ncp import codec
from labctl.virtual.ncp.ash import ResetCode
from labctl.virtual.ncp.codec import Frame, Header, ParameterError
from labctl.virtual.ncp.flash import Contents, Flash
from labctl.virtual.ncp.handlers.addresses import Addresses
from labctl.virtual.ncp.handlers.base import Part
from labctl.virtual.ncp.handlers.bindings import Bindings
from labctl.virtual.ncp.handlers.configuration import Configuration
from labctl.virtual.ncp.handlers.counters import Counters
from labctl.virtual.ncp.handlers.duty_cycle import DutyCycle
from labctl.virtual.ncp.handlers.joining import Joining
from labctl.virtual.ncp.handlers.key_commands import KeyCommands
from labctl.virtual.ncp.handlers.key_establishment import KeyEstablishment
from labctl.virtual.ncp.handlers.messaging import Messaging
from labctl.virtual.ncp.handlers.mfglib import Mfglib
from labctl.virtual.ncp.handlers.network import Network
from labctl.virtual.ncp.handlers.phys import Phys
from labctl.virtual.ncp.handlers.scanning import Scanning
from labctl.virtual.ncp.handlers.security import Security
from labctl.virtual.ncp.handlers.tokens import Tokens
from labctl.virtual.ncp.handlers.utilities import Utilities
from labctl.virtual.ncp.handlers.zdo import Zdo
from labctl.virtual.ncp.hardware import RETAIL, Hardware
from labctl.virtual.ncp.listener import FirmwareListener
from labctl.virtual.ncp.status import Ezsp as EzspStatus
from labctl.virtual.ncp.versions import FIRMWARE, table
from labctl.virtual.node import Node, NodeListener, NodeState

MAX_PENDING_CALLBACKS = 64
"""Callbacks that a host in synchronous mode may leave unfetched before some are lost."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What the firmware says about itself: EmberZNet 7.4.5.0 unless told otherwise."""

    protocol: int = 13
    stack_type: int = 2  # mesh
    version: tuple[int, int, int, int] = FIRMWARE[13]
    build: int = 0
    manufacturer: str = "labctl"
    board: str = "virtual EZSP NCP"

    @classmethod
    def speaking(cls, protocol: int) -> Identity:
        """A release that speaks this version of EZSP: one of `versions.FIRMWARE`."""
        return cls(protocol=protocol, version=FIRMWARE[protocol])

    @property
    def stack_version(self) -> int:
        """As `version` reports it: a nibble for each part."""
        major, minor, patch, special = self.version
        return major << 12 | minor << 8 | patch << 4 | special


class NodeFactory(Protocol):
    """Makes the node under the firmware. Called at each start of the radio."""

    def __call__(
        self,
        state: NodeState,
        listener: NodeListener,
        *,
        max_children: int,
        max_transfer: int,
        manufacturer_code: int,
    ) -> Node:
        """A node that is not powered on yet."""


class Ezsp:
    """The firmware of one NCP. Lives on the event loop it was made in.

    `emit(frame, is_callback)` takes what is for the host. `reset_requested(code)` is called when
    the firmware wants its processor restarted. `cbke` are the certificates in its manufacturing
    tokens, by suite: with any, it has the key establishment libraries of these suites.
    `hardware` says which radios it drives.
    """

    def __init__(
        self,
        *,
        eui64: Eui64,
        make_node: NodeFactory,
        flash: Flash,
        rng: random.Random,
        emit: Callable[[bytes, bool], None],
        reset_requested: Callable[[ResetCode], None],
        identity: Identity | None = None,
        cbke: Mapping[int, Certificates] | None = None,
        hardware: Hardware = RETAIL,
    ) -> None:
        self.identity = identity or Identity()
        self.hardware = hardware
        self.flash = flash
        self.factory_eui64 = eui64
        self.rng = rng
        self.make_node = make_node
        self.reset_requested = reset_requested
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self._generation = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self.listener: NodeListener = FirmwareListener(self)
        self.silent_listener = NodeListener()
        self._restart_ram()

        self.configuration = Configuration(self)
        self.phys = Phys(self)
        self.duty_cycle = DutyCycle(self)
        self.network = Network(self)
        self.scanning = Scanning(self)
        self.security = Security(self)
        self.key_commands = KeyCommands(self)
        self.joining = Joining(self)
        self.messaging = Messaging(self)
        self.addresses = Addresses(self)
        self.bindings = Bindings(self)
        self.zdo = Zdo(self)
        self.counters = Counters(self)
        self.tokens = Tokens(self)
        self.utilities = Utilities(self)
        self.mfglib = Mfglib(self)
        self.key_establishment = KeyEstablishment(self, cbke or {})
        self._parts: tuple[Part, ...] = (
            *((self.key_establishment,) if cbke else ()),  # before the stubs of `security`
            self.configuration,
            self.network,
            self.phys,
            self.duty_cycle,
            self.scanning,
            self.security,
            self.key_commands,
            self.joining,
            self.messaging,
            self.addresses,
            self.bindings,
            self.zdo,
            self.counters,
            self.tokens,
            self.utilities,
            self.mfglib,
        )
        frames = table(self.identity.protocol, key_establishment=bool(cbke))
        self._frames = {frame.name: frame for frame in frames.values()}
        self._handlers = self._find_handlers(frames)

    def _find_handlers(
        self, frames: Mapping[int, Frame]
    ) -> dict[int, tuple[Frame, Callable[..., Mapping[str, Any] | None]]]:
        found: dict[int, tuple[Frame, Callable[..., Mapping[str, Any] | None]]] = {}
        for frame_id, frame in frames.items():
            if frame.request is None:
                continue
            for part in self._parts:
                handler = getattr(part, frame.name, None)
                if handler is not None:
                    found[frame_id] = (frame, handler)
                    break
        return found

    # -- life ---------------------------------------------------------------------------------

    @property
    def contents(self) -> Contents:
        """What flash holds. Raises `ConfigurationError` on first use when it is damaged."""
        return self.flash.load(self.factory_eui64)

    @property
    def now(self) -> float:
        """The event loop's time, s."""
        return self._loop.time()

    def reset(self) -> None:
        """Restart: everything in RAM is as after power-on, flash stays."""
        self.power_off()
        self._restart_ram()
        for part in self._parts:
            part.reset()

    def _restart_ram(self) -> None:
        self._version_set = False
        self._sequence = 0
        self._handling = False
        self._pending: deque[tuple[int, bytes]] = deque()
        self._overflow = False

    def power_off(self) -> None:
        """Stop everything at once: radio, timers, tasks."""
        self._generation += 1
        for task in tuple(self._tasks):
            task.cancel()
        self._tasks.clear()
        self.network.power_off()
        self.mfglib.stop()

    def later(self, delay_s: float, work: Callable[..., None], *arguments: Any) -> None:
        """Call `work` after `delay_s`, unless the NCP is reset before."""
        self._loop.call_later(delay_s, self._fire, self._generation, work, arguments)

    def _fire(self, generation: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if generation == self._generation:
            work(*arguments)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` until it ends or the NCP is reset."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- commands -----------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """A frame from the host. The response and then the callbacks go to `emit`."""
        head = codec.parse_header(data)
        if head is None:
            return  # nothing to number an answer with
        self._sequence = head.sequence
        self._handling = True
        try:
            response = self._answer(head, data)
        finally:
            self._handling = False
        if response is not None:
            self._emit(response, False)
        self._flush()

    def _answer(self, head: Header, data: bytes) -> bytes | None:
        reason = self._refusal(head, data)
        if reason is not None:
            return self._invalid(head, reason)
        entry = self._handlers.get(head.frame_id)
        if entry is None:
            return self._invalid(head, EzspStatus.INVALID_FRAME_ID)
        frame, handler = entry
        assert frame.request is not None
        try:
            parameters = frame.request.unpack(data[head.parameters :])
        except ParameterError:
            return self._invalid(head, EzspStatus.TRUNCATED)
        values = handler(**parameters)
        if values is None:
            return None  # answered in its own way, or not at all
        return self._response(head, frame.frame_id, frame.response.pack(values))

    def _refusal(self, head: Header, data: bytes) -> EzspStatus | None:
        """Why the frame is not even looked up, or None."""
        if len(data) > codec.MAX_FRAME:
            return EzspStatus.COMMAND_TOO_LONG
        if head.control & codec.RESPONSE:
            return EzspStatus.WRONG_DIRECTION
        if head.format & 0x80:
            return EzspStatus.UNSECURE_FRAME  # asks for a secured session, of which there is none
        if head.frame_id == 0 and (head.legacy or self._version_set):
            return None
        if not self._version_set:
            return None if head.frame_id == 0 else EzspStatus.VERSION_NOT_SET
        return EzspStatus.UNSUPPORTED_CONTROL if head.legacy else None

    def version_agreed(self, agreed: bool) -> None:
        """The host asked for our protocol version, or for another."""
        self._version_set = agreed

    def _response(self, head: Header, frame_id: int, parameters: bytes) -> bytes:
        control = codec.RESPONSE | (head.control & 0x60)
        if self._pending and self.configuration.synchronous_callbacks:
            control |= codec.CALLBACK_PENDING
        if self._overflow:
            control |= 0x01
            self._overflow = False
        return codec.header(head.sequence, control, frame_id, legacy=head.legacy) + parameters

    def _invalid(self, head: Header, reason: EzspStatus) -> bytes:
        frame = self._frames["invalid_command"]
        return self._response(head, frame.frame_id, frame.response.pack({"reason": reason}))

    # -- callbacks ----------------------------------------------------------------------------

    def callback(self, name: str, **values: Any) -> None:
        """Tell the host. During a command the callback waits for the response to go first."""
        if not self._version_set:
            return
        frame = self._frames[name]
        if self.configuration.synchronous_callbacks and len(self._pending) >= MAX_PENDING_CALLBACKS:
            self._overflow = True
            return
        self._pending.append((frame.frame_id, frame.response.pack(values)))
        if not self._handling:
            self._flush()

    def _flush(self) -> None:
        if self.configuration.synchronous_callbacks:
            return
        control = codec.RESPONSE | codec.CALLBACK_ASYNCHRONOUS
        while self._pending:
            frame_id, parameters = self._pending.popleft()
            self._emit(codec.header(self._sequence, control, frame_id) + parameters, True)

    def fetch_callback(self) -> None:
        """A synchronous host asks for its next callback: it is the response."""
        control = codec.RESPONSE | codec.CALLBACK_SYNCHRONOUS
        if self._pending:
            frame_id, parameters = self._pending.popleft()
            if self._pending:
                control |= codec.CALLBACK_PENDING
        else:
            frame_id, parameters = self._frames["no_callbacks"].frame_id, b""
            control = codec.RESPONSE
        self._emit(codec.header(self._sequence, control, frame_id) + parameters, False)
