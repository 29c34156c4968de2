"""What can go wrong, split by who can mend it.

Every error says what happened, where, and what to do next. The command line turns the class into
the exit code (`labctl help exit-codes`); nothing below `cli/` calls `sys.exit`.

A misbehaving device under test is a *finding*, recorded as an event. It is never an exception.
"""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """Exit codes of every command. 69 to 78 follow sysexits.h."""

    PASS = 0
    PRODUCT_FAILED = 1
    USAGE = 2
    RIG_UNAVAILABLE = 69
    BUG = 70
    BUSY = 75
    CONFIGURATION = 78
    INTERRUPTED = 130


class LabctlError(Exception):
    """Base of all errors that labctl raises on purpose.

    `what` is one sentence; `where` a file with line and column, a port, or a command; `mend` says
    what the reader should do next.
    """

    exit_code = ExitCode.BUG

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  {self.mend}" if self.mend else text


class ConfigurationError(LabctlError):
    """The person can mend it: a file or an option says something that cannot be."""

    exit_code = ExitCode.CONFIGURATION


class UsageError(LabctlError):
    """The person can mend it: the command was called in a way that makes no sense."""

    exit_code = ExitCode.USAGE


class RigError(LabctlError):
    """Cable, stick, port or firmware: whoever stands at the rig can mend it."""

    exit_code = ExitCode.RIG_UNAVAILABLE


class BusyError(RigError):
    """Somebody else holds the thing. Trying again later is the mend."""

    exit_code = ExitCode.BUSY


class DeliveryError(RigError):
    """A frame was not delivered: no acknowledgement, no route, no key, or the NCP had no room.

    `status` is the driver's own word for it.
    """

    def __init__(self, what: str, *, status: str, where: str = "", mend: str = "") -> None:
        super().__init__(what, where=where, mend=mend)
        self.status = status


class InternalError(LabctlError):
    """A bug in labctl ended a run. Whoever maintains labctl can mend it."""


class DatabaseError(LabctlError):
    """The database cannot be opened, migrated or written."""

    exit_code = ExitCode.RIG_UNAVAILABLE
