"""What became of the bearers in one run: airtime, noise, reports, suspensions, moves."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from labctl.events import AirtimeState
from labctl.record.bearer_rows import (
    Airtime,
    AirtimePoint,
    BandChoice,
    Bearers,
    ChannelMove,
    DutyChange,
    Forecast,
    Noise,
    NoisePoint,
    OverCapacity,
    Reported,
    Suspension,
)
from labctl.record.links import bucket_width_us
from labctl.record.rows import EventRow
from labctl.record.stats import histogram, percentile

_STATES = [state.value for state in AirtimeState]

Names = dict[int | None, tuple[str, str]]


def bearers(
    db: sqlite3.Connection, run_id: int, events: Sequence[EventRow], started_us: int, until_us: int
) -> Bearers:
    """Everything but the deliveries, which take the reads (`delivery.py`)."""
    names: Names = {
        radio_id: (name, band)
        for radio_id, name, band in db.execute(
            "SELECT id, name, band FROM radios WHERE run_id = ?", (run_id,)
        )
    }
    width_us = bucket_width_us(max(1, until_us - started_us))
    return Bearers(
        airtime=_airtime(db, run_id, names, started_us, width_us),
        noise=_noise(db, run_id, names, started_us, width_us),
        reported=_reported(db, run_id, names),
        choices=tuple(_choice(event) for event in _of_devices(events, "band-used")),
        suspensions=suspensions(events),
        moves=tuple(_move(event) for event in events if event.kind == "channel-moved"),
        duty_changes=tuple(_duty(event) for event in events if event.kind == "duty-cycle-changed"),
        over_capacity=tuple(
            OverCapacity(
                event.at_us,
                event.device_id or 0,
                _text(event, "radio"),
                _number(event, "links"),
                _number(event, "limit"),
            )
            for event in _of_devices(events, "capacity-exceeded")
        ),
    )


def _named(names: Names, radio_id: int | None) -> tuple[str, str]:
    return names.get(radio_id, ("", ""))


# -- airtime --------------------------------------------------------------------------------------


def _airtime(
    db: sqlite3.Connection, run_id: int, names: Names, started_us: int, width_us: int
) -> tuple[Airtime, ...]:
    # A radio that was lost and came back is two rows, but one bearer to the reader.
    groups: dict[tuple[str, str, int | None, str], list[tuple[Any, ...]]] = {}
    for radio_id, device_id, source, *sample in db.execute(
        "SELECT radio_id, device_id, source, at_us, airtime_us, limited_us, critical_us,"
        " regulated_us, state, next_state, next_state_in_s FROM airtime_samples"
        " WHERE run_id = ? ORDER BY at_us, id",
        (run_id,),
    ):
        key = (*_named(names, radio_id), device_id, source)
        groups.setdefault(key, []).append(tuple(sample))
    found = [_party(key, samples, started_us, width_us) for key, samples in groups.items()]
    # The hub first, and what labctl computed before what the firmware counts.
    return tuple(
        sorted(found, key=lambda a: (a.radio, a.device_id is not None, a.device_id, a.source))
    )


def _party(
    key: tuple[str, str, int | None, str],
    samples: list[tuple[Any, ...]],
    started_us: int,
    width_us: int,
) -> Airtime:
    peak = max(samples, key=lambda sample: sample[1])
    points: dict[int, AirtimePoint] = {}
    firsts: dict[str, Forecast] = {}
    forecast = None
    for at_us, airtime_us, *_, next_state, in_s in samples:
        bucket = (at_us - started_us) // width_us
        if bucket not in points or airtime_us > points[bucket].airtime_us:
            points[bucket] = AirtimePoint(at_us, airtime_us)
        forecast = None
        if next_state is not None and in_s is not None:
            forecast = Forecast(at_us, next_state, in_s)
            firsts.setdefault(next_state, forecast)
    at_us, airtime_us, limited_us, critical_us, regulated_us, state, _, _ = samples[-1]
    radio, band, device_id, source = key
    return Airtime(
        radio=radio,
        band=band,
        device_id=device_id,
        source=source,
        samples=len(samples),
        limited_us=limited_us,
        critical_us=critical_us,
        regulated_us=regulated_us,
        peak_us=peak[1],
        peak_at_us=peak[0],
        last_us=airtime_us,
        last_at_us=at_us,
        state=state,
        worst_state=max((sample[5] for sample in samples), key=_severity),
        forecast=forecast,
        first_forecasts=tuple(firsts.values()),
        points=tuple(points[bucket] for bucket in sorted(points)),
    )


def _severity(state: str) -> int:
    return _STATES.index(state) if state in _STATES else 0


# -- noise and reports ----------------------------------------------------------------------------


def _noise(
    db: sqlite3.Connection, run_id: int, names: Names, started_us: int, width_us: int
) -> tuple[Noise, ...]:
    groups: dict[tuple[str, str, int, int], list[tuple[int, int]]] = {}
    for radio_id, at_us, page, channel, level_dbm in db.execute(
        "SELECT radio_id, at_us, page, channel, level_dbm FROM noise_samples"
        " WHERE run_id = ? ORDER BY at_us, id",
        (run_id,),
    ):
        key = (*_named(names, radio_id), page, channel)
        groups.setdefault(key, []).append((at_us, level_dbm))
    found = []
    for (radio, band, page, channel), scans in sorted(groups.items()):
        counts = histogram(level for _, level in scans)
        points = []
        for bucket, part in itertools.groupby(scans, lambda s: (s[0] - started_us) // width_us):
            levels = histogram(level for _, level in part)
            points.append(
                NoisePoint(
                    started_us + bucket * width_us + width_us // 2,
                    percentile(levels, 50) or 0,
                    max(levels),
                )
            )
        found.append(
            Noise(
                radio=radio,
                band=band,
                page=page,
                channel=channel,
                scans=len(scans),
                floor_dbm=percentile(counts, 50) or 0,
                p95_dbm=percentile(counts, 95) or 0,
                lowest_dbm=min(counts),
                highest_dbm=max(counts),
                points=tuple(points),
            )
        )
    return tuple(found)


def _reported(db: sqlite3.Connection, run_id: int, names: Names) -> tuple[Reported, ...]:
    groups: dict[tuple[int, str, str, str], list[tuple[Any, ...]]] = {}
    for device_id, radio_id, source, *report in db.execute(
        "SELECT device_id, radio_id, source, at_us, rssi_dbm, lqi, in_cost, out_cost,"
        " power_delta_db, mac_retries FROM link_reports WHERE run_id = ? ORDER BY at_us, id",
        (run_id,),
    ):
        key = (device_id, *_named(names, radio_id), source)
        groups.setdefault(key, []).append(tuple(report))
    found = []
    for (device_id, radio, band, source), reports in sorted(groups.items()):
        columns = list(zip(*reports, strict=True))
        last = [next((v for v in reversed(column) if v is not None), None) for column in columns]
        found.append(
            Reported(
                device_id=device_id,
                radio=radio,
                band=band,
                source=source,
                reports=len(reports),
                rssi_counts=histogram(v for v in columns[1] if v is not None),
                lqi_counts=histogram(v for v in columns[2] if v is not None),
                in_cost=last[3],
                out_cost=last[4],
                power_delta_db=last[5],
                mac_retries=last[6],
                last_us=reports[-1][0],
            )
        )
    return tuple(found)


# -- from events ----------------------------------------------------------------------------------


def _of_devices(events: Iterable[EventRow], kind: str) -> Iterable[EventRow]:
    return (event for event in events if event.kind == kind and event.device_id is not None)


def _text(event: EventRow, name: str) -> str:
    return str(event.detail.get(name, ""))


def _number(event: EventRow, name: str) -> int:
    value = event.detail.get(name)
    return value if isinstance(value, int) else 0


def _choice(event: EventRow) -> BandChoice:
    could = event.detail.get("could")
    return BandChoice(
        device_id=event.device_id or 0,
        at_us=event.at_us,
        used=_text(event, "used"),
        could=tuple(map(str, could)) if isinstance(could, list) else (),
        why=_text(event, "why"),
    )


def _move(event: EventRow) -> ChannelMove:
    return ChannelMove(
        event.at_us,
        _text(event, "radio"),
        _number(event, "from_page"),
        _number(event, "from_channel"),
        _number(event, "to_page"),
        _number(event, "to_channel"),
        _text(event, "cause"),
    )


def _duty(event: EventRow) -> DutyChange:
    return DutyChange(
        event.at_us,
        _text(event, "radio"),
        _text(event, "state"),
        _text(event, "before") or None,
        _number(event, "airtime_us") if "airtime_us" in event.detail else None,
    )


def suspensions(events: Iterable[EventRow]) -> tuple[Suspension, ...]:
    """When devices were told to be silent: until their time was over, or they were told otherwise.

    A device that is told again while it is suspended begins another suspension. One that nothing
    ended lasts as long as the device was told, beyond the end of the run perhaps.
    """
    found: list[Suspension] = []
    open_ones: dict[int, EventRow] = {}

    def close(start: EventRow, at_us: int | None, resumed: str) -> None:
        minutes = _number(start, "minutes")
        end_us = start.at_us + minutes * 60_000_000
        if at_us is not None:
            end_us = min(at_us, end_us)
        found.append(
            Suspension(
                device_id=start.device_id or 0,
                radio=_text(start, "radio"),
                start_us=start.at_us,
                end_us=end_us,
                minutes=minutes,
                cause=_text(start, "cause"),
                resumed=resumed,
            )
        )

    for event in events:
        if event.kind not in ("suspended", "resumed") or event.device_id is None:
            continue
        start = open_ones.pop(event.device_id, None)
        if start is not None:
            again = event.kind == "suspended"
            close(start, event.at_us, "suspended again" if again else _text(event, "cause"))
        if event.kind == "suspended":
            open_ones[event.device_id] = event
    for start in open_ones.values():
        close(start, None, "")
    return tuple(sorted(found, key=lambda suspension: suspension.start_us))
