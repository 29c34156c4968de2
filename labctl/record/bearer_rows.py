"""What queries return of bearers: airtime, noise, what devices report, who was told to be silent.

A bearer is one band of one radio as it runs; `radio` is its name (a second band is `NAME/868`).
Times are UTC microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Forecast:
    """Said at `at_us`: if traffic goes on as it does, `state` is reached `in_s` seconds later."""

    at_us: int
    state: str
    in_s: int


@dataclass(frozen=True, slots=True)
class AirtimePoint:
    """The most that was counted in one stretch of time, of the hour before."""

    at_us: int
    airtime_us: int


@dataclass(frozen=True, slots=True)
class Airtime:
    """The airtime of one party on one bearer over the run. `device_id` None is the hub itself.

    `state`, `last_us` and the limits are of the newest sample, `worst_state` is the worst of all.
    `first_forecast` is the first that was made of each state, `forecast` the newest sample's.
    """

    radio: str
    band: str
    device_id: int | None
    source: str
    samples: int
    limited_us: int
    critical_us: int
    regulated_us: int
    peak_us: int
    peak_at_us: int
    last_us: int
    last_at_us: int
    state: str
    worst_state: str
    forecast: Forecast | None
    first_forecasts: tuple[Forecast, ...]
    points: tuple[AirtimePoint, ...]


@dataclass(frozen=True, slots=True)
class NoisePoint:
    """The scans of one stretch of time."""

    at_us: int
    median_dbm: int
    highest_dbm: int


@dataclass(frozen=True, slots=True)
class Noise:
    """The level on one channel as energy scans found it. The floor is the median of the scans."""

    radio: str
    band: str
    page: int
    channel: int
    scans: int
    floor_dbm: int
    p95_dbm: int
    lowest_dbm: int
    highest_dbm: int
    points: tuple[NoisePoint, ...]


@dataclass(frozen=True, slots=True)
class Reported:
    """How a device hears the hub, by one source. Costs, delta and retries are of the last report.

    `lqi_counts` are on the scale of the device's own radio, or of whoever keeps the table.
    """

    device_id: int
    radio: str
    band: str
    source: str
    reports: int
    rssi_counts: dict[int, int]
    lqi_counts: dict[int, int]
    in_cost: int | None
    out_cost: int | None
    power_delta_db: int | None
    mac_retries: int | None
    last_us: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """How much got through in one direction, retries included.

    `basis` says what was counted: ``acknowledgements`` of the hub's unicasts, ``answers`` of the
    hub to a device's requests, or ``reads`` that a device's schedule made due.
    """

    device_id: int
    radio: str
    direction: str
    attempts: int
    delivered: int
    basis: str
    retries: int | None = None

    @property
    def ratio(self) -> float | None:
        """The share that got through, 0 to 1; None when nothing was tried."""
        return self.delivered / self.attempts if self.attempts else None


@dataclass(frozen=True, slots=True)
class BandChoice:
    """The band that a device took, those it could have taken, and why."""

    device_id: int
    at_us: int
    used: str
    could: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Suspension:
    """A stretch in which a device was told to send nothing. `resumed` says how it ended."""

    device_id: int
    radio: str
    start_us: int
    end_us: int
    minutes: int
    cause: str
    resumed: str


@dataclass(frozen=True, slots=True)
class ChannelMove:
    """A bearer went to another channel."""

    at_us: int
    radio: str
    from_page: int
    from_channel: int
    to_page: int
    to_channel: int
    cause: str


@dataclass(frozen=True, slots=True)
class DutyChange:
    """The hub's airtime on a bearer crossed a limit."""

    at_us: int
    radio: str
    state: str
    before: str | None
    airtime_us: int | None


@dataclass(frozen=True, slots=True)
class OverCapacity:
    """One high-bandwidth sub-GHz link more than the hub has to offer."""

    at_us: int
    device_id: int
    radio: str
    links: int
    limit: int


@dataclass(frozen=True, slots=True)
class Bearers:
    """All of the above of one run."""

    airtime: tuple[Airtime, ...] = ()
    noise: tuple[Noise, ...] = ()
    reported: tuple[Reported, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    choices: tuple[BandChoice, ...] = ()
    suspensions: tuple[Suspension, ...] = ()
    moves: tuple[ChannelMove, ...] = ()
    duty_changes: tuple[DutyChange, ...] = ()
    over_capacity: tuple[OverCapacity, ...] = ()


#: Nothing was recorded of bearers.
NO_BEARERS = Bearers()
