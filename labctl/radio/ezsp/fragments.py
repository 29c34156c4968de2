"""Incoming fragments put together again, on the host's side of the NCP (R22 2.2.8.4.5).

The NCP hands up each block and acknowledges none: the host says which of a window have arrived.
Nothing here knows a driver or a clock; the caller gives the time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

PATIENCE_S = 30.0
"""A message without another block for this long is given up, counted from its *last* block: a
sleeping sender gives up after three tries, which are about 28 s."""

MOST_MESSAGES = 32
"""Messages that are put together, and finished ones whose last block may come again. The one that
has been silent for the longest gives way, a finished one first."""

_ALL = 0xFF


class MessageId(NamedTuple):
    """What the blocks of one message have in common."""

    sender: int
    counter: int
    profile_id: int
    cluster_id: int
    source_endpoint: int
    destination_endpoint: int


class Acknowledgement(NamedTuple):
    """The extended header of an APS acknowledgement: the window's first block, and which are here.

    Bits of blocks beyond the window or the message are set.
    """

    base: int
    received: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a block: an acknowledgement to send, and the message if it is complete now."""

    acknowledgement: Acknowledgement | None = None
    message: bytes | None = None


@dataclass(slots=True)
class _Message:
    heard_s: float
    count: int | None = None
    base: int = 0
    """First block of the window that is being filled, or is full and the newest."""
    blocks: dict[int, bytes] = field(default_factory=dict)
    finished: bool = False

    @property
    def complete(self) -> bool:
        return self.count is not None and len(self.blocks) == self.count

    def window(self, size: int) -> int:
        """Which blocks of the window are here, as a bit mask with the unused bits set."""
        received = _ALL
        for offset in range(size):
            index = self.base + offset
            if index not in self.blocks and (self.count is None or index < self.count):
                received &= ~(1 << offset)
        return received


class Reassembler:
    """Messages of all senders. `window` is how many blocks go out between acknowledgements.

    Smart Energy has 1; up to 8 are possible.
    """

    def __init__(self, *, window: int = 1) -> None:
        if not 1 <= window <= 8:
            raise ValueError(f"a window has 1 to 8 blocks, not {window}")
        self._window = window
        self._messages: dict[MessageId, _Message] = {}

    def add(self, key: MessageId, index: int, count: int, data: bytes, *, now_s: float) -> Taken:
        """Take a block. `count`, the number of blocks, counts with block 0 only.

        A block that makes no sense is not acknowledged: its sender learns that it failed, where an
        acknowledgement would tell it that the message arrived.
        """
        self._forget_silent(now_s)
        message = self._messages.get(key)
        if message is None or self._is_of_another(message, index, count, data):
            message = _Message(now_s)
        if not self._accept(message, index, count, data):
            return Taken()
        message.heard_s = now_s
        # Whoever was heard last stands last.
        self._messages.pop(key, None)
        self._messages[key] = message
        self._make_room()
        return Taken(self._acknowledgement(message, index), self._finish(message))

    def _is_of_another(self, message: _Message, index: int, count: int, data: bytes) -> bool:
        """A sender that counted once around, or was restarted: block 0 differs."""
        if index != 0 or 0 not in message.blocks:
            return False
        return message.count != count or message.blocks[0] != data

    def _accept(self, message: _Message, index: int, count: int, data: bytes) -> bool:
        """Put the block where it belongs. False when it belongs nowhere.

        So it is with a block of a message whose first window was never here, or is forgotten. And
        with late copies of blocks before the window: their acknowledgement would set bits for the
        window that the sender is at now.
        """
        if index == 0:
            if any(known >= count for known in message.blocks):
                return False
            message.count = count
        if message.count is not None and index >= message.count:
            return False
        ahead = index - message.base
        if self._window <= ahead < 2 * self._window and message.window(self._window) == _ALL:
            message.base += self._window
        if not message.base <= index < message.base + self._window:
            return False
        message.blocks.setdefault(index, data)
        return True

    def _acknowledgement(self, message: _Message, index: int) -> Acknowledgement | None:
        """At the end of a window, and again for each block that fills a gap or is a copy there."""
        received = message.window(self._window)
        before = (1 << (index - message.base)) - 1
        if received | before != _ALL:
            return None  # more of this window are to come
        return Acknowledgement(message.base, received)

    def _finish(self, message: _Message) -> bytes | None:
        if message.finished or not message.complete:
            return None
        message.finished = True
        return b"".join(message.blocks[index] for index in range(len(message.blocks)))

    def _forget_silent(self, now_s: float) -> None:
        for key in [
            key for key, message in self._messages.items() if now_s - message.heard_s > PATIENCE_S
        ]:
            del self._messages[key]

    def _make_room(self) -> None:
        while len(self._messages) > MOST_MESSAGES:
            finished = (key for key, message in self._messages.items() if message.finished)
            del self._messages[next(finished, next(iter(self._messages)))]
