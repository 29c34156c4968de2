"""What a join indication means: Z-Stack tells that somebody was let in, and not how.

It tells nothing of those that it refused. Whether it was a join or a rejoin is concluded: with
joining closed nobody can have associated; a rejoining device asks for the address that it had,
while a joining one is given a new one.
"""

from __future__ import annotations

from labctl.events import JoinKind
from labctl.radio.coordinator import JoinDecision, JoinSeen
from labctl.smart_energy.eui64 import Eui64

TOLD_AFTER_S = 2.0
"""How long after it associated a device may be told of: one that did at the last moment of the
window is a joiner, although joining is closed by then."""


def join_seen(
    eui64: Eui64, nwk: int, parent: int, *, is_open: bool, had_nwk: int | None, key_missing: bool
) -> JoinSeen:
    """A ZDO_TC_DEV_IND in the interface's words.

    `had_nwk` is the address that the device was heard under; `key_missing` says that it may be
    without the present network key.
    """
    if is_open and nwk != had_nwk:
        kind = JoinKind.JOIN
    elif key_missing:
        kind = JoinKind.UNSECURED_REJOIN
    else:
        kind = JoinKind.SECURED_REJOIN
    # One that holds the network key is sent nothing.
    secured = kind is JoinKind.SECURED_REJOIN
    decision = JoinDecision.NO_ACTION if secured else JoinDecision.KEY_SENT
    return JoinSeen(eui64, nwk, kind, decision, parent)
