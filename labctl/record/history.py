"""A rig over nights: streams of what was measured, and attempts, ready for `labctl.statistics`.

A night is a UTC day; several runs of a day are one night. A stream's nights carry the versions that
are known to matter, the device's firmware and the radio's, so that a new one begins a new baseline.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from statistics import median
from typing import TypeVar

from labctl.events import CaseOutcome
from labctl.statistics.flakes import Attempt, CaseKey, Outcome
from labctl.statistics.streams import (
    LOSS,
    RSSI,
    Measure,
    Night,
    Reading,
    Stream,
    StreamKey,
    Worse,
    seconds,
)

_T = TypeVar("_T")

_EFFECTS = {"s": 1.0, "dB": 3.0, "dBm": 3.0, "%": 1.0, "ms": 100.0}
"""The least change of a measurement worth a word, in its unit; at least a tenth of it as well."""
_TENTH = 0.1
_BETTER_HIGH = frozenset({"dB", "dBm"})

_NIGHTS = """
    SELECT runs.id AS run_id, started_us,
        (SELECT group_concat(DISTINCT coalesce(firmware, '')) FROM radios WHERE run_id = runs.id)
            AS radio_firmware
    FROM runs
    WHERE rig = :rig AND ended_us IS NOT NULL
        AND (kind = 'campaign' OR (kind = 'bench' AND ended_us - started_us >= 3600000000))
"""
"""A bench run of less than an hour is no night."""
_OUTCOMES = {
    CaseOutcome.PASS: Outcome.PASSED,
    CaseOutcome.MARGINAL: Outcome.PASSED,
    CaseOutcome.FAIL: Outcome.FAILED,
}


def streams(db: sqlite3.Connection, rig: str) -> list[Stream]:
    """Every stream of a rig: loss, RSSI, and each measurement of each case, by device and band."""
    shares: dict[StreamKey, dict[str, list[Night]]] = defaultdict(lambda: defaultdict(list))
    values: dict[tuple[StreamKey, Measure], dict[str, list[Reading]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for device, band, at_us, version, attempts, delivered in _delivered(db, rig):
        key = StreamKey(rig, device, "delivery", "loss", band)
        shares[key][_day(at_us)].append(Night(at_us, attempts - delivered, attempts, version))
    for device, band, direction, at_us, version, dbm in _rssi(db, rig):
        key = StreamKey(rig, device, "link", f"RSSI {direction}", band)
        values[key, RSSI][_day(at_us)].append(Reading(at_us, dbm, version))
    measured: dict[tuple[StreamKey, str], list[Reading]] = defaultdict(list)
    for device, band, case, name, unit, at_us, version, value in _measured(db, rig):
        key = StreamKey(rig, device, case, name, band)
        measured[key, unit].append(Reading(at_us, value, version))
    for (key, unit), readings in measured.items():
        measure = _measure(key.quantity, unit, [reading.value for reading in readings])
        for reading in readings:
            values[key, measure][_day(reading.at_us)].append(reading)
    found = [Stream(key, LOSS, _merged(nights, _one_night)) for key, nights in shares.items()] + [
        Stream(key, measure, _merged(nights, _one_reading))
        for (key, measure), nights in values.items()
    ]
    return sorted(found, key=lambda stream: stream.key)


def attempts(db: sqlite3.Connection, rig: str) -> list[Attempt]:
    """Every attempt at every case of a rig."""
    return [
        Attempt(
            CaseKey(rig, device, firmware, case),
            _day(at_us),
            _OUTCOMES.get(CaseOutcome(outcome), Outcome.NOTHING),
        )
        for device, firmware, case, at_us, outcome in db.execute(
            "SELECT coalesce(devices.name, devices.eui64, ''),"
            " coalesce(results.firmware_version, ''), cases.name, results.started_us,"
            " results.outcome FROM results"
            " JOIN runs ON runs.id = results.run_id JOIN cases ON cases.id = results.case_id"
            " LEFT JOIN devices ON devices.id = results.device_id"
            " WHERE rig = ? ORDER BY results.id",
            (rig,),
        )
    ]


_VERSION = """
    coalesce((SELECT firmware_version FROM results WHERE results.run_id = nights.run_id
        AND results.device_id = devices.id AND firmware_version IS NOT NULL
        ORDER BY results.id DESC LIMIT 1), '') || ' / ' || coalesce(radio_firmware, '')
"""


def _delivered(db: sqlite3.Connection, rig: str) -> Iterable[tuple[str, str, int, str, int, int]]:
    """What was sent to each device: in a campaign while it was left alone, else in all of a run."""
    return db.execute(
        f"""
        WITH nights AS ({_NIGHTS}),
        alone AS (
            SELECT DISTINCT run_id, device_id, started_us, ended_us FROM results
            JOIN cases ON cases.id = case_id WHERE cases.name = 'D19' AND outcome IN
                ('pass', 'marginal', 'fail')
        )
        SELECT coalesce(devices.name, devices.eui64), coalesce(radios.band, ''),
            nights.started_us, {_VERSION}, sum(attempts), sum(delivered)
        FROM nights JOIN deliveries ON deliveries.run_id = nights.run_id
        JOIN runs ON runs.id = nights.run_id
        JOIN devices ON devices.id = device_id
        LEFT JOIN radios ON radios.id = radio_id
        WHERE runs.kind = 'bench' OR EXISTS (
            SELECT 1 FROM alone WHERE alone.run_id = nights.run_id
                AND alone.device_id = deliveries.device_id
                AND deliveries.at_us BETWEEN alone.started_us AND alone.ended_us)
        GROUP BY nights.run_id, deliveries.device_id, coalesce(radios.band, '')
        ORDER BY nights.started_us
        """,  # noqa: S608 - our own text
        {"rig": rig},
    )


def _rssi(db: sqlite3.Connection, rig: str) -> Iterable[tuple[str, str, str, int, str, float]]:
    return db.execute(
        f"""
        WITH nights AS ({_NIGHTS})
        SELECT coalesce(devices.name, devices.eui64), v.band, v.direction, nights.started_us,
            {_VERSION}, v.rssi_median_dbm
        FROM nights JOIN v_link_by_band AS v ON v.run_id = nights.run_id
        JOIN devices ON devices.id = v.device_id
        WHERE v.rssi_median_dbm IS NOT NULL ORDER BY nights.started_us
        """,  # noqa: S608 - our own text
        {"rig": rig},
    )


def _measured(
    db: sqlite3.Connection, rig: str
) -> Iterable[tuple[str, str, str, str, str, int, str, float]]:
    """The last attempt at each case of a run, where it came to something."""
    return db.execute(
        f"""
        WITH nights AS ({_NIGHTS})
        SELECT coalesce(devices.name, devices.eui64), coalesce(results.band, ''), cases.name,
            measurements.name, unit, nights.started_us, {_VERSION}, value
        FROM nights JOIN results ON results.run_id = nights.run_id
        JOIN cases ON cases.id = case_id
        JOIN devices ON devices.id = device_id
        JOIN measurements ON result_id = results.id
        WHERE value IS NOT NULL AND unit IN ('s', 'ms', 'dB', 'dBm', '%')
            AND results.outcome IN ('pass', 'marginal', 'fail')
            AND NOT EXISTS (SELECT 1 FROM results AS later WHERE later.run_id = results.run_id
                AND later.case_id = results.case_id AND later.device_id = results.device_id
                AND later.attempt > results.attempt)
        ORDER BY nights.started_us
        """,  # noqa: S608 - our own text
        {"rig": rig},
    )


def _measure(name: str, unit: str, values: list[float]) -> Measure:
    effect = max(_EFFECTS[unit], _TENTH * abs(median(values)))
    if unit == "s":
        return seconds(name, effect)
    return Measure(name, unit, effect, Worse.DOWN if unit in _BETTER_HIGH else Worse.UP)


def _day(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, tz=UTC).date().isoformat()


def _merged(nights: dict[str, list[_T]], one: Callable[[list[_T]], _T]) -> tuple[_T, ...]:
    return tuple(one(nights[day]) for day in sorted(nights))


def _one_night(runs: list[Night]) -> Night:
    return Night(
        runs[-1].at_us,
        sum(run.lost for run in runs),
        sum(run.attempted for run in runs),
        runs[-1].version,
    )


def _one_reading(runs: list[Reading]) -> Reading:
    return Reading(runs[-1].at_us, median(run.value for run in runs), runs[-1].version)
