"""Frames of the virtual air, octet for octet: MAC, NWK, APS, ZDP, their security, and captures.

Pure values: bytes in, frames out, and back. Every decoder raises `FrameError` and nothing else.
Addresses of 16 bits are `int`; addresses of 64 bits are the 8 octets as they are on the air (least
significant first), and become `Eui64` only where a person or a file may see them (`from_air`).
"""

from __future__ import annotations

from functools import lru_cache

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.frames.error import FrameError

__all__ = ["FrameError", "from_air", "to_air"]


@lru_cache(maxsize=4096)
def to_air(address: Eui64) -> bytes:
    """The 8 octets of `address` in the order on the air."""
    return address.little_endian


@lru_cache(maxsize=4096)
def from_air(octets: bytes) -> Eui64:
    """The address that these 8 octets from the air stand for."""
    return Eui64.from_little_endian(octets)
