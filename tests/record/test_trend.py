"""What a rig's nights say, out of the database."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from labctl import events as ev
from labctl.clock import MICROSECONDS
from labctl.record.database import open_for_reading
from labctl.record.history import streams
from labctl.record.recorder import Recorder
from labctl.record.trend import Trend, trend
from labctl.statistics.across import Finding

DAY_US = 86_400 * MICROSECONDS
START_US = 1_767_225_600 * MICROSECONDS  # 2026-01-01
NAMES = {"00:00:00:00:00:00:00:01": "cad-1", "00:00:00:00:00:00:00:02": "cad-2"}


def record_nights(
    path: Path,
    nights: int,
    *,
    lost: dict[str, tuple[int, float]],
    reference: str | None = None,
    flaky_from: int | None = None,
) -> None:
    """`lost`: from which night on each device loses which share, before that 2 %."""
    rng = random.Random(1)
    with Recorder(path) as recorder:
        for night in range(nights):
            at_us = START_US + night * DAY_US
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
            recorder(
                ev.CampaignStarted(
                    at_us=at_us, generation="smets2", meters="electricity", reference=reference
                )
            )
            for eui64, name in NAMES.items():
                recorder(ev.DeviceSeen(at_us=at_us, eui64=eui64, name=name))
                since, share = lost.get(name, (nights, 0.0))
                share = share if night >= since else 0.02
                gone = sum(rng.random() < share for _ in range(2000))
                recorder(
                    ev.Deliveries(
                        at_us=at_us + 10 * MICROSECONDS,
                        eui64=eui64,
                        radio="stick",
                        attempts=2000,
                        delivered=2000 - gone,
                    )
                )
                flaky = flaky_from is not None and night >= flaky_from
                outcomes = (ev.CaseOutcome.FAIL, ev.CaseOutcome.MARGINAL) if flaky else ()
                for attempt, outcome in enumerate(outcomes or (ev.CaseOutcome.PASS,), 1):
                    _case(recorder, "D19", eui64, at_us, attempt, outcome, rng.gauss(10, 0.05))
            recorder(ev.RunEnded(at_us=at_us + DAY_US // 2, verdict=ev.Verdict.PASS))


def _case(
    recorder: Recorder,
    case: str,
    eui64: str,
    at_us: int,
    attempt: int,
    outcome: ev.CaseOutcome,
    value: float,
) -> None:
    started_us = at_us + attempt * MICROSECONDS
    recorder(
        ev.CaseStarted(at_us=started_us, case=case, title="reads", attempt=attempt, eui64=eui64)
    )
    recorder(
        ev.CaseEnded(
            at_us=at_us + DAY_US // 4,
            case=case,
            attempt=attempt,
            outcome=outcome,
            started_us=started_us,
            eui64=eui64,
            measurements=(
                ev.Measured(name="p95_s", unit="s", value=value, outcome=outcome),
                ev.Measured(name="seen", unit="", value=1, outcome=outcome),
            ),
        )
    )


def judged(path: Path) -> Trend:
    connection = open_for_reading(path)
    try:
        return trend(connection, "lab")
    finally:
        connection.close()


def found(trend: Trend, device: str, quantity: str) -> Finding:
    (one,) = [
        each.finding
        for each in trend.findings
        if (each.drift.key.device, each.drift.key.quantity) == (device, quantity)
    ]
    return one


def test_a_device_that_loses_more_is_a_regression_and_the_other_stays(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    record_nights(path, 60, lost={"cad-1": (45, 0.04)}, reference="cad-2")
    said = judged(path)
    assert said.reference == "cad-2"
    assert said.nights == 60
    assert found(said, "cad-1", "loss") is Finding.REGRESSION
    assert found(said, "cad-2", "loss") is Finding.STEADY
    assert found(said, "cad-1", "p95_s") is Finding.STEADY
    assert said.findings[0].drift.key.quantity == "loss", "what changed comes first"


def test_what_the_reference_does_too_is_the_environments(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    record_nights(path, 60, lost={"cad-1": (45, 0.04), "cad-2": (45, 0.04)}, reference="cad-2")
    said = judged(path)
    assert found(said, "cad-1", "loss") is Finding.ENVIRONMENT
    assert found(said, "cad-2", "loss") is Finding.ENVIRONMENT


def test_of_few_nights_it_is_too_early_to_say(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    record_nights(path, 12, lost={"cad-1": (6, 0.5)})
    said = judged(path)
    assert {each.finding for each in said.findings} == {Finding.TOO_EARLY}
    assert "12 of 30 nights" in said.findings[0].reason


def test_a_case_that_fails_and_passes_in_one_night_is_flaky(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    record_nights(path, 10, lost={}, flaky_from=7)
    said = judged(path)
    assert [(flake.key.device, flake.flaky, flake.nights) for flake in said.flakes] == [
        ("cad-1", 3, 10),
        ("cad-2", 3, 10),
    ]
    assert said.flakes[0].flaky_nights[-1] == "2026-01-10"


def test_what_has_no_unit_and_what_came_to_nothing_are_no_streams(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    record_nights(path, 3, lost={})
    connection = open_for_reading(path)
    try:
        keys = {stream.key.quantity for stream in streams(connection, "lab")}
        assert keys == {"loss", "p95_s"}
        assert streams(connection, "another") == []
    finally:
        connection.close()


def test_deliveries_count_only_while_the_device_was_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    record_nights(path, 1, lost={})
    with Recorder(path) as recorder:
        at_us = START_US + DAY_US
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
        (eui64, name), *_ = NAMES.items()
        recorder(ev.DeviceSeen(at_us=at_us, eui64=eui64, name=name))
        recorder(
            ev.Deliveries(at_us=at_us + 1, eui64=eui64, radio="stick", attempts=50, delivered=0)
        )
        recorder(ev.RunEnded(at_us=at_us + 2, verdict=ev.Verdict.PASS))
    connection = open_for_reading(path)
    try:
        (loss,) = [
            stream
            for stream in streams(connection, "lab")
            if (stream.key.device, stream.key.quantity) == ("cad-1", "loss")
        ]
        assert len(loss.nights) == 1, "the second night's were lost while a case had it off"
    finally:
        connection.close()


@pytest.mark.parametrize("words", [[], ["--all"], ["--json"]])
def test_the_command_says_it(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from labctl.cli.main import main

    path = tmp_path / "lab.db"
    record_nights(path, 60, lost={"cad-1": (45, 0.04)}, reference="cad-2", flaky_from=55)
    assert main(["trend", "lab", "--db", str(path), *words]) == 0
    said = capsys.readouterr().out
    assert "regression" in said
    assert "2026-02-1" in said, "when it began"
    assert ("flaky: D19 cad-1: 5 of 60 nights" in said) == ("--json" not in words)
    assert "cad-2" in said
    assert ("p95_s" in said) == (words != [])


def test_a_change_for_the_worse_that_became_the_level_is_still_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from labctl.cli.main import main

    path = tmp_path / "lab.db"
    record_nights(path, 140, lost={"cad-1": (40, 0.06)}, reference="cad-2")
    assert main(["trend", "lab", "--db", str(path)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"became its level: cad-1 \S+ loss: \S+ % to \S+ % since 2026-02-1", said)
