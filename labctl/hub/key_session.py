"""One attempt at key establishment, and the frames of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labctl.hub import frames as zcl
from labctl.hub.chores import nothing
from labctl.hub.frames import Frame
from labctl.hub.key_engine import Arithmetic
from labctl.hub.provocation import Provoked
from labctl.hub.vault import KeyState
from labctl.radio.coordinator import Incoming, Outgoing
from labctl.secret import Secret
from labctl.smart_energy.cbke import Established, KeyEstablishment, Role, Send, State
from labctl.smart_energy.clusters import KeyEstablishment as Cluster

CLUSTER_ID = int(Cluster.cluster_id)
SOURCE_ENDPOINT = 1

_RESPONSE = zcl.CLUSTER_SPECIFIC | zcl.FROM_SERVER | zcl.NO_DEFAULT_RESPONSE
_REQUEST = zcl.CLUSTER_SPECIFIC | zcl.NO_DEFAULT_RESPONSE


@dataclass(frozen=True, slots=True)
class Route:
    """Where a message goes: the device's address and endpoint, and ours."""

    nwk: int
    device_endpoint: int
    hub_endpoint: int

    @classmethod
    def back(cls, packet: Incoming) -> Route:
        """To whoever sent `packet`."""
        return cls(packet.nwk, packet.source_endpoint, packet.destination_endpoint)

    def packet(self, data: bytes) -> Outgoing:
        """Key establishment carries no APS security (SE 1.4a 5.4.6)."""
        return Outgoing(
            nwk=self.nwk,
            source_endpoint=self.hub_endpoint,
            destination_endpoint=self.device_endpoint,
            cluster_id=CLUSTER_ID,
            data=data,
        )


@dataclass(slots=True, eq=False)
class Session:
    """One attempt with one device. `turn` counts its messages.

    `undelivered` is why our latest message did not arrive. While `confirming`, the new key is in
    the NCP and the confirmation under way, and `before` was in force before; once `concluded`, it
    arrived. `proven` says that the
    device used the key. `provoked`: the hub spoils it on purpose, and is `in_doubt` while the
    device's answer to a wrong confirmation is still to come, or `slow_with` one of its messages.
    """

    machine: KeyEstablishment
    arithmetic: Arithmetic
    route: Route
    sequence: int
    initiate: bytes = b""
    prevent: Callable[[], None] = nothing
    turn: int = 0
    undelivered: str = ""
    confirming: bool = False
    concluded: bool = False
    before: tuple[Secret | None, KeyState] = (None, KeyState.NONE)
    proven: bool = False
    provoked: Provoked | None = None
    in_doubt: Established | None = None
    slow_with: tuple[int, bytes] | None = None

    @property
    def is_ours(self) -> bool:
        """Whether the hub began it."""
        return self.machine.role is Role.INITIATOR

    def outgoing(self, action: Send) -> Outgoing:
        """The next message of ours."""
        if self.is_ours:
            self.sequence = (self.sequence + 1) % 256
        return self.route.packet(octets(self.sequence, action, request=self.is_ours))

    def repeats(self, frame: Frame) -> bool:
        """The Initiate that began the session, once more: its answer was lost."""
        return (
            self.machine.state is State.AWAITING_EPHEMERAL_DATA and self.initiate == frame.payload
        )


def octets(sequence: int, action: Send, *, request: bool = False) -> bytes:
    """A command of the cluster as a ZCL frame."""
    control = _REQUEST if request else _RESPONSE
    return Frame(control, sequence, int(action.command_id), action.payload).octets()
