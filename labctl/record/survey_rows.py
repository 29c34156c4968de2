"""A survey as values: what was walked, what was probed, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labctl.events import Band
from labctl.statistics.places import Advice, BandReach, SiteReach
from labctl.statistics.reach import Answer, Reach


@dataclass(frozen=True, slots=True)
class SurveyRow:
    """A walk over a site. `rules` is JSON; `ended_us` None: it goes on, or waits to be resumed."""

    id: int
    run_id: int
    rig: str
    simulated: bool
    site: str
    hub_place: str
    started_us: int
    ended_us: int | None
    verdict: str | None
    text: str
    rules: str
    plan_path: str | None
    plan_mm_per_pixel: float | None
    seed: int | None
    waypoints: int
    """That count, and were probed to their end."""


@dataclass(frozen=True, slots=True)
class SurveyDevice:
    """A device that was carried around."""

    id: int
    eui64: str
    name: str | None
    kind: str | None
    manufacturer: str | None
    model: str | None
    firmware_version: str | None

    @property
    def label(self) -> str:
        """Its name, or its address."""
        return self.name or self.eui64


@dataclass(frozen=True, slots=True)
class DirectionRow:
    """One direction at one waypoint, as `events.DirectionJudged` has it."""

    direction: str
    verdict: Reach
    reason: str
    probes: int
    delivered: int
    ratio_low: float
    ratio_high: float
    rssi_median_dbm: int | None
    rssi_p10_dbm: int | None
    sensitivity_dbm: int
    p10_margin_db: float | None
    margin_at_least_db: float | None
    passes_lower: Answer
    design_effect: float
    decided_at: int | None
    retries: int | None
    level_source: str | None

    @property
    def delivery_ratio(self) -> float | None:
        """Delivered of sent, 0 to 1; None before the first probe."""
        return self.delivered / self.probes if self.probes else None


@dataclass(frozen=True, slots=True)
class LinkRow:
    """Both directions of a device's link on one band at one waypoint."""

    waypoint: int
    device_id: int
    band: Band
    verdict: Reach
    p10_margin_db: float | None
    passes_lower: Answer
    asymmetry_db: int | None
    asymmetry_found: bool
    down: DirectionRow | None
    """From the hub."""
    up: DirectionRow | None


@dataclass(frozen=True, slots=True)
class NoiseRow:
    """The level on a bearer's channel before the probes."""

    band: str | None
    page: int
    channel: int
    level_dbm: int


@dataclass(frozen=True, slots=True)
class RemarkRow:
    """A note, the path of a photo, or what could not be done. `waypoint` None: the survey's."""

    waypoint: int | None
    at_us: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class WaypointRow:
    """A place that was probed. `position` is x, y, z in metres on the plan."""

    id: int
    number: int
    run_id: int
    room: str
    floor: int
    spot: str
    position: tuple[float, float, float] | None
    latitude: float | None
    longitude: float | None
    started_us: int
    ended_us: int | None
    undone_us: int | None
    links: tuple[LinkRow, ...] = ()
    noise: tuple[NoiseRow, ...] = ()
    remarks: tuple[RemarkRow, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether it was probed to its end and not undone."""
        return self.ended_us is not None and self.undone_us is None


@dataclass(frozen=True, slots=True)
class RoomRow:
    """What was found in one room, band by band, and which band is advised."""

    room: str
    floor: int
    bands: Mapping[Band, BandReach]
    advice: Advice


@dataclass(frozen=True, slots=True)
class Coverage:
    """The rooms of a site for one device, or for all of them together."""

    rooms: tuple[RoomRow, ...]
    site: SiteReach


@dataclass(frozen=True, slots=True)
class RadioRow:
    """A radio that the hub probed with."""

    name: str
    driver: str
    band: str
    model: str | None
    firmware: str | None
    tx_power_dbm: int | None
    page: int
    channel: int


@dataclass(frozen=True, slots=True)
class SurveyData:
    """Everything of a survey. Undone and unfinished waypoints are among them, and count nowhere."""

    survey: SurveyRow
    devices: tuple[SurveyDevice, ...]
    radios: tuple[RadioRow, ...]
    waypoints: tuple[WaypointRow, ...]
    remarks: tuple[RemarkRow, ...]
    """Of the whole survey."""
    together: Coverage
    """A band in a room is as good as the worst link of any device on it there."""
    each: Mapping[int, Coverage]
    """By device."""

    def device(self, device_id: int) -> SurveyDevice:
        """The device of that row. Raises `KeyError`."""
        return {device.id: device for device in self.devices}[device_id]

    @property
    def counted(self) -> Sequence[WaypointRow]:
        """The waypoints that count."""
        return [waypoint for waypoint in self.waypoints if waypoint.counts]


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """One probe, as `events.ProbeTaken` has it."""

    waypoint: int
    eui64: str
    radio: str | None
    band: str
    direction: str
    at_us: int
    kind: str
    delivered: bool
    rssi_dbm: int | None
    lqi: int | None
    level_source: str | None
    retries: int | None
    latency_us: int | None
