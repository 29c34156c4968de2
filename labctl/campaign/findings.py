"""How a case ends before its end."""

from __future__ import annotations


class CaseEnd(Exception):
    """A case says how it ends. `cause` is one sentence."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Failed(CaseEnd):
    """The device did what it must not, or did not what it must."""


class NotSeen(Failed):
    """What the device had to do was not seen in time."""


class Incomplete(CaseEnd):
    """Too little was seen to say."""


class NotApplicable(CaseEnd):
    """Rig or device has not what the case needs."""


class Skipped(CaseEnd):
    """What the case rests on does not hold."""
