"""Names of physical things, the same for everybody who may come to want them."""

from __future__ import annotations

import enum
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

_LONGEST_NAME = 120
_SYSFS = Path("/sys")


class Kind(enum.StrEnum):
    """What can be leased."""

    RIG = "rig"
    """What a rig keeps between runs. Two rigs of the same name beside two inventories are two."""
    RADIO = "radio"
    """A stick or a network coordinator."""
    POWER = "power"
    """A port of a switch, which others may depend on as well."""
    DEVICE = "device"
    """A device under test."""

    @property
    def told(self) -> str:
        """In a sentence."""
        return "power switch" if self is Kind.POWER else self.value


@dataclass(frozen=True, slots=True, order=True)
class Thing:
    """One thing. Their order is the one in which they are taken, everywhere."""

    kind: Kind
    identity: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.identity}"

    @property
    def told(self) -> str:
        """In a sentence."""
        return f"the {self.kind.told} {self.identity}"

    @classmethod
    def parse(cls, text: str) -> Thing:
        """Read what `str` gave. Raises `ValueError`."""
        kind, separator, identity = text.partition(":")
        if not separator or not identity:
            raise ValueError(f"{text!r} is no thing: KIND:IDENTITY is one")
        return cls(Kind(kind), identity)

    @classmethod
    def of_file_stem(cls, stem: str, *, said: str = "") -> Thing:
        """Whose file it is: what the file itself says, or its name. Raises `ValueError`."""
        return cls.parse(said or unquote(stem))

    @property
    def file_stem(self) -> str:
        """A file name for it: readable, and another for every thing."""
        name = quote(str(self), safe=":+-@")
        if len(name) > _LONGEST_NAME:
            digest = hashlib.sha256(name.encode()).hexdigest()[:16]
            name = f"{name[: _LONGEST_NAME - 17]}~{digest}"
        return name


def stick_identity(
    path: str,
    *,
    vid: int | None = None,
    pid: int | None = None,
    serial_number: str | None = None,
    sysfs: Path = _SYSFS,
) -> str:
    """What stands for a stick, whichever of its paths somebody uses.

    A USB stick is its ids with its serial number; one without a serial number is the socket that
    it is plugged into, as no more can be known of it. All its interfaces are one thing. A stick
    that is not there just now is what the inventory says of it (`vid`, `pid`, `serial_number`).
    A port that is not USB is its device, after links; a network port its host and number.
    """
    scheme, separator, rest = path.partition("://")
    if separator:
        return f"{scheme}:{rest.rstrip('/').lower()}"
    real = os.path.realpath(path)
    found = _usb_device(sysfs / "class" / "tty" / os.path.basename(real) / "device", sysfs)
    if found is not None:
        ids = f"usb:{_attribute(found, 'idVendor')}:{_attribute(found, 'idProduct')}"
        serial = _attribute(found, "serial")
        return f"{ids}:{serial}" if serial else f"{ids}@{found.name}"
    if vid is not None and pid is not None and serial_number and not os.path.exists(real):
        return f"usb:{vid:04x}:{pid:04x}:{serial_number}"
    return f"port:{real}"


def _usb_device(start: Path, sysfs: Path) -> Path | None:
    """The USB device above a terminal in sysfs: the first folder with a vendor id."""
    try:
        folder = start.resolve(strict=True)
    except OSError:
        return None
    root = sysfs.resolve()
    while folder != root and folder != folder.parent:
        if (folder / "idVendor").is_file():
            return folder
        folder = folder.parent
    return None


def _attribute(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(errors="replace").strip()
    except OSError:
        return ""  # a stick without a serial number has no such file
