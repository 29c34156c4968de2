"""A capture that goes on in another file when one is full, and may forget the oldest.

`air.pcap` becomes `air-0001.pcap`, `air-0002.pcap` and so on, each a whole capture of its own. The
numbers go on after the highest that is there, so that no earlier capture is written over.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labctl.capture.tap import RECORD_OCTETS, TapWriter

LEAST_OCTETS = 4096
"""Less than that is no capture but a heap of files."""

_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Rotation:
    """Files of `octets` at most; of those of this capture the last `keep`, all of them for None."""

    octets: int
    keep: int | None = None

    def __post_init__(self) -> None:
        if self.octets < LEAST_OCTETS:
            raise ValueError(f"a file of a capture has at least {LEAST_OCTETS} octets")
        if self.keep is not None and self.keep < 1:
            raise ValueError("at least one file is kept: the one that is written")


def open_capture(
    path: Path, now_us: Callable[[], int], rotation: Rotation | None = None
) -> CaptureFiles:
    """Begin a capture: `path` itself, or numbered files beside it. `OSError` when it cannot be."""
    return CaptureFiles(path, now_us, rotation)


class CaptureFiles:
    """A capture on disk. `files` are those that are there, the one that is written last."""

    def __init__(self, path: Path, now_us: Callable[[], int], rotation: Rotation | None) -> None:
        self._path = path
        self._now_us = now_us
        self._rotation = rotation
        self._number = _highest(path) if rotation else 0
        self._files: deque[Path] = deque()
        self.by_channel: Counter[tuple[int, int]] = Counter()
        """Frames that were heard, by page and channel."""
        self._closed_records = self._closed_octets = 0
        self._writer: TapWriter = self._next()
        self._failure: OSError | None = None

    @property
    def failure(self) -> OSError | None:
        """Why nothing more is written, if so."""
        return self._failure or self._writer.failure

    @property
    def files(self) -> tuple[Path, ...]:
        """The capture's files that are there, oldest first."""
        return tuple(self._files)

    @property
    def records(self) -> int:
        """Frames that were written, also to files that were given up since."""
        return self._closed_records + self._writer.records

    @property
    def octets(self) -> int:
        """Octets that were written, likewise."""
        return self._closed_octets + self._writer.octets

    def frame(
        self, psdu: bytes, *, page: int, channel: int, rss_dbm: float, lqi: int, age_s: float = 0.0
    ) -> None:
        """One transmission that began `age_s` seconds ago. `psdu` includes its FCS."""
        self.by_channel[page, channel] += 1
        rotation = self._rotation
        if (
            rotation is not None
            and self._failure is None
            and self._writer.records
            and self._writer.octets + RECORD_OCTETS + len(psdu) > rotation.octets
        ):
            self._turn(rotation)
        if self._failure is None:
            self._writer.frame(
                psdu, page=page, channel=channel, rss_dbm=rss_dbm, lqi=lqi, age_s=age_s
            )

    def _turn(self, rotation: Rotation) -> None:
        self._writer.close()
        self._failure = self._writer.failure
        if self._failure is not None:
            return
        records, octets = self._writer.records, self._writer.octets
        try:
            self._writer = self._next()
            self._closed_records += records
            self._closed_octets += octets
            while rotation.keep is not None and len(self._files) > rotation.keep:
                self._files[0].unlink(missing_ok=True)
                self._files.popleft()
        except OSError as error:
            self._failure = error

    def _next(self) -> TapWriter:
        path = self._path
        if self._rotation is not None:
            self._number += 1
            path = numbered(path, self._number)
        writer = TapWriter(path, self._now_us)
        self._files.append(path)
        return writer

    def flush(self) -> None:
        """Hand over what is buffered."""
        if self._failure is None:
            self._writer.flush()

    def close(self) -> None:
        """Close the last file. What could not be written is in `failure`."""
        self._writer.close()


def numbered(path: Path, number: int) -> Path:
    """The name of a capture's file with this number: `air.pcap` to `air-0001.pcap`."""
    return path.with_name(f"{path.stem}-{number:0{_DIGITS}}{path.suffix}")


def _highest(path: Path) -> int:
    """The highest number that a file of this name has; 0 for none. `OSError`."""
    wanted = re.compile(re.escape(path.stem) + r"-(\d{4,9})" + re.escape(path.suffix))
    found = (wanted.fullmatch(entry.name) for entry in path.parent.iterdir())
    return max((int(match[1]) for match in found if match), default=0)
