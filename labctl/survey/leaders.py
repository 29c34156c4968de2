"""Who says where to go next: a file, or a person at a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from labctl.errors import UsageError
from labctl.survey.commands import Command, Finish, GoOn, Measure, Pause, parse
from labctl.survey.walk import Walk


class Leader(Protocol):
    """Leads a walk."""

    async def next(self, walk: Walk, *, interrupted: bool, stop: asyncio.Event) -> Command:
        """What is to be done now. `interrupted`: somebody pressed Ctrl-C, and `stop` is set when
        they do so while they are asked."""

    def refused(self, error: UsageError) -> None:
        """The last command could not be done. May raise it."""


class Script:
    """Goes from step to step, and ends the survey. A resumed one goes on where it was."""

    def __init__(self, steps: Sequence[Measure]) -> None:
        self._steps = steps

    async def next(self, walk: Walk, *, interrupted: bool, stop: asyncio.Event) -> Command:
        """The step whose waypoint is not in the record yet."""
        if interrupted:
            return Pause()
        if walk.open_waypoint() is not None:
            return GoOn()
        done = len(walk.data().waypoints)
        return self._steps[done] if done < len(self._steps) else Finish()

    def refused(self, error: UsageError) -> None:
        """A walk that is written down is right or wrong."""
        raise error


class Person:
    """Asks for each step. `ask` gives a line; None at the input's end, or when `stop` is set."""

    def __init__(
        self,
        ask: Callable[[str, asyncio.Event], Awaitable[str | None]],
        tell: Callable[[UsageError], None],
    ) -> None:
        self._ask = ask
        self._tell = tell

    async def next(self, walk: Walk, *, interrupted: bool, stop: asyncio.Event) -> Command:
        """What they type. No more input leaves the survey open."""
        left, last = walk.open_waypoint(), walk.last_place()
        if left is not None:
            prompt = f"waypoint {left.number} is not done; Enter goes on, or where to? "
        elif last is not None:
            prompt = (
                f"where to? Enter: {last.text} once more; :undo :redo :note :photo :pause :quit "
            )
        else:
            prompt = "where are you? room / spot @ floor "
        while True:
            line = await self._ask(prompt, stop)
            if line is None:
                return Pause()
            try:
                return parse(line, last, open_=left is not None)
            except UsageError as error:
                self._tell(error)

    def refused(self, error: UsageError) -> None:
        """Say so, and ask again."""
        self._tell(error)
