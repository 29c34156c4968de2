"""Link quality of one run: percentiles by histogram, over all of it and over time.

SQLite counts how often each RSSI and LQI occurs (20 times faster than ranking every sample), and
the percentiles are read off the counts.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterable

from labctl.record.rows import Link, LinkBucket
from labctl.record.stats import percentile

#: Widths of the time buckets of a series, in seconds: those that make round ticks.
_WIDTHS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)

#: At most this many buckets in a series.
MOST_BUCKETS = 150

Counts = dict[int, int]
_Key = tuple[int, int | None, str, int, int]
_Identity = tuple[int, str, str, str, int, int, str | None]


def bucket_width_us(span_us: int) -> int:
    """The least round width that cuts `span_us` into at most `MOST_BUCKETS` buckets."""
    for width_s in _WIDTHS_S:
        if span_us <= width_s * 1_000_000 * MOST_BUCKETS:
            return width_s * 1_000_000
    days = -(-span_us // (86_400_000_000 * MOST_BUCKETS))
    return days * 86_400_000_000


def _merge(into: Counts, more: Counts) -> None:
    for value, count in more.items():
        into[value] = into.get(value, 0) + count


def links(db: sqlite3.Connection, run_id: int, started_us: int, until_us: int) -> tuple[Link, ...]:
    """The links of a run: one for each device, radio, direction and channel."""
    width_us = bucket_width_us(max(1, until_us - started_us))
    rssi: dict[_Key, dict[int, Counts]] = {}
    lqi: dict[_Key, dict[int, Counts]] = {}
    for column, found in (("rssi_dbm", rssi), ("lqi", lqi)):
        for device_id, radio_id, direction, page, channel, bucket, value, count in db.execute(
            "SELECT device_id, radio_id, direction, page, channel,"  # noqa: S608 - our own names
            f" (at_us - :start) / :width AS bucket, {column}, count(*)"
            f" FROM link_samples WHERE run_id = :run AND {column} IS NOT NULL"
            " GROUP BY 1, 2, 3, 4, 5, 6, 7",
            {"start": started_us, "width": width_us, "run": run_id},
        ):
            key = (device_id, radio_id, direction, page, channel)
            found.setdefault(key, {}).setdefault(bucket, {})[value] = count
    return tuple(
        _link(identity, keys, rssi, lqi, started_us, width_us)
        for identity, keys in _merged(db, run_id, lqi).items()
    )


def link_totals(db: sqlite3.Connection, run_id: int) -> tuple[Link, ...]:
    """The same over all of the run and without the series: made of counts, so it is quick."""
    found: dict[str, dict[_Key, dict[int, Counts]]] = {"rssi": {}, "lqi": {}}
    for quantity, column in (("rssi", "rssi_dbm"), ("lqi", "lqi")):
        for device_id, radio_id, direction, page, channel, value, samples in db.execute(
            "SELECT l.device_id, l.radio_id, l.direction, l.page, l.channel,"  # noqa: S608 - ours
            f" c.{column}, c.samples FROM links AS l"
            f" JOIN link_{quantity}_counts AS c ON c.link_id = l.id WHERE l.run_id = ?",
            (run_id,),
        ):
            key = (device_id, radio_id, direction, page, channel)
            found[quantity].setdefault(key, {}).setdefault(0, {})[value] = samples
    return tuple(
        dataclasses.replace(
            _link(identity, keys, found["rssi"], found["lqi"], 0, 0), buckets=(), bucket_us=0
        )
        for identity, keys in _merged(db, run_id, found["lqi"]).items()
    )


def _merged(
    db: sqlite3.Connection, run_id: int, found: Iterable[_Key]
) -> dict[_Identity, list[_Key]]:
    """A radio that was lost and came back is two rows, but one radio to the reader.

    With another firmware it is another radio, since its LQI may be on another scale.
    """
    radios: dict[int, tuple[str, str, str | None]] = {
        radio_id: (name, band, firmware)
        for radio_id, name, band, firmware in db.execute(
            "SELECT id, name, band, firmware FROM radios WHERE run_id = ?", (run_id,)
        )
    }
    merged: dict[_Identity, list[_Key]] = {}
    for key in sorted(found, key=lambda k: (k[0], k[1] or 0, *k[2:])):
        device_id, radio_id, direction, page, channel = key
        name, band, firmware = radios.get(radio_id or 0, ("", "", None))
        identity = (device_id, name, band, direction, page, channel, firmware)
        merged.setdefault(identity, []).append(key)
    return merged


def _link(
    identity: _Identity,
    keys: list[_Key],
    rssi: dict[_Key, dict[int, Counts]],
    lqi: dict[_Key, dict[int, Counts]],
    started_us: int,
    width_us: int,
) -> Link:
    rssi_all: Counts = {}
    lqi_all: Counts = {}
    rssi_by_bucket: dict[int, Counts] = {}
    lqi_by_bucket: dict[int, Counts] = {}
    for key in keys:
        for source, total, by_bucket in (
            (rssi, rssi_all, rssi_by_bucket),
            (lqi, lqi_all, lqi_by_bucket),
        ):
            for bucket, counts in source.get(key, {}).items():
                _merge(total, counts)
                _merge(by_bucket.setdefault(bucket, {}), counts)
    buckets = []
    for bucket in sorted(lqi_by_bucket):
        rssi_counts = rssi_by_bucket.get(bucket, {})
        lqi_counts = lqi_by_bucket[bucket]
        buckets.append(
            LinkBucket(
                start_us=started_us + bucket * width_us,
                samples=sum(lqi_counts.values()),
                rssi_median_dbm=percentile(rssi_counts, 50),
                rssi_p10_dbm=percentile(rssi_counts, 10),
                rssi_p90_dbm=percentile(rssi_counts, 90),
                lqi_median=percentile(lqi_counts, 50) or 0,
            )
        )
    device_id, name, band, direction, page, channel, firmware = identity
    return Link(
        device_id=device_id,
        radio=name,
        band=band,
        direction=direction,
        page=page,
        channel=channel,
        samples=sum(lqi_all.values()),
        rssi_median_dbm=percentile(rssi_all, 50),
        rssi_p10_dbm=percentile(rssi_all, 10),
        rssi_min_dbm=min(rssi_all, default=None),
        rssi_max_dbm=max(rssi_all, default=None),
        lqi_median=percentile(lqi_all, 50) or 0,
        lqi_p10=percentile(lqi_all, 10) or 0,
        rssi_counts=rssi_all,
        lqi_counts=lqi_all,
        buckets=tuple(buckets),
        bucket_us=width_us,
        firmware=firmware,
    )
