"""Device Management 0x0708: tenancy, supplier and site of one meter (SE 1.4 D.10)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from labctl.hub.services.base import (
    NOT_FOUND,
    PUSHED,
    Answer,
    Attribute,
    Outcome,
    Request,
    Service,
    answer,
    command_of,
    defined,
)
from labctl.hub.services.time import zigbee_time
from labctl.hub.settings import Supplier
from labctl.meters import Fuel, Meter
from labctl.smart_energy.clusters import DeviceManagement
from labctl.smart_energy.clusters.device_management import CLEAR_CONSUMER_DATA, TENANCY_UNKNOWN

GET_CHANGE_OF_TENANCY, GET_CHANGE_OF_SUPPLIER, GET_SITE_ID, GET_CIN = 0x00, 0x01, 0x03, 0x05

LOW_MEDIUM_W, MEDIUM_HIGH_W = 500, 1500
"""Demand at which displays go from green to amber, and from amber to red."""
_DELIVERED = 0x00
_CONTACTOR_UNCHANGED = 0x03 << 11
_WAN_CONNECTED = 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplierChange:
    """Another supplier takes over at `at` (seconds since 2000)."""

    event_id: int
    proposed_id: int
    name: str
    contact: str
    at: int

    @property
    def control(self) -> int:
        """The supply stays as it is (D.10.2.3.1.1.5)."""
        return _CONTACTOR_UNCHANGED


@dataclass(frozen=True, slots=True)
class _State:
    provider: int
    tenancy: int | None
    change: SupplierChange | None


class DeviceManagementService(Service[_State]):
    """What a display may know of the contract behind a meter."""

    definition = DeviceManagement
    sends = (
        "publish_change_of_tenancy",
        "publish_change_of_supplier",
        "update_site_id",
        "update_cin",
    )
    commands = frozenset({GET_CHANGE_OF_TENANCY, GET_CHANGE_OF_SUPPLIER, GET_SITE_ID, GET_CIN})

    def __init__(self, meter: Meter, supplier: Supplier, started_us: int) -> None:
        self.meter = meter
        self._supplier = supplier
        self._since = zigbee_time(started_us // 1_000_000)
        self._proposed: SupplierChange | None = None
        attributes: list[Attribute[_State]] = [
            _attribute("provider_id", lambda s: s.provider),
            _attribute("provider_name", supplier.name.encode()),
            _attribute("provider_contact_details", supplier.contact.encode()),
            _attribute("proposed_provider_id", lambda s: s.change and s.change.proposed_id),
            _attribute("proposed_provider_name", lambda s: s.change and s.change.name.encode()),
            _attribute("proposed_provider_change_date_time", lambda s: s.change and s.change.at),
            _attribute("proposed_provider_change_control", lambda s: s.change and s.change.control),
            _attribute(
                "proposed_provider_contact_details",
                lambda s: s.change and s.change.contact.encode(),
            ),
            _attribute(
                "change_of_tenancy_update_date_time",
                lambda s: TENANCY_UNKNOWN if s.tenancy is None else s.tenancy,
            ),
            _attribute(
                "proposed_tenancy_change_control",
                lambda s: 0 if s.tenancy is None else CLEAR_CONSUMER_DATA,
            ),
            _attribute("wan_status", _WAN_CONNECTED),
        ]
        if meter.fuel is Fuel.ELECTRICITY:
            attributes += [
                _attribute("low_medium_threshold", LOW_MEDIUM_W),
                _attribute("medium_high_threshold", MEDIUM_HIGH_W),
            ]
        super().__init__(attributes)

    def state(self, now_us: int) -> _State:
        """Who supplies at `now_us`, and since when who lives here."""
        now_s = now_us // 1_000_000
        tariff = self.meter.tariff_at(now_s)
        since = self.meter.tenancy_since(now_s)
        return _State(
            self._supplier.provider_id if tariff is None else tariff.provider_id,
            None if since is None else zigbee_time(since),
            self._proposed,
        )

    def announce(self, change: SupplierChange, now_us: int) -> Answer:
        """Note another supplier to come; what goes out to whoever is bound."""
        self._proposed = change
        word = self._change(self.state(now_us))
        assert word is not None
        return replace(word, control=PUSHED)

    def command(self, request: Request, fields: Any) -> Outcome:
        """Publish what was asked for, if there is any of it."""
        state = self.state(request.now_us)
        found: Answer | None
        if request.command_id == GET_CHANGE_OF_TENANCY:
            found = self._tenancy(state)
        elif request.command_id == GET_CHANGE_OF_SUPPLIER:
            found = self._change(state)
        elif request.command_id == GET_SITE_ID:
            found = self._site(state)
        else:
            found = self._customer(state)
        return NOT_FOUND if found is None else [found]

    def _tenancy(self, state: _State) -> Answer | None:
        if state.tenancy is None:
            return None
        return answer(
            command_of(DeviceManagement, "publish_change_of_tenancy"),
            supplier_id=state.provider,
            issuer_event_id=state.tenancy,
            tariff_type=_DELIVERED,
            implementation_date_time=state.tenancy,
            proposed_tenancy_change_control=CLEAR_CONSUMER_DATA,
        )

    def _change(self, state: _State) -> Answer | None:
        change = state.change
        if change is None:
            return None
        return answer(
            command_of(DeviceManagement, "publish_change_of_supplier"),
            current_provider_id=state.provider,
            issuer_event_id=change.event_id,
            tariff_type=_DELIVERED,
            proposed_provider_id=change.proposed_id,
            provider_change_implementation_time=change.at,
            provider_change_control=change.control,
            proposed_provider_name=change.name.encode(),
            proposed_provider_contact_details=change.contact.encode(),
        )

    def _site(self, state: _State) -> Answer:
        return answer(
            command_of(DeviceManagement, "update_site_id"),
            issuer_event_id=self._since,
            site_id_time=self._since,
            provider_id=state.provider,
            site_id=self.meter.mpxn.encode(),
        )

    def _customer(self, state: _State) -> Answer | None:
        if not self._supplier.customer_id:
            return None
        return answer(
            command_of(DeviceManagement, "update_cin"),
            issuer_event_id=self._since,
            cin_implementation_time=self._since,
            provider_id=state.provider,
            customer_id_number=self._supplier.customer_id.encode(),
        )


def _attribute(name: str, value: Any) -> Attribute[_State]:
    return Attribute(defined(DeviceManagement, name), value)
