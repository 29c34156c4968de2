"""A lock folder whose clock the test sets, and processes that hold a thing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labctl.leases import Kind, Leases, LockFolder, Thing

STICK = Thing(Kind.RADIO, "usb:10c4:ea60:A1")
OTHER = Thing(Kind.RADIO, "usb:10c4:ea60:B2")
DISPLAY = Thing(Kind.DEVICE, "00:0d:6f:00:0a:90:69:e7")

_HOLDER = """
import sys
from pathlib import Path
from labctl.leases import Leases, LockFolder, Thing
leases = Leases(LockFolder(Path(sys.argv[1])))
lease = leases.take([Thing.parse(text) for text in sys.argv[2:]], purpose="holding")
print(lease.lease_id, flush=True)
sys.stdin.read()
lease.release()
"""


class SetClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_us(self) -> int:
        return 1_790_000_000_000_000 + round(self.now_s * 1e6)


def leases_in(folder: Path, clock: SetClock | None = None) -> Leases:
    """The leases of a folder, on that clock or the computer's."""
    locks = LockFolder(folder)
    if clock is None:
        return Leases(locks)
    return Leases(locks, monotonic_s=clock.monotonic_s, wall_us=clock.wall_us)


@contextmanager
def another_process(folder: Path, *things: Thing) -> Iterator[subprocess.Popen[str]]:
    """A process that holds `things` until its stdin closes."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(folder), *map(str, things)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip()
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
