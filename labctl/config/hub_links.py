"""What a hub does for its links of its own accord: asking, measuring, changing its channel."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Annotated

from labctl.config.fields import Strict, Whole, choice
from labctl.config.times import Duration, Within


class OverCapacity(enum.StrEnum):
    """What becomes of a high-bandwidth link that is one too many."""

    SERVE = "serve"
    REFUSE = "refuse"


OverCapacityChoice = Annotated[OverCapacity, choice(OverCapacity)]

_Period = Annotated[Duration, Within("1min", "366d")]


class Links(Strict):
    """How often the hub looks at its links."""

    ask_every: _Period | None = timedelta(hours=1)
    """How often devices that are awake are asked how they hear the hub; `null`: never."""
    noise_every: _Period | None = timedelta(hours=1)
    """How often the noise on the hub's own channels is measured, which deafens the radio for some
    150 ms; `null`: never."""


class Agility(Strict):
    """When the hub changes its channel."""

    by_itself: bool = True
    """Whether lost frames and noise make the hub look for a better channel."""
    lost_percent: Annotated[int, Whole(1, 100)] = 25
    """Frames of a device that got lost, of a hundred, from which on they do."""
    not_again: Annotated[Duration, Within("0s", "366d")] = timedelta(hours=6)
    """How long the hub stays at least on a channel."""
    gain_db: Annotated[int, Whole(0, 60)] = 6
    """How much quieter another channel has to be."""
    wake_up: Annotated[Duration, Within("1s", "1d")] = timedelta(minutes=30)
    """How often a gas meter wakes up: it is waited for."""
