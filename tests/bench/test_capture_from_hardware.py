"""`labctl capture` beside a hub: a second stick, over its serial line, on the computer's clock."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import stat
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from virtual_rigs import write_rig

from labctl.cli.main import main
from labctl.errors import ExitCode
from labctl.leases import Kind, Leases, LockFolder, Thing, stick_identity
from labctl.radio.coordinator import (
    CoordinatorListener,
    EndpointDescriptor,
    Incoming,
    JoinSeen,
    NetworkSettings,
    PhySettings,
)
from labctl.radio.ezsp import EzspCoordinator, EzspPort
from labctl.secret import Secret
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.ncp import VirtualEzspNcp
from labctl.virtual.node import Node, NodeListener, NodeState, Role, SimpleDescriptor
from labctl.virtual.propagation import Propagation

HUB = Eui64("00:00:5e:ef:10:00:00:01")
DEVICE = Eui64("00:00:5e:ef:10:00:00:02")
SNIFFER = Eui64("00:00:5e:ef:10:00:00:03")
KEY = Secret(bytes(range(16)))
CHANNEL = Channel(0, 20)
EVERY_S = 0.02


class Deaf(CoordinatorListener):
    def packet_received(self, packet: Incoming) -> None: ...

    def join_seen(self, join: JoinSeen) -> None: ...

    def device_left(self, eui64: Eui64, nwk: int) -> None: ...

    def connection_lost(self, cause: str, bearer: int = 0) -> None: ...


@dataclass
class Room:
    """Two sticks and a device that talks, in a thread of their own: the hardware of the test."""

    folder: Path
    paths: list[str] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)
    loop: asyncio.AbstractEventLoop | None = None
    over: asyncio.Event | None = None
    sniffer: VirtualEzspNcp | None = None
    problem: BaseException | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:  # noqa: BLE001 - told in the test's own thread
            self.problem = error
        finally:
            self.ready.set()

    async def _live(self) -> None:
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        air = Air(rng=random.Random(1), propagation=Propagation(shadowing_db=0, asymmetry_db=0))
        hub = VirtualEzspNcp(air=air, eui64=HUB, rng=random.Random(2))
        self.sniffer = sniffer = VirtualEzspNcp(
            air=air, eui64=SNIFFER, rng=random.Random(3), position=(0.0, 2.0, 0.0)
        )
        sticks = {"hub": hub, "second": sniffer}
        self.paths = [str(each.open_pty(self.folder / name)) for name, each in sticks.items()]
        coordinator = EzspCoordinator(EzspPort("hub", self.paths[0]))
        coordinator.listen(Deaf())
        await coordinator.start(
            NetworkSettings((PhySettings(CHANNEL, tx_power_dbm=8),)),
            (EndpointDescriptor(1, 0x0508, (0x0000,), (0x0800,)),),
        )
        node = Node(
            air,
            NodeState(eui64=DEVICE, role=Role.END_DEVICE),
            NodeListener(),
            rng=random.Random(4),
            position=(3.0, 0.0, 0.0),
        )
        node.endpoints[1] = SimpleDescriptor(1, 0x0109, 0x0502, 0, (0x0000,), (0x0702,))
        node.power_on()
        await coordinator.install_link_key(DEVICE, KEY)
        await coordinator.permit_joining(60)
        beacons: list[Any] = []
        while not beacons:
            beacons = await node.active_scan([(0, CHANNEL.number)])
        assert await node.join(beacons[0], link_key=KEY.reveal()) is None
        self.ready.set()
        talking = asyncio.create_task(self._talk(node))
        await self.over.wait()
        talking.cancel()
        node.power_off()
        await coordinator.stop()
        await hub.close()
        await sniffer.close()

    async def _talk(self, node: Node) -> None:
        while True:
            await node.send(
                0x0000,
                profile_id=0x0109,
                cluster_id=0x0702,
                source_endpoint=1,
                destination_endpoint=1,
                payload=bytes.fromhex("0001000000"),
            )
            await asyncio.sleep(EVERY_S)

    def pull_the_sniffer(self) -> None:
        assert self.loop is not None
        assert self.sniffer is not None
        asyncio.run_coroutine_threadsafe(self.sniffer.pull(), self.loop).result(10)

    def plug_the_sniffer(self) -> None:
        assert self.loop is not None
        assert self.sniffer is not None
        asyncio.run_coroutine_threadsafe(self.sniffer.plug(), self.loop).result(10)

    def once_it_listens(self, act: Callable[[], None]) -> threading.Thread:
        """Do something half a second after the sniffer has begun."""

        def wait() -> None:
            assert self.sniffer is not None
            while not self.sniffer.firmware.mfglib.running:
                time.sleep(0.02)
            time.sleep(0.5)
            act()

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        return thread


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    made = Room(tmp_path_factory.mktemp("room"))
    thread = threading.Thread(target=made.run)
    thread.start()
    made.ready.wait(30)
    try:
        assert made.problem is None, made.problem
        yield made
    finally:
        if made.loop is not None and made.over is not None:
            with contextlib.suppress(RuntimeError):
                made.loop.call_soon_threadsafe(made.over.set)
        thread.join(30)
    assert made.problem is None, made.problem


@pytest.fixture
def rig(room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABCTL_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("LABCTL_INVENTORY", str(tmp_path / "inventory.yaml"))
    monkeypatch.chdir(tmp_path)

    def real(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        hub, second = room.paths
        inventory["radios"] = {
            "hub": {"driver": "ezsp", "path": hub},
            "second": {"driver": "ezsp", "path": second},
            "ti": {"driver": "znp", "path": "socket://127.0.0.1:1"},
        }
        inventory["devices"] = {
            "display": {
                "kind": "ihd",
                "eui64": str(DEVICE),
                "install_code": "83FED3407A939723A5C639B26916D505C3B5",
            }
        }
        rig["hub"]["radio"] = "hub"
        rig["hub"]["channel"] = CHANNEL.number
        rig["devices"] = [{"device": "display"}]
        rig["capture"] = {"radio": "second"}
        del rig["virtual"]

    return write_rig(tmp_path, real)


def frames(path: Path) -> list[tuple[int, int, int, bytes]]:
    """Time, page, channel and PSDU of each record."""
    octets, at, found = path.read_bytes(), 24, []
    while at < len(octets):
        seconds, micros, length, _ = struct.unpack_from("<IIII", octets, at)
        body = octets[at + 16 : at + 16 + length]
        at += 16 + length
        channel, page = struct.unpack_from("<HB", body, 24)
        found.append((seconds * 10**6 + micros, page, channel, body[36:]))
    return found


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(capsys.readouterr().out)["data"]
    return data


def test_a_second_stick_captures_beside_a_hub_that_somebody_else_runs(
    rig: Path, room: Room, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leases = Leases(LockFolder.shared())
    with leases.take(
        [Thing(Kind.RADIO, stick_identity(room.paths[0]))], purpose="the hub of another"
    ):
        code = main(["capture", str(rig), "-o", "air.pcap", "--for", "1s", "--json"])
    assert code == ExitCode.PASS
    told = answer(capsys)
    found = frames(tmp_path / "air.pcap")
    assert len(found) == told["frames"] > 10
    assert {(page, channel) for _, page, channel, _ in found} == {(0, CHANNEL.number)}
    assert {psdu[0] & 7 for *_, psdu in found} >= {1, 2}  # data and acknowledgements
    assert told["octets"] == (tmp_path / "air.pcap").stat().st_size
    assert told["channels"] == [
        {"page": 0, "channel": 20, "frequency_khz": 2450000, "frames": told["frames"]}
    ]
    assert told["radio"] == "second"
    assert told["began_us"] <= found[0][0] <= found[-1][0] <= told["ended_us"]
    assert not told["interrupted"]


def test_files_are_rotated_and_the_oldest_given_up(
    rig: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["capture", str(rig), "-o", "air.pcap", "--for", "2s", "--json"]
    assert main([*words, "--rotate", "4096", "--keep", "2"]) == ExitCode.PASS
    told = answer(capsys)
    there = sorted(path.name for path in tmp_path.glob("air-*.pcap"))
    assert told["files"] == there
    assert len(there) == 2
    assert int(there[0][4:8]) > 1
    kept = [frame for name in there for frame in frames(tmp_path / name)]
    assert all((tmp_path / name).stat().st_size <= 4096 for name in there)
    assert len(kept) < told["frames"]
    assert [at for at, *_ in kept] == sorted(at for at, *_ in kept)


def test_an_interrupt_ends_it_in_good_order(
    rig: Path, room: Room, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    acting = room.once_it_listens(interrupt)
    code = main(["capture", str(rig), "-o", "air.pcap", "--json"])
    acting.join()
    told = answer(capsys)
    assert code == ExitCode.PASS  # nobody said how long: that is how it ends
    assert told["frames"] == len(frames(tmp_path / "air.pcap")) > 0


def test_an_interrupt_before_its_time_is_told(
    rig: Path, room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    acting = room.once_it_listens(interrupt)
    code = main(["capture", str(rig), "-o", "air.pcap", "--for", "1h", "--json"])
    acting.join()
    assert code == ExitCode.INTERRUPTED
    assert answer(capsys)["interrupted"]


def test_a_stick_that_goes_away_ends_it_and_the_frames_are_kept(
    rig: Path, room: Room, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    acting = room.once_it_listens(room.pull_the_sniffer)
    code = main(["capture", str(rig), "-o", "air.pcap", "--for", "60s", "--json"])
    acting.join()
    room.plug_the_sniffer()
    captured = capsys.readouterr()
    told = json.loads(captured.out)["data"]
    assert code == ExitCode.RIG_UNAVAILABLE
    assert "the sniffer was lost" in told["broken"]
    assert "the sniffer was lost" in captured.err
    assert told["frames"] == len(frames(tmp_path / "air.pcap")) > 0


def test_a_full_disk_ends_it(rig: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["capture", str(rig), "-o", "/dev/full", "--for", "60s"]
    assert main(words) == ExitCode.RIG_UNAVAILABLE
    assert "the capture is cut short: No space left on device" in capsys.readouterr().err


def test_a_sniffer_that_somebody_has_is_not_taken(
    rig: Path, room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    leases = Leases(LockFolder.shared())
    with leases.take([Thing(Kind.RADIO, stick_identity(room.paths[1]))], purpose="another capture"):
        assert main(["capture", str(rig), "--for", "1s"]) == ExitCode.BUSY
    assert "another capture" in capsys.readouterr().err


def test_keys_are_written_for_their_owner_alone(rig: Path, tmp_path: Path) -> None:
    keys = tmp_path / "air.keys"
    keys.write_text("old")
    keys.chmod(0o644)
    words = ["capture", str(rig), "-o", "air.pcap", "--for", "1s", "-q"]
    assert main([*words, "--keys", str(keys)]) == ExitCode.PASS
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    rows = keys.read_text().splitlines()
    assert len(rows) == 1
    assert rows[0].endswith(',"Normal","display install code"')


@pytest.mark.parametrize(
    ("options", "told", "code"),
    [
        (["--radio", "ti"], "ZNP has no packet capture", ExitCode.CONFIGURATION),
        (["--radio", "secnd"], "second", ExitCode.CONFIGURATION),
        (["--channel", "868.45 MHz"], "does not have 868 MHz", ExitCode.CONFIGURATION),
        (["--channel", "27"], "page 0 has no channel 27", ExitCode.USAGE),
        (["--band", "868 MHz"], "is not on 868 MHz", ExitCode.CONFIGURATION),
        (["--real-time"], "--real-time", ExitCode.USAGE),
        (["--keep", "3"], "--rotate", ExitCode.USAGE),
        (["--rotate", "100"], "at least 4096", ExitCode.USAGE),
        (["--rotate", "much"], "no size", ExitCode.USAGE),
        (["-o", "nowhere/air.pcap"], "cannot be written", ExitCode.CONFIGURATION),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(
    rig: Path,
    options: list[str],
    told: str,
    code: ExitCode,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["capture", str(rig), "--for", "1s", *options]) == code
    assert told in capsys.readouterr().err


def test_a_rig_without_a_sniffer_says_why_the_hubs_radio_is_none(
    rig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = rig.read_text()
    rig.write_text(text.replace("capture: {radio: second}", "").replace("radio: second", ""))
    assert main(["capture", str(rig), "--for", "1s"]) == ExitCode.CONFIGURATION
    told = capsys.readouterr().err
    assert "cannot be one while it is on the hub's network" in told
    assert "--radio" in told


@pytest.mark.tshark
def test_tshark_reads_what_the_command_wrote(rig: Path, tmp_path: Path) -> None:
    assert main(["capture", str(rig), "-o", "air.pcap", "--for", "1s", "-q"]) == ExitCode.PASS
    tshark = shutil.which("tshark")
    assert tshark
    wanted = ["wpan.fcs_ok", "wpan-tap.ch_page", "wpan-tap.ch_num", "_ws.malformed"]
    told = subprocess.run(
        [tshark, "-r", "air.pcap", "-Tfields", *(x for each in wanted for x in ("-e", each))],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = {tuple(line.split("\t")) for line in told.stdout.splitlines()}
    assert rows in ({("1", "0", "20", "")}, {("True", "0", "20", "")})


def test_a_bench_run_on_real_sticks_writes_the_network_key_too(
    rig: Path, room: Room, tmp_path: Path
) -> None:
    yaml = YAML(typ="safe")
    said = yaml.load(rig.read_text())
    said["hub"]["radio"] = said.pop("capture")["radio"]
    with rig.open("w") as file:
        yaml.dump(said, file)
    words = ["bench", str(rig), "--for", "1s", "-q", "--keys", "air.keys", "--reports", "reports"]
    assert main(words) == ExitCode.RIG_UNAVAILABLE  # nothing was seen of the display
    assert room.sniffer is not None
    key = room.sniffer.firmware.contents.node.network_key
    rows = (tmp_path / "air.keys").read_text()
    assert f'"{key.hex(":").upper()}","Normal","network 1"' in rows
    assert '"display install code"' in rows
    assert stat.S_IMODE((tmp_path / "air.keys").stat().st_mode) == 0o600
