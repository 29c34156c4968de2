"""Tunneling 0x0704: the hub as server, and the ear of the hub as client (SE 1.4 D.6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from labctl.events import Severity
from labctl.hub.chores import nothing
from labctl.hub.post import Letter, Means
from labctl.hub.services.base import (
    NOT_FOUND,
    PUSHED,
    SUCCESS,
    Answer,
    Attribute,
    Outcome,
    Request,
    Service,
    answer,
    command_of,
    defined,
)
from labctl.hub.settings import TunnelSettings
from labctl.smart_energy.clusters import Tunneling
from labctl.smart_energy.clusters.tunneling import (
    GB_HRGP,
    NO_MANUFACTURER,
    NO_TUNNEL,
    TransferStatus,
    TunnelProtocol,
    TunnelStatus,
)
from labctl.smart_energy.eui64 import Eui64

REQUEST_TUNNEL, CLOSE_TUNNEL, TRANSFER_DATA, TRANSFER_ERROR, ACK, READY, GET_PROTOCOLS = range(7)

MAXIMUM_TRANSFER: Final = 1500
"""Octets of one Transfer Data that the hub takes; GB devices must be able to send as much."""
_FOR_EVER = 0xFFFF


class TunnelClient(Protocol):
    """Whoever opens tunnels to devices."""

    def from_server(self, request: Request, fields: Any) -> Outcome:
        """Take a command of a device's server."""


@dataclass(slots=True)
class _Tunnel:
    """A tunnel that a device opened to the hub."""

    eui64: Eui64
    endpoint: int
    most: int
    prevent_close: Callable[[], None] = nothing


class TunnelingService(Service[None]):
    """Tunnels from devices. `received` gets what comes through (device, octets)."""

    definition = Tunneling
    sends = (
        "request_tunnel_response",
        "transfer_data_from_server",
        "transfer_data_error_from_server",
        "supported_tunnel_protocols_response",
        "tunnel_closure_notification",
    )
    commands = frozenset(range(7))
    also_client = True
    client_commands = frozenset({0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06})
    client_generated = (0x00, 0x01, 0x02)

    def __init__(
        self, settings: TunnelSettings, means: Means, client: TunnelClient, endpoint: int
    ) -> None:
        close_after = settings.close_after_s
        super().__init__(
            [
                Attribute(
                    defined(Tunneling, "close_tunnel_timeout"),
                    _FOR_EVER if close_after is None else close_after,
                )
            ]
        )
        self._settings = settings
        self._means = means
        self._client = client
        self._endpoint = endpoint
        self._tunnels: dict[int, _Tunnel] = {}
        self._next_id = 0

    def client_command(self, request: Request, fields: Any) -> Outcome:
        """A device's server answers or sends."""
        return self._client.from_server(request, fields)

    def forget(self, eui64: Eui64) -> None:
        """A device was unpaired: its tunnels are gone."""
        for tunnel_id in [i for i, tunnel in self._tunnels.items() if tunnel.eui64 == eui64]:
            self._drop(tunnel_id)

    async def send(self, eui64: Eui64, data: bytes) -> bool:
        """Send through the tunnel that a device opened; False when it has none, or it failed.

        Raises `ValueError` for more octets than the device takes.
        """
        for tunnel_id, tunnel in self._tunnels.items():
            if tunnel.eui64 == eui64:
                if len(data) > tunnel.most:
                    raise ValueError(f"{len(data)} octets; the device takes {tunnel.most}")
                self._used(tunnel_id, tunnel)
                word = answer(
                    command_of(Tunneling, "transfer_data_from_server"),
                    PUSHED,
                    tunnel_id=tunnel_id,
                    data=data,
                )
                return await self._send(tunnel, word)
        return False

    def command(self, request: Request, fields: Any) -> Outcome:
        """Open, use and close."""
        if request.command_id == REQUEST_TUNNEL:
            return [self._open(request, fields)]
        if request.command_id == GET_PROTOCOLS:
            return [_protocols(int(fields.protocol_offset))]
        tunnel_id = int(fields.tunnel_id)
        tunnel = self._tunnels.get(tunnel_id)
        mine = tunnel is not None and tunnel.eui64 == request.eui64
        if request.command_id == TRANSFER_DATA:
            return self._transfer(request, tunnel_id, tunnel, bytes(fields.data))
        if request.command_id == CLOSE_TUNNEL:
            if not mine:
                return NOT_FOUND
            self._drop(tunnel_id)
            self._note("tunnel-closed", request.eui64, tunnel_id)
            return SUCCESS
        if request.command_id == TRANSFER_ERROR:
            self._note(
                "tunnel-error", request.eui64, tunnel_id, status=int(fields.transfer_data_status)
            )
        # Acknowledgements and Ready belong to flow control, which is not on offer.
        return SUCCESS if mine else NOT_FOUND

    def _open(self, request: Request, fields: Any) -> Answer:
        status = self._objection(fields)
        tunnel_id = NO_TUNNEL
        if status is TunnelStatus.SUCCESS:
            tunnel_id = self._free_id()
            tunnel = self._tunnels[tunnel_id] = _Tunnel(
                request.eui64,
                request.source_endpoint,
                int(fields.maximum_incoming_transfer_size),
            )
            self._used(tunnel_id, tunnel)
            self._note("tunnel-opened", request.eui64, tunnel_id)
        else:
            self._means.reporter.note(
                "tunnel-refused",
                Severity.WARNING,
                request.eui64,
                status=status.name,
                protocol=int(fields.protocol_id),
            )
        return answer(
            command_of(Tunneling, "request_tunnel_response"),
            tunnel_id=tunnel_id,
            tunnel_status=int(status),
            maximum_incoming_transfer_size=MAXIMUM_TRANSFER,
        )

    def _objection(self, fields: Any) -> TunnelStatus:
        if self._settings.busy:
            return TunnelStatus.BUSY
        if (fields.protocol_id, fields.manufacturer_code) != (GB_HRGP, NO_MANUFACTURER):
            return TunnelStatus.PROTOCOL_NOT_SUPPORTED
        if fields.flow_control_support:
            return TunnelStatus.FLOW_CONTROL_NOT_SUPPORTED
        if len(self._tunnels) >= self._settings.most:
            return TunnelStatus.NO_MORE_IDS
        return TunnelStatus.SUCCESS

    def _free_id(self) -> int:
        """Ids go round, so that a late frame for a closed tunnel does not meet a new one."""
        while self._next_id in self._tunnels:
            self._next_id = (self._next_id + 1) % NO_TUNNEL
        found = self._next_id
        self._next_id = (found + 1) % NO_TUNNEL
        return found

    def _transfer(
        self, request: Request, tunnel_id: int, tunnel: _Tunnel | None, data: bytes
    ) -> Outcome:
        if tunnel is None:
            return [_error(tunnel_id, TransferStatus.NO_SUCH_TUNNEL)]
        if tunnel.eui64 != request.eui64:
            self._note("tunnel-of-another", request.eui64, tunnel_id)
            return [_error(tunnel_id, TransferStatus.WRONG_DEVICE)]
        if len(data) > MAXIMUM_TRANSFER:
            return [_error(tunnel_id, TransferStatus.DATA_OVERFLOW)]
        self._used(tunnel_id, tunnel)
        self._note("tunnel-data", request.eui64, tunnel_id, octets=len(data), direction="to-hub")
        return SUCCESS

    def _used(self, tunnel_id: int, tunnel: _Tunnel) -> None:
        """Start the time anew after which an idle tunnel is closed."""
        tunnel.prevent_close()
        if self._settings.close_after_s is not None:
            tunnel.prevent_close = self._means.chores.later(
                self._settings.close_after_s, lambda: self._close_idle(tunnel_id, tunnel)
            )

    def _close_idle(self, tunnel_id: int, tunnel: _Tunnel) -> None:
        self._drop(tunnel_id)
        self._note("tunnel-closed", tunnel.eui64, tunnel_id, cause="idle")
        word = answer(
            command_of(Tunneling, "tunnel_closure_notification"), PUSHED, tunnel_id=tunnel_id
        )
        self._means.chores.run(self._notify(tunnel, word))

    async def _notify(self, tunnel: _Tunnel, word: Answer) -> None:
        await self._send(tunnel, word)

    async def _send(self, tunnel: _Tunnel, word: Answer) -> bool:
        return await self._means.post.send(
            Letter(
                eui64=tunnel.eui64,
                source_endpoint=self._endpoint,
                endpoint=tunnel.endpoint,
                cluster_id=self.cluster_id,
                command_id=word.command_id,
                payload=word.payload,
                control=word.control,
            )
        )

    def _drop(self, tunnel_id: int) -> None:
        self._tunnels.pop(tunnel_id).prevent_close()

    def _note(self, kind: str, eui64: Eui64, tunnel_id: int, **detail: object) -> None:
        self._means.reporter.note(
            kind, Severity.INFO, eui64, tunnel=tunnel_id, opened_by="device", **detail
        )


def _error(tunnel_id: int, status: TransferStatus) -> Answer:
    return answer(
        command_of(Tunneling, "transfer_data_error_from_server"),
        tunnel_id=tunnel_id,
        transfer_data_status=int(status),
    )


def _protocols(offset: int) -> Answer:
    known = [TunnelProtocol(manufacturer_code=NO_MANUFACTURER, protocol_id=GB_HRGP)]
    return answer(
        command_of(Tunneling, "supported_tunnel_protocols_response"),
        protocol_list_complete=True,
        protocols=known[offset:],
    )
