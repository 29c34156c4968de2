"""What the node tells, handed on to the part of the firmware that it concerns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.smart_energy.airtime import DutyCycleState
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.node import Admission, Indication, NodeListener, TrustCentreDecision

if TYPE_CHECKING:
    from labctl.virtual.ncp.ezsp import Ezsp


class FirmwareListener(NodeListener):
    """The ears of the firmware."""

    def __init__(self, ezsp: Ezsp) -> None:
        self._ezsp = ezsp

    def data_received(self, indication: Indication) -> None:
        """For an endpoint."""
        self._ezsp.messaging.data_received(indication)

    def zdo_request(self, indication: Indication) -> bool:
        """True when the host has claimed requests of this kind."""
        return self._ezsp.zdo.request(indication)

    def zdo_observed(self, indication: Indication) -> None:
        """A copy for the host, of what it wants to see."""
        self._ezsp.zdo.observed(indication)

    def child_joined(self, eui64: Eui64, nwk: int, rx_on_when_idle: bool, rejoin: bool) -> None:
        """childJoinHandler."""
        self._ezsp.joining.child_joined(eui64, nwk, rx_on_when_idle, rejoin)

    def child_left(self, eui64: Eui64, nwk: int) -> None:
        """childJoinHandler."""
        self._ezsp.joining.child_left(eui64, nwk)

    def admission(
        self, eui64: Eui64, nwk: int, kind: Admission, parent: int
    ) -> TrustCentreDecision:
        """The trust centre's decision, and trustCenterJoinHandler."""
        return self._ezsp.joining.admission(eui64, nwk, kind, parent)

    def child_polled(self, nwk: int, phy: int, pending: bool) -> None:
        """pollHandler, by policy."""
        self._ezsp.joining.child_polled(nwk, pending)

    def application_key_requested(self, requester: Eui64, partner: Eui64) -> bool:
        """By policy."""
        return self._ezsp.joining.application_key_requested(requester, partner)

    def duty_cycle_changed(self, phy: int, state: DutyCycleState) -> None:
        """dutyCycleHandler. There is one radio below 1 GHz."""
        self._ezsp.duty_cycle.changed(state)

    def network_changed(self) -> None:
        """Counters have moved on, children come or gone."""
        self._ezsp.flash.save_soon()
