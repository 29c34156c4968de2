"""Unicasts out of a Z-Stack NCP, each waited for until it is delivered or lost.

The NCP fragments by itself. What it cannot do is take a payload of more than 230 octets in one
frame of the line: such a one is announced with its length, handed over in pieces and then sent.
"""

from __future__ import annotations

import asyncio
import logging

import zigpy_znp.commands as c
import zigpy_znp.types as t

from labctl.errors import DeliveryError
from labctl.radio.coordinator import Outgoing
from labctl.radio.znp import mt
from labctl.radio.znp.connection import Connection, Refused, status_name

_LOGGER = logging.getLogger(__name__)

SENT_TIMEOUT_S = 60.0
"""How long a data confirm may take: four tries of the APS layer, each until the acknowledgement is
late, to a child that sleeps."""

MAX_IN_FLIGHT = 8
"""Unicasts in the NCP at one time. Its heap has no stated size; other hosts send up to 16."""

_RETRY_DELAYS_S = (0.05, 0.2, 0.5, 1.0)
_BUSY = frozenset(
    {"MEM_ERROR", "BUFFER_FULL", "MAC_NO_RESOURCES", "MAC_TRANSACTION_OVERFLOW"}
    | {"MAC_CHANNEL_ACCESS_FAILURE"}
)
_NUMBERS = 256

_AGAIN_S = (1.6, 1.6, 1.6)
"""Waits before sending again what the MAC could not deliver: the APS layer of Z-Stack repeats only
what is not acknowledged end to end, and reports this at once. R22 has it try three times more."""

_UNDELIVERED = frozenset({"MAC_NO_ACK", "MAC_CHANNEL_ACCESS_FAILURE", "NWK_NO_ROUTE"})
_NO_ROUTE = "NWK_NO_ROUTE"


class Sender:
    """Sends through one connection."""

    def __init__(self, connection: Connection, *, radio: str) -> None:
        self._connection = connection
        self._radio = radio
        self._pending: dict[int, asyncio.Future[int]] = {}
        self._number = 0
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._huge = asyncio.Lock()
        self._cause = ""
        self._ended = asyncio.Event()

    async def send(self, packet: Outgoing) -> None:
        """Deliver. Raises `DeliveryError` when the NCP refuses it or no acknowledgement comes."""
        options = mt.SUPPRESS_ROUTE_DISCOVERY
        if packet.aps_encrypt:
            options |= mt.SECURITY
        if packet.aps_ack:
            options |= mt.ACK_REQUEST
        async with self._in_flight:
            for delay_s in (*_AGAIN_S, None):
                status = await self._send_once(packet, options)
                if status is None:
                    return
                if delay_s is None or not packet.aps_ack or status not in _UNDELIVERED:
                    raise self._error(f"0x{packet.nwk:04x} did not acknowledge", status)
                if status == _NO_ROUTE:
                    await self._look_for_a_route(packet.nwk)
                await self._pause(delay_s)

    async def _pause(self, seconds: float) -> None:
        """Wait, unless the stick goes away: raises `DeliveryError` then."""
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            return
        raise self._error("the stick went away", self._cause)

    async def _send_once(self, packet: Outgoing, options: int) -> str | None:
        """Why it was not delivered; None when it was."""
        number = self._free_number()
        request = mt.DataRequest(
            packet.nwk,
            packet.destination_endpoint,
            packet.source_endpoint,
            packet.cluster_id,
            number,
            options,
        )
        confirmed = self._pending[number] = asyncio.get_running_loop().create_future()
        try:
            await self._hand_over(request, packet)
            if 0 in (packet.source_endpoint, packet.destination_endpoint):
                return None  # ZDO: there are no confirms for it
            async with asyncio.timeout(SENT_TIMEOUT_S):
                status = await confirmed
        except TimeoutError:
            raise self._error(
                f"nothing was heard of the frame to 0x{packet.nwk:04x}", "NO_DATA_CONFIRM"
            ) from None
        finally:
            del self._pending[number]
        return None if status == mt.SUCCESS else status_name(status)

    async def _look_for_a_route(self, nwk: int) -> None:
        request = c.ZDO.ExtRouteDisc.Req(
            Dst=t.NWK(nwk),
            Options=c.zdo.RouteDiscoveryOptions.UNICAST,
            Radius=t.uint8_t(mt.RADIUS),
        )
        try:
            await self._connection.do("looking for a route", request)
        except Refused as refused:
            _LOGGER.info("%s: %s", self._radio, refused)

    async def broadcast(self, address: int, cluster_id: int, data: bytes) -> None:
        """A ZDO frame to everybody, by the way that does not have the NCP obey it itself."""
        request = mt.DataRequest(
            address, 0, 0, cluster_id, 0, mt.SUPPRESS_ROUTE_DISCOVERY, broadcast=True
        )
        frame = request.pack(len(data)) + data
        await self._connection.must("broadcasting", mt.AF_DATA_REQUEST_EXT, frame)

    def confirmed(self, confirm: mt.Confirm) -> None:
        """A data confirm came: wake whoever waits for it."""
        future = self._pending.get(confirm.number)
        if future is not None and not future.done():
            future.set_result(confirm.status)

    def abandon(self, cause: str) -> None:
        """The stick is gone: nothing more will be delivered."""
        self._cause = cause
        self._ended.set()
        for future in self._pending.values():
            if not future.done():
                future.set_exception(self._error("the stick went away", cause))
                future.exception()  # whoever waited may have gone before

    async def _hand_over(self, request: mt.DataRequest, packet: Outgoing) -> None:
        """Give a message to the NCP; ask again while it has no room for the moment."""
        for delay_s in (*_RETRY_DELAYS_S, None):
            try:
                if len(packet.data) < mt.HUGE_FROM:
                    data = request.pack(len(packet.data)) + packet.data
                    await self._connection.must("sending", mt.AF_DATA_REQUEST_EXT, data)
                else:
                    async with self._huge:
                        await self._in_pieces(request, packet.data)
                return
            except Refused as refused:
                if refused.status not in _BUSY or delay_s is None:
                    raise self._error(
                        f"the NCP refused a frame to 0x{packet.nwk:04x}", refused.status
                    ) from refused
            await self._pause(delay_s)

    async def _in_pieces(self, request: mt.DataRequest, data: bytes) -> None:
        """One such message at a time: the header alone, the pieces, and an empty one to send it."""
        ask = self._connection.must
        await ask("announcing a long message", mt.AF_DATA_REQUEST_EXT, request.pack(len(data)))
        for index in range(0, len(data), mt.STORE_OCTETS):
            piece = data[index : index + mt.STORE_OCTETS]
            head = index.to_bytes(2, "little") + bytes((len(piece),))
            await ask("storing a piece", mt.AF_DATA_STORE, head + piece)
        await ask("sending a long message", mt.AF_DATA_STORE, b"\x00\x00\x00")

    def _free_number(self) -> int:
        while True:
            self._number = (self._number + 1) % _NUMBERS
            if self._number not in self._pending:
                return self._number

    def _error(self, what: str, status: str) -> DeliveryError:
        return DeliveryError(f"{what} ({status})", status=status, where=self._radio)
