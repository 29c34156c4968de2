"""Messages, events and changes: to devices that are bound, and to nobody else."""

from __future__ import annotations

import asyncio

import pytest
from fake_radio import (
    CAD,
    CAD_EUI64,
    HUB_EUI64,
    IHD_EUI64,
    START_S,
    Bench,
    FakeDevice,
    with_keys,
)

from labctl.errors import UsageError
from labctl.events import Note
from labctl.hub.services.messaging import Importance
from labctl.hub.services.time import ZIGBEE_EPOCH_S
from labctl.meters import Tariff
from labctl.meters.entries import OutageBegan, TariffSet, TenancyChanged
from labctl.radio.coordinator import Outgoing
from labctl.smart_energy.clusters.events import EventLogId
from labctl.smart_energy.eui64 import Eui64

ELECTRICITY = 2


def z(seconds: int) -> bytes:
    return (seconds - ZIGBEE_EPOCH_S).to_bytes(4, "little")


async def bind(
    device: FakeDevice, cluster: int, endpoint: int = ELECTRICITY, partner: Eui64 = IHD_EUI64
) -> None:
    data = (
        b"\x42"
        + HUB_EUI64.little_endian
        + bytes([endpoint])
        + cluster.to_bytes(2, "little")
        + b"\x03"
        + partner.little_endian
        + b"\x07"
    )
    assert await device.ask(data, cluster=0x0021, profile=0, source=0, endpoint=0) == [b"\x42\x00"]


def pushed(device: FakeDevice, cluster: int) -> list[bytes]:
    return [a.data for a in device.answers if a.cluster_id == cluster and a.data[0] == 0x09]


def test_without_a_binding_nothing_is_sent() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        device.announce()
        bench.hub.publisher.message("Hello")
        bench.hub.publisher.event(0x0102)
        await asyncio.sleep(86_400)
        assert bench.radio.sent == []

    with_keys(scenario)


def test_a_message_goes_to_who_is_bound_and_stays_to_be_asked_for() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        device.announce()
        await bind(device, 0x0703)
        message = bench.hub.publisher.message(
            "Hello", meter="electricity", confirm=True, importance=Importance.HIGH, duration_min=60
        )
        await bench.settle()
        body = message.message_id.to_bytes(4, "little") + b"\x88" + bytes(4) + b"\x3c\x00\x05Hello"
        (frame,) = pushed(device, 0x0703)
        assert (frame[0], frame[2:]) == (0x09, b"\x00" + body)
        sent = device.answers[-1]
        assert (sent.source_endpoint, sent.destination_endpoint, sent.aps_encrypt) == (2, 7, True)
        (answer,) = await device.get(0x0703, 0x00)
        assert answer == b"\x09\x77\x00" + body
        assert await device.get(0x0703, 0x00, endpoint=3) == [b"\x18\x77\x0b\x00\x8b"]
        confirmation = message.message_id.to_bytes(4, "little") + z(START_S) + b"\x02\x03Yes"
        assert await device.get(0x0703, 0x01, confirmation) == [b"\x18\x77\x0b\x01\x00"]
        (note,) = [n for n in bench.of(Note) if n.kind == "message-confirmed"]
        assert (note.detail["answer"], note.detail["response"]) == ("yes", "Yes")

    with_keys(scenario)


def test_a_message_is_cancelled_for_those_bound_and_for_those_who_ask() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        device.announce()
        await bind(device, 0x0703)
        publisher = bench.hub.publisher
        message = publisher.message("Hello", meter="electricity")
        await bench.settle()
        assert await device.get(0x0703, 0x02, bytes(4)) == [b"\x18\x77\x0b\x02\x8b"]
        assert publisher.cancel_message(message.message_id)
        assert not publisher.cancel_message(message.message_id)
        await bench.settle()
        assert pushed(device, 0x0703)[-1][2:] == (
            b"\x01" + message.message_id.to_bytes(4, "little") + b"\x00"
        )
        assert await device.get(0x0703, 0x00) == [b"\x18\x77\x0b\x00\x8b"]
        assert await device.get(0x0703, 0x02, bytes(4)) == [b"\x09\x77\x03" + z(START_S)]
        assert await device.get(0x0703, 0x02, z(START_S + 1)) == [b"\x18\x77\x0b\x02\x8b"]

    with_keys(scenario)


def test_messages_have_ids_of_their_own_and_a_length() -> None:
    async def scenario(bench: Bench) -> None:
        publisher = bench.hub.publisher
        ids = [publisher.message("Hello").message_id for _ in range(3)]
        assert len(set(ids)) == 3
        with pytest.raises(UsageError, match="116"):
            publisher.message("x" * 117)
        with pytest.raises(UsageError, match="no endpoint 'water'"):
            publisher.message("Hello", meter="water")

    with_keys(scenario)


def test_a_price_is_pushed_when_its_time_comes() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        device.announce()
        await bind(device, 0x0700)
        await asyncio.sleep(15 * 3600 + 3599)
        assert pushed(device, 0x0700) == []
        await asyncio.sleep(1)
        await bench.settle()
        (frame,) = pushed(device, 0x0700)
        midnight = START_S + 16 * 3600
        assert frame[2:8] == b"\x00\x01\x00\x00\x00\x05"
        assert frame[8:21] == b"Night" + z(midnight) + z(midnight)
        assert frame[-4:] == (12_000).to_bytes(4, "little")
        (answer,) = await device.get(0x0700, 0x00, b"\x01")
        assert answer[2:] == frame[2:]

    with_keys(scenario)


def test_a_tariff_and_a_tenancy_are_pushed_when_they_are_announced() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        device.announce()
        for cluster in (0x0700, 0x0708):
            await bind(device, cluster)
        meter = bench.meters[0]
        now_us = bench.clock.now_us()
        tariff = Tariff(
            name="New", unit_price=30_000, standing_charge=1, start_s=START_S + 3600, tariff_id=2
        )
        meter.journal.append(TariffSet(at_us=now_us, meter="electricity", tariff=tariff))
        meter.journal.append(
            TenancyChanged(at_us=now_us, meter="electricity", since_s=START_S - 60)
        )
        bench.hub.publisher.meters_changed()
        await bench.settle()
        announced = [frame for frame in pushed(device, 0x0700) if frame[2] == 0x04]
        assert any(frame[11:19] == b"\x02\x00\x00\x00" + z(START_S + 3600) for frame in announced)
        (tenancy,) = pushed(device, 0x0708)
        assert tenancy[2:] == (
            b"\x00\x01\x00\x00\x00" + z(START_S - 60) + b"\x00" + z(START_S - 60) + b"\x00\x02\0\0"
        )
        assert len(tenancy) == 3 + 17
        assert await device.get(0x0708, 0x00) == [b"\x19\x77" + tenancy[2:]]
        assert (await device.read(0x0708, 0x0200)) == b"\x00\x02\x00\xe2" + z(START_S - 60)

    with_keys(scenario)


def test_a_billing_period_is_pushed_when_it_begins() -> None:
    """Nothing else changes at that midnight: no price, no tariff."""

    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        device.announce()
        await bind(device, 0x0700, endpoint=3)  # the gas tariff has no tiers
        first_of_february = START_S + 26 * 86_400 + 16 * 3600
        await asyncio.sleep(first_of_february - START_S - 1)
        assert pushed(device, 0x0700) == []
        await asyncio.sleep(1 + 3600)
        frames = pushed(device, 0x0700)
        assert {frame[2] for frame in frames} == {0x09, 0x0A}
        (period,) = [frame for frame in frames if frame[2] == 0x09]
        assert z(first_of_february) in period

    with_keys(scenario)


def notes(bench: Bench, *kinds: str) -> list[tuple[str, dict[str, object]]]:
    return [(n.kind, n.detail) for n in bench.of(Note) if n.kind in kinds]


@pytest.mark.parametrize(("lasting_s", "event_id"), [(40, 0x8F35), (180, 0x8F36), (7000, 0x8F36)])
def test_an_outage_and_its_end_are_recorded_and_alerted(lasting_s: int, event_id: int) -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        device.announce()
        for endpoint in (2, 3):
            await bind(device, 0x0709, endpoint=endpoint)
        began_us = bench.clock.now_us() + 10_000_000
        ended_us = began_us + lasting_s * 1_000_000
        bench.meters[0].journal.append(
            OutageBegan(at_us=began_us, meter="electricity", until_us=ended_us)
        )
        await asyncio.sleep(lasting_s + 120)
        assert notes(bench, "supply-lost", "supply-restored") == [
            ("supply-lost", {"meter": "electricity", "began_us": began_us}),
            (
                "supply-restored",
                {"meter": "electricity", "ended_us": ended_us, "seconds": lasting_s},
            ),
        ]
        (frame,) = pushed(device, 0x0709)
        assert frame[2:6] == b"\x00\x03" + event_id.to_bytes(2, "little")
        assert device.answers[-1].source_endpoint == ELECTRICITY
        await asyncio.sleep(3600)
        assert len(pushed(device, 0x0709)) == 1

    with_keys(scenario)


def test_each_of_two_outages_within_a_minute_is_seen() -> None:
    async def scenario(bench: Bench) -> None:
        now_us = bench.clock.now_us()
        for at_s in (5, 20):
            bench.meters[0].journal.append(
                OutageBegan(
                    at_us=now_us + at_s * 1_000_000,
                    meter="electricity",
                    until_us=now_us + (at_s + 2) * 1_000_000,
                )
            )
        await asyncio.sleep(130)
        kinds = [kind for kind, _ in notes(bench, "supply-lost", "supply-restored")]
        assert kinds == ["supply-lost", "supply-restored"] * 2

    with_keys(scenario)


def test_what_is_not_delivered_is_a_note_and_nothing_worse() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        device.announce()
        await bind(device, 0x0703)
        bench.radio.delivers = lambda packet: False
        bench.hub.publisher.message("Hello")
        await bench.settle()
        (note,) = [n for n in bench.of(Note) if n.kind == "command-not-delivered"]
        assert note.eui64 == IHD_EUI64
        assert (note.detail["cluster_id"], note.detail["status"]) == (0x0703, "DELIVERY_FAILED")

    with_keys(scenario)


def test_a_device_that_was_unpaired_is_told_nothing_more() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        other = await bench.paired(CAD, nwk=0x0C0C)
        for one in (device, other):
            one.announce()
        await bind(device, 0x0703)
        await bench.hub.unpair(IHD_EUI64, "moved")
        before = len(device.answers)
        bench.hub.publisher.message("Hello")
        await bench.settle()
        assert len(device.answers) == before

    with_keys(scenario)


# -- events -----------------------------------------------------------------------------------


def entry(log: int, event_id: int, at: int, data: bytes = b"") -> bytes:
    return bytes([log]) + event_id.to_bytes(2, "little") + z(at) + bytes([len(data)]) + data


def ask_log(octet: int, event_id: int = 0, count: int = 0, offset: int = 0) -> bytes:
    return (
        bytes([octet])
        + event_id.to_bytes(2, "little")
        + bytes(4)
        + b"\xff\xff\xff\xff"
        + bytes([count])
        + offset.to_bytes(2, "little")
    )


def test_an_event_is_told_to_who_is_bound_and_written_down() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        device.announce()
        await bind(device, 0x0709)
        bench.hub.publisher.event(
            0x0303, log=EventLogId.FAULT, data=b"\x01\x02", endpoint="electricity"
        )
        await bench.settle()
        (frame,) = pushed(device, 0x0709)
        assert frame[2:] == b"\x00\x02\x03\x03" + z(START_S) + b"\x01\x02\x01\x02"

    with_keys(scenario)


def test_logs_are_handed_out_in_pages_the_newest_first() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        publisher = bench.hub.publisher
        for number in range(1, 7):
            publisher.event(number, data=bytes([number]), endpoint="electricity")
            await asyncio.sleep(1)
        publisher.event(0x0900, log=EventLogId.SECURITY, endpoint="electricity")
        first, second = await device.get(0x0709, 0x00, ask_log(0x13))
        times = {number: START_S + number - 1 for number in range(1, 7)}
        assert first == b"\x19\x77\x01\x06\x00\x00\x02\x40" + b"".join(
            entry(3, number, times[number], bytes([number])) for number in (6, 5, 4, 3)
        )
        assert second == b"\x19\x77\x01\x06\x00\x01\x02\x20" + b"".join(
            entry(3, number, times[number], bytes([number])) for number in (2, 1)
        )
        (page,) = await device.get(0x0709, 0x00, ask_log(0x03, count=2, offset=3))
        assert page == b"\x19\x77\x01\x06\x00\x00\x01\x20" + entry(3, 3, times[3]) + entry(
            3, 2, times[2]
        )
        (one,) = await device.get(0x0709, 0x00, ask_log(0x00, event_id=0x0900))
        assert one == b"\x19\x77\x01\x01\x00\x00\x01\x10" + entry(4, 0x0900, START_S + 6)
        for nothing in (ask_log(0x01), ask_log(0x0F), ask_log(0x03, offset=6)):
            assert await device.get(0x0709, 0x00, nothing) == [b"\x18\x77\x0b\x00\x8b"]
        (cleared,) = await device.get(0x0709, 0x01, b"\x03")
        assert cleared == b"\x19\x77\x02\x08"
        assert await device.get(0x0709, 0x00, ask_log(0x03)) == [b"\x18\x77\x0b\x00\x8b"]

    from labctl.smart_energy.access import AccessTable
    from labctl.smart_energy.clusters import CLUSTERS

    with_keys(scenario, access=AccessTable.everything(CLUSTERS))


def test_displays_may_not_see_the_logs() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await device.get(0x0709, 0x00, ask_log(0x03)) == [b"\x18\x77\x0b\x00\x7e"]

    with_keys(scenario)


# -- device management ------------------------------------------------------------------------


def test_supplier_and_site_are_told_in_the_layouts_of_gb_meters() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        device.announce()
        await bind(device, 0x0708)
        assert await device.get(0x0708, 0x01) == [b"\x18\x77\x0b\x01\x8b"]
        (site,) = await device.get(0x0708, 0x03)
        assert site == b"\x19\x77\x03" + z(START_S) * 2 + b"\x01\0\0\0\x0d1200012345678"
        assert await device.get(0x0708, 0x05) == [b"\x18\x77\x0b\x05\x8b"]
        assert await device.read(0x0708, 0x0100, 0x0101, 0x0110, 0x0200) == (
            bytes.fromhex("0001 00 23 01000000  0101 00 41 06")
            + b"labctl"
            + bytes.fromhex("1001 86  0002 00 e2 ffffffff")
        )
        bench.hub.publisher.change_supplier(
            proposed_id=77, name="Another", contact="0800", at=START_S + 60, meter="electricity"
        )
        await bench.settle()
        (frame,) = pushed(device, 0x0708)
        assert frame[2:7] == b"\x01\x01\0\0\0"
        assert frame[11:] == (
            b"\x00\x4d\0\0\0" + z(START_S + 60) + b"\x00\x18\0\0" + b"\x07Another" + b"\x040800"
        )
        assert len(frame) == 3 + 23 + 7 + 4
        (asked,) = await device.get(0x0708, 0x01)
        assert asked[2:] == frame[2:]
        assert await device.read(0x0708, 0x0110) == bytes.fromhex("1001 00 23 4d000000")
        with pytest.raises(UsageError, match="16 octets"):
            bench.hub.publisher.change_supplier(proposed_id=1, name="x" * 17, at=0)

    with_keys(scenario)


def test_a_push_that_takes_long_does_not_come_after_a_newer_one() -> None:
    async def scenario(bench: Bench) -> None:
        device, other = await bench.paired(), await bench.paired(CAD, nwk=0x0C0C)
        for each, eui64 in ((device, IHD_EUI64), (other, CAD_EUI64)):
            each.announce()
            await bind(each, 0x0703, partner=eui64)
        send, slow = bench.radio.send, [device.nwk]

        async def first_is_slow(packet: Outgoing) -> None:
            if packet.nwk in slow:
                slow.remove(packet.nwk)
                await asyncio.sleep(6)
            await send(packet)

        bench.radio.send = first_is_slow  # type: ignore[method-assign]
        for text in ("old", "new"):
            bench.hub.publisher.message(text, meter="electricity")
        await asyncio.sleep(1)
        assert [frame[-3:] for frame in pushed(other, 0x0703)] == [b"old", b"new"]
        assert pushed(device, 0x0703) == []
        await asyncio.sleep(10)
        assert [frame[-3:] for frame in pushed(device, 0x0703)] == [b"old", b"new"]

    with_keys(scenario)
