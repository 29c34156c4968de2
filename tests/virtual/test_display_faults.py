"""What a device shows, and how it goes wrong."""

from __future__ import annotations

import datetime

import pytest

from labctl.virtual.devices import DisplayFaults, MeterReadout, Screen, zcl
from labctl.virtual.devices.peer import Peer
from labctl.virtual.devices.published import Publication

PEER = Peer(0, 2)
METERING = 0x0702
EPOCH = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)


def at(*when: int) -> int:
    return int((datetime.datetime(*when, tzinfo=datetime.UTC) - EPOCH).total_seconds())  # type: ignore[arg-type,misc]


def screen(raw: int, multiplier: int, divisor: int, **faults: bool) -> Screen:
    found = Screen(DisplayFaults(**faults))
    found.meters[PEER] = MeterReadout(PEER, faults=found.faults)
    read(found, {0x0000: raw, 0x0301: multiplier, 0x0302: divisor})
    return found


def read(shown: Screen, values: dict[int, int]) -> None:
    records = {a: zcl.Record(a, zcl.Status.SUCCESS, 0x25, value) for a, value in values.items()}
    shown.take(PEER, METERING, records, 0.0)


@pytest.mark.parametrize(
    ("faults", "shown"),
    [
        ({}, 60.0),
        ({"ignores_multiplier": True}, 20.0),
        ({"ignores_divisor": True}, 600.0),
        ({"ignores_multiplier": True, "ignores_divisor": True}, 200.0),
        ({"forgets_summation": True}, 0.0),
    ],
)
def test_the_reading_is_the_register_by_its_scale(faults: dict[str, bool], shown: float) -> None:
    assert screen(200_000, 3, 10_000, **faults).meters[PEER].consumption == shown


def test_what_forgets_counts_from_its_first_reading() -> None:
    forgetful = screen(200_000, 1, 1000, forgets_summation=True)
    read(forgetful, {0x0000: 201_500})
    assert forgetful.meters[PEER].consumption == 1.5


def samples(start: int, *amounts: int, log: int = 0) -> Publication:
    fields = {"id": log, "start": start, "type": 0, "interval": 1800, "count": len(amounts)}
    return Publication("SampledData", {**fields, "oldest_first": list(amounts)})


def test_half_hours_are_filed_under_their_utc() -> None:
    night = at(2025, 10, 26, 0, 0)
    good = Screen()
    good.told[PEER, "SampledData"] = [
        samples(night, 1, 2, 3, 0xFFFFFF, 5),
        samples(night, 9, log=1),
    ]
    assert good.half_hours(PEER) == {
        night + 1800 * number: amount for number, amount in ((0, 1), (1, 2), (2, 3), (4, 5))
    }
    assert good.half_hours(Peer(0, 3)) == {}


@pytest.mark.parametrize(
    ("change", "before_h", "after_h"),
    [(at(2025, 3, 30, 1, 0), 0, 1), (at(2025, 10, 26, 1, 0), 1, 0), (at(2026, 3, 29, 1, 0), 0, 1)],
)
def test_local_time_is_an_hour_ahead_in_summer_alone(
    change: int, before_h: int, after_h: int
) -> None:
    confused = Screen(DisplayFaults(history_in_local_time=True))
    confused.told[PEER, "SampledData"] = [samples(change - 1800, 7), samples(change + 1800, 8)]
    assert confused.half_hours(PEER) == {
        change - 1800 + 3600 * before_h: 7,
        change + 1800 + 3600 * after_h: 8,
    }
