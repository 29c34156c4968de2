"""A survey as text, as plain data, and as CSV. Addresses are masked unless they are asked for."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from labctl.cli.inventory import columns
from labctl.cli.survey_view import when
from labctl.record.survey_rows import Coverage, DirectionRow, SurveyData, WaypointRow

CSV_COLUMNS = (
    *("survey", "site", "waypoint", "room", "floor", "spot", "x_m", "y_m", "z_m", "latitude"),
    *("longitude", "started_us", "device", "eui64", "band", "verdict", "p10_margin_db"),
    *("passes_lower", "asymmetry_db", "noise_dbm"),
    *(
        f"{way}_{what}"
        for way in ("from_hub", "to_hub")
        for what in (
            *("verdict", "probes", "delivered", "ratio_low", "ratio_high", "rssi_median_dbm"),
            *("rssi_p10_dbm", "p10_margin_db", "margin_at_least_db", "retries", "level_source"),
        )
    ),
)
"""In this order; new ones come last."""


def masked(eui64: str, *, addresses: bool) -> str:
    """An address with its middle left out: enough to tell two devices apart."""
    if addresses:
        return eui64
    octets = eui64.split(":")
    return ":".join([*octets[:2], *["xx"] * (len(octets) - 4), *octets[-2:]])


def data_of(data: SurveyData, *, addresses: bool) -> dict[str, Any]:
    """Everything, as JSON has it."""
    found = asdict(data)
    for device in found["devices"]:
        device["eui64"] = masked(device["eui64"], addresses=addresses)
    return found


def text_of(data: SurveyData, *, addresses: bool) -> str:
    """For people: first what it comes to, then each waypoint."""
    row = data.survey
    simulated = ", simulated" if row.simulated else ""
    lines = [
        f"survey {row.id} of {row.site}: {row.verdict or 'not ended'}{simulated}",
        f"{when(row.started_us)}, rig {row.rig}"
        + (f", hub in {row.hub_place}" * bool(row.hub_place)),
        *(f"with {device.label}, {_described(device, addresses)}" for device in data.devices),
    ]
    if row.text:
        lines.append(row.text)
    lines += ["", rooms_text(data)] if data.counted else ["", "no waypoint was probed to its end"]
    if data.counted:
        lines += ["", *(line for each in data.waypoints for line in _waypoint(data, each))]
    lines += [f"{remark.kind}: {remark.text}" for remark in data.remarks]
    return "\n".join(lines)


def _described(device: Any, addresses: bool) -> str:
    words = [device.kind or "kind not known", masked(device.eui64, addresses=addresses)]
    return ", ".join(word for word in words if word)


def rooms_text(data: SurveyData) -> str:
    """Each room with each band, and which one is advised."""
    return columns(list(_rooms(data.together)))


def _rooms(coverage: Coverage) -> Iterator[tuple[str, ...]]:
    for row in coverage.rooms:
        bands = [
            f"{band.value}: {reach.verdict}"
            + ("" if reach.p10_margin_db is None else f" {reach.p10_margin_db:+.0f} dB")
            + f" ({reach.passing}/{reach.waypoints})"
            for band, reach in sorted(row.bands.items())
        ]
        yield row.room, f"floor {row.floor}", ", ".join(bands), row.advice.text


def _waypoint(data: SurveyData, waypoint: WaypointRow) -> Iterator[str]:
    place = f"{waypoint.room} / {waypoint.spot}" if waypoint.spot else waypoint.room
    left = " (undone)" if waypoint.undone_us else "" if waypoint.ended_us else " (not done)"
    noise = ", ".join(f"{each.band} {each.level_dbm} dBm" for each in waypoint.noise)
    yield f"{waypoint.number:3}  {place}, floor {waypoint.floor}{left}" + (
        f"; noise {noise}" if noise else ""
    )
    for link in waypoint.links:
        head = f"     {data.device(link.device_id).label} {link.band.value} {link.verdict}"
        margin = "" if link.p10_margin_db is None else f", margin {link.p10_margin_db:+.0f} dB"
        less = json.loads(data.survey.rules)["rules"]["lower_db"]
        lower = f", with {less:g} dB less: {link.passes_lower}"
        tilt = f", {abs(link.asymmetry_db or 0)} dB apart" if link.asymmetry_found else ""
        yield head + margin + lower + tilt
        for word, side in (("from hub", link.down), ("to hub", link.up)):
            if side is not None:
                yield f"       {word:8} {_side(side)}"
    for remark in waypoint.remarks:
        yield f"     {remark.kind}: {remark.text}"


def _side(side: DirectionRow) -> str:
    words = [f"{side.verdict}, {side.delivered}/{side.probes}"]
    if side.probes:
        words.append(f"95 %: {100 * side.ratio_low:.0f} to {100 * side.ratio_high:.0f} %")
        retries = "not known" if side.retries is None else str(side.retries)
        words.append(f"retries {retries}")
    if side.rssi_median_dbm is not None:
        p10 = "lost" if side.rssi_p10_dbm is None else f"{side.rssi_p10_dbm} dBm"
        words.append(f"median {side.rssi_median_dbm} dBm, 10th percentile {p10}")
    if side.level_source == "reciprocal":
        words.append("levels by the answers")
    if side.reason:
        words.append(side.reason)
    return "; ".join(words)


def csv_text(data: SurveyData, *, addresses: bool) -> str:
    """One line for each waypoint that counts and each of its links."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for waypoint in data.counted:
        position = waypoint.position or (None, None, None)
        for link in waypoint.links:
            device = data.device(link.device_id)
            values: dict[str, object] = {
                "survey": data.survey.id,
                "site": data.survey.site,
                "waypoint": waypoint.number,
                "room": waypoint.room,
                "floor": waypoint.floor,
                "spot": waypoint.spot,
                **dict(zip(("x_m", "y_m", "z_m"), position, strict=True)),
                "latitude": waypoint.latitude,
                "longitude": waypoint.longitude,
                "started_us": waypoint.started_us,
                "device": device.name,
                "eui64": masked(device.eui64, addresses=addresses),
                "band": link.band.value,
                "verdict": link.verdict,
                "p10_margin_db": link.p10_margin_db,
                "passes_lower": link.passes_lower,
                "asymmetry_db": link.asymmetry_db,
                "noise_dbm": next(
                    (each.level_dbm for each in waypoint.noise if each.band == link.band), None
                ),
            }
            for way, side in (("from_hub", link.down), ("to_hub", link.up)):
                for column in CSV_COLUMNS:
                    if side is not None and column.startswith(f"{way}_"):
                        values[column] = getattr(side, column.removeprefix(f"{way}_"))
            writer.writerow(values)
    return out.getvalue()
