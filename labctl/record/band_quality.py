"""RSSI by band: of one run, of one rig, or of all that was ever recorded.

It is made of the counts behind the links, so years of samples cost no more than their links.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labctl.events import Band
from labctl.record.rows import Link
from labctl.record.stats import percentile

_COUNTS = """
SELECT l.page = 0, l.direction, c.rssi_dbm, sum(c.samples)
FROM links AS l JOIN link_rssi_counts AS c ON c.link_id = l.id
{where}
GROUP BY 1, 2, 3 ORDER BY 1 DESC, 2 DESC
"""
_WHERE_RIG = "WHERE l.run_id IN (SELECT id FROM runs WHERE rig = ?)"


@dataclass(frozen=True, slots=True)
class BandRssi:
    """How strong frames were on one band in one direction. Percentiles are values that occurred."""

    band: Band
    direction: str
    samples: int
    rssi_p5_dbm: int
    rssi_median_dbm: int
    rssi_p95_dbm: int


def rssi_by_band(
    db: sqlite3.Connection, *, run_id: int | None = None, rig: str | None = None
) -> tuple[BandRssi, ...]:
    """RSSI by band and direction, 2.4 GHz and what the hub heard first.

    Of one run, of all runs of a rig, or (with neither) of all runs. Frames whose RSSI the radio did
    not tell are left out.
    """
    if run_id is not None:
        rows = db.execute(_COUNTS.format(where="WHERE l.run_id = ?"), (run_id,))
    elif rig is not None:
        rows = db.execute(_COUNTS.format(where=_WHERE_RIG), (rig,))
    else:
        rows = db.execute(_COUNTS.format(where=""))
    counts: dict[tuple[int, str], dict[int, int]] = {}
    for is_2450, direction, rssi_dbm, samples in rows:
        counts.setdefault((is_2450, direction), {})[rssi_dbm] = samples
    return _by_band(counts)


def by_band_of(links: Iterable[Link]) -> tuple[BandRssi, ...]:
    """The same of links that are loaded already."""
    counts: dict[tuple[int, str], dict[int, int]] = {}
    for link in sorted(links, key=lambda link: (link.page != 0, link.direction != "to-hub")):
        into = counts.setdefault((link.page == 0, link.direction), {})
        for rssi_dbm, samples in link.rssi_counts.items():
            into[rssi_dbm] = into.get(rssi_dbm, 0) + samples
    return _by_band({key: values for key, values in counts.items() if values})


def _by_band(counts: Mapping[tuple[int, str], dict[int, int]]) -> tuple[BandRssi, ...]:
    found = []
    for (is_2450, direction), values in counts.items():
        band = Band.GHZ_2_4 if is_2450 else Band.MHZ_868
        percentiles = (percentile(values, percent) or 0 for percent in (5, 50, 95))
        found.append(BandRssi(band, direction, sum(values.values()), *percentiles))
    return tuple(found)
