"""How the events of a survey become rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from typing import Any

from labctl import events as ev
from labctl.record.ids import Rows


class SurveyWriter:
    """One method for each kind of event. A survey goes by the number of its row."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.handlers: dict[type[ev.Event], Callable[[Any], None]] = {
            ev.SurveyStarted: self._survey_started,
            ev.SurveyEnded: self._survey_ended,
            ev.WaypointStarted: self._waypoint_started,
            ev.WaypointEnded: self._waypoint_ended,
            ev.WaypointCounts: self._waypoint_counts,
            ev.WaypointNoise: self._waypoint_noise,
            ev.SurveyRemark: self._remark,
            ev.ProbeTaken: self._probe,
            ev.DirectionJudged: self._judged("direction_verdicts", "direction"),
            ev.LinkJudged: self._judged("link_verdicts"),
        }

    def _survey_started(self, event: ev.SurveyStarted) -> None:
        survey_id = self._rows.insert(
            "surveys",
            run_id=self._rows.known.run_id,
            site=event.site,
            hub_place=event.hub_place,
            started_us=event.at_us,
            rules=event.rules,
            plan_path=event.plan,
            plan_mm_per_pixel=event.plan_mm_per_pixel,
            seed=event.seed,
        )
        for eui64 in event.devices:
            self._rows.insert(
                "survey_devices",
                survey_id=survey_id,
                device_id=self._rows.device(eui64, event.at_us),
            )

    def _survey_ended(self, event: ev.SurveyEnded) -> None:
        self._rows.db.execute(
            "UPDATE surveys SET ended_us = ?, verdict = ?, text = ? WHERE id = ?",
            (event.at_us, event.verdict.value, event.text, event.survey),
        )

    def _waypoint_started(self, event: ev.WaypointStarted) -> None:
        x_m, y_m, z_m = event.position or (None, None, None)
        self._rows.insert(
            "waypoints",
            survey_id=event.survey,
            run_id=self._rows.known.run_id,
            number=event.waypoint,
            room=event.room,
            floor=event.floor,
            spot=event.spot,
            x_m=x_m,
            y_m=y_m,
            z_m=z_m,
            latitude=event.latitude,
            longitude=event.longitude,
            started_us=event.at_us,
        )

    def _waypoint_ended(self, event: ev.WaypointEnded) -> None:
        self._rows.db.execute(
            "UPDATE waypoints SET ended_us = ? WHERE survey_id = ? AND number = ?",
            (event.at_us, event.survey, event.waypoint),
        )

    def _waypoint_counts(self, event: ev.WaypointCounts) -> None:
        self._rows.db.execute(
            "UPDATE waypoints SET undone_us = ? WHERE survey_id = ? AND number = ?",
            (None if event.counts else event.at_us, event.survey, event.waypoint),
        )

    def _waypoint_noise(self, event: ev.WaypointNoise) -> None:
        self._rows.insert(
            "waypoint_noise",
            waypoint_id=self._waypoint(event.survey, event.waypoint),
            radio_id=self._rows.known.radios.get(event.radio),
            at_us=event.at_us,
            page=event.page,
            channel=event.channel,
            level_dbm=event.level_dbm,
        )

    def _remark(self, event: ev.SurveyRemark) -> None:
        of = event.waypoint
        self._rows.insert(
            "survey_remarks",
            survey_id=event.survey,
            waypoint_id=None if of is None else self._waypoint(event.survey, of),
            at_us=event.at_us,
            kind=event.kind,
            text=event.text,
        )

    def _probe(self, event: ev.ProbeTaken) -> None:
        self._rows.insert(
            "probes",
            waypoint_id=self._waypoint(event.survey, event.waypoint),
            device_id=self._rows.device(event.eui64, event.at_us),
            radio_id=self._rows.known.radios.get(event.radio),
            band=event.band.value,
            direction=event.direction.value,
            at_us=event.at_us,
            kind=event.kind.value,
            delivered=int(event.delivered),
            rssi_dbm=event.rssi_dbm,
            lqi=event.lqi,
            level_source=event.level_source.value if event.level_source else None,
            retries=event.retries,
            latency_us=event.latency_us,
        )

    def _judged(self, table: str, *beside: str) -> Callable[[Any], None]:
        """A verdict takes the place of an earlier one about the same."""
        same = ("waypoint_id", "device_id", "band", *beside)

        def write(event: ev.DirectionJudged | ev.LinkJudged) -> None:
            values = asdict(event)
            for name in ("at_us", "survey", "waypoint", "eui64"):
                del values[name]
            values = {
                "waypoint_id": self._waypoint(event.survey, event.waypoint),
                "device_id": self._rows.device(event.eui64, event.at_us),
                **{name: _plain(value) for name, value in values.items()},
            }
            where = " AND ".join(f"{name} = ?" for name in same)
            self._rows.db.execute(
                f"DELETE FROM {table} WHERE {where}",  # noqa: S608 - our own names
                tuple(values[name] for name in same),
            )
            self._rows.insert(table, **values)

        return write

    def _waypoint(self, survey_id: int, number: int) -> int:
        (waypoint_id,) = self._rows.db.execute(
            "SELECT id FROM waypoints WHERE survey_id = ? AND number = ?", (survey_id, number)
        ).fetchone()
        return int(waypoint_id)


def _plain(value: object) -> object:
    if isinstance(value, StrEnum):
        return value.value
    return int(value) if isinstance(value, bool) else value
