"""What a trustCenterJoinHandler says: who came, how, what the NCP decided; or who left."""

from __future__ import annotations

from dataclasses import dataclass

import bellows.types as t

from labctl.events import JoinKind
from labctl.radio.coordinator import JoinDecision, JoinSeen
from labctl.smart_energy.eui64 import Eui64

_KINDS = {
    t.EmberDeviceUpdate.STANDARD_SECURITY_SECURED_REJOIN: JoinKind.SECURED_REJOIN,
    t.EmberDeviceUpdate.STANDARD_SECURITY_UNSECURED_JOIN: JoinKind.JOIN,
    t.EmberDeviceUpdate.STANDARD_SECURITY_UNSECURED_REJOIN: JoinKind.UNSECURED_REJOIN,
}
_DECISIONS = {
    t.EmberJoinDecision.USE_PRECONFIGURED_KEY: JoinDecision.KEY_SENT,
    t.EmberJoinDecision.SEND_KEY_IN_THE_CLEAR: JoinDecision.KEY_SENT,
    t.EmberJoinDecision.DENY_JOIN: JoinDecision.DENIED,
    t.EmberJoinDecision.NO_ACTION: JoinDecision.NO_ACTION,
}


@dataclass(frozen=True, slots=True)
class Departure:
    """A device left, or was made to."""

    eui64: Eui64
    nwk: int


def change_of(
    nwk: int,
    ieee: t.EUI64,
    update: t.EmberDeviceUpdate,
    decision: t.EmberJoinDecision,
    parent: int,
) -> JoinSeen | Departure | None:
    """In the interface's words, the bearer left open; None for an update that nobody knows."""
    eui64 = Eui64(str(ieee))
    if update == t.EmberDeviceUpdate.DEVICE_LEFT:
        return Departure(eui64, int(nwk))
    kind = _KINDS.get(update)
    if kind is None:
        return None
    return JoinSeen(
        eui64=eui64,
        nwk=int(nwk),
        kind=kind,
        decision=_DECISIONS.get(decision, JoinDecision.NO_ACTION),
        parent_nwk=int(parent),
    )
