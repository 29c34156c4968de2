"""Link quality of one device, drawn: over time, and how often each value occurred."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

from labctl.record.bearer_rows import Delivery, Noise
from labctl.record.link_quality import FRAMES, DeviceBearer, Heard, RunLinks, noise_on
from labctl.record.rows import Device, Link, LinkBucket, RunData
from labctl.record.sensitivity import GOOD_MARGIN_DB
from labctl.report import drawing
from labctl.report.band_charts import margin_levels
from labctl.report.formats import channel_text, number, plural, words
from labctl.report.marks import Level, Move, Span, moves, outages, silences
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
    levels: tuple[Level, ...] = ()
    silences: tuple[Span, ...] = ()
    moves: tuple[Move, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkChart:
    """All plots of one device on one radio and channel; RSSI is absent where it is not told.

    `heard` says the same as `links`, with margins; `reported` is what the device tells of the hub.
    """

    title: str
    heard: tuple[Heard, ...]
    reported: tuple[Heard, ...]
    deliveries: tuple[Delivery, ...]
    links: tuple[Link, ...]
    rssi_time: Plot | None
    lqi_time: Plot
    rssi_spread: Plot | None
    lqi_spread: Plot


def link_charts(data: RunData, device: Device, quality: RunLinks) -> list[LinkChart]:
    """One chart for each radio and channel that heard the device."""
    groups: dict[tuple[str, str, int, int], list[Link]] = {}
    for link in data.links:
        if link.device_id == device.id:
            groups.setdefault((link.radio, link.band, link.page, link.channel), []).append(link)
    bearers = {
        (bearer.radio, bearer.band): bearer
        for each in quality.devices
        if each.device_id == device.id
        for bearer in each.bearers
    }
    return [
        _chart(
            data,
            device,
            quality,
            bearers.get(key[:2]),
            at=key[2:],
            title=_title(*key),
            links=links,
        )
        for key, links in groups.items()
    ]


def _title(radio: str, band: str, page: int, channel: int) -> str:
    where = channel_text(page, channel)
    parts = (band if page == 0 else "", where, f"radio {radio}" if radio else "")
    return ", ".join(part for part in parts if part)


def _chart(
    data: RunData,
    device: Device,
    quality: RunLinks,
    bearer: DeviceBearer | None,
    *,
    at: tuple[int, int],
    title: str,
    links: list[Link],
) -> LinkChart:
    # What the device sends first: that is what most people ask about.
    links = sorted(links, key=lambda link: link.direction != "to-hub")
    x = time_axis(data.run.started_us, data.until_us)
    told = [link for link in links if link.rssi_median_dbm is not None]
    every = bearer.heard if bearer else ()
    frames = tuple(h for h in every if h.source == FRAMES and (h.page, h.channel) == at)
    noise = noise_on(quality.noise, links[0].radio, *at)
    return LinkChart(
        title=title,
        heard=frames,
        # They are of the bearer, whatever its channel was: once is enough.
        reported=tuple(h for h in every if h.source != FRAMES)
        if bearer and (bearer.page, bearer.channel) == at
        else (),
        deliveries=bearer.deliveries if bearer else (),
        links=tuple(links),
        rssi_time=_rssi_time(data, device, x, told, frames, noise) if told else None,
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


def _around(data: RunData, device: Device, x: Scale, radio: str, plot: Plot) -> Plot:
    """The plot with what else happened on the time line."""
    return replace(
        plot,
        outages=outages(data, x),
        rejoins=tuple(
            x.percent(join.started_us)
            for join in data.joins
            if join.device_id == device.id and join.kind != "join"
        ),
        silences=silences(data, x, device_id=device.id),
        moves=moves(data, x, radio),
    )


def _rssi_time(
    data: RunData,
    device: Device,
    x: Scale,
    links: list[Link],
    heard: tuple[Heard, ...],
    noise: Noise | None,
) -> Plot:
    values = [
        value
        for link in links
        for bucket in link.buckets
        for value in (bucket.rssi_p10_dbm, bucket.rssi_p90_dbm)
        if value is not None
    ]
    needed = heard[0].sensitivity_dbm if heard else min(values)
    y = linear(min(*values, needed), max(*values, needed + GOOD_MARGIN_DB), least_span=20)
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
    told = "; ".join(
        f"{words(link.direction)}: median {number(link.rssi_median_dbm)} dBm,"
        f" weakest tenth at or below {number(link.rssi_p10_dbm)} dBm"
        for link in links
    )
    plot = Plot("RSSI over time", "dBm", x, y, tuple(series), f"RSSI over time. {told}.")
    if heard:
        floor_dbm = None if noise is None else noise.floor_dbm
        plot = replace(plot, levels=margin_levels(needed, y, floor_dbm))
    return _around(data, device, x, links[0].radio, plot)


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
    told = "; ".join(f"{words(link.direction)}: median {link.lqi_median}" for link in links)
    plot = Plot("LQI over time", "", x, y, series, f"LQI over time. {told}.")
    return _around(data, device, x, links[0].radio, plot)


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
