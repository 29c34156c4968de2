"""Which stick listens where: bands of the rig and of the stick, and where the hub was seen last."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from labctl import events as ev
from labctl.config.loading import load_rig
from labctl.config.resolved import LoadedRig
from labctl.errors import ConfigurationError
from labctl.events import Band
from labctl.record.recorder import Recorder
from labctl.rig import sniffing
from labctl.rig.sniffing import plan_listening
from labctl.smart_energy.channels import Channel
from labctl.virtual.clock import run

INVENTORY = """
radios:
  hub: {driver: ezsp, path: /dev/ttyUSB0, bands: [2.4 GHz, 868 MHz]}
  stick: {driver: ezsp, path: /dev/ttyUSB1}
  kit: {driver: ezsp, path: /dev/ttyUSB2, bands: [868 MHz]}
  both: {driver: ezsp, path: /dev/ttyUSB3, bands: [2.4 GHz, 868 MHz]}
"""
RIG = """
rig: bench
hub: {radio: hub, band: dual, channel: 15, sub_ghz: {page: 28, channel: 5}}
meters:
  electricity: {kind: electricity, mpxn: "1200012345678", serial_number: "E1"}
"""
HIGH, LOW = Channel(0, 15), Channel(28, 5)


@pytest.fixture
def rig(tmp_path: Path) -> LoadedRig:
    (tmp_path / "inventory.yaml").write_text(INVENTORY)
    path = tmp_path / "bench.yaml"
    path.write_text(RIG)
    return load_rig(path)


@pytest.mark.parametrize(
    ("radio", "band", "channel"),
    [
        ("stick", None, HIGH),
        ("kit", None, LOW),
        ("both", None, HIGH),
        ("both", Band.MHZ_868, LOW),
        ("both", Band.GHZ_2_4, HIGH),
    ],
)
def test_one_stick_hears_one_band_and_says_which_it_does_not(
    rig: LoadedRig, radio: str, band: Band | None, channel: Channel
) -> None:
    plan = plan_listening(rig, radio=radio, band=band)
    assert plan.channel == channel
    assert plan.follow
    (remark,) = plan.remarks
    assert str(LOW if channel == HIGH else HIGH) in remark
    assert "one stick hears one channel" in remark


def test_a_band_that_the_stick_does_not_have_is_refused(rig: LoadedRig) -> None:
    with pytest.raises(ConfigurationError, match="does not have 868 MHz"):
        plan_listening(rig, radio="stick", band=Band.MHZ_868)


def test_a_channel_of_ones_own_is_not_followed(rig: LoadedRig) -> None:
    plan = plan_listening(rig, radio="stick", channel=Channel(0, 26))
    assert (plan.channel, plan.follow, plan.remarks) == (Channel(0, 26), False, ())


def test_the_hubs_own_radio_is_possible_with_a_remark(rig: LoadedRig) -> None:
    plan = plan_listening(rig, radio="hub", channel=HIGH)
    assert "off the air" in plan.remarks[0]


def radio_up(at_us: int, name: str, channel: Channel) -> ev.RadioUp:
    return ev.RadioUp(
        at_us=at_us,
        name=name,
        driver="ezsp",
        band=channel.band,
        path="/dev/ttyUSB0",
        eui64="00:0d:6f:00:0a:90:00:01",
        page=channel.page,
        channel=channel.number,
        pan_id=0x1A62,
        extended_pan_id="00:0d:6f:00:0a:90:00:01",
        resumed=True,
    )


def started(at_us: int, rig: str = "bench") -> ev.RunStarted:
    return ev.RunStarted(
        at_us=at_us,
        rig=rig,
        kind="bench",
        simulated=False,
        labctl_version="0",
        host="h",
        config_sha256="0" * 64,
    )


def moved(at_us: int, radio: str, there: Channel) -> ev.ChannelMoved:
    return ev.ChannelMoved(
        at_us=at_us,
        radio=radio,
        from_page=0,
        from_channel=11,
        to_page=there.page,
        to_channel=there.number,
        cause="test",
    )


def test_the_hub_is_where_it_was_seen_last(rig: LoadedRig, tmp_path: Path) -> None:
    database = tmp_path / "labctl.db"
    with Recorder(database) as recorder:
        for event in (
            started(1_000_000),
            radio_up(2_000_000, "hub", Channel(0, 25)),
            radio_up(2_000_000, "hub/868", Channel(28, 9)),
            ev.RunEnded(at_us=3_000_000, verdict=ev.Verdict.PASS),
            started(4_000_000),
            radio_up(5_000_000, "hub", Channel(0, 24)),
            radio_up(5_000_000, "hub/868", Channel(28, 9)),
            moved(6_000_000, "hub/868", Channel(29, 30)),
            ev.RunEnded(at_us=7_000_000, verdict=ev.Verdict.PASS),
            started(8_000_000, "another"),
            radio_up(9_000_000, "hub", Channel(0, 11)),
            ev.RunEnded(at_us=10_000_000, verdict=ev.Verdict.PASS),
            started(11_000_000),  # one whose radio never came up
        ):
            recorder(event)
    plan = plan_listening(rig, radio="both", database=database)
    assert plan.channel == Channel(0, 24)
    assert str(Channel(29, 30)) in plan.remarks[0]


def test_without_a_database_the_rig_file_counts(rig: LoadedRig, tmp_path: Path) -> None:
    assert plan_listening(rig, radio="stick", database=tmp_path / "none.db").channel == HIGH
    (tmp_path / "text.db").write_text("no database at all, but a text that is long enough" * 50)
    assert plan_listening(rig, radio="stick", database=tmp_path / "text.db").channel == HIGH


def test_the_sniffer_follows_the_hub(rig: LoadedRig, tmp_path: Path) -> None:
    database = tmp_path / "labctl.db"
    there: list[Channel] = []
    told: list[Channel] = []

    class Stick:
        async def change_channel(self, channel: Channel) -> None:
            there.append(channel)

    async def main() -> None:
        with Recorder(database) as recorder:
            recorder(started(1_000_000))
            recorder(radio_up(2_000_000, "hub", HIGH))
            recorder.flush()
            following = asyncio.create_task(
                sniffing._follow(rig, HIGH, Stick(), database, told.append)  # type: ignore[arg-type]
            )
            await asyncio.sleep(5)
            assert not there
            recorder(moved(3_000_000, "hub", Channel(0, 25)))
            recorder.flush()
            await asyncio.sleep(5)
            following.cancel()
        assert there == told == [Channel(0, 25)]

    run(main(), fast=True)
