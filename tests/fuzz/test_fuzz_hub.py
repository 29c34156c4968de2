"""Malformed traffic at a whole hub: the short form of `make fuzz`, without atheris."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fuzz import mutator, seeds
from fuzz.arrivals import Arrival, Kind, Who, decode, encode
from fuzz.finding import Finding
from fuzz.journal import read, replay, shorten, write
from fuzz.watch import Secrecy, Tables
from fuzz.world import ATTACKER_NWK, ATTACKERS, World
from labctl.events import DeviceKind, Note, Refused
from labctl.hub import frames as hub_frames
from labctl.hub.reporter import Reporter
from labctl.hub.zcl import Dispatcher
from labctl.secret import Secret

octets = st.binary(max_size=60)
whoever = st.sampled_from([int(who) for who in Who])
clusters = st.one_of(
    st.sampled_from(
        [0x0000, 0x0003, 0x000A, 0x0019, 0x0025, *range(0x0700, 0x070C), 0x0800, 0x0B05]
    ),
    st.integers(0, 0xFFFF),
)
zcl_frames = st.builds(
    lambda control, sequence, command, payload: bytes((control, sequence, command)) + payload,
    st.sampled_from([0x00, 0x01, 0x08, 0x09, 0x10, 0x11, 0x18, 0x19, 0x04, 0x05]),
    st.integers(0, 255),
    st.integers(0, 0x20),
    octets,
)
packets = st.builds(
    Arrival,
    kind=st.just(0),
    who=whoever,
    endpoint=st.one_of(st.integers(0, 4), st.integers(0, 255)),
    source=st.integers(0, 255),
    cluster=clusters,
    flags=st.integers(0, 255),
    pause=st.integers(0, 7),
    data=st.one_of(octets, zcl_frames, zcl_frames),
)
others = st.builds(
    Arrival,
    kind=st.sampled_from(
        [Kind.JOIN, Kind.LEFT, Kind.KEY_ESTABLISHMENT, Kind.KEY_ESTABLISHMENT, Kind.ANNOUNCE]
    ),
    who=whoever,
    endpoint=st.integers(0, 3),
    source=st.integers(0, 3),
    cluster=st.integers(0, 80),
    flags=st.integers(0, 255),
    pause=st.integers(0, 7),
    data=st.binary(max_size=8),
)


class HubUnderAttack(RuleBasedStateMachine):
    """One hub for each row of steps; a step is a batch of arrivals, or something done to it."""

    @initialize(attacker=st.sampled_from(ATTACKERS))
    def up(self, attacker: DeviceKind) -> None:
        self.world = World(attacker)
        self.world.start()
        self.valid = seeds.all_seeds(self.world.endpoints)

    @rule(batch=st.lists(st.one_of(packets, packets, others), min_size=4, max_size=24))
    def arrive(self, batch: list[Arrival]) -> None:
        self.world.throw(batch)

    @rule(seed=st.integers(0, 2**32))
    def arrive_nearly_valid(self, seed: int) -> None:
        rng = random.Random(seed)
        self.world.throw(decode(mutator.mutate(b"", 3000, rng, self.valid)))

    @rule(turn=st.integers(0, 3), window=st.integers(0, 900))
    def pair_or_unpair(self, turn: int, window: int) -> None:
        self.world.throw([Arrival(Kind.PAIRING, Who.UNKEYED, endpoint=turn, cluster=window)])

    @rule(who=whoever, count=st.integers(0, 7))
    def radio_fails(self, who: int, count: int) -> None:
        self.world.throw([Arrival(Kind.RADIO, who, pause=count)])

    @rule(pause=st.sampled_from([0, 4, 9, 10, 15, 250, 252, 255]))
    def time_goes_by(self, pause: int) -> None:
        self.world.throw([Arrival(Kind.WAIT, pause=pause)])

    @invariant()
    def the_good_are_in(self) -> None:
        for good in self.world.goods:
            assert self.world.hub.authorised(good.eui64)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.check_tables()
        self.world.stop()


HubUnderAttack.TestCase.settings = settings(
    max_examples=5,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestHubUnderAttack = HubUnderAttack.TestCase


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.start()
    yield made
    try:
        made.stop()
    except Finding:
        return  # the test has looked at it


def test_valid_requests_of_every_cluster_and_what_becomes_of_them(world: World) -> None:
    """Some thousand payloads: every seed as it is, and then ever further from it."""
    valid = seeds.all_seeds(world.endpoints)
    for batch in seeds.batches(valid):
        world.throw(batch)
    rng = random.Random(20260105)
    octets = b""
    while world.figures.arrivals < 4000:
        octets = mutator.mutate(octets if rng.random() < 0.6 else b"", 3000, rng, valid)
        world.throw(decode(octets))
    world.check_tables()
    figures = world.summary()
    assert figures.answers > 1500
    assert figures.good_reads > 200
    assert set(figures.refusals) >= {"nwk", "aps", "zdo", "zcl", "application"}
    assert not world.hub.radio.resumed


def test_a_batch_is_its_octets_and_every_octet_string_is_a_batch() -> None:
    rng = random.Random(1)
    for _ in range(200):
        batch = decode(rng.randbytes(rng.randrange(400)))
        whole = [a for a in batch if len(a.octets) == 9 + len(a.data)]
        assert decode(encode(whole)) == whole
        assert len(mutator.mutate(encode(whole), 500, rng, [Arrival()])) <= 500
        assert len(mutator.cross(encode(whole), encode(whole), 300, rng)) <= 300


def test_the_same_batches_give_the_same_world() -> None:
    """Otherwise a journal would be worth nothing."""

    def lived() -> object:
        rng = random.Random(3)
        made = World()
        made.start()
        for _ in range(30):
            made.throw(decode(rng.randbytes(600)))
        made.stop()
        return made.summary()

    assert lived() == lived()


# -- the checks find what they are there for -------------------------------------------------------

READ = Arrival(endpoint=2, cluster=0x0702, data=b"\x00\x33\x00\x00\x03")
WRITE = Arrival(endpoint=2, cluster=0x0702, data=b"\x00\x34\x02\x00\x03\x30\x01")


def test_an_exception_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes) -> hub_frames.Frame:
        raise ZeroDivisionError

    world.throw([READ])
    monkeypatch.setattr(hub_frames, "parse", broken)
    with pytest.raises(Finding, match="ZeroDivisionError"):
        world.throw([READ])


def test_an_answer_with_another_sequence_number_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = hub_frames.general_answer

    def broken(request: hub_frames.Frame, command_id: int, payload: bytes) -> bytes:
        octets = bytearray(good(request, command_id, payload))
        octets[1] ^= 0x80
        return bytes(octets)

    monkeypatch.setattr(hub_frames, "general_answer", broken)
    with pytest.raises(Finding, match="an answer to nothing"):
        world.throw([READ])


def test_an_answer_that_is_no_zcl_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    good = hub_frames.general_answer
    monkeypatch.setattr(
        hub_frames,
        "general_answer",
        lambda request, command_id, payload: good(request, command_id, payload[:-1]),
    )
    with pytest.raises(Finding, match="no ZCL"):
        world.throw([READ])


def test_a_write_that_is_refused_and_done_all_the_same_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = Dispatcher._write

    def broken(self: Dispatcher, asked: Any) -> Any:
        asked.service._records[0x0300] = bytes.fromhex("0003003001")
        return good(self, asked)

    monkeypatch.setattr(Dispatcher, "_write", broken)
    # Long enough for the good devices to come round to that attribute.
    finding = replay([encode([WRITE]), *[encode([Arrival(Kind.WAIT, pause=255)])] * 8])
    assert finding is not None
    assert "the hub that nobody attacks says" in str(finding)


def test_a_read_that_is_missed_is_found(world: World) -> None:
    world.radio.failures[world.goods[0].nwk] = 1
    with pytest.raises(Finding, match="no answer within"):
        world.throw([Arrival(Kind.WAIT, pause=250)])


def test_a_key_in_an_event_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    key = next(iter(world.radio.ever_installed)).reveal()
    good = Reporter.refused

    def broken(self: Reporter, eui64: str, layer: str, cause: str, **others: object) -> None:
        good(self, eui64, layer, cause + key.hex(), **others)

    monkeypatch.setattr(Reporter, "refused", broken)
    with pytest.raises(Finding, match="a secret in Refused"):
        world.throw([WRITE])


def test_secrets_are_found_however_they_are_spelt() -> None:
    key = Secret(bytes(range(0xF0, 0x100)))
    for text in (key.reveal().hex(":"), key.reveal().hex().upper(), repr(key.reveal()), "clean"):
        secrecy = Secrecy()
        secrecy.add([key])
        secrecy.event(Refused(at_us=0, eui64="", layer="zcl", cause=f"before {text} after"))
        assert bool(secrecy.leak) == (text != "clean")
    secrecy = Secrecy()
    secrecy.add([key])
    secrecy.event(Note(at_us=0, kind="x", detail={"octets": key.reveal()}))
    assert secrecy.leak


def test_a_table_that_grows_is_found(world: World) -> None:
    tables = Tables(lambda: (world.hub,))
    tables.check()
    world.hub._inboxes |= {f"made up {number}": None for number in range(2000)}
    with pytest.raises(Finding, match=r"Hub\._inboxes has grown by 2000"):
        tables.check()
    world.hub._inboxes.clear()


def test_a_finding_is_found_again_from_its_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(data: bytes) -> hub_frames.Frame:
        if data[:1] == b"\xee":
            raise ZeroDivisionError
        return good(data)

    good = hub_frames.parse
    monkeypatch.setattr(hub_frames, "parse", broken)
    batches = [encode([READ] * 3), encode([READ.but(data=b"\xee\x00\x00")]), encode([READ])]
    write(tmp_path / "x.journal", DeviceKind.PPMID, batches)
    assert read(tmp_path / "x.journal") == (DeviceKind.PPMID, batches)
    finding = replay(batches)
    assert finding is not None
    assert "ZeroDivisionError" in str(finding)
    assert shorten(batches, patience_s=60) == [batches[1]]
    assert replay(batches[:1]) is None


def test_strangers_and_pretenders_never_carry_a_key(world: World) -> None:
    """The harness must not grant attackers what the radio would not: a key they do not have."""
    for who in (Who.STRANGER, Who.PRETENDER):
        assert not world._packet(READ.but(who=int(who))).aps_encrypted
    assert world._packet(READ).aps_encrypted
    assert world._packet(READ).nwk == ATTACKER_NWK
