"""Link quality as a person asks for it: by device, bearer and direction, and what belongs to it.

RSSI stands beside the delivery ratio (lost frames have no RSSI), the noise floor and the airtime.
LQI is on a scale of each radio's own, so it carries the radio and firmware that it is of.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from labctl.record import fetch
from labctl.record.band_quality import BandRssi, by_band_of
from labctl.record.bearer_rows import (
    Airtime,
    BandChoice,
    Bearers,
    Delivery,
    Noise,
    Reported,
    Suspension,
)
from labctl.record.bearers import bearers as bearers_of
from labctl.record.circumstances import away, infrastructure
from labctl.record.delivery import deliveries
from labctl.record.links import link_totals
from labctl.record.queries import end_of
from labctl.record.rows import Device, Link, Radio, Run, RunData
from labctl.record.sensitivity import Sensitivity, sensitivity
from labctl.record.stats import percentile

#: `Heard.source` where the frames themselves were heard.
FRAMES = "frames"


@dataclass(frozen=True, slots=True)
class Heard:
    """How well one direction is heard on one channel, by one source.

    `source` is ``frames``, or how the device reports what it hears. `lqi_scale` names whose LQI it
    is; two LQI are compared only when their scales are the same. `margin_db` is the distance of the
    weakest tenth from the sensitivity of whoever listens.
    """

    direction: str
    source: str
    page: int
    channel: int
    samples: int
    rssi_p5_dbm: int | None
    rssi_p10_dbm: int | None
    rssi_median_dbm: int | None
    rssi_p95_dbm: int | None
    sensitivity_dbm: int
    sensitivity_basis: str
    margin_db: int | None
    lqi_p5: int | None
    lqi_median: int | None
    lqi_scale: str
    in_cost: int | None = None
    out_cost: int | None = None
    power_delta_db: int | None = None
    mac_retries: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceBearer:
    """One device on one bearer. `airtime` is the device's own there."""

    radio: str
    band: str
    page: int
    channel: int
    heard: tuple[Heard, ...]
    deliveries: tuple[Delivery, ...]
    airtime: Airtime | None


@dataclass(frozen=True, slots=True)
class DeviceLinks:
    """All links of one device; `band` is the newest that is known of its choice."""

    device_id: int
    eui64: str
    name: str | None
    kind: str | None
    bearers: tuple[DeviceBearer, ...]
    band: BandChoice | None
    suspended: Suspension | None

    @property
    def label(self) -> str:
        """The name, or the address of a device without one."""
        return self.name or self.eui64


@dataclass(frozen=True, slots=True)
class RadioLinks:
    """One bearer of the hub: where it is now, what it hears there, and how long it has sent."""

    radio: str
    band: str
    page: int
    channel: int
    model: str | None
    firmware: str | None
    tx_power_dbm: int | None
    sensitivity: Sensitivity
    noise: Noise | None
    airtime: tuple[Airtime, ...]


@dataclass(frozen=True, slots=True)
class RunLinks:
    """The links of one run up to `until_us`. `by_band` are frames of all devices together."""

    run: Run
    until_us: int
    radios: tuple[RadioLinks, ...]
    devices: tuple[DeviceLinks, ...]
    by_band: tuple[BandRssi, ...]
    noise: tuple[Noise, ...] = ()


def noise_here(links: RunLinks, radio: str, heard: Heard) -> Noise | None:
    """The noise on the channel that something was heard on."""
    return noise_on(links.noise, radio, heard.page, heard.channel)


def load_links(db: sqlite3.Connection, run: Run, *, until_us: int | None = None) -> RunLinks:
    """The links of a run, quick enough to be asked for every few seconds while it goes on.

    `until_us` is the time now, for a run that goes on; without it, what was recorded last.
    """
    end_us = end_of(db, run) if until_us is None else until_us
    events = fetch.events(db, run.id)
    joins = fetch.joins(db, run.id)
    found = bearers_of(db, run.id, events, run.started_us, end_us)
    links = link_totals(db, run.id)
    ids = {link.device_id for link in links} | {r.device_id for r in found.reported}
    absent = away(ids, joins, events, infrastructure(events, end_us), found.suspensions, end_us)
    found = dataclasses.replace(found, deliveries=deliveries(db, run.id, events, absent, end_us))
    return _run_links(
        run,
        end_us,
        fetch.radios(db, run.id),
        fetch.described(db, ids, events),
        links,
        found,
        by_band_of(links),
    )


def links_of(data: RunData) -> RunLinks:
    """The same from a run that is loaded already."""
    heard = {link.device_id for link in data.links} | {r.device_id for r in data.bearers.reported}
    devices = [device for device in data.devices if device.id in heard]
    return _run_links(
        data.run,
        data.until_us,
        data.radios,
        devices,
        data.links,
        data.bearers,
        by_band_of(data.links),
    )


def _run_links(
    run: Run,
    until_us: int,
    radios: Sequence[Radio],
    devices: Iterable[Device],
    links: Sequence[Link],
    found: Bearers,
    by_band: tuple[BandRssi, ...],
) -> RunLinks:
    newest = {radio.name: radio for radio in radios}  # of those that came back the last
    return RunLinks(
        run=run,
        until_us=until_us,
        radios=tuple(_radio(radio, found) for radio in newest.values()),
        devices=tuple(_device(device, newest, links, found, until_us) for device in devices),
        by_band=by_band,
        noise=found.noise,
    )


def _radio(radio: Radio, found: Bearers) -> RadioLinks:
    page, channel = radio.page, radio.channel
    for move in found.moves:
        if move.radio == radio.name and move.at_us >= (radio.up_us or 0):
            page, channel = move.to_page, move.to_channel
    return RadioLinks(
        radio=radio.name,
        band=radio.band,
        page=page,
        channel=channel,
        model=radio.model,
        firmware=radio.firmware,
        tx_power_dbm=radio.tx_power_dbm,
        sensitivity=sensitivity(radio.band, radio.model),
        noise=noise_on(found.noise, radio.name, page, channel),
        airtime=tuple(a for a in found.airtime if a.radio == radio.name and a.device_id is None),
    )


def noise_on(found: Iterable[Noise], radio: str, page: int, channel: int) -> Noise | None:
    """What scans of that channel found, None when there were none."""
    for noise in found:
        if (noise.radio, noise.page, noise.channel) == (radio, page, channel):
            return noise
    return None


def _device(
    device: Device,
    radios: Mapping[str, Radio],
    links: Sequence[Link],
    found: Bearers,
    until_us: int,
) -> DeviceLinks:
    own = [link for link in links if link.device_id == device.id]
    reported = [report for report in found.reported if report.device_id == device.id]
    names = dict.fromkeys(
        [(link.radio, link.band) for link in own] + [(r.radio, r.band) for r in reported]
    )
    choices = [choice for choice in found.choices if choice.device_id == device.id]
    silent = [
        s
        for s in found.suspensions
        if s.device_id == device.id and s.start_us <= until_us < s.end_us
    ]
    return DeviceLinks(
        device_id=device.id,
        eui64=device.eui64,
        name=device.name,
        kind=device.kind,
        bearers=tuple(
            _bearer(
                device,
                radios.get(radio),
                [link for link in own if (link.radio, link.band) == (radio, band)],
                [report for report in reported if (report.radio, report.band) == (radio, band)],
                found,
                radio=radio,
                band=band,
            )
            for radio, band in names
        ),
        band=choices[-1] if choices else None,
        suspended=silent[-1] if silent else None,
    )


def _bearer(
    device: Device,
    hub: Radio | None,
    links: Sequence[Link],
    reported: Sequence[Reported],
    found: Bearers,
    *,
    radio: str,
    band: str,
) -> DeviceBearer:
    of_hub = sensitivity(band, None if hub is None else hub.model)
    of_device = sensitivity(band, None)
    ordered = sorted(links, key=lambda link: link.direction != "to-hub")
    heard = [
        _of_frames(link, of_hub if link.direction == "to-hub" else of_device, device)
        for link in ordered
    ]
    page = links[-1].page if links else (hub.page if hub else 0)
    channel = links[-1].channel if links else (hub.channel if hub else 0)
    heard += [_of_reports(report, of_device, device, page, channel) for report in reported]
    airtime = [a for a in found.airtime if a.radio == radio and a.device_id == device.id]
    return DeviceBearer(
        radio=radio,
        band=band,
        page=page,
        channel=channel,
        heard=tuple(heard),
        deliveries=tuple(
            d for d in found.deliveries if d.device_id == device.id and d.radio == radio
        ),
        airtime=airtime[0] if airtime else None,
    )


def _of_frames(link: Link, listener: Sensitivity, device: Device) -> Heard:
    if link.direction == "to-hub":
        scale = " ".join(part for part in (link.radio, link.firmware) if part)
    else:
        scale = device.eui64
    p10 = link.rssi_p10_dbm
    return Heard(
        direction=link.direction,
        source=FRAMES,
        page=link.page,
        channel=link.channel,
        samples=link.samples,
        rssi_p5_dbm=percentile(link.rssi_counts, 5),
        rssi_p10_dbm=p10,
        rssi_median_dbm=link.rssi_median_dbm,
        rssi_p95_dbm=percentile(link.rssi_counts, 95),
        sensitivity_dbm=listener.dbm,
        sensitivity_basis=listener.basis,
        margin_db=None if p10 is None else p10 - listener.dbm,
        lqi_p5=percentile(link.lqi_counts, 5),
        lqi_median=link.lqi_median,
        lqi_scale=scale,
    )


def _of_reports(
    report: Reported, listener: Sensitivity, device: Device, page: int, channel: int
) -> Heard:
    p10 = percentile(report.rssi_counts, 10)
    # The hub's own neighbour table holds the LQI of what the hub hears.
    of_hub = report.source == "neighbour"
    return Heard(
        direction="from-hub",
        source=report.source,
        page=page,
        channel=channel,
        samples=report.reports,
        rssi_p5_dbm=percentile(report.rssi_counts, 5),
        rssi_p10_dbm=p10,
        rssi_median_dbm=percentile(report.rssi_counts, 50),
        rssi_p95_dbm=percentile(report.rssi_counts, 95),
        sensitivity_dbm=listener.dbm,
        sensitivity_basis=listener.basis,
        margin_db=None if p10 is None else p10 - listener.dbm,
        lqi_p5=percentile(report.lqi_counts, 5),
        lqi_median=percentile(report.lqi_counts, 50),
        lqi_scale=report.radio if of_hub else device.eui64,
        in_cost=report.in_cost,
        out_cost=report.out_cost,
        power_delta_db=report.power_delta_db,
        mac_retries=report.mac_retries,
    )
