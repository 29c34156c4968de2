"""What else happened on the rig: outages of the rig itself, unpaired times, rejoins.

These are what keeps a device from being blamed for the rig's trouble.
"""

from __future__ import annotations

from collections.abc import Iterable

from labctl.record.compliance import Interval
from labctl.record.rows import EventRow, Join, RunData


def infrastructure(events: Iterable[EventRow], until_us: int) -> tuple[Interval, ...]:
    """When the rig could not serve: from each lost radio to its return, and noted outages.

    A note tells of an outage when its detail holds ``"infrastructure": true``; ``"duration_us"``
    says how long it had lasted when the note was made.
    """
    lost: dict[str, tuple[int, str]] = {}
    found: list[Interval] = []
    for event in events:
        radio = str(event.detail.get("radio", ""))
        if event.kind == "radio-lost":
            lost.setdefault(radio, (event.at_us, str(event.detail.get("cause", ""))))
        elif event.kind == "radio-up" and radio in lost:
            start_us, cause = lost.pop(radio)
            found.append(Interval(start_us, event.at_us, f"radio {radio} lost: {cause}"))
        elif event.detail.get("infrastructure") is True:
            duration = event.detail.get("duration_us", 0)
            duration_us = duration if isinstance(duration, int) else 0
            what = str(event.detail.get("cause", event.kind))
            found.append(Interval(event.at_us - duration_us, event.at_us + 1, what))
    for radio, (start_us, cause) in lost.items():
        found.append(Interval(start_us, until_us + 1, f"radio {radio} lost: {cause}"))
    return tuple(sorted(found, key=lambda interval: interval.start_us))


def unpaired(device_id: int, data: RunData, events: Iterable[EventRow]) -> tuple[Interval, ...]:
    """When the device was not in the device log, between its removal and its next authorisation."""
    found: list[Interval] = []
    for event in events:
        if event.kind != "pairing-removed" or event.device_id != device_id:
            continue
        back_us = min(
            (
                join.ended_us
                for join in data.joins
                if join.device_id == device_id
                and join.outcome == "authorised"
                and join.ended_us is not None
                and join.ended_us > event.at_us
            ),
            default=data.until_us + 1,
        )
        reason = str(event.detail.get("reason", ""))
        found.append(Interval(event.at_us, back_us, f"removed from the device log: {reason}"))
    return tuple(found)


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
