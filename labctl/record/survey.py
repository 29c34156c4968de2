"""Read-only questions about range surveys. All take an open connection."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labctl.errors import UsageError
from labctl.events import Band
from labctl.record import fetch
from labctl.record.survey_rows import (
    Coverage,
    DirectionRow,
    LinkRow,
    NoiseRow,
    ProbeRow,
    RadioRow,
    RemarkRow,
    RoomRow,
    SurveyData,
    SurveyDevice,
    SurveyRow,
    WaypointRow,
)
from labctl.statistics.places import advise, over_rooms, over_waypoints
from labctl.statistics.reach import Answer, Reach

_SURVEYS = (
    "SELECT s.id, s.run_id, r.rig, r.simulated, s.site, s.hub_place, s.started_us, s.ended_us,"
    " s.verdict, s.text, s.rules, s.plan_path, s.plan_mm_per_pixel, s.seed,"
    " (SELECT count(*) FROM waypoints AS w WHERE w.survey_id = s.id AND w.ended_us IS NOT NULL"
    " AND w.undone_us IS NULL) AS waypoints"
    " FROM surveys AS s JOIN runs AS r ON r.id = s.run_id"
)


def surveys(
    db: sqlite3.Connection, *, rig: str | None = None, site: str | None = None
) -> list[SurveyRow]:
    """The surveys, newest first; of one rig, of one site."""
    return fetch.rows(
        db,
        SurveyRow,
        f"{_SURVEYS} WHERE (:rig IS NULL OR r.rig = :rig)"
        " AND (:site IS NULL OR s.site = :site) ORDER BY s.id DESC",
        {"rig": rig, "site": site},
    )


def find_survey(db: sqlite3.Connection, word: str) -> SurveyRow:
    """The survey of that number, or the newest of a site or a rig of that name.

    Raises `UsageError` when there is none.
    """
    if word.isascii() and word.isdecimal() and len(word) < 19:
        found = fetch.rows(db, SurveyRow, f"{_SURVEYS} WHERE s.id = :id", {"id": int(word)})
        if found:
            return found[0]
    newest = surveys(db, site=word) or surveys(db, rig=word)
    if newest:
        return newest[0]
    sites = sorted({each.site for each in surveys(db)})
    raise UsageError(
        f"no survey, no site and no rig with one is called {word!r} in this database",
        mend=f"there are surveys of {', '.join(sites[:10])}"
        if sites
        else "`labctl survey start RIG` makes one",
    )


def open_surveys(db: sqlite3.Connection, rig: str) -> list[SurveyRow]:
    """Those of a rig that are not ended, newest first."""
    return [each for each in surveys(db, rig=rig) if each.ended_us is None]


def survey_begun_in(db: sqlite3.Connection, run_id: int) -> int:
    """The number of the survey that was begun last in a run. Raises `LookupError`."""
    (survey_id,) = db.execute("SELECT max(id) FROM surveys WHERE run_id = ?", (run_id,)).fetchone()
    if survey_id is None:
        raise LookupError(f"run {run_id} has no survey")
    return int(survey_id)


def surveys_of_run(db: sqlite3.Connection, run_id: int) -> list[int]:
    """The numbers of all surveys that a run worked on."""
    return [
        survey_id
        for (survey_id,) in db.execute(
            "SELECT id FROM surveys WHERE run_id = :run UNION"
            " SELECT survey_id FROM waypoints WHERE run_id = :run ORDER BY 1",
            {"run": run_id},
        )
    ]


def load_survey(db: sqlite3.Connection, survey_id: int) -> SurveyData:
    """Everything of a survey but its single probes. Raises `UsageError` when there is none."""
    survey = find_survey(db, str(survey_id))
    values = {"survey": survey.id}
    devices = tuple(
        fetch.rows(
            db,
            SurveyDevice,
            "SELECT d.id, eui64, name, kind, manufacturer, model, firmware_version"
            " FROM survey_devices AS s JOIN devices AS d ON d.id = s.device_id"
            " WHERE s.survey_id = :survey ORDER BY s.id",
            values,
        )
    )
    remarks = fetch.rows(
        db,
        RemarkRow,
        "SELECT w.number AS waypoint, m.at_us, m.kind, m.text FROM survey_remarks AS m"
        " LEFT JOIN waypoints AS w ON w.id = m.waypoint_id WHERE m.survey_id = :survey"
        " ORDER BY m.id",
        values,
    )
    waypoints = _waypoints(db, values, remarks)
    kinds = {device.kind for device in devices}
    counted = [waypoint for waypoint in waypoints if waypoint.counts]
    return SurveyData(
        survey=survey,
        devices=devices,
        radios=_radios(db, values),
        waypoints=waypoints,
        remarks=tuple(each for each in remarks if each.waypoint is None),
        together=_coverage(counted, kinds.pop() or "" if len(kinds) == 1 else "", None),
        each={device.id: _coverage(counted, device.kind or "", device.id) for device in devices},
    )


def probes(db: sqlite3.Connection, survey_id: int, waypoint: int | None = None) -> list[ProbeRow]:
    """The probes of a survey, or of one of its waypoints, in the order in which they were taken."""
    found = fetch.rows(
        db,
        ProbeRow,
        "SELECT w.number AS waypoint, d.eui64, q.name AS radio, p.band, p.direction, p.at_us,"
        " p.kind, p.delivered, p.rssi_dbm, p.lqi, p.level_source, p.retries, p.latency_us"
        " FROM probes AS p JOIN waypoints AS w ON w.id = p.waypoint_id"
        " JOIN devices AS d ON d.id = p.device_id LEFT JOIN radios AS q ON q.id = p.radio_id"
        " WHERE w.survey_id = :survey AND (:number IS NULL OR w.number = :number) ORDER BY p.id",
        {"survey": survey_id, "number": waypoint},
    )
    return [dataclasses.replace(each, delivered=bool(each.delivered)) for each in found]


def _radios(db: sqlite3.Connection, values: Mapping[str, object]) -> tuple[RadioRow, ...]:
    found = fetch.rows(
        db,
        RadioRow,
        "SELECT name, driver, band, model, firmware, tx_power_dbm, page, channel FROM radios"
        " WHERE run_id IN (SELECT run_id FROM surveys WHERE id = :survey UNION"
        " SELECT run_id FROM waypoints WHERE survey_id = :survey) ORDER BY id",
        values,
    )
    return tuple(dict.fromkeys(found))


def _waypoints(
    db: sqlite3.Connection, values: Mapping[str, object], remarks: Iterable[RemarkRow]
) -> tuple[WaypointRow, ...]:
    links = _links(db, values)
    noise: dict[int, list[NoiseRow]] = defaultdict(list)
    for number, *told in db.execute(
        "SELECT w.number, q.band, n.page, n.channel, n.level_dbm FROM waypoint_noise AS n"
        " JOIN waypoints AS w ON w.id = n.waypoint_id LEFT JOIN radios AS q ON q.id = n.radio_id"
        " WHERE w.survey_id = :survey ORDER BY n.id",
        values,
    ):
        noise[number].append(NoiseRow(*told))
    said: dict[int, list[RemarkRow]] = defaultdict(list)
    for remark in remarks:
        if remark.waypoint is not None:
            said[remark.waypoint].append(remark)
    found = []
    for id_, number, run_id, room, floor, spot, x_m, y_m, z_m, *rest in db.execute(
        "SELECT id, number, run_id, room, floor, spot, x_m, y_m, z_m, latitude, longitude,"
        " started_us, ended_us, undone_us FROM waypoints WHERE survey_id = :survey"
        " ORDER BY number",
        values,
    ):
        latitude, longitude, started_us, ended_us, undone_us = rest
        found.append(
            WaypointRow(
                id=id_,
                number=number,
                run_id=run_id,
                room=room,
                floor=floor,
                spot=spot,
                position=None if x_m is None else (x_m, y_m, z_m),
                latitude=latitude,
                longitude=longitude,
                started_us=started_us,
                ended_us=ended_us,
                undone_us=undone_us,
                links=tuple(links.get(number, ())),
                noise=tuple(noise.get(number, ())),
                remarks=tuple(said.get(number, ())),
            )
        )
    return tuple(found)


def _links(db: sqlite3.Connection, values: Mapping[str, object]) -> dict[int, list[LinkRow]]:
    sides: dict[tuple[Any, ...], DirectionRow] = {}
    for waypoint_id, device_id, band, direction, verdict, *rest in db.execute(
        "SELECT v.waypoint_id, device_id, band, direction, verdict, reason, probes, delivered,"
        " ratio_low, ratio_high, rssi_median_dbm, rssi_p10_dbm, sensitivity_dbm, p10_margin_db,"
        " margin_at_least_db, passes_lower, design_effect, decided_at, retries, level_source"
        " FROM direction_verdicts AS v JOIN waypoints AS w ON w.id = v.waypoint_id"
        " WHERE w.survey_id = :survey",
        values,
    ):
        rest[10] = Answer(rest[10])
        sides[waypoint_id, device_id, band, direction] = DirectionRow(
            direction, Reach(verdict), *rest
        )
    found: dict[int, list[LinkRow]] = defaultdict(list)
    for (
        waypoint_id,
        number,
        device_id,
        band,
        verdict,
        margin,
        lower,
        asymmetry,
        is_found,
    ) in db.execute(
        "SELECT v.waypoint_id, w.number, device_id, band, verdict, p10_margin_db,"
        " passes_lower, asymmetry_db, asymmetry_found FROM link_verdicts AS v"
        " JOIN waypoints AS w ON w.id = v.waypoint_id WHERE w.survey_id = :survey"
        " ORDER BY v.id",
        values,
    ):
        found[number].append(
            LinkRow(
                number,
                device_id,
                Band(band),
                Reach(verdict),
                margin,
                Answer(lower),
                asymmetry,
                bool(is_found),
                sides.get((waypoint_id, device_id, band, "from-hub")),
                sides.get((waypoint_id, device_id, band, "to-hub")),
            )
        )
    return found


def _coverage(waypoints: Sequence[WaypointRow], kind: str, device_id: int | None) -> Coverage:
    rooms: dict[tuple[int, str], dict[Band, list[LinkRow]]] = {}
    for waypoint in waypoints:
        bands = rooms.setdefault((waypoint.floor, waypoint.room), {})
        for link in waypoint.links:
            if device_id in (None, link.device_id):
                bands.setdefault(link.band, []).append(link)
    found = []
    for (floor, room), links in rooms.items():
        reached = {band: over_waypoints(of_band) for band, of_band in links.items()}
        advice = advise(kind, reached.get(Band.GHZ_2_4), reached.get(Band.MHZ_868))
        found.append(RoomRow(room, floor, reached, advice))
    names = [row.room for row in found]
    advised = {
        row.room if names.count(row.room) == 1 else f"{row.room} (floor {row.floor})": row.advice
        for row in found
    }
    return Coverage(tuple(found), over_rooms(advised))
