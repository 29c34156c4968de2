"""Read accounting: which schedule a read belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labctl.events import ReadScheduleDeclared
from labctl.hub.settings import ReadSchedule

_CACHE_LIMIT = 512


class ReadBook:
    """The declared schedules.

    A Read Attributes belongs to a schedule when device, cluster and endpoint agree and it asks for
    at least the schedule's attributes; a command, when its id agrees. Of several the one with most
    attributes is taken.
    """

    def __init__(self, schedules: Iterable[ReadSchedule], endpoints: Mapping[str, int]) -> None:
        """Raise `ValueError` when a schedule names an endpoint that the hub does not have."""
        self._schedules = tuple(schedules)
        self._endpoints: dict[int, int | None] = {}
        for index, schedule in enumerate(self._schedules):
            endpoint = schedule.endpoint
            if isinstance(endpoint, str):
                if endpoint not in endpoints:
                    raise ValueError(
                        f"schedule {schedule.name!r} reads from {endpoint!r}; "
                        f"there is {', '.join(sorted(endpoints))}"
                    )
                endpoint = endpoints[endpoint]
            self._endpoints[index] = endpoint
        self._cache: dict[tuple[str, int, int, tuple[int, ...], int | None], str | None] = {}

    def declarations(self, now_us: int) -> list[ReadScheduleDeclared]:
        """The schedules, for the record."""
        return [
            ReadScheduleDeclared(
                at_us=now_us,
                eui64=schedule.eui64,
                name=schedule.name,
                cluster_id=schedule.cluster_id,
                attributes=schedule.attributes,
                period_ms=schedule.period_ms,
                tolerance_ms=schedule.tolerance_ms,
            )
            for schedule in self._schedules
        ]

    def schedule_of(
        self,
        eui64: str,
        endpoint: int,
        cluster_id: int,
        attributes: tuple[int, ...],
        command_id: int | None,
    ) -> str | None:
        """The name of the schedule that a read belongs to, or None."""
        key = (eui64, endpoint, cluster_id, attributes, command_id)
        try:
            return self._cache[key]
        except KeyError:
            pass
        if len(self._cache) >= _CACHE_LIMIT:
            self._cache.clear()  # a device that reads at random is not worth more
        found = self._cache[key] = self._find(eui64, endpoint, cluster_id, attributes, command_id)
        return found

    def _find(
        self,
        eui64: str,
        endpoint: int,
        cluster_id: int,
        attributes: tuple[int, ...],
        command_id: int | None,
    ) -> str | None:
        best: ReadSchedule | None = None
        for index, schedule in enumerate(self._schedules):
            if schedule.eui64 != eui64 or schedule.cluster_id != cluster_id:
                continue
            if self._endpoints[index] not in (None, endpoint):
                continue
            if schedule.command_id != command_id or not set(schedule.attributes) <= set(attributes):
                continue
            if best is None or len(schedule.attributes) > len(best.attributes):
                best = schedule
        return best.name if best else None
