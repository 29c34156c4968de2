"""Where fuzzing starts: valid requests of everything the hub serves.

Two sources: each command of each served cluster, filled so that its schema takes it, and what
virtual devices really sent in a recorded bench (`seeds.txt`, made by `python -m fuzz.record`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from zigpy.zcl import Cluster

import labctl.smart_energy.clusters  # noqa: F401 - registers the clusters' definitions
from fuzz.arrivals import BROADCAST, ENCRYPTED, PROFILES, Arrival, Kind, Who
from labctl.radio.coordinator import EndpointDescriptor, Incoming

RECORDED: Final = Path(__file__).with_name("seeds.txt")

_ZDO_PROFILE: Final = 0x0000
_ZDO_FLAGS: Final = PROFILES.index(_ZDO_PROFILE) << 2
_ZDO_REQUESTS: Final = (*range(0x0007), 0x0013, 0x001F, 0x0021, 0x0022, *range(0x0030, 0x003C))
_LONGEST: Final = 80
_ATTEMPTS: Final = 6
_AT_A_TIME: Final = 12


def all_seeds(endpoints: Sequence[EndpointDescriptor]) -> list[Arrival]:
    """Every seed for a hub with these endpoints, the same ones each time."""
    return [*_of_definitions(endpoints), *_zdo(endpoints), *_lives(), *recorded()]


def batches(seeds: Sequence[Arrival]) -> Iterator[list[Arrival]]:
    """The seeds in batches, as a corpus wants them."""
    for at in range(0, len(seeds), _AT_A_TIME):
        yield list(seeds[at : at + _AT_A_TIME])


def _of_definitions(endpoints: Sequence[EndpointDescriptor]) -> Iterator[Arrival]:
    rng = random.Random(20260105)
    for endpoint in endpoints:
        for cluster_id in endpoint.server_clusters:
            where = Arrival(endpoint=endpoint.endpoint, cluster=cluster_id)
            for payload in _general(cluster_id):
                yield where.but(data=payload)
            definition: Any = Cluster._registry.get(cluster_id)
            if definition is None:
                continue
            for command in (*definition.ServerCommandDefs, *definition.ClientCommandDefs):
                control = 0x01 if command in tuple(definition.ServerCommandDefs) else 0x09
                for payload in _payloads(command.schema, rng):
                    yield where.but(data=bytes((control, 0x11, int(command.id))) + payload)


def _general(cluster_id: int) -> Iterator[bytes]:
    """Reads, writes of several types, discovery, reporting, and what nobody has."""
    definition: Any = Cluster._registry.get(cluster_id)
    ids = [int(a.id) for a in definition.AttributeDefs] if definition else [0, 1]
    for at in range(0, len(ids), 6):
        yield b"\x00\x21\x00" + b"".join(i.to_bytes(2, "little") for i in ids[at : at + 6])
    for attribute in ids[:2]:
        head = attribute.to_bytes(2, "little")
        yield b"\x00\x22\x02" + head + b"\x20\x07"
        yield b"\x00\x23\x03" + head + b"\x42\x03abc"
        yield b"\x00\x24\x05" + head + b"\x25\x01\x02\x03\x04\x05\x06"
        yield b"\x00\x25\x02" + head + b"\x4c\x02\x00\x20\x01\x48\x20\x01\x00\x07"
        yield b"\x00\x26\x06\x00" + head + b"\x20\x01\x00\x10\x00\x01"
        yield b"\x00\x27\x08\x00" + head
        yield b"\x18\x28\x0a" + head + b"\x20\x07"
    for command in (0x0C, 0x15):
        yield bytes((0x00, 0x29, command)) + b"\x00\x00\xff"
    for command in (0x11, 0x13):
        yield bytes((0x00, 0x2A, command)) + b"\x00\xff"
    yield b"\x18\x2b\x0b\x00\x81"
    yield b"\x04\x0b\x10\x2c\x00\x00\x00"


def _payloads(schema: Any, rng: random.Random) -> Iterator[bytes]:
    """The shortest octets that the schema takes, of zeros and of anything."""
    for attempt in range(_ATTEMPTS):
        for length in range(_LONGEST):
            octets = rng.randbytes(length) if attempt > 1 else bytes((attempt,)) * length
            try:
                schema.deserialize(octets)
            except (ValueError, KeyError, TypeError):
                continue
            yield octets
            break


def _zdo(endpoints: Sequence[EndpointDescriptor]) -> Iterator[Arrival]:
    rng = random.Random(1)
    where = Arrival(endpoint=0, source=0, flags=_ZDO_FLAGS)
    for request in _ZDO_REQUESTS:
        yield where.but(cluster=request, data=rng.randbytes(4))
        yield where.but(cluster=request, data=rng.randbytes(22))
        yield where.but(cluster=request | 0x8000, data=rng.randbytes(12))
    hub, attacker = bytes.fromhex("010000000000006f0d00")[:0], b""
    hub = bytes.fromhex("01000000006f0d00")
    attacker = bytes.fromhex("0100ad0b006f0d00")
    for endpoint in endpoints:
        for cluster_id in endpoint.server_clusters:
            body = hub + bytes((endpoint.endpoint,)) + cluster_id.to_bytes(2, "little")
            bind = b"\x31" + body + b"\x03" + attacker + b"\x01"
            yield where.but(cluster=0x0021, data=bind)
    yield where.but(cluster=0x0022, data=bind)
    yield where.but(cluster=0x0033, data=b"\x32\x00")


def _lives() -> Iterator[Arrival]:
    """Joins, exchanges of keys, and time going by: the records that are no packets."""
    for who in (Who.UNKEYED, Who.AUTHORISED, Who.STRANGER, Who.PRETENDER):
        for kind in range(3):
            for decision in range(3):
                yield Arrival(Kind.JOIN, who, endpoint=kind, source=decision, cluster=0)
        yield Arrival(Kind.ANNOUNCE, who)
        yield Arrival(Kind.LEFT, who)
    for who in (Who.UNKEYED, Who.AUTHORISED, Who.STRANGER):
        for step in (0, 2, 2, 2):  # a whole exchange
            yield Arrival(Kind.KEY_ESTABLISHMENT, who, endpoint=step, flags=0)
        for step in (0, 1, 3, 2, 3):
            yield Arrival(Kind.KEY_ESTABLISHMENT, who, step, 0, 9, 0, 3, b"\x01")
    for turn in (1, 2, 0, 3, 2):
        yield Arrival(Kind.PAIRING, Who.UNKEYED, endpoint=turn)
    for turn in range(16):
        yield Arrival(Kind.LAB, Who.AUTHORISED, endpoint=turn, data=b"A few words")
    for pause in (1, 5, 10, 15, 250, 252):
        yield Arrival(Kind.WAIT, pause=pause)
    yield Arrival(Kind.RADIO, Who.UNKEYED, pause=2)


# -- what real devices sent -----------------------------------------------------------------------


def line_of(packet: Incoming) -> str:
    """A recorded packet as a line of `seeds.txt`."""
    profile = f"{packet.profile_id:04x}"
    flags = f"{'e' if packet.aps_encrypted else '-'}{'b' if packet.broadcast else '-'}"
    return (
        f"{profile} {packet.cluster_id:04x} {packet.destination_endpoint} "
        f"{packet.source_endpoint} {flags} {packet.data.hex()}"
    )


def recorded() -> Iterator[Arrival]:
    """The recorded packets."""
    for line in RECORDED.read_text().splitlines():
        if line.startswith("#"):
            continue
        profile, cluster, endpoint, source, flags, data = line.split()
        yield Arrival(
            endpoint=int(endpoint),
            source=int(source),
            cluster=int(cluster, 16),
            flags=(PROFILES.index(int(profile, 16)) << 2)
            | (ENCRYPTED if flags[0] == "e" else 0)
            | (BROADCAST if flags[1] == "b" else 0),
            data=bytes.fromhex(data),
        )
