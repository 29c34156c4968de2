"""What the key establishment machine is, and what it tells its owner to do: plain values."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from labctl.secret import Secret
from labctl.smart_energy.cbke_messages import CommandId, TerminateStatus
from labctl.smart_energy.certificates import Certificate


class Role(enum.StrEnum):
    """Which side of the exchange this is."""

    INITIATOR = "initiator"
    RESPONDER = "responder"


class State(enum.StrEnum):
    """Where the exchange stands. AWAITING_x: the partner's message x comes next."""

    IDLE = "idle"
    AWAITING_INITIATE = "awaiting-initiate"
    AWAITING_EPHEMERAL_DATA = "awaiting-ephemeral-data"
    AWAITING_CONFIRM_KEY = "awaiting-confirm-key"
    ESTABLISHED = "established"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class Send:
    """Send this command of cluster 0x0800 to the partner: with APS acknowledgement, without APS
    encryption, fragmented where it is too long.
    """

    command_id: CommandId
    payload: bytes


@dataclass(frozen=True, slots=True)
class Established:
    """Install `link_key` (16 octets) for the partner *before* carrying out the next action.

    The initiator may use the key as soon as it has the responder's confirmation. When the key
    cannot be installed, call `KeyEstablishment.abort` and drop the actions that are left.
    """

    link_key: Secret
    suite: int
    partner_certificate: Certificate


@dataclass(frozen=True, slots=True)
class Terminated:
    """It is over and no key came of it; forget one that `Established` gave for this attempt.

    `status` is what crossed the air, or None when nothing did (a timeout, a lost link). `wait_s`
    is how long to wait before another attempt (0 to 255). `cause` is for people.
    """

    status: TerminateStatus | None
    by_partner: bool
    wait_s: int
    cause: str


Action = Send | Established | Terminated
"""What the owner of a machine has to do."""
