"""What goes wrong with a stick's port, in words for a person at the rig, whatever the driver."""

from __future__ import annotations

from labctl.errors import BusyError, RigError
from labctl.secret import hide

PLUG_IN_AGAIN = "plug the stick in again, and start another run"


def why_lost(error: BaseException | None) -> str:
    """Why the connection ended, in words."""
    if error is None:
        return "the port was closed"
    if isinstance(error, OSError):
        return error.strerror or "the port failed"
    return f"{type(error).__name__}: {hide(str(error))}".rstrip(": ")


def port_failed(error: BaseException, path: str, *, protocol: str) -> RigError:
    """A start that failed for a reason that is not the driver's own."""
    if isinstance(error, RigError):
        return error
    if isinstance(error, FileNotFoundError):
        return RigError(
            "there is no such port",
            where=path,
            mend="is the stick plugged in? `labctl radios` shows which are",
        )
    if isinstance(error, PermissionError):
        if "locked" in str(error):
            return BusyError(
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
            f"nothing on this port speaks {protocol}",
            where=path,
            mend="check the baud rate and flow control in the inventory, and that the stick has "
            f"{protocol} firmware; unplug it and plug it in again if it is hung",
        )
    if isinstance(error, OSError):
        return failed_at_start(why_lost(error), path)
    return RigError(
        f"the stick did not start: {why_lost(error)}",
        where=path,
        mend="does another program use it? If not: " + PLUG_IN_AGAIN,
    )


def failed_at_start(cause: str, path: str) -> RigError:
    """The port or the NCP went away during the start."""
    return RigError(
        f"the port failed while the stick was being started: {cause}",
        where=path,
        mend=PLUG_IN_AGAIN,
    )


def gone(cause: str, radio: str) -> RigError:
    """The stick went away under a call."""
    return RigError(f"the stick is gone: {cause}", where=radio, mend=PLUG_IN_AGAIN)
