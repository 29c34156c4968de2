"""What a virtual device keeps without power: its node's state, and whether its key is authorised.

A JSON file of mode 0600, since it holds keys, replaced as a whole, so that a kill at any instant
leaves the old or the new one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.errors import ConfigurationError
from labctl.files import replace_file
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.node import NodeState, Role

_FORMAT = "labctl-virtual-device"
_VERSION = 1


@dataclass(slots=True)
class Memory:
    """The contents of flash. `suite` is that of the key establishment behind the link key."""

    node: NodeState
    authorised: bool = False
    suite: int | None = None
    firmware: int | None = None
    """The version that an OTA upgrade installed; None as delivered."""

    def to_json(self) -> dict[str, Any]:
        """For the file; holds keys."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "authorised": self.authorised,
            "suite": self.suite,
            "firmware": self.firmware,
            "node": self.node.to_json(),
        }


class Flash:
    """Keeps a `Memory` in the file `path`, or in this object alone when there is no path."""

    def __init__(self, path: Path | None, eui64: Eui64) -> None:
        self._path = path
        self._eui64 = eui64
        self._kept: str | None = None

    def load(self) -> Memory:
        """What was saved last, or an empty memory.

        Raise `ConfigurationError` when the file cannot be used, or is another device's.
        """
        text = self._kept if self._path is None else self._read(self._path)
        if text is None:
            return Memory(NodeState(self._eui64, Role.END_DEVICE))
        try:
            stored = json.loads(text)
            if stored["format"] != _FORMAT or stored["version"] != _VERSION:
                raise ValueError("another format")
            suite, firmware = stored["suite"], stored.get("firmware")
            memory = Memory(
                NodeState.from_json(stored["node"]),
                bool(stored["authorised"]),
                None if suite is None else int(suite),
                None if firmware is None else int(firmware),
            )
        except ConfigurationError as error:
            raise self._unusable(error.what) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # The text of the error might quote keys: name its kind only.
            raise self._unusable(f"it is damaged ({type(error).__name__})") from None
        if memory.node.eui64 != self._eui64:
            raise self._unusable(f"it belongs to {memory.node.eui64}, not to {self._eui64}")
        return memory

    def save(self, memory: Memory) -> None:
        """Replace what is kept. Raise `ConfigurationError` when the file cannot be written."""
        text = json.dumps(memory.to_json())
        if self._path is None:
            self._kept = text
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, text, mode=0o600)
        except OSError as error:
            raise self._unusable(f"it cannot be written: {error.strerror}") from error

    def erase(self) -> None:
        """Forget everything, as a factory reset does."""
        self._kept = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _read(self, path: Path) -> str | None:
        try:
            return path.read_text()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable(f"it cannot be read ({type(error).__name__})") from None

    def _unusable(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"the virtual device's flash cannot be used: {why}",
            where=str(self._path or self._eui64),
            mend="delete the file: the device is then as new, and has to be paired again",
        )
