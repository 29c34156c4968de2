"""`labctl links`: from the database, for a program, and live while the run goes on."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from synthetic_bearers import dual_band
from synthetic_runs import emit, healthy

from labctl import events as ev
from labctl.cli import links as command
from labctl.cli.main import main
from labctl.record.link_quality import load_links
from labctl.record.queries import find_run
from labctl.record.recorder import Recorder
from labctl.report.formats import channel_text
from labctl.smart_energy.channels import PAGES, channels_of_page


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("LABCTL_DB", "LABCTL_REPORTS", "LABCTL_INVENTORY", "LABCTL_COLOR"):
        monkeypatch.delenv(name, raising=False)
    with Recorder(tmp_path / "labctl.db") as recorder:
        emit(dual_band(hours=0.6), recorder)
        emit(healthy(hours=0.1), recorder)
        emit(dual_band(hours=0.4), recorder)
    return tmp_path


def test_each_device_bearer_direction_and_source_has_a_line(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["links", "rigs/dual-band.yaml"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("dual-band, run 3 (simulated), ended ")
    assert "main/868 on 868.45 MHz (page 28, channel 26), 14 dBm, sensitivity −104 dBm" in out
    assert "cellar-cad is on 868 MHz: it scanned 2.4 GHz first" in out
    assert "kitchen-cad is on 2.4 GHz, could use 868 MHz: it prefers 2.4 GHz" in out
    head, *rows = out.split("\n\n", 1)[1].splitlines()
    assert head.split("  ")[0] == "device"
    cellar = next(row for row in rows if row.startswith("cellar-cad"))
    assert "main/868  868 MHz p28 ch 26  to hub" in cellar
    assert cellar.split()[-1] == "s"  # its airtime
    below = rows[rows.index(cellar) + 1 : rows.index(cellar) + 6]
    assert [row.split("  ")[0] for row in below] == [""] * 5
    sources = ("from hub ", "diagnostics", "link-power", "mgmt-lqi", "neighbour")
    assert all(word in row for word, row in zip(sources, below, strict=True))


def test_the_json_form_holds_the_same(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["links", "dual-band", "--run", "1", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "labctl.links/1"
    data = answer["data"]
    assert (data["run"], data["rig"], data["simulated"]) == (1, "dual-band", True)
    assert [radio["band"] for radio in data["radios"]] == ["868 MHz", "2.4 GHz"]
    assert [a["source"] for a in data["radios"][0]["airtime"]] == ["computed", "firmware"]
    assert len(data["devices"]) == 7
    cellar = next(d for d in data["devices"] if d["label"] == "cellar-cad")
    assert cellar["band"]["could"] == ["868 MHz"]
    (bearer,) = cellar["bearers"]
    heard = bearer["heard"][0]
    assert heard["margin_db"] == heard["rssi_p10_dbm"] - heard["sensitivity_dbm"]
    assert heard["lqi_scale"] == "main/868 7.4.1.0"
    assert 0.9 < bearer["deliveries"][0]["ratio"] <= 1
    assert "points" not in bearer["airtime"]
    assert {(each["band"], each["direction"]) for each in data["by_band"]} == {
        (band, direction) for band in ("2.4 GHz", "868 MHz") for direction in ("to-hub", "from-hub")
    }


def test_a_run_of_another_rig_is_refused(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["links", "dual-band", "--run", "2"]) == 2
    assert "run 2 is of the rig virtual, not of dual-band" in capsys.readouterr().err
    assert main(["links", "dual-bund"]) == 2
    assert "Did you mean dual-band?" in capsys.readouterr().err
    assert main(["links", "dual-band", "--all-runs", "--watch"]) == 2


def test_all_runs_of_a_rig_by_band(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["links", "dual-band", "--all-runs", "--json"]) == 0
    every = json.loads(capsys.readouterr().out)["data"]["by_band"]
    total = 0
    for run in ("1", "3"):
        assert main(["links", "dual-band", "--run", run, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)["data"]["by_band"]
        total += sum(each["samples"] for each in found)
    assert sum(each["samples"] for each in every) == total
    assert main(["links", "dual-band", "--all-runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[1].startswith("2.4 GHz  to hub")


def test_a_run_in_which_nothing_was_heard_says_so(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Recorder(lab / "labctl.db") as recorder:
        silent = healthy(hours=0.1, rig="silent")
        silent.actors = []
        emit(silent, recorder)
    assert main(["links", "silent"]) == 0
    assert "nothing was heard of any device" in capsys.readouterr().out


def going_on(recorder: Recorder) -> tuple[list[ev.Event], ev.Event]:
    """The first half of a run, recorded; the rest of its events, and its end."""
    events = list(dual_band(hours=0.3).events())
    half = len(events) // 2
    for event in events[:half]:
        recorder(event)
    recorder.flush()
    return events[half:-1], events[-1]


def test_watching_follows_a_run_until_it_ends(
    lab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Recorder(lab / "live.db") as recorder:
        rest, end = going_on(recorder)
        waits: list[float] = []

        def between_two_looks(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 1:
                for event in rest:
                    recorder(event)
            else:
                recorder(end)
            recorder.flush()

        monkeypatch.setattr(command.time, "sleep", between_two_looks)
        arguments = ["links", "dual-band", "--db", "live.db", "--watch", "--every", "3", "--json"]
        assert main(arguments) == 0
    looks = [json.loads(line)["data"] for line in capsys.readouterr().out.splitlines()]
    assert waits == [3.0, 3.0]
    assert [look["ended"] is not None for look in looks] == [False, False, True]
    frames = [
        sum(h["samples"] for d in look["devices"] for b in d["bearers"] for h in b["heard"])
        for look in looks
    ]
    assert 0 < frames[0] < frames[1] == frames[2]


def test_watching_without_a_terminal_prints_one_answer_a_look(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["links", "dual-band", "--watch"]) == 0  # it has ended: one look
    out = capsys.readouterr().out
    assert out.count("dual-band, run 3") == 1
    assert "\x1b" not in out


def drawn(lab: Path, width: int) -> str:
    with Recorder(lab / "labctl.db") as recorder:
        found = load_links(recorder.connection, find_run(recorder.connection, 1))
    sheet = io.StringIO()
    Console(file=sheet, width=width, no_color=True, force_terminal=False).print(
        command.Screen(found)
    )
    return sheet.getvalue()


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_screen_fits_its_terminal_and_cuts_nothing(lab: Path, width: int) -> None:
    text = drawn(lab, width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in text
    assert ("airtime/h" in text) == (width == 140)
    cellar = next(line for line in lines if line.strip().startswith("cellar-cad"))
    assert "dB" in cellar
    assert "%" in cellar
    # One line for each direction, whatever the sources.
    assert sum("to hub" in line for line in lines) == 7
    assert sum("from hub" in line for line in lines) == 7


@pytest.mark.parametrize("page", PAGES)
def test_channels_are_named_as_everywhere(page: int) -> None:
    for channel in channels_of_page(page):
        if page == 0:
            assert channel_text(page, channel.number) == f"channel {channel.number}"
        else:
            assert channel_text(page, channel.number) == str(channel)
