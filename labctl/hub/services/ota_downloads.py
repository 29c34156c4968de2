"""What the hub knows of its devices' downloads: for the record, and to slow devices down.

A download itself needs none of it: a device names the offset of each block that it wants.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labctl.events import Severity
from labctl.hub.chores import Chores, nothing
from labctl.hub.reporter import Reporter
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.ota_image import OtaImage

_US = 1_000_000
IDLE_S = 60.0
"""A download is taken for interrupted when no block was asked for so long."""
_PROGRESS_PERCENT = 10


@dataclass(slots=True)
class Download:
    """A device that is fetching an image. `told` is the percentage that was noted last."""

    image: OtaImage
    started_us: int
    last_us: int
    reached: int = 0
    told: int = 0
    interrupted: bool = False
    period_told: bool = False
    stop_page: Callable[[], None] = nothing

    @property
    def complete(self) -> bool:
        """Whether the last octet has been asked for."""
        return self.reached >= self.image.size


class Downloads:
    """The downloads by device. Each change of state is a note of the kind `ota-…`."""

    def __init__(self, chores: Chores, reporter: Reporter) -> None:
        self._chores = chores
        self._reporter = reporter
        self._by_device: dict[Eui64, Download] = {}

    def of(self, eui64: Eui64, image: OtaImage) -> Download | None:
        """The download of that image by that device."""
        found = self._by_device.get(eui64)
        return found if found is not None and found.image is image else None

    def latest(self, eui64: Eui64) -> Download | None:
        """Whatever the device fetched last."""
        return self._by_device.get(eui64)

    def others_fetching(self, eui64: Eui64, now_us: int) -> int:
        """How many other devices are fetching something."""
        return sum(
            not other.complete and now_us - other.last_us < IDLE_S * _US
            for who, other in self._by_device.items()
            if who != eui64
        )

    def asked(self, eui64: Eui64, image: OtaImage, offset: int, now_us: int) -> Download:
        """A device asks for a block: its download begins, goes on, or is taken up again."""
        download = self.of(eui64, image)
        if download is None:
            download = self._begin(eui64, image, now_us)
            self.note("ota-resumed" if offset else "ota-started", eui64, download, offset=offset)
            self._watch(eui64, download)
        elif download.interrupted:
            download.interrupted = False
            after_s = (now_us - download.last_us) // _US
            self.note("ota-resumed", eui64, download, offset=offset, after_s=after_s)
            self._watch(eui64, download)
        download.last_us = now_us
        return download

    def reached(self, eui64: Eui64, download: Download, offset: int) -> None:
        """A device was given everything up to an offset."""
        download.reached = max(download.reached, offset)
        percent = 100 * download.reached // download.image.size
        if percent >= download.told + _PROGRESS_PERCENT:
            download.told = percent - percent % _PROGRESS_PERCENT
            seconds = (self._reporter.now_us() - download.started_us) / _US
            self.note("ota-progress", eui64, download, percent=percent, s=round(seconds, 1))

    def ended(self, eui64: Eui64, image: OtaImage, now_us: int) -> Download:
        """A device says that it is through with an image; it may have fetched it long ago."""
        download = self.of(eui64, image) or self._begin(eui64, image, now_us)
        download.stop_page()
        download.interrupted = False
        return download

    def forget(self, eui64: Eui64) -> None:
        """Nothing is to be known of the device any longer."""
        download = self._by_device.pop(eui64, None)
        if download is not None:
            download.stop_page()

    def note(
        self,
        kind: str,
        eui64: Eui64,
        download: Download,
        severity: Severity = Severity.INFO,
        **detail: object,
    ) -> None:
        """Something happened to a download."""
        image = download.image
        self._reporter.note(kind, severity, eui64, version=image.version, size=image.size, **detail)

    def _begin(self, eui64: Eui64, image: OtaImage, now_us: int) -> Download:
        self.forget(eui64)
        download = self._by_device[eui64] = Download(image, now_us, now_us)
        return download

    def _watch(self, eui64: Eui64, download: Download) -> None:
        """Note when blocks are no longer asked for."""

        def look() -> None:
            if self._by_device.get(eui64) is not download or download.complete:
                return
            idle_s = (self._reporter.now_us() - download.last_us) / _US
            if idle_s < IDLE_S:
                self._chores.later(IDLE_S - idle_s, look)
                return
            download.interrupted = True
            self.note("ota-interrupted", eui64, download, Severity.WARNING, offset=download.reached)

        self._chores.later(IDLE_S, look)
