"""`labctl campaign run`, as a person or a CI job has it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from playing import rig_in

from labctl.cli.main import main

OWN = """
import pytest
from labctl.campaign.case import Measure, Start, case
"""


class Lab:
    """A folder with a rig, and what `labctl campaign run` makes of it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.rig = folder / "rigs" / "virtual.yaml"
        self.out = self.said = ""

    def set_up(self, **campaign: Any) -> None:
        def change(rig: dict[str, Any]) -> None:
            del rig["devices"][1:]
            rig["campaign"] = campaign

        rig_in(self.folder, change_rig=change)

    def own(self, text: str) -> Path:
        path = self.folder / "own" / "test_own.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(OWN + text)
        return path

    def run(self, *words: str) -> int:
        database = ("--db", str(self.folder / "labctl.db"))
        reports = ("--reports", str(self.folder / "reports"))
        code = main(["campaign", "run", str(self.rig), *database, *reports, *words])
        self.out, err = self._capsys.readouterr()
        self.said = self.out + err
        return code

    def results(self) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.folder / "labctl.db") as db:
            return db.execute(
                "SELECT cases.name, attempt, outcome, cause FROM results"
                " JOIN cases ON cases.id = case_id ORDER BY results.id"
            ).fetchall()


@pytest.fixture
def lab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Lab:
    found = Lab(tmp_path, capsys)
    found.set_up()
    return found


def test_a_good_device_passes_and_the_measurements_are_kept_with_their_limits(lab: Lab) -> None:
    assert lab.run("J01", "--json") == 0
    with sqlite3.connect(lab.folder / "labctl.db") as db:
        ((run, verdict),) = db.execute("SELECT kind, verdict FROM runs").fetchall()
        rows = db.execute("SELECT name, unit, value, most, outcome FROM measurements").fetchall()
    assert (run, verdict) == ("campaign", "pass")
    assert {row[0] for row in rows} >= {"authorised_s", "failed_joins"}
    (took,) = [row for row in rows if row[0] == "authorised_s"]
    assert took[1] == "s"
    assert 0 < took[2] < took[3]
    assert took[4] == "pass"
    told = json.loads(lab.out)
    assert told["data"]["verdict"] == "pass"
    assert told["data"]["exit_code"] == 0


def test_limits_of_the_rig_file_hold_instead_of_the_cases_own(lab: Lab) -> None:
    lab.set_up(attempts=1, limits={"J01": {"authorised_s": {"good_to": 0, "most": 1}}})
    assert lab.run("J01") == 1
    ((case, _, outcome, cause),) = lab.results()
    assert (case, outcome) == ("J01", "fail")
    assert cause.startswith("authorised_s ")
    assert cause.endswith(" s, at most 1 s")


@pytest.mark.parametrize(
    ("campaign", "said"),
    [
        ({"limits": {"J0I": {"authorised_s": {"most": 1}}}}, "no case is called 'J0I'"),
        ({"limits": {"J01": {"authorized_s": {"most": 1}}}}, "did not measure"),
        ({"leave_out": {"J77": "no"}}, "no case is called 'J77'"),
        ({"reference": "virtual-cad"}, "the rig has no device 'virtual-cad'"),
    ],
)
def test_names_in_the_rig_file_that_nobody_knows_are_refused(
    lab: Lab, campaign: dict[str, Any], said: str
) -> None:
    lab.set_up(**campaign)
    assert lab.run("J01") == 78
    assert said.replace("did not measure", "does not measure") in lab.said
    assert not (lab.folder / "labctl.db").exists(), "nothing was begun"


def test_a_case_in_quarantine_is_played_and_does_not_count(lab: Lab) -> None:
    lab.set_up(
        attempts=1,
        limits={"J01": {"authorised_s": {"good_to": 0, "most": 1}}},
        quarantine=[{"case": "J01", "owner": "the lab", "until": "2099-01-01", "reason": "slow"}],
    )
    assert lab.run("J01") == 69, "nothing is left that says anything"
    ((_, _, outcome, _),) = lab.results()
    assert outcome == "fail"
    with sqlite3.connect(lab.folder / "labctl.db") as db:
        ((quarantine,),) = db.execute("SELECT quarantine FROM results").fetchall()
    assert quarantine == "the lab, until 2099-01-01: slow"


def test_quarantine_ends_with_its_day(lab: Lab) -> None:
    lab.set_up(
        attempts=1,
        limits={"J01": {"authorised_s": {"good_to": 0, "most": 1}}},
        quarantine=[{"case": "J01", "owner": "the lab", "until": "2026-01-04"}],
    )
    assert lab.run("J01") == 1


def test_what_fails_and_then_passes_is_marginal_and_both_attempts_are_kept(lab: Lab) -> None:
    own = lab.own(
        """
tries = []

@case("X01", "passes at the second try", start=Start.ANY)
async def test_second(device):
    tries.append(device.name)
    assert len(tries) > 1, "the first try"
"""
    )
    assert lab.run("X01", "--also", str(own)) == 0
    assert lab.results() == [
        ("X01", 1, "fail", "the first try"),
        ("X01", 2, "marginal", "it failed before it passed, at attempt 2"),
    ]


def test_what_breaks_in_a_case_is_not_the_devices_fault(lab: Lab) -> None:
    own = lab.own(
        """
@case("X01", "divides", start=Start.ANY)
async def test_divides(device):
    1 / 0
"""
    )
    assert lab.run("X01", "--also", str(own)) == 69
    assert [row[1:] for row in lab.results()] == [
        (n, "infrastructure-error", "the case itself broke: ZeroDivisionError: division by zero")
        for n in (1, 2)
    ]


def test_what_a_case_finds_while_the_radio_is_lost_is_tried_again(lab: Lab) -> None:
    own = lab.own(
        """
import asyncio
tries = []

@case("X01", "reads each 10 s")
async def test_reads(device, rig):
    tries.append(1)
    if len(tries) == 1:
        await rig.session.bench.unplug()
        asyncio.get_running_loop().call_later(
            60, lambda: asyncio.ensure_future(rig.session.bench.plug())
        )
        await asyncio.sleep(30)
    await device.next_read(within_s=25)
"""
    )
    assert lab.run("X01", "--also", str(own)) == 0
    (first, second) = lab.results()
    assert first[1:3] == (1, "infrastructure-error")
    assert "was lost meanwhile" in first[3]
    assert second[1:3] == (2, "pass")


def test_a_rig_that_goes_for_good_is_one_error_and_the_rest_is_skipped(lab: Lab) -> None:
    own = lab.own(
        """
import asyncio

@case("X01", "the stick goes", start=Start.ANY)
async def test_goes(device, rig):
    await rig.session.bench.unplug()
    await asyncio.sleep(3600)

@case("X02", "comes after it")
async def test_after(device):
    await device.next_read(within_s=60)

@case("X03", "comes after it, too")
async def test_after_too(device):
    await device.next_read(within_s=60)
"""
    )
    assert lab.run("X0*", "--also", str(own)) == 69
    first, second, third = lab.results()
    assert first[:3] == ("X01", 1, "infrastructure-error")
    assert second[2] == third[2] == "skipped"
    assert second[3] == third[3] == f"the rig is out: {first[3]}"
    assert lab.said.count("infrastructure-error") == 2, "the case's line and the verdict"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def test_x(:\n", "SyntaxError"),
        ("import nothing_like_it\n", "nothing_like_it"),
    ],
)
def test_cases_that_cannot_be_read_are_refused_before_the_rig_is_opened(
    lab: Lab, text: str, said: str
) -> None:
    assert lab.run("--also", str(lab.own(text))) == 78
    assert said in lab.said
    assert "Traceback" not in lab.said
    assert not (lab.folder / "labctl.db").exists()


def test_names_of_cases_and_devices_that_nobody_knows_are_refused(lab: Lab) -> None:
    assert lab.run("J99") == 2
    assert "no case is called 'J99'" in lab.said
    assert lab.run("J01", "--device", "virtual-ihx") == 2
    assert "virtual-ihd" in lab.said, "what it could be"


def test_what_is_left_out_is_not_applicable_with_the_reason(lab: Lab) -> None:
    lab.set_up(leave_out={"J01": "known"})
    assert lab.run("J01") == 69
    assert lab.results() == [("J01", 1, "not-applicable", "left out in the rig file: known")]


def test_an_earlier_campaign_does_not_keep_a_device_out_of_the_next(lab: Lab) -> None:
    assert lab.run("J01") == 0
    assert lab.run("J01") == 0
    assert [row[2] for row in lab.results()] == ["pass", "pass"]
