"""The tables are the contract: docs/database.md and the schema say the same."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlite_utils import Database
from synthetic_runs import emit, healthy

from labctl.errors import DatabaseError, ExitCode
from labctl.record import schema
from labctl.record.database import Health, check, open_for_reading, open_for_writing
from labctl.record.recorder import Recorder

DOCS = Path(__file__).parents[2] / "docs" / "database.md"

# The contract, in its order. What the docs and the schema hold beyond it stands at the end.
CONTRACT = {
    "runs": "id rig kind started_us ended_us verdict simulated labctl_version host config_sha256"
    " note",
    "radios": "id run_id name driver band path serial_number manufacturer model firmware"
    " protocol_version eui64 page channel tx_power_dbm",
    "devices": "id eui64 name kind manufacturer model hardware_version firmware_version"
    " certificate_suite certificate_issuer first_seen_us last_seen_us",
    "pairings": "id run_id device_id method requested_by consent_reference armed_us window_s"
    " removed_us removal_reason",
    "joins": "id run_id eui64 device_id kind band page channel nwk parent_nwk started_us ended_us"
    " outcome cause",
    "join_steps": "id join_id step at_us elapsed_us status detail",
    "link_samples": "id run_id device_id radio_id at_us direction page channel rssi_dbm lqi",
    "read_schedules": "id run_id device_id name cluster_id attributes period_ms tolerance_ms",
    "reads": "id run_id device_id at_us initiator schedule_id endpoint cluster_id command_id"
    " attributes status latency_us aps_encrypted",
    "events": "id run_id at_us kind device_id severity detail",
    "run_rollups": "id run_id reads reads_unanswered link_samples",
    "schedule_rollups": "id run_id schedule_id expected observed p50_ms p95_ms longest_gap_ms early"
    " late missed",
    "artefacts": "id run_id kind path sha256 bytes result_id first_frame last_frame first_us"
    " last_us left_out",
    "campaigns": "id run_id generation meters selection reference seed",
    "cases": "id name title",
    "results": "id run_id case_id device_id attempt started_us ended_us outcome cause band"
    " firmware_version quarantine",
    "measurements": "id result_id name unit value text least most good_from good_to outcome",
    "surveys": "id run_id site hub_place started_us ended_us verdict text rules plan_path"
    " plan_mm_per_pixel seed",
    "survey_devices": "id survey_id device_id",
    "waypoints": "id survey_id run_id number room floor spot x_m y_m z_m latitude longitude"
    " started_us ended_us undone_us",
    "probes": "id waypoint_id device_id radio_id band direction at_us kind delivered rssi_dbm"
    " lqi level_source retries latency_us",
    "waypoint_noise": "id waypoint_id radio_id at_us page channel level_dbm",
    "survey_remarks": "id survey_id waypoint_id at_us kind text",
    "direction_verdicts": "id waypoint_id device_id band direction verdict reason probes"
    " delivered ratio_low ratio_high rssi_median_dbm rssi_p10_dbm sensitivity_dbm p10_margin_db"
    " margin_at_least_db passes_lower design_effect decided_at retries level_source",
    "link_verdicts": "id waypoint_id device_id band verdict p10_margin_db passes_lower"
    " asymmetry_db asymmetry_found",
    "links": "id run_id device_id radio_id direction page channel",
    "link_rssi_counts": "link_id rssi_dbm samples",
    "link_lqi_counts": "link_id lqi samples",
    "link_reports": "id run_id device_id radio_id at_us source lqi rssi_dbm in_cost out_cost"
    " power_delta_db mac_retries",
    "deliveries": "id run_id device_id radio_id at_us attempts delivered retries",
    "noise_samples": "id run_id radio_id at_us page channel level_dbm",
    "airtime_samples": "id run_id radio_id device_id at_us airtime_us limited_us critical_us"
    " regulated_us state source next_state next_state_in_s",
}
VIEWS = (
    "v_join_times",
    "v_link_by_device",
    "v_link_by_band",
    "v_airtime_peaks",
    "v_schedule_compliance",
    "v_rig_health",
    "v_case_results",
    "v_survey_links",
    "v_survey_rooms",
)
COUNTS = {"link_rssi_counts", "link_lqi_counts"}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = open_for_writing(tmp_path / "lab.db")
    yield connection
    connection.close()


def columns(db: sqlite3.Connection, table: str) -> list[tuple[str, str]]:
    return [(row[1], row[2]) for row in db.execute(f"PRAGMA table_info({table})")]


@pytest.mark.parametrize("table", CONTRACT)
def test_a_table_begins_with_the_columns_of_the_contract(
    db: sqlite3.Connection, table: str
) -> None:
    names = [name for name, _ in columns(db, table)]
    expected = CONTRACT[table].split()
    assert names[: len(expected)] == expected


def test_all_tables_are_strict_with_integer_keys(db: sqlite3.Connection) -> None:
    for table in CONTRACT:
        (sql,) = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        assert "STRICT" in sql.rstrip().rpartition(")")[2]
        key = "link_id" if table in COUNTS else "id"
        assert columns(db, table)[0] == (key, "INTEGER")


def test_the_documentation_lists_every_table_with_every_column_and_its_type(
    db: sqlite3.Connection,
) -> None:
    sections = re.split(r"^### ", DOCS.read_text(), flags=re.M)[1:]
    documented = {section.split("\n", 1)[0].strip(): section for section in sections}
    for table in CONTRACT:
        rows = re.findall(r"^\| (\w+) \| (INTEGER|TEXT|REAL) \|", documented[table], flags=re.M)
        assert rows == columns(db, table), table
    for view in VIEWS:
        listed = documented[view].split("\n\n")[1]
        assert re.findall(r"`(\w+)`", listed) == [name for name, _ in columns(db, view)], view
    (tables,) = [
        {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    ]
    assert tables - {"_sqlite_migrations"} == set(CONTRACT)


def test_every_question_in_the_documentation_can_be_asked_and_most_have_an_answer(
    tmp_path: Path,
) -> None:
    questions = re.findall(r"```sql\n(.*?)```", DOCS.read_text(), flags=re.S)
    assert len(questions) >= 8
    with Recorder(tmp_path / "lab.db") as recorder:
        emit(healthy(hours=1.0), recorder)
        answers = [len(recorder.connection.execute(text).fetchall()) for text in questions]
    assert sum(count > 0 for count in answers) >= 5


def test_no_column_can_hold_a_secret(db: sqlite3.Connection) -> None:
    harmless = {"transport_key"}
    secretive = re.compile(r"key|secret|install|code|private|password|token|pin\b")
    for table in CONTRACT:
        for name, kind in columns(db, table):
            assert kind in ("INTEGER", "TEXT", "REAL"), "octets have no place in this database"
            assert not secretive.search(name) or name in harmless, f"{table}.{name}"


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    open_for_writing(path).close()
    before = sqlite3.connect(path).execute("SELECT * FROM sqlite_master").fetchall()
    open_for_writing(path).close()
    assert sqlite3.connect(path).execute("SELECT * FROM sqlite_master").fetchall() == before


def test_pragmas_are_set_when_connecting(db: sqlite3.Connection) -> None:
    def pragma(name: str) -> object:
        return db.execute(f"PRAGMA {name}").fetchone()[0]

    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 1  # NORMAL
    assert pragma("foreign_keys") == 1
    assert pragma("busy_timeout") > 0
    assert pragma("application_id") == schema.APPLICATION_ID


def test_a_migration_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lab.db"
    open_for_writing(path).close()
    monkeypatch.setattr(schema.migrations, "_migrations", list(schema.migrations._migrations))

    @schema.migrations(name="9999_broken")
    def broken(db: Database) -> None:
        db.execute("CREATE TABLE half_done (id INTEGER PRIMARY KEY) STRICT")
        db.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY) STRICT")

    with pytest.raises(DatabaseError):
        open_for_writing(path)
    monkeypatch.undo()
    with open_for_reading(path) as db:
        assert not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'half_done'").fetchone()
    db.close()


def test_a_newer_database_is_refused_with_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    db = open_for_writing(path)
    db.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
        " VALUES ('labctl', '0099_from_the_future', 'x')"
    )
    db.close()
    for opener in (open_for_writing, open_for_reading):
        with pytest.raises(DatabaseError, match="0099_from_the_future") as caught:
            opener(path)
        assert "Update labctl" in caught.value.mend


def test_an_older_database_is_read_only_after_its_migration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lab.db"
    open_for_writing(path).close()
    monkeypatch.setattr(schema.migrations, "_migrations", list(schema.migrations._migrations))
    schema.migrations(name="9998_more")(lambda db: None)
    with pytest.raises(DatabaseError, match="9998_more"):
        open_for_reading(path)
    open_for_writing(path).close()
    open_for_reading(path).close()


def test_files_that_are_not_ours_are_refused_untouched(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to look like a file of some kind\n" * 40)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE recipes (id INTEGER PRIMARY KEY)")
    db.close()
    for path, what in ((text, "not an SQLite database"), (other, "not one of labctl's")):
        before = path.read_bytes()
        for opener in (open_for_writing, open_for_reading):
            with pytest.raises(DatabaseError, match=what) as caught:
                opener(path)
            assert caught.value.where == str(path)
            assert caught.value.mend
        assert path.read_bytes() == before


def test_what_is_missing_or_a_folder_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="no database here yet"):
        open_for_reading(tmp_path / "none.db")
    with pytest.raises(DatabaseError, match="folder"):
        open_for_reading(tmp_path)
    with pytest.raises(DatabaseError, match="folder"):
        open_for_writing(tmp_path)
    with pytest.raises(DatabaseError, match="cannot be opened"):
        open_for_writing(tmp_path / "no" / "such" / "folder.db")
    assert DatabaseError("x").exit_code is ExitCode.RIG_UNAVAILABLE


def test_a_damaged_database_is_found_by_check(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    with Recorder(path) as recorder:
        emit(healthy(hours=2.0), recorder)
    assert check(path).ok
    octets = bytearray(path.read_bytes())
    for offset in range(len(octets) // 2, len(octets) // 2 + 3 * 4096):
        octets[offset] ^= 0x5A
    path.write_bytes(octets)
    health: Health | None = None
    with contextlib.suppress(DatabaseError):  # damaged beyond looking through is found as well
        health = check(path)
    assert health is None or (not health.ok and health.integrity)


def test_check_finds_references_that_lead_nowhere_and_unfinished_runs(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    with Recorder(path) as recorder:
        emit(healthy(hours=0.1, verdict=None), recorder)
    db = sqlite3.connect(path)
    db.execute(
        "INSERT INTO artefacts (id, run_id, kind, path, sha256, bytes)"
        " VALUES (1, 77, 'capture', 'x', 'y', 1)"
    )
    db.commit()
    db.close()
    health = check(path)
    assert health.unfinished_runs == (1,)
    assert not health.ok
    assert "artefacts" in health.foreign_keys[0]


def test_a_reader_sees_a_run_that_is_going_on(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    with Recorder(path) as recorder:
        emit(healthy(hours=0.2, verdict=None), recorder)
        recorder.flush()
        reader = open_for_reading(path)
        reader.execute("BEGIN")
        (before,) = reader.execute("SELECT count(*) FROM reads").fetchone()
        emit(healthy(hours=0.2, rig="second"), recorder)  # the reader does not stand in the way
        recorder.flush()
        assert reader.execute("SELECT count(*) FROM reads").fetchone() == (before,)
        reader.execute("COMMIT")
        assert reader.execute("SELECT count(*) FROM reads").fetchone() > (before,)
        reader.close()
