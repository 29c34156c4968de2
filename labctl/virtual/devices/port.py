"""ZCL requests and answers over a node: the transaction layer of a virtual device."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from labctl.virtual.devices import zcl
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.peer import Peer
from labctl.virtual.devices.servers import LocalServers
from labctl.virtual.devices.settings import (
    KEY_ESTABLISHMENT,
    NEEDS_LINK_KEY,
    OTA,
    SMART_ENERGY_PROFILE,
    SUB_GHZ,
)
from labctl.virtual.devices.silence import Silence, passes
from labctl.virtual.node import Indication, Node, Status

__all__ = ["NoAnswer", "Peer", "RequestRefused", "ZclPort"]


SILENCED = "suspended"
"""The reason of a request that was cut short because the device is to be silent."""


class NoAnswer(Exception):
    """Nothing usable came back. `reason` is a stack status, "timeout", or `SILENCED`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RequestRefused(Exception):
    """The other side answered, and said no: `status` is the ZCL status of its answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status 0x{status:02X}")
        self.status = status


@dataclass(slots=True)
class _Waiting:
    nwk: int
    cluster_id: int
    aps_secured: bool
    held: bool  # silence cuts it short
    answer: asyncio.Future[zcl.Frame]
    delivered: bool = False


class ZclPort:
    """Sends ZCL requests from one endpoint, matches the answers, and serves the own clusters.

    `on_command(peer, cluster id, frame)` hears every cluster command and report from a server,
    solicited or not; `on_key_frame(peer, frame)` hears Key Establishment and its Default Responses;
    `on_secured(nwk)` hears that something came under a link key, `on_garbage()` that something
    could not be read.
    While there is `silence`, requests wait for its end, and everything else is left unsaid.
    With `fixed_counter` all requests have that APS counter, which no sound device does.
    """

    def __init__(
        self,
        node: Node,
        endpoint: int,
        servers: LocalServers,
        saw: Observations,
        silence: Silence,
        *,
        timeout_s: float,
        first_sequence: int = 0,
        fixed_counter: int | None = None,
    ) -> None:
        self._node = node
        self.endpoint = endpoint
        self._fixed_counter = fixed_counter
        self._servers = servers
        self._saw = saw
        self._silence = silence
        silence.on_begin = self._fall_silent
        self._timeout_s = timeout_s
        self._sequence = first_sequence & 0xFF
        self._waiting: dict[int, _Waiting] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self.on_command: Callable[[Peer, int, zcl.Frame], None] = lambda _peer, _id, _frame: None
        self.on_key_frame: Callable[[Peer, zcl.Frame], None] = lambda _peer, _frame: None
        self.on_secured: Callable[[int], None] = lambda _nwk: None
        self.on_garbage: Callable[[], None] = lambda: None

    # -- silence ------------------------------------------------------------------------------

    @property
    def is_silenced(self) -> bool:
        """Whether the device is to send no ZCL frames."""
        return self._silence.is_on

    def _fall_silent(self) -> None:
        """Nothing more goes out, not even a repetition; whoever waits for an answer is told."""
        for waiting in self._waiting.values():
            if waiting.held and not waiting.answer.done():
                waiting.answer.set_exception(NoAnswer(SILENCED))
        self._node.withdraw_data(self._is_zcl)

    @staticmethod
    def _is_zcl(profile_id: int, cluster_id: int) -> bool:
        return profile_id == SMART_ENERGY_PROFILE and cluster_id not in (OTA, SUB_GHZ)

    def _withheld(self, cluster_id: int, command: int, *, cluster_specific: bool) -> bool:
        if not self._silence.is_on or passes(
            cluster_id, command, cluster_specific=cluster_specific
        ):
            return False
        self._saw.tally["withheld while suspended"] += 1
        return True

    # -- out ----------------------------------------------------------------------------------

    def next_sequence(self) -> int:
        """A transaction sequence number that no request is waiting under."""
        for _ in range(256):
            self._sequence = (self._sequence + 1) & 0xFF
            if self._sequence not in self._waiting:
                return self._sequence
        raise NoAnswer("too many requests under way")

    def send(
        self, peer: Peer, cluster_id: int, frame: zcl.Frame, *, aps_secured: bool
    ) -> Coroutine[Any, Any, Status]:
        """Send one frame; the stack's confirm, or MAC_FAILURE in silence."""
        if self._withheld(cluster_id, frame.command, cluster_specific=frame.cluster_specific):
            return _left_unsaid()
        return self._send(peer, cluster_id, frame, aps_secured=aps_secured)

    def _send(
        self, peer: Peer, cluster_id: int, frame: zcl.Frame, *, aps_secured: bool
    ) -> Coroutine[Any, Any, Status]:
        return self._node.send(
            peer.nwk,
            source_endpoint=self.endpoint,
            destination_endpoint=peer.endpoint,
            profile_id=SMART_ENERGY_PROFILE,
            cluster_id=cluster_id,
            payload=frame.serialise(),
            aps_secured=aps_secured,
        )

    async def request(
        self,
        peer: Peer,
        cluster_id: int,
        command: int,
        payload: bytes = b"",
        *,
        cluster_specific: bool = False,
        aps_secured: bool | None = None,
        timeout_s: float | None = None,
    ) -> zcl.Frame:
        """Send a client's request and return the answer, which may be a Default Response.

        In silence it waits until it may be sent.
        `aps_secured` follows the cluster when None. Raise `NoAnswer` when the frame is not
        delivered, or when no answer (under the same security) comes in time.
        """
        if aps_secured is None:
            aps_secured = cluster_id in NEEDS_LINK_KEY
        may_pass = passes(cluster_id, command, cluster_specific=cluster_specific)
        if not may_pass:
            await self._silence.over()
        loop = asyncio.get_running_loop()
        sequence = self.next_sequence()
        answer: asyncio.Future[zcl.Frame] = loop.create_future()
        waiting = _Waiting(peer.nwk, cluster_id, aps_secured, not may_pass, answer)
        self._waiting[sequence] = waiting
        timer = loop.call_later(timeout_s or self._timeout_s, _time_out, waiting)

        def confirmed(status: Status) -> None:
            if status is Status.SUCCESS:
                waiting.delivered = True
            elif not answer.done():
                answer.set_exception(NoAnswer(status.value))

        try:
            refused = self._node.request(
                peer.nwk,
                source_endpoint=self.endpoint,
                destination_endpoint=peer.endpoint,
                profile_id=SMART_ENERGY_PROFILE,
                cluster_id=cluster_id,
                payload=zcl.Frame(command, sequence, payload, cluster_specific).serialise(),
                done=confirmed,
                aps_secured=aps_secured,
                counter=self._fixed_counter,
            )
            if refused is not None:
                raise NoAnswer(refused.value)
            # The answer may well overtake the confirm, whose acknowledgement was lost.
            return await answer
        finally:
            timer.cancel()
            del self._waiting[sequence]

    def fire(
        self,
        peer: Peer,
        cluster_id: int,
        command: int,
        payload: bytes,
        *,
        cluster_specific: bool = False,
        from_server: bool = False,
        done: Callable[[Status], None] = lambda _status: None,
        ack: bool = True,
    ) -> bool:
        """Send a frame and forget it, `done` gets its confirm: False when it could not be sent.

        `ack` asks for an APS acknowledgement, as Smart Energy always does.
        """
        if self._withheld(cluster_id, command, cluster_specific=cluster_specific):
            return False
        frame = zcl.Frame(
            command,
            self.next_sequence(),
            payload,
            cluster_specific,
            from_server,
            disable_default_response=from_server,
        )
        return (
            self._node.request(
                peer.nwk,
                source_endpoint=self.endpoint,
                destination_endpoint=peer.endpoint,
                profile_id=SMART_ENERGY_PROFILE,
                cluster_id=cluster_id,
                payload=frame.serialise(),
                done=done,
                aps_secured=cluster_id in NEEDS_LINK_KEY,
                ack=ack,
            )
            is None
        )

    async def read(
        self,
        peer: Peer,
        cluster_id: int,
        attributes: tuple[int, ...],
        *,
        aps_secured: bool | None = None,
        timeout_s: float | None = None,
    ) -> dict[int, zcl.Record]:
        """Read Attributes. The records of the answer, which may lack some that were asked for.

        Raise `RequestRefused` for a Default Response, `NoAnswer` for none or a broken one.
        """
        answer = await self.request(
            peer,
            cluster_id,
            zcl.Global.READ,
            zcl.read_attributes(attributes),
            aps_secured=aps_secured,
            timeout_s=timeout_s,
        )
        if answer.command != zcl.Global.READ_RESPONSE:
            raise RequestRefused(_refusal(answer))
        try:
            records = zcl.parse_read_response(answer.payload)
        except zcl.ZclError as error:
            self._saw.note(What.GARBAGE, f"answer to a read: {error}")
            self.on_garbage()
            raise NoAnswer("malformed answer") from error
        return {record.attribute: record for record in records}

    async def command(
        self, peer: Peer, cluster_id: int, command: int, payload: bytes = b""
    ) -> zcl.Frame:
        """A cluster command and its cluster-specific answer.

        Raise `RequestRefused` for a Default Response with an error (NOT_FOUND is one).
        """
        answer = await self.request(peer, cluster_id, command, payload, cluster_specific=True)
        if not answer.cluster_specific:
            status = _refusal(answer)
            if status != zcl.Status.SUCCESS:
                raise RequestRefused(status)
        return answer

    # -- in -----------------------------------------------------------------------------------

    def data_received(self, indication: Indication) -> None:
        """An APS data frame for this endpoint. Never raises."""
        if indication.aps_secured:
            self.on_secured(indication.source)
        try:
            frame = zcl.Frame.parse(indication.payload)
        except zcl.ZclError as error:
            self._saw.note(What.GARBAGE, str(error))
            self.on_garbage()
            return
        is_refusal = not frame.cluster_specific and frame.command == zcl.Global.DEFAULT_RESPONSE
        if indication.cluster_id == KEY_ESTABLISHMENT and (frame.cluster_specific or is_refusal):
            self.on_key_frame(Peer(indication.source, indication.source_endpoint), frame)
            return
        if frame.from_server:
            self._from_server(indication, frame)
        elif not is_refusal:
            self._from_client(indication, frame)

    def _from_client(self, indication: Indication, frame: zcl.Frame) -> None:
        cluster_id = indication.cluster_id
        peer = Peer(indication.source, indication.source_endpoint)
        if cluster_id in NEEDS_LINK_KEY and not indication.aps_secured:
            if cluster_id in self._servers.attributes:
                self._saw.note(What.UNSECURED_REQUEST, f"cluster 0x{cluster_id:04X}")
                answer: zcl.Frame | None = frame.default_response(zcl.Status.FAILURE)
            else:
                answer = self._servers.answer(peer, cluster_id, frame)
        else:
            answer = self._servers.answer(peer, cluster_id, frame)
        self._answer(indication, answer, frame)

    def _from_server(self, indication: Indication, frame: zcl.Frame) -> None:
        cluster_id = indication.cluster_id
        if cluster_id in NEEDS_LINK_KEY and not indication.aps_secured:
            waiting = self._waiting.get(frame.sequence)
            if waiting is None or waiting.aps_secured:
                self._saw.note(What.UNSECURED_ANSWER, f"cluster 0x{cluster_id:04X}")
                return
        is_report = not frame.cluster_specific and frame.command == zcl.Global.REPORT
        is_push = frame.cluster_specific or is_report
        if is_push:
            self.on_command(Peer(indication.source, indication.source_endpoint), cluster_id, frame)
        waiting = self._waiting.get(frame.sequence)
        if (
            waiting is not None
            and waiting.cluster_id == cluster_id
            and waiting.nwk == indication.source
            and not is_report
            and not waiting.answer.done()
        ):
            waiting.answer.set_result(frame)
        # Suspend ZCL Messages never gets a Default Response (SE 1.4 D.13): that were ZCL again.
        if is_push and cluster_id != SUB_GHZ:
            self._answer(indication, frame.default_response(zcl.Status.SUCCESS), frame)

    def _answer(self, indication: Indication, answer: zcl.Frame | None, to: zcl.Frame) -> None:
        if answer is None:
            return
        if answer.command == zcl.Global.DEFAULT_RESPONSE and not answer.cluster_specific:
            # 2.5.12.2: none to a broadcast, and none that says SUCCESS where it is not wanted.
            if indication.destination >= 0xFFF8:
                return
            if to.disable_default_response and answer.payload[1] == zcl.Status.SUCCESS:
                return
        peer = Peer(indication.source, indication.source_endpoint)
        self.reply(peer, indication.cluster_id, answer, aps_secured=indication.aps_secured)

    def reply(
        self,
        peer: Peer,
        cluster_id: int,
        answer: zcl.Frame,
        *,
        aps_secured: bool = False,
        whatever: bool = False,
    ) -> None:
        """Send a frame without waiting for it, under the security of what it answers.

        With `whatever` it goes out in silence too, which no sound device does.
        """
        send_it = self._send if whatever else self.send

        async def send() -> None:
            await send_it(peer, cluster_id, answer, aps_secured=aps_secured)

        task = asyncio.get_running_loop().create_task(send())
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def close(self) -> None:
        """Stop answers that are still on their way out."""
        for task in tuple(self._sending):
            task.cancel()


def _refusal(answer: zcl.Frame) -> int:
    if answer.command == zcl.Global.DEFAULT_RESPONSE and not answer.cluster_specific:
        try:
            return zcl.parse_default_response(answer.payload)[1]
        except zcl.ZclError as error:
            raise NoAnswer("malformed answer") from error
    raise NoAnswer("another command's answer")


async def _left_unsaid() -> Status:
    return Status.MAC_FAILURE


def _time_out(waiting: _Waiting) -> None:
    if not waiting.answer.done():
        reason = "timeout" if waiting.delivered else Status.NO_ACK.value
        waiting.answer.set_exception(NoAnswer(reason))
