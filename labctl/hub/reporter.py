"""Events as the hub's parts emit them: with the time filled in."""

from __future__ import annotations

from collections.abc import Callable

from labctl.clock import Clock
from labctl.events import (
    DeviceSeen,
    Direction,
    EventBus,
    LinkSample,
    Note,
    RadioUp,
    Refused,
    Severity,
)
from labctl.hub.device_log import Device
from labctl.radio.coordinator import Incoming, RadioState


class Reporter:
    """The event bus and the clock, together."""

    def __init__(self, bus: EventBus, clock: Clock) -> None:
        self.emit = bus.emit
        self.now_us = clock.now_us
        self.without_radio: Callable[[], bool] = lambda: False
        """Whether a radio is lost at the moment."""

    def note(
        self,
        kind: str,
        severity: Severity = Severity.INFO,
        eui64: str | None = None,
        **detail: object,
    ) -> None:
        """Something that has no event of its own; `kind` is a short stable word.

        That a radio is lost was said when it was: what fails for that is no `radio-error`.
        """
        if kind == "radio-error" and self.without_radio():
            return
        self.emit(
            Note(at_us=self.now_us(), kind=kind, severity=severity, eui64=eui64, detail=detail)
        )

    def refused(
        self,
        eui64: str,
        layer: str,
        cause: str,
        *,
        packet: Incoming | None = None,
        command_id: int | None = None,
        status: int | None = None,
    ) -> None:
        """A request was refused; `status` is what the device was told, None for silence."""
        self.emit(
            Refused(
                at_us=self.now_us(),
                eui64=eui64,
                layer=layer,
                cause=cause,
                endpoint=packet.destination_endpoint if packet else None,
                cluster_id=packet.cluster_id if packet else None,
                command_id=command_id,
                status=status,
            )
        )

    def sample(self, device: Device, packet: Incoming, radio: RadioState, now_us: int) -> None:
        """A unicast from a known device was heard."""
        self.emit(
            LinkSample(
                at_us=now_us,
                eui64=device.eui64,
                radio=radio.name,
                direction=Direction.TO_HUB,
                page=radio.page,
                channel=radio.channel,
                lqi=packet.lqi,
                rssi_dbm=packet.rssi_dbm,
            )
        )

    def device_declared(self, device: Device) -> None:
        """A device is in the log, and this is what its owner says it is."""
        self.emit(
            DeviceSeen(
                at_us=self.now_us(),
                eui64=device.eui64,
                name=device.name,
                kind=device.kind,
                manufacturer=device.manufacturer,
                model=device.model,
            )
        )

    def radio_up(self, radio: RadioState) -> None:
        """The coordinator runs its network."""
        self.emit(
            RadioUp(
                at_us=self.now_us(),
                name=radio.name,
                driver=radio.driver,
                band=radio.band,
                path=radio.path,
                eui64=radio.eui64,
                page=radio.page,
                channel=radio.channel,
                pan_id=radio.pan_id,
                extended_pan_id=radio.extended_pan_id,
                resumed=radio.resumed,
                tx_power_dbm=radio.tx_power_dbm,
                serial_number=radio.serial_number,
                manufacturer=radio.manufacturer,
                model=radio.model,
                firmware=radio.firmware,
                protocol_version=radio.protocol_version,
            )
        )
        for remark in radio.remarks:
            self.note("radio-differs", Severity.WARNING, cause=remark)
