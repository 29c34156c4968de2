"""A rig that would not open leaves what CI systems wait for, and says that it was the rig."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from playing import rig_in

from labctl.cli.main import main


def test_a_campaign_on_a_rig_without_its_stick_still_has_its_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def inventory(lab: dict[str, Any]) -> None:
        lab["radios"]["stick-9"] = {"driver": "ezsp", "path": str(tmp_path / "no-port")}
        lab["devices"]["real-cad"] = {
            "kind": "cad",
            "eui64": "00:0d:6f:00:00:00:99:01",
            "install_code": "83FED3407A939723A5C639B26916D505C3B5",
        }

    def rig(file: dict[str, Any]) -> None:
        file["hub"]["radio"] = "stick-9"
        file["devices"] = [{"device": "real-cad"}]

    loaded = rig_in(tmp_path, change_rig=rig, change_inventory=inventory)
    monkeypatch.chdir(tmp_path)
    words = ["--db", "labctl.db", "--reports", "reports"]
    for night in (1, 2):
        assert main(["campaign", "run", str(loaded.path), "J01", *words]) == 69
        said = capsys.readouterr().err
        assert "there is no such port" in said
        names = sorted(path.name for path in (tmp_path / "reports").glob(f"virtual-run-{night}.*"))
        assert [name.removeprefix(f"virtual-run-{night}.") for name in names] == [
            "evidence.zip",
            "html",
            "json",
            "junit.xml",
            "md",
        ]
        root = ElementTree.parse(tmp_path / "reports" / f"virtual-run-{night}.junit.xml")
        (error,) = root.iter("error")
        assert error.get("message") == "the rig: there is no such port"
        archive = tmp_path / "reports" / f"virtual-run-{night}.evidence.zip"
        assert main(["evidence", "verify", str(archive)]) == 0


def test_a_rig_that_somebody_else_has_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labctl.rig.hold import hold_rig

    loaded = rig_in(tmp_path)
    monkeypatch.chdir(tmp_path)
    with hold_rig(loaded, "a test"):
        code = main(
            [
                "campaign",
                "run",
                str(loaded.path),
                "J01",
                "--db",
                "labctl.db",
                "--reports",
                "reports",
            ]
        )
    assert code == 75
    assert not (tmp_path / "reports").exists()
