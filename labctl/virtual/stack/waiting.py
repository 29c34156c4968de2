"""Waiting that ends with the power."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

_T = TypeVar("_T")


class Waiting:
    """Everything that somebody awaits of one node."""

    def __init__(self) -> None:
        self._futures: dict[asyncio.Future[Any], asyncio.TimerHandle | None] = {}

    def cancel_all(self) -> None:
        """The power is gone: whoever waits is cancelled, and no timer is left."""
        for future, timer in self._futures.items():
            future.cancel()
            if timer is not None:
                timer.cancel()
        self._futures.clear()

    async def until(self, future: asyncio.Future[_T]) -> _T:
        """The future's result."""
        self._futures[future] = None
        try:
            return await future
        finally:
            self._futures.pop(future, None)

    async def at_most(self, future: asyncio.Future[_T], seconds: float) -> _T | None:
        """The future's result, or None after `seconds`. The future itself is left alone."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()

        def wake(_: object = None) -> None:
            if not waiter.done():
                waiter.set_result(None)

        timer = loop.call_later(max(seconds, 0), wake)
        future.add_done_callback(wake)
        self._futures[waiter] = timer
        try:
            await waiter
        finally:
            timer.cancel()
            future.remove_done_callback(wake)
            self._futures.pop(waiter, None)
        return future.result() if future.done() else None
