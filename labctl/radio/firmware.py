"""Firmware that is known to do well as a Smart Energy hub, or not to. See `docs/hardware.md`.

What is not in these tables was neither praised nor blamed: it is judged by what it can do.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from labctl.config.inventory import Driver
from labctl.radio.probe import Probed

FEWEST_KEYS = 16
"""A GB device log has 16 places, and each device has a link key."""

_GOOD_ZNP = 20250321


class Fitness(enum.StrEnum):
    """How a firmware does as the hub's."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of a firmware: in a word, why, and what can be done about it."""

    fitness: Fitness
    why: str
    mend: str = ""


_EZSP_SERIES = (
    # From (including), up to (excluding), what is known.
    (
        (8, 0, 0, 0),
        (8, 0, 1, 0),
        Judgement(
            Fitness.DOUBTFUL,
            "EmberZNet 8.0.0 was reported to give no usable LQI and RSSI",
            "install 7.4.x, or a later 8.x",
        ),
    ),
    (
        (7, 4, 0, 0),
        (7, 6, 0, 0),
        Judgement(Fitness.GOOD, "EmberZNet 7.4 and 7.5 are what most sticks have, and are proven"),
    ),
)


def judge(found: Probed) -> Judgement:
    """What is known of the firmware of a stick that answered."""
    if not found.usable:
        why = found.remarks[0] if found.remarks else "it cannot be a hub's radio"
        return Judgement(Fitness.BAD, why, "put another firmware on the stick, or use another")
    return _of_ezsp(found) if found.driver is Driver.EZSP else _of_znp(found)


def _of_ezsp(found: Probed) -> Judgement:
    for first, beyond, judgement in _EZSP_SERIES:
        if first <= found.firmware_key < beyond and (
            judgement.fitness is not Fitness.GOOD or _has_room(found)
        ):
            return judgement
    if not _has_room(found):
        return Judgement(
            Fitness.DOUBTFUL,
            f"it takes {found.key_table_size} link keys; a full device log needs {FEWEST_KEYS}",
            "set hub.max_devices accordingly, or use firmware with a larger key table",
        )
    return Judgement(Fitness.GOOD, f"{found.protocol} is supported, with room for its keys")


def _has_room(found: Probed) -> bool:
    return found.key_table_size is None or found.key_table_size >= FEWEST_KEYS


def _of_znp(found: Probed) -> Judgement:
    if not found.firmware_key:
        return Judgement(
            Fitness.DOUBTFUL,
            "stock TI firmware: it tells no revision, and may keep its keys from being read",
            f"install a coordinator build of {_GOOD_ZNP} or later",
        )
    if found.firmware_key[0] < _GOOD_ZNP:
        return Judgement(
            Fitness.DOUBTFUL,
            f"builds before {_GOOD_ZNP} were reported to run out of buffers under load",
            f"install a coordinator build of {_GOOD_ZNP} or later",
        )
    return Judgement(Fitness.GOOD, f"build {found.firmware_key[0]} has no known faults")
