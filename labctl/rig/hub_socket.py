"""The socket through which other commands reach a hub that is held.

It lies in the rig's state folder, and who may use that may use the hub: the folder is 0700, so the
socket is 0600; in one that a group shares, it is the group's too. Others never.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from labctl.errors import ConfigurationError, InternalError, LabctlError, RigError, UsageError
from labctl.rig import wire

_LOGGER = logging.getLogger(__name__)

MOST_CONNECTIONS: Final = 32
_LONGEST_PATH: Final = 100
"""sockaddr_un has room for 108 octets."""

Tell = Callable[[str], None]
Act = Callable[[wire.Request, Tell], Awaitable[dict[str, Any]]]
"""Does what a request asks for. Raises `LabctlError`."""


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A name for the socket that is short enough for the kernel, while the block lasts."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class HubSocket:
    """Listens at `path` and has `act` do what is asked; each connection one thing at a time."""

    def __init__(self, path: Path, act: Act) -> None:
        self._path = path
        self._act = act
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begin to listen. Whoever calls this has the rig, so a socket that is there is dead.

        Raises `ConfigurationError`.
        """
        try:
            self._path.unlink(missing_ok=True)
            listening = socket.socket(socket.AF_UNIX)
            before = os.umask(0o177)
            try:
                with reachable(self._path) as name:
                    listening.bind(name)
            finally:
                os.umask(before)
            shared = stat.S_IMODE(self._path.parent.stat().st_mode) & 0o060
            os.chmod(self._path, 0o600 | (0o060 if shared == 0o060 else 0))
        except OSError as error:
            raise ConfigurationError(
                f"other commands cannot be let in: {error.strerror}",
                where=str(self._path),
                mend="make the rig's state folder writable",
            ) from error
        self._server = await asyncio.start_unix_server(
            self._connected, sock=listening, limit=wire.LONGEST_LINE
        )

    async def close(self) -> None:
        """Nobody is let in any more; who waits for an answer hears that the hub ends."""
        if self._server is None:
            return
        self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None
        self._path.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if len(self._connections) > MOST_CONNECTIONS:
                await _say(writer, {"error": wire.error_content(_too_many())})
                return
            await self._converse(reader, writer)
        except (ConnectionError, OSError):
            pass  # whoever asked went away: there is nobody to tell
        except asyncio.CancelledError:
            ending = RigError("the hub ends", mend="start it again: labctl hub up RIG")
            with contextlib.suppress(ConnectionError, OSError):
                writer.write(wire.line({"error": wire.error_content(ending)}))
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        coming = asyncio.ensure_future(reader.readuntil(b"\n"))
        try:
            while True:
                try:
                    line = await coming
                except asyncio.IncompleteReadError:
                    return
                except asyncio.LimitOverrunError:
                    await _say(writer, {"error": wire.error_content(_too_long())})
                    return
                # The next line is listened for already: that none can come tells who went away.
                coming = asyncio.ensure_future(reader.readuntil(b"\n"))
                await _say(writer, await self._answer(line, coming, writer))
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def _answer(
        self, line: bytes, coming: asyncio.Future[bytes], writer: asyncio.StreamWriter
    ) -> dict[str, object]:
        def tell(text: str) -> None:
            if not writer.is_closing():
                writer.write(wire.line({"tell": text}))

        try:
            request = wire.parse(line)
            return {"done": await _unless_gone(self._act(request, tell), coming)}
        except LabctlError as error:
            return {"error": wire.error_content(error)}
        except asyncio.CancelledError:
            raise
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - of whatever kind, one request failed
            # The run is not worth less for it, and the request may hold a code: no traceback.
            _LOGGER.error("a request could not be done: a bug in labctl: %s", type(error).__name__)
            return {"error": wire.error_content(_bug(error))}


async def _unless_gone(
    work: Awaitable[dict[str, Any]], coming: asyncio.Future[bytes]
) -> dict[str, Any]:
    """Do the work, unless whoever asked for it goes away first."""
    doing = asyncio.ensure_future(work)
    try:
        either: set[asyncio.Future[Any]] = {doing, coming}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done() and coming.exception() is not None:
            raise ConnectionResetError
        return await doing
    finally:
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)


async def _say(writer: asyncio.StreamWriter, content: dict[str, object]) -> None:
    writer.write(wire.line(content))
    await writer.drain()


def _too_many() -> LabctlError:
    return RigError(f"{MOST_CONNECTIONS} others talk to this hub", mend="try again later")


def _too_long() -> LabctlError:
    return UsageError(f"a request has {wire.LONGEST_LINE} octets at most")


def _bug(error: Exception) -> LabctlError:
    return InternalError(f"a bug in labctl: {type(error).__name__}")
