"""Install codes: what is printed on a device, and the link key that it stands for.

An install code has 6, 8, 12 or 16 octets, followed by their CRC-16/X-25, least significant octet
first (SE 1.4a 5.4.8.1). The preconfigured link key is AES-MMO over both.
"""

from __future__ import annotations

import re

from labctl.secret import Secret
from labctl.smart_energy.aes_mmo import aes_mmo

CODE_OCTETS = (6, 8, 12, 16)
"""How many octets an install code can have, without its CRC."""

CRC_OCTETS = 2

_SEPARATORS = re.compile(r"[\s:\-]+")
_NOT_HEX = re.compile(r"[^0-9A-Fa-f]")


class InstallCodeError(ValueError):
    """An install code that cannot be one. The text never contains the code or a part of it."""


def crc16_x25(data: bytes) -> int:
    """CRC-16/X-25 (ISO/IEC 13239): reflected polynomial 8408, started with and inverted by FFFF."""
    crc = 0xFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
    return crc ^ 0xFFFF


class InstallCode:
    """A checked install code. Whatever turns it into text gets ``<secret>``."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        """`octets` are code and CRC, 8, 10, 14 or 18 in all. Raises `InstallCodeError`."""
        _check(octets)
        self._octets = Secret(octets)

    @classmethod
    def parse(cls, text: str | bytes) -> InstallCode:
        """An install code, CRC included, as a person, a label or a file gives it.

        `text` is hexadecimal in either case; spaces, dashes and colons may stand anywhere. Bytes
        may be such text too, or the octets themselves: 8, 10, 14 or 18 of them, which is fewer
        than any text needs. Raises `InstallCodeError`, which says what is wrong.
        """
        if isinstance(text, bytes):
            if len(text) in _full_lengths():
                return cls(text)
            text = text.decode("latin-1")
        return cls(_from_hex(text))

    @classmethod
    def from_octets_without_crc(cls, octets: bytes) -> InstallCode:
        """An install code of 6, 8, 12 or 16 octets that comes without its CRC.

        That is how remote pairing carries it (GBCS CCS01, key type 1). Raises `InstallCodeError`.
        """
        if len(octets) not in CODE_OCTETS:
            raise InstallCodeError(
                f"the install code has {len(octets)} octets; without CRC it must have "
                f"{_listed(CODE_OCTETS)}"
            )
        return cls(octets + crc16_x25(octets).to_bytes(CRC_OCTETS, "little"))

    @property
    def octets(self) -> Secret:
        """Code and CRC."""
        return self._octets

    @property
    def code(self) -> Secret:
        """The code without its CRC."""
        return Secret(self._octets.reveal()[:-CRC_OCTETS])

    def link_key(self) -> Secret:
        """The preconfigured 16-octet trust-centre link key (SE 1.4a 5.4.8.1)."""
        return Secret(aes_mmo(self._octets.reveal()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InstallCode):
            return NotImplemented
        return self._octets == other._octets

    def __hash__(self) -> int:
        return hash(self._octets)

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("<secret>", spec)


def _full_lengths() -> tuple[int, ...]:
    return tuple(length + CRC_OCTETS for length in CODE_OCTETS)


def _listed(numbers: tuple[int, ...]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} or {numbers[-1]}"


def _from_hex(text: str) -> bytes:
    digits = _SEPARATORS.sub("", text)
    digits = digits.removeprefix("0x").removeprefix("0X")
    if not digits:
        raise InstallCodeError("the install code is empty")
    if wrong := _NOT_HEX.search(digits):
        hint = ""
        if wrong.group() in "oO":
            hint = " (the letter O; was the digit 0 meant?)"
        elif wrong.group() in "lI":
            hint = " (was the digit 1 meant?)"
        raise InstallCodeError(
            f"character {wrong.start() + 1} of the install code, separators not counted, "
            f"is not a hexadecimal digit{hint}"
        )
    if len(digits) % 2:
        raise InstallCodeError(
            f"the install code has {len(digits)} hexadecimal digits, an odd number: "
            f"one is missing or too many"
        )
    return bytes.fromhex(digits)


def _check(octets: bytes) -> None:
    length = len(octets)
    if length not in _full_lengths():
        hint = ""
        if length in CODE_OCTETS:
            hint = (
                f"; {length} octets is the length of a code without its CRC: "
                "the last two octets (four digits) seem to have been left off"
            )
        raise InstallCodeError(
            f"the install code has {length} octets ({2 * length} digits); with its CRC of two "
            f"octets it must have {_listed(_full_lengths())} "
            f"({_listed(tuple(2 * full for full in _full_lengths()))} digits){hint}"
        )
    code, found = octets[:-CRC_OCTETS], octets[-CRC_OCTETS:]
    crc = crc16_x25(code)
    if found == crc.to_bytes(CRC_OCTETS, "little"):
        return
    if found == crc.to_bytes(CRC_OCTETS, "big"):
        raise InstallCodeError(
            "the CRC of the install code is right, but its two octets are swapped: "
            "the least significant one must come first"
        )
    hint = (
        f", or it is a code of {length} octets whose CRC was left off"
        if length in CODE_OCTETS
        else ""
    )
    raise InstallCodeError(
        f"the CRC of the install code ({length} octets) is wrong: a digit was mistyped{hint}"
    )
