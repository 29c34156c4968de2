"""What a case says of itself before it is played."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final, TypeVar

from labctl.events import Band, DeviceKind

_F = TypeVar("_F", bound=Callable[..., Any])
_NAME: Final = re.compile(r"[A-Z]\d{2,3}")
_ATTRIBUTE: Final = "__labctl_case__"

READERS: Final = (DeviceKind.CAD, DeviceKind.IHD, DeviceKind.PPMID)
"""Kinds of devices that read the hub steadily: what they do next is seen within seconds."""


class Start(enum.StrEnum):
    """How a device is to be when a case begins."""

    PAIRED = "paired"
    """On the network, with an established link key."""
    UNPAIRED = "unpaired"
    """Not in the device log, and without a network; a virtual device is switched off."""
    ANY = "any"
    """As it is."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A measurement that a case will take, with its limits.

    Below `least` or above `most` is a fail. From `least` to below `good_from`, and from above
    `good_to` to `most`, is marginal. None does not bound. An `optional` one need not be taken.
    `unit` is "s", "dBm", "%", ... and "" for a count, a status, or a yes (1) or no (0).
    """

    name: str
    unit: str = ""
    _: KW_ONLY
    least: float | None = None
    most: float | None = None
    good_from: float | None = None
    good_to: float | None = None
    optional: bool = False
    why: str = ""
    """Where the limits come from; "proposal" when nobody published any."""

    @classmethod
    def yes(cls, name: str, *, why: str = "") -> Measure:
        """Something that has to be so: 1, and not 0."""
        return cls(name, least=1, most=1, why=why)

    @classmethod
    def exactly(cls, name: str, value: float, unit: str = "", *, why: str = "") -> Measure:
        """Something that has one right value."""
        return cls(name, unit, least=value, most=value, why=why)

    def __post_init__(self) -> None:
        edges = [self.least, self.good_from, self.good_to, self.most]
        known = [edge for edge in edges if edge is not None]
        if known != sorted(known):
            raise ValueError(f"the limits of {self.name} are out of order")


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What rig and device must have for a case to apply. Empty collections ask for nothing."""

    kinds: frozenset[DeviceKind] = frozenset()
    """Kinds of devices."""
    band: Band | None = None
    """A band that the hub has and the device can join on."""
    power: bool = False
    """The device can be switched off and on without a person."""
    generations: frozenset[str] = frozenset()
    """Hub generations: smets1, smets2."""
    meters: frozenset[str] = frozenset()
    """Kinds of emulated meters: electricity, gas."""
    suites: frozenset[int] = frozenset()
    """Key establishment suites that the hub offers, any of them."""
    virtual: bool = False
    """Something that only a virtual rig lets one see or do; `why` says what."""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case, as its decorator declares it. `title` is what has to hold, in a few words."""

    name: str
    title: str
    measures: tuple[Measure, ...] = ()
    needs: Needs = field(default_factory=Needs)
    start: Start = Start.PAIRED
    rests_on: tuple[str, ...] = ()
    """Cases that must not have failed on the same device; else this one is skipped."""
    within_s: float = 4 * 3600.0
    """Rig time after which it is given up."""

    def __post_init__(self) -> None:
        names = [measure.name for measure in self.measures]
        if len(names) != len(set(names)):
            raise ValueError(f"{self.name} measures something twice")

    @property
    def order(self) -> tuple[int, str]:
        """Where it comes in a campaign: by its number, a lab's own after ours."""
        letters = "JKDARSL"
        known = self.name[0] in letters and _NAME.fullmatch(self.name) is not None
        return (letters.index(self.name[0]) if known else len(letters), self.name)


def case(
    name: str,
    title: str,
    *,
    measures: Sequence[Measure] = (),
    kinds: Collection[DeviceKind] = (),
    band: Band | None = None,
    power: bool = False,
    generations: Collection[str] = (),
    meters: Collection[str] = (),
    suites: Collection[int] = (),
    virtual: bool = False,
    why: str = "",
    start: Start = Start.PAIRED,
    rests_on: Sequence[str] = (),
    within_s: float = 4 * 3600.0,
) -> Callable[[_F], _F]:
    """Make a case of a test function. The arguments are those of `Case` and `Needs`."""
    declared = Case(
        name=name,
        title=title,
        measures=tuple(measures),
        needs=Needs(
            kinds=frozenset(kinds),
            band=band,
            power=power,
            generations=frozenset(generations),
            meters=frozenset(meters),
            suites=frozenset(suites),
            virtual=virtual,
            why=why,
        ),
        start=start,
        rests_on=tuple(rests_on),
        within_s=within_s,
    )

    def mark(function: _F) -> _F:
        setattr(function, _ATTRIBUTE, declared)
        return function

    return mark


def case_of(function: Callable[..., Any]) -> Case:
    """The case that a test function is: as declared, or one named after the function."""
    declared = getattr(function, _ATTRIBUTE, None)
    if isinstance(declared, Case):
        return declared
    name = function.__name__.removeprefix("test_")
    title = (function.__doc__ or name.replace("_", " ")).strip().splitlines()[0]
    return Case(name=name, title=title)
