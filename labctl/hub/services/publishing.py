"""What the Get... commands of Price and Calendar have in common: which instances, in which frames.

Such a command asks for what is in force at a time and what follows, from an issuer event id on,
up to a number; each instance is published by itself, a long one in several frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from labctl.hub.services.base import Request
from labctl.hub.services.time import ZIGBEE_EPOCH_S, zigbee_time
from labctl.meters import Meter, Tariff
from labctl.meters.entries import Entry
from labctl.smart_energy.clusters.price import ANY_EVENT

T = TypeVar("T")

ASDU_LIMIT = 1500
"""Octets that Smart Energy devices put together from fragments at most."""
PAYLOAD_LIMIT = ASDU_LIMIT - 3
"""The same without the ZCL header."""
_NOW = frozenset({0, 0xFFFFFFFF})


def now_s(request: Request) -> int:
    """When the request came, UTC seconds."""
    return request.now_us // 1_000_000


def zigbee_now(request: Request) -> int:
    """When the request came, as the air has it."""
    return zigbee_time(now_s(request))


def utc_of(zigbee_s: int) -> int:
    """UTC seconds of a time on the air."""
    return zigbee_s + ZIGBEE_EPOCH_S


def asked_time(request: Request, zigbee_s: int) -> int:
    """The time that a client means, UTC seconds: 0 is now, and the past is not published."""
    if zigbee_s in _NOW:
        return now_s(request)
    return max(now_s(request), utc_of(zigbee_s))


def event_of(tariff: Tariff) -> int:
    """The issuer event id of a tariff: its start, so that the same tariff is the same event."""
    return zigbee_time(tariff.start_s)


def tariffs(meter: Meter, at_s: int) -> list[Tariff]:
    """The tariff in force at a time, if there is one, and those announced to follow it."""
    in_force = meter.tariff_at(at_s)
    later = meter.announced_tariffs(at_s)
    return list(later) if in_force is None else [in_force, *later]


def wanted(
    instances: Iterable[T], event: Callable[[T], int], min_event: int, count: int
) -> list[T]:
    """The first `count` (0 is all) of the instances whose issuer event id is not too old."""
    found = [i for i in instances if min_event in (0, ANY_EVENT) or event(i) >= min_event]
    return found[: count or None]


def in_parts(items: Sequence[T], octets: Callable[[T], int], header: int) -> list[list[T]]:
    """The items by frames, each with `header` octets before them; one frame if there are none."""
    parts: list[list[T]] = [[]]
    room = PAYLOAD_LIMIT - header
    for item in items:
        need = octets(item)
        if need > room and parts[-1]:
            parts.append([])
            room = PAYLOAD_LIMIT - header
        parts[-1].append(item)
        room -= need
    return parts


def enter(meter: Meter, entry: Entry) -> int:
    """Append to a meter's journal; after the last entry, if one was dated ahead.

    Returns the entry's instant, UTC microseconds.
    """
    last = meter.journal.since(max(0, len(meter.journal) - 1))
    if last and last[0].at_us > entry.at_us:
        entry = replace(entry, at_us=last[0].at_us)
    meter.journal.append(entry)
    return entry.at_us
