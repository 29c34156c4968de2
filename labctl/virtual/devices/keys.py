"""Key establishment as a client drives it: attempts, waits, and when to give up (SE 1.4a 5.4.7)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from labctl.smart_energy.cbke import (
    Action,
    Established,
    KeyEstablishment,
    Role,
    Send,
    Terminated,
    TerminateStatus,
)
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.devices import zcl
from labctl.virtual.devices.key_faults import KeyMessages
from labctl.virtual.devices.key_habits import STEPS, KeyHabits, told
from labctl.virtual.devices.key_turns import lost, taken
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.port import Peer, ZclPort
from labctl.virtual.devices.settings import KEY_ESTABLISHMENT
from labctl.virtual.node import Status

_IMPATIENCE_S = 0.1
"""Between attempts of a device that ignores every wait."""


class IssuerUnknown(Exception):
    """One side does not know the issuer of the other's certificate: the joiner has to leave."""


@dataclass(slots=True)
class KeyDriver:
    """Runs the initiator's state machine over the air, attempt after attempt.

    `idle` waits for the end of an exchange that the hub began.
    """

    habits: KeyHabits
    port: ZclPort
    saw: Observations
    idle: Callable[[], Awaitable[None]]
    _suites: list[int] = field(default_factory=list)
    _partner: Peer | None = None
    _messages: KeyMessages | None = None
    _heard: asyncio.Queue[zcl.Frame] = field(default_factory=asyncio.Queue)

    @property
    def is_busy(self) -> bool:
        """Whether an exchange is under way."""
        return self._partner is not None

    async def establish(self, peer: Peer) -> int:
        """Establish a link key with the trust centre at `peer`; the suite that was used.

        Tries for as long as it takes: a failure waits as long as the partner's Terminate asked, at
        least 32 s; after ten in a row there is a pause of 15 min. The highest suite comes first,
        another one when the partner does not support it. Raise `IssuerUnknown` when trying again
        is of no use.
        """
        t = self.habits.timings
        self._suites = sorted(self.habits.identities, reverse=True)
        failures = 0
        while True:
            await self.idle()
            outcome = await self._attempt(peer)
            if isinstance(outcome, Established):
                self.saw.note(What.KEY_ESTABLISHED, f"suite {outcome.suite}")
                return outcome.suite
            self.saw.note(What.KEY_FAILED, told(outcome))
            if outcome.by_partner and outcome.status is TerminateStatus.UNSUPPORTED_SUITE:
                self._suites.append(self._suites.pop(0))
            if self.habits.faults.ignores_wait:
                await asyncio.sleep(_IMPATIENCE_S)
                continue
            if outcome.status is TerminateStatus.UNKNOWN_ISSUER:
                raise IssuerUnknown
            if self.habits.faults.gives_up:
                await asyncio.Event().wait()  # which never comes
            failures += 1
            if failures >= t.key_failures:
                failures = 0
                await asyncio.sleep(t.key_pause_s)
            else:
                asked = outcome.wait_s if outcome.by_partner else 0
                await asyncio.sleep(max(t.retry_s, asked))

    def frame_received(self, peer: Peer, frame: zcl.Frame) -> None:
        """A frame of the Key Establishment cluster's server arrived."""
        if self._partner is not None and peer.nwk == self._partner.nwk:
            self._heard.put_nowait(frame)

    async def _attempt(self, peer: Peer) -> Established | Terminated:
        trust_centre = self.habits.node.state.trust_centre
        if trust_centre is None:
            return Terminated(None, by_partner=False, wait_s=0, cause="no trust centre is known")
        suite = self._suites[0]
        machine = self.habits.machine(Role.INITIATOR, trust_centre, suite)
        self._messages = self.habits.messages(suite)
        self._partner = peer
        self._heard = asyncio.Queue()
        try:
            actions = machine.start()
            while True:
                outcome = await self._carry_out(machine, trust_centre, peer, actions)
                if outcome is not None:
                    return outcome
                actions = await self._next(machine)
        finally:
            self._partner = None

    async def _next(self, machine: KeyEstablishment) -> list[Action]:
        """What the partner's next message, or its silence, makes of the machine."""
        try:
            async with asyncio.timeout(self.habits.patience_s(machine)):
                frame = await self._heard.get()
        except TimeoutError:
            return machine.timed_out()
        return taken(machine, frame)

    async def _carry_out(
        self,
        machine: KeyEstablishment,
        trust_centre: Eui64,
        peer: Peer,
        actions: list[Action],
    ) -> Established | Terminated | None:
        outcome: Established | Terminated | None = None
        for action in actions:
            if isinstance(action, Send):
                await self.habits.work(action.command_id)
                status = await self._send(peer, action)
                # What was heard in the meantime shows that it arrived after all.
                if status is not Status.SUCCESS and self._heard.empty() and not machine.is_over:
                    return lost(machine, f"not delivered: {status.value}")
            elif isinstance(action, Established):
                self.habits.install(trust_centre, action)
                outcome = action
            else:
                outcome = action
        return outcome

    async def _send(self, peer: Peer, action: Send) -> Status:
        assert self._messages is not None  # made with the attempt
        status = Status.SUCCESS
        for command, payload in self._messages.outgoing(action.command_id, action.payload):
            frame = zcl.Frame(command, self.port.next_sequence(), payload, cluster_specific=True)
            status = await self.port.send(peer, KEY_ESTABLISHMENT, frame, aps_secured=False)
        if status is Status.SUCCESS and action.command_id in STEPS:
            self.habits.reached(STEPS[action.command_id])
        return status
