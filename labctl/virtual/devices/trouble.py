"""The troubles that a misbehaving device makes on the network, each a task while it is on it."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Final

from labctl.virtual.devices import zcl
from labctl.virtual.devices.behaviour import Behaviour, Burst, Layer, Malformed
from labctl.virtual.devices.keepalive import NetworkLost
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.port import NoAnswer, Peer, RequestRefused, ZclPort
from labctl.virtual.devices.registration import TRUST_CENTRE
from labctl.virtual.devices.settings import (
    DEVICE_MANAGEMENT,
    EVENTS,
    KEY_ESTABLISHMENT,
    METERING,
    NEEDS_LINK_KEY,
    PREPAYMENT,
    PRICE,
    SMART_ENERGY_PROFILE,
    TIME,
    Timings,
)
from labctl.virtual.frames.aps import ApsFrame
from labctl.virtual.frames.nwk import NwkFrame
from labctl.virtual.node import Node, Status

_SUMMATION = zcl.read_attributes((0x0000,))
_MAX_MALFORMED_OCTETS = 70
_APS_REPLAY_EVERY = 10
_CLUSTERS: Final = (0x0000, *sorted(NEEDS_LINK_KEY), KEY_ESTABLISHMENT)
_PROFILE_ID: Final = 0x0000  # of the device profile

_WRITES: Final = (
    (TIME, 0x0000, 0xE2, 1),
    (METERING, 0x0301, 0x22, 2),
    (PRICE, 0x0000, 0x41, b"Free"),
    (PREPAYMENT, 0x0032, 0x23, 1),
    (DEVICE_MANAGEMENT, 0x0100, 0x23, 0xBAD),
    (METERING, 0x0000, 0x25, 0),
    (0x0000, 0x0004, 0x42, "nobody"),
)
"""Cluster, attribute, data type, value."""

_FORBIDDEN: Final = (
    (PREPAYMENT, 0x00, struct.pack("<IB", 0, 2)),  # SelectAvailableEmergencyCredit
    (PREPAYMENT, 0x04, b"\x02\x14" + b"01234567890123456789"),  # ConsumerTopUp
    (METERING, 0x0C, b"\x02"),  # LocalChangeSupply: on
    (METERING, 0x0B, struct.pack("<IIIIBB", 1, 1, 0, 0, 0, 0)),  # ChangeSupply: off
    (METERING, 0x05, struct.pack("<I", 1)),  # TakeSnapshot
    (METERING, 0x0A, struct.pack("<II", 1, 1)),  # ResetLoadLimitCounter
    (PREPAYMENT, 0x05, struct.pack("<IIBi", 1, 0, 0, 100_000)),  # CreditAdjustment
    (PREPAYMENT, 0x06, struct.pack("<IIIHI", 1, 1, 0, 0x0497, 0xFFFFFFFF)),  # ChangePaymentMode
    (EVENTS, 0x01, b"\x00"),  # ClearEventLogRequest
)
"""Cluster, command, payload: what a PPMID alone, or a supplier, may send."""


@dataclass(slots=True)
class Trouble:
    """Runs the knobs that go on for a while. `meters()` are the endpoints to bother."""

    node: Node
    port: ZclPort
    timings: Timings
    behaviour: Behaviour
    rng: random.Random
    saw: Observations
    switched_on_s: float
    meters: Callable[[], list[Peer]]

    def tasks(self) -> Iterator[Coroutine[Any, Any, None]]:
        """What this device does beside its duties; nothing for a good one."""
        b = self.behaviour
        if b.flood is not None:
            yield self.flood(b.flood)
        if b.malformed is not None:
            yield self._malform(b.malformed)
        if b.replays is not None:
            yield self._replay(b.replays)
        if b.rejoin_storm is not None:
            yield self._rejoin(b.rejoin_storm)
        if b.writes_every_s is not None:
            yield self._write(b.writes_every_s)
        if b.forbidden_commands_every_s is not None:
            yield self._command(b.forbidden_commands_every_s)

    # -- bursts -------------------------------------------------------------------------------

    async def _beats(self, burst: Burst) -> AsyncIterator[None]:
        """One step for each of a burst's repetitions, on a grid; what is late is left out."""
        loop = asyncio.get_running_loop()
        start = self.switched_on_s + burst.after_s
        end = None if burst.duration_s is None else start + burst.duration_s
        period = 1 / burst.per_second
        due = max(start, loop.time())
        while end is None or due < end:
            await asyncio.sleep(max(0.0, due - loop.time()))
            yield
            due = max(due + period, loop.time())

    def _target(self) -> Peer:
        meters = self.meters()
        return meters[0] if meters else Peer(TRUST_CENTRE, 1)

    async def flood(self, burst: Burst) -> None:
        """Reads of a meter's register, whose answers nobody waits for."""
        # Without APS acknowledgements: awaiting 200 a second it would run out of the 256 counters,
        # use the free ones over and over, and be taken for copies of itself.
        async for _ in self._beats(burst):
            sent = self.port.fire(self._target(), METERING, zcl.Global.READ, _SUMMATION, ack=False)
            self.saw.tally["flood" if sent else "flood held back"] += 1

    async def _malform(self, burst: Malformed) -> None:
        makers = {Layer.ZCL: self._odd_zcl, Layer.APS: self._odd_aps, Layer.ZDO: self._odd_zdo}
        async for _ in self._beats(burst):
            layer = self.rng.choice(burst.layers)
            octets = self.rng.randbytes(self.rng.randrange(_MAX_MALFORMED_OCTETS + 1))
            makers[layer](octets)
            self.saw.tally[f"malformed {layer}"] += 1

    def _odd_zcl(self, octets: bytes) -> None:
        cluster_id = self.rng.choice(_CLUSTERS)
        if self.rng.random() < 0.5:  # a sound header makes a receiver read on
            octets = bytes((self.rng.choice((0x00, 0x01, 0x08, 0x09)),)) + octets
        self._request(self.rng.choice((1, 2, 3)), SMART_ENERGY_PROFILE, cluster_id, octets)

    def _odd_zdo(self, octets: bytes) -> None:
        cluster_id = self.rng.randrange(0x40) | self.rng.choice((0x0000, 0x8000))
        self._request(0, _PROFILE_ID, cluster_id, octets)

    def _request(self, endpoint: int, profile_id: int, cluster_id: int, octets: bytes) -> None:
        self.node.request(
            TRUST_CENTRE,
            source_endpoint=self.port.endpoint if endpoint else 0,
            destination_endpoint=endpoint,
            profile_id=profile_id,
            cluster_id=cluster_id,
            payload=octets,
            done=_ignore_status,
            aps_secured=cluster_id in NEEDS_LINK_KEY and bool(endpoint),
        )

    def _odd_aps(self, octets: bytes) -> None:
        if self.node.state.joined:
            self.node.nwk.send_data(TRUST_CENTRE, octets, _ignore)

    async def _replay(self, burst: Burst) -> None:
        """A frame is sealed once; its copies carry old counters, in NWK and in APS security."""
        node = self.node
        sealed: tuple[bytes, bytes] | None = None
        number = 0
        async for _ in self._beats(burst):
            if not node.state.joined:
                sealed = None
                continue
            if sealed is None:
                sealed = self._sealed()
                number = 0
            whole, secured = sealed
            number += 1
            if number % _APS_REPLAY_EVERY:
                node.mac.send_data(node.state.parent, whole, lambda _outcome, _pending: None)
                self.saw.tally["replay" if number > 1 else "replay original"] += 1
            else:  # a fresh NWK frame around the old APS one
                node.nwk.send_data(TRUST_CENTRE, secured, _ignore)
                self.saw.tally["replay in APS"] += 1

    def _sealed(self) -> tuple[bytes, bytes]:
        """A read of the meter as it goes out: the NWK frame, and the APS frame in it."""
        node, peer, state = self.node, self._target(), self.node.state
        link_key = state.link_keys.get(state.trust_centre) if state.trust_centre else None
        frame = ApsFrame(
            counter=node.reserve_counter(),
            security=link_key is not None,
            destination_endpoint=peer.endpoint,
            cluster=METERING,
            profile=SMART_ENERGY_PROFILE,
            source_endpoint=self.port.endpoint,
        )
        request = zcl.Frame(zcl.Global.READ, self.port.next_sequence(), _SUMMATION)
        secured = node.aps.security.encode(frame, request.serialise(), link_key)
        header = NwkFrame(
            TRUST_CENTRE,
            state.nwk,
            30,
            node.nwk.next_sequence(),
            discover_route=1,
            end_device_initiator=True,
        ).encode_header()
        return node.nwk.security.seal(header, secured), secured

    async def _rejoin(self, burst: Burst) -> None:
        node = self.node
        async for _ in self._beats(burst):
            if not node.state.network_key:
                return
            await node.rejoin(
                secured=True,
                key_timeout_s=self.timings.network_key_timeout_s,
                channels=(node.state.channel,),
            )
            self.saw.tally["rejoin storm"] += 1
            if not node.state.joined:
                raise NetworkLost("in a storm of rejoins")

    # -- attempts at what is not allowed --------------------------------------------------------

    async def _write(self, every_s: float) -> None:
        for cluster_id, attribute, type_id, value in cycle(_WRITES):
            await asyncio.sleep(every_s)
            what = f"write 0x{cluster_id:04X}/0x{attribute:04X}"
            payload = zcl.write_attributes([(attribute, type_id, value)])
            try:
                answer = await self.port.request(
                    self._target(), cluster_id, zcl.Global.WRITE, payload
                )
            except NoAnswer as silence:
                self.saw.note(What.PROVOKED, f"{what}: no answer ({silence.reason})")
                continue
            self.saw.note(What.PROVOKED, f"{what}: {write_outcome(answer)}")

    async def _command(self, every_s: float) -> None:
        for cluster_id, command, payload in cycle(_FORBIDDEN):
            await asyncio.sleep(every_s)
            what = f"command 0x{cluster_id:04X}/0x{command:02X}"
            try:
                answer = await self.port.command(self._target(), cluster_id, command, payload)
            except RequestRefused as refused:
                outcome = f"refused with {refused}"
            except NoAnswer as silence:
                outcome = f"no answer ({silence.reason})"
            else:
                outcome = f"DONE (command 0x{answer.command:02X})"
            self.saw.note(What.PROVOKED, f"{what}: {outcome}")


def write_outcome(answer: zcl.Frame) -> str:
    """What came of a Write Attributes, in words."""
    try:
        if answer.command == zcl.Global.WRITE_RESPONSE:
            failed = zcl.parse_write_response(answer.payload)
            return f"refused with status 0x{failed[0][1]:02X}" if failed else "WRITTEN"
        status = zcl.parse_default_response(answer.payload)[1]
    except zcl.ZclError as error:
        return f"malformed answer: {error}"
    return f"refused with status 0x{status:02X}"


def _ignore(_outcome: object) -> None:
    """A frame that nobody waits for."""


def _ignore_status(_status: Status) -> None:
    """A request that nobody waits for."""
