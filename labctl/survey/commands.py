"""What the person who walks says: a place to be probed, or something about what was."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from labctl.config.problems import did_you_mean
from labctl.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the devices are: `position` is x, y, z in metres on the plan, where it is known."""

    room: str
    floor: int = 0
    spot: str = ""
    position: tuple[float, float, float] | None = None
    latitude: float | None = None
    longitude: float | None = None

    @property
    def text(self) -> str:
        """``kitchen / window``, for people."""
        return f"{self.room} / {self.spot}" if self.spot else self.room


@dataclass(frozen=True, slots=True)
class Measure:
    """Probe here. A waypoint that was broken off is gone on with instead."""

    place: Place
    note: str = ""
    photo: str = ""


@dataclass(frozen=True, slots=True)
class GoOn:
    """Go on with the waypoint that was broken off."""


@dataclass(frozen=True, slots=True)
class Undo:
    """The last waypoint does not count."""


@dataclass(frozen=True, slots=True)
class Redo:
    """The one undone last counts again."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A note, or the path of a photo, to the last waypoint. `kind`: note or photo."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop here; the survey is resumed another time."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The walk is over."""


Command = Measure | GoOn | Undo | Redo | Remark | Pause | Finish

_WORDS: dict[str, Command] = {
    "undo": Undo(),
    "redo": Redo(),
    "pause": Pause(),
    "quit": Finish(),
}
_WITH_TEXT = {"note": "note", "photo": "photo"}
_FLOOR = re.compile(r"(.*\S)\s*@\s*([+-]?\d{1,2})")
_LONGEST = 120


def parse(line: str, last: Place | None, *, open_: bool = False) -> Command:
    """A line that was typed. An empty one repeats the `last` place, or goes on with the `open_`
    waypoint.

    ``kitchen``, ``kitchen / window`` and ``cellar @ -1`` are places; a floor stays the last one's
    until another is said. What begins with a colon is a command. Raises `UsageError`.
    """
    line = line.strip()
    if line.startswith(":"):
        return _command(line[1:])
    if not line:
        if open_:
            return GoOn()
        if last is None:
            raise UsageError("there is no place yet to repeat", mend="type where you are: kitchen")
        return Measure(replace(last, position=None))
    floor = last.floor if last else 0
    if (found := _FLOOR.fullmatch(line)) is not None:
        line, floor = found[1], int(found[2])
    room, _, spot = (part.strip() for part in line.partition("/"))
    if not room or len(line) > _LONGEST or not line.isprintable():
        raise UsageError(
            f"a place has a room, and {_LONGEST} characters at most",
            mend="type it as: kitchen / window @ 0",
        )
    return Measure(Place(room=room, floor=floor, spot=spot))


def _command(words: str) -> Command:
    word, _, text = words.partition(" ")
    word, text = word.lower(), text.strip()
    if word in _WITH_TEXT:
        if not text:
            raise UsageError(f":{word} needs something after it", mend=f"type it as: :{word} TEXT")
        return Remark(_WITH_TEXT[word], text)
    if word in _WORDS:
        return _WORDS[word]
    known = [*_WORDS, *_WITH_TEXT]
    raise UsageError(
        f"there is no command :{word}",
        mend=did_you_mean(word, known) or "there are " + ", ".join(f":{each}" for each in known),
    )
