"""The serial ports of this computer, with what tells one stick from another.

A device name (`/dev/ttyUSB0`) is whoever came first. What stays is the USB identity: ids and serial
number, or, where the bridge has no serial number, the socket. Ports that have neither in common
with nobody else are named; two that cannot be told apart are refused, never guessed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labctl.config.inventory import Radio, UsbIdentity
from labctl.errors import RigError
from labctl.leases import stick_identity
from labctl.radio.sticks import Confidence, Stick, stick_of

NETWORK = "socket://"
_SERIAL_LINKS = Path("/dev/serial")

Lister = Callable[[], Iterable[Any]]
"""What gives the ports as pyserial's `list_ports.comports` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One port, as the operating system shows it. `stick` is what its USB descriptors say.

    `device` is a device path, or ``socket://host:port``. `location` is the USB socket, as in
    `1-1.4`, with the interface behind a colon where the stick has several.
    """

    device: str
    vid: int | None = None
    pid: int | None = None
    serial_number: str | None = None
    location: str | None = None
    manufacturer: str | None = None
    product: str | None = None
    by_id: str | None = None
    by_path: str | None = None
    stick: Stick | None = None

    @property
    def is_network(self) -> bool:
        """Whether it is reached over TCP."""
        return self.device.startswith(NETWORK)

    @property
    def confidence(self) -> Confidence:
        """How far its USB identity tells what it is."""
        return self.stick.confidence if self.stick else Confidence.UNKNOWN

    @property
    def usb_device(self) -> str | None:
        """The socket of the stick, whichever of its interfaces this is."""
        return self.location.partition(":")[0] if self.location else None

    @property
    def usb(self) -> UsbIdentity | None:
        """What the inventory calls its USB identity."""
        if self.vid is None or self.pid is None:
            return None
        # Not checked as a file's would be: a stick may call itself anything.
        return UsbIdentity.model_construct(
            vid=self.vid, pid=self.pid, serial_number=self.serial_number
        )

    @property
    def usb_text(self) -> str:
        """`10c4:ea60 SERIAL`, or nothing."""
        return str(self.usb or "")

    def is_at(self, path: str) -> bool:
        """Whether `path` leads to this port."""
        if self.is_network or path.startswith(NETWORK):
            return path.rstrip("/").lower() == self.device.rstrip("/").lower()
        named = {self.device, self.by_id, self.by_path}
        return path in named or os.path.realpath(path) == os.path.realpath(self.device)


def list_ports(lister: Lister | None = None, links: Path = _SERIAL_LINKS) -> list[Port]:
    """All serial ports, sticks first. Opens none. `lister` and `links` are for tests."""
    if lister is None:
        from serial.tools.list_ports import comports

        lister = comports
    by_id, by_path = _links(links / "by-id"), _links(links / "by-path")
    found = []
    for info in lister():
        real = os.path.realpath(info.device)
        found.append(
            Port(
                device=info.device,
                vid=info.vid,
                pid=info.pid,
                serial_number=info.serial_number or None,
                location=info.location or None,
                manufacturer=info.manufacturer or None,
                product=info.product or None,
                by_id=by_id.get(real),
                by_path=by_path.get(real),
                stick=stick_of(info.vid, info.pid, info.manufacturer, info.product),
            )
        )
    return sorted((_radio_port(port, found) for port in found), key=_rank)


def _radio_port(port: Port, found: list[Port]) -> Port:
    """Of a stick with several ports, those that have no radio are not it."""
    stick = port.stick
    if stick is None or stick.ports < 2 or stick.port is None or port.usb_device is None:
        return port
    siblings = sorted(
        (one.location or "", one.device) for one in found if one.usb_device == port.usb_device
    )
    place = siblings.index((port.location or "", port.device))
    if place == stick.port:
        return port
    other = replace(stick, confidence=Confidence.OTHER, note=f"not the radio's port: {stick.note}")
    return replace(port, stick=other)


def _rank(port: Port) -> tuple[Any, ...]:
    digits = "".join(letter for letter in port.device if letter.isdigit())
    return list(Confidence).index(port.confidence), len(digits), port.device


def _links(folder: Path) -> dict[str, str]:
    """What the links of a folder lead to. Of two with the same end the first in order counts."""
    try:
        links = sorted(folder.iterdir())
    except OSError:
        return {}  # no USB serial port, or no Linux
    found: dict[str, str] = {}
    for link in links:
        found.setdefault(os.path.realpath(link), str(link))
    return found


def twins(port: Port, ports: Sequence[Port]) -> list[Port]:
    """Other sticks with the same USB identity: nothing but the socket tells them from `port`."""
    if port.usb is None:
        return []
    return [
        other for other in ports if other.usb == port.usb and _device_of(other) != _device_of(port)
    ]


def _device_of(port: Port) -> str:
    return port.usb_device or port.device


def steady_path(port: Port, ports: Sequence[Port]) -> str:
    """The path to write down: the one that stays when sticks are plugged in in another order."""
    if port.by_id and port.serial_number and not twins(port, ports):
        return port.by_id
    return port.by_path or port.by_id or port.device


def resolve(name: str, radio: Radio, ports: Sequence[Port] | None = None) -> str:
    """The path at which a radio of the inventory is reached just now.

    A radio without a path is found by its USB identity. With both, the identity is checked first,
    so that nothing is written to somebody else's stick. `ports` is `list_ports()`.

    Raises `RigError` when the stick is not there, is another one, or cannot be told from a second.
    """
    if radio.usb is None:
        assert radio.path is not None, "the inventory's check asks for one of the two"
        return radio.path
    if radio.path is not None and (radio.is_virtual or radio.path.startswith(NETWORK)):
        return radio.path
    found = list_ports() if ports is None else ports
    if radio.path is not None:
        _must_be_it(name, radio.path, radio.usb, found)
        return radio.path
    fitting = [port for port in found if _fits(radio.usb, port)]
    if not fitting:
        raise RigError(
            f"the stick {radio.usb} of the radio {name!r} is not plugged in",
            where=f"radios.{name}",
            mend=_there_are(found),
        )
    devices = {_device_of(port) for port in fitting}
    if len(devices) > 1:
        raise RigError(
            f"{len(devices)} sticks are {radio.usb}, and the radio {name!r} could be any",
            where=f"radios.{name}",
            mend=_choose(fitting, has_serial=radio.usb.serial_number is not None),
        )
    radios = [port for port in fitting if port.confidence is not Confidence.OTHER] or fitting
    if len(radios) > 1:
        raise RigError(
            f"the stick {radio.usb} has {len(radios)} ports, and it is not known which "
            f"one is the radio {name!r}",
            where=f"radios.{name}",
            mend="write the one as path: "
            + " or ".join(port.by_id or port.by_path or port.device for port in radios),
        )
    return radios[0].device


def identity(name: str, radio: Radio) -> str:
    """What stands for the radio in leases, whichever path leads to it, also when it is unplugged.

    Raises nothing: a stick that cannot be found is found out when it is opened.
    """
    usb = radio.usb
    path = radio.path
    if path is None:
        assert usb is not None, "the inventory's check asks for one of the two"
        try:
            path = resolve(name, radio)
        except RigError:
            return "usb:" + str(usb).replace(" ", ":")
    return stick_identity(
        path,
        vid=usb.vid if usb else None,
        pid=usb.pid if usb else None,
        serial_number=usb.serial_number if usb else None,
    )


def _fits(usb: UsbIdentity, port: Port) -> bool:
    return (port.vid, port.pid) == (usb.vid, usb.pid) and usb.serial_number in (
        None,
        port.serial_number,
    )


def _must_be_it(name: str, path: str, usb: UsbIdentity, ports: Sequence[Port]) -> None:
    """Raise `RigError` when another stick is at the path. A port nobody lists is let through."""
    here = [port for port in ports if port.is_at(path)]
    if any(_fits(usb, port) for port in here):
        return
    elsewhere = [port for port in ports if _fits(usb, port)]
    if here:
        raise RigError(
            f"the stick at this path is {here[0].usb_text or 'no USB stick'}, and the inventory "
            f"says that the radio {name!r} is {usb}",
            where=path,
            mend="take the path out of the inventory, and the stick is found wherever it is"
            if elsewhere
            else "plug that stick in, or correct the inventory (`labctl radios` shows what is)",
        )
    if elsewhere:
        raise RigError(
            f"the radio {name!r} ({usb}) is not at this path",
            where=path,
            mend=f"it is at {elsewhere[0].device}: take the path out of the inventory, and the "
            "stick is found wherever it is",
        )


def _there_are(ports: Sequence[Port]) -> str:
    texts = [f"{port.usb_text} at {port.device}" for port in ports if port.usb is not None]
    return "plug it in; there are: " + ("; ".join(texts) or "no USB serial ports at all")


def _choose(fitting: Sequence[Port], *, has_serial: bool) -> str:
    numbers = sorted({port.serial_number for port in fitting if port.serial_number})
    if len(numbers) == len(fitting) and not has_serial:
        return "add usb.serial_number to the inventory: " + " or ".join(numbers)
    paths = [port.by_path for port in fitting if port.by_path]
    if len(paths) == len(fitting):
        return (
            "they cannot be told apart but by the socket: give the radio the path of the one that "
            "is meant, " + " or ".join(paths)
        )
    return "unplug all of them but one, and give the radio its path"
