"""What the hub tells one device on purpose that is not so, rehearses, and sends that is odd."""

from __future__ import annotations

import random

import pytest
from fake_radio import CAD, CAD_EUI64, IHD_EUI64, START_S, Bench, with_hub, with_keys

from labctl.errors import RigError
from labctl.events import Note, ReadServed, Refused
from labctl.hub.device_log import Device
from labctl.hub.odd_frames import ODD_FRAMES, SENT
from labctl.hub.pretence import BEGAN, OVER, UNSUPPORTED, Told

_DIVISOR = 0x0302
_TOLD_10000 = Told(0x22, (10_000).to_bytes(3, "little"))


def entry(bench: Bench, eui64: str) -> Device:
    found = next(device for device in bench.hub.device_log() if device.eui64 == eui64)
    assert found.authorised
    return found


def test_one_device_is_told_another_scale_and_the_others_what_is_so() -> None:
    async def scenario(bench: Bench) -> None:
        ihd, cad = await bench.paired(), await bench.paired(CAD, nwk=0x0C0C)
        told = {(2, 0x0702, _DIVISOR): _TOLD_10000}
        usual = b"\x02\x03\x00\x22\xe8\x03\x00"
        with bench.hub.pretences.telling(IHD_EUI64, told):
            assert await ihd.read(0x0702, _DIVISOR) == b"\x02\x03\x00\x22\x10\x27\x00"
            assert await ihd.read(0x0702, _DIVISOR, endpoint=3) == usual
            assert await cad.read(0x0702, _DIVISOR) == usual
        assert await ihd.read(0x0702, _DIVISOR) == usual
        assert [n.kind for n in bench.of(Note) if n.kind in (BEGAN, OVER)] == [BEGAN, OVER]

    with_keys(scenario)


def test_an_attribute_that_is_said_to_be_missing_leaves_the_others_readable() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        with bench.hub.pretences.telling(IHD_EUI64, {(2, 0x0702, 0x0400): UNSUPPORTED}):
            answer = await ihd.read(0x0702, 0x0000, 0x0400)
        assert answer is not None
        assert answer[:4] == b"\x00\x00\x00\x25"
        assert answer[-3:] == b"\x00\x04\x86"
        assert bench.of(ReadServed)[-1].status == 0x86

    with_keys(scenario)


def test_one_device_is_told_another_time() -> None:
    async def scenario(bench: Bench) -> None:
        ihd, cad = await bench.paired(), await bench.paired(CAD, nwk=0x0C0C)
        with bench.hub.pretences.telling(IHD_EUI64, clock_offset_s=-86_400):
            answers = [await each.read(0x000A, 0x0000, endpoint=1) for each in (ihd, cad)]
        ahead, right = (
            int.from_bytes(answer[4:8], "little") for answer in answers if answer is not None
        )
        assert right - ahead == 86_400
        assert abs(right - (START_S - 946_684_800)) < 60

    with_keys(scenario)


def test_a_pretence_ends_with_whoever_asked_for_it() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        with (
            pytest.raises(RuntimeError),
            bench.hub.pretences.telling(IHD_EUI64, {(2, 0x0702, 0x0000): UNSUPPORTED}),
        ):
            raise RuntimeError
        answer = await ihd.read(0x0702, 0x0000)
        assert answer is not None
        assert answer[2] == 0

    with_keys(scenario)


def test_a_rehearsed_write_is_refused_and_leaves_no_trace() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.paired()
        before = len(bench.events)
        found = bench.hub.rehearsals.write(
            entry(bench, IHD_EUI64), 2, 0x0702, 0x0301, 0x22, b"\x07\x00\x00"
        )
        assert found.status == 0x88
        assert [refused.cause for refused in found.refused] == ["write of attribute 0x0301"]
        await bench.settle()
        assert len(bench.events) == before
        assert bench.radio.sent == []

    with_keys(scenario)


def test_a_rehearsed_command_of_a_ppmid_is_refused_to_a_cad() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.paired(CAD, nwk=0x0C0C)
        found = bench.hub.rehearsals.command(entry(bench, CAD_EUI64), 2, 0x0702, 0x0C, b"\x02")
        assert found.status == 0x7E
        assert found.refused[0].layer == "application"
        assert not bench.of(Refused)

    with_keys(scenario)


def test_a_rehearsal_is_what_a_device_would_get() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        rehearsed = bench.hub.rehearsals.read(entry(bench, IHD_EUI64), 2, 0x0702, 0x0300, 0x0302)
        assert rehearsed == await ihd.read(0x0702, 0x0300, 0x0302)

    with_keys(scenario)


def test_there_is_no_rehearsal_with_a_device_that_is_not_authorised() -> None:
    async def scenario(bench: Bench) -> None:
        stranger = next(iter(bench.hub.device_log()))
        with pytest.raises(RigError, match="not authorised"):
            bench.hub.rehearsals.read(stranger, 2, 0x0702, 0x0000)

    with_hub(scenario)


def test_whatever_octets_are_heard_the_hub_stays_up() -> None:
    rng = random.Random(29)

    async def scenario(bench: Bench) -> None:
        await bench.paired()
        device = entry(bench, IHD_EUI64)
        for endpoint, cluster_id in bench.hub.rehearsals.served:
            for _ in range(50):
                head = rng.choice((b"", b"\x00\x01", b"\x01\x02"))
                octets = head + rng.randbytes(rng.randrange(20))
                bench.hub.rehearsals.hear(device, endpoint, cluster_id, octets)

    with_keys(scenario)


def test_odd_frames_go_to_one_device_under_its_link_key_and_are_noted() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        await ihd.read(0x0702, 0x0000)
        before = len(ihd.answers)
        for frame in ODD_FRAMES:
            await bench.hub.odd_frames.send(ihd.eui64, frame)
        await bench.settle()
        heard = ihd.answers[before:]
        assert [each.data for each in heard] == [frame.octets for frame in ODD_FRAMES]
        assert all(each.aps_encrypt and each.destination_endpoint == 1 for each in heard)
        noted = [note for note in bench.of(Note) if note.kind == SENT]
        assert [note.detail["what"] for note in noted] == [frame.what for frame in ODD_FRAMES]

    with_keys(scenario)


def test_odd_frames_need_a_device_that_was_heard() -> None:
    async def scenario(bench: Bench) -> None:
        with pytest.raises(RigError, match="where it is"):
            await bench.hub.odd_frames.send(IHD_EUI64, ODD_FRAMES[0])

    with_keys(scenario)
