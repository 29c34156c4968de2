"""How numbers, times and names look in print."""

from __future__ import annotations

import re
from datetime import UTC, datetime

#: Cluster names of the Smart Energy profile and the few general ones that a HAN uses.
CLUSTERS = {
    0x0000: "Basic",
    0x0003: "Identify",
    0x000A: "Time",
    0x0019: "OTA Upgrade",
    0x0025: "Keep-Alive",
    0x0700: "Price",
    0x0701: "Demand Response",
    0x0702: "Metering",
    0x0703: "Messaging",
    0x0704: "Tunneling",
    0x0705: "Prepayment",
    0x0706: "Energy Management",
    0x0707: "Calendar",
    0x0708: "Device Management",
    0x0709: "Events",
    0x070A: "MDU Pairing",
    0x070B: "Sub-GHz",
    0x0800: "Key Establishment",
    0x0B05: "Diagnostics",
}

KINDS = {
    "cad": "CAD",
    "ihd": "IHD",
    "ppmid": "PPMID",
    "load-switch": "load switch",
    "hand-held-terminal": "hand-held terminal",
    "gas-meter": "gas meter",
    "meter": "meter",
    "other": "device",
}


def instant(at_us: int) -> datetime:
    """A time as `datetime`, UTC."""
    return datetime.fromtimestamp(at_us / 1_000_000, tz=UTC)


def iso(at_us: int | None) -> str | None:
    """A time for machines: ISO 8601 with milliseconds and Z."""
    if at_us is None:
        return None
    return instant(at_us).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def when(at_us: int | None) -> str:
    """A time for people, UTC, to the second."""
    if at_us is None:
        return "–"
    at = instant(at_us)
    return f"{at.day} {at:%b %Y %H:%M:%S}"


def clock_time(at_us: int) -> str:
    """The time of day for people, UTC."""
    return f"{instant(at_us):%H:%M:%S}"


def number(value: int | float | None) -> str:
    """A number with thousands marked and a real minus; a dash for None."""
    if value is None:
        return "–"
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
    return text.replace("-", "−")


def share(part: int, whole: int) -> str:
    """A share in per cent that never rounds to 100 what is not all of it."""
    if whole == 0:
        return "–"
    percent = 100 * part / whole
    if part != whole and percent > 99.99:
        return "> 99.99 %"
    if part and percent < 0.01:
        return "< 0.01 %"
    return f"{percent:.2f} %" if 0 < percent < 100 else f"{percent:.0f} %"


def duration(us: int | float | None) -> str:
    """A duration given in microseconds, with as many units as a person wants."""
    if us is None:
        return "–"
    if us == 0:
        return "0 s"
    ms = us / 1000
    if ms < 9.95:
        return f"{ms:.1f} ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def period(ms: int) -> str:
    """A period or tolerance in milliseconds, in its largest whole unit."""
    for unit_ms, unit in ((3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        if ms >= unit_ms and ms % unit_ms == 0:
            return f"{ms // unit_ms} {unit}"
    return f"{ms / 1000:g} s" if ms >= 1000 else f"{ms} ms"


def cluster(cluster_id: int | None) -> str:
    """A cluster for people: its name, and its number where that is what one looks for."""
    if cluster_id is None:
        return "–"
    name = CLUSTERS.get(cluster_id)
    return f"{name} 0x{cluster_id:04x}" if name else f"cluster 0x{cluster_id:04x}"


def channel_text(page: int, channel: int) -> str:
    """A channel for people: above 2.4 GHz its number says it all, below its frequency does."""
    if page == 0:
        return f"channel {channel}"
    khz = (915_350 if page == 31 else 863_250) + 200 * channel
    return f"{khz / 1000:g} MHz (page {page}, channel {channel})"


def words(identifier: str) -> str:
    """``link-key-installed`` as words."""
    return identifier.replace("-", " ")


def plural(count: int, one: str, many: str | None = None) -> str:
    """A counted noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def tight(text: str) -> str:
    """Keep numbers and their units on one line, with no-break spaces."""
    return re.sub(r"(?<=\d) (?=(?:%|s|ms|min|h|dBm|dB|MHz|GHz)(?![A-Za-z]))", "\u00a0", text)


def slug(text: str) -> str:
    """A part of a file name: letters, digits, ``.``, ``_`` and ``-`` only, never empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:80] or "rig"


def markdown_text(text: object) -> str:
    """Text that a device or a person supplied, so that Markdown shows it and nothing more."""
    flat = re.sub(r"\s+", " ", str(text))
    flat = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in flat
    )
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", flat)
