"""EUI-64 addresses as people, files and the database write them."""

from __future__ import annotations

import re

_COLONS = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){7}")
_SEPARATORS = re.compile(r"[\s:.\-]")


class Eui64(str):
    """An EUI-64 in the one form used everywhere: ``aa:bb:cc:dd:ee:ff:00:11``, lower case.

    It is a `str`, so it prints, hashes, compares and serialises as one. Accepted on the way in:
    16 hexadecimal digits in either case, with or without ``:``, ``-``, ``.`` or spaces, and an
    optional ``0x``.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Eui64:
        """Raise `ValueError` when `text` is not 16 hexadecimal digits."""
        if isinstance(text, cls):
            return text
        lowered = text.strip().lower()
        if not _COLONS.fullmatch(lowered):
            digits = _SEPARATORS.sub("", lowered.removeprefix("0x"))
            if not re.fullmatch(r"[0-9a-f]{16}", digits):
                raise ValueError(f"{text!r} is not an EUI-64: 16 hexadecimal digits are needed")
            lowered = ":".join(digits[i : i + 2] for i in range(0, 16, 2))
        return super().__new__(cls, lowered)

    @classmethod
    def from_big_endian(cls, octets: bytes) -> Eui64:
        """From the order in which certificates carry it (most significant octet first)."""
        if len(octets) != 8:
            raise ValueError(f"an EUI-64 has 8 octets, not {len(octets)}")
        return cls(octets.hex())

    @classmethod
    def from_little_endian(cls, octets: bytes) -> Eui64:
        """From the order on the air (least significant octet first)."""
        return cls.from_big_endian(octets[::-1])

    @property
    def big_endian(self) -> bytes:
        """8 octets, most significant first (certificates, CBKE identities)."""
        return bytes.fromhex(self.replace(":", ""))

    @property
    def little_endian(self) -> bytes:
        """8 octets, least significant first (802.15.4, NWK and APS frames, EZSP)."""
        return self.big_endian[::-1]
