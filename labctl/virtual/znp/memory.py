"""The file that a virtual ZNP stick's flash is.

It holds keys: mode 0600, replaced as a whole.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from labctl.errors import ConfigurationError
from labctl.files import replace_file
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.znp.nvram import Key, Nvram

FORMAT = "znp-1"

_SAVE_DELAY_S = 0.05
"""Changes that come in a row (a join makes several) go into one write."""


class Memory:
    """Non-volatile memory in a JSON file or, with `path` None, nowhere but here.

    One `Memory` belongs to one stick at a time.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._factory: Eui64 | None = None
        self._items: dict[Key, bytes] | None = None
        self._due: asyncio.TimerHandle | None = None

    def load(self, eui64: Eui64) -> Nvram:
        """Read it; nothing at all when there is no file.

        Raises `ConfigurationError` for a file that is not such a memory or another stick's.
        """
        if self.stored_eui64 not in (None, eui64):
            raise ConfigurationError(
                f"this is the state of the stick {self._factory}, not of {eui64}",
                where=str(self._path),
                mend="correct the address, or remove the file to start with an empty stick",
            )
        self._factory = eui64
        if self._items is None:
            self._items = {}
        return Nvram(self._items, self.save_soon)

    @property
    def stored_eui64(self) -> Eui64 | None:
        """The address of the stick whose state the file holds, if it holds any."""
        if self._factory is None and self._path is not None and self._path.exists():
            self._read(self._path)
        return self._factory

    def _read(self, path: Path) -> None:
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["format"] != FORMAT:
                raise ValueError("another format")
            factory = Eui64(stored["eui64"])
            items = {_key(name): bytes.fromhex(value) for name, value in stored["items"].items()}
        except OSError as error:
            what = f"the NCP's state cannot be read: {error.strerror}"
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"this is not the state of a virtual ZNP stick ({type(error).__name__})"
        else:
            self._factory, self._items = factory, items
            return
        # Outside of `except`: what the parser had in hand may hold keys.
        raise ConfigurationError(
            what,
            where=str(path),
            mend="name another file, or remove this one to start with an empty stick",
        )

    def save_soon(self) -> None:
        """Write within 50 ms."""
        if self._path is None or self._due is not None:
            return
        self._due = asyncio.get_running_loop().call_later(_SAVE_DELAY_S, self.save)

    def save(self, *, durable: bool = False) -> None:
        """Write now. `durable` waits for the disk too."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._path is None or self._items is None:
            return
        stored: dict[str, Any] = {
            "format": FORMAT,
            "eui64": self._factory,
            "items": {
                f"{system}.{item:04x}.{sub:04x}": value.hex()
                for (system, item, sub), value in sorted(self._items.items())
            },
        }
        try:
            replace_file(self._path, json.dumps(stored, indent=1), mode=0o600, durable=durable)
        except OSError as error:
            raise ConfigurationError(
                f"the NCP's state cannot be written: {error.strerror}",
                where=str(self._path),
                mend="is the directory there, and may it be written to?",
            ) from error


def _key(name: str) -> Key:
    system, item, sub = name.split(".")
    return int(system), int(item, 16), int(sub, 16)
