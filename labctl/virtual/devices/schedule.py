"""The steady reads: each schedule on a fixed grid of the device's own, slightly wrong clock."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from labctl.virtual.devices import zcl
from labctl.virtual.devices.keepalive import NetworkLost
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.port import SILENCED, NoAnswer, Peer, RequestRefused, ZclPort
from labctl.virtual.devices.registration import TRUST_CENTRE
from labctl.virtual.devices.screen import Screen
from labctl.virtual.devices.settings import TIME, ReadSchedule, Timings
from labctl.virtual.devices.silence import Silence

_MAX_LATENESS_S = 0.05
_TIME_ATTRIBUTE = 0x0000


@dataclass(slots=True)
class Reader:
    """Serves read schedules. Lives from power-on to power-off, so that grids outlast a rejoin.

    `crystal` is the length of the device's second, in true ones. `time_server` is asked
    each time, since rediscovery may find another.
    """

    port: ZclPort
    timings: Timings
    rng: random.Random
    crystal: float
    screen: Screen
    saw: Observations
    time_server: Callable[[], Peer | None]
    silence: Silence
    copies: int = 1
    """How many times each read is sent at once; a sound device does so once."""
    gives_up: bool = False
    """Whether a schedule is over once an attribute of it is unsupported; a sound device goes on."""
    over: set[str] = field(default_factory=set)
    anchors: dict[str, float] = field(default_factory=dict)
    failures: int = 0

    async def run(self, schedule: ReadSchedule) -> None:
        """Returns only when it gives up; raise `NetworkLost` when too many reads in a row fail."""
        loop = asyncio.get_running_loop()
        period = schedule.period_s * self.crystal
        anchor = self.anchors.setdefault(schedule.name, loop.time())
        count = self.saw.read(schedule.name)
        slot = max(0, math.ceil((loop.time() - anchor) / period))
        while schedule.name not in self.over:
            # A slot is served a little late, by whatever else the firmware was doing.
            late = self.rng.expovariate(1 / self.timings.scheduling_jitter_s)
            due = anchor + slot * period + min(late, _MAX_LATENESS_S)
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            if self.silence.is_on:
                await self.silence.over()
                following = math.ceil((loop.time() - anchor) / period)
                if anchor + following * period - loop.time() <= self.timings.slot_near_s:
                    count.lost += following - slot
                    slot = following
                    continue
            await self._slot(schedule, loop.time() + period)
            following = max(slot + 1, math.ceil((loop.time() - anchor) / period))
            count.lost += following - slot - 1
            slot = following

    async def _slot(self, schedule: ReadSchedule, until_s: float) -> None:
        """One slot: the read, and where there is time for it before the next slot, its retries."""
        loop = asyncio.get_running_loop()
        retry_s = self.timings.application_retry_s
        for attempt in range(1 + self.timings.read_retries):
            if attempt:
                if loop.time() + retry_s + self.timings.request_timeout_s >= until_s:
                    return
                await asyncio.sleep(retry_s)
                self.saw.read(schedule.name).retried += 1
            if await self.read_once(schedule):
                return

    async def read_once(self, schedule: ReadSchedule) -> bool:
        """One read of a schedule: whether it was answered, be it with a refusal.

        Raise `NetworkLost` when it was one failure too many.
        """
        count = self.saw.read(schedule.name)
        peer = self._target(schedule)
        if peer is None:
            count.lost += 1
            return True
        try:
            if self.copies > 1:
                await asyncio.gather(*(self._waste(peer, schedule) for _ in range(self.copies - 1)))
            if schedule.command_id is None:
                records = await self.port.read(peer, schedule.cluster_id, schedule.attributes)
                served = self._take(peer, schedule, records)
            else:
                await self.port.command(
                    peer, schedule.cluster_id, schedule.command_id, schedule.command_payload
                )
                served = True
        except RequestRefused as refused:
            self.failures = 0
            # NOT_FOUND answers a Get truly: there is nothing to get.
            if refused.status == zcl.Status.NOT_FOUND:
                count.ok += 1
                return True
            count.refused += 1
            self.saw.note(What.READ_REFUSED, f"{schedule.name}: {refused}")
            return True
        except NoAnswer as none:
            if none.reason == SILENCED:
                count.lost += 1
                return False
            count.failed += 1
            self.failures += 1
            self.saw.note(What.READ_FAILED, f"{schedule.name}: {none.reason}")
            if self.failures >= self.timings.read_failures_before_rejoin:
                self.failures = 0
                raise NetworkLost("reads unanswered") from none
            return False
        self.failures = 0
        if served:
            count.ok += 1
        else:
            count.refused += 1
            self.saw.note(What.READ_REFUSED, f"{schedule.name}: no attribute served")
        return True

    async def _waste(self, peer: Peer, schedule: ReadSchedule) -> None:
        """The same read once more, whose answer nobody looks at."""
        try:
            if schedule.command_id is None:
                await self.port.read(peer, schedule.cluster_id, schedule.attributes)
            else:
                await self.port.command(
                    peer, schedule.cluster_id, schedule.command_id, schedule.command_payload
                )
        except (NoAnswer, RequestRefused) as error:
            self.saw.tally[f"wasted read: {error}"] += 1
        else:
            self.saw.tally["wasted read"] += 1

    def _target(self, schedule: ReadSchedule) -> Peer | None:
        if schedule.endpoint is not None:
            return Peer(TRUST_CENTRE, schedule.endpoint)
        if schedule.cluster_id == TIME:
            return self.time_server()
        meter = self.screen.meter(schedule.fuel)
        return meter.peer if meter else None

    def _take(self, peer: Peer, schedule: ReadSchedule, records: dict[int, zcl.Record]) -> bool:
        now = asyncio.get_running_loop().time()
        if schedule.cluster_id != TIME:
            self.screen.take(peer, schedule.cluster_id, records, now)
        elif _TIME_ATTRIBUTE in records:
            utc = records[_TIME_ATTRIBUTE].value
            if isinstance(utc, int) and utc:
                self.screen.set_time(utc, now)
        statuses = {record.status for record in records.values()}
        if self.gives_up and zcl.Status.UNSUPPORTED_ATTRIBUTE in statuses:
            self.over.add(schedule.name)
        return zcl.Status.SUCCESS in statuses
