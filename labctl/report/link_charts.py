"""Link quality of one device, drawn: over time, and how often each value occurred."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from labctl.record.rows import Device, Link, LinkBucket, RunData
from labctl.report import drawing
from labctl.report.formats import number, plural, words
from labctl.report.scale import Scale, linear, time_axis

#: LQI has 256 values; the distribution shows them in steps of this many.
LQI_BIN = 5


@dataclass(frozen=True, slots=True)
class Series:
    """One direction in a plot. `band` is empty where there is no spread to show."""

    direction: str
    line: str
    band: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the x axis, in percent."""

    left: float
    width: float
    label: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot with its axes. `summary` says in words what it shows."""

    title: str
    unit: str
    x: Scale
    y: Scale
    series: tuple[Series, ...]
    summary: str
    outages: tuple[Span, ...] = ()
    rejoins: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkChart:
    """All plots of one device on one radio and channel; RSSI is absent where it is not told."""

    title: str
    links: tuple[Link, ...]
    rssi_time: Plot | None
    lqi_time: Plot
    rssi_spread: Plot | None
    lqi_spread: Plot


def link_charts(data: RunData, device: Device) -> list[LinkChart]:
    """One chart for each radio and channel that heard the device."""
    groups: dict[tuple[str, str, int, int], list[Link]] = {}
    for link in data.links:
        if link.device_id == device.id:
            groups.setdefault((link.radio, link.band, link.page, link.channel), []).append(link)
    return [_chart(data, device, title=_title(*key), links=links) for key, links in groups.items()]


def _title(radio: str, band: str, page: int, channel: int) -> str:
    where = f"channel {channel}" if page == 0 else f"page {page}, channel {channel}"
    return ", ".join(part for part in (band, where, f"radio {radio}" if radio else "") if part)


def _chart(data: RunData, device: Device, *, title: str, links: list[Link]) -> LinkChart:
    # What the device sends first: that is what most people ask about.
    links = sorted(links, key=lambda link: link.direction != "to-hub")
    x = time_axis(data.run.started_us, data.until_us)
    told = [link for link in links if link.rssi_median_dbm is not None]
    return LinkChart(
        title=title,
        links=tuple(links),
        rssi_time=_rssi_time(data, device, x, told) if told else None,
        lqi_time=_lqi_time(data, device, x, links),
        rssi_spread=_spread("RSSI", "dBm", told, lambda link: link.rssi_counts, 1)
        if told
        else None,
        lqi_spread=_spread("LQI", "", links, lambda link: link.lqi_counts, LQI_BIN),
    )


def _longest(link: Link) -> float:
    """Neighbours further apart than this are not joined by a line, microseconds."""
    starts = [bucket.start_us for bucket in link.buckets]
    gaps = sorted(b - a for a, b in itertools.pairwise(starts))
    usual = gaps[len(gaps) // 2] if gaps else link.bucket_us
    return 2.5 * max(usual, link.bucket_us)


def _points(
    link: Link, x: Scale, value: Callable[[LinkBucket], float | None]
) -> list[tuple[int, drawing.Point]]:
    return [
        (bucket.start_us, (x.percent(bucket.start_us + link.bucket_us / 2), shown))
        for bucket in link.buckets
        if (shown := value(bucket)) is not None
    ]


def _half_width(link: Link, x: Scale) -> float:
    return 50 * link.bucket_us / (x.high - x.low)


def _around(data: RunData, device: Device, x: Scale) -> tuple[tuple[Span, ...], tuple[float, ...]]:
    outages = tuple(
        Span(
            x.percent(outage.start_us),
            max(0.3, x.percent(outage.end_us) - x.percent(outage.start_us)),
            outage.what,
        )
        for outage in data.infrastructure
    )
    rejoins = tuple(
        x.percent(join.started_us)
        for join in data.joins
        if join.device_id == device.id and join.kind != "join"
    )
    return outages, rejoins


def _rssi_time(data: RunData, device: Device, x: Scale, links: list[Link]) -> Plot:
    values = [
        value
        for link in links
        for bucket in link.buckets
        for value in (bucket.rssi_p10_dbm, bucket.rssi_p90_dbm)
        if value is not None
    ]
    y = linear(min(values), max(values), least_span=20)
    series = []
    for link in links:
        half, longest = _half_width(link, x), _longest(link)
        line = drawing.segments(
            _points(
                link,
                x,
                lambda b: None if b.rssi_median_dbm is None else y.percent(b.rssi_median_dbm),
            ),
            longest,
        )
        low = _points(
            link, x, lambda b: None if b.rssi_p10_dbm is None else y.percent(b.rssi_p10_dbm)
        )
        high = _points(
            link, x, lambda b: None if b.rssi_p90_dbm is None else y.percent(b.rssi_p90_dbm)
        )
        highs = {at: point[1] for at, point in high}
        band: list[list[tuple[float, float, float]]] = []
        last: int | None = None
        for at, (px, py) in low:
            if last is None or at - last > longest:
                band.append([])
            band[-1].append((px, py, highs[at]))
            last = at
        series.append(Series(link.direction, drawing.lines(line, half), drawing.bands(band, half)))
    outages, rejoins = _around(data, device, x)
    told = "; ".join(
        f"{words(link.direction)}: median {number(link.rssi_median_dbm)} dBm,"
        f" weakest tenth at or below {number(link.rssi_p10_dbm)} dBm"
        for link in links
    )
    return Plot(
        "RSSI over time",
        "dBm",
        x,
        y,
        tuple(series),
        f"RSSI over time. {told}.",
        outages,
        rejoins,
    )


def _lqi_time(data: RunData, device: Device, x: Scale, links: list[Link]) -> Plot:
    y = linear(0, 250, most=5)
    y = Scale(0, 255, tuple(tick for tick in y.ticks))
    series = tuple(
        Series(
            link.direction,
            drawing.lines(
                drawing.segments(
                    _points(link, x, lambda b: y.percent(b.lqi_median)), _longest(link)
                ),
                _half_width(link, x),
            ),
        )
        for link in links
    )
    outages, rejoins = _around(data, device, x)
    told = "; ".join(f"{words(link.direction)}: median {link.lqi_median}" for link in links)
    return Plot("LQI over time", "", x, y, series, f"LQI over time. {told}.", outages, rejoins)


def _spread(
    name: str, unit: str, links: list[Link], counts: Callable[[Link], dict[int, int]], width: int
) -> Plot:
    binned: list[tuple[Link, dict[int, int]]] = []
    for link in links:
        bins: dict[int, int] = {}
        for value, count in counts(link).items():
            bins[value // width] = bins.get(value // width, 0) + count
        binned.append((link, bins))
    every = [index for _, bins in binned for index in bins]
    low, high = min(every) * width, (max(every) + 1) * width
    x = linear(low - width / 2, high - width / 2, most=5, least_span=10 * width)
    # Shares of each direction's own samples, so that the two can be compared.
    tallest = max(max(bins.values()) / max(1, sum(bins.values())) for _, bins in binned)
    y = linear(0, 100 * tallest, most=4, least_span=5)
    series = []
    for link, bins in binned:
        total = sum(bins.values())
        bars = [
            (
                x.percent(index * width - (width / 2 if width == 1 else 0)),
                x.percent((index + 1) * width - (width / 2 if width == 1 else 0)),
                y.percent(100 * bins[index] / total),
            )
            for index in sorted(bins)
        ]
        series.append(Series(link.direction, drawing.steps(bars), drawing.steps(bars)))
    told = "; ".join(
        f"{words(link.direction)}: {plural(sum(bins.values()), 'frame')}" for link, bins in binned
    )
    return Plot(
        f"How often each {name} was heard",
        unit,
        x,
        y,
        tuple(series),
        f"Distribution of {name}. {told}.",
    )
