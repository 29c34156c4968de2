"""An independent dissector reads a whole life of two devices: join, data, fragments, rejoin, leave.

tshark gets the network key and the link keys, nothing else, and every frame has to come out
deciphered, well-formed and with the right check sequence.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest
from node_pair import CAD, LINK_KEY, NETWORK_KEY, SE, Room, run, send

from labctl.capture import TapWriter, wireshark_key_rows, write_wireshark_keys
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.frames import zdp
from labctl.virtual.node import SimpleDescriptor, Status
from labctl.virtual.propagation import Propagation

SLEEPER = Eui64("00:12:4b:00:00:00:00:bb")
NEXT_KEY = bytes(range(0x60, 0x70))
SLEEPER_KEY = bytes(range(0x80, 0x90))
PARTNER_KEY = "partner"

READ = bytes.fromhex("00010000000004")  # ZCL read attributes 0x0000 and 0x0400
ANSWER = bytes.fromhex("18010100000025010203040506") + bytes.fromhex("0004002a640000")
MESSAGE = bytes.fromhex("0902000100000008000000000000ffffb4") + b"A" * 180  # 180-character string

FIELDS = [
    "frame.number",
    "frame.time_relative",
    "wpan.frame_type",
    "wpan.fcs_ok",
    "wpan-tap.rss",
    "wpan-tap.ch_num",
    "wpan-tap.ch_page",
    "wpan-tap.lqi",
    "wpan.cmd",
    "zbee_nwk.cmd.id",
    "zbee_aps.cmd.id",
    "zbee.sec.key_id",
    "zbee.sec.decryption_key",
    "zbee.sec.key.origin",
    "zbee.sec.key",
    "zbee_aps.cluster",
    "zbee_aps.zdp_cluster",
    "zbee_aps.type",
    "zbee_aps.block",
    "zbee_aps.reassembled.length",
    "_ws.malformed",
    "_ws.col.Protocol",
    "_ws.col.Info",
    "zbee_zcl_se.met.attr_id",
    "_ws.expert.message",
    "zbee_nwk.src",
]


class Frame(dict[str, str]):
    """One frame's fields as tshark names them."""

    def all(self, field: str) -> list[str]:
        return [each for each in self[field].split(",") if each]


async def life(path: Path) -> tuple[int, bytes]:
    """Everything that nodes do, recorded at the hub. Returns the records and the partner key."""
    loop = asyncio.get_running_loop()
    room = Room(3, Propagation())
    writer = TapWriter(path, lambda: 1_750_000_000_000_000 + round(loop.time() * 1e6))
    room.air.capture_to(writer, beside=room.hub.mac.radio)
    cad = await room.joined()
    sleeper = room.device(SLEEPER, link_key=SLEEPER_KEY, rx_on=False, position=(1.0, 4.0, 0.0))
    assert await room.join(sleeper, link_key=SLEEPER_KEY) is None
    await sleeper.sleep(1)
    for device in (cad, sleeper):
        short = device.state.nwk
        for secured in (False, True):
            assert await send(device, 0, READ, aps_secured=secured) is Status.SUCCESS
            assert await send(room.hub, short, ANSWER, aps_secured=secured) is Status.SUCCESS
        status = await room.hub.send(
            short,
            source_endpoint=1,
            destination_endpoint=2,
            profile_id=SE,
            cluster_id=0x0703,
            payload=MESSAGE,
            aps_secured=True,
        )
        assert status is Status.SUCCESS
        assert await send(device, 0x0000, READ, ack=False) is Status.SUCCESS
        assert await device.zdo(0, zdp.Cluster.NODE_DESC, zdp.u16(0)) is not None
        assert await device.zdo(0, zdp.Cluster.POWER_DESC, zdp.u16(0)) is not None
        assert await device.zdo(0, zdp.Cluster.ACTIVE_EP, zdp.u16(0)) is not None
        assert await device.zdo(0, zdp.Cluster.SIMPLE_DESC, zdp.u16(0) + b"\x01") is not None
        assert await device.zdo(0, zdp.Cluster.IEEE_ADDR, zdp.u16(0) + b"\x01\x00") is not None
        nwk_addr = room.hub.state.eui64.little_endian + b"\x00\x00"
        assert await device.zdo(0, zdp.Cluster.NWK_ADDR, nwk_addr) is not None
        assert await device.zdo(0, zdp.Cluster.MGMT_LQI, b"\x00") is not None
        binding = zdp.Binding(
            room.hub.state.eui64.little_endian, 1, 0x0702, device.state.eui64.little_endian, 2
        )
        assert await device.zdo(0, zdp.Cluster.BIND, binding.encode()) == b"\x00"
        assert await device.zdo(0, zdp.Cluster.MGMT_BIND, b"\x00") is not None
        match = zdp.MatchRequest(0xFFFD, SE, (0x0701,)).encode()
        assert await device.zdo_broadcast(0xFFFD, zdp.Cluster.MATCH_DESC, match, collect_s=1)
        assert await device.rejoin(secured=True) is None
        await device.sleep(2)
        assert await device.rejoin(secured=False) is None
        await device.sleep(20)
        assert await send(device, 0, READ, aps_secured=True) is Status.SUCCESS
    # A link key between the two, and a frame under it through the hub.
    room.hub_heard.broker = True
    cad.request_link_key(SLEEPER)
    await cad.sleep(12)
    partner_key = cad.state.link_keys[SLEEPER].key
    sleeper.endpoints[1] = SimpleDescriptor(1, SE, 0, 0, (), ())
    cad.learn(SLEEPER.little_endian, sleeper.state.nwk)
    sleeper.learn(CAD.little_endian, cad.state.nwk)
    assert await send(cad, sleeper.state.nwk, READ, aps_secured=True) is Status.SUCCESS
    del sleeper.endpoints[1]
    # The next network key, and what is said under it.
    room.hub.begin_key_update(NEXT_KEY)
    await cad.sleep(8)
    room.hub.switch_network_key()
    await cad.sleep(8)
    assert await send(cad, 0, READ, aps_secured=True) is Status.SUCCESS
    assert await send(sleeper, 0, READ, aps_secured=True) is Status.SUCCESS
    # The ways to go.
    await cad.sleep(3)
    assert room.hub.remove_device(cad.state.nwk, CAD) is Status.SUCCESS
    await cad.sleep(2)
    assert room.heard[CAD].lefts == [False]
    assert room.hub.remove_device(0, SLEEPER) is Status.SUCCESS
    await sleeper.sleep(8)
    assert room.heard[SLEEPER].lefts == [False]
    writer.close()
    return writer.records, partner_key


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[Frame]:
    tshark = shutil.which("tshark")
    assert tshark, "Debian: apt-get install tshark"
    path = tmp_path_factory.mktemp("air") / "life.pcap"
    records, partner_key = run(life(path))
    keys = [
        (NETWORK_KEY, "network"),
        (LINK_KEY, "link"),
        (SLEEPER_KEY, "sleeper"),
        (partner_key, PARTNER_KEY),
        (NEXT_KEY, "next"),
    ]
    command = [tshark, "-r", str(path), "-T", "fields", "-E", "separator=|", "-E", "occurrence=a"]
    for row in wireshark_key_rows(keys):
        command += ["-o", f"uat:zigbee_pc_keys:{row}"]
    command += ["-o", "zbee_nwk.seclevel:AES-128 Encryption, 32-bit Integrity Protection"]
    for field in FIELDS:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    decoded = [
        Frame(zip(FIELDS, line.split("|"), strict=True)) for line in done.stdout.splitlines()
    ]
    assert len(decoded) == records
    return decoded


pytestmark = pytest.mark.tshark


def test_every_frame_is_well_formed_and_its_check_sequence_right(frames: list[Frame]) -> None:
    assert len(frames) > 400
    for frame in frames:
        assert not frame["_ws.malformed"], frame
        assert "Malformed" not in frame["_ws.col.Info"], frame
        assert frame["wpan.fcs_ok"] in ("1", "True"), frame
        assert not frame["_ws.expert.message"], frame


def test_nothing_is_left_enciphered(frames: list[Frame]) -> None:
    for frame in frames:
        assert "Encrypted" not in frame["_ws.col.Info"], frame
        # Each security header was opened with a key that was given, or learnt from Transport-Key.
        # An APS acknowledgement has no content, and tshark does not verify the MIC of nothing.
        headers = len(frame.all("zbee.sec.key_id"))
        if frame["zbee_aps.type"] == "0x02" and headers == 2:
            headers = 1
        assert len(frame.all("zbee.sec.key")) == headers, frame
        named = len(frame.all("zbee.sec.decryption_key")) + len(frame.all("zbee.sec.key.origin"))
        assert named == headers, frame
    labels = {label for frame in frames for label in frame.all("zbee.sec.decryption_key")}
    assert {"link", "sleeper"} <= labels


def test_the_tap_header_says_channel_level_and_quality(frames: list[Frame]) -> None:
    for frame in frames:
        assert (frame["wpan-tap.ch_num"], frame["wpan-tap.ch_page"]) in (("15", "0"), ("11", "0"))
        assert -100 < float(frame["wpan-tap.rss"]) < 0
        assert 0 < int(frame["wpan-tap.lqi"]) <= 255


def of(frames: list[Frame], field: str, value: int) -> list[Frame]:
    return [each for each in frames if value in (int(v, 0) for v in each.all(field))]


def test_key_identifiers_are_those_of_the_standard(frames: list[Frame]) -> None:
    transports = of(frames, "zbee_aps.cmd.id", 0x05)
    ids = [tuple(int(v, 0) for v in each.all("zbee.sec.key_id")) for each in transports]
    assert ids.count((2,)) >= 4, "two joins, two unsecured rejoins: no NWK security, key-transport"
    assert (1, 2) in ids, "the next network key: NWK security and key-transport"
    assert (1, 3) in ids, "the application link key: NWK security and key-load"
    assert {(1,), (1, 0), (2,), (1, 2), (1, 3)} >= {
        tuple(int(v, 0) for v in each.all("zbee.sec.key_id"))
        for each in frames
        if each["zbee.sec.key_id"]
    }
    secured = [each for each in frames if each.all("zbee.sec.key_id")[1:] == ["0x00"]]
    kinds = {int(each["zbee_aps.type"].split(",")[0], 0) for each in secured}
    assert {0, 1, 2} == kinds, "data, commands and acknowledgements under link keys"


def test_all_that_was_done_is_there(frames: list[Frame]) -> None:
    for command in (0x01, 0x02, 0x04, 0x07):  # association, polls, beacon requests
        assert of(frames, "wpan.cmd", command), command
    for command in (0x04, 0x06, 0x07, 0x08, 0x0B, 0x0C):  # leave, rejoin, link status, timeouts
        assert of(frames, "zbee_nwk.cmd.id", command), command
    for command in (0x05, 0x07, 0x08, 0x09):  # transport, remove, request, switch
        assert of(frames, "zbee_aps.cmd.id", command), command
    clusters = [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x21, 0x31, 0x33]
    for cluster in [*clusters, *(0x8000 | each for each in clusters), 0x13]:
        assert of(frames, "zbee_aps.zdp_cluster", cluster), hex(cluster)
    assert any("Beacon, Src: 0x0000" in each["_ws.col.Info"] for each in frames)


def test_fragments_are_put_together_and_read_as_the_message_they_were(
    frames: list[Frame],
) -> None:
    whole = [each for each in frames if each["zbee_aps.reassembled.length"]]
    assert len(whole) == 2, "one message to each device"
    for each in whole:
        assert int(each["zbee_aps.reassembled.length"]) == len(MESSAGE)
        assert "Display Message" in each["_ws.col.Info"]
    acknowledged = [each for each in of(frames, "zbee_aps.type", 2) if each["zbee_aps.block"]]
    assert {int(each["zbee_aps.block"], 0) for each in acknowledged} == {0, 1, 2}


def test_smart_energy_is_read_at_the_very_inside(frames: list[Frame]) -> None:
    reads = [each for each in frames if "Read Attributes" in each["_ws.col.Info"]]
    assert len(reads) > 10
    assert all(each["_ws.col.Protocol"] == "ZigBee SE" for each in reads)


def test_the_keys_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "zigbee_pc_keys"
    path.write_text("old")
    path.chmod(0o644)
    write_wireshark_keys(path, [(bytes(range(16)), "network")])
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == (
        '"00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F","Normal","network"\n'
    )
