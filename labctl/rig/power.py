"""Power that is switched: of a stick that hangs, or of a device under test.

That a switch says yes proves nothing: many USB hubs take the command and leave the power on. A
stick's power is off when the stick is gone, and on when it is back; what came of it is kept for
each port in `.labctl/power.json`, so that a port that cannot do it is known and not tried again and
again in the middle of a night.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import logging
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from labctl.clock import wall_us
from labctl.config.inventory import Radio
from labctl.config.power import Power
from labctl.errors import RigError
from labctl.files import replace_file
from labctl.radio.ports import NETWORK, resolve

_LOGGER = logging.getLogger(__name__)

NAME: Final = "power.json"
_COMMAND_S: Final = 30.0
_GONE_WITHIN_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.05
_SAID_OCTETS: Final = 300


class Ability(enum.StrEnum):
    """What a port was seen to do."""

    SWITCHES = "switches"
    """What is plugged in vanished and came back."""
    STAYS_ON = "stays-on"
    """The switch said yes, and what is plugged in stayed."""
    NOT_BACK = "not-back"
    """What is plugged in vanished and did not come back in time."""
    REFUSES = "refuses"
    """The switch failed, or is not there."""
    UNSEEN = "unseen"
    """The switch said yes; nobody can see what came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of switching a port off and on, and when (UTC, microseconds)."""

    ability: Ability
    at_us: int
    detail: str = ""


class PowerBook:
    """What is known of each port: `power.json` in the folder of what the rigs keep."""

    def __init__(self, root: Path) -> None:
        self._path = root / NAME

    def known(self, identity: str) -> Seen | None:
        """The latest that was seen of a port; None when it was never tried."""
        entry: Any = self._read().get(identity)
        try:
            return Seen(
                ability=Ability(entry["ability"]),
                at_us=int(entry["at_us"]),
                detail=str(entry["detail"]),
            )
        except (KeyError, TypeError, ValueError):
            return None  # never tried, or damaged: it is then tried again

    def note(self, identity: str, seen: Seen) -> None:
        """Keep what was seen. That it cannot be kept is logged: it is found out anew."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            book = {**self._read(), identity: asdict(seen)}
            replace_file(self._path, json.dumps(book, indent=1, sort_keys=True) + "\n")
        except OSError as error:
            _LOGGER.warning("%s cannot be written: %s", self._path, error.strerror)

    def _read(self) -> dict[str, Any]:
        try:
            book = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return book if isinstance(book, dict) else {}


class PowerSwitch:
    """The switch of one thing. `is_there` tells whether it can be seen; None when nobody can.

    `name` is the thing's, for messages. `may_switch` raises when the switch is somebody else's.
    """

    def __init__(
        self,
        name: str,
        power: Power,
        book: PowerBook,
        is_there: Callable[[], bool] | None = None,
        may_switch: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.identity = power.identity
        self._power = power
        self._book = book
        self._is_there = is_there
        self._may_switch = may_switch

    @property
    def worth_trying(self) -> bool:
        """Whether nothing is known that speaks against it."""
        known = self._book.known(self.identity)
        return known is None or known.ability not in (Ability.STAYS_ON, Ability.REFUSES)

    async def switch(self, *, on: bool) -> None:
        """Switch it, without looking what came of it. Raises `RigError`."""
        if not on:  # on again is right whoever has it by then
            self._may_switch()
        words = self._power.words(on=on)
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as error:
            raise self._failed(
                f"{words[0]} cannot be run: {error.strerror}",
                f"install {words[0]}, or correct 'power' in the inventory",
            ) from error
        try:
            async with asyncio.timeout(_COMMAND_S):
                said, _ = await process.communicate()
        except TimeoutError:
            raise self._failed(f"{words[0]} did not end within {_COMMAND_S:.0f} s", "") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            last = _last_line(said)
            raise self._failed(
                f"{words[0]} failed with exit code {process.returncode}: {last}",
                "`uhubctl` shows which hubs can switch, and whether you may (its udev rule)"
                if words[0] == "uhubctl"
                else "try the command by hand",
            )

    async def cycle(self) -> Seen:
        """Switch off and on again, and see to it that this is what happened.

        What came of it is kept. Whatever happens in between, even that the run ends, it is switched
        on again. Raises `RigError` when the power was not switched, or the thing did not come back.
        """
        try:
            seen = await self._cycle()
        except RigError as error:
            self._book.note(
                self.identity, Seen(ability=Ability.REFUSES, at_us=wall_us(), detail=error.what)
            )
            raise
        self._book.note(self.identity, seen)
        if seen.ability is Ability.STAYS_ON:
            raise self._failed(
                "the switch says that the power was off, and the stick stayed",
                "this hub does not switch the power of its ports: use one that does "
                "(docs/leases.md), and 'power: none' until then",
            )
        if seen.ability is Ability.NOT_BACK:
            raise self._failed(
                f"it vanished and was not back within {self._back_s:.0f} s",
                "unplug it and plug it in again",
            )
        return seen

    @property
    def _back_s(self) -> float:
        return self._power.back_within.total_seconds()

    async def _cycle(self) -> Seen:
        look = self._is_there
        was_there = look is not None and look()
        try:
            await self.switch(on=False)
            vanished = not was_there or await self._until(lambda: not self._sees(), _GONE_WITHIN_S)
            if vanished:
                await asyncio.sleep(self._power.off_for.total_seconds())
        finally:
            # Also when this task is cancelled: nothing is left without power.
            await asyncio.shield(asyncio.ensure_future(self.switch(on=True)))
        now_us = wall_us()
        if look is None:
            return Seen(ability=Ability.UNSEEN, at_us=now_us)
        if not vanished:
            return Seen(ability=Ability.STAYS_ON, at_us=now_us)
        if not await self._until(self._sees, self._back_s):
            return Seen(ability=Ability.NOT_BACK, at_us=wall_us())
        # A stick that was not there before proves no more than that it has power now.
        return Seen(ability=Ability.SWITCHES if was_there else Ability.UNSEEN, at_us=wall_us())

    def _sees(self) -> bool:
        return self._is_there is not None and self._is_there()

    async def _until(self, is_so: Callable[[], bool], within_s: float) -> bool:
        """Wait for something that tells nobody when it happens: whether it did."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + within_s
        while not is_so():
            if loop.time() >= deadline_s:
                return False
            await asyncio.sleep(_LOOK_EVERY_S)
        return True

    def _failed(self, what: str, mend: str) -> RigError:
        return RigError(f"the power of {self.name} was not switched: {what}", mend=mend)


def radio_switch(
    name: str, radio: Radio, book: PowerBook, may_switch: Callable[[], None]
) -> PowerSwitch | None:
    """The switch of a radio of the inventory; None where it is done by hand."""
    if radio.power is None:
        return None
    seen_by_nobody = radio.path is not None and radio.path.startswith(NETWORK)

    def is_there() -> bool:
        try:
            return os.path.exists(resolve(name, radio))
        except RigError:
            return False

    return PowerSwitch(
        f"the radio {name!r}",
        radio.power,
        book,
        None if seen_by_nobody else is_there,
        may_switch,
    )


def _last_line(said: bytes) -> str:
    lines = said[-_SAID_OCTETS:].decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
