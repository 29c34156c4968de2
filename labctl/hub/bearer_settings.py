"""Settings of what the hub does for its bearers: airtime, suspension, channels, link reports."""

from __future__ import annotations

from dataclasses import dataclass, field

from labctl.smart_energy.airtime import Limits
from labctl.smart_energy.channels import GB_SUB_GHZ_MASKS


@dataclass(frozen=True, slots=True, kw_only=True)
class SubGhzSettings:
    """How devices on 868 MHz are treated.

    `suspend_min` (1 to 255) is how long a device is silenced that costs too much airtime; `limits`
    None are R22's of the page. More than `high_bandwidth_links` devices that read every 10 s or
    more often are too many: recorded, and with `refuse_over_capacity` not served. `masks` are the
    channels of the pages 28 to 31 that devices are told to look for the hub on. `poll_s` is how
    often a device that is awake is taken to poll its parent, which the host does not see; None:
    it is not reckoned with.
    """

    suspend_min: int = 5
    limits: Limits | None = None
    high_bandwidth_links: int = 4
    refuse_over_capacity: bool = False
    poll_s: float | None = 60.0
    masks: tuple[int, int, int, int] = (
        GB_SUB_GHZ_MASKS[0],
        GB_SUB_GHZ_MASKS[1],
        GB_SUB_GHZ_MASKS[2],
        GB_SUB_GHZ_MASKS[3],
    )

    def __post_init__(self) -> None:
        if not 1 <= self.suspend_min <= 255:
            raise ValueError(f"a suspension lasts 1 to 255 min, not {self.suspend_min}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgilitySettings:
    """When the hub changes its channel, and how.

    With `by_itself` it does so when a device tells that at least `failed_share` of its last frames
    (of `least_frames` at least) got through to nobody, though not sooner than `not_again_s` after
    the last time, and only to a channel that is quieter by `gain_db`. So it does on 868 MHz when
    three measurements in a row show `noisy_dbm` or more, with which listen-before-talk fails.

    A sleepy gas meter wakes up every `wake_up_s`; once it has read what is to come it gets
    `settle_s` to go back to sleep. Whoever is not heard within `follow_s` of a move did not follow.
    `scan_exponent` (0 to 14) says how long to listen to each channel: the radio is deaf to its
    network meanwhile.
    """

    by_itself: bool = True
    failed_share: float = 0.25
    least_frames: int = 20
    not_again_s: float = 6 * 3600.0
    gain_db: int = 6
    noisy_dbm: int | None = -80
    wake_up_s: float = 1800.0
    settle_s: float = 30.0
    follow_s: float = 3900.0
    scan_exponent: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """How often the hub looks at its links, in seconds; None: never of its own accord.

    Every `ask_every_s` each device that is awake is asked how well it hears the hub. Every
    `noise_every_s` the level on each bearer's own channel is measured: the least of `noise_scans`,
    `noise_gap_s` apart, since a scan tells its peak, and a frame of the network itself is in one
    but hardly in all. Each deafens that radio for some 150 ms. What was delivered is told every
    `deliveries_every_s`.
    """

    ask_every_s: float | None = 3600.0
    noise_every_s: float | None = 3600.0
    deliveries_every_s: float = 600.0
    answer_s: float = 10.0
    scan_exponent: int = 3
    noise_scans: int = 3
    noise_gap_s: float = 1.7


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerSettings:
    """All of it."""

    sub_ghz: SubGhzSettings = field(default_factory=SubGhzSettings)
    agility: AgilitySettings = field(default_factory=AgilitySettings)
    links: LinkSettings = field(default_factory=LinkSettings)
