"""The fence: nothing goes to a radio that is somebody else's by now.

The one place is the transport under the driver: every octet that leaves for the stick passes it,
acknowledgements and repetitions too, whatever the driver. A process that was stopped for longer
than its lease lasts wakes up in the middle of anything; it must not reach the stick again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from labctl.errors import RigError

_LOGGER = logging.getLogger(__name__)

Fence = Callable[[], None]
"""Raises `RigError` when the radio may not be written to any more. Called before every write."""


class FencedTransport:
    """A serial transport that writes as long as the fence lets it, and closes when it does not.

    To the driver that is a port that was closed: it has ways to deal with that. An exception out of
    `write` would turn up in the middle of its state machines instead.
    """

    def __init__(self, transport: asyncio.Transport, fence: Fence) -> None:
        self._transport = transport
        self._fence = fence

    def write(self, data: bytes) -> None:
        """Pass `data` on, or drop it and close the port."""
        if self._may():
            self._transport.write(data)

    async def set_modem_pins(self, *args: Any, **kwargs: Any) -> None:
        """DTR and RTS reset some sticks: they are fenced as octets are."""
        if self._may():
            await self._transport.set_modem_pins(*args, **kwargs)  # type: ignore[attr-defined]

    def _may(self) -> bool:
        if self._transport.is_closing():
            return False
        try:
            self._fence()
        except RigError as error:
            _LOGGER.error("nothing more is written to the radio: %s", error.what)
            self._transport.abort()
            return False
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def put_up_fence(protocol: Any, fence: Fence) -> None:
    """Fence the port of a driver's serial protocol, the one whose `_transport` is the port.

    To be called when the port is open and nothing was written yet. Raises what `fence` raises.
    """
    fence()
    transport = protocol._transport
    if transport is not None and not isinstance(transport, FencedTransport):
        protocol._transport = FencedTransport(transport, fence)
