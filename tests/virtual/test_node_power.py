"""The power may go at any instant: nothing dangles, and what comes back works."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from node_pair import CAD, LINK_KEY, Room, run, send

from labctl.virtual.frames import zdp
from labctl.virtual.node import Node, Status


def timers() -> list[Any]:
    loop = asyncio.get_running_loop()
    return [each for each in loop._scheduled if not each.cancelled()]  # type: ignore[attr-defined]


async def busy(room: Room, device: Node) -> None:
    """Everything at once that sets timers."""
    short = device.state.nwk
    await asyncio.gather(
        send(device, 0, bytes(300), aps_secured=True),
        send(room.hub, short, bytes(300), aps_secured=True),
        send(room.hub, 0x5555, b"nobody"),
        device.zdo(0, zdp.Cluster.ACTIVE_EP, zdp.u16(0)),
        device.zdo_broadcast(0xFFFD, zdp.Cluster.MATCH_DESC, bytes(6), collect_s=1.0),
        room.hub.zdo(short, zdp.Cluster.MGMT_LEAVE, bytes(8) + b"\x80"),
        device.energy_scan([11, 12]),
    )


@pytest.mark.parametrize("rx_on", [True, False])
@pytest.mark.parametrize("moment", [i * 0.0037 for i in range(12)] + [0.3, 0.62, 1.7, 7.0])
def test_no_timer_outlives_the_power(moment: float, rx_on: bool) -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined(rx_on=rx_on)
        task = asyncio.ensure_future(busy(room, device))
        await asyncio.sleep(moment)
        room.hub.power_off()
        device.power_off()
        room.hub.power_off()
        assert not timers()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled() or task.done()
        assert not room.air.radios
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(100)
        assert not timers()

    run(main())


@pytest.mark.parametrize("seed", range(25))
def test_a_join_cut_off_at_any_instant_works_the_next_time(seed: int) -> None:
    async def main() -> None:
        room = Room(seed)
        device = room.device(rx_on=bool(seed % 2))
        victim = room.hub if seed % 3 == 0 else device
        task = asyncio.ensure_future(room.join(device))
        await asyncio.sleep(random.Random(seed).uniform(0, 1.0))
        victim.power_off()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.1)
        victim.power_on()
        if not device.state.joined:
            assert await room.join(device) is None
        await device.sleep(1)
        assert await send(device, 0, b"here", aps_secured=True) is Status.SUCCESS

    run(main())


@pytest.mark.parametrize("secured", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_a_rejoin_cut_off_at_any_instant_works_the_next_time(seed: int, secured: bool) -> None:
    async def main() -> None:
        room = Room(seed)
        device = await room.joined(rx_on=bool(seed % 2))
        task = asyncio.ensure_future(device.rejoin(secured=secured))
        await asyncio.sleep(random.Random(seed).uniform(0, 0.3))
        device.power_off()
        await asyncio.gather(task, return_exceptions=True)
        device.power_on()
        assert await device.rejoin(secured=secured) is None
        assert await send(device, 0, b"here", aps_secured=True) is Status.SUCCESS

    run(main())


def test_who_awaits_a_node_is_cancelled_with_its_power() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        room.hub.power_off()
        waiting = [
            asyncio.ensure_future(send(device, 0, b"x")),
            asyncio.ensure_future(device.zdo(0, 5, b"\0\0")),
            asyncio.ensure_future(device.active_scan([11])),
            asyncio.ensure_future(device.sleep(1000)),
        ]
        await asyncio.sleep(0.01)
        device.power_off()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in results)

    run(main())


def test_without_power_every_request_ends_at_once() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        room.hub.permit_joining(60)
        (beacon,) = await device.active_scan([15])
        device.power_off()
        start = asyncio.get_running_loop().time()
        assert await send(device, 0, b"x") is Status.NOT_JOINED
        assert await device.zdo(0, 5, b"\0\0") is None
        assert await device.zdo_broadcast(0xFFFD, 5, b"\0\0", collect_s=5) == []
        assert await device.active_scan([11]) == []
        assert await device.energy_scan([11]) == {}
        assert await device.join(beacon, link_key=LINK_KEY) is not None
        assert await device.rejoin(secured=True) is not None
        device.permit_joining(10)
        device.fast_poll(1)
        room.hub.power_off()
        room.hub.transport_network_key(CAD, 1)
        assert room.hub.remove_device(0, CAD) is Status.NOT_JOINED
        assert asyncio.get_running_loop().time() == start

    run(main())


def test_a_hub_back_from_a_power_cut_still_knows_its_children() -> None:
    async def main() -> None:
        room = Room()
        awake = await room.joined()
        room.hub.power_off()
        await asyncio.sleep(60)
        room.hub.power_on()
        assert await send(awake, 0, b"up", aps_secured=True) is Status.SUCCESS
        assert await send(room.hub, awake.state.nwk, b"down", aps_secured=True) is Status.SUCCESS
        assert not room.heard[CAD].lefts

    run(main())
