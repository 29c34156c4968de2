"""Power, flash, and what the hub may ask of a virtual device."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import stat
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from device_bench import DEVICE, HUB, FakeNode, a_device, a_hub, identity, uint
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.errors import ConfigurationError
from labctl.virtual.clock import FastLoop, run
from labctl.virtual.devices import Behaviour, Fuel, ReadSchedule, What
from labctl.virtual.devices.port import NoAnswer, Peer
from labctl.virtual.devices.servers import LocalServers, Product
from labctl.virtual.devices.zcl import Frame, Global
from labctl.virtual.node import Status


async def _for(device_on: Callable[[], None], seconds: float) -> None:
    device_on()
    await asyncio.sleep(seconds)


@pytest.mark.parametrize("in_a_file", [True, False], ids=["file", "memory"])
def test_a_power_cycle_needs_no_second_pairing(tmp_path: Path, in_a_file: bool) -> None:
    hub = a_hub()
    device = a_device(hub, flash=tmp_path / "cad.json" if in_a_file else None)

    async def main() -> None:
        await _for(device.power_on, 300)
        await device.power_off()
        assert not device.is_on
        assert device.is_authorised  # as flash has it
        before = len(hub.requests)
        await asyncio.sleep(100)
        assert len(hub.requests) == before
        await _for(device.power_on, 300)
        assert device.node is not None
        calls = [what for _, what in device.node.calls]  # type: ignore[attr-defined]
        assert calls[0] == "rejoin on 1"
        assert "join" not in calls
        await device.power_off()

    run(main(), fast=True)
    assert hub.key_machines == 1
    assert device.observations.counts[What.REGISTERED] == 2
    last = max(r.at_s for r in hub.reads(2, 0x0000, 0x0400))
    assert last > 680


def test_another_process_finds_the_device_as_it_was(tmp_path: Path) -> None:
    hub = a_hub()
    flash = tmp_path / "deep" / "ihd.json"

    async def main() -> None:
        for _ in range(2):
            device = a_device(hub, "ihd", flash=flash)
            await _for(device.power_on, 200)
            await device.power_off()

    run(main(), fast=True)
    assert hub.key_machines == 1
    assert stat.S_IMODE(flash.stat().st_mode) == 0o600
    assert sorted(path.name for path in flash.parent.iterdir()) == ["ihd.json", "ihd.screen.json"]


@pytest.mark.parametrize("moment", [0.0, 1.0, 2.5, 3.0, 7.0, 7.3, 9.0, 11.5, 13, 20, 28, 33.3, 50])
def test_power_may_be_cut_at_any_instant_and_leaves_no_timer(moment: float) -> None:
    hub = a_hub(delay_s=0.2)
    device = a_device(hub)

    async def main() -> list[asyncio.TimerHandle]:
        await _for(device.power_on, moment)
        await device.power_off()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        # What the stack without radio has in flight is on the air, not in the device.
        own = "labctl/virtual/devices"
        loop = asyncio.get_running_loop()
        assert isinstance(loop, FastLoop)
        left = [h for h in loop._scheduled if not h.cancelled() and own in repr(h)]  # type: ignore[attr-defined]
        await _for(device.power_on, 120)
        assert device.is_authorised
        assert device.observations.reads["electricity"].ok > 0
        await device.power_off()
        return left

    assert run(main(), fast=True) == []


def test_a_factory_reset_makes_it_join_anew(tmp_path: Path) -> None:
    hub = a_hub()
    device = a_device(hub, flash=tmp_path / "cad.json")

    async def main() -> None:
        await _for(device.power_on, 100)
        with pytest.raises(ConfigurationError, match="is on"):
            device.factory_reset()
        await device.power_off()
        device.factory_reset()
        assert not device.is_authorised
        await _for(device.power_on, 100)
        await device.power_off()

    run(main(), fast=True)
    assert device.observations.counts[What.JOINED] == 2
    assert hub.key_machines == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:40],
        lambda text: "[]",
        lambda text: text.replace('"version": 1', '"version": 99'),
        lambda text: json.dumps({**json.loads(text), "node": {}}),
    ],
    ids=["cut off", "not an object", "newer", "no node"],
)
def test_a_damaged_flash_is_told_without_a_traceback_or_a_key(
    tmp_path: Path, spoil: Callable[[str], str]
) -> None:
    flash = tmp_path / "cad.json"
    hub = a_hub()

    async def main() -> None:
        device = a_device(hub, flash=flash)
        await _for(device.power_on, 100)
        await device.power_off()
        text = flash.read_text()
        key = hub.key.hex()
        assert key in text.replace(" ", "")
        flash.write_text(spoil(text))
        with pytest.raises(ConfigurationError) as told:
            a_device(hub, flash=flash).power_on()
        assert str(flash) in str(told.value)
        assert key not in str(told.value)

    run(main(), fast=True)


def test_the_flash_of_another_device_is_not_taken(tmp_path: Path) -> None:
    flash = tmp_path / "cad.json"
    hub = a_hub()

    async def main() -> None:
        device = a_device(hub, flash=flash)
        await _for(device.power_on, 100)
        await device.power_off()
        flash.write_text(flash.read_text().replace(str(DEVICE), str(HUB)))
        with pytest.raises(ConfigurationError, match="belongs to"):
            a_device(hub, flash=flash).power_on()

    run(main(), fast=True)


def test_a_flash_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = a_hub()
    device = a_device(hub, flash=tmp_path / "cad.json")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)

    async def main() -> None:
        told: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        with pytest.raises(ConfigurationError, match="No space left"):
            await device.run()
        assert len(told) == 1

    run(main(), fast=True)


def test_a_certificate_of_another_device_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="certificate"):
        a_device(a_hub(), identities={2: identity(HUB)})
    with pytest.raises(ConfigurationError, match="certificate"):
        a_device(a_hub(), identities={})


def test_suite_one_serves_an_older_hub() -> None:
    hub = a_hub(identities={1: identity(HUB, 1)})
    device = a_device(hub, identities={1: identity(DEVICE, 1)})

    async def main() -> None:
        await _for(device.power_on, 60)
        await device.power_off()

    run(main(), fast=True)
    assert [seen.detail for seen in device.observations.of(What.KEY_ESTABLISHED)] == ["suite 1"]


# -- reads that go wrong ---------------------------------------------------------------------------


def test_unanswered_reads_make_the_device_search_for_its_network() -> None:
    hub = a_hub(drop_after=90)
    device = a_device(hub)

    async def main() -> None:
        await _for(device.power_on, 1800)
        await device.power_off()

    run(main(), fast=True)
    count = device.observations.reads["electricity"]
    assert count.ok > 40
    assert count.failed >= 12
    lost = device.observations.of(What.NETWORK_LOST)
    assert lost[0].detail == "reads unanswered"
    # Each failure took its 5 s, and the next read came at the next slot.
    failed = [r.at_s for r in hub.reads(2, 0x0000, 0x0400)][-4:]
    assert [b - a for a, b in pairwise(failed)] == pytest.approx([10, 10, 10], abs=0.1)


def test_slots_that_pass_while_a_read_waits_are_lost_and_counted() -> None:
    hub = a_hub()
    quick = ReadSchedule(name="quick", cluster_id=0x0702, attributes=(0x0400,), period_s=2)
    device = a_device(hub, schedules=[quick])

    async def main() -> None:
        device.power_on()
        await asyncio.sleep(60)
        count = device.observations.reads["quick"]
        before = count.ok + count.failed + count.lost
        hub.deaf_to.add(0x0702)
        await asyncio.sleep(30)
        hub.deaf_to.clear()
        await asyncio.sleep(30)
        assert (count.failed, count.lost) == (5, 10)  # each took 5 s: its own slot and two more
        assert count.ok + count.failed + count.lost - before == pytest.approx(30, abs=1)
        await device.power_off()

    run(main(), fast=True)


@pytest.mark.parametrize("scaling", [(1, 1000), (10, 1), (3, 7)])
def test_what_is_shown_is_raw_times_multiplier_by_divisor(scaling: tuple[int, int]) -> None:
    hub = a_hub()
    multiplier, divisor = scaling
    hub.attributes[2, 0x0702][0x0301] = uint(0x22, multiplier, 3)
    hub.attributes[2, 0x0702][0x0302] = uint(0x22, divisor, 3)
    device = a_device(hub)

    async def main() -> None:
        await _for(device.power_on, 60)
        meter = device.screen.meter(Fuel.ELECTRICITY)
        assert meter is not None
        assert meter.consumption == pytest.approx(1_234_567 * multiplier / divisor)
        assert meter.demand == pytest.approx(1500 * multiplier / divisor)
        await device.power_off()

    run(main(), fast=True)


def test_off_the_network_a_read_fails_at_once() -> None:
    hub = a_hub()
    device = a_device(hub, schedules=[])

    async def main() -> None:
        await _for(device.power_on, 60)
        node = device.node
        assert isinstance(node, FakeNode)
        node.state.joined = False
        port = device._client.port  # type: ignore[union-attr]
        before = asyncio.get_running_loop().time()
        with pytest.raises(NoAnswer, match="not-joined"):
            await port.read(Peer(0, 2), 0x0702, (0x0000,))
        assert asyncio.get_running_loop().time() == before
        await device.power_off()

    run(main(), fast=True)


def test_an_answer_from_another_node_is_not_taken() -> None:
    hub = a_hub()
    device = a_device(hub, schedules=[])

    async def main() -> None:
        await _for(device.power_on, 60)
        hub.deaf_to.add(0x0702)
        node = device.node
        assert isinstance(node, FakeNode)
        port = device._client.port  # type: ignore[union-attr]
        asked = asyncio.ensure_future(port.read(Peer(0, 2), 0x0702, (0x0000,)))
        await asyncio.sleep(0.1)
        forged = bytes((0x18, port._sequence, 0x01)) + b"\x00\x00\x00\x25" + bytes(6)
        node.deliver(2, 0x0702, forged, source=0x5555)
        with pytest.raises(NoAnswer, match="timeout"):
            await asked
        await device.power_off()

    run(main(), fast=True)


def test_a_slow_schedule_is_tried_again_within_its_slot() -> None:
    hub = a_hub()
    gas = ReadSchedule(
        name="gas", cluster_id=0x0702, attributes=(0x0000,), period_s=1800, fuel=Fuel.GAS
    )
    device = a_device(hub, schedules=[gas])

    async def main() -> None:
        device.power_on()
        await asyncio.sleep(1000)
        hub.deaf_to.add(0x0702)
        await asyncio.sleep(868)
        hub.deaf_to.clear()
        await asyncio.sleep(1800)
        await device.power_off()

    run(main(), fast=True)
    count = device.observations.reads["gas"]
    assert (count.ok, count.failed, count.retried) == (3, 1, 1)


def test_a_refused_read_is_no_lost_network() -> None:
    hub = a_hub()
    device = a_device(hub)

    async def main() -> None:
        device.power_on()
        await asyncio.sleep(120)
        hub.refuses[0x0702] = 0x7E
        await asyncio.sleep(1800)
        await device.power_off()

    run(main(), fast=True)
    count = device.observations.reads["electricity"]
    assert count.refused > 170
    assert count.failed == 0
    assert device.observations.counts[What.NETWORK_LOST] == 0
    assert "electricity: status 0x7E" in {
        seen.detail for seen in device.observations.of(What.READ_REFUSED)
    }


def test_an_answer_without_the_link_key_is_not_taken() -> None:
    hub = a_hub()
    device = a_device(hub)

    async def main() -> None:
        device.power_on()
        await asyncio.sleep(120)
        meter = device.screen.meter(Fuel.ELECTRICITY)
        assert meter is not None
        hub.aps_secured_answers = False
        hub.attributes[2, 0x0702][0x0000] = b"\x25" + bytes(6)
        await asyncio.sleep(25)
        assert meter.summation_raw == 1_234_567
        await device.power_off()

    run(main(), fast=True)
    assert device.observations.counts[What.UNSECURED_ANSWER] >= 2
    assert device.observations.reads["electricity"].failed >= 1


def test_a_meter_that_was_not_heard_at_first_is_looked_for_again() -> None:
    hub = a_hub()
    served = hub.attributes.pop((3, 0x0702))
    device = a_device(hub)

    async def main() -> None:
        await _for(device.power_on, 60)
        assert device.screen.meter(Fuel.GAS) is None
        assert device.observations.reads["electricity"].ok > 0
        hub.attributes[3, 0x0702] = served
        await asyncio.sleep(60)
        assert device.screen.meter(Fuel.GAS) is not None
        await device.power_off()

    run(main(), fast=True)


def test_answers_that_were_cut_off_are_asked_for_again() -> None:
    hub = a_hub()
    full = hub._general

    def cut(
        endpoint: int, cluster_id: int, command: int, sequence: int, payload: bytes
    ) -> list[bytes]:
        # Only the first record, as hubs do whose answer overflows a buffer.
        if cluster_id == 0x0702:
            payload = payload[:2]
        return full(endpoint, cluster_id, command, sequence, payload)

    hub._general = cut  # type: ignore[method-assign]
    device = a_device(hub)

    async def main() -> None:
        await _for(device.power_on, 60)
        meter = device.screen.meter(Fuel.ELECTRICITY)
        assert meter is not None
        assert meter.site_id == "1200012345678"
        assert meter.serial_number == "SN-1200012345678"
        assert meter.consumption_text == "1234.567 kWh"
        await device.power_off()

    run(main(), fast=True)


# -- what arrives unasked --------------------------------------------------------------------------


def ask(frames: list[tuple[int, bytes, bool]]) -> list[tuple[int, bytes]]:
    """Send frames of the hub to a registered device; what it sent in return."""
    hub = a_hub()
    device = a_device(hub, schedules=[])
    sent: list[tuple[int, bytes]] = []

    async def main() -> None:
        await _for(device.power_on, 400)  # its first contact is through
        node = device.node
        assert isinstance(node, FakeNode)
        plain = hub.zcl

        def spy(endpoint: int, cluster_id: int, frame: bytes, secured: bool) -> list[bytes]:
            sent.append((cluster_id, frame))
            return []

        hub.zcl = spy  # type: ignore[method-assign]
        for cluster_id, frame, secured in frames:
            node.deliver(2, cluster_id, frame, secured)
            await asyncio.sleep(0.5)
        hub.zcl = plain  # type: ignore[method-assign]
        await device.power_off()

    run(main(), fast=True)
    return sent


def test_the_hub_reads_who_the_device_is() -> None:
    sent = ask([(0x0000, bytes.fromhex("00 07 00 01 00 04 00 05 00 07 00 99 99"), False)])
    assert sent == [
        (
            0x0000,
            bytes.fromhex("18 07 01")
            + b"\x01\x00\x00\x20\x01"
            + b"\x04\x00\x00\x42\x06labctl"
            + b"\x05\x00\x00\x42\x0bVirtual CAD"
            + b"\x07\x00\x00\x30\x01"
            + b"\x99\x99\x86",
        )
    ]


@pytest.mark.parametrize(
    ("cluster_id", "frame", "answer"),
    [
        (0x0006, "00 01 00 00 00", "18 01 0b 00 c3"),  # a cluster that it does not have
        (0x0000, "01 02 00", "18 02 0b 00 81"),  # a command that Basic does not have
        (0x0000, "00 03 06 00", "18 03 0b 06 82"),  # no reporting here
        (0x0000, "04 5f 11 04 00 00 00", "1c 5f 11 04 0b 00 84"),  # somebody's own
        (0x0000, "00 05 02 04 00 42 01 41", "18 05 04 88 04 00"),  # Basic is read-only
        (0x0000, "00 06 00 00", "18 06 0b 00 80"),  # half an attribute id
        (0x0000, "00 07 0c 03 00 02", "18 07 0d 00 03 00 20 04 00 42"),
        (0x0800, "00 08 00 00 00", "18 08 01 00 00 00 19 02 00"),  # suite 2
        (0x0800, "01 09 00 02 00 0b 10", "19 09 03 03 0a 02 00"),  # an Initiate that is cut off
    ],
)
def test_what_the_device_cannot_do_gets_a_proper_answer(
    cluster_id: int, frame: str, answer: str
) -> None:
    assert ask([(cluster_id, bytes.fromhex(frame), False)]) == [(cluster_id, bytes.fromhex(answer))]


def test_a_push_is_shown_and_answered_unless_no_answer_is_wanted() -> None:
    message = bytes.fromhex("07000000 00 00000000 ffff 02") + b"Hi"
    sent = ask(
        [
            (0x0703, bytes.fromhex("09 31 00") + message, True),
            (0x0703, bytes.fromhex("19 32 00") + message, True),
            (0x0703, bytes.fromhex("09 33 00") + message, False),  # without the link key: ignored
            (0x0000, bytes.fromhex("18 34 0b 00 00"), False),  # a Default Response gets none
        ]
    )
    assert sent == [(0x0703, bytes.fromhex("10 31 0b 00 00"))]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 0x0A, 0x700, 0x702, 0x703, 0x800]), st.binary()), max_size=20
    )
)
def test_garbage_from_the_air_harms_nothing(garbage: list[tuple[int, bytes]]) -> None:
    hub = a_hub()
    device = a_device(hub)

    async def main() -> None:
        await _for(device.power_on, 60)
        node = device.node
        assert isinstance(node, FakeNode)
        before = device.observations.reads["electricity"].ok
        for cluster_id, octets in garbage:
            node.deliver(2, cluster_id, octets)
        await asyncio.sleep(30)
        assert device.is_on
        assert device.observations.reads["electricity"].ok >= before + 2
        await device.power_off()

    run(main(), fast=True)


def test_the_servers_answer_any_octets_or_keep_silent() -> None:
    servers = LocalServers.of(Product(model="x"), suites=2)
    rng = random.Random(5)
    for _ in range(2000):
        frame = Frame(
            rng.choice(list(Global)),
            1,
            rng.randbytes(rng.randrange(12)),
            cluster_specific=rng.random() < 0.2,
        )
        answer = servers.answer(Peer(0, 1), rng.choice([0, 0x0800, 0x0702]), frame)
        assert answer is None or answer.from_server


def test_two_devices_with_the_same_seed_live_the_same_life() -> None:
    def life() -> list[float]:
        hub = a_hub()
        device = a_device(hub, "ihd", rng=random.Random(77), behaviour=Behaviour())

        async def main() -> None:
            await _for(device.power_on, 900)
            await device.power_off()

        run(main(), fast=True)
        return [r.at_s for r in hub.requests]

    assert life() == life()


def test_a_device_prints_no_key() -> None:
    hub = a_hub()
    device = a_device(hub)
    assert repr(hub.install_key)[2:-1] not in repr(vars(device))
    assert "<secret>" in repr(vars(device))


def test_a_node_that_is_not_the_trust_centre_gets_no_key() -> None:
    hub = a_hub()
    device = a_device(hub, schedules=[])
    sent: list[tuple[int, bytes]] = []

    async def main() -> None:
        await _for(device.power_on, 400)
        node = device.node
        assert isinstance(node, FakeNode)

        async def send(destination: int, *, payload: bytes, **_: object) -> Status:
            sent.append((destination, payload))
            return Status.SUCCESS

        node.send = send  # type: ignore[method-assign, assignment]
        certificate = identity(HUB).certificate
        node.deliver(1, 0x0800, b"\x01\x09\x00\x02\x00\x0b\x10" + certificate, False, 0x4321)
        await asyncio.sleep(5)
        await device.power_off()

    run(main(), fast=True)
    assert sent == [(0x4321, bytes.fromhex("19 09 03 04 1e 02 00"))]
