"""Versions of EZSP that labctl speaks: those that the driver has a table for, from 8 on.

Before 8 the trust centre's policy is another one, and keys cannot be told apart well enough for a
Smart Energy hub. The driver would use its newest table for a version that it does not know, and
so misread whatever moved since.
"""

from __future__ import annotations

from bellows.ezsp import EZSP

from labctl.errors import RigError

OLDEST = 8
KNOWN = frozenset(version for version in EZSP._BY_VERSION if version >= OLDEST)
SL_STATUS_SINCE = 14
"""From here on statuses have four octets and come first, and messages are laid out anew."""


def must_be_known(version: int, where: str) -> None:
    """Raise `RigError` for a stick whose firmware speaks another version."""
    if version in KNOWN:
        return
    older = version < OLDEST
    raise RigError(
        f"the stick's firmware speaks EZSP {version}; labctl speaks EZSP {_in_words()}",
        where=where,
        mend=(
            "update the stick's firmware to EmberZNet 6.7 or later, best to 7.4 (EZSP 13)"
            if older
            else "install a bellows that knows this version and try again, or put EmberZNet 7.4 "
            "(EZSP 13) on the stick"
        ),
    )


def _in_words() -> str:
    """8 to 14, 16 to 19."""
    numbers = sorted(KNOWN)
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][-1] == number - 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    return ", ".join(
        str(span[0]) if len(span) == 1 else f"{span[0]} to {span[-1]}" for span in spans
    )
