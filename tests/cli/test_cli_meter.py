"""`labctl meter set`, and the journal that it writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from labctl.cli.main import main
from labctl.errors import ConfigurationError, ExitCode
from labctl.meters.entries import DemandSet, OutageBegan, SupplyAsked, SupplyState
from labctl.rig.journal_file import NAME, JournalFile

REPOSITORY = Path(__file__).parents[2]
START_US = 1_767_571_200_000_000  # where the virtual rig of the repository starts


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(REPOSITORY / "inventory.yaml", tmp_path)
    (tmp_path / "rigs").mkdir()
    shutil.copy(REPOSITORY / "rigs/virtual.yaml", tmp_path / "rigs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LABCTL_INVENTORY", raising=False)
    return tmp_path


def journal(lab: Path) -> list[dict[str, Any]]:
    path = lab / ".labctl/virtual" / NAME
    return [json.loads(line) for line in path.read_text().splitlines()]


def put(*words: str) -> int:
    return main(["meter", "set", "virtual", *words])


def test_a_demand_that_lasts(lab: Path) -> None:
    assert put("demand", "2.4kW", "--for", "10min") == ExitCode.PASS
    assert journal(lab) == [
        {
            "at_us": START_US,
            "rate": 2400,
            "until_us": START_US + 600_000_000,
            "what": "demand",
        }
    ]


def test_a_demand_of_gas_is_for_the_gas_meter(lab: Path) -> None:
    assert put("demand", "1.2m3/h") == ExitCode.PASS
    (entry,) = journal(lab)
    assert (entry["meter"], entry["rate"]) == ("gas", 1_200_000)


def test_outage_clock_supply_and_tenancy(lab: Path) -> None:
    for words in (("outage", "5min"), ("outage", "over"), ("clock", "+1h"), ("supply", "armed")):
        assert put(*words) == ExitCode.PASS
    assert put("clock", "-30s") == ExitCode.PASS
    assert put("tenancy", "2026-01-05T12:00:00Z") == ExitCode.PASS
    entries = journal(lab)
    assert [entry["what"] for entry in entries] == [
        "outage",
        "restored",
        "clock",
        "supply",
        "clock",
        "tenancy",
    ]
    assert [entries[2]["offset_s"], entries[4]["offset_s"]] == [3600, -30]
    assert entries[5]["since_s"] == 1_767_614_400


def test_a_tariff_comes_from_a_file(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = lab / "night.yaml"
    file.write_text("name: Night\nunit_p_per_kwh: 30\nstanding_charge_p_per_day: 60\n")
    assert put("tariff", str(file)) == ExitCode.USAGE, "of which meter?"
    assert put("tariff", str(file), "--meter", "electricity") == ExitCode.PASS
    (entry,) = journal(lab)
    assert entry["tariff"]["unit_price"] == 30_000
    file.write_text("name: Night\nunit_p_per_kwh: much\n")
    assert put("tariff", str(file), "--meter", "electricity") == ExitCode.CONFIGURATION
    assert "night.yaml" in capsys.readouterr().err
    assert len(journal(lab)) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("demand", "3x"),
        ("demand", "1m3/h", "--meter", "electricity"),
        ("demand", "9999999999W"),
        ("demand", "profile", "--for", "1min"),
        ("outage", "5 fortnights"),
        ("outage", "5min", "--meter", "gas"),
        ("outage", "5min", "--for", "1min"),
        ("clock", "+3d"),
        ("clock", "soon"),
        ("supply", "maybe"),
        ("tenancy", "yesterday"),
        ("top-up", "12345678901234567890"),  # nobody has an account
        ("top-up", "1", "--meter", "electricity"),
        ("demand", "1kW", "--meter", "steam"),
        ("clock", "+1h", "--amount", "10"),
        ("colour", "red"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    lab: Path, words: tuple[str, ...]
) -> None:
    assert put(*words) == ExitCode.USAGE
    path = lab / ".labctl/virtual" / NAME
    assert not path.exists() or path.read_text() == ""


def test_a_running_rig_takes_what_others_add_when_it_finds_it(tmp_path: Path) -> None:
    running = JournalFile(tmp_path / NAME)
    held = running.load()
    JournalFile(tmp_path / NAME).add(DemandSet(at_us=1000, rate=5, until_us=1500))
    assert running.exchange(now_us=9000) == 1
    assert list(held) == [DemandSet(at_us=9000, rate=5, until_us=9500)]
    assert running.exchange(now_us=9001) == 0
    assert list(JournalFile(tmp_path / NAME).load()) == list(held), "with its new date"


def test_what_devices_do_is_kept(tmp_path: Path) -> None:
    running = JournalFile(tmp_path / NAME)
    held = running.load()
    held.append(SupplyAsked(at_us=7, state=SupplyState.ON))
    running.exchange(now_us=10)
    JournalFile(tmp_path / NAME).add(OutageBegan(at_us=3))
    held.append(SupplyAsked(at_us=20, state=SupplyState.OFF))
    assert running.exchange(now_us=30) == 1
    again = list(JournalFile(tmp_path / NAME).load())
    assert again == list(held)
    assert [entry.at_us for entry in again] == [7, 20, 30]


def test_a_line_that_is_no_entry_is_told_and_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / NAME
    running = JournalFile(path)
    running.load()
    path.write_text('{"what": "tea"}\n')
    with pytest.raises(ConfigurationError):
        running.exchange(now_us=1)
    assert running.exchange(now_us=2) == 0
    with pytest.raises(ConfigurationError, match="line 1"):
        JournalFile(path).load()
