"""The firmware: takes MT frames, gives responses, sends notices.

Every request is answered at once, and one after the other. What the firmware has to say by itself
while it handles a request goes out after that request's response.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.node import Node, NodeListener, NodeState
from labctl.virtual.znp.codec import ParameterError
from labctl.virtual.znp.commands import REQUESTS, TABLE
from labctl.virtual.znp.framing import NOTICE, REQUEST, MtFrame
from labctl.virtual.znp.handlers.af import Af
from labctl.virtual.znp.handlers.app_cnf import AppCnf
from labctl.virtual.znp.handlers.base import Part
from labctl.virtual.znp.handlers.network import Network
from labctl.virtual.znp.handlers.nv import NvCommands
from labctl.virtual.znp.handlers.scanning import Scanning
from labctl.virtual.znp.handlers.system import System
from labctl.virtual.znp.handlers.trust import Trust
from labctl.virtual.znp.handlers.util import Util
from labctl.virtual.znp.handlers.zdo import Zdo
from labctl.virtual.znp.handlers.zdo_requests import ZdoRequests
from labctl.virtual.znp.listener import FirmwareListener
from labctl.virtual.znp.memory import Memory
from labctl.virtual.znp.nvram import Nvram
from labctl.virtual.znp.status import RpcError, Z

RPC_ERROR = 0x6000
KEY_MANAGEMENT = frozenset({0x2523, 0x2524, 0x2525, 0x2744, 0x2745})
"""Commands that are there only in builds with key management."""

OF_THIS_BUILD = frozenset({0x2763, 0x2764})
"""Commands that the vendor's own builds do not have."""

SUBSYSTEMS = frozenset({0x01, 0x04, 0x05, 0x07, 0x0F})
APP_CNF = 0x0F
"""The one subsystem that says nothing to a command that it does not know."""


@dataclass(frozen=True, slots=True)
class Firmware:
    """What the firmware says about itself: Z-Stack 3.30 in the build of 2025-03-21 that most
    sticks are sold with."""

    product: int = 1
    version: tuple[int, int, int] = (2, 7, 1)
    build: int | None = 20250321
    """Date of the build; None: one that does not say (the vendor's own)."""
    max_children: int = 50
    trust_centre_keys: int = 200
    key_management: bool = True
    """Whether hosts may read the network key's items, and have the commands about keys."""
    default_key_rejoins: bool = True
    """The policy after each reset: rejoins without the network key, under the default one."""
    any_profile: bool = True
    """Whether endpoints hear profiles other than their own."""
    ack_wait_s: float = 1.0

    @classmethod
    def stock(cls) -> Firmware:
        """As the vendor's own project is built."""
        return cls(
            product=0,
            build=None,
            max_children=20,
            trust_centre_keys=40,
            key_management=False,
            default_key_rejoins=False,
            any_profile=False,
            ack_wait_s=6.0,
        )


class NodeFactory(Protocol):
    """Makes the node under the firmware. Called at each start of the radio."""

    def __call__(self, state: NodeState, listener: NodeListener, *, max_children: int) -> Node:
        """A node that is not powered on yet."""


class Znp:
    """The firmware of one stick. Lives on the event loop it was made in.

    `emit(frame)` takes what is for the host. `reset_requested()` is called when the firmware wants
    its processor restarted.
    """

    def __init__(
        self,
        *,
        eui64: Eui64,
        make_node: NodeFactory,
        memory: Memory,
        rng: random.Random,
        emit: Callable[[MtFrame], None],
        reset_requested: Callable[[], None],
        firmware: Firmware | None = None,
    ) -> None:
        self.identity = firmware or Firmware()
        self.factory_eui64 = eui64
        self.memory = memory
        self.nvram: Nvram = memory.load(eui64)
        self.rng = rng
        self.make_node = make_node
        self.reset_requested = reset_requested
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._handling = False
        self._notices: deque[MtFrame] = deque()
        self.listener: NodeListener = FirmwareListener(self)
        self.silent_listener = NodeListener()

        self.system = System(self)
        self.nv = NvCommands(self)
        self.network = Network(self)
        self.trust = Trust(self)
        self.af = Af(self)
        self.zdo = Zdo(self)
        self.zdo_requests = ZdoRequests(self)
        self.scanning = Scanning(self)
        self.util = Util(self)
        self.app_cnf = AppCnf(self)
        self.parts: tuple[Part, ...] = (
            *(self.system, self.nv, self.network, self.trust, self.af, self.zdo),
            *(self.zdo_requests, self.scanning, self.util, self.app_cnf),
        )
        self._handlers = {
            name: getattr(part, name)
            for name in TABLE
            for part in self.parts
            if hasattr(part, name) and TABLE[name].command not in self._missing
        }
        self.boot()

    @property
    def _missing(self) -> frozenset[int]:
        missing: frozenset[int] = frozenset()
        if not self.identity.key_management:
            missing |= KEY_MANAGEMENT
        return missing if self.identity.build is not None else missing | OF_THIS_BUILD

    # -- life --------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start the processor: the radio is off, and all that was in RAM is gone."""
        self.stop()
        self.nvram.keys_locked = not self.identity.key_management
        self.nvram.initialise(
            self.factory_eui64,
            self.rng,
            ack_wait_s=self.identity.ack_wait_s,
            trust_centre_keys=self.identity.trust_centre_keys,
        )
        for part in self.parts:
            part.boot()

    def stop(self) -> None:
        """The processor stands still."""
        self.network.switch_off()
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._timers.clear()
        self._tasks.clear()
        self._notices.clear()

    @property
    def now(self) -> float:
        """Seconds on the loop's clock."""
        return self._loop.time()

    def later(self, seconds: float, call: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        """Call it then, unless the processor is restarted first."""

        def due() -> None:
            self._timers.discard(timer)
            call(*args)

        timer = self._loop.call_later(seconds, due)
        self._timers.add(timer)
        return timer

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do it beside everything else, until the processor is restarted."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._loop.call_exception_handler({"message": "virtual ZNP", "exception": error})

    # -- frames ------------------------------------------------------------------------------------

    def receive(self, frame: MtFrame) -> None:
        """A frame from the host."""
        if frame.kind not in (REQUEST, NOTICE):
            return
        self._handling = True
        try:
            response = self._respond(frame)
        finally:
            self._handling = False
        if response is not None:
            self._emit(response)
        while self._notices:
            self._emit(self._notices.popleft())

    def _respond(self, frame: MtFrame) -> MtFrame | None:
        known = REQUESTS.get(frame.command)
        handler = None if known is None else self._handlers.get(known.name)
        if known is None or handler is None:
            if frame.kind == NOTICE or frame.subsystem == APP_CNF:
                return None
            there = frame.subsystem in SUBSYSTEMS
            return _rpc_error(RpcError.COMMAND if there else RpcError.SUBSYSTEM, frame)
        assert known.request is not None
        try:
            values = known.request.unpack(frame.data)
        except ParameterError:
            return None if frame.kind == NOTICE else _rpc_error(RpcError.LENGTH, frame)
        answer = handler(**values)
        if frame.kind == NOTICE:
            return None
        if isinstance(answer, Z):
            answer = {"status": answer}
        return MtFrame(frame.command | 0x4000, known.response.pack(answer))

    def notify(self, name: str, **values: Any) -> None:
        """Tell the host by a frame of the table."""
        frame = TABLE[name]
        self.notify_raw(frame.command, frame.response.pack(values))

    def notify_raw(self, command: int, data: bytes) -> None:
        """Tell the host. What does not fit into a frame is lost, as it is in a real one."""
        if len(data) > 250:
            return
        notice = MtFrame(command, data)
        if self._handling:
            self._notices.append(notice)
        else:
            self._emit(notice)


def _rpc_error(error: RpcError, frame: MtFrame) -> MtFrame:
    return MtFrame(RPC_ERROR, bytes((error, frame.command >> 8, frame.command & 0xFF)))
