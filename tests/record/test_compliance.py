"""Schedules against reads: with a slow and obvious count, and with the view in SQL."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_runs import (
    ELECTRICITY,
    HOUR,
    MINUTE,
    ORIGIN_US,
    SECOND,
    Actor,
    Story,
    crowd,
    emit,
    healthy,
    troubled,
)

from labctl import events as ev
from labctl.record.circumstances import infrastructure
from labctl.record.compliance import (
    RECOVERY_US,
    SETTLING_US,
    Circumstances,
    Gap,
    GapCause,
    Interval,
    compliance,
)
from labctl.record.queries import load_run
from labctl.record.recorder import Recorder
from labctl.record.rows import EventRow, RunData


def recorded(tmp_path: Path, *stories: Story) -> tuple[sqlite3.Connection, list[RunData]]:
    recorder = Recorder(tmp_path / "lab.db")
    found = []
    for story in stories:
        emit(story, recorder)
        recorder.flush()
        assert recorder.run_id is not None
        found.append(load_run(recorder.connection, recorder.run_id))
    recorder.close()
    return sqlite3.connect(tmp_path / "lab.db"), found


@given(
    steps=st.lists(st.integers(0, 45_000), max_size=40),
    period_ms=st.integers(1_000, 20_000),
    tolerance_ms=st.integers(0, 5_000),
    tail_ms=st.integers(0, 60_000),
    reference_ms=st.one_of(st.none(), st.integers(-3_000_000, 0)),
)
def test_counts_agree_with_a_slow_and_obvious_way(
    steps: list[int], period_ms: int, tolerance_ms: int, tail_ms: int, reference_ms: int | None
) -> None:
    first_ms = 5_000_000
    times = [first_ms]
    for step in steps:
        times.append(times[-1] + step)
    end_ms = times[-1] + tail_ms
    reference = None if reference_ms is None else first_ms + reference_ms
    result = compliance(
        [t * 1000 for t in times],
        period_ms=period_ms,
        tolerance_ms=tolerance_ms,
        reference_us=None if reference is None else reference * 1000,
        end_us=end_ms * 1000,
    )
    late_start = (
        reference is not None and first_ms > reference + period_ms + tolerance_ms + 20 * 60_000
    )
    begin = reference if late_start and reference is not None else first_ms
    due = list(range(begin, end_ms + 1, period_ms))
    assert result.expected == len(due) - late_start
    assert result.observed == len(times)
    assert result.early == sum(step < period_ms - tolerance_ms for step in steps)
    assert result.late == sum(step > period_ms + tolerance_ms for step in steps)
    if steps:
        ordered = sorted(steps)
        assert result.p50_ms == ordered[(len(steps) + 1) // 2 - 1]
        assert result.p95_ms == ordered[-(-len(steps) * 95 // 100) - 1]
    silences = [*steps, tail_ms, *([first_ms - begin] if late_start else [])]
    assert result.longest_gap_ms == max(silences)
    missed = 0
    for (
        step
    ) in steps:  # each further read that would have come nearer to its own time than the next
        missed += sum(k * period_ms + period_ms - period_ms // 2 <= step for k in range(1, 200))
    missed += sum(k * period_ms + tolerance_ms <= tail_ms for k in range(1, 200))
    if late_start:
        missed += sum(k * period_ms <= first_ms - begin for k in range(1, 10_000))
    assert result.missed == missed == sum(gap.missed for gap in result.gaps)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    loss=st.floats(0, 0.4),
    jitter_ms=st.floats(0, 4_000),
    paired=st.booleans(),
    silent=st.booleans(),
    cut=st.booleans(),
)
def test_the_view_says_the_same_as_the_function(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    loss: float,
    jitter_ms: float,
    paired: bool,
    silent: bool,
    cut: bool,
) -> None:
    quiet = ((0, 50 * MINUTE),) if silent else ()
    story = Story(
        actors=[Actor(2, "a", loss=loss, jitter_ms=jitter_ms, came_paired=paired, silent=quiet)],
        hours=1.5,
        seed=seed,
        verdict=None if cut else ev.Verdict.PASS,
    )
    assert_view_agrees(*recorded(tmp_path_factory.mktemp("view"), story))


def test_the_view_says_the_same_for_whole_nights_and_for_one_run_among_others(
    tmp_path: Path,
) -> None:
    assert_view_agrees(*recorded(tmp_path, healthy(hours=2), troubled(hours=11), crowd(hours=0.5)))


def assert_view_agrees(db: sqlite3.Connection, found: list[RunData]) -> None:
    compared = 0
    for data in found:
        for schedule in data.schedules:
            row = db.execute(
                "SELECT expected, observed, p50_ms, p95_ms, longest_gap_ms, early, late, missed"
                " FROM v_schedule_compliance WHERE run_id = ? AND schedule_id = ?",
                (data.run.id, schedule.id),
            ).fetchone()
            r = schedule.result
            assert row == (
                r.expected,
                r.observed,
                r.p50_ms,
                r.p95_ms,
                r.longest_gap_ms,
                r.early,
                r.late,
                r.missed,
            )
            compared += 1
    assert compared
    db.close()


def test_link_percentiles_agree_between_view_function_and_the_samples_themselves(
    tmp_path: Path,
) -> None:
    db, (data, _) = recorded(tmp_path, crowd(hours=0.2), healthy(hours=0.1))
    assert len(data.links) == 32
    for link in data.links:
        values = sorted(
            db.execute(
                "SELECT rssi_dbm, lqi FROM link_samples WHERE run_id = 1 AND device_id = ?"
                " AND direction = ?",
                (link.device_id, link.direction),
            ).fetchall(),
            key=lambda row: (row[0] or 0, row[1]),
        )
        rssi = [r for r, _ in values if r is not None]
        lqi = sorted(q for _, q in values)

        def rank(ordered: list[int], percent: int) -> int | None:
            return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None

        slow = (
            len(values),
            rank(rssi, 50),
            rank(rssi, 10),
            min(rssi, default=None),
            max(rssi, default=None),
            rank(lqi, 50),
            rank(lqi, 10),
        )
        assert slow == (
            link.samples,
            link.rssi_median_dbm,
            link.rssi_p10_dbm,
            link.rssi_min_dbm,
            link.rssi_max_dbm,
            link.lqi_median,
            link.lqi_p10,
        )
        view = db.execute(
            "SELECT samples, rssi_median_dbm, rssi_p10_dbm, rssi_min_dbm, rssi_max_dbm, lqi_median,"
            " lqi_p10 FROM v_link_by_device WHERE run_id = 1 AND device_id = ? AND direction = ?",
            (link.device_id, link.direction),
        ).fetchone()
        assert view == slow
        assert sum(bucket.samples for bucket in link.buckets) == link.samples
        assert len(link.buckets) <= 150
    db.close()


def a_gap(around: Circumstances, *, from_s: int = 100, to_s: int = 700) -> Gap:
    times = [t * SECOND for t in (*range(0, from_s + 1, 10), *range(to_s, 6000, 10))]
    result = compliance(
        times,
        period_ms=10_000,
        tolerance_ms=2_000,
        reference_us=0,
        end_us=times[-1],
        circumstances=around,
    )
    (gap,) = result.gaps
    assert gap.missed == (to_s - from_s) // 10 - 1 == result.missed
    assert result.missed_counting == gap.missed - gap.excused
    return gap


def test_a_gap_in_an_outage_of_the_rig_is_the_rigs() -> None:
    assert a_gap(Circumstances()).cause is GapCause.UNEXPLAINED
    outage = Interval(90 * SECOND, 690 * SECOND, "radio lost")
    gap = a_gap(Circumstances(infrastructure=[outage]))
    assert (gap.cause, gap.excused) == (GapCause.INFRASTRUCTURE, gap.missed)
    elsewhere = Interval(800 * SECOND, 900 * SECOND, "radio lost")
    gap = a_gap(Circumstances(infrastructure=[elsewhere]))
    assert (gap.cause, gap.excused) == (GapCause.UNEXPLAINED, 0)


def test_a_device_has_time_to_return_but_not_for_ever() -> None:
    outage = Interval(90 * SECOND, 120 * SECOND, "radio lost")
    around = Circumstances(infrastructure=[outage])
    latest_s = (outage.end_us + RECOVERY_US) // SECOND
    assert a_gap(around, to_s=latest_s).cause is GapCause.INFRASTRUCTURE
    gap = a_gap(around, to_s=latest_s + 300)
    assert gap.cause is GapCause.UNEXPLAINED
    assert gap.missed - gap.excused == 30  # due from the end of the grace on
    assert "radio lost" in gap.detail


def test_what_was_due_before_an_outage_is_not_excused_by_it() -> None:
    outage = Interval(400 * SECOND, 690 * SECOND, "radio lost")
    gap = a_gap(Circumstances(infrastructure=[outage]))
    assert gap.missed - gap.excused == 29  # due from 110 s to 390 s
    assert gap.cause is GapCause.UNEXPLAINED


def test_rejoining_explains_but_does_not_excuse() -> None:
    rejoin = Interval(600 * SECOND, 650 * SECOND, "secured rejoin")
    gap = a_gap(Circumstances(rejoins=[rejoin]))
    assert (gap.cause, gap.excused) == (GapCause.REJOINING, 0)
    removed = Interval(100 * SECOND, 690 * SECOND, "removed")
    gap = a_gap(Circumstances(rejoins=[rejoin], unpaired=[removed]))
    assert (gap.cause, gap.excused) == (GapCause.UNPAIRED, gap.missed)


def test_a_device_that_never_reads_owes_all_since_it_was_authorised() -> None:
    result = compliance(
        [], period_ms=10_000, tolerance_ms=2_000, reference_us=0, end_us=1000 * SECOND
    )
    assert (result.expected, result.observed, result.missed) == (100, 0, 99)
    assert result.longest_gap_ms == 1_000_000


def test_a_device_that_was_never_able_to_read_owes_nothing() -> None:
    result = compliance(
        [], period_ms=10_000, tolerance_ms=2_000, reference_us=None, end_us=1000 * SECOND
    )
    assert (result.expected, result.missed, result.begin_us) == (0, 0, None)


def test_discovery_is_given_its_time() -> None:
    first = SETTLING_US + 5 * SECOND
    times = [first + n * 10 * SECOND for n in range(20)]
    result = compliance(
        times, period_ms=10_000, tolerance_ms=2_000, reference_us=0, end_us=times[-1]
    )
    assert (result.expected, result.missed) == (20, 0)
    late = [t + HOUR for t in times]
    result = compliance(late, period_ms=10_000, tolerance_ms=2_000, reference_us=0, end_us=late[-1])
    assert result.missed == (late[0]) // (10 * SECOND)


def test_a_lost_radio_that_returns_is_an_outage_with_an_end(tmp_path: Path) -> None:
    story = healthy(hours=2, radio_outages=((HOUR, HOUR + 10 * MINUTE),))
    db, (data,) = recorded(tmp_path, story)
    db.close()
    (outage,) = data.infrastructure
    assert (outage.start_us, outage.end_us) == (
        ORIGIN_US + HOUR,
        ORIGIN_US + HOUR + 10 * MINUTE,
    )
    assert "port vanished" in outage.what
    for schedule in data.schedules:
        assert schedule.result.missed_counting == 0
    assert sum(s.result.missed for s in data.schedules) >= 2 * 59
    # One radio to the reader, though it started twice.
    assert len(data.radios) == 2
    assert len(data.links) == 4


def test_a_removed_device_owes_nothing_afterwards(tmp_path: Path) -> None:
    story = Story(actors=[Actor(2, "a", plans=(ELECTRICITY,), silent=((HOUR, 3 * HOUR),))], hours=2)
    recorder = Recorder(tmp_path / "lab.db")
    for event in story.events():
        if isinstance(event, ev.RunEnded):
            recorder(
                ev.PairingRemoved(
                    at_us=ORIGIN_US + HOUR, eui64=story.actors[0].eui64, reason="on request"
                )
            )
        recorder(event)
    data = load_run(recorder.connection, 1)
    recorder.close()
    (schedule,) = data.schedules
    assert schedule.result.end_us == ORIGIN_US + HOUR
    assert schedule.result.missed == 0
    assert_view_agrees(sqlite3.connect(tmp_path / "lab.db"), [data])


def test_a_run_can_be_looked_at_while_it_goes_on(tmp_path: Path) -> None:
    story = healthy(hours=1, verdict=None)
    with Recorder(tmp_path / "lab.db") as recorder:
        emit(story, recorder)
        recorder.flush()
        later = load_run(recorder.connection, 1, until_us=story.end_us + 10 * MINUTE)
        now = load_run(recorder.connection, 1)
    assert later.until_us == story.end_us + 10 * MINUTE
    assert story.end_us - 10 * SECOND <= now.until_us <= story.end_us
    electricity = next(s for s in later.schedules if s.name == "electricity")
    assert electricity.result.gaps[-1].missed >= 59
    assert dataclasses.replace(now.run) == later.run


def test_an_outage_begins_when_the_radio_was_last_heard() -> None:
    def event(at_us: int, kind: str, **detail: object) -> EventRow:
        return EventRow(at_us=at_us, kind=kind, device_id=None, severity="error", detail=detail)

    events = [
        event(40_000_000, "radio-lost", radio="main", cause="hung", silent_us=25_000_000),
        event(90_000_000, "radio-up", radio="main"),
    ]
    (outage,) = infrastructure(events, 100_000_000)
    assert (outage.start_us, outage.end_us) == (15_000_000, 90_000_000)
