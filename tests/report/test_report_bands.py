"""What the report says of bands: levels against sensitivity, airtime against limits, and why."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from synthetic_bearers import CHANNEL, MOVED_AT, PAGE, SUB_GHZ, SUSPENDED_AT, dual_band
from synthetic_runs import HOUR, MINUTE, ORIGIN_US, emit, healthy

from labctl import events as ev
from labctl.record.link_quality import RunLinks, links_of
from labctl.record.queries import load_run
from labctl.record.recorder import Recorder
from labctl.record.rows import RunData
from labctl.record.verdict import Limits, assess
from labctl.report import pages
from labctl.report.airtime_charts import airtime_charts
from labctl.report.band_charts import band_charts, margin_levels
from labctl.report.band_pages import bands
from labctl.report.facts import facts as facts_of
from labctl.report.link_charts import link_charts
from labctl.report.scale import linear

HOURS = 14.5


class Made(NamedTuple):
    data: RunData
    quality: RunLinks
    facts: dict[str, Any]
    page: str
    markdown: str


def made(path: Path, *events: ev.Event) -> Made:
    with Recorder(path) as recorder:
        for event in events:
            recorder(event)
        recorder.flush()
        data = load_run(recorder.connection, recorder.run_id or 0)
    assessment = assess(data)
    facts = facts_of(data, assessment, Limits())
    return Made(
        data,
        links_of(data),
        facts,
        pages.html(data, assessment, facts, Limits()).replace("\u00a0", " "),
        pages.markdown(data, facts, Limits()),
    )


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(tmp_path_factory.mktemp("bands") / "lab.db", *dual_band(hours=HOURS).events())


def percent(at_us: int) -> float:
    return 100 * at_us / (HOURS * HOUR)


def test_each_band_has_its_chart_with_its_own_sensitivity(day: Made) -> None:
    first, second = band_charts(day.quality)
    assert (first.band, second.band) == ("2.4 GHz", "868 MHz")
    assert {bar.device for bar in first.bars} - {""} == {"hall-ihd", "kitchen-cad"}
    assert len(second.bars) == 10
    for chart, dbm in ((first, -100), (second, -104)):
        levels = {level.kind: level.at for level in chart.levels}
        assert levels["least"] == chart.x.percent(dbm)
        assert levels["marginal"] == chart.x.percent(dbm + 3)
        assert levels["good"] == chart.x.percent(dbm + 10)
        assert levels["noise"] > 0
        assert chart.noise.startswith("noise floor")


def test_a_bar_reaches_from_the_5th_to_the_95th_percentile(day: Made) -> None:
    chart = band_charts(day.quality)[1]
    (device,) = [d for d in day.quality.devices if d.name == "cellar-cad"]
    heard = device.bearers[0].heard[0]
    bar = next(bar for bar in chart.bars if bar.device == "cellar-cad")
    assert bar.left == chart.x.percent(heard.rssi_p5_dbm or 0)
    assert bar.left + bar.width == pytest.approx(chart.x.percent(heard.rssi_p95_dbm or 0))
    assert bar.median == chart.x.percent(heard.rssi_median_dbm or 0)
    assert bar.margin == "marginal"
    assert next(bar for bar in chart.bars if bar.device == "annexe-cad").margin == "good"


def test_airtime_is_drawn_against_all_three_limits(day: Made) -> None:
    (chart,) = airtime_charts(day.data)
    assert (chart.radio, chart.band) == (SUB_GHZ, "868 MHz")
    assert [level.label for level in chart.levels] == [
        "Limited 54 s",
        "Critical 75 s",
        "regulated limit 100 s",
    ]
    assert [level.at for level in chart.levels] == [chart.y.percent(s) for s in (54, 75, 100)]
    assert all(tick.at <= 100 for tick in chart.y.ticks)
    assert [curve.kind for curve in chart.curves] == ["device"] * 4 + ["firmware", "hub"]
    tops = [100 - float(y) for y in re.findall(r"[LM][\d.]+ ([\d.]+)", chart.curves[-1].line)]
    peak = max(a.peak_us for a in day.data.bearers.airtime) / 1e6
    assert max(tops) == pytest.approx(chart.y.percent(peak), abs=0.01)


def test_the_forecast_says_what_it_said_and_what_came_of_it(day: Made) -> None:
    sentence = "at the read schedule of then the hub reaches Limited in 37 min; it did after 25 min"
    assert sentence in day.page
    assert sentence in day.markdown


@pytest.mark.parametrize("state", [ev.AirtimeState.LIMITED, ev.AirtimeState.CRITICAL])
def test_a_forecast_of_the_newest_sample_is_told_as_such(
    tmp_path: Path, state: ev.AirtimeState
) -> None:
    def sample(minute: int, seconds: int) -> ev.AirtimeSample:
        return ev.AirtimeSample(
            at_us=ORIGIN_US + minute * MINUTE,
            radio="main",
            airtime_us=30_000_000,
            limited_us=54_000_000,
            critical_us=75_000_000,
            regulated_us=100_000_000,
            state=ev.AirtimeState.NORMAL,
            source=ev.AirtimeSource.COMPUTED,
            next_state=state,
            next_state_in_s=seconds,
        )

    story = replace(healthy(hours=0.4), more=(sample(3, 3600), sample(20, 2220)))
    page = made(tmp_path / "lab.db", *story.events()).page
    word = state.value.capitalize()
    assert f"the hub reaches {word} in 1 h; it did not in this run" in page
    assert f"at this read schedule the hub reaches {word} in 37 min." in page


def test_suspension_and_channel_move_stand_on_the_time_line(day: Made) -> None:
    (chart,) = airtime_charts(day.data)
    (silence,) = chart.silences
    assert silence.left == pytest.approx(percent(SUSPENDED_AT), abs=0.01)
    assert silence.width == pytest.approx(percent(5 * MINUTE), abs=0.01)
    (move,) = chart.moves
    assert move.at == pytest.approx(percent(MOVED_AT), abs=0.01)
    assert "868.45 MHz (page 28, channel 26) to 865.45 MHz (page 28, channel 11)" in move.label
    devices = {device.name: device for device in day.data.devices}

    def plot(name: str) -> Any:
        (drawn,) = link_charts(day.data, devices[name], day.quality)
        return drawn.rssi_time

    assert plot("cellar-cad").silences == (silence,)
    assert plot("garage-cad").silences == ()
    assert plot("garage-cad").moves == (move,)
    assert plot("hall-ihd").moves == ()  # it is on the other bearer
    assert day.page.count('class="silence"') == 3  # airtime, and RSSI and LQI of the one device


def test_the_rssi_of_a_device_is_drawn_with_sensitivity_and_margin(day: Made) -> None:
    (device,) = [d for d in day.data.devices if d.name == "cellar-cad"]
    (chart,) = link_charts(day.data, device, day.quality)
    assert chart.title == f"868.45 MHz (page {PAGE}, channel {CHANNEL}), radio {SUB_GHZ}"
    plot = chart.rssi_time
    assert plot is not None
    (floor_dbm,) = [n.floor_dbm for n in day.data.bearers.noise if n.channel == CHANNEL]
    assert {level.kind: level.at for level in plot.levels} == {
        "least": plot.y.percent(-104),
        "marginal": plot.y.percent(-101),
        "good": plot.y.percent(-94),
        "noise": plot.y.percent(floor_dbm),
    }
    assert {each.source for each in chart.reported} == {
        "diagnostics",
        "link-power",
        "mgmt-lqi",
        "neighbour",
    }


def test_the_band_of_each_device_is_told_with_the_reason(day: Made) -> None:
    found = {choice.device: choice for choice in bands(day.data, day.quality).choices}
    assert len(found) == 7
    cellar = found["cellar-cad"]
    assert (cellar.used, cellar.could) == ("868 MHz", "868 MHz")
    assert "two stone walls stand between" in cellar.why
    assert found["hall-ihd"].could == "2.4 GHz, 868 MHz"
    for text in (day.page, day.markdown):
        assert "it scanned 2.4 GHz first and heard no beacon: two stone walls stand between" in text


def test_a_choice_that_is_told_again_is_listed_once(tmp_path: Path) -> None:
    story = healthy(hours=0.2)
    use = ev.BandUse(
        at_us=ORIGIN_US + MINUTE,
        eui64=story.actors[0].eui64,
        used=ev.Band.GHZ_2_4,
        could=(ev.Band.GHZ_2_4,),
        why="it has no other",
    )
    later = replace(use, at_us=use.at_us + MINUTE)
    other = replace(later, at_us=later.at_us + MINUTE, used=ev.Band.MHZ_868, why="walls")
    run = made(tmp_path / "lab.db", *replace(story, more=(use, later, other)).events())
    told = [(c.device, c.used, c.why) for c in bands(run.data, run.quality).choices]
    assert told == [
        ("kitchen-cad", "2.4 GHz", "it has no other"),
        ("kitchen-cad", "868 MHz", "walls"),
        ("hall-ihd", "2.4 GHz", ""),  # of which nothing was told: what it was heard on
    ]


def test_what_happened_on_the_bearers_is_listed_once_and_in_order(day: Made) -> None:
    happened = bands(day.data, day.quality).happenings
    assert [each.what for each in happened] == [
        "over capacity",
        "the hub's airtime is limited, it was normal",
        "suspended for 5 min",
        "the hub's airtime is normal, it was limited",
        "moved from 868.45 MHz (page 28, channel 26) to 865.45 MHz (page 28, channel 11)",
    ]
    assert [each.at_us for each in happened] == sorted(each.at_us for each in happened)
    warnings = day.page.split("Warnings and errors")
    assert len(warnings) == 1, "what the section tells is not told again among the warnings"


def test_the_facts_hold_what_the_page_shows(day: Made) -> None:
    found = day.facts["bearers"]
    assert len(found["links"]["devices"]) == 7
    assert {a["source"] for a in found["airtime"]} == {"computed", "firmware"}
    assert found["suspensions"][0]["minutes"] == 5
    assert found["channel_moves"][0]["to_channel"] == 11
    assert found["over_capacity"][0]["links"] == 5
    assert len(found["band_choices"]) == 7
    assert {noise["channel"] for noise in found["noise"]} == {15, CHANNEL, 11}


def test_what_others_supply_is_shown_as_text(tmp_path: Path) -> None:
    nasty = '<script>alert(1)</script> | `x` "quoted"'
    story = healthy(hours=0.2)
    eui64 = story.actors[0].eui64
    at_us = ORIGIN_US + MINUTE
    more = (
        ev.BandUse(at_us=at_us, eui64=eui64, used=ev.Band.GHZ_2_4, could=(), why=nasty),
        ev.Suspended(at_us=at_us, eui64=eui64, radio=nasty, minutes=1, cause=nasty),
        ev.ChannelMoved(
            at_us=at_us,
            radio="main",
            from_page=0,
            from_channel=15,
            to_page=0,
            to_channel=20,
            cause=nasty,
        ),
    )
    run = made(tmp_path / "lab.db", *replace(story, more=more).events())
    assert "<script>" not in run.page
    assert "&lt;script&gt;" in run.page
    assert "<script>" not in run.markdown
    assert r"\`x\`" in run.markdown


def test_a_run_without_bearers_events_says_no_more_than_it_knows(tmp_path: Path) -> None:
    with Recorder(tmp_path / "lab.db") as recorder:
        emit(healthy(hours=0.2), recorder)
        recorder.flush()
        data = load_run(recorder.connection, 1)
    found = bands(data, links_of(data))
    assert len(found.charts) == 1
    assert (found.choices, found.airtime, found.airtime_rows, found.happenings) == ([], [], [], [])
    assert margin_levels(-100, linear(-110, -50), None)[-1].kind == "good"


def test_the_legend_of_airtime_names_each_kind_of_curve_once(day: Made) -> None:
    assert day.page.count("devices, the busiest:") == 1
