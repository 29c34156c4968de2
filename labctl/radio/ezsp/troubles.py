"""What the driver's errors mean to a person at the rig."""

from __future__ import annotations

import zigpy.exceptions
from bellows.ash import AshException, NcpFailure
from bellows.exception import ControllerError, EzspError

from labctl.errors import RigError
from labctl.radio import troubles
from labctl.radio.troubles import gone

__all__ = ["DRIVER_ERRORS", "gone", "start_failed", "why_lost"]

DRIVER_ERRORS = (EzspError, ControllerError, AshException, zigpy.exceptions.ZigbeeException)
"""What bellows raises on purpose, above its line and on it."""


def why_lost(error: BaseException | None) -> str:
    """Why the connection ended, in words."""
    if isinstance(error, NcpFailure):
        if isinstance(error.code, str):  # bellows' own sentence: it had no port to write to
            return "the port was closed"
        return f"the NCP reset or failed on its own ({getattr(error.code, 'name', error.code)})"
    return troubles.why_lost(error)


def start_failed(error: BaseException, path: str) -> RigError:
    """A start that failed, with what can be done about it."""
    if isinstance(error, NcpFailure):
        return troubles.failed_at_start(why_lost(error), path)
    return troubles.port_failed(error, path, protocol="EZSP")
