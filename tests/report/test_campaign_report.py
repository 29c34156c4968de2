"""The page of a campaign: every case with its evidence, and nothing from outside."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from synthetic_campaign import crowd, write_campaign
from synthetic_runs import healthy
from test_report_pages import LEFT_OVER, parsed

from labctl import events as ev
from labctl.record.rows import Measurement
from labctl.report import write_report
from labctl.report.gauges import gauge


def page_of(folder: Path, **how: object) -> tuple[str, dict]:  # type: ignore[type-arg]
    run_id = write_campaign(folder / "lab.db", **how)  # type: ignore[arg-type]
    page, facts = write_report(folder / "lab.db", run_id, folder, ["html", "json"])
    return page.read_text(), json.loads(facts.read_text())


@pytest.mark.parametrize("how", ["none", "some", "many", "nasty", "crowd"])
def test_it_is_sound_and_needs_nothing_from_outside(tmp_path: Path, how: str) -> None:
    told = {
        "none": {"cases": 0},
        "some": {"cases": 42},
        "many": {"cases": 200},
        "nasty": {"cases": 42, "nasty": True},
        "crowd": {"cases": 12, "story": crowd(0.3)},
    }[how]
    page, _ = page_of(tmp_path, **told)
    checker = parsed(page)
    assert checker.problems == []
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    for target in checker.targets:
        assert target.startswith("#")
        assert target[1:] in checker.ids
    assert not re.search(LEFT_OVER, " ".join(checker.text))
    assert "<script>" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src 'none'" in page


def test_every_case_on_every_device_is_in_the_matrix_and_has_its_evidence(tmp_path: Path) -> None:
    page, facts = page_of(tmp_path, cases=42)
    cases = facts["campaign"]["cases"]
    assert len(cases) == 2 * 42 + 1
    for case in cases:
        anchor = f"case-{case['attempts'][0]['result_id']}"
        assert f'href="#{anchor}"' in page
        assert f'id="{anchor}"' in page
    failed = [c for c in cases if c["outcome"] == "fail" and c["counts"]]
    opened = re.findall(r'<details id="case-(\d+)" open>', page)
    assert {str(c["attempts"][0]["result_id"]) for c in failed} <= set(opened)
    assert "virtual-run-1/J02-kitchen-cad-2.pcap, frames 12 to 341" in page


def test_what_a_mark_means_is_said_in_words_too(tmp_path: Path) -> None:
    page, facts = page_of(tmp_path, cases=42)
    cells = re.findall(r'<td class="cell"><a .*?<span class="unseen">(.*?)</span>', page)
    assert len(cells) == len(facts["campaign"]["cases"])
    assert set(cells) >= {"pass", "fail", "marginal", "not applicable", "fail, in quarantine"}


def test_the_facts_say_what_happened_in_the_time_of_each_attempt(tmp_path: Path) -> None:
    story = healthy(hours=1.0)
    story.actors[0].refused_per_hour = 30
    story.radio_outages = ((600_000_000, 900_000_000),)
    _, facts = page_of(tmp_path, cases=42, story=story)
    attempts = [
        (case["device"], attempt)
        for case in facts["campaign"]["cases"]
        for attempt in case["attempts"]
        if attempt["measurements"] and case["device"] is not None
    ]
    for device, attempt in attempts:
        seconds = (attempt["ended_us"] - attempt["started_us"]) / 1e6
        evidence = attempt["evidence"]
        if not evidence["outages"]:
            assert 0 < evidence["reads"] <= seconds / 10 + 2
        assert bool(evidence["refused"]) <= (device == "kitchen-cad")
    assert any(attempt["evidence"]["refused"] for _, attempt in attempts)
    assert any(attempt["evidence"]["outages"] for _, attempt in attempts)
    assert facts["format"] == "labctl-report"
    assert facts["version"] == 1
    assert facts["campaign"]["seed"] == 41


def taken(value: float | None, **limits: float) -> Measurement:
    edges = {"least": None, "most": None, "good_from": None, "good_to": None} | limits
    return Measurement(name="x", unit="s", value=value, text="", outcome="pass", **edges)


@pytest.mark.parametrize(
    ("limits", "value"),
    [
        ({"most": 1200.0, "good_to": 300.0}, 31.0),
        ({"most": 1200.0, "good_to": 300.0}, 90_000.0),
        ({"most": 0.0}, 3.0),
        ({"most": 2.0}, -1.0),
        ({"least": 90.0, "most": 110.0}, 101.0),
        ({"least": 90.0, "most": 110.0}, 0.0),
        ({"least": -90.0, "good_from": -80.0}, -120.0),
        ({"least": 1.0}, 1e12),
        ({"least": 9.99}, 10.0),
        ({"good_to": 5.0}, 4.0),
    ],
)
def test_a_gauge_is_whole_and_its_zones_are_where_the_limits_are(
    limits: dict[str, float], value: float
) -> None:
    drawn = gauge(taken(value, **limits))
    assert drawn is not None
    assert drawn.zones[0].left == 0
    assert sum(zone.width for zone in drawn.zones) == pytest.approx(100, abs=0.1)
    for left, right in zip(drawn.zones, drawn.zones[1:], strict=False):
        assert left.left + left.width == pytest.approx(right.left, abs=0.02)
        assert left.kind != right.kind
    under = next(z.kind for z in reversed(drawn.zones) if z.left <= drawn.at)
    failed = value < limits.get("least", -1e99) or value > limits.get("most", 1e99)
    marginal = value < limits.get("good_from", -1e99) or value > limits.get("good_to", 1e99)
    assert under == ("fail" if failed else "marginal" if marginal else "pass")


def test_nothing_is_drawn_where_there_is_nothing_to_draw() -> None:
    assert gauge(taken(None, most=3.0)) is None
    assert gauge(taken(float("nan"), most=3.0)) is None
    assert gauge(taken(1.0)) is None
    assert gauge(taken(1.0, least=1.0, most=1.0)) is None


def test_a_case_of_the_hub_alone_stands_in_a_column_of_its_own(tmp_path: Path) -> None:
    page, _ = page_of(tmp_path, cases=3, good=True)
    assert re.search(r'<th scope="col" class="cell" title=""><span>rig</span>', page)


def test_the_verdict_says_what_failed(tmp_path: Path) -> None:
    story = healthy(hours=1.0, verdict=ev.Verdict.FAIL)
    page, _ = page_of(tmp_path, cases=42, story=story)
    verdict = page.split('<section class="card verdict', 1)[1].split("</section>", 1)[0]
    assert "J02 kitchen-cad: " in verdict
    assert verdict.count("the radio main was lost meanwhile") == 1
