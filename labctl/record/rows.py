"""What queries return: one frozen value for each thing that a report or a verdict speaks of."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.record.bearer_rows import NO_BEARERS, Bearers
from labctl.record.compliance import NOT_LOOKED_AT, Compliance, Interval
from labctl.record.survey_rows import SurveyData


@dataclass(frozen=True, slots=True)
class Run:
    """One use of a rig. `ended_us` and `verdict` are None while it goes on (or was killed)."""

    id: int
    rig: str
    kind: str
    started_us: int
    ended_us: int | None
    verdict: str | None
    simulated: bool
    labctl_version: str
    host: str
    config_sha256: str
    note: str
    reasons: tuple[str, ...]
    pruned_us: int | None = None
    """When its samples were dropped."""


@dataclass(frozen=True, slots=True)
class Radio:
    """One start of a radio in a run."""

    id: int
    name: str
    driver: str
    band: str
    path: str
    serial_number: str | None
    manufacturer: str | None
    model: str | None
    firmware: str | None
    protocol_version: int | None
    eui64: str
    page: int
    channel: int
    tx_power_dbm: int | None
    pan_id: int | None
    extended_pan_id: str | None
    resumed: bool | None
    up_us: int | None


@dataclass(frozen=True, slots=True)
class Device:
    """A device that took part in a run, as it described itself in this run.

    `under_test` is true when the run armed a pairing or declared a read schedule for it, or when it
    read as a paired device. What is not told in this run is what was known of it before.
    """

    id: int
    eui64: str
    name: str | None
    kind: str | None
    manufacturer: str | None
    model: str | None
    hardware_version: str | None
    firmware_version: str | None
    certificate_suite: int | None
    certificate_issuer: str | None
    under_test: bool
    first_heard_us: int | None
    last_heard_us: int | None

    @property
    def label(self) -> str:
        """The name, or the address of a device without one."""
        return self.name or self.eui64


@dataclass(frozen=True, slots=True)
class Pairing:
    """A device-log entry that was armed in the run."""

    id: int
    device_id: int
    method: str
    requested_by: str
    consent_reference: str | None
    armed_us: int
    window_s: int
    removed_us: int | None
    removal_reason: str | None
    closed_us: int | None
    authorised: bool | None


@dataclass(frozen=True, slots=True)
class JoinStep:
    """One step of a join; `elapsed_us` since the step before it."""

    step: str
    at_us: int
    elapsed_us: int
    status: str
    detail: str


@dataclass(frozen=True, slots=True)
class Join:
    """One join or rejoin attempt; `outcome` is None while it goes on or when the run was cut."""

    id: int
    eui64: str
    device_id: int | None
    kind: str
    band: str
    page: int
    channel: int
    nwk: int | None
    parent_nwk: int | None
    started_us: int
    ended_us: int | None
    outcome: str | None
    cause: str | None
    steps: tuple[JoinStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a device should read, and what became of it."""

    id: int
    device_id: int
    name: str
    cluster_id: int
    attributes: str
    period_ms: int
    tolerance_ms: int
    endpoint: int | None
    result: Compliance = NOT_LOOKED_AT


@dataclass(frozen=True, slots=True)
class LinkBucket:
    """The link samples of one stretch of time. RSSI is None where the radio does not tell."""

    start_us: int
    samples: int
    rssi_median_dbm: int | None
    rssi_p10_dbm: int | None
    rssi_p90_dbm: int | None
    lqi_median: int


@dataclass(frozen=True, slots=True)
class Link:
    """The link of one device in one direction, heard by one radio on one channel.

    `firmware` is the radio's: LQI is compared within one radio and firmware only.
    """

    device_id: int
    radio: str
    band: str
    direction: str
    page: int
    channel: int
    samples: int
    rssi_median_dbm: int | None
    rssi_p10_dbm: int | None
    rssi_min_dbm: int | None
    rssi_max_dbm: int | None
    lqi_median: int
    lqi_p10: int
    rssi_counts: dict[int, int]
    lqi_counts: dict[int, int]
    buckets: tuple[LinkBucket, ...] = ()
    bucket_us: int = 0
    firmware: str | None = None


@dataclass(frozen=True, slots=True)
class ReadGroup:
    """Reads of one kind by (or of) one device. `unanswered` had no answer at all."""

    device_id: int
    initiator: str
    endpoint: int
    cluster_id: int
    command_id: int | None
    reads: int
    unanswered: int
    not_success: int
    unencrypted: int
    latency_p50_us: int | None
    latency_p95_us: int | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Requests that the hub refused for one cause. `after_authorised` of them came afterwards."""

    device_id: int | None
    eui64: str
    layer: str
    cause: str
    endpoint: int | None
    cluster_id: int | None
    command_id: int | None
    count: int
    after_authorised: int
    first_us: int
    last_us: int


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something else worth keeping; `detail` is what its JSON says."""

    at_us: int
    kind: str
    device_id: int | None
    severity: str
    detail: dict[str, object]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a case measured; limits as `events.Measured` has them."""

    name: str
    unit: str
    value: float | None
    text: str
    least: float | None
    most: float | None
    good_from: float | None
    good_to: float | None
    outcome: str


@dataclass(frozen=True, slots=True)
class CaptureRow:
    """What was on the air during an attempt, as `events.Captured` has it."""

    path: str
    sha256: str
    bytes: int
    first_frame: int
    last_frame: int
    first_us: int
    last_us: int
    left_out: int


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One attempt at a case."""

    id: int
    case: str
    title: str
    device_id: int | None
    attempt: int
    started_us: int
    ended_us: int
    outcome: str
    cause: str
    band: str | None
    firmware_version: str | None
    quarantine: str
    """Who sees to it and until when, for a case that does not count; else empty."""
    measurements: tuple[Measurement, ...] = ()
    capture: CaptureRow | None = None


@dataclass(frozen=True, slots=True)
class Campaign:
    """What a campaign's run is besides a run; results are in the order of their beginning."""

    generation: str
    meters: str
    selection: str
    reference: str | None = None
    results: tuple[CaseResult, ...] = ()
    seed: int | None = None

    @property
    def last_attempts(self) -> tuple[CaseResult, ...]:
        """The last attempt at each case and device, in the order of their first attempts."""
        last: dict[tuple[str, int | None], CaseResult] = {}
        for result in self.results:
            last[result.case, result.device_id] = result
        return tuple(last.values())


@dataclass(frozen=True, slots=True)
class RunData:
    """Everything that is known of one run, ready for `verdict.assess` and for reports.

    `until_us` is the end of the run, or of what was looked at while it goes on.
    """

    run: Run
    until_us: int
    radios: tuple[Radio, ...]
    devices: tuple[Device, ...]
    pairings: tuple[Pairing, ...]
    joins: tuple[Join, ...]
    schedules: tuple[Schedule, ...]
    links: tuple[Link, ...]
    reads: tuple[ReadGroup, ...]
    refusals: tuple[Refusal, ...]
    infrastructure: tuple[Interval, ...]
    events: tuple[EventRow, ...]
    bearers: Bearers = NO_BEARERS
    campaign: Campaign | None = None
    """Of a run whose kind is campaign."""
    surveys: tuple[SurveyData, ...] = ()
    """Those that a run whose kind is survey worked on."""

    def device(self, device_id: int | None) -> Device | None:
        """The device of that id, None when it took no part."""
        return next((device for device in self.devices if device.id == device_id), None)

    def authorised_us(self, device_id: int) -> int | None:
        """When the device was first authorised in this run, None when it was not."""
        times = [
            join.ended_us
            for join in self.joins
            if join.device_id == device_id
            and join.outcome == "authorised"
            and join.ended_us is not None
        ]
        return min(times, default=None)
