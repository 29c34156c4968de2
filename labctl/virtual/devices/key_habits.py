"""What a device brings to each key establishment, whichever side begins: times, faults, keys."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from labctl.smart_energy.cbke import (
    CommandId,
    Established,
    Identity,
    KeyEstablishment,
    Role,
    Terminated,
)
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.devices.behaviour import KeyFaults, LifeStep
from labctl.virtual.devices.key_faults import KeyMessages
from labctl.virtual.devices.key_leniency import LenientKeyEstablishment
from labctl.virtual.devices.settings import Timings
from labctl.virtual.node import LinkKey, Node

STEPS = {
    CommandId.INITIATE: LifeStep.KEY_INITIATE,
    CommandId.EPHEMERAL_DATA: LifeStep.KEY_EPHEMERAL,
    CommandId.CONFIRM_KEY: LifeStep.KEY_CONFIRM,
}
"""The step of the device's life that is reached when a message of it is delivered."""


@dataclass(slots=True)
class KeyHabits:
    """Makes the state machine of each exchange, and does with its results what the device does.

    `without_key_usage`: the certificate is not for key agreement. `reached` hears of the steps.
    """

    node: Node
    identities: Mapping[int, Identity]
    timings: Timings
    rng: random.Random
    faults: KeyFaults = field(default_factory=KeyFaults)
    without_key_usage: bool = False
    reached: Callable[[LifeStep], None] = lambda _step: None
    attempts: int = 0

    def machine(
        self, role: Role, trust_centre: Eui64, suite: int | None = None
    ) -> KeyEstablishment:
        """For one attempt with the trust centre."""
        faults, t = self.faults, self.timings
        make: Callable[..., KeyEstablishment] = KeyEstablishment
        if faults.overlooks or faults.keeps_key:
            make = partial(
                LenientKeyEstablishment, overlooks=faults.overlooks, keeps_key=faults.keeps_key
            )
        return make(
            role,
            self.identities,
            # Of a device with somebody else's certificate, the machine is that somebody.
            own_eui64=next(iter(self.identities.values())).subject,
            partner=trust_centre,
            random_octets=self.rng.randbytes,
            ephemeral_time_s=_or(faults.ephemeral_declared_s, t.ephemeral_generate_s),
            confirm_time_s=_or(faults.confirm_declared_s, t.confirm_generate_s),
            suite=suite,
        )

    def patience_s(self, machine: KeyEstablishment) -> float | None:
        """How long to wait for the partner's next message."""
        declared = machine.deadline_s
        return declared if declared is None else _or(self.faults.patience_s, declared)

    def messages(self, suite: int) -> KeyMessages:
        """What becomes of the messages of one attempt more."""
        is_faulty = self.faults.attempts is None or self.attempts < self.faults.attempts
        self.attempts += 1
        fault = self.faults.fault if is_faulty else None
        return KeyMessages(
            fault, self.without_key_usage, suite, self.rng, mute=self.faults.never_terminates
        )

    async def work(self, command: int) -> None:
        """The time that the arithmetic takes on a small processor; here it takes next to none."""
        faults, t = self.faults, self.timings
        works = {
            CommandId.EPHEMERAL_DATA: _or(faults.ephemeral_work_s, t.ephemeral_work_s),
            CommandId.CONFIRM_KEY: _or(faults.confirm_work_s, t.confirm_work_s),
        }
        for step, seconds in works.items():
            if step == command:
                await asyncio.sleep(seconds * self.rng.uniform(0.9, 1.1))

    def install(self, trust_centre: Eui64, established: Established) -> None:
        """Put the new key in force."""
        key = LinkKey(trust_centre, established.link_key.reveal())
        self.node.state.link_keys[trust_centre] = key
        self.reached(LifeStep.KEY_ESTABLISHED)


_Number = TypeVar("_Number", int, float)


def _or(knob: _Number | None, product: _Number) -> _Number:
    return product if knob is None else knob


def told(end: Terminated) -> str:
    """How an exchange ended, for the observations."""
    who = "partner" if end.by_partner else "device"
    status = end.status.name if end.status is not None else "no answer"
    return f"{who}: {status}: {end.cause}"
