"""What the driver's errors mean to a person at the rig."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import zigpy.exceptions
from zigpy_znp.exceptions import CommandNotRecognized, InvalidCommandResponse, SecurityError

from labctl.errors import RigError
from labctl.radio.troubles import gone, port_failed, why_lost
from labctl.radio.znp.connection import NotBuiltIn, Refused
from labctl.secret import hide

_NO = (Refused, NotBuiltIn, InvalidCommandResponse, CommandNotRecognized, SecurityError)


def start_failed(error: BaseException, path: str) -> RigError:
    """A start that failed, with what can be done about it."""
    if isinstance(error, _NO):
        return RigError(
            f"the stick did not start: {hide(str(error))}",
            where=path,
            mend="update the stick's firmware",
        )
    return port_failed(error, path, protocol="ZNP")


@contextmanager
def driver_errors(radio: str, why_gone: Callable[[], str | None]) -> Iterator[None]:
    """Around every call of the driver: its errors become a `RigError`.

    `why_gone` tells why the stick is not there any more; while it is, other errors than the
    driver's own are ours, and let through.
    """
    try:
        yield
    except RigError:
        raise
    except _NO as error:
        raise RigError(f"the NCP did not do it: {hide(str(error))}", where=radio) from error
    except zigpy.exceptions.ZigbeeException as error:
        raise RigError(f"the NCP did not do it: {why_lost(error)}", where=radio) from error
    except TimeoutError as error:
        raise RigError(
            "the NCP did not answer in time",
            where=radio,
            mend="unplug the stick and plug it in again; if that helps only for a while, "
            "update its firmware",
        ) from error
    except Exception as error:
        cause = why_gone()
        if cause is None and not isinstance(error, OSError):
            raise
        raise gone(cause or why_lost(error), radio) from error
