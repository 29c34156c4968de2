"""The Tunneling server of a PPMID or a load switch (Smart Energy 1.4a D.6): the hub opens tunnels.

It speaks GB-HRGP (protocol 6, without a manufacturer). What comes through a tunnel is a message of
the remote parties; no virtual device understands those, so it answers each with the same octets:
that shows both directions of a tunnel at work.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from labctl.virtual.devices import zcl
from labctl.virtual.devices.cursor import Cursor
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.peer import Peer
from labctl.virtual.devices.settings import TUNNELING

GB_HRGP = 6
NO_MANUFACTURER = 0xFFFF
MAX_TRANSFER_OCTETS = 1500
CLOSE_TIMEOUT_S = 0xFFFF
MAX_TUNNELS = 2

_REQUEST, _CLOSE, _TRANSFER, _TRANSFER_ERROR, _GET_PROTOCOLS = 0x00, 0x01, 0x02, 0x03, 0x06
_RESPONSE, _TRANSFER_BACK, _ERROR_BACK, _PROTOCOLS, _CLOSURE = 0x00, 0x01, 0x02, 0x05, 0x06
_SUCCESS, _NO_MORE_TUNNELS, _PROTOCOL_NOT_SUPPORTED, _FLOW_CONTROL_NOT_SUPPORTED = 0, 2, 3, 4
_NO_SUCH_TUNNEL, _WRONG_DEVICE, _OVERFLOW = 0x00, 0x01, 0x02
_NO_TUNNEL = 0xFFFF
_UINT16 = 0x21


@dataclass(slots=True)
class Tunnel:
    """One open tunnel."""

    number: int
    peer: Peer
    takes_octets: int
    """How long a message the other side takes."""
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class TunnelServer:
    """Serves cluster 0x0704. `fire(peer, command, payload)` sends a command of the server."""

    fire: Callable[[Peer, int, bytes], object]
    saw: Observations
    close_timeout_s: int = CLOSE_TIMEOUT_S
    answer: Callable[[bytes], bytes | None] = lambda message: message
    tunnels: dict[int, Tunnel] = field(default_factory=dict)
    received: list[bytes] = field(default_factory=list)
    _next: int = 0

    def attributes(self) -> dict[int, tuple[int, zcl.Value]]:
        """CloseTunnelTimeout."""
        return {0x0000: (_UINT16, self.close_timeout_s)}

    def handlers(self) -> dict[tuple[int, int], Callable[[Peer, zcl.Frame], zcl.Frame | None]]:
        """What serves each command."""
        return {
            (TUNNELING, _REQUEST): self._request,
            (TUNNELING, _CLOSE): self._close,
            (TUNNELING, _TRANSFER): self._transfer,
            (TUNNELING, _TRANSFER_ERROR): self._error,
            (TUNNELING, _GET_PROTOCOLS): self._protocols,
        }

    def close(self) -> None:
        """The device is off the network: nothing remains of the tunnels."""
        for tunnel in self.tunnels.values():
            if tunnel.timer is not None:
                tunnel.timer.cancel()
        self.tunnels.clear()

    def _request(self, peer: Peer, frame: zcl.Frame) -> zcl.Frame:
        cursor = Cursor(frame.payload)
        protocol, manufacturer = cursor.unsigned(1), cursor.unsigned(2)
        flow_control, takes = cursor.unsigned(1), cursor.unsigned(2)
        number, status = _NO_TUNNEL, _SUCCESS
        if protocol != GB_HRGP or manufacturer != NO_MANUFACTURER:
            status = _PROTOCOL_NOT_SUPPORTED
        elif flow_control:
            status = _FLOW_CONTROL_NOT_SUPPORTED
        elif len(self.tunnels) >= MAX_TUNNELS:
            status = _NO_MORE_TUNNELS
        else:
            number = self._next
            self._next = (self._next + 1) % _NO_TUNNEL
            self.tunnels[number] = tunnel = Tunnel(number, peer, takes)
            self._used(tunnel)
            self.saw.note(What.TUNNEL, f"opened {number}")
        return _answer(frame, _RESPONSE, struct.pack("<HBH", number, status, MAX_TRANSFER_OCTETS))

    def _close(self, peer: Peer, frame: zcl.Frame) -> zcl.Frame:
        number = Cursor(frame.payload).unsigned(2)
        tunnel = self.tunnels.get(number)
        if tunnel is None or tunnel.peer.nwk != peer.nwk:
            return frame.default_response(zcl.Status.NOT_FOUND)
        self._forget(tunnel, "closed")
        return frame.default_response(zcl.Status.SUCCESS)

    def _transfer(self, peer: Peer, frame: zcl.Frame) -> zcl.Frame | None:
        cursor = Cursor(frame.payload)
        number = cursor.unsigned(2)
        message = cursor.rest()
        tunnel = self.tunnels.get(number)
        error = None
        if tunnel is None:
            error = _NO_SUCH_TUNNEL
        elif tunnel.peer.nwk != peer.nwk:
            error = _WRONG_DEVICE
        elif len(message) > MAX_TRANSFER_OCTETS:
            error = _OVERFLOW
        if error is not None or tunnel is None:
            return _answer(frame, _ERROR_BACK, struct.pack("<HB", number, error or 0))
        self._used(tunnel)
        self.received.append(message)
        self.saw.note(What.TUNNEL, f"{len(message)} octets through {number}")
        reply = self.answer(message)
        if reply is not None and len(reply) <= tunnel.takes_octets:
            self.fire(tunnel.peer, _TRANSFER_BACK, struct.pack("<H", number) + reply)
        return frame.default_response(zcl.Status.SUCCESS)

    def _error(self, peer: Peer, frame: zcl.Frame) -> zcl.Frame:
        cursor = Cursor(frame.payload)
        number, status = cursor.unsigned(2), cursor.unsigned(1)
        self.saw.note(What.TUNNEL, f"error {status} through {number}")
        return frame.default_response(zcl.Status.SUCCESS)

    def _protocols(self, peer: Peer, frame: zcl.Frame) -> zcl.Frame:
        first = Cursor(frame.payload).unsigned(1)
        listed = struct.pack("<HB", NO_MANUFACTURER, GB_HRGP) if first == 0 else b""
        return _answer(frame, _PROTOCOLS, bytes((1, len(listed) // 3)) + listed)

    def _used(self, tunnel: Tunnel) -> None:
        if tunnel.timer is not None:
            tunnel.timer.cancel()
        tunnel.timer = asyncio.get_running_loop().call_later(
            self.close_timeout_s, self._expire, tunnel
        )

    def _expire(self, tunnel: Tunnel) -> None:
        self._forget(tunnel, "timed out")
        self.fire(tunnel.peer, _CLOSURE, struct.pack("<H", tunnel.number))

    def _forget(self, tunnel: Tunnel, why: str) -> None:
        if tunnel.timer is not None:
            tunnel.timer.cancel()
        del self.tunnels[tunnel.number]
        self.saw.note(What.TUNNEL, f"{why} {tunnel.number}")


def _answer(to: zcl.Frame, command: int, payload: bytes) -> zcl.Frame:
    return zcl.Frame(
        command,
        to.sequence,
        payload,
        cluster_specific=True,
        from_server=True,
        disable_default_response=True,
    )
