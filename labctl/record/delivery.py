"""How much got through, by device and bearer: what a level in dBm alone does not tell.

To the hub, a read that was due and did not come counts as lost, unless something else explains it.
From the hub, acknowledgements of its unicasts are counted where the hub recorded them, and
otherwise the answers that were not delivered. Retries of MAC and APS are in all of these.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence

from labctl.record.bearer_rows import Delivery
from labctl.record.compliance import Interval
from labctl.record.rows import EventRow

_Key = tuple[int, str]


class _Radios:
    """Names of radios by row; for rows without one, the only radio that the device was heard on.

    Databases of before bearers do not say which radio a read came over: a run had one.
    """

    def __init__(self, db: sqlite3.Connection, run_id: int) -> None:
        self._names: dict[int, str] = dict(
            db.execute("SELECT id, name FROM radios WHERE run_id = ?", (run_id,)).fetchall()
        )
        self._heard: dict[int, int] = dict(
            db.execute(
                "SELECT device_id, min(radio_id) FROM links WHERE run_id = ? GROUP BY device_id",
                (run_id,),
            ).fetchall()
        )

    def name(self, device_id: int, radio_id: int | None) -> str:
        """The name, empty when nothing is known."""
        row = self._heard.get(device_id) if radio_id is None else radio_id
        return "" if row is None else self._names.get(row, "")


def deliveries(
    db: sqlite3.Connection,
    run_id: int,
    events: Sequence[EventRow],
    away: Mapping[int, Sequence[Interval]],
    until_us: int,
) -> tuple[Delivery, ...]:
    """Both directions of each device that has something to count.

    `away` are the times in which a device owed no reads: the rig was out, the device was not
    paired, or it was told to be silent.
    """
    radios = _Radios(db, run_id)
    found = [
        *_reads(db, run_id, radios, away, until_us),
        *_unicasts(db, run_id, radios, events),
    ]
    return tuple(sorted(found, key=lambda d: (d.device_id, d.radio, d.direction != "to-hub")))


# -- to the hub -----------------------------------------------------------------------------------


def _reads(
    db: sqlite3.Connection,
    run_id: int,
    radios: _Radios,
    away: Mapping[int, Sequence[Interval]],
    until_us: int,
) -> list[Delivery]:
    """The reads of all schedules: an interval counts for the bearer that it began on."""
    due: Counter[_Key] = Counter()
    came: Counter[_Key] = Counter()
    for schedule_id, device_id, period_ms, tolerance_ms in db.execute(
        "SELECT id, device_id, period_ms, tolerance_ms FROM read_schedules WHERE run_id = ?",
        (run_id,),
    ).fetchall():
        period_us = period_ms * 1000
        excused = away.get(device_id, ())
        before_us: int | None = None
        key: _Key = (device_id, "")
        for at_us, radio_id in db.execute(
            "SELECT at_us, radio_id FROM reads WHERE schedule_id = ? AND initiator = 'device'"
            " AND at_us <= ? ORDER BY at_us, id",
            (schedule_id, until_us),
        ):
            if before_us is not None:
                periods = (at_us - before_us + period_us // 2) // period_us
                due[key] += _owed(before_us, periods - 1, period_us, excused)
            key = (device_id, radios.name(device_id, radio_id))
            due[key] += 1
            came[key] += 1
            before_us = at_us
        if before_us is not None:
            silent_us = until_us - before_us - tolerance_ms * 1000
            due[key] += _owed(before_us, silent_us // period_us, period_us, excused)
    return [
        Delivery(device_id, radio, "to-hub", due[device_id, radio], count, "reads")
        for (device_id, radio), count in came.items()
    ]


def _owed(start_us: int, missed: int, period_us: int, away: Sequence[Interval]) -> int:
    """How many of the reads that did not come after `start_us` nothing else explains."""
    if missed <= 0:
        return 0
    if not away:
        return missed
    return sum(
        not any(interval.start_us <= at_us < interval.end_us for interval in away)
        for at_us in range(start_us + period_us, start_us + missed * period_us + 1, period_us)
    )


# -- from the hub ---------------------------------------------------------------------------------


def _unicasts(
    db: sqlite3.Connection, run_id: int, radios: _Radios, events: Sequence[EventRow]
) -> list[Delivery]:
    told: dict[_Key, Delivery] = {}
    for device_id, radio_id, attempts, delivered, retries in db.execute(
        "SELECT device_id, radio_id, sum(attempts), sum(delivered), sum(retries) FROM deliveries"
        " WHERE run_id = ? GROUP BY device_id, radio_id ORDER BY device_id, radio_id",
        (run_id,),
    ):
        key = (device_id, radios.name(device_id, radio_id))
        before = told.get(key)
        if before is not None:  # the radio came back, in a row of its own
            attempts, delivered = attempts + before.attempts, delivered + before.delivered
            retries = None if retries is None else retries + (before.retries or 0)
        told[key] = Delivery(*key, "from-hub", attempts, delivered, "acknowledgements", retries)
    counted = {device_id for device_id, _ in told}
    return [*told.values(), *_answers(db, run_id, radios, events, counted)]


def _answers(
    db: sqlite3.Connection,
    run_id: int,
    radios: _Radios,
    events: Sequence[EventRow],
    counted: set[int],
) -> list[Delivery]:
    """Answers to the requests of devices whose deliveries the hub did not count."""
    answered: Counter[_Key] = Counter()
    for device_id, radio_id, count in db.execute(
        "SELECT device_id, radio_id, count(*) FROM reads WHERE run_id = ?"
        " AND initiator = 'device' AND status IS NOT NULL GROUP BY device_id, radio_id",
        (run_id,),
    ):
        answered[device_id, radios.name(device_id, radio_id)] += count
    lost: Counter[_Key] = Counter()
    for event in events:
        device_id = event.device_id
        if event.kind != "answer-not-delivered" or device_id is None or device_id in counted:
            continue
        row = db.execute(
            "SELECT radio_id FROM reads WHERE run_id = ? AND device_id = ? AND at_us <= ?"
            " ORDER BY at_us DESC LIMIT 1",
            (run_id, device_id, event.at_us),
        ).fetchone()
        lost[device_id, radios.name(device_id, None if row is None else row[0])] += 1
    return [
        Delivery(
            device_id,
            radio,
            "from-hub",
            count,
            max(0, count - lost[device_id, radio]),
            "answers",
        )
        for (device_id, radio), count in answered.items()
        if device_id not in counted
    ]
