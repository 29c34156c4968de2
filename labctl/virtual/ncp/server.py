"""The NCP as a thing that one plugs in: firmware and ASH behind a TCP port or a pty."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity as Certificates
from labctl.virtual.air import Air
from labctl.virtual.line import SerialStick
from labctl.virtual.ncp.ash import AshNcp, Received, ResetCode
from labctl.virtual.ncp.ezsp import Ezsp, Identity, NodeFactory
from labctl.virtual.ncp.flash import Flash
from labctl.virtual.ncp.hardware import RETAIL, Hardware
from labctl.virtual.node import Node, NodeListener, NodeState

BOOT_S = 0.1
"""From the reset to RSTACK."""


class VirtualEzspNcp(SerialStick):
    """A stick with EmberZNet firmware. Plug it in with `listen` or `open_pty`.

    It is powered from then on until `close`: it keeps running, network and all, while no host is
    connected, and tells a host that connects nothing that it was not asked for. `flash` None keeps
    the state in memory. `make_node` is for tests; otherwise the node is a coordinator on `air` at
    `position` (metres). All randomness is from `rng`. `cbke` gives its firmware key establishment
    with these certificates, by suite. `hardware` says which radios it has.
    """

    def __init__(
        self,
        *,
        eui64: Eui64,
        rng: random.Random,
        air: Air | None = None,
        make_node: NodeFactory | None = None,
        flash: Flash | None = None,
        position: tuple[float, float, float] = (0.0, 0.0, 0.0),
        identity: Identity | None = None,
        window: int = 5,
        cbke: Mapping[int, Certificates] | None = None,
        hardware: Hardware = RETAIL,
    ) -> None:
        if (air is None) == (make_node is None):
            raise ValueError("an NCP stands on an air or on a node factory, on one of them")
        super().__init__()
        self._eui64 = eui64
        self._rng = rng
        self._air = air
        self._make_node = make_node or self._node_on_air
        self._flash = flash or Flash()
        self._position = position
        self._identity = identity
        self._cbke = cbke
        self._hardware = hardware
        self._window = window
        self._ash = AshNcp(window=window)
        self._powered = self._hung = self._stuck = False
        self._ezsp: Ezsp | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._boot: asyncio.TimerHandle | None = None

    def _node_on_air(
        self,
        state: NodeState,
        listener: NodeListener,
        *,
        max_children: int,
        max_transfer: int,
        manufacturer_code: int,
    ) -> Node:
        assert self._air is not None
        return Node(
            self._air,
            state,
            listener,
            rng=self._rng,
            position=self._position,
            tx_power_dbm=self.firmware.contents.tx_power_dbm,
            reassemble=False,
            manufacturer_code=manufacturer_code,
            max_transfer=max_transfer,
            max_children=max_children,
        )

    @property
    def firmware(self) -> Ezsp:
        """The firmware, once the stick is plugged in."""
        if self._ezsp is None:
            raise RuntimeError("the NCP is not plugged in: `listen` or `open_pty` first")
        return self._ezsp

    def power_on(self) -> None:
        """Boot, unless it runs already."""
        if self._powered:
            return
        self._powered, self._hung, self._stuck = True, False, False
        self._ash = AshNcp(window=self._window)
        if self._ezsp is not None:
            self._ezsp.reset()
        else:
            self._ezsp = Ezsp(
                eui64=self._eui64,
                make_node=self._make_node,
                flash=self._flash,
                rng=self._rng,
                emit=self._emit,
                reset_requested=self._reset,
                identity=self._identity,
                cbke=self._cbke,
                hardware=self._hardware,
            )
            self._flash.save(durable=True)  # a place that cannot be written shows now

    # -- plugging in --------------------------------------------------------------------------

    async def close(self) -> None:
        """Pull the stick out. Flash is written."""
        await self.unplug()
        self._stand_still()
        self._powered = False
        if self._ezsp is not None:
            self._flash.save(durable=True)

    def _stand_still(self) -> None:
        for timer in (self._timer, self._boot):
            if timer is not None:
                timer.cancel()
        self._timer = self._boot = None
        if self._ezsp is not None:
            self._ezsp.power_off()

    def wireshark_keys(self) -> list[tuple[bytes, str]]:
        """Every key that opens a capture of its network, with a label."""
        contents = self.firmware.contents
        return [
            (contents.node.network_key, "network"),
            *((key, f"link key of {peer}") for peer, key in contents.link_keys.values()),
        ]

    # -- the serial line ------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Octets from the host."""
        if self._hung:
            return
        now = self.firmware.now
        for event in self._ash.receive(data, now):
            if not isinstance(event, Received):
                self._restart(ResetCode.SOFTWARE)
            elif not self._stuck:
                self.firmware.receive(event.frame)
        self.firmware.counters.ash_framing_errors = self._ash.framing_errors
        self._drain()

    def _emit(self, frame: bytes, is_callback: bool) -> None:
        self._ash.send(frame, self.firmware.now, deferrable=is_callback)
        self._drain()

    def _drain(self) -> None:
        """Write what there is, and be called when ASH next wants to."""
        output = self._ash.take_output()
        if output and self.host is not None:
            self.host.write(output)
        deadline = self._ash.deadline
        timer = self._timer
        if timer is not None:
            if deadline is not None and timer.when() <= deadline:
                return  # fires early, looks again
            timer.cancel()
            self._timer = None
        if deadline is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._ash.tick(self.firmware.now)
        self._drain()

    # -- resets -----------------------------------------------------------------------------------

    def _reset(self, code: ResetCode) -> None:
        """The firmware restarts its processor, after what it is doing."""
        asyncio.get_running_loop().call_soon(self._restart, code)

    def _restart(self, code: ResetCode) -> None:
        self._stuck = False
        self._ash.boot()
        self.firmware.reset()
        if self._boot is not None:
            self._boot.cancel()
        self._boot = asyncio.get_running_loop().call_later(BOOT_S, self._started, code)

    def _started(self, code: ResetCode) -> None:
        self._boot = None
        self._ash.started(code)
        self._drain()

    def hang(self) -> None:
        """The processor stands still, its port there: nothing is heard, answered or sent."""
        self._stand_still()
        self._hung = True

    def get_stuck(self) -> None:
        """The firmware does nothing any more, but ASH: frames are acknowledged, not answered.

        A reset, by the host too, ends it.
        """
        self._stuck = True
        self.firmware.power_off()

    def restart(self) -> None:
        """A hung processor's watchdog ends it, late: it starts over, and says so to the host."""
        self._hung = False
        self.crash()

    def crash(self, code: ResetCode = ResetCode.WATCHDOG) -> None:
        """A fault: the processor restarts on its own, and the host gets an unsolicited RSTACK."""
        self._restart(code)
