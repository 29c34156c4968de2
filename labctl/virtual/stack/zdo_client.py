"""ZDO requests of our own, and their responses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from labctl.virtual.frames import zdp
from labctl.virtual.stack.types import Status

if TYPE_CHECKING:
    from labctl.virtual.node import Node

Send = Callable[[int, int, int, bytes], None]
"""Sends `(destination, cluster, sequence, body)`, and does not care what becomes of it."""


class ZdoClient:
    """Matches responses with requests by cluster and sequence number."""

    def __init__(self, node: Node, send: Send) -> None:
        self.node = node
        self.sequence = node.rng.randrange(256)
        self._send = send
        self._waiting: dict[tuple[int, int], Callable[[int, bytes], None]] = {}

    def next_sequence(self) -> int:
        """The next transaction sequence number."""
        self.sequence = (self.sequence + 1) & 0xFF
        return self.sequence

    def tell(self, destination: int, cluster: int, body: bytes) -> bool:
        """A frame that nobody answers; False where it cannot be sent."""
        refused = self.node.request(
            destination,
            source_endpoint=0,
            destination_endpoint=0,
            profile_id=0,
            cluster_id=cluster,
            payload=bytes((self.next_sequence(),)) + body,
            done=_ignore,
        )
        return refused is None

    def expect(self, cluster: int, heard: Callable[[int, bytes], None]) -> int:
        """Have `heard(source, body)` called for each response; returns the sequence number."""
        sequence = self.next_sequence()
        self._waiting[cluster | zdp.RESPONSE, sequence] = heard
        return sequence

    def forget(self, cluster: int, sequence: int) -> None:
        """No more responses are wanted."""
        self._waiting.pop((cluster | zdp.RESPONSE, sequence), None)

    def answered(self, source: int, cluster: int, sequence: int, body: bytes) -> None:
        """A response arrived; `cluster` has its response bit."""
        heard = self._waiting.get((cluster, sequence))
        if heard is not None:
            heard(source, body)

    async def ask(
        self, destination: int, cluster: int, body: bytes, timeout_s: float
    ) -> bytes | None:
        """A unicast request and its response body, or None."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes | None] = loop.create_future()

        def heard(source: int, response: bytes) -> None:
            if not answer.done() and source == destination:
                answer.set_result(response)

        def confirmed(status: Status) -> None:
            if status is not Status.SUCCESS and not answer.done():
                answer.set_result(None)

        sequence = self.expect(cluster, heard)
        try:
            refused = self.node.request(
                destination,
                source_endpoint=0,
                destination_endpoint=0,
                profile_id=0,
                cluster_id=cluster,
                payload=bytes((sequence,)) + body,
                done=confirmed,
            )
            return None if refused is not None else await self.node.wait_for(answer, timeout_s)
        finally:
            self.forget(cluster, sequence)

    async def ask_all(
        self, destination: int, cluster: int, body: bytes, collect_s: float
    ) -> list[tuple[int, bytes]]:
        """A broadcast request, and all responses that come within `collect_s` seconds."""
        answers: list[tuple[int, bytes]] = []
        sequence = self.expect(cluster, lambda source, response: answers.append((source, response)))
        try:
            self._send(destination, cluster, sequence, body)
            await self.node.sleep(collect_s)
        finally:
            self.forget(cluster, sequence)
        return answers


def _ignore(_status: Status) -> None:
    """Nobody waits for this frame."""
