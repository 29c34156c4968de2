"""The recorder: each event lands in its row, batches are written when they should be."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labctl import events as ev
from labctl.errors import DatabaseError
from labctl.record import recorder as recorder_module
from labctl.record.queries import find_run, runs
from labctl.record.recorder import FLUSH_EVENTS, Recorder
from labctl.virtual.clock import FastLoop

CAD = "00:0d:6f:00:0a:90:00:02"
IHD = "00:0d:6f:00:0a:90:00:03"
STRANGER = "00:0d:6f:00:0a:90:ff:ff"

START = ev.RunStarted(
    at_us=1_000,
    rig="virtual",
    kind="bench",
    simulated=True,
    labctl_version="0.1.0",
    host="host",
    config_sha256="ab" * 32,
    note="a note",
)
RADIO = ev.RadioUp(
    at_us=2_000,
    name="main",
    driver="ezsp",
    band=ev.Band.MHZ_868,
    path="/dev/ttyACM0",
    eui64="00:0d:6f:00:0a:90:00:01",
    page=28,
    channel=3,
    pan_id=0x1234,
    extended_pan_id="00:0d:6f:00:0a:90:00:01",
    resumed=True,
    tx_power_dbm=14,
    serial_number="S1",
    manufacturer="M",
    model="X",
    firmware="7.4",
    protocol_version=13,
)
SEEN = ev.DeviceSeen(
    at_us=3_000,
    eui64=CAD,
    name="cad",
    kind=ev.DeviceKind.CAD,
    manufacturer="Maker",
    model="Model",
    hardware_version="1",
    firmware_version="1.0",
    certificate_suite=2,
    certificate_issuer="issuer",
)
ARMED = ev.PairingArmed(
    at_us=4_000,
    eui64=CAD,
    method=ev.PairingMethod.REMOTE,
    requested_by="operator",
    window_s=600,
    consent_reference="C-1",
)
JOIN = ev.JoinStarted(
    at_us=5_000,
    join=7,
    eui64=CAD,
    kind=ev.JoinKind.JOIN,
    band=ev.Band.MHZ_868,
    page=28,
    channel=3,
    nwk=0x1A2B,
    parent_nwk=0,
)
SCHEDULE = ev.ReadScheduleDeclared(
    at_us=6_000,
    eui64=CAD,
    name="electricity",
    cluster_id=0x0702,
    attributes=(0x0400, 0x0000),
    period_ms=10_000,
    tolerance_ms=2_000,
    endpoint=2,
)
READ = ev.ReadServed(
    at_us=7_000,
    eui64=CAD,
    initiator="device",
    endpoint=2,
    cluster_id=0x0702,
    attributes=(0x0400, 0x0000),
    command_id=None,
    status=0,
    latency_us=5_300,
    aps_encrypted=True,
    schedule="electricity",
)
LINK = ev.LinkSample(
    at_us=8_000,
    eui64=CAD,
    radio="main",
    direction=ev.Direction.TO_HUB,
    page=28,
    channel=3,
    lqi=200,
    rssi_dbm=-61,
)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    with Recorder(tmp_path / "lab.db") as opened:
        yield opened


def rows(recorder: Recorder, sql: str, *values: object) -> list[dict[str, Any]]:
    recorder.flush()
    cursor = recorder.connection.execute(sql, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def one(recorder: Recorder, sql: str, *values: object) -> dict[str, Any]:
    (row,) = rows(recorder, sql, *values)
    return row


def tell(recorder: Recorder, *events: ev.Event) -> None:
    for event in events:
        recorder(event)


def test_a_run_begins_and_ends_with_its_verdict_and_reasons(recorder: Recorder) -> None:
    tell(recorder, START)
    assert recorder.run_id == 1
    tell(
        recorder,
        ev.RunEnded(at_us=9_000, verdict=ev.Verdict.INFRASTRUCTURE_ERROR, reasons=("a", "b")),
    )
    row = one(recorder, "SELECT * FROM runs")
    assert row == {
        "id": 1,
        "rig": "virtual",
        "kind": "bench",
        "started_us": 1_000,
        "ended_us": 9_000,
        "verdict": "infrastructure-error",
        "simulated": 1,
        "labctl_version": "0.1.0",
        "host": "host",
        "config_sha256": "ab" * 32,
        "note": "a note",
        "reasons": '["a", "b"]',
        "pruned_us": None,
    }
    run = find_run(recorder.connection, "virtual")
    assert run.simulated is True
    assert run.reasons == ("a", "b")


def test_a_radio_lands_with_all_that_is_known_of_it(recorder: Recorder) -> None:
    tell(recorder, START, RADIO)
    row = one(recorder, "SELECT * FROM radios")
    told = {**dataclasses.asdict(RADIO), "band": "868 MHz", "resumed": 1, "up_us": 2_000}
    del told["at_us"]
    assert {name: row[name] for name in told} == told
    assert row["run_id"] == 1


def test_a_lost_radio_is_an_event_and_its_return_another_row(recorder: Recorder) -> None:
    tell(recorder, START, RADIO, ev.RadioLost(at_us=5, name="main", cause="port vanished"))
    tell(recorder, dataclasses.replace(RADIO, at_us=6), LINK)
    lost = one(recorder, "SELECT * FROM events WHERE kind = 'radio-lost'")
    assert lost["severity"] == "error"
    assert json.loads(lost["detail"]) == {"radio": "main", "cause": "port vanished"}
    assert [row["up_us"] for row in rows(recorder, "SELECT * FROM radios")] == [2_000, 6]
    assert one(recorder, "SELECT radio_id FROM link_samples") == {"radio_id": 2}


def test_what_is_known_of_a_device_grows_and_its_history_stays(recorder: Recorder) -> None:
    tell(recorder, START, SEEN)
    tell(recorder, ev.DeviceSeen(at_us=5_000, eui64=CAD, firmware_version="1.1"))
    tell(recorder, ev.DeviceSeen(at_us=6_000, eui64=CAD, firmware_version="1.1"))
    row = one(recorder, "SELECT * FROM devices")
    assert row["firmware_version"] == "1.1"
    assert row["manufacturer"] == "Maker"
    assert (row["kind"], row["certificate_suite"]) == ("cad", 2)
    assert (row["first_seen_us"], row["last_seen_us"]) == (3_000, 6_000)
    told = rows(recorder, "SELECT detail FROM events WHERE kind = 'device-described' ORDER BY id")
    assert [json.loads(row["detail"]).get("firmware_version") for row in told] == ["1.0", "1.1"]
    assert json.loads(told[1]["detail"]) == {"firmware_version": "1.1"}


def test_a_second_run_describes_its_devices_again(recorder: Recorder) -> None:
    tell(recorder, START, SEEN, ev.RunEnded(at_us=9, verdict=ev.Verdict.PASS))
    tell(recorder, START, SEEN)
    found = rows(recorder, "SELECT run_id FROM events WHERE kind = 'device-described'")
    assert [row["run_id"] for row in found] == [1, 2]
    assert len(rows(recorder, "SELECT * FROM devices")) == 1


def test_a_pairing_has_a_life_that_may_end_in_a_later_run(recorder: Recorder) -> None:
    tell(recorder, START, ARMED)
    tell(recorder, ev.PairingWindowClosed(at_us=5_000, eui64=CAD, authorised=True))
    row = one(recorder, "SELECT * FROM pairings")
    assert (row["method"], row["requested_by"], row["consent_reference"]) == (
        "remote",
        "operator",
        "C-1",
    )
    assert (row["armed_us"], row["window_s"], row["closed_us"], row["authorised"]) == (
        4_000,
        600,
        5_000,
        1,
    )
    assert row["removed_us"] is None
    tell(recorder, ev.RunEnded(at_us=9_000, verdict=ev.Verdict.PASS), START)
    tell(recorder, ev.PairingRemoved(at_us=11_000, eui64=CAD, reason="on request"))
    row = one(recorder, "SELECT * FROM pairings")
    assert (row["run_id"], row["removed_us"], row["removal_reason"]) == (1, 11_000, "on request")
    event = one(recorder, "SELECT * FROM events WHERE kind = 'pairing-removed'")
    assert (event["run_id"], json.loads(event["detail"])) == (2, {"reason": "on request"})


def test_only_the_open_pairing_of_the_device_is_removed(recorder: Recorder) -> None:
    other = dataclasses.replace(ARMED, eui64=IHD)
    tell(recorder, START, ARMED, other)
    tell(recorder, ev.PairingRemoved(at_us=5, eui64=CAD, reason="first"))
    tell(recorder, dataclasses.replace(ARMED, at_us=6))
    tell(recorder, ev.PairingRemoved(at_us=7, eui64=CAD, reason="second"))
    found = rows(recorder, "SELECT device_id, removal_reason FROM pairings ORDER BY id")
    assert [row["removal_reason"] for row in found] == ["first", None, "second"]


def test_a_join_lands_with_its_steps_also_those_after_its_end(recorder: Recorder) -> None:
    tell(recorder, START, SEEN, JOIN)
    tell(recorder, ev.JoinStepTaken(at_us=5_100, join=7, step=ev.Step.ASSOCIATION, elapsed_us=0))
    tell(
        recorder,
        ev.JoinStepTaken(
            at_us=5_300,
            join=7,
            step=ev.Step.KEY_CONFIRM,
            elapsed_us=200,
            status=ev.StepStatus.FAILED,
            detail="MACs differ",
        ),
    )
    tell(recorder, ev.JoinEnded(at_us=5_400, join=7, outcome=ev.JoinOutcome.FAILED, cause="why"))
    tell(recorder, ev.JoinStepTaken(at_us=5_500, join=7, step=ev.Step.FIRST_READ, elapsed_us=200))
    row = one(recorder, "SELECT * FROM joins")
    assert (row["eui64"], row["device_id"], row["kind"], row["band"]) == (CAD, 1, "join", "868 MHz")
    assert (row["page"], row["channel"], row["nwk"], row["parent_nwk"]) == (28, 3, 0x1A2B, 0)
    assert (row["started_us"], row["ended_us"], row["outcome"], row["cause"]) == (
        5_000,
        5_400,
        "failed",
        "why",
    )
    steps = rows(recorder, "SELECT * FROM join_steps ORDER BY id")
    assert [step["step"] for step in steps] == ["association", "key-confirm", "first-read"]
    assert (steps[1]["status"], steps[1]["detail"], steps[1]["elapsed_us"]) == (
        "failed",
        "MACs differ",
        200,
    )


def test_a_stranger_leaves_an_attempt_but_makes_no_device(recorder: Recorder) -> None:
    tell(recorder, START, dataclasses.replace(JOIN, eui64=STRANGER))
    tell(recorder, ev.JoinEnded(at_us=6, join=7, outcome=ev.JoinOutcome.REFUSED, cause="unlisted"))
    row = one(recorder, "SELECT * FROM joins")
    assert (row["eui64"], row["device_id"], row["outcome"]) == (STRANGER, None, "refused")
    assert rows(recorder, "SELECT * FROM devices") == []


def test_a_stranger_that_is_let_in_becomes_a_device(recorder: Recorder) -> None:
    tell(recorder, START, dataclasses.replace(JOIN, eui64=STRANGER))
    tell(recorder, ev.JoinEnded(at_us=6, join=7, outcome=ev.JoinOutcome.AUTHORISED))
    row = one(recorder, "SELECT j.cause, d.eui64 FROM joins j JOIN devices d ON d.id = j.device_id")
    assert row == {"cause": None, "eui64": STRANGER}


def test_join_numbers_of_another_run_do_not_mix(recorder: Recorder) -> None:
    tell(recorder, START, JOIN, ev.RunEnded(at_us=9, verdict=ev.Verdict.PASS), START)
    tell(recorder, ev.JoinEnded(at_us=10, join=7, outcome=ev.JoinOutcome.AUTHORISED))
    assert one(recorder, "SELECT outcome FROM joins") == {"outcome": None}
    stray = one(recorder, "SELECT * FROM events WHERE kind = 'join-unknown'")
    assert (stray["run_id"], json.loads(stray["detail"])["join"]) == (2, 7)


def test_a_read_lands_with_its_schedule(recorder: Recorder) -> None:
    tell(recorder, START, SCHEDULE, READ)
    tell(recorder, dataclasses.replace(READ, schedule=None, command_id=3, attributes=()))
    tell(recorder, dataclasses.replace(READ, status=None, aps_encrypted=False, eui64=IHD))
    schedule = one(recorder, "SELECT * FROM read_schedules")
    assert schedule["attributes"] == "0x0400,0x0000"
    assert (schedule["period_ms"], schedule["tolerance_ms"], schedule["endpoint"]) == (
        10_000,
        2_000,
        2,
    )
    first, second, third = rows(recorder, "SELECT * FROM reads ORDER BY id")
    assert first == {
        "id": 1,
        "run_id": 1,
        "device_id": 1,
        "at_us": 7_000,
        "initiator": "device",
        "schedule_id": 1,
        "endpoint": 2,
        "cluster_id": 0x0702,
        "command_id": None,
        "attributes": "0x0400,0x0000",
        "status": 0,
        "latency_us": 5_300,
        "aps_encrypted": 1,
        "radio_id": None,
    }
    assert (second["schedule_id"], second["command_id"], second["attributes"]) == (None, 3, "")
    # Another device's schedule of the same name is not this device's.
    assert (third["schedule_id"], third["status"], third["aps_encrypted"]) == (None, None, 0)


def test_a_link_sample_lands_with_its_radio(recorder: Recorder) -> None:
    tell(recorder, START, RADIO, LINK, dataclasses.replace(LINK, rssi_dbm=None, radio="other"))
    first, second = rows(recorder, "SELECT * FROM link_samples ORDER BY id")
    assert first == {
        "id": 1,
        "run_id": 1,
        "device_id": 1,
        "radio_id": 1,
        "at_us": 8_000,
        "direction": "to-hub",
        "page": 28,
        "channel": 3,
        "rssi_dbm": -61,
        "lqi": 200,
    }
    assert (second["radio_id"], second["rssi_dbm"]) == (None, None)


def test_refusals_and_notes_are_events_with_json(recorder: Recorder) -> None:
    tell(recorder, START, SEEN)
    tell(
        recorder,
        ev.Refused(
            at_us=5,
            eui64=CAD,
            layer="zcl",
            cause="writes are refused",
            cluster_id=0x0705,
            command_id=0,
            status=0x81,
        ),
    )
    tell(recorder, ev.Refused(at_us=6, eui64=STRANGER, layer="nwk", cause="not in the log"))
    tell(
        recorder,
        ev.Note(
            at_us=7,
            kind="outage",
            severity=ev.Severity.ERROR,
            eui64=CAD,
            detail={"infrastructure": True, "duration_us": 5, "cause": "Stromausfall – naïve"},
        ),
    )
    refused, stranger, note = rows(
        recorder, "SELECT * FROM events WHERE kind IN ('refused', 'outage') ORDER BY id"
    )
    assert (refused["device_id"], refused["severity"]) == (1, "warning")
    assert json.loads(refused["detail"]) == {
        "layer": "zcl",
        "cause": "writes are refused",
        "cluster_id": 0x0705,
        "command_id": 0,
        "status": 0x81,
    }
    assert stranger["device_id"] is None
    assert json.loads(stranger["detail"])["eui64"] == STRANGER
    assert json.loads(note["detail"])["cause"] == "Stromausfall – naïve"


def test_every_kind_of_event_has_a_row(recorder: Recorder) -> None:
    """A new event without a place in the database is noticed here."""
    kinds = {kind for kind in vars(ev).values() if isinstance(kind, type)}
    kinds = {kind for kind in kinds if issubclass(kind, ev.Event) and kind is not ev.Event}
    assert kinds == set(recorder._writer._handlers)


def test_an_artefact_is_kept_with_its_hash(recorder: Recorder, tmp_path: Path) -> None:
    file = tmp_path / "air.pcap"
    file.write_bytes(b"abc")
    tell(recorder, START)
    recorder.add_artefact("capture", file)
    row = one(recorder, "SELECT * FROM artefacts")
    assert (row["run_id"], row["kind"], row["path"], row["bytes"]) == (1, "capture", str(file), 3)
    assert row["sha256"].startswith("ba7816bf")


# -- when rows are written ---------------------------------------------------------------------


def written(recorder: Recorder, table: str = "reads") -> int:
    """Rows that another program sees."""
    with sqlite3.connect(recorder.path) as db:
        (count,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
    db.close()
    return int(count)


def test_a_batch_is_written_when_it_holds_a_hundred_events(recorder: Recorder) -> None:
    tell(recorder, START, SCHEDULE)
    recorder.flush()
    tell(recorder, *[READ] * (FLUSH_EVENTS - 1))
    assert written(recorder) == 0
    tell(recorder, READ)
    assert written(recorder) == FLUSH_EVENTS


def test_a_batch_is_written_one_second_after_its_first_event_on_the_loops_clock(
    tmp_path: Path,
) -> None:
    loop = FastLoop()

    async def main() -> None:
        with Recorder(tmp_path / "lab.db") as recorder:
            tell(recorder, START)
            tell(recorder, READ)
            await asyncio.sleep(0.6)
            tell(recorder, READ)
            assert written(recorder) == 0
            await asyncio.sleep(0.5)
            assert written(recorder) == 2
            tell(recorder, READ)
            await asyncio.sleep(0.9)
            assert written(recorder) == 2
            await asyncio.sleep(0.2)
            assert written(recorder) == 3

    loop.run_until_complete(main())
    loop.close()


def test_an_idle_recorder_leaves_no_timer_behind(tmp_path: Path) -> None:
    loop = FastLoop()

    async def main() -> None:
        with Recorder(tmp_path / "lab.db", loop=loop) as recorder:
            tell(recorder, START, READ)
            await asyncio.sleep(2)
            assert recorder._timer is None
            tell(recorder, READ)
        assert recorder._timer is None

    loop.run_until_complete(main())
    assert not any(not handle.cancelled() for handle in loop._scheduled)  # type: ignore[attr-defined]
    loop.close()


@pytest.mark.parametrize(
    "event",
    [
        RADIO,
        ARMED,
        ev.PairingWindowClosed(at_us=9, eui64=CAD, authorised=False),
        ev.RadioLost(at_us=9, name="main", cause="x"),
        ev.JoinEnded(at_us=9, join=7, outcome=ev.JoinOutcome.AUTHORISED),
        ev.RunEnded(at_us=9, verdict=ev.Verdict.PASS),
    ],
)
def test_what_a_person_waits_for_is_written_at_once(recorder: Recorder, event: ev.Event) -> None:
    tell(recorder, START, JOIN, READ)
    assert written(recorder) == 0
    tell(recorder, event)
    assert written(recorder) == 1


def test_closing_writes_the_rest_and_stops_listening(tmp_path: Path) -> None:
    bus = ev.EventBus()
    recorder = Recorder(tmp_path / "lab.db")
    recorder.subscribe(bus)
    bus.emit(START)
    bus.emit(READ)
    recorder.close()
    recorder.close()
    bus.emit(READ)
    assert written(recorder) == 1


def test_events_before_the_run_wait_for_it(recorder: Recorder) -> None:
    tell(recorder, *[READ] * 3)
    recorder.flush()
    assert written(recorder) == 0
    tell(recorder, START)
    assert recorder.run_id == 1


# -- what goes wrong ---------------------------------------------------------------------------


def test_a_locked_database_delays_rows_and_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.record.database.WRITE_BUSY_MS", 1)
    with Recorder(tmp_path / "lab.db") as recorder:
        tell(recorder, START, SCHEDULE)
        recorder.flush()
        other = sqlite3.connect(recorder.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        tell(recorder, *[READ] * (3 * FLUSH_EVENTS))
        assert recorder.failure is None
        with pytest.raises(DatabaseError, match="locked"):
            recorder.flush()
        other.execute("COMMIT")
        other.close()
        tell(recorder, *[READ] * FLUSH_EVENTS)
        recorder.flush()
        assert written(recorder) == 4 * FLUSH_EVENTS


def test_a_database_that_stays_locked_ends_the_recording_once_and_clearly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.record.database.WRITE_BUSY_MS", 1)
    monkeypatch.setattr(recorder_module, "MOST_BUSY_FLUSHES", 3)
    failures: list[DatabaseError] = []
    recorder = Recorder(tmp_path / "lab.db", on_failure=failures.append)
    tell(recorder, START)
    other = sqlite3.connect(recorder.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    tell(recorder, *[READ] * (6 * FLUSH_EVENTS))
    assert len(failures) == 1
    assert "locked" in failures[0].what
    assert failures[0].mend
    other.close()
    with pytest.raises(DatabaseError, match="locked"):
        recorder.close()


def test_opening_a_locked_database_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.record.database.OPEN_BUSY_MS", 1)
    other = sqlite3.connect(tmp_path / "lab.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DatabaseError, match="locked"):
        Recorder(tmp_path / "lab.db")
    other.close()


def test_a_full_disk_keeps_what_was_written_and_says_so(tmp_path: Path) -> None:
    failures: list[DatabaseError] = []
    recorder = Recorder(tmp_path / "lab.db", on_failure=failures.append)
    tell(recorder, START, SCHEDULE)
    recorder.flush()
    (pages,) = recorder.connection.execute("PRAGMA page_count").fetchone()
    recorder.connection.execute(f"PRAGMA max_page_count = {pages + 20}")
    tell(recorder, *[READ] * 5_000)
    assert len(failures) == 1
    assert "disk is full" in failures[0].what
    kept = written(recorder)
    assert kept > 0
    assert kept % FLUSH_EVENTS == 0
    with pytest.raises(DatabaseError, match="disk is full"):
        recorder.close()
    with Recorder(tmp_path / "lab.db") as again:
        tell(again, START)
        assert written(again) == kept


def test_ids_given_out_in_a_batch_that_was_rolled_back_are_forgotten(tmp_path: Path) -> None:
    """A new device, radio, join and schedule in a batch that fails: all must be made again."""
    with Recorder(tmp_path / "lab.db") as recorder:
        tell(recorder, START)
        connection = recorder.connection
        connection.execute(
            "CREATE TEMP TRIGGER fail BEFORE INSERT ON reads BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        tell(recorder, SEEN, SCHEDULE, LINK, JOIN, READ)
        with pytest.raises(DatabaseError):
            recorder.flush()
        assert one_count(connection, "devices") == 0
        connection.execute("DROP TRIGGER fail")
        recorder.flush()
        assert one_count(connection, "devices") == 1
        assert one_count(connection, "reads") == 1
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def one_count(connection: sqlite3.Connection, table: str) -> int:
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(count)


def test_a_run_that_was_cut_off_is_closed_by_the_next_of_its_rig(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    with Recorder(path) as recorder:
        tell(recorder, START, READ, LINK)
    with Recorder(path) as recorder:
        assert runs(recorder.connection)[0].ended_us is None  # opening alone changes nothing
        tell(recorder, dataclasses.replace(START, rig="another"))
        assert runs(recorder.connection)[1].ended_us is None  # it may be going on
        tell(recorder, START)
        third, second, first = runs(recorder.connection)
        assert (first.ended_us, first.verdict) == (8_000, "incomplete")
        assert "cut off" in first.reasons[0]
        assert second.ended_us is None
        assert third.ended_us is None
        event = one(recorder, "SELECT * FROM events WHERE kind = 'run-interrupted'")
        assert (event["run_id"], event["at_us"], event["severity"]) == (1, 8_000, "error")


def test_two_rigs_write_into_one_database_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    with Recorder(path) as one_rig, Recorder(path) as other_rig:
        tell(one_rig, START, SEEN)
        tell(other_rig, dataclasses.replace(START, rig="other"), SEEN)
        for _ in range(5):
            tell(one_rig, *[READ] * 60)
            tell(other_rig, *[LINK] * 60)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT DISTINCT run_id FROM reads").fetchall() == [(1,)]
        assert db.execute("SELECT DISTINCT run_id FROM link_samples").fetchall() == [(2,)]
        assert db.execute("SELECT count(*) FROM devices").fetchone() == (1,)
    db.close()


def test_a_disk_that_has_room_again_soon_loses_no_row_and_the_wait_is_recorded(
    tmp_path: Path,
) -> None:
    with Recorder(tmp_path / "lab.db") as recorder:
        tell(recorder, START, SCHEDULE)
        recorder.flush()
        (pages,) = recorder.connection.execute("PRAGMA page_count").fetchone()
        recorder.connection.execute(f"PRAGMA max_page_count = {pages}")
        tell(recorder, *[READ] * (15 * FLUSH_EVENTS))
        assert recorder.failure is None
        recorder.connection.execute("PRAGMA max_page_count = 1000000")
        tell(recorder, *[READ] * FLUSH_EVENTS)
        recorder.flush()
        assert written(recorder) == 16 * FLUSH_EVENTS
        note = one(recorder, "SELECT * FROM events WHERE kind = 'recording-delayed'")
        detail = json.loads(note["detail"])
        assert detail["attempts"] >= 10
        assert "disk is full" in detail["cause"]
