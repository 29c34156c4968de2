"""Everything that can happen on a rig, as frozen values with the units in their names.

Whoever sees something happen emits one of these on the `EventBus`; the recorder, the live view and
the tests subscribe. Events carry no key, install code or private key. EUI-64 addresses are strings
(``aa:bb:cc:dd:ee:ff:00:11``), times are UTC microseconds since the epoch.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field


class Band(enum.StrEnum):
    """A frequency band of the HAN."""

    GHZ_2_4 = "2.4 GHz"
    MHZ_868 = "868 MHz"


class Direction(enum.StrEnum):
    """Who sent the frame that a link sample speaks of."""

    TO_HUB = "to-hub"
    FROM_HUB = "from-hub"


class DeviceKind(enum.StrEnum):
    """What a device is, as the device log names it."""

    CAD = "cad"
    IHD = "ihd"
    PPMID = "ppmid"
    LOAD_SWITCH = "load-switch"
    HAND_HELD_TERMINAL = "hand-held-terminal"
    GAS_METER = "gas-meter"
    METER = "meter"
    """Any other meter than a gas meter with a radio of its own."""
    OTHER = "other"


class PairingMethod(enum.StrEnum):
    """How a device came into the device log (requirements P1 to P4)."""

    REMOTE = "remote"
    PRE_PAIRED = "pre-paired"
    LOCAL_CODE = "local-code"
    CONFIRM = "confirm"


class JoinKind(enum.StrEnum):
    """What the trust centre saw the device do."""

    JOIN = "join"
    SECURED_REJOIN = "secured-rejoin"
    UNSECURED_REJOIN = "unsecured-rejoin"


class Step(enum.StrEnum):
    """The steps of a join, in the order in which a healthy device takes them."""

    BEACON_REQUEST = "beacon-request"
    ASSOCIATION = "association"
    TRANSPORT_KEY = "transport-key"
    DEVICE_ANNOUNCE = "device-announce"
    KEY_INITIATE = "key-initiate"
    KEY_EPHEMERAL = "key-ephemeral"
    KEY_CONFIRM = "key-confirm"
    LINK_KEY_INSTALLED = "link-key-installed"
    DISCOVERY = "discovery"
    FIRST_READ = "first-read"


class StepStatus(enum.StrEnum):
    """How a step of a join ended."""

    OK = "ok"
    REFUSED = "refused"
    FAILED = "failed"


class JoinOutcome(enum.StrEnum):
    """How a join attempt ended.

    AUTHORISED: the device holds an established link key. REFUSED: the hub said no. FAILED: it was
    let in but did not get through. NOT_HEARD: the window closed and nothing came; nobody's fault
    is shown by that.
    """

    AUTHORISED = "authorised"
    REFUSED = "refused"
    FAILED = "failed"
    NOT_HEARD = "not-heard"


class Severity(enum.StrEnum):
    """How much a note matters to the reader of a report."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Verdict(enum.StrEnum):
    """What a run says of the product, with the rig's own troubles kept apart."""

    PASS = "pass"
    MARGINAL = "marginal"
    FAIL = "fail"
    INCOMPLETE = "incomplete"
    INFRASTRUCTURE_ERROR = "infrastructure-error"


class CaseOutcome(enum.StrEnum):
    """What an attempt at an acceptance case came to.

    INCOMPLETE: too little was seen to say. INFRASTRUCTURE_ERROR: the rig's trouble, not the
    device's. NOT_APPLICABLE: rig or device has not what the case needs. SKIPPED: what it rests on
    did not hold.
    """

    PASS = "pass"
    MARGINAL = "marginal"
    FAIL = "fail"
    INCOMPLETE = "incomplete"
    INFRASTRUCTURE_ERROR = "infrastructure-error"
    NOT_APPLICABLE = "not-applicable"
    SKIPPED = "skipped"


class AirtimeState(enum.StrEnum):
    """Where a sub-GHz bearer stands against the limits of its airtime in an hour (R22 annex D).

    OFF: nothing is counted. SUSPENDED: the regulated limit is reached and the radio is silent.
    """

    OFF = "off"
    NORMAL = "normal"
    LIMITED = "limited"
    CRITICAL = "critical"
    SUSPENDED = "suspended"


class AirtimeSource(enum.StrEnum):
    """Who counted the airtime: labctl from the lengths of frames, or the radio's firmware."""

    COMPUTED = "computed"
    FIRMWARE = "firmware"


class LinkSource(enum.StrEnum):
    """How it became known how well the hub is heard by a device."""

    MGMT_LQI = "mgmt-lqi"
    """The device's neighbour table, asked for with Mgmt_Lqi_req (R22 2.4.3.3.2)."""
    DIAGNOSTICS = "diagnostics"
    """LastMessageLQI and LastMessageRSSI of the device's Diagnostics cluster (0x0B05)."""
    NEIGHBOUR = "neighbour"
    """The costs in the hub's own neighbour table; the outgoing one is what the device told."""
    LINK_POWER = "link-power"
    """A Link Power Delta command of the device (R22 annex D)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened at `at_us` (UTC microseconds since the epoch)."""

    at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A rig was opened. `kind` is bench, campaign or survey; `note` is free text."""

    rig: str
    kind: str
    simulated: bool
    labctl_version: str
    host: str
    config_sha256: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Event):
    """The rig was closed. `reasons` are the sentences behind the verdict, worst first."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioUp(Event):
    """A coordinator runs its network. `resumed` is false when it was formed just now."""

    name: str
    driver: str
    band: Band
    path: str
    eui64: str
    page: int
    channel: int
    pan_id: int
    extended_pan_id: str
    resumed: bool
    tx_power_dbm: int | None = None
    serial_number: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    firmware: str | None = None
    protocol_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioLost(Event):
    """The stick stopped answering: infrastructure, never the device's fault.

    `silent_us` is how long before that nothing had been heard of it.
    """

    name: str
    cause: str
    silent_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSeen(Event):
    """What became known of a device. Fields that are None leave what is known alone."""

    eui64: str
    name: str | None = None
    kind: DeviceKind | None = None
    manufacturer: str | None = None
    model: str | None = None
    hardware_version: str | None = None
    firmware_version: str | None = None
    certificate_suite: int | None = None
    certificate_issuer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingArmed(Event):
    """A device-log entry was made and its window opened."""

    eui64: str
    method: PairingMethod
    requested_by: str
    window_s: int
    consent_reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingWindowClosed(Event):
    """The window of a pairing closed: the device is `authorised` by then, or not."""

    eui64: str
    authorised: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingRemoved(Event):
    """A device-log entry was removed."""

    eui64: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinStarted(Event):
    """A join attempt. `join` numbers attempts within a run and ties the next two events to it."""

    join: int
    eui64: str
    kind: JoinKind
    band: Band
    page: int
    channel: int
    nwk: int | None = None
    parent_nwk: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinStepTaken(Event):
    """One step of a join. `elapsed_us` is counted from the step before it, 0 for the first."""

    join: int
    step: Step
    elapsed_us: int
    status: StepStatus = StepStatus.OK
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinEnded(Event):
    """The end of a join attempt; `cause` says why whenever it is not AUTHORISED."""

    join: int
    outcome: JoinOutcome
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSample(Event):
    """One frame heard. `rssi_dbm` is None where the radio does not tell (ZNP)."""

    eui64: str
    radio: str
    direction: Direction
    page: int
    channel: int
    lqi: int
    rssi_dbm: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadScheduleDeclared(Event):
    """What a device under test should read, and how punctually.

    `endpoint` is the hub's endpoint to be read (electricity and gas are both Metering), or None
    when any will do.
    """

    eui64: str
    name: str
    cluster_id: int
    attributes: tuple[int, ...]
    period_ms: int
    tolerance_ms: int
    endpoint: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadServed(Event):
    """A device read from the hub (or the hub from a device), and what it was told.

    `attributes` are attribute ids of a Read Attributes, empty for cluster commands; `command_id`
    is the cluster-specific command, or None for a Read Attributes. `status` is the worst ZCL status
    in the answer (0 SUCCESS), or None when no answer was sent. `latency_us` runs from the request
    leaving the driver to the answer entering it; for reads by the hub, to the answer's arrival.
    """

    eui64: str
    initiator: str  # "device" or "hub"
    endpoint: int
    cluster_id: int
    attributes: tuple[int, ...]
    command_id: int | None
    status: int | None
    latency_us: int
    aps_encrypted: bool
    schedule: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Event):
    """The hub refused a request. `layer` is nwk, aps, zdo, zcl or application."""

    eui64: str
    layer: str
    cause: str
    endpoint: int | None = None
    cluster_id: int | None = None
    command_id: int | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Event):
    """Anything else worth keeping. `kind` is a short stable word; `detail` is JSON-ready."""

    kind: str
    severity: Severity = Severity.INFO
    eui64: str | None = None
    detail: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkReport(Event):
    """How well a device hears the hub's bearer `radio`, as the device or a neighbour table tells.

    What the source does not tell is None. `lqi` (0 to 255) is the *device's* radio's, on a scale
    of its own. Costs are of R22 3.6.3.1, 1 to 7, 0 for unknown: `in_cost` of frames from the
    device, `out_cost` of frames to it. `power_delta_db` is how much stronger (or, below 0, weaker)
    the device asks the hub to send. `mac_retries` is its AverageMACRetryPerAPSMessageSent.
    """

    eui64: str
    radio: str
    source: LinkSource
    lqi: int | None = None
    rssi_dbm: int | None = None
    in_cost: int | None = None
    out_cost: int | None = None
    power_delta_db: int | None = None
    mac_retries: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries(Event):
    """Unicasts from the hub to a device over `radio` since the last such event about the two.

    `delivered` of the `attempts` were acknowledged, retries of MAC and APS included: a share of
    less than one is loss that the retries could not hide. `retries` is how often the MAC sent
    again, None where the radio does not tell.
    """

    eui64: str
    radio: str
    attempts: int
    delivered: int
    retries: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSample(Event):
    """The level on a channel, from an energy scan: the noise floor, or whoever sent meanwhile."""

    radio: str
    page: int
    channel: int
    level_dbm: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AirtimeSample(Event):
    """How long a bearer, or one device on it, was on the air in the last hour.

    `eui64` is None for the hub itself. The limits and the state are of the same party. `next_state`
    is what is reached in `next_state_in_s` if traffic goes on as it does now; both are None when it
    stays as it is.
    """

    radio: str
    airtime_us: int
    limited_us: int
    critical_us: int
    regulated_us: int
    state: AirtimeState
    source: AirtimeSource
    eui64: str | None = None
    next_state: AirtimeState | None = None
    next_state_in_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyCycleChanged(Event):
    """The hub's airtime on a bearer crossed a limit, in either direction."""

    radio: str
    state: AirtimeState
    before: AirtimeState | None = None
    airtime_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended(Event):
    """The hub told a device to send no ZCL commands for so many minutes (cluster 0x070B)."""

    eui64: str
    radio: str
    minutes: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Event):
    """A suspended device may send again: its time is over, or the hub told it so (0 minutes)."""

    eui64: str
    radio: str
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelMoved(Event):
    """A bearer is on another channel from now on; `cause` says what made the hub move it."""

    radio: str
    from_page: int
    from_channel: int
    to_page: int
    to_channel: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BandUse(Event):
    """Which band a device is on, which it could have been on, and a sentence that says why.

    `could` are the bands that device and hub both have and on which they can hear each other, as
    far as is known; `used` is normally one of them.
    """

    eui64: str
    used: Band
    could: tuple[Band, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityExceeded(Event):
    """A device made one high-bandwidth sub-GHz link more than the hub has to offer.

    `links` counts them all, this one included; a read every 10 s or more often makes one.
    """

    eui64: str
    radio: str
    links: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignStarted(Event):
    """What a campaign is played on: the hub's generation, the meters' kinds, the chosen cases."""

    generation: str
    meters: str
    """Kinds of meters, sorted, joined with `+`: electricity+gas."""
    selection: str = ""
    """What was asked for; empty for all cases."""
    reference: str | None = None
    """The name of the device that stays the same."""
    seed: int | None = None
    """Of a virtual rig: with it the same campaign can be had again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseStarted(Event):
    """An attempt at a case begins. `eui64` is None for a case that is of no single device."""

    case: str
    title: str
    attempt: int
    eui64: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A measurement as it was declared, and what was taken.

    `value` None: not taken. Below `least` or above `most` is a fail; between those and the inner
    two it is marginal. A limit that is None does not bound. `text` is how a person would say it.
    """

    name: str
    unit: str
    value: float | None
    outcome: CaseOutcome
    text: str = ""
    least: float | None = None
    most: float | None = None
    good_from: float | None = None
    good_to: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """A file with what was on the air during an attempt: the frames from `first_frame` to
    `last_frame`, numbered from 1 as Wireshark does. Those before them are from just before it.

    `path` is below the folder of the reports. `left_out` earlier frames of the attempt are not in
    the file, for its size.
    """

    path: str
    sha256: str
    octets: int
    first_frame: int
    last_frame: int
    first_us: int
    last_us: int
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEnded(Event):
    """What an attempt at a case came to. `cause` is a sentence, empty for a plain pass.

    `started_us` is where it began: what the record holds from there to `at_us` is its evidence.
    """

    case: str
    attempt: int
    outcome: CaseOutcome
    started_us: int
    eui64: str | None = None
    cause: str = ""
    band: Band | None = None
    firmware_version: str | None = None
    quarantine: str = ""
    """Set when the case does not count at the moment: who sees to it, and until when."""
    measurements: tuple[Measured, ...] = ()
    captured: Captured | None = None


class ProbeKind(enum.StrEnum):
    """What a probe of a survey was."""

    READ = "read"
    """A ZCL read that the hub sent the device, with APS acknowledgement."""
    ANSWER = "answer"
    """What the device owed the hub for a read that reached it."""
    OWN_READ = "own-read"
    """A read that the device sent of its own accord, by its schedule."""


class LevelSource(enum.StrEnum):
    """Where the level of a probe comes from."""

    MEASURED = "measured"
    """The hub's own radio."""
    REPORTED = "reported"
    """The device's word for that very frame (LastMessageRSSI of Diagnostics)."""
    RECIPROCAL = "reciprocal"
    """That of the device's answer, taken for the way there as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyStarted(Event):
    """Somebody begins to walk a site with these devices.

    `rules` is JSON: all that decides between the verdicts. `plan` is the path of a drawing.
    """

    site: str
    devices: tuple[str, ...]
    rules: str
    hub_place: str = ""
    plan: str | None = None
    plan_mm_per_pixel: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyEnded(Event):
    """The walk is over. `survey` is its number in the record, `text` what it comes to."""

    survey: int
    verdict: Verdict
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaypointStarted(Event):
    """The devices are at a place, `waypoint` in the order of the walk, from 1.

    `position` is x, y, z in metres on the plan; latitude and longitude are degrees (WGS 84).
    """

    survey: int
    waypoint: int
    room: str
    floor: int
    spot: str = ""
    position: tuple[float, float, float] | None = None
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaypointEnded(Event):
    """A waypoint was probed to its end."""

    survey: int
    waypoint: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaypointCounts(Event):
    """From now on a waypoint counts, or (undone) it does not."""

    survey: int
    waypoint: int
    counts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyRemark(Event):
    """What somebody says of a survey or of a waypoint. `kind`: note, photo (a path), limit."""

    survey: int
    kind: str
    text: str
    waypoint: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaypointNoise(Event):
    """The noise floor of a bearer's channel when a waypoint was begun."""

    survey: int
    waypoint: int
    radio: str
    page: int
    channel: int
    level_dbm: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTaken(Event):
    """One probe in one direction.

    `delivered` is after the retries of MAC and APS; `retries` is how often the hub's MAC sent again
    meanwhile, None where its radio does not tell, and always of what the device sent. The level is
    at the receiver, None when the frame was lost or nobody told.
    """

    survey: int
    waypoint: int
    eui64: str
    radio: str
    band: Band
    direction: Direction
    kind: ProbeKind
    delivered: bool
    rssi_dbm: int | None = None
    lqi: int | None = None
    level_source: LevelSource | None = None
    retries: int | None = None
    latency_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionJudged(Event):
    """What the probes of one direction of a link came to, at one waypoint.

    `ratio_low` and `ratio_high` are the 95 % interval of the delivery ratio. Margins are of the
    10th percentile, lost probes counted as below it; None: a lost one, or not shown.
    `passes_lower` is yes, no or open. `retries` None: not known.
    """

    survey: int
    waypoint: int
    eui64: str
    band: Band
    direction: Direction
    verdict: Verdict
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
    passes_lower: str
    design_effect: float
    decided_at: int | None
    retries: int | None
    level_source: LevelSource | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkJudged(Event):
    """What both directions of a link came to, at one waypoint."""

    survey: int
    waypoint: int
    eui64: str
    band: Band
    verdict: Verdict
    p10_margin_db: float | None
    passes_lower: str
    asymmetry_db: int | None
    asymmetry_found: bool


Subscriber = Callable[[Event], None]


class EventBus:
    """Hands each event to every subscriber, at once and in order of subscription.

    Subscribers are called in the emitter's own turn, so they must be quick and must not raise;
    an exception of theirs is a bug and goes through to the emitter.
    """

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Start calling `subscriber`; the returned function ends it."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def emit(self, event: Event) -> None:
        """Tell everybody."""
        for subscriber in tuple(self._subscribers):
            subscriber(event)
