"""The client state machine of the virtual devices, against a scripted hub on the fast clock."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
from device_bench import DEVICE, HUB, ScriptedHub, a_device, a_hub, identity, uint

from labctl.virtual.clock import run
from labctl.virtual.devices import Behaviour, Fuel, VirtualDevice, What

HOUR = 3600.0


def play(
    hub: ScriptedHub,
    device: VirtualDevice,
    seconds: float,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Switch the device on, let `seconds` pass, switch it off."""

    async def main() -> None:
        device.power_on()
        other = asyncio.ensure_future(meanwhile()) if meanwhile else None
        await asyncio.sleep(seconds)
        if other is not None:
            await other
        await device.power_off()

    run(main(), fast=True)


def times(device: VirtualDevice, what: What) -> list[float]:
    return [seen.at_s for seen in device.observations.of(what)]


def test_a_cad_joins_is_authorised_and_registers_in_the_order_of_its_client() -> None:
    hub = a_hub()
    device = a_device(hub)
    play(hub, device, 60)
    assert device.observations.counts[What.JOINED] == 1
    assert [seen.detail for seen in device.observations.of(What.KEY_ESTABLISHED)] == ["suite 2"]
    asked = [
        (destination, cluster, struct.unpack("<HHBHB", body)[1:4:2])
        for _, destination, cluster, body in hub.zdo_requests
        if cluster == 0x0006
    ]
    assert asked == [
        (0x0000, 0x0006, (0x0109, 0x0800)),
        (0xFFFD, 0x0006, (0x0109, 0x0701)),
        (0xFFFD, 0x0006, (0x0109, 0x000A)),
    ]
    assert device.observations.counts[What.REGISTERED] == 1
    assert device.is_authorised


def test_the_search_for_key_establishment_begins_four_seconds_after_the_join() -> None:
    hub = a_hub()
    device = a_device(hub)
    play(hub, device, 60)
    (joined,) = times(device, What.JOINED)
    assert hub.zdo_requests[0][0] - joined == pytest.approx(4.0, abs=0.1)


def test_bindings_are_asked_for_half_a_second_apart_at_each_esi_endpoint() -> None:
    hub = a_hub()
    device = a_device(hub)
    play(hub, device, 60)
    binds = [(at, body) for at, _, cluster, body in hub.zdo_requests if cluster == 0x0021]
    clusters = [(body[8], int.from_bytes(body[9:11], "little")) for _, body in binds]
    order = [0x0700, 0x0701, 0x0702, 0x0703, 0x0705, 0x0707, 0x0708]
    assert clusters == [(ep, cluster) for ep in (2, 3) for cluster in order]
    assert all(b[0] - a[0] == pytest.approx(0.52, abs=0.05) for a, b in pairwise(binds))
    for _, body in binds:
        assert body[:8] == HUB.little_endian
        assert body[11:] == b"\x03" + DEVICE.little_endian + b"\x01"
    # A refusal is noted and ignored.
    assert device.observations.counts[What.BOUND] == 12
    assert device.observations.counts[What.BIND_REFUSED] == 2
    assert device.observations.counts[What.REGISTERED] == 1


def test_the_screen_shows_what_the_hub_served() -> None:
    hub = a_hub()
    device = a_device(hub, "ihd")
    play(hub, device, 120)
    electricity = device.screen.meter(Fuel.ELECTRICITY)
    gas = device.screen.meter(Fuel.GAS)
    assert electricity is not None
    assert gas is not None
    assert electricity.peer.endpoint == 2
    assert gas.peer.endpoint == 3
    assert electricity.summation_raw == 1_234_567
    assert electricity.consumption == pytest.approx(1234.567)
    assert electricity.demand == pytest.approx(1.5)
    assert electricity.consumption_text == "1234.567 kWh"
    assert electricity.site_id == "1200012345678"
    assert gas.consumption_text == "1234.567 m³"
    assert device.screen.price_per_unit(Fuel.ELECTRICITY) == pytest.approx(0.245)
    assert device.screen.price_per_unit(Fuel.GAS) == pytest.approx(0.0624)
    assert device.screen.message is not None
    assert device.screen.message.text == "Hello"
    assert (device.screen.hub_manufacturer, device.screen.hub_model) == ("labctl", "Hub")


def test_every_read_of_the_application_is_encrypted_with_the_link_key() -> None:
    hub = a_hub()
    device = a_device(hub, "ihd")
    play(hub, device, HOUR)
    open_clusters = {r.cluster_id for r in hub.requests if not r.aps_secured}
    assert open_clusters == {0x0000, 0x0800}


def test_in_a_day_a_cad_makes_its_reads_on_a_fixed_grid() -> None:
    hub = a_hub()
    device = a_device(hub)
    play(hub, device, 24 * HOUR)
    at = [r.at_s for r in hub.reads(2, 0x0000, 0x0400)]
    count = device.observations.reads["electricity"]
    assert len(at) == count.ok >= 8_600
    assert (count.failed, count.refused, count.lost) == (0, 0, 0)
    gaps = [b - a for a, b in pairwise(at)]
    assert 9.9 < min(gaps) < 10 - 1e-4  # real clocks jitter
    assert 10 + 1e-4 < max(gaps) < 10.1
    period = (at[-1] - at[0]) / (len(at) - 1)
    assert period == pytest.approx(10, rel=25e-6)  # and their crystals are off
    assert period != 10.0
    assert device.observations.reads["gas"].ok == 48
    assert device.observations.counts[What.KEEP_ALIVE] > 24 * 60 / 15 - 5
    assert device.observations.counts[What.REDISCOVERED] == 7
    assert device.observations.counts[What.NETWORK_LOST] == 0
    assert device.observations.counts[What.KEY_ESTABLISHED] == 1


@pytest.mark.parametrize("ppm", [-500.0, 500.0])
def test_a_fast_crystal_reads_early_and_a_slow_one_late(ppm: float) -> None:
    hub = a_hub()
    play(hub, a_device(hub, behaviour=Behaviour(clock_ppm=ppm)), 6 * HOUR)
    at = [r.at_s for r in hub.reads(2, 0x0000, 0x0400)]
    assert (at[-1] - at[0]) / (len(at) - 1) == pytest.approx(10 / (1 + ppm * 1e-6), rel=2e-6)


def test_an_ihd_also_reads_price_and_time() -> None:
    hub = a_hub()
    device = a_device(hub, "ihd")
    play(hub, device, 6 * HOUR)
    reads = {name: count.ok for name, count in device.observations.reads.items()}
    assert reads == {"electricity": pytest.approx(2156, abs=3), "price": 12, "gas": 12, "time": 6}


def test_the_device_knows_the_time_that_the_hub_told() -> None:
    hub = a_hub()
    device = a_device(hub, "ihd")

    async def main() -> None:
        device.power_on()
        await asyncio.sleep(HOUR)
        now = asyncio.get_running_loop().time()
        assert device.screen.utc(now) == pytest.approx(hub.utc, abs=2)
        await device.power_off()

    run(main(), fast=True)


def test_a_hub_without_esi_gets_three_strikes_half_a_minute_apart_and_a_restart() -> None:
    hub = a_hub(deaf_to={0x0701})
    device = a_device(hub)
    play(hub, device, 200)
    silences = times(device, What.NO_ESI)
    aborts = times(device, What.REGISTRATION_ABORTED)
    assert len(aborts) == 1 + (len(silences) - 3) // 3
    assert [b - a for a, b in pairwise(silences[:3])] == pytest.approx([34, 34], abs=0.5)
    assert aborts[0] == silences[2]
    assert silences[3] - aborts[0] == pytest.approx(60 + 4 + 2, abs=0.5)
    assert device.observations.counts[What.REGISTERED] == 0
    assert not hub.reads(2, 0x0000, 0x0400)
    # The keys stand: the restart does not establish them again.
    assert hub.key_machines == 1


@pytest.mark.parametrize(
    "time_attributes",
    [
        {0: uint(0xE2, 800_000_000, 4), 1: uint(0x18, 0x00, 1)},  # neither Master nor Synchronized
        {0: uint(0xE2, 0xFFFFFFFF, 4), 1: uint(0x18, 0x03, 1)},  # no time
        {0: uint(0xE2, 0, 4), 1: uint(0x18, 0x03, 1)},  # no time either
    ],
    ids=["no status bit", "invalid", "zero"],
)
def test_a_time_server_that_knows_no_time_is_not_taken(time_attributes: dict[int, bytes]) -> None:
    hub = a_hub()
    for endpoint in (1, 2, 3):
        hub.attributes[endpoint, 0x000A] = time_attributes
    device = a_device(hub)
    play(hub, device, 150)
    assert [seen.detail for seen in device.observations.of(What.NO_TIME)] == [
        "no usable answer"
    ] * 3
    assert device.observations.counts[What.REGISTRATION_ABORTED] == 1


@pytest.mark.parametrize(
    ("statuses", "chosen"),
    [
        ({1: 0x02, 2: 0x02, 3: 0x02}, 1),
        ({1: 0x02, 2: 0x01, 3: 0x03}, 2),
        ({1: 0x01, 2: 0x01, 3: 0x0A}, 3),
        ({1: 0x08, 2: 0x00, 3: 0x02}, 3),
    ],
)
def test_the_time_server_is_superseding_then_master_then_the_lowest(
    statuses: dict[int, int], chosen: int
) -> None:
    hub = a_hub()
    for endpoint, status in statuses.items():
        hub.attributes[endpoint, 0x000A] = {1: uint(0x18, status, 1)}
    device = a_device(hub, "ihd")
    play(hub, device, 120)
    steady = [r.endpoint for r in hub.requests if r.cluster_id == 0x000A][-1]
    assert steady == chosen


def test_a_hub_without_keep_alive_makes_the_device_search_every_six_to_nine_minutes() -> None:
    hub = a_hub()
    hub.servers[1].remove(0x0025)
    device = a_device(hub)
    play(hub, device, 2 * HOUR)
    lost = times(device, What.NETWORK_LOST)
    assert 7200 / 560 < len(lost) < 7200 / 360
    assert all(360 <= b - a <= 545 for a, b in pairwise(lost))
    assert {seen.detail for seen in device.observations.of(What.NETWORK_LOST)} == {"keep-alive"}
    assert len(times(device, What.REJOINED)) == len(lost)
    # A rejoin costs no read but those of its own seconds, and no second key establishment.
    assert len(hub.reads(2, 0x0000, 0x0400)) > 700
    assert hub.key_machines == 1


def test_keep_alive_follows_the_base_and_jitter_of_the_hub() -> None:
    hub = a_hub()
    device = a_device(hub)
    play(hub, device, 4 * HOUR)
    beats = times(device, What.KEEP_ALIVE)
    gaps = [b - a for a, b in pairwise(beats)]
    assert 600 <= min(gaps) < max(gaps) <= 901
    reads = [r for r in hub.requests if r.cluster_id == 0x0025]
    assert len(reads) == len(beats)
    assert all(r.aps_secured and r.payload == b"\x00\x00\x01\x00" for r in reads)
    wildcard = [body for _, _, c, body in hub.zdo_requests if c == 6 and body[5:7] == b"\x25\x00"]
    assert [body[2:4] for body in wildcard] == [b"\xff\xff"]


def test_keep_alives_that_fail_now_and_then_do_no_harm() -> None:
    hub = a_hub()
    device = a_device(hub)
    beats = 0
    plain = hub.zcl

    def two_of_three_lost(endpoint: int, cluster: int, frame: bytes, secured: bool) -> list[bytes]:
        nonlocal beats
        answers = plain(endpoint, cluster, frame, secured)
        if cluster == 0x0025:
            beats += 1
            return answers if beats % 3 == 0 else []
        return answers

    hub.zcl = two_of_three_lost  # type: ignore[method-assign]
    play(hub, device, 12 * HOUR)
    assert device.observations.counts[What.KEEP_ALIVE_FAILED] > 30
    assert device.observations.counts[What.NETWORK_LOST] == 0


def test_a_hub_that_comes_back_gets_the_device_back_within_a_quarter_of_an_hour() -> None:
    hub = a_hub()
    device = a_device(hub)

    async def outage() -> None:
        await asyncio.sleep(600)
        hub.on = False
        await asyncio.sleep(2 * HOUR)
        hub.on = True

    play(hub, device, 4 * HOUR, outage)
    assert device.observations.of(What.NETWORK_LOST)[0].detail == "reads unanswered"
    back = times(device, What.REJOINED)[-1]
    assert 600 + 2 * HOUR < back < 600 + 2 * HOUR + 15 * 60
    assert hub.key_machines == 1
    at = [r.at_s for r in hub.reads(2, 0x0000, 0x0400)]
    # The grid is the old one: the outage is a whole number of periods long.
    gap = max(b - a for a, b in pairwise(at))
    assert gap > 2 * HOUR
    assert min(gap % 10, 10 - gap % 10) < 0.3


def test_the_search_goes_over_all_channels_and_at_last_without_the_network_key() -> None:
    hub = a_hub()
    device = a_device(hub)

    async def outage() -> None:
        await asyncio.sleep(600)
        hub.on = False
        await asyncio.sleep(800)
        hub.new_network_key = True
        hub.on = True

    play(hub, device, 2600, outage)
    node = device.node
    calls = [(at, what) for at, what in node.calls if "rejoin" in what]  # type: ignore[union-attr]
    in_vain = [what for at, what in calls if at < 1400]
    one_round = ["rejoin on 1", "rejoin on 1", "rejoin on 1", "rejoin on 16"]
    assert in_vain == one_round * (len(in_vain) // 4)
    assert [what for at, what in calls if at > 1400] == [*one_round, "unsecured rejoin on 16"]
    starts = [at for at, _ in calls][::4]
    waits = [b - a for a, b in pairwise(starts)]
    assert all(0.75 * 60 * 2**n < wait < 60 * 2**n + 5 for n, wait in enumerate(waits[:4]))
    assert device.observations.reads["electricity"].ok > 60
    assert hub.key_machines == 1


def test_a_device_without_a_key_of_its_own_never_rejoins_unsecured() -> None:
    hub = a_hub(deaf_to={0x0800})
    device = a_device(hub)

    async def order() -> None:
        await asyncio.sleep(30)
        hub.new_network_key = True
        device.node.told_to_leave(rejoin=True)  # type: ignore[union-attr]

    play(hub, device, 600, order)
    calls = [what for _, what in device.node.calls]  # type: ignore[union-attr]
    assert "rejoin on 16" in calls
    assert "unsecured rejoin on 16" not in calls


def test_an_unknown_issuer_makes_the_device_leave_and_not_come_back_at_once() -> None:
    hub = a_hub(identities={2: identity(HUB, name="production")})
    device = a_device(hub)
    play(hub, device, 5 * HOUR)
    assert device.observations.counts[What.KEY_ESTABLISHED] == 0
    failed = device.observations.of(What.KEY_FAILED)
    assert all("UNKNOWN_ISSUER" in seen.detail for seen in failed)
    left = times(device, What.LEFT)
    assert len(left) == len(failed) >= 3
    joined = times(device, What.JOINED)
    assert all(then - gone > 40 for gone, then in zip(left, joined[1:], strict=False))
    # Three in a row on one network, then hourly.
    assert joined[2] - joined[0] < 300
    assert all(b - a > 1790 for a, b in pairwise(joined[2:]))
    assert not device.is_authorised
    assert not hub.reads(2, 0x0000, 0x0400)


def test_a_hub_that_terminates_is_tried_ten_times_and_then_left_in_peace() -> None:
    hub = a_hub(identities={})
    device = a_device(hub)
    play(hub, device, HOUR)
    failed = times(device, What.KEY_FAILED)
    gaps = [b - a for a, b in pairwise(failed)]
    assert all("UNSUPPORTED_SUITE" in s.detail for s in device.observations.of(What.KEY_FAILED))
    assert all(32 <= gap < 40 for gap in gaps[:9])
    assert gaps[9] > 900
    assert device.observations.counts[What.JOINED] == 1


def test_a_terminate_is_waited_for_as_long_as_it_asks() -> None:
    hub = a_hub(identities={}, wait_s=120)
    device = a_device(hub)
    play(hub, device, 900)
    gaps = [b - a for a, b in pairwise(times(device, What.KEY_FAILED))]
    assert len(gaps) > 4
    assert all(120 <= gap < 122 for gap in gaps)


def test_a_lost_parent_starts_the_search() -> None:
    hub = a_hub()
    device = a_device(hub)

    async def silence() -> None:
        await asyncio.sleep(300)
        device.node.listener.parent_lost()  # type: ignore[union-attr]

    play(hub, device, 400, silence)
    assert [seen.detail for seen in device.observations.of(What.NETWORK_LOST)] == ["parent lost"]
    assert device.observations.counts[What.REJOINED] == 1
    assert device.observations.reads["electricity"].lost <= 1


def test_a_partner_that_falls_silent_in_key_establishment_is_timed_out() -> None:
    hub = a_hub(deaf_to={0x0800})
    hub.zdo = lambda _d, _c, _b: b"\x00\x00\x00\x01\x01"  # type: ignore[method-assign]
    device = a_device(hub)
    play(hub, device, 60)
    (first, *_) = device.observations.of(What.KEY_FAILED)
    assert "did not come within 10 s" in first.detail
    (joined,) = times(device, What.JOINED)
    assert first.at_s - joined == pytest.approx(4 + 10, abs=0.2)


def test_a_wrong_install_code_never_gets_the_network_key() -> None:
    hub = a_hub()
    device = a_device(hub, behaviour=Behaviour(wrong_install_code=True))
    play(hub, device, 3 * HOUR)
    assert device.observations.counts[What.JOINED] == 0
    failures = device.observations.of(What.JOIN_FAILED)
    assert {seen.detail for seen in failures} == {"no-network-key"}
    scans = [at for at, what in device.node.calls if what == "scan"]  # type: ignore[union-attr]
    joins = [at for at, what in device.node.calls if what == "join"]  # type: ignore[union-attr]
    assert len(joins) == 3 * len(scans)
    quick = [b - a for a, b in pairwise(s for s in scans if s < 900)]
    assert all(45 <= gap <= 75 + 25 for gap in quick)
    slow = [b - a for a, b in pairwise(s for s in scans if s > 960)]
    assert slow
    assert all(1800 <= gap <= 5400 + 25 for gap in slow)


def test_a_device_may_look_at_a_pace_of_its_own_or_give_up() -> None:
    def scans_of(behaviour: Behaviour) -> list[float]:
        hub = a_hub()
        device = a_device(hub, behaviour=behaviour)
        play(hub, device, HOUR)
        return [at for at, what in device.node.calls if what == "scan"]  # type: ignore[union-attr]

    eager = scans_of(Behaviour(wrong_install_code=True, looks_every_s=5))
    assert max(b - a for a, b in pairwise(eager)) < 35
    lazy = scans_of(Behaviour(wrong_install_code=True, looks_every_s=1500))
    assert len(lazy) == 3
    assert all(1350 <= b - a <= 1650 + 35 for a, b in pairwise(lazy))
    assert len(scans_of(Behaviour(wrong_install_code=True, gives_up_joining=True))) == 1


def test_a_closed_network_is_not_joined_unless_the_device_ignores_the_permit_bit() -> None:
    hub = a_hub(open=False, refuse_association=True)
    good, bad = a_device(hub), a_device(hub, behaviour=Behaviour(ignore_permit_bit=True))
    play(hub, good, 100)
    assert "join" not in [what for _, what in good.node.calls]  # type: ignore[union-attr]
    assert {s.detail for s in good.observations.of(What.JOIN_FAILED)} == {"not-permitted"}
    scans = [at for at, what in good.node.calls if what == "scan"]  # type: ignore[union-attr]
    gaps = [b - a for a, b in pairwise(scans[:3])]
    assert gaps == pytest.approx([3.2, 3.2], abs=0.25)
    assert gaps[0] != pytest.approx(gaps[1])  # or two that began together would ask in step
    play(hub, bad, 100)
    assert {s.detail for s in bad.observations.of(What.JOIN_FAILED)} == {"association-refused"}


def test_a_delayed_device_stays_off_the_air_until_its_time() -> None:
    hub = a_hub()
    device = a_device(hub, behaviour=Behaviour(start_delay_s=300))
    play(hub, device, 400)
    assert device.node.calls[0] == (300.0, "scan")  # type: ignore[union-attr]
    assert device.is_authorised


def test_a_silent_device_stops_for_good() -> None:
    hub = a_hub()
    device = a_device(hub, behaviour=Behaviour(silent_after_s=600))
    play(hub, device, HOUR)
    assert 590 < max(r.at_s for r in hub.requests) <= 600
    assert device.observations.counts[What.SILENT] == 1


def test_an_early_reader_gets_nothing_before_key_establishment() -> None:
    hub = a_hub()
    device = a_device(hub, behaviour=Behaviour(reads_before_key_establishment=True))
    play(hub, device, 60)
    assert [seen.detail for seen in device.observations.of(What.PROVOKED)] == [
        "early read in the clear: refused with status 0x01",
        "early read under the install code's key: no answer (timeout)",
    ]
    assert device.is_authorised


def test_a_writer_is_refused_and_goes_on() -> None:
    hub = a_hub()
    device = a_device(hub, behaviour=Behaviour(writes_attribute=True))
    play(hub, device, 120)
    assert [seen.detail for seen in device.observations.of(What.PROVOKED)] == [
        "write: refused with status 0x88"
    ]
    assert device.observations.reads["electricity"].ok > 5


def test_a_device_told_to_leave_forgets_its_keys_and_joins_anew() -> None:
    hub = a_hub()
    device = a_device(hub)

    async def removal() -> None:
        await asyncio.sleep(300)
        hub.open = False
        device.node.told_to_leave(rejoin=False)  # type: ignore[union-attr]
        await asyncio.sleep(100)
        assert not device.is_authorised
        hub.open = True

    play(hub, device, 1000, removal)
    assert device.observations.counts[What.JOINED] == 2
    assert hub.key_machines == 2


def test_a_device_told_to_rejoin_keeps_its_keys() -> None:
    hub = a_hub()
    device = a_device(hub)

    async def order() -> None:
        await asyncio.sleep(300)
        device.node.told_to_leave(rejoin=True)  # type: ignore[union-attr]

    play(hub, device, 600, order)
    assert device.observations.counts[What.REJOINED] == 1
    assert device.observations.counts[What.JOINED] == 1
    assert hub.key_machines == 1
