"""Incoming fragments put together: lost, late, copied, and from senders that are not well."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.radio.ezsp.fragments import (
    MOST_MESSAGES,
    PATIENCE_S,
    Acknowledgement,
    MessageId,
    Reassembler,
    Taken,
)

ID = MessageId(0x1234, 7, 0x0109, 0x0702, 1, 2)
A, B, C = b"first block", b"second block", b"end"


def fill(reassembler: Reassembler, *blocks: tuple[int, bytes], count: int = 3) -> list[Taken]:
    """Blocks in this order, 0.1 s apart; only block 0 carries the count."""
    return [
        reassembler.add(ID, index, count if index == 0 else 0, data, now_s=0.1 * turn)
        for turn, (index, data) in enumerate(blocks)
    ]


def test_each_block_of_window_1_is_acknowledged_and_the_last_completes() -> None:
    taken = fill(Reassembler(), (0, A), (1, B), (2, C))
    assert [t.acknowledgement for t in taken] == [Acknowledgement(n, 0xFF) for n in range(3)]
    assert [t.message for t in taken] == [None, None, A + B + C]


def test_a_copy_is_acknowledged_again_and_counts_once() -> None:
    taken = fill(Reassembler(), (0, A), (0, A), (1, B), (1, B), (2, C), (2, C), (2, C))
    assert [t.acknowledgement.base for t in taken if t.acknowledgement] == [0, 0, 1, 1, 2, 2, 2]
    assert [t.message for t in taken if t.message is not None] == [A + B + C]


def test_a_late_copy_from_an_earlier_window_is_not_acknowledged() -> None:
    """The bits of its acknowledgement would claim blocks that are still on their way."""
    taken = fill(Reassembler(), (0, A), (1, B), (0, A), (2, C), (1, B))
    assert taken[2] == Taken()
    assert taken[3].message == A + B + C
    assert taken[4] == Taken()


def test_a_message_whose_beginning_was_never_here_is_not_acknowledged() -> None:
    """The host was restarted in its midst: the sender must not believe that it arrived."""
    taken = fill(Reassembler(), (1, B), (2, C))
    assert taken == [Taken(), Taken()]


def test_a_block_too_far_ahead_is_not_acknowledged() -> None:
    taken = fill(Reassembler(), (0, A), (2, C), (1, B), (2, C))
    assert taken[1] == Taken()
    assert taken[3].message == A + B + C


@pytest.mark.parametrize(("index", "count"), [(0, 0), (3, 3), (200, 3)])
def test_a_block_that_makes_no_sense_is_neither_kept_nor_acknowledged(
    index: int, count: int
) -> None:
    reassembler = Reassembler()
    if index:
        fill(reassembler, (0, A), (1, B))
    assert reassembler.add(ID, index, count, C, now_s=1) == Taken()


def test_time_runs_from_the_last_block_and_not_from_the_first() -> None:
    reassembler, now = Reassembler(), 0.0
    for index in range(20):
        taken = reassembler.add(ID, index, 20 if index == 0 else 0, A, now_s=now)
        assert taken.acknowledgement is not None
        now += PATIENCE_S - 1
    assert taken.message == A * 20


def test_a_message_that_stays_away_for_too_long_is_forgotten() -> None:
    reassembler = Reassembler()
    fill(reassembler, (0, A), (1, B))
    assert reassembler.add(ID, 2, 0, C, now_s=PATIENCE_S + 1) == Taken()
    again = [
        reassembler.add(ID, n, 3 if n == 0 else 0, data, now_s=PATIENCE_S + 2)
        for n, data in enumerate((A, B, C))
    ]
    assert again[-1].message == A + B + C


def test_a_sender_that_counted_once_around_begins_anew() -> None:
    reassembler = Reassembler()
    fill(reassembler, (0, A), (1, B), (2, C))
    taken = fill(reassembler, (0, B), (1, A), count=2)
    assert taken[-1].message == B + A
    half = fill(reassembler, (0, C))
    assert half[0].message is None
    assert fill(reassembler, (0, A), (1, B), (2, C))[-1].message == A + B + C


def test_messages_of_different_senders_and_counters_do_not_mix() -> None:
    reassembler = Reassembler()
    others = [ID, ID._replace(sender=0x4321), ID._replace(counter=8), ID._replace(cluster_id=1)]
    for number, other in enumerate(others):
        reassembler.add(other, 0, 2, bytes([number]), now_s=0)
    for number, other in enumerate(others):
        taken = reassembler.add(other, 1, 0, bytes([number + 100]), now_s=1)
        assert taken.message == bytes([number, number + 100])


def test_a_flood_of_beginnings_takes_no_more_room_than_there_is() -> None:
    reassembler = Reassembler()
    for number in range(1000):
        reassembler.add(ID._replace(sender=number), 0, 2, A, now_s=0)
    assert len(reassembler._messages) == MOST_MESSAGES
    newest = ID._replace(sender=999)
    assert reassembler.add(newest, 1, 0, B, now_s=1).message == A + B


def test_a_finished_message_gives_way_before_one_that_is_not() -> None:
    reassembler = Reassembler()
    reassembler.add(ID, 0, 2, A, now_s=0)
    for number in range(MOST_MESSAGES + 5):
        taken = reassembler.add(ID._replace(counter=100 + number), 0, 1, B, now_s=1)
        assert taken.message == B
    assert reassembler.add(ID, 1, 0, C, now_s=2).message == A + C


def test_a_window_is_acknowledged_at_its_end_with_its_gaps() -> None:
    taken = fill(Reassembler(window=3), (0, A), (2, C), (1, B), (3, A), (4, B), count=5)
    assert [t.acknowledgement for t in taken] == [
        None,
        Acknowledgement(0, 0b11111101),  # block 1 is missing
        Acknowledgement(0, 0xFF),
        None,
        Acknowledgement(3, 0xFF),  # the message ends before the window does
    ]
    assert taken[-1].message == A + B + C + A + B


def test_block_0_may_come_last_in_its_window() -> None:
    taken = fill(Reassembler(window=3), (1, B), (2, C), (0, A))
    assert [t.acknowledgement for t in taken] == [
        None,
        Acknowledgement(0, 0b11111110),
        Acknowledgement(0, 0xFF),
    ]
    assert taken[-1].message == A + B + C


@pytest.mark.parametrize("window", [0, 9])
def test_a_window_has_1_to_8_blocks(window: int) -> None:
    with pytest.raises(ValueError, match="1 to 8"):
        Reassembler(window=window)


@given(
    blocks=st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=30),
    window=st.integers(1, 8),
    seed=st.integers(0, 1000),
    loss=st.floats(0, 0.6),
)
def test_a_message_arrives_whole_and_once_over_any_lossy_link(
    blocks: list[bytes], window: int, seed: int, loss: float
) -> None:
    """A sender as R22 has it: what an acknowledgement does not name is sent again."""
    rng = random.Random(seed)
    reassembler = Reassembler(window=window)
    arrived: list[bytes] = []
    now, base, rounds = 0.0, 0, 0
    while base < len(blocks):
        missing = set(range(base, min(base + window, len(blocks))))
        while missing:
            rounds += 1
            assert rounds < 20_000
            # In order when sent, in any order when they arrive, some twice, some never.
            frames = [index for index in sorted(missing) if rng.random() >= loss]
            frames += [index for index in frames if rng.random() < 0.2]
            rng.shuffle(frames)
            # The last block of the window draws the acknowledgement: it is always sent.
            top = min(base + window, len(blocks)) - 1
            if rng.random() >= loss:
                frames.append(top)
            for index in frames:
                now += 0.01
                count = len(blocks) if index == 0 else 0
                taken = reassembler.add(ID, index, count, blocks[index], now_s=now)
                if taken.message is not None:
                    arrived.append(taken.message)
                said = taken.acknowledgement
                if said is not None and rng.random() >= loss:
                    assert said.base == base
                    missing = {n for n in missing if not said.received >> (n - base) & 1}
        base += window
    assert arrived == [b"".join(blocks)]
