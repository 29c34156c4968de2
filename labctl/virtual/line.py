"""Serial lines between a virtual stick and its host: a TCP connection, or a pty."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import tty
from abc import ABC, abstractmethod
from pathlib import Path

from labctl.errors import RigError

_PTY_RETRY_S = 0.05


class Line:
    """Where octets for the host go."""

    def write(self, data: bytes) -> None:
        """Send these, or as many as there is room for."""
        raise NotImplementedError

    def hang_up(self) -> None:
        """The stick is gone."""
        raise NotImplementedError


class TcpLine(asyncio.Protocol, Line):
    """One connection."""

    def __init__(self, ncp: SerialStick) -> None:
        self._ncp = ncp
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A host connects; a second one is turned away."""
        assert isinstance(transport, asyncio.Transport)
        if not self._ncp.attach(self):
            transport.close()
            return
        self._transport = transport  # asyncio sets TCP_NODELAY by itself

    def data_received(self, data: bytes) -> None:
        """Octets from the host."""
        if self._transport is not None:
            self._ncp.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The host is gone."""
        self._transport = None
        self._ncp.detach(self)

    def write(self, data: bytes) -> None:
        """To the host, if there is one."""
        if self._transport is not None:
            self._transport.write(data)

    def hang_up(self) -> None:
        """The stick is gone, and the connection with it."""
        if self._transport is not None:
            self._transport.abort()


class PtyLine(Line):
    """The master side of a pty.

    The slave is not kept open here: a host that claims the port for itself alone would otherwise
    leave that claim behind, and no other could open it. The price is that reading fails while
    nobody has it open; then the port is looked at every 50 ms.
    """

    def __init__(self, ncp: SerialStick, link: Path | None) -> None:
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
        """To the host."""
        # A full pty drops octets as a UART without flow control does.
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._master, data)

    def hang_up(self) -> None:
        """The stick is gone: `close` follows."""
        self._attached = False

    def close(self) -> None:
        """Remove the pty, and the link to it."""
        self._loop.remove_reader(self._master)
        if self._retry is not None:
            self._retry.cancel()
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        os.close(self._master)


class SerialStick(ABC):
    """A stick that hosts reach over a serial line: one at a time, on TCP or on ptys.

    It is powered by the first `listen` or `open_pty`, and stays so while no host is connected.
    """

    def __init__(self) -> None:
        self.host: Line | None = None
        """Where octets for the host go; None while nobody is connected."""
        self._server: asyncio.Server | None = None
        self._ptys: list[PtyLine] = []
        self._tcp: tuple[str, int] | None = None
        self._links: list[Path | None] = []
        self._kept: socket.socket | None = None

    @abstractmethod
    def power_on(self) -> None:
        """Power, if it is not there yet."""

    @abstractmethod
    async def close(self) -> None:
        """Pull the stick out. What it keeps is written."""

    @abstractmethod
    def wireshark_keys(self) -> list[tuple[bytes, str]]:
        """Every key that opens a capture of its network, with a label."""

    @abstractmethod
    def received(self, data: bytes) -> None:
        """Octets from the host."""

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Serve on TCP, one host at a time; returns the port.

        Raises `RigError`, and `ConfigurationError` when flash cannot be read or written.
        """
        self.power_on()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: TcpLine(self), host, port)
        except OSError as error:
            raise RigError(
                f"the virtual NCP cannot listen: {error.strerror or error}",
                where=f"{host}:{port}",
                mend="choose another port, or 0 for any that is free",
            ) from error
        bound: int = self._server.sockets[0].getsockname()[1]
        self._tcp = host, bound
        return bound

    def open_pty(self, link: Path | None = None) -> Path:
        """Serve on a new pty, real clock only; returns its path, or `link` made to point there.

        Raises `RigError` when there is something else at `link`.
        """
        self.power_on()
        pty = PtyLine(self, link)
        self._ptys.append(pty)
        self._links.append(link)
        return link or pty.path

    async def unplug(self) -> None:
        """End all lines. The power is another matter."""
        for pty in self._ptys:
            pty.close()
        self._ptys.clear()
        if self.host is not None:
            self.host.hang_up()
            self.host = None
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    # -- faults ---------------------------------------------------------------------------------

    async def pull(self) -> None:
        """Pull the stick out, to `plug` it in again: power, RAM and ports are gone at once."""
        await self.close()
        if self._tcp is not None:
            # Nobody listens there, and nobody else gets the port: not even a host that connects to
            # it from it, which TCP allows.
            self._kept = socket.socket()
            self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._kept.bind(self._tcp)

    async def plug(self) -> None:
        """Plug it in again, at the same port or under the same links. Raises `RigError`."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None
        links, self._links = self._links, []
        if self._tcp is not None:
            await self.listen(*self._tcp)
        for link in links:
            self.open_pty(link)

    @abstractmethod
    def hang(self) -> None:
        """The processor stands still, its port there: nothing is heard, answered or sent."""

    @abstractmethod
    def restart(self) -> None:
        """A hung processor's watchdog ends it, late: it starts over, and says so to the host."""

    @abstractmethod
    def crash(self) -> None:
        """The processor restarts on its own, and says so to the host."""

    def garbage(self, octets: bytes) -> None:
        """Octets that no firmware sent, to the host: a bad cable, a wrong baud rate."""
        if self.host is not None:
            self.host.write(octets)

    def attach(self, line: Line) -> bool:
        """A host connects. False when another one holds the line."""
        if self.host is not None:
            return False
        self.host = line
        return True

    def detach(self, line: Line) -> None:
        """A host is gone. The stick cannot tell: what it sends goes nowhere."""
        if self.host is line:
            self.host = None
