"""What the node tells, handed on to the part of the firmware that it concerns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.node import Admission, Indication, NodeListener, TrustCentreDecision

if TYPE_CHECKING:
    from labctl.virtual.znp.firmware import Znp


class FirmwareListener(NodeListener):
    """The ears of the firmware."""

    def __init__(self, znp: Znp) -> None:
        self._znp = znp

    def data_received(self, indication: Indication) -> None:
        """For an endpoint."""
        self._znp.af.data_received(indication)

    def zdo_request(self, indication: Indication) -> bool:
        """Some requests are the firmware's own affair."""
        return self._znp.zdo.answers(indication)

    def zdo_observed(self, indication: Indication) -> None:
        """A copy for the host, of what it wants to see."""
        self._znp.zdo.observed(indication)

    def admission(
        self, eui64: Eui64, nwk: int, kind: Admission, parent: int
    ) -> TrustCentreDecision:
        """The trust centre's decision."""
        return self._znp.trust.admission(eui64, nwk, kind, parent)

    def application_key_requested(self, requester: Eui64, partner: Eui64) -> bool:
        """Always brokered: there is no policy for it."""
        return True

    def leave_heard(self, eui64: Eui64, nwk: int, *, request: bool, rejoin: bool) -> None:
        """A leave command."""
        self._znp.zdo.leave_heard(eui64, nwk, request, rejoin)

    def network_changed(self) -> None:
        """Counters have moved on, children come or gone."""
        self._znp.network.persist()
