"""Provoked Limited and Critical states, as the capture shows them: who is silenced is silent."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from air_capture import APS_ACK, APS_DATA, SMART_ENERGY, Frame, frames_of, keys_of
from tshark_decoding import need_tshark
from virtual_rigs import loaded_rig

from labctl.rig.loop import run
from labctl.rig.session import RigSession, open_rig

SUB_GHZ = 0x070B
DEVICE_ANNCE = 0x0013
MINUTE_US = 60_000_000


@dataclass
class Silence:
    """A device was told to be silent, heard it, and was silent (or was not) until `end_us`."""

    device: str
    short: int
    minutes: int
    cause: str
    start_us: int  # its stack's acknowledgement of the word has gone out
    end_us: int


@dataclass
class Story:
    """What became of a rig in some hours on 868 MHz."""

    folder: Path
    frames: list[Frame]
    events: list[tuple[int, str, str | None, dict[str, Any]]]
    short: dict[str, int]
    verdict: str

    def of(self, kind: str) -> list[tuple[int, str, str | None, dict[str, Any]]]:
        return [event for event in self.events if event[1] == kind]

    def silences(self) -> list[Silence]:
        """From the capture when, from the database why."""
        found = []
        for at_us, _, name, detail in self.of("suspended"):
            assert name is not None
            short = self.short[name]
            told = next(
                frame
                for frame in self.frames
                if frame.at_us >= at_us - 1000 and _is_suspend(frame) and frame.destination == short
            )
            assert told.aps is not None
            assert told.aps.payload is not None
            assert told.aps.payload[3] == detail["minutes"]
            heard = next(
                frame
                for frame in self.frames
                if frame.at_us > told.at_us
                and frame.source == short
                and frame.aps is not None
                and (frame.aps.kind, frame.aps.cluster) == (APS_ACK, SUB_GHZ)
            )
            assert heard.at_us - told.at_us < 2_000_000
            end_us = heard.at_us + detail["minutes"] * MINUTE_US
            found.append(
                Silence(name, short, detail["minutes"], detail["cause"], heard.at_us, end_us)
            )
        return found

    def zcl(self, short: int, start_us: int, end_us: int) -> list[Frame]:
        """ZCL frames, of any cluster, that a device put on the air in that time."""
        return [
            frame
            for frame in self.frames
            if frame.source == short and frame.is_zcl and start_us <= frame.at_us < end_us
        ]


def _is_suspend(frame: Frame) -> bool:
    """Suspend ZCL Messages, cluster-specific, from the hub."""
    aps = frame.aps
    if aps is None or (aps.kind, aps.profile, aps.cluster) != (APS_DATA, SMART_ENERGY, SUB_GHZ):
        return False
    payload = aps.payload
    return frame.source == 0 and payload is not None and payload[0] & 1 == 1 and payload[2] == 0


async def hours(session: RigSession, seconds: float, folder: Path) -> None:
    await session.pair_all()
    session.power_on()
    await asyncio.sleep(seconds)
    session.write_keys(folder / "keys")


def tell(
    folder: Path,
    seconds: float,
    limits: dict[str, str],
    behaviour: dict[str, Any] | None = None,
    suspend_for: str = "5min",
) -> Story:
    """The shipped 868 MHz rig with narrower limits, and both displays misbehaving."""

    def change(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        rig["virtual"]["duty_cycle"] = limits
        rig["hub"]["suspend_for"] = suspend_for
        if behaviour is not None:
            for device in ("sub-ghz-ihd", "sub-ghz-cad-1"):
                inventory["devices"][device]["virtual"]["behaviour"] = behaviour

    loaded = loaded_rig(folder, change, name="virtual-868")

    async def main() -> str:
        async with open_rig(
            loaded, kind="bench", database=folder / "labctl.db", capture=folder / "air.pcap"
        ) as session:
            await hours(session, seconds, folder)
        assert session.assessment is not None
        return session.assessment.verdict.value

    verdict = run(loaded, main())
    frames = frames_of(folder / "air.pcap", keys_of(folder / "keys"))
    with sqlite3.connect(folder / "labctl.db") as db:
        rows = db.execute(
            "SELECT e.at_us, e.kind, d.eui64, e.detail FROM events e"
            " LEFT JOIN devices d ON d.id = e.device_id ORDER BY e.at_us, e.id"
        ).fetchall()
    names = {str(device.eui64): device.name for device in loaded.devices}
    short = {
        names[address]: frame.source
        for frame in frames
        if frame.eui64 is not None
        and isinstance(frame.source, int)
        and frame.source == frame.nwk_source != 0
        and (address := frame.eui64[::-1].hex(":")) in names
    }
    events = [
        (at_us, kind, names.get(eui64), json.loads(detail or "{}"))
        for at_us, kind, eui64, detail in rows
    ]
    return Story(folder, frames, events, short, verdict)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The hub's airtime is Limited from the eighth minute on."""
    folder = tmp_path_factory.mktemp("limited")
    return tell(folder, 2400, {"limited": "5s", "critical": "40s", "regulated": "60s"})


@pytest.fixture(scope="module")
def critical(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The hub's airtime is Limited soon, and Critical not long after."""
    folder = tmp_path_factory.mktemp("critical")
    limits = {"limited": "4s", "critical": "5500ms", "regulated": "60s"}
    return tell(folder, 4800, limits, suspend_for="3min")


def test_limited_silences_one_device_for_the_announced_minutes_and_no_other(
    limited: Story,
) -> None:
    assert [event[3]["state"] for event in limited.of("duty-cycle-changed")] == ["limited"]
    silences = limited.silences()
    assert len(silences) >= 5
    (chosen,) = {silence.device for silence in silences}
    assert "costs most" in silences[0].cause
    assert {silence.minutes for silence in silences} == {5}
    others = {"sub-ghz-ihd", "sub-ghz-cad-1"} - {chosen}
    for silence in silences[:-1]:
        assert limited.zcl(silence.short, silence.start_us, silence.end_us) == []
        for other in others:  # it reads every ten seconds all the while
            reads = limited.zcl(limited.short[other], silence.start_us, silence.end_us)
            assert len(reads) >= 29
    first = silences[0]
    assert len(limited.zcl(first.short, first.start_us - 5 * MINUTE_US, first.start_us)) >= 25


def test_critical_silences_every_talker_for_the_announced_minutes(critical: Story) -> None:
    states = [event[3]["state"] for event in critical.of("duty-cycle-changed")]
    assert states[:2] == ["limited", "critical"]
    critical_us = critical.of("duty-cycle-changed")[1][0]
    silences = [s for s in critical.silences() if s.start_us > critical_us]
    assert {silence.device for silence in silences} == set(critical.short)
    assert {silence.minutes for silence in silences} == {3}
    for silence in silences:
        spoken = critical.zcl(silence.short, silence.start_us, silence.end_us)
        # A word that comes while it is silent already, after a restart say, prolongs nothing here.
        assert spoken == [], silence
    talk = Counter(s.device for s in silences)
    assert min(talk["sub-ghz-ihd"], talk["sub-ghz-cad-1"]) >= 3


@pytest.mark.parametrize("story", ["limited", "critical"])
def test_a_suspended_device_asks_nothing_of_the_hubs_stack_either(
    story: str, request: pytest.FixtureRequest
) -> None:
    told: Story = request.getfixturevalue(story)
    for silence in told.silences():
        asked = [
            frame.aps.cluster
            for frame in told.frames
            if frame.source == silence.short
            and frame.aps is not None
            and frame.aps.kind == APS_DATA
            and frame.aps.profile == 0
            and not frame.aps.cluster & 0x8000
            and silence.start_us <= frame.at_us < silence.end_us
        ]
        assert asked == []


@pytest.mark.parametrize("story", ["limited", "critical"])
def test_no_suspend_is_answered_with_a_default_response(
    story: str, request: pytest.FixtureRequest
) -> None:
    told: Story = request.getfixturevalue(story)
    from_devices = [
        frame
        for frame in told.frames
        if frame.is_zcl and frame.source != 0 and frame.aps and frame.aps.cluster == SUB_GHZ
    ]
    assert from_devices
    for frame in from_devices:
        assert frame.aps is not None
        assert frame.aps.payload is not None
        assert frame.aps.payload[2] != 0x0B


@pytest.mark.parametrize("story", ["limited", "critical"])
def test_nobody_is_blamed_for_being_silent(story: str, request: pytest.FixtureRequest) -> None:
    told: Story = request.getfixturevalue(story)
    assert told.of("talked-while-suspended") == []
    assert told.verdict not in ("fail", "marginal")


def test_one_that_talks_on_is_seen_to(tmp_path: Path) -> None:
    story = tell(
        tmp_path,
        1500,
        {"limited": "5s", "critical": "40s", "regulated": "60s"},
        behaviour={"ignores_suspension": True},
    )
    first = story.silences()[0]
    assert len(story.zcl(first.short, first.start_us, first.end_us)) >= 25
    noted = story.of("talked-while-suspended")
    assert noted[0][2] == first.device
    assert noted[0][3]["discarded"] >= 25


def test_one_that_answers_suspend_starts_no_loop(tmp_path: Path) -> None:
    story = tell(
        tmp_path,
        1500,
        {"limited": "5s", "critical": "40s", "regulated": "60s"},
        behaviour={"answers_suspension": True},
    )
    answers = {
        (frame.source, frame.sequence, frame.at_us // MINUTE_US)  # once, however often repeated
        for frame in story.frames
        if frame.source != 0
        and frame.is_zcl
        and frame.aps is not None
        and frame.aps.cluster == SUB_GHZ
        and frame.aps.payload is not None
        and frame.aps.payload[2] == 0x0B
    }
    suspends = [frame for frame in story.frames if _is_suspend(frame)]
    assert len(answers) >= 2
    assert len(answers) <= len(suspends) <= len(story.of("suspended")) + 4


@pytest.mark.tshark
def test_tshark_too_finds_no_zcl_frame_of_a_suspended_device(critical: Story) -> None:
    need_tshark()
    fields = ("frame.time_epoch", "wpan.src16", "zbee_aps.type", "zbee_aps.profile")
    command = ["tshark", "-r", str(critical.folder / "air.pcap"), "-T", "fields"]
    command += ["-o", "zbee_nwk.seclevel:AES-128 Encryption, 32-bit Integrity Protection"]
    for row in (critical.folder / "keys").read_text().splitlines():
        command += ["-o", f"uat:zigbee_pc_keys:{row}"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    zcl: dict[int, list[int]] = {}
    for line in done.stdout.splitlines():
        at, source, kind, profile = line.split("\t")
        if kind and int(kind, 0) == APS_DATA and profile and int(profile, 0) == SMART_ENERGY:
            zcl.setdefault(int(source, 0), []).append(round(float(at) * 1e6))
    for silence in critical.silences():
        times = zcl[silence.short]
        assert len(times) > 20
        assert not [at for at in times if silence.start_us <= at < silence.end_us]
