"""Load profiles from a meter's logs: Get Profile and Get Sampled Data (SE 1.4 D.3.2.3.1).

Get Profile gives half-hours, the newest first; Get Sampled Data gives the half-hour log (sample id
0) and the daily log (1), the oldest first. Both say 0xFFFFFF for what may not be read.
"""

from __future__ import annotations

import datetime
from typing import Any

from labctl.hub.services.base import NOT_FOUND, Outcome, Request, answer, command_of
from labctl.hub.services.metering_attributes import (
    HALF_HOUR,
    HALF_HOUR_S,
    PROFILE_LIMIT,
    counts_received,
    u24,
)
from labctl.hub.services.publishing import PAYLOAD_LIMIT, now_s, utc_of
from labctl.hub.services.time import zigbee_time
from labctl.meters import History, Interval, Meter
from labctl.meters.civil import DAY_S, date_at, day_span, midnight
from labctl.meters.history import DAYS_KEPT, HALF_HOURS_KEPT
from labctl.smart_energy.clusters import Metering

HALF_HOUR_LOG = 0x0000
DAILY_LOG = 0x0001
_DELIVERED, _RECEIVED = 0, 1

_SUCCESS = 0x00
_UNDEFINED_CHANNEL = 0x01
_CHANNEL_NOT_SUPPORTED = 0x02
_INVALID_END = 0x03
_MORE_THAN_CAN_BE_RETURNED = 0x04
_NONE_AVAILABLE = 0x05

_SAMPLED_HEADER = 11
SAMPLES_LIMIT = (PAYLOAD_LIMIT - _SAMPLED_HEADER) // 3
"""Samples in one Get Sampled Data Response."""
_INTERVAL_LIMIT = 0xFFFF
"""A day does not fit the sample interval, seconds in 16 bits: the daily log says this instead."""


def history_of(meter: Meter, channel: int) -> History | None:
    """The history of a direction of flow, None when the meter does not count it."""
    if channel == _DELIVERED:
        return meter.history
    return meter.received_history if channel == _RECEIVED and counts_received(meter) else None


def get_profile(meter: Meter, request: Request, fields: Any) -> Outcome:
    """Half-hours up to the end time (0 is the newest); an end between two is the earlier one."""
    end, count = int(fields.end_time), int(fields.number_of_periods)
    channel, at_s = int(fields.interval_channel), now_s(request)
    status, intervals = _SUCCESS, list[Interval]()
    history = history_of(meter, channel)
    if channel > _RECEIVED:
        status = _UNDEFINED_CHANNEL
    elif history is None:
        status = _CHANNEL_NOT_SUPPORTED
    elif end and utc_of(end) > at_s:
        status = _INVALID_END
    else:
        asked = min(count, PROFILE_LIMIT)
        found = history.half_hours(utc_of(end) if end else at_s, asked, now_s=at_s)
        intervals = [interval for interval in reversed(found) if interval.amount is not None]
        if len(intervals) < count:
            status = _MORE_THAN_CAN_BE_RETURNED if intervals else _NONE_AVAILABLE
    return [
        answer(
            command_of(Metering, "get_profile_response"),
            end_time=zigbee_time(intervals[0].end_s) if intervals else end,
            status=status,
            profile_interval_period=HALF_HOUR,
            number_of_periods_delivered=len(intervals),
            intervals=[u24(interval.amount) for interval in intervals],
        )
    ]


def get_sampled_data(meter: Meter, request: Request, fields: Any) -> Outcome:
    """Samples that began at the time asked for or later (0 is the oldest kept)."""
    sample_id, type_ = int(fields.sample_id), int(fields.sample_type)
    history = history_of(meter, type_)
    if sample_id not in (HALF_HOUR_LOG, DAILY_LOG) or history is None:
        return NOT_FOUND
    at_s, earliest = now_s(request), int(fields.earliest_sample_time)
    since_s = max(utc_of(earliest) if earliest else 0, _oldest(meter, sample_id, at_s))
    asked = min(int(fields.number_of_samples) or SAMPLES_LIMIT, SAMPLES_LIMIT)
    cut = _half_hours if sample_id == HALF_HOUR_LOG else _days
    samples = cut(meter, history, since_s, at_s, asked)
    while samples and samples[0].amount is None:
        del samples[0]  # of the tenancy before, or of before there was a meter
    if not samples:
        return NOT_FOUND
    return [
        answer(
            command_of(Metering, "get_sampled_data_response"),
            sample_id=sample_id,
            sample_start_time=zigbee_time(samples[0].start_s),
            sample_type=type_,
            sample_request_interval=(
                HALF_HOUR_S if sample_id == HALF_HOUR_LOG else _INTERVAL_LIMIT
            ),
            number_of_samples=len(samples),
            samples=[u24(sample.amount) for sample in samples],
        )
    ]


def _oldest(meter: Meter, sample_id: int, at_s: int) -> int:
    """The oldest instant that a log may reach back to."""
    days = sample_id == DAILY_LOG
    kept_s = DAYS_KEPT * DAY_S if days else HALF_HOURS_KEPT * HALF_HOUR_S
    tenancy_s = meter.tenancy_since(at_s)
    return max(meter.as_of_s(at_s) - kept_s, meter.works.earliest_s(), tenancy_s or 0)


def _half_hours(
    meter: Meter, history: History, since_s: int, at_s: int, asked: int
) -> list[Interval]:
    """The half-hours from the first that begins at `since_s` or later."""
    first_s = since_s + -since_s % HALF_HOUR_S
    last_s = meter.as_of_s(at_s) // HALF_HOUR_S * HALF_HOUR_S
    count = min((last_s - first_s) // HALF_HOUR_S, asked)
    if count <= 0:
        return []
    return list(history.half_hours(first_s + count * HALF_HOUR_S, count, now_s=at_s))


def _days(meter: Meter, history: History, since_s: int, at_s: int, asked: int) -> list[Interval]:
    """The whole days from the first that begins at `since_s` or later."""
    base = meter.days
    today_s = day_span(meter.as_of_s(at_s), 0, base)[0]
    if since_s >= today_s:
        return []
    first = date_at(since_s, base)
    if midnight(first, base) < since_s:
        first += datetime.timedelta(days=1)
    count = min((date_at(today_s, base) - first).days, asked)
    if count <= 0:
        return []
    end_s = midnight(first + datetime.timedelta(days=count), base)
    return list(history.days(end_s, count, now_s=at_s))
