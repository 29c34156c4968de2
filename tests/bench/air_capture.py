"""A capture taken apart octet by octet: no codec of the virtual devices, no tshark.

IEEE 802.15.4 (7.2), Zigbee R22 (3.3, 2.2.5, 4.5.1) and the TAP header of link type 283.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

BEACON, DATA, ACK, COMMAND = range(4)
"""Kinds of MAC frames."""

APS_DATA, APS_COMMAND, APS_ACK = range(3)
SMART_ENERGY = 0x0109


@dataclass
class Aps:
    """An APS frame. Of commands there is no more than the kind."""

    kind: int
    profile: int = 0
    cluster: int = 0
    payload: bytes | None = None  # of data; None when no link key opens it
    fragment: int = 0


@dataclass
class Frame:
    """One frame on the air."""

    at_us: int
    page: int
    channel: int
    rss_dbm: float
    lqi: int
    psdu: bytes
    kind: int
    sequence: int
    source: int | bytes | None = None  # of the MAC
    destination: int | bytes | None = None
    nwk_source: int | None = None
    nwk_destination: int | None = None
    eui64: bytes | None = None  # of whoever secured it, least significant octet first
    aps: Aps | None = None

    @property
    def is_zcl(self) -> bool:
        """Whether it carries application data, of any cluster."""
        return self.aps is not None and self.aps.kind == APS_DATA and self.aps.profile != 0

    @property
    def wants_ack(self) -> bool:
        return bool(self.psdu[0] & 0x20)


def keys_of(path: Path) -> list[bytes]:
    """The keys of a file of Wireshark's table."""
    return [
        bytes.fromhex(row.split(",")[0].strip('"').replace(":", ""))
        for row in path.read_text().splitlines()
    ]


def frames_of(path: Path, keys: Iterable[bytes]) -> list[Frame]:
    """Every frame of a capture."""
    ciphers = [AESCCM(key, tag_length=4) for key in dict.fromkeys(keys)]
    return [_opened(frame, ciphers) for frame in _frames(path.read_bytes())]


def _frames(octets: bytes) -> Iterator[Frame]:
    assert struct.unpack_from("<I", octets)[0] == 0xA1B2C3D4
    assert struct.unpack_from("<I", octets, 20)[0] == 283
    at = 24
    while at < len(octets):
        seconds, micros, length, _ = struct.unpack_from("<IIII", octets, at)
        body = octets[at + 16 : at + 16 + length]
        at += 16 + length
        (header,) = struct.unpack_from("<H", body, 2)
        fields, place = {}, 4
        while place < header:
            kind, size = struct.unpack_from("<HH", body, place)
            fields[kind] = body[place + 4 : place + 4 + size]
            place += 4 + (size + 3) // 4 * 4
        channel, page = struct.unpack("<HB", fields[3])
        (rss,) = struct.unpack("<f", fields[1])
        psdu = body[header:]
        yield Frame(
            at_us=seconds * 10**6 + micros,
            page=page,
            channel=channel,
            rss_dbm=rss,
            lqi=fields[10][0],
            psdu=psdu,
            kind=psdu[0] & 7,
            sequence=psdu[2],
        )


def _opened(frame: Frame, ciphers: list[AESCCM]) -> Frame:
    psdu = frame.psdu
    control = psdu[0] | psdu[1] << 8
    at = 3
    for place, compressed in ((10, False), (14, bool(control & 0x40))):
        mode = control >> place & 3
        if not mode:
            continue
        at += 0 if compressed else 2
        size = 2 if mode == 2 else 8
        address = psdu[at : at + size]
        value = int.from_bytes(address, "little") if size == 2 else address
        at += size
        if place == 10:
            frame.destination = value
        else:
            frame.source = value
    if frame.kind == DATA:
        _nwk(frame, psdu[at:-2], ciphers)
    return frame


def _nwk(frame: Frame, octets: bytes, ciphers: list[AESCCM]) -> None:
    control, frame.nwk_destination, frame.nwk_source = struct.unpack_from("<HHH", octets)
    at = 8 + (8 if control & 0x0800 else 0) + (8 if control & 0x1000 else 0)
    assert not control & 0x0500, "no multicast, no source route"
    payload: bytes | None = octets[at:]
    if control & 0x0200:
        payload, frame.eui64 = _unsealed(octets, at, ciphers)
    if control & 3 == 0 and payload is not None:
        frame.aps = _aps(payload, frame.eui64, ciphers)


def _unsealed(
    octets: bytes, at: int, ciphers: list[AESCCM], source: bytes | None = None
) -> tuple[bytes | None, bytes | None]:
    """What follows an auxiliary header, whichever key it takes; and whose it is."""
    control = octets[at] & ~7 | 5
    end = at + 5
    counter = octets[at + 1 : end]
    if control & 0x20:
        source, end = octets[end : end + 8], end + 8
    if control >> 3 & 3 == 1:
        end += 1  # the key's sequence number
    if source is None:
        return None, None
    header = octets[:at] + bytes((control,)) + octets[at + 1 : end]
    for cipher in ciphers:
        try:
            opened = cipher.decrypt(source + counter + bytes((control,)), octets[end:], header)
        except InvalidTag:
            continue
        return opened, source
    return None, source


def _aps(octets: bytes, source: bytes | None, ciphers: list[AESCCM]) -> Aps:
    control = octets[0]
    kind = control & 3
    if kind == APS_COMMAND:
        return Aps(kind)
    cluster, profile = struct.unpack_from("<HH", octets, 2)
    found = Aps(kind, profile, cluster)
    at = 8
    if control & 0x80:
        found.fragment = octets[at] & 3
        at += 2 if kind == APS_DATA else 3
    if not control & 0x20:
        found.payload = octets[at:]
    else:
        found.payload, _ = _unsealed(octets, at, ciphers, source)
    return found


def airtime_us(frame: Frame) -> int:
    """How long it was on the air: at 2.4 GHz 6 octets go before it at 32 µs each (802.15.4 clause
    10), below 1 GHz 12 octets at 80 µs each (R22 annex D)."""
    ahead, octet_us = (6, 32) if frame.page == 0 else (12, 80)
    return (ahead + len(frame.psdu)) * octet_us
