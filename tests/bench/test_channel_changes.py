"""The hub changes its channel while everybody is at work: all follow, and nobody pairs again."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from air_capture import BEACON, Frame, frames_of, keys_of
from virtual_rigs import Change, loaded_rig

from labctl.rig.loop import run
from labctl.rig.session import RigSession, open_rig
from labctl.smart_energy.channels import Channel

KEY_ESTABLISHMENT = 0x0800
HOUR_S = 3600


@dataclass
class Move:
    """What became of a change of one bearer's channel."""

    folder: Path
    frames: list[Frame]
    moved_us: int
    names: dict[str, str]  # by EUI-64

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.folder / "labctl.db") as db:
            return db.execute(sql).fetchall()

    def notes(self, kind: str) -> dict[str | None, dict[str, Any]]:
        """The events of a kind, by device."""
        return {
            self.names.get(eui64): json.loads(detail or "{}")
            for eui64, detail in self.rows(
                "SELECT d.eui64, e.detail FROM events e LEFT JOIN devices d ON d.id = e.device_id"
                f" WHERE e.kind = '{kind}'"
            )
        }

    def talk(self, start_us: int, end_us: int) -> list[Frame]:
        """Application data in that time."""
        return [f for f in self.frames if f.is_zcl and start_us <= f.at_us < end_us]

    @property
    def end_us(self) -> int:
        return self.frames[-1].at_us


def seldom(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
    """Read every half minute: what happens is the same, and takes a third of the time."""
    for device in rig["devices"]:
        for read in device.get("reads", ()):
            if read["every"] == "10s":
                read["every"] = "30s"


def move(
    folder: Path,
    name: str,
    there: Channel,
    bearer: int = 0,
    change: Change | None = None,
    before_s: float = 1500,
    after_s: float = 2700,
) -> Move:
    """Let a shipped rig run for a while, move a bearer, and let it run on."""

    def changed(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        if change is not None:
            change(inventory, rig)
        seldom(inventory, rig)

    loaded = loaded_rig(folder, changed, name=name)

    async def main(session: RigSession) -> None:
        await session.pair_all()
        session.power_on()
        await asyncio.sleep(before_s)
        moved = await session.hub.change_channel(there, bearer=bearer, cause="a test")
        assert moved is not None
        assert (moved.page, moved.channel) == (there.page, there.number)
        await asyncio.sleep(after_s)
        session.write_keys(folder / "keys")

    async def whole() -> None:
        async with open_rig(
            loaded, kind="bench", database=folder / "labctl.db", capture=folder / "air.pcap"
        ) as session:
            await main(session)

    run(loaded, whole())
    frames = frames_of(folder / "air.pcap", keys_of(folder / "keys"))
    found = Move(folder, frames, 0, {str(each.eui64): each.name for each in loaded.devices})
    ((found.moved_us,),) = found.rows("SELECT at_us FROM events WHERE kind = 'channel-moved'")
    return found


def without(*devices: str) -> Change:
    """The rig with fewer devices, since each costs time."""

    def change(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        rig["devices"] = [each for each in rig["devices"] if each["device"] not in devices]

    return change


def all_followed(
    found: Move,
    devices: Sequence[str],
    there: Channel,
    left_behind: tuple[int, int] | None = None,
) -> None:
    """Everybody is on the new channel, with the link key that he had; nobody talks anywhere else
    but where somebody was left behind at first."""
    assert set(found.notes("followed-channel")) == set(devices)
    assert found.notes("channel-not-followed") == {}
    assert found.notes("channel-change-over")[None]["missing"] == 0
    pairings = found.rows("SELECT count(*) FROM pairings")
    assert pairings == [(len(found.rows("SELECT id FROM devices")),)]
    joins = found.rows(
        f"SELECT kind FROM joins WHERE kind = 'join' AND started_us > {found.moved_us}"
    )
    assert joins == []
    after = found.talk(found.moved_us, found.end_us)
    assert [f for f in after if f.aps is not None and f.aps.cluster == KEY_ESTABLISHMENT] == []
    on_the_band = [f for f in after if (f.page == 0) == (there.page == 0)]
    assert on_the_band
    where = {(f.page, f.channel) for f in on_the_band}
    assert where <= {(there.page, there.number), left_behind}
    assert (there.page, there.number) in where


def test_on_868_mhz_everybody_follows_the_sleepy_gas_meter_included(tmp_path: Path) -> None:
    there = Channel(29, 30)
    found = move(tmp_path, "virtual-868", there)
    all_followed(found, ["sub-ghz-ihd", "sub-ghz-cad-1", "sub-ghz-gas-meter"], there)
    announced = found.notes("channel-change-announced")
    assert announced["sub-ghz-gas-meter"]["read"] is True
    followed = found.notes("followed-channel")
    assert followed["sub-ghz-ihd"]["s"] < 40
    assert followed["sub-ghz-cad-1"]["s"] < 40
    assert followed["sub-ghz-gas-meter"]["s"] < HOUR_S
    # Nobody had to search: no rejoin, and no beacon, on the new channel.
    rejoins = found.rows(f"SELECT count(*) FROM joins WHERE started_us > {found.moved_us}")
    assert rejoins == [(0,)]
    assert [f for f in found.frames if f.kind == BEACON and f.at_us > found.moved_us] == []
    # The gas meter is told of the hub's move before anybody goes, and pushes to its mirror after.
    samples = found.rows("SELECT count(*) FROM link_samples WHERE channel = 30 AND page = 29")
    assert samples[0][0] > 150


def test_on_2_4_ghz_everybody_follows(tmp_path: Path) -> None:
    there = Channel(0, 25)
    found = move(tmp_path, "virtual", there, before_s=600, after_s=600)
    all_followed(found, ["virtual-ihd", "virtual-cad"], there)
    assert all(each["s"] < 40 for each in found.notes("followed-channel").values())


LEFT_OUT = ("sub-ghz-ppmid", "sub-ghz-cad-2", "sub-ghz-cad-3")


@pytest.mark.parametrize(
    ("bearer", "there"), [(0, Channel(0, 12)), (1, Channel(28, 20))], ids=["2.4 GHz", "868 MHz"]
)
def test_of_two_phys_one_moves_and_the_other_stays(
    bearer: int, there: Channel, tmp_path: Path
) -> None:
    found = move(tmp_path, "virtual-dual-band", there, bearer, without(*LEFT_OUT), before_s=600)
    below = ["sub-ghz-ihd", "sub-ghz-cad-1", "sub-ghz-gas-meter"]
    above = ["virtual-ihd", "virtual-cad"]
    all_followed(found, below if bearer else above, there)
    others = [f for f in found.talk(found.moved_us, found.end_us) if (f.page == 0) == bool(bearer)]
    assert {(f.page, f.channel) for f in others} == {(0, 20) if bearer else (28, 10)}


def test_side_by_side_one_network_moves_and_the_other_stays(tmp_path: Path) -> None:
    there = Channel(28, 3)
    found = move(tmp_path, "virtual-two-coordinators", there, 1, before_s=600)
    all_followed(found, ["sub-ghz-cad-1", "sub-ghz-gas-meter"], there)
    others = [f for f in found.talk(found.moved_us, found.end_us) if f.page == 0]
    assert {f.channel for f in others} == {20}


def test_whoever_does_not_follow_finds_the_hub_again_by_a_secured_rejoin(tmp_path: Path) -> None:
    def change(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        for name in ("sub-ghz-cad-1", "sub-ghz-gas-meter"):
            inventory["devices"][name]["virtual"]["behaviour"] = {"ignores_channel_change": True}

    there = Channel(30, 40)
    found = move(tmp_path, "virtual-868", there, change=change, after_s=2 * HOUR_S)
    everybody = ["sub-ghz-ihd", "sub-ghz-cad-1", "sub-ghz-gas-meter"]
    all_followed(found, everybody, there, left_behind=(28, 10))
    assert found.notes("channel-change-announced")["sub-ghz-gas-meter"]["read"] is False
    rejoins = found.rows(
        "SELECT d.eui64, j.kind, j.outcome FROM joins j JOIN devices d ON d.id = j.device_id"
        f" WHERE j.started_us > {found.moved_us} ORDER BY 1"
    )
    assert [(found.names[eui64], *rest) for eui64, *rest in rejoins] == [
        ("sub-ghz-cad-1", "secured-rejoin", "authorised"),
        ("sub-ghz-gas-meter", "secured-rejoin", "authorised"),
    ]


def test_a_hog_on_the_channel_drives_the_hub_away_and_everybody_with_it(tmp_path: Path) -> None:
    """Devices tell that they lose frames; the hub scans, finds a quieter channel, and goes."""

    def change(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        seldom(inventory, rig)
        rig["virtual"]["interference"] = [
            {
                "name": "hog",
                "kind": "sub-ghz",
                "at": [6.0, 0.0, 0.0],
                "page": 28,
                "channel": 10,
                "busy_percent": 60,
                "burst_ms": 300,
                "start": "30min",
            }
        ]
        rig["hub"]["links"] = {"noise_every": "24h"}  # it hears of it from the devices alone

    loaded = loaded_rig(tmp_path, change, name="virtual-868")

    async def whole() -> None:
        async with open_rig(
            loaded, kind="bench", database=tmp_path / "labctl.db", capture=tmp_path / "air.pcap"
        ) as session:
            await session.pair_all()
            session.power_on()
            await asyncio.sleep(3 * HOUR_S)
            session.write_keys(tmp_path / "keys")

    run(loaded, whole())
    frames = frames_of(tmp_path / "air.pcap", keys_of(tmp_path / "keys"))
    found = Move(tmp_path, frames, 0, {str(each.eui64): each.name for each in loaded.devices})
    ((found.moved_us, detail),) = found.rows(
        "SELECT at_us, detail FROM events WHERE kind = 'channel-moved'"
    )
    lost = found.notes("frames-lost")
    assert set(lost) <= {"sub-ghz-ihd", "sub-ghz-cad-1", "sub-ghz-gas-meter"}
    assert lost
    assert "lost" in json.loads(detail)["cause"]
    there = json.loads(detail)
    all_followed(
        found,
        ["sub-ghz-ihd", "sub-ghz-cad-1", "sub-ghz-gas-meter"],
        Channel(there["to_page"], there["to_channel"]),
        left_behind=(28, 10),  # the hog may drown the word of the move too: then they search
    )
