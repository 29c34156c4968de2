"""APS frames in and out of an EZSP NCP, below zigpy's packet layer.

Sending goes to `sendUnicast` itself and not through `send_packet`, for three reasons: bellows has
no outgoing fragmentation; it gives up 3 s after sending, while the NCP reports a lost APS
acknowledgement only after about 4.8 s; and it drops the option bits of received frames, among them
the one that says whose turn it is to answer a ZDO request.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import bellows.types as t

from labctl.errors import DeliveryError
from labctl.radio.coordinator import Outgoing
from labctl.radio.ezsp.versions import SL_STATUS_SINCE
from labctl.smart_energy.eui64 import Eui64

SENT_TIMEOUT_S = 35.0
"""How long a messageSentHandler may take: three APS tries to a sleepy child are about 28 s."""

MAX_IN_FLIGHT = 8
"""Unicasts in the NCP at one time. The stack's own limit is 10, its ZDO answers included."""

_RETRY_DELAYS_S = (0.05, 0.2, 0.5, 1.0)
"""Waits before asking again when the NCP is out of buffers for the moment."""

_APS_ENCRYPTION_OVERHEAD = 9
_FRAGMENT_HEADER = 2
_BUSY = frozenset(
    {"NO_BUFFERS", "MAX_MESSAGE_LIMIT_REACHED", "NETWORK_BUSY", "BUSY", "ALLOCATION_FAILED"}
)
_NOBODY = (Eui64("00" * 8), Eui64("ff" * 8))


@dataclass(frozen=True, slots=True)
class ReceivedFrame:
    """incomingMessageHandler, with the fields of all EZSP versions in one order."""

    kind: t.EmberIncomingMessageType
    aps: t.EmberApsFrame
    nwk: int
    lqi: int
    rssi_dbm: int
    data: bytes
    eui64: Eui64 | None = None
    """The sender, where the NCP says who it is (from EZSP 14)."""


def status_name(status: Any) -> str:
    """A status in the words of sl_status_t, the same for all versions, without the prefix ZIGBEE_.

    One that the driver has no translation for keeps its own name.
    """
    translated = t.sl_Status.from_ember_status(status)
    named = status if translated == t.sl_Status.FAIL else translated
    name: str = getattr(named, "name", repr(status))
    return name.removeprefix("ZIGBEE_")


def received_frame(version: int, args: list[Any]) -> ReceivedFrame:
    """Sort the fields of an incomingMessageHandler: EZSP 14 moved them."""
    eui64 = None
    if version >= SL_STATUS_SINCE:
        kind, aps, nwk, sender, _binding, _address, lqi, rssi, _timestamp, data = args
        eui64 = Eui64(str(sender))
    else:
        kind, aps, lqi, rssi, nwk, _binding, _address, data = args
    return ReceivedFrame(
        kind,
        aps,
        int(nwk),
        int(lqi),
        int(rssi),
        bytes(data),
        None if eui64 in _NOBODY else eui64,
    )


class Sender:
    """Sends unicasts through one EZSP connection and waits until each is delivered or lost."""

    def __init__(self, ezsp: Any, *, radio: str) -> None:
        self._ezsp = ezsp
        self._radio = radio
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._tag = 0
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._max_aps_payload = 82

    async def learn_frame_size(self) -> None:
        """Ask the NCP how long an APS payload may be with network security (UG100: 82)."""
        (length,) = await self._ezsp.maximumPayloadLength()
        self._max_aps_payload = int(length)

    async def send(self, packet: Outgoing) -> None:
        """Deliver `packet`, in blocks of window 1 where it is too long for a frame.

        Raises `DeliveryError` when the NCP refuses it, or no APS acknowledgement comes.
        """
        room = self._max_aps_payload - (_APS_ENCRYPTION_OVERHEAD if packet.aps_encrypt else 0)
        async with self._in_flight:
            if len(packet.data) <= room:
                await self._send_one(packet, packet.data)
                return
            size = room - _FRAGMENT_HEADER
            blocks = [packet.data[i : i + size] for i in range(0, len(packet.data), size)]
            counter = 0
            for index, block in enumerate(blocks):
                # The NCP numbers the first block; all others carry the same APS counter.
                counter = await self._send_one(packet, block, (index, len(blocks)), counter)

    def message_sent(self, version: int, args: list[Any]) -> None:
        """A messageSentHandler came: wake whoever waits for it."""
        if version >= SL_STATUS_SINCE:
            status, _kind, _destination, _aps, tag, _message = args
        else:
            _kind, _destination, _aps, tag, status, _message = args
        future = self._pending.get(int(tag))
        if future is not None and not future.done():
            future.set_result(status)

    def abandon(self, cause: str) -> None:
        """The stick is gone: nothing more will be delivered."""
        for future in self._pending.values():
            if not future.done():
                future.set_exception(self._error("the stick went away", cause))
                future.exception()  # whoever waited may have gone before

    async def _send_one(
        self,
        packet: Outgoing,
        data: bytes,
        block: tuple[int, int] | None = None,
        counter: int = 0,
    ) -> int:
        options = t.EmberApsOption.APS_OPTION_ENABLE_ROUTE_DISCOVERY
        if packet.aps_encrypt:
            options |= t.EmberApsOption.APS_OPTION_ENCRYPTION
        if packet.aps_ack or block is not None:
            options |= t.EmberApsOption.APS_OPTION_RETRY
        group_id = 0
        if block is not None:
            options |= t.EmberApsOption.APS_OPTION_FRAGMENT
            group_id = block[1] << 8 | block[0]
        frame = t.EmberApsFrame(
            profileId=packet.profile_id,
            clusterId=packet.cluster_id,
            sourceEndpoint=packet.source_endpoint,
            destinationEndpoint=packet.destination_endpoint,
            options=options,
            groupId=group_id,
            sequence=counter,
        )
        tag = self._free_tag()
        sent = self._pending[tag] = asyncio.get_running_loop().create_future()
        try:
            sequence = await self._hand_over(packet, frame, tag, data)
            async with asyncio.timeout(SENT_TIMEOUT_S):
                status = await sent
        except TimeoutError:
            raise self._error(
                f"nothing was heard of the frame to 0x{packet.nwk:04x}", "NO_MESSAGE_SENT_HANDLER"
            ) from None
        finally:
            del self._pending[tag]
        if t.sl_Status.from_ember_status(status) != t.sl_Status.OK:
            raise self._error(f"0x{packet.nwk:04x} did not acknowledge", status_name(status))
        return sequence

    async def _hand_over(
        self, packet: Outgoing, frame: t.EmberApsFrame, tag: int, data: bytes
    ) -> int:
        """Give a frame to the NCP; ask again while it has no room for the moment."""
        for delay_s in (*_RETRY_DELAYS_S, None):
            status, sequence = await self._ezsp.send_unicast(
                nwk=packet.nwk, aps_frame=frame, message_tag=tag, data=data
            )
            if status == t.sl_Status.OK:
                return int(sequence)
            name = status_name(status)
            if name not in _BUSY or delay_s is None:
                raise self._error(f"the NCP refused a frame to 0x{packet.nwk:04x}", name)
            await asyncio.sleep(delay_s)
        raise AssertionError("unreachable: the last round raises or returns")

    def _free_tag(self) -> int:
        while True:
            self._tag = (self._tag + 1) % 256
            if self._tag not in self._pending:
                return self._tag

    def _error(self, what: str, status: str) -> DeliveryError:
        return DeliveryError(f"{what} ({status})", status=status, where=self._radio)
