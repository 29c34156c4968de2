"""What flash keeps: round trips, damage, and counters that are never used twice."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from node_pair import CAD, HUB, LINK_KEY, NETWORK_KEY, Room, run, send

from labctl.errors import ConfigurationError
from labctl.virtual.air import Radio
from labctl.virtual.frames import mac, nwk
from labctl.virtual.node import Node, NodeState, Role, Status
from labctl.virtual.stack.state import CounterGuard, capture_keys


def stored_pair() -> tuple[dict[str, Any], dict[str, Any]]:
    """What hub and device of a network have in flash."""

    async def main() -> tuple[dict[str, Any], dict[str, Any]]:
        room = Room()
        device = await room.joined(rx_on=False)
        return room.hub.state.to_json(), device.state.to_json()

    return run(main())


def test_everything_but_the_counters_comes_back_as_it_was() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined(rx_on=False)
        for state in (room.hub.state, device.state):
            back = NodeState.from_json(json.loads(json.dumps(state.to_json())))
            assert back.outgoing_nwk_counter > state.outgoing_nwk_counter
            assert back.outgoing_aps_counter > state.outgoing_aps_counter
            back.outgoing_nwk_counter = state.outgoing_nwk_counter
            back.outgoing_aps_counter = state.outgoing_aps_counter
            for link_key in state.link_keys.values():
                link_key.incoming_counter = 0
            assert back == state

    run(main())


@pytest.mark.parametrize("name", ["format", "eui64", "role", "link_keys", "children", "nwk"])
@pytest.mark.parametrize("value", [None, "absent", -1, [1], {"x": 1}, "zz"])
def test_damage_is_reported_without_the_keys(name: str, value: Any) -> None:
    _, stored = stored_pair()
    if value == "absent":
        del stored[name]
    else:
        stored[name] = value
    with pytest.raises(ConfigurationError) as caught:
        NodeState.from_json(stored)
    assert NETWORK_KEY.hex() not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "Delete the file" in caught.value.mend


@given(
    junk=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=5,
    ),
    at=st.integers(0, 30),
)
def test_junk_in_any_place_is_a_configuration_error_or_harmless(junk: Any, at: int) -> None:
    stored = copy.deepcopy(_STORED)
    names = sorted(stored)
    stored[names[at % len(names)]] = junk
    try:
        state = NodeState.from_json(stored)
    except ConfigurationError:
        return
    json.dumps(state.to_json())


_STORED = stored_pair()[0]


def test_keys_are_not_printed() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        text = repr(device.state) + repr(device.state.link_keys[HUB]) + str(room.hub.state)
        for key in (NETWORK_KEY, LINK_KEY):
            assert key.hex() not in text
            assert repr(key) not in text

    run(main())


@given(sends=st.lists(st.integers(1, 900), min_size=1, max_size=20), of_aps=st.booleans())
def test_no_counter_is_used_twice_however_the_power_goes(sends: list[int], of_aps: bool) -> None:
    """Each round sends some frames and is killed; the next starts from what was saved."""
    flash: dict[str, Any] = NodeState(CAD, Role.END_DEVICE).to_json()
    used = -1
    for count in sends:
        state = NodeState.from_json(flash)

        def save(state: NodeState = state) -> None:
            nonlocal flash
            flash = state.to_json()

        guard = CounterGuard(state, save, of_aps=of_aps)
        for _ in range(count):
            value = guard.next()
            assert value > used
            used = value


def test_saves_are_rare() -> None:
    saves = 0
    state = NodeState(CAD, Role.END_DEVICE)

    def save() -> None:
        nonlocal saves
        saves += 1
        state.to_json()

    guard = CounterGuard(state, save, of_aps=False)
    for _ in range(20_000):
        guard.next()
    assert saves <= 20_000 / 512 + 2


def test_an_owner_that_saves_nothing_is_not_asked_at_every_frame() -> None:
    asked = 0

    def ignore() -> None:
        nonlocal asked
        asked += 1

    guard = CounterGuard(NodeState(CAD, Role.END_DEVICE), ignore, of_aps=False)
    for _ in range(10_000):
        guard.next()
    assert 10 < asked < 50


def test_a_pair_that_is_killed_and_restarted_from_flash_goes_on() -> None:
    """Both ends lose power without warning, five times over, and no frame is taken for a replay."""

    async def main() -> None:
        room = Room()
        device = await room.joined()
        flash: dict[str, dict[str, Any]] = {}

        def keep(node: Node) -> None:
            flash[node.state.eui64] = json.loads(json.dumps(node.state.to_json()))

        for each, heard in ((room.hub, room.hub_heard), (device, room.heard[CAD])):
            heard.on_change = lambda each=each: keep(each)
            keep(each)

        def listen(sender: Radio, receiver: Radio, psdu: bytes) -> bool:
            if psdu[0] & 7 == mac.Kind.DATA:
                frame = nwk.decode(mac.decode(psdu[:-2]).payload)
                counter = int.from_bytes(frame.body[1:5], "little")
                key = (frame.body[5:13], counter)
                seen.setdefault(key, frame.body)
                assert seen[key] == frame.body, "one counter, two frames"
            return False

        seen: dict[tuple[bytes, int], bytes] = {}
        room.air.drop = listen
        for _ in range(5):
            for i in range(30):
                assert await send(device, 0, bytes([i]), aps_secured=True) is Status.SUCCESS
                down = await send(room.hub, device.state.nwk, bytes([i]), aps_secured=True)
                assert down is Status.SUCCESS
            for node in (room.hub, device):
                node.power_off()
                node.state = NodeState.from_json(flash[node.state.eui64])
            await asyncio.sleep(5)
            room.hub.power_on()
            device.power_on()
            await asyncio.sleep(1)
        assert len(room.hub_heard.data) == 150
        assert room.hub.counters["nwk_frame_counter_failure"] == 0

    run(main())


def test_all_keys_of_a_capture_are_listed_once() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        keys = capture_keys([room.hub.state, device.state])
        assert sorted(key for key, _ in keys) == sorted([NETWORK_KEY, LINK_KEY])
        room.hub.begin_key_update(bytes(16))
        assert len(capture_keys([room.hub.state])) == 3

    run(main())
