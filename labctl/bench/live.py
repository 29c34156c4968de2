"""The bench on a terminal: one screen that is redrawn as things happen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from labctl.bench.board import Board, DeviceLine
from labctl.bench.flow import Flow
from labctl.bench.plain import shown_time
from labctl.events import Event, JoinOutcome, Step, StepStatus

REDRAW_PERIOD_S = 0.1
"""Real seconds between two drawings: the fast clock makes thousands of events a second."""

SHOWN_FROM_US = 50_000
"""Steps that took less are shown without their time."""

_STEP_WORDS = {
    Step.BEACON_REQUEST: "beacon",
    Step.ASSOCIATION: "assoc",
    Step.TRANSPORT_KEY: "nwk key",
    Step.DEVICE_ANNOUNCE: "announce",
    Step.KEY_INITIATE: "initiate",
    Step.KEY_EPHEMERAL: "ephemeral",
    Step.KEY_CONFIRM: "confirm",
    Step.LINK_KEY_INSTALLED: "link key",
    Step.DISCOVERY: "discovery",
    Step.FIRST_READ: "first read",
}
_STATUS_STYLE = {
    StepStatus.OK: "green",
    StepStatus.REFUSED: "yellow",
    StepStatus.FAILED: "red",
}
_OUTCOME_STYLE = {
    JoinOutcome.AUTHORISED: "bold green",
    JoinOutcome.REFUSED: "bold yellow",
    JoinOutcome.FAILED: "bold red",
    JoinOutcome.NOT_HEARD: "bold yellow",
}
_REFUSED_AND_LQI = 10
_BETWEEN_COLUMNS = 5 * 3
_WEAK_DBM, _POOR_DBM = -85, -92


class LiveView:
    """Draws a `Board`. Use as a context manager around the run."""

    def __init__(self, board: Board, console: Console, *, duration_s: float | None) -> None:
        self._board = board
        self._duration_s = duration_s
        self._drawn_s = 0.0
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.redraw()
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Redraw after an event, unless that was done a moment ago."""
        # The pace of a screen is the reader's time, not the rig's: the one use of a real clock.
        if time.monotonic() - self._drawn_s >= REDRAW_PERIOD_S:
            self.redraw()

    def tick(self, now_us: int) -> None:
        """Redraw although nothing happened. To be called every second or so on a real clock."""
        self.redraw()

    def redraw(self) -> None:
        """Draw now."""
        self._drawn_s = time.monotonic()
        self._live.update(draw(self._board, self._duration_s), refresh=True)


def draw(board: Board, duration_s: float | None) -> Group:
    """The whole screen as a rich renderable."""
    parts: list[object] = [_head(board, duration_s), _Devices(board)]
    if board.notes:
        parts.append(
            Panel(
                Text("\n".join(board.notes), overflow="ellipsis"),
                title="notes",
                title_align="left",
                border_style="yellow",
            )
        )
    return Group(*parts)  # type: ignore[arg-type]


def _head(board: Board, duration_s: float | None) -> Panel:
    lines: list[object] = []
    elapsed_s = (board.now_us - (board.started_us or board.now_us)) / 1e6
    clock = Text(shown_time(board.now_us) + " UTC", style="bold")
    clock.append(f"   {timedelta(seconds=int(elapsed_s))}", style="cyan")
    if duration_s:
        clock.append(f" of {timedelta(seconds=int(duration_s))}", style="dim")
        row = Table.grid(expand=True, padding=(0, 2))
        row.add_column(no_wrap=True)
        row.add_column(ratio=1)
        row.add_row(clock, ProgressBar(total=duration_s, completed=min(elapsed_s, duration_s)))
        lines.append(row)
    else:
        lines.append(clock)
    if board.radio_lost:
        lines.append(Text(f"radio lost: {board.radio_lost}", style="bold red"))
    elif board.radio:
        radio = board.radio
        lines.append(
            Text(
                f"hub up on {radio.name}: {radio.band}, channel {radio.channel}, "
                f"PAN 0x{radio.pan_id:04x}, "
                f"{'network resumed' if radio.resumed else 'network formed'}, "
                f"{radio.driver} {radio.firmware or ''}"
            )
        )
    else:
        lines.append(Text("starting the hub …", style="dim"))
    title = f"labctl bench · {board.rig}" + (" · simulated" if board.simulated else "")
    return Panel(Group(*lines), title=title, title_align="left", border_style="blue")  # type: ignore[arg-type]


class _Devices:
    """A table and the joins below it; blocks of lines where the table's columns have no room."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        devices = self._board.devices.values()
        if _table_width(self._board) <= options.max_width:
            yield _table(self._board)
            for device in devices:
                if _shows_join(device):
                    yield Flow([Text(device.name, style="dim"), *_join(device)], first=2, indent=4)
        else:
            for device in devices:
                yield from _block(device, self._board.now_us)


def _table_width(board: Board) -> int:
    """How wide the table must be for no cell to be cut, reads one below the other if need be."""
    cells = [
        (
            [Text(device.name)],
            [_state(device, board.now_us)],
            _reads(device, board.now_us),
            [_rssi(device)],
        )
        for device in board.devices.values()
    ]
    columns = zip(*cells, strict=True)
    widest = (max((text.cell_len for cell in c for text in cell), default=0) for c in columns)
    return sum(widest) + _REFUSED_AND_LQI + _BETWEEN_COLUMNS


def _block(device: DeviceLine, now_us: int) -> Iterator[RenderableType]:
    head = [Text(device.name, style="bold"), _state(device, now_us), _rssi(device)]
    if device.lqi is not None:
        head.append(Text(f"LQI {device.lqi}"))
    if device.refused:
        head.append(Text(f"{device.refused} refused", style="yellow"))
    yield Flow(head, indent=2)
    yield Flow(_reads(device, now_us), first=2, indent=2)
    yield Flow(_join(device), first=2, indent=2)


def _table(board: Board) -> Table:
    table = Table(
        expand=True, show_edge=False, pad_edge=False, header_style="dim", box=box.SIMPLE_HEAD
    )
    table.add_column("device", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("reads served / expected", ratio=1)
    table.add_column("refused", justify="right")
    table.add_column("RSSI", justify="right", no_wrap=True)
    table.add_column("LQI", justify="right")
    for device in board.devices.values():
        table.add_row(
            Text(device.name, style="bold"),
            _state(device, board.now_us),
            Flow(_reads(device, board.now_us)),
            Text(str(device.refused), style="yellow" if device.refused else "dim"),
            _rssi(device),
            "" if device.lqi is None else str(device.lqi),
        )
    return table


def _state(device: DeviceLine, now_us: int) -> Text:
    style = "cyan"
    if device.outcome is not None:
        style = _OUTCOME_STYLE[device.outcome]
    text = Text(device.state, style=style)
    if device.window_until_us is not None and device.outcome is None:
        left_s = max(0, (device.window_until_us - now_us) // 1_000_000)
        text.append(f" ({left_s} s left)", style="dim")
    return text


def _reads(device: DeviceLine, now_us: int) -> list[Text]:
    texts = []
    for schedule in device.schedules.values():
        expected = schedule.expected(now_us)
        missed = max(0, expected - schedule.observed)
        text = Text()
        text.append(f"{schedule.name} ", style="dim")
        text.append(
            f"{schedule.observed}/{expected}" if expected else "–",
            style="green" if not missed and not schedule.late else "yellow",
        )
        if schedule.late:
            text.append(f" {schedule.late} late", style="yellow")
        texts.append(text)
    return texts


def _rssi(device: DeviceLine) -> Text:
    rssi_dbm = device.rssi_median_dbm()
    if rssi_dbm is None:
        return Text("")
    style = "red" if rssi_dbm < _POOR_DBM else "yellow" if rssi_dbm < _WEAK_DBM else "green"
    return Text(f"{rssi_dbm} dBm", style=style)


def _shows_join(device: DeviceLine) -> bool:
    return bool(device.steps) or bool(device.cause)


def _join(device: DeviceLine) -> list[Text]:
    texts = []
    for step in device.steps:
        text = Text("● ", style=_STATUS_STYLE[step.status])
        text.append(_STEP_WORDS[step.step], style="default")
        if step.elapsed_us >= SHOWN_FROM_US:
            text.append(f" +{step.elapsed_us / 1e6:.1f} s", style="dim default")
        texts.append(text)
    if device.outcome is not None and device.outcome is not JoinOutcome.AUTHORISED:
        style = _OUTCOME_STYLE[device.outcome]
        texts.append(Text(f"{device.outcome}: {device.cause}", style=style))
    return texts
