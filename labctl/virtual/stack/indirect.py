"""Indirect transmission: frames that sleeping children have to fetch (802.15.4 5.1.6.3)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from labctl.virtual.exchange import Done, Outcome

PERSISTENCE_S = 7.68
"""How long a frame waits for a sleeping child to fetch it (macTransactionPersistenceTime)."""

Builder = Callable[[bool], bytes]
"""Makes a frame when its turn has come; the argument is the frame pending bit."""


class Transaction:
    """One frame that waits."""

    __slots__ = ("address", "build", "in_flight", "sent", "timer")

    def __init__(self, address: int | bytes, build: Builder, sent: Done) -> None:
        self.address = address
        self.build = build
        self.sent = sent
        self.in_flight = False
        self.timer: asyncio.TimerHandle | None = None  # None: its time is over

    def stop_timer(self) -> None:
        """It is no longer waiting."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Kept:
    """All frames that wait, by the address that fetches them: first in, first out."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        send: Callable[[Callable[[], bytes], Done], None],
        counters: dict[str, int],
    ) -> None:
        self._loop = loop
        self._send = send
        self._counters = counters
        self._waiting: dict[int | bytes, deque[Transaction]] = {}

    def close(self) -> None:
        """The power is gone: nothing is called back."""
        for transactions in self._waiting.values():
            for each in transactions:
                each.stop_timer()
        self._waiting.clear()

    def keep(self, address: int | bytes, build: Builder, sent: Done) -> None:
        """Keep a frame until `address` polls. `sent` gets NO_ACK when nobody fetches it in time."""
        transaction = Transaction(address, build, sent)
        self._waiting.setdefault(address, deque()).append(transaction)
        transaction.timer = self._loop.call_later(PERSISTENCE_S, self._expired, transaction)

    def waiting_for(self, address: int | bytes) -> bool:
        """Whether this child has something to fetch."""
        return address in self._waiting

    def drop(self, address: int | bytes) -> None:
        """This child is no longer ours: what is kept for it has failed."""
        for each in self._waiting.pop(address, ()):
            each.stop_timer()
            if not each.in_flight:
                each.sent(Outcome.NO_ACK, False)

    def fetched_by(self, address: int | bytes) -> None:
        """This child has polled: send it its next frame."""
        transactions = self._waiting[address]
        head = transactions[0]
        if head.in_flight:
            return
        head.in_flight = True

        def build() -> bytes:
            return head.build(len(transactions) > 1)

        def sent(outcome: Outcome, pending: bool) -> None:
            head.in_flight = False
            if outcome is not Outcome.SENT and head.timer is not None:
                return  # stays for the next poll, until it expires
            self._remove(head)
            head.stop_timer()
            head.sent(outcome, pending)

        self._send(build, sent)

    def _expired(self, transaction: Transaction) -> None:
        transaction.timer = None
        if not transaction.in_flight:
            self._remove(transaction)
            self._counters["mac_indirect_expired"] += 1
            transaction.sent(Outcome.NO_ACK, False)

    def _remove(self, transaction: Transaction) -> None:
        transactions = self._waiting.get(transaction.address)
        if transactions is not None and transaction in transactions:
            transactions.remove(transaction)
            if not transactions:
                del self._waiting[transaction.address]
