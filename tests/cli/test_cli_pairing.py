"""`labctl pair`, `unpair`, `hub` and `meter keypad`, from the outside."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from labctl.cli.main import main
from labctl.smart_energy.install_code import InstallCode
from labctl.smart_energy.local_code import local_code

PROJECT = Path(__file__).parents[2]
IHD, CAD = "00:00:5e:ef:10:00:00:02", "00:00:5e:ef:10:00:00:03"
CAD_CODE = "5B7C1E90D2468ACE13579BDF02F4E6A8C391"
DIGITS = local_code(InstallCode.parse(CAD_CODE)).reveal().decode()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped virtual rig in a folder of its own."""
    (tmp_path / "rigs").mkdir()
    shutil.copy(PROJECT / "inventory.yaml", tmp_path)
    shutil.copy(PROJECT / "rigs" / "virtual.yaml", tmp_path / "rigs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LABCTL_DB", raising=False)
    return tmp_path


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any, str]:
    """Exit code, the data of the JSON answer, and stderr."""
    capsys.readouterr()
    code = main([*words, "--json"])
    out, err = capsys.readouterr()
    answer = json.loads(out)
    return code, answer.get("data", answer.get("error")), err


def demand_consent(lab: Path) -> None:
    path = lab / "rigs" / "virtual.yaml"
    path.write_text(path.read_text().replace("hub:\n", "hub:\n  require_consent: true\n", 1))


def test_from_pairing_to_unpairing(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, data, err = call(
        capsys, "pair", "virtual", "virtual-ihd", "--consent", "form-17", "--requested-by", "anna"
    )
    assert code == 0
    assert [(d["eui64"], d["ending"]) for d in data["devices"]] == [(IHD, "authorised")]
    assert "key-confirm" in err  # the steps are shown
    code, data, _ = call(capsys, "pair", "virtual", "virtual-ihd")
    assert (code, data["devices"][0]["ending"]) == (0, "already")

    code, data, _ = call(capsys, "hub", "log", "virtual")
    assert code == 0
    (entry,) = data["entries"]
    assert entry["state"] == "established"
    assert (entry["requested_by"], entry["consent_reference"]) == ("anna", "form-17")
    assert entry["device_type"] == 128
    assert entry["authorised"] is True

    assert call(capsys, "unpair", "virtual", "virtual-ihd")[0] == 2  # no --yes, no terminal
    code, data, _ = call(capsys, "unpair", "virtual", IHD, "--yes", "--reason", "moved")
    assert (code, data) == (0, {"eui64": IHD, "left": True})
    _, data, _ = call(capsys, "hub", "log", "virtual")
    assert data["entries"] == []
    assert [(g["eui64"], g["reason"]) for g in data["historic"]] == [(IHD, "moved")]
    assert call(capsys, "unpair", "virtual", "virtual-ihd", "--yes")[0] == 2


def test_a_lost_key_store_leaves_what_the_database_knows(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(capsys, "pair", "virtual", "virtual-ihd", "--consent", "form-17")
    (lab / ".labctl" / "virtual" / "keys.json").unlink()
    code, data, _ = call(capsys, "hub", "log", "virtual")
    assert code == 0
    assert data["key_store_exists"] is False
    (entry,) = data["entries"]
    assert (entry["eui64"], entry["state"], entry["consent_reference"]) == (IHD, None, "form-17")


def test_a_rig_that_was_never_opened_has_an_empty_log(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, data, _ = call(capsys, "hub", "log", "virtual")
    assert (code, data["entries"], data["places"]) == (0, [], 16)
    assert not (lab / "labctl.db").exists()


def test_a_wrong_code_is_a_product_that_failed(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = InstallCode.from_octets_without_crc(bytes(16)).octets.reveal().hex()
    code, data, _ = call(
        capsys, "pair", "virtual", "--eui64", CAD, "--code", wrong, "--window", "3min"
    )
    assert code == 1
    assert data["devices"][0]["ending"] == "failed"
    assert "install code" in data["devices"][0]["cause"]


def test_a_device_that_is_not_there_was_not_heard(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, data, _ = call(
        capsys,
        "pair",
        "virtual",
        "--label",
        f"00:00:5e:ef:10:00:00:77 {CAD_CODE}",
        "--window",
        "1min",
    )
    assert (code, data["devices"][0]["ending"]) == (69, "not-heard")


def test_consent_where_the_rig_demands_it(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demand_consent(lab)
    code, error, _ = call(capsys, "pair", "virtual", "virtual-ihd")
    assert code == 2
    assert "consent" in error["what"]
    assert call(capsys, "pair", "virtual", "virtual-ihd", "--consent", "form-17")[0] == 0


def test_showing_the_address_and_confirming_it(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, data, err = call(capsys, "pair", "virtual", "--confirm", "--eui64", CAD)
    assert code == 0
    assert f"{CAD} asks to join" in err
    assert [(d["eui64"], d["ending"]) for d in data["devices"]] == [(CAD, "authorised")]
    _, data, _ = call(capsys, "hub", "log", "virtual")
    assert [entry["method"] for entry in data["entries"]] == ["confirm"]


def test_a_list_that_is_wrong_pairs_nobody(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lab / "list.csv").write_text(f"eui64,install_code\n{CAD},{CAD_CODE}\n{IHD},00\n")
    code, error, _ = call(capsys, "pair", "virtual", "--file", "list.csv")
    assert code == 78
    assert [problem["line"] for problem in error["problems"]] == [3]
    assert not (lab / ".labctl").exists()


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("virtual-ihd", "--label", "x"),
        ("--eui64", CAD),
        ("virtual-card",),
        ("--confirm",),
        ("virtual-ihd", "--window", "20h"),
    ],
)
def test_calls_that_make_no_sense(
    lab: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, error, _ = call(capsys, "pair", "virtual", *words)
    assert code == 2
    assert error["kind"] == "UsageError"


def test_the_keypad_wants_a_pin_the_right_one_and_the_right_code(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keypad = ("meter", "keypad", "virtual")
    code, error, _ = call(capsys, *keypad, "virtual-cad", "--pin", "1234", "--code", DIGITS)
    assert code == 2
    assert "no Privacy PIN is set" in error["what"]
    assert call(capsys, *keypad, "--set-pin", "--pin", "1234")[0] == 0
    assert call(capsys, *keypad, "virtual-cad", "--pin", "1235", "--code", DIGITS)[0] == 2
    assert call(capsys, *keypad, "virtual-cad", "--pin", "1234", "--code", DIGITS[::-1])[0] == 2
    assert call(capsys, *keypad)[1] == {"has_pin": True, "locked": False}
    code, data, _ = call(capsys, *keypad, "virtual-cad", "--pin", "1234", "--code", DIGITS)
    assert (code, data["devices"][0]["ending"]) == (0, "authorised")
    _, log, _ = call(capsys, "hub", "log", "virtual")
    assert log["entries"][0]["method"] == "local-code"
    for _ in range(3):
        call(capsys, *keypad, "virtual-cad", "--pin", "0000", "--code", DIGITS)
    assert call(capsys, *keypad)[1] == {"has_pin": True, "locked": True}
    assert call(capsys, *keypad, "--reset", "--yes")[0] == 0


def test_another_stick_takes_over(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "hub", "export", "virtual", "hub.json")[0] == 2  # nobody to export
    call(capsys, "pair", "virtual", "virtual-ihd")
    code, data, _ = call(capsys, "hub", "export", "virtual", "hub.json")
    assert (code, data["devices"]) == (0, 1)
    assert (lab / "hub.json").stat().st_mode & 0o777 == 0o600
    assert call(capsys, "hub", "export", "virtual", "hub.json")[0] == 2  # it is there already
    code, error, _ = call(capsys, "hub", "import", "virtual", "hub.json", "--yes")
    assert code == 69
    assert "was exported from" in error["what"]
    _, log, _ = call(capsys, "hub", "log", "virtual")
    assert [entry["state"] for entry in log["entries"]] == ["established"]  # nothing was lost

    inventory = lab / "inventory.yaml"
    inventory.write_text(inventory.read_text().replace("10:00:00:01\n", "10:00:00:ee\n", 1))
    code, data, _ = call(capsys, "hub", "import", "virtual", "hub.json", "--yes", "--wait", "2h")
    assert code == 0
    assert data["extended_pan_id"] == "00:00:5e:ef:10:00:00:01"
    assert data["hub"] == "00:00:5e:ef:10:00:00:ee"
    assert [device["authorised"] for device in data["devices"]] == [True]


def test_no_key_and_no_code_is_in_anything_that_is_printed(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    main(["pair", "virtual", "--eui64", CAD, "--code", CAD_CODE, "-vv"])
    main(["hub", "log", "virtual", "-vv"])
    out, err = capsys.readouterr()
    stored = json.loads((lab / ".labctl" / "virtual" / "keys.json").read_text())
    secrets = [CAD_CODE, stored["devices"][0]["key"], stored["devices"][0]["install_code_key"]]
    for text in (out, err, (lab / "labctl.db").read_bytes().hex()):
        for secret in secrets:
            assert secret.lower() not in text.lower()
