"""Key establishment as a server: the trust centre begins it, as it may at any time (SE 1.4a C.4).

The key is in force before the confirmation leaves, because the hub may use it as soon as it has
that. When the confirmation is not acknowledged, the device asks a question under the new key: only
a hub that has it too answers. A Terminate that comes after the confirmation takes the key back,
unless the hub has used it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from labctl.smart_energy.cbke import (
    Action,
    CommandId,
    Established,
    KeyEstablishment,
    Role,
    Send,
    State,
    Terminated,
    TerminateStatus,
)
from labctl.smart_energy.cbke_messages import Terminate, suite_bitmap
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.devices import zcl
from labctl.virtual.devices.key_faults import KeyMessages
from labctl.virtual.devices.key_habits import STEPS, KeyHabits, told
from labctl.virtual.devices.key_turns import lost, taken
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.port import NoAnswer, Peer, RequestRefused, ZclPort
from labctl.virtual.devices.settings import BASIC, KEY_ESTABLISHMENT
from labctl.virtual.node import LinkKey, Status

_TRUST_CENTRE_NWK = 0x0000
_BUSY_WAIT_S = 30
_ZCL_VERSION = 0x0000
_REGRET_S = 60.0
"""How long after the confirmation the hub may take it back."""


@dataclass(slots=True)
class _Exchange:
    """One that is under way. `sequence` is of the request that is answered."""

    machine: KeyEstablishment
    trust_centre: Eui64
    peer: Peer
    before: LinkKey | None
    suite_before: int | None
    messages: KeyMessages | None = None
    heard: asyncio.Queue[zcl.Frame] = field(default_factory=asyncio.Queue)
    sequence: int = 0
    task: asyncio.Task[None] | None = None

    proven: bool = False
    """The hub has used the new key."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_confirming(self) -> bool:
        """Whether the new key is in force, and it is not known yet if the hub has it."""
        return not self.ended.is_set() and self.machine.state is State.ESTABLISHED

    @property
    def takes_initiate(self) -> bool:
        """Whether an Initiate is a repetition, whose answer was lost."""
        waiting = (State.AWAITING_INITIATE, State.AWAITING_EPHEMERAL_DATA)
        return not self.ended.is_set() and self.machine.state in waiting


@dataclass(slots=True)
class KeyResponder:
    """Answers the trust centre's client, one exchange at a time.

    `is_busy` says that the device has an exchange of its own under way. `suite` is that of the
    established key which is in force, None without one, and `in_force` is told when it changes.
    """

    habits: KeyHabits
    port: ZclPort
    saw: Observations
    is_busy: Callable[[], bool]
    suite: Callable[[], int | None]
    in_force: Callable[[int | None], None]
    _exchange: _Exchange | None = None

    async def idle(self) -> None:
        """Return when no exchange is under way."""
        while self._exchange is not None and not self._exchange.ended.is_set():
            await self._exchange.ended.wait()

    def close(self) -> None:
        """Break off what is under way: the power is gone."""
        if self._exchange is not None and self._exchange.task is not None:
            self._exchange.task.cancel()
            self._exchange.ended.set()

    def heard_secured(self, nwk: int) -> None:
        """Something came from a node under the link key that is in force."""
        exchange = self._exchange
        if (
            exchange is not None
            and exchange.peer.nwk == nwk
            and exchange.machine.state is State.ESTABLISHED
        ):
            exchange.proven = True

    def frame_received(self, peer: Peer, frame: zcl.Frame) -> None:
        """A frame of the Key Establishment cluster's client arrived."""
        exchange = self._exchange
        known = exchange is not None and exchange.peer.nwk == peer.nwk
        begins = frame.cluster_specific and frame.command == CommandId.INITIATE
        if exchange is not None and known and not (begins and not exchange.takes_initiate):
            if exchange.task is not None and not exchange.task.done():
                exchange.heard.put_nowait(frame)
        elif begins:
            self._begin(peer, frame)

    def _begin(self, peer: Peer, frame: zcl.Frame) -> None:
        trust_centre = self.habits.node.state.trust_centre
        if (
            trust_centre is None
            or peer.nwk != _TRUST_CENTRE_NWK
            or self.is_busy()
            or (self._exchange is not None and self._exchange.is_confirming)
            or self.habits.faults.never
        ):
            self.port.reply(peer, KEY_ESTABLISHMENT, self._busy(frame))
            return
        self.close()
        exchange = self._exchange = _Exchange(
            self.habits.machine(Role.RESPONDER, trust_centre),
            trust_centre,
            peer,
            self.habits.node.state.link_keys.get(trust_centre),
            self.suite(),
        )
        exchange.heard.put_nowait(frame)
        exchange.task = asyncio.get_running_loop().create_task(self._run(exchange))

    def _busy(self, frame: zcl.Frame) -> zcl.Frame:
        """Nobody but the trust centre establishes keys with a display, and one at a time."""
        suites = suite_bitmap(frozenset(self.habits.identities))
        terminate = Terminate(TerminateStatus.NO_RESOURCES, _BUSY_WAIT_S, suites)
        return _frame(CommandId.TERMINATE, frame.sequence, terminate.encode())

    async def _run(self, exchange: _Exchange) -> None:
        outcome: Established | Terminated | None = None
        while outcome is None:
            outcome = await self._carry_out(exchange, await self._next(exchange))
        exchange.ended.set()
        if isinstance(outcome, Established):
            self.saw.note(What.KEY_ESTABLISHED, f"suite {outcome.suite}, begun by the hub")
            self.in_force(outcome.suite)
            outcome = await self._regretted(exchange)
        if outcome is not None:
            self.saw.note(What.KEY_FAILED, told(outcome))

    async def _regretted(self, exchange: _Exchange) -> Terminated | None:
        """How the hub took the key back, if it did."""
        try:
            async with asyncio.timeout(_REGRET_S):
                while True:
                    frame = await exchange.heard.get()
                    if exchange.proven or not frame.cluster_specific:
                        continue
                    for action in exchange.machine.receive(frame.command, frame.payload, False):
                        if isinstance(action, Terminated):
                            self._roll_back(exchange)
                            self.in_force(exchange.suite_before)
                            return action
        except TimeoutError:
            return None

    def _roll_back(self, exchange: _Exchange) -> None:
        keys = self.habits.node.state.link_keys
        if exchange.before is None:
            keys.pop(exchange.trust_centre, None)
        else:
            keys[exchange.trust_centre] = exchange.before

    async def _next(self, exchange: _Exchange) -> list[Action]:
        """What the hub's next message, or its silence, makes of the machine."""
        machine = exchange.machine
        try:
            async with asyncio.timeout(self.habits.patience_s(machine)):
                frame = await exchange.heard.get()
        except TimeoutError:
            return machine.timed_out()
        if frame.cluster_specific:
            exchange.sequence = frame.sequence
            await self.habits.work(frame.command)
        return taken(machine, frame)

    async def _carry_out(
        self, exchange: _Exchange, actions: list[Action]
    ) -> Established | Terminated | None:
        outcome: Established | Terminated | None = None
        for action in actions:
            if isinstance(action, Send):
                status = await self._send(exchange, action)
                if isinstance(outcome, Established):
                    return await self._confirmed(exchange, outcome, status)
            else:
                outcome = action
                if isinstance(action, Established):
                    self.habits.install(exchange.trust_centre, action)
        return outcome

    async def _send(self, exchange: _Exchange, action: Send) -> Status:
        if exchange.messages is None:
            suite = exchange.machine.suite or max(self.habits.identities)
            exchange.messages = self.habits.messages(suite)
        status = Status.SUCCESS
        for command, payload in exchange.messages.outgoing(action.command_id, action.payload):
            frame = _frame(command, exchange.sequence, payload)
            status = await self.port.send(
                exchange.peer, KEY_ESTABLISHMENT, frame, aps_secured=False
            )
        if status is Status.SUCCESS and action.command_id in STEPS:
            self.habits.reached(STEPS[action.command_id])
        return status

    async def _confirmed(
        self, exchange: _Exchange, established: Established, status: Status
    ) -> Established | Terminated:
        """The confirmation is out; what the hub made of it may have to be found out."""
        if status is Status.SUCCESS or exchange.proven or await self._hub_has_it(exchange.peer):
            return established
        self._roll_back(exchange)
        return lost(exchange.machine, f"not delivered: {status.value}")

    async def _hub_has_it(self, peer: Peer) -> bool:
        try:
            await self.port.read(peer, BASIC, (_ZCL_VERSION,), aps_secured=True)
        except NoAnswer:
            return False
        except RequestRefused:
            return True
        return True


def _frame(command: int, sequence: int, payload: bytes) -> zcl.Frame:
    return zcl.Frame(
        command,
        sequence,
        payload,
        cluster_specific=True,
        from_server=True,
        disable_default_response=True,
    )
