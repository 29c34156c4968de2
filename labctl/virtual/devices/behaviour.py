"""The knobs with which a virtual device misbehaves; as they are by default, it is a good device.

Each is something that the device does on the air. Nobody but the device knows of them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from labctl.virtual.devices.display_faults import DisplayFaults


class LifeStep(enum.StrEnum):
    """Instants of a device's life at which something may be made to happen, in their order."""

    ASSOCIATION = "association"  # a network was chosen, nothing was sent to it yet
    NETWORK_KEY = "network-key"  # the network key has just been deciphered
    JOINED = "joined"  # announced, on the network
    KEY_INITIATE = "key-initiate"  # Initiate Key Establishment is delivered
    KEY_EPHEMERAL = "key-ephemeral"  # Ephemeral Data is delivered
    KEY_CONFIRM = "key-confirm"  # Confirm Key is delivered
    KEY_ESTABLISHED = "key-established"  # the new link key is in RAM, not in flash yet
    REGISTERED = "registered"
    SURVEYED = "surveyed"  # the first attributes of the meters were read


class KeyFault(enum.StrEnum):
    """What is wrong with the messages of a key establishment."""

    CORRUPT_CONFIRMATION = "corrupt-confirmation"  # MACU with one bit turned over
    CORRUPT_EPHEMERAL = "corrupt-ephemeral"  # a point that is not on the curve
    EPHEMERAL_FIRST = "ephemeral-first"  # Ephemeral Data where Initiate is due
    CONFIRMATION_FIRST = "confirmation-first"  # Confirm Key where Ephemeral Data is due
    INITIATE_AGAIN = "initiate-again"  # Initiate where Confirm Key is due
    REPEATED = "repeated"  # every message twice, each a frame of its own
    TRUNCATED = "truncated"  # every message without its last octet
    TWO_SUITES = "two-suites"  # Initiate names both suites at once
    UNKNOWN_SUITE = "unknown-suite"  # Initiate names a suite that does not exist


class KeyCheck(enum.StrEnum):
    """What a device has to look at in its partner's messages of a key establishment."""

    SUITE = "suite"  # that it has the suite
    ISSUER = "issuer"  # that its own authority issued the certificate
    SUBJECT = "subject"  # that the certificate is of who sent it
    KEY_USAGE = "key-usage"  # that the certificate is for key agreement
    CONFIRMATION = "confirmation"  # that MACU or MACV is right
    ORDER = "order"  # that it is the message which is due


class Layer(enum.StrEnum):
    """Whose payload is malformed."""

    ZCL = "zcl"
    APS = "aps"
    ZDO = "zdo"


class Button(enum.StrEnum):
    """What a person may press on a PPMID."""

    EMERGENCY_CREDIT = "emergency-credit"
    ENABLE_SUPPLY = "enable-supply"
    TOP_UP = "top-up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """`per_second` of something, for `duration_s` (None: for good), `after_s` after power-on."""

    per_second: float
    after_s: float = 0.0
    duration_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed(Burst):
    """Frames of random octets to one of these layers each."""

    layers: tuple[Layer, ...] = tuple(Layer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """A button that is pressed `after_s` after the device registered. `code`: 20 digits."""

    button: Button
    after_s: float
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFaults:
    """How the device goes wrong in key establishment."""

    fault: KeyFault | None = None
    attempts: int | None = None
    """How many attempts are faulty (any `fault`); all when None."""
    ephemeral_declared_s: int | None = None
    """What Initiate declares for Ephemeral Data, 0..254; the product's 11 s when None."""
    confirm_declared_s: int | None = None
    """What Initiate declares for Confirm Key, 0..254; the product's 16 s when None."""
    ephemeral_work_s: float | None = None
    """How long Ephemeral Data really takes; 1.5 s when None."""
    confirm_work_s: float | None = None
    """How long Confirm Key really takes; 3 s when None."""
    ignores_wait: bool = False
    """Try again at once, whatever Terminate asks for, and without a pause after ten failures."""
    never: bool = False
    """Do not establish keys at all: read on under the install code's key."""
    overlooks: frozenset[KeyCheck] = frozenset()
    """What of the partner's messages is not looked at."""
    never_terminates: bool = False
    """Send no Terminate."""
    keeps_key: bool = False
    """Take the key of an exchange that was ended with BAD_KEY_CONFIRM."""
    gives_up: bool = False
    """Do not begin again after a failure, until the device is on a network anew."""
    patience_s: float | None = None
    """Wait so long for each message of the partner; as it declared, and 2 s more, when None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Knobs that make a device misbehave. As they are here, it is a good device."""

    start_delay_s: float = 0.0
    """Wait so long after power-on before the first scan (or rejoin)."""
    wrong_install_code: bool = False
    """The code on the label is not the one in the device: every octet of its key is inverted."""
    ignore_permit_bit: bool = False
    """Associate although the beacon says that the network is closed."""
    looks_every_s: float | None = None
    """How long it waits before it looks for a network again; Smart Energy's pauses when None."""
    gives_up_joining: bool = False
    """After a round of joins that all failed, look for a network no more until power-on."""
    foreign_certificate: bool = False
    """Carry a certificate of another authority. The bench issues it; the device only carries it."""
    certificate_of_another: bool = False
    """Carry a certificate whose subject is another EUI-64. The bench issues it."""
    key_usage_missing: bool = False
    """Carry a suite 2 certificate that is not for key agreement. The device alters its own."""
    never_announces: bool = False
    """Send no Device_annce."""
    reads_before_key_establishment: bool = False
    """Read a meter before CBKE: once in the clear, once under the install code's key."""
    key_establishment: KeyFaults = field(default_factory=KeyFaults)
    """How the device goes wrong in key establishment."""
    leaves_at: LifeStep | None = None
    """Send a NWK leave at this step, the first time that it is reached after a power-on."""
    silent_at: LifeStep | None = None
    """Fall silent for good at this step."""
    power_cut_at: LifeStep | None = None
    """Lose the power at this step, the first time in the device's life."""
    power_cuts_every_s: float | None = None
    """Lose the power at random times, so often on average (exponential)."""
    power_back_after_s: float = 10.0
    """How long the power is away when a knob cut it."""
    writes_attribute: bool = False
    """Try one Write Attributes (the meter's Multiplier) once registered."""
    writes_every_s: float | None = None
    """Write some attribute of some cluster of the hub again and again."""
    forbidden_commands_every_s: float | None = None
    """Send, one after the other, the commands that only a PPMID or a supplier may send."""
    reads_per_slot: int = 1
    """Send every steady read so many times at once."""
    duplicate_counters: bool = False
    """Give every APS frame of the application the same counter."""
    replays: Burst | None = None
    """Send a sealed frame, and then the very same octets again and again."""
    flood: Burst | None = None
    """Send reads without waiting for their answers."""
    malformed: Malformed | None = None
    """Send frames of random octets."""
    rejoin_storm: Burst | None = None
    """Rejoin the network, though it is on it, again and again."""
    fast_poll_every_s: float | None = None
    """Ask for fast poll mode (2 s, 15 min) so often, and read demand that fast while it is on."""
    presses: tuple[Press, ...] = ()
    """Buttons that a person presses (PPMID)."""
    stays_s: float | None = None
    """Leave so long after registration, and be switched off. None: what its kind does."""
    silent_after_s: float | None = None
    """Fall silent so long after power-on: the radio hears nothing and sends nothing."""
    ignores_suspension: bool = False
    """Talk on though the hub said to be silent (868 MHz)."""
    answers_suspension: bool = False
    """Answer Suspend ZCL Messages with a Default Response, which is never to be (868 MHz)."""
    never_asks_suspension: bool = False
    """Do not ask the hub whether to be silent after coming to the network (868 MHz)."""
    ignores_channel_change: bool = False
    """Stay on the channel when the hub says where it goes; the device then has to search."""
    forgets_network: bool = False
    """Forget network and keys whenever the power goes."""
    never_rejoins: bool = False
    """Do not look for the network again, once it is lost: the radio is off until power-on."""
    ignores_keep_alive: bool = False
    """Go on though nobody answers the keep-alives."""
    misses_network_key: bool = False
    """Do not take the next network key; whoever uses it is not understood any more."""
    stays_when_removed: bool = False
    """Obey no APS Remove Device and no leave, and talk on."""
    keeps_tenant_data: bool = False
    """Keep what is known of the former tenant when told to clear it."""
    hides_firmware: bool = False
    """Have neither ApplicationVersion nor SWBuildID."""
    refuses_other_hub: bool = False
    """Take no network key of another trust centre, though it is under the hash of the link key."""
    ignores_ota_wait: bool = False
    """Ask for the next block at once though the server says to wait."""
    prefers_wrong_band: bool = False
    """Join on the band that it is to prefer least, wherever it hears it at all."""
    gives_up_after_unsupported: bool = False
    """End a read schedule for good once an attribute of it is answered with 0x86."""
    crashes_on_malformed: bool = False
    """Hang for good, radio and all, once a ZCL frame or an answer cannot be read."""
    display: DisplayFaults = field(default_factory=DisplayFaults)
    """How what the device shows goes wrong."""
    clock_ppm: float | None = None
    """How much too fast the crystal runs, parts per million; drawn from -20..20 when None."""
