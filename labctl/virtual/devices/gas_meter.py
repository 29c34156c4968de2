"""A gas meter as a sleeping end device that tells a mirror what it measures (SE 1.4a D.3.4.4).

It registers as every client does, looks for a mirror, and from then on wakes every half hour:
reports of Basic, Metering and Prepayment in segments, the last with the reporting status
"complete"; then it listens for the mirror's answer and what that has for it.
"""

from __future__ import annotations

import asyncio
import datetime
import math
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from labctl.virtual.devices import zcl, zdp
from labctl.virtual.devices.cursor import Cursor
from labctl.virtual.devices.keepalive import NetworkLost
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.port import Peer, ZclPort
from labctl.virtual.devices.registration import TRUST_CENTRE
from labctl.virtual.devices.servers import LocalServers
from labctl.virtual.devices.settings import (
    BASIC,
    METERING,
    PREPAYMENT,
    SMART_ENERGY_PROFILE,
    Timings,
)
from labctl.virtual.devices.silence import Silence
from labctl.virtual.devices.sub_ghz import SubGhzClient
from labctl.virtual.node import Node, Status

_U8, _U16, _U24, _U32, _U48 = 0x20, 0x21, 0x22, 0x23, 0x25
_S24, _S32, _M8, _M16, _E8, _OCTETS, _UTC = 0x2A, 0x2B, 0x18, 0x19, 0x30, 0x41, 0xE2
_REPORTING_STATUS, _PENDING, _COMPLETE = 0xFFFE, 0x00, 0x01

_REQUEST_MIRROR = 0x01
_MIRROR_RESPONSE, _MIRROR_REMOVED, _REPORT_RESPONSE = 0x01, 0x02, 0x09
_NO_MIRROR = 0xFFFF
_FAILED_PUSHES = 3
_LOOK_S = 2.0
"""So long a meter polls fast to see whether its parent is there."""
_MAX_SEGMENT_OCTETS = 60
"""So that a report fits one frame with its encryption and its last record."""

_FLAGS = {
    0: "new firmware",
    1: "new certificate",
    2: "check the time",
    4: "stay awake for the HAN",
    5: "stay awake for the WAN",
    6: "push consumption history",
    7: "push consumption history",
    8: "push consumption history",
    9: "push payment history",
    10: "push payment history",
    11: "push payment history",
    12: "push static basic",
    13: "push static metering",
    14: "push static prepayment",
    15: "network key active",
    16: "display a message",
    17: "cancel all messages",
    18: "change supply",
    19: "local change supply",
    20: "uncontrolled flow threshold",
    21: "tunnel message pending",
    22: "get snapshot",
    23: "get sampled data",
    24: "new channel masks",
    25: "energy scan",
    26: "channel change",
}
_STAY_AWAKE = (1 << 4) | (1 << 5) | (1 << 21)
_PUSH_AGAIN = sum(1 << bit for bit in range(6, 15))

_HOURLY_LITRES = (
    *(60, 50, 50, 50, 60, 150, 420, 560, 380, 200, 160, 150),
    *(160, 150, 150, 180, 300, 480, 520, 450, 360, 260, 150, 90),
)
"""A winter's day of a house: litres in each hour, UTC."""
_DAILY_LITRES = sum(_HOURLY_LITRES)
_HOUR_S, _DAY_S = 3600, 86_400
_EPOCH = datetime.date(2000, 1, 1)
_CALORIFIC, _CONVERSION = 39.5, 1.02264
_MJ_PER_KWH = 3.6

Value = tuple[int, int, zcl.Value]
"""Attribute, data type, value."""


@dataclass(frozen=True, slots=True)
class GasRegister:
    """A gas register that runs with the time: litres burnt until any instant, known at once.

    `scale` is what kind of house it is, 1 for an ordinary one; `start_litres` at `start_utc`.
    """

    start_litres: int
    start_utc: int
    scale: float = 1.0

    def litres(self, utc: float) -> int:
        """What the register shows at `utc`, s since 2000. Never less than at an earlier time."""
        return self.start_litres + math.floor(
            self.scale * (self._since_epoch(utc) - self._since_epoch(self.start_utc))
        )

    def used(self, start: int, end: int) -> int:
        """Litres burnt between two instants; nothing before the register's start."""
        return self.litres(max(end, self.start_utc)) - self.litres(max(start, self.start_utc))

    @staticmethod
    def _since_epoch(utc: float) -> float:
        days, rest = divmod(utc, _DAY_S)
        hours, seconds = divmod(rest, _HOUR_S)
        whole = sum(_HOURLY_LITRES[: int(hours)])
        return days * _DAILY_LITRES + whole + _HOURLY_LITRES[int(hours)] * seconds / _HOUR_S


def _kwh_thousandths(litres: int) -> int:
    return round(litres * _CALORIFIC * _CONVERSION / _MJ_PER_KWH)


@dataclass(slots=True)
class GasMeter:
    """The application of one gas meter. `utc()` is the meter's idea of the time, None at first."""

    node: Node
    port: ZclPort
    servers: LocalServers
    timings: Timings
    rng: random.Random
    saw: Observations
    utc: Callable[[], float | None]
    register: GasRegister
    serial_number: bytes
    silence: Silence
    sub_ghz: SubGhzClient
    mirror: Peer | None = None
    _offered: asyncio.Future[int] | None = field(default=None, init=False)
    _answered: asyncio.Future[int] | None = field(default=None, init=False)

    def serve(self) -> None:
        """Serve the clusters of a meter, and hear what its mirror says."""
        self.servers.handlers |= {
            (METERING, _MIRROR_RESPONSE): self._mirror_offered,
            (METERING, _MIRROR_REMOVED): self._mirror_removed,
            (METERING, _REPORT_RESPONSE): self._report_answered,
        }
        self._refresh()

    async def run(self) -> None:
        """Find a mirror, push, sleep; again and again. Raise `NetworkLost` when nobody listens."""
        t = self.timings
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            await self.silence.over()
            while self.mirror is None:
                self.mirror = await self._find_mirror()
                if self.mirror is None:
                    await asyncio.sleep(t.mirror_search_s)
                    await self.silence.over()
            due = loop.time() + t.wake_s
            reached = await self._push(self.mirror)
            if self.silence.is_on:
                continue  # it is pushed again when the meter may talk
            if reached:
                failures = 0
                await self._look_for_another_channel()
            else:
                failures += 1
                if failures >= _FAILED_PUSHES:
                    raise NetworkLost("the mirror is not reached")
            self.node.long_poll_s = t.wake_s  # fast asleep until the next push
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _look_for_another_channel(self) -> None:
        """Asleep it would not hear where the hub goes, so it reads ChannelChange at each wake-up,
        and moves once the hub has had time to; a look whether the hub is there ends the move."""
        channel = await self.sub_ghz.announced()
        if channel is None:
            return
        self.saw.note(What.CHANNEL_ANNOUNCED, str(channel))
        if self.node.follow(channel, self.timings.announced_move_s):
            await asyncio.sleep(self.timings.announced_move_s)
            self.node.fast_poll(_LOOK_S)
            await asyncio.sleep(_LOOK_S)

    # -- the mirror ---------------------------------------------------------------------------

    async def _find_mirror(self) -> Peer | None:
        t = self.timings
        body = await self.node.zdo(
            TRUST_CENTRE,
            zdp.MATCH_DESC,
            zdp.match_client(TRUST_CENTRE, SMART_ENERGY_PROFILE, METERING),
            timeout_s=t.zdo_timeout_s,
        )
        for endpoint in zdp.matched_endpoints(body):
            self._offered = asyncio.get_running_loop().create_future()
            asked = Peer(TRUST_CENTRE, endpoint)
            self.port.fire(
                asked, METERING, _REQUEST_MIRROR, b"", cluster_specific=True, from_server=True
            )
            self.node.fast_poll(t.mirror_answer_s)
            try:
                async with asyncio.timeout(t.mirror_answer_s):
                    offered = await self._offered
            except TimeoutError:
                self.saw.note(What.MIRROR, f"endpoint {endpoint} does not answer")
                continue
            finally:
                self._offered = None
            if offered == _NO_MIRROR:
                self.saw.note(What.MIRROR, f"endpoint {endpoint} has no room")
                continue
            self.saw.note(What.MIRROR, f"at endpoint {offered}")
            return Peer(TRUST_CENTRE, offered & 0xFF)
        return None

    def _mirror_offered(self, peer: Peer, frame: zcl.Frame) -> zcl.Frame:
        endpoint = Cursor(frame.payload).unsigned(2)
        if self._offered is not None and not self._offered.done():
            self._offered.set_result(endpoint)
        return frame.default_response(zcl.Status.SUCCESS)

    def _mirror_removed(self, peer: Peer, frame: zcl.Frame) -> zcl.Frame:
        self.saw.note(What.MIRROR, "removed")
        self.mirror = None
        return frame.default_response(zcl.Status.SUCCESS)

    def _report_answered(self, peer: Peer, frame: zcl.Frame) -> zcl.Frame:
        cursor = Cursor(frame.payload)
        cursor.unsigned(1)  # the notification scheme; its first flags are the functional ones
        flags = cursor.unsigned(4) if cursor.left else 0
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(flags)
        return frame.default_response(zcl.Status.SUCCESS)

    # -- pushing ------------------------------------------------------------------------------

    async def _push(self, mirror: Peer) -> bool:
        """Report everything; whether any of it was delivered."""
        delivered = 0
        sets = self._refresh()
        self._answered = asyncio.get_running_loop().create_future()
        segments = [
            (cluster_id, segment)
            for cluster_id, values in sets.items()
            for segment in _segments(values)
        ]
        for number, (cluster_id, segment) in enumerate(segments, 1):
            status = _COMPLETE if number == len(segments) else _PENDING
            payload = zcl.write_attributes([*segment, (_REPORTING_STATUS, _E8, status)])
            if await self._report(mirror, cluster_id, payload):
                delivered += 1
            await asyncio.sleep(self.timings.report_gap_s)
        self.saw.tally["reports"] += delivered
        self.node.fast_poll(self.timings.mirror_answer_s)
        try:
            async with asyncio.timeout(self.timings.mirror_answer_s):
                self._told(await self._answered)
        except TimeoutError:
            self.saw.tally["pushes unanswered"] += 1
        finally:
            self._answered = None
        return bool(delivered)

    async def _report(self, mirror: Peer, cluster_id: int, payload: bytes) -> bool:
        confirmed: asyncio.Future[Status] = asyncio.get_running_loop().create_future()

        def done(status: Status) -> None:
            if not confirmed.done():
                confirmed.set_result(status)

        sent = self.port.fire(
            mirror, cluster_id, zcl.Global.REPORT, payload, from_server=True, done=done
        )
        return sent and await confirmed is Status.SUCCESS

    def _told(self, flags: int) -> None:
        """What the mirror has for the meter."""
        words = sorted({word for bit, word in _FLAGS.items() if flags >> bit & 1})
        self.saw.note(What.MIRROR_FLAGS, f"0x{flags:08X} {', '.join(words)}".strip())
        if flags & _STAY_AWAKE:
            self.node.fast_poll(60.0)

    # -- what it measures ---------------------------------------------------------------------

    def _refresh(self) -> dict[int, list[Value]]:
        """All attributes as they stand, which is also what the own servers serve from now on."""
        utc = int(self.utc() or self.register.start_utc)
        sets = {
            BASIC: list(self._basic()),
            PREPAYMENT: list(_prepayment()),
            METERING: list(self._metering(utc)),  # the last, since its cluster answers
        }
        for cluster_id in (METERING, PREPAYMENT):
            self.servers.attributes[cluster_id] = {
                attribute: (type_id, value) for attribute, type_id, value in sets[cluster_id]
            }
        return sets

    def _basic(self) -> Iterator[Value]:
        for attribute in (0x0003, 0x0004, 0x0005, 0x0007):
            yield (attribute, *self.servers.attributes[BASIC][attribute])

    def _metering(self, utc: int) -> Iterator[Value]:
        litres = self.register.litres(utc)
        midnight = utc - utc % _DAY_S
        yield 0x0000, _U48, litres
        yield 0x0014, _E8, 0x02
        yield 0x0200, _M8, 0x00
        yield 0x0205, _U16, 3650
        yield 0x0300, _E8, 0x01
        yield 0x0301, _U24, 1
        yield 0x0302, _U24, 1000
        yield 0x0303, _M8, 0b0_0101_011
        yield 0x0306, _M8, 0x80
        yield 0x0307, _OCTETS, b"3300" + self.serial_number[-6:]
        yield 0x0308, _OCTETS, self.serial_number
        yield 0x0312, _E8, 0x00
        yield 0x0314, _M8, 0b0_0101_011
        yield 0x0C01, _U24, _kwh_thousandths(self.register.used(midnight, utc))
        yield 0x0C03, _U24, self._kwh(midnight - _DAY_S, midnight)
        for back in range(2, 9):
            start = midnight - back * _DAY_S
            yield 0x0C20 + 2 * (back - 2), _U24, self._kwh(start, start + _DAY_S)
        monday = midnight - (midnight // _DAY_S + _EPOCH.weekday()) % 7 * _DAY_S
        yield 0x0C30, _U24, self._kwh(monday, utc)
        for back in range(1, 6):
            start = monday - back * 7 * _DAY_S
            yield 0x0C30 + 2 * back, _U24, self._kwh(start, start + 7 * _DAY_S)
        for back, (start, end) in enumerate(_months(utc)):
            yield 0x0C40 + 2 * back, _U32, self._kwh(start, end)

    def _kwh(self, start: int, end: int) -> int:
        return _kwh_thousandths(self.register.used(start, end))


def _prepayment() -> Iterator[Value]:
    """Credit mode, as meters in Great Britain show it."""
    yield 0x0000, _M16, 0x0C94
    yield 0x0001, _S32, 0
    yield 0x0002, _S32, 0
    yield 0x0005, _S32, 0
    yield 0x0010, _U32, 0
    yield 0x0011, _U32, 0
    yield 0x0040, _S32, 0


def _months(utc: int) -> Iterator[tuple[int, int]]:
    """Start and end of this month (until now) and of the 13 before it, UTC s since 2000."""
    first = (_EPOCH + datetime.timedelta(seconds=utc)).replace(day=1)
    end = utc
    for _ in range(14):
        start = (first - _EPOCH).days * _DAY_S
        yield start, end
        end = start
        first = (first - datetime.timedelta(days=1)).replace(day=1)


def _segments(values: list[Value]) -> Iterator[list[Value]]:
    """As many values at a time as fit into one frame."""
    segment: list[Value] = []
    for value in values:
        if segment and len(zcl.write_attributes([*segment, value])) > _MAX_SEGMENT_OCTETS:
            yield segment
            segment = []
        segment.append(value)
    if segment:
        yield segment


def serial_of(eui64_octets: bytes) -> bytes:
    """A serial number that goes with an address."""
    (number,) = struct.unpack(">Q", eui64_octets)
    return f"VG{number % 10**10:010d}".encode()
