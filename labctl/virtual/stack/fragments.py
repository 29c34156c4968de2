"""Fragments put together again (R22 2.2.8.4.5), window 1 as Smart Energy has it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from labctl.virtual.stack.types import Indication

PATIENCE_S = 20.0
"""A message without a further fragment for this long is given up: more than the sender's retries
(4 × 1.6 s), and than one missed fetch of a sleeping device."""

MAX_MESSAGES = 8
"""Messages that are put together at once; more are refused, as real devices have little memory."""


@dataclass(slots=True)
class Reassembly:
    """One message that comes in fragments."""

    count: int | None = None
    blocks: dict[int, bytes] = field(default_factory=dict)
    timer: asyncio.TimerHandle | None = None

    @property
    def complete(self) -> bool:
        """Whether all fragments are there."""
        return self.count is not None and len(self.blocks) == self.count

    def payload(self) -> bytes:
        """The message."""
        return b"".join(self.blocks[index] for index in sorted(self.blocks))


class Reassembler:
    """All messages of one node that are not complete yet."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._messages: dict[tuple[int, int], Reassembly] = {}

    def close(self) -> None:
        """Forget everything."""
        for key in list(self._messages):
            self.forget(key)

    def add(self, key: tuple[int, int], block: Indication) -> Reassembly | None:
        """Take a fragment. None when it makes no sense (no room, beyond the end, count changed)."""
        assert block.block is not None
        message = self._messages.get(key)
        if message is None:
            if len(self._messages) >= MAX_MESSAGES:
                return None
            message = Reassembly()
        count = block.block_count if block.block_count is not None else message.count
        if message.count is not None and count != message.count:
            return None
        highest = max(message.blocks, default=0)
        if count is not None and (count < 1 or max(highest, block.block) >= count):
            return None
        message.count = count
        message.blocks[block.block] = block.payload
        self._messages[key] = message
        if message.timer is not None:
            message.timer.cancel()
        message.timer = self._loop.call_later(PATIENCE_S, self.forget, key)
        return message

    def forget(self, key: tuple[int, int]) -> None:
        """The message is complete, or given up."""
        message = self._messages.pop(key, None)
        if message is not None and message.timer is not None:
            message.timer.cancel()
            message.timer = None
