"""Octets that must never be printed: keys, install codes, private keys.

`Secret` holds them. `scrub` and `hide` are for text that others wrote, which may hold them.
"""

from __future__ import annotations

import hmac
import re
from typing import Any, NoReturn


class Secret:
    """Secret octets. Whatever turns it into text gets ``<secret>``.

    Call `reveal` where the octets are really used (a cipher, a frame for the NCP), nowhere else.
    """

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = bytes(octets)

    def reveal(self) -> bytes:
        """The octets themselves."""
        return self._octets

    def __len__(self) -> int:
        return len(self._octets)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._octets, other._octets)

    def __hash__(self) -> int:
        return hash(self._octets)

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("<secret>", spec)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a Secret is not to be pickled or copied into another process")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self


_SECRET_LIKE = re.compile(
    r"(?:[0-9A-Fa-f]{2}[ :\-]?){7,}[0-9A-Fa-f]{0,2}"  # hexadecimal, and the digits of a code
    r"|(?:\\x[0-9A-Fa-f]{2}[ -~]{0,2}){4,}"
    r"|(?:(?:0x)?[0-9A-Fa-f]{1,3}(?:, ?| )){6,}(?:0x)?[0-9A-Fa-f]{1,3}\b"  # octets as numbers
)
_OCTETS = re.compile(r"""\bb(['"])((?:\\.|(?!\1)[^\\])*)\1""", re.DOTALL)
_OCTET = re.compile(r"\\x..|\\.|.", re.DOTALL)
_SHORT = 6
"""Octets that may be shown: no key and no code is so short."""


_EUI64 = re.compile(r"(?<![0-9A-Fa-f:])((?:[0-9A-Fa-f]{2}:){7}[0-9A-Fa-f]{2})(?![:0-9A-Fa-f])")


def scrub(text: str) -> str:
    """The text without anything that could be a key or a code. For what persons typed."""
    return _SECRET_LIKE.sub("<hidden>", _OCTETS.sub(_shown_octets, text))


def hide(text: str) -> str:
    """`scrub`, but addresses stay: eight octets with colons. For log lines and drivers' errors.

    Programs write addresses so, and nothing secret; persons may write a short install code so.
    """
    parts = _EUI64.split(_OCTETS.sub(_shown_octets, text))
    return "".join(part if index % 2 else scrub(part) for index, part in enumerate(parts))


def _shown_octets(literal: re.Match[str]) -> str:
    count = len(_OCTET.findall(literal[2]))
    return literal[0] if count <= _SHORT else f"<{count} octets>"
