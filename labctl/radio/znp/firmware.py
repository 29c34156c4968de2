"""Which Z-Stack firmware there is, and what it lacks for a Smart Energy hub."""

from __future__ import annotations

from dataclasses import dataclass

import zigpy_znp.commands as c
import zigpy_znp.types as t

from labctl.errors import RigError
from labctl.radio.znp.connection import Connection

SIMPLELINK = 3.30
"""The driver's name for all firmware on CC13x2, CC26x2 and later."""

APPLICATION_LINK_KEYS = 3
"""Entries of the table that keys between devices go into: three in all builds."""

INSTALL_CODE_KEYS = 40
"""Slots for keys of devices in all public builds: what a device log on a ZNP stick can have."""

TRANSMIT_POWER_DBM = range(-20, 21)
UNAIDED_DBM = 5
"""The most of a stick without a power amplifier."""

_TRANSPORT = 2
_MENDED_JOINS = 20210708
"""From here on messages are handed up whatever the profile, and joins through any router work."""


@dataclass(frozen=True, slots=True)
class Firmware:
    """What a stick's firmware says of itself."""

    name: str
    build: int | None
    """Date of the build as a number; the vendor's own builds do not say."""
    protocol: int

    @property
    def remarks(self) -> tuple[str, ...]:
        """How it differs from the builds that this was made for. What no Z-Stack can is in
        `labctl radios` and the documentation, and not news at each start."""
        if self.build is not None and self.build >= _MENDED_JOINS:
            return ()
        return (
            "this firmware is the vendor's own or older than July 2021: devices may not get in "
            "through routers, network keys cannot be changed, and unpairing restarts the stick",
        )


async def identify(connection: Connection, where: str) -> Firmware:
    """Raises `RigError` for firmware that cannot be a Smart Energy trust centre."""
    version = connection.version
    if version != SIMPLELINK:
        raise RigError(
            "the stick has Z-Stack Home 1.2, which keeps one key for all devices"
            if version == 1.2
            else "the stick has Z-Stack 3.0.x, which forgets a device's key 15 s after it joined",
            where=where,
            mend="use a stick with a CC2652, CC1352 or CC2674 and Z-Stack 3.x.0 of 2021 or later",
        )
    answer = await connection.do("version", c.SYS.Version.Req())
    revision = answer.CodeRevision
    build = None if revision is None else int(revision)
    number = f"{int(answer.MajorRel)}.{int(answer.MinorRel)}.{int(answer.MaintRel)}"
    return Firmware(
        name=f"Z-Stack {number}" + (f" of {_date(build)}" if build else ""),
        build=build,
        protocol=int(answer.TransportRev),
    )


def _date(build: int) -> str:
    text = str(build)
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 else text


def channels(mask: int) -> t.Channels:
    """A mask as the driver's type."""
    return t.Channels(mask)
