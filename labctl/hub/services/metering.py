"""Metering 0x0702: what one meter counts (SE 1.4 D.3).

A device may read, ask for profiles, samples and snapshots, and poll fast; a PPMID may switch on an
electricity supply that is armed. Everything that is the supplier's is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from zigpy.zcl.foundation import Status

from labctl.events import Event, Note
from labctl.hub.services.base import (
    NOT_AUTHORIZED,
    PUSHED,
    Outcome,
    Request,
    Service,
    answer,
    command_of,
)
from labctl.hub.services.metering_attributes import (
    FAST_POLL_UPDATE_S,
    MeteringState,
    metering_attributes,
)
from labctl.hub.services.metering_logs import get_profile, get_sampled_data
from labctl.hub.services.metering_snapshots import get_snapshot
from labctl.hub.services.publishing import enter, now_s
from labctl.hub.services.time import zigbee_time
from labctl.meters import Fuel, Meter, Originator, SupplyState
from labctl.meters.entries import SupplyAsked
from labctl.smart_energy.clusters import Metering

GET_PROFILE: Final = 0x00
REQUEST_FAST_POLL_MODE: Final = 0x03
GET_SNAPSHOT: Final = 0x06
GET_SAMPLED_DATA: Final = 0x08
LOCAL_CHANGE_SUPPLY: Final = 0x0C

_INVALID_FIELD = int(Status.INVALID_FIELD)
_FAST_POLL_LIMIT_S = 15 * 60


class MeteringService(Service[MeteringState]):
    """One meter's registers."""

    definition = Metering
    sends = (
        "get_profile_response",
        "request_fast_poll_mode_response",
        "publish_snapshot",
        "get_sampled_data_response",
        "supply_status_response",
    )
    commands = frozenset(
        {
            GET_PROFILE,
            REQUEST_FAST_POLL_MODE,
            GET_SNAPSHOT,
            GET_SAMPLED_DATA,
            LOCAL_CHANGE_SUPPLY,
        }
    )

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        super().__init__(metering_attributes(meter))
        self._fast_poll_s = 0
        self._fast_poll_end_s = 0
        self._doers: dict[int, Callable[[Request, Any], Outcome]] = {
            GET_PROFILE: lambda request, fields: get_profile(self.meter, request, fields),
            REQUEST_FAST_POLL_MODE: self._fast_poll,
            GET_SNAPSHOT: lambda request, fields: get_snapshot(self.meter, request, fields),
            GET_SAMPLED_DATA: lambda request, fields: get_sampled_data(self.meter, request, fields),
            LOCAL_CHANGE_SUPPLY: self._change_supply,
        }

    def state(self, now_us: int) -> MeteringState:
        """The reading that holds at `now_us`."""
        return MeteringState(self.meter, now_us)

    def command(self, request: Request, fields: Any) -> Outcome:
        """Carry out a command."""
        return self._doers[request.command_id](request, fields)

    def events(self, request: Request, fields: Any) -> Iterable[Event]:
        """That somebody switched on a supply, or tried to, is evidence."""
        if request.command_id == LOCAL_CHANGE_SUPPLY:
            yield Note(
                at_us=request.now_us,
                kind="supply-asked",
                eui64=request.eui64,
                detail={
                    "meter": self.meter.name,
                    "asked": int(fields.proposed_supply_status),
                    "supply": int(self.meter.supply_at(request.now_us).state),
                },
            )

    def _fast_poll(self, request: Request, fields: Any) -> Outcome:
        """D.3.2.3.1.4: not faster than the meter can, 15 minutes at most, and never prolonged.

        While it lasts, another request is told the period and the end of the mode that runs.
        """
        at_s = now_s(request)
        if at_s >= self._fast_poll_end_s:
            wanted_s = min(int(fields.duration) * 60, _FAST_POLL_LIMIT_S)
            self._fast_poll_s = max(int(fields.fast_poll_update_period), FAST_POLL_UPDATE_S)
            self._fast_poll_end_s = at_s + wanted_s
        return [
            answer(
                command_of(Metering, "request_fast_poll_mode_response"),
                applied_update_period=self._fast_poll_s,
                fast_poll_mode_end_time=zigbee_time(self._fast_poll_end_s),
            )
        ]

    def _change_supply(self, request: Request, fields: Any) -> Outcome:
        """D.3.2.3.1.13: an armed supply is switched on, never that of gas.

        What comes of it follows from the meter's state; the answer is what the supply is then.
        """
        proposed = int(fields.proposed_supply_status)
        if proposed not in (SupplyState.ARMED, SupplyState.ON):
            return _INVALID_FIELD
        if self.meter.fuel is Fuel.GAS:
            return NOT_AUTHORIZED
        asked = SupplyAsked(
            at_us=request.now_us,
            meter=self.meter.name,
            state=SupplyState(proposed),
            originator=Originator.PPMID,
        )
        enter(self.meter, asked)
        tariff = self.meter.tariff_at(now_s(request))
        return [
            answer(
                command_of(Metering, "supply_status_response"),
                PUSHED,
                provider_id=tariff.provider_id if tariff is not None else 0,
                issuer_event_id=zigbee_time(now_s(request)),
                implementation_date_time=zigbee_time(now_s(request)),
                supply_status=int(self.meter.supply_at(request.now_us).state),
            )
        ]
