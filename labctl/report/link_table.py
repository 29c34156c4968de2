"""The links of a run as lines of text: what `labctl links` prints, and a program gets as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from labctl.record.band_quality import BandRssi
from labctl.record.bearer_rows import Airtime, Delivery, Forecast, Noise
from labctl.record.link_quality import (
    FRAMES,
    DeviceBearer,
    DeviceLinks,
    Heard,
    RadioLinks,
    RunLinks,
    noise_here,
)
from labctl.record.sensitivity import margin_word
from labctl.report.formats import channel_text, iso, number, plural, share
from labctl.report.method import bucket_text

HEAD = (
    "device",
    "bearer",
    "direction",
    "frames",
    "RSSI 5/50/95 %",
    "margin",
    "LQI",
    "delivered",
    "noise",
    "airtime/h",
)

#: Columns of numbers, aligned to the right.
NUMERIC = frozenset({3, 4, 5, 6, 7, 8, 9})
MARGIN = HEAD.index("margin")

#: What is shown where there is little room.
NARROW = tuple(HEAD.index(name) for name in ("device", "direction", HEAD[4], "margin", "delivered"))
BY_BAND_HEAD = ("band", "direction", "frames", "RSSI 5 %", "50 %", "95 %")

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table. `margin` is good, marginal, bad or empty."""

    cells: tuple[str, ...]
    margin: str = ""


def lines(links: RunLinks, *, brief: bool = False) -> list[Line]:
    """One line for each device, bearer, direction, channel and source; what repeats is left out.

    `brief` leaves one line for each direction: the newest channel, and the source that tells most.
    """
    return [line for device in links.devices for line in _of_device(device, links, brief)]


def _telling(bearer: DeviceBearer) -> Iterator[Heard]:
    """For each direction what tells most: a level rather than none, frames rather than reports."""
    for direction in ("to-hub", "from-hub"):
        found = [heard for heard in bearer.heard if heard.direction == direction]
        if found:
            yield max(
                reversed(found),
                key=lambda h: (
                    h.rssi_median_dbm is not None,
                    h.source == FRAMES,
                    (h.page, h.channel) == (bearer.page, bearer.channel),
                ),
            )


def _of_device(device: DeviceLinks, links: RunLinks, brief: bool) -> Iterator[Line]:
    label = device.label
    for bearer in device.bearers:
        told: set[str] = set()
        first = True
        for heard in _telling(bearer) if brief else bearer.heard:
            delivery = next((d for d in bearer.deliveries if d.direction == heard.direction), None)
            if heard.direction in told:
                delivery = None
            told.add(heard.direction)
            noise = noise_here(links, bearer.radio, heard) if heard.direction == "to-hub" else None
            yield Line(
                (
                    label,
                    _bearer(bearer, heard) if first else "",
                    _direction(heard),
                    number(heard.samples),
                    _rssi(heard),
                    "–" if heard.margin_db is None else f"{number(heard.margin_db)} dB",
                    _lqi(heard),
                    "" if delivery is None else delivered(delivery),
                    "" if noise is None else f"{number(noise.floor_dbm)} dBm",
                    "" if bearer.airtime is None or not first else _airtime(bearer.airtime),
                ),
                "" if heard.margin_db is None else margin_word(heard.margin_db),
            )
            label, first = "", False


def _bearer(bearer: DeviceBearer, heard: Heard) -> str:
    where = f"ch {heard.channel}" if heard.page == 0 else f"p{heard.page} ch {heard.channel}"
    return f"{bearer.radio or '?'}  {bearer.band} {where}".strip()


def _direction(heard: Heard) -> str:
    text = heard.direction.replace("-", " ")
    return text if heard.source == FRAMES else f"{text}, {heard.source}"


def _rssi(heard: Heard) -> str:
    if heard.rssi_median_dbm is None:
        return "–"
    parts = (heard.rssi_p5_dbm, heard.rssi_median_dbm, heard.rssi_p95_dbm)
    return "/".join(number(part) for part in parts)


def _lqi(heard: Heard) -> str:
    if heard.out_cost is not None or heard.in_cost is not None:
        return f"{number(heard.lqi_median)} cost {heard.in_cost or '?'}/{heard.out_cost or '?'}"
    if heard.lqi_median is not None:
        return number(heard.lqi_median)
    if heard.power_delta_db is not None:
        return f"asks {heard.power_delta_db:+d} dB".replace("-", "−")
    return "–"


def delivered(delivery: Delivery) -> str:
    """The share that got through."""
    return share(delivery.delivered, delivery.attempts)


def _airtime(airtime: Airtime) -> str:
    return f"{airtime.last_us / 1e6:.1f} s"


# -- the hub's own lines --------------------------------------------------------------------------


def radio_lines(links: RunLinks) -> list[str]:
    """For each bearer of the hub where it is and what it hears there, then its airtime."""
    return [line for radio in links.radios for line in _radio(radio)]


def _radio(radio: RadioLinks) -> list[str]:
    where = channel_text(radio.page, radio.channel)
    parts = [f"{radio.radio} on {where if radio.page else f'{radio.band} {where}'}"]
    if radio.tx_power_dbm is not None:
        parts.append(f"{number(radio.tx_power_dbm)} dBm")
    parts.append(f"sensitivity {number(radio.sensitivity.dbm)} dBm")
    if radio.noise is not None:
        parts.append(noise_text(radio.noise))
    return [", ".join(parts), *(f"  {airtime_text(airtime)}" for airtime in radio.airtime)]


def noise_text(noise: Noise) -> str:
    """The noise floor, in words."""
    return f"noise floor {number(noise.floor_dbm)} dBm ({plural(noise.scans, 'scan')})"


def airtime_text(airtime: Airtime) -> str:
    """Airtime and state at the newest sample, the peak, and the forecast, in words."""
    text = (
        f"on the air {airtime.last_us / 1e6:.1f} s of the last hour ({airtime.source},"
        f" {airtime.state}; at most {airtime.peak_us / 1e6:.1f} s, Limited is"
        f" {airtime.limited_us / 1e6:g} s)"
    )
    return f"{text}, {forecast_text(airtime.forecast)}" if airtime.forecast else text


def forecast_text(forecast: Forecast) -> str:
    """What will be if traffic goes on as it does."""
    return f"reaches {forecast.state.capitalize()} in {bucket_text(forecast.in_s * 1_000_000)}"


def by_band_lines(found: tuple[BandRssi, ...]) -> list[tuple[str, ...]]:
    """RSSI by band and direction, of all devices together."""
    return [
        (
            each.band.value,
            each.direction.replace("-", " "),
            number(each.samples),
            f"{number(each.rssi_p5_dbm)} dBm",
            f"{number(each.rssi_median_dbm)} dBm",
            f"{number(each.rssi_p95_dbm)} dBm",
        )
        for each in found
    ]


# -- for programs ---------------------------------------------------------------------------------


def as_json(links: RunLinks) -> Facts:
    """The same for a program; the series over time stay in the database."""
    run = links.run
    return {
        "run": run.id,
        "rig": run.rig,
        "simulated": run.simulated,
        "ended": iso(run.ended_us),
        "until": iso(links.until_us),
        "until_us": links.until_us,
        "radios": [_radio_json(radio) for radio in links.radios],
        "devices": [_device_json(device) for device in links.devices],
        "by_band": [asdict(each) for each in links.by_band],
    }


def _radio_json(radio: RadioLinks) -> Facts:
    values = asdict(radio)
    values["noise"] = None if radio.noise is None else without_points(radio.noise)
    values["airtime"] = [without_points(airtime) for airtime in radio.airtime]
    return values


def _device_json(device: DeviceLinks) -> Facts:
    values = asdict(device)
    values["label"] = device.label
    values["bearers"] = [
        {
            **asdict(bearer),
            "deliveries": [{**asdict(d), "ratio": d.ratio} for d in bearer.deliveries],
            "airtime": None if bearer.airtime is None else without_points(bearer.airtime),
        }
        for bearer in device.bearers
    ]
    return values


def without_points(value: Airtime | Noise) -> Facts:
    """Its fields but for the series over time."""
    values = asdict(value)
    values.pop("points")
    return values
