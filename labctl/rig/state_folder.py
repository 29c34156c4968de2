"""What a rig keeps between runs, apart from the database: `.labctl/` beside the inventory.

`.labctl/lab-ca.json` is the laboratory's certificate authority; `.labctl/RIG/` has the flash
memories of a virtual rig and the rig time at which its last run ended. Files with keys are 0600.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from labctl.errors import ConfigurationError
from labctl.files import replace_file

_FOLDER = ".labctl"
_CLOCK = "clock"
_ORIGIN = "meters-origin"
_LATEST_US = 4_102_444_800_000_000
"""2100-01-01: a rig time beyond it is a damaged note."""
_KEY_STORE = "keys.json"


def state_root(inventory: Path) -> Path:
    """The folder with what all rigs beside an inventory keep."""
    return inventory.parent / _FOLDER


class StateFolder:
    """The folder of one rig. Raises `ConfigurationError` where it cannot be used."""

    def __init__(self, inventory: Path, rig: str) -> None:
        self.root = state_root(inventory)
        self.rig = self.root / rig
        try:
            self.rig.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigurationError(
                f"the rig's state cannot be kept: {error.strerror}",
                where=str(self.rig),
                mend="make the folder of the inventory writable, or use another inventory",
            ) from error

    def last_rig_time_us(self) -> int:
        """Rig time at which a virtual rig was last seen running; 0 when it never ran."""
        try:
            noted_us = int((self.rig / _CLOCK).read_text())
        except (OSError, ValueError):
            return 0  # a damaged note costs nothing: the database has the time as well
        return noted_us if 0 <= noted_us <= _LATEST_US else 0

    def meters_origin_s(self, now_s: int) -> int:
        """When this rig's meters stood at their start values: `now_s` the first time, then that.

        Registers of a real rig's meters must go on where they were, whenever the hub restarts.
        """
        path = self.rig / _ORIGIN
        with contextlib.suppress(OSError, ValueError):
            noted_s = int(path.read_text())
            if 0 <= noted_s <= now_s:
                return noted_s
        try:
            # Half a number would be another instant.
            replace_file(path, f"{now_s}\n", durable=True)
        except OSError as error:
            raise ConfigurationError(
                f"the rig's state cannot be kept: {error.strerror}", where=str(path)
            ) from error
        return now_s

    def note_rig_time(self, now_us: int) -> None:
        """Remember the rig time. A failure is left to the next note: nothing depends on one."""
        with contextlib.suppress(OSError):
            replace_file(self.rig / _CLOCK, f"{now_us}\n")


def key_store_path(inventory: Path, rig: str, rig_file: Path, named: str | None) -> Path:
    """The file that keeps a rig's device log: `named` from the rig file's folder, or the usual."""
    if named is not None:
        return rig_file.parent / named
    return inventory.parent / _FOLDER / rig / _KEY_STORE


def forget_virtual_rig(inventory: Path, rig: str, key_store: Path | None = None) -> None:
    """Remove what a virtual rig remembers: its next run starts with new sticks and devices.

    `key_store` names a key store that is elsewhere. Raises `ConfigurationError` when it cannot be
    removed.
    """
    folder = inventory.parent / _FOLDER / rig
    try:
        if key_store is not None:
            key_store.unlink(missing_ok=True)
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError(
            f"the virtual rig's memory cannot be removed: {error.strerror}", where=str(folder)
        ) from error
