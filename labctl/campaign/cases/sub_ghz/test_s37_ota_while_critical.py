"""S37: while the hub's airtime is critical, a download of firmware waits as it is told to.

The device fetches an image; then the hub behaves as if its airtime were critical: it suspends every
talker, and answers the next block request with WAIT_FOR_DATA and the time at which to come again
(GBCS 10.6.2, ZCL 11.13.8). Until that time no other block may be asked for; after it the download
goes on. On a real rig the image is one of hub.ota, for which the device would ask anyway. A virtual
rig that has none offers one of random octets for as long as the case lasts, too short for it to be
loaded.
"""

from __future__ import annotations

import asyncio
import struct

from labctl.campaign.case import READERS, Measure, case
from labctl.campaign.coming_back import BACK_WITHIN_S, steady
from labctl.campaign.findings import Incomplete, NotApplicable, NotSeen
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import Subject
from labctl.clock import MICROSECONDS
from labctl.events import Band, Note, ReadServed
from labctl.hub.hub import Hub
from labctl.hub.services.ota import IMAGE_BLOCK
from labctl.hub.suspension import OTA
from labctl.smart_energy.airtime import DutyCycleState
from labctl.smart_energy.ota_image import HEADER_VERSION, MAGIC, TAG_IMAGE, OtaImage, parse

_ASKS_WITHIN_S = 120.0
_TOLD_WITHIN_S = 300.0
_EARLY_S = 2.0
"""Its clock counts whole seconds, and ours too."""
_HEADER = struct.Struct("<IHHHHHIH32sI")
_ELEMENT = struct.Struct("<HI")
_OCTETS = 48 * 1024


@case(
    "S37",
    "critical duty cycle: a download of firmware gets WAIT_FOR_DATA, and waits",
    measures=(
        Measure("told_to_wait_s", "s", least=1),
        Measure.exactly("early_blocks", 0, why="ZCL 11.13.8"),
        Measure("goes_on_s", "s", most=BACK_WITHIN_S, good_to=300, why="proposal"),
    ),
    kinds=READERS,
    band=Band.MHZ_868,
)
async def test_ota_while_critical(device: Subject, hub: Hub, measure: Measurements) -> None:
    if device.band is not Band.MHZ_868:
        raise NotApplicable(f"{device.name} is on {device.band}")
    await steady(device)
    sub_ghz = hub.care.of_sub_ghz
    offered = await _offered(device, hub)
    try:
        await _notified(device, hub, "ota-started", "ota-resumed")
        sub_ghz.pretend(DutyCycleState.CRITICAL)
        try:
            told = await device.watch.wait(
                Note,
                device.eui64,
                within_s=_TOLD_WITHIN_S,
                what="a block request while the airtime is critical",
                which=lambda note: note.kind == "ota-told-to-wait",
            )
        except NotSeen as unseen:
            raise Incomplete(f"{unseen.cause}: it did not go on with its download") from None
        wait_s = float(str(told.detail["s"]))
        measure.take("told_to_wait_s", wait_s)
        await asyncio.sleep(max(0.0, wait_s - _EARLY_S))
        early = [block for block in _blocks(device) if block.at_us > told.at_us]
        measure.take("early_blocks", len(early))
        sub_ghz.pretend(None)
        over_us = device.session.clock.now_us()
        block = await device.watch.wait(
            ReadServed,
            device.eui64,
            within_s=BACK_WITHIN_S,
            what=f"{device.name} goes on with its download",
            which=_is_block,
        )
        measure.take("goes_on_s", (block.at_us - over_us) / MICROSECONDS)
    finally:
        sub_ghz.pretend(None)
        sub_ghz.resume_all("the case is over")
        if offered is not None:
            hub.publisher.withdraw_image(offered)


async def _offered(device: Subject, hub: Hub) -> OtaImage | None:
    """See to it that there is an image for the device; what was offered for that, if anything."""
    try:
        asked = await _notified(device, hub, "ota-asked")
    except NotSeen as unseen:
        raise NotApplicable(f"{unseen.cause}: it fetches no images") from None
    if asked.detail["offered"] is not None:
        return None
    if device.session.bench is None:
        raise NotApplicable("hub.ota has no image that is newer than what the device has")
    image = _of_no_use(
        int(str(asked.detail["manufacturer"])),
        int(str(asked.detail["image_type"])),
        int(str(asked.detail["version"])) + 1,
    )
    hub.publisher.offer_image(image)
    return image


async def _notified(device: Subject, hub: Hub, *kinds: str) -> Note:
    """Tell the device to ask for an image, and wait for what comes of it. Raises `NotSeen`."""
    waiting = asyncio.ensure_future(
        device.watch.wait(
            Note,
            device.eui64,
            within_s=_ASKS_WITHIN_S,
            what=f"{device.name} asks for an image",
            which=lambda note: note.kind in kinds,
        )
    )
    try:
        await hub.publisher.notify_image(device.eui64)
        return await waiting
    finally:
        waiting.cancel()


def _is_block(read: ReadServed) -> bool:
    return (read.cluster_id, read.command_id) == (OTA, IMAGE_BLOCK)


def _blocks(device: Subject) -> list[ReadServed]:
    return [read for read in device.watch.of(device.eui64, ReadServed) if _is_block(read)]


def _of_no_use(manufacturer: int, image_type: int, version: int) -> OtaImage:
    """An image for a virtual device, of the right form and with nothing in it."""
    size = _HEADER.size + _ELEMENT.size + _OCTETS
    header = _HEADER.pack(
        MAGIC,
        HEADER_VERSION,
        _HEADER.size,
        0,
        manufacturer,
        image_type,
        version,
        0x0002,
        b"labctl acceptance case",
        size,
    )
    return parse(header + _ELEMENT.pack(TAG_IMAGE, _OCTETS) + bytes(_OCTETS))
