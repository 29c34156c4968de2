"""Calendar, octet by octet against the layouts that GB meters use."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from service_bench import (
    DAY_S,
    NOW,
    START_S,
    TOU,
    account,
    ask,
    electricity,
    friendly_table,
    published,
    u,
)

from labctl.hub.services.calendar import CalendarService
from labctl.meters import Season, SpecialDay, Switch, SwitchingTable, Tariff, Tier
from labctl.smart_energy.disagreements import DeviceSettings, TimeBase

NOT_FOUND = 0x8B
ANYBODY = b"\xff\xff\xff\xff"
IN_FORCE = b"\xff\xff\xff\xff"
FRIENDLY = b"\xfe\xff\xff\xff"
START = u(NOW - DAY_S, 4)
OF = u(1, 4) + START + u(1, 4)
ALL = u(0, 4) + u(0xFFFFFFFF, 4) + b"\x00\xff" + ANYBODY

SEASONED = Tariff(
    name="Seasons",
    unit_price=20_000,
    standing_charge=0,
    start_s=START_S - DAY_S,
    tiers=(Tier("Low", 10_000),),
    switching=SwitchingTable(
        days=((Switch(0, 1),), (Switch(0, 2), Switch(390, 1))),
        weeks=((1,) * 7, (2, 2, 2, 2, 2, 1, 1)),
        seasons=(Season(3, 20, 1), Season(10, 1, 2)),
        special_days=(SpecialDay(3, 20, 2), SpecialDay(12, 25, 1, 2026)),
    ),
)


def test_a_calendar_has_22_octets_and_its_name() -> None:
    (calendar,) = published(CalendarService(electricity()), 0x00, ALL)
    assert calendar == OF + START + b"\x00\x00\x09Day/Night\x01\x01\x01"
    assert len(calendar) == 22 + 9


def test_a_day_profile_has_its_type_last() -> None:
    service = CalendarService(electricity())
    (day,) = published(service, 0x01, ANYBODY + IN_FORCE + b"\x00\x00")
    assert day == OF + b"\x01\x02\x00\x01\x00" + u(0, 2) + b"\x02" + u(420, 2) + b"\x01"
    assert len(day) == 17 + 2 * 3


def test_a_week_profile_has_20_octets() -> None:
    service = CalendarService(electricity(SEASONED))
    one, two = published(service, 0x02, ANYBODY + IN_FORCE + b"\x00\x00")
    assert one == OF + b"\x01" + b"\x01" * 7
    assert two == OF + b"\x02" + bytes((2, 2, 2, 2, 2, 1, 1))
    assert len(one) == 20
    assert published(service, 0x02, ANYBODY + IN_FORCE + b"\x02\x01") == [two]


def test_seasons_come_every_year() -> None:
    (seasons,) = published(CalendarService(electricity(SEASONED)), 0x03, ANYBODY + IN_FORCE)
    assert seasons == OF + b"\x00\x01" + bytes.fromhex("ff 03 14 ff 01 ff 0a 01 ff 02")
    assert len(seasons) == 14 + 2 * 5
    (one,) = published(CalendarService(electricity()), 0x03, ANYBODY + IN_FORCE)
    assert one[14:] == bytes.fromhex("ff 01 01 ff 01"), "a table without seasons has one"


def test_special_days_have_their_type_in_the_middle() -> None:
    service = CalendarService(electricity(SEASONED))
    (days,) = published(service, 0x04, u(0, 4) + b"\x00\xff" + ANYBODY + IN_FORCE)
    assert days == (
        OF + START + b"\x00\x02\x00\x01" + bytes.fromhex("ff 03 14 ff 02 7e 0c 19 ff 01")
    )
    assert len(days) == 20 + 2 * 5
    plain = CalendarService(electricity())
    assert ask(plain, 0x04, u(0, 4) + b"\x00\xff" + ANYBODY + IN_FORCE) == NOT_FOUND


def test_the_calendar_in_force_has_a_name_of_its_own() -> None:
    service = CalendarService(electricity())
    assert published(service, 0x03, ANYBODY + IN_FORCE) == published(
        service, 0x03, ANYBODY + u(1, 4)
    )
    assert ask(service, 0x03, ANYBODY + u(99, 4)) == NOT_FOUND
    assert ask(service, 0x03, u(5, 4) + IN_FORCE) == NOT_FOUND, "of another provider"
    assert ask(service, 0x03, ANYBODY + FRIENDLY) == NOT_FOUND


def test_friendly_credit_has_a_calendar_of_its_own() -> None:
    declared = account(non_disablement=friendly_table())
    service = CalendarService(electricity(prepayment=declared))
    (calendar,) = published(service, 0x00, u(0, 4) + u(0, 4) + b"\x00\x03" + ANYBODY)
    assert calendar[16] == 0x03
    (day,) = published(service, 0x01, ANYBODY + FRIENDLY + b"\x00\x00")
    assert day[16:] == b"\x03" + bytes.fromhex("0000 01 1c02 00 3804 01")
    assert len(published(service, 0x00, ALL)) == 2


def test_the_time_base_is_the_tables_unless_the_device_is_told_another() -> None:
    service = CalendarService(electricity())
    local = DeviceSettings(calendar_time_base=TimeBase.LOCAL)
    (calendar,) = published(service, 0x00, ALL, settings=local)
    assert calendar[17] == 0x02


def test_type_event_and_number_choose() -> None:
    service = CalendarService(electricity())
    assert ask(service, 0x00, u(0, 4) + u(0, 4) + b"\x00\x01" + ANYBODY) == NOT_FOUND
    assert published(service, 0x00, u(0, 4) + u(0, 4) + b"\x01\x02" + ANYBODY)
    late = u(NOW, 4)
    assert ask(service, 0x00, u(0, 4) + late + b"\x00\xff" + ANYBODY) == NOT_FOUND


def test_there_is_nothing_without_a_tariff_and_never_a_cancellation() -> None:
    assert ask(CalendarService(electricity(None)), 0x00, ALL) == NOT_FOUND
    assert ask(CalendarService(electricity()), 0x05) == NOT_FOUND


def test_a_table_at_its_largest_stays_within_a_frame() -> None:
    switches = tuple(Switch(7 * n, 1 + n % 2) for n in range(200))
    big = SwitchingTable(
        (switches,) * 200,
        special_days=tuple(SpecialDay(1 + n % 12, 1 + n % 28, 1 + n) for n in range(200)),
    )
    tariff = Tariff(TOU.name, 1, 0, START_S, (Tier("B", 2),), switching=big)
    service = CalendarService(electricity(tariff))
    days = published(service, 0x01, ANYBODY + IN_FORCE + b"\x00\x00")
    assert [day[12] for day in days] == list(range(1, 201))
    assert all(len(day) == 17 + 600 for day in days)
    (special,) = published(service, 0x04, u(0, 4) + b"\x00\xff" + ANYBODY + IN_FORCE)
    assert len(special) == 20 + 1000


SERVICES = [
    CalendarService(electricity()),
    CalendarService(electricity(SEASONED, prepayment=account(non_disablement=friendly_table()))),
]


@settings(max_examples=100, deadline=None)
@given(
    service=st.sampled_from(SERVICES),
    command=st.integers(0, 5),
    payload=st.binary(min_size=14, max_size=16),
    at_s=st.integers(START_S, START_S + 10**8),
)
def test_whatever_is_asked_is_answered(
    service: CalendarService, command: int, payload: bytes, at_s: int
) -> None:
    outcome = ask(service, command, payload, at_s=at_s)
    assert outcome == NOT_FOUND if isinstance(outcome, int) else outcome
