"""One device's work, in order; devices do not wait for each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

from labctl.hub.chores import Chores

Work = Callable[[], Awaitable[None]]


class Inbox:
    """A queue of work with a bound: when it is full, the device's oldest request is dropped.

    `dropped` is called with the number of dropped requests once the queue has been worked off.
    """

    def __init__(self, chores: Chores, limit: int, dropped: Callable[[int], None]) -> None:
        self._chores = chores
        self._limit = limit
        self._dropped = dropped
        self._waiting: deque[tuple[Work, bool]] = deque()
        self._lost = 0
        self._busy = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, work: Work, *, droppable: bool = True) -> None:
        """Do `work` after everything that was put before. The hub's own work is not dropped."""
        self._waiting.append((work, droppable))
        if len(self._waiting) > self._limit:
            self._drop_oldest()
        if not self._busy:
            self._busy = True
            self._chores.run(self._drain())

    def _drop_oldest(self) -> None:
        for index, (_, droppable) in enumerate(self._waiting):
            if droppable:
                del self._waiting[index]
                self._lost += 1
                return

    async def _drain(self) -> None:
        try:
            while self._waiting:
                work, _ = self._waiting.popleft()
                await work()
            if self._lost:
                lost, self._lost = self._lost, 0
                self._dropped(lost)
        finally:
            self._busy = False
            if self._waiting:
                # One piece of work failed: that is reported as the bug it is, the rest goes on.
                self._busy = True
                self._chores.run(self._drain())
