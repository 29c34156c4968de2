"""Key establishment with the hub as responder: carries out what the state machine says.

The key goes into the NCP before the confirmation leaves, because the device may use it as soon as
it has that. If the confirmation cannot be delivered, the key before it comes back, unless the
device has already spoken under the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zigpy.zcl.foundation import Status

from labctl.errors import DeliveryError, RigError
from labctl.events import DeviceSeen, Step
from labctl.hub import frames as zcl
from labctl.hub.chores import Chores, nothing
from labctl.hub.device_log import Device, KeyState
from labctl.hub.frames import Frame
from labctl.hub.inbox import Work
from labctl.hub.keys import Keys
from labctl.hub.reporter import Reporter
from labctl.hub.trust_centre import TrustCentre
from labctl.radio.coordinator import Coordinator, Incoming, Outgoing
from labctl.secret import Secret
from labctl.smart_energy.cbke import (
    CommandId,
    Established,
    Identity,
    KeyEstablishment,
    Role,
    Send,
    State,
    Terminated,
    TerminateStatus,
)
from labctl.smart_energy.cbke_actions import Action
from labctl.smart_energy.clusters import KeyEstablishment as Cluster
from labctl.smart_energy.eui64 import Eui64

CLUSTER_ID = int(Cluster.cluster_id)

_STEP_OF = {
    CommandId.INITIATE: Step.KEY_INITIATE,
    CommandId.EPHEMERAL_DATA: Step.KEY_EPHEMERAL,
    CommandId.CONFIRM_KEY: Step.KEY_CONFIRM,
}
_COMMANDS = frozenset(int(command) for command in CommandId)
_UNSUPPORTED = int(Status.UNSUP_CLUSTER_COMMAND)
_CONTROL = zcl.CLUSTER_SPECIFIC | zcl.FROM_SERVER | zcl.NO_DEFAULT_RESPONSE


@dataclass(slots=True, eq=False)
class _Session:
    """One attempt of one device.

    `packet` and `sequence` are of its latest message, `turn` counts them. `undelivered` is why
    our latest did not arrive. While `confirming`, the new key is in the NCP and the confirmation
    under way; `before` is the key that it replaced, and `proven` says that the device used it.
    """

    machine: KeyEstablishment
    packet: Incoming
    sequence: int
    initiate: bytes
    prevent: Callable[[], None] = nothing
    turn: int = 0
    undelivered: str = ""
    confirming: bool = False
    proven: bool = False
    before: Secret | None = None


class KeyEstablishments:
    """The exchanges that are under way, one for each device.

    `enqueue` puts the hub's own work behind what the device sent before.
    """

    def __init__(
        self,
        *,
        identities: Mapping[int, Identity],
        own: Eui64,
        random_octets: Callable[[int], bytes],
        coordinator: Coordinator,
        keys: Keys,
        trust_centre: TrustCentre,
        reporter: Reporter,
        chores: Chores,
        enqueue: Callable[[Device, Work], None],
    ) -> None:
        self._identities = dict(identities)
        self._own = own
        self._random_octets = random_octets
        self._coordinator = coordinator
        self._keys = keys
        self._trust_centre = trust_centre
        self._reporter = reporter
        self._chores = chores
        self._enqueue = enqueue
        self._sessions: dict[Device, _Session] = {}

    def heard_secured(self, device: Device) -> None:
        """A frame came that only the newest key in the NCP deciphers."""
        session = self._sessions.get(device)
        if session is not None and session.confirming:
            session.proven = True

    def forget(self, device: Device) -> None:
        """Drop the device's exchange."""
        session = self._sessions.pop(device, None)
        if session is not None:
            session.prevent()

    async def close(self) -> None:
        """The hub stops: a key whose confirmation was still under way is not kept."""
        for device, session in self._sessions.items():
            session.prevent()
            if session.confirming and not session.proven:
                await self._keys.roll_back(device, session.before)
        self._sessions.clear()

    async def received(self, device: Device, packet: Incoming, frame: Frame) -> None:
        """A command of the cluster arrived, in a unicast."""
        if frame.command_id not in _COMMANDS:
            self._refuse(device, packet, frame, "unknown key establishment command", _UNSUPPORTED)
            await self._send(packet, zcl.default_response(frame, _UNSUPPORTED))
            return
        if frame.from_server and frame.command_id != CommandId.TERMINATE:
            self._refuse(device, packet, frame, "an answer to a request that the hub sent none of")
            return
        if device.key is KeyState.NONE:
            await self._turn_away(device, packet, frame)
            return
        session = self._sessions.get(device)
        if frame.command_id == CommandId.INITIATE and not _repeats(session, frame):
            session = self._begin(device, packet, frame)
        elif session is None:
            await self._out_of_order(device, packet, frame)
            return
        elif session.machine.is_over:
            self._refuse(device, packet, frame, "the exchange is over")
        session.packet, session.sequence = packet, frame.sequence
        session.turn += 1
        session.prevent()
        actions = session.machine.receive(
            frame.command_id, frame.payload, from_server=frame.from_server
        )
        self._record_step(device, session, CommandId(frame.command_id), actions)
        await self._carry_out(device, session, actions)

    def default_response(self, device: Device, frame: Frame) -> None:
        """The device answered a message of ours with a Default Response: is it a success?"""
        session = self._sessions.get(device)
        if session is None or session.machine.is_over or len(frame.payload) < 2:
            return
        command_id, status = frame.payload[0], frame.payload[1]
        if status:
            cause = f"the device answered command 0x{command_id:02X} with status 0x{status:02X}"
            self._give_up(device, session, lambda: session.machine.lost(cause))

    # -- beginnings -------------------------------------------------------------------------------

    def _begin(self, device: Device, packet: Incoming, frame: Frame) -> _Session:
        self.forget(device)
        self._trust_centre.establishment_began(device)
        session = _Session(self._machine(device), packet, frame.sequence, frame.payload)
        self._sessions[device] = session
        return session

    def _machine(self, device: Device) -> KeyEstablishment:
        return KeyEstablishment(
            Role.RESPONDER,
            self._identities,
            own_eui64=self._own,
            partner=device.eui64,
            random_octets=self._random_octets,
        )

    async def _turn_away(self, device: Device, packet: Incoming, frame: Frame) -> None:
        """No key in the table, no key establishment."""
        self._refuse(device, packet, frame, "key establishment outside a pairing window")
        if frame.command_id != CommandId.TERMINATE:
            abort = self._machine(device).abort("no pairing window", TerminateStatus.BAD_MESSAGE)
            await self._send_all(packet, frame, abort)

    async def _out_of_order(self, device: Device, packet: Incoming, frame: Frame) -> None:
        """A later message of an exchange that was not begun."""
        cause = f"{CommandId(frame.command_id).label} without an exchange under way"
        self._refuse(device, packet, frame, cause)
        answer = self._machine(device).receive(frame.command_id, frame.payload, frame.from_server)
        await self._send_all(packet, frame, answer)

    # -- carrying out -----------------------------------------------------------------------------

    def _record_step(
        self, device: Device, session: _Session, command: CommandId, actions: list[Action]
    ) -> None:
        step = _STEP_OF.get(command)
        if step is None or not actions or any(isinstance(a, Terminated) for a in actions):
            return
        detail = ""
        certificate = session.machine.partner_certificate
        if command is CommandId.INITIATE and certificate is not None:
            detail = f"suite {session.machine.suite}, certificate issued by {certificate.issuer}"
        self._trust_centre.establishment_step(device, step, detail)

    async def _carry_out(self, device: Device, session: _Session, actions: list[Action]) -> None:
        established: Established | None = None
        for action in actions:
            if isinstance(action, Terminated):
                self._failed(device, session, action)
            elif isinstance(action, Established):
                established = action
                try:
                    session.before = await self._keys.establish(device, action.link_key)
                except RigError as error:
                    cause = f"the radio did not take the key: {error.what}"
                    await self._carry_out(device, session, session.machine.abort(cause))
                    return
                session.confirming = True
            else:
                await self._send_step(session, action)
        if established is not None:
            await self._conclude(device, session, established)
            return
        deadline_s, turn = session.machine.deadline_s, session.turn
        if deadline_s is not None:
            session.prevent = self._chores.later(
                deadline_s,
                lambda: self._give_up(device, session, session.machine.timed_out, turn),
            )

    async def _conclude(self, device: Device, session: _Session, established: Established) -> None:
        session.confirming = False
        if session.undelivered and not session.proven:
            cause = f"the confirmation was not delivered: {session.undelivered}"
            try:
                await self._keys.roll_back(device, session.before)
            except RigError as error:
                cause += f"; and the key before it could not be put back: {error.what}"
            await self._carry_out(device, session, session.machine.lost(cause))
            return
        self._reporter.emit(
            DeviceSeen(
                at_us=self._reporter.now_us(),
                eui64=device.eui64,
                certificate_suite=established.suite,
                certificate_issuer=str(established.partner_certificate.issuer),
            )
        )
        self._trust_centre.established(device)

    def _give_up(
        self,
        device: Device,
        session: _Session,
        end: Callable[[], list[Action]],
        turn: int | None = None,
    ) -> None:
        """End the exchange behind what the device has sent; not if a message moved it on."""

        async def work() -> None:
            if self._sessions.get(device) is session and turn in (None, session.turn):
                session.prevent()
                await self._carry_out(device, session, end())

        self._enqueue(device, work)

    def _failed(self, device: Device, session: _Session, end: Terminated) -> None:
        cause = end.cause
        if end.status is not None and end.status.name not in cause:
            cause = f"{end.status.name}: {cause}"
        if end.status is None and session.undelivered and session.undelivered not in cause:
            cause += f"; our message before that was not delivered: {session.undelivered}"
        self._trust_centre.establishment_failed(device, session.machine.step, cause)

    # -- sending ----------------------------------------------------------------------------------

    async def _send_step(self, session: _Session, action: Send) -> None:
        session.undelivered = ""
        try:
            await self._coordinator.send(
                _outgoing(session.packet, _octets(session.sequence, action))
            )
        except DeliveryError as error:
            # The device may have it all the same (only the acknowledgement lost); if not, it will
            # not go on, and the machine's deadline ends the attempt.
            session.undelivered = error.what

    async def _send_all(self, packet: Incoming, frame: Frame, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                await self._send(packet, _octets(frame.sequence, action))

    async def _send(self, packet: Incoming, data: bytes) -> None:
        try:
            await self._coordinator.send(_outgoing(packet, data))
        except DeliveryError:
            return  # a refusal that was not heard is a refusal still, and is in the record

    def _refuse(
        self, device: Device, packet: Incoming, frame: Frame, cause: str, status: int | None = None
    ) -> None:
        self._reporter.refused(
            device.eui64,
            "application",
            cause,
            packet=packet,
            command_id=frame.command_id,
            status=status,
        )


def _repeats(session: _Session | None, frame: Frame) -> bool:
    """The Initiate that began the session, once more: its answer was lost."""
    return (
        session is not None
        and session.machine.state is State.AWAITING_EPHEMERAL_DATA
        and session.initiate == frame.payload
    )


def _octets(sequence: int, action: Send) -> bytes:
    return Frame(_CONTROL, sequence, int(action.command_id), action.payload).octets()


def _outgoing(packet: Incoming, data: bytes) -> Outgoing:
    """Key establishment carries no APS security (SE 1.4a 5.4.6)."""
    return Outgoing(
        nwk=packet.nwk,
        source_endpoint=packet.destination_endpoint,
        destination_endpoint=packet.source_endpoint,
        cluster_id=CLUSTER_ID,
        data=data,
    )
