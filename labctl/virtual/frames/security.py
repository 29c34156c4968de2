"""Frame security of NWK and APS: CCM* with a 32-bit MIC (R22 4.3, 4.4 and annex B).

Security level 5 is what is computed; level 0 is what stands in the auxiliary header on the air
(R22 4.3.1.1). Both layers authenticate the header with level 5 filled in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from labctl.smart_energy.aes_mmo import hmac_mmo
from labctl.virtual.frames.error import FrameError

MIC_OCTETS = 4
LEVEL = 5  # ENC-MIC-32
NWK_OVERHEAD = 18  # auxiliary header with source and key sequence, and MIC
APS_OVERHEAD = 9  # auxiliary header without source, and MIC

_COUNTER = Struct("<I")
_EXTENDED = 0x20


class KeyId(IntEnum):
    """Key identifier (R22 table 4.31)."""

    DATA = 0
    NETWORK = 1
    KEY_TRANSPORT = 2
    KEY_LOAD = 3


@dataclass(slots=True)
class AuxiliaryHeader:
    """R22 4.5.1. `source` and `key_sequence` only where the key identifier and flags say so."""

    key_id: int
    counter: int
    source: bytes | None = None
    key_sequence: int | None = None

    def encode(self, level: int = 0) -> bytes:
        """With `level` in the security control: 0 on the air, 5 for the computation."""
        control = level | self.key_id << 3
        tail = b""
        if self.source is not None:
            control |= _EXTENDED
            tail = self.source
        if self.key_sequence is not None:
            tail += bytes((self.key_sequence,))
        return bytes((control,)) + _COUNTER.pack(self.counter) + tail

    @classmethod
    def decode(cls, octets: bytes) -> tuple[AuxiliaryHeader, int]:
        """The header at the beginning of `octets`, and its length."""
        if len(octets) < 5:
            raise FrameError("an auxiliary header is cut short")
        control = octets[0]
        key_id = control >> 3 & 3
        at = 5
        source: bytes | None = None
        sequence: int | None = None
        if control & _EXTENDED:
            source, at = octets[5:13], 13
        if key_id == KeyId.NETWORK:
            if at >= len(octets):
                raise FrameError("an auxiliary header is cut short")
            sequence, at = octets[at], at + 1
        if at > len(octets):
            raise FrameError("an auxiliary header is cut short")
        (counter,) = _COUNTER.unpack_from(octets, 1)
        return cls(key_id, counter, source, sequence), at


@lru_cache(maxsize=1024)
def cipher(key: bytes) -> AESCCM:
    """The CCM* cipher for a key. Making one costs more than using it, hence the cache."""
    return AESCCM(key, tag_length=MIC_OCTETS)


@lru_cache(maxsize=1024)
def key_transport_key(link_key: bytes) -> bytes:
    """The key that protects a network key in transport (R22 4.5.3, input 0x00)."""
    return hmac_mmo(link_key, b"\x00")


@lru_cache(maxsize=1024)
def key_load_key(link_key: bytes) -> bytes:
    """The key that protects a link key in transport (R22 4.5.3, input 0x02)."""
    return hmac_mmo(link_key, b"\x02")


def aps_key(link_key: bytes, key_id: int) -> bytes:
    """What a link key becomes for this key identifier; `FrameError` for the network key's."""
    if key_id == KeyId.DATA:
        return link_key
    if key_id == KeyId.KEY_TRANSPORT:
        return key_transport_key(link_key)
    if key_id == KeyId.KEY_LOAD:
        return key_load_key(link_key)
    raise FrameError("an APS frame is secured with the network key")


def protect(
    key: bytes, header: bytes, auxiliary: AuxiliaryHeader, source: bytes, payload: bytes
) -> bytes:
    """Auxiliary header as on the air, ciphertext and MIC: all that follows `header`.

    `source` is the 64-bit address of who secures, whether or not the header carries it.
    """
    control = LEVEL | auxiliary.key_id << 3
    if auxiliary.source is not None:
        control |= _EXTENDED
    tail = auxiliary.encode()[1:]
    nonce = source + tail[:4] + bytes((control,))
    sealed = cipher(key).encrypt(nonce, payload, header + bytes((control,)) + tail)
    return bytes((control & ~7,)) + tail + sealed


def unprotect(
    key: bytes, header: bytes, body: bytes, auxiliary: AuxiliaryHeader, length: int, source: bytes
) -> bytes | None:
    """The payload of `body` (whose first `length` octets are `auxiliary`), or None when the MIC
    says that key, counter, source or frame are not what they claim to be."""
    control = body[0] & ~7 | LEVEL
    tail = body[1:length]
    nonce = source + tail[:4] + bytes((control,))
    if len(body) - length < MIC_OCTETS:
        return None
    try:
        return cipher(key).decrypt(nonce, body[length:], header + bytes((control,)) + tail)
    except InvalidTag:
        return None
