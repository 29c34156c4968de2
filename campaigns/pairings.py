"""Pairings with random misfortune: each ends authorised, or refused with the right cause.

    python campaigns/pairings.py [--count 1000] [--seed 1] [--only N] [--jobs 2]

Frames are lost, the power goes on either side at any step, codes are wrong, certificates are of
another authority, messages are spoiled. Whatever happens, no pairing may hang past its time, and
no key may be left behind for a device that did not get in. What fails is printed with the command
that does it again; then the exit code is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import concurrent.futures
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pairing_lab import FOREIGN_ISSUER, ISSUER, PairingLab

import rigs
from labctl.config.resolved import LoadedRig
from labctl.events import (
    JoinEnded,
    JoinOutcome,
    JoinStarted,
    JoinStepTaken,
    PairingWindowClosed,
    Step,
)
from labctl.hub.settings import PairingRequest
from labctl.hub.vault import KeyState
from labctl.secret import Secret
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.clock import run
from labctl.virtual.devices import Behaviour, KeyFault, KeyFaults, LifeStep, VirtualDevice
from labctl.virtual.devices.observations import What

FINISH_S = 300.0
SLACK_S = 60.0

_HUB_STEPS = (
    Step.ASSOCIATION,
    Step.TRANSPORT_KEY,
    Step.DEVICE_ANNOUNCE,
    Step.KEY_INITIATE,
    Step.KEY_EPHEMERAL,
    Step.KEY_CONFIRM,
    Step.LINK_KEY_INSTALLED,
)
_REFUSALS = {
    "wrong code": ("wrong install code",),
    "foreign issuer": ("UNKNOWN_ISSUER", ISSUER, FOREIGN_ISSUER),
    "certificate of another": ("INVALID_CERTIFICATE",),
    "unsupported suite": ("UNSUPPORTED_SUITE",),
}
"""What the cause must say, of each misfortune after which nobody may get in."""


@dataclass(frozen=True)
class Case:
    """What goes wrong in one pairing."""

    number: int
    seed: int
    refusal: str
    loss: float
    suite: int
    in_ncp: bool
    device_cut: LifeStep | None
    hub_cut: Step | None
    stick_too: bool
    hub_back_s: float
    fault: KeyFault | None
    fault_attempts: int
    leaves: LifeStep | None
    window_s: int

    @property
    def may_get_in(self) -> bool:
        """Whether it is to end authorised, in spite of all."""
        return not self.refusal

    def __str__(self) -> str:
        parts = [self.refusal or "sound", f"suite {self.suite}"]
        parts += [f"loss {self.loss:.0%}"] if self.loss else []
        parts += ["in the NCP"] if self.in_ncp else []
        parts += [f"device cut at {self.device_cut}"] if self.device_cut else []
        hub = "hub and stick" if self.stick_too else "hub"
        parts += [f"{hub} cut at {self.hub_cut}, {self.hub_back_s:.0f} s"] if self.hub_cut else []
        parts += [f"{self.fault} x{self.fault_attempts}"] if self.fault else []
        parts += [f"leaves at {self.leaves}"] if self.leaves else []
        return ", ".join(parts)


def case(seed: int, number: int) -> Case:
    """The misfortune of pairing `number`."""
    rng = random.Random(f"{seed}/{number}")
    refusal = rng.choices(["", *_REFUSALS], weights=[12, 3, 2, 1, 1])[0]
    suite = 2 if refusal == "unsupported suite" else rng.choices([2, 1], weights=[4, 1])[0]
    sound = not refusal
    fault = rng.choice(list(KeyFault)) if sound and rng.random() < 0.25 else None
    return Case(
        number=number,
        seed=seed,
        refusal=refusal,
        loss=0.0 if rng.random() < 0.4 else rng.uniform(0.0, 0.2),
        suite=suite,
        in_ncp=rng.random() < 0.2,
        device_cut=rng.choice(list(LifeStep)) if rng.random() < 0.3 else None,
        hub_cut=rng.choice(_HUB_STEPS) if rng.random() < 0.3 else None,
        stick_too=rng.random() < 0.5,
        hub_back_s=rng.uniform(1.0, 90.0),
        fault=fault,
        fault_attempts=rng.randint(1, 3),
        leaves=rng.choice(list(LifeStep)[2:]) if sound and rng.random() < 0.08 else None,
        window_s=3600 if sound else 400,
    )


_AFTER_THE_KEY = (LifeStep.KEY_ESTABLISHED, LifeStep.REGISTERED, LifeStep.SURVEYED)


class Failure(Exception):
    """A pairing did not end as it should."""


async def pairing(one: Case, loaded: LoadedRig, folder: Path) -> str:
    """Go through one pairing. Returns how it ended; raises `Failure`."""
    lab = PairingLab(
        loaded,
        folder,
        seed=f"{one.seed}/{one.number}",
        loss=one.loss,
        suites=(one.suite,),
        stick_suites=(one.suite,) if one.in_ncp else (),
    )
    entry = loaded.devices[0]
    eui64 = entry.eui64
    suites = (3 - one.suite,) if one.refusal == "unsupported suite" else (one.suite,)
    another = Eui64.from_big_endian(bytes(octet ^ 0x55 for octet in eui64.big_endian))
    device = lab.device(
        "ihd",
        eui64,
        entry.install_code,
        suites=suites,
        issuer=FOREIGN_ISSUER if one.refusal == "foreign issuer" else ISSUER,
        subject=another if one.refusal == "certificate of another" else None,
        behaviour=Behaviour(
            wrong_install_code=one.refusal == "wrong code",
            foreign_certificate=one.refusal == "foreign issuer",
            certificate_of_another=one.refusal == "certificate of another",
            power_cut_at=one.device_cut,
            power_back_after_s=20.0,
            leaves_at=one.leaves,
            key_establishment=KeyFaults(fault=one.fault, attempts=one.fault_attempts),
        ),
    )
    request = PairingRequest(eui64=eui64, window_s=one.window_s, requested_by="campaign")
    try:
        await lab.start_hub()
        assert lab.hub is not None
        await lab.hub.pair(request)
        device.power_on()
        killed_at = await _misfortune(one, lab, request)
        began_s = lab.loop.time()
        if one.may_get_in:
            patience_s = one.window_s + FINISH_S + SLACK_S
            if one.leaves in _AFTER_THE_KEY:
                await _pair_again(lab, device, request)
            agreed = await lab.until(lambda: _agree(lab, device), patience_s)
            if not agreed:
                raise Failure(f"nobody got in: {_causes(lab)}")
        else:
            closed = len(lab.of(PairingWindowClosed)) + 1 - bool(_closed_already(lab, began_s))
            ended = await lab.until(
                lambda: len(lab.of(PairingWindowClosed)) >= closed,
                one.window_s + FINISH_S + SLACK_S,
            )
            if not ended:
                raise Failure("the window did not end in its time")
        await asyncio.sleep(5.0)
        _check(one, lab, device)
        await lab.stop_hub()
        _check_rows(lab, killed_at)
        _check_nothing_left(one, lab, eui64)
        return "authorised" if one.may_get_in else one.refusal
    finally:
        await lab.close()


async def _pair_again(lab: PairingLab, device: VirtualDevice, request: PairingRequest) -> None:
    """A device that left with a key in force has forgotten it; the hub has not, and says so.

    What it says to do is done: unpaired, it is let in again, in the second half of its window
    with its install code.
    """
    hub = lab.hub
    assert hub is not None
    await lab.until(lambda: device.observations.counts[What.LEFT] > 0, 300.0)
    if not hub.authorised(device.eui64):
        return
    await hub.pair(request)
    told = await lab.until(lambda: any("unpair it" in cause for cause in _causes(lab)), 300.0)
    if not told and not _agree(lab, device):
        raise Failure(f"nobody is told that the device has lost its key: {_causes(lab)}")
    await hub.unpair(device.eui64, "it was reset")
    await hub.pair(replace(request, window_s=400))


def _closed_already(lab: PairingLab, since_s: float) -> list[PairingWindowClosed]:
    origin_us = lab.clock.now_us() - round(lab.loop.time() * 1e6)
    return [e for e in lab.of(PairingWindowClosed) if e.at_us >= origin_us + since_s * 1e6]


async def _misfortune(one: Case, lab: PairingLab, request: PairingRequest) -> int:
    """Cut the hub's power when its step comes. Returns how many events were there by then."""
    if one.hub_cut is None:
        return 0
    came = await lab.until(
        lambda: any(event.step is one.hub_cut for event in lab.of(JoinStepTaken)), 300.0, 0.01
    )
    if not came:
        return 0
    await lab.kill_hub()
    killed_at = len(lab.events)
    if one.stick_too:
        await lab.pull_out()
    await asyncio.sleep(one.hub_back_s)
    hub = await lab.start_hub()
    if not hub.authorised(request.eui64):
        await hub.pair(request)
    return killed_at


def _agree(lab: PairingLab, device: VirtualDevice) -> bool:
    """Hub and device hold one established key, and both know that."""
    hub, node = lab.hub, device.node
    if hub is None or node is None or not hub.authorised(device.eui64):
        return False
    trust_centre = node.state.trust_centre
    link = None if trust_centre is None else node.state.link_keys.get(trust_centre)
    return (
        node.powered
        and device.is_authorised
        and link is not None
        and lab.keys_in_the_stick().get(device.eui64) == Secret(link.key)
    )


def _causes(lab: PairingLab) -> list[str]:
    return [f"{event.outcome}: {event.cause}" for event in lab.of(JoinEnded)]


def _check(one: Case, lab: PairingLab, device: VirtualDevice) -> None:
    assert lab.hub is not None
    if one.may_get_in:
        if not _agree(lab, device):
            raise Failure(f"hub and device do not agree any more: {_causes(lab)}")
        return
    if lab.hub.authorised(device.eui64):
        raise Failure(f"it got in in spite of '{one.refusal}'")
    wanted = _REFUSALS[one.refusal]
    if not any(all(word in cause for word in wanted) for cause in _causes(lab)):
        raise Failure(f"no cause says {wanted}: {_causes(lab)}")


def _check_rows(lab: PairingLab, killed_at: int) -> None:
    """Each join that began has an end, but for those that a kill cut off."""
    after = lab.events[killed_at:]
    ended = {event.join for event in after if isinstance(event, JoinEnded)}
    open_rows = [
        event.join for event in after if isinstance(event, JoinStarted) and event.join not in ended
    ]
    if open_rows:
        raise Failure(f"joins without an end: {open_rows}")
    if any(
        event.outcome is not JoinOutcome.AUTHORISED and not event.cause
        for event in lab.of(JoinEnded)
    ):
        raise Failure("a join failed without a cause")


def _check_nothing_left(one: Case, lab: PairingLab, eui64: Eui64) -> None:
    kept = {device.eui64: device for device in lab.vault.load().devices}
    in_ncp = lab.keys_in_the_stick()
    strangers = set(in_ncp) - set(kept)
    if strangers:
        raise Failure(f"keys of devices that are not in the log: {sorted(strangers)}")
    if one.may_get_in:
        if kept[eui64].state is not KeyState.ESTABLISHED or kept[eui64].key != in_ncp[eui64]:
            raise Failure("the key store does not have the key that is in force")
    elif in_ncp or kept[eui64].key is not None:
        raise Failure("a key is left of a device that did not get in")


def attempt(seed: int, number: int) -> tuple[int, str, str]:
    """Pairing `number`: how it ended, and what was wrong with that, if anything."""
    one = case(seed, number)
    with tempfile.TemporaryDirectory(prefix="labctl-pairing-") as name:
        folder = Path(name)
        inventory, rig = rigs.shipped()
        loaded = rigs.write(folder, inventory, rig)
        try:
            return number, run(pairing(one, loaded, folder), fast=True), ""
        except Failure as failure:
            return number, "", f"{one}: {failure}"
        except Exception as error:  # noqa: BLE001 - a bug of ours counts as a failure, and tells where it is
            return number, "", f"{one}: {type(error).__name__}: {error}"


def campaign(seed: int, numbers: range, jobs: int) -> Iterator[tuple[int, str, str]]:
    """All of them, on `jobs` processes."""
    if jobs == 1:
        for number in numbers:
            yield attempt(seed, number)
        return
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        running = [pool.submit(attempt, seed, number) for number in numbers]
        for future in concurrent.futures.as_completed(running):
            yield future.result()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="one pairing, by its number")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    if options.only is not None:
        print(replace(case(options.seed, options.only)))
        numbers = range(options.only, options.only + 1)
    else:
        numbers = range(options.count)
    started = time.monotonic()
    outcomes: collections.Counter[str] = collections.Counter()
    failures = 0
    for number, outcome, wrong in campaign(options.seed, numbers, options.jobs):
        outcomes[outcome or "FAILED"] += 1
        if wrong:
            failures += 1
            print(f"pairing {number}: {wrong}")
            print(f"  again: python campaigns/pairings.py --seed {options.seed} --only {number}")
    print(f"seed {options.seed}, {len(numbers)} pairings, {time.monotonic() - started:.0f} s")
    for outcome, count in outcomes.most_common():
        print(f"  {count:5d} {outcome}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
