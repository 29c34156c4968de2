"""The JUnit file is what every CI system reads, whatever devices and cases say.

The structure that is checked is that of Windy Road's JUnit.xsd (github.com/windyroad/JUnit-Schema):
order and number of elements, required attributes and their types; the laxer schema of Jenkins'
xUnit plugin allows all of it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from synthetic_campaign import NASTY, write_campaign
from synthetic_runs import Story, healthy

from labctl import events as ev
from labctl.cli.main import main
from labctl.record.recorder import Recorder
from labctl.report import write_report

TOKEN = re.compile(r"\S+(?: \S+)*")
INT = re.compile(r"\d{1,9}")
DECIMAL = re.compile(r"\d+\.\d{3}")
TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")
ATTRIBUTES = {
    "testsuites": {},
    "testsuite": {
        "name": TOKEN, "package": TOKEN, "hostname": TOKEN, "id": INT, "tests": INT,
        "failures": INT, "errors": INT, "skipped": INT, "time": DECIMAL, "timestamp": TIMESTAMP,
    },
    "properties": {},
    "property": {"name": TOKEN, "value": re.compile(r"(?s).*")},
    "testcase": {"name": TOKEN, "classname": TOKEN, "time": DECIMAL},
    "failure": {"message": re.compile(r"(?s).+"), "type": re.compile(r"fail")},
    "error": {"message": re.compile(r"(?s).+"), "type": re.compile(r"infrastructure-error")},
    "skipped": {"message": re.compile(r"(?s).+")},
    "system-out": {},
    "system-err": {},
}  # fmt: skip
CHILDREN = {
    "testsuites": r"(testsuite )*",
    "testsuite": r"properties (testcase )*system-out system-err ",
    "properties": r"(property )*",
    "testcase": r"((failure|error|skipped) )?",
}


def checked(text: str) -> ElementTree.Element:
    """The tree, once every rule of the schema was held against it."""
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites"
    for element in root.iter():
        allowed = ATTRIBUTES[element.tag]
        assert set(element.attrib) == set(allowed), element.tag
        for name, value in element.attrib.items():
            assert allowed[name].fullmatch(value), (element.tag, name, value)
        children = "".join(f"{child.tag} " for child in element)
        assert re.fullmatch(CHILDREN.get(element.tag, ""), children), (element.tag, children)
        if element.tag in CHILDREN:
            assert not (element.text or "").strip(), f"text in {element.tag}"
    for number, suite in enumerate(root):
        assert suite.get("id") == str(number)
        cases = suite.findall("testcase")
        assert int(suite.get("tests", "")) == len(cases)
        for tag, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.get(count, "")) == sum(case.find(tag) is not None for case in cases)
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(names) == len(set(names)), "CI systems keep history by these"
    return root


def junit(folder: Path, **how: object) -> ElementTree.Element:
    run_id = write_campaign(folder / "lab.db", **how)  # type: ignore[arg-type]
    (path,) = write_report(folder / "lab.db", run_id, folder, ["junit"])
    assert path.name == f"virtual-run-{run_id}.junit.xml"
    return checked(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("cases", [0, 1, 42, 200])
def test_it_keeps_to_the_schema(tmp_path: Path, cases: int) -> None:
    root = junit(tmp_path, cases=cases)
    assert len(list(root.iter("testcase"))) == 1 + (2 * cases + 1 if cases else 0)


def test_what_others_wrote_cannot_break_it(tmp_path: Path) -> None:
    story = healthy(hours=1.0)
    story.actors[0].name = f"cad {NASTY}"
    root = junit(tmp_path, cases=42, nasty=True, story=story)
    messages = [element.get("message", "") for element in root.iter("failure")]
    assert messages
    assert all("<script>alert(1)</script>" in message for message in messages)
    assert all("]]>" in message and "\ufffd" in message for message in messages)


def test_each_outcome_has_its_element_and_says_why(tmp_path: Path) -> None:
    root = junit(tmp_path, cases=200)
    said = {
        (child.tag, re.split(r"[ (:]", child.get("message", ""))[0])
        for case in root.iter("testcase")
        for child in case
    }
    assert said == {
        ("failure", "authorised_s"),
        ("error", "the"),
        ("skipped", "incomplete"),
        ("skipped", "not"),
        ("skipped", "skipped"),
        ("skipped", "in"),
    }
    (message, *_) = {failure.get("message") for failure in root.iter("failure")}
    assert message == "authorised_s 1310 s, at most 1200 s"
    quarantined = [
        skipped.get("message", "")
        for skipped in root.iter("skipped")
        if skipped.get("message", "").startswith("in quarantine")
    ]
    assert quarantined[0] == (
        "in quarantine (the display team, until 2026-12-31: known defect):"
        " authorised_s 1310 s, at most 1200 s"
    )
    for failure in root.iter("failure"):
        assert "attempt 2: fail" in (failure.text or "")
        assert "frames 12 to 341" in (failure.text or "")


def test_the_properties_say_with_what_it_was_played(tmp_path: Path) -> None:
    root = junit(tmp_path, cases=3)
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["rig", "kitchen-cad", "hall-ihd"]
    found = {p.get("name"): p.get("value") for p in suites["hall-ihd"].iter("property")}
    assert found["rig"] == "virtual"
    assert found["seed"] == "41"
    assert found["radio.main.firmware"] == "7.4.1.0"
    assert found["radio.main.driver"] == "ezsp"
    assert found["device.firmware"] == "1.4.2"
    assert found["labctl"] == "0.1.0"
    assert found["verdict"] == "pass"
    assert "seed" in found
    out = suites["hall-ihd"].findtext("system-out") or ""
    assert re.search(r"authorised_s [\d.]+ s, at most 1200 s, good to 300 s", out)


def test_names_are_the_same_the_next_night(tmp_path: Path) -> None:
    def names(root: ElementTree.Element) -> list[tuple[str | None, str | None]]:
        return [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]

    first = names(junit(tmp_path, cases=20))
    again = names(junit(tmp_path, cases=20, good=True))
    assert first == again
    assert ("virtual.kitchen-cad", "J01") in first


def test_a_rig_that_did_not_open_is_an_error_of_the_rig(tmp_path: Path) -> None:
    with Recorder(tmp_path / "lab.db") as recorder:
        recorder(
            ev.RunStarted(
                at_us=1_795_000_000_000_000,
                rig="bench",
                kind="campaign",
                simulated=False,
                labctl_version="0.1.0",
                host="",
                config_sha256="00" * 32,
            )
        )
        recorder(
            ev.RunEnded(
                at_us=1_795_000_001_000_000,
                verdict=ev.Verdict.INFRASTRUCTURE_ERROR,
                reasons=("the rig: there is no stick at /dev/ttyUSB0",),
            )
        )
        recorder.flush()
    paths = write_report(tmp_path / "lab.db", 1, tmp_path)
    assert [path.name for path in paths][1:] == [
        "bench-run-1.md",
        "bench-run-1.json",
        "bench-run-1.junit.xml",
    ]
    (error,) = checked(paths[-1].read_text()).iter("error")
    assert error.get("message") == "the rig: there is no stick at /dev/ttyUSB0"
    assert "the rig: there is no stick at /dev/ttyUSB0" in paths[1].read_text()


def test_a_bench_run_has_none(tmp_path: Path) -> None:
    from labctl.errors import UsageError

    story: Story = healthy(hours=0.2)
    with Recorder(tmp_path / "lab.db") as recorder:
        for event in story.events():
            recorder(event)
        recorder.flush()
    assert len(write_report(tmp_path / "lab.db", 1, tmp_path)) == 3
    with pytest.raises(UsageError, match="is no campaign"):
        write_report(tmp_path / "lab.db", 1, tmp_path, ["junit"])


def test_the_report_command_writes_it_with_the_others_or_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = str(write_campaign(tmp_path / "lab.db", cases=3))
    words = ["--db", str(tmp_path / "lab.db"), "--out", str(tmp_path / "out"), "--json"]
    for more, formats in (
        ([], ["html", "md", "json", "junit"]),
        (["--format", "junit"], ["junit"]),
    ):
        assert main(["report", run_id, *words, *more]) == 0
        told = json.loads(capsys.readouterr().out)["data"]
        assert [each["format"] for each in told] == formats
        checked(Path(told[-1]["path"]).read_text())
