"""What a run says about the product, and above all what it does not say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic_runs import (
    ELECTRICITY,
    GAS,
    HOUR,
    MINUTE,
    ORIGIN_US,
    SECOND,
    Actor,
    Story,
    emit,
    eui64,
    healthy,
)

from labctl import events as ev
from labctl.events import Verdict
from labctl.record.queries import load_run
from labctl.record.recorder import Recorder
from labctl.record.verdict import Assessment, Certainty, Limits, assess

Judge = Callable[..., Assessment]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    def judged(story: Story, *more: ev.Event, limits: Limits | None = None) -> Assessment:
        with Recorder(tmp_path / "lab.db") as recorder:
            story.verdict = None
            emit(story, recorder)
            for event in more:
                recorder(event)
            recorder.flush()
            assert recorder.run_id is not None
            data = load_run(recorder.connection, recorder.run_id, until_us=story.end_us)
            return assess(data, limits)

    return judged


def one(**changes: object) -> Story:
    """A run of three hours with one CAD."""
    hours = float(changes.pop("hours", 3.0))  # type: ignore[arg-type]
    outages = changes.pop("radio_outages", ())
    plans = changes.pop("plans", (ELECTRICITY,))
    actor = Actor(2, "cad", plans=plans, **changes)  # type: ignore[arg-type]
    return Story(actors=[actor], hours=hours, radio_outages=outages)  # type: ignore[arg-type]


def test_devices_that_do_as_they_should_pass(judge: Judge) -> None:
    assessment = judge(healthy(hours=6))
    assert assessment.verdict is Verdict.PASS
    assert len(assessment.devices) == 2
    assert all(device.verdict is Verdict.PASS for device in assessment.devices)
    assert any("0 of 2,1" in reason for reason in assessment.reasons)


def test_it_says_how_sure_it_is(judge: Judge) -> None:
    assert judge(one(hours=3)).certainty is Certainty.SURE
    # Six gas reads without a miss would go together with many a poor device.
    few = judge(one(hours=8, plans=(GAS,)))
    assert (few.verdict, few.certainty) == (Verdict.PASS, Certainty.FAIRLY_SURE)


def test_too_little_to_say_is_incomplete(judge: Judge) -> None:
    assessment = judge(one(hours=0.5, plans=(ELECTRICITY, GAS)))
    assert assessment.verdict is Verdict.INCOMPLETE
    assert "reads of gas" in assessment.reasons[0]
    assert judge(Story(actors=[], hours=1)).verdict is Verdict.INCOMPLETE


@pytest.mark.parametrize(
    ("loss", "verdict"),
    [(0.0, Verdict.PASS), (0.004, Verdict.PASS), (0.025, Verdict.MARGINAL), (0.12, Verdict.FAIL)],
)
def test_missed_reads_make_a_device_marginal_and_then_fail(
    judge: Judge, loss: float, verdict: Verdict
) -> None:
    assert judge(one(hours=6, loss=loss)).verdict is verdict


def test_a_single_lost_read_never_decides(judge: Judge) -> None:
    silent = ((9 * HOUR - 10 * MINUTE, 9 * HOUR + 10 * MINUTE),)
    story = one(hours=20, plans=(GAS,), silent=silent)
    assessment = judge(story)
    assert assessment.verdict is Verdict.PASS
    assert any("1 of 40 due were missed" in reason for reason in assessment.reasons)


def test_the_rigs_outage_is_not_held_against_the_device(judge: Judge) -> None:
    assessment = judge(one(hours=3, radio_outages=((HOUR, 2 * HOUR),)))
    assert assessment.verdict is Verdict.PASS
    assert any("the rig itself was out once, 3600 s" in reason for reason in assessment.reasons)
    # The same silence without an outage is the device's.
    assert judge(one(hours=3, silent=((HOUR, 2 * HOUR),))).verdict is Verdict.FAIL


def test_a_radio_that_does_not_come_back_is_an_infrastructure_error(judge: Judge) -> None:
    assessment = judge(one(hours=3, radio_outages=((2 * HOUR, 4 * HOUR),)))
    assert assessment.verdict is Verdict.INFRASTRUCTURE_ERROR
    assert "did not come back" in assessment.reasons[0]
    assert assessment.devices[0].verdict is Verdict.PASS


def test_no_radio_at_all_is_an_infrastructure_error(judge: Judge) -> None:
    story = Story(actors=[Actor(2, "cad", joins=False)], hours=0.2, radio_comes_up=False)
    assert judge(story).verdict is Verdict.INFRASTRUCTURE_ERROR


def test_a_fault_of_the_product_stands_beside_an_outage_of_the_rig(judge: Judge) -> None:
    assessment = judge(one(hours=3, loss=0.3, radio_outages=((2 * HOUR, 4 * HOUR),)))
    assert assessment.verdict is Verdict.FAIL
    assert any("did not come back" in reason for reason in assessment.reasons)


def test_failing_in_key_establishment_is_the_products(judge: Judge) -> None:
    assessment = judge(one(hours=1, failed_joins=3, joins=False))
    assert assessment.verdict is Verdict.FAIL
    assert assessment.certainty is Certainty.FAIRLY_SURE
    assert "right install code" in assessment.reasons[0]


def test_failing_before_key_establishment_blames_nobody(judge: Judge) -> None:
    story = one(hours=1, failed_joins=2, joins=False, fails_at=ev.Step.TRANSPORT_KEY)
    assessment = judge(story)
    assert (assessment.verdict, assessment.certainty) == (Verdict.INCOMPLETE, Certainty.UNSURE)
    assert "install code" in assessment.reasons[0]


def test_failing_during_an_outage_of_the_rig_is_the_rigs(judge: Judge) -> None:
    story = one(hours=1, failed_joins=2, joins=False, radio_outages=((2 * SECOND, 10 * MINUTE),))
    assert judge(story).verdict is Verdict.INFRASTRUCTURE_ERROR


def test_a_device_that_was_not_heard_shows_nobodys_fault(judge: Judge) -> None:
    assessment = judge(one(hours=1, joins=False))
    assert assessment.verdict is Verdict.INCOMPLETE
    assert "nobody's fault" in assessment.reasons[0]


def test_one_device_that_fails_fails_the_run_and_not_the_others(judge: Judge) -> None:
    story = healthy(hours=6)
    story.actors.append(Actor(4, "bad", plans=(ELECTRICITY,), loss=0.3))
    assessment = judge(story)
    assert assessment.verdict is Verdict.FAIL
    assert {d.label: d.verdict for d in assessment.devices} == {
        "kitchen-cad": Verdict.PASS,
        "hall-ihd": Verdict.PASS,
        "bad": Verdict.FAIL,
    }
    assert assessment.reasons[0].startswith("bad: ")


def test_joining_only_at_the_third_attempt_is_marginal(judge: Judge) -> None:
    assessment = judge(one(failed_joins=2))
    assert assessment.verdict is Verdict.MARGINAL
    assert "2 attempts that failed" in assessment.reasons[0]


def test_refused_strangers_are_as_they_should_be(judge: Judge) -> None:
    story = one()
    story.strangers = 3
    assert judge(story).verdict is Verdict.PASS


def test_a_device_that_came_paired_needs_no_join(judge: Judge) -> None:
    assessment = judge(one(came_paired=True))
    assert assessment.verdict is Verdict.PASS
    assert any("came paired" in reason for reason in assessment.reasons)


def test_a_paired_device_that_stays_silent_is_incomplete(judge: Judge) -> None:
    assert judge(one(came_paired=True, joins=False)).verdict is Verdict.INCOMPLETE


def test_many_rejoins_are_marginal_a_few_are_not(judge: Judge) -> None:
    few = tuple(n * HOUR for n in range(1, 4))
    assert judge(one(plans=(GAS,), hours=12, rejoins_at=few)).verdict is Verdict.PASS
    many = tuple(n * HOUR for n in range(1, 11))
    assert judge(one(plans=(GAS,), hours=12, rejoins_at=many)).verdict is Verdict.MARGINAL


def test_a_flood_of_refused_requests_is_marginal_a_few_are_not(judge: Judge) -> None:
    assert judge(one(refused_per_hour=3)).verdict is Verdict.PASS
    assert judge(one(refused_per_hour=400)).verdict is Verdict.MARGINAL


def test_unpunctual_reads_are_marginal(judge: Judge) -> None:
    assessment = judge(one(hours=2, jitter_ms=2_500))
    assert assessment.verdict is Verdict.MARGINAL
    assert any("outside 10 s ± 2 s" in reason for reason in assessment.reasons)


def test_reads_that_the_hub_leaves_unanswered_are_the_rigs_fault(judge: Judge) -> None:
    story = one(hours=1)
    silence = [
        ev.ReadServed(
            at_us=ORIGIN_US + 30 * MINUTE + n,
            eui64=eui64(2),
            initiator="device",
            endpoint=2,
            cluster_id=0x0702,
            attributes=(0,),
            command_id=None,
            status=None,
            latency_us=0,
            aps_encrypted=True,
        )
        for n in range(20)
    ]
    assessment = judge(story, *silence)
    assert assessment.verdict is Verdict.INFRASTRUCTURE_ERROR
    assert "the hub left 20" in assessment.reasons[0]


def test_without_a_declared_schedule_reads_are_not_judged(judge: Judge) -> None:
    assessment = judge(one(plans=()))
    assert assessment.verdict is Verdict.INCOMPLETE
    assert "no read schedule" in assessment.reasons[0]


def test_limits_are_settings(judge: Judge) -> None:
    story = one(hours=6, loss=0.025)
    assert judge(story, limits=Limits(missed_marginal=0.2, missed_fail=0.5)).verdict is Verdict.PASS


def test_no_reason_holds_an_address_of_a_named_device_or_a_line_break(judge: Judge) -> None:
    for reason in judge(healthy(hours=1)).reasons:
        assert "\n" not in reason
        assert "00:0d:6f" not in reason
