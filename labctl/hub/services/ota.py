"""OTA Upgrade 0x0019: images for devices (ZCL 11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from zigpy.zcl.foundation import Status, ZCLCommandDef

from labctl.events import Severity
from labctl.hub.post import Letter, Means
from labctl.hub.services.base import (
    MALFORMED,
    PUSHED,
    SOLICITED,
    SUCCESS,
    Answer,
    Outcome,
    Request,
    Service,
    answer,
    command_of,
)
from labctl.hub.services.ota_downloads import Download, Downloads
from labctl.hub.services.time import zigbee_time
from labctl.hub.settings import OtaSettings
from labctl.smart_energy.clusters import Ota
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.ota_image import WILDCARD, OtaImage
from labctl.smart_energy.status import status_name

QUERY_NEXT_IMAGE, IMAGE_BLOCK, IMAGE_PAGE, UPGRADE_END, QUERY_SPECIFIC_FILE = 1, 3, 4, 6, 8

WAIT: Final = 0xFFFFFFFF
"""Upgrade time: until another word comes."""

_US = 1_000_000
_JITTER = 100
_JITTER_ONLY, _MANUFACTURER_TYPE_VERSION = 0, 3
_ANY_VERSION = 0xFFFFFFFF
_BLOCK_RESPONSE = command_of(Ota, "image_block_response")
_NO_IMAGE = int(Status.NO_IMAGE_AVAILABLE)
_WAIT_FOR_DATA = int(Status.WAIT_FOR_DATA)


class OtaService(Service[None]):
    """Serves images. Each device's progress is in notes of the kind `ota-…`."""

    definition = Ota
    sends = (
        "image_notify",
        "query_next_image_response",
        "image_block_response",
        "upgrade_end_response",
        "query_specific_file_response",
    )
    commands = frozenset(
        {QUERY_NEXT_IMAGE, IMAGE_BLOCK, IMAGE_PAGE, UPGRADE_END, QUERY_SPECIFIC_FILE}
    )

    def __init__(self, settings: OtaSettings, means: Means, endpoint: int) -> None:
        super().__init__([])
        self._settings = settings
        self._means = means
        self._endpoint = endpoint
        self._downloads = Downloads(means.chores, means.reporter)
        self._besides: list[OtaImage] = []
        self.held_s: Callable[[Eui64], int] = _nobody_waits
        """How long a device is to wait because the hub's airtime is short; 0: not at all."""

    # -- of the hub's own accord ------------------------------------------------------------------

    async def notify(self, eui64: Eui64, endpoint: int, image: OtaImage | None = None) -> bool:
        """Tell one device of an image, or (None) that it should ask; secured, as SE wants it."""
        fields: dict[str, Any] = {"payload_type": _JITTER_ONLY, "query_jitter": _JITTER}
        if image is not None:
            fields |= {
                "payload_type": _MANUFACTURER_TYPE_VERSION,
                "manufacturer_code": image.manufacturer,
                "image_type": image.image_type,
                "new_file_version": image.version,
            }
        word = answer(command_of(Ota, "image_notify"), PUSHED, **fields)
        sent = await self._send(eui64, endpoint, word)
        if sent:
            self._means.reporter.note("ota-notified", eui64=eui64)
        return sent

    async def upgrade_now(self, eui64: Eui64, endpoint: int) -> bool:
        """Tell a device that waits with its image to take it into use. False: it has none."""
        download = self._downloads.latest(eui64)
        if download is None:
            return False
        word = _upgrade_end(download.image, self._means.reporter.now_us(), 0, PUSHED)
        return await self._send(eui64, endpoint, word)

    def offer(self, image: OtaImage) -> None:
        """Serve one more image than the settings say, until it is withdrawn."""
        self._besides.append(image)

    def withdraw(self, image: OtaImage) -> None:
        """Serve an image that was offered no longer; whoever fetches it is told so."""
        self._besides.remove(image)

    @property
    def _images(self) -> tuple[OtaImage, ...]:
        return (*self._settings.images, *self._besides)

    def forget(self, eui64: Eui64) -> None:
        """A device was unpaired."""
        self._downloads.forget(eui64)

    # -- commands ---------------------------------------------------------------------------------

    def command(self, request: Request, fields: Any) -> Outcome:
        """Answer a client."""
        if request.command_id == QUERY_NEXT_IMAGE:
            return self._query(request, fields)
        if request.command_id == QUERY_SPECIFIC_FILE:
            return self._query_specific(fields)
        image = self._image(request.eui64, fields)
        if image is None:
            return _NO_IMAGE
        if request.command_id == UPGRADE_END:
            return self._ended(request, image, int(fields.status))
        if fields.file_offset >= image.size or not fields.maximum_data_size:
            return MALFORMED
        if request.command_id == IMAGE_PAGE:
            return self._page(request, fields, image)
        return self._block(request, fields, image)

    def _query(self, request: Request, fields: Any) -> Outcome:
        """The newest image that is newer than what the device has, and fits it (11.13.4)."""
        hardware = None if fields.hardware_version is None else int(fields.hardware_version)
        found = [
            image
            for image in self._images
            if fields.manufacturer_code in (image.manufacturer, WILDCARD)
            and fields.image_type in (image.image_type, WILDCARD)
            and image.version > fields.current_file_version
            and image.fits(request.eui64, hardware)
        ]
        best = max(found, key=lambda image: image.version, default=None)
        self._means.reporter.note(
            "ota-asked",
            eui64=request.eui64,
            manufacturer=int(fields.manufacturer_code),
            image_type=int(fields.image_type),
            version=int(fields.current_file_version),
            hardware=hardware,
            offered=None if best is None else best.version,
        )
        return [_offer(command_of(Ota, "query_next_image_response"), best)]

    def _query_specific(self, fields: Any) -> Outcome:
        node = Eui64.from_little_endian(fields.request_node_addr.serialize())
        image = self._image(node, fields)
        if image is not None and fields.current_zigbee_stack_version != image.stack_version:
            image = None
        return [_offer(command_of(Ota, "query_specific_file_response"), image)]

    def _image(self, eui64: Eui64, fields: Any) -> OtaImage | None:
        """The image that a device speaks of."""
        for image in self._images:
            if (
                fields.manufacturer_code == image.manufacturer
                and fields.image_type == image.image_type
                and fields.file_version in (image.version, _ANY_VERSION)
                and image.fits(eui64, None)
            ):
                return image
        return None

    # -- blocks -----------------------------------------------------------------------------------

    def _block(self, request: Request, fields: Any, image: OtaImage) -> Outcome:
        wait = (
            self._held(request)
            or self._too_many(request, image)
            or self._too_fast(request, image, fields.minimum_block_period)
        )
        if wait is not None:
            return [wait]
        offset = int(fields.file_offset)
        download = self._downloads.asked(request.eui64, image, offset, request.now_us)
        return [self._piece(request.eui64, download, offset, self._size(fields))]

    def _held(self, request: Request) -> Answer | None:
        """WAIT_FOR_DATA while the hub's airtime on 868 MHz is critical (GBCS 10.6.2)."""
        seconds = self.held_s(request.eui64)
        if not seconds:
            return None
        return self._later(request, seconds, "the hub's airtime is critical")

    def _too_many(self, request: Request, image: OtaImage) -> Answer | None:
        """WAIT_FOR_DATA to a device that would be one too many (11.13.8.1)."""
        if self._downloads.of(request.eui64, image) is not None:
            return None
        fetching = self._downloads.others_fetching(request.eui64, request.now_us)
        if fetching < self._settings.simultaneous:
            return None
        return self._later(request, self._settings.wait_s, f"{fetching} devices are fetching")

    def _too_fast(
        self, request: Request, image: OtaImage, device_period_ms: int | None
    ) -> Answer | None:
        """WAIT_FOR_DATA to a device that asks more often than it may.

        A device that keeps a period of its own is told the hub's once, and then served; whether it
        keeps it is its own affair.
        """
        download = self._downloads.of(request.eui64, image)
        if download is None:
            return None
        period_ms = self._settings.block_period_ms
        if device_period_ms is None:
            early_us = download.last_us + period_ms * 1000 - request.now_us
            if early_us > 0:
                return self._later(request, -(-early_us // _US), "it asks too fast")
        elif device_period_ms < period_ms and not download.period_told:
            download.period_told = True
            return self._later(request, 0, "it is to keep the hub's block period")
        return None

    def _later(self, request: Request, seconds: int, cause: str) -> Answer:
        now = zigbee_time(request.now_us // _US)
        self._means.reporter.note("ota-told-to-wait", eui64=request.eui64, s=seconds, cause=cause)
        return answer(
            _BLOCK_RESPONSE,
            status=_WAIT_FOR_DATA,
            current_time=now,
            request_time=now + seconds,
            minimum_block_period=self._settings.block_period_ms,
        )

    def _size(self, fields: Any) -> int:
        return min(int(fields.maximum_data_size), self._settings.block_octets)

    def _piece(self, eui64: Eui64, download: Download, offset: int, size: int) -> Answer:
        image = download.image
        data = image.data[offset : offset + size]
        self._downloads.reached(eui64, download, offset + len(data))
        return answer(
            _BLOCK_RESPONSE,
            status=SUCCESS,
            manufacturer_code=image.manufacturer,
            image_type=image.image_type,
            file_version=image.version,
            file_offset=offset,
            image_data=data,
        )

    # -- pages ------------------------------------------------------------------------------------

    def _page(self, request: Request, fields: Any, image: OtaImage) -> Outcome:
        """The blocks of a page, spaced as the device wants them (11.13.7). A new page ends it."""
        if not fields.page_size:
            return MALFORMED
        wait = self._held(request) or self._too_many(request, image)
        if wait is not None:
            return [wait]
        offset = int(fields.file_offset)
        download = self._downloads.asked(request.eui64, image, offset, request.now_us)
        download.stop_page()
        end = min(offset + int(fields.page_size), image.size)
        self._piece_of_page(
            request, download, offset, end, self._size(fields), fields.response_spacing / 1000
        )
        return ()

    def _piece_of_page(
        self,
        request: Request,
        download: Download,
        offset: int,
        end: int,
        size: int,
        spacing_s: float,
    ) -> None:
        download.last_us = self._means.reporter.now_us()
        piece = self._piece(request.eui64, download, offset, min(size, end - offset))
        self._means.chores.run(self._post(request, piece))
        following = offset + min(size, end - offset)
        if following < end:
            download.stop_page = self._means.chores.later(
                spacing_s,
                lambda: self._piece_of_page(request, download, following, end, size, spacing_s),
            )

    async def _post(self, request: Request, piece: Answer) -> None:
        await self._send(request.eui64, request.source_endpoint, piece)

    # -- the end ----------------------------------------------------------------------------------

    def _ended(self, request: Request, image: OtaImage, status: int) -> Outcome:
        download = self._downloads.ended(request.eui64, image, request.now_us)
        if status != SUCCESS:
            self._downloads.note(
                "ota-failed",
                request.eui64,
                download,
                Severity.WARNING,
                status=status_name(status),
                offset=download.reached,
            )
            self._downloads.forget(request.eui64)
            return SUCCESS
        download.reached = image.size
        seconds = (request.now_us - download.started_us) / _US
        self._downloads.note("ota-finished", request.eui64, download, s=round(seconds, 1))
        return [_upgrade_end(image, request.now_us, self._settings.upgrade_after_s, SOLICITED)]

    async def _send(self, eui64: Eui64, endpoint: int, what: Answer) -> bool:
        return await self._means.post.send(
            Letter(
                eui64=eui64,
                source_endpoint=self._endpoint,
                endpoint=endpoint,
                cluster_id=self.cluster_id,
                command_id=what.command_id,
                payload=what.payload,
                control=what.control,
            )
        )


def _nobody_waits(eui64: Eui64) -> int:
    return 0


def _upgrade_end(image: OtaImage, now_us: int, after_s: int | None, control: int) -> Answer:
    now = zigbee_time(now_us // _US)
    return answer(
        command_of(Ota, "upgrade_end_response"),
        control,
        manufacturer_code=image.manufacturer,
        image_type=image.image_type,
        file_version=image.version,
        current_time=now,
        upgrade_time=WAIT if after_s is None else now + after_s,
    )


def _offer(command: ZCLCommandDef, image: OtaImage | None) -> Answer:
    if image is None:
        return answer(command, status=_NO_IMAGE)
    return answer(
        command,
        status=SUCCESS,
        manufacturer_code=image.manufacturer,
        image_type=image.image_type,
        file_version=image.version,
        image_size=image.size,
    )
