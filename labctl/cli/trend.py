"""`labctl trend`: what a rig's nights say."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.arguments import RIG, database_option, html_option
from labctl.cli.inventory import columns
from labctl.cli.output import Output, examples, output_options
from labctl.config.paths import SUFFIXES, locate_database

if TYPE_CHECKING:
    from labctl.record.trend import Trend
    from labctl.statistics.across import Attributed
    from labctl.statistics.changes import Change
    from labctl.statistics.flakes import Flakiness


@click.command(
    epilog=examples(
        "labctl trend bench-ezsp",
        "labctl trend bench-ezsp --html nights.html",
        "labctl trend bench-ezsp --reference cad-1 --all --json",
    )
)
@click.argument("rig", metavar="RIG", type=RIG)
@click.option("--all", "every", is_flag=True, help="Streams that are steady, too.")
@click.option(
    "--reference",
    metavar="DEVICE",
    help="The device that stays the same. Default: what the newest campaign had.",
)
@html_option
@database_option
@output_options("labctl.trend/1")
def trend(
    output: Output,
    rig: str,
    every: bool,
    reference: str | None,
    html: Path | None,
    database: Path | None,
) -> None:
    """Compare a rig's nights: what drifts, what is flaky, and whose doing it is.

    A stream is one quantity of one case, device and band: what was lost, RSSI, each measurement.
    It is judged by its own spread over 30 nights or more, and corrected for how many streams were
    looked at. What the reference device, or most devices, did in the same nights is the
    environment's. docs/campaign.md has the method.
    """
    from labctl.record.database import open_for_reading, translated
    from labctl.record.queries import find_run
    from labctl.record.trend import trend as judged

    path = locate_database(database).path
    connection = open_for_reading(path)
    name = Path(rig).stem if Path(rig).suffix in SUFFIXES else rig
    try:
        with translated(path):
            found = judged(connection, find_run(connection, name).rig, reference)
    finally:
        connection.close()
    if html is not None:
        from labctl.report.nights import html as page_of
        from labctl.report.write import write_page

        write_page(html, page_of(found))
    output.emit(
        _as_json(found),
        text=lambda: _as_text(found, every=every) if html is None else str(html),
    )


def _as_json(found: Trend) -> dict[str, Any]:
    return {
        "rig": found.rig,
        "reference": found.reference,
        "nights": found.nights,
        "streams": [_stream(each) for each in found.findings],
        "flakes": [_flake(flake) for flake in found.flakes],
    }


def _stream(each: Attributed) -> dict[str, Any]:
    drift = each.drift
    change = drift.change
    return {
        "device": drift.key.device,
        "case": drift.key.case,
        "quantity": drift.key.quantity,
        "band": drift.key.band or None,
        "unit": drift.measure.unit,
        "finding": each.finding.value,
        "reason": each.reason,
        "nights": drift.nights,
        "level": drift.level,
        "q": drift.q,
        "past": [
            {
                "began": _day(past.began_us),
                "before": past.before,
                "after": past.after,
                "worse": past.worse,
                "over": past.over,
            }
            for past in drift.past
        ],
        "change": change
        and {
            "began": _day(change.began_us),
            "before": change.before,
            "after": change.after,
            "effect": change.effect,
            "low": change.interval.low,
            "high": change.interval.high,
            "nights": change.nights,
        },
    }


def _flake(flake: Flakiness) -> dict[str, Any]:
    return {
        "device": flake.key.device,
        "case": flake.key.case,
        "firmware": flake.key.firmware or None,
        "nights": flake.nights,
        "flaky": flake.flaky,
        "rate": flake.rate,
        "low": flake.interval.low,
        "high": flake.interval.high,
        "flaky_nights": list(flake.flaky_nights),
    }


def _as_text(found: Trend, *, every: bool) -> str:
    said = found.reference or "none named"
    lines = [f"{found.rig}: {found.nights} nights, reference device: {said}"]
    shown = [each for each in found.findings if every or each.drift.change is not None]
    if shown:
        lines.append(columns([_row(each) for each in shown]))
    else:
        lines.append(f"no stream of {len(found.findings)} has changed")
    early = sum(each.finding.name == "TOO_EARLY" for each in found.findings)
    if early and not every:
        lines.append(f"too early to say of {early} streams: --all shows how many nights they have")
    for each in found.findings:
        lines += [
            f"became its level: {' '.join(_row(each)[1:3])}:"
            f" {_moved(change, each.drift.measure.unit)}"
            for change in each.drift.past
            if change.worse and not change.over
        ]
    for flake in found.flakes:
        lines.append(
            f"flaky: {flake.key.case} {flake.key.device}: {flake.flaky} of {flake.nights} nights"
            f" ({100 * flake.interval.low:.0f} to {100 * flake.interval.high:.0f} %), last"
            f" {flake.flaky_nights[-1]}"
        )
    return "\n".join(lines)


def _row(each: Attributed) -> tuple[str, ...]:
    drift = each.drift
    where = " ".join(filter(None, (drift.key.device, drift.key.band)))
    change = drift.change
    if change is None:
        return (each.finding.value, where, f"{drift.key.case} {drift.key.quantity}", each.reason)
    moved = _moved(change, drift.measure.unit)
    return (
        each.finding.value,
        where,
        f"{drift.key.case} {drift.key.quantity}",
        f"{moved}: {each.reason}",
    )


def _moved(change: Change, unit: str) -> str:
    return (
        f"{_value(change.before, unit)} to {_value(change.after, unit)}"
        f" since {_day(change.began_us)}"
    )


def _value(value: float, unit: str) -> str:
    return f"{100 * value:.2g} %" if unit == "share" else f"{value:.3g} {unit}"


def _day(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, tz=UTC).date().isoformat()
