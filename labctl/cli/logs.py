"""Where log lines go: to stderr, without anything that could be a key.

The drivers log the arguments of each command at DEBUG, and each frame on the line to the stick:
keys are among both. They are asked for that with -vvv alone, and whatever is logged, by whomever,
passes `KeyFilter` on its way out: octets are hidden by their look, not by their name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from labctl.cli.output import DEBUG, DRIVERS, VERBOSE
from labctl.secret import hide

_DRIVERS = ("bellows", "zigpy", "zigpy_znp", "serialx", "asyncio", "filelock")


class KeyFilter(logging.Filter):
    """Takes what could be a key or a code out of a record: of message, arguments and traceback.

    The record itself is changed, so that no handler after this one gets more.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true: a line is changed, and never lost."""
        record.msg, record.args = hide(_message(record)), None
        if record.exc_info and not record.exc_text:
            record.exc_text = _PLAIN.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = hide(record.exc_text)
        if record.stack_info:
            record.stack_info = hide(record.stack_info)
        record.exc_info = None
        return True


_PLAIN = logging.Formatter()


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - a wrong line of a driver is still a line
        return f"{record.msg} ({type(error).__name__} while it was put together)"


class _Echo(logging.Handler):
    """Hands each line to a function, without keys."""

    def __init__(self, echo: Callable[[str], None]) -> None:
        super().__init__()
        self._echo = echo
        self.addFilter(KeyFilter())
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """One line, or several where there is a traceback."""
        try:
            self._echo(self.format(record))
        except BrokenPipeError:
            raise
        except Exception:  # noqa: BLE001 - logging's own way with errors in a handler
            self.handleError(record)


def configure_logging(verbosity: int, echo: Callable[[str], None]) -> None:
    """Send log lines to `echo`, without keys: warnings; with -v informational ones.

    With -vv labctl's own debugging, with -vvv the drivers' as well. To be called once, by a command
    that is about to open a rig.
    """
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, _Echo)]:
        root.removeHandler(handler)
    root.addHandler(_Echo(echo))
    if verbosity >= DEBUG:
        root.setLevel(logging.DEBUG)
    else:
        root.setLevel(logging.INFO if verbosity >= VERBOSE else logging.WARNING)
    lowest = logging.DEBUG if verbosity >= DRIVERS else logging.INFO
    for name in _DRIVERS:
        logging.getLogger(name).setLevel(max(root.level, lowest))
