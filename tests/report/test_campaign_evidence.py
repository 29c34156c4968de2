"""The evidence archive: whole, the same each time, and checked against everything."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic_campaign import write_campaign
from synthetic_runs import healthy

from labctl import events as ev
from labctl.cli.main import main
from labctl.errors import UsageError
from labctl.record.database import check, open_for_reading
from labctl.record.recorder import Recorder
from labctl.report import write_report
from labctl.report.evidence import Evidence, make_evidence
from labctl.report.evidence_check import MOST_OCTETS, check_evidence
from labctl.report.evidence_format import member_info

CAPTURE = "virtual-run-2/J02-kitchen-cad-2.pcap"


@dataclass
class Lab:
    folder: Path
    db: Path
    reports: Path
    run: int
    made: Evidence


def with_captures(db: Path, reports: Path, run: int) -> None:
    """The files that the synthetic campaign speaks of, with their true hashes."""
    with closing(sqlite3.connect(db)) as connection:
        for number, path in connection.execute(
            "SELECT id, path FROM artefacts WHERE run_id = ? AND kind = 'capture'", (run,)
        ).fetchall():
            name = path.replace("virtual-run-1", f"virtual-run-{run}")
            octets = random.Random(name).randbytes(3000)
            (reports / name).parent.mkdir(parents=True, exist_ok=True)
            (reports / name).write_bytes(octets)
            connection.execute(
                "UPDATE artefacts SET path = ?, sha256 = ?, bytes = ? WHERE id = ?",
                (name, hashlib.sha256(octets).hexdigest(), len(octets), number),
            )
        connection.commit()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A campaign among other runs, and its archive."""
    folder = tmp_path_factory.mktemp("lab")
    db, reports = folder / "lab.db", folder / "reports"
    with Recorder(db) as recorder:
        for event in healthy(hours=0.3).events():
            recorder(event)
    run = write_campaign(db, cases=12, story=healthy(hours=0.5, verdict=ev.Verdict.FAIL))
    write_campaign(db, cases=5, story=healthy(hours=0.3, verdict=ev.Verdict.PASS))
    with_captures(db, reports, run)
    return Lab(folder, db, reports, run, make_evidence(db, run, reports, None))


def octets_of(lab: Lab) -> bytes:
    return lab.made.path.read_bytes()


def problems(folder: Path, octets: bytes) -> str:
    path = folder / "x.zip"
    path.write_bytes(octets)
    return "\n".join(check_evidence(path).problems)


def members(octets: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(octets)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(content: dict[str, bytes], **infos: Callable[[zipfile.ZipInfo], None]) -> bytes:
    """An archive as labctl would write it; `infos` change the entry of a member."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, octets in content.items():
            info = member_info(name, 1_795_000_000_000_000)
            infos.get(name, lambda info: None)(info)
            archive.writestr(info, octets)
    return file.getvalue()


def test_all_that_the_verdict_rests_on_is_in_it(lab: Lab) -> None:
    stem = f"virtual-run-{lab.run}"
    found = members(octets_of(lab))
    assert set(found) >= {
        "MANIFEST",
        *(f"{stem}.{suffix}" for suffix in ("html", "md", "json", "junit.xml", "db", "log")),
        CAPTURE,
    }
    lines = found["MANIFEST"].decode().splitlines()
    sums = {line[66:]: line[:64] for line in lines if not line.startswith("#")}
    assert set(sums) == set(found) - {"MANIFEST"}
    for name, digest in sums.items():
        assert hashlib.sha256(found[name]).hexdigest() == digest
    for path in write_report(lab.db, lab.run, lab.folder / "again"):
        assert found[path.name] == path.read_bytes()
    assert b"case J02 kitchen-cad, attempt 2: fail" in found[f"{stem}.log"]
    assert lab.made.left_out[0].startswith("configuration.json: ")
    assert b"# left out: configuration.json: " in found["MANIFEST"]
    checked = check_evidence(lab.made.path, lab.made.sha256)
    assert checked.problems == ()
    assert checked.about == f"rig virtual, run {lab.run}, labctl 0.1.0: fail"
    assert checked.left_out == lab.made.left_out


def test_the_same_record_makes_the_same_octets(lab: Lab) -> None:
    before = octets_of(lab)
    again = make_evidence(lab.db, str(lab.run), lab.reports, None)
    assert octets_of(lab) == before
    assert again.sha256 == lab.made.sha256
    with closing(open_for_reading(lab.db)) as db:
        rows = db.execute(
            "SELECT run_id, path, sha256, bytes FROM artefacts WHERE kind = 'evidence'"
        ).fetchall()
    assert rows == [(lab.run, lab.made.path.name, lab.made.sha256, len(before))]


def test_the_extract_is_a_sound_database_of_this_run_alone(lab: Lab, tmp_path: Path) -> None:
    stem = f"virtual-run-{lab.run}"
    found = members(octets_of(lab))
    path = tmp_path / "extract.db"
    path.write_bytes(found[f"{stem}.db"])
    assert check(path).ok
    with closing(open_for_reading(path)) as db, closing(open_for_reading(lab.db)) as whole:
        tables = [
            name
            for (name,) in db.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%run_id%'"
            )
        ]
        for table in tables:
            kept = db.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()
            expected = whole.execute(
                f"SELECT * FROM {table} WHERE run_id = ? ORDER BY id", (lab.run,)
            ).fetchall()
            if table == "artefacts":
                expected = [row for row in expected if row[2] != "evidence"]
            assert kept == expected, table
        for table in ("runs", "cases", "devices", "join_steps", "measurements", "link_lqi_counts"):
            (count,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
            assert count, table
        assert db.execute("SELECT id FROM runs").fetchall() == [(lab.run,)]
        for view in ("v_case_results", "v_link_by_band", "v_rig_health"):
            assert db.execute(f"SELECT * FROM {view}").fetchall()
    again = write_report(path, lab.run, tmp_path)
    assert {p.name: p.read_bytes() for p in again} == {p.name: found[p.name] for p in again}


def test_a_capture_that_is_gone_or_changed_is_left_out_and_said(lab: Lab, tmp_path: Path) -> None:
    db, reports = tmp_path / "lab.db", tmp_path / "reports"
    shutil.copy(lab.db, db)
    shutil.copytree(lab.reports, reports)
    (reports / CAPTURE).write_bytes(b"other")
    made = make_evidence(db, lab.run, reports, None)
    assert f"{CAPTURE}: it is not what was recorded" in made.left_out
    (reports / CAPTURE).unlink()
    made = make_evidence(db, lab.run, reports, None)
    assert f"{CAPTURE}: it cannot be read: No such file or directory" in made.left_out
    checked = check_evidence(made.path)
    assert checked.problems == ()
    assert any(CAPTURE in each for each in checked.left_out)


def test_only_a_campaign_that_is_over_has_evidence(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="run 1 is no campaign"):
        make_evidence(lab.db, 1, tmp_path, None)
    db = tmp_path / "open.db"
    with Recorder(db) as recorder:
        for event in healthy(hours=0.1, verdict=None).events():
            recorder(event)
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("UPDATE runs SET kind = 'campaign'")
        connection.commit()
    with pytest.raises(UsageError, match="has not ended"):
        make_evidence(db, 1, tmp_path, None)
    assert list(tmp_path.glob("*.zip")) == []


# -- what somebody may have done to it --------------------------------------------------------


def test_a_member_that_was_altered_added_or_taken_out_is_found(lab: Lab, tmp_path: Path) -> None:
    found = members(octets_of(lab))
    report = f"virtual-run-{lab.run}.html"
    altered = found | {report: found[report].replace(b"Fail", b"Pass")}
    assert problems(tmp_path, packed(altered)) == f"{report}: it was altered"
    added = found | {"more.pcap": b"x"}
    assert "more.pcap: it was added" in problems(tmp_path, packed(added))
    missing = {name: octets for name, octets in found.items() if name != CAPTURE}
    assert problems(tmp_path, packed(missing)) == f"{CAPTURE}: it is missing"
    bare = {name: octets for name, octets in found.items() if name != "MANIFEST"}
    assert "it has no MANIFEST" in problems(tmp_path, packed(bare))
    assert "it has no MANIFEST" in problems(tmp_path, packed({}))
    later = found | {"MANIFEST": found["MANIFEST"].replace(b"evidence 1", b"evidence 2")}
    assert "is not 'labctl evidence 1'" in problems(tmp_path, packed(later))
    strange = found | {"MANIFEST": found["MANIFEST"] + b"and more\n"}
    assert "no line of a manifest" in problems(tmp_path, packed(strange))
    assert problems(tmp_path, packed(found)) == "", "it is what was done to it that is found"


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/x", "a/../../x", "a\\..\\x", "C:x", "a//b", "a/./b", ".x", "x.", "a b", "é", ""],
)
def test_a_name_that_leads_elsewhere_is_refused(lab: Lab, tmp_path: Path, name: str) -> None:
    found = members(octets_of(lab)) | {name: b"x"}
    found["MANIFEST"] += f"{hashlib.sha256(b'x').hexdigest()}  {name}\n".encode()
    assert "name is not one of an archive" in problems(tmp_path, packed(found))


def test_a_member_of_the_same_name_twice_is_refused(lab: Lab, tmp_path: Path) -> None:
    found = members(octets_of(lab))
    file = io.BytesIO(packed(found))
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(member_info(CAPTURE, 1_795_000_000_000_000), b"other")
    assert f"two members of the name {CAPTURE}" in problems(tmp_path, file.getvalue())


@pytest.mark.parametrize(
    "change",
    [
        lambda info: setattr(info, "external_attr", 0o120777 << 16),
        lambda info: setattr(info, "external_attr", 0o104755 << 16),
        lambda info: setattr(info, "comment", b"psst"),
        lambda info: setattr(info, "extra", struct.pack("<HH2s", 0xCAFE, 2, b"hi")),
        lambda info: setattr(info, "compress_type", zipfile.ZIP_STORED),
        lambda info: setattr(info, "compress_type", zipfile.ZIP_BZIP2),
        lambda info: setattr(info, "date_time", (2020, 1, 1, 0, 0, 0)),
        lambda info: setattr(info, "create_system", 0),
    ],
)
def test_an_entry_that_labctl_would_not_write_is_refused(
    lab: Lab, tmp_path: Path, change: Callable[[zipfile.ZipInfo], None]
) -> None:
    found = members(octets_of(lab))
    assert problems(tmp_path, packed(found, **{CAPTURE: change})) != ""


def test_a_bomb_is_not_unpacked(lab: Lab, tmp_path: Path) -> None:
    """Too much is believed and not read; too little is held against it."""
    found = members(octets_of(lab))
    sound = bytearray(packed(found | {"bomb": bytes(50_000_000)}))
    said = problems(tmp_path, bytes(sound))
    assert said == "bomb: it was added, MANIFEST does not have it", "added, and not even read"
    for size, expected in (((1 << 32) - 2, "at most are read"), (10, "")):
        lying = bytearray(sound)
        # The size in the directory's entry for it, which is the last.
        at = lying.rindex(b"PK\1\2") + 24
        lying[at : at + 4] = struct.pack("<L", size)
        told = problems(tmp_path, bytes(lying))
        assert told
        assert expected in told
    assert (1 << 32) - 2 + len(sound) > MOST_OCTETS


def test_too_many_members_are_not_looked_at(lab: Lab, tmp_path: Path) -> None:
    found = members(octets_of(lab)) | {f"m{number}": b"" for number in range(20_001)}
    assert "at most are read" in problems(tmp_path, packed(found))


@pytest.mark.parametrize(
    "change",
    [
        lambda octets: octets[:-1],
        lambda octets: octets[: len(octets) // 2],
        lambda octets: octets[:10],
        lambda octets: b"",
        lambda octets: b"no zip at all",
        lambda octets: octets + b"\0",
        lambda octets: b"#!/bin/sh\n" + octets,
        lambda octets: octets + octets,
    ],
)
def test_a_file_that_is_cut_or_grown_is_found(
    lab: Lab, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    assert problems(tmp_path, change(octets_of(lab)))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_is_changed_it_is_found_or_changes_nothing(
    lab: Lab, tmp_path: Path, data: st.DataObject
) -> None:
    octets = bytearray(octets_of(lab))
    tail = data.draw(st.booleans())
    low = len(octets) - 2000 if tail else 0
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(low, len(octets) - 1))
        octets[at] ^= data.draw(st.integers(1, 255))
    if bytes(octets) == octets_of(lab):
        return
    if not problems(tmp_path, bytes(octets)):
        # Bits behind the end of a compressed stream hold nothing.
        assert members(bytes(octets)) == members(octets_of(lab))


# -- the commands -----------------------------------------------------------------------------


def test_verify_says_in_its_exit_code_whether_it_is_whole(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(lab.made.path)
    assert main(["evidence", "verify", path]) == 0
    assert main(["evidence", "verify", path, "--sha256", lab.made.sha256.upper()]) == 0
    capsys.readouterr()
    assert main(["evidence", "verify", path, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "labctl.evidence.verify/1"
    assert told["data"]["ok"] is True
    assert main(["evidence", "verify", path, "--sha256", "00" * 32]) == 69
    cut = tmp_path / "cut.zip"
    cut.write_bytes(octets_of(lab)[:-5])
    assert main(["evidence", "verify", str(cut)]) == 69
    assert "it is no whole ZIP file" in capsys.readouterr().err
    assert main(["evidence", "verify", str(tmp_path / "none.zip")]) == 2
    assert main(["evidence", "verify", str(tmp_path)]) == 2


def test_make_takes_a_rig_or_a_run(
    lab: Lab,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    told = []
    for which in ("virtual", str(lab.run)):
        words = ["--db", str(lab.db), "--reports", str(lab.reports), "--json"]
        assert main(["evidence", "make", which, *words]) == 0
        told.append(json.loads(capsys.readouterr().out)["data"])
    assert told[0]["run_id"] == lab.run + 1, "the rig's newest"
    assert told[1]["sha256"] == lab.made.sha256
    assert main(["evidence", "make", "1", "--db", str(lab.db)]) == 2
