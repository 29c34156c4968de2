"""Where the sources disagree, and which of them a device is held to.

Each is a setting of one device. What a device really does is recorded by the hub as a note of the
kind `practice`, whatever is set here.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ApsSecurity(enum.StrEnum):
    """APS security on Time and Keep-Alive.

    SE 1.4 5.4.6 is read both ways: that both clusters need it, and that both are exempt.
    """

    EITHER = "either"
    """Served both ways; the answer goes out as the request came in."""
    REQUIRED = "required"
    """A request without it is answered FAILURE."""


class SnapshotWindow(enum.StrEnum):
    """Whether a snapshot taken at the very end of the window asked for belongs to it."""

    HALF_OPEN = "half-open"
    """From the start to before the end."""
    CLOSED = "closed"
    """From the start to the end, both included."""


class PriceForm(enum.StrEnum):
    """The length of Publish Price."""

    SHORT = "short"
    """28 octets and the label, as GBCS has it."""
    LONG = "long"
    """With the 19 octets that SE 1.4 adds, all of them unused."""


class TimeBase(enum.StrEnum):
    """The time that calendars are said to be in (the time reference of Publish Calendar)."""

    UTC = "utc"
    STANDARD = "standard"
    LOCAL = "local"

    @property
    def code(self) -> int:
        """On the air (SE 1.4 D.9.2.3.1.1)."""
        return list(TimeBase).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """How the hub treats one device where the sources disagree.

    `suites` are the key establishment suites on offer to the device; None: all that the hub has.
    """

    time_security: ApsSecurity = ApsSecurity.EITHER
    keep_alive_security: ApsSecurity = ApsSecurity.EITHER
    snapshot_window: SnapshotWindow = SnapshotWindow.HALF_OPEN
    price_form: PriceForm = PriceForm.SHORT
    calendar_time_base: TimeBase = TimeBase.UTC
    suites: tuple[int, ...] | None = None


USUAL = DeviceSettings()
"""What holds for a device that nothing is said of."""
