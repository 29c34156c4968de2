"""What was on the air lately, in memory: of an attempt that did not pass it becomes a file.

Nobody knows beforehand which attempt will not pass, and what several cases look at together (a day
of watching) lies before most of them begin. So everything is kept for a while, and cut out of.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labctl.capture.tap import FILE_OCTETS, TapWriter
from labctl.clock import MICROSECONDS
from labctl.events import Captured
from labctl.files import replace_file

_LOGGER = logging.getLogger(__name__)

MOST_KEPT = 48 << 20
"""Octets in memory: a day of four devices, about."""
MOST_IN_FILE = 4 << 20
"""Octets of one file: the last of a long attempt, some 40,000 frames."""
BEFORE_US = 10 * MICROSECONDS
"""How long before an attempt a file begins, to see what led to it."""
_PIECE = 1 << 20


@dataclass(slots=True)
class _Piece:
    """Some of the frames, in the form of the file. `octets` is empty once they were forgotten."""

    stream: io.BytesIO
    writer: TapWriter
    times: array[int] = field(default_factory=lambda: array("q"))
    ends: array[int] = field(default_factory=lambda: array("q"))
    forgotten: bool = False

    def frames(self, start_us: int, end_us: int) -> Iterator[tuple[int, bytes]]:
        """Frames of a time, with when they were; without octets when they were forgotten."""
        octets = b"" if self.forgotten else self.stream.getvalue()
        before = FILE_OCTETS
        for at_us, end in zip(self.times, self.ends, strict=True):
            if start_us <= at_us <= end_us:
                yield at_us, octets[before:end]
            before = end


class AirMemory:
    """Takes frames as a `labctl.capture.FrameWriter` does. `now_us` gives UTC microseconds."""

    def __init__(self, now_us: Callable[[], int], *, most_octets: int = MOST_KEPT) -> None:
        self._now_us = now_us
        self._most_pieces = max(2, most_octets // _PIECE)
        self._pieces: deque[_Piece] = deque()
        self._forgotten: list[_Piece] = []
        self._add_piece()

    failure: OSError | None = None
    """Nothing fails in memory."""

    def _add_piece(self) -> None:
        stream = io.BytesIO()
        self._pieces.append(_Piece(stream, TapWriter(stream, self._now_us)))
        if len(self._pieces) > self._most_pieces:
            # When its frames were is kept, to say how many are missing.
            piece = self._pieces.popleft()
            piece.forgotten = True
            piece.stream = io.BytesIO()
            piece.writer = TapWriter(piece.stream, self._now_us)
            self._forgotten.append(piece)

    def frame(
        self, psdu: bytes, *, page: int, channel: int, rss_dbm: float, lqi: int, age_s: float = 0.0
    ) -> None:
        """One transmission that began `age_s` seconds ago. `psdu` includes its FCS."""
        piece = self._pieces[-1]
        if piece.writer.octets >= _PIECE:
            self._add_piece()
            piece = self._pieces[-1]
        piece.writer.frame(psdu, page=page, channel=channel, rss_dbm=rss_dbm, lqi=lqi, age_s=age_s)
        piece.times.append(self._now_us() - round(age_s * MICROSECONDS))
        piece.ends.append(piece.writer.octets)

    def flush(self) -> None:
        """There is nothing to hand over."""

    def close(self) -> None:
        """There is nothing to close."""

    def write(self, reports: Path, name: str, start_us: int, end_us: int) -> Captured | None:
        """Write the frames of an attempt to the file `name` below `reports`.

        None when nothing was on the air, or when the file cannot be written, which is logged: the
        attempt's outcome is worth more.
        """
        frames: deque[tuple[int, bytes]] = deque()
        size = FILE_OCTETS
        left_out = 0
        for piece in (*self._forgotten, *self._pieces):
            for at_us, record in piece.frames(start_us - BEFORE_US, end_us):
                frames.append((at_us, record))
                size += len(record)
                while frames and (size > MOST_IN_FILE or not frames[0][1]):
                    went_us, gone = frames.popleft()
                    size -= len(gone)
                    left_out += went_us >= start_us
        if not any(at_us >= start_us for at_us, _ in frames):
            return None
        head = io.BytesIO()
        TapWriter(head, self._now_us)
        octets = head.getvalue() + b"".join(record for _, record in frames)
        first = next(number for number, (at_us, _) in enumerate(frames, 1) if at_us >= start_us)
        try:
            (reports / name).parent.mkdir(parents=True, exist_ok=True)
            replace_file(reports / name, octets)
        except OSError as error:
            _LOGGER.warning("the capture %s cannot be written: %s", name, error.strerror or error)
            return None
        return Captured(
            path=name,
            sha256=hashlib.sha256(octets).hexdigest(),
            octets=len(octets),
            first_frame=first,
            last_frame=len(frames),
            first_us=frames[first - 1][0],
            last_us=frames[-1][0],
            left_out=left_out,
        )


def file_name(rig: str, run_id: int, case: str, device: str | None, attempt: int) -> str:
    """Where an attempt's frames go, below the folder of the reports."""
    parts = [_slug(case), *([_slug(device)] if device else []), str(attempt)]
    return f"{_slug(rig)}-run-{run_id}/{'-'.join(parts)}.pcap"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:80] or "x"
