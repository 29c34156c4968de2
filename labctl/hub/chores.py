"""Timers and tasks that end when the hub stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Chores:
    """Whatever the hub has to do later or beside. Nothing of it outlives `cancel`.

    A task that fails is a bug of ours: it is handed to `failed` and never swallowed.
    """

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = False

    def later(self, seconds: float, what: Callable[[], None]) -> Callable[[], None]:
        """Call `what` after `seconds`; the returned function prevents it."""
        if self._over:
            return nothing

        def due() -> None:
            self._timers.discard(timer)
            what()

        def prevent() -> None:
            timer.cancel()
            self._timers.discard(timer)

        timer = asyncio.get_running_loop().call_later(max(0.0, seconds), due)
        self._timers.add(timer)
        return prevent

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside everything else."""
        if self._over:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)

    def report(self, error: BaseException) -> None:
        """Tell the event loop's exception handler, which tells the log and the tests."""
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a task of the hub failed", "exception": error}
        )

    async def cancel(self) -> None:
        """End everything, and wait until it has ended."""
        self._over = True
        for timer in tuple(self._timers):
            timer.cancel()
        self._timers.clear()
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def nothing() -> None:
    """Prevents nothing."""
