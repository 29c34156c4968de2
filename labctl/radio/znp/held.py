"""The network in a ZNP stick's non-volatile memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from zigpy_znp.exceptions import CommandNotRecognized, InvalidCommandResponse

from labctl.errors import RigError
from labctl.radio.held import Held
from labctl.radio.probe import NobodyAnswers, closing
from labctl.radio.sticks import Line
from labctl.radio.troubles import port_failed
from labctl.radio.znp.connection import Connection, NotBuiltIn, Refused
from labctl.radio.znp.forming import (
    CLEAR_CONFIGURATION,
    CLEAR_STATE,
    must_be_ours,
    read_network,
)
from labctl.radio.znp.memory import Memory
from labctl.radio.znp.probe import configuration, open_driver
from labctl.radio.znp.tables import STARTUP_OPTION
from labctl.smart_energy.channels import Channel

_ERRORS = (OSError, TimeoutError, InvalidCommandResponse, CommandNotRecognized, Refused, NotBuiltIn)


async def held(path: str, line: Line) -> Held | None:
    """The network, read from memory. Raises `RigError`."""
    async with _opened(path, line) as connection:
        network = await read_network(connection)
        if network is None:
            return None
        try:
            await must_be_ours(connection, network, path)
            ours = True
        except RigError:
            ours = False
        return Held(
            channel=Channel(0, network.channel),
            pan_id=network.pan_id,
            extended_pan_id=network.extended_pan_id,
            ours=ours,
        )


async def forget(path: str, line: Line) -> None:
    """Have the firmware clear its memory when it starts. Raises `RigError`."""
    async with _opened(path, line) as connection:
        clear = bytes((CLEAR_STATE | CLEAR_CONFIGURATION,))
        await Memory(connection).write(STARTUP_OPTION, clear)
        await connection.reset()
        if await read_network(connection) is not None:
            raise RigError("the stick did not forget its network", where=path)


@asynccontextmanager
async def _opened(path: str, line: Line) -> AsyncIterator[Connection]:
    connection = Connection(configuration(path, line), lambda _: None)
    try:
        await open_driver(connection, path)
        yield connection
    except NobodyAnswers as error:
        raise port_failed(TimeoutError(), path, protocol="ZNP") from error
    except _ERRORS as error:
        raise port_failed(error, path, protocol="ZNP") from error
    finally:
        await closing(connection.disconnect())
