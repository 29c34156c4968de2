"""Frames from devices: whose they are, the rest of the long ones, and each sender's in their order.

An endpoint's message has a short address and no profile; a long one has to be fetched. ZDO frames
come by another way, only responses and announcements, and without a link quality: they are given
that of the sender's last message.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from labctl.errors import RigError
from labctl.radio.coordinator import Outgoing
from labctl.radio.znp import mt
from labctl.radio.znp.addresses import AddressBook
from labctl.radio.znp.connection import Connection
from labctl.radio.znp.fetching import fetch
from labctl.radio.znp.sending import Sender
from labctl.smart_energy.eui64 import Eui64

_LOGGER = logging.getLogger(__name__)

OWN_NWK = 0x0000
UNKNOWN_NWK = (0xFFFE, 0xFFFF)
DEVICE_ANNOUNCE = 0x0013
_IEEE_ADDR_REQUEST, _IEEE_ADDR_RESPONSE = 0x0001, 0x8001
_ADDRESS_TIMEOUT_S = 5.0
_NOBODY = (Eui64("00" * 8), Eui64("ff" * 8))
_MOST_WAITING = 16
"""Frames of one sender, and senders, that wait until it is known who they are, or for the rest of
a long message."""


@dataclass(slots=True)
class _Held:
    """Frames of one sender that are not handed on yet, in their order."""

    waiting: list[mt.Message]


class Inbox:
    """Takes what one connection tells; `deliver` gets each frame, its sender and all its data."""

    def __init__(
        self,
        connection: Connection,
        sender: Sender,
        addresses: AddressBook,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        driver: Callable[[], AbstractContextManager[None]],
        deliver: Callable[[mt.Message, Eui64 | None, bytes], None],
    ) -> None:
        self._connection = connection
        self._sender = sender
        self._addresses = addresses
        self._spawn = spawn
        self._driver = driver
        self._deliver = deliver
        self._held: dict[int, _Held] = {}
        self._asked: dict[tuple[int, int], asyncio.Future[bytes]] = {}
        self._lqi: dict[int, int] = {}
        self._turn = asyncio.Lock()
        self._zdo_sequence = 0

    def numbered(self, request: bytes) -> bytes:
        """A ZDO frame with a sequence number before it."""
        self._zdo_sequence = (self._zdo_sequence + 1) % 256
        return bytes((self._zdo_sequence,)) + request

    # -- ZDO ----------------------------------------------------------------------------------

    def zdo_message(self, told: Any) -> None:
        """ZDO_MSG_CB_INCOMING: a response or an announcement."""
        cluster_id, nwk, body = int(told.ClusterId), int(told.Src), bytes(told.Data)
        answered = self._asked.get((nwk, cluster_id))
        if answered is not None and not answered.done():
            answered.set_result(body)
        if nwk == OWN_NWK:
            return
        if cluster_id == _IEEE_ADDR_RESPONSE:
            # Status, IEEE address, NWK address.
            if len(body) >= 11 and body[0] == mt.SUCCESS:
                self._addresses.remember(
                    Eui64.from_little_endian(body[1:9]), int.from_bytes(body[9:11], "little")
                )
            return
        if cluster_id == DEVICE_ANNOUNCE and len(body) >= 10:
            # NWK address, IEEE address, capability.
            self._addresses.remember(
                Eui64.from_little_endian(body[2:10]), int.from_bytes(body[:2], "little")
            )
        data = bytes((int(told.TSN),)) + body
        self.message(
            mt.Message(
                nwk=nwk,
                cluster_id=cluster_id,
                source_endpoint=0,
                destination_endpoint=0,
                group=0,
                broadcast=bool(told.IsBroadcast),
                lqi=self._lqi.get(nwk, 0),
                secured=bool(told.SecurityUse),
                timestamp=0,
                length=len(data),
                data=data,
            )
        )

    async def ask(self, nwk: int, cluster_id: int, patience_s: float, send: Any) -> bytes:
        """Wait for the response that `send()` leads to. Raises `TimeoutError`."""
        key = (nwk, cluster_id)
        answered = self._asked[key] = asyncio.get_running_loop().create_future()
        try:
            await send()
            async with asyncio.timeout(patience_s):
                heard: bytes = await answered
                return heard
        finally:
            del self._asked[key]

    async def ask_ourselves(self, response: int, patience_s: float, request: Any) -> bytes:
        """A ZDO request to the NCP itself; one at a time. Raises `TimeoutError`."""
        async with self._turn:
            return await self.ask(
                OWN_NWK,
                response,
                patience_s,
                lambda: self._connection.do("asking the NCP", request),
            )

    # -- messages -----------------------------------------------------------------------------

    def message(self, message: mt.Message) -> None:
        """A frame for an endpoint."""
        nwk = message.nwk
        if nwk is None or nwk == OWN_NWK:
            return
        if message.destination_endpoint:
            self._lqi[nwk] = message.lqi
        held = self._held.get(nwk)
        if held is not None:
            if len(held.waiting) < _MOST_WAITING:
                held.waiting.append(message)
            else:
                _LOGGER.warning("a frame of 0x%04x is dropped: too many are waiting", nwk)
            return
        eui64 = self._addresses.eui64_of(nwk)
        if eui64 is not None and not message.is_huge:
            self._deliver(message, eui64, message.data)
        elif len(self._held) < _MOST_WAITING:
            self._held[nwk] = _Held([message])
            self._spawn(self._work_off(nwk))
        elif not message.is_huge:
            self._deliver(message, None, message.data)
        else:
            _LOGGER.warning("a long message of 0x%04x is dropped: too many are waiting", nwk)

    async def _work_off(self, nwk: int) -> None:
        """Find out who a sender is, and fetch its long messages; then hand them on in turn."""
        held = self._held[nwk]
        try:
            eui64 = self._addresses.eui64_of(nwk)
            if eui64 is None:
                eui64 = await self._identify(nwk)
            while held.waiting:
                message = held.waiting[0]
                if message.is_huge:
                    message = replace(message, data=await self._fetched(message))
                del held.waiting[0]
                if not message.is_huge:
                    self._deliver(message, eui64, message.data)
        finally:
            del self._held[nwk]

    async def _fetched(self, message: mt.Message) -> bytes:
        try:
            with self._driver():
                return await fetch(self._connection, message)
        except RigError as error:
            _LOGGER.warning("a long message of 0x%04x is lost: %s", message.nwk, error)
            return b""

    async def _identify(self, nwk: int) -> Eui64 | None:
        """Ask the NCP who a sender is, else the sender."""
        try:
            with self._driver():
                asked = nwk.to_bytes(2, "little")
                answer = await self._connection.ask(mt.ADDRMGR_NWK_LOOKUP, asked)
                found = Eui64.from_little_endian(answer[:8]) if len(answer) >= 8 else _NOBODY[0]
                if found not in _NOBODY:
                    self._addresses.remember(found, nwk)
                else:
                    await self._ask_for_its_address(nwk)
        except RigError as error:
            _LOGGER.info("who is 0x%04x? %s", nwk, error)
        return self._addresses.eui64_of(nwk)

    async def _ask_for_its_address(self, nwk: int) -> None:
        """IEEE_addr_req (R22 2.4.3.1.2)."""
        request = self.numbered(nwk.to_bytes(2, "little") + b"\x00\x00")
        packet = Outgoing(nwk, 0, 0, _IEEE_ADDR_REQUEST, request, profile_id=0)
        try:
            await self.ask(
                nwk, _IEEE_ADDR_RESPONSE, _ADDRESS_TIMEOUT_S, lambda: self._sender.send(packet)
            )
        except TimeoutError:
            _LOGGER.info("0x%04x does not tell its address", nwk)


async def nwk_in_the_stick(connection: Connection, eui64: Eui64) -> int | None:
    """The short address that the NCP has of a device."""
    answer = await connection.ask(mt.ADDRMGR_EUI64_LOOKUP, eui64.little_endian)
    nwk = int.from_bytes(answer[:2], "little")
    return None if len(answer) < 2 or nwk in UNKNOWN_NWK else nwk
