"""Keep-Alive 0x0025: is the trust centre still there? (Smart Energy 1.4a annex A, 5.4.2.2.3.4)"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from labctl.virtual.devices import zdp
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.port import NoAnswer, Peer, RequestRefused, ZclPort
from labctl.virtual.devices.registration import TRUST_CENTRE
from labctl.virtual.devices.settings import KEEP_ALIVE, WILDCARD_PROFILE, Timings
from labctl.virtual.devices.silence import Silence
from labctl.virtual.node import Node

_BASE, _JITTER = 0x0000, 0x0001


class NetworkLost(Exception):
    """The trust centre does not answer any more; `why` for the observations."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(slots=True)
class KeepAlive:
    """Reads the two attributes again and again, after base + a random part of jitter.

    A device that is to be silent does not: its parent still acknowledges its polls.
    """

    node: Node
    port: ZclPort
    timings: Timings
    rng: random.Random
    saw: Observations
    silence: Silence
    careless: bool = False
    """It goes on, however many are not answered."""

    async def run(self) -> None:
        """Never returns; raise `NetworkLost` after three failures in a row."""
        t = self.timings
        base, jitter = t.keep_alive_base_s, t.keep_alive_jitter_s
        server: Peer | None = None
        failures = 0
        while True:
            await asyncio.sleep(base + self.rng.uniform(0, jitter))
            await self.silence.over()
            told: tuple[float, float] | None = None
            if server is None:
                server = await self._find()
            if server is not None:
                told = await self._read(server)
            if told is not None:
                base, jitter = told
                failures = 0
                self.saw.note(What.KEEP_ALIVE)
                continue
            if self.silence.is_on:
                continue  # it began in between, which is not the trust centre's failure
            failures += 1
            self.saw.note(What.KEEP_ALIVE_FAILED, "" if server else "no server")
            if failures >= t.keep_alive_failures and not self.careless:
                raise NetworkLost("keep-alive")

    async def _find(self) -> Peer | None:
        body = await self.node.zdo(
            TRUST_CENTRE,
            zdp.MATCH_DESC,
            # With the profile 0x0109 a server on a common endpoint would not be found.
            zdp.match_desc(TRUST_CENTRE, WILDCARD_PROFILE, KEEP_ALIVE),
            timeout_s=self.timings.keep_alive_timeout_s,
        )
        endpoints = zdp.matched_endpoints(body)
        return Peer(TRUST_CENTRE, endpoints[0]) if endpoints else None

    async def _read(self, server: Peer) -> tuple[float, float] | None:
        try:
            records = await self.port.read(
                server,
                KEEP_ALIVE,
                (_BASE, _JITTER),
                timeout_s=self.timings.keep_alive_timeout_s,
            )
        except (NoAnswer, RequestRefused):
            return None
        base = records[_BASE].value if _BASE in records else None
        jitter = records[_JITTER].value if _JITTER in records else None
        if not isinstance(base, int) or not isinstance(jitter, int) or not base:
            return None
        return base * 60.0, float(jitter)
