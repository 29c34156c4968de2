"""The frames of TI's monitor-and-test interface on a serial line. No I/O: octets in, frames out.

FE, length of the data, two octets of command, the data, and the exclusive or of all but FE. The
first command octet is the type in its upper three bits and the subsystem in the lower five.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import xor

START = 0xFE
MAX_DATA = 250
"""Octets of data in a frame at most; a longer length is no frame."""

POLL, REQUEST, NOTICE, RESPONSE = 0x00, 0x20, 0x40, 0x60
"""Types: SREQ is answered with an SRSP (here RESPONSE), an AREQ (NOTICE) with nothing."""

_OVERHEAD = 5


@dataclass(frozen=True, slots=True)
class MtFrame:
    """One frame. `command` is both command octets, the first one in the upper eight bits."""

    command: int
    data: bytes = b""

    def __repr__(self) -> str:
        return f"<MT {self.command:04x}, {len(self.data)} octets>"  # the data may be a key

    @property
    def kind(self) -> int:
        """`REQUEST`, `NOTICE`, `RESPONSE` or `POLL`."""
        return self.command >> 8 & 0xE0

    @property
    def subsystem(self) -> int:
        """0 to 31."""
        return self.command >> 8 & 0x1F

    def encode(self) -> bytes:
        """Octets for the line. Raises `ValueError` when there is too much data."""
        if len(self.data) > MAX_DATA:
            raise ValueError(f"{len(self.data)} octets do not fit into a frame of {MAX_DATA}")
        body = bytes((len(self.data), self.command >> 8, self.command & 0xFF)) + self.data
        return bytes((START,)) + body + bytes((reduce(xor, body),))


class Deframer:
    """Finds frames among what arrives. `errors` counts what was none: noise, wrong sums."""

    def __init__(self) -> None:
        self.errors = 0
        self._buffer = bytearray()

    def reset(self) -> None:
        """Forget a frame that is half here."""
        self._buffer.clear()

    def feed(self, octets: bytes) -> list[MtFrame]:
        """The frames that these octets complete."""
        self._buffer += octets
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> MtFrame | None:
        buffer = self._buffer
        while buffer:
            start = buffer.find(START)
            if start:
                self.errors += 1
                del buffer[: start if start > 0 else len(buffer)]
                continue
            if len(buffer) < 2:
                return None
            size = buffer[1] + _OVERHEAD
            if buffer[1] <= MAX_DATA:
                if len(buffer) < size:
                    return None
                if reduce(xor, buffer[1:size]) == 0:
                    frame = MtFrame(buffer[2] << 8 | buffer[3], bytes(buffer[4 : size - 1]))
                    del buffer[:size]
                    return frame
            self.errors += 1
            del buffer[:1]  # what looked like a start was none: the next FE may be
        return None
