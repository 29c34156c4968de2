"""Running a rig's coroutine on the clock that its file asks for."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from labctl.config.resolved import LoadedRig
from labctl.config.rig_file import RigClock
from labctl.virtual import clock

_T = TypeVar("_T")


def on_fast_clock(loaded: LoadedRig) -> bool:
    """Whether rig time jumps: on a virtual rig whose file says nothing else."""
    virtual = loaded.rig.virtual
    return loaded.is_virtual and virtual is not None and virtual.clock is RigClock.FAST


def run(loaded: LoadedRig, main: Coroutine[Any, Any, _T], *, real_time: bool = False) -> _T:
    """Run `main` on the rig's clock; `real_time` makes a virtual rig run at the wall's pace."""
    return clock.run(main, fast=on_fast_clock(loaded) and not real_time)


def loop_factory(loaded: LoadedRig) -> Callable[[], AbstractEventLoop] | None:
    """What makes a loop with the clock that the file asks for; None: asyncio's own."""
    return clock.FastLoop if on_fast_clock(loaded) else None
