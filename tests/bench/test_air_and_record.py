"""What the database says of the air, held against the air's capture, frame by frame."""

from __future__ import annotations

import asyncio
import sqlite3
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from air_capture import ACK, APS_DATA, DATA, Frame, airtime_us, frames_of, keys_of
from tshark_decoding import decode, malformed, need_tshark, sealed
from virtual_rigs import Change, loaded_rig

from labctl.rig.loop import run
from labctl.rig.session import open_rig
from labctl.smart_energy.airtime import frame_airtime_us, psdu_octets_of

HUB = 0x0000
MINUTE_US = 60_000_000
EZSP_UNIT_US = 360_000
"""EZSP tells airtime in hundredths of a percent of the hour."""


@dataclass
class Run:
    """One run of a rig: its capture, in the order of time, and its database."""

    folder: Path
    frames: list[Frame]
    short: dict[str, int]  # by EUI-64
    sleepy: frozenset[str]

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.folder / "labctl.db") as db:
            return db.execute(sql, values).fetchall()


def live(folder: Path, name: str, seconds: float, change: Change | None = None) -> Run:
    loaded = loaded_rig(folder, change, name=name)

    async def whole() -> None:
        async with open_rig(
            loaded, kind="bench", database=folder / "labctl.db", capture=folder / "air.pcap"
        ) as session:
            await session.pair_all()
            session.power_on()
            await asyncio.sleep(seconds)
            session.write_keys(folder / "keys")

    run(loaded, whole())
    frames = sorted(
        frames_of(folder / "air.pcap", keys_of(folder / "keys")), key=lambda frame: frame.at_us
    )
    short = {
        frame.eui64[::-1].hex(":"): frame.source
        for frame in frames
        if frame.eui64 is not None
        and isinstance(frame.source, int)
        and frame.source == frame.nwk_source
    }
    sleepy = frozenset(str(each.eui64) for each in loaded.devices if "gas-meter" in each.name)
    return Run(folder, frames, short, sleepy)


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An hour on 868 MHz, from the joins on."""
    return live(tmp_path_factory.mktemp("below"), "virtual-868", 3540)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A quarter of an hour on both bands with one coordinator."""

    def fewer(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        wanted = ("virtual-cad", "sub-ghz-ihd", "sub-ghz-cad-1", "sub-ghz-gas-meter")
        rig["devices"] = [each for each in rig["devices"] if each["device"] in wanted]

    return live(tmp_path_factory.mktemp("both"), "virtual-dual-band", 900, fewer)


# -- levels ---------------------------------------------------------------------------------------


def to_hub(told: Run) -> dict[tuple[int, int], tuple[list[int], list[Frame]]]:
    """Application and ZDO frames to the hub, by sender and page: their ends, and the frames."""
    found: dict[tuple[int, int], list[Frame]] = defaultdict(list)
    for frame in told.frames:
        if frame.aps is not None and frame.aps.kind == APS_DATA and isinstance(frame.source, int):
            found[frame.source, frame.page].append(frame)
    return {
        key: ([frame.at_us + airtime_us(frame) for frame in frames], frames)
        for key, frames in found.items()
    }


@pytest.mark.parametrize("rig", ["below", "both"])
def test_the_level_of_each_link_sample_is_that_of_its_frame(
    rig: str, request: pytest.FixtureRequest
) -> None:
    told: Run = request.getfixturevalue(rig)
    frames = to_hub(told)
    samples = told.rows(
        "SELECT d.eui64, l.at_us, l.page, l.channel, l.rssi_dbm, l.lqi FROM link_samples l"
        " JOIN devices d ON d.id = l.device_id WHERE l.direction = 'to-hub'"
    )
    assert len(samples) > 250
    held = 0
    for eui64, at_us, page, channel, rssi_dbm, lqi in samples:
        ends, sent = frames[told.short[eui64], page]
        newest = bisect_right(ends, at_us + 1) - 1
        assert newest >= 0
        # One is told at once; or, while the sender's address is being looked up, a little later.
        late = at_us - ends[newest] > 5000
        held += late
        candidates = sent[max(0, newest - 5) : newest + 1] if late else [sent[newest]]
        assert any(
            abs(frame.rss_dbm - rssi_dbm) <= 1 and frame.lqi == lqi and frame.channel == channel
            for frame in candidates
        ), (eui64, at_us, rssi_dbm, [frame.rss_dbm for frame in candidates])
    assert held <= 0.04 * len(samples)


# -- bands ----------------------------------------------------------------------------------------


def test_each_device_is_on_the_air_where_the_record_says_that_it_is(both: Run) -> None:
    joined = {
        eui64: (band, page, channel)
        for eui64, band, page, channel in both.rows(
            "SELECT eui64, band, page, channel FROM joins WHERE outcome = 'authorised'"
        )
    }
    assert set(joined.values()) == {("2.4 GHz", 0, 20), ("868 MHz", 28, 10)}
    for eui64, (_, page, channel) in joined.items():
        sent = [f for f in both.frames if f.kind == DATA and f.source == both.short[eui64]]
        assert len(sent) > 20
        assert {(frame.page, frame.channel) for frame in sent} == {(page, channel)}


@pytest.mark.tshark
def test_tshark_reads_page_and_channel_of_every_frame_of_both_bands(both: Run) -> None:
    need_tshark()
    decoded = decode(both.folder / "air.pcap", (both.folder / "keys").read_text().splitlines())
    in_file = frames_of(both.folder / "air.pcap", ())
    assert [(int(f["wpan-tap.ch_page"]), int(f["wpan-tap.ch_num"])) for f in decoded] == [
        (frame.page, frame.channel) for frame in in_file
    ]
    carried = {
        (f["wpan-tap.ch_page"], f["wpan-tap.ch_num"])
        for f in decoded
        if "zbee_nwk" in f["frame.protocols"] and "zbee_beacon" not in f["frame.protocols"]
    }
    assert carried == {("0", "20"), ("28", "10")}
    assert malformed(decoded) == []
    assert sealed(decoded) == []
    assert {f["wpan.fcs_ok"] for f in decoded} == {"1"}


# -- airtime --------------------------------------------------------------------------------------


def on_the_air(told: Run, start_us: int, end_us: int) -> dict[int, int]:
    """What each party transmitted on 868 MHz, µs, acknowledgements too."""
    total: dict[int, int] = defaultdict(int)
    asked: dict[int, tuple[int, int | bytes | None]] = {}  # by sequence: its end, and for whom
    for frame in told.frames:
        if frame.page == 0 or not start_us < frame.at_us <= end_us:
            continue
        us = airtime_us(frame)
        if frame.kind == ACK:
            ended_us, of = asked.get(frame.sequence, (0, None))
            if isinstance(of, int) and frame.at_us - ended_us < 3000:
                total[of] += us
            continue
        if frame.wants_ack:
            asked[frame.sequence] = (frame.at_us + us, frame.destination)
        if isinstance(frame.source, int):
            total[frame.source] += us
    return total


def sampled(told: Run, source: str) -> dict[int, dict[str | None, int]]:
    """Airtime samples by instant and device; None is the hub."""
    found: dict[int, dict[str | None, int]] = defaultdict(dict)
    for at_us, eui64, us in told.rows(
        "SELECT a.at_us, d.eui64, a.airtime_us FROM airtime_samples a"
        " LEFT JOIN devices d ON d.id = a.device_id WHERE a.source = ? ORDER BY a.at_us",
        source,
    ):
        found[at_us][eui64] = us
    return found


def test_the_computed_airtime_is_that_of_the_captures_frames(below: Run) -> None:
    samples = sampled(below, "computed")
    last_us = max(samples)
    air = on_the_air(below, 0, last_us)
    for eui64, computed_us in samples[last_us].items():
        if eui64 in below.sleepy:
            continue  # nobody tells of its search for the network, which is a third of its hour
        who = HUB if eui64 is None else below.short[eui64]
        assert air[who] > 5_000_000
        assert computed_us == pytest.approx(air[who], rel=0.01), eui64 or "the hub"


def test_of_work_as_usual_all_airtime_is_known(below: Run) -> None:
    """From the twentieth minute on: nobody joins, the gas meter wakes up."""
    samples = sampled(below, "computed")
    instants = sorted(samples)
    early_us, late_us = instants[20], instants[-1]
    air = on_the_air(below, early_us, late_us)
    assert set(samples[late_us]) == {None, *below.short} - {_hub_address(below)}
    for eui64, late in samples[late_us].items():
        who = HUB if eui64 is None else below.short[eui64]
        computed_us = late - samples[early_us][eui64]
        assert computed_us == pytest.approx(air[who], rel=0.01), eui64 or "the hub"


def test_the_firmware_counts_what_the_capture_shows(below: Run) -> None:
    samples = sampled(below, "firmware")
    last_us = max(samples)
    # It was asked a moment before the sample was taken.
    before, after = (
        on_the_air(below, 0, last_us - 1_000_000),
        on_the_air(below, 0, last_us + 1000),
    )
    for eui64, counted_us in samples[last_us].items():
        who = HUB if eui64 is None else below.short[eui64]
        assert before[who] - EZSP_UNIT_US <= counted_us <= after[who], eui64 or "the hub"


def test_the_arithmetic_of_lengths_gives_those_on_the_air(below: Run) -> None:
    looked_at = 0
    for frame in below.frames:
        aps = frame.aps
        if aps is None or aps.kind != APS_DATA or aps.payload is None:
            continue
        secured = len(frame.psdu) - 45 - len(aps.payload) - (2 if aps.fragment else 0)
        octets = psdu_octets_of(
            len(aps.payload), aps_encrypted=secured > 0, fragment=bool(aps.fragment)
        )
        assert octets == len(frame.psdu)
        assert frame_airtime_us(frame.page, octets) == airtime_us(frame)
        looked_at += 1
    assert looked_at > 1000


def test_airtime_stays_within_what_the_law_allows(below: Run) -> None:
    peaks = below.rows("SELECT max(airtime_us), max(regulated_us) FROM airtime_samples")
    ((peak_us, regulated_us),) = peaks
    assert 0 < peak_us < regulated_us


def _hub_address(told: Run) -> str:
    return next(eui64 for eui64, short in told.short.items() if short == HUB)
