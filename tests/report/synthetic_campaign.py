"""Campaigns that never happened, with every outcome that there is, for the tests of outputs."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable
from pathlib import Path

from synthetic_runs import MINUTE, ORIGIN_US, SECOND, Story, crowd, healthy

from labctl import events as ev
from labctl.record.recorder import Recorder

Outcome = ev.CaseOutcome
NASTY = '</failure>]]><script>alert(1)</script>\x00\x1b[31m\ufffe|`*_ \n& "quoted" \'n\x0b é'
TITLES = (
    "correct code: joined, key established, authorised",
    "wrong code: never authorised, no key kept, each attempt recorded with its cause",
    "bad CRC: refused before anything is armed",
    "added again: the existing key stands",
    "electricity is read every 10 s: p95 of the interval at least 10 s, no gap above 60 s",
    "device power cycle: comes back within 15 min, without a second pairing",
    "suspended for 4 min: no ZCL from the device for 4 min",
)


def measured(outcome: Outcome, rng: random.Random) -> tuple[ev.Measured, ...]:
    """What a case with that outcome would have measured."""
    value = {
        Outcome.PASS: rng.uniform(20, 250),
        Outcome.MARGINAL: rng.uniform(310, 1150),
        Outcome.FAIL: rng.uniform(1210, 1500),
    }.get(outcome)
    judged = outcome if value is not None else Outcome.INCOMPLETE
    return (
        ev.Measured(
            name="authorised_s", unit="s", value=value, outcome=judged, most=1200, good_to=300
        ),
        ev.Measured(
            name="reads_of_due",
            unit="%",
            value=rng.uniform(95, 105),
            outcome=Outcome.PASS,
            least=90,
            most=110,
            good_from=94,
            good_to=106,
        ),
        ev.Measured(
            name="rssi", unit="dBm", value=-71.0, outcome=Outcome.PASS, least=-90, good_from=-80
        ),
        ev.Measured(
            name="second_pairings", unit="", value=0.0, outcome=Outcome.PASS, least=0, most=0
        ),
    )


def ended(
    case: str,
    eui64: str | None,
    at_us: int,
    outcome: Outcome,
    rng: random.Random,
    *,
    attempt: int = 1,
    cause: str = "",
    quarantine: str = "",
    captured: bool = False,
) -> ev.CaseEnded:
    """The end of an attempt that took two minutes."""
    tried = outcome not in (Outcome.SKIPPED, Outcome.NOT_APPLICABLE)
    return ev.CaseEnded(
        at_us=at_us,
        case=case,
        attempt=attempt,
        outcome=outcome,
        started_us=at_us - (2 * MINUTE if tried else 0),
        eui64=eui64,
        cause=cause,
        band=ev.Band.GHZ_2_4 if tried else None,
        firmware_version="1.4.2",
        quarantine=quarantine,
        measurements=measured(outcome, rng) if tried else (),
        captured=ev.Captured(
            path=f"virtual-run-1/{case}-kitchen-cad-{attempt}.pcap",
            sha256="ab" * 32,
            octets=4096,
            first_frame=12,
            last_frame=341,
            first_us=at_us - 2 * MINUTE,
            last_us=at_us,
            left_out=0 if attempt == 1 else 77,
        )
        if captured
        else None,
    )


def causes(outcome: Outcome) -> str:
    return {
        Outcome.FAIL: "authorised_s 1310 s, at most 1200 s",
        Outcome.MARGINAL: "authorised_s 712 s, at most 300 s",
        Outcome.INCOMPLETE: "authorised_s not measured, at most 1200 s",
        Outcome.INFRASTRUCTURE_ERROR: "the radio main was lost meanwhile (its port went): no read",
        Outcome.SKIPPED: "J01 did not hold",
        Outcome.NOT_APPLICABLE: "the hub is not on 868 MHz",
    }.get(outcome, "")


def case_events(
    story: Story, cases: int, *, seed: int = 3, good: bool = False, nasty: bool = False
) -> Iterable[ev.Event]:
    """`cases` cases on each device of a story, with a mixture of outcomes."""
    rng = random.Random(seed)
    at_us = story.start_us + 5 * MINUTE
    spacing = max(SECOND, (story.end_us - at_us - 5 * MINUTE) // max(1, cases))
    for number in range(1, cases + 1):
        letter = "JKDARSL"[(number - 1) * 7 // max(cases, 7)]
        name = f"{letter}{number:02d}"
        at_us += spacing
        title = TITLES[number % len(TITLES)]
        yield ev.CaseStarted(at_us=at_us, case=name, title=title, attempt=1)
        for index, actor in enumerate(story.actors):
            roll = 0.9 if good else rng.random()
            outcome = next(
                outcome
                for most, outcome in (
                    (0.06, Outcome.FAIL),
                    (0.09, Outcome.INFRASTRUCTURE_ERROR),
                    (0.13, Outcome.INCOMPLETE),
                    (0.19, Outcome.MARGINAL),
                    (0.23, Outcome.SKIPPED),
                    (0.33, Outcome.NOT_APPLICABLE),
                    (1.0, Outcome.PASS),
                )
                if roll <= most
            )
            cause = causes(outcome)
            if nasty and cause:
                cause = NASTY
            if outcome is Outcome.FAIL:
                yield ended(
                    name, actor.eui64, at_us, outcome, rng, cause=cause, captured=index == 0
                )
            yield ended(
                name,
                actor.eui64,
                at_us,
                outcome,
                rng,
                attempt=2 if outcome is Outcome.FAIL else 1,
                cause=cause,
                captured=outcome is Outcome.FAIL,
                quarantine="the display team, until 2026-12-31: known defect"
                if outcome is Outcome.FAIL and number % 3 == 0
                else "",
            )
    if cases:
        yield ev.CaseStarted(at_us=at_us, case="L99", title="the hub itself", attempt=1)
        yield ended("L99", None, at_us, Outcome.PASS, rng)


def write_campaign(
    path: Path,
    *,
    cases: int = 7,
    story: Story | None = None,
    extra: Iterable[ev.Event] = (),
    **how: bool,
) -> int:
    """A database with one campaign; the number of its run."""
    story = story or healthy(hours=1.0)
    story.verdict = story.verdict or ev.Verdict.FAIL
    start = ev.CampaignStarted(
        at_us=story.start_us + SECOND,
        generation="smets2",
        meters="electricity+gas",
        selection="",
        reference=story.actors[0].name,
        seed=41,
    )
    with Recorder(path) as recorder:
        told = [start, *case_events(story, cases, **how), *extra]
        for event in story.events():
            if isinstance(event, ev.RunStarted):
                recorder(dataclasses.replace(event, kind="campaign"))
                recorder(told.pop(0))
            elif isinstance(event, ev.RunEnded):
                for each in told:
                    recorder(each)
                recorder(event)
            else:
                recorder(event)
        recorder.flush()
        assert recorder.run_id is not None
        return recorder.run_id


__all__ = ["NASTY", "ORIGIN_US", "case_events", "crowd", "ended", "write_campaign"]
