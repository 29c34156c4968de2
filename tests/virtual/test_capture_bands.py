"""A capture of both bands: page, channel, level and quality as the hub saw them, for tshark too."""

from __future__ import annotations

import asyncio
import io
import math
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from node_pair import CAD, LINK_KEY, NETWORK_KEY, Room, run, send

from labctl.capture import TapWriter, wireshark_key_rows
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.node import Node, Status
from labctl.virtual.phy import PHY_868, PHY_2450
from labctl.virtual.propagation import Propagation
from labctl.virtual.sniffer import BESIDE_DBM

GAS = Eui64("00:12:4b:00:00:00:00:bb")
NATIVE, SUB_GHZ = (0, 15), (29, 30)
READ = bytes.fromhex("00010000000004")  # ZCL read attributes 0x0000 and 0x0400
LONG_READ = bytes.fromhex("000200") + bytes(2 * 70)  # of 70 attributes: two fragments


@dataclass
class Record:
    """One record of a capture, taken apart."""

    at_us: int
    page: int
    channel: int
    rss_dbm: float
    lqi: int
    psdu: bytes


def records(octets: bytes) -> Iterator[Record]:
    at = 24
    while at < len(octets):
        seconds, micros, length, _ = struct.unpack_from("<IIII", octets, at)
        body = octets[at + 16 : at + 16 + length]
        at += 16 + length
        (header,) = struct.unpack_from("<H", body, 2)
        fields = {}
        place = 4
        while place < header:
            kind, size = struct.unpack_from("<HH", body, place)
            fields[kind] = body[place + 4 : place + 4 + size]
            place += 4 + (size + 3) // 4 * 4
        channel, page = struct.unpack("<HB", fields[3])
        assert fields[0] == b"\x01", "a check sequence of 16 bits, on either band"
        (rss,) = struct.unpack("<f", fields[1])
        yield Record(seconds * 10**6 + micros, page, channel, rss, fields[10][0], body[header:])


class DualRoom(Room):
    """Both bands recorded beside the hub, with shadowing, asymmetry and fading."""

    def __init__(self, target: io.BytesIO | Path, *, at: tuple[float, float, float] | None) -> None:
        super().__init__(3, Propagation())
        loop = asyncio.get_running_loop()
        self.writer = TapWriter(target, lambda: 1_750_000_000_000_000 + round(loop.time() * 1e6))
        self.air.capture_to(self.writer, beside=[self.hub.state.eui64], at=at)
        assert self.hub.start_phy(1, *SUB_GHZ, 14)

    async def child(self, eui64: Eui64, at: tuple[int, int], x: float) -> Node:
        node = self.device(eui64, position=(x, 2.0, 0.0))
        self.hub.permit_joining(60)
        (beacon,) = await node.active_scan([at])
        assert await node.join(beacon, link_key=LINK_KEY) is None
        await node.sleep(1)
        return node


async def evening(target: io.BytesIO | Path) -> tuple[DualRoom, list[tuple[int, int, int]]]:
    """A display on 2.4 GHz and a meter below; what the hub was told of each frame from them."""
    room = DualRoom(target, at=None)
    told: list[tuple[int, int, int]] = []
    for layer in room.hub.macs.values():
        received = layer.frame_received

        def heard(psdu, rssi, lqi, received=received, phy=layer.phy):  # type: ignore[no-untyped-def]
            told.append((phy, rssi, lqi))
            received(psdu, rssi, lqi)

        layer.frame_received = heard  # type: ignore[method-assign]
    cad = await room.child(CAD, NATIVE, 4.0)
    gas = await room.child(GAS, SUB_GHZ, 9.0)
    for node in (cad, gas):
        for secured in (False, True):
            assert await send(node, 0, READ, aps_secured=secured) is Status.SUCCESS
            assert await send(room.hub, node.state.nwk, LONG_READ) is Status.SUCCESS
    assert await send(room.hub, 0xFFFF, READ, ack=False) is Status.SUCCESS
    await asyncio.sleep(30)
    return room, told


def test_what_the_hub_received_is_recorded_as_the_hub_saw_it() -> None:
    async def main() -> None:
        file = io.BytesIO()
        _, told = await evening(file)
        found = list(records(file.getvalue()))
        assert {(each.page, each.channel) for each in found} == {NATIVE, SUB_GHZ}
        for phy, page in ((0, 0), (1, 29)):
            levels = [(rssi, lqi) for which, rssi, lqi in told if which == phy]
            # Acknowledgements are received by the radio itself, which tells nobody of them.
            written = [
                (round(each.rss_dbm), each.lqi)
                for each in found
                if each.page == page and each.psdu[0] & 7 != 2 and each.rss_dbm != BESIDE_DBM
            ]
            assert len(levels) > 10
            assert written == levels
            assert len({rss for rss, _ in levels}) > 3, "fading and all"
        own = [each for each in found if each.rss_dbm == BESIDE_DBM]
        assert len(own) > 20
        assert all(each.lqi == 255 for each in own)

    run(main())


def test_the_lengths_in_the_capture_are_the_airtime() -> None:
    async def main() -> None:
        file = io.BytesIO()
        room, _ = await evening(file)
        totals = {0: 0, 29: 0}
        for each in records(file.getvalue()):
            phy = PHY_868 if each.page else PHY_2450
            totals[each.page] += phy.airtime_us(len(each.psdu))
        by_page = {0: room.hub.sent_airtime_us(0), 29: room.hub.sent_airtime_us(1)}
        for radio in room.air.radios:
            if radio.name != room.hub.state.eui64:
                assert radio.medium is not None
                by_page[radio.medium.page] += radio.airtime_us
        assert by_page == totals

    run(main())


def test_without_power_there_is_still_a_place_to_listen_at() -> None:
    async def main() -> None:
        file = io.BytesIO()
        room = DualRoom(file, at=(0.0, 0.0, 0.0))
        cad = await room.child(CAD, NATIVE, 4.0)
        before = len(file.getvalue())
        room.hub.power_off()
        await send(cad, 0, b"anybody?", ack=False)
        alone = list(records(file.getvalue()[:24] + file.getvalue()[before:]))
        assert len(alone) == 4
        assert all(-75 < each.rss_dbm < -40 for each in alone)
        assert len({each.rss_dbm for each in alone}) == 1, "the mean level"
        assert not math.isclose(alone[0].rss_dbm, BESIDE_DBM)

    run(main())


@pytest.mark.tshark
@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_both_bands_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "dual.pcap"

    async def main() -> int:
        room, _ = await evening(path)
        room.writer.close()
        return room.writer.records

    count = run(main())
    tshark = ["tshark", "-r", str(path)]
    for row in wireshark_key_rows([(NETWORK_KEY, "network"), (LINK_KEY, "link")]):
        tshark += ["-o", f"uat:zigbee_pc_keys:{row}"]
    tshark += ["-o", "zbee_nwk.seclevel:AES-128 Encryption, 32-bit Integrity Protection"]
    fields = [
        "wpan-tap.ch_page",
        "wpan-tap.ch_num",
        "wpan-tap.rss",
        "wpan-tap.lqi",
        "wpan-tap.fcs_type",
        "wpan.fcs_ok",
        "zbee.sec.key_id",
        "zbee.sec.key",
        "zbee_aps.type",
        "_ws.malformed",
        "_ws.expert.message",
    ]
    columns = [part for field in fields for part in ("-e", field)]
    separated = ["-T", "fields", "-E", "separator=|", "-E", "occurrence=a"]
    shown = _said([*tshark, *separated, *columns]).splitlines()
    rows = [dict(zip(fields, line.split("|"), strict=True)) for line in shown]
    assert len(rows) == count
    places = [(int(row["wpan-tap.ch_page"]), int(row["wpan-tap.ch_num"])) for row in rows]
    assert set(places) == {NATIVE, SUB_GHZ}
    assert min(places.count(NATIVE), places.count(SUB_GHZ)) > 30
    for row in rows:
        assert row["wpan-tap.fcs_type"] == "1"
        assert row["wpan.fcs_ok"] in ("1", "True")
        assert -110 < float(row["wpan-tap.rss"]) <= -30
        assert not row["_ws.malformed"]
        assert not row["_ws.expert.message"]
        secured = len(row["zbee.sec.key_id"].split(",")) if row["zbee.sec.key_id"] else 0
        if secured == 2 and row["zbee_aps.type"] == "0x02":
            secured = 1  # tshark does not verify the MIC of an acknowledgement without content
        assert len(row["zbee.sec.key"].split(",")) == max(secured, 1), "all is deciphered"
    spoken = _said([*tshark, "-V"])
    assert re.search(r"Channel assignment: Page: .*\(0\), Number: 15", spoken)
    assert re.search(r"Channel assignment: Page: .*\(29\), Number: 30", spoken)


def _said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout
