"""Where the bearers of a rig are, or were when it last ran."""

from __future__ import annotations

import json
import sqlite3


def last_channels(db: sqlite3.Connection, rig: str) -> tuple[tuple[int, int], ...]:
    """Page and channel of each bearer of the newest run of `rig` that had a radio up, in order.

    Moves of that run are counted in. Empty when the rig never had one up.
    """
    row = db.execute(
        "SELECT max(radios.run_id) FROM radios JOIN runs ON runs.id = radios.run_id"
        " WHERE runs.rig = ?",
        (rig,),
    ).fetchone()
    if row[0] is None:
        return ()
    found = {
        name: (page, channel)
        for name, page, channel in db.execute(
            "SELECT name, page, channel FROM radios WHERE run_id = ? ORDER BY id", (row[0],)
        )
    }
    moves = db.execute(
        "SELECT detail FROM events WHERE run_id = ? AND kind = 'channel-moved' ORDER BY id",
        (row[0],),
    )
    for (detail,) in moves:
        move = json.loads(detail)
        if move["radio"] in found:
            found[move["radio"]] = move["to_page"], move["to_channel"]
    return tuple(found.values())
