"""An event loop whose clock jumps to the next timer whenever nothing else is left to do.

On such a loop a day of rig time passes in about a minute, with unmodified drivers: their timeouts
run on the loop's clock. It is honest only while no byte is in flight unseen, because a jump then
looks like a timeout. Loopback TCP and socket pairs hand bytes over inside `send()`, so the selector
sees them at once; a pty does not (the kernel hands them over later), and neither does another
process. Hence: the fast clock goes with loopback TCP in one process and one loop, the real clock
with ptys and real sticks. Jobs in threads are waited for before any jump.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_THREAD_PATIENCE_S = 0.05
"""Real seconds that one wait for a job in a thread may take before the loop looks again."""


class _JumpingSelector(selectors.DefaultSelector):
    """Polls without waiting; where the real one would wait, it moves the loop's clock instead."""

    loop: FastLoop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None or self.loop.threads_busy:
            # Only the outside world (a socket, a thread) can make anything happen now.
            patience = timeout if timeout is None else min(timeout, _THREAD_PATIENCE_S)
            return super().select(patience)
        self.loop.jump(timeout)
        return ready


class FastLoop(asyncio.SelectorEventLoop):
    """A selector loop on simulated time. `time()` starts at 0 s; `jumps` counts the jumps."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self._now_s = 0.0
        self.jumps = 0
        self.threads_busy = 0
        super().__init__(selector)

    def time(self) -> float:
        """Seconds of simulated time since the loop was made."""
        return self._now_s

    def jump(self, seconds: float) -> None:
        """Move the clock. Only the selector calls this, when nothing is ready."""
        self._now_s += seconds
        self.jumps += 1

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        """As asyncio's, and the clock stands still until the job is done."""
        future = super().run_in_executor(executor, func, *args)
        self.threads_busy += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: object) -> None:
        self.threads_busy -= 1


def run(main: Coroutine[Any, Any, _T], *, fast: bool) -> _T:
    """`asyncio.run` on the fast clock or on the real one."""
    with asyncio.Runner(loop_factory=FastLoop if fast else None) as runner:
        return runner.run(main)
