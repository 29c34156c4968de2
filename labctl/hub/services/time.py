"""Time 0x000A (ZCL 3.12): UTC, and the rules of GB local time.

A display that finds neither the Master nor the Synchronized bit gives up, so one of them is always
set.
"""

from __future__ import annotations

import datetime
from typing import Final

from labctl.hub.services.base import Attribute, Security, Service, defined
from labctl.hub.settings import TimeSource
from labctl.smart_energy.clusters import Time

ZIGBEE_EPOCH_S: Final = 946_684_800
"""2000-01-01T00:00:00Z in Unix time."""

_MASTER = 0x01
_SYNCHRONISED = 0x02
_MASTER_ZONE_DST = 0x04
_NEVER = 0xFFFFFFFF
_SUMMER_S = 3600


def zigbee_time(utc_s: int) -> int:
    """Seconds since 2000-01-01T00:00:00Z; whatever was before that is 0."""
    return max(0, utc_s - ZIGBEE_EPOCH_S)


def summer_time(year: int) -> tuple[int, int]:
    """When British Summer Time starts and ends in a year, Unix time (01:00 UTC both)."""
    return _last_sunday(year, 3), _last_sunday(year, 10)


def _last_sunday(year: int, month: int) -> int:
    last = datetime.datetime(year, month, 31, 1, tzinfo=datetime.UTC)
    return int(last.timestamp()) - (last.weekday() + 1) % 7 * 86_400


class _Now:
    """An instant, and the summer time of its year (the next year's once this one's is over)."""

    __slots__ = ("dst_end", "dst_start", "time")

    def __init__(self, utc_s: int) -> None:
        year = datetime.datetime.fromtimestamp(utc_s, datetime.UTC).year
        start, end = summer_time(year)
        if utc_s >= end:
            start, end = summer_time(year + 1)
        self.time = zigbee_time(utc_s)
        self.dst_start, self.dst_end = zigbee_time(start), zigbee_time(end)

    @property
    def local(self) -> int:
        """Local time, in seconds as `time` has them."""
        return self.time + (_SUMMER_S if self.dst_start <= self.time < self.dst_end else 0)


class TimeService(Service[_Now]):
    """The hub's clock. `set_at_us` is when it was last set from outside (UTC microseconds)."""

    definition = Time
    security = Security.EITHER

    def __init__(self, source: TimeSource, set_at_us: int) -> None:
        status = _MASTER if source is TimeSource.MASTER else _SYNCHRONISED
        super().__init__(
            [
                Attribute(defined(Time, "time"), lambda now: now.time),
                Attribute(defined(Time, "time_status"), status | _MASTER_ZONE_DST),
                Attribute(defined(Time, "time_zone"), 0),
                Attribute(defined(Time, "dst_start"), lambda now: now.dst_start),
                Attribute(defined(Time, "dst_end"), lambda now: now.dst_end),
                Attribute(defined(Time, "dst_shift"), _SUMMER_S),
                Attribute(defined(Time, "standard_time"), lambda now: now.time),
                Attribute(defined(Time, "local_time"), lambda now: now.local),
                Attribute(defined(Time, "last_set_time"), zigbee_time(set_at_us // 1_000_000)),
                Attribute(defined(Time, "valid_until_time"), _NEVER),
            ]
        )

    def state(self, now_us: int) -> _Now:
        """The instant itself."""
        return _Now(now_us // 1_000_000)
