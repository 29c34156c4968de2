"""Discover Commands tells what the hub takes and sends, and nothing else (ZCL 2.5.18, 2.5.20)."""

from __future__ import annotations

from collections import defaultdict

from fake_radio import IHD, Bench, with_keys

from labctl.hub import catalogue
from labctl.hub.services.base import Service
from labctl.hub.services.sub_ghz import SubGhzService

ALL = "00 ff"


def services() -> list[Service[object]]:
    """Each service of a hub with meters of all kinds and a mirror, in both bands."""
    found = [s for e in catalogue._endpoints().values() for s in e.services.values()]
    return [*found, SubGhzService((0, 0, 0, 0))]  # type: ignore[list-item]


def test_what_services_say_that_they_send_is_what_their_code_asks_for() -> None:
    said: dict[str, set[str]] = defaultdict(set)
    for service in services():
        names = {int(c.id): c.name for c in service.definition.ClientCommandDefs}
        said[service.definition.__name__] |= {names[command] for command in service.generated}
    asked: dict[str, set[str]] = defaultdict(set)
    for cluster, name in catalogue._sent_names():
        asked[cluster].add(name)
    assert {cluster: names for cluster, names in said.items() if names} == asked


def test_what_the_hub_sends_as_a_client_is_what_the_catalogue_says() -> None:
    said = {(s.cluster_id, command) for s in services() for command in s.client_generated}
    assert said == catalogue._sent_as_client()


async def discovered(bench: Bench, cluster: int, endpoint: int, request: str) -> bytes:
    device = bench.device(IHD)
    (answer,) = await device.ask(
        bytes.fromhex(request), cluster=cluster, endpoint=endpoint, secured=cluster != 0x0800
    )
    assert answer[4:] == bytes(sorted(answer[4:]))
    return answer


def test_commands_that_the_hub_never_sends_are_not_listed() -> None:
    async def scenario(bench: Bench) -> None:
        for cluster, endpoint, sent in (
            (0x0700, 2, "00 01 02 03 04 05 06 07 08 09 0a"),
            (0x0701, 2, ""),
            (0x0702, 2, "00 03 06 07 0c"),
            (0x0703, 2, "00 01 03"),
            (0x0709, 1, "00 01 02"),
        ):
            answer = await discovered(bench, cluster, endpoint, f"00 01 13 {ALL}")
            assert answer == bytes.fromhex(f"18 01 14 01 {sent}"), hex(cluster)

    with_keys(scenario)


def test_the_client_side_is_asked_for_by_the_direction() -> None:
    async def scenario(bench: Bench) -> None:
        for cluster, endpoint, taken, sent in (
            (0x0704, 1, "00 01 02 03 04 05 06", "00 01 02"),
            (0x0800, 1, "00 01 02 03", "00 01 02 03"),
        ):
            answer = await discovered(bench, cluster, endpoint, f"08 01 11 {ALL}")
            assert answer == bytes.fromhex(f"10 01 12 01 {taken}"), hex(cluster)
            answer = await discovered(bench, cluster, endpoint, f"08 01 13 {ALL}")
            assert answer == bytes.fromhex(f"10 01 14 01 {sent}"), hex(cluster)

    with_keys(scenario)


def test_a_long_list_is_told_in_parts() -> None:
    async def scenario(bench: Bench) -> None:
        assert await discovered(bench, 0x0702, 2, "00 01 13 00 02") == bytes.fromhex(
            "18 01 14 00 00 03"
        )
        assert await discovered(bench, 0x0702, 2, "00 01 13 04 09") == bytes.fromhex(
            "18 01 14 01 06 07 0c"
        )

    with_keys(scenario)
