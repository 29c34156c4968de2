"""A stream: one quantity of one case, device, firmware and rig, night after night.

A stream is either of shares (so many lost of so many attempted, a night) or of values (the median
of a night, in dB or seconds). To be compared across nights they are put on a scale on which the
spread does not depend on the level:

* shares by Anscombe's arcsine, `asin(sqrt((lost + 3/8) / (attempted + 3/4)))`, with the variance
  `1 / (4 attempted + 2)` that counting alone gives;
* values as they are, since decibels and seconds have the spread that they have.
"""

from __future__ import annotations

import enum
import itertools
import math
from dataclasses import dataclass, field

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Night:
    """What was lost of what was attempted in one night, 0 <= lost <= attempted.

    A night without attempts is a missing night: leave it out, or give 0 of 0. `version` names what
    is known to matter and may change (firmware of the device, of the radio); where it changes, the
    stream starts a new baseline, whose first nights are compared with the old one.
    """

    at_us: int
    lost: int
    attempted: int
    version: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.lost <= self.attempted:
            raise ValueError(f"{self.lost} lost of {self.attempted} attempted is not a share")


@dataclass(frozen=True, slots=True)
class Reading:
    """The median of one night, in the unit of the stream's measure. `version` as for `Night`."""

    at_us: int
    value: float
    version: str = ""

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"{self.value} is not a value of a night")


class Worse(enum.IntEnum):
    """In which direction a quantity gets worse."""

    UP = 1
    DOWN = -1


@dataclass(frozen=True, slots=True)
class Measure:
    """What a stream is of.

    `least_effect` is the smallest change worth a word, in `unit` (of a share: 0.01 is one
    percentage point). `least_spread` is a floor under the spread of values, a sixth of the effect
    unless it is given: a median of whole decibels that is the same on thirty nights still has the
    width of its last digit.
    """

    name: str
    unit: str
    least_effect: float
    worse: Worse
    least_spread: float = 0.0

    def __post_init__(self) -> None:
        if not self.least_effect > 0:
            raise ValueError("the least effect is above zero")
        if not self.least_spread >= 0:
            raise ValueError("the least spread is not below zero")
        if not self.least_spread:
            object.__setattr__(self, "least_spread", self.least_effect / 6)


LOSS = Measure("loss", "share", 0.01, Worse.UP)
"""Messages lost of messages attempted; one percentage point is the least effect."""
RSSI = Measure("RSSI", "dBm", 3.0, Worse.DOWN)
"""A night's median RSSI; 3 dB is the least effect."""


def seconds(name: str, least_effect_s: float) -> Measure:
    """A duration, of which more is worse."""
    return Measure(name, "s", least_effect_s, Worse.UP)


@dataclass(frozen=True, slots=True, order=True)
class StreamKey:
    """Which stream. `band` is empty where a case is not of one band (names as the rig has them)."""

    rig: str
    device: str
    case: str
    quantity: str
    band: str = ""


@dataclass(frozen=True, slots=True)
class Stream:
    """A quantity over nights, oldest first, each night once; nights may be missing."""

    key: StreamKey
    measure: Measure
    nights: tuple[Night, ...] | tuple[Reading, ...] = field(repr=False)

    def __post_init__(self) -> None:
        times = [night.at_us for night in self.nights]
        for earlier, later in itertools.pairwise(times):
            if not earlier < later:
                raise ValueError(f"{self.key} has nights out of order, or one of them twice")
        if len({type(night) for night in self.nights}) > 1:
            raise ValueError(f"{self.key} has nights of shares and nights of values")

    @property
    def points(self) -> list[Point]:
        """The nights that have something to say, on the scale on which they are compared."""
        return [
            Point.of_night(night) if isinstance(night, Night) else Point.of_reading(night)
            for night in self.nights
            if not isinstance(night, Night) or night.attempted
        ]


@dataclass(frozen=True, slots=True)
class Point:
    """A night on the scale of comparison.

    `value` is in the measure's unit, `y` on the scale. `attempted` is 0 for values. `variance` is
    what counting alone gives, 0 for values.
    """

    at_us: int
    value: float
    y: float
    attempted: int
    variance: float
    version: str

    @classmethod
    def of_night(cls, night: Night) -> Point:
        """A share, by Anscombe's arcsine."""
        n = night.attempted
        y = anscombe(night.lost, n)
        return cls(night.at_us, night.lost / n, y, n, 1 / (4 * n + 2), night.version)

    @classmethod
    def of_reading(cls, reading: Reading) -> Point:
        """A value, as it is."""
        return cls(reading.at_us, reading.value, reading.value, 0, 0.0, reading.version)

    def expected(self, level: float) -> float:
        """What this night shows when nothing but its number of attempts differs from the rest.

        Anscombe's zero of 30 is far above his zero of 300. Each night is therefore compared with
        what the level would show among *its* attempts, or fewer attempts would look like loss.
        """
        if not self.attempted:
            return level
        return anscombe(self.attempted * math.sin(level) ** 2, self.attempted)


def anscombe(lost: float, attempted: int) -> float:
    """Anscombe's arcsine of a share, in radians: its spread hardly depends on the share."""
    return math.asin(math.sqrt((lost + 0.375) / (attempted + 0.75)))


def in_unit(level: float, *, share: bool) -> float:
    """A level of the comparison's scale in the unit of the measure."""
    if not share:
        return level
    return math.sin(min(max(level, 0.0), math.pi / 2)) ** 2


def on_scale(value: float, *, share: bool) -> float:
    """The reverse of `in_unit`; shares below 0 and above 1 are 0 and 1."""
    return math.asin(math.sqrt(min(max(value, 0.0), 1.0))) if share else value
