"""What else happened on the rig: outages of the rig itself, unpaired times, rejoins.

These are what keeps a device from being blamed for the rig's trouble.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from labctl.record.bearer_rows import Suspension
from labctl.record.compliance import RECOVERY_US, Interval
from labctl.record.rows import EventRow, Join

#: How long after its time was over a suspended device may take to notice. Minutes are what it is
#: told in, and its clock is its own.
NOTICE_US = 60_000_000


def infrastructure(events: Iterable[EventRow], until_us: int) -> tuple[Interval, ...]:
    """When the rig could not serve: from each lost radio to its return, and noted outages.

    From where the rig gave out (``rig-gave-out``) it is out to the end.

    A radio that was found to be lost may have been so for a while (``"silent_us"``).

    A note tells of an outage when its detail holds ``"infrastructure": true``; ``"duration_us"``
    says how long it had lasted when the note was made.
    """
    lost: dict[str, tuple[int, str]] = {}
    found: list[Interval] = []
    for event in events:
        radio = str(event.detail.get("radio", ""))
        if event.kind == "radio-lost":
            silent_us = event.detail.get("silent_us", 0)
            since_us = event.at_us - (silent_us if isinstance(silent_us, int) else 0)
            lost.setdefault(radio, (since_us, str(event.detail.get("cause", ""))))
        elif event.kind == "radio-up" and radio in lost:
            start_us, cause = lost.pop(radio)
            found.append(Interval(start_us, event.at_us, f"radio {radio} lost: {cause}"))
        elif event.kind == "rig-gave-out":
            found.append(Interval(event.at_us, until_us + 1, str(event.detail.get("cause", ""))))
        elif event.detail.get("infrastructure") is True:
            duration = event.detail.get("duration_us", 0)
            duration_us = duration if isinstance(duration, int) else 0
            what = str(event.detail.get("cause", event.kind))
            found.append(Interval(event.at_us - duration_us, event.at_us + 1, what))
    for radio, (start_us, cause) in lost.items():
        found.append(Interval(start_us, until_us + 1, f"radio {radio} lost: {cause}"))
    return tuple(sorted(found, key=lambda interval: interval.start_us))


def unpaired(
    device_id: int, joins: Iterable[Join], events: Iterable[EventRow], until_us: int
) -> tuple[Interval, ...]:
    """When the device was not in the device log, between its removal and its next authorisation."""
    ended = [
        join.ended_us
        for join in joins
        if join.device_id == device_id
        and join.outcome == "authorised"
        and join.ended_us is not None
    ]
    found: list[Interval] = []
    for event in events:
        if event.kind != "pairing-removed" or event.device_id != device_id:
            continue
        back_us = min(
            (ended_us for ended_us in ended if ended_us > event.at_us), default=until_us + 1
        )
        reason = str(event.detail.get("reason", ""))
        found.append(Interval(event.at_us, back_us, f"removed from the device log: {reason}"))
    return tuple(found)


def silenced(device_id: int, suspensions: Iterable[Suspension]) -> tuple[Interval, ...]:
    """When the hub had told the device to send nothing (Sub-GHz cluster, 0x070B)."""
    return tuple(
        Interval(
            suspension.start_us,
            suspension.end_us + NOTICE_US,
            f"for {suspension.minutes} min: {suspension.cause}",
        )
        for suspension in suspensions
        if suspension.device_id == device_id
    )


def rejoins(joins: Iterable[Join], until_us: int) -> tuple[Interval, ...]:
    """When the device was on its way back into the network."""
    return tuple(
        Interval(
            join.started_us,
            (join.ended_us if join.ended_us is not None else until_us) + 1,
            f"{join.kind.replace('-', ' ')}, {join.outcome or 'unfinished'}",
        )
        for join in joins
        if join.kind != "join"
    )


def away(
    device_ids: Iterable[int],
    joins: Sequence[Join],
    events: Sequence[EventRow],
    outages: Iterable[Interval],
    suspensions: Sequence[Suspension],
    until_us: int,
) -> dict[int, tuple[Interval, ...]]:
    """When each device owed no reads: the rig was out, or the device unpaired or suspended."""
    out = tuple(
        Interval(outage.start_us, outage.end_us + RECOVERY_US, outage.what) for outage in outages
    )
    return {
        device_id: (
            *out,
            *unpaired(device_id, joins, events, until_us),
            *silenced(device_id, suspensions),
        )
        for device_id in device_ids
    }
