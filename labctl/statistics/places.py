"""From links to rooms, and from rooms to what is said of a device and a site.

A room is as good as its worst waypoint: whoever was promised a room puts the device anywhere in
it. How many of the waypoints pass is always said beside it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from labctl.statistics.reach import Answer, Reach, worst

IHD = "ihd"


class Reached(Protocol):
    """What is needed of a link; `labctl.statistics.reach.Link` has it, and so may a table's row."""

    @property
    def verdict(self) -> Reach:
        """Of both directions."""
        ...

    @property
    def p10_margin_db(self) -> float | None:
        """Of the worse direction; None where that is a lost probe or there is none."""
        ...

    @property
    def passes_lower(self) -> Answer:
        """Would both pass with less power?"""
        ...


@dataclass(frozen=True, slots=True)
class BandReach:
    """What one band does in one room, in both directions."""

    verdict: Reach
    waypoints: int
    passing: int
    """Waypoints that pass."""
    p10_margin_db: float | None
    """At the worst waypoint; None where a lost probe stands for it, or nothing was measured."""
    passes_lower: Answer


def over_waypoints(links: Iterable[Reached]) -> BandReach:
    """All the waypoints of a room on one band. No waypoints: incomplete."""
    known = list(links)
    margins = [each.p10_margin_db for each in known]
    least: float | None = None
    for margin in margins:
        if margin is None:
            least = None
            break
        least = margin if least is None else min(least, margin)
    answers = {each.passes_lower for each in known}
    lower = next((one for one in (Answer.NO, Answer.OPEN) if one in answers), Answer.YES)
    return BandReach(
        verdict=worst(each.verdict for each in known),
        waypoints=len(known),
        passing=sum(each.verdict is Reach.PASS for each in known),
        p10_margin_db=least,
        passes_lower=lower if known else Answer.OPEN,
    )


class Where(enum.StrEnum):
    """Which band a device should be on in a room."""

    GHZ_2_4 = "2.4 GHz"
    MHZ_868 = "868 MHz"
    NEITHER = "neither"
    """Both were measured, and neither works."""
    NOT_THE_ONE = "not the one measured"
    """One was measured, and does not work."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Advice:
    """Which band, how good it is there, and one sentence for people."""

    where: Where
    verdict: Reach
    text: str


def advise(
    kind: str,
    ghz: BandReach | None,
    sub_ghz: BandReach | None,
    *,
    practicable: Reach = Reach.MARGINAL,
) -> Advice:
    """The band for a device of a kind in a room; None for a band that was not measured.

    The better verdict wins, and 2.4 GHz where both are alike, since it has no duty cycle. An IHD
    goes on 2.4 GHz where that is practicable: from `practicable` upwards. "Neither" is only said
    of a room where both were measured and fail; a band that was not measured is named.
    """
    on_ghz = ghz.verdict if ghz else Reach.INCOMPLETE
    on_sub = sub_ghz.verdict if sub_ghz else Reach.INCOMPLETE
    works = (Reach.PASS, Reach.MARGINAL)
    accepted = works if practicable is Reach.MARGINAL else (Reach.PASS,)
    if kind == IHD and on_ghz in accepted:
        return _chosen(Where.GHZ_2_4, on_ghz, "where an IHD belongs")
    for verdict in works:
        if on_ghz is verdict:
            return _chosen(Where.GHZ_2_4, verdict, _other("868 MHz", sub_ghz))
        if on_sub is verdict:
            return _chosen(Where.MHZ_868, verdict, _other("2.4 GHz", ghz))
    if Reach.INCOMPLETE not in (on_ghz, on_sub):
        return Advice(Where.NEITHER, Reach.FAIL, "neither band: an alternative HAN is needed")
    if ghz and on_ghz is Reach.FAIL and sub_ghz is None:
        text = "not 2.4 GHz; 868 MHz was not measured"
        return Advice(Where.NOT_THE_ONE, Reach.FAIL, text)
    if sub_ghz and on_sub is Reach.FAIL and ghz is None:
        text = "not 868 MHz; 2.4 GHz was not measured"
        return Advice(Where.NOT_THE_ONE, Reach.FAIL, text)
    return Advice(Where.UNKNOWN, Reach.INCOMPLETE, "not enough was measured to say")


def _chosen(where: Where, verdict: Reach, note: str) -> Advice:
    text = f"{where} here"
    if verdict is Reach.MARGINAL:
        text += ", with little margin"
    return Advice(where, verdict, f"{text} ({note})" if note else text)


def _other(name: str, reach: BandReach | None) -> str:
    if reach is None:
        return f"{name} was not measured"
    return f"{name}: {reach.verdict}"


@dataclass(frozen=True, slots=True)
class SiteReach:
    """A device, or a site, over all its rooms."""

    verdict: Reach
    """Pass: each room passes on the band that is advised for it; otherwise that of the worst."""
    rooms: Mapping[Where, tuple[str, ...]]
    """Which rooms each answer holds for, in the order given."""
    text: str


def over_rooms(advice: Mapping[str, Advice]) -> SiteReach:
    """What is said of a device at a site: which rooms go on which band, and which on neither."""
    rooms = {
        where: tuple(room for room, one in advice.items() if one.where is where) for where in Where
    }
    words = {
        Where.GHZ_2_4: "2.4 GHz in {}",
        Where.MHZ_868: "868 MHz in {}",
        Where.NEITHER: "neither band in {}: an alternative HAN is needed",
        Where.NOT_THE_ONE: "not on the one band that was measured in {}",
        Where.UNKNOWN: "not known in {}",
    }
    said = [words[where].format(", ".join(names)) for where, names in rooms.items() if names]
    return SiteReach(
        worst(one.verdict for one in advice.values()),
        rooms,
        "; ".join(said) or "nothing was measured",
    )


@dataclass(frozen=True, slots=True)
class Change:
    """What another visit, or another place of the hub, does to the rooms."""

    better: tuple[str, ...]
    worse: tuple[str, ...]
    same: tuple[str, ...]
    open: tuple[str, ...]
    """Incomplete, or not measured, in one of the two: nothing is said of them."""
    newly_passing: tuple[str, ...]
    no_longer_passing: tuple[str, ...]

    @property
    def text(self) -> str:
        """``2 more rooms pass``, and what else there is to say."""
        more, fewer = len(self.newly_passing), len(self.no_longer_passing)
        said = []
        if more:
            said.append(f"{more} more {_rooms(more)} pass{'es' if more == 1 else ''}")
        if fewer:
            said.append(f"{fewer} {_rooms(fewer)} no longer pass{'es' if fewer == 1 else ''}")
        if not said:
            said.append("as many rooms pass")
        if self.open:
            said.append(f"{len(self.open)} {_rooms(len(self.open))} cannot be compared")
        return "; ".join(said)


def compare(before: Mapping[str, Reach], after: Mapping[str, Reach]) -> Change:
    """Rooms of two visits, or of two places of the hub, by name."""
    order = (Reach.FAIL, Reach.MARGINAL, Reach.PASS)
    risen: list[str] = []
    fallen: list[str] = []
    same: list[str] = []
    open_: list[str] = []
    for room in dict.fromkeys((*before, *after)):
        was = before.get(room, Reach.INCOMPLETE)
        now = after.get(room, Reach.INCOMPLETE)
        if Reach.INCOMPLETE in (was, now):
            open_.append(room)
        elif was is now:
            same.append(room)
        else:
            (risen if order.index(now) > order.index(was) else fallen).append(room)
    return Change(
        tuple(risen),
        tuple(fallen),
        tuple(same),
        tuple(open_),
        tuple(room for room in risen if after[room] is Reach.PASS),
        tuple(room for room in fallen if before[room] is Reach.PASS),
    )


def _rooms(count: int) -> str:
    return "room" if count == 1 else "rooms"
