"""What this run has recorded of a device so far: for what a device does once, when it likes."""

from __future__ import annotations

import asyncio
import json

from labctl.campaign.subject import Subject
from labctl.clock import MICROSECONDS

FIRST_CONTACT_S = 10 * 60.0
"""How long a device may be busy with what it does once, after it was authorised."""


def refusals(device: Subject) -> list[dict[str, object]]:
    """What the hub refused it, as `events.Refused` has it, in order."""
    return [json.loads(detail) for detail in _events(device, "refused")]


def notes(device: Subject, kind: str) -> int:
    """How many notes of that kind there are of it."""
    return len(_events(device, kind))


async def first_contact_over(device: Subject) -> None:
    """Wait until a device has been on the network for `FIRST_CONTACT_S` in this run."""
    session = device.session
    session.recorder.flush()
    (since_us,) = session.recorder.connection.execute(
        "SELECT max(started_us, coalesce((SELECT max(ended_us) FROM joins"
        " WHERE run_id = runs.id AND eui64 = ? AND outcome = 'authorised'), 0))"
        " FROM runs WHERE id = ?",
        (device.eui64, session.run_id),
    ).fetchone()
    been_s = (session.clock.now_us() - since_us) / MICROSECONDS
    await asyncio.sleep(max(0.0, FIRST_CONTACT_S - been_s))


def _events(device: Subject, kind: str) -> list[str]:
    session = device.session
    session.recorder.flush()
    return [
        detail
        for (detail,) in session.recorder.connection.execute(
            "SELECT detail FROM events JOIN devices ON devices.id = device_id"
            " WHERE run_id = ? AND eui64 = ? AND events.kind = ? ORDER BY at_us, events.id",
            (session.run_id, device.eui64, kind),
        )
    ]
