"""The AES-128 Matyas-Meyer-Oseas hash and the HMAC made of it (R22 B.1.3, B.1.4, B.6).

Zigbee hashes with the block cipher that every node has anyway. Both cryptographic suites of
key establishment use it (SE 1.4a C.4), as do install codes and the trust-centre swap-out.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK_OCTETS = 16
"""Octets of a cipher block, of a digest, and of a key."""

_SHORT_MESSAGE_BITS = 1 << 16
_LONG_MESSAGE_BITS = 1 << 32


def _padded(data: bytes) -> bytes:
    """`data` with the padding of R22 B.6: a one bit, zeros, and the length at the very end.

    Below 2^16 bits (8 KiB) the length takes 16 bits. From there up to 2^32 bits it takes 32 bits
    followed by 16 zero bits, so that the two encodings can never be taken for each other.
    """
    bits = len(data) * 8
    if bits < _SHORT_MESSAGE_BITS:
        tail = bits.to_bytes(2, "big")
    elif bits < _LONG_MESSAGE_BITS:
        tail = bits.to_bytes(4, "big") + bytes(2)
    else:
        raise ValueError(f"AES-MMO takes less than 2^32 bits, not {bits}")
    zeros = -(len(data) + 1 + len(tail)) % BLOCK_OCTETS
    return data + b"\x80" + bytes(zeros) + tail


def aes_mmo(data: bytes) -> bytes:
    """The 16-octet AES-128-MMO hash of `data` (R22 B.6).

    Raises `ValueError` when `data` has 2^32 bits (512 MiB) or more.
    """
    digest = bytes(BLOCK_OCTETS)
    message = _padded(data)
    for start in range(0, len(message), BLOCK_OCTETS):
        block = message[start : start + BLOCK_OCTETS]
        # ECB of one block is the bare block cipher; the hash chains by re-keying (B.6, step 2).
        encryptor = Cipher(algorithms.AES(digest), modes.ECB()).encryptor()  # noqa: S305
        encrypted = encryptor.update(block)
        digest = bytes(a ^ b for a, b in zip(encrypted, block, strict=True))
    return digest


def hmac_mmo(key: bytes, data: bytes) -> bytes:
    """The 16-octet HMAC (FIPS 198) of `data` under a 16-octet `key`, with AES-MMO (R22 B.1.4).

    Raises `ValueError` when the key has another length: Zigbee never uses one.
    """
    if len(key) != BLOCK_OCTETS:
        raise ValueError(f"the HMAC key has {BLOCK_OCTETS} octets, not {len(key)}")
    inner = aes_mmo(bytes(k ^ 0x36 for k in key) + data)
    return aes_mmo(bytes(k ^ 0x5C for k in key) + inner)
