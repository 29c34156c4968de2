"""The rig file: which radio is the hub's, what it serves, and which devices are under test."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from labctl.config.campaign_file import Campaign
from labctl.config.fields import (
    WRITTEN,
    Eui,
    Name,
    Octets,
    Strict,
    Text,
    Whole,
    as_written,
    choice,
    section,
    wrong,
)
from labctl.config.hub_links import Agility, Links, OverCapacity, OverCapacityChoice
from labctl.config.hub_radio import (
    DutyCycle,
    MaybeBand,
    MaybeChannel,
    MaybeFrequency,
    MaybePage,
    MaybePower,
    SubGhz,
    Suspension,
)
from labctl.config.inventory import LAB_CA, Suites
from labctl.config.meters_file import ElectricityMeter as ElectricityMeter
from labctl.config.meters_file import GasMeter as GasMeter
from labctl.config.meters_file import Meter as Meter
from labctl.config.meters_file import Profile as Profile
from labctl.config.problems import quote
from labctl.config.survey_file import Survey
from labctl.config.tariff_file import Tariff as Tariff
from labctl.config.tariff_file import Tier as Tier
from labctl.config.times import Duration, Within
from labctl.config.virtual_file import Environment as Environment
from labctl.config.virtual_file import RigClock as RigClock
from labctl.config.virtual_file import VirtualBench as VirtualBench
from labctl.events import PairingMethod
from labctl.smart_energy.disagreements import (
    ApsSecurity,
    DeviceSettings,
    PriceForm,
    SnapshotWindow,
    TimeBase,
)


class Generation(enum.StrEnum):
    """Which technical specifications the hub follows."""

    SMETS1 = "smets1"
    SMETS2 = "smets2"

    @property
    def suite(self) -> int:
        """The key establishment suite of this generation."""
        return 1 if self is Generation.SMETS1 else 2


class HubTime(enum.StrEnum):
    """Which TimeStatus bit the hub's clock shows (ZCL 3.12.2.2.2)."""

    MASTER = "master"
    SYNCHRONISED = "synchronised"


class KeyEngine(enum.StrEnum):
    """Where the arithmetic of key establishment is done."""

    AUTO = "auto"
    HOST = "host"
    RADIO = "radio"


def _identifier(value: Any) -> int | str:
    """A cluster, attribute or command: a number from 0 to 0xFFFF, or a name."""
    if isinstance(value, bool):
        raise wrong("a name or a number is needed here")
    if isinstance(value, int):
        if not 0 <= value <= 0xFFFF:
            raise wrong(f"{getattr(value, 'text', value)} is out of range: 0x0000 to 0xFFFF")
        return int(value)
    text = as_written(value)
    if not isinstance(text, str) or not text:
        raise wrong("a name or a number is needed here")
    try:
        return _identifier(int(text, 16)) if text.lower().startswith("0x") else text
    except ValueError:
        raise wrong(f"{quote(text)} is not a hexadecimal number") from None


Identifier = Annotated[
    int | str,
    BeforeValidator(_identifier),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, {"type": "integer", "minimum": 0, "maximum": 0xFFFF}],
            "x-kind": "name or number",
        }
    ),
]
"""A cluster, attribute or command: its name, or its number."""


class KeepAlive(Strict):
    """What the Keep-Alive cluster tells devices."""

    base_min: Annotated[int, Whole(1, 255)] = 10
    """Minutes between two looks at the hub."""
    jitter_s: Annotated[int, Whole(0, 512)] = 300
    """Seconds that a device adds at random, at most."""


class Ota(Strict):
    """How images are served."""

    images: Text
    """Folder of the images (`*.ota`, `*.zigbee`), from this file's folder."""
    notify: bool = True
    """Whether devices are told of images when they get in."""
    block_octets: Annotated[int, Whole(1, 255)] = 48
    """Octets in one block, at most. Devices may ask for fewer."""
    block_period: Annotated[Duration, Within("0s", "60s")] = timedelta(0)
    """Devices that ask for blocks more often are told to wait."""
    simultaneous: Annotated[int, Whole(1, 64)] = 16
    """Downloads at the same time; other devices are told to wait."""
    wait: Annotated[Duration, Within("1s", "1d")] = timedelta(seconds=60)
    """How long they are told to wait."""
    upgrade_after: Annotated[Duration, Within("0s", "366d")] | None = timedelta(0)
    """How long after its download a device upgrades; `null` lets it wait for another word."""


class Supplier(Strict):
    """Who supplies, as displays are told."""

    name: Annotated[str, Octets(16)] = "labctl"
    """Name, up to 16 octets."""
    contact: Annotated[str, Octets(19)] | None = None
    """Contact details, up to 19 octets."""
    provider_id: Annotated[int, Whole(0, 0xFFFFFFFE)] = 1
    """The supplier's number, where no tariff tells one."""
    customer_id: Annotated[str, Octets(24)] | None = None
    """The customer's number with the supplier, up to 24 octets. Default: none is told."""


class Tunnels(Strict):
    """Tunnels for GBCS messages."""

    open: bool = True
    """Whether the hub opens one to each PPMID and load switch."""
    most: Annotated[int, Whole(0, 255)] = 16
    """Tunnels that devices may open to the hub at the same time."""
    busy: bool = False
    """Whether the hub answers all requests for tunnels with 'busy'."""
    close_after: Annotated[Duration, Within("1s", "65534s")] | None = None
    """How long a tunnel may be idle. Default: for ever."""


class Hub(Strict):
    """The communications hub."""

    radio: Name
    """The radio of the inventory that the hub works with."""
    generation: Annotated[Generation, choice(Generation)] = Generation.SMETS2
    """`smets1` (key establishment suite 1) or `smets2` (suite 2)."""
    suites: Suites | None = None
    """Key establishment suites that the hub offers. Default: that of its generation."""
    band: MaybeBand = None
    """`2.4 GHz`, `868 MHz`, or `dual`: both at once. Default: the band of `page` or `frequency`;
    `dual` with a section `sub_ghz`; else 2.4 GHz."""
    channel: MaybeChannel = None
    """Channel: 11 to 26 on 2.4 GHz; on 868 MHz as in `sub_ghz`. Default: 20; on 868 MHz 10."""
    page: MaybePage = None
    """Channel page: 0 for 2.4 GHz, 28 to 31 for sub-GHz. Default: the one that `channel` is on;
    28 for 0 to 26."""
    frequency: MaybeFrequency = None
    """Instead of page and channel: `868.45 MHz`, `868450 kHz`, `2425 MHz`."""
    tx_power_dbm: MaybePower = None
    """Transmit power in dBm. On 868 MHz at most 14. Default: 8; on 868 MHz 14."""
    sub_ghz: Annotated[SubGhz | None, BeforeValidator(section)] = None
    """The 868 MHz side of a dual-band hub; the keys above are its 2.4 GHz side."""
    duty_cycle: Annotated[DutyCycle, BeforeValidator(section)] = Field(default_factory=DutyCycle)
    """Limits of airtime on 868 MHz."""
    suspend_for: Suspension = timedelta(minutes=5)
    """How long devices are asked to be silent when airtime on 868 MHz runs out."""
    sub_ghz_links: Annotated[int, Whole(0, 64)] = 4
    """Devices that may read every 10 s or more often on 868 MHz; one more is over capacity."""
    over_capacity: OverCapacityChoice = OverCapacity.SERVE
    """What becomes of that one: it is recorded, and `serve`d all the same or `refuse`d."""
    agility: Annotated[Agility, BeforeValidator(section)] = Field(default_factory=Agility)
    """When the hub changes its channel of its own accord."""
    links: Annotated[Links, BeforeValidator(section)] = Field(default_factory=Links)
    """How often the hub looks at its links."""
    certificate: Name = LAB_CA
    """`lab-ca` (the lab's own authority), or a certificate of the inventory."""
    pan_id: Annotated[int, Whole(0x0001, 0xFFFE, hexadecimal=True)] | None = None
    """PAN id for a network that is formed anew. Default: chosen at random."""
    extended_pan_id: Eui | None = None
    """Extended PAN id for a network that is formed anew. Default: chosen at random."""
    time: Annotated[HubTime, choice(HubTime)] = HubTime.SYNCHRONISED
    """Which bit of TimeStatus the hub's clock shows: `master` or `synchronised`."""
    max_devices: Annotated[int, Whole(1, 64)] = 16
    """Entries that the device log has room for."""
    gas_proxy_counts: bool = False
    """Whether the gas proxy's channel, which is always kept, is one of them. Sources leave it
    open."""
    require_consent: bool = False
    """Whether nothing is paired without a consent reference."""
    key_store: Text | None = None
    """File that keeps the device log with its keys, from this file's folder. Default:
    `.labctl/RIG/keys.json` beside the inventory."""
    reconnect: Annotated[Duration, Within("0s", "30d")] = timedelta(minutes=10)
    """How long a radio that is lost in the middle of a run is waited for; `0s`: the run ends at
    once."""
    key_engine: Annotated[KeyEngine, choice(KeyEngine)] = KeyEngine.AUTO
    """Where key establishment is calculated: `auto` (in the radio, when its firmware can), `host`
    or `radio`."""
    access: Text | None = None
    """Path of an access table, from this file's folder: who may do what. Default: labctl's own."""
    refusal_status: Annotated[int, Whole(1, 0xFF, hexadecimal=True)] = 0x7E
    """ZCL status that answers what the access table denies. Default: NOT_AUTHORIZED."""
    write_status: Annotated[int, Whole(1, 0xFF, hexadecimal=True)] = 0x88
    """ZCL status that answers a write that is not let through. Default: READ_ONLY."""
    keep_alive: Annotated[KeepAlive, BeforeValidator(section)] = Field(default_factory=KeepAlive)
    """How often devices look whether the hub is there."""
    ota: Annotated[Ota | None, BeforeValidator(section)] = None
    """Images for devices to upgrade to. Default: there are none."""
    tunnels: Annotated[Tunnels, BeforeValidator(section)] = Field(default_factory=Tunnels)
    """Tunnels to and from devices."""
    supplier: Annotated[Supplier, BeforeValidator(section)] = Field(default_factory=Supplier)
    """Who supplies, as displays are told."""

    @property
    def all_suites(self) -> tuple[int, ...]:
        """The suites that the hub offers, defaults applied."""
        return self.suites or (self.generation.suite,)


class Pairing(Strict):
    """How the device comes into the device log."""

    method: Annotated[PairingMethod, choice(PairingMethod)] = PairingMethod.REMOTE
    """`remote` (code and address in, window opens), `pre-paired`, or by a person: `local-code`
    (its code is typed at the meter) and `confirm` (its address is shown and confirmed)."""
    window: Annotated[Duration, Within("1s", "65535s")] = timedelta(minutes=10)
    """How long joining is open for the device, and how long a person is waited for."""
    requested_by: Text = "bench"
    """Who asked for the pairing: kept as evidence."""
    consent_reference: Text | None = None
    """The consumer's consent, as the records name it: kept as evidence."""


def _endpoint(value: Any) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= 240:
            raise wrong(f"{getattr(value, 'text', value)} is out of range: 1 to 240 is possible")
        return int(value)
    if isinstance(value, str) and value:
        return value
    raise wrong("an endpoint is a meter's name, 'hub', or a number from 1 to 240")


class Read(Strict):
    """One thing that the device should read, and how often."""

    name: Name
    """Name of the schedule, for reports."""
    cluster: Identifier
    """Cluster, by name or number."""
    endpoint: (
        Annotated[
            int | str,
            BeforeValidator(_endpoint),
            WithJsonSchema(
                {
                    "anyOf": [
                        {"type": "string"},
                        {"type": "integer", "minimum": 1, "maximum": 240},
                    ],
                    "x-kind": "name or number",
                }
            ),
        ]
        | None
    ) = None
    """A meter's name, `hub`, or the number of an endpoint. Default: any."""
    attributes: Annotated[tuple[Identifier, ...], Field(strict=False, max_length=64)] = ()
    """Attributes that one read asks for, by name or number."""
    command: Identifier | None = None
    """Instead of attributes: the cluster command that the device sends, by name or number."""
    every: Annotated[Duration, Within("1s", "366d")]
    """The period."""
    tolerance: Annotated[Duration, Within("0s", "366d")] | None = None
    """How much early or late is punctual. Default: a fifth of the period, at most 1 min."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> Read:
        if self.attributes and self.command is not None:
            raise wrong(
                "a schedule is of attributes or of a command, not of both",
                "make two schedules of it",
            )
        if not self.attributes and self.command is None:
            raise wrong("the schedule reads nothing", "add 'attributes: [...]' or 'command: ...'")
        return self

    @property
    def punctual_within(self) -> timedelta:
        """The tolerance, default applied."""
        if self.tolerance is not None:
            return self.tolerance
        return min(self.every / 5, timedelta(minutes=1))


class Disputed(Strict):
    """How the hub treats the device where sources disagree. What it really does is recorded."""

    time_security: Annotated[ApsSecurity, choice(ApsSecurity)] = ApsSecurity.EITHER
    """APS security on Time: `either` way is served, or it is `required`."""
    keep_alive_security: Annotated[ApsSecurity, choice(ApsSecurity)] = ApsSecurity.EITHER
    """APS security on Keep-Alive: `either` way is served, or it is `required`."""
    snapshot_window: Annotated[SnapshotWindow, choice(SnapshotWindow)] = SnapshotWindow.HALF_OPEN
    """`half-open`: a snapshot at the very end of the window asked for is not in it; `closed`."""
    publish_price: Annotated[PriceForm, choice(PriceForm)] = PriceForm.SHORT
    """`short` (28 octets and the label) or `long` (19 octets more)."""
    calendar_time_base: Annotated[TimeBase, choice(TimeBase)] = TimeBase.UTC
    """The time that calendars are said to be in: `utc`, `standard` or `local`."""
    suites: Suites | None = None
    """Key establishment suites on offer to the device, of those that the hub has. Default: all."""

    @property
    def values(self) -> DeviceSettings:
        """As the hub takes them."""
        return DeviceSettings(
            time_security=self.time_security,
            keep_alive_security=self.keep_alive_security,
            snapshot_window=self.snapshot_window,
            price_form=self.publish_price,
            calendar_time_base=self.calendar_time_base,
            suites=self.suites,
        )


class DeviceRole(Strict):
    """A device under test, and what is expected of it."""

    device: Name
    """The device of the inventory."""
    pairing: Annotated[Pairing, BeforeValidator(section)] = Field(default_factory=Pairing)
    """How it comes into the device log."""
    reads: Annotated[tuple[Read, ...], Field(strict=False)] = ()
    """What it should read."""
    settings: Annotated[Disputed, BeforeValidator(section)] = Field(default_factory=Disputed)
    """How the hub treats it where sources disagree."""


class Bench(Strict):
    """Settings for `labctl bench`."""

    duration: Annotated[Duration, Within("1s", "366d")] | None = None
    """How long a bench run lasts. Default: 24h on a virtual rig, else until interrupted."""


class Capture(Strict):
    """Settings for `labctl capture`."""

    radio: Annotated[Name | None, WRITTEN] = None
    """The radio of the inventory that listens: a second EZSP stick, never the hub's own. A virtual
    rig needs none."""


def _rig_name(value: Any) -> str:
    text = as_written(value)
    if isinstance(text, str) and len(text) <= 63 and text and not set(text) - _RIG_LETTERS:
        return text
    raise wrong(
        f"{quote(value)} is not a rig name",
        "use up to 63 lower-case letters, digits and '-'",
    )


_RIG_LETTERS = set("abcdefghijklmnopqrstuvwxyz0123456789-")


class Rig(Strict):
    """A rig: a hub, its meters, and the devices under test."""

    rig: Annotated[
        str,
        BeforeValidator(_rig_name),
        WithJsonSchema(
            {"type": "string", "pattern": "^[a-z0-9-]{1,63}$", "x-kind": "name in lower case"}
        ),
    ]
    """Name of the rig. Runs and reports go by it."""
    inventory: Text | None = None
    """Path of the inventory, from this file's folder. Default: `inventory.yaml` beside this file,
    or one folder up."""
    hub: Hub
    """The communications hub."""
    meters: Annotated[dict[Name, Meter], Field(min_length=1)]
    """Meters that the hub shows, by name: up to four for electricity, one for gas."""
    devices: Annotated[tuple[DeviceRole, ...], Field(strict=False)] = ()
    """Devices under test."""
    bench: Annotated[Bench, BeforeValidator(section)] = Field(default_factory=Bench)
    """Settings for `labctl bench`."""
    capture: Annotated[Capture, BeforeValidator(section)] = Field(default_factory=Capture)
    """Settings for `labctl capture`."""
    campaign: Annotated[Campaign, BeforeValidator(section)] = Field(default_factory=Campaign)
    """Settings for `labctl campaign`."""
    survey: Annotated[Survey, BeforeValidator(section)] = Field(default_factory=Survey)
    """Settings for `labctl survey`."""
    virtual: Annotated[VirtualBench | None, BeforeValidator(section)] = None
    """How the virtual rig runs; required when the hub's radio is virtual."""
