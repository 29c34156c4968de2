"""What a fuzzer's octets mean: a batch of things that happen to a hub.

A batch is a row of records, each with a header of nine octets and its data:

    kind who endpoint source cluster(2) flags pause length | data

Every octet string is a batch: what is cut off at the end is left out. That keeps libFuzzer's own
mutations useful, while `fuzz.mutator` works on whole records.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

HEADER: Final = struct.Struct("<BBBBHBBB")
MAX_RECORDS: Final = 64


class Kind(enum.IntEnum):
    """What happens. Most of it is packets."""

    PACKET = 0
    LAB = 8
    JOIN = 9
    LEFT = 10
    KEY_ESTABLISHMENT = 11
    PAIRING = 12
    RADIO = 13
    WAIT = 14
    ANNOUNCE = 15


class Who(enum.IntEnum):
    """Whom it happens to, or who does it."""

    AUTHORISED = 0
    UNKEYED = 1
    STRANGER = 2
    PRETENDER = 3  # speaks from a good device's address, without its key
    ADDRESS_ONLY = 4  # the NCP does not know the sender's EUI-64


ENCRYPTED: Final = 0x01
BROADCAST: Final = 0x02
PROFILES: Final = (0x0109, 0x0109, 0x0000, 0xFFFF, 0x0104, 0x0109, 0x0000, 0xC05E)
PAUSES_S: Final = (0.0, 0.0, 0.0, 0.001, 0.001, 0.02, 0.5, 3.0)
WAITS_S: Final = (0.1, 0.1, 0.1, 0.1, 1.0, 1.0, 2.1, 5.0, 5.0, 8.0, 11.0, 13.0, 0.1, 0.1, 1.0, 31.0)
LONG_WAITS_S: Final = {250: 61.0, 251: 130.0, 252: 310.0, 253: 610.0, 254: 1000.0, 255: 1250.0}
"""Rare, because the good devices read all the while."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One record. `kind` and `who` are kept as octets, so that every octet stands for itself."""

    kind: int = 0
    who: int = 0
    endpoint: int = 2
    source: int = 1
    cluster: int = 0x0702
    flags: int = ENCRYPTED
    pause: int = 3
    data: bytes = b""

    @property
    def what(self) -> Kind:
        """The kind that the octet stands for: half of the values are packets."""
        low = self.kind & 0x0F
        return Kind.PACKET if low < Kind.LAB else Kind(low)

    @property
    def whom(self) -> Who:
        """The device that the octet stands for; the authorised one is the most frequent."""
        low = self.who & 0x07
        return Who(low) if low < len(Who) else Who.AUTHORISED

    @property
    def profile(self) -> int:
        """The APS profile of a packet."""
        return PROFILES[self.flags >> 2 & 0x07]

    @property
    def pause_s(self) -> float:
        """Rig time that passes afterwards."""
        return PAUSES_S[self.pause & 0x07]

    @property
    def wait_s(self) -> float:
        """Rig time that a record of kind WAIT lets pass."""
        return LONG_WAITS_S.get(self.pause, WAITS_S[self.pause & 0x0F])

    @property
    def octets(self) -> bytes:
        """As a record."""
        data = self.data[:255]
        return (
            HEADER.pack(
                self.kind,
                self.who,
                self.endpoint,
                self.source,
                self.cluster,
                self.flags,
                self.pause,
                len(data),
            )
            + data
        )

    def but(self, **fields: int | bytes) -> Arrival:
        """The same with other fields."""
        return replace(self, **fields)  # type: ignore[arg-type]


def decode(octets: bytes) -> list[Arrival]:
    """The batch that these octets are; the last record may be cut short."""
    arrivals: list[Arrival] = []
    at = 0
    while at + HEADER.size <= len(octets) and len(arrivals) < MAX_RECORDS:
        *fields, length = HEADER.unpack_from(octets, at)
        at += HEADER.size
        kind, who, endpoint, source, cluster, flags, pause = fields
        data = bytes(octets[at : at + length])
        arrivals.append(Arrival(kind, who, endpoint, source, cluster, flags, pause, data))
        at += length
    return arrivals


def encode(arrivals: Iterable[Arrival]) -> bytes:
    """The octets of a batch."""
    return b"".join(arrival.octets for arrival in arrivals)
