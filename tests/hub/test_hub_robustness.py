"""Floods, lost frames, and octets that mean nothing."""

from __future__ import annotations

import asyncio
import random

import pytest
from fake_radio import CAD, CAD_EUI64, IHD_EUI64, Bench, FakeCoordinator, with_hub, with_keys
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.events import JoinEnded, JoinKind, JoinOutcome, Note, ReadServed, Severity
from labctl.hub import PairingRequest
from labctl.hub.chores import Chores
from labctl.hub.inbox import Inbox
from labctl.radio.coordinator import Incoming, JoinDecision, JoinSeen, Outgoing
from labctl.secret import Secret
from labctl.smart_energy.access import AccessTable
from labctl.smart_energy.clusters import CLUSTERS
from labctl.smart_energy.eui64 import Eui64

ESTABLISHED = Secret(b"\xee" * 16)

frames = st.one_of(
    st.binary(max_size=90),
    # Something that looks like a ZCL frame, so that more than the header is reached.
    st.builds(
        lambda control, command, payload: bytes((control, 0x11, command)) + payload,
        st.sampled_from([0x00, 0x01, 0x08, 0x09, 0x10, 0x11, 0x18, 0x19, 0x04, 0x05]),
        st.integers(0, 0x20),
        st.binary(max_size=80),
    ),
)
packets = st.builds(
    Incoming,
    nwk=st.sampled_from([0x1A2B, 0x0C0C, 0x0001]),
    eui64=st.sampled_from([IHD_EUI64, CAD_EUI64, Eui64("00" * 8), None]),
    source_endpoint=st.integers(0, 255),
    destination_endpoint=st.sampled_from([0, 1, 2, 3, 4, 255]),
    profile_id=st.sampled_from([0x0000, 0x0109, 0x0109, 0x0109, 0xFFFF, 0x0104]),
    cluster_id=st.sampled_from(
        [
            *CLUSTERS,
            0x0006,
            0x8006,
            0x0013,
            0x0021,
            0x0022,
            0x0033,
        ]
    ),
    data=frames,
    aps_encrypted=st.booleans(),
    broadcast=st.booleans(),
    lqi=st.integers(0, 255),
    rssi_dbm=st.one_of(st.none(), st.integers(-127, 0)),
    aps_counter=st.integers(0, 255),
)
joins = st.builds(
    JoinSeen,
    eui64=st.sampled_from([IHD_EUI64, CAD_EUI64, Eui64("00" * 8)]),
    nwk=st.sampled_from([0x1A2B, 0x0C0C, 0x0001]),
    kind=st.sampled_from(list(JoinKind)),
    decision=st.sampled_from(list(JoinDecision)),
    parent_nwk=st.just(0),
)


@given(st.lists(st.one_of(packets, packets, packets, joins), min_size=1, max_size=40))
@settings(max_examples=120, deadline=None)
def test_nothing_that_arrives_raises_and_the_hub_still_serves(
    arrivals: list[Incoming | JoinSeen],
) -> None:
    """`with_hub` fails when any task of the hub failed, so this sees what happens later too."""

    async def scenario(bench: Bench) -> None:
        for arrival in arrivals:
            if isinstance(arrival, JoinSeen):
                bench.listener.join_seen(arrival)
            else:
                bench.listener.packet_received(arrival)
        await asyncio.sleep(40)
        assert not [note for note in bench.of(Note) if note.kind == "internal-error"]
        cad = bench.device(CAD, nwk=0x0C0C)
        assert await cad.read(0x0702, 0x0302) == bytes.fromhex("0203 00 22 e80300")

    # One device is authorised, the other is not.
    # Rights are not what is tested here: let everything through to the services.
    with_hub(
        scenario,
        radio=FakeCoordinator({CAD_EUI64: ESTABLISHED}),
        access=AccessTable.everything(CLUSTERS),
    )


def test_an_answer_that_is_not_delivered_is_a_note() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        bench.radio.delivers = lambda packet: False
        assert (
            await device.ask(b"\x00\x01\x00\x00\x00", cluster=0x0702, endpoint=2, secured=True)
            == []
        )
        bench.radio.delivers = lambda packet: True
        (note,) = bench.of(Note)
        assert (note.kind, note.severity) == ("answer-not-delivered", Severity.WARNING)
        assert note.eui64 == IHD_EUI64
        assert note.detail["status"] == "DELIVERY_FAILED"
        assert await device.read(0x0702, 0x0300) is not None

    with_keys(scenario)


def test_one_devices_requests_are_answered_in_order_and_others_do_not_wait() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        cad = await bench.paired(CAD, nwk=0x0C0C)
        bench.radio.delay_s = 1.0
        for number in range(3):
            ihd.packet(
                bytes((0x00, number, 0x00, 0x00, 0x03)), cluster=0x0702, endpoint=2, secured=True
            )
        cad.packet(bytes.fromhex("00 63 00 0003"), cluster=0x0702, endpoint=2, secured=True)
        await asyncio.sleep(1.5)
        assert [answer.data[1] for answer in cad.answers][-1] == 0x63
        await asyncio.sleep(3)
        assert [answer.data[1] for answer in ihd.answers][-3:] == [0, 1, 2]

    with_keys(scenario)


def test_a_flood_costs_the_flooder_its_oldest_requests_and_nobody_else_anything() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        cad = await bench.paired(CAD, nwk=0x0C0C)
        bench.radio.delay_s = 0.05
        served = len(bench.of(ReadServed))
        for burst in range(20):
            for _ in range(200):
                cad.command(0x0702, 0x00, b"\x00\x03", secured=True, control=0x00)
            ihd.packet(
                bytes((0x00, burst, 0x00, 0x00, 0x03)), cluster=0x0702, endpoint=2, secured=True
            )
            await asyncio.sleep(1)
        await asyncio.sleep(5)
        assert [a.data[1] for a in ihd.answers if a.cluster_id == 0x0702] == list(range(20))
        dropped = [note for note in bench.of(Note) if note.kind == "requests-dropped"]
        assert {note.eui64 for note in dropped} == {CAD_EUI64}
        lost = sum(int(str(note.detail["count"])) for note in dropped)
        assert len(bench.of(ReadServed)) - served + lost == 20 * 201
        assert lost > 3000

    with_keys(scenario)


def test_the_hubs_own_work_is_not_dropped() -> None:
    done: list[str] = []

    async def main() -> list[int]:
        lost: list[int] = []
        inbox = Inbox(Chores(lambda error: None), 3, lost.append)

        def work(name: str) -> None:
            async def do() -> None:
                done.append(name)

            inbox.put(do, droppable=not name.startswith("own"))

        for name in ("own1", "a", "b", "own2", "c", "d", "e"):
            work(name)
        assert len(inbox) == 3
        await asyncio.sleep(0.01)
        return lost

    assert asyncio.run(main()) == [4]
    assert done == ["own1", "own2", "e"]


def test_work_that_fails_is_reported_as_the_bug_it_is_and_the_rest_goes_on() -> None:
    class Broken(FakeCoordinator):
        async def send(self, packet: Outgoing) -> None:
            if packet.data[1] == 0x66:
                raise ZeroDivisionError
            await super().send(packet)

    async def scenario(bench: Bench) -> bytes | None:
        device = await bench.paired()
        device.packet(bytes.fromhex("00 66 00 0003"), cluster=0x0702, endpoint=2, secured=True)
        answer = await device.read(0x0702, 0x0300)
        kinds = [note.kind for note in bench.of(Note)]
        assert kinds[-2:] == ["practice", "internal-error"]
        assert answer == bytes.fromhex("0003 00 30 00")
        return answer

    with pytest.raises(AssertionError) as failure:
        with_hub(scenario, radio=Broken())
    assert isinstance(failure.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("seed", range(6))
def test_pairings_with_random_loss_end_with_an_outcome_and_agreeing_keys(seed: int) -> None:
    rng = random.Random(seed)

    async def scenario(bench: Bench) -> None:
        device = bench.device()
        bench.radio.delivers = lambda packet: rng.random() > 0.2
        await bench.hub.pair(PairingRequest(eui64=IHD_EUI64, window_s=600))
        for _ in range(6):
            device.associate()
            if rng.random() > 0.2:
                device.announce()
            await bench.settle()
            device.established = None
            await device.establish(ephemeral_time_s=5, confirm_time_s=5)
            await asyncio.sleep(30)
            if device.established is not None:
                break
        await asyncio.sleep(1000)
        ends = [end.outcome for end in bench.of(JoinEnded)]
        assert ends, "every attempt has an end"
        if bench.hub.authorised(IHD_EUI64):
            assert device.established is not None
            assert bench.radio.keys[IHD_EUI64] == device.established.link_key
            assert ends[-1] is JoinOutcome.AUTHORISED
        else:
            assert bench.radio.keys == {}

    with_hub(scenario)
