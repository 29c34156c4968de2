"""The bench as lines of text, for logs, pipes and CI."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from labctl.bench.board import Board
from labctl.events import (
    Event,
    JoinEnded,
    JoinOutcome,
    JoinStarted,
    JoinStepTaken,
    LinkSample,
    Note,
    PairingArmed,
    PairingWindowClosed,
    RadioLost,
    RadioUp,
    ReadServed,
    Refused,
    RunStarted,
    Severity,
    StepStatus,
)

SUMMARY_PERIOD = timedelta(hours=1)
"""A line about reads and links comes this often, in rig time."""

MAX_REFUSALS_SHOWN = 20
"""Further refusals of a device are only counted: a flood must not flood the log."""


class PlainView:
    """Prints what a person would want to know later, one line each, and nothing twice."""

    def __init__(self, board: Board, echo: Callable[[str], None]) -> None:
        self._board = board
        self._echo = echo
        self._next_summary_us: int | None = None
        self._names: dict[int, str] = {}

    def __call__(self, event: Event) -> None:
        """Take in one event, after the board has."""
        self.tick(event.at_us)
        if isinstance(event, LinkSample | ReadServed):
            return
        text = self._describe(event)
        if text:
            self._echo(f"{shown_time(event.at_us)}  {text}")

    def tick(self, now_us: int) -> None:
        """Time passed: print the hour's summary if one is due."""
        if self._next_summary_us is not None and now_us >= self._next_summary_us:
            self._summary(now_us)

    def _describe(self, event: Event) -> str:
        board = self._board
        match event:
            case RunStarted():
                self._next_summary_us = event.at_us + _microseconds(SUMMARY_PERIOD)
                simulated = ", simulated" if event.simulated else ""
                return f"rig {event.rig}: {event.kind} run starts{simulated}"
            case RadioUp():
                how = "resumed its network" if event.resumed else "formed a new network"
                return (
                    f"hub up: {event.name} {how}, {event.band}, channel {event.channel}, "
                    f"PAN 0x{event.pan_id:04x} ({event.driver} {event.firmware or ''})".rstrip()
                )
            case RadioLost():
                return f"radio {event.name} lost: {event.cause}"
            case PairingArmed():
                return f"{self._name(event.eui64)}: pairing window open for {event.window_s} s"
            case PairingWindowClosed():
                how = "authorised" if event.authorised else "not authorised"
                return f"{self._name(event.eui64)}: pairing window closed, {how}"
            case JoinStarted():
                self._names[event.join] = self._name(event.eui64)
                return f"{self._name(event.eui64)}: {event.kind} begins"
            case JoinStepTaken():
                status = "" if event.status is StepStatus.OK else f" {event.status}"
                detail = f": {event.detail}" if event.detail else ""
                after = f" +{event.elapsed_us / 1e6:.2f} s" if event.elapsed_us else ""
                return f"{self._names.get(event.join, '?')}: {event.step}{status}{after}{detail}"
            case JoinEnded():
                cause = "" if event.outcome is JoinOutcome.AUTHORISED else f": {event.cause}"
                return f"{self._names.get(event.join, '?')}: {event.outcome}{cause}"
            case Refused():
                refused = board.devices[event.eui64].refused
                if refused > MAX_REFUSALS_SHOWN:
                    return ""
                last = " (further ones are counted only)" if refused == MAX_REFUSALS_SHOWN else ""
                return f"{self._name(event.eui64)}: refused, {event.cause}{last}"
            case Note(kind="pairing-awaits-person"):
                within = f"within {event.detail['within_s']} s"
                return f"{self._name(event.eui64 or '')}: {event.detail['do']} ({within})"
            case Note() if event.severity is not Severity.INFO:
                who = f"{self._name(event.eui64)}: " if event.eui64 else ""
                detail = " ".join(f"{key}={value}" for key, value in event.detail.items())
                return f"{who}{event.severity}: {event.kind} {detail}".rstrip()
            case _:
                return ""

    def _summary(self, at_us: int) -> None:
        assert self._next_summary_us is not None
        while self._next_summary_us <= at_us:
            self._next_summary_us += _microseconds(SUMMARY_PERIOD)
        for device in self._board.devices.values():
            reads = ", ".join(
                f"{s.name} {s.observed}/{s.expected(at_us)}" for s in device.schedules.values()
            )
            rssi = device.rssi_median_dbm()
            link = f", RSSI {rssi} dBm" if rssi is not None else ""
            self._echo(f"{shown_time(at_us)}  {device.name}: {reads or 'no schedule'}{link}")

    def _name(self, eui64: str) -> str:
        device = self._board.devices.get(eui64)
        return device.name if device else eui64


def shown_time(at_us: int) -> str:
    """UTC as ``2026-01-05 00:00:04``."""
    return f"{datetime.fromtimestamp(at_us / 1e6, UTC):%Y-%m-%d %H:%M:%S}"


def _microseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1_000_000)
