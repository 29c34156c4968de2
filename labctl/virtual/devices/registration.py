"""From a network key to a served client: the registration of EmberZNet's Smart Energy client.

Find Key Establishment, establish keys, find the ESIs by their DRLC server, find Time, bind, choose
a time server. Each step has its delays; three failures of a step abort the whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from labctl.virtual.devices import zdp
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.port import NoAnswer, Peer, RequestRefused, ZclPort
from labctl.virtual.devices.settings import (
    DRLC,
    KEY_ESTABLISHMENT,
    SMART_ENERGY_PROFILE,
    TIME,
    Timings,
)
from labctl.virtual.node import Node

_Found = TypeVar("_Found")

TRUST_CENTRE = 0x0000
_TIME, _TIME_STATUS, _LAST_SET, _VALID_UNTIL = 0x0000, 0x0001, 0x0008, 0x0009
TIME_ATTRIBUTES = (_TIME, _TIME_STATUS, _LAST_SET, _VALID_UNTIL)
_MASTER, _SYNCHRONIZED, _SUPERSEDING = 0x01, 0x02, 0x08


class RegistrationAborted(Exception):
    """A step failed too often."""


@dataclass(slots=True)
class Services:
    """What registration found."""

    esis: dict[int, tuple[int, ...]] = field(default_factory=dict)  # node, endpoints with DRLC
    time_server: Peer | None = None
    utc: int | None = None
    utc_at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Candidate:
    peer: Peer
    utc: int
    status: int
    at_s: float

    @property
    def rank(self) -> tuple[bool, bool, int, int]:
        """Superseding first, then Master, then the lowest address."""
        return (
            not self.status & _SUPERSEDING,
            not self.status & _MASTER,
            self.peer.nwk,
            self.peer.endpoint,
        )


@dataclass(slots=True)
class Registration:
    """One run after another of the registration; `establish(peer)` is key establishment.

    `establish` returns once the link key is authorised, and is not called when it is already.
    """

    node: Node
    port: ZclPort
    endpoint: int
    timings: Timings
    saw: Observations
    establish: Callable[[Peer], Awaitable[None]]
    binds: tuple[int, ...]
    """Clusters to ask bindings for, in that order."""

    async def register(self, *, authorised: bool) -> Services:
        """The whole registration. Raise `RegistrationAborted` when a step failed too often."""
        t = self.timings
        await asyncio.sleep(t.start_s)
        if not authorised:
            await self.establish(await self._persist(self._find_key_establishment))
            await asyncio.sleep(t.transition_s)
        services = await self.discover()
        self.saw.note(What.REGISTERED)
        return services

    async def discover(self) -> Services:
        """Find ESIs and Time, bind, choose a time server; repeated every few hours."""
        services = Services()
        services.esis = await self._persist(self._find_esis)
        await asyncio.sleep(self.timings.transition_s)
        times = await self._persist(self._find_times)
        await self._bind(services.esis)
        chosen = await self._persist(lambda: self._choose_time(times))
        services.time_server, services.utc, services.utc_at_s = (
            chosen.peer,
            chosen.utc,
            chosen.at_s,
        )
        return services

    # -- steps: None is a strike ----------------------------------------------------------------

    async def _persist(self, step: Callable[[], Awaitable[_Found | None]]) -> _Found:
        for strike in range(self.timings.strikes):
            if strike:
                await asyncio.sleep(self.timings.retry_s)
            found = await step()
            if found is not None:
                return found
        self.saw.note(What.REGISTRATION_ABORTED)
        raise RegistrationAborted

    async def _find_key_establishment(self) -> Peer | None:
        body = await self.node.zdo(
            TRUST_CENTRE,
            zdp.MATCH_DESC,
            zdp.match_desc(TRUST_CENTRE, SMART_ENERGY_PROFILE, KEY_ESTABLISHMENT),
            timeout_s=self.timings.zdo_timeout_s,
        )
        endpoints = zdp.matched_endpoints(body)
        if not endpoints:
            self.saw.note(What.NO_KEY_ESTABLISHMENT)
            return None
        return Peer(TRUST_CENTRE, endpoints[0])

    async def _broadcast_match(self, cluster_id: int, limit: int) -> dict[int, tuple[int, ...]]:
        if not self.node.rx_on_when_idle:
            self.node.fast_poll(self.timings.discovery_window_s)  # the answers wait at the parent
        answers = await self.node.zdo_broadcast(
            zdp.BROADCAST_RX_ON,
            zdp.MATCH_DESC,
            zdp.match_desc(zdp.BROADCAST_RX_ON, SMART_ENERGY_PROFILE, cluster_id),
            collect_s=self.timings.discovery_window_s,
        )
        found: dict[int, tuple[int, ...]] = {}
        for source, body in answers:
            endpoints = zdp.matched_endpoints(body)
            if endpoints and (source in found or len(found) < limit):
                found[source] = endpoints
        return found

    async def _find_esis(self) -> dict[int, tuple[int, ...]] | None:
        found = await self._broadcast_match(DRLC, self.timings.max_esi_nodes)
        for source in tuple(found):
            if source != TRUST_CENTRE:
                # It would need a partner link key (APS Request Key), which this device never asks
                # for: its hub has everything on one node.
                self.saw.note(What.ESI_ELSEWHERE, f"0x{source:04X}")
                del found[source]
        if not found:
            self.saw.note(What.NO_ESI)
            return None
        return found

    async def _find_times(self) -> list[Peer] | None:
        found = await self._broadcast_match(TIME, self.timings.max_time_servers)
        peers = [
            Peer(source, endpoint)
            for source, endpoints in found.items()
            if source == TRUST_CENTRE
            for endpoint in endpoints
        ][: self.timings.max_time_servers]
        if not peers:
            self.saw.note(What.NO_TIME, "no server")
            return None
        return peers

    async def _bind(self, esis: dict[int, tuple[int, ...]]) -> None:
        trust_centre = self.node.state.trust_centre
        if trust_centre is None:
            return
        own = self.node.state.eui64
        for nwk, endpoints in esis.items():
            for endpoint in endpoints:
                for cluster_id in self.binds:
                    await asyncio.sleep(self.timings.resume_s)
                    body = await self.node.zdo(
                        nwk,
                        zdp.BIND,
                        zdp.bind(trust_centre, endpoint, cluster_id, own, self.endpoint),
                        timeout_s=self.timings.zdo_timeout_s,
                    )
                    bound = body is not None and body[:1] == b"\x00"
                    answer = "no answer" if not body else f"status 0x{body[0]:02X}"
                    self.saw.note(
                        What.BOUND if bound else What.BIND_REFUSED,
                        f"endpoint {endpoint} cluster 0x{cluster_id:04X}: {answer}",
                    )

    async def _choose_time(self, servers: list[Peer]) -> _Candidate | None:
        reads = [asyncio.ensure_future(self._read_time(peer)) for peer in servers]
        try:
            # The client looks at what it has got when the delay is over, not before.
            await asyncio.sleep(self.timings.brief_s)
        finally:
            for read in reads:
                read.cancel()
        read_times = await asyncio.gather(*reads, return_exceptions=True)
        usable = [found for found in read_times if isinstance(found, _Candidate)]
        if not usable:
            self.saw.note(What.NO_TIME, "no usable answer")
            return None
        return min(usable, key=lambda candidate: candidate.rank)

    async def _read_time(self, peer: Peer) -> _Candidate | None:
        try:
            records = await self.port.read(
                peer, TIME, TIME_ATTRIBUTES, timeout_s=self.timings.brief_s
            )
        except (NoAnswer, RequestRefused) as error:
            self.saw.note(What.READ_FAILED, f"time at endpoint {peer.endpoint}: {error}")
            return None
        utc = records[_TIME].value if _TIME in records else None
        status = records[_TIME_STATUS].value if _TIME_STATUS in records else None
        if not isinstance(utc, int) or not isinstance(status, int) or not utc:
            return None
        if not status & (_MASTER | _SYNCHRONIZED):
            return None
        return _Candidate(peer, utc, status, asyncio.get_running_loop().time())
