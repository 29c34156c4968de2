"""D24: a change of tariff is shown within one refresh.

The emulated electricity meter takes another tariff, with a price that cannot be mistaken for the
one before. The hub publishes it at once, and answers with it whoever asks. The display has to show
the new price within the device's own refresh: the period of its steady read of the price in the rig
file, or 30 min where there is none, and a minute for the display. Then the meter has its own tariff
again, and the case waits until the display follows, at most as long.

It takes a display that can be read (`display` in the inventory; a virtual device has a screen). A
device that shows no price has none to change.
"""

from __future__ import annotations

import asyncio
import dataclasses

from labctl.campaign.case import Measure, case
from labctl.campaign.findings import Incomplete, NotApplicable
from labctl.campaign.measurements import Measurements
from labctl.campaign.meters import meter_at, now_s, set_tariff
from labctl.campaign.observation import metering_endpoint, metering_schedule
from labctl.campaign.subject import Subject
from labctl.campaign.undisturbed import undisturbed
from labctl.events import DeviceKind, Note
from labctl.rig.display import Shown

_PRICE = 0x0700
_REFRESH_S = 30 * 60.0
_DISPLAYS_TAKE_S = 60.0
_POLL_S = 5.0
_DEARER = 1.5
_LEAST_P = 10.0
_PER_PENNY = 1000
_PENCE_OFF = 0.06
"""Displays round to tenths of a penny."""


@case(
    "D24",
    "a change of tariff is shown within one refresh",
    measures=(Measure("shown_after_s", "s", most=_REFRESH_S + _DISPLAYS_TAKE_S, why="proposal"),),
    kinds=(DeviceKind.CAD, DeviceKind.IHD, DeviceKind.PPMID),
    meters=("electricity",),
)
async def test_tariff_change(device: Subject, measure: Measurements) -> None:
    if not device.hands.shows:
        raise NotApplicable(f"nothing reads the display of {device.name}")
    schedule = metering_schedule(device, "electricity")
    meter = meter_at(device, metering_endpoint(device, schedule, "electricity"))
    tariff, price = meter.tariff_at(now_s(device)), meter.price_at(now_s(device))
    if tariff is None or price is None:
        raise NotApplicable(f"the meter {meter.name} has no tariff")
    limit_s = _refresh_s(device) + _DISPLAYS_TAKE_S
    measure.expect("shown_after_s", most=limit_s)
    before_p = price.unit_price / _PER_PENNY
    after_p = round(before_p * _DEARER + _LEAST_P, 1)
    waited_s, shown = await _until_shown(device, before_p, limit_s)
    if shown is None:
        raise NotApplicable(f"{device.name} shows no price")
    if waited_s is None:
        measure.take("shown_after_s", float("nan"), f"it shows {shown:g} p for {before_p:g} p")
        return
    flat = dataclasses.replace(
        tariff,
        name="Acceptance",
        unit_price=round(after_p * _PER_PENNY),
        tiers=(),
        switching=None,
        blocks=None,
        tariff_id=tariff.tariff_id + 1,
    )

    async def changed() -> tuple[float | None, float | None]:
        starts_s = now_s(device) + 1
        set_tariff(device, meter, dataclasses.replace(flat, start_s=starts_s))
        try:
            return await _until_shown(device, after_p, limit_s)
        finally:
            starts_s = now_s(device) + 1
            set_tariff(device, meter, dataclasses.replace(tariff, start_s=starts_s))

    began_us = device.session.clock.now_us()
    waited_s, shown = await undisturbed(device, changed)
    if waited_s is None and not _reads_prices(device) and _lost(device, began_us):
        raise Incomplete("the new price was published to it and did not arrive, and the rig file "
                         "expects no reads of the price")  # fmt: skip
    if waited_s is not None:
        measure.take("shown_after_s", waited_s)
        await _until_shown(device, before_p, limit_s)
    else:
        still = "nothing" if shown is None else f"{shown:g} p"
        measure.take(
            "shown_after_s", limit_s + 1, f"still {still} for {after_p:g} p after {limit_s:g} s"
        )


def _reads_prices(device: Subject) -> bool:
    return any(each.cluster_id == _PRICE for each in device.declared.schedules)


def _lost(device: Subject, since_us: int) -> bool:
    """Whether something that the hub published of prices was not delivered to the device."""
    return any(
        note.kind == "command-not-delivered" and note.detail.get("cluster_id") == _PRICE
        for note in device.watch.of(device.eui64, Note, since_us=since_us)
    )


def _refresh_s(device: Subject) -> float:
    """How often the rig file expects the device to ask for the price."""
    periods = [each.period_ms for each in device.declared.schedules if each.cluster_id == _PRICE]
    return min(periods) / 1000 if periods else _REFRESH_S


async def _until_shown(
    device: Subject, pence: float, within_s: float
) -> tuple[float | None, float | None]:
    """How long it took until that price was shown, None if it was not; and what was shown last."""
    waited_s = 0.0
    while True:
        shown = await device.hands.shown(Shown.PRICE)
        if shown is not None and abs(shown - pence) <= _PENCE_OFF:
            return waited_s, shown
        if waited_s >= within_s:
            return None, shown
        await asyncio.sleep(_POLL_S)
        waited_s += _POLL_S
