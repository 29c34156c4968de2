"""A walk on a terminal: progress in one line, a bell after each waypoint, lines that are typed."""

from __future__ import annotations

import asyncio
import os
import select
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from labctl.errors import UsageError
from labctl.survey.view import Progress, View

if TYPE_CHECKING:
    from labctl.cli.output import Output
    from labctl.events import LinkJudged
    from labctl.survey.commands import Place
    from labctl.survey.links import Counts

STYLES = {"pass": "green", "marginal": "yellow", "fail": "bold red", "incomplete": "magenta"}
_LOOK_EVERY_S = 0.2


def when(at_us: int) -> str:
    """A time as people write it, UTC."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M")


class TypedLines:
    """Lines from the standard input, while the rig goes on.

    It looks for one every 0.2 s, so that no thread is left waiting when the walk ends.
    """

    def __init__(self) -> None:
        """Raise `UsageError` when there is no standard input."""
        try:
            self._input = sys.stdin.fileno()
        except (AttributeError, OSError, ValueError):
            raise UsageError(
                "nobody is there to be asked", mend="say where to go with --waypoints FILE"
            ) from None
        self._typed = b""
        self._ended = False

    async def ask(self, prompt: str, stop: asyncio.Event) -> str | None:
        """The next line; None at the end of the input, or when `stop` is set."""
        sys.stderr.write(f"\n{prompt}")
        sys.stderr.flush()
        loop = asyncio.get_running_loop()
        while b"\n" not in self._typed and not self._ended:
            if stop.is_set():
                return None
            if await loop.run_in_executor(None, self._something_came):
                more = os.read(self._input, 4096)
                self._typed += more
                self._ended = not more
        line, _, self._typed = self._typed.partition(b"\n")
        if self._ended and not line:
            return None
        return line.decode(errors="replace")

    def _something_came(self) -> bool:
        return bool(select.select([self._input], [], [], _LOOK_EVERY_S)[0])


class TerminalView(View):
    """Writes to stderr; the line of progress only on a terminal."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._live = sys.stderr.isatty()
        self._width = 0

    def opened(self, survey: int, *, resumed: bool) -> None:
        """Say which one it is."""
        self._line(f"survey {survey}{' goes on' if resumed else ''}")

    def began(self, waypoint: int, place: Place, *, resumed: bool) -> None:
        """Say where it is."""
        again = " (goes on)" if resumed else ""
        self._line(f"{waypoint}  {place.text}, floor {place.floor}{again}")
        if self._live and not resumed:
            self._line("   turn the device slowly, by a hand's breadth to each side")

    def progress(self, progress: Progress) -> None:
        """One line, over and over."""
        if self._live:
            self._over(
                f"   {progress.device} {progress.band.value}: to it {_counts(progress.down)}, "
                f"from it {_counts(progress.up)}; {progress.elapsed_s:.0f} s, "
                f"{progress.remaining_s:.0f} s or more to go"
            )

    def waiting(self, seconds: float, why: str) -> None:
        """Say how long."""
        self._line(f"   {why}: waiting {seconds:.0f} s")

    def done(self, waypoint: int, place: Place, links: Sequence[LinkJudged]) -> None:
        """Ring, and say what it came to."""
        from rich.text import Text

        self._over("")
        for link in links:
            margin = "" if link.p10_margin_db is None else f", {link.p10_margin_db:+.0f} dB"
            text = Text(f"   {link.band.value} ")
            text.append(link.verdict.value, STYLES[link.verdict.value])
            text.append(margin)
            self._output.console(err=True).print(text, soft_wrap=True)
        if self._live:
            self._line("\a   done, move on")

    def said(self, text: str) -> None:
        """A remark."""
        self._line(text)

    def _line(self, text: str) -> None:
        self._over("")
        self._output.message(text)

    def _over(self, text: str) -> None:
        if self._live and (text or self._width):
            sys.stderr.write(f"\r{text:<{self._width}}" + ("" if text else "\r"))
            sys.stderr.flush()
            self._width = len(text)


def _counts(counts: Counts) -> str:
    share = f"{counts.delivered}/{counts.probes}"
    return f"{share} {counts.verdict.value}" if counts.settled else share
