"""What the bench shows: the board folds events, the views draw it in any size and state."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from labctl.bench.board import Board
from labctl.bench.flow import Flow
from labctl.bench.live import LiveView, draw
from labctl.bench.plain import MAX_REFUSALS_SHOWN, PlainView
from labctl.events import (
    Band,
    DeviceKind,
    DeviceSeen,
    Direction,
    Event,
    JoinEnded,
    JoinKind,
    JoinOutcome,
    JoinStarted,
    JoinStepTaken,
    LinkSample,
    Note,
    PairingArmed,
    PairingMethod,
    PairingWindowClosed,
    RadioLost,
    RadioUp,
    ReadScheduleDeclared,
    ReadServed,
    Refused,
    RunStarted,
    Severity,
    Step,
    StepStatus,
)

DEVICE = "00:00:5e:ef:10:00:00:02"
START_US = 1_767_571_200_000_000
SECOND = 1_000_000


def opening() -> list[Event]:
    return [
        RunStarted(
            at_us=START_US,
            rig="desk",
            kind="bench",
            simulated=True,
            labctl_version="0",
            host="h",
            config_sha256="0" * 64,
        ),
        RadioUp(
            at_us=START_US,
            name="stick",
            driver="ezsp",
            band=Band.GHZ_2_4,
            path="virtual",
            eui64="00:00:5e:ef:10:00:00:01",
            page=0,
            channel=20,
            pan_id=0x1234,
            extended_pan_id="00:00:5e:ef:10:00:00:01",
            resumed=False,
        ),
        DeviceSeen(at_us=START_US, eui64=DEVICE, name="hall display", kind=DeviceKind.IHD),
        ReadScheduleDeclared(
            at_us=START_US,
            eui64=DEVICE,
            name="electricity",
            cluster_id=0x0702,
            attributes=(0,),
            period_ms=10_000,
            tolerance_ms=2_000,
        ),
        PairingArmed(
            at_us=START_US,
            eui64=DEVICE,
            method=PairingMethod.REMOTE,
            requested_by="bench",
            window_s=600,
        ),
    ]


def join(outcome: JoinOutcome, cause: str = "") -> list[Event]:
    at_us = START_US + 5 * SECOND
    return [
        JoinStarted(
            at_us=at_us,
            join=1,
            eui64=DEVICE,
            kind=JoinKind.JOIN,
            band=Band.GHZ_2_4,
            page=0,
            channel=20,
        ),
        JoinStepTaken(at_us=at_us, join=1, step=Step.TRANSPORT_KEY, elapsed_us=0),
        JoinStepTaken(
            at_us=at_us + 4 * SECOND,
            join=1,
            step=Step.KEY_INITIATE,
            elapsed_us=4 * SECOND,
            status=StepStatus.OK if outcome is JoinOutcome.AUTHORISED else StepStatus.FAILED,
        ),
        JoinEnded(at_us=at_us + 5 * SECOND, join=1, outcome=outcome, cause=cause),
    ]


def read(after_s: float) -> ReadServed:
    return ReadServed(
        at_us=START_US + round(after_s * SECOND),
        eui64=DEVICE,
        initiator="device",
        endpoint=2,
        cluster_id=0x0702,
        attributes=(0,),
        command_id=None,
        status=0,
        latency_us=900,
        aps_encrypted=True,
        schedule="electricity",
    )


def sample(rssi_dbm: int | None) -> LinkSample:
    return LinkSample(
        at_us=START_US + SECOND,
        eui64=DEVICE,
        radio="stick",
        direction=Direction.TO_HUB,
        page=0,
        channel=20,
        lqi=200,
        rssi_dbm=rssi_dbm,
    )


def refused() -> Refused:
    return Refused(at_us=START_US + SECOND, eui64=DEVICE, layer="zcl", cause="it may not")


def board_after(*events: Event) -> Board:
    board = Board()
    for event in events:
        board(event)
    return board


def plain_after(*events: Event) -> list[str]:
    board, lines = Board(), []
    view = PlainView(board, lines.append)
    for event in events:
        board(event)
        view(event)
    return lines


def drawn(board: Board, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, height=40, force_terminal=False)
    console.print(draw(board, 3600.0))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def test_reads_are_counted_against_what_was_due() -> None:
    board = board_after(*opening(), *(read(t) for t in (10, 20, 30, 50)), sample(-60))
    line = board.devices[DEVICE].schedules["electricity"]
    assert line.observed == 4
    assert line.late == 1, "the read at 40 s did not come"
    assert line.expected(START_US + 50 * SECOND) == 4
    assert line.expected(START_US + 52 * SECOND) == 5
    assert line.expected(START_US + 61 * SECOND) == 5, "its tolerance is not over"


def test_a_schedule_without_a_read_expects_none() -> None:
    board = board_after(*opening())
    assert board.devices[DEVICE].schedules["electricity"].expected(START_US + 3600 * SECOND) == 0


def test_the_median_is_of_the_samples_that_have_one() -> None:
    board = board_after(*opening(), sample(-50), sample(None), sample(-70), sample(-60))
    device = board.devices[DEVICE]
    assert device.rssi_median_dbm() == -60
    assert device.frames == 4


def test_a_device_nobody_declared_gets_a_line_under_its_address() -> None:
    assert board_after(refused()).devices[DEVICE].name == DEVICE


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_the_live_view_draws_every_state_in_every_width(width: int) -> None:
    for board in (
        board_after(),
        board_after(*opening()),
        board_after(*opening(), *join(JoinOutcome.AUTHORISED), read(20), sample(-60), refused()),
        board_after(*opening(), *join(JoinOutcome.FAILED, "its install code is another")),
        board_after(*opening(), RadioLost(at_us=START_US, name="stick", cause="unplugged")),
        board_after(
            Note(
                at_us=START_US,
                kind="answer-not-delivered",
                severity=Severity.WARNING,
                detail={"status": "DELIVERY_FAILED"},
            )
        ),
    ):
        assert all(len(line) <= width for line in drawn(board, width).splitlines())


def test_the_live_view_says_what_a_person_asks_for() -> None:
    text = drawn(
        board_after(*opening(), *join(JoinOutcome.AUTHORISED), read(20), sample(-61), refused()),
        160,
    )
    for wanted in ("desk", "simulated", "channel 20", "hall display", "electricity 1/1", "-61 dBm"):
        assert wanted in text, text
    failed = drawn(board_after(*opening(), *join(JoinOutcome.FAILED, "another issuer")), 160)
    assert "failed: another issuer" in failed


LONG_JOIN = [
    JoinStarted(
        at_us=START_US,
        join=1,
        eui64=DEVICE,
        kind=JoinKind.JOIN,
        band=Band.GHZ_2_4,
        page=0,
        channel=20,
    ),
    *(
        JoinStepTaken(
            at_us=START_US + number * SECOND, join=1, step=step, elapsed_us=number * 1_700_000
        )
        for number, step in enumerate(Step)
    ),
    JoinEnded(
        at_us=START_US + 60 * SECOND,
        join=1,
        outcome=JoinOutcome.FAILED,
        cause="its certificate is of another authority than the one that the hub trusts",
    ),
]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_live_view_cuts_nothing_and_breaks_no_step_where_columns_have_no_room(
    width: int,
) -> None:
    gas = ReadScheduleDeclared(
        at_us=START_US,
        eui64=DEVICE,
        name="gas",
        cluster_id=0x0702,
        attributes=(0,),
        period_ms=1_800_000,
        tolerance_ms=2_000,
    )
    name = "a display with a name of some length"
    named = DeviceSeen(at_us=START_US, eui64=DEVICE, name=name, kind=DeviceKind.IHD)
    board = board_after(*opening(), gas, named, *LONG_JOIN, read(60), sample(-61), refused())
    lines = drawn(board, width).splitlines()
    assert all(len(line) <= width for line in lines)
    assert not any("…" in line for line in lines), "something was cut"
    for whole in (
        name,
        "electricity 1/1",
        "gas –",
        "-61 dBm",
        "● first read +15.3 s",
        *(f"● {word}" for word in ("beacon", "nwk key +3.4 s", "link key +11.9 s")),
    ):
        assert any(whole in line for line in lines), f"{whole} is broken or missing"
    told = " ".join(" ".join(lines).split())
    assert "failed: its certificate is of another authority than the one that the hub" in told
    assert ("reads served / expected" in told) == (width == 120)


def flowing(*texts: str, width: int, first: int = 0, indent: int = 0) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(Flow([Text(text) for text in texts], first=first, indent=indent))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_texts_flow_without_being_broken() -> None:
    assert flowing(width=10) == []
    assert flowing("", width=10) == []
    assert flowing("aa", "", "bb", width=6) == ["aa  bb"]
    assert flowing("aa", "bb", width=5) == ["aa", "bb"]
    assert flowing("aa", "bb c", "dd", width=9, first=1, indent=2) == [" aa  bb c", "  dd"]
    assert flowing("one two", "x", width=7, indent=2) == ["one two", "  x"]
    assert flowing("x", "one two six", "y", width=9, indent=2) == ["x", "  one two", "  six  y"]
    assert flowing("eleventeen", width=6, indent=1) == [" eleve", " nteen"]
    assert flowing("x" * 5, width=1, indent=4), "an indent wider than the screen is no failure"


def test_the_live_view_is_not_drawn_for_each_event() -> None:
    file = io.StringIO()
    console = Console(file=file, width=100, height=30, force_terminal=True)
    board = board_after(*opening())
    with LiveView(board, console, duration_s=10) as view:
        for number in range(5000):
            board(read(number))
            view(read(number))
    assert file.getvalue().count("labctl bench") < 500


def test_plain_lines_tell_a_join_with_its_steps_and_its_end() -> None:
    lines = plain_after(*opening(), *join(JoinOutcome.FAILED, "no announce came"))
    text = "\n".join(lines)
    assert "2026-01-05 00:00:00  rig desk: bench run starts, simulated" in lines
    assert "hub up: stick formed a new network, 2.4 GHz, channel 20, PAN 0x1234" in text
    assert "hall display: pairing window open for 600 s" in text
    assert "hall display: key-initiate failed +4.00 s" in text
    assert "hall display: failed: no announce came" in text


def test_plain_lines_sum_up_each_hour_once() -> None:
    reads = [read(t) for t in range(10, 2 * 3600 + 20, 10)]
    lines = plain_after(*opening(), *reads)
    hours = [line for line in lines if "electricity" in line]
    assert len(hours) == 2
    assert "electricity 360/360" in hours[0]
    assert len(lines) < 12, "reads are not printed one by one"


def test_a_flood_of_refusals_does_not_flood_the_lines() -> None:
    lines = plain_after(*opening(), *(refused() for _ in range(500)))
    shown = [line for line in lines if "refused" in line]
    assert len(shown) == MAX_REFUSALS_SHOWN
    assert "counted only" in shown[-1]


def test_a_closed_window_and_a_lost_radio_are_told() -> None:
    text = "\n".join(
        plain_after(
            *opening(),
            PairingWindowClosed(at_us=START_US, eui64=DEVICE, authorised=False),
            RadioLost(at_us=START_US, name="stick", cause="unplugged"),
        )
    )
    assert "hall display: pairing window closed, not authorised" in text
    assert "radio stick lost: unplugged" in text
