"""Captures: pcap with IEEE 802.15.4 TAP (link type 283), and the keys that Wireshark wants.

A record is what a sniffer beside the coordinator would have written: the PSDU with its FCS, and
around it channel, page, RSS and LQI as TLVs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from struct import Struct
from typing import BinaryIO

LINKTYPE_IEEE802_15_4_TAP = 283

_FILE = Struct("<IHHiIII")
_RECORD = Struct("<IIII")
_TAP = Struct(
    "<BBH"  # version 0, reserved, length of the TAP header
    "HHB3x"  # 0 FCS type: 1 = 16-bit CRC
    "HHf"  # 1 RSS, dBm
    "HHHBx"  # 3 channel number and page
    "HHB3x"  # 10 LQI
)


class TapWriter:
    """Writes one capture to a file, or to a stream. `now_us` gives UTC microseconds."""

    def __init__(self, target: Path | BinaryIO, now_us: Callable[[], int]) -> None:
        """Open `target` and write the file header. `OSError` when the file cannot be made."""
        stream = target.open("wb") if isinstance(target, Path) else target
        self._stream: BinaryIO = stream
        self._now_us = now_us
        self.records = 0
        self.failure: OSError | None = None
        stream.write(_FILE.pack(0xA1B2C3D4, 2, 4, 0, 0, 262144, LINKTYPE_IEEE802_15_4_TAP))

    def frame(
        self, psdu: bytes, *, page: int, channel: int, rss_dbm: float, lqi: int, age_s: float = 0.0
    ) -> None:
        """One transmission that began `age_s` seconds ago. `psdu` includes its FCS."""
        at_us = self._now_us() - round(age_s * 1_000_000)
        header = _TAP.pack(
            *(0, 0, _TAP.size),
            *(0, 1, 1),
            *(1, 4, rss_dbm),
            *(3, 3, channel, page),
            *(10, 1, lqi),
        )
        length = len(header) + len(psdu)
        record = _RECORD.pack(at_us // 1_000_000, at_us % 1_000_000, length, length)
        if self.failure is not None:
            return
        try:
            self._stream.write(record + header + psdu)
        except OSError as error:
            self.failure = error  # the air goes on; whoever closes the capture asks for this
            return
        self.records += 1

    def flush(self) -> None:
        """Hand over what is buffered."""
        self._stream.flush()

    def close(self) -> None:
        """Close the file, or the stream. What could not be written is in `failure`."""
        try:
            self._stream.close()
        except OSError as error:
            self.failure = self.failure or error


def wireshark_key_rows(keys: Iterable[tuple[bytes, str]]) -> list[str]:
    """Rows of Wireshark's `zigbee_pc_keys` table: key, byte order, label."""
    return [f'"{key.hex(":").upper()}","Normal","{label}"' for key, label in keys]


def write_wireshark_keys(path: Path, keys: Iterable[tuple[bytes, str]]) -> None:
    """Write `zigbee_pc_keys` with mode 0600: the file opens everything in the capture."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        os.fchmod(descriptor, 0o600)  # also when the file was there before
        file.writelines(row + "\n" for row in wireshark_key_rows(keys))
