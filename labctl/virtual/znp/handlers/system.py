"""SYS: resets, versions, timers, the transmit power."""

from __future__ import annotations

import asyncio
import struct

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.znp.codec import eui64_octets
from labctl.virtual.znp.handlers.base import Answer, Part
from labctl.virtual.znp.nvram import Item
from labctl.virtual.znp.status import Z

TRANSPORT = 2
CAPABILITIES = 0x0559
"""SYS, AF, ZDO, UTIL, applications, APP_CNF: what `sys_ping` says is built in."""

TIMERS = 4
POWER_DBM = range(-20, 21)


class System(Part):
    """The processor."""

    def boot(self) -> None:
        """The clock starts at zero."""
        self.tx_power_dbm = 9
        self.started_at = self.znp.now
        self._clock = 0.0
        self._timers: dict[int, asyncio.TimerHandle] = {}

    @property
    def version(self) -> dict[str, int]:
        """The fields that the version and the reset indication share."""
        major, minor, maintenance = self.znp.identity.version
        return {
            "transport": TRANSPORT,
            "product": self.znp.identity.product,
            "major": major,
            "minor": minor,
            "maintenance": maintenance,
        }

    def started(self) -> None:
        """The processor runs: say so. The reason is 0 on this family, whatever it was."""
        self.znp.notify("sys_reset_ind", reason=0, **self.version)

    def sys_reset_req(self, kind: int) -> Answer:
        """No response: the reset indication follows."""
        self.znp.reset_requested()
        return Z.SUCCESS

    def sys_ping(self) -> Answer:
        """What is built in."""
        return {"capabilities": CAPABILITIES}

    def sys_version(self) -> Answer:
        """With the date of the build, if it is one that has it."""
        build = self.znp.identity.build
        return self.version | {"revision": b"" if build is None else struct.pack("<I", build)}

    def sys_set_extaddr(self, eui64: Eui64) -> Answer:
        """Written to memory; in force at once while there is no network."""
        self.znp.nvram[Item.EXTADDR] = eui64_octets(eui64)
        self.znp.network.eui64 = eui64
        return Z.SUCCESS

    def sys_get_extaddr(self) -> Answer:
        """Ours."""
        return {"eui64": self.znp.network.eui64}

    def sys_osal_start_timer(self, timer: int, milliseconds: int) -> Answer:
        """Four timers; starting one that runs sets it anew."""
        if timer >= TIMERS:
            return Z.INVALID_PARAMETER
        self.sys_osal_stop_timer(timer)
        self._timers[timer] = self.znp.later(milliseconds / 1000, self._expired, timer)
        return Z.SUCCESS

    def _expired(self, timer: int) -> None:
        del self._timers[timer]
        self.znp.notify("sys_osal_timer_expired", timer=timer)

    def sys_osal_stop_timer(self, timer: int) -> Answer:
        """INVALID_PARAMETER when it does not run."""
        running = self._timers.pop(timer, None)
        if running is None:
            return Z.INVALID_PARAMETER
        running.cancel()
        return Z.SUCCESS

    def sys_random(self) -> Answer:
        """Sixteen bits."""
        return {"value": self.znp.rng.getrandbits(16)}

    def sys_stack_tune(self, operation: int, value: int) -> Answer:
        """0: the transmit power, dBm; 1: the receiver, which stays on."""
        if operation == 0:
            return {"value": self.sys_set_tx_power(value - 256 if value > 127 else value)}
        return {"value": 1 if operation == 1 else Z.INVALID_PARAMETER}

    def sys_set_tx_power(self, dbm: int) -> Answer:
        """In force at once, and forgotten at the next reset."""
        if dbm not in POWER_DBM:
            return Z.MAC_INVALID_PARAMETER
        self.tx_power_dbm = dbm
        if self.znp.network.node is not None:
            self.znp.network.node.set_tx_power(dbm)
        return Z.SUCCESS

    def sys_set_time(self, seconds: int, **_: int) -> Answer:
        """Seconds since 2000, or, with 0, the fields of a date, which are not followed here."""
        if seconds:
            self._clock = seconds - self.znp.now + self.started_at
        return Z.SUCCESS

    def sys_get_time(self) -> Answer:
        """Since 2000, or since the start when nobody has set it."""
        seconds = int(self._clock + self.znp.now - self.started_at)
        minutes, second = divmod(seconds, 60)
        hours, minute = divmod(minutes, 60)
        days, hour = divmod(hours, 24)
        year, month, day = _date(days)
        return {
            "seconds": seconds & 0xFFFFFFFF,
            "hour": hour,
            "minute": minute,
            "second": second,
            "month": month,
            "day": day,
            "year": year,
        }


def _date(days: int) -> tuple[int, int, int]:
    """Day 0 is 2000-01-01."""
    year = 2000
    while days >= (length := 366 if _is_leap(year) else 365):
        days -= length
        year += 1
    months = (31, 29 if _is_leap(year) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    month = 0
    while days >= months[month]:
        days -= months[month]
        month += 1
    return year, month + 1, days + 1


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
