"""The report says what was recorded, in three forms that agree, and needs nothing from outside."""

from __future__ import annotations

import html.parser
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic_bearers import dual_band
from synthetic_runs import Actor, Story, crowd, emit, healthy, troubled

from labctl import events as ev
from labctl.record.recorder import Recorder
from labctl.report import write_report

VOID = {"meta", "br", "link", "img", "hr", "input"}
LEFT_OVER = r"\bNone\b(?! (?:in|took))|\bnan\b|Undefined|\{\{|\{%|<br/>"
PATH = r"[MLHVZhz0-9. ]*"


class Strict(html.parser.HTMLParser):
    """Notices what browsers forgive."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.problems: list[str] = []
        self.text: list[str] = []
        self.styles = ""
        self.icon = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if len(named) != len(attrs):
            self.problems.append(f"<{tag}> repeats an attribute")
        if "id" in named:
            self.ids.append(named["id"] or "")
        if tag == "a":
            self.targets.append(named.get("href") or "")
        if tag == "th" and named.get("scope") not in ("col", "row"):
            self.problems.append("a header cell without scope")
        if tag == "figcaption" and (not self.open or self.open[-1] != "figure"):
            self.problems.append("figcaption outside figure")
        if tag in ("li",) and self.open[-1] not in ("ul", "ol"):
            self.problems.append("li outside a list")
        if tag in ("td", "th") and self.open[-1] != "tr":
            self.problems.append(f"{tag} outside tr")
        inside_p = "p" in self.open
        if inside_p and tag in ("div", "p", "ul", "table", "figure", "dl", "h2", "h3", "h4"):
            self.problems.append(f"<{tag}> inside <p>")
        described = named.get("role") == "img" and len(named.get("aria-label") or "") >= 10
        if tag == "svg" and "aria-hidden" not in named and not described:
            self.problems.append("a drawing without a description")
        for name in ("src", "srcset", "data", "xlink:href", "onclick", "onload"):
            if name in named:
                self.problems.append(f"<{tag} {name}>")
        for name in ("x", "y", "width", "height", "x1", "x2"):
            if tag in ("rect", "line") and name in named:
                value = float(named[name] or "nan")
                if not -0.01 <= value <= 100.01:
                    self.problems.append(f"<{tag} {name}={value}>")
        if tag == "path" and not self.icon and not re.fullmatch(PATH, named.get("d") or ""):
            self.problems.append(f"path {named.get('d')!r:.60}")
        if tag == "svg":
            self.icon = "aria-hidden" in named
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if "svg" not in self.open:
            self.problems.append(f"<{tag}/> outside a drawing")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.problems.append(f"</{tag}> closes {self.open[-1:]}")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.styles += data
        else:
            self.text.append(data)


Reported = Callable[..., tuple[str, str, dict]]


@pytest.fixture
def report(tmp_path: Path) -> Reported:
    def made(story: Story, *more: ev.Event) -> tuple[str, str, dict]:
        path = tmp_path / "lab.db"
        with Recorder(path) as recorder:
            events = list(story.events())
            ended = [e for e in events if isinstance(e, ev.RunEnded)]
            for event in [*[e for e in events if e not in ended], *more, *ended]:
                recorder(event)
            recorder.flush()
            run_id = recorder.run_id
        assert run_id is not None
        page, markdown, facts = write_report(path, run_id, tmp_path / "reports")
        return page.read_text(), markdown.read_text(), json.loads(facts.read_text())

    return made


def parsed(page: str) -> Strict:
    checker = Strict()
    checker.feed(page)
    checker.close()
    return checker


STORIES: dict[str, Callable[[], Story]] = {
    "healthy": lambda: healthy(hours=3),
    "troubled": lambda: troubled(hours=18),
    "crowd": lambda: crowd(hours=0.5),
    "empty": lambda: Story(actors=[], hours=0.01, verdict=None),
    "no-radio": lambda: Story(actors=[], hours=0.01, radio_comes_up=False),
    "one-read": lambda: Story(actors=[Actor(2, "solo")], hours=0.02),
    "never-joined": lambda: Story(
        actors=[Actor(2, None, failed_joins=9, joins=False, described=False)], hours=0.3
    ),
    "no-rssi": lambda: Story(actors=[Actor(2, "znp", knows_rssi=False)], hours=0.3),
    "one-value": lambda: Story(actors=[Actor(2, "flat", jitter_ms=0)], hours=0.04),
    "dual-band": lambda: dual_band(hours=14.2),
    "dual-band-at-its-start": lambda: dual_band(hours=0.1),
    "came-paired": lambda: Story(actors=[Actor(2, "old", came_paired=True)], hours=0.5),
}


@pytest.mark.parametrize("name", STORIES)
def test_the_page_is_sound_html_with_headers_and_descriptions(report: Reported, name: str) -> None:
    page, markdown, _ = report(STORIES[name]())
    assert page.startswith("<!DOCTYPE html>\n<html lang=")
    checker = parsed(page)
    assert checker.problems == []
    assert checker.open == []
    assert len(set(checker.ids)) == len(checker.ids)
    assert {target.removeprefix("#") for target in checker.targets} <= set(checker.ids)
    for text in (page, markdown):
        assert not re.search(r"\bNone\b(?! (?:in|took))|\bnan\b|Undefined|\{\{|\{%|<br/>", text), (
            name
        )


@pytest.mark.parametrize("name", STORIES)
def test_the_page_asks_for_nothing_from_outside(report: Reported, name: str) -> None:
    page, _, _ = report(STORIES[name]())
    assert "default-src 'none'" in page
    lowered = page.lower()
    for word in ("http://", "https://", "//cdn", "url(", "@import", "<script", "<link", "<img"):
        assert word not in lowered


def test_what_a_device_calls_itself_is_text_whatever_it_holds(report: Reported) -> None:
    nasty = '<script>alert(1)</script>"><img src=x onerror=y> | `x` *b* [l](http://e) &amp;'
    story = Story(actors=[Actor(2, nasty)], hours=0.2)
    refusal = ev.Refused(
        at_us=story.end_us - 1,
        eui64=story.actors[0].eui64,
        layer="zcl",
        cause=f"cause {nasty}\nsecond line",
    )
    note = ev.Note(
        at_us=story.end_us - 1,
        kind="odd",
        severity=ev.Severity.WARNING,
        detail={"<b>key</b>": nasty},
    )
    page, markdown, facts = report(story, refusal, note)
    checker = parsed(page)
    assert checker.problems == []
    assert "<script" not in page
    assert "<img" not in page
    assert any(nasty in text for text in checker.text)
    assert facts["devices"][0]["label"] == nasty
    assert "<script" not in markdown
    assert not re.search(r"(?<!\\)\]\(http", markdown)
    rows = [line for line in markdown.splitlines() if "alert" in line and line.startswith("|")]
    assert rows
    widths = {len(re.findall(r"(?<!\\)\|", row)) for row in rows if "second line" not in row}
    assert widths <= {9, 13, 11, 8}


def test_a_simulated_run_is_marked_so_everywhere_and_a_real_one_nowhere(report: Reported) -> None:
    page, markdown, facts = report(healthy(hours=0.2))
    assert 'class="banner"' in page
    assert "(simulated)" in re.findall(r"<title>(.*?)</title>", page)[0]
    assert "**Simulated.**" in markdown
    assert facts["run"]["simulated"] is True
    page, markdown, facts = report(healthy(hours=0.2, simulated=False))
    text = "".join(parsed(page).text) + markdown
    assert "simulated" not in text.lower().replace("or its simulation measured", "")
    assert facts["run"]["simulated"] is False


def test_the_page_holds_what_a_reader_needs(report: Reported) -> None:
    page, _, facts = report(troubled(hours=18))
    text = re.sub(r"\s+", " ", " ".join(parsed(page).text))
    for expected in (
        "Fail",
        "kitchen-cad",
        "hall-ihd",
        "00:0d:6f:00:0a:90:00:04",
        "never-heard",
        "key confirmation failed: the MACs differ",
        "MAC did not match",
        "a CAD may only read",
        "not in the device log",
        "the port vanished",
        "firmware 1.4.2",
        "7.4.1.0",
        "PAN 0x1a62",
        "Clopper and Pearson",
        "9b1c" * 16,
        "bench-3",
        "electricity: Metering 0x0702, every 10 s ± 2 s",
        "every 30 min ± 1 min",
        "secured rejoin",
        "link key installed",
        "Method",
    ):
        assert expected in text, expected
    cad = next(d for d in facts["devices"] if d["label"] == "kitchen-cad")
    gap = cad["schedules"][0]["longest_gaps"][0]
    assert gap["length_us"] >= 3_600_000_000
    assert f"{gap['missed']:,}" in text
    assert page.count('class="gap') >= cad["schedules"][0]["gaps"] // 2
    assert page.count('class="steps"') == 3 + 1 + 3  # two failed and one good, one good, three


def test_the_three_forms_agree(report: Reported) -> None:
    page, markdown, facts = report(troubled(hours=12))
    assert facts["format"] == "labctl-report"
    text = " ".join(parsed(page).text).replace("\u00a0", " ")
    assert f"# north-lab: {facts['verdict']['verdict']}" in markdown

    def table(heading: str) -> list[list[str]]:
        section = markdown.split(f"{heading}\n\n", 1)[1].split("\n\n", 1)[0]
        return [
            [cell.strip().replace("\\", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in section.splitlines()[2:]
        ]

    reads = table("### Reads")
    expected = [
        [
            d["label"],
            s["name"],
            str(s["expected"]),
            str(s["observed"]),
            str(s["missed"]),
            str(s["missed_counting"]),
            str(s["early"]),
            str(s["late"]),
        ]
        for d in facts["devices"]
        for s in d["schedules"]
    ]
    assert [[row[i] for i in (0, 1, 3, 4, 5, 6, 10, 11)] for row in reads] == expected
    links = table("### Links")
    assert sorted((row[0], row[5], row[7], row[10]) for row in links) == sorted(
        (
            d["label"],
            str(link["samples"]),
            f"{link['rssi_median_dbm']} dBm",
            str(link["lqi_median"]),
        )
        for d in facts["devices"]
        for link in d["links"]
    )
    joins = table("### Join attempts")
    assert len(joins) == facts["totals"]["joins"]
    for device in facts["devices"]:
        for schedule in device["schedules"]:
            assert f"{schedule['observed']:,}" in text
        for finding in device["findings"]:
            assert finding["text"] in text
    assert f"{facts['totals']['reads']:,}" in text
    for refusal in facts["refusals"]:
        assert refusal["cause"] in text
        assert refusal["cause"] in markdown


def test_the_verdict_that_was_given_stands(report: Reported) -> None:
    story = healthy(hours=6, verdict=ev.Verdict.INCOMPLETE, reasons=("stopped by hand",))
    page, markdown, facts = report(story)
    assert facts["verdict"]["verdict"] == "incomplete"
    assert facts["verdict"]["as_assessed_now"] == "pass"
    assert facts["verdict"]["certainty"] is None
    assert facts["verdict"]["reasons"] == ["stopped by hand"]
    assert "stopped by hand" in page
    assert "stopped by hand" in markdown


def test_a_run_that_goes_on_is_said_to(report: Reported) -> None:
    page, markdown, facts = report(healthy(hours=0.5, verdict=None))
    assert "has not ended" in page
    assert "has not ended" in markdown
    assert facts["run"]["ended"] is None


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    with Recorder(tmp_path / "lab.db") as recorder:
        emit(troubled(hours=12), recorder)
    first = write_report(tmp_path / "lab.db", 1, tmp_path / "a")
    second = write_report(tmp_path / "lab.db", 1, tmp_path / "b")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_a_whole_day_stays_small(tmp_path: Path) -> None:
    with Recorder(tmp_path / "lab.db") as recorder:
        emit(healthy(hours=24), recorder)
        emit(crowd(hours=3), recorder)
    (day,) = write_report(tmp_path / "lab.db", 1, tmp_path, ["html"])
    (many,) = write_report(tmp_path / "lab.db", 2, tmp_path, ["html"])
    assert day.stat().st_size < 200_000
    assert many.stat().st_size < 1_500_000


def test_no_reason_is_left_out_of_the_facts(report: Reported) -> None:
    _, markdown, facts = report(crowd(hours=0.5))
    assert len(facts["verdict"]["reasons"]) >= 32
    assert markdown.count("\n- ") >= 32


def test_reports_are_about_the_devices_own_run(report: Reported) -> None:
    first = healthy(hours=0.2)
    report(first)
    later = healthy(hours=0.2)
    seen = ev.DeviceSeen(
        at_us=later.end_us - 1, eui64=later.actors[0].eui64, firmware_version="9.9.9"
    )
    _, _, facts = report(later, seen)
    assert facts["devices"][0]["firmware_version"] == "9.9.9"


def test_an_older_runs_report_keeps_the_firmware_of_its_time(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    with Recorder(path) as recorder:
        emit(healthy(hours=0.1), recorder)
        emit(healthy(hours=0.1), recorder)
        recorder(
            ev.DeviceSeen(
                at_us=healthy(hours=0.1).end_us,
                eui64=healthy().actors[0].eui64,
                firmware_version="2.0",
            )
        )
    (old,) = write_report(path, 1, tmp_path, ["json"])
    (new,) = write_report(path, 2, tmp_path, ["json"])
    assert json.loads(old.read_text())["devices"][0]["firmware_version"] == "1.4.2"
    assert json.loads(new.read_text())["devices"][0]["firmware_version"] == "2.0"
