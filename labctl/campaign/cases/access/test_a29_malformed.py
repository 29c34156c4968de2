"""A29: malformed ZCL: the device carries on, the hub stays up, every other link is undisturbed.

What comes over the air is not always what was meant. The hub sends the device, under its own link
key, a dozen frames that no sound hub sends (`labctl/hub/odd_frames.py`), a second apart; then the
device has to go on reading, without joining anew. The other way round, the hub is given frames as
the device might send them, cut short and of every cluster that it serves, and none may throw it.
The other devices that were reading before have to read meanwhile. A device that itself sends what
cannot be read is found in the record.
"""

from __future__ import annotations

import asyncio
import contextlib

from labctl.campaign.case import Measure, case
from labctl.campaign.findings import Incomplete, NotApplicable, NotSeen
from labctl.campaign.hub_state import entry_of
from labctl.campaign.measurements import Measurements
from labctl.campaign.observation import metering_schedule
from labctl.campaign.so_far import first_contact_over, refusals
from labctl.campaign.subject import Subject
from labctl.campaign.undisturbed import silent_ones, undisturbed
from labctl.campaign.watch import Watch
from labctl.clock import MICROSECONDS
from labctl.config.resolved import DeviceUnderTest, ReadSchedule
from labctl.errors import DeliveryError
from labctl.events import DeviceKind, Note, ReadServed
from labctl.hub.hub import Hub
from labctl.hub.odd_frames import ODD_FRAMES

_PERIODS, _LONG_PERIODS = 12, 3
"""How many are watched, and of those that are longer than a minute."""
_STARTS_WITHIN_S = 15 * 60.0
_BROKEN = (
    b"",
    b"\x00",
    b"\x03\x01\x00",  # a reserved frame type
    b"\x04\x01",  # of a manufacturer, and cut short
    b"\x00\x02\x00\x01",  # Read Attributes with half an attribute
    b"\x00\x03\x02\x00\x00\x20",  # Write Attributes without its value
    b"\x08\x04\x0a\x00\x00\xfe\x01",  # a report of an unknown type
    b"\x00\x05\x77",  # no general command
    *(bytes((0x01, 0x06, command)) for command in range(0x20)),  # commands without their fields
)


@case(
    "A29",
    "malformed ZCL: the device carries on, the hub stays up, other links are undisturbed",
    measures=(
        Measure("reads_of_due", "%", least=50, good_from=90, why="proposal"),
        Measure("joins", most=0, why="ZCL 2.3.4"),
        Measure("hub_errors", most=0, why="the hub stays up"),
        Measure("others_silent", most=0, why="every other link undisturbed"),
        Measure("sent_malformed", most=0, why="ZCL 2.4"),
    ),
    kinds=(DeviceKind.CAD, DeviceKind.IHD, DeviceKind.PPMID),
)
async def test_malformed(device: Subject, hub: Hub, measure: Measurements, watch: Watch) -> None:
    schedule = metering_schedule(device, "electricity")
    await first_contact_over(device)
    measure.take("hub_errors", _heard_by_hub(device, hub, watch))
    reads = await undisturbed(device, lambda: _told(device, hub, measure, watch, schedule))
    sent = [each for each in refusals(device) if _is_malformed(each)]
    measure.take("sent_malformed", len(sent), "; ".join(sorted({str(e["cause"]) for e in sent})))
    if not reads:
        await _revive(device)


async def _told(
    device: Subject, hub: Hub, measure: Measurements, watch: Watch, schedule: ReadSchedule
) -> int:
    """Send the odd frames; how many reads came of those that were due after it."""
    period_s = schedule.period_ms / 1000
    clock = device.session.clock
    began_us = clock.now_us()
    try:
        await device.next_read(within_s=3 * period_s + 60)
    except NotSeen as unseen:
        raise Incomplete(f"it was not at work before the case began: {unseen.cause}") from None
    await asyncio.sleep(3 * period_s)
    others = _reading(device, watch, began_us)
    sent_us = clock.now_us()
    for frame in ODD_FRAMES:
        with contextlib.suppress(DeliveryError):  # a device that is gone shows in what it reads
            await hub.odd_frames.send(device.eui64, frame)
        await asyncio.sleep(1.0)
    quiet_us = clock.now_us()
    periods = _PERIODS if period_s <= 60 else _LONG_PERIODS
    await asyncio.sleep(periods * period_s)
    reads = [
        read
        for read in watch.of(device.eui64, ReadServed, since_us=quiet_us)
        if read.initiator == "device" and read.schedule == schedule.name
    ]
    measure.take("reads_of_due", 100 * len(reads) / periods, f"{len(reads)} of {periods} reads")
    measure.take("joins", sum(join.at_us >= sent_us for join in device.joins))
    silent = others - _reading(device, watch, sent_us) - silent_ones(device, began_us)
    measure.take("others_silent", len(silent), ", ".join(sorted(silent)))
    return len(reads)


def _heard_by_hub(device: Subject, hub: Hub, watch: Watch) -> int:
    """How many of the broken frames the hub would not survive, and its errors so far."""
    thrown = 0
    entry = entry_of(hub, device.eui64)
    for endpoint, cluster_id in hub.rehearsals.served:
        for octets in _BROKEN:
            try:
                hub.rehearsals.hear(entry, endpoint, cluster_id, octets)
            except Exception:  # noqa: BLE001 - that it raises anything at all is the finding
                thrown += 1
    return thrown + sum(isinstance(e, Note) and e.kind == "internal-error" for e in watch)


def _reading(device: Subject, watch: Watch, since_us: int) -> set[str]:
    """The other devices with a steady read short enough to be seen, that read since then."""
    now_us = device.session.clock.now_us()
    seen_s = (now_us - since_us) / MICROSECONDS
    return {
        other.name
        for other in device.session.loaded.devices
        if other.name != device.name
        and _shortest_s(other) * 2 <= seen_s
        and watch.of(other.eui64, ReadServed, since_us=since_us)
    }


def _shortest_s(device: DeviceUnderTest) -> float:
    return min((each.period_ms / 1000 for each in device.schedules), default=float("inf"))


def _is_malformed(refusal: dict[str, object]) -> bool:
    """Whether the hub could not read what it refused, as far as its cause tells."""
    cause = str(refusal["cause"])
    return refusal["layer"] == "zcl" and (
        cause.startswith("malformed") or " octets, not " in cause or cause.endswith("is reserved")
    )


async def _revive(device: Subject) -> None:
    """A device that hangs is started again, where that takes no person."""
    if device.hands.switches_power:
        await device.hands.cycle()
        with contextlib.suppress(NotSeen, NotApplicable):
            await device.next_read(within_s=_STARTS_WITHIN_S)
