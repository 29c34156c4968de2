"""Where log lines go: to stderr, scrubbed of anything that could be a key.

The drivers log the arguments of each command at DEBUG, keys among them, so they are never let
below INFO; and every line passes `scrub`, since a driver quotes octets in its warnings too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from labctl.cli.output import DEBUG, VERBOSE, scrub

_DRIVERS = ("bellows", "zigpy", "serialx", "asyncio")


class _Echo(logging.Handler):
    """Hands each line to a function, scrubbed."""

    def __init__(self, echo: Callable[[str], None]) -> None:
        super().__init__()
        self._echo = echo
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """One line, or several where there is a traceback."""
        try:
            self._echo(scrub(self.format(record)))
        except BrokenPipeError:
            raise
        except Exception:  # noqa: BLE001 - logging's own way with errors in a handler
            self.handleError(record)


def configure_logging(verbosity: int, echo: Callable[[str], None]) -> None:
    """Send log lines to `echo`: warnings, with -v informational ones, with -vv labctl's own debug.

    To be called once, by a command that is about to open a rig.
    """
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, _Echo)]:
        root.removeHandler(handler)
    root.addHandler(_Echo(echo))
    if verbosity >= DEBUG:
        root.setLevel(logging.DEBUG)
    else:
        root.setLevel(logging.INFO if verbosity >= VERBOSE else logging.WARNING)
    for name in _DRIVERS:
        logging.getLogger(name).setLevel(max(root.level, logging.INFO))
