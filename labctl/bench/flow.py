"""Short texts side by side, as many to a line as it takes, none of them broken."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

_GAP = "  "


class Flow:
    """Draws `texts`, empty ones left out, two columns apart.

    The first line begins at the column `first`, the others at `indent`. Only a text that is longer
    than a whole line is broken, at its words.
    """

    def __init__(self, texts: Sequence[Text], *, first: int = 0, indent: int = 0) -> None:
        self._texts = [text for text in texts if text]
        self._first = first
        self._indent = indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(1, options.max_width - self._indent)
        line = Text(" " * self._first, no_wrap=True)
        bare = True
        for text in self._texts:
            gap = "" if bare else _GAP
            if line.cell_len + cell_len(gap) + text.cell_len <= options.max_width:
                line.append(gap).append_text(text)
                bare = False
                continue
            if not bare:
                yield line
            pieces = list(text.wrap(console, width))
            for piece in pieces[:-1]:
                yield self._indented(piece)
            line, bare = self._indented(pieces[-1]), False
        if not bare:
            yield line

    def _indented(self, piece: Text) -> Text:
        return Text(" " * self._indent, no_wrap=True).append_text(piece)
