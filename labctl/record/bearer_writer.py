"""How the events of bearers become rows: airtime, noise, link reports, suspension, moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from labctl import events as ev
from labctl.record.ids import Rows

_DUTY_SEVERITY = {
    ev.AirtimeState.LIMITED: ev.Severity.WARNING,
    ev.AirtimeState.CRITICAL: ev.Severity.WARNING,
    ev.AirtimeState.SUSPENDED: ev.Severity.ERROR,
}


class _Note(Protocol):
    def __call__(
        self,
        at_us: int,
        kind: str,
        *,
        device_id: int | None = None,
        severity: ev.Severity = ev.Severity.INFO,
        detail: dict[str, object],
    ) -> None: ...


class BearerWriter:
    """One method for each kind of event; `note` writes into the events table."""

    def __init__(self, rows: Rows, note: _Note) -> None:
        self._rows = rows
        self._note = note
        self.handlers: dict[type[ev.Event], Callable[[Any], None]] = {
            ev.LinkReport: self._link_report,
            ev.Deliveries: self._deliveries,
            ev.NoiseSample: self._noise_sample,
            ev.AirtimeSample: self._airtime_sample,
            ev.DutyCycleChanged: self._duty_cycle_changed,
            ev.Suspended: self._suspended,
            ev.Resumed: self._resumed,
            ev.ChannelMoved: self._channel_moved,
            ev.BandUse: self._band_use,
            ev.CapacityExceeded: self._capacity_exceeded,
        }

    def _insert(self, table: str, event: ev.Event, radio: str, **values: object) -> None:
        known = self._rows.known
        self._rows.insert(
            table,
            run_id=known.run_id,
            radio_id=known.radios.get(radio),
            at_us=event.at_us,
            **values,
        )

    def _link_report(self, event: ev.LinkReport) -> None:
        self._insert(
            "link_reports",
            event,
            event.radio,
            device_id=self._rows.device(event.eui64, event.at_us),
            source=event.source.value,
            lqi=event.lqi,
            rssi_dbm=event.rssi_dbm,
            in_cost=event.in_cost,
            out_cost=event.out_cost,
            power_delta_db=event.power_delta_db,
            mac_retries=event.mac_retries,
        )

    def _deliveries(self, event: ev.Deliveries) -> None:
        self._insert(
            "deliveries",
            event,
            event.radio,
            device_id=self._rows.device(event.eui64, event.at_us),
            attempts=event.attempts,
            delivered=event.delivered,
            retries=event.retries,
        )

    def _noise_sample(self, event: ev.NoiseSample) -> None:
        self._insert(
            "noise_samples",
            event,
            event.radio,
            page=event.page,
            channel=event.channel,
            level_dbm=event.level_dbm,
        )

    def _airtime_sample(self, event: ev.AirtimeSample) -> None:
        eui64, next_state = event.eui64, event.next_state
        self._insert(
            "airtime_samples",
            event,
            event.radio,
            device_id=None if eui64 is None else self._rows.device(eui64, event.at_us),
            airtime_us=event.airtime_us,
            limited_us=event.limited_us,
            critical_us=event.critical_us,
            regulated_us=event.regulated_us,
            state=event.state.value,
            source=event.source.value,
            next_state=None if next_state is None else next_state.value,
            next_state_in_s=event.next_state_in_s,
        )

    def _duty_cycle_changed(self, event: ev.DutyCycleChanged) -> None:
        self._note(
            event.at_us,
            "duty-cycle-changed",
            severity=_DUTY_SEVERITY.get(event.state, ev.Severity.INFO),
            detail=_told(
                radio=event.radio,
                state=event.state.value,
                before=None if event.before is None else event.before.value,
                airtime_us=event.airtime_us,
            ),
        )

    def _suspended(self, event: ev.Suspended) -> None:
        self._note(
            event.at_us,
            "suspended",
            device_id=self._rows.device(event.eui64, event.at_us),
            severity=ev.Severity.WARNING,
            detail=_told(radio=event.radio, minutes=event.minutes, cause=event.cause),
        )

    def _resumed(self, event: ev.Resumed) -> None:
        self._note(
            event.at_us,
            "resumed",
            device_id=self._rows.device(event.eui64, event.at_us),
            detail=_told(radio=event.radio, cause=event.cause or None),
        )

    def _channel_moved(self, event: ev.ChannelMoved) -> None:
        self._note(
            event.at_us,
            "channel-moved",
            severity=ev.Severity.WARNING,
            detail=_told(
                radio=event.radio,
                from_page=event.from_page,
                from_channel=event.from_channel,
                to_page=event.to_page,
                to_channel=event.to_channel,
                cause=event.cause,
            ),
        )

    def _band_use(self, event: ev.BandUse) -> None:
        self._note(
            event.at_us,
            "band-used",
            device_id=self._rows.device(event.eui64, event.at_us),
            detail=_told(
                used=event.used.value,
                could=[band.value for band in event.could],
                why=event.why,
            ),
        )

    def _capacity_exceeded(self, event: ev.CapacityExceeded) -> None:
        self._note(
            event.at_us,
            "capacity-exceeded",
            device_id=self._rows.device(event.eui64, event.at_us),
            severity=ev.Severity.WARNING,
            detail=_told(radio=event.radio, links=event.links, limit=event.limit),
        )


def _told(**detail: object) -> dict[str, object]:
    """The detail of an event, without what is not known."""
    return {name: value for name, value in detail.items() if value is not None}
