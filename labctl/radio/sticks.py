"""What a USB port says of the stick behind it, and how far that can be believed.

A bridge chip's ids say who made the bridge. Names say who sold the stick, and which image it was
sold with; the image may have been changed since. Only asking the firmware (`radio.probe`) settles
what it speaks. So what is here has a confidence, and chooses what to ask first.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from labctl.config.inventory import Driver, FlowControl


class Confidence(enum.StrEnum):
    """How far the USB identity tells what a port is."""

    LIKELY = "likely"
    """The names are those of a stick that is sold with this firmware."""
    POSSIBLE = "possible"
    """A bridge that sticks have, and much else as well."""
    UNKNOWN = "unknown"
    """Nothing that sticks are known by: it is not asked unless it is named."""
    OTHER = "other"
    """Something else for certain: it is never asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How a serial line is to be opened."""

    baudrate: int = 115200
    flow_control: FlowControl = FlowControl.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Stick:
    """A kind of stick, as its USB descriptors know it. `maker` and `product` are patterns.

    `port` is which of its serial ports has the radio, counted from 0; None: it is not known.
    """

    name: str
    vid: int
    pid: int
    maker: str = ""
    product: str = ""
    driver: Driver | None = None
    confidence: Confidence = Confidence.LIKELY
    line: Line = Line()
    ports: int = 1
    port: int | None = 0
    note: str = ""

    def matches(self, vid: int, pid: int, maker: str, product: str) -> bool:
        """Whether a port with these descriptors may be one."""
        return (
            (vid, pid) == (self.vid, self.pid)
            and re.search(self.maker, maker, re.IGNORECASE) is not None
            and re.search(self.product, product, re.IGNORECASE) is not None
        )


_CP210X, _CH340, _CH9102 = (0x10C4, 0xEA60), (0x1A86, 0x7523), (0x1A86, 0x55D4)
_FT231X = (0x0403, 0x6015)
_HARDWARE = Line(flow_control=FlowControl.HARDWARE)
_OLD_TELEGESIS = Line(baudrate=57600, flow_control=FlowControl.SOFTWARE)
NO_SERIAL = "its bridge has no serial number: two of them differ by the socket alone"

_EZSP, _ZNP = Driver.EZSP, Driver.ZNP


def _cp210x(
    name: str,
    product: str,
    driver: Driver | None,
    *,
    maker: str = "",
    line: Line = Line(),
    note: str = "",
) -> Stick:
    vid, pid = _CP210X
    return Stick(
        name=name,
        vid=vid,
        pid=pid,
        maker=maker,
        product=product,
        driver=driver,
        line=line,
        note=note,
    )


STICKS: tuple[Stick, ...] = (
    # Of one pair of ids, what is told by names goes before what is not.
    _cp210x("Nabu Casa SkyConnect / ZBT-1", r"skyconnect|zbt-1", _EZSP, line=_HARDWARE),
    _cp210x("Sonoff ZBDongle-E", r"dongle plus v2", _EZSP),
    _cp210x("Sonoff Dongle with an EFR32", r"sonoff.*(mg24|mg21|max)", _EZSP),
    _cp210x("Sonoff Dongle-PP10", r"cc2674p10", _ZNP),
    _cp210x("Sonoff ZBDongle-P", r"sonoff zigbee 3\.0 usb dongle plus", _ZNP),
    _cp210x("SMLIGHT SLZB-07p7", r"slzb-07p", _ZNP),
    _cp210x("SMLIGHT SLZB-07", r"slzb-07", _EZSP, line=_HARDWARE),
    _cp210x("SMLIGHT SLZB-06M", r"slzb-06m", _EZSP),
    _cp210x("SMLIGHT SLZB-06", r"slzb-06", _ZNP),
    _cp210x("slae.sh CC2652RB", r"slae\.sh", _ZNP),
    _cp210x("TubesZB", r"tubeszb", None),
    _cp210x("a Z-Wave stick", r"z-?wave", None),
    Stick(
        name="CP210x bridge",
        vid=_CP210X[0],
        pid=_CP210X[1],
        confidence=Confidence.POSSIBLE,
        note="many sticks have this bridge, of EZSP, ZNP and Z-Wave, and much else has it too",
    ),
    Stick(
        name="Telegesis ETRX357USB",
        vid=0x10C4,
        pid=0x8293,
        driver=_EZSP,
        line=_OLD_TELEGESIS,
    ),
    Stick(
        name="ELU013",
        vid=0x10C4,
        pid=0x8B34,
        driver=_EZSP,
        confidence=Confidence.POSSIBLE,
        line=Line(baudrate=57600),
    ),
    Stick(
        name="Nortek HUSBZB-1",
        vid=0x10C4,
        pid=0x8A2A,
        driver=_EZSP,
        line=_OLD_TELEGESIS,
        ports=2,
        port=None,
        note="one of its two ports is Z-Wave",
    ),
    Stick(
        name="Nabu Casa ZBT-2",
        vid=0x303A,
        pid=0x4001,
        product=r"zbt-2",
        driver=_EZSP,
        line=Line(baudrate=460800, flow_control=FlowControl.HARDWARE),
    ),
    Stick(
        name="Nabu Casa ZBT-2",
        vid=0x303A,
        pid=0x831A,
        driver=_EZSP,
        line=Line(baudrate=460800, flow_control=FlowControl.HARDWARE),
    ),
    Stick(
        name="Nabu Casa ZWA-2",
        vid=0x303A,
        pid=0x4001,
        product=r"zwa-2",
        confidence=Confidence.OTHER,
        note="Z-Wave",
    ),
    Stick(
        name="Sonoff ZBDongle-E",
        vid=_CH9102[0],
        pid=_CH9102[1],
        product=r"sonoff|dongle plus v2",
        driver=_EZSP,
    ),
    Stick(
        name="CH9102 bridge",
        vid=_CH9102[0],
        pid=_CH9102[1],
        driver=_EZSP,
        confidence=Confidence.POSSIBLE,
        note="Sonoff's ZBDongle-E and Zvidar's Z-DG-Z01 have it",
    ),
    Stick(
        name="ZigStar",
        vid=_CH340[0],
        pid=_CH340[1],
        product=r"zigstar",
        driver=_ZNP,
        note=NO_SERIAL,
    ),
    Stick(name="TubesZB", vid=_CH340[0], pid=_CH340[1], product=r"tubeszb", note=NO_SERIAL),
    Stick(
        name="CH340 bridge",
        vid=_CH340[0],
        pid=_CH340[1],
        confidence=Confidence.POSSIBLE,
        note="zzh (ZNP) and ZB-GW04 (EZSP) have it. " + NO_SERIAL,
    ),
    Stick(
        name="Electrolama zzhp",
        vid=_FT231X[0],
        pid=_FT231X[1],
        maker=r"electrolama",
        driver=_ZNP,
    ),
    Stick(
        name="ConBee III",
        vid=_FT231X[0],
        pid=_FT231X[1],
        maker=r"dresden",
        confidence=Confidence.OTHER,
        note="deCONZ firmware, which labctl does not drive",
    ),
    Stick(
        name="ConBee III",
        vid=_FT231X[0],
        pid=_FT231X[1],
        product=r"conbee",
        confidence=Confidence.OTHER,
        note="deCONZ firmware, which labctl does not drive",
    ),
    Stick(
        name="FT231X bridge",
        vid=_FT231X[0],
        pid=_FT231X[1],
        confidence=Confidence.POSSIBLE,
        note="ConBee III and smart-meter adapters have it too",
    ),
    Stick(
        name="ConBee II",
        vid=0x1CF1,
        pid=0x0030,
        confidence=Confidence.OTHER,
        note="deCONZ firmware, which labctl does not drive",
    ),
    Stick(
        name="Rainforest RAVEn",
        vid=0x0403,
        pid=0x8A28,
        confidence=Confidence.OTHER,
        note="a Smart Energy in-home device, not a coordinator: a device under test",
    ),
    Stick(
        name="Rainforest EMU-2",
        vid=0x04B4,
        pid=0x0003,
        confidence=Confidence.OTHER,
        note="a Smart Energy in-home device, not a coordinator: a device under test",
    ),
    Stick(
        name="TI CC2531",
        vid=0x0451,
        pid=0x16A8,
        driver=_ZNP,
        note="Z-Stack 1.2 or 3.0: no install codes, or lost 15 s after the join",
    ),
    Stick(name="TI CC2538", vid=0x0451, pid=0x16C8, driver=_ZNP),
    Stick(
        name="TI LaunchPad",
        vid=0x0451,
        pid=0xBEF3,
        driver=_ZNP,
        ports=2,
        port=0,
        note="its first port is the chip, the second the debug probe",
    ),
    Stick(
        name="Silicon Labs development kit",
        vid=0x1366,
        pid=0x0105,
        driver=_EZSP,
        confidence=Confidence.POSSIBLE,
        line=_HARDWARE,
        note="a J-Link on-board debugger: any Segger kit has these ids",
    ),
)


def stick_of(
    vid: int | None, pid: int | None, maker: str | None, product: str | None
) -> Stick | None:
    """The kind of stick that a port's USB descriptors are known for; None when they are not."""
    if vid is None or pid is None:
        return None
    for stick in STICKS:
        if stick.matches(vid, pid, maker or "", product or ""):
            return stick
    return None
