"""Getting onto a network, and back onto it: scan, choose, join, rejoin (Smart Energy 1.4a 5.4)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from labctl.secret import Secret
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.devices.bands import (
    ONLY_2_4_GHZ,
    PRACTICABLE_DB,
    Bands,
    PageAndChannel,
    band_of,
    margin_db,
)
from labctl.virtual.devices.behaviour import Behaviour, LifeStep
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.settings import Timings
from labctl.virtual.node import Beacon, JoinFailure, Node

_ZIGBEE_PRO = 2


@dataclass(slots=True)
class Commissioning:
    """Joins and rejoins one node. `link_key` is what the device makes of its install code."""

    node: Node
    rng: random.Random
    timings: Timings
    behaviour: Behaviour
    link_key: Secret
    saw: Observations
    bands: Bands = ONLY_2_4_GHZ
    reached: Callable[[LifeStep], None] = lambda _step: None

    async def join(self) -> None:
        """Scan now, then each minute for a quarter of an hour, then hourly, until joined."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while not await self._join_one_of(beacons := await self._scan()):
            t, every_s = self.timings, self.behaviour.looks_every_s
            if beacons and self.behaviour.gives_up_joining:
                await loop.create_future()  # until it is switched off
            if every_s is not None:
                wait, jitter = every_s, every_s / 10
            elif loop.time() - started < t.rescan_for_s:
                wait, jitter = t.rescan_s, t.rescan_jitter_s
            else:
                wait, jitter = t.slow_rescan_s, t.slow_rescan_jitter_s
            await asyncio.sleep(wait + self.rng.uniform(-jitter, jitter))

    async def rejoin(self, *, authorised: bool) -> None:
        """Search for the network in `node.state` until the node is on it again.

        Some rounds on the own channel, then all channels, then the same after a growing wait. Only
        an `authorised` device may come back without the network key (trust centre rejoin): its
        link key is its own by then. Returns too when the network was forgotten in between.
        """
        if self.behaviour.never_rejoins:
            self.node.power_off()
            self.saw.note(What.PROVOKED, "does not look for its network")
            await asyncio.Event().wait()
        wait = self.timings.rejoin_wait_s
        while is_member(self.node):
            if await self._rejoin_round(authorised):
                self.saw.note(What.REJOINED)
                return
            await asyncio.sleep(wait * self.rng.uniform(0.75, 1.0))
            wait = min(2 * wait, self.timings.rejoin_wait_max_s)

    # -- join ---------------------------------------------------------------------------------

    def _suits(self, beacon: Beacon) -> bool:
        open_for_us = beacon.permit_joining or self.behaviour.ignore_permit_bit
        return open_for_us and beacon.end_device_capacity and beacon.stack_profile == _ZIGBEE_PRO

    async def _scan(self) -> list[Beacon]:
        """The best beacon of each network that may be joined, strongest first.

        The bands are looked at in the device's order; where one reaches well, the next is not. One
        look is not enough to give a band up: a beacon, or the question for it, may be lost.
        """
        anything = False
        contrary = self.behaviour.prefers_wrong_band
        suitable: list[Beacon] = []
        for band in (self.bands.reversed if contrary else self.bands).order:
            for attempt in range(self.timings.scan_attempts):
                if attempt:
                    await self._pause_between_looks()
                heard = await self.node.active_scan(self.bands.channels_of(band))
                anything = anything or bool(heard)
                fit = [beacon for beacon in heard if self._suits(beacon)]
                suitable += fit
                if fit:
                    break
            if any(margin_db(beacon) >= PRACTICABLE_DB or contrary for beacon in suitable):
                break
        best: dict[tuple[Eui64, int, int], Beacon] = {}
        for beacon in sorted(suitable, key=margin_db, reverse=True):
            best.setdefault((beacon.extended_pan_id, beacon.pan_id, beacon.page), beacon)
        if not best:
            failure = JoinFailure.NOT_PERMITTED if anything else JoinFailure.NO_BEACON
            self.saw.note(What.JOIN_FAILED, failure.value)
        return list(best.values())

    async def _pause_between_looks(self) -> None:
        """Never the same for two devices: those that began together, and do not hear each other,
        would put the question for beacons at the same instant each time, and no answer comes."""
        t = self.timings
        jitter = self.rng.uniform(-t.scan_attempt_jitter_s, t.scan_attempt_jitter_s)
        await asyncio.sleep(t.scan_attempt_gap_s + jitter)

    async def _join_one_of(self, beacons: list[Beacon]) -> bool:
        joins = 0
        for beacon in beacons:
            for _ in range(self.timings.joins_per_network):
                if joins == self.timings.joins_per_scan:
                    return False
                if joins:
                    await asyncio.sleep(self.timings.join_gap_s)
                joins += 1
                self.reached(LifeStep.ASSOCIATION)
                failure = await self.node.join(
                    # A good stack would not even try where the permit bit is not set.
                    replace(beacon, permit_joining=True),
                    link_key=self.link_key.reveal(),
                    key_timeout_s=self.timings.network_key_timeout_s,
                )
                if failure is None:
                    self.saw.note(
                        What.JOINED,
                        f"channel {beacon.channel}"
                        + (f" on page {beacon.page}" if beacon.page else ""),
                    )
                    self.reached(LifeStep.JOINED)
                    return True
                self.saw.note(What.JOIN_FAILED, failure.value)
        return False

    # -- rejoin -------------------------------------------------------------------------------

    async def _rejoin_round(self, authorised: bool) -> bool:
        for attempt in range(self.timings.rejoin_rounds):
            if attempt:
                await self._pause_between_looks()
            own = ((self.node.state.page, self.node.state.channel),)
            if await self._rejoin(own, secured=True) is None:
                return True
        everywhere = self._everywhere()
        failure = await self._rejoin(everywhere, secured=True)
        if failure is JoinFailure.NO_BEACON or not authorised:
            return False
        return failure is None or await self._rejoin(everywhere, secured=False) is None

    def _everywhere(self) -> list[PageAndChannel]:
        """All channels, those of the band that the network was on first."""
        last = band_of(self.node.state.page)
        return sorted(self.bands.channels, key=lambda each: band_of(each[0]) is not last)

    async def _rejoin(
        self, channels: Sequence[PageAndChannel], *, secured: bool
    ) -> JoinFailure | None:
        if not is_member(self.node):
            return JoinFailure.NO_BEACON
        failure = await self.node.rejoin(
            secured=secured, key_timeout_s=self.timings.network_key_timeout_s, channels=channels
        )
        if failure is not None:
            kind = "secured" if secured else "unsecured"
            self.saw.note(What.REJOIN_FAILED, f"{kind}: {failure.value}")
        return failure


def is_member(node: Node) -> bool:
    """Whether the node belongs to a network, be it in touch with it at the moment or not."""
    return bool(node.state.network_key)
