"""The other end: a command that reaches the hub of a rig, if one is held."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from labctl.config.resolved import LoadedRig
from labctl.errors import RigError
from labctl.rig import wire
from labctl.rig.hub_socket import reachable
from labctl.rig.state_folder import StateFolder


class HubClient:
    """A connection to a hub that is held. Blocking: commands do one thing and wait for it."""

    def __init__(self, connection: socket.socket, path: Path) -> None:
        self._connection = connection
        self._answers = connection.makefile("rb")
        self._path = path

    def ask(
        self, do: str, say: Callable[[str], None] = lambda _: None, **arguments: object
    ) -> dict[str, Any]:
        """Have something done and wait for it; `say` gets the lines that come meanwhile.

        Raises what went wrong at the hub, and `RigError` when it goes away.
        """
        try:
            self._connection.sendall(wire.line({"do": do, **arguments}))
            for line in self._answers:
                told = wire.parsed(line)
                if "tell" in told:
                    say(str(told["tell"]))
                elif "error" in told:
                    raise wire.error_from(told["error"])
                elif isinstance(told.get("done"), dict):
                    done: dict[str, Any] = told["done"]
                    return done
        except OSError as error:
            raise self._went(error.strerror or str(error)) from error
        raise self._went("it closed the connection")

    def _went(self, why: str) -> RigError:
        return RigError(
            f"the hub went away while it was asked: {why}",
            where=str(self._path),
            mend="look at what it says where it runs: labctl hub status RIG",
        )

    def close(self) -> None:
        """Hang up. What was not done yet is broken off."""
        self._answers.close()
        self._connection.close()

    def __enter__(self) -> HubClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def socket_path(loaded: LoadedRig) -> Path:
    """Where the hub of this rig listens when it is held. Raises `ConfigurationError`."""
    return StateFolder(loaded.inventory_path, loaded.name).rig / wire.NAME


def reach(loaded: LoadedRig) -> HubClient | None:
    """A connection to the rig's hub; None when nobody holds it. Raises `RigError`."""
    path = socket_path(loaded)
    connection = socket.socket(socket.AF_UNIX)
    try:
        with reachable(path) as name:
            connection.connect(name)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except OSError as error:
        connection.close()
        raise RigError(
            f"the hub of rig {loaded.name} cannot be reached: {error.strerror}",
            where=str(path),
            mend="only who may use the folder may use the hub",
        ) from error
    return HubClient(connection, path)
