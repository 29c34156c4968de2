"""S36: a device that the hub suspends is silent for as long as it was told.

The hub suspends the device for 4 min by Suspend ZCL Messages, and from the moment that the device
acknowledged it no ZCL frame of it may come: no read, no report, no Default Response to the Suspend
(SE 1.4 D.13, GBCS 10.6.2). Polls, acknowledgements and ZDO go on. Where its power can be switched
it is cycled in the meantime: a device that comes back to the network has to ask whether it may talk
before it says anything else. When the time is over it has to read again.
"""

from __future__ import annotations

import asyncio

from labctl.campaign.case import READERS, Measure, case
from labctl.campaign.coming_back import BACK_WITHIN_S, steady
from labctl.campaign.findings import NotApplicable
from labctl.campaign.hands import Hands
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import Subject
from labctl.clock import MICROSECONDS
from labctl.events import Band, Event, ReadServed, Refused, Suspended
from labctl.hub.hub import Hub
from labctl.hub.services.sub_ghz import GET_SUSPEND_STATUS
from labctl.hub.suspension import OTA, SUB_GHZ, SUSPEND_ANSWERED

MINUTES = 4
_GRACE_S = 1.0
"""At both ends: what was on its way when it heard of it, and a clock that runs a little fast."""
_CYCLE_AFTER_S = 45.0
_OFF_S = 5.0
_TOLD_WITHIN_S = 60.0


@case(
    "S36",
    f"suspended for {MINUTES} min: no ZCL from the device for {MINUTES} min",
    measures=(
        Measure.exactly("zcl_frames", 0, why="SE 1.4 D.13"),
        Measure.exactly("suspends_answered", 0, why="SE 1.4 D.13"),
        Measure("asked_on_return", least=1, most=1, optional=True, why="SE 1.4 D.13"),
        Measure("talks_again_s", "s", most=BACK_WITHIN_S, good_to=300, why="proposal"),
    ),
    kinds=READERS,
    band=Band.MHZ_868,
)
async def test_suspended(device: Subject, hub: Hub, power: Hands, measure: Measurements) -> None:
    if device.band is not Band.MHZ_868:
        raise NotApplicable(f"{device.name} is on {device.band}, though it can be on 868 MHz")
    await steady(device)
    sub_ghz = hub.care.of_sub_ghz
    clock = device.session.clock
    telling = asyncio.ensure_future(
        device.watch.wait(
            Suspended, device.eui64, within_s=_TOLD_WITHIN_S, what="acknowledges its suspension"
        )
    )
    try:
        sub_ghz.suspend(device.eui64, MINUTES, "acceptance case S36")
        await telling
        begun_us = clock.now_us()
        end_s = MINUTES * 60 - _GRACE_S
        if power.switches_power:
            await asyncio.sleep(_CYCLE_AFTER_S)
            await power.cycle(_OFF_S)
            back_us = clock.now_us()
            end_s -= _CYCLE_AFTER_S + _OFF_S
        await asyncio.sleep(end_s)
        silent_us = begun_us + round(_GRACE_S * MICROSECONDS)
        talked = [event for event in device.watch if _is_zcl(event, device, silent_us)]
        measure.take("zcl_frames", len(talked), _in_words(talked))
        measure.take(
            "suspends_answered",
            sum(
                refused.cause == SUSPEND_ANSWERED
                for refused in device.watch.of(device.eui64, Refused)
            ),
        )
        if power.switches_power:
            asked = _asked_at_us(device, back_us)
            earlier = [event for event in talked if event.at_us >= back_us]
            if asked is not None or earlier:
                first_us = min((event.at_us for event in earlier), default=1 << 62)
                measure.take("asked_on_return", asked is not None and asked <= first_us)
        over_us = clock.now_us()
        read = await device.next_read(within_s=BACK_WITHIN_S)
        measure.take("talks_again_s", (read.at_us - over_us) / MICROSECONDS - _GRACE_S)
    finally:
        telling.cancel()
        if device.band is Band.MHZ_868:
            sub_ghz.resume(device.eui64, "the case is over")


def _is_zcl(event: Event, device: Subject, since_us: int) -> bool:
    """Whether an event tells of a ZCL frame that a suspended device may not send."""
    if event.at_us < since_us or not isinstance(event, ReadServed | Refused):
        return False
    if event.eui64 != device.eui64 or event.cluster_id is None:
        return False
    if isinstance(event, Refused):
        return event.layer != "zdo"
    if event.initiator != "device" or event.cluster_id == OTA:
        return False
    return (event.cluster_id, event.command_id) != (SUB_GHZ, GET_SUSPEND_STATUS)


def _asked_at_us(device: Subject, since_us: int) -> int | None:
    """When it asked whether it may talk, first."""
    return min(
        (
            read.at_us
            for read in device.watch.of(device.eui64, ReadServed, since_us=since_us)
            if (read.cluster_id, read.command_id) == (SUB_GHZ, GET_SUSPEND_STATUS)
        ),
        default=None,
    )


def _in_words(talked: list[Event]) -> str:
    """How many, and of what clusters."""
    clusters = sorted(
        {e.cluster_id for e in talked if isinstance(e, ReadServed | Refused) and e.cluster_id}
    )
    named = ", ".join(f"0x{cluster:04x}" for cluster in clusters)
    return f"{len(talked)}, on {named}" if clusters else ""
