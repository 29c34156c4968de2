"""What the driver's errors mean to a person at the rig."""

from __future__ import annotations

from bellows.ash import NcpFailure

from labctl.errors import RigError

_PLUG_IN_AGAIN = "plug the stick in again, and start another run"


def why_lost(error: BaseException | None) -> str:
    """Why the connection ended, in words."""
    if error is None:
        return "the port was closed"
    if isinstance(error, NcpFailure):
        return f"the NCP reset or failed on its own ({getattr(error.code, 'name', error.code)})"
    if isinstance(error, OSError):
        return error.strerror or "the port failed"
    return f"{type(error).__name__}: {error}".rstrip(": ")


def start_failed(error: BaseException, path: str) -> RigError:
    """A start that failed, with what can be done about it."""
    if isinstance(error, RigError):
        return error
    if isinstance(error, FileNotFoundError):
        return RigError(
            "there is no such port",
            where=path,
            mend="is the stick plugged in? `ls /dev/serial/by-id` shows what is",
        )
    if isinstance(error, PermissionError):
        if "locked" in str(error):
            return RigError(
                "another program holds the port",
                where=path,
                mend=f"close it; `lsof {path}` names it",
            )
        return RigError(
            "the port may not be opened",
            where=path,
            mend="join the group that owns it (dialout on Debian) and log in again",
        )
    if isinstance(error, ConnectionRefusedError):
        return RigError(
            "nothing listens there", where=path, mend="is the network coordinator or ser2net up?"
        )
    if isinstance(error, TimeoutError):
        return RigError(
            "nothing on this port speaks EZSP",
            where=path,
            mend="check the baud rate and flow control in the inventory, and that the stick has "
            "EZSP firmware; unplug it and plug it in again if it is hung",
        )
    if isinstance(error, OSError | NcpFailure):
        return RigError(
            f"the port failed while the stick was being started: {why_lost(error)}",
            where=path,
            mend=_PLUG_IN_AGAIN,
        )
    return RigError(
        f"the stick did not start: {why_lost(error)}",
        where=path,
        mend="does another program use it? If not: " + _PLUG_IN_AGAIN,
    )


def gone(cause: str, radio: str) -> RigError:
    """The stick went away under a call."""
    return RigError(f"the stick is gone: {cause}", where=radio, mend=_PLUG_IN_AGAIN)
