"""From facts and drawings to HTML and Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from labctl import __version__
from labctl.events import Verdict
from labctl.record.compliance import GapCause
from labctl.record.link_quality import FRAMES, RunLinks, links_of
from labctl.record.rows import Device, RunData, Schedule
from labctl.record.verdict import WORST_FIRST, Assessment, Limits
from labctl.report import formats
from labctl.report.band_pages import TOLD_HERE, bands
from labctl.report.facts import Facts
from labctl.report.join_charts import Attempt, attempts
from labctl.report.link_charts import LinkChart, link_charts
from labctl.report.link_table import delivered
from labctl.report.method import bucket_text, certainty_text, method
from labctl.report.read_charts import ScheduleChart, schedule_chart

#: Reasons beside the verdict; the rest stands with each device.
MOST_REASONS = 7

#: Warnings and errors listed in the page, refusals apart.
MOST_NOTES = 40


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device as the page shows it: its facts, its drawings, and a few words."""

    d: Facts
    about: str
    model: str
    join_time: str
    missed: str
    rssi: str
    margin: str
    attempts: list[Attempt]
    schedules: list[ScheduleChart]
    links: list[LinkChart]

    @staticmethod
    def causes(schedule: Schedule) -> list[str]:
        """The causes that the gaps of a schedule have, in the order of the legend."""
        present = {gap.cause for gap in schedule.result.gaps}
        return [cause.value for cause in GapCause if cause in present]


@dataclass(frozen=True, slots=True)
class Card:
    """One number of the summary."""

    title: str
    value: str
    below: str


def _detail(detail: dict[str, object]) -> str:
    return "; ".join(f"{formats.words(str(key))}: {value}" for key, value in detail.items())


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence beside the verdict, with the verdict that it speaks for."""

    text: str
    verdict: str
    anchor: str = ""
    """Where on the page there is more of it."""


def _environment(*, html: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("labctl.report"),
        # Markdown is escaped by its own filter, on all text that others supplied.
        autoescape=html,  # noqa: S701
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "channel": lambda heard: formats.channel_text(heard.page, heard.channel),
        "clock_time": formats.clock_time,
        "delivered": delivered,
        "cluster": formats.cluster,
        "detail": _detail,
        "duration": formats.duration,
        "duration_short": bucket_text,
        "kind": lambda kind: formats.KINDS.get(kind or "other", "device"),
        "level": lambda dbm: "–" if dbm is None else f"{dbm} dBm",
        "md": formats.markdown_text,
        "number": formats.number,
        "period": formats.period,
        "plural": formats.plural,
        "share": formats.share,
        "tight": formats.tight,
        "when": formats.when,
        "words": formats.words,
    }
    environment.filters.update(filters)
    return environment


@cache
def _html_environment() -> jinja2.Environment:
    return _environment(html=True)


@cache
def _markdown_environment() -> jinja2.Environment:
    return _environment(html=False)


def html(data: RunData, assessment: Assessment, facts: Facts, limits: Limits) -> str:
    """The page: one file, without script, font, picture or style from anywhere else."""
    quality = links_of(data)
    return rendered(
        "report.html.j2",
        page_values(data, facts, limits, quality, _reasons(data, assessment, facts))
        | {
            "views": [_view(data, d, device, quality) for d, device in _pairs(data, facts)],
            "cards": _cards(facts),
        },
    )


def rendered(template: str, values: dict[str, Any], *styles: str) -> str:
    """A page from its template; `styles` are the style sheets that it has besides the common."""
    environment = _html_environment()
    loader = environment.loader
    assert loader is not None
    sheets = [loader.get_source(environment, name)[0] for name in ("style.css", *styles)]
    style = Markup("\n".join(sheets))  # noqa: S704 - our own files
    return environment.get_template(template).render(**values, style=style, version=__version__)


def page_values(
    data: RunData, facts: Facts, limits: Limits, quality: RunLinks, reasons: list[Reason]
) -> dict[str, Any]:
    """What every page of a run shows."""
    told = TOLD_HERE | {"run-interrupted"}
    notes = [e for e in facts["events"]["listed"] if e["kind"] not in told]
    not_told = facts["events"]["warnings_and_errors"] - sum(
        event.severity != "info" and event.kind in told for event in data.events
    )
    return {
        "f": facts,
        "bands": bands(data, quality),
        "names": _names(data),
        "reasons": reasons[:MOST_REASONS],
        "more_reasons": max(0, len(reasons) - MOST_REASONS),
        "certainty_text": certainty_text(
            facts["verdict"]["verdict"], facts["verdict"]["certainty"]
        ),
        "notes": notes[:MOST_NOTES],
        "notes_in_all": not_told,
        "method": method(limits, simulated=data.run.simulated),
    }


def markdown(data: RunData, facts: Facts, limits: Limits) -> str:
    """The same in Markdown, for pull requests and terminals."""
    quality = links_of(data)
    text = (
        _markdown_environment()
        .get_template("report.md.j2")
        .render(
            f=facts,
            views=[
                _view(data, d, device, quality, drawn=False) for d, device in _pairs(data, facts)
            ],
            bands=bands(data, quality, drawn=False),
            quality={device.device_id: device for device in quality.devices},
            names=_names(data),
            method=method(limits, simulated=data.run.simulated),
        )
    )
    return text.rstrip("\n") + "\n"


def json_text(facts: Facts) -> str:
    """The facts themselves."""
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def _pairs(data: RunData, facts: Facts) -> list[tuple[Facts, Device]]:
    by_id = {device.id: device for device in data.devices}
    pairs = [(d, by_id[d["id"]]) for d in facts["devices"]]
    order = [verdict.value for verdict in WORST_FIRST]
    return sorted(pairs, key=lambda pair: order.index(pair[0]["verdict"]))


def _names(data: RunData) -> dict[int, str]:
    return {device.id: device.label for device in data.devices}


def _reasons(data: RunData, assessment: Assessment, facts: Facts) -> list[Reason]:
    """What stands beside the verdict: all that is wrong, and a line for each device that passed.

    What is right with a device that did not pass stands with that device.
    """
    given = facts["verdict"]["verdict"]
    told_elsewhere = {
        f"{device.label}: {finding.text}"
        for device in assessment.devices
        for finding in device.findings
        if finding.verdict is Verdict.PASS
    }
    verdicts = {
        f"{device.label}: {finding.text}": finding.verdict.value
        for device in assessment.devices
        for finding in device.findings
    }
    verdicts.update({finding.text: finding.verdict.value for finding in assessment.rig})
    found = [
        Reason(reason, verdicts.get(reason, given))
        for reason in facts["verdict"]["reasons"]
        if reason not in told_elsewhere
    ]
    for device in assessment.devices:
        if device.verdict is Verdict.PASS:
            own = [s.result for s in data.schedules if s.device_id == device.device_id]
            due = sum(result.expected for result in own)
            missed = sum(result.missed_counting for result in own)
            reads = f"{formats.number(missed)} of {formats.number(due)} reads due were missed"
            first = device.findings[0].text
            found.append(Reason(f"{device.label}: {first}; {reads}", Verdict.PASS.value))
    return found


def _cards(facts: Facts) -> list[Card]:
    totals = facts["totals"]
    weakest = [
        (link["rssi_p10_dbm"], device["label"], link["direction"])
        for device in facts["devices"]
        for link in device["links"]
        if link["rssi_p10_dbm"] is not None
    ]
    cards = [
        Card(
            "Authorised",
            f"{totals['devices_authorised']} of {totals['devices_under_test']}",
            "devices under test",
        ),
        Card(
            "Reads that were due",
            formats.share(totals["reads_due"] - totals["reads_missed"], totals["reads_due"]),
            f"came; {formats.number(totals['reads_missed'])} of"
            f" {formats.number(totals['reads_due'])} missed",
        ),
        Card("Reads served", formats.number(totals["reads"]), "by devices, scheduled and other"),
    ]
    if weakest:
        rssi, label, direction = min(weakest)
        cards.append(
            Card(
                "Weakest link",
                f"{formats.number(rssi)} dBm",
                f"10th percentile, {label} {formats.words(direction)}",
            )
        )
    busiest = max(
        (a for a in facts["bearers"]["airtime"] if a["device_id"] is None),
        key=lambda a: a["peak_us"] / a["limited_us"],
        default=None,
    )
    if busiest:
        cards.append(
            Card(
                f"Airtime, {busiest['band']}",
                f"{busiest['peak_us'] / 1e6:.1f} s",
                f"the hub's busiest hour; Limited is {busiest['limited_us'] / 1e6:g} s",
            )
        )
    cards.append(
        Card(
            "Refused",
            formats.number(totals["refused"]),
            "requests" if totals["refused"] != 1 else "request",
        )
    )
    outages = totals["rig_outages"]
    cards.append(
        Card(
            "Rig outages",
            formats.number(outages),
            formats.duration(totals["rig_outage_us"]) + " in all" if outages else "the rig held",
        )
    )
    return cards


def _view(
    data: RunData, d: Facts, device: Device, quality: RunLinks, *, drawn: bool = True
) -> DeviceView:
    made = " ".join(part for part in (device.manufacturer, device.model) if part)
    about = [formats.KINDS.get(device.kind or "other", "device"), made, device.eui64]
    if device.firmware_version:
        about.append(f"firmware {device.firmware_version}")
    if device.hardware_version:
        about.append(f"hardware {device.hardware_version}")
    if device.certificate_suite:
        issuer = f" by {device.certificate_issuer}" if device.certificate_issuer else ""
        about.append(f"certificate suite {device.certificate_suite}{issuer}")
    firmware = f"firmware {device.firmware_version}" if device.firmware_version else ""
    own = [schedule for schedule in data.schedules if schedule.device_id == device.id]
    joins = [join for join in data.joins if join.device_id == device.id]
    return DeviceView(
        d=d,
        about=" · ".join(part for part in about if part),
        model=", ".join(part for part in (device.model, firmware) if part) or "–",
        join_time=_join_time(d),
        missed=_missed(own),
        rssi=_rssi(d),
        margin=_margin(device, quality),
        attempts=attempts(joins) if drawn else [],
        schedules=[schedule_chart(data, schedule) for schedule in own] if drawn else [],
        links=link_charts(data, device, quality) if drawn else [],
    )


def _join_time(d: Facts) -> str:
    for join in d["joins"]:
        if join["outcome"] == "authorised" and join["total_us"] is not None:
            return formats.duration(join["total_us"])
    return "before" if not d["joins"] and d["first_heard_us"] else "–"


def _missed(schedules: list[Schedule]) -> str:
    due = sum(schedule.result.expected for schedule in schedules)
    return formats.share(sum(schedule.result.missed for schedule in schedules), due)


def _rssi(d: Facts) -> str:
    told = [link["rssi_p10_dbm"] for link in d["links"] if link["rssi_p10_dbm"] is not None]
    return f"{formats.number(min(told))} dBm" if told else "–"


def _margin(device: Device, quality: RunLinks) -> str:
    """The least margin of the weakest tenth of its frames, in either direction."""
    told = [
        heard.margin_db
        for each in quality.devices
        if each.device_id == device.id
        for bearer in each.bearers
        for heard in bearer.heard
        if heard.margin_db is not None and heard.source == FRAMES
    ]
    return f"{formats.number(min(told))} dB" if told else "–"
