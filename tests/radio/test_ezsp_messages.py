"""Frames out of and into an EZSP NCP, below bellows' packet layer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import bellows.types as t
import pytest

from labctl.errors import DeliveryError
from labctl.radio.coordinator import Outgoing
from labctl.radio.ezsp.messages import Sender, received_frame, status_name
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.clock import run

OPTION = t.EmberApsOption


@dataclass
class FakeEzsp:
    """Takes frames as the NCP would, and reports each as sent with the next of `reports`."""

    statuses: list[t.sl_Status] = field(default_factory=list)
    reports: list[t.EmberStatus] = field(default_factory=list)
    frames: list[tuple[t.EmberApsFrame, bytes]] = field(default_factory=list)
    sender: Sender | None = None
    in_flight: int = 0
    most_in_flight: int = 0

    async def maximumPayloadLength(self) -> tuple[int]:
        return (82,)

    async def send_unicast(
        self, *, nwk: int, aps_frame: t.EmberApsFrame, message_tag: int, data: bytes
    ) -> tuple[t.sl_Status, int]:
        status = self.statuses.pop(0) if self.statuses else t.sl_Status.OK
        counter = int(aps_frame.sequence) or 0x40 + len(self.frames)
        if status == t.sl_Status.OK:
            self.frames.append((aps_frame, data))
            report = self.reports.pop(0) if self.reports else t.EmberStatus.SUCCESS
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            asyncio.get_running_loop().call_later(0.1, self._report, nwk, message_tag, report)
        return status, counter

    def _report(self, nwk: int, tag: int, status: t.EmberStatus) -> None:
        self.in_flight -= 1
        assert self.sender is not None
        self.sender.message_sent(13, [0, nwk, None, tag, status, b""])


def packet(data: bytes, **options: Any) -> Outgoing:
    return Outgoing(0x1234, 2, 1, 0x0702, data, **options)


def send(ezsp: FakeEzsp, *packets: Outgoing) -> None:
    async def main() -> None:
        ezsp.sender = Sender(ezsp, radio="stick")
        await ezsp.sender.learn_frame_size()
        await asyncio.gather(*(ezsp.sender.send(p) for p in packets))

    run(main(), fast=True)


def test_a_short_packet_is_one_unfragmented_frame() -> None:
    ezsp = FakeEzsp()
    send(ezsp, packet(bytes(82)))
    ((frame, data),) = ezsp.frames
    assert len(data) == 82
    assert not frame.options & OPTION.APS_OPTION_FRAGMENT
    assert frame.options & OPTION.APS_OPTION_RETRY
    assert not frame.options & OPTION.APS_OPTION_ENCRYPTION
    assert (frame.sourceEndpoint, frame.destinationEndpoint) == (2, 1)
    assert (frame.profileId, frame.clusterId) == (0x0109, 0x0702)


def test_aps_encryption_is_asked_for_and_shortens_the_frame() -> None:
    ezsp = FakeEzsp()
    send(ezsp, packet(bytes(73), aps_encrypt=True), packet(bytes(74), aps_encrypt=True))
    assert len(ezsp.frames) == 3
    assert all(frame.options & OPTION.APS_OPTION_ENCRYPTION for frame, _ in ezsp.frames)


def test_a_long_packet_goes_in_blocks_that_share_the_first_ones_counter() -> None:
    ezsp = FakeEzsp()
    data = bytes(range(200))
    send(ezsp, packet(data, aps_encrypt=True))
    assert b"".join(block for _, block in ezsp.frames) == data
    assert [len(block) for _, block in ezsp.frames] == [71, 71, 58]
    assert [int(frame.groupId) for frame, _ in ezsp.frames] == [0x0300, 0x0301, 0x0302]
    assert [int(frame.sequence) for frame, _ in ezsp.frames] == [0, 0x40, 0x40]
    assert all(frame.options & OPTION.APS_OPTION_FRAGMENT for frame, _ in ezsp.frames)


def test_the_blocks_of_one_packet_wait_for_one_another() -> None:
    ezsp = FakeEzsp()
    send(ezsp, packet(bytes(300)))
    assert ezsp.most_in_flight == 1


def test_no_more_packets_are_in_the_ncp_than_it_takes() -> None:
    ezsp = FakeEzsp()
    send(ezsp, *(packet(bytes([n])) for n in range(40)))
    assert len(ezsp.frames) == 40
    assert ezsp.most_in_flight == 8


def test_a_missing_acknowledgement_is_a_delivery_error_with_the_ncps_word() -> None:
    with pytest.raises(DeliveryError) as caught:
        send(FakeEzsp(reports=[t.EmberStatus.DELIVERY_FAILED]), packet(b"x"))
    assert caught.value.status == "DELIVERY_FAILED"
    assert "0x1234" in str(caught.value)


def test_a_lost_block_ends_the_packet() -> None:
    ezsp = FakeEzsp(reports=[t.EmberStatus.SUCCESS, t.EmberStatus.DELIVERY_FAILED])
    with pytest.raises(DeliveryError):
        send(ezsp, packet(bytes(300)))
    assert len(ezsp.frames) == 2


def test_an_ncp_without_room_is_asked_again() -> None:
    ezsp = FakeEzsp(statuses=[t.sl_Status.ZIGBEE_MAX_MESSAGE_LIMIT_REACHED] * 2)
    send(ezsp, packet(b"x"))
    assert len(ezsp.frames) == 1


def test_an_ncp_that_stays_without_room_is_a_delivery_error() -> None:
    ezsp = FakeEzsp(statuses=[t.sl_Status.ALLOCATION_FAILED] * 9)
    with pytest.raises(DeliveryError) as caught:
        send(ezsp, packet(b"x"))
    assert caught.value.status == "ALLOCATION_FAILED"


def test_a_refusal_for_good_is_not_tried_again() -> None:
    ezsp = FakeEzsp(statuses=[t.sl_Status.INVALID_STATE])
    with pytest.raises(DeliveryError):
        send(ezsp, packet(b"x"))
    assert not ezsp.frames
    assert not ezsp.statuses


def test_a_stick_that_goes_away_ends_every_wait() -> None:
    async def main() -> str:
        ezsp = FakeEzsp()
        sender = Sender(ezsp, radio="stick")
        task = asyncio.create_task(sender.send(packet(b"x")))
        await asyncio.sleep(0.01)
        sender.abandon("unplugged")
        with pytest.raises(DeliveryError) as caught:
            await task
        return str(caught.value)

    assert "unplugged" in run(main(), fast=True)


def test_fields_of_a_received_frame_are_found_on_old_and_new_protocols() -> None:
    aps = t.EmberApsFrame(
        profileId=0x0109,
        clusterId=0x0702,
        sourceEndpoint=1,
        destinationEndpoint=2,
        options=OPTION.APS_OPTION_ENCRYPTION,
        groupId=0,
        sequence=7,
    )
    old = received_frame(13, [0, aps, 200, -61, 0x1234, 255, 255, b"data"])
    nobody = t.EUI64.convert("ff:ff:ff:ff:ff:ff:ff:ff")
    new = received_frame(14, [0, aps, 0x1234, nobody, 255, 255, 200, -61, 0, b"data"])
    assert old == new
    known = t.EUI64.convert("00:12:4b:00:00:00:00:aa")
    named = received_frame(19, [0, aps, 0x1234, known, 255, 255, 200, -61, 0, b"data"])
    assert (named.eui64, named.data) == (Eui64("00:12:4b:00:00:00:00:aa"), b"data")
    assert (old.nwk, old.lqi, old.rssi_dbm, old.data) == (0x1234, 200, -61, b"data")


def test_a_status_has_one_name_on_all_versions() -> None:
    old_and_new = [
        (t.EmberStatus.DELIVERY_FAILED, t.sl_Status.ZIGBEE_DELIVERY_FAILED),
        (t.EmberStatus.INVALID_CALL, t.sl_Status.INVALID_STATE),
        (t.EmberStatus.MAX_MESSAGE_LIMIT_REACHED, t.sl_Status.ZIGBEE_MAX_MESSAGE_LIMIT_REACHED),
        (t.EmberStatus.KEY_NOT_AUTHORIZED, t.sl_Status.ZIGBEE_KEY_NOT_AUTHORIZED),
    ]
    names = [status_name(old) for old, _ in old_and_new]
    assert names == [status_name(new) for _, new in old_and_new]
    assert names == [
        *("DELIVERY_FAILED", "INVALID_STATE", "MAX_MESSAGE_LIMIT_REACHED", "KEY_NOT_AUTHORIZED")
    ]
    assert status_name(t.EmberStatus.ERR_FATAL) == "ERR_FATAL"
