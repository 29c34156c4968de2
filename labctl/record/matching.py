"""Which declared schedule a read belongs to, when its event does not say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labctl.events import ReadScheduleDeclared, ReadServed


@dataclass(frozen=True, slots=True)
class DeclaredSchedule:
    """A schedule of one device, with its row in the database."""

    id: int
    declared: ReadScheduleDeclared


def match(schedules: Iterable[DeclaredSchedule], read: ReadServed) -> int | None:
    """The row of the schedule that `read` keeps, None when it keeps none.

    A read keeps the schedule that its event names. Without a name it keeps one of the same cluster
    (and endpoint, where the schedule has one) whose *first* attribute it asks for: devices ask for
    more at once, or for the rest in a second request, and either must count once. A schedule
    without attributes is kept by commands of the cluster. Of several the one that shares the most
    attributes wins, then the one declared first.
    """
    best: int | None = None
    best_shared = -1
    for schedule in schedules:
        declared = schedule.declared
        if read.schedule is not None:
            if declared.name == read.schedule:
                return schedule.id
            continue
        if declared.cluster_id != read.cluster_id:
            continue
        if declared.endpoint is not None and declared.endpoint != read.endpoint:
            continue
        if declared.attributes:
            if read.command_id is not None or declared.attributes[0] not in read.attributes:
                continue
        elif read.command_id is None:
            continue
        shared = len(set(declared.attributes) & set(read.attributes))
        if shared > best_shared:
            best, best_shared = schedule.id, shared
    return best
