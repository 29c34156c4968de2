"""pcap with IEEE 802.15.4 TAP (link type 283).

A record is what a sniffer beside the coordinator would have written: the PSDU with its FCS, and
around it channel, page, RSS and LQI as TLVs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Protocol

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

FILE_OCTETS = _FILE.size
"""Octets of a capture without a frame."""
RECORD_OCTETS = _RECORD.size + _TAP.size
"""Octets that a frame takes beside its own."""


class FrameWriter(Protocol):
    """What takes frames from the air: one file, or several in turn."""

    @property
    def failure(self) -> OSError | None:
        """Why nothing more is written, if so. The air goes on; whoever closes the capture asks."""

    def frame(
        self, psdu: bytes, *, page: int, channel: int, rss_dbm: float, lqi: int, age_s: float = 0.0
    ) -> None:
        """One transmission that began `age_s` seconds ago. `psdu` includes its FCS."""

    def flush(self) -> None:
        """Hand over what is buffered."""

    def close(self) -> None:
        """End it. What could not be written is in `failure`."""


class TapWriter:
    """Writes one capture to a file, or to a stream. `now_us` gives UTC microseconds.

    `records` and `octets` count what went in; the file's own header is of the latter.
    """

    def __init__(self, target: Path | BinaryIO, now_us: Callable[[], int]) -> None:
        """Open `target` and write the file header. `OSError` when the file cannot be made."""
        stream = target.open("wb") if isinstance(target, Path) else target
        self._stream: BinaryIO = stream
        self._now_us = now_us
        self.records = 0
        self.octets = FILE_OCTETS
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
            self.failure = error
            return
        self.records += 1
        self.octets += len(record) + length

    def flush(self) -> None:
        """Hand over what is buffered."""
        if self.failure is None:
            try:
                self._stream.flush()
            except OSError as error:
                self.failure = error

    def close(self) -> None:
        """Close the file, or the stream. What could not be written is in `failure`."""
        try:
            self._stream.close()
        except OSError as error:
            self.failure = self.failure or error
