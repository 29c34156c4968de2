"""One device's work, in order; devices do not wait for each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

from labctl.hub.chores import Chores

Work = Callable[[], Awaitable[None]]


class Inbox:
    """A queue of work with a bound: when it is full, the oldest is dropped.

    `dropped` is called with the number of dropped items once the queue has been worked off.
    """

    def __init__(self, chores: Chores, limit: int, dropped: Callable[[int], None]) -> None:
        self._chores = chores
        self._limit = limit
        self._dropped = dropped
        self._waiting: deque[Work] = deque()
        self._lost = 0
        self._busy = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, work: Work) -> None:
        """Do `work` after everything that was put before."""
        self._waiting.append(work)
        if len(self._waiting) > self._limit:
            self._waiting.popleft()
            self._lost += 1
        if not self._busy:
            self._busy = True
            self._chores.run(self._drain())

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._waiting.popleft()()
            if self._lost:
                lost, self._lost = self._lost, 0
                self._dropped(lost)
        finally:
            self._busy = False
            if self._waiting:
                # One piece of work failed: that is reported as the bug it is, the rest goes on.
                self._busy = True
                self._chores.run(self._drain())
