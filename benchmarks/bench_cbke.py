"""How much one side of a key establishment costs beyond its curve arithmetic.

Prints one line with the ratio of

* one whole key establishment as *responder* (the hub's side: three requests in, three responses
  and the link key out), with certificates of one lab authority, to
* the four scalar multiplications on the curve that it cannot do without, on the same points with
  scalars of the same size: the partner's implicit public key (128-bit scalar), the ephemeral key
  pair (full size), the partner's half of ECMQV (half size), the shared point (full size).

Both are measured in one process in turn, and the medians compared, so that a busy or slow machine
falls on both alike. The ratio is near 1 while the mathematics dominates, as it should; what is
above 1 is hashing, validation of points, inversions and the machine itself.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

from labctl.smart_energy.cbke import (
    Established,
    Identity,
    KeyEstablishment,
    Role,
    Send,
)
from labctl.smart_energy.curves import CURVES
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.lab_ca import LabCertificateAuthority

ROUNDS = 25
HUB, DEVICE = Eui64("00:00:00:00:00:00:00:01"), Eui64("00:00:00:00:00:00:00:02")


def recorded_requests(
    suite: int, hub: Identity, device: Identity, seed: int
) -> list[tuple[int, bytes]]:
    """What a device sends to a hub that draws from `seed`, so that it can be played back."""
    initiator = KeyEstablishment(
        Role.INITIATOR,
        {suite: device},
        own_eui64=DEVICE,
        partner=HUB,
        random_octets=random.Random(seed + 1).randbytes,
    )
    responder = responder_with(suite, hub, seed)
    requests = []
    actions = initiator.start()
    while sends := [action for action in actions if isinstance(action, Send)]:
        requests.append((int(sends[0].command_id), sends[0].payload))
        (answer,) = (a for a in responder.receive(*requests[-1]) if isinstance(a, Send))
        actions = initiator.receive(answer.command_id, answer.payload)
    return requests


def responder_with(suite: int, hub: Identity, seed: int) -> KeyEstablishment:
    """A hub's machine that always draws the same ephemeral key."""
    return KeyEstablishment(
        Role.RESPONDER,
        {suite: hub},
        own_eui64=HUB,
        partner=DEVICE,
        random_octets=random.Random(seed).randbytes,
    )


def seconds(work: Callable[[], None]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(suite: int, rounds: int = ROUNDS) -> tuple[float, float]:
    """Median seconds of one responder's key establishment, and of its multiplications alone."""
    source = random.Random(suite)
    authority = LabCertificateAuthority.generate(suite, Eui64("f" * 16), source.randbytes)
    hub, device = authority.issue(HUB, source.randbytes), authority.issue(DEVICE, source.randbytes)
    requests = recorded_requests(suite, hub, device, seed=7)
    curve = CURVES[suite]
    scalars = [
        source.getrandbits(128),
        source.randrange(1, curve.n),
        source.getrandbits(curve.field.m // 2 + 1),
        source.randrange(1, curve.n),
    ]
    points = [
        curve.decompress(device.parsed.reconstruction_point),
        curve.generator,
        device.parsed.public_key(authority.public_key),
        curve.decompress(authority.public_key),
    ]

    def whole() -> None:
        machine = responder_with(suite, hub, seed=7)
        actions = [action for request in requests for action in machine.receive(*request)]
        assert any(isinstance(action, Established) for action in actions)

    def multiplications() -> None:
        for scalar, point in zip(scalars, points, strict=True):
            curve.multiply(scalar, point)

    whole()
    multiplications()
    samples = [(seconds(whole), seconds(multiplications)) for _ in range(rounds)]
    wholes, parts = zip(*samples, strict=True)
    return statistics.median(wholes), statistics.median(parts)


def main() -> None:
    """Print the ratio for suite 2, which GB devices use."""
    whole, part = measure(2)
    print(
        f"cbke_responder_over_ec_multiplications={whole / part:.3f} "
        f"(suite 2: {whole * 1000:.1f} ms over {part * 1000:.1f} ms, medians of {ROUNDS})"
    )


if __name__ == "__main__":
    main()
