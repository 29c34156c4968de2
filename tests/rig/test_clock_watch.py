"""The computer's clock is set, or the computer sleeps: what the record's time does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from labctl.clock import MICROSECONDS, Clock
from labctl.events import Event, EventBus, Note
from labctl.record.circumstances import infrastructure
from labctl.record.rows import EventRow
from labctl.rig.clock_watch import LOOK_EVERY_S, ClockWatch
from labctl.virtual.clock import run

START_US = 1_767_600_000 * MICROSECONDS


@dataclass
class Host:
    """A computer on the loop's clock that can sleep and whose clock can be set."""

    loop: asyncio.AbstractEventLoop
    slept_s: float = 0.0
    set_by_s: float = 0.0

    def awake_s(self) -> float:
        return self.loop.time()

    def since_boot_s(self) -> float:
        return self.loop.time() + self.slept_s

    def wall_us(self) -> int:
        return START_US + round((self.since_boot_s() + self.set_by_s) * MICROSECONDS)


def watched(
    scenario: Callable[[Host, Clock, list[Note]], Coroutine[Any, Any, None]],
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        host, bus, notes = Host(loop), EventBus(), []

        def saw(event: Event) -> None:
            assert isinstance(event, Note)
            notes.append(event)

        bus.subscribe(saw)
        clock = Clock(loop, START_US, elapsed_s=host.since_boot_s)
        watch = asyncio.create_task(ClockWatch(clock, bus, host).run())
        await asyncio.sleep(65)
        assert not notes
        await scenario(host, clock, notes)
        watch.cancel()

    run(main(), fast=True)


def outages(notes: list[Note]) -> list[tuple[int, int]]:
    events = [
        EventRow(note.at_us, note.kind, None, note.severity.value, dict(note.detail))
        for note in notes
    ]
    return [(each.start_us, each.end_us) for each in infrastructure(events, START_US * 2)]


def test_a_sleep_is_in_the_records_time_at_once_and_marked_within_10_s() -> None:
    async def scenario(host: Host, clock: Clock, notes: list[Note]) -> None:
        before_us = clock.now_us()
        host.slept_s += 3600
        assert clock.now_us() - before_us == 3600 * MICROSECONDS
        await asyncio.sleep(LOOK_EVERY_S)
        (note,) = notes
        assert note.kind == "host-slept"
        ((start_us, end_us),) = outages(notes)
        assert start_us <= before_us
        assert end_us >= before_us + 3600 * MICROSECONDS
        await asyncio.sleep(600)
        assert len(notes) == 1
        assert clock.now_us() == host.wall_us()

    watched(scenario)


def test_a_clock_that_is_set_ahead_is_followed_and_what_is_skipped_is_marked() -> None:
    async def scenario(host: Host, clock: Clock, notes: list[Note]) -> None:
        before_us = clock.now_us()
        host.set_by_s = 7200
        await asyncio.sleep(LOOK_EVERY_S)
        (note,) = notes
        assert note.kind == "clock-stepped"
        assert note.detail["by_s"] == 7200
        assert clock.now_us() == host.wall_us()
        ((start_us, end_us),) = outages(notes)
        assert start_us <= before_us
        assert end_us >= before_us + 7200 * MICROSECONDS
        await asyncio.sleep(600)
        assert len(notes) == 1

    watched(scenario)


def test_the_record_never_goes_back() -> None:
    async def scenario(host: Host, clock: Clock, notes: list[Note]) -> None:
        before_us = clock.now_us()
        host.set_by_s = -7200
        await asyncio.sleep(LOOK_EVERY_S)
        (note,) = notes
        assert note.kind == "clock-stepped"
        assert note.detail["by_s"] == -7200
        assert clock.now_us() == before_us + round(LOOK_EVERY_S * MICROSECONDS)
        assert not outages(notes), "nothing is missing"
        await asyncio.sleep(600)
        assert len(notes) == 1
        host.set_by_s = 0
        await asyncio.sleep(LOOK_EVERY_S)
        assert [each.detail["by_s"] for each in notes] == [-7200, 7200]
        assert clock.now_us() == host.wall_us()
        assert not outages(notes)

    watched(scenario)


def test_a_clock_that_is_only_trimmed_is_not_worth_a_word() -> None:
    async def scenario(host: Host, clock: Clock, notes: list[Note]) -> None:
        for _ in range(100):
            host.set_by_s = 0.9 - host.set_by_s
            await asyncio.sleep(LOOK_EVERY_S)
        assert not notes

    watched(scenario)
