"""The NCP as a thing that one plugs in: firmware and ASH behind a TCP port or a pty."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import tty
from collections.abc import Mapping
from pathlib import Path

from labctl.errors import RigError
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity as Certificates
from labctl.virtual.air import Air
from labctl.virtual.ncp.ash import AshNcp, Received, ResetCode
from labctl.virtual.ncp.ezsp import Ezsp, Identity, NodeFactory
from labctl.virtual.ncp.flash import Flash
from labctl.virtual.ncp.hardware import RETAIL, Hardware
from labctl.virtual.node import Node, NodeListener, NodeState

BOOT_S = 0.1
"""From the reset to RSTACK."""

_PTY_RETRY_S = 0.05


class VirtualEzspNcp:
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
        self._eui64 = eui64
        self._rng = rng
        self._air = air
        self._make_node = make_node or self._node_on_air
        self._flash = flash or Flash()
        self._position = position
        self._identity = identity
        self._cbke = cbke
        self._hardware = hardware
        self._ash = AshNcp(window=window)
        self._ezsp: Ezsp | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writer: _Line | None = None
        self._server: asyncio.Server | None = None
        self._ptys: list[_Pty] = []
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

    def _power(self) -> None:
        if self._ezsp is None:
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

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Serve on TCP, one host at a time; returns the port.

        Raises `RigError`, and `ConfigurationError` when flash cannot be read or written.
        """
        self._power()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _TcpLine(self), host, port)
        except OSError as error:
            raise RigError(
                f"the virtual NCP cannot listen: {error.strerror or error}",
                where=f"{host}:{port}",
                mend="choose another port, or 0 for any that is free",
            ) from error
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def open_pty(self, link: Path | None = None) -> Path:
        """Serve on a new pty, real clock only; returns its path, or `link` made to point there.

        Raises `RigError` when there is something else at `link`.
        """
        self._power()
        pty = _Pty(self, link)
        self._ptys.append(pty)
        return link or pty.path

    async def close(self) -> None:
        """Pull the stick out. Flash is written."""
        for pty in self._ptys:
            pty.close()
        self._ptys.clear()
        if self._writer is not None:
            self._writer.hang_up()
            self._writer = None
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        for timer in (self._timer, self._boot):
            if timer is not None:
                timer.cancel()
        self._timer = self._boot = None
        if self._ezsp is not None:
            self._ezsp.power_off()
            self._flash.save(durable=True)

    # -- the serial line ------------------------------------------------------------------------

    def attach(self, line: _Line) -> bool:
        """A host connects. False when another one holds the line."""
        if self._writer is not None:
            return False
        self._writer = line
        return True

    def detach(self, line: _Line) -> None:
        """A host is gone. The NCP cannot tell: its frames go nowhere."""
        if self._writer is line:
            self._writer = None

    def received(self, data: bytes) -> None:
        """Octets from the host."""
        now = self.firmware.now
        for event in self._ash.receive(data, now):
            if isinstance(event, Received):
                self.firmware.receive(event.frame)
            else:
                self._restart(ResetCode.SOFTWARE)
        self.firmware.counters.ash_framing_errors = self._ash.framing_errors
        self._drain()

    def _emit(self, frame: bytes, is_callback: bool) -> None:
        self._ash.send(frame, self.firmware.now, deferrable=is_callback)
        self._drain()

    def _drain(self) -> None:
        """Write what there is, and be called when ASH next wants to."""
        output = self._ash.take_output()
        if output and self._writer is not None:
            self._writer.write(output)
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
        self._ash.boot()
        self.firmware.reset()
        if self._boot is not None:
            self._boot.cancel()
        self._boot = asyncio.get_running_loop().call_later(BOOT_S, self._started, code)

    def _started(self, code: ResetCode) -> None:
        self._boot = None
        self._ash.started(code)
        self._drain()

    def crash(self, code: ResetCode = ResetCode.WATCHDOG) -> None:
        """A fault: the processor restarts on its own, and the host gets an unsolicited RSTACK."""
        self._restart(code)


class _Line:
    """Where octets for the host go."""

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def hang_up(self) -> None:
        raise NotImplementedError


class _TcpLine(asyncio.Protocol, _Line):
    """One connection."""

    def __init__(self, ncp: VirtualEzspNcp) -> None:
        self._ncp = ncp
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if not self._ncp.attach(self):
            transport.close()
            return
        self._transport = transport  # asyncio sets TCP_NODELAY by itself

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._ncp.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._ncp.detach(self)

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def hang_up(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class _Pty(_Line):
    """The master side of a pty.

    The slave is not kept open here: a host that claims the port for itself alone would otherwise
    leave that claim behind, and no other could open it. The price is that reading fails while
    nobody has it open; then the port is looked at every 50 ms.
    """

    def __init__(self, ncp: VirtualEzspNcp, link: Path | None) -> None:
        self._ncp = ncp
        self._loop = asyncio.get_running_loop()
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.path = Path(os.ttyname(slave))
        os.close(slave)
        os.set_blocking(self._master, False)
        self._link = link
        if link is not None:
            self._make_link(link)
        self._retry: asyncio.TimerHandle | None = None
        self._attached = False
        self._watch()

    def _make_link(self, link: Path) -> None:
        try:
            if link.is_symlink() and not link.exists():
                link.unlink()  # left behind by an NCP that is gone
            link.symlink_to(self.path)
        except OSError as error:
            os.close(self._master)
            raise RigError(
                f"the pty's name cannot be made: {error.strerror}",
                where=str(link),
                mend="remove what is there, or name another path",
            ) from error

    def _watch(self) -> None:
        self._retry = None
        self._loop.add_reader(self._master, self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            data = b""
        if not data:
            self._closed()
            return
        if not self._attached:
            self._attached = self._ncp.attach(self)
        if self._attached:
            self._ncp.received(data)

    def _closed(self) -> None:
        self._loop.remove_reader(self._master)
        if self._attached:
            self._attached = False
            self._ncp.detach(self)
        self._retry = self._loop.call_later(_PTY_RETRY_S, self._watch)

    def write(self, data: bytes) -> None:
        # A full pty drops octets as a UART without flow control does; ASH sends them again.
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._master, data)

    def hang_up(self) -> None:
        self._attached = False

    def close(self) -> None:
        self._loop.remove_reader(self._master)
        if self._retry is not None:
            self._retry.cancel()
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        os.close(self._master)
