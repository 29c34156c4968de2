"""Doing what a rig begins with although its radio is lost on the way.

A radio that goes is brought back by itself (`radio/lasting.py`), and what a hub serves goes on. But
whoever was just asking something of it gets an error: what a run begins with is asked once more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from labctl.errors import LabctlError, RigError
from labctl.radio.coordinator import Coordinator

_LOGGER = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_PATIENCE_S = 10.0
"""How long an answer of the radio may take before it counts as none."""


async def despite_losses(
    act: Callable[[], Awaitable[None]],
    radio: Coordinator,
    broken: asyncio.Future[LabctlError],
    enough: asyncio.Event | None = None,
) -> None:
    """Do `act`, and once more each time that it failed because `radio` was away.

    Raises what `act` raises while the radio answers, and what `broken` has when the run cannot go
    on. Once `enough` is set nothing more is waited for, and `act` may be undone.
    """
    while True:
        try:
            await act()
        except RigError as error:
            if not broken.done() and await _answers(radio):
                raise
            _LOGGER.info("once more when the radio is back: %s", error.what)
            await _until_it_is_back(radio, broken, enough)
            if broken.done():
                raise broken.result() from error
            if enough is not None and enough.is_set():
                return
        else:
            return


async def _answers(radio: Coordinator) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await radio.check_alive()
    except (RigError, TimeoutError):
        return False
    return True


async def _until_it_is_back(
    radio: Coordinator, broken: asyncio.Future[LabctlError], enough: asyncio.Event | None
) -> None:
    ends: set[asyncio.Future[Any]] = {broken}
    interrupted = None if enough is None else asyncio.ensure_future(enough.wait())
    if interrupted is not None:
        ends.add(interrupted)
    try:
        while not any(end.done() for end in ends) and not await _answers(radio):
            await asyncio.wait(ends, timeout=_LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if interrupted is not None:
            interrupted.cancel()
