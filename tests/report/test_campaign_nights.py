"""The pages of nights, and of what works with what: they say what the commands say."""

from __future__ import annotations

import dataclasses
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from synthetic_campaign import NASTY, write_campaign
from synthetic_runs import healthy
from test_report_pages import LEFT_OVER, parsed
from test_trend import record_nights

from labctl.cli.main import main
from labctl.record.database import open_for_reading
from labctl.record.matrix import MatrixRow
from labctl.record.matrix import matrix as matrix_of
from labctl.record.trend import Trend
from labctl.record.trend import trend as trend_of
from labctl.report.matrix import html as matrix_page
from labctl.report.nights import html as nights_page


def sound(page: str) -> str:
    """The page's text, once it was looked through."""
    checker = parsed(page)
    assert checker.problems == []
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    text = " ".join(checker.text)
    assert not re.search(LEFT_OVER, text)
    assert "http" not in page.replace("http-equiv", "")
    return text


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trend]:
    path = tmp_path_factory.mktemp("nights") / "lab.db"
    record_nights(path, 60, lost={"cad-1": (45, 0.05)}, reference="cad-2", flaky_from=50)
    with closing(open_for_reading(path)) as db:
        return path, trend_of(db, "lab")


def test_what_changed_is_drawn_with_its_level_and_when(nights: tuple[Path, Trend]) -> None:
    _, found = nights
    page = nights_page(found)
    text = sound(page)
    changed = page.split('<h2 id="changed">', 1)[1].split("<h2", 1)[0]
    assert "cad-1: delivery loss" in changed
    assert "regression" in changed
    assert changed.count('<i class="night"') == 60
    assert changed.count('<line class="changed"') == 1
    assert 'class="usual" d="M' in changed
    assert "the reference device cad-2 did not move" in text
    assert page.count("<details") == len(found.findings) - 1
    assert re.search(r"10 of 60\s.*5?\d to \d+ %", text)


def test_what_became_the_level_is_shown_although_the_stream_is_steady(
    nights: tuple[Path, Trend],
) -> None:
    _, found = nights
    assert "Became the level" not in nights_page(found)
    (moved, *rest) = found.findings
    change = moved.drift.change
    assert change is not None
    settled = dataclasses.replace(
        moved, drift=dataclasses.replace(moved.drift, change=None, past=(change,))
    )
    back = dataclasses.replace(
        moved,
        drift=dataclasses.replace(
            moved.drift, change=None, past=(dataclasses.replace(change, over=True),)
        ),
    )
    text = sound(nights_page(dataclasses.replace(found, findings=(settled, *rest))))
    assert text.index("Became the level") < text.index("What has changed")
    assert re.search(r"Became the level.*delivery loss.*2\s% to", text, flags=re.S)
    assert "Became" not in nights_page(dataclasses.replace(found, findings=(back, *rest)))


def test_a_rig_of_few_nights_has_a_page_too(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    record_nights(path, 1, lost={})
    with closing(open_for_reading(path)) as db:
        text = sound(nights_page(trend_of(db, "lab")))
    assert "Too early to say" in text
    empty = Trend(rig="<b>", reference=None, nights=0, findings=(), flakes=())
    assert "there are none yet" in sound(nights_page(empty))


def test_the_commands_write_the_pages(
    nights: tuple[Path, Trend], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = nights
    for words, title in (
        (["trend", "lab"], "labctl trend"),
        (["matrix"], "What works with what"),
    ):
        target = tmp_path / "pages" / f"{words[0]}.html"
        assert main([*words, "--db", str(path), "--html", str(target)]) == 0
        assert capsys.readouterr().out.strip() == str(target)
        assert title in sound(target.read_text())
        assert main([*words, "--db", str(path), "--html", str(target), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["data"]
        assert main([*words, "--db", str(path), "--html", str(path / "x.html")]) == 2
    assert main(["matrix", "--db", str(path), "--csv", "--html", str(tmp_path / "m")]) == 2


def test_a_row_says_what_it_is_of_and_whether_it_still_holds(tmp_path: Path) -> None:
    db = tmp_path / "lab.db"
    story = healthy(hours=0.5)
    story.actors[0].name = NASTY.replace("\x00", "")
    run = write_campaign(db, cases=5, story=story, good=True)
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("UPDATE devices SET firmware_version = '9.9' WHERE name = 'hall-ihd'")
        connection.execute(
            "INSERT INTO artefacts (run_id, kind, path, sha256, bytes) VALUES (?, ?, ?, ?, ?)",
            (run, "evidence", "x.zip", "ab" * 32, 1),
        )
        connection.commit()
    with closing(open_for_reading(db)) as connection:
        rows = matrix_of(connection)
    page = matrix_page(rows)
    text = sound(page)
    assert len(rows) == 2
    assert page.count('<tr class="stale">') == 1
    assert "now 9.9" in text
    assert "1 stale: a retest is due" in text
    assert page.count("ab" * 6 + "</code>") == 2
    assert text.count("simulated") == 2
    assert "<script>" not in page


def test_without_a_campaign_the_page_says_how_to_get_one() -> None:
    rows: list[MatrixRow] = []
    assert "labctl campaign run RIG" in sound(matrix_page(rows))
