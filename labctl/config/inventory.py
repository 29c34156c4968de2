"""The inventory: radios and devices as physical things, whatever rig they serve in."""

from __future__ import annotations

import enum
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from labctl.config.behaviour import Behaviour
from labctl.config.display import DisplayCommand
from labctl.config.fields import (
    WRITTEN,
    Eui,
    Name,
    Strict,
    Text,
    Whole,
    as_written,
    choice,
    section,
    unique,
    wrong,
)
from labctl.config.power import PowerOrNone
from labctl.config.problems import quote
from labctl.config.secrets import SecretReference, SecretSource
from labctl.events import Band, DeviceKind

VIRTUAL_PATH = "virtual"
LAB_CA = "lab-ca"
"""The name that stands for the lab's own certificate authority."""


class Driver(enum.StrEnum):
    """What the stick speaks."""

    EZSP = "ezsp"
    ZNP = "znp"


class FlowControl(enum.StrEnum):
    """Who holds back octets on a serial line."""

    NONE = "none"
    HARDWARE = "hardware"
    SOFTWARE = "software"


def _port(value: Any) -> str:
    text = as_written(value)
    if not isinstance(text, str) or not text.strip():
        raise wrong("no port", "write 'virtual', a device path, or socket://host:port")
    scheme, separator, rest = text.partition("://")
    if separator:
        found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):(\d{1,5})/?", rest)
        if scheme != "socket" or not found or not 0 < int(found[2]) < 65536:
            raise wrong(f"{quote(text)} is not a network port", "write socket://host:port")
    return text


def _suites(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise wrong("a list of key establishment suites is needed", "write [2], [1] or [1, 2]")
    for suite in value:
        if isinstance(suite, bool) or suite not in (1, 2):
            raise wrong(f"there is no key establishment suite {quote(suite)}", "there are 1 and 2")
    unique(value, what="suite")
    return tuple(sorted(int(suite) for suite in value))


Suites = Annotated[
    tuple[int, ...],
    BeforeValidator(_suites),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"enum": [1, 2]},
            "minItems": 1,
            "maxItems": 2,
            "x-kind": "list of 1, 2",
        }
    ),
]
"""Key establishment suites: 1 (sect163k1), 2 (sect283k1)."""


def position(value: Any) -> tuple[float, ...]:
    """Three numbers, or `wrong`."""
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise wrong("a position has three numbers", "write [x, y, z] in metres")
    for part in value:
        if isinstance(part, bool) or not isinstance(part, int | float) or not abs(part) <= 10_000:
            raise wrong(f"{quote(part)} is not a distance in metres, up to 10000")
    return tuple(float(part) for part in value)


def _bands(value: Any) -> tuple[Band, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise wrong("a list of bands is needed", "write [2.4 GHz], [868 MHz] or both")
    found = []
    for entry in value:
        try:
            found.append(Band(as_written(entry)))
        except ValueError:
            raise wrong(
                f"there is no band {quote(entry)}", "write [2.4 GHz], [868 MHz] or both"
            ) from None
    unique([band.value for band in found], what="band")
    return tuple(band for band in Band if band in found)


Bands = Annotated[
    tuple[Band, ...],
    BeforeValidator(_bands),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"enum": [band.value for band in Band]},
            "minItems": 1,
            "maxItems": 2,
            "x-kind": "list of `2.4 GHz`, `868 MHz`",
        }
    ),
]
"""Frequency bands, 2.4 GHz first."""

Position = Annotated[
    tuple[float, float, float],
    BeforeValidator(position),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "number", "minimum": -10_000, "maximum": 10_000},
            "minItems": 3,
            "maxItems": 3,
            "x-kind": "[x, y, z], m",
        }
    ),
]
"""x, y, z in metres."""


class UsbIdentity(Strict):
    """How the operating system tells this stick from others."""

    vid: Annotated[int, Whole(0, 0xFFFF, hexadecimal=True)]
    """USB vendor id."""
    pid: Annotated[int, Whole(0, 0xFFFF, hexadecimal=True)]
    """USB product id."""
    serial_number: Text | None = None
    """USB serial number, where the stick has one."""

    def __str__(self) -> str:
        ids = f"{self.vid:04x}:{self.pid:04x}"
        return f"{ids} {self.serial_number}" if self.serial_number else ids


EZSP_VERSIONS = (8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19)
"""Protocol versions that a virtual stick can have; there is no 15."""


def _ezsp(value: Any) -> int:
    if isinstance(value, bool) or value not in EZSP_VERSIONS:
        raise wrong(
            f"a virtual stick cannot speak EZSP {quote(value)}", "write 8 to 14 or 16 to 19"
        )
    return int(value)


class VirtualRadio(Strict):
    """What firmware a virtual stick has."""

    ezsp: Annotated[
        int,
        BeforeValidator(_ezsp),
        WithJsonSchema({"enum": list(EZSP_VERSIONS), "x-kind": "8 to 14, 16 to 19"}),
    ] = 13
    """Version of the EZSP protocol: 8 is EmberZNet 6.7 to 7.0, 13 is 7.4, 14 is 8.0."""


class Radio(Strict):
    """A coordinator stick, or the virtual one."""

    driver: Annotated[Driver, choice(Driver)]
    """What the stick's firmware speaks."""
    path: Annotated[Annotated[str, BeforeValidator(_port)] | None, WRITTEN] = None
    """`virtual`, a device path, or `socket://host:port`. Default: wherever the stick of `usb` is
    plugged in."""
    baudrate: Annotated[int, Whole(1200, 4_000_000)] = 115200
    """Bits a second on the serial line."""
    flow_control: Annotated[FlowControl, choice(FlowControl)] = FlowControl.NONE
    """Flow control on the serial line."""
    usb: UsbIdentity | None = None
    """USB identity of the stick; checked before the port is opened. `labctl radios` shows it."""
    eui64: Eui | None = None
    """The stick's own address; checked against the stick. The virtual stick takes it."""
    bands: Bands = (Band.GHZ_2_4,)
    """What it can send on. All retail sticks have 2.4 GHz only. Both: a radio and a firmware that
    is on both at once (two PHYs)."""
    power: PowerOrNone = None
    """How its power is switched, for a stick that hangs; or `none`."""
    key_establishment: Suites | None = None
    """Virtual stick: suites that its firmware has the library and a lab certificate for."""
    virtual: Annotated[VirtualRadio, BeforeValidator(section)] = Field(default_factory=VirtualRadio)
    """Virtual stick: what firmware it has."""

    @model_validator(mode="after")
    def _is_somewhere(self) -> Radio:
        if self.path is None and self.usb is None:
            raise wrong(
                "nothing says where this radio is",
                "add 'path: ...', or 'usb: {vid: ..., pid: ..., serial_number: ...}': "
                "`labctl inventory suggest` writes it",
            )
        return self

    @property
    def is_virtual(self) -> bool:
        """Whether there is no hardware behind it."""
        return self.path == VIRTUAL_PATH

    @property
    def place(self) -> str:
        """Where it is, for people: its path, or its USB identity."""
        if self.path is not None:
            return self.path
        return f"usb {self.usb}" if self.usb else ""


class ActsAs(enum.StrEnum):
    """The kinds of virtual devices that there are."""

    CAD = "cad"
    IHD = "ihd"
    PPMID = "ppmid"
    LOAD_SWITCH = "load-switch"
    HAND_HELD_TERMINAL = "hand-held-terminal"
    GAS_METER = "gas-meter"


class VirtualDevice(Strict):
    """What makes a device virtual: where it stands and what it can do."""

    position: Position = (3.0, 0.0, 0.0)
    """x, y, z in metres; the hub's radio stands at [0, 0, 0], or where a drawn house has it."""
    room: Name | None = None
    """The room that it stands in when the rig file draws a house."""
    prefers: Annotated[Band, choice(Band)] | None = None
    """The band that a device with two looks for first. Default: 2.4 GHz."""
    suites: Suites = (2,)
    """Key establishment suites that the device can do."""
    acts_as: Annotated[ActsAs, choice(ActsAs)] | None = None
    """What the virtual device does. Default: as its kind; a `meter` is a gas meter."""
    behaviour: Annotated[Behaviour, BeforeValidator(section)] = Field(default_factory=Behaviour)
    """How the device departs from a healthy one."""


class Device(Strict):
    """A device under test, as it lies on the table."""

    kind: Annotated[DeviceKind, choice(DeviceKind)]
    """What it is."""
    eui64: Eui
    """Its address, as on the label."""
    install_code: SecretSource | None = None
    """Install code with its CRC, as on the label: 16, 20, 28 or 36 hexadecimal digits."""
    model: Text | None = None
    """Model, for reports."""
    manufacturer: Text | None = None
    """Manufacturer, for reports."""
    bands: Bands | None = None
    """Bands that it can join on. Default: not known; of a virtual device 2.4 GHz, of a virtual gas
    meter both."""
    power: PowerOrNone = None
    """How its power is switched; or `none`."""
    display: DisplayCommand | None = None
    """A program with its arguments, without a shell, that prints what the device shows. `{what}`
    becomes `electricity` (the meter's reading, kWh), `gas` (m³) or `price` (p/kWh). It prints a
    number, or none where nothing is shown, and ends with exit code 0."""
    virtual: Annotated[VirtualDevice | None, BeforeValidator(section)] = None
    """Present when the device is a virtual one."""

    @property
    def known_bands(self) -> tuple[Band, ...]:
        """Bands that it can join on, defaults applied; empty when that is not known."""
        if self.bands is not None or self.virtual is None:
            return self.bands or ()
        gas = (DeviceKind.GAS_METER, DeviceKind.METER)
        is_gas = self.virtual.acts_as is ActsAs.GAS_METER or (
            self.virtual.acts_as is None and self.kind in gas
        )
        return tuple(Band) if is_gas else (Band.GHZ_2_4,)

    @property
    def prefers(self) -> Band | None:
        """Of two bands the one that a virtual device looks for first; the only one if it has one.
        None when it is not known."""
        bands = self.known_bands
        wish = self.virtual.prefers if self.virtual else None
        return wish or (bands[0] if bands else None)


class Certificate(Strict):
    """A licensed Smart Energy certificate for a hub."""

    suite: Annotated[
        int,
        BeforeValidator(lambda value: _suites([value])[0]),
        WithJsonSchema({"enum": [1, 2], "x-kind": "1 or 2"}),
    ]
    """Key establishment suite that it is for."""
    certificate: SecretSource
    """The implicit certificate: 48 octets (suite 1) or 74 (suite 2), hexadecimal or raw."""
    private_key: SecretReference
    """Its private key: 21 octets (suite 1) or 36 (suite 2), hexadecimal or raw."""
    ca_public_key: SecretSource
    """The issuer's public key: 22 octets (suite 1) or 37 (suite 2), hexadecimal or raw."""


class Inventory(Strict):
    """All radios, devices and certificates of a lab."""

    radios: dict[Name, Radio] = Field(min_length=1)
    """Radios, by name."""
    devices: Annotated[dict[Name, Device], BeforeValidator(section)] = Field(default_factory=dict)
    """Devices under test, by name."""
    certificates: Annotated[dict[Name, Certificate], BeforeValidator(section)] = Field(
        default_factory=dict
    )
    """Licensed certificates for hubs, by name. Not needed with the lab's own authority."""
