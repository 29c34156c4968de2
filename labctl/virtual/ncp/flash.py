"""What the NCP keeps over a reset and over the loss of power.

The file holds keys: it is created with mode 0600. A save replaces it as a whole, so that a crash
leaves the old or the new one, never half of each. Counters are written ahead by the node itself,
so an old counter in the file is never one that was used on the air already.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.errors import ConfigurationError
from labctl.files import replace_file
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.node import NodeState, Role

FORMAT = 1

_SAVE_DELAY_S = 0.05
"""Changes that come in a row (a join makes several) go into one write."""


@dataclass(slots=True)
class Contents:
    """The tokens of the firmware. `node` is the network's; the rest belongs to the NCP."""

    factory_eui64: Eui64
    """The stick's own; `node.eui64` differs from it when the host wrote another one."""
    node: NodeState
    link_keys: dict[int, tuple[Eui64, bytes]] = field(default_factory=dict)
    """The link key table: index to partner and key."""
    security_bitmask: int | None = None
    """Of the initial security state that the network was formed with; None when never formed."""
    preconfigured_key: bytes = bytes(16)
    tx_power_dbm: int = 8
    child_slots: dict[int, Eui64] = field(default_factory=dict)
    bindings: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    tokens: dict[str, bytes] = field(default_factory=dict)
    """Application, manufacturing and NV3 tokens by kind and number."""
    authorised: set[Eui64] = field(default_factory=set)
    """Partners whose keys the NCP established itself (firmware with key establishment)."""

    def __repr__(self) -> str:
        return f"<flash of {self.factory_eui64}>"

    def to_json(self) -> dict[str, Any]:
        """For the file."""
        return {
            "format": FORMAT,
            "eui64": self.factory_eui64,
            "node": self.node.to_json(),
            "link_keys": {
                str(index): {"eui64": partner, "key": key.hex()}
                for index, (partner, key) in sorted(self.link_keys.items())
            },
            "security_bitmask": self.security_bitmask,
            "preconfigured_key": self.preconfigured_key.hex(),
            "tx_power_dbm": self.tx_power_dbm,
            "child_slots": {str(index): child for index, child in self.child_slots.items()},
            "bindings": {str(index): list(value) for index, value in self.bindings.items()},
            "tokens": {name: value.hex() for name, value in sorted(self.tokens.items())},
            "authorised": sorted(self.authorised),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Contents:
        """From the file. Raises `KeyError`, `ValueError`, `TypeError` when it is not ours."""
        if stored["format"] != FORMAT:
            raise ValueError(f"format {stored['format']!r} is not known")
        return cls(
            factory_eui64=Eui64(stored["eui64"]),
            node=NodeState.from_json(stored["node"]),
            link_keys={
                int(index): (Eui64(entry["eui64"]), bytes.fromhex(entry["key"]))
                for index, entry in stored["link_keys"].items()
            },
            security_bitmask=stored["security_bitmask"],
            preconfigured_key=bytes.fromhex(stored["preconfigured_key"]),
            tx_power_dbm=int(stored["tx_power_dbm"]),
            child_slots={
                int(index): Eui64(child) for index, child in stored["child_slots"].items()
            },
            bindings={int(index): tuple(value) for index, value in stored["bindings"].items()},
            tokens={name: bytes.fromhex(value) for name, value in stored["tokens"].items()},
            authorised={Eui64(partner) for partner in stored.get("authorised", ())},
        )


class Flash:
    """The NCP's flash, in a JSON file or, with `path` None, in memory alone.

    One `Flash` belongs to one NCP at a time.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._contents: Contents | None = None
        self._due: asyncio.TimerHandle | None = None

    def load(self, eui64: Eui64) -> Contents:
        """Read it; a new stick's contents, with `eui64` as its address, when there is no file.

        Raises `ConfigurationError` for a file that is not an NCP's state or another stick's.
        """
        if self._contents is None:
            self._contents = self._read()
        if self._contents is None:
            self._contents = Contents(eui64, NodeState(eui64=eui64, role=Role.COORDINATOR))
        elif self._contents.factory_eui64 != eui64:
            raise ConfigurationError(
                f"this is the state of the stick {self._contents.factory_eui64}, not of {eui64}",
                where=str(self._path),
                mend="correct the address, or remove the file to start with an empty stick",
            )
        return self._contents

    @property
    def stored_eui64(self) -> Eui64 | None:
        """The address of the stick whose state the file holds, if it holds any."""
        if self._contents is None:
            self._contents = self._read()
        return None if self._contents is None else self._contents.factory_eui64

    def _read(self) -> Contents | None:
        if self._path is None or not self._path.exists():
            return None
        try:
            return Contents.from_json(json.loads(self._path.read_text(encoding="utf-8")))
        except OSError as error:
            what = f"the NCP's state cannot be read: {error.strerror}"
        except ConfigurationError as error:
            what = error.what
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"this is not the state of a virtual NCP ({type(error).__name__})"
        # Outside of `except`: what the parser had in hand may hold keys.
        raise ConfigurationError(
            what,
            where=str(self._path),
            mend="name another file, or remove this one to start with an empty NCP",
        )

    def save_soon(self) -> None:
        """Write within 50 ms: for what happens while frames flow."""
        if self._path is None or self._due is not None:
            return
        self._due = asyncio.get_running_loop().call_later(_SAVE_DELAY_S, self.save)

    def save(self, *, durable: bool = False) -> None:
        """Write now. `durable` waits for the disk too: for networks and keys, not for counters."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._path is None or self._contents is None:
            return
        text = json.dumps(self._contents.to_json(), indent=1)
        try:
            replace_file(self._path, text, mode=0o600, durable=durable)
        except OSError as error:
            raise ConfigurationError(
                f"the NCP's state cannot be written: {error.strerror}",
                where=str(self._path),
                mend="is the directory there, and may it be written to?",
            ) from error
