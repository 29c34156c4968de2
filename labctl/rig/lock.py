"""One run of a rig at a time: a lock that the kernel lets go of when its holder dies."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from labctl.errors import BusyError, RigError


@contextmanager
def rig_lock(folder: Path, rig: str, now_us: int) -> Iterator[None]:
    """Hold the rig whose state folder this is. `now_us` (UTC) is told to whoever comes second.

    Raises `BusyError` with who holds it and since when, and `RigError` when the folder cannot be
    used: without a lock a rig is not opened.
    """
    holder = folder / "holder.json"
    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(
            f"the rig {rig} is in use{_holder(holder)}",
            where=str(folder),
            mend="wait until that run has ended, or end it",
        ) from None
    except OSError as error:
        raise RigError(
            f"the rig cannot be locked: {error.strerror}",
            where=str(folder),
            mend="make the folder of the inventory writable",
        ) from error
    try:
        holder.write_text(json.dumps({"pid": os.getpid(), "since_us": now_us}))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether somebody has the rig of this state folder open. Raises `RigError`."""
    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError as error:
        raise RigError(f"the rig cannot be locked: {error.strerror}", where=str(folder)) from error
    lock.release()
    return False


def _holder(path: Path) -> str:
    """Who it is, as far as he has told; the lock itself is what counts."""
    try:
        told = json.loads(path.read_text())
        since = datetime.fromtimestamp(told["since_us"] / 1e6, UTC)
        return f" by process {told['pid']:d} since {since:%Y-%m-%d %H:%M:%S} UTC"
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return ""
