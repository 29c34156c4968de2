"""Key establishment, begun by a device or by the hub: carries out what the state machine says.

The key goes into the NCP before the confirmation leaves, because the device may use it as soon as
it has that. If the confirmation cannot be delivered, the key before it comes back, unless the
device has already spoken under the new one. The same holds for a Terminate that comes after it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping

from zigpy.zcl.foundation import Status

from labctl.clock import MICROSECONDS
from labctl.errors import DeliveryError, RigError
from labctl.events import DeviceSeen, Severity, Step
from labctl.hub import frames as zcl
from labctl.hub.chores import Chores
from labctl.hub.device_log import Device, KeyState
from labctl.hub.frames import Frame
from labctl.hub.inbox import Work
from labctl.hub.key_engine import Arithmetics
from labctl.hub.key_failures import Failures
from labctl.hub.key_session import CLUSTER_ID, SOURCE_ENDPOINT, Route, Session, octets
from labctl.hub.keys import Keys
from labctl.hub.practices import Practices
from labctl.hub.provocation import IN_DOUBT_S, Provocation, Provocations
from labctl.hub.reporter import Reporter
from labctl.hub.settings import Patience
from labctl.hub.trust_centre import TrustCentre
from labctl.radio.coordinator import Coordinator, Incoming
from labctl.smart_energy.cbke import (
    CommandId,
    Established,
    Identity,
    KeyEstablishment,
    Role,
    Send,
    Terminated,
    TerminateStatus,
)
from labctl.smart_energy.cbke_actions import Action
from labctl.smart_energy.cbke_engine import Engine
from labctl.smart_energy.disagreements import DeviceSettings
from labctl.smart_energy.eui64 import Eui64

__all__ = ["CLUSTER_ID", "KeyEstablishments"]

_STEP_OF = {
    CommandId.INITIATE: Step.KEY_INITIATE,
    CommandId.EPHEMERAL_DATA: Step.KEY_EPHEMERAL,
    CommandId.CONFIRM_KEY: Step.KEY_CONFIRM,
}
_COMMANDS = frozenset(int(command) for command in CommandId)
_UNSUPPORTED = int(Status.UNSUP_CLUSTER_COMMAND)
_LONGEST_WAIT_S = 254
_OVER = "the exchange is over"
_STILL_BUSY = "the NCP is busy with another device's key establishment"


class KeyEstablishments:
    """The exchanges that are under way, one for each device.

    `enqueue` puts the hub's own work behind what the device sent before. `treated` tells which
    suites are on offer to a device; which ones it asks for, `practices` hears.
    """

    def __init__(
        self,
        *,
        identities: Callable[[Device], Mapping[int, Identity]],
        own: Callable[[Device], Eui64],
        arithmetics: Arithmetics,
        coordinator: Coordinator,
        keys: Keys,
        trust_centre: TrustCentre,
        reporter: Reporter,
        chores: Chores,
        patience: Patience,
        enqueue: Callable[[Device, Work], None],
        treated: Callable[[Device], DeviceSettings],
        practices: Practices,
    ) -> None:
        self._identities = identities
        self._own = own
        self._arithmetics = arithmetics
        self._coordinator = coordinator
        self._keys = keys
        self._trust_centre = trust_centre
        self._reporter = reporter
        self._chores = chores
        self._patience = patience
        self._enqueue = enqueue
        self._treated = treated
        self._practices = practices
        self._failures = Failures(patience)
        self._provocations = Provocations(reporter)
        self._sessions: dict[Device, Session] = {}
        self._sequence = 0

    def __len__(self) -> int:
        """How many exchanges are remembered."""
        return len(self._sessions)

    def heard_secured(self, device: Device) -> None:
        """A frame came that only the newest key in the NCP deciphers."""
        session = self._sessions.get(device)
        if session is not None and (session.confirming or session.concluded):
            session.proven = True
            if session.in_doubt is not None:
                self._enqueue(device, lambda: self._settle_doubt(device, session))
        if device.key is KeyState.UNPROVEN:
            self._keys.confirm(device)
            self._trust_centre.proven(device)

    async def forget(self, device: Device) -> None:
        """Drop the device's exchange."""
        session = self._sessions.pop(device, None)
        if session is not None:
            session.prevent()
            await self._end(session)

    async def _end(self, session: Session) -> None:
        try:
            await session.arithmetic.end()
        except RigError as error:
            self._reporter.note("radio-error", Severity.ERROR, cause=error.what)

    async def close(self) -> None:
        """The hub stops: a key whose confirmation was still under way is not kept."""
        for device, session in tuple(self._sessions.items()):
            session.prevent()
            if session.confirming and not session.proven:
                await self._keys.roll_back(device)
            await self._end(session)
        self._sessions.clear()

    def radio_lost(self, devices: Iterable[Device]) -> None:
        """Drop their exchanges and leave the keys: what reached the radio shows when it is back."""
        for device in devices:
            session = self._sessions.pop(device, None)
            if session is not None:
                session.prevent()
                self._chores.run(self._end(session))

    def provoke(self, device: Eui64, what: Provocation | None) -> None:
        """Spoil the next attempt with that device, once; None takes it back."""
        self._provocations.want(device, what)

    # -- the hub begins ---------------------------------------------------------------------------

    async def initiate(self, device: Device, *, suite: int | None = None) -> None:
        """Begin key establishment with a device; what comes of it is in its joins.

        Raises `RigError` when the device has no key in the NCP, when it is not known where it is,
        and when the NCP is busy; `ValueError` for a suite that is not on offer to the device.
        """
        if suite is not None and suite not in self._offered(device):
            raise ValueError(f"suite {suite} is not on offer to {device.name}")
        if device.key is KeyState.NONE or device.nwk is None:
            raise RigError(
                "key establishment needs a device that is on the network",
                where=device.name,
                mend="pair it first",
            )
        pause_s = self._failures.pause_s(device, self._reporter.now_us())
        if pause_s:
            raise RigError(self._put_off(pause_s), where=device.name, mend="wait that long")
        under_way = self._sessions.get(device)
        if under_way is not None and not under_way.machine.is_over:
            raise RigError("key establishment with it is under way", where=device.name)
        await self.forget(device)
        arithmetic = self._arithmetics.begin()
        if arithmetic is None:
            raise RigError(_STILL_BUSY, where=device.name, mend="try again in half a minute")
        self._trust_centre.establishment_began(device)
        machine = self._machine(device, Role.INITIATOR, arithmetic.engine, suite=suite)
        self._sequence = (self._sequence + 1) % 256
        route = Route(device.nwk, device.endpoint or 1, SOURCE_ENDPOINT)
        session = self._sessions[device] = Session(machine, arithmetic, route, self._sequence)
        session.provoked = self._provocations.attempt(device.eui64, Role.INITIATOR)

        async def work() -> None:
            if self._sessions.get(device) is session:
                await self._carry_out(device, session, session.machine.start())

        self._enqueue(device, work)

    # -- what arrives -----------------------------------------------------------------------------

    async def received(
        self, device: Device, packet: Incoming, frame: Frame, received_us: int
    ) -> None:
        """A command of the cluster arrived, in a unicast."""
        if frame.command_id not in _COMMANDS:
            self._refuse(device, packet, frame, "unknown key establishment command", _UNSUPPORTED)
            await self._send(packet, zcl.default_response(frame, _UNSUPPORTED))
            return
        session = self._sessions.get(device)
        ours = session is not None and session.is_ours
        if frame.from_server and not ours and frame.command_id != CommandId.TERMINATE:
            self._refuse(device, packet, frame, "an answer to a request that the hub sent none of")
            return
        self._practices.suites(
            device.eui64, frame.command_id, frame.payload, from_server=frame.from_server
        )
        if device.key is KeyState.NONE:
            cause = "key establishment outside a pairing window"
            await self._turn_away(device, packet, frame, cause, TerminateStatus.BAD_MESSAGE)
            return
        begins = frame.command_id == CommandId.INITIATE and not frame.from_server
        if begins and session is not None and session.in_doubt is not None:
            again = "the device began anew, without a word on the wrong confirmation"
            await self._doubted(device, session, session.machine.lost(again))
        if begins and (session is None or ours or not session.repeats(frame)):
            session = await self._begin(device, packet, frame)
        elif session is None:
            await self._out_of_order(device, packet, frame)
        if session is None:
            return
        if frame.command_id == CommandId.TERMINATE and session.concluded:
            await self._withdraw(device, session, packet, frame)
            return
        if frame.command_id == CommandId.TERMINATE and session.in_doubt is not None:
            await self._doubted(device, session, session.machine.receive(*_said(frame)))
            return
        if session.slow_with is not None and session.slow_with == _said(frame):
            return  # it is being answered, slowly and on purpose
        if not ours:
            session.route, session.sequence = Route.back(packet), frame.sequence
        session.turn += 1
        if not session.machine.is_over:
            session.prevent()
        await self._step(device, session, packet, frame, received_us)

    async def _step(
        self,
        device: Device,
        session: Session,
        packet: Incoming,
        frame: Frame,
        received_us: int,
    ) -> None:
        machine = session.machine
        try:
            await session.arithmetic.prepare(machine, frame.command_id, frame.payload)
        except RigError as error:
            cause = f"the radio did not do its part: {error.what}"
            await self._carry_out(device, session, machine.abort(cause))
            return
        provoked = session.provoked
        slow_s = provoked.takes_s(frame.command_id) if provoked else 0.0
        if provoked is None or not slow_s or machine.is_over:
            await self._proceed(device, session, packet, frame)
            return

        async def late() -> None:
            session.slow_with = None
            if self._sessions.get(device) is session and not machine.is_over:
                await self._proceed(device, session, packet, frame)
                took_us = self._reporter.now_us() - received_us
                provoked.took_s = max(provoked.took_s, took_us / MICROSECONDS)

        session.slow_with = _said(frame)
        slow_s -= (self._reporter.now_us() - received_us) / MICROSECONDS
        session.prevent = self._chores.later(slow_s, lambda: self._enqueue(device, late))

    async def _proceed(
        self, device: Device, session: Session, packet: Incoming, frame: Frame
    ) -> None:
        machine = session.machine
        was_over = machine.is_over
        actions = machine.receive(frame.command_id, frame.payload, from_server=frame.from_server)
        if was_over and not any(_is_confirmation(action) for action in actions):
            self._refuse(device, packet, frame, _OVER)
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

    async def _begin(self, device: Device, packet: Incoming, frame: Frame) -> Session | None:
        await self.forget(device)
        pause_s = self._failures.pause_s(device, self._reporter.now_us())
        busy = TerminateStatus.NO_RESOURCES
        if pause_s:
            await self._turn_away(device, packet, frame, self._put_off(pause_s), busy, pause_s)
            return None
        arithmetic = self._arithmetics.begin()
        if arithmetic is None:
            await self._turn_away(device, packet, frame, _STILL_BUSY, busy)
            return None
        self._trust_centre.establishment_began(device)
        machine = self._machine(device, Role.RESPONDER, arithmetic.engine)
        route = Route.back(packet)
        session = Session(machine, arithmetic, route, frame.sequence, frame.payload)
        session.provoked = self._provocations.attempt(device.eui64, Role.RESPONDER)
        self._sessions[device] = session
        return session

    def _machine(
        self,
        device: Device,
        role: Role = Role.RESPONDER,
        engine: Engine | None = None,
        *,
        suite: int | None = None,
        wait_s: float = 10,
    ) -> KeyEstablishment:
        return KeyEstablishment(
            role,
            self._offered(device),
            own_eui64=self._own(device),
            partner=device.eui64,
            engine=engine,
            suite=suite,
            wait_s=min(_LONGEST_WAIT_S, round(wait_s)),
        )

    def _offered(self, device: Device) -> Mapping[int, Identity]:
        suites = self._treated(device).suites
        identities = self._identities(device)
        if suites is None:
            return identities
        return {suite: identities[suite] for suite in suites}

    def _put_off(self, pause_s: float) -> str:
        until_us = self._reporter.now_us() + pause_s * MICROSECONDS
        until = datetime.datetime.fromtimestamp(until_us / MICROSECONDS, datetime.UTC)
        return (
            f"{self._patience.failures_in_a_row} failures of key establishment in a row: "
            f"put off until {until:%H:%M:%S} UTC"
        )

    async def _turn_away(
        self,
        device: Device,
        packet: Incoming,
        frame: Frame,
        cause: str,
        status: TerminateStatus,
        wait_s: float = 10,
    ) -> None:
        """No exchange; whoever asked for one is told, with the time to wait."""
        self._refuse(device, packet, frame, cause)
        if frame.command_id != CommandId.TERMINATE:
            abort = self._machine(device, wait_s=wait_s).abort(cause, status)
            await self._send_all(packet, frame, abort)

    async def _out_of_order(self, device: Device, packet: Incoming, frame: Frame) -> None:
        """A later message of an exchange that was not begun."""
        cause = f"{CommandId(frame.command_id).label} without an exchange under way"
        self._refuse(device, packet, frame, cause)
        answer = self._machine(device).receive(frame.command_id, frame.payload, frame.from_server)
        await self._send_all(packet, frame, answer)

    async def _withdraw(
        self, device: Device, session: Session, packet: Incoming, frame: Frame
    ) -> None:
        """A Terminate after the confirmation: the device did not take the key, unless it used it.

        The command carries no APS security, so anybody with the network key could send it: what
        the device says under the link key itself has more weight.
        """
        if session.proven:
            self._refuse(device, packet, frame, "Terminate after the device has used the key")
            return
        actions = session.machine.receive(frame.command_id, frame.payload)
        cause = next((a.cause for a in actions if isinstance(a, Terminated)), _OVER)
        try:
            await self._keys.put_back(device, *session.before)
        except RigError as error:
            cause += f"; and the key before it could not be put back: {error.what}"
        await self.forget(device)
        self._count_failure(device)
        self._trust_centre.revoked(device, cause)

    # -- carrying out -----------------------------------------------------------------------------

    def _record_step(
        self, device: Device, session: Session, command: CommandId, actions: list[Action]
    ) -> None:
        step = _STEP_OF.get(command)
        if step is None or not actions or any(isinstance(a, Terminated) for a in actions):
            return
        detail = ""
        certificate = session.machine.partner_certificate
        if command is CommandId.INITIATE and certificate is not None:
            detail = f"suite {session.machine.suite}, certificate issued by {certificate.issuer}"
        self._trust_centre.establishment_step(device, step, detail)

    async def _carry_out(self, device: Device, session: Session, actions: list[Action]) -> None:
        established: Established | None = None
        for action in actions:
            if isinstance(action, Terminated):
                await self._failed(device, session, action)
            elif isinstance(action, Established):
                established = action
                if not await self._install(device, session, action):
                    return
            else:
                await self._send_step(session, action)
        if established is not None:
            provoked = session.provoked
            if provoked is not None and provoked.leaves_doubt and not session.proven:
                self._doubt(device, session, established)
                return
            await self._conclude(device, session, established)
            return
        deadline_s, turn = session.machine.deadline_s, session.turn
        if deadline_s is not None:
            session.prevent = self._chores.later(
                deadline_s,
                lambda: self._give_up(device, session, session.machine.timed_out, turn),
            )

    async def _install(self, device: Device, session: Session, action: Established) -> bool:
        """The key into the NCP. False when that failed and the exchange was ended for it."""
        try:
            key, in_ncp = await session.arithmetic.link_key(device.eui64, action.link_key)
            await self._keys.establish(device, key, in_ncp=in_ncp)
        except RigError as error:
            cause = f"the radio did not take the key: {error.what}"
            await self._carry_out(device, session, session.machine.abort(cause))
            return False
        session.before = device.before, device.before_state
        session.confirming = True
        return True

    async def _conclude(self, device: Device, session: Session, established: Established) -> None:
        session.confirming = False
        if session.undelivered and not session.proven:
            cause = f"the confirmation was not delivered: {session.undelivered}"
            try:
                await self._keys.roll_back(device)
            except RigError as error:
                cause += f"; and the key before it could not be put back: {error.what}"
            await self._carry_out(device, session, session.machine.lost(cause))
            return
        session.concluded = True
        await self._end(session)
        self._failures.succeeded(device)
        if session.provoked is not None:
            self._provocations.ended(session.provoked, None, suite=established.suite)
        self._reporter.emit(
            DeviceSeen(
                at_us=self._reporter.now_us(),
                eui64=device.eui64,
                certificate_suite=established.suite,
                certificate_issuer=str(established.partner_certificate.issuer),
            )
        )
        self._keys.confirm(device)
        self._trust_centre.established(device)
        # Kept for a while: a device that did not hear the end repeats itself, or takes it back.
        session.prevent = self._chores.later(
            self._patience.repeat_s, lambda: self._drop(device, session)
        )

    def _drop(self, device: Device, session: Session) -> None:
        if self._sessions.get(device) is session:
            del self._sessions[device]

    def _give_up(
        self,
        device: Device,
        session: Session,
        end: Callable[[], list[Action]],
        turn: int | None = None,
    ) -> None:
        """End the exchange behind what the device has sent; not if a message moved it on."""

        async def work() -> None:
            if self._sessions.get(device) is session and turn in (None, session.turn):
                session.prevent()
                await self._carry_out(device, session, end())

        self._enqueue(device, work)

    async def _failed(self, device: Device, session: Session, end: Terminated) -> None:
        cause = end.cause
        if end.status is not None and end.status.name not in cause:
            cause = f"{end.status.name}: {cause}"
        if end.status is None and session.undelivered and session.undelivered not in cause:
            cause += f"; our message before that was not delivered: {session.undelivered}"
        await self._end(session)
        provoked = session.provoked
        if provoked is not None:
            suite, undelivered = session.machine.suite, session.undelivered
            self._provocations.ended(provoked, end, suite=suite, undelivered=undelivered)
        if provoked is not None and provoked.spoiled:
            cause = provoked.cause(cause)
        else:
            self._count_failure(device)
        self._trust_centre.establishment_failed(device, session.machine.step, cause)
        # Kept for a while, so that latecomers of it are told that it is over.
        session.prevent = self._chores.later(
            self._patience.repeat_s, lambda: self._drop(device, session)
        )

    # -- after a wrong confirmation of ours, sent on purpose --------------------------------------

    def _doubt(self, device: Device, session: Session, established: Established) -> None:
        """The device now says no, or it uses the key, or it is silent."""
        session.in_doubt = established
        silent = "the device neither refused the wrong confirmation nor used the key"
        session.prevent = self._chores.later(
            IN_DOUBT_S,
            lambda: self._enqueue(
                device, lambda: self._doubted(device, session, session.machine.lost(silent))
            ),
        )

    async def _doubted(self, device: Device, session: Session, end: list[Action]) -> None:
        """It did not take the key: what was before it holds."""
        if self._sessions.get(device) is not session or session.in_doubt is None:
            return
        session.prevent()
        session.in_doubt, session.confirming = None, False
        try:
            await self._keys.roll_back(device)
        except RigError as error:
            self._reporter.note("key-not-erased", Severity.ERROR, device.eui64, cause=error.what)
        await self._carry_out(device, session, end)

    async def _settle_doubt(self, device: Device, session: Session) -> None:
        """It used the key, so it took it."""
        established, session.in_doubt = session.in_doubt, None
        if self._sessions.get(device) is session and established is not None:
            session.prevent()
            await self._conclude(device, session, established)

    def _count_failure(self, device: Device) -> None:
        now_us = self._reporter.now_us()
        if self._failures.failed(device, now_us):
            self._reporter.note(
                "key-establishment-paused",
                Severity.WARNING,
                device.eui64,
                cause=self._put_off(self._failures.pause_s(device, now_us)),
            )

    # -- sending ----------------------------------------------------------------------------------

    async def _send_step(self, session: Session, action: Send) -> None:
        session.undelivered = ""
        if session.provoked is not None:
            action = self._provocations.outgoing(session.provoked, action)
        try:
            await self._coordinator.send(session.outgoing(action))
        except DeliveryError as error:
            # The device may have it all the same (only the acknowledgement lost); if not, it will
            # not go on, and the machine's deadline ends the attempt.
            session.undelivered = error.what

    async def _send_all(self, packet: Incoming, frame: Frame, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                await self._send(packet, octets(frame.sequence, action))

    async def _send(self, packet: Incoming, data: bytes) -> None:
        try:
            await self._coordinator.send(Route.back(packet).packet(data))
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


def _said(frame: Frame) -> tuple[int, bytes]:
    return frame.command_id, frame.payload


def _is_confirmation(action: Action) -> bool:
    return isinstance(action, Send) and action.command_id is CommandId.CONFIRM_KEY
