"""Somebody who hears everything in the room, and asks for beacons."""

from __future__ import annotations

import asyncio
import random

import pytest
from node_pair import CAD, EXTENDED_PAN, NETWORK_KEY, Room, run

from labctl.virtual.node import JoinFailure
from labctl.virtual.onlooker import Onlooker

MGMT_PERMIT_JOINING = 0x0036
ALL_ROUTERS = 0xFFFC


def an_onlooker(room: Room, *keys: bytes) -> Onlooker:
    loop = asyncio.get_running_loop()
    return Onlooker(
        room.air,
        lambda: round(loop.time() * 1e6),
        lambda: keys,
        (1.0, 0.0, 0.0),
        random.Random(3),
    )


def test_it_hears_who_tries_to_associate_and_what_the_beacons_say() -> None:
    async def scenario() -> None:
        room = Room()
        node = room.device()
        with an_onlooker(room) as onlooker:
            (beacon,) = await onlooker.ask(0, 15)
            assert (beacon.extended_pan_id, beacon.permit_joining) == (EXTENDED_PAN, False)
            assert onlooker.associations == []
            room.hub.permit_joining(60)
            (beacon,) = await onlooker.ask(0, 15)
            assert beacon.permit_joining
            room.hub.permit_joining(0)
            failure = await node.join(beacon, link_key=bytes(16))
            assert failure is JoinFailure.ASSOCIATION_REFUSED
            assert {each.eui64 for each in onlooker.associations} == {CAD}
            heard = len(onlooker.associations)
        await node.join(beacon, link_key=bytes(16))
        assert len(onlooker.associations) == heard  # it has gone

    run(scenario())


@pytest.mark.parametrize("keys", [(NETWORK_KEY,), (bytes(16), NETWORK_KEY), (bytes(16),), ()])
def test_it_reads_the_broadcasts_that_open_joining_with_the_networks_key(
    keys: tuple[bytes, ...],
) -> None:
    async def scenario() -> None:
        room = Room()
        await room.joined()  # whose frames are none of its business
        with an_onlooker(room, *keys) as onlooker:
            before = asyncio.get_running_loop().time()
            room.hub.zdo_tell(ALL_ROUTERS, MGMT_PERMIT_JOINING, bytes((254, 1)))
            room.hub.zdo_tell(ALL_ROUTERS, 0x0013, bytes(11))
            await asyncio.sleep(2)
        expected = {254} if NETWORK_KEY in keys else set()
        assert {permit.seconds for permit in onlooker.permits} == expected
        assert all(before * 1e6 <= p.at_us < before * 1e6 + 1e6 for p in onlooker.permits)

    run(scenario())
