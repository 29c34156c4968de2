"""The keys that Wireshark wants, as it keeps them itself: the table `zigbee_pc_keys`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from labctl.files import replace_file

KEY_OCTETS = 16


def wireshark_key_rows(keys: Iterable[tuple[bytes, str]]) -> list[str]:
    """Rows of Wireshark's `zigbee_pc_keys` table: key, byte order, label. Each key once."""
    labels: dict[bytes, str] = {}
    for key, label in keys:
        labels.setdefault(key, label)
    return [f'"{key.hex(":").upper()}","Normal","{_safe(label)}"' for key, label in labels.items()]


def _safe(label: str) -> str:
    """Without what would end the field, or the line."""
    return "".join(letter for letter in label if letter.isprintable() and letter not in '"\\')


def write_wireshark_keys(path: Path, keys: Iterable[tuple[bytes, str]]) -> None:
    """Write `zigbee_pc_keys` with mode 0600: the file opens everything in the capture. `OSError`.

    What was there is replaced as a whole: an old file that others may read never holds a key.
    """
    rows = "".join(row + "\n" for row in wireshark_key_rows(keys))
    replace_file(path, rows, mode=0o600)
