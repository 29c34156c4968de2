"""docs/campaign.md: its table is the code's, and its example runs."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from playing import rig_in

from labctl.campaign.catalogue import built_in, with_table
from labctl.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "campaign.md"


def test_the_table_of_cases_is_the_codes() -> None:
    text = PAGE.read_text()
    assert with_table(text) == text, "python -m labctl.campaign.catalogue docs/campaign.md"


def test_every_case_says_what_it_is_for_and_measures_something() -> None:
    for found in built_in():
        assert len(found.about.splitlines()) >= 1, found.case.name
        assert found.about.startswith(found.case.name), f"{found.case.name}: its module's docstring"
        assert found.case.measures, found.case.name


def test_no_two_cases_have_one_name() -> None:
    names = [found.case.name for found in built_in()]
    assert len(names) == len(set(names))


def test_the_case_of_the_page_is_ten_lines_and_runs(tmp_path: Path) -> None:
    (block,) = re.findall(
        r"<!-- own case: tested -->\n\n```python\n(.*?)```", PAGE.read_text(), flags=re.S
    )
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
    own = tmp_path / "test_gas.py"
    own.write_text(block)
    loaded = rig_in(tmp_path)
    words = ["--db", str(tmp_path / "labctl.db"), "--reports", str(tmp_path / "reports")]
    assert main(["campaign", "run", str(loaded.path), "X01", "--also", str(own), *words]) == 0


@pytest.mark.parametrize(("within_s", "code"), [(3600, 0), (0.001, 1)])
def test_plain_pytest_plays_a_labs_own_test_on_a_rig_and_ends_with_the_verdict(
    tmp_path: Path, within_s: float, code: int
) -> None:
    own = tmp_path / "test_own.py"
    own.write_text(
        "async def test_it_reads(device):\n"
        '    """A read."""\n'
        f"    await device.next_read(within_s={within_s})\n"
    )
    loaded = rig_in(tmp_path)
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--rig", str(loaded.path), "--labctl-db", "own.db"),
            *("-p", "no:cacheprovider", str(own)),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == code, ran.stdout + ran.stderr
    with sqlite3.connect(tmp_path / "own.db") as db:
        found = db.execute(
            "SELECT DISTINCT name, title, outcome FROM results JOIN cases"
        ).fetchall()
    assert found == [("it_reads", "A read.", "fail" if code else "pass")]


def test_without_a_rig_pytest_skips_what_takes_one(tmp_path: Path) -> None:
    own = tmp_path / "test_own.py"
    own.write_text("async def test_it_reads(device):\n    assert 0\ndef test_other(): pass\n")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(own)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed, 1 skipped" in ran.stdout
