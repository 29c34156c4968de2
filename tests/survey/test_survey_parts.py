"""Parts of a survey on their own: what is typed, both sides of a link, a device's own reads."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from labctl.config.resolved import DeviceUnderTest
from labctl.config.survey_file import Survey
from labctl.errors import UsageError
from labctl.events import (
    Band,
    Direction,
    LevelSource,
    LinkSample,
    ProbeKind,
    ProbeTaken,
    ReadServed,
)
from labctl.statistics.rules import PlanKind, Rules
from labctl.survey.commands import Finish, GoOn, Measure, Pause, Place, Remark, Undo, parse
from labctl.survey.links import LEVELS_UNKNOWN, NOTHING_OWED, LinkProbes
from labctl.survey.own_reads import OwnReads
from labctl.survey.settings import SurveySettings

KITCHEN = Place(room="kitchen", floor=1, spot="window", position=(1.0, 2.0, 4.0))
EUI64 = "00:00:5e:ef:10:00:00:02"
SECOND = 1_000_000


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("hall", Measure(Place(room="hall", floor=1))),
        (" hall /  by the door ", Measure(Place(room="hall", floor=1, spot="by the door"))),
        ("cellar / stairs @ -1", Measure(Place(room="cellar", floor=-1, spot="stairs"))),
        ("attic@2", Measure(Place(room="attic", floor=2))),
        ("", Measure(Place(room="kitchen", floor=1, spot="window"))),
        (":undo", Undo()),
        (":QUIT", Finish()),
        (":pause", Pause()),
        (":note  the door was shut", Remark("note", "the door was shut")),
        (":photo /tmp/a b.jpg", Remark("photo", "/tmp/a b.jpg")),
    ],
)
def test_what_is_typed(line: str, command: object) -> None:
    assert parse(line, KITCHEN) == command


def test_enter_goes_on_with_a_waypoint_that_is_open() -> None:
    assert parse("", KITCHEN, open_=True) == GoOn()


@given(st.text(max_size=200))
def test_anything_may_be_typed(line: str) -> None:
    with contextlib.suppress(UsageError):
        command = parse(line, None)
        assert not isinstance(command, Measure) or command.place.room.strip()


@pytest.mark.parametrize(("line", "mend"), [(":udno", "undo"), (":note", "TEXT"), ("", "kitchen")])
def test_what_is_mistyped_is_told_how_to_mend(line: str, mend: str) -> None:
    with pytest.raises(UsageError) as told:
        parse(line, None)
    assert mend in told.value.mend


def test_settings_are_kept_as_they_were() -> None:
    kept = SurveySettings(rules=Rules(plan=PlanKind.FIXED, lower_db=3.0), every_s=0.5)
    assert SurveySettings.from_json(kept.as_json()) == kept


# -- both sides of a link -------------------------------------------------------------------------


def probe(
    down: bool, *, delivered: bool = True, dbm: int | None = None, retries: int | None = None
) -> ProbeTaken:
    return ProbeTaken(
        at_us=0,
        survey=1,
        waypoint=1,
        eui64=EUI64,
        radio="main",
        band=Band.GHZ_2_4,
        direction=Direction.FROM_HUB if down else Direction.TO_HUB,
        kind=ProbeKind.READ if down else ProbeKind.ANSWER,
        delivered=delivered,
        rssi_dbm=dbm,
        level_source=None if dbm is None else LevelSource.MEASURED,
        retries=retries,
    )


def link_of(*probes: ProbeTaken) -> Any:
    link = LinkProbes(EUI64, Band.GHZ_2_4, hub_dbm=-100, device_dbm=-100, rules=Rules())
    for each in probes:
        link.add(each)
    return link


def exchanges(count: int, dbm: int | None, up_dbm: int | None = None) -> list[ProbeTaken]:
    levels = (dbm, dbm if up_dbm is None else up_dbm)
    return [probe(way == 0, dbm=levels[way]) for _ in range(count) for way in (0, 1)]


def test_a_strong_link_is_settled_after_32_exchanges() -> None:
    assert not link_of(*exchanges(31, -60)).settled
    link = link_of(*exchanges(32, -60))
    assert link.settled
    down, up, both = link.judged(5, 1, 1)
    assert (down.verdict, up.verdict, both.verdict) == ("pass", "pass", "pass")
    assert (down.decided_at, both.p10_margin_db, both.passes_lower) == (32, 40.0, "yes")


def test_a_link_whose_levels_nobody_tells_never_passes() -> None:
    link = link_of(*exchanges(40, None))
    assert link.settled
    down, _, both = link.judged(5, 1, 1)
    assert (down.verdict, down.reason) == ("incomplete", LEVELS_UNKNOWN)
    assert (down.delivered, down.probes) == (40, 40)
    assert (both.verdict, both.p10_margin_db, both.passes_lower) == ("incomplete", None, "open")
    assert (down.rssi_median_dbm, down.margin_at_least_db, both.asymmetry_db) == (None, None, None)


def test_without_levels_loss_still_fails() -> None:
    link = link_of(*(probe(True, delivered=n % 3 > 0) for n in range(30)))
    assert link.settled
    down, up, both = link.judged(5, 1, 1)
    assert (down.verdict, both.verdict) == ("fail", "fail")
    assert (up.verdict, up.reason) == ("incomplete", NOTHING_OWED)


def test_one_level_that_is_not_known_counts_as_the_weakest_that_arrives() -> None:
    known = exchanges(31, -60)
    early = link_of(probe(True), probe(False), *known)
    late = link_of(*known, probe(True), probe(False))
    for link in (early, late):
        down, _, _ = link.judged(5, 1, 1)
        assert (down.probes, down.delivered) == (32, 32)
        assert down.rssi_p10_dbm == -60
        assert link.down.result().levels.counts == {-60: 31, -100: 1}


def test_retries_are_summed_or_said_to_be_unknown() -> None:
    down, up, _ = link_of(
        probe(True, dbm=-60, retries=2), probe(False, dbm=-60), probe(True, dbm=-60, retries=1)
    ).judged(5, 1, 1)
    assert (down.retries, up.retries) == (3, None)


def test_a_direction_that_is_far_weaker_is_found() -> None:
    link = link_of(*exchanges(40, -60, -75))
    _, _, both = link.judged(5, 1, 1)
    assert (both.asymmetry_db, both.asymmetry_found) == (15, True)


# -- a device's own reads -------------------------------------------------------------------------


def own_reads(period_s: float = 10, tolerance_s: float = 2) -> OwnReads:
    period, tolerance = timedelta(seconds=period_s), timedelta(seconds=tolerance_s)
    schedules = [
        SimpleNamespace(
            name="electricity",
            period_ms=period // timedelta(milliseconds=1),
            tolerance_ms=tolerance // timedelta(milliseconds=1),
        )
    ]
    return OwnReads(cast(DeviceUnderTest, SimpleNamespace(eui64=EUI64, schedules=schedules)))


def heard(own: OwnReads, at_us: int, dbm: int = -70) -> None:
    own.saw(
        LinkSample(
            at_us=at_us,
            eui64=EUI64,
            radio="main",
            direction=Direction.TO_HUB,
            page=0,
            channel=20,
            lqi=200,
            rssi_dbm=dbm,
        )
    )
    own.saw(
        ReadServed(
            at_us=at_us,
            eui64=EUI64,
            initiator="device",
            endpoint=2,
            cluster_id=0x0702,
            attributes=(0,),
            command_id=None,
            status=0,
            latency_us=1,
            aps_encrypted=True,
            schedule="electricity",
        )
    )


def seen(own: OwnReads, now_s: float) -> list[tuple[bool, int | None]]:
    return [
        (read.arrived, read.sample.rssi_dbm if read.sample else None)
        for read in own.since(round(now_s * SECOND))
    ]


def test_reads_that_come_count_with_their_level_and_missing_ones_as_lost() -> None:
    own = own_reads()
    heard(own, 3 * SECOND)
    own.begin(8 * SECOND)
    assert seen(own, 12) == []
    heard(own, 13 * SECOND, dbm=-81)
    assert seen(own, 14) == [(True, -81)]
    assert seen(own, 25) == []
    assert seen(own, 25.1) == [(False, None)]
    assert seen(own, 36) == [(False, None)]
    heard(own, 37 * SECOND)
    assert seen(own, 38) == [(True, -70)]


def test_what_was_due_before_the_waypoint_says_nothing_of_it() -> None:
    own = own_reads()
    heard(own, 0)
    own.begin(100 * SECOND)
    assert seen(own, 112) == []
    assert seen(own, 112.1) == [(False, None)], "due again a period after the beginning"


def test_a_schedule_that_never_began_and_one_that_is_slow_are_not_expected() -> None:
    silent, slow = own_reads(), own_reads(period_s=300)
    silent.begin(0)
    heard(slow, 0)
    assert seen(silent, 1000) == []
    assert seen(slow, 1000) == []


# -- rules ----------------------------------------------------------------------------------------


def test_the_defaults_of_the_rig_file_are_those_of_the_statistics() -> None:
    assert SurveySettings.of_the_rig(Survey()) == SurveySettings()


@given(
    st.builds(
        dict,
        loss_limit=st.floats(0.02, 0.5),
        confidence=st.floats(0.8, 0.99),
        plan=st.sampled_from(["sequential", "fixed"]),
        least_probes=st.integers(5, 60),
        most_probes=st.integers(60, 2000),
        pass_margin_db=st.floats(10, 60),
        fail_margin_db=st.floats(0, 10),
    )
)
@settings(max_examples=25)
def test_whatever_the_rig_file_may_say_is_a_rule_that_can_be_kept(said: dict[str, Any]) -> None:
    made = SurveySettings.of_the_rig(Survey(**said))
    assert SurveySettings.from_json(made.as_json()) == made
    link = LinkProbes(EUI64, Band.GHZ_2_4, hub_dbm=-100, device_dbm=-100, rules=made.rules)
    for each in exchanges(3, -20):
        link.add(each)
    assert not link.settled


@pytest.mark.parametrize(
    "said",
    [{"pass_margin_db": 5.0, "fail_margin_db": 6.0}, {"least_probes": 50, "most_probes": 20}],
)
def test_rules_that_contradict_each_other_are_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Survey(**said)
