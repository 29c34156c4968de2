"""The log of a run: all that the record says of it, line by line in the order of time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

from labctl.record import fetch
from labctl.record.rows import RunData
from labctl.report.cases import measured_text
from labctl.report.formats import iso


def run_log(db: sqlite3.Connection, data: RunData) -> str:
    """One line for each event, join, step of a join, and beginning and end of an attempt."""
    # Of what happened at one time the order is that of the record, and never that of a sort.
    lines = sorted(_lines(db, data), key=lambda line: line[0])
    return "".join(f"{iso(at_us)} {_flat(text)}\n" for at_us, text in lines)


def _lines(db: sqlite3.Connection, data: RunData) -> Iterator[tuple[int, str]]:
    run = data.run
    names = {device.id: device.label for device in data.devices}
    yield (
        run.started_us,
        f"run {run.id} of {run.rig} begins: {run.kind}, labctl {run.labctl_version}"
        + (", simulated" if run.simulated else ""),
    )
    for event in fetch.events(db, run.id):
        who = f" {names[event.device_id]}" if event.device_id in names else ""
        detail = json.dumps(event.detail, ensure_ascii=False, sort_keys=True)
        yield event.at_us, f"{event.severity} {event.kind}{who} {detail}"
    for pairing in data.pairings:
        who = names.get(pairing.device_id, "a device")
        yield (
            pairing.armed_us,
            f"pairing {who}: {pairing.method}, window of {pairing.window_s} s",
        )
    for join in data.joins:
        who = names.get(join.device_id or 0, join.eui64)
        yield join.started_us, f"join {join.id} {who}: {join.kind} at {join.band}"
        for step in join.steps:
            told = f": {step.detail}" if step.detail else ""
            yield step.at_us, f"join {join.id} {who}: {step.step} {step.status}{told}"
        if join.ended_us is not None:
            told = f": {join.cause}" if join.cause else ""
            yield join.ended_us, f"join {join.id} {who}: {join.outcome}{told}"
    for result in data.campaign.results if data.campaign is not None else ():
        who = names.get(result.device_id or 0, "the rig")
        case = f"case {result.case} {who}, attempt {result.attempt}"
        yield result.started_us, f"{case} begins: {result.title}"
        for measured in result.measurements:
            yield result.ended_us, f"{case}: {measured_text(measured)}: {measured.outcome}"
        told = f": {result.cause}" if result.cause else ""
        yield result.ended_us, f"{case}: {result.outcome}{told}"
    if run.ended_us is not None:
        yield run.ended_us, f"run {run.id} ends: {run.verdict}"


def _flat(text: str) -> str:
    """In one line, without letters that steer a terminal."""
    return "".join(
        letter if letter.isprintable() else " " if letter.isspace() else "\ufffd" for letter in text
    )
