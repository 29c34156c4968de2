"""What works with what, out of the database."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from labctl import events as ev
from labctl.cli.main import main
from labctl.clock import MICROSECONDS
from labctl.record.recorder import Recorder

DAY_US = 86_400 * MICROSECONDS
START_US = 1_767_225_600 * MICROSECONDS  # 2026-01-01
CAD = "00:00:00:00:00:00:00:01"


def campaign(
    recorder: Recorder,
    day: int,
    outcomes: dict[str, ev.CaseOutcome],
    *,
    firmware: str | None = "0x0100",
    band: ev.Band | None = ev.Band.GHZ_2_4,
    generation: str = "smets2",
    quarantine: str = "",
) -> None:
    at_us = START_US + day * DAY_US
    recorder(
        ev.RunStarted(
            at_us=at_us,
            rig="lab",
            kind="campaign",
            simulated=False,
            labctl_version="1",
            host="h",
            config_sha256="0",
        )
    )
    recorder(ev.CampaignStarted(at_us=at_us, generation=generation, meters="electricity+gas"))
    recorder(
        ev.DeviceSeen(
            at_us=at_us,
            eui64=CAD,
            name="cad-1",
            kind=ev.DeviceKind.CAD,
            manufacturer="Acme",
            model="Reader",
            firmware_version=firmware,
        )
    )
    for number, (case, outcome) in enumerate(outcomes.items()):
        recorder(ev.CaseStarted(at_us=at_us + number, case=case, title="t", attempt=1, eui64=CAD))
        recorder(
            ev.CaseEnded(
                at_us=at_us + number + 1,
                case=case,
                attempt=1,
                outcome=outcome,
                started_us=at_us + number,
                eui64=CAD,
                band=band,
                firmware_version=firmware,
                quarantine=quarantine,
            )
        )
    recorder(ev.RunEnded(at_us=at_us + 100, verdict=ev.Verdict.PASS))


def rows(path: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    assert main(["matrix", "--json", "--db", str(path)]) == 0
    return list(json.loads(capsys.readouterr().out)["data"])


PASS, FAIL, NOT = ev.CaseOutcome.PASS, ev.CaseOutcome.FAIL, ev.CaseOutcome.NOT_APPLICABLE


def test_a_row_is_the_newest_campaign_and_its_worst_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lab.db"
    with Recorder(path) as recorder:
        campaign(recorder, 0, {"J01": PASS})
        campaign(recorder, 1, {"J01": PASS, "D19": FAIL, "S36": NOT})
        recorder.add_artefact("evidence", Path(__file__))
    (row,) = rows(path, capsys)
    assert (row["verdict"], row["cases"], row["run_id"]) == ("fail", 2, 2)
    assert (row["manufacturer"], row["device"], row["stale"]) == ("Acme", "Reader", False)
    assert len(str(row["evidence_sha256"])) == 64


def test_a_new_firmware_makes_the_old_row_stale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lab.db"
    with Recorder(path) as recorder:
        campaign(recorder, 0, {"J01": PASS}, firmware="0x0100")
        campaign(recorder, 1, {"J01": FAIL}, firmware="0x0101")
    old, new = rows(path, capsys)
    assert (old["firmware"], old["verdict"], old["stale"]) == ("0x0100", "pass", True)
    assert (new["firmware"], new["verdict"], new["stale"]) == ("0x0101", "fail", False)
    assert main(["matrix", "--db", str(path)]) == 0
    assert "stale: now 0x0101, retest" in capsys.readouterr().out


def test_bands_and_generations_have_rows_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lab.db"
    with Recorder(path) as recorder:
        campaign(recorder, 0, {"J01": PASS}, band=ev.Band.GHZ_2_4)
        campaign(recorder, 1, {"J01": FAIL}, band=ev.Band.MHZ_868)
        campaign(recorder, 2, {"J01": PASS}, generation="smets1")
    found = {(row["generation"], row["band"]): row["verdict"] for row in rows(path, capsys)}
    assert found == {
        ("smets2", "2.4 GHz"): "pass",
        ("smets2", "868 MHz"): "fail",
        ("smets1", "2.4 GHz"): "pass",
    }


def test_what_is_in_quarantine_and_what_says_nothing_makes_no_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lab.db"
    with Recorder(path) as recorder:
        campaign(recorder, 0, {"J01": FAIL}, quarantine="the lab, until 2099-01-01")
        campaign(recorder, 1, {"S36": NOT})
    assert rows(path, capsys) == []
    assert main(["matrix", "--db", str(path)]) == 0
    assert "no campaign has said anything yet" in capsys.readouterr().out


def test_the_csv_has_the_same_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lab.db"
    with Recorder(path) as recorder:
        campaign(recorder, 0, {"J01": PASS})
    assert main(["matrix", "--csv", "--db", str(path)]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["device"], row["verdict"], row["band"]) == ("Reader", "pass", "2.4 GHz")
    assert main(["matrix", "--csv", "--json", "--db", str(path)]) == 2
