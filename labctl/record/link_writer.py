"""Link samples and their counts, written together so that the two never differ."""

from __future__ import annotations

from collections import Counter

from labctl import events as ev
from labctl.record.ids import Rows

_INSERT_SAMPLE = (
    "INSERT INTO link_samples"
    " (run_id, device_id, radio_id, at_us, direction, page, channel, rssi_dbm, lqi)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_FIND_LINK = (
    "SELECT id FROM links WHERE run_id = ? AND device_id = ? AND coalesce(radio_id, 0) = ?"
    " AND direction = ? AND page = ? AND channel = ?"
)
_COUNT = (
    "INSERT INTO link_{0}_counts (link_id, {1}, samples) VALUES (?, ?, ?)"
    " ON CONFLICT (link_id, {1}) DO UPDATE SET samples = samples + excluded.samples"
)
_COUNT_RSSI = _COUNT.format("rssi", "rssi_dbm")
_COUNT_LQI = _COUNT.format("lqi", "lqi")


class LinkWriter:
    """Gathers the samples of a batch; `flush` writes them inside the caller's transaction."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._samples: list[tuple[object, ...]] = []
        self._rssi: Counter[tuple[int, int]] = Counter()
        self._lqi: Counter[tuple[int, int]] = Counter()

    def add(self, event: ev.LinkSample, device_id: int) -> None:
        """Take one sample of a device whose row is `device_id`."""
        known = self._rows.known
        radio_id = known.radios.get(event.radio)
        direction = event.direction.value
        key = (device_id, radio_id, direction, event.page, event.channel)
        link_id = known.links.get(key)
        if link_id is None:
            link_id = known.links[key] = self._link(*key)
        if event.direction is ev.Direction.TO_HUB:
            known.bearers[device_id] = radio_id
        self._samples.append(
            (
                known.run_id,
                device_id,
                radio_id,
                event.at_us,
                direction,
                event.page,
                event.channel,
                event.rssi_dbm,
                event.lqi,
            )
        )
        self._lqi[link_id, event.lqi] += 1
        if event.rssi_dbm is not None:
            self._rssi[link_id, event.rssi_dbm] += 1

    def clear(self) -> None:
        """Forget what was gathered: the transaction was rolled back."""
        self._samples.clear()
        self._rssi.clear()
        self._lqi.clear()

    def flush(self) -> None:
        """Write the samples and add them to the counts."""
        if not self._samples:
            return
        db = self._rows.db
        db.executemany(_INSERT_SAMPLE, self._samples)
        for sql, counts in ((_COUNT_RSSI, self._rssi), (_COUNT_LQI, self._lqi)):
            if counts:
                db.executemany(sql, [(*key, count) for key, count in counts.items()])
        self.clear()

    def _link(
        self, device_id: int, radio_id: int | None, direction: str, page: int, channel: int
    ) -> int:
        run_id = self._rows.known.run_id
        found = self._rows.db.execute(
            _FIND_LINK, (run_id, device_id, radio_id or 0, direction, page, channel)
        ).fetchone()
        if found is not None:
            return int(found[0])
        return self._rows.insert(
            "links",
            run_id=run_id,
            device_id=device_id,
            radio_id=radio_id,
            direction=direction,
            page=page,
            channel=channel,
        )
