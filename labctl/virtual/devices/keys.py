"""Key establishment as a client drives it: attempts, waits, and when to give up (SE 1.4a 5.4.7)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from labctl.smart_energy.cbke import (
    Action,
    CommandId,
    Established,
    Identity,
    KeyEstablishment,
    Role,
    Send,
    Terminated,
    TerminateStatus,
)
from labctl.smart_energy.cbke_messages import Terminate, suite_bitmap
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.devices import zcl
from labctl.virtual.devices.behaviour import KeyFaults, LifeStep
from labctl.virtual.devices.key_faults import KeyMessages
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.port import Peer, ZclPort
from labctl.virtual.devices.settings import KEY_ESTABLISHMENT, Timings
from labctl.virtual.node import LinkKey, Node, Status

_BUSY_WAIT_S = 30
_IMPATIENCE_S = 0.1
"""Between attempts of a device that ignores every wait."""

_STEPS = {
    CommandId.INITIATE: LifeStep.KEY_INITIATE,
    CommandId.EPHEMERAL_DATA: LifeStep.KEY_EPHEMERAL,
    CommandId.CONFIRM_KEY: LifeStep.KEY_CONFIRM,
}


class IssuerUnknown(Exception):
    """One side does not know the issuer of the other's certificate: the joiner has to leave."""


@dataclass(slots=True)
class KeyDriver:
    """Runs the initiator's state machine over the air, attempt after attempt."""

    node: Node
    port: ZclPort
    identities: Mapping[int, Identity]
    timings: Timings
    rng: random.Random
    saw: Observations
    faults: KeyFaults = field(default_factory=KeyFaults)
    without_key_usage: bool = False
    reached: Callable[[LifeStep], None] = lambda _step: None
    attempts: int = 0
    _partner: Peer | None = None
    _messages: KeyMessages | None = None
    _heard: asyncio.Queue[zcl.Frame] = field(default_factory=asyncio.Queue)

    async def establish(self, peer: Peer) -> int:
        """Establish a link key with the trust centre at `peer`; the suite that was used.

        Tries for as long as it takes: a failure waits as long as the partner's Terminate asked, at
        least 32 s; after ten in a row there is a pause of 15 min. Raise `IssuerUnknown` when
        trying again is of no use.
        """
        t = self.timings
        failures = 0
        while True:
            outcome = await self._attempt(peer)
            if isinstance(outcome, Established):
                self.saw.note(What.KEY_ESTABLISHED, f"suite {outcome.suite}")
                return outcome.suite
            self.saw.note(What.KEY_FAILED, _told(outcome))
            if self.faults.ignores_wait:
                await asyncio.sleep(_IMPATIENCE_S)
                continue
            if outcome.status is TerminateStatus.UNKNOWN_ISSUER:
                raise IssuerUnknown
            failures += 1
            if failures >= t.key_failures:
                failures = 0
                await asyncio.sleep(t.key_pause_s)
            else:
                asked = outcome.wait_s if outcome.by_partner else 0
                await asyncio.sleep(max(t.retry_s, asked))

    def frame_received(self, peer: Peer, frame: zcl.Frame) -> None:
        """A frame of the Key Establishment cluster arrived."""
        if frame.cluster_specific and not frame.from_server:
            if frame.command == CommandId.INITIATE:
                self.port.reply(peer, KEY_ESTABLISHMENT, self._busy(frame))
            return
        if self._partner is not None and peer.nwk == self._partner.nwk:
            self._heard.put_nowait(frame)

    def _busy(self, frame: zcl.Frame) -> zcl.Frame:
        """Nobody but the trust centre's server establishes keys with a display."""
        terminate = Terminate(
            TerminateStatus.NO_RESOURCES, _BUSY_WAIT_S, suite_bitmap(frozenset(self.identities))
        )
        return zcl.Frame(
            CommandId.TERMINATE,
            frame.sequence,
            terminate.encode(),
            cluster_specific=True,
            from_server=True,
            disable_default_response=True,
        )

    async def _attempt(self, peer: Peer) -> Established | Terminated:
        trust_centre = self.node.state.trust_centre
        if trust_centre is None:
            return Terminated(None, by_partner=False, wait_s=0, cause="no trust centre is known")
        faults, t = self.faults, self.timings
        suite = max(self.identities)
        machine = KeyEstablishment(
            Role.INITIATOR,
            self.identities,
            # Of a device with somebody else's certificate, the machine is that somebody.
            own_eui64=self.identities[suite].subject,
            partner=trust_centre,
            random_octets=self.rng.randbytes,
            ephemeral_time_s=_or(faults.ephemeral_declared_s, t.ephemeral_generate_s),
            confirm_time_s=_or(faults.confirm_declared_s, t.confirm_generate_s),
            suite=suite,
        )
        is_faulty = faults.attempts is None or self.attempts < faults.attempts
        self.attempts += 1
        self._messages = KeyMessages(
            faults.fault if is_faulty else None, self.without_key_usage, suite, self.rng
        )
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
            async with asyncio.timeout(machine.deadline_s):
                frame = await self._heard.get()
        except TimeoutError:
            return machine.timed_out()
        if frame.cluster_specific:
            return machine.receive(frame.command, frame.payload, frame.from_server)
        try:
            _, status = zcl.parse_default_response(frame.payload)
        except zcl.ZclError:
            return []
        if status == zcl.Status.SUCCESS:
            return []
        return machine.lost(f"a Default Response with status 0x{status:02X}")

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
                await self._work(action.command_id)
                status = await self._send(peer, action)
                # What was heard in the meantime shows that it arrived after all.
                if status is not Status.SUCCESS and self._heard.empty() and not machine.is_over:
                    return _only_terminated(machine.lost(f"not delivered: {status.value}"))
            elif isinstance(action, Established):
                state = self.node.state
                state.link_keys[trust_centre] = LinkKey(trust_centre, action.link_key.reveal())
                outcome = action
                self.reached(LifeStep.KEY_ESTABLISHED)
            else:
                outcome = action
        return outcome

    async def _send(self, peer: Peer, action: Send) -> Status:
        assert self._messages is not None  # made with the attempt
        status = Status.SUCCESS
        for command, payload in self._messages.outgoing(action.command_id, action.payload):
            frame = zcl.Frame(command, self.port.next_sequence(), payload, cluster_specific=True)
            status = await self.port.send(peer, KEY_ESTABLISHMENT, frame, aps_secured=False)
        if status is Status.SUCCESS and action.command_id in _STEPS:
            self.reached(_STEPS[action.command_id])
        return status

    async def _work(self, command: CommandId) -> None:
        """The time that the arithmetic takes on a small processor; here it takes next to none."""
        faults, t = self.faults, self.timings
        works = {
            CommandId.EPHEMERAL_DATA: _or(faults.ephemeral_work_s, t.ephemeral_work_s),
            CommandId.CONFIRM_KEY: _or(faults.confirm_work_s, t.confirm_work_s),
        }
        if command in works:
            await asyncio.sleep(works[command] * self.rng.uniform(0.9, 1.1))


_Number = TypeVar("_Number", int, float)


def _or(knob: _Number | None, product: _Number) -> _Number:
    return product if knob is None else knob


def _only_terminated(actions: list[Action]) -> Terminated:
    for action in actions:
        if isinstance(action, Terminated):
            return action
    raise AssertionError("a machine that is lost says so")


def _told(end: Terminated) -> str:
    who = "partner" if end.by_partner else "device"
    status = end.status.name if end.status is not None else "no answer"
    return f"{who}: {status}: {end.cause}"
