"""What was heard since a case began, and waiting for what is still to come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from labctl.campaign.findings import NotSeen
from labctl.clock import MICROSECONDS, Clock
from labctl.events import Event, EventBus, JoinEnded, JoinStarted, JoinStepTaken, RadioLost

_E = TypeVar("_E", bound=Event)


class Watch:
    """Keeps every event of one attempt; a context that listens while it is entered."""

    def __init__(self, bus: EventBus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._events: list[Event] = []
        self._joins: dict[int, str] = {}
        self._waiting: list[tuple[Callable[[Event], bool], asyncio.Future[Event]]] = []
        self._listening = contextlib.ExitStack()
        self.began_us = clock.now_us()

    def __enter__(self) -> Watch:
        self._listening.callback(self._bus.subscribe(self._saw))
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        for _wanted, future in self._waiting:
            future.cancel()

    def _saw(self, event: Event) -> None:
        self._events.append(event)
        if isinstance(event, JoinStarted):
            self._joins[event.join] = event.eui64
        for waiting in tuple(self._waiting):
            wanted, future = waiting
            if not future.done() and wanted(event):
                future.set_result(event)

    def __iter__(self) -> Iterator[Event]:
        return iter(tuple(self._events))

    def of(self, eui64: str, kind: type[_E], *, since_us: int = 0) -> list[_E]:
        """The events of that kind that are about a device, from `since_us` on."""
        return [
            event
            for event in self._events
            if isinstance(event, kind) and event.at_us >= since_us and self.is_about(event, eui64)
        ]

    def is_about(self, event: Event, eui64: str) -> bool:
        """Whether an event tells of a device. Steps and ends of a join are of who began it."""
        if isinstance(event, JoinStepTaken | JoinEnded):
            return self._joins.get(event.join) == eui64
        return getattr(event, "eui64", None) == eui64

    async def wait(
        self,
        kind: type[_E],
        eui64: str | None,
        *,
        within_s: float,
        what: str,
        which: Callable[[_E], bool] = lambda event: True,
    ) -> _E:
        """The next event of that kind, about that device (None: about anything).

        Raises `NotSeen`, which says `what` was not seen, after `within_s` seconds of rig time.
        """

        def wanted(event: Event) -> bool:
            return (
                isinstance(event, kind)
                and (eui64 is None or self.is_about(event, eui64))
                and which(event)
            )

        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        entry = (wanted, future)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(within_s):
                event = await future
        except TimeoutError:
            raise NotSeen(f"{what}: not seen within {within_s:g} s") from None
        finally:
            self._waiting.remove(entry)
        assert isinstance(event, kind)
        return event

    @property
    def outages(self) -> list[RadioLost]:
        """Radios that were lost since it began."""
        return [event for event in self._events if isinstance(event, RadioLost)]

    @property
    def seconds(self) -> float:
        """Rig time since it began."""
        return (self._clock.now_us() - self.began_us) / MICROSECONDS
