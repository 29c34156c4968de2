"""The stick as a thing that one plugs in: firmware behind a TCP port or a pty."""

from __future__ import annotations

import asyncio
import random

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.line import SerialStick
from labctl.virtual.node import Node, NodeListener, NodeState
from labctl.virtual.znp.firmware import Firmware, NodeFactory, Znp
from labctl.virtual.znp.framing import Deframer, MtFrame
from labctl.virtual.znp.memory import Memory

BOOT_S = 1.0
"""From the reset to the reset indication. What the host sends meanwhile is answered afterwards."""


class VirtualZnpNcp(SerialStick):
    """A stick with Z-Stack firmware. Plug it in with `listen` or `open_pty`.

    It is powered from then on until `close`: it keeps running, network and all, while no host is
    connected. `memory` None keeps the state in memory. `make_node` is for tests; otherwise the node
    is a coordinator on `air` at `position` (metres). All randomness is from `rng`.
    """

    def __init__(
        self,
        *,
        eui64: Eui64,
        rng: random.Random,
        air: Air | None = None,
        make_node: NodeFactory | None = None,
        memory: Memory | None = None,
        position: tuple[float, float, float] = (0.0, 0.0, 0.0),
        firmware: Firmware | None = None,
    ) -> None:
        if (air is None) == (make_node is None):
            raise ValueError("an NCP stands on an air or on a node factory, on one of them")
        super().__init__()
        self._eui64 = eui64
        self._rng = rng
        self._air = air
        self._make_node = make_node or self._node_on_air
        self._memory = memory or Memory()
        self._position = position
        self._identity = firmware
        self._deframer = Deframer()
        self._powered = self._hung = self._reset_due = False
        self._znp: Znp | None = None
        self._boot: asyncio.TimerHandle | None = None
        self._early: list[MtFrame] = []

    def _node_on_air(self, state: NodeState, listener: NodeListener, *, max_children: int) -> Node:
        assert self._air is not None
        return Node(
            self._air,
            state,
            listener,
            rng=self._rng,
            position=self._position,
            reassemble=True,
            max_children=max_children,
        )

    @property
    def firmware(self) -> Znp:
        """The firmware, once the stick is plugged in."""
        if self._znp is None:
            raise RuntimeError("the NCP is not plugged in: `listen` or `open_pty` first")
        return self._znp

    def power_on(self) -> None:
        """Boot, unless it runs already."""
        if self._powered:
            return
        self._powered, self._hung = True, False
        self._deframer.reset()
        if self._znp is not None:
            self.crash()  # it starts over, and says so to whoever is there by then
        else:
            self._znp = Znp(
                eui64=self._eui64,
                make_node=self._make_node,
                memory=self._memory,
                rng=self._rng,
                emit=self._emit,
                reset_requested=self._reset,
                firmware=self._identity,
            )
            self._memory.save(durable=True)  # a place that cannot be written shows now

    async def close(self) -> None:
        """Pull the stick out. Memory is written."""
        await self.unplug()
        self._stand_still()
        self._powered = False
        if self._znp is not None:
            self._memory.save(durable=True)

    def _stand_still(self) -> None:
        if self._boot is not None:
            self._boot.cancel()
            self._boot = None
        self._early.clear()
        if self._znp is not None:
            self._znp.stop()

    def wireshark_keys(self) -> list[tuple[bytes, str]]:
        """Every key that opens a capture of its network, with a label."""
        return self.firmware.trust.all_keys()

    # -- the serial line ---------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Octets from the host."""
        if self._hung:
            return
        for frame in self._deframer.feed(data):
            self._take(frame)

    def _take(self, frame: MtFrame) -> None:
        if self._boot is not None:
            self._early.append(frame)
            return
        self.firmware.receive(frame)
        if self._reset_due:
            self._reset_due = False
            self.crash()

    def _emit(self, frame: MtFrame) -> None:
        if self.host is not None:
            self.host.write(frame.encode())

    # -- resets ------------------------------------------------------------------------------------

    def _reset(self) -> None:
        """The firmware restarts its processor, after what it is doing."""
        self._reset_due = True

    def crash(self) -> None:
        """The processor restarts: the host gets a reset indication."""
        if not self._powered:
            return
        self._stand_still()
        self.firmware.boot()
        self._boot = asyncio.get_running_loop().call_later(BOOT_S, self._started)

    def hang(self) -> None:
        """The processor stands still, its port there: nothing is heard, answered or sent. There is
        no reset over the line that would end it: hosts ask for one by a frame."""
        self._stand_still()
        self._hung = True

    def restart(self) -> None:
        """A hung processor's watchdog ends it, late: it starts over, and says so to the host."""
        self._hung = False
        self.crash()

    def _started(self) -> None:
        self._boot = None
        self.firmware.system.started()
        early, self._early = self._early, []
        for frame in early:
            self._take(frame)
