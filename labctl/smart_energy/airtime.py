"""Airtime of frames and the duty cycle of the sub-GHz band (R22 annex D), without any I/O.

From the length of an APS payload follows the length of the frames that carry it, from that the
time on the air, from that how much of an hour a party has transmitted, from that its state. The
lengths are of what Smart Energy sends: NWK security in every frame, short addresses, no routes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, NamedTuple

SUB_GHZ_PAGES: Final = (28, 29, 30, 31)
"""The channel pages that have a duty cycle."""

# -- octets ---------------------------------------------------------------------------------------

MAX_PSDU_OCTETS: Final = 127
MAC_ACK_PSDU_OCTETS: Final = 5
MAC_DATA_REQUEST_PSDU_OCTETS: Final = 12
"""A sleepy device's poll, between short addresses."""

_MAC_OCTETS: Final = 9 + 2  # header between short addresses, and check sequence
_NWK_OCTETS: Final = 8
_NWK_SECURITY_OCTETS: Final = 14 + 4  # auxiliary header with source and key sequence, and MIC
_APS_OCTETS: Final = 8
_APS_SECURITY_OCTETS: Final = 5 + 4  # auxiliary header without source, and MIC
_DATA_EXTENDED_OCTETS: Final = 2
_ACK_EXTENDED_OCTETS: Final = 3
_OVERHEAD_OCTETS: Final = _MAC_OCTETS + _NWK_OCTETS + _NWK_SECURITY_OCTETS + _APS_OCTETS

MAX_APS_PAYLOAD: Final = MAX_PSDU_OCTETS - _OVERHEAD_OCTETS
"""Octets of one frame's payload without APS security: 82."""


def psdu_octets_of(payload_octets: int, *, aps_encrypted: bool, fragment: bool = False) -> int:
    """The PSDU, check sequence included, of an APS data frame with so many octets of payload.

    `fragment` for one block of several. Raises `ValueError` for what no frame can carry.
    """
    octets = _OVERHEAD_OCTETS + payload_octets
    octets += _APS_SECURITY_OCTETS if aps_encrypted else 0
    octets += _DATA_EXTENDED_OCTETS if fragment else 0
    if payload_octets < 0 or octets > MAX_PSDU_OCTETS:
        raise ValueError(f"no frame carries a payload of {payload_octets} octets")
    return octets


def aps_ack_psdu_octets(*, aps_encrypted: bool, fragment: bool = False) -> int:
    """The PSDU of the APS acknowledgement of a frame: secured as the frame was (R22 2.2.8.4.3)."""
    octets = _OVERHEAD_OCTETS + (_APS_SECURITY_OCTETS if aps_encrypted else 0)
    return octets + (_ACK_EXTENDED_OCTETS if fragment else 0)


def blocks_of(payload_octets: int, *, aps_encrypted: bool) -> tuple[int, ...]:
    """The payloads of the frames that carry a message: one, or the blocks that it is cut into."""
    room = MAX_APS_PAYLOAD - (_APS_SECURITY_OCTETS if aps_encrypted else 0)
    if payload_octets <= room:
        return (payload_octets,)
    room -= _DATA_EXTENDED_OCTETS
    full, rest = divmod(payload_octets, room)
    return (room,) * full + ((rest,) if rest else ())


# -- time on the air ------------------------------------------------------------------------------


class _Rate(NamedTuple):
    octet_us: int
    header_octets: int


_O_QPSK = _Rate(octet_us=32, header_octets=6)  # preamble 4, start 1, length 1; 802.15.4 clause 10
_GFSK = _Rate(octet_us=80, header_octets=12)  # preamble 8, start 2, length 2; R22 annex D


def frame_airtime_us(page: int, psdu_octets: int) -> int:
    """How long a frame occupies its channel, from the preamble's first bit on, in µs.

    Raises `ValueError` for a page that no radio here has.
    """
    if page == 0:
        return (_O_QPSK.header_octets + psdu_octets) * _O_QPSK.octet_us
    if page in SUB_GHZ_PAGES:
        return (_GFSK.header_octets + psdu_octets) * _GFSK.octet_us
    raise ValueError(f"there is no channel page {page}")


class Spent(NamedTuple):
    """Airtime of the two parties of a message, µs: frames, and acknowledgements of both layers."""

    sender_us: int
    receiver_us: int


def unicast_airtime_us(
    page: int, payload_octets: int, *, aps_encrypted: bool, aps_ack: bool = True
) -> Spent:
    """What it costs to bring an APS payload over one hop when nothing has to be repeated.

    A message of several blocks is acknowledged block by block (window 1), whatever `aps_ack` says.
    """
    blocks = blocks_of(payload_octets, aps_encrypted=aps_encrypted)
    fragment = len(blocks) > 1
    mac_ack = frame_airtime_us(page, MAC_ACK_PSDU_OCTETS)
    sender = receiver = 0
    for block in blocks:
        octets = psdu_octets_of(block, aps_encrypted=aps_encrypted, fragment=fragment)
        sender += frame_airtime_us(page, octets)
        receiver += mac_ack
        if aps_ack or fragment:
            octets = aps_ack_psdu_octets(aps_encrypted=aps_encrypted, fragment=fragment)
            receiver += frame_airtime_us(page, octets)
            sender += mac_ack
    return Spent(sender, receiver)


# -- the duty cycle -------------------------------------------------------------------------------


class OverTheAirState(enum.IntEnum):
    """The duty cycle status as it goes over the air (R22 annex D): counted from normal."""

    NORMAL = 0
    LIMITED = 1
    CRITICAL = 2
    SUSPENDED = 3


class DutyCycleState(enum.IntEnum):
    """The duty cycle state as EZSP counts it: 0 is a stack that does not count at all."""

    OFF = 0
    NORMAL = 1
    LIMITED = 2
    CRITICAL = 3
    SUSPENDED = 4

    @property
    def over_the_air(self) -> OverTheAirState:
        """The other enumeration's word for it; a stack that does not count is under no limit."""
        return OverTheAirState(max(0, self - 1))

    @classmethod
    def from_over_the_air(cls, state: OverTheAirState) -> DutyCycleState:
        """This enumeration's word for a status from the air."""
        return cls(state + 1)


_WINDOW_HUNDREDTHS_US: Final = 360_000  # 0.01 % of the hour


@dataclass(frozen=True, slots=True)
class Limits:
    """Airtime in the hour from which on a state holds, µs; `regulated_us` is what the law allows.

    Raises `ValueError` when they do not ascend.
    """

    limited_us: int = 54_000_000
    critical_us: int = 75_000_000
    regulated_us: int = 100_000_000

    def __post_init__(self) -> None:
        if not 0 < self.limited_us < self.critical_us < self.regulated_us:
            raise ValueError("duty cycle limits ascend: limited, critical, regulated")

    @classmethod
    def of_page(cls, page: int) -> Limits:
        """R22's limits: 1.5 %, 2.08 %, and 2.78 % on the pages 28 and 29, 2.5 % on 30 and 31.

        Raises `ValueError` for a page without a duty cycle.
        """
        if page not in SUB_GHZ_PAGES:
            raise ValueError(f"page {page} has no duty cycle")
        return cls() if page < 30 else cls(regulated_us=90_000_000)

    @classmethod
    def from_hundredths(cls, limited: int, critical: int, suspended: int) -> Limits:
        """From what EZSP speaks of: 0.01 % of the hour."""
        return cls(*(each * _WINDOW_HUNDREDTHS_US for each in (limited, critical, suspended)))

    @property
    def hundredths(self) -> tuple[int, int, int]:
        """Limited, critical and suspended in 0.01 % of the hour, rounded to the safe side."""
        limited, critical, regulated = (
            each // _WINDOW_HUNDREDTHS_US
            for each in (self.limited_us, self.critical_us, self.regulated_us)
        )
        return limited, critical, regulated

    def state(self, used_us: int) -> DutyCycleState:
        """The state of a party that has used so much airtime in the hour."""
        if used_us < self.limited_us:
            return DutyCycleState.NORMAL
        if used_us < self.critical_us:
            return DutyCycleState.LIMITED
        if used_us < self.regulated_us:
            return DutyCycleState.CRITICAL
        return DutyCycleState.SUSPENDED

    def of(self, state: DutyCycleState) -> int:
        """Where a state begins, µs; 0 for those that no limit leads to."""
        return {
            DutyCycleState.LIMITED: self.limited_us,
            DutyCycleState.CRITICAL: self.critical_us,
            DutyCycleState.SUSPENDED: self.regulated_us,
        }.get(state, 0)


WINDOW_S: Final = 3600
BUCKETS: Final = 13
BUCKET_S: Final = WINDOW_S // (BUCKETS - 1)
_SHORTEST_S: Final = 60.0
"""A rate is told of a minute at least: the first frames of a party say nothing of its hour."""


class AirtimeWindow:
    """Airtime of the last hour in 13 buckets of 300 s: twelve whole ones and the one that fills.

    It never counts less than the hour before `at_s` holds, and never more than that and the bucket
    before it. Times are seconds of any clock that does not go back; a step back is taken for now.
    """

    __slots__ = ("_buckets", "_first_s", "_index", "_slot", "_total", "_until_s")

    def __init__(self) -> None:
        self._buckets = [0] * BUCKETS
        self._index = 0
        self._slot = 0
        self._until_s = 0.0  # the end of the bucket that fills; nothing was heard before it
        self._total = 0
        self._first_s: float | None = None

    def add(self, us: int, at_s: float) -> None:
        """Count `us` microseconds of transmission at `at_s`. Raises `ValueError` below 0."""
        if us < 0:
            raise ValueError("airtime is not negative")
        if at_s >= self._until_s:
            self._move_to(at_s)
        self._buckets[self._slot] += us
        self._total += us

    def used_us(self, at_s: float) -> int:
        """The airtime of the hour that ends at `at_s`."""
        if at_s >= self._until_s:
            self._move_to(at_s)
        return self._total

    def rate(self, at_s: float) -> float:
        """The present rate: µs of airtime for each second, over this bucket and the one before."""
        used = self.used_us(at_s)
        if self._first_s is None or not used:
            return 0.0
        at_s = max(at_s, self._until_s - BUCKET_S)
        since_s = max(self._first_s, self._until_s - 2 * BUCKET_S)
        recent = self._buckets[self._slot] + self._buckets[self._slot - 1]
        return recent / max(_SHORTEST_S, at_s - since_s)

    def forecast(self, limit_us: int, at_s: float, *, rate: float | None = None) -> float | None:
        """How many seconds after `at_s` the window reaches `limit_us`; None: never at this rate.

        `rate` in µs per second; None goes on as the party does at present. 0 when it is there.
        """
        used: float = self.used_us(at_s)
        if used >= limit_us:
            return 0.0
        if rate is None:
            rate = self.rate(at_s)
        if rate <= 0:
            return None
        passed = 0.0
        left_s = self._until_s - max(at_s, self._until_s - BUCKET_S)
        buckets: list[float] = list(self._buckets)
        slot = self._slot
        # After two rounds every bucket holds what the rate alone fills it with: it stays so.
        for _ in range(2 * BUCKETS):
            needed_s = (limit_us - used) / rate
            if needed_s <= left_s:
                return passed + max(0.0, needed_s)
            passed += left_s
            buckets[slot] += rate * left_s
            slot = (slot + 1) % BUCKETS
            used += rate * left_s - buckets[slot]
            buckets[slot] = 0.0
            left_s = BUCKET_S
        return None

    def _move_to(self, at_s: float) -> None:
        """Begin the bucket that `at_s` is in, and drop those that are older than the window."""
        index = int(at_s // BUCKET_S)
        if self._first_s is None:
            self._first_s = at_s
        for _ in range(min(BUCKETS, index - self._index)):
            self._slot = (self._slot + 1) % BUCKETS
            self._total -= self._buckets[self._slot]
            self._buckets[self._slot] = 0
        self._index = index
        self._until_s = float((index + 1) * BUCKET_S)
