"""How a good virtual device behaves: its delays and its read schedules.

Delays are those of displays built on EmberZNet (the common client state machine) and the rules of
Smart Energy 1.4a section 5.4. They are settings, since products differ.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

METERING = 0x0702
PRICE = 0x0700
DRLC = 0x0701
MESSAGING = 0x0703
TIME = 0x000A
BASIC = 0x0000
KEEP_ALIVE = 0x0025
KEY_ESTABLISHMENT = 0x0800
PREPAYMENT = 0x0705
CALENDAR = 0x0707
DEVICE_MANAGEMENT = 0x0708
TUNNELING = 0x0704
EVENTS = 0x0709
OTA = 0x0019
SUB_GHZ = 0x070B
DIAGNOSTICS = 0x0B05

SMART_ENERGY_PROFILE = 0x0109
WILDCARD_PROFILE = 0xFFFF
NEEDS_LINK_KEY = frozenset(
    {TIME, KEEP_ALIVE, PRICE, DRLC, METERING, MESSAGING, TUNNELING, PREPAYMENT, 0x0706}
    | {CALENDAR, DEVICE_MANAGEMENT, EVENTS, SUB_GHZ, OTA}
)
"""Clusters whose frames carry APS security under the link key (Smart Energy 1.4a 5.4.6)."""


class Kind(enum.StrEnum):
    """What the virtual device is sold as."""

    CAD = "cad"
    IHD = "ihd"
    PPMID = "ppmid"
    LOAD_SWITCH = "load-switch"
    HAND_HELD_TERMINAL = "hand-held-terminal"
    GAS_METER = "gas-meter"


class Fuel(enum.StrEnum):
    """What a meter measures, from MeteringDeviceType 0x0306."""

    ELECTRICITY = "electricity"
    GAS = "gas"


@dataclass(frozen=True, slots=True)
class Timings:
    """Delays, retries and give-ups; s unless the name says otherwise."""

    # Commissioning (Smart Energy 1.4a 5.4.1)
    scan_attempts: int = 3
    scan_attempt_gap_s: float = 1.0
    scan_attempt_jitter_s: float = 0.25
    rescan_s: float = 60.0
    rescan_jitter_s: float = 15.0
    rescan_for_s: float = 15 * 60.0
    slow_rescan_s: float = 3600.0
    slow_rescan_jitter_s: float = 1800.0
    joins_per_network: int = 3
    joins_per_scan: int = 10
    join_gap_s: float = 1.0
    network_key_timeout_s: float = 5.0

    # Registration (EmberZNet's client)
    start_s: float = 4.0
    transition_s: float = 0.25
    resume_s: float = 0.5
    brief_s: float = 8.0
    retry_s: float = 32.0
    strikes: int = 3
    restart_s: float = 60.0  # the product's own, after an aborted registration
    discovery_window_s: float = 2.0  # answers to a broadcast Match_Desc
    zdo_timeout_s: float = 5.0
    max_esi_nodes: int = 3
    max_time_servers: int = 4
    rediscovery_s: float = 3 * 3600.0

    # Key establishment
    ephemeral_generate_s: int = 11  # declared to the partner
    confirm_generate_s: int = 16
    ephemeral_work_s: float = 1.5  # what the arithmetic really takes on a small processor
    confirm_work_s: float = 3.0
    key_failures: int = 10
    key_pause_s: float = 15 * 60.0

    # Keep-alive, until the server has told its own
    keep_alive_base_s: float = 120.0
    keep_alive_jitter_s: float = 60.0
    keep_alive_timeout_s: float = 5.0
    keep_alive_failures: int = 3

    # Rejoin: rounds on the own channel, then all channels; then again after a growing wait
    rejoin_rounds: int = 3
    rejoin_wait_s: float = 60.0
    rejoin_wait_max_s: float = 15 * 60.0

    # Application
    request_timeout_s: float = 5.0
    application_retry_s: float = 32.0
    read_retries: int = 2  # within a slot, where the slot is long enough for application_retry_s
    read_failures_before_rejoin: int = 12
    scheduling_jitter_s: float = 0.004  # how late a slot is served, mean of an exponential
    exploration_gap_s: float = 1.5  # between the requests of the application's first contact
    history_every_s: float = 24 * 3600.0  # how often history is read again
    confirmation_s: float = 20.0  # after which a person confirms a message
    screen_every_s: float = 60.0  # how often the picture on the screen is kept

    # OTA upgrade: EmberZNet's client, but for the period (products are slower than its 5 min)
    ota_server_retry_s: float = 24 * 3600.0
    ota_query_s: float = 24 * 3600.0
    ota_first_query_s: float = 600.0
    ota_block_octets: int = 48
    ota_errors: int = 10
    ota_upgrade_wait_s: float = 600.0
    ota_upgrade_waits: int = 10

    # Below 1 GHz
    silence_longer_s: float = 1.0  # beyond the minutes that were announced
    silence_jitter_s: float = 9.0
    link_watch_min: int = 15  # how often lost frames are looked at
    link_watch_least: int = 20
    link_watch_failed_share: float = 0.25
    announced_move_s: float = 60.0  # from reading ChannelChange to the own move
    slot_near_s: float = 60.0  # a read that fell into silence waits for a slot that is so near

    # Gas meter
    mirror_search_s: float = 10.0
    wake_s: float = 1800.0
    report_gap_s: float = 0.5
    mirror_answer_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSchedule:
    """One thing that the device reads over and over, on a grid of `period_s`.

    With `command_id` it is a cluster command (with `command_payload`), otherwise a Read Attributes
    of `attributes`. `endpoint` of the hub is read when it is given. Otherwise Time is read from the
    chosen time server, and everything else from the meter of that `fuel`.
    """

    name: str
    cluster_id: int
    period_s: float
    attributes: tuple[int, ...] = ()
    command_id: int | None = None
    command_payload: bytes = b""
    fuel: Fuel = Fuel.ELECTRICITY
    endpoint: int | None = None


ELECTRICITY_READS = ReadSchedule(
    name="electricity", cluster_id=METERING, attributes=(0x0000, 0x0400), period_s=10.0
)
GAS_READS = ReadSchedule(
    name="gas", cluster_id=METERING, attributes=(0x0000,), period_s=1800.0, fuel=Fuel.GAS
)
PRICE_READS = ReadSchedule(
    name="price", cluster_id=PRICE, command_id=0x00, command_payload=b"\x01", period_s=1800.0
)
TIME_READS = ReadSchedule(
    name="time", cluster_id=TIME, attributes=(0x0000, 0x0001, 0x0008, 0x0009), period_s=3600.0
)
BALANCE_READS = ReadSchedule(
    name="balance",
    cluster_id=PREPAYMENT,
    attributes=(0x0001, 0x0002, 0x0003, 0x0005),
    period_s=60.0,
)

DEFAULT_SCHEDULES: dict[Kind, tuple[ReadSchedule, ...]] = {
    Kind.CAD: (ELECTRICITY_READS, GAS_READS),
    Kind.IHD: (ELECTRICITY_READS, PRICE_READS, GAS_READS, TIME_READS),
    Kind.PPMID: (ELECTRICITY_READS, BALANCE_READS, PRICE_READS, GAS_READS, TIME_READS),
    Kind.LOAD_SWITCH: (TIME_READS,),
    Kind.HAND_HELD_TERMINAL: (TIME_READS,),
    Kind.GAS_METER: (),
}
"""What each kind reads when nothing else is asked of them (S1 p.3: 10 s and 30 min)."""
