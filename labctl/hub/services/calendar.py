"""Calendar 0x0707: the switching tables of one meter (SE 1.4 D.9).

Published are the tariff switching table in force, those announced, and the non-disablement
calendar ("friendly credit") of a prepayment account. Days, weeks and seasons are numbered from 1.
A client may ask for "the one in force" by the ids 0xFFFFFFFF and 0xFFFFFFFE (GBCS 10.4.2.11).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from labctl.hub.services.base import (
    NOT_FOUND,
    Answer,
    Outcome,
    Request,
    Service,
    answer,
    command_of,
)
from labctl.hub.services.publishing import (
    asked_time,
    event_of,
    in_parts,
    now_s,
    tariffs,
    wanted,
)
from labctl.hub.services.time import ZIGBEE_EPOCH_S, zigbee_time
from labctl.meters import Meter, Tariff
from labctl.meters.switching import Season, SpecialDay, SwitchingTable
from labctl.smart_energy.clusters import Calendar
from labctl.smart_energy.clusters.calendar import (
    ANY_TYPE,
    IN_FORCE,
    NON_DISABLEMENT_IN_FORCE,
    WILDCARD,
    CalendarType,
    Date,
    ScheduleEntry,
    SeasonEntry,
    SpecialDayEntry,
)

T = TypeVar("T")

_ANY_PROVIDER = 0xFFFFFFFF
_NAME_OCTETS = 12
_NON_DISABLEMENT_ID = 0x4E44_0001
"""Of the account's calendar, well away from the ids of tariffs, which are small numbers."""
_DAY_HEADER = 17
_SEASONS_HEADER = 14
_SPECIAL_HEADER = 20


@dataclass(frozen=True, slots=True)
class Published:
    """A switching table as the air knows it. `start_s` is when it comes into force (UTC)."""

    provider_id: int
    event_id: int
    calendar_id: int
    start_s: int
    type: CalendarType
    name: str
    table: SwitchingTable


class CalendarService(Service[None]):
    """The calendars of one meter."""

    definition = Calendar
    sends = (
        "publish_calendar",
        "publish_day_profile",
        "publish_week_profile",
        "publish_seasons",
        "publish_special_days",
    )
    commands = frozenset(range(0x00, 0x06))

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        super().__init__([])
        self._getters: dict[int, Callable[[Request, Any], Outcome]] = {
            0x00: self._get_calendar,
            0x01: self._get_day_profiles,
            0x02: self._get_week_profiles,
            0x03: self._get_seasons,
            0x04: self._get_special_days,
        }

    def state(self, now_us: int) -> None:
        """There are no attributes."""
        return

    def command(self, request: Request, fields: Any) -> Outcome:
        """Answer a Get. Nothing was ever cancelled, so that there is no cancellation to get."""
        getter = self._getters.get(request.command_id)
        return NOT_FOUND if getter is None else getter(request, fields) or NOT_FOUND

    def calendars(self, at_s: int) -> list[Published]:
        """What is in force at a time (UTC seconds) and what is announced to follow."""
        found = [_of_tariff(tariff) for tariff in tariffs(self.meter, at_s)]
        friendly = non_disablement(self.meter)
        return found if friendly is None else [*found, friendly]

    def _calendar(self, request: Request, fields: Any) -> Published | None:
        """The calendar that a client names, by its id or as the one in force."""
        wanted_id = int(fields.issuer_calendar_id)
        if wanted_id == NON_DISABLEMENT_IN_FORCE:
            return _from(non_disablement(self.meter), fields)
        for calendar in self.calendars(now_s(request)):
            if wanted_id == calendar.calendar_id or (
                wanted_id == IN_FORCE and calendar.type is CalendarType.Delivered
            ):
                return _from(calendar, fields)
        return None

    # -- commands -----------------------------------------------------------------------------

    def _get_calendar(self, request: Request, fields: Any) -> Outcome:
        at_s = asked_time(request, int(fields.earliest_start_time))
        known = [
            calendar
            for calendar in self.calendars(at_s)
            if _is_of(calendar, int(fields.calendar_type)) and _from(calendar, fields)
        ]
        found = wanted(
            known, _event, int(fields.min_issuer_event_id), int(fields.number_of_calendars)
        )
        return [self._publish_calendar(request, calendar) for calendar in found]

    def _publish_calendar(self, request: Request, calendar: Published) -> Answer:
        table = calendar.table
        return answer(
            command_of(Calendar, "publish_calendar"),
            **_of(calendar),
            start_time=zigbee_time(calendar.start_s),
            calendar_type=calendar.type,
            calendar_time_reference=request.settings.calendar_time_base.code or table.time_base,
            calendar_name=calendar.name.encode()[:_NAME_OCTETS],
            number_of_seasons=len(_seasons(table)),
            number_of_week_profiles=len(table.weeks),
            number_of_day_profiles=len(table.days),
        )

    def _get_day_profiles(self, request: Request, fields: Any) -> Outcome:
        calendar = self._calendar(request, fields)
        if calendar is None:
            return NOT_FOUND
        answers: list[Answer] = []
        days = _numbered(calendar.table.days, int(fields.start_day_id), int(fields.number_of_days))
        for number, switches in days:
            parts = in_parts(switches, lambda _: 3, _DAY_HEADER)
            answers += [
                answer(
                    command_of(Calendar, "publish_day_profile"),
                    **_of(calendar),
                    day_id=number,
                    total_number_of_schedule_entries=len(switches),
                    command_index=index,
                    total_number_of_commands=len(parts),
                    calendar_type=calendar.type,
                    entries=[ScheduleEntry(start_min=s.minute, value=s.value) for s in part],
                )
                for index, part in enumerate(parts)
            ]
        return answers

    def _get_week_profiles(self, request: Request, fields: Any) -> Outcome:
        calendar = self._calendar(request, fields)
        if calendar is None:
            return NOT_FOUND
        weeks = _numbered(
            calendar.table.weeks, int(fields.start_week_id), int(fields.number_of_weeks)
        )
        command = command_of(Calendar, "publish_week_profile")
        references = [str(field.name) for field in command.schema.fields[4:]]
        return [
            answer(
                command,
                **_of(calendar),
                week_id=number,
                **dict(zip(references, week, strict=True)),
            )
            for number, week in weeks
        ]

    def _get_seasons(self, request: Request, fields: Any) -> Outcome:
        calendar = self._calendar(request, fields)
        if calendar is None:
            return NOT_FOUND
        entries = [
            SeasonEntry(start=_date(None, season.month, season.day), week_id=season.week)
            for season in _seasons(calendar.table)
        ]
        parts = in_parts(entries, lambda _: 5, _SEASONS_HEADER)
        return [
            answer(
                command_of(Calendar, "publish_seasons"),
                **_of(calendar),
                command_index=index,
                total_number_of_commands=len(parts),
                seasons=part,
            )
            for index, part in enumerate(parts)
        ]

    def _get_special_days(self, request: Request, fields: Any) -> Outcome:
        calendar = self._calendar(request, fields)
        if calendar is None or not _is_of(calendar, int(fields.calendar_type)):
            return NOT_FOUND
        days = calendar.table.special_days
        if not days:
            return NOT_FOUND
        parts = in_parts(days, lambda _: 5, _SPECIAL_HEADER)
        return [
            answer(
                command_of(Calendar, "publish_special_days"),
                **_of(calendar),
                start_time=zigbee_time(calendar.start_s),
                calendar_type=calendar.type,
                total_number_of_special_days=len(days),
                command_index=index,
                total_number_of_commands=len(parts),
                special_days=[_special(day) for day in part],
            )
            for index, part in enumerate(parts)
        ]


def non_disablement(meter: Meter) -> Published | None:
    """The account's calendar of periods in which the supply stays on; None when it has none."""
    account = meter.prepayment
    if account is None or account.declared.non_disablement is None:
        return None
    tariff = meter.tariff
    return Published(
        provider_id=tariff.provider_id if tariff is not None else 0,
        event_id=1,
        calendar_id=_NON_DISABLEMENT_ID,
        start_s=ZIGBEE_EPOCH_S,
        type=CalendarType.Friendly_credit,
        name="Friendly",
        table=account.declared.non_disablement,
    )


def _of_tariff(tariff: Tariff) -> Published:
    return Published(
        tariff.provider_id,
        event_of(tariff),
        tariff.tariff_id,
        tariff.start_s,
        CalendarType.Delivered,
        tariff.name,
        tariff.table,
    )


def _of(calendar: Published) -> dict[str, int]:
    """The fields that every Publish begins with."""
    return {
        "provider_id": calendar.provider_id,
        "issuer_event_id": calendar.event_id,
        "issuer_calendar_id": calendar.calendar_id,
    }


def _event(calendar: Published) -> int:
    return calendar.event_id


def _from(calendar: Published | None, fields: Any) -> Published | None:
    """The calendar, if it is of the provider that the client asks for."""
    provider = int(fields.provider_id)
    if calendar is None or provider not in (_ANY_PROVIDER, calendar.provider_id):
        return None
    return calendar


def _is_of(calendar: Published, type_: int) -> bool:
    """Whether a calendar is of the type asked for; "delivered and received" has both."""
    both = CalendarType.Delivered_and_received
    energy = (CalendarType.Delivered, CalendarType.Received)
    return type_ in (ANY_TYPE, calendar.type) or (type_ == both and calendar.type in energy)


def _numbered(items: Sequence[T], first: int, count: int) -> list[tuple[int, T]]:
    """Items `first`, `first` + 1, ... by their numbers; 0 starts at 1, and a count of 0 is all."""
    numbered = list(enumerate(items, 1))[max(first, 1) - 1 :]
    return numbered[: count or None]


def _seasons(table: SwitchingTable) -> tuple[Season, ...]:
    """A table without seasons is published with one that begins with the year, as meters do."""
    return table.seasons or (Season(1, 1, 1),)


def _special(day: SpecialDay) -> SpecialDayEntry:
    return SpecialDayEntry(date=_date(day.year, day.month, day.day), day_id=day.profile)


def _date(year: int | None, month: int, day: int) -> Date:
    shown = WILDCARD if year is None else min(max(year - 1900, 0), WILDCARD - 1)
    return Date(year=shown, month=month, day=day, weekday=WILDCARD)
