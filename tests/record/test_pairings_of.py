"""Pairings in the database: one device may be in the logs of two rigs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from labctl.events import (
    Event,
    PairingArmed,
    PairingMethod,
    PairingRemoved,
    PairingWindowClosed,
    RunStarted,
)
from labctl.record.database import open_for_writing
from labctl.record.pairings import pairings_of
from labctl.record.writer import Writer

DEVICE = "00:00:5e:ef:10:00:00:02"


def started(at_us: int, rig: str) -> RunStarted:
    return RunStarted(
        at_us=at_us,
        rig=rig,
        kind="bench",
        simulated=True,
        labctl_version="1",
        host="h",
        config_sha256="0",
    )


def armed(at_us: int, by: str) -> PairingArmed:
    return PairingArmed(
        at_us=at_us,
        eui64=DEVICE,
        method=PairingMethod.REMOTE,
        requested_by=by,
        window_s=60,
        consent_reference="form 17",
    )


def test_what_one_rig_removes_stays_in_the_log_of_the_other(tmp_path: Path) -> None:
    events: list[Event] = [
        started(1, "north"),
        armed(2, "anna"),
        PairingWindowClosed(at_us=3, eui64=DEVICE, authorised=True),
        started(4, "south"),
        armed(5, "bert"),
        armed(6, "cleo"),
        started(7, "north"),
        PairingRemoved(at_us=8, eui64=DEVICE, reason="moved"),
    ]
    with closing(open_for_writing(tmp_path / "labctl.db")) as connection:
        Writer(connection).write(events)
        (north,) = pairings_of(connection, "north").values()
        (south,) = pairings_of(connection, "south").values()
        assert pairings_of(connection, "nowhere") == {}
    assert (north.requested_by, north.authorised, north.removed_us) == ("anna", True, 8)
    assert north.removal_reason == "moved"
    assert (south.requested_by, south.authorised, south.removed_us) == ("cleo", None, None)
    assert south.consent_reference == "form 17"
