"""The summary says what is bad first, and always fits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from synthetic_campaign import NASTY, crowd, write_campaign
from synthetic_runs import healthy

from labctl import events as ev
from labctl.record.database import open_for_reading
from labctl.record.queries import load_run
from labctl.report.summary import MOST_OCTETS, summary


def made(folder: Path, most: int = MOST_OCTETS, **how: object) -> str:
    path = folder / "lab.db"
    path.unlink(missing_ok=True)
    run_id = write_campaign(path, **how)  # type: ignore[arg-type]
    connection = open_for_reading(path)
    try:
        return summary(load_run(connection, run_id), most)
    finally:
        connection.close()


def failing(**changes: object) -> object:
    return healthy(hours=1.0, verdict=ev.Verdict.FAIL, **changes)


def test_what_failed_comes_first_with_what_was_measured_and_the_limit(tmp_path: Path) -> None:
    text = made(tmp_path, cases=42, story=failing())
    sections = re.findall(r"^## (.*)$", text, flags=re.M)
    assert sections == [
        "Failures",
        "Infrastructure, not the product",
        "Incomplete",
        "Marginal",
        "In quarantine",
        "All cases",
    ]
    assert text.startswith("# virtual: fail\n")
    assert re.search(r"\| authorised\\_s \| 1\d{3}(\.\d+)? s \| at most 1200 s \|", text)
    assert "the display team, until 2026-12-31: known defect" in text
    assert "frames 12 to 341" in text


def test_a_cause_of_the_rig_is_said_once(tmp_path: Path) -> None:
    text = made(tmp_path, cases=200, story=failing())
    assert text.count("the radio main was lost meanwhile") == 1


def test_each_case_is_in_the_table_with_a_mark_for_each_device(tmp_path: Path) -> None:
    text = made(tmp_path, cases=42, good=True)
    rows = re.findall(r"^\| [JKDARSL]\d\d \| .* \| ✓ \| ✓ \|  \|$", text, flags=re.M)
    assert len(rows) == 42
    assert "## Failures" not in text


@pytest.mark.parametrize("cases", [0, 42, 200, 900])
@pytest.mark.parametrize("nasty", [False, True])
def test_it_always_fits(tmp_path: Path, cases: int, nasty: bool) -> None:
    text = made(tmp_path, cases=cases, nasty=nasty, story=crowd(0.3) if cases == 900 else failing())
    assert len(text.encode()) <= MOST_OCTETS
    if cases == 900:
        assert re.search(r"^… and \d+ more failures; the report has them all\.$", text, flags=re.M)


@pytest.mark.parametrize("most", [600, 1000, 2000, 5000, 9000])
def test_however_small_the_room_what_is_left_out_is_counted(tmp_path: Path, most: int) -> None:
    whole = made(tmp_path, cases=60, story=failing())
    text = made(tmp_path, most, cases=60, story=failing())
    assert len(text.encode()) <= most
    failures = whole.count("### ✗")
    counted = re.search(r"… and (\d+) more failures", text)
    left = int(counted[1]) if counted else 0
    assert text.count("### ✗") + left == failures


def test_what_others_wrote_is_shown_as_text(tmp_path: Path) -> None:
    text = made(tmp_path, cases=42, nasty=True, story=failing())
    assert "<script>" not in text
    assert "\x1b" not in text
    assert NASTY not in text
    for line in text.splitlines():
        if line.startswith("| ") and "✓" in line:
            assert len(re.findall(r"(?<!\\)\|", line)) == 6
