"""What a report says of bands: who used which and why, airtime, what happened on the bearers."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.record.bearer_rows import Airtime, BandChoice
from labctl.record.link_quality import RadioLinks, RunLinks
from labctl.record.rows import RunData
from labctl.report.airtime_charts import AirtimeChart, airtime_charts
from labctl.report.band_charts import BandChart, band_charts
from labctl.report.formats import channel_text, duration, number

#: Events that are told here and not among the warnings.
TOLD_HERE = frozenset(
    {"duty-cycle-changed", "suspended", "resumed", "channel-moved", "band-used"}
    | {"capacity-exceeded"}
)

#: At most so many happenings are listed; all are in the JSON report.
MOST_HAPPENINGS = 60


@dataclass(frozen=True, slots=True)
class Choice:
    """Which band a device used, which it could have used, and why."""

    device: str
    device_id: int
    used: str
    could: str
    why: str
    at_us: int | None


@dataclass(frozen=True, slots=True)
class AirtimeRow:
    """The airtime of one party: what it was at most, and that as a share of the limits."""

    radio: str
    who: str
    source: str
    peak: str
    of_limited: str
    of_regulated: str
    last: str
    worst_state: str


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened on a bearer."""

    at_us: int
    radio: str
    device: str
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class Bands:
    """The section about bands."""

    charts: list[BandChart]
    choices: list[Choice]
    airtime: list[AirtimeChart]
    airtime_rows: list[AirtimeRow]
    radios: list[RadioLinks]
    happenings: list[Happening]
    more_happenings: int
    forecasts: list[str]

    @property
    def empty(self) -> bool:
        """Nothing is known of any band."""
        return not (self.charts or self.choices or self.airtime or self.happenings)


def bands(data: RunData, quality: RunLinks, *, drawn: bool = True) -> Bands:
    """Everything that the section shows; without charts when it is not `drawn`."""
    happened = _happenings(data)
    charts = airtime_charts(data)
    return Bands(
        charts=band_charts(quality) if drawn else [],
        choices=_choices(data, quality),
        airtime=charts if drawn else [],
        airtime_rows=[_airtime(airtime, data) for airtime in data.bearers.airtime],
        radios=list(quality.radios),
        happenings=happened[:MOST_HAPPENINGS],
        more_happenings=max(0, len(happened) - MOST_HAPPENINGS),
        forecasts=[forecast for chart in charts for forecast in chart.forecasts],
    )


def _choices(data: RunData, quality: RunLinks) -> list[Choice]:
    """What was recorded, each change of mind once; of others the band that they were heard on."""
    names = {device.id: device.label for device in data.devices}
    found: list[Choice] = []
    before: dict[int, BandChoice] = {}
    for choice in data.bearers.choices:
        last = before.get(choice.device_id)
        if last and (last.used, last.could, last.why) == (choice.used, choice.could, choice.why):
            continue
        before[choice.device_id] = choice
        found.append(
            Choice(
                names.get(choice.device_id, "a device"),
                choice.device_id,
                choice.used,
                ", ".join(choice.could) or "none",
                choice.why,
                choice.at_us,
            )
        )
    if found:
        for device in quality.devices:
            if device.device_id not in before:
                used = ", ".join(dict.fromkeys(b.band for b in device.bearers if b.band))
                found.append(Choice(device.label, device.device_id, used, "not known", "", None))
    return sorted(found, key=lambda choice: (choice.device_id, choice.at_us or 0))


def _airtime(airtime: Airtime, data: RunData) -> AirtimeRow:
    device = data.device(airtime.device_id)
    return AirtimeRow(
        radio=airtime.radio,
        who="the hub" if airtime.device_id is None else (device.label if device else "a device"),
        source=airtime.source,
        peak=f"{airtime.peak_us / 1e6:.1f} s",
        of_limited=_percent(airtime.peak_us, airtime.limited_us),
        of_regulated=_percent(airtime.peak_us, airtime.regulated_us),
        last=f"{airtime.last_us / 1e6:.1f} s",
        worst_state=airtime.worst_state,
    )


def _percent(part_us: int, limit_us: int) -> str:
    return f"{100 * part_us / limit_us:.1f} %" if limit_us else "–"


def _happenings(data: RunData) -> list[Happening]:
    found = data.bearers
    names = {device.id: device.label for device in data.devices}

    def name(device_id: int) -> str:
        return names.get(device_id, "a device")

    happened = [
        Happening(
            change.at_us,
            change.radio,
            "",
            f"the hub's airtime is {change.state}"
            + (f", it was {change.before}" if change.before else ""),
            "" if change.airtime_us is None else f"{change.airtime_us / 1e6:.1f} s in the hour",
        )
        for change in found.duty_changes
    ]
    happened += [
        Happening(
            suspension.start_us,
            suspension.radio,
            name(suspension.device_id),
            f"suspended for {suspension.minutes} min",
            suspension.cause
            + f"; silent for {duration(suspension.end_us - suspension.start_us)}"
            + (f", {suspension.resumed}" if suspension.resumed else ""),
        )
        for suspension in found.suspensions
    ]
    happened += [
        Happening(
            move.at_us,
            move.radio,
            "",
            f"moved from {channel_text(move.from_page, move.from_channel)}"
            f" to {channel_text(move.to_page, move.to_channel)}",
            move.cause,
        )
        for move in found.moves
    ]
    happened += [
        Happening(
            over.at_us,
            over.radio,
            name(over.device_id),
            "over capacity",
            f"its high-bandwidth link is number {number(over.links)}, the hub offers"
            f" {number(over.limit)}",
        )
        for over in found.over_capacity
    ]
    return sorted(happened, key=lambda each: each.at_us)
