"""The network in an EZSP stick's flash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import bellows.types as t

from labctl.radio.ezsp.forming import GLOBAL_LINK_KEY, must_be_ok
from labctl.radio.ezsp.probe import connection_to, open_connection
from labctl.radio.ezsp.troubles import DRIVER_ERRORS, start_failed
from labctl.radio.held import Held
from labctl.radio.probe import NobodyAnswers, closing
from labctl.radio.sticks import Line
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64

_UP_S = 10.0


async def held(path: str, line: Line) -> Held | None:
    """The network, which is started to be looked at. Raises `RigError`."""
    async with _opened(path, line) as ezsp:
        if not await _started(ezsp):
            return None
        status, _, parameters = await ezsp.getNetworkParameters()
        must_be_ok(status, "the NCP does not tell its network", path)
        status, state = await ezsp.getCurrentSecurityState()
        must_be_ok(status, "the NCP does not tell its security state", path)
        await ezsp.reset()
        return Held(
            channel=Channel.from_ember_byte(int(parameters.radioChannel)),
            pan_id=int(parameters.panId),
            extended_pan_id=Eui64(str(parameters.extendedPanId)),
            ours=not int(state.bitmask) & GLOBAL_LINK_KEY,
        )


async def forget(path: str, line: Line) -> None:
    """Leave the network and empty the key table. Raises `RigError`."""
    async with _opened(path, line) as ezsp:
        if await _started(ezsp):
            await ezsp.leaveNetwork()
        (status,) = await ezsp.clearKeyTable()
        must_be_ok(status, "the NCP did not clear its link key table", path)
        await ezsp.reset()


async def _started(ezsp: Any) -> bool:
    """Have the NCP go on with its network; False when it has none."""
    with ezsp.wait_for_stack_status(t.sl_Status.NETWORK_UP) as up:
        status = t.sl_Status.from_ember_status(await ezsp.initialize_network())
        if status == t.sl_Status.NOT_JOINED:
            return False
        # Any other trouble must not pass for an empty stick.
        must_be_ok(status, "the NCP does not start its network", "the stick")
        async with asyncio.timeout(_UP_S):
            await up
    return True


@asynccontextmanager
async def _opened(path: str, line: Line) -> AsyncIterator[Any]:
    connection = connection_to(path, line)
    try:
        await open_connection(connection, path)
        yield connection
    except NobodyAnswers as error:
        raise start_failed(TimeoutError(), path) from error
    except (TimeoutError, OSError, *DRIVER_ERRORS) as error:
        raise start_failed(error, path) from error
    finally:
        await closing(connection.disconnect())
