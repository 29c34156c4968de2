"""The section `virtual` of a rig file: how a rig without hardware runs, and where."""

from __future__ import annotations

import datetime
import enum
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from labctl.config.fields import Name, Real, Strict, Whole, choice, section
from labctl.config.house_file import House, Spot
from labctl.config.hub_radio import DutyCycle, MaybeChannel, MaybeFrequency, MaybePage
from labctl.config.times import Duration, Instant, Within


class RigClock(enum.StrEnum):
    """How rig time passes on a virtual rig."""

    FAST = "fast"
    REAL = "real"


class InterferenceKind(enum.StrEnum):
    """What disturbs."""

    WIFI = "wifi"
    SUB_GHZ = "sub-ghz"


class Interferer(Strict):
    """Somebody else's radio. It knows nothing of the HAN, and is heard as noise."""

    name: Name
    """Its name, for reports."""
    kind: Annotated[InterferenceKind, choice(InterferenceKind)]
    """`wifi` (20 MHz wide, 2.4 GHz) or `sub-ghz` (on one channel of the HAN)."""
    at: Spot
    """Where it stands: a room of the house, or [x, y, z] in metres."""
    wifi_channel: Annotated[int, Whole(1, 13)] | None = None
    """`wifi`: its channel, 1 to 13."""
    page: MaybePage = None
    """`sub-ghz`: channel page. Default: the one that `channel` is on; 28 for 0 to 26."""
    channel: MaybeChannel = None
    """`sub-ghz`: channel."""
    frequency: MaybeFrequency = None
    """`sub-ghz`: instead of page and channel, `868.45 MHz`."""
    tx_power_dbm: Annotated[int, Whole(-40, 36)] | None = None
    """Transmit power in dBm. Default: `wifi` 18, `sub-ghz` 14."""
    busy_percent: Annotated[float, Real(0.01, 100)] = 30.0
    """Share of the time that it transmits."""
    burst_ms: Annotated[float, Real(0.1, 10_000)] | None = None
    """How long one transmission is, ms. Default: `wifi` 1.5, `sub-ghz` 50."""
    start: Annotated[Duration, Within("0s", "366d")] = timedelta(0)
    """When it begins, after the start of the run."""
    duration: Annotated[Duration, Within("1s", "366d")] | None = None
    """How long it goes on. Default: to the end."""


class Environment(Strict):
    """The room that the virtual air fills."""

    path_loss_exponent: Annotated[float, Real(1, 6)] = 2.8
    """How fast the signal fades with distance: 2 in free space, 3 and more through walls."""
    shadowing_db: Annotated[float, Real(0, 20)] = 4.0
    """Standard deviation of the loss that walls and furniture add to a path, dB."""
    noise_floor_dbm: Annotated[float, Real(-120, -40)] = -100.0
    """Noise in the channel, dBm."""


class VirtualBench(Strict):
    """How a rig without hardware runs."""

    seed: Annotated[int, Whole(0, 2**63 - 1)] = 1
    """Seed of all that is random. The same seed gives the same run."""
    start: Instant = datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC)
    """Rig time of the very first run; later runs go on where the last one ended."""
    clock: Annotated[RigClock, choice(RigClock)] = RigClock.FAST
    """`fast`: time jumps to the next thing that happens. `real`: time passes as on the wall."""
    environment: Annotated[Environment, BeforeValidator(section)] = Field(
        default_factory=Environment
    )
    """The room."""
    house: Annotated[House | None, BeforeValidator(section)] = None
    """A house that is drawn: rooms, walls, and who stands where. Default: free space."""
    interference: Annotated[tuple[Interferer, ...], Field(strict=False, max_length=64)] = ()
    """What else is on the air."""
    duty_cycle: Annotated[DutyCycle | None, BeforeValidator(section)] = None
    """Limits of airtime instead of those of `hub.duty_cycle`, to see what comes of them sooner."""
