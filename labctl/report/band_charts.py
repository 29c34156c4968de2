"""All links of a run by band: how strong each device is heard, against what a radio needs."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.record.link_quality import FRAMES, Heard, RunLinks, noise_here
from labctl.record.sensitivity import GOOD_MARGIN_DB, LEAST_MARGIN_DB, margin_word
from labctl.report.formats import number, share, words
from labctl.report.link_table import noise_text
from labctl.report.marks import Level
from labctl.report.scale import Scale, linear


@dataclass(frozen=True, slots=True)
class RssiBar:
    """One link: its bar from the 5th to the 95th percentile, the median, and what stands beside.

    `margin` is good, marginal or bad. `device` is empty where the line above has it.
    """

    device: str
    device_id: int
    direction: str
    source: str
    left: float
    width: float
    median: float
    margin: str
    told: str
    delivered: str
    summary: str


@dataclass(frozen=True, slots=True)
class BandChart:
    """The links of one band on one axis of dBm. `noise` says what its noise floor is."""

    band: str
    noise: str
    x: Scale
    levels: tuple[Level, ...]
    bars: tuple[RssiBar, ...]


def margin_levels(sensitivity_dbm: int, axis: Scale, noise_dbm: int | None) -> tuple[Level, ...]:
    """Sensitivity and the two margins above it, and the noise floor where it was scanned."""
    levels = [
        Level(axis.percent(sensitivity_dbm), f"sensitivity {number(sensitivity_dbm)}", "least"),
        Level(axis.percent(sensitivity_dbm + LEAST_MARGIN_DB), "", "marginal"),
        Level(axis.percent(sensitivity_dbm + GOOD_MARGIN_DB), f"+{GOOD_MARGIN_DB} dB", "good"),
    ]
    if noise_dbm is not None:
        levels.append(Level(axis.percent(noise_dbm), f"noise {number(noise_dbm)}", "noise"))
    return tuple(levels)


def band_charts(links: RunLinks) -> list[BandChart]:
    """One chart for each band on which a level is known, 2.4 GHz first."""
    found = []
    for band in ("2.4 GHz", "868 MHz"):
        chart = _band_chart(links, band)
        if chart is not None:
            found.append(chart)
    return found


def _band_chart(links: RunLinks, band: str) -> BandChart | None:
    chosen = [
        (device, bearer, heard)
        for device in links.devices
        for bearer in device.bearers
        if bearer.band == band
        for heard in _shown(bearer.heard)
    ]
    if not chosen:
        return None
    low = min(heard.rssi_p5_dbm or 0 for _, _, heard in chosen)
    high = max(heard.rssi_p95_dbm or -200 for _, _, heard in chosen)
    needed = [heard.sensitivity_dbm for _, _, heard in chosen]
    x = linear(min(low, *needed) - 2, max(high, max(needed) + GOOD_MARGIN_DB) + 2, most=8)
    bars = []
    before = None
    for device, bearer, heard in chosen:
        bars.append(
            _bar(
                x,
                heard,
                device="" if device.device_id == before else device.label,
                device_id=device.device_id,
                label=device.label,
                delivered=next(
                    (
                        share(d.delivered, d.attempts)
                        for d in bearer.deliveries
                        if d.direction == heard.direction
                    ),
                    "",
                ),
            )
        )
        before = device.device_id
    first = next((h for _, _, h in chosen if h.direction == "to-hub"), chosen[0][2])
    radio = next(bearer.radio for _, bearer, _ in chosen)
    noise = noise_here(links, radio, first)
    levels = margin_levels(first.sensitivity_dbm, x, noise.floor_dbm if noise else None)
    return BandChart(band, noise_text(noise) if noise else "", x, levels, tuple(bars))


def _shown(heard: tuple[Heard, ...]) -> list[Heard]:
    """Frames of both directions; a direction without frames by the report that tells a level."""
    told = [each for each in heard if each.rssi_median_dbm is not None]
    frames = [each for each in told if each.source == FRAMES]
    directions = {each.direction for each in frames}
    reported = [each for each in told if each.direction not in directions][:1]
    return frames + reported


def _bar(
    x: Scale, heard: Heard, *, device: str, device_id: int, label: str, delivered: str
) -> RssiBar:
    low, middle, high = heard.rssi_p5_dbm, heard.rssi_median_dbm, heard.rssi_p95_dbm
    assert low is not None
    assert middle is not None
    assert high is not None
    margin = heard.margin_db or 0
    source = "" if heard.source == FRAMES else heard.source
    return RssiBar(
        device=device,
        device_id=device_id,
        direction=heard.direction,
        source=source,
        left=x.percent(low),
        width=max(0.5, round(x.percent(high) - x.percent(low), 3)),
        median=x.percent(middle),
        margin=margin_word(margin),
        told=f"{number(margin)} dB",
        delivered=delivered,
        summary=(
            f"{label} {words(heard.direction)}: median {number(middle)} dBm, nine of ten between"
            f" {number(low)} and {number(high)} dBm, margin {number(margin)} dB"
        ),
    )
