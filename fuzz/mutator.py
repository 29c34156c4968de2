"""Mutations that know what a batch is: whole records, ZCL headers, interesting values."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from fuzz.arrivals import BROADCAST, ENCRYPTED, MAX_RECORDS, Arrival, Kind, decode, encode

_CONTROLS: Final = (0x00, 0x01, 0x08, 0x09, 0x10, 0x11, 0x18, 0x19, 0x04, 0x05, 0x0D, 0x02, 0x03)
_OCTETS: Final = (0x00, 0x01, 0x02, 0x03, 0x7F, 0x80, 0xFE, 0xFF)
_WORDS: Final = (
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\xfe\xff\xff\xff",
    b"\x00\x00\x00\x80",
    b"\xff\xff\xff\x7f",
    b"\x01\x00\x00\x00",
)
_CLUSTERS: Final[tuple[int, ...]] = (
    *(0x0000, 0x0003, 0x000A, 0x0013, 0x0019, 0x0021, 0x0025),
    *range(0x0700, 0x070C),
    *(0x0800, 0x0B05),
)
_TYPICAL: Final = 12
"""Records that a batch has when there is nothing against it."""

MutateOctets = Callable[[bytes, int], bytes]


def mutate(
    octets: bytes,
    most: int,
    rng: random.Random,
    seeds: Sequence[Arrival],
    mutate_octets: MutateOctets | None = None,
) -> bytes:
    """A batch not unlike `octets`, of at most `most` octets.

    `mutate_octets(data, most)` is libFuzzer's own mutator, for what is inside a record.
    """
    batch = decode(octets)
    for _ in range(rng.randint(1, 6)):
        _one_step(batch, rng, seeds, mutate_octets)
    while len(batch) < _TYPICAL:
        fresh = rng.choice(seeds)
        batch.append(_changed(fresh, rng, mutate_octets) if rng.random() < 0.7 else fresh)
    return _cut(batch, most)


def cross(one: bytes, other: bytes, most: int, rng: random.Random) -> bytes:
    """Records of two batches, in their orders."""
    first, second = decode(one), decode(other)
    at, from_ = rng.randint(0, len(first)), rng.randint(0, len(second))
    return _cut(first[:at] + second[from_:], most)


def _cut(batch: list[Arrival], most: int) -> bytes:
    del batch[MAX_RECORDS:]
    octets = encode(batch)
    while len(octets) > most and batch:
        batch.pop()
        octets = encode(batch)
    return octets


def _one_step(
    batch: list[Arrival],
    rng: random.Random,
    seeds: Sequence[Arrival],
    mutate_octets: MutateOctets | None,
) -> None:
    choice = rng.random()
    if not batch or choice < 0.25:
        batch.insert(rng.randint(0, len(batch)), rng.choice(seeds))
        return
    at = rng.randrange(len(batch))
    if choice < 0.32:
        batch.insert(at, batch[at])
    elif choice < 0.39:
        del batch[at]
    elif choice < 0.44:
        other = rng.randrange(len(batch))
        batch[at], batch[other] = batch[other], batch[at]
    elif choice < 0.47:
        batch[at:at] = [batch[at]] * rng.randint(2, 16)  # a small flood
    else:
        batch[at] = _changed(batch[at], rng, mutate_octets)


def _changed(arrival: Arrival, rng: random.Random, mutate_octets: MutateOctets | None) -> Arrival:
    choice = rng.random()
    if choice < 0.50:
        return arrival.but(data=_changed_data(arrival, rng, mutate_octets))
    if choice < 0.58:
        return arrival.but(who=rng.randrange(8))
    if choice < 0.66:
        return arrival.but(endpoint=rng.choice((0, 1, 2, 3, 4, 240, 255, rng.randrange(256))))
    if choice < 0.70:
        return arrival.but(source=rng.choice((0, 1, 2, 255)))
    if choice < 0.77:
        return arrival.but(cluster=_cluster(arrival.cluster, rng))
    if choice < 0.90:
        bit = rng.choice((ENCRYPTED, ENCRYPTED, BROADCAST, 0x04, 0x08, 0x10, 0x40, 0x80, 0xC0))
        return arrival.but(flags=arrival.flags ^ bit)
    if choice < 0.97 or arrival.what is Kind.WAIT:
        return arrival.but(
            pause=rng.randrange(256) if arrival.what is Kind.WAIT else rng.choice((0, 3, 5))
        )
    return arrival.but(kind=rng.choice(tuple(Kind)))


def _cluster(cluster: int, rng: random.Random) -> int:
    if rng.random() < 0.5:
        return cluster ^ 1 << rng.randrange(16)
    return rng.choice(_CLUSTERS)


def _changed_data(
    arrival: Arrival, rng: random.Random, mutate_octets: MutateOctets | None
) -> bytes:
    data = bytearray(arrival.data)
    choice = rng.random()
    if choice < 0.30 and mutate_octets is not None:
        return bytes(mutate_octets(bytes(data), min(255, len(data) + 16)))
    if not data or choice < 0.36:
        return bytes(data) + rng.randbytes(rng.randint(1, 24))
    at = rng.randrange(len(data))
    if choice < 0.44:
        return bytes(data[:at])
    if choice < 0.58:
        data[at] = rng.choice(_OCTETS) if rng.random() < 0.5 else rng.randrange(256)
    elif choice < 0.66:
        data[at] ^= 1 << rng.randrange(8)
    elif choice < 0.76:
        data[at : at + 4] = rng.choice(_WORDS)
    elif choice < 0.82:
        data[0] = rng.choice(_CONTROLS)
    elif choice < 0.92 and len(data) > 2:
        data[2] = rng.randrange(0x20) if rng.random() < 0.9 else rng.randrange(256)
    elif choice < 0.96 and len(data) > 1:
        data[1] = rng.randrange(256)
    else:
        del data[at : at + rng.randint(1, 4)]
    return bytes(data)
