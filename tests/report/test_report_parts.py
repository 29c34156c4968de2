"""Axes, formats and files of the report."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_runs import ORIGIN_US, emit, healthy

from labctl.errors import DatabaseError, UsageError
from labctl.record.recorder import Recorder
from labctl.report import formats as f
from labctl.report import write_report
from labctl.report.drawing import steps
from labctl.report.scale import linear, log_counts, time_axis


@given(
    st.floats(-1e6, 1e6, allow_nan=False), st.floats(0, 1e6, allow_nan=False), st.integers(2, 10)
)
def test_a_linear_axis_holds_its_values_and_has_few_round_ticks(
    low: float, span: float, most: int
) -> None:
    axis = linear(low, low + span, most=most)
    slack = 1e-6 * max(1.0, abs(axis.low), abs(axis.high))
    assert axis.low <= low + slack
    assert axis.high >= low + span - slack
    assert 2 <= len(axis.ticks) <= most + 2
    assert axis.ticks[0].at == 0
    assert axis.ticks[-1].at == 100
    assert len({tick.label for tick in axis.ticks}) == len(axis.ticks)


@given(st.integers(0, 400_000_000), st.integers(0, 10**8))
def test_a_time_axis_has_its_ticks_at_round_times_inside_it(start_s: int, span_s: int) -> None:
    start_us = ORIGIN_US + start_s * 1_000_000
    axis = time_axis(start_us, start_us + span_s * 1_000_000)
    assert len(axis.ticks) <= 9
    assert all(0 <= tick.at <= 100 for tick in axis.ticks)
    assert list(axis.ticks) == sorted(axis.ticks, key=lambda tick: tick.at)
    if span_s > 60:
        assert len(axis.ticks) >= 2


def test_time_ticks_say_the_day_at_midnight_and_seconds_when_short() -> None:
    day = time_axis(ORIGIN_US, ORIGIN_US + 86_400_000_000)
    assert [tick.label for tick in day.ticks] == [
        "12:00",
        "15:00",
        "18:00",
        "21:00",
        "19 Nov",
        "03:00",
        "06:00",
        "09:00",
    ]
    assert day.ticks[0].at == pytest.approx(100 * 3200 / 86400, abs=0.01)
    assert time_axis(ORIGIN_US, ORIGIN_US + 8_000_000).ticks[0].label == "11:06:40"


@given(st.integers(1, 10**7))
def test_a_single_count_stands_out_and_the_greatest_fits(most: int) -> None:
    axis = log_counts(most)
    assert axis.percent(0) == 0
    assert axis.percent(1) > 3
    assert axis.percent(1) < axis.percent(most + 1) <= 100.1
    assert axis.ticks[-1].at == 100


def test_a_histograms_outline_returns_to_the_foot_between_bars() -> None:
    assert steps([(0, 10, 50), (10, 20, 20), (40, 50, 10)]) == (
        "M0 100V50H10V80H20V100M40 100V90H50V100"
    )
    assert steps([]) == ""


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0 s"),
        (90, "0.1 ms"),
        (310_000, "310 ms"),
        (999_600, "1.0 s"),
        (59_940_000, "59.9 s"),
        (59_960_000, "1 min 00 s"),
        (245_000_000, "4 min 05 s"),
        (3_600_000_000, "1 h 00 min"),
        (86_400_000_000, "24 h 00 min"),
        (3 * 86_400_000_000, "3 d 0 h"),
        (None, "–"),
    ],
)
def test_durations(us: int | None, text: str) -> None:
    assert f.duration(us) == text


def test_a_share_that_is_not_all_is_never_shown_as_all() -> None:
    assert f.share(86_399, 86_400) == "> 99.99 %"
    assert f.share(8_639, 8_640) == "99.99 %"
    assert f.share(1, 86_400) == "< 0.01 %"
    assert f.share(10, 10) == "100 %"
    assert f.share(0, 10) == "0 %"
    assert f.share(0, 0) == "–"


def test_periods_numbers_names() -> None:
    assert [f.period(ms) for ms in (10_000, 1_800_000, 90_000, 3_600_000, 500, 1_500)] == [
        "10 s",
        "30 min",
        "90 s",
        "1 h",
        "500 ms",
        "1.5 s",
    ]
    assert f.number(-92) == "−92"
    assert f.cluster(0x0702) == "Metering 0x0702"
    assert f.cluster(0xFC00) == "cluster 0xfc00"
    assert f.iso(ORIGIN_US) == "2026-11-18T11:06:40.000Z"


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", "...", "Rig Nord – 1", "x" * 300])
def test_a_rigs_name_makes_a_harmless_file_name(tmp_path: Path, name: str) -> None:
    with Recorder(tmp_path / "lab.db") as recorder:
        emit(healthy(hours=0.01, rig=name), recorder)
    out = tmp_path / "deep" / "reports"
    for path in write_report(tmp_path / "lab.db", 1, out):
        assert path.parent == out
        assert path.exists()
        assert len(path.name) < 120
    assert len(list(out.iterdir())) == 3


def test_only_the_formats_asked_for_are_written_in_their_order(tmp_path: Path) -> None:
    with Recorder(tmp_path / "lab.db") as recorder:
        emit(healthy(hours=0.01), recorder)
    paths = write_report(tmp_path / "lab.db", "virtual", tmp_path / "r", ["json", "html"])
    assert [path.name for path in paths] == ["virtual-run-1.html", "virtual-run-1.json"]
    assert len(list((tmp_path / "r").iterdir())) == 2
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(paths[0].stat().st_mode) == 0o666 & ~umask


def test_what_cannot_be_done_is_said_plainly(tmp_path: Path) -> None:
    with Recorder(tmp_path / "lab.db") as recorder:
        emit(healthy(hours=0.01), recorder)
    with pytest.raises(UsageError, match="no run and no rig") as caught:
        write_report(tmp_path / "lab.db", "virtaul", tmp_path)
    assert caught.value.mend == "Did you mean virtual?"
    with pytest.raises(UsageError, match="pdf"):
        write_report(tmp_path / "lab.db", 1, tmp_path, ["pdf"])
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot be written") as caught:
        write_report(tmp_path / "lab.db", 1, tmp_path / "file")
    assert "--out" in caught.value.mend
    with pytest.raises(DatabaseError, match="no database"):
        write_report(tmp_path / "none.db", 1, tmp_path)


def test_a_rig_stands_for_its_newest_run(tmp_path: Path) -> None:
    with Recorder(tmp_path / "lab.db") as recorder:
        for rig in ("a", "b", "a", "b"):
            emit(healthy(hours=0.01, rig=rig), recorder)
    (path,) = write_report(tmp_path / "lab.db", "a", tmp_path, ["json"])
    assert json.loads(path.read_text())["run"]["id"] == 3
