"""Every knob of a virtual device, seen on the air by a coordinator that knows nothing of it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from device_air import Coordinator, on_air
from device_bench import DEVICE, ScriptedHub, identity

from labctl.smart_energy.cbke import TerminateStatus
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.devices import (
    Behaviour,
    Burst,
    KeyFault,
    KeyFaults,
    Layer,
    LifeStep,
    Malformed,
    VirtualDevice,
    What,
)
from labctl.virtual.node import Admission

Check = Callable[[Coordinator, ScriptedHub, VirtualDevice], None]


def live(seconds: float, check: Check, kind: str = "cad", **settings: object) -> None:
    """Let one device live beside a hub, then look at both."""

    async def main(coordinator: Coordinator) -> None:
        hub = coordinator.list_device()
        device = coordinator.device(kind, **settings)
        device.power_on()
        await asyncio.sleep(seconds)
        check(coordinator, hub, device)
        await device.power_off()

    on_air(main)


def key_frames(hub: ScriptedHub) -> list[tuple[int, bytes]]:
    return [(r.command, r.payload) for r in hub.requests if r.cluster_id == 0x0800]


# -- key establishment ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (KeyFault.CORRUPT_CONFIRMATION, TerminateStatus.BAD_KEY_CONFIRM),
        (KeyFault.CORRUPT_EPHEMERAL, TerminateStatus.BAD_MESSAGE),
        (KeyFault.EPHEMERAL_FIRST, TerminateStatus.BAD_MESSAGE),
        (KeyFault.CONFIRMATION_FIRST, TerminateStatus.BAD_MESSAGE),
        (KeyFault.TRUNCATED, TerminateStatus.BAD_MESSAGE),
        (KeyFault.TWO_SUITES, TerminateStatus.BAD_MESSAGE),
        (KeyFault.UNKNOWN_SUITE, TerminateStatus.UNSUPPORTED_SUITE),
    ],
)
def test_a_faulty_message_is_terminated_and_a_sound_attempt_follows(
    fault: KeyFault, status: TerminateStatus
) -> None:
    def check(_: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        assert [end.status for end in hub.ended] == [status]
        assert [
            seen.detail.split(":")[1].strip() for seen in device.observations.of(What.KEY_FAILED)
        ] == [status.name]
        assert device.is_authorised

    live(90, check, behaviour=Behaviour(key_establishment=KeyFaults(fault=fault, attempts=1)))


def test_a_fault_of_every_attempt_never_gets_a_key() -> None:
    def check(_: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        assert len(hub.ended) == device.observations.counts[What.KEY_FAILED] >= 5
        assert not device.is_authorised

    faults = KeyFaults(fault=KeyFault.CORRUPT_CONFIRMATION)
    live(200, check, behaviour=Behaviour(key_establishment=faults))


def test_every_message_may_come_twice() -> None:
    def check(_: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        frames = key_frames(hub)
        assert frames[0::2] == frames[1::2]
        assert {command for command, _ in frames} == {0, 1, 2}
        assert device.is_authorised

    faults = KeyFaults(fault=KeyFault.REPEATED)
    live(60, check, behaviour=Behaviour(key_establishment=faults))


def test_initiate_may_come_again_where_the_confirmation_is_due() -> None:
    def check(_: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        frames = key_frames(hub)
        assert [command for command, _ in frames[:3]] == [0, 1, 0]
        assert frames[0] == frames[2]

    faults = KeyFaults(fault=KeyFault.INITIATE_AGAIN, attempts=1)
    live(40, check, behaviour=Behaviour(key_establishment=faults))


def test_a_certificate_of_another_device_is_refused() -> None:
    other = identity(Eui64("00:0d:6f:00:0a:90:69:00"))

    def check(_: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        assert hub.ended[0].status is TerminateStatus.INVALID_CERTIFICATE
        assert "69:00" in hub.ended[0].cause

    live(30, check, behaviour=Behaviour(certificate_of_another=True), identities={2: other})


def test_a_certificate_that_is_not_for_key_agreement_is_refused() -> None:
    def check(_: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        assert hub.ended[0].status is TerminateStatus.INVALID_CERTIFICATE
        assert "key usage 80" in hub.ended[0].cause

    live(30, check, behaviour=Behaviour(key_usage_missing=True))


def test_a_device_of_suite_1_alone_asks_for_it() -> None:
    def check(_: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        assert key_frames(hub)[0][1][:2] == b"\x01\x00"
        assert hub.ended[0].status is TerminateStatus.UNSUPPORTED_SUITE

    live(30, check, identities={1: identity(DEVICE, 1)})


def test_declared_times_and_real_ones_are_told_apart() -> None:
    def check(_: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        frames = [r for r in hub.requests if r.cluster_id == 0x0800]
        assert frames[0].payload[2:4] == bytes((3, 4))
        assert frames[1].at_s - frames[0].at_s == pytest.approx(20, rel=0.11)
        assert frames[2].at_s - frames[1].at_s == pytest.approx(30, rel=0.11)

    faults = KeyFaults(
        ephemeral_declared_s=3, confirm_declared_s=4, ephemeral_work_s=20, confirm_work_s=30
    )
    live(75, check, behaviour=Behaviour(key_establishment=faults))


def test_what_terminate_asks_for_may_be_ignored() -> None:
    def check(_: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        starts = [r.at_s for r in hub.requests if r.cluster_id == 0x0800 and r.command == 0]
        assert len(starts) > 50
        assert max(b - a for a, b in pairwise(starts)) < 1

    faults = KeyFaults(fault=KeyFault.TRUNCATED, ignores_wait=True)
    live(60, check, behaviour=Behaviour(key_establishment=faults))


def test_a_device_may_read_on_under_the_key_of_its_install_code() -> None:
    def check(_: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        assert not key_frames(hub)
        times = [r for r in hub.requests if r.cluster_id == 0x000A]
        assert times
        assert all(r.aps_secured for r in times)
        assert not device.is_authorised

    live(60, check, behaviour=Behaviour(key_establishment=KeyFaults(never=True)))


# -- steps of a life ------------------------------------------------------------------------------

KEY_STEPS = [LifeStep.KEY_INITIATE, LifeStep.KEY_EPHEMERAL, LifeStep.KEY_CONFIRM]


@pytest.mark.parametrize(
    "step", [LifeStep.JOINED, *KEY_STEPS, LifeStep.KEY_ESTABLISHED, LifeStep.REGISTERED]
)
def test_a_device_may_leave_at_any_step(step: LifeStep) -> None:
    def check(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        assert coordinator.gone[0] == DEVICE
        assert device.observations.counts[What.LEFT] >= 1
        # From its confirmation on, the hub holds another key than its install code's.
        knows_it = step in (LifeStep.JOINED, LifeStep.KEY_INITIATE, LifeStep.KEY_EPHEMERAL)
        assert device.observations.counts[What.JOINED] == (2 if knows_it else 1)
        if step in KEY_STEPS:
            first = [command for command, _ in key_frames(hub)][: KEY_STEPS.index(step) + 2]
            assert first == [*range(KEY_STEPS.index(step) + 1), *([0] if knows_it else [])]

    live(60, check, behaviour=Behaviour(leaves_at=step))


@pytest.mark.parametrize("step", [LifeStep.NETWORK_KEY, *KEY_STEPS, LifeStep.REGISTERED])
def test_a_device_may_fall_silent_at_any_step(step: LifeStep) -> None:
    async def main(coordinator: Coordinator) -> None:
        hub = coordinator.list_device()
        device = coordinator.device(behaviour=Behaviour(silent_at=step))
        device.power_on()
        await asyncio.sleep(60)
        heard = len(hub.requests), hub.requests[-1].at_s if hub.requests else 0.0
        assert device.observations.counts[What.SILENT] == 1
        at = device.observations.of(What.SILENT)[0].at_s
        assert heard[1] <= at + 0.1
        await asyncio.sleep(4000)
        assert len(hub.requests) == heard[0]
        await device.power_off()

    on_air(main)


@pytest.mark.parametrize("step", list(LifeStep))
def test_a_power_cut_at_any_step_is_survived(step: LifeStep, tmp_path: Path) -> None:
    def check(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        cuts = device.observations.of(What.POWER_CUT)
        assert [seen.detail for seen in cuts] == [f"at {step}"]
        on = device.observations.of(What.POWER_ON)
        assert on[1].at_s - cuts[0].at_s == pytest.approx(7, abs=0.01)
        between = [r for r in hub.requests if cuts[0].at_s + 0.05 < r.at_s < on[1].at_s]
        assert not between
        assert device.is_authorised
        assert device.observations.reads["electricity"].ok > 5
        # What was in RAM alone is gone: the hub sees another key establishment.
        again = step in (*KEY_STEPS, LifeStep.KEY_ESTABLISHED)
        assert hub.key_machines == (2 if again else 1)

    live(
        240,
        check,
        behaviour=Behaviour(power_cut_at=step, power_back_after_s=7),
        flash=tmp_path / "cad.json",
    )


def test_power_cuts_come_at_random_times() -> None:
    def check(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        cuts = [seen.at_s for seen in device.observations.of(What.POWER_CUT)]
        assert 5 < len(cuts) < 40
        assert len({round(b - a) for a, b in pairwise(cuts)}) > 3
        assert device.observations.counts[What.REJOINED] >= len(cuts) - 3

    live(3600, check, behaviour=Behaviour(power_cuts_every_s=200, power_back_after_s=5))


def test_a_device_may_never_announce_itself() -> None:
    def announces(count: int) -> Check:
        def check(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
            assert len(coordinator.announced) == count
            assert device.is_authorised

        return check

    live(30, announces(1))
    live(30, announces(0), behaviour=Behaviour(never_announces=True))


def test_a_visitor_leaves_and_is_gone() -> None:
    def check(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        assert coordinator.gone == [DEVICE]
        assert device.observations.counts[What.GONE] == 1
        assert device.observations.counts[What.JOINED] == 1
        kinds = [kind for _, kind in coordinator.admissions]
        assert kinds == [Admission.UNSECURED_JOIN, Admission.LEFT]

    live(4000, check, "hand-held-terminal")


# -- troubles -------------------------------------------------------------------------------------


def test_a_flood_is_that_many_requests_a_second_for_that_long() -> None:
    def check(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        at = [r.at_s for r in hub.reads(2, 0x0000)]
        assert len(at) == pytest.approx(200, abs=2)
        assert 120 <= at[0] < at[-1] < 131
        assert device.observations.tally["flood"] == 200

    flood = Burst(per_second=20, after_s=120, duration_s=10)
    live(200, check, behaviour=Behaviour(flood=flood))


@pytest.mark.parametrize("layer", list(Layer))
def test_malformed_frames_reach_their_layer_and_the_device_reads_on(layer: Layer) -> None:
    heard: list[tuple[int, bytes]] = []

    async def main(coordinator: Coordinator) -> None:
        hub = coordinator.list_device()
        plain = coordinator.data_received
        hub.zcl = lambda *_: []  # type: ignore[method-assign]
        coordinator.data_received = lambda i: heard.append((i.cluster_id, i.payload)) or plain(i)  # type: ignore[method-assign,func-returns-value]
        burst = Malformed(per_second=20, layers=(layer,))
        device = coordinator.device(
            behaviour=Behaviour(malformed=burst, key_establishment=KeyFaults(never=True))
        )
        device.power_on()
        await asyncio.sleep(30)
        sent = device.observations.tally[f"malformed {layer}"]
        assert sent > 300
        if layer is Layer.ZCL:
            assert len({cluster for cluster, _ in heard}) > 10
        else:
            assert coordinator.node.counters["mac_rx"] > sent
            assert len(heard) < 100
        assert device.is_on
        await device.power_off()

    on_air(main)


def test_the_same_frames_are_malformed_for_the_same_seed() -> None:
    seen: list[list[tuple[int, bytes]]] = []

    def check(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        seen.append([(r.cluster_id, r.payload) for r in hub.requests])

    for _ in range(2):
        burst = Malformed(per_second=5, layers=(Layer.ZCL,), after_s=30)
        live(60, check, behaviour=Behaviour(malformed=burst))
    assert seen[0] == seen[1]


def test_replayed_frames_are_on_the_air_and_are_not_taken_twice() -> None:
    def check(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        tally = device.observations.tally
        assert tally["replay original"] == 1
        assert tally["replay"] > 300
        assert tally["replay in APS"] > 30
        assert len(hub.reads(2, 0x0000)) == 1

    burst = Burst(per_second=10, after_s=60, duration_s=40)
    live(110, check, behaviour=Behaviour(replays=burst))


def test_one_counter_for_all_frames_makes_duplicates_of_them() -> None:
    def check(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        assert coordinator.node.counters["aps_rx_duplicate"] > 10
        assert device.observations.counts[What.READ_FAILED] > 0

    live(400, check, behaviour=Behaviour(duplicate_counters=True))


def test_a_storm_of_rejoins() -> None:
    def check(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        rejoins = [k for _, k in coordinator.admissions if k is Admission.SECURED_REJOIN]
        assert len(rejoins) == pytest.approx(30, abs=4)
        assert hub.reads(2, 0x0000, 0x0400)[-1].at_s > 180  # and it is well afterwards

    burst = Burst(per_second=0.5, after_s=60, duration_s=60)
    live(200, check, behaviour=Behaviour(rejoin_storm=burst))


def test_a_device_may_write_all_over_the_hub() -> None:
    def check(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        writes = [r for r in hub.requests if r.control & 1 == 0 and r.command == 0x02]
        assert len(writes) > 10
        assert len({(r.cluster_id, r.payload[:2]) for r in writes}) == 7
        assert device.observations.counts[What.PROVOKED] == len(writes)

    live(200, check, behaviour=Behaviour(writes_every_s=10))


def test_a_cad_may_send_what_only_others_may() -> None:
    def check(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        sent = {(r.cluster_id, r.command) for r in hub.requests if r.control & 1}
        assert {(0x0705, 0x00), (0x0705, 0x04), (0x0702, 0x0C), (0x0702, 0x0B)} <= sent
        emergency = [
            r for r in hub.requests if (r.cluster_id, r.command, r.control) == (0x0705, 0x00, 1)
        ]
        assert emergency[0].payload == struct.pack("<IB", 0, 2)
        details = {seen.detail for seen in device.observations.of(What.PROVOKED)}
        assert all("refused with status 0x81" in detail for detail in details)

    live(200, check, behaviour=Behaviour(forbidden_commands_every_s=10))


def test_a_device_may_read_everything_many_times() -> None:
    def check(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        ok = device.observations.reads["electricity"].ok
        assert len(hub.reads(2, 0x0000, 0x0400)) == 8 * ok
        assert ok > 5

    live(120, check, behaviour=Behaviour(reads_per_slot=8))


def test_a_good_device_does_none_of_this() -> None:
    def check(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        counts = device.observations.counts
        assert not {What.PROVOKED, What.POWER_CUT, What.SILENT, What.GONE} & set(counts)
        assert coordinator.gone == []
        assert coordinator.node.counters["aps_rx_duplicate"] == 0
        assert [command for command, _ in key_frames(hub)] == [0, 1, 2]
        assert not [r for r in hub.requests if r.control & 1 == 0 and r.command == 0x02]

    live(300, check)
