"""Tunnels that the hub opens to PPMIDs and load switches (GBCS 10.2.2.1), and keeps open.

One request at a time for all devices. Busy: again after 180 s. No ids: the hub closes what it has
there and asks again after 5 s. No answer within 5 s: again at the next look, 10 s later. After five
attempts the hub lets it be until the device gets in anew.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from labctl.events import DeviceKind, Severity
from labctl.hub.device_log import Device
from labctl.hub.discovery import Discovery
from labctl.hub.frames import Frame
from labctl.hub.post import TO_SERVER, Letter, Means
from labctl.hub.services.base import NOT_FOUND, SUCCESS, Outcome, Request
from labctl.smart_energy.clusters import Tunneling
from labctl.smart_energy.clusters.tunneling import (
    GB_HRGP,
    NO_MANUFACTURER,
    TransferStatus,
    TunnelStatus,
)
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.status import status_name

CLUSTER_ID: Final = 0x0704
LOOK_S, BUSY_S, NO_IDS_S, ANSWER_S, ATTEMPTS = 10.0, 180.0, 5.0, 5.0, 5
MAXIMUM_TRANSFER: Final = 1500
MOST_GIVEN: Final = 16
"""So many of the ids that a device gave are remembered, to be closed when it has no more."""
TUNNELLED: Final = frozenset({DeviceKind.PPMID, DeviceKind.LOAD_SWITCH})
"""Kinds of devices to which the hub opens tunnels."""

_COMMANDS = Tunneling.ServerCommandDefs
_RESPONSE, _DATA, _ERROR, _ACK, _READY, _PROTOCOLS, _CLOSED = range(7)


@dataclass(slots=True)
class _Partner:
    """A device that the hub opens a tunnel to. `tunnel` is its id, None while there is none."""

    device: Device
    endpoint: int | None = None
    tunnel: int | None = None
    most: int = 0
    attempts: int = 0
    given: dict[int, None] = field(default_factory=dict)
    """Ids that the device gave, and that it may still hold open: the last `MOST_GIVEN`."""
    waiting: asyncio.Future[Any] | None = field(default=None, repr=False)


class Tunnels:
    """The hub as client of its devices' Tunneling servers."""

    def __init__(self, means: Means, discovery: Discovery, *, enabled: bool, endpoint: int) -> None:
        self._means = means
        self._discovery = discovery
        self._enabled = enabled
        self._endpoint = endpoint
        self._partners: dict[Eui64, _Partner] = {}
        self._one_at_a_time = asyncio.Lock()

    def authorised(self, device: Device) -> None:
        """A device got in: it is to have a tunnel, whatever came of earlier attempts."""
        partner = self._partners.get(device.eui64)
        if partner is not None and partner.tunnel is None and partner.attempts >= ATTEMPTS:
            partner.attempts = 0
            self._soon(partner, LOOK_S)
        self.heard(device)

    def heard(self, device: Device) -> None:
        """A device that is in said something: if it is the first word, it is to have a tunnel."""
        if (
            self._enabled
            and device.kind in TUNNELLED
            and device.eui64 not in self._partners
            and not device.sleepy
        ):
            partner = self._partners[device.eui64] = _Partner(device)
            self._soon(partner, LOOK_S)

    def forget(self, eui64: Eui64) -> None:
        """A device was unpaired."""
        partner = self._partners.pop(eui64, None)
        if partner is not None:
            self._answered(partner, None)

    async def send(self, eui64: Eui64, data: bytes) -> bool:
        """Send through the tunnel to a device; False when there is none, or it failed.

        Raises `ValueError` for more octets than the device takes.
        """
        partner = self._partners.get(eui64)
        if partner is None or partner.tunnel is None:
            return False
        if len(data) > partner.most:
            raise ValueError(f"{len(data)} octets; the device takes {partner.most}")
        sent = await self._command(
            partner, _COMMANDS.transfer_data, tunnel_id=partner.tunnel, data=data
        )
        if sent:
            self._note("tunnel-data", partner, octets=len(data), direction="from-hub")
        return sent

    # -- what devices say -------------------------------------------------------------------------

    def from_server(self, request: Request, fields: Any) -> Outcome:
        """A command of a device's server."""
        partner = self._partners.get(request.eui64)
        if partner is None:
            return NOT_FOUND
        if request.command_id == _RESPONSE:
            self._answered(partner, fields)
            return SUCCESS
        if request.command_id == _PROTOCOLS:
            return SUCCESS
        if fields.tunnel_id != partner.tunnel:
            return NOT_FOUND
        if request.command_id == _DATA:
            self._note("tunnel-data", partner, octets=len(fields.data), direction="to-hub")
        elif request.command_id == _CLOSED:
            partner.given.pop(int(fields.tunnel_id), None)
            self._lost(partner, "closed by the device")
        elif request.command_id == _ERROR:
            status = int(fields.transfer_data_status)
            self._note("tunnel-error", partner, status=status)
            if status == TransferStatus.NO_SUCH_TUNNEL:
                self._lost(partner, "the device does not know it")
        return SUCCESS

    def default_response(self, device: Device, frame: Frame) -> None:
        """A device answers a command with a status alone."""
        partner = self._partners.get(device.eui64)
        if partner is None or len(frame.payload) < 2:
            return
        if frame.payload[0] == int(_COMMANDS.request_tunnel.id):
            self._answered(partner, frame.payload[1])
        elif frame.payload[1] == NOT_FOUND and partner.tunnel is not None:
            self._lost(partner, "the device does not know it")

    @staticmethod
    def _answered(partner: _Partner, answer: Any) -> None:
        if partner.waiting is not None and not partner.waiting.done():
            partner.waiting.set_result(answer)

    def _lost(self, partner: _Partner, cause: str) -> None:
        self._note("tunnel-closed", partner, cause=cause)
        partner.tunnel, partner.attempts = None, 0
        self._soon(partner, LOOK_S)

    # -- opening ----------------------------------------------------------------------------------

    def _soon(self, partner: _Partner, seconds: float) -> None:
        chores = self._means.chores
        chores.later(seconds, lambda: chores.run(self._open(partner)))

    async def _open(self, partner: _Partner) -> None:
        async with self._one_at_a_time:
            device = partner.device
            if self._partners.get(device.eui64) is not partner or partner.tunnel is not None:
                return
            if not device.authorised:
                del self._partners[device.eui64]  # it is to be authorised again first
                return
            partner.attempts += 1
            again_s, cause = await self._attempt(partner)
        if partner.tunnel is not None or self._partners.get(device.eui64) is not partner:
            return
        if again_s is None or partner.attempts >= ATTEMPTS:
            partner.attempts = ATTEMPTS
            self._note("tunnel-not-opened", partner, Severity.WARNING, cause=cause)
            return
        self._soon(partner, again_s)

    async def _attempt(self, partner: _Partner) -> tuple[float | None, str]:
        """Ask for a tunnel; when to ask again (None: never), and why."""
        if partner.endpoint is None:
            partner.endpoint = await self._discovery.server(partner.device, CLUSTER_ID)
        if partner.endpoint is None:
            return LOOK_S, "no endpoint of the device serves Tunneling"
        answer = await self._ask(partner)
        if answer is None:
            return LOOK_S, "the device did not answer"
        if isinstance(answer, int):
            return LOOK_S, f"the device answered {status_name(answer)}"
        status = int(answer.tunnel_status)
        if status == TunnelStatus.SUCCESS:
            partner.tunnel = int(answer.tunnel_id)
            self._keep(partner, partner.tunnel)
            partner.most = int(answer.maximum_incoming_transfer_size)
            self._note("tunnel-opened", partner, attempts=partner.attempts)
            partner.attempts = 0
            return None, ""
        if status == TunnelStatus.BUSY:
            return BUSY_S, "the device is busy"
        if status == TunnelStatus.NO_MORE_IDS:
            await self._close_others(partner)
            return NO_IDS_S, "the device has no more tunnel ids"
        if status in (
            TunnelStatus.PROTOCOL_NOT_SUPPORTED,
            TunnelStatus.FLOW_CONTROL_NOT_SUPPORTED,
        ):
            return None, f"the device answered {TunnelStatus(status).name}"
        return LOOK_S, f"the device answered with the unknown status {status}"

    async def _ask(self, partner: _Partner) -> Any:
        """The response, the status of a Default Response, or None."""
        waiting = partner.waiting = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER_S):
                if not await self._command(
                    partner,
                    _COMMANDS.request_tunnel,
                    protocol_id=GB_HRGP,
                    manufacturer_code=NO_MANUFACTURER,
                    flow_control_support=False,
                    maximum_incoming_transfer_size=MAXIMUM_TRANSFER,
                ):
                    return None
                return await waiting
        except TimeoutError:
            return None
        finally:
            partner.waiting = None

    @staticmethod
    def _keep(partner: _Partner, tunnel_id: int) -> None:
        partner.given.pop(tunnel_id, None)
        partner.given[tunnel_id] = None
        if len(partner.given) > MOST_GIVEN:
            del partner.given[next(iter(partner.given))]

    async def _close_others(self, partner: _Partner) -> None:
        """Close what the device gave before and may still hold open."""
        while partner.given:
            tunnel_id, _ = partner.given.popitem()
            await self._command(partner, _COMMANDS.close_tunnel, tunnel_id=tunnel_id)

    async def _command(self, partner: _Partner, command: Any, **fields: Any) -> bool:
        assert partner.endpoint is not None
        return await self._means.post.send(
            Letter(
                eui64=partner.device.eui64,
                source_endpoint=self._endpoint,
                endpoint=partner.endpoint,
                cluster_id=CLUSTER_ID,
                command_id=int(command.id),
                payload=command.schema(**fields).serialize(),
                control=TO_SERVER,
            )
        )

    def _note(
        self, kind: str, partner: _Partner, severity: Severity = Severity.INFO, **detail: object
    ) -> None:
        self._means.reporter.note(
            kind, severity, partner.device.eui64, tunnel=partner.tunnel, opened_by="hub", **detail
        )
