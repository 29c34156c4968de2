"""Joining and rejoining, from the joiner's side (R22 3.6.1.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labctl.smart_energy.aes_mmo import aes_mmo
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.exchange import Outcome
from labctl.virtual.frames import FrameError, aps, from_air, mac, nwk, to_air
from labctl.virtual.stack.nwk import NoRoute
from labctl.virtual.stack.parent import DEFAULT_TIMEOUT
from labctl.virtual.stack.scanning import BASE_SUPERFRAME_SYMBOLS
from labctl.virtual.stack.state import LinkKey
from labctl.virtual.stack.types import Beacon, JoinFailure, Role

if TYPE_CHECKING:
    from labctl.virtual.node import Node

RESPONSE_WAIT_SUPERFRAMES = 32  # macResponseWaitTime
RESPONSE_POLLS = 3
POLL_S = 0.25
REJOIN_WAIT_S = 2.0


class Joining:
    """What a node does to get on a network. One thing at a time."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.waits_for_key = False
        self._key: asyncio.Future[Eui64] | None = None
        self._trust_centre_before: Eui64 | None = None  # while rejoining without the network key

    @property
    def current(self) -> bool:
        """Whether the power has stayed on since this object was made."""
        return self.node.powered and self.node.joining is self

    # -- association --------------------

    async def join(
        self, beacon: Beacon, link_key: bytes, key_timeout_s: float
    ) -> JoinFailure | None:
        """Associate and get the network key."""
        node = self.node
        if not beacon.permit_joining:
            return JoinFailure.NOT_PERMITTED
        node.network_down()
        state = node.state
        state.forget_network()
        state.page, state.channel = beacon.page, beacon.channel
        state.pan_id, state.parent = beacon.pan_id, beacon.source
        state.extended_pan_id = beacon.extended_pan_id
        state.update_id = beacon.update_id
        node.resume_radio(joining=True)
        try:
            failure = await self._associate(beacon.source)
            if failure is None:
                node.aps.security.joining_key = LinkKey(state.eui64, link_key)
                failure = await self._wait_for_key(key_timeout_s)
        finally:
            if self.current:
                node.aps.security.joining_key = None
                self.waits_for_key = False
                if not state.joined:
                    state.forget_network()
                    node.resume_radio()
        return failure

    async def _associate(self, parent: int) -> JoinFailure | None:
        node = self.node
        loop = asyncio.get_running_loop()
        requested: asyncio.Future[Outcome | None] = loop.create_future()
        answer: asyncio.Future[tuple[bytes, int, int] | None] = loop.create_future()

        def sent(outcome: Outcome, pending: bool) -> None:
            if not requested.done():
                requested.set_result(outcome)

        def answered(source: bytes, short: int, status: int) -> None:
            if not answer.done():
                answer.set_result((source, short, status))

        request = mac.MacFrame(
            mac.Kind.COMMAND,
            node.mac.next_sequence(),
            bytes((mac.Command.ASSOCIATION_REQUEST, node.capability)),
            node.state.pan_id,
            parent,
            mac.BROADCAST,
            to_air(node.state.eui64),
            ack_request=True,
        )
        node.mac.on_association = answered
        try:
            node.mac.send(request.encode(), sent)
            if await node.wait_for(requested, 1.0) is not Outcome.SENT:
                return JoinFailure.ASSOCIATION_TIMEOUT
            assert node.mac.radio.medium is not None
            symbol_s = node.mac.radio.medium.phy.symbol_s
            wait_s = RESPONSE_WAIT_SUPERFRAMES * BASE_SUPERFRAME_SYMBOLS * symbol_s
            await node.sleep(wait_s)
            for _ in range(RESPONSE_POLLS):
                node.mac.poll(parent, lambda outcome, got: None)
                response = await node.wait_for(answer, POLL_S)
                if response is not None:
                    break
            else:
                return JoinFailure.ASSOCIATION_TIMEOUT
        finally:
            if self.current:
                node.mac.on_association = None
        source, short, status = response
        if status != mac.AssociationStatus.SUCCESS:
            return JoinFailure.ASSOCIATION_REFUSED
        node.state.nwk = short
        node.state.parent_eui64 = from_air(source)
        node.resume_radio(joining=True)
        return None

    # -- the key --------------------

    async def _wait_for_key(self, seconds: float) -> JoinFailure | None:
        node = self.node
        loop = asyncio.get_running_loop()
        key = self._key = loop.create_future()
        self.waits_for_key = True
        deadline = loop.time() + seconds
        try:
            while not key.done() and loop.time() < deadline:
                if not node.rx_on_when_idle:
                    node.mac.poll(node.state.parent, lambda outcome, got: None)
                patience = deadline - loop.time()
                await node.wait_for(key, patience if node.rx_on_when_idle else POLL_S)
        finally:
            self._key = None
            self.waits_for_key = False
        if not key.done() or key.cancelled():
            return JoinFailure.NO_NETWORK_KEY
        return None

    def network_key_received(
        self, command: aps.TransportKey, source: Eui64, nwk_secured: bool
    ) -> None:
        """A Transport-Key with a network key was deciphered."""
        node = self.node
        state = node.state
        if state.role is Role.COORDINATOR:
            return
        if self._key is None:
            # On the network already: this is the next key (R22 4.4.3.1), from our trust centre.
            if nwk_secured and source == state.trust_centre and node.takes_key_updates:
                state.alternate_network_key = command.key
                state.alternate_key_sequence = command.sequence
                node.listener.network_changed()
            return
        if self._key.done():
            return
        trust_centre = from_air(command.source)
        if self._trust_centre_before not in (None, trust_centre) and not node.accepts_swap:
            return
        state.network_key = command.key
        state.network_key_sequence = command.sequence
        state.trust_centre = trust_centre
        joining_key = node.aps.security.joining_key
        before = self._trust_centre_before
        swapped = before is not None and trust_centre != before
        if swapped:
            # Another trust centre that knows the hash of our key: the one before it is gone.
            assert before is not None
            state.link_keys.pop(before, None)
        if joining_key is not None and (swapped or before is None):
            state.link_keys[trust_centre] = LinkKey(
                trust_centre, joining_key.key, joining_key.incoming_counter
            )
        node.learn(to_air(trust_centre), 0x0000)
        node.nwk.security.forget_counters()
        self.waits_for_key = False
        self._key.set_result(trust_centre)
        self._arrived()
        if swapped:
            node.listener.trust_centre_swapped(trust_centre)
        node.listener.key_received("network", trust_centre)

    def _arrived(self) -> None:
        """On the network: announce ourselves, agree on a timeout, save."""
        node = self.node
        node.state.joined = True
        node.network_up()
        node.objects.announce()
        try:
            node.nwk.send_command(
                node.state.parent,
                nwk.end_device_timeout_request(DEFAULT_TIMEOUT),
                destination_eui64=(
                    None if node.state.parent_eui64 is None else to_air(node.state.parent_eui64)
                ),
            )
        except NoRoute:
            raise AssertionError("an end device always has a parent") from None
        node.listener.network_changed()

    # -- rejoin --------------------

    async def rejoin(
        self, *, secured: bool, key_timeout_s: float, channels: Sequence[tuple[int, int]]
    ) -> JoinFailure | None:
        """Find the network of the state again and rejoin it (R22 3.6.1.4.2)."""
        node = self.node
        state = node.state
        if state.role is not Role.END_DEVICE or state.nwk >= nwk.FIRST_BROADCAST:
            return JoinFailure.NO_BEACON
        node.network_down()
        state.joined = False
        node.mac.forget_queue()
        beacon = await self._find_network(channels)
        if beacon is None:
            return JoinFailure.NO_BEACON
        state.page, state.channel = beacon.page, beacon.channel
        state.pan_id, state.parent = beacon.pan_id, beacon.source
        state.update_id = beacon.update_id
        node.resume_radio(joining=True)
        try:
            failure = await self._rejoin_request(secured)
            if failure is None and secured:
                self._arrived()
            elif failure is None:
                self._expect_a_swap()
                failure = await self._wait_for_key(key_timeout_s)
        finally:
            self._trust_centre_before = None
            if self.current:
                node.aps.security.joining_key = None
                if not state.joined:
                    node.resume_radio()
        return failure

    def _expect_a_swap(self) -> None:
        """The network key may come from a trust centre that took over: then it is protected with
        the hash of our link key (R22 4.7.4)."""
        state = self.node.state
        key = None if state.trust_centre is None else state.link_keys.get(state.trust_centre)
        if key is not None:
            self._trust_centre_before = state.trust_centre
            self.node.aps.security.joining_key = LinkKey(state.eui64, aes_mmo(key.key))

    async def _find_network(self, channels: Sequence[tuple[int, int]]) -> Beacon | None:
        state = self.node.state
        last = (state.page, state.channel)
        others = [each for each in channels if each != last]
        for group in ([last], others):
            found = [
                each
                for each in await self.node.scanning.active_scan(group, None)
                if each.extended_pan_id == state.extended_pan_id
            ]
            if found:
                return max(found, key=lambda each: (each.end_device_capacity, each.rssi_dbm))
        return None

    async def _rejoin_request(self, secured: bool) -> JoinFailure | None:
        node = self.node
        state = node.state
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[int, int, Eui64 | None] | None] = loop.create_future()

        def answered(frame: nwk.NwkFrame, short: int, status: int, was_secured: bool) -> None:
            if frame.source != state.parent or was_secured is not secured or answer.done():
                return
            if frame.destination_eui64 not in (None, to_air(state.eui64)):
                return
            parent = None if frame.source_eui64 is None else from_air(frame.source_eui64)
            answer.set_result((short, status, parent))

        node.nwk.on_rejoin_response = answered
        try:
            node.nwk.send_command(
                state.parent, nwk.rejoin_request(node.capability), secured=secured
            )
            deadline = loop.time() + REJOIN_WAIT_S
            response = None
            while response is None and loop.time() < deadline:
                if not node.rx_on_when_idle:
                    node.mac.poll(state.parent, lambda outcome, got: None)
                response = await node.wait_for(answer, POLL_S)
        finally:
            if self.current:
                node.nwk.on_rejoin_response = None
        if response is None:
            return JoinFailure.ASSOCIATION_TIMEOUT
        short, status, parent = response
        if status != mac.AssociationStatus.SUCCESS:
            return JoinFailure.ASSOCIATION_REFUSED
        if not 0 < short < nwk.FIRST_BROADCAST:
            raise FrameError("a rejoin response with a broadcast address")
        state.nwk = short
        state.parent_eui64 = parent
        node.resume_radio(joining=True)
        return None
