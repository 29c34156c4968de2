"""What a virtual device does wrong on purpose, so that the hub's refusals can be seen."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.virtual.devices import zcl, zdp
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.port import NoAnswer, Peer, RequestRefused, ZclPort
from labctl.virtual.devices.registration import TRUST_CENTRE
from labctl.virtual.devices.settings import METERING, SMART_ENERGY_PROFILE, Timings
from labctl.virtual.devices.trouble import write_outcome
from labctl.virtual.node import Node

_SUMMATION, _MULTIPLIER, _UINT24 = 0x0000, 0x0301, 0x22


@dataclass(slots=True)
class Provocation:
    """Requests that a hub must refuse; what came of each is noted as PROVOKED."""

    node: Node
    port: ZclPort
    timings: Timings
    saw: Observations

    async def read_too_early(self) -> bool | None:
        """Read a meter before key establishment, in the clear and under the install code's key.

        Whether any value came; None when no meter was found to ask.
        """
        peer = await self._meter()
        if peer is None:
            self.saw.note(What.PROVOKED, "early read: no meter found")
            return None
        any_value = False
        for secured, how in ((False, "in the clear"), (True, "under the install code's key")):
            try:
                records = await self.port.read(peer, METERING, (_SUMMATION,), aps_secured=secured)
            except RequestRefused as refused:
                outcome = f"refused with {refused}"
            except NoAnswer as silence:
                outcome = f"no answer ({silence.reason})"
            else:
                served = any(r.status == zcl.Status.SUCCESS for r in records.values())
                outcome = "SERVED" if served else "no data"
                any_value = any_value or served
            self.saw.note(What.PROVOKED, f"early read {how}: {outcome}")
        return any_value

    async def write(self, peer: Peer) -> None:
        """Write the meter's Multiplier."""
        payload = zcl.write_attributes([(_MULTIPLIER, _UINT24, 2)])
        try:
            answer = await self.port.request(peer, METERING, zcl.Global.WRITE, payload)
            self.saw.note(What.PROVOKED, f"write: {write_outcome(answer)}")
        except NoAnswer as silence:
            self.saw.note(What.PROVOKED, f"write: no answer ({silence.reason})")

    async def _meter(self) -> Peer | None:
        body = await self.node.zdo(
            TRUST_CENTRE,
            zdp.MATCH_DESC,
            zdp.match_desc(TRUST_CENTRE, SMART_ENERGY_PROFILE, METERING),
            timeout_s=self.timings.zdo_timeout_s,
        )
        endpoints = zdp.matched_endpoints(body)
        return Peer(TRUST_CENTRE, endpoints[0]) if endpoints else None
