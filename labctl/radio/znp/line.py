"""What zigpy-znp has wrong of a line with garbage on it, put right for one connection.

A frame begins with 0xFE and its length. Garbage with such an octet in it is taken for the head of a
frame of up to 255 octets, and the driver waits for the rest of it for as long as that takes: what
the stick really says meanwhile goes into it, the answers that tell that the stick is alive among
that. The stick sends a frame in one go, so what does not go on was none.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

FRAME_S: Final = 0.5
"""How long the rest of a frame may take: 255 octets at 115200 Bd last 22 ms, networks stutter."""


def resynchronise(port: Any) -> None:
    """Have the driver's protocol at `port` look behind the head of a frame that does not go on."""
    received = port.data_received
    rest: asyncio.TimerHandle | None = None

    def data_received(data: bytes) -> None:
        nonlocal rest
        if rest is not None:
            rest.cancel()
            rest = None
        received(data)
        if port._buffer:
            rest = asyncio.get_running_loop().call_later(FRAME_S, does_not_go_on)

    def does_not_go_on() -> None:
        nonlocal rest
        rest = None
        while port._buffer:
            del port._buffer[:1]
            received(b"")

    port.data_received = data_received
