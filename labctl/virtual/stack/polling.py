"""How an end device keeps in touch with its parent: polls that fetch frames, or say "here"."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from labctl.virtual.exchange import Outcome

if TYPE_CHECKING:
    from labctl.virtual.node import Node

LOST_AFTER = 3
"""Polls in a row without acknowledgement after which the parent counts as lost."""

EXPECTANT_S = 2.0
"""How long a sleeping device polls fast after it has sent something: an answer is likely."""


class Poller:
    """Polls of one end device that is on a network.

    Always-on devices poll as a keep-alive only (R22 3.6.10), every `keepalive_s`. Sleeping ones
    fetch their frames that way: every `long_poll_s`, and every `short_poll_s` while they expect an
    answer, or while `fast_poll` asked for it.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._fast_until = 0.0
        self._failures = 0
        self._running = False

    def start(self) -> None:
        """The node is on its network."""
        self._running = True
        self._failures = 0
        self._schedule()

    def stop(self) -> None:
        """Off the network, or without power."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def expect(self, seconds: float = EXPECTANT_S) -> None:
        """An answer may come: poll fast for a while."""
        if self.node.rx_on_when_idle or not self._running:
            return
        was_slow = self.loop.time() >= self._fast_until
        self._fast_until = max(self._fast_until, self.loop.time() + seconds)
        if was_slow:
            self._schedule()

    def answered(self) -> None:
        """Data came: that was probably what was waited for, but for a straggler."""
        last = self.loop.time() + 2 * self.node.short_poll_s
        self._fast_until = min(self._fast_until, last)

    def again(self) -> None:
        """The parent has more: poll at once."""
        if self._running:
            self._poll()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        node = self.node
        if node.rx_on_when_idle:
            delay = node.keepalive_s
        elif self.loop.time() < self._fast_until:
            delay = node.short_poll_s
        else:
            delay = node.long_poll_s
        # A little jitter, as crystals have: two devices never stay in step.
        delay *= 1 + 0.02 * node.rng.random()
        self._timer = self.loop.call_later(delay, self._poll)

    def _poll(self) -> None:
        self._schedule()
        self.node.mac.poll(self.node.state.parent, self._polled)

    def _polled(self, outcome: Outcome, got: bool) -> None:
        if outcome is Outcome.SENT:
            self._failures = 0
            return
        if outcome is Outcome.SUSPENDED:
            return  # we may not ask; that says nothing of the parent
        self._failures += 1
        if self._failures == LOST_AFTER:
            self.node.listener.parent_lost()
