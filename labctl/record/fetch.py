"""The parts of a run, each fetched by one question. `queries.load_run` puts them together."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from labctl.record.rows import Device, EventRow, Join, JoinStep, Pairing, Radio, ReadGroup, Refusal
from labctl.record.stats import histogram, percentile

Row = TypeVar("Row")

_BOOLEANS = frozenset({"simulated", "resumed", "authorised"})
_DEVICE_COLUMNS = (
    "eui64, name, kind, manufacturer, model, hardware_version, firmware_version,"
    " certificate_suite, certificate_issuer"
)


def rows(
    db: sqlite3.Connection, kind: Callable[..., Row], sql: str, values: Mapping[str, object]
) -> list[Row]:
    """The rows of a query as values of `kind`, whose fields are named as the columns are."""
    cursor = db.execute(sql, dict(values))
    names = [column[0] for column in cursor.description]
    found = []
    for row in cursor:
        fields: dict[str, Any] = dict(zip(names, row, strict=True))
        for name in _BOOLEANS & fields.keys():
            if fields[name] is not None:
                fields[name] = bool(fields[name])
        found.append(kind(**fields))
    return found


def radios(db: sqlite3.Connection, run_id: int) -> tuple[Radio, ...]:
    """Each start of each radio, in order."""
    return tuple(
        rows(
            db,
            Radio,
            "SELECT id, name, driver, band, path, serial_number, manufacturer, model, firmware,"
            " protocol_version, eui64, page, channel, tx_power_dbm, pan_id, extended_pan_id,"
            " resumed, up_us FROM radios WHERE run_id = :run ORDER BY id",
            {"run": run_id},
        )
    )


def events(db: sqlite3.Connection, run_id: int) -> tuple[EventRow, ...]:
    """All events of the run, in the order of time."""
    found = db.execute(
        "SELECT at_us, kind, device_id, severity, detail FROM events WHERE run_id = ?"
        " ORDER BY at_us, id",
        (run_id,),
    )
    return tuple(
        EventRow(at_us, kind, device_id, severity, json.loads(detail))
        for at_us, kind, device_id, severity, detail in found
    )


def pairings(db: sqlite3.Connection, run_id: int) -> tuple[Pairing, ...]:
    """The device-log entries that were armed in the run."""
    return tuple(
        rows(
            db,
            Pairing,
            "SELECT id, device_id, method, requested_by, consent_reference, armed_us, window_s,"
            " removed_us, removal_reason, closed_us, authorised FROM pairings"
            " WHERE run_id = :run ORDER BY id",
            {"run": run_id},
        )
    )


def joins(db: sqlite3.Connection, run_id: int) -> tuple[Join, ...]:
    """All attempts with their steps, in the order of time."""
    steps: dict[int, list[JoinStep]] = {}
    for join_id, *step in db.execute(
        "SELECT s.join_id, s.step, s.at_us, s.elapsed_us, s.status, s.detail FROM joins AS j"
        " JOIN join_steps AS s ON s.join_id = j.id WHERE j.run_id = ? ORDER BY s.id",
        (run_id,),
    ):
        steps.setdefault(join_id, []).append(JoinStep(*step))
    found = rows(
        db,
        Join,
        "SELECT id, eui64, device_id, kind, band, page, channel, nwk, parent_nwk, started_us,"
        " ended_us, outcome, cause FROM joins WHERE run_id = :run ORDER BY started_us, id",
        {"run": run_id},
    )
    return tuple(dataclasses.replace(join, steps=tuple(steps.get(join.id, ()))) for join in found)


def devices(
    db: sqlite3.Connection,
    run_id: int,
    run_events: Iterable[EventRow],
    run_pairings: Iterable[Pairing],
    run_joins: Iterable[Join],
) -> tuple[Device, ...]:
    """The devices that took part. What they said in this run goes before what is known now."""
    run_events = tuple(run_events)
    told = _described(run_events)
    took_part: set[int] = {join.device_id for join in run_joins if join.device_id is not None}
    for event in run_events:
        if event.device_id is not None:
            took_part.add(event.device_id)
    under_test = {pairing.device_id for pairing in run_pairings}
    under_test |= {
        device_id
        for (device_id,) in db.execute(
            "SELECT device_id FROM read_schedules WHERE run_id = :run UNION"
            " SELECT device_id FROM reads"
            " WHERE run_id = :run AND initiator = 'device' AND aps_encrypted",
            {"run": run_id},
        )
    }
    heard = {
        device_id: (first_us, last_us)
        for device_id, first_us, last_us in db.execute(
            "SELECT device_id, min(at_us), max(at_us) FROM ("
            " SELECT device_id, at_us FROM link_samples"
            " WHERE run_id = :run AND direction = 'to-hub'"
            " UNION ALL SELECT device_id, at_us FROM reads"
            " WHERE run_id = :run AND initiator = 'device')"
            " GROUP BY device_id",
            {"run": run_id},
        )
    }
    return tuple(
        _device(db, device_id, told, device_id in under_test, heard.get(device_id, (None, None)))
        for device_id in sorted(under_test | took_part | heard.keys())
    )


def described(
    db: sqlite3.Connection, device_ids: Iterable[int], run_events: Iterable[EventRow]
) -> tuple[Device, ...]:
    """Certain devices, without asking what they did in the run."""
    told = _described(run_events)
    return tuple(_device(db, each, told, False, (None, None)) for each in sorted(device_ids))


def _described(run_events: Iterable[EventRow]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for event in run_events:
        if event.kind == "device-described" and event.device_id is not None:
            found.setdefault(event.device_id, {}).update(event.detail)
    return found


def _device(
    db: sqlite3.Connection,
    device_id: int,
    told: Mapping[int, dict[str, Any]],
    under_test: bool,
    heard: tuple[int | None, int | None],
) -> Device:
    (known,) = rows(
        db,
        dict[str, Any],
        f"SELECT {_DEVICE_COLUMNS} FROM devices WHERE id = :id",  # noqa: S608 - our own names
        {"id": device_id},
    )
    return Device(
        id=device_id,
        **{**known, **told.get(device_id, {})},
        under_test=under_test,
        first_heard_us=heard[0],
        last_heard_us=heard[1],
    )


def reads(db: sqlite3.Connection, run_id: int) -> tuple[ReadGroup, ...]:
    """The reads, counted by device, initiator, endpoint, cluster and command."""
    groups: dict[tuple[Any, ...], list[tuple[int | None, int, int]]] = {}
    for *key, status, latency_us, encrypted in db.execute(
        "SELECT device_id, initiator, endpoint, cluster_id, command_id, status, latency_us,"
        " aps_encrypted FROM reads WHERE run_id = ?",
        (run_id,),
    ):
        groups.setdefault(tuple(key), []).append((status, latency_us, encrypted))
    found = []
    for key in sorted(groups, key=lambda key: (*key[:4], -1 if key[4] is None else key[4])):
        group = groups[key]
        device_id, initiator, endpoint, cluster_id, command_id = key
        latency = histogram(us for status, us, _ in group if status is not None)
        found.append(
            ReadGroup(
                device_id=device_id,
                initiator=initiator,
                endpoint=endpoint,
                cluster_id=cluster_id,
                command_id=command_id,
                reads=len(group),
                unanswered=sum(status is None for status, _, _ in group),
                not_success=sum(status not in (None, 0) for status, _, _ in group),
                unencrypted=sum(not encrypted for _, _, encrypted in group),
                latency_p50_us=percentile(latency, 50),
                latency_p95_us=percentile(latency, 95),
            )
        )
    return tuple(found)


def refusals(
    run_events: Iterable[EventRow], run_devices: Iterable[Device], run_joins: Iterable[Join]
) -> tuple[Refusal, ...]:
    """What the hub refused, counted by device and cause, in the order of first occurrence."""
    addresses = {device.id: device.eui64 for device in run_devices}
    attempted = {join.device_id for join in run_joins}
    authorised: dict[int | None, int] = {}
    for join in run_joins:
        if join.outcome == "authorised" and join.ended_us is not None:
            authorised.setdefault(join.device_id, join.ended_us)
    groups: dict[tuple[Any, ...], list[int]] = {}
    for event in run_events:
        if event.kind == "refused":
            key = (event.device_id, *map(event.detail.get, _REFUSAL_KEY))
            groups.setdefault(key, []).append(event.at_us)
    found = []
    for (device_id, eui64, layer, cause, endpoint, cluster_id, command_id), times in groups.items():
        # Without any attempt in this run the device came paired: authorised all along.
        since_us = authorised.get(device_id, None if device_id in attempted else 0)
        if device_id is None:
            since_us = None
        found.append(
            Refusal(
                device_id=device_id,
                eui64=eui64 or addresses.get(device_id, ""),
                layer=layer or "",
                cause=cause or "",
                endpoint=endpoint,
                cluster_id=cluster_id,
                command_id=command_id,
                count=len(times),
                after_authorised=sum(since_us is not None and at >= since_us for at in times),
                first_us=times[0],
                last_us=times[-1],
            )
        )
    return tuple(found)


_REFUSAL_KEY = ("eui64", "layer", "cause", "endpoint", "cluster_id", "command_id")
