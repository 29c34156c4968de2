"""What several tests of this room share: the published vectors, a lab authority, two machines."""

from __future__ import annotations

import functools
import json
import pathlib
import random
from collections.abc import Callable
from typing import Any

from labctl.secret import Secret
from labctl.smart_energy.cbke import (
    Action,
    Established,
    Identity,
    KeyEstablishment,
    Role,
    Send,
    Terminated,
)
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.lab_ca import LabCertificateAuthority

DEVICE = Eui64("00:0d:6f:00:00:00:00:0a")
HUB = Eui64("00:0d:6f:00:00:00:00:0b")
ISSUER = Eui64("4c:41:42:43:54:4c:43:41")

VECTORS: dict[str, Any] = json.loads(
    (pathlib.Path(__file__).parent / "data" / "cbke_vectors.json").read_text()
)
EXCHANGES: list[dict[str, Any]] = VECTORS["vectors"]


def seeded(seed: int) -> Callable[[int], bytes]:
    """A source of octets that is the same in every run."""
    return random.Random(seed).randbytes


@functools.cache
def authority(suite: int, seed: int = 1) -> LabCertificateAuthority:
    return LabCertificateAuthority.generate(suite, ISSUER, seeded(seed))


@functools.cache
def lab_identity(suite: int, subject: Eui64) -> Identity:
    return authority(suite).issue(subject, seeded(int.from_bytes(subject.big_endian, "big")))


def initiator(*suites: int, **options: Any) -> KeyEstablishment:
    options.setdefault("random_octets", seeded(21))
    options.setdefault("identities", {s: lab_identity(s, DEVICE) for s in suites})
    return KeyEstablishment(
        Role.INITIATOR, options.pop("identities"), own_eui64=DEVICE, partner=HUB, **options
    )


def responder(*suites: int, **options: Any) -> KeyEstablishment:
    options.setdefault("random_octets", seeded(22))
    options.setdefault("identities", {s: lab_identity(s, HUB) for s in suites})
    return KeyEstablishment(
        Role.RESPONDER, options.pop("identities"), own_eui64=HUB, partner=DEVICE, **options
    )


def vector_identity(exchange: dict[str, Any], side: str) -> Identity:
    return Identity(
        exchange["suite"],
        bytes.fromhex(exchange[side]["certificate"]),
        Secret(bytes.fromhex(exchange[side]["private_key"])),
        bytes.fromhex(exchange["ca_public_key"]),
    )


def only_send(actions: list[Action]) -> Send:
    (action,) = actions
    assert isinstance(action, Send)
    return action


def ended(actions: list[Action]) -> Terminated:
    """The one Terminated among the actions."""
    (action,) = (a for a in actions if isinstance(a, Terminated))
    return action


def run(
    device: KeyEstablishment,
    hub: KeyEstablishment,
    tamper: Callable[[KeyEstablishment, Send], Send | None] = lambda _, send: send,
) -> tuple[list[Action], list[Action]]:
    """Carry messages until nobody says anything; gives what each side did.

    `tamper` may change or swallow (None) what a side sends.
    """
    done: dict[KeyEstablishment, list[Action]] = {device: [], hub: []}
    todo: list[tuple[KeyEstablishment, Action]] = [(device, a) for a in device.start()]
    while todo:
        sender, action = todo.pop(0)
        done[sender].append(action)
        if not isinstance(action, Send):
            continue
        on_air = tamper(sender, action)
        if on_air is None:
            continue
        receiver = hub if sender is device else device
        answers = receiver.receive(on_air.command_id, on_air.payload, sender is hub)
        todo.extend((receiver, answer) for answer in answers)
    return done[device], done[hub]


def link_key(actions: list[Action]) -> bytes | None:
    keys = [a.link_key.reveal() for a in actions if isinstance(a, Established)]
    return keys[0] if keys else None
