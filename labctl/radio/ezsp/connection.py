"""bellows' connection to the NCP, with its callbacks taken out before bellows looks at them.

Two things go wrong in bellows' own handling of a received frame. It puts fragments together by
field positions that EZSP 14 moved; up to 13 it drops a message ten seconds after its *first*
block, loses one whose block 0 came late, and claims blocks that are not there when a window is
longer than 1. And it matches every frame by its sequence number, callbacks too: but these carry
the number of the last command, which may be the one whose answer is still to come.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import bellows.types as t
from bellows.ezsp import EZSP

from labctl.radio.ezsp.driver_gaps import (
    forget_what_does_not_go_on,
    put_right,
    retrieve_failures,
    spare_a_closing_port,
)
from labctl.radio.ezsp.fragments import Acknowledgement, MessageId, Reassembler
from labctl.radio.ezsp.messages import ReceivedFrame, received_frame
from labctl.radio.fence import Fence, put_up_fence

_LOGGER = logging.getLogger(__name__)

_CALLBACK = 0x18
"""Bits of the frame control that are set in callbacks and in no response."""

_HEADER_OCTETS = 5
_INCOMING_MESSAGE = 0x0045


class Connection(EZSP):
    """`bellows.ezsp.EZSP`; whole messages reach its callbacks, whatever the protocol version."""

    def __init__(
        self, config: dict[str, Any], application: Any = None, fence: Fence | None = None
    ) -> None:
        super().__init__(config, application)
        self._fence = fence
        self._reassembler = Reassembler()
        self._acknowledging: set[asyncio.Task[None]] = set()

    async def startup_reset(self) -> None:
        """As bellows starts the NCP, behind the fence: the port is open, nothing was written."""
        # The gateway's transport is the ASH protocol, whose transport is the port.
        ash = self._gw._obj._transport
        if ash is not None:  # else the port is closed again already, which bellows finds out
            retrieve_failures(ash)
            spare_a_closing_port(ash)
            forget_what_does_not_go_on(ash)
            if self._fence is not None:
                put_up_fence(ash, self._fence)
        await super().startup_reset()

    def _switch_protocol_version(self, version: int) -> None:
        super()._switch_protocol_version(version)
        put_right(self._protocol)

    def frame_received(self, data: bytes) -> None:
        """A frame from the NCP: callbacks are ours, answers are the driver's."""
        if len(data) < _HEADER_OCTETS or self._ezsp_version < 8:
            super().frame_received(data)  # the legacy header: answers to `version`
            return
        frame_id = int.from_bytes(data[3:_HEADER_OCTETS], "little")
        known = self._protocol.COMMANDS_BY_ID.get(frame_id)
        if known is None or not (data[1] & _CALLBACK or frame_id == _INCOMING_MESSAGE):
            super().frame_received(data)
            return
        name, _, layout = known
        try:
            values, _ = t.deserialize_dict(data[_HEADER_OCTETS:], layout)
        except (ValueError, TypeError, AttributeError) as error:
            _LOGGER.warning("%s of the NCP cannot be read: %s", name, type(error).__name__)
            return
        self._called_back(name, list(values.values()))

    def _called_back(self, name: str, args: list[Any]) -> None:
        if frame_is_fragment(name, args):
            frame = received_frame(self._ezsp_version, args)
            message = self._put_together(frame)
            if message is None:
                return
            args = [*args[:-1], message]  # the contents come last in every version
        self.handle_callback(name, args)

    def _put_together(self, frame: ReceivedFrame) -> bytes | None:
        aps = frame.aps
        taken = self._reassembler.add(
            MessageId(
                frame.nwk,
                int(aps.sequence),
                int(aps.profileId),
                int(aps.clusterId),
                int(aps.sourceEndpoint),
                int(aps.destinationEndpoint),
            ),
            int(aps.groupId) & 0xFF,
            int(aps.groupId) >> 8,
            frame.data,
            now_s=asyncio.get_running_loop().time(),
        )
        if taken.acknowledgement is not None:
            work = self._acknowledge(frame, taken.acknowledgement)
            task = asyncio.get_running_loop().create_task(work)
            self._acknowledging.add(task)
            task.add_done_callback(self._acknowledging.discard)
        return taken.message

    async def _acknowledge(self, frame: ReceivedFrame, said: Acknowledgement) -> None:
        """The NCP turns the block's own APS frame around and sends it back as acknowledgement."""
        aps = frame.aps.replace(groupId=t.uint16_t(said.received << 8 | said.base))
        try:
            (status,) = await self._command("sendReply", t.EmberNodeId(frame.nwk), aps, b"")
        except Exception as error:  # noqa: BLE001 - whatever it was, the sender sends it again
            _LOGGER.info("a block of 0x%04x is not acknowledged: %r", frame.nwk, error)
            return
        if t.sl_Status.from_ember_status(status) != t.sl_Status.OK:
            _LOGGER.info("a block of 0x%04x is not acknowledged: %r", frame.nwk, status)

    async def disconnect(self) -> None:
        """Close the port; what is to be acknowledged is not."""
        for task in tuple(self._acknowledging):
            task.cancel()
        await super().disconnect()


def frame_is_fragment(name: str, args: list[Any]) -> bool:
    """Whether a callback is a block of a longer message."""
    return name == "incomingMessageHandler" and bool(
        args[1].options & t.EmberApsOption.APS_OPTION_FRAGMENT
    )
