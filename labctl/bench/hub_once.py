"""One thing done by a rig's hub: by the one that is held, or by opening the rig for it."""

from __future__ import annotations

import asyncio
from typing import Any

from labctl.bench.hub_acts import HubActs
from labctl.bench.interrupts import interrupts
from labctl.bench.pair import PairOptions
from labctl.config.resolved import LoadedRig
from labctl.errors import ExitCode, LabctlError, RigError
from labctl.rig.asked import listed
from labctl.rig.hold import RigHold, hold_rig
from labctl.rig.hub_client import reach
from labctl.rig.loop import run
from labctl.rig.session import RigSession, open_rig
from labctl.rig.wire import Request

HEARD_WITHIN_S = 90.0
"""How long a device is waited for when the rig had to be opened: it may have to find back."""


def ask_hub(
    loaded: LoadedRig, options: PairOptions, do: str, arguments: dict[str, object]
) -> dict[str, Any]:
    """Have the hub do it; where none is held, the rig is opened as long as that takes.

    `arguments` with a `device` wait until it was heard. Raises what goes wrong, `LabctlError`.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    hub = reach(loaded)
    if hub is not None:
        with hub:
            return hub.ask(do, options.say, **given)
    with hold_rig(loaded, f"labctl {do}", wait_s=options.wait_s, waiting=options.waiting) as hold:
        work = _opened(loaded, options, Request(do, given), hold, given.get("device"))
        return run(loaded, work, real_time=options.real_time)


def hub_status(loaded: LoadedRig) -> dict[str, Any] | None:
    """How it stands with the hub that is held; None when none is. Raises `RigError`."""
    hub = reach(loaded)
    if hub is None:
        return None
    with hub:
        return hub.ask("status")


async def _opened(
    loaded: LoadedRig, options: PairOptions, request: Request, hold: RigHold, device: object
) -> dict[str, Any]:
    enough = asyncio.Event()
    with interrupts(enough):
        async with open_rig(
            loaded,
            kind="bench",
            database=options.database,
            seed=options.seed,
            note=f"labctl {request.do}",
            hold=hold,
        ) as session:
            session.power_on()
            acts = HubActs(session, session.clock.now_us())

            async def work() -> dict[str, Any]:
                if isinstance(device, str):
                    await _until_heard(session, device)
                return await acts(request, options.say)

            return await _unless_over(work(), enough, session)


async def _unless_over(work: Any, enough: asyncio.Event, session: RigSession) -> dict[str, Any]:
    doing = asyncio.ensure_future(work)
    interrupted = asyncio.ensure_future(enough.wait())
    ends: set[asyncio.Future[Any]] = {doing, interrupted, session.broken}
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            done: dict[str, Any] = doing.result()
            return done
        if session.broken.done():
            raise session.broken.result()
        raise _interrupted()
    finally:
        for task in (doing, interrupted):
            task.cancel()
        await asyncio.gather(doing, interrupted, return_exceptions=True)


def _interrupted() -> LabctlError:
    error = RigError("interrupted")
    error.exit_code = ExitCode.INTERRUPTED
    return error


async def _until_heard(session: RigSession, word: str) -> None:
    """Until the device spoke, or long enough that whoever asks it learns that it did not."""
    device = listed(session, word)
    heard = asyncio.Event()

    def look(_: object) -> None:
        if device.endpoint is not None:
            heard.set()

    unsubscribe = session.bus.subscribe(look)
    try:
        async with asyncio.timeout(HEARD_WITHIN_S):
            await heard.wait()
    except TimeoutError:
        return  # what is asked of it says so
    finally:
        unsubscribe()
