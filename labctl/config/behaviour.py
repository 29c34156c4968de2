"""How a virtual device departs from a healthy one: the knobs of an inventory."""

from __future__ import annotations

import enum
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, WithJsonSchema

from labctl.config.display_faults import DisplayFaults
from labctl.config.fields import Name, Real, Strict, Text, Whole, choice, section, unique, wrong
from labctl.config.problems import quote
from labctl.config.times import Duration, Within

_Word = TypeVar("_Word", bound=enum.StrEnum)


class LifeStep(enum.StrEnum):
    """Instants of a device's life, in their order."""

    ASSOCIATION = "association"
    NETWORK_KEY = "network-key"
    JOINED = "joined"
    KEY_INITIATE = "key-initiate"
    KEY_EPHEMERAL = "key-ephemeral"
    KEY_CONFIRM = "key-confirm"
    KEY_ESTABLISHED = "key-established"
    REGISTERED = "registered"
    SURVEYED = "surveyed"


class KeyFault(enum.StrEnum):
    """What is wrong with the messages of a key establishment."""

    CORRUPT_CONFIRMATION = "corrupt-confirmation"
    CORRUPT_EPHEMERAL = "corrupt-ephemeral"
    EPHEMERAL_FIRST = "ephemeral-first"
    CONFIRMATION_FIRST = "confirmation-first"
    INITIATE_AGAIN = "initiate-again"
    REPEATED = "repeated"
    TRUNCATED = "truncated"
    TWO_SUITES = "two-suites"
    UNKNOWN_SUITE = "unknown-suite"


class KeyCheck(enum.StrEnum):
    """What a device has to look at in its partner's messages of a key establishment."""

    SUITE = "suite"
    ISSUER = "issuer"
    SUBJECT = "subject"
    KEY_USAGE = "key-usage"
    CONFIRMATION = "confirmation"
    ORDER = "order"


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


def _words(kind: type[_Word], what: str, value: Any) -> tuple[_Word, ...]:
    words = [word.value for word in kind]
    if not isinstance(value, list | tuple) or not value:
        raise wrong(f"a list of {what}s is needed", "write some of: " + ", ".join(words))
    for word in value:
        if word not in words:
            raise wrong(f"there is no {what} {quote(word)}", "write some of: " + ", ".join(words))
    unique(value, what=what)
    return tuple(kind(word) for word in value)


def _schema(kind: type[enum.StrEnum]) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "type": "array",
            "items": {"enum": [word.value for word in kind]},
            "minItems": 1,
            "x-kind": "list of " + ", ".join(f"`{word.value}`" for word in kind),
        }
    )


Layers = Annotated[
    tuple[Layer, ...],
    BeforeValidator(partial(_words, Layer, "layer")),
    _schema(Layer),
]

KeyChecks = Annotated[
    tuple[KeyCheck, ...],
    BeforeValidator(partial(_words, KeyCheck, "check")),
    _schema(KeyCheck),
]

_Period = Annotated[Duration, Within("1s", "30d")]


class Burst(Strict):
    """Something that the device does many times."""

    per_second: Annotated[float, Real(0.001, 1000)]
    """How many a second."""
    after: Annotated[Duration, Within("0s", "30d")] = timedelta(0)
    """How long after it is switched on it begins."""
    duration: _Period | None = None
    """How long it goes on. Default: for good."""


class Malformed(Burst):
    """Frames of random octets."""

    layers: Layers = tuple(Layer)
    """Whose payload the octets are."""


class Press(Strict):
    """A button that a person presses."""

    button: Annotated[Button, choice(Button)]
    """Which."""
    after: Annotated[Duration, Within("0s", "30d")] = timedelta(0)
    """How long after the device registered."""
    code: Text = ""
    """What is typed: the 20 digits of a top-up."""


class KeyFaults(Strict):
    """How the device goes wrong in key establishment."""

    fault: Annotated[KeyFault, choice(KeyFault)] | None = None
    """What is wrong with its messages."""
    attempts: Annotated[int, Whole(1, 1000)] | None = None
    """How many attempts have that fault. Default: all."""
    ephemeral_declared: Annotated[Duration, Within("0s", "254s")] | None = None
    """The time that it declares for Ephemeral Data, whole seconds. Default: 11 s."""
    confirm_declared: Annotated[Duration, Within("0s", "254s")] | None = None
    """The time that it declares for Confirm Key, whole seconds. Default: 16 s."""
    ephemeral_work: Annotated[Duration, Within("0s", "1h")] | None = None
    """The time that Ephemeral Data really takes. Default: 1.5 s."""
    confirm_work: Annotated[Duration, Within("0s", "1h")] | None = None
    """The time that Confirm Key really takes. Default: 3 s."""
    ignores_wait: bool = False
    """It tries again at once, whatever Terminate asks for."""
    never: bool = False
    """It establishes no key, and reads on under the key of its install code."""
    overlooks: KeyChecks = ()
    """What it does not look at in its partner's messages."""
    never_terminates: bool = False
    """It ends an exchange without telling its partner."""
    keeps_key: bool = False
    """It says that the confirmation is wrong, and takes the key all the same."""
    gives_up: bool = False
    """It does not try again after an attempt that failed."""
    patience: Annotated[Duration, Within("1s", "1h")] | None = None
    """How long it waits for its partner, whatever that declared. Default: that, and 2 s more."""


class Behaviour(Strict):
    """How a virtual device departs from a healthy one. As it stands here, it is healthy."""

    start_delay: Annotated[Duration, Within("0s", "30d")] = timedelta(0)
    """How long after it is switched on the device starts to look for a network."""
    wrong_install_code: bool = False
    """The device joins with another install code than its label says."""
    ignore_permit_bit: bool = False
    """The device tries to associate although the network says that it is closed."""
    looks_every: _Period | None = None
    """How often it looks for a network to join. Default: each minute, after 15 min each hour."""
    gives_up_joining: bool = False
    """The device looks for a network no more once a join of its failed."""
    foreign_certificate: bool = False
    """The device carries a certificate of an authority that the hub does not trust."""
    certificate_of_another: bool = False
    """The device carries a certificate of another device, of the same authority."""
    key_usage_missing: bool = False
    """The device's suite 2 certificate is not for key agreement."""
    never_announces: bool = False
    """The device sends no Device_annce after it joined."""
    reads_before_key_establishment: bool = False
    """The device reads a meter before key establishment."""
    key_establishment: Annotated[KeyFaults, BeforeValidator(section)] = Field(
        default_factory=KeyFaults
    )
    """How the device goes wrong in key establishment."""
    leaves_at: Annotated[LifeStep, choice(LifeStep)] | None = None
    """The device leaves the network at this step, the first time after each power-on."""
    silent_at: Annotated[LifeStep, choice(LifeStep)] | None = None
    """The device falls silent for good at this step."""
    power_cut_at: Annotated[LifeStep, choice(LifeStep)] | None = None
    """The device loses its power at this step, once."""
    power_cuts_every: _Period | None = None
    """The device loses its power at random times, so often on average."""
    power_back_after: Annotated[Duration, Within("0s", "30d")] = timedelta(seconds=10)
    """How long the power is away when it was cut."""
    writes_attribute: bool = False
    """The device tries to write an attribute of a meter."""
    writes_every: _Period | None = None
    """The device tries to write attributes of many clusters, one each time."""
    forbidden_commands_every: _Period | None = None
    """The device sends commands that only a PPMID or a supplier may send, one each time."""
    reads_per_slot: Annotated[int, Whole(1, 50)] = 1
    """How many times the device sends each of its steady reads at once."""
    duplicate_counters: bool = False
    """The device gives all APS frames of its application the same counter."""
    replays: Annotated[Burst, BeforeValidator(section)] | None = None
    """The device sends the very same octets again and again."""
    flood: Annotated[Burst, BeforeValidator(section)] | None = None
    """The device sends reads without waiting for their answers."""
    malformed: Annotated[Malformed, BeforeValidator(section)] | None = None
    """The device sends frames of random octets."""
    rejoin_storm: Annotated[Burst, BeforeValidator(section)] | None = None
    """The device rejoins again and again, though it is on the network."""
    fast_poll_every: _Period | None = None
    """The device asks for fast poll mode so often, and uses it."""
    presses: Annotated[list[Press], Field(max_length=100)] = Field(default_factory=list)
    """Buttons that a person presses (PPMID)."""
    stays: _Period | None = None
    """The device leaves so long after it registered. Default: a hand-held terminal after 30 min."""
    silent_after: Annotated[Duration, Within("1s", "366d")] | None = None
    """How long after it is switched on the device falls silent. Default: never."""
    ignores_suspension: bool = False
    """868 MHz: the device talks on though the hub told it to be silent."""
    answers_suspension: bool = False
    """868 MHz: the device answers Suspend ZCL Messages with a Default Response."""
    never_asks_suspension: bool = False
    """868 MHz: the device does not ask whether it may talk when it comes to the network."""
    ignores_channel_change: bool = False
    """The device stays on its channel when the hub says where it goes, and has to search for it."""
    forgets_network: bool = False
    """The device forgets network and keys whenever it loses its power."""
    never_rejoins: bool = False
    """The device does not look for its network again, once it has lost it."""
    ignores_keep_alive: bool = False
    """The device goes on though nobody answers its keep-alives."""
    misses_network_key: bool = False
    """The device does not take another network key."""
    stays_when_removed: bool = False
    """The device stays and talks on when the hub removes it."""
    keeps_tenant_data: bool = False
    """The device shows on what it knows of the former tenant."""
    hides_firmware: bool = False
    """The device does not tell the version of its firmware."""
    refuses_other_hub: bool = False
    """The device takes no other hub for its own, though it knows the hash of the device's key."""
    ignores_ota_wait: bool = False
    """The device asks for the next block of its image at once, though it is told to wait."""
    prefers_wrong_band: bool = False
    """The device joins on the band that it is to prefer least, wherever it hears it."""
    gives_up_after_unsupported: bool = False
    """The device ends a read schedule for good once it hears that an attribute is unsupported."""
    crashes_on_malformed: bool = False
    """The device hangs for good once it hears something malformed."""
    display: Annotated[DisplayFaults, BeforeValidator(section)] = Field(
        default_factory=DisplayFaults
    )
    """How what the device shows goes wrong."""
    clock_ppm: Annotated[float, Real(-100_000, 100_000)] | None = None
    """How fast its clock runs, parts per million. Default: drawn from -20 to 20."""
    read_periods: Annotated[
        dict[Name, Annotated[Duration, Within("1s", "7d")]], BeforeValidator(section)
    ] = Field(default_factory=dict)
    """Read schedules that the device keeps at another period than the rig expects, by name."""
