"""Bearers in the record: each event lands in its row, counts agree with samples, queries tell."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database
from synthetic_bearers import CHANNEL, PAGE, SUB_GHZ, SUSPENDED_AT, dual_band
from synthetic_runs import HOUR, MINUTE, ORIGIN_US, SECOND, Story, emit, healthy, troubled

from labctl import events as ev
from labctl.record import schema
from labctl.record.band_quality import by_band_of, rssi_by_band
from labctl.record.compliance import GapCause
from labctl.record.database import open_for_writing
from labctl.record.link_quality import FRAMES, RunLinks, links_of, load_links
from labctl.record.links import link_totals, links
from labctl.record.queries import find_run, load_run
from labctl.record.recorder import Recorder
from labctl.record.rows import RunData
from labctl.record.sensitivity import margin_word, sensitivity
from labctl.record.verdict import Certainty, Finding, assess

DEVICE = "00:0d:6f:00:0a:90:00:02"


def start(at_us: int = ORIGIN_US) -> ev.RunStarted:
    return ev.RunStarted(
        at_us=at_us,
        rig="r",
        kind="bench",
        simulated=True,
        labctl_version="0",
        host="h",
        config_sha256="0",
    )


def radio(name: str, band: ev.Band, firmware: str = "7.4", at_us: int = ORIGIN_US) -> ev.RadioUp:
    return ev.RadioUp(
        at_us=at_us,
        name=name,
        driver="ezsp",
        band=band,
        path="p",
        eui64="00:0d:6f:00:0a:90:00:01",
        page=0 if band is ev.Band.GHZ_2_4 else PAGE,
        channel=15 if band is ev.Band.GHZ_2_4 else CHANNEL,
        pan_id=1,
        extended_pan_id="00:0d:6f:00:0a:90:00:01",
        resumed=False,
        firmware=firmware,
    )


def sample(at_us: int, rssi: int | None, *, on: str = "main", lqi: int = 200) -> ev.LinkSample:
    return ev.LinkSample(
        at_us=ORIGIN_US + at_us,
        eui64=DEVICE,
        radio=on,
        direction=ev.Direction.TO_HUB,
        page=0 if on == "main" else PAGE,
        channel=15 if on == "main" else CHANNEL,
        lqi=lqi,
        rssi_dbm=rssi,
    )


def read(at_us: int, schedule: str | None = "electricity", status: int | None = 0) -> ev.ReadServed:
    return ev.ReadServed(
        at_us=ORIGIN_US + at_us,
        eui64=DEVICE,
        initiator="device",
        endpoint=2,
        cluster_id=0x0702,
        attributes=(0x0400,),
        command_id=None,
        status=status,
        latency_us=5,
        aps_encrypted=True,
        schedule=schedule,
    )


SCHEDULE = ev.ReadScheduleDeclared(
    at_us=ORIGIN_US,
    eui64=DEVICE,
    name="electricity",
    cluster_id=0x0702,
    attributes=(0x0400,),
    period_ms=10_000,
    tolerance_ms=2_000,
)
BOTH = (radio("main", ev.Band.GHZ_2_4), radio(SUB_GHZ, ev.Band.MHZ_868))


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    with Recorder(tmp_path / "lab.db") as made:
        yield made


def tell(recorder: Recorder, *events: ev.Event) -> sqlite3.Connection:
    for event in events:
        recorder(event)
    recorder.flush()
    return recorder.connection


def one(db: sqlite3.Connection, sql: str) -> dict[str, Any]:
    cursor = db.execute(sql)
    names = [column[0] for column in cursor.description]
    (row,) = cursor.fetchall()
    return dict(zip(names, row, strict=True))


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """The synthetic day of a dual-band hub, cut to what its happenings need."""
    with Recorder(tmp_path_factory.mktemp("day") / "lab.db") as recorder:
        emit(dual_band(hours=14.5), recorder)
        recorder.flush()
        yield recorder.connection


@pytest.fixture(scope="module")
def data(day: sqlite3.Connection) -> RunData:
    return load_run(day, 1)


@pytest.fixture(scope="module")
def quality(day: sqlite3.Connection) -> RunLinks:
    return load_links(day, find_run(day, 1))


# -- rows -----------------------------------------------------------------------------------------


def test_every_kind_of_event_is_known_to_the_recorder(recorder: Recorder) -> None:
    kinds = [
        kind
        for kind in vars(ev).values()
        if isinstance(kind, type) and issubclass(kind, ev.Event) and kind is not ev.Event
    ]
    assert len(kinds) >= 25
    assert set(kinds) == set(recorder._writer._handlers)


def test_a_radio_with_two_bands_is_two_rows_and_samples_find_theirs(recorder: Recorder) -> None:
    db = tell(recorder, start(), *BOTH, sample(1, -60), sample(2, -90, on=SUB_GHZ))
    found = db.execute(
        "SELECT q.name, q.band, s.page, s.rssi_dbm FROM link_samples s"
        " JOIN radios q ON q.id = s.radio_id ORDER BY s.id"
    ).fetchall()
    assert found == [("main", "2.4 GHz", 0, -60), (SUB_GHZ, "868 MHz", PAGE, -90)]


def test_a_read_belongs_to_the_radio_that_the_device_was_last_heard_on(recorder: Recorder) -> None:
    db = tell(recorder, start(), *BOTH, read(0))
    tell(recorder, sample(1, -60), read(2), sample(3, -90, on=SUB_GHZ), read(4))
    names = db.execute(
        "SELECT q.name FROM reads r LEFT JOIN radios q ON q.id = r.radio_id ORDER BY r.id"
    ).fetchall()
    assert names == [(None,), ("main",), (SUB_GHZ,)]


def test_an_airtime_sample_of_the_hub_has_no_device(recorder: Recorder) -> None:
    event = ev.AirtimeSample(
        at_us=ORIGIN_US + 5,
        radio=SUB_GHZ,
        airtime_us=40_000_000,
        limited_us=54_000_000,
        critical_us=75_000_000,
        regulated_us=100_000_000,
        state=ev.AirtimeState.NORMAL,
        source=ev.AirtimeSource.COMPUTED,
        next_state=ev.AirtimeState.LIMITED,
        next_state_in_s=2220,
    )
    db = tell(recorder, start(), *BOTH, event)
    row = one(db, "SELECT * FROM airtime_samples")
    assert row == {
        "id": 1,
        "run_id": 1,
        "radio_id": 2,
        "device_id": None,
        "at_us": ORIGIN_US + 5,
        "airtime_us": 40_000_000,
        "limited_us": 54_000_000,
        "critical_us": 75_000_000,
        "regulated_us": 100_000_000,
        "state": "normal",
        "source": "computed",
        "next_state": "limited",
        "next_state_in_s": 2220,
    }
    tell(recorder, replace(event, eui64=DEVICE))
    assert db.execute("SELECT device_id FROM airtime_samples WHERE id = 2").fetchone() == (1,)


def test_what_a_device_reports_lands_with_what_is_not_told_left_open(recorder: Recorder) -> None:
    report = ev.LinkReport(
        at_us=9,
        eui64=DEVICE,
        radio="main",
        source=ev.LinkSource.LINK_POWER,
        rssi_dbm=-88,
        power_delta_db=9,
    )
    noise = ev.NoiseSample(at_us=9, radio="main", page=0, channel=15, level_dbm=-93)
    told = ev.Deliveries(at_us=9, eui64=DEVICE, radio="main", attempts=7, delivered=6)
    db = tell(recorder, start(), *BOTH, report, noise, told)
    row = one(db, "SELECT * FROM link_reports")
    assert (row["source"], row["rssi_dbm"], row["power_delta_db"]) == ("link-power", -88, 9)
    assert (row["lqi"], row["in_cost"], row["out_cost"], row["mac_retries"]) == (None,) * 4
    assert one(db, "SELECT radio_id, page, channel, level_dbm FROM noise_samples") == {
        "radio_id": 1,
        "page": 0,
        "channel": 15,
        "level_dbm": -93,
    }
    assert one(db, "SELECT attempts, delivered, retries FROM deliveries") == {
        "attempts": 7,
        "delivered": 6,
        "retries": None,
    }


@pytest.mark.parametrize(
    ("event", "kind", "severity", "detail"),
    [
        (
            ev.DutyCycleChanged(at_us=9, radio="m", state=ev.AirtimeState.LIMITED),
            "duty-cycle-changed",
            "warning",
            {"radio": "m", "state": "limited"},
        ),
        (
            ev.DutyCycleChanged(
                at_us=9,
                radio="m",
                state=ev.AirtimeState.SUSPENDED,
                before=ev.AirtimeState.CRITICAL,
                airtime_us=3,
            ),
            "duty-cycle-changed",
            "error",
            {"radio": "m", "state": "suspended", "before": "critical", "airtime_us": 3},
        ),
        (
            ev.Suspended(at_us=9, eui64=DEVICE, radio="m", minutes=5, cause="c"),
            "suspended",
            "warning",
            {"radio": "m", "minutes": 5, "cause": "c"},
        ),
        (ev.Resumed(at_us=9, eui64=DEVICE, radio="m"), "resumed", "info", {"radio": "m"}),
        (
            ev.BandUse(
                at_us=9,
                eui64=DEVICE,
                used=ev.Band.MHZ_868,
                could=(ev.Band.GHZ_2_4, ev.Band.MHZ_868),
                why="w",
            ),
            "band-used",
            "info",
            {"used": "868 MHz", "could": ["2.4 GHz", "868 MHz"], "why": "w"},
        ),
        (
            ev.CapacityExceeded(at_us=9, eui64=DEVICE, radio="m", links=5, limit=4),
            "capacity-exceeded",
            "warning",
            {"radio": "m", "links": 5, "limit": 4},
        ),
    ],
)
def test_what_happens_on_a_bearer_is_an_event(
    recorder: Recorder, event: ev.Event, kind: str, severity: str, detail: dict[str, object]
) -> None:
    db = tell(recorder, start(), event)
    row = one(db, "SELECT * FROM events")
    assert (row["kind"], row["severity"], json.loads(row["detail"])) == (kind, severity, detail)
    assert (row["device_id"] is not None) == hasattr(event, "eui64")


# -- counts ---------------------------------------------------------------------------------------

_FROM_SAMPLES = """
SELECT run_id, device_id, radio_id, direction, page, channel, {0}, count(*)
FROM link_samples WHERE {0} IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7
"""
_FROM_COUNTS = """
SELECT l.run_id, l.device_id, l.radio_id, l.direction, l.page, l.channel, c.{0}, c.samples
FROM links AS l JOIN link_{1}_counts AS c ON c.link_id = l.id ORDER BY 1, 2, 3, 4, 5, 6, 7
"""


def assert_counts_agree(db: sqlite3.Connection) -> int:
    """The number of counts, all of them held against the samples."""
    found = 0
    for quantity, column in (("rssi", "rssi_dbm"), ("lqi", "lqi")):
        counts = db.execute(_FROM_COUNTS.format(column, quantity)).fetchall()
        assert counts == db.execute(_FROM_SAMPLES.format(column)).fetchall()
        found += len(counts)
    return found


def test_counts_say_the_same_as_the_samples(recorder: Recorder) -> None:
    emit(dual_band(hours=0.5), recorder)
    emit(troubled(hours=6), recorder)  # a radio that is lost and comes back
    emit(healthy(hours=0.2), recorder)
    recorder.flush()
    assert assert_counts_agree(recorder.connection) > 400


def test_counts_of_samples_without_a_radio_or_a_level(recorder: Recorder) -> None:
    db = tell(recorder, start(), sample(1, None), sample(2, None), sample(3, -60))
    tell(recorder, *BOTH, sample(4, -60), sample(5, -61))
    assert_counts_agree(db)
    assert db.execute("SELECT count(*) FROM links").fetchone() == (2,)
    rows = db.execute("SELECT sum(samples) FROM link_rssi_counts").fetchone()
    assert rows == (3,)


def test_a_batch_that_is_rolled_back_counts_nothing(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = tell(recorder, start(), *BOTH, sample(1, -60))
    link = recorder._writer._handlers[ev.ReadServed]

    def fail(_event: ev.Event) -> None:
        raise sqlite3.OperationalError("no")

    monkeypatch.setitem(recorder._writer._handlers, ev.ReadServed, fail)
    recorder(sample(2, -60))
    recorder(sample(3, -70, on=SUB_GHZ))
    recorder(read(4))
    with pytest.raises(Exception, match="no"):
        recorder.flush()
    monkeypatch.setitem(recorder._writer._handlers, ev.ReadServed, link)
    assert db.execute("SELECT count(*) FROM link_samples").fetchone() == (1,)
    assert_counts_agree(db)
    recorder.flush()  # what waited is written once the cause is gone
    assert db.execute("SELECT count(*) FROM link_samples").fetchone() == (3,)
    assert_counts_agree(db)


def test_a_database_of_before_bearers_is_counted_by_its_migration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.db"
    with monkeypatch.context() as older:
        older.setattr(schema.migrations, "_migrations", schema.migrations._migrations[:1])
        old = open_for_writing(path)
    with Recorder(tmp_path / "new.db") as recorder:
        emit(replace(troubled(hours=6), seed=4), recorder)
        emit(replace(healthy(hours=0.3), radio_comes_up=False), recorder)
    old.execute("PRAGMA foreign_keys = OFF")
    old.execute("ATTACH ? AS new", (str(tmp_path / "new.db"),))
    for table in ("runs", "radios", "devices", "link_samples", "events"):
        names = ", ".join(row[1] for row in old.execute(f"PRAGMA main.table_info({table})"))
        old.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM new.{table}")
    old.close()
    migrated = open_for_writing(path)
    assert [m.name for m in schema.migrations.applied(Database(migrated))][
        -1
    ] == schema.known_migrations()[-1]
    assert assert_counts_agree(migrated) > 100
    assert migrated.execute("SELECT count(*) FROM links WHERE radio_id IS NULL").fetchone() != (0,)
    run = find_run(migrated, 1)
    assert links(migrated, 1, run.started_us, run.ended_us or 0)
    with_row = migrated.execute("PRAGMA foreign_key_check").fetchall()
    assert with_row == []
    migrated.close()


def test_percentiles_by_band_are_those_of_the_samples(day: sqlite3.Connection) -> None:
    found = {(each.band, each.direction): each for each in rssi_by_band(day, run_id=1)}
    assert len(found) == 4
    for (band, direction), each in found.items():
        values = [
            rssi
            for (rssi,) in day.execute(
                "SELECT rssi_dbm FROM link_samples WHERE (page = 0) = ? AND direction = ?"
                " ORDER BY rssi_dbm",
                (band is ev.Band.GHZ_2_4, direction),
            )
        ]
        ranked = [values[-(-len(values) * percent // 100) - 1] for percent in (5, 50, 95)]
        assert [each.rssi_p5_dbm, each.rssi_median_dbm, each.rssi_p95_dbm] == ranked
        assert each.samples == len(values)
    assert rssi_by_band(day) == rssi_by_band(day, run_id=1) == rssi_by_band(day, rig="dual-band")
    assert by_band_of(link_totals(day, 1)) == rssi_by_band(day, run_id=1)
    assert rssi_by_band(day, rig="other") == ()


def test_the_view_by_band_says_the_same_as_the_query(day: sqlite3.Connection) -> None:
    rows = day.execute(
        "SELECT device, band, direction, samples, rssi_p5_dbm, rssi_median_dbm, rssi_p95_dbm"
        " FROM v_link_by_band WHERE run_id = 1"
    ).fetchall()
    assert len(rows) == 14
    by_device = {(row[0], row[2]): row for row in rows}
    for device in load_links(day, find_run(day, 1)).devices:
        for bearer in device.bearers:
            for heard in bearer.heard:
                if heard.source == FRAMES:
                    assert by_device[device.name, heard.direction][1:] == (
                        bearer.band,
                        heard.direction,
                        heard.samples,
                        heard.rssi_p5_dbm,
                        heard.rssi_median_dbm,
                        heard.rssi_p95_dbm,
                    )


def test_the_view_of_peaks_says_who_was_on_the_air_most(
    day: sqlite3.Connection, data: RunData
) -> None:
    rows = day.execute(
        "SELECT device_id, source, samples, peak_us FROM v_airtime_peaks WHERE run_id = 1"
    ).fetchall()
    assert sorted(rows, key=str) == sorted(
        ((a.device_id, a.source, a.samples, a.peak_us) for a in data.bearers.airtime), key=str
    )


# -- links ----------------------------------------------------------------------------------------


def test_quick_totals_are_those_of_the_series(day: sqlite3.Connection) -> None:
    run = find_run(day, 1)
    slow = links(day, 1, run.started_us, run.ended_us or 0)
    assert link_totals(day, 1) == tuple(replace(link, buckets=(), bucket_us=0) for link in slow)


def test_both_ways_to_load_the_links_of_a_run_agree(quality: RunLinks, data: RunData) -> None:
    assert links_of(data) == quality


def test_a_link_has_its_margin_noise_delivery_and_airtime(quality: RunLinks) -> None:
    (cellar,) = [device for device in quality.devices if device.name == "cellar-cad"]
    (bearer,) = cellar.bearers
    assert (bearer.radio, bearer.band, bearer.page, bearer.channel) == (
        SUB_GHZ,
        "868 MHz",
        PAGE,
        CHANNEL,
    )
    heard = bearer.heard[0]
    assert (heard.direction, heard.source, heard.sensitivity_dbm) == ("to-hub", FRAMES, -104)
    assert heard.rssi_p10_dbm is not None
    assert heard.margin_db == heard.rssi_p10_dbm + 104
    assert heard.lqi_scale == f"{SUB_GHZ} 7.4.1.0"
    sources = {each.source: each for each in bearer.heard}
    assert set(sources) == {FRAMES, "mgmt-lqi", "diagnostics", "link-power", "neighbour"}
    assert sources["neighbour"].out_cost == 5
    assert sources["mgmt-lqi"].rssi_median_dbm is None
    assert sources["mgmt-lqi"].lqi_scale == cellar.eui64 != heard.lqi_scale
    assert bearer.airtime is not None
    assert bearer.airtime.limited_us == 54_000_000
    to_hub, from_hub = bearer.deliveries
    assert (to_hub.direction, to_hub.basis) == ("to-hub", "reads")
    assert (from_hub.direction, from_hub.basis) == ("from-hub", "acknowledgements")
    assert from_hub.attempts == 30 * 173
    assert cellar.band is not None
    assert "two stone walls" in cellar.band.why


def test_the_hub_is_where_it_moved_to_and_hears_the_noise_there(quality: RunLinks) -> None:
    by_name = {each.radio: each for each in quality.radios}
    moved = by_name[SUB_GHZ]
    assert (moved.page, moved.channel) == (PAGE, 11)
    assert moved.noise is not None
    assert (moved.noise.channel, moved.noise.scans) == (11, 5)
    assert [airtime.source for airtime in moved.airtime] == ["computed", "firmware"]
    assert by_name["main"].airtime == ()


def test_lqi_of_another_firmware_is_another_link(recorder: Recorder) -> None:
    db = tell(recorder, start(), radio("main", ev.Band.GHZ_2_4, "7.4"), sample(1, -60, lqi=255))
    tell(recorder, radio("main", ev.Band.GHZ_2_4, "7.4"), sample(2, -60, lqi=250))
    tell(recorder, radio("main", ev.Band.GHZ_2_4, "8.0"), sample(3, -60, lqi=90))
    found = {link.firmware: link.lqi_counts for link in link_totals(db, 1)}
    assert found == {"7.4": {255: 1, 250: 1}, "8.0": {90: 1}}


# -- deliveries -----------------------------------------------------------------------------------


def delivered(recorder: Recorder, direction: str) -> dict[str, tuple[int, int]]:
    recorder.flush()
    db = recorder.connection
    return {
        each.radio: (each.delivered, each.attempts)
        for each in load_run(db, 1).bearers.deliveries
        if each.direction == direction
    }


def test_a_read_that_did_not_come_counts_for_the_bearer_it_was_due_on(recorder: Recorder) -> None:
    tell(recorder, start(), *BOTH, SCHEDULE)
    for n in range(6):  # two are lost on 2.4 GHz
        if n not in (2, 3):
            tell(recorder, sample(n * 10 * SECOND, -90), read(n * 10 * SECOND))
    for n in range(6, 10):  # one is lost on 868 MHz
        if n != 8:
            tell(recorder, sample(n * 10 * SECOND, -80, on=SUB_GHZ), read(n * 10 * SECOND))
    tell(recorder, ev.RunEnded(at_us=ORIGIN_US + 95 * SECOND, verdict=ev.Verdict.PASS))
    assert delivered(recorder, "to-hub") == {"main": (4, 6), SUB_GHZ: (3, 4)}


def test_reads_due_during_an_outage_or_a_suspension_are_nobodys_loss(recorder: Recorder) -> None:
    tell(recorder, start(), *BOTH, SCHEDULE)
    for n in range(3):
        tell(recorder, sample(n * 10 * SECOND, -90), read(n * 10 * SECOND))
    at = ORIGIN_US + 21 * SECOND
    tell(recorder, ev.Suspended(at_us=at, eui64=DEVICE, radio="main", minutes=1, cause="c"))
    for n in range(9, 12):
        tell(recorder, sample(n * 10 * SECOND, -90), read(n * 10 * SECOND))
    tell(recorder, ev.RunEnded(at_us=ORIGIN_US + 115 * SECOND, verdict=ev.Verdict.PASS))
    assert delivered(recorder, "to-hub") == {"main": (6, 6)}


def test_answers_stand_in_where_the_hub_did_not_count_its_unicasts(recorder: Recorder) -> None:
    tell(recorder, start(), *BOTH)
    for n in range(10):
        tell(recorder, sample(n * SECOND, -90, on=SUB_GHZ), read(n * SECOND, None))
    tell(recorder, read(10 * SECOND, None, status=None))
    lost = ev.Note(at_us=ORIGIN_US + 5 * SECOND, kind="answer-not-delivered", eui64=DEVICE)
    tell(recorder, lost)
    assert delivered(recorder, "from-hub") == {SUB_GHZ: (9, 10)}
    counted = ev.Deliveries(at_us=9, eui64=DEVICE, radio=SUB_GHZ, attempts=20, delivered=19)
    tell(recorder, counted, counted)
    assert delivered(recorder, "from-hub") == {SUB_GHZ: (38, 40)}


# -- airtime, suspensions, moves ------------------------------------------------------------------


def test_airtime_tells_its_peak_its_worst_state_and_what_was_forecast(data: RunData) -> None:
    hub = next(a for a in data.bearers.airtime if a.device_id is None and a.source == "computed")
    assert (hub.radio, hub.worst_state, hub.state) == (SUB_GHZ, "limited", "normal")
    assert 54_000_000 < hub.peak_us < 75_000_000
    assert max(point.airtime_us for point in hub.points) == hub.peak_us
    assert len(hub.points) <= 150
    (forecast,) = hub.first_forecasts
    assert (forecast.state, forecast.in_s) == ("limited", 37 * 60)
    assert hub.forecast is None


def test_reads_that_were_due_while_suspended_do_not_count_against_a_device(data: RunData) -> None:
    (suspension,) = data.bearers.suspensions
    assert suspension.start_us == ORIGIN_US + SUSPENDED_AT
    assert (suspension.end_us - suspension.start_us, suspension.minutes) == (5 * MINUTE, 5)
    (schedule,) = [s for s in data.schedules if s.device_id == suspension.device_id]
    (gap,) = [gap for gap in schedule.result.gaps if gap.cause is GapCause.SUSPENDED]
    assert gap.missed == gap.excused >= 29
    assert "it talks most" in gap.detail
    assert schedule.result.missed - schedule.result.missed_counting == gap.missed


def test_a_suspension_ends_at_its_time_or_when_told_so_or_by_the_next(recorder: Recorder) -> None:
    def suspended(at_us: int, minutes: int) -> ev.Suspended:
        return ev.Suspended(
            at_us=ORIGIN_US + at_us, eui64=DEVICE, radio="main", minutes=minutes, cause="c"
        )

    db = tell(
        recorder,
        start(),
        *BOTH,
        suspended(0, 5),
        suspended(3 * MINUTE, 5),
        ev.Resumed(at_us=ORIGIN_US + 4 * MINUTE, eui64=DEVICE, radio="main", cause="told"),
        suspended(20 * MINUTE, 5),
        ev.Resumed(at_us=ORIGIN_US + HOUR, eui64=DEVICE, radio="main"),
        suspended(2 * HOUR, 5),
    )
    found = [
        ((s.start_us - ORIGIN_US) // MINUTE, (s.end_us - ORIGIN_US) // MINUTE, s.resumed)
        for s in load_run(db, 1).bearers.suspensions
    ]
    assert found == [
        (0, 3, "suspended again"),
        (3, 4, "told"),
        (20, 25, ""),
        (120, 125, ""),
    ]
    still = load_links(db, find_run(db, 1), until_us=ORIGIN_US + 2 * HOUR + MINUTE)
    assert still.devices == ()  # nothing was heard of it
    tell(recorder, sample(2 * HOUR, -60))
    (device,) = load_links(db, find_run(db, 1), until_us=ORIGIN_US + 2 * HOUR + MINUTE).devices
    assert device.suspended is not None
    (device,) = load_links(db, find_run(db, 1), until_us=ORIGIN_US + 3 * HOUR).devices
    assert device.suspended is None


# -- verdict --------------------------------------------------------------------------------------


def findings(story: Story, tmp_path: Path) -> tuple[list[Finding], dict[str, list[Finding]]]:
    with Recorder(tmp_path / "lab.db") as recorder:
        emit(story, recorder)
        recorder.flush()
        assessed = assess(load_run(recorder.connection, 1))
    return list(assessed.rig), {d.label: list(d.findings) for d in assessed.devices}


def with_airtime(us: int, eui64: str | None = None) -> Story:
    event = ev.AirtimeSample(
        at_us=ORIGIN_US + 10 * MINUTE,
        radio="main",
        eui64=eui64,
        airtime_us=us,
        limited_us=54_000_000,
        critical_us=75_000_000,
        regulated_us=100_000_000,
        state=ev.AirtimeState.NORMAL,
        source=ev.AirtimeSource.COMPUTED,
    )
    firmware = replace(event, source=ev.AirtimeSource.FIRMWARE, airtime_us=us - 1_000_000)
    return replace(healthy(hours=0.5), more=(event, firmware))


@pytest.mark.parametrize(
    ("airtime_s", "verdict", "word"),
    [
        (53, None, ""),
        (54, ev.Verdict.PASS, "Limited"),
        (75, ev.Verdict.PASS, "Critical"),
        (100, ev.Verdict.PASS, "Critical"),
        (101, ev.Verdict.INFRASTRUCTURE_ERROR, "more than the 100 s"),
    ],
)
def test_the_hubs_airtime_is_the_rigs(
    tmp_path: Path, airtime_s: int, verdict: ev.Verdict | None, word: str
) -> None:
    rig, _ = findings(with_airtime(airtime_s * 1_000_000), tmp_path)
    assert [finding.verdict for finding in rig] == ([verdict] if verdict else [])
    assert all(word in finding.text for finding in rig)


def test_a_device_over_the_regulated_limit_fails(tmp_path: Path) -> None:
    device = healthy().actors[0].eui64
    rig, devices = findings(with_airtime(102_000_000, device), tmp_path)
    assert not rig
    first = devices["kitchen-cad"][0]
    assert (first.verdict, first.certainty) == (ev.Verdict.FAIL, Certainty.SURE)
    assert "regulation allows 100 s" in first.text
    assert len([f for f in devices["kitchen-cad"] if f.verdict is ev.Verdict.FAIL]) == 1
    assert all(finding.verdict is not ev.Verdict.FAIL for finding in devices["hall-ihd"])


# -- sensitivity ----------------------------------------------------------------------------------


def test_sensitivity_is_the_models_where_it_is_known() -> None:
    assert sensitivity("2.4 GHz", "Sonoff ZBDongle-E (EFR32MG21)").dbm == -104
    assert sensitivity("2.4 GHz", "CC2652P").basis == "stated for CC2652"
    assert sensitivity("2.4 GHz").dbm == -100
    # What a maker states of 2.4 GHz says nothing of the other band.
    assert sensitivity("868 MHz", "EFR32MG21").dbm == -104
    assert "not known" in sensitivity("868 MHz", "EFR32MG21").basis
    assert [margin_word(db) for db in (10, 9, 3, 2, -1)] == [
        "good",
        "marginal",
        "marginal",
        "bad",
        "bad",
    ]
