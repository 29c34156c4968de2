"""The record of a lease, whatever became of its file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.leases.entry import Entry, short
from labctl.leases.record import PAGE, DamagedRecordError, Record, parse, read, write

texts = st.text(max_size=300).map(short)
entries = st.builds(
    Entry,
    lease=st.text("0123456789abcdef", min_size=16, max_size=16),
    token=st.integers(0, 2**62),
    seat=st.integers(0, 63),
    owner=texts,
    uid=st.integers(0, 2**31),
    pid=st.integers(1, 2**22),
    host=texts,
    boot=st.uuids().map(str),
    purpose=texts,
    rig=texts,
    since_us=st.integers(0, 2**62),
    until_us=st.none() | st.integers(0, 2**62),
    beat_s=st.floats(0, 1e9),
    ttl_s=st.none() | st.floats(0, 1e6),
    idle=st.booleans(),
)
states = st.builds(
    Record,
    sequence=st.integers(1, 2**40),
    counter=st.integers(0, 2**62),
    thing=st.text(min_size=1, max_size=100),
    entries=st.lists(entries, max_size=1).map(tuple),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records") / "thing.lease"


@given(states, states)
def test_the_newer_state_is_read_and_the_older_one_when_that_is_torn(
    path: Path, one: Record, two: Record
) -> None:
    two = Record(one.sequence + 1, two.counter, two.thing, two.entries)
    path.write_bytes(bytes(2 * PAGE))
    write(path, one)
    assert read(path) == one
    write(path, two)
    assert read(path) == two
    pages = bytearray(path.read_bytes())
    at = PAGE * (two.sequence % 2)
    pages[at : at + 30] = bytes(30)
    assert parse(bytes(pages)) == one


@given(states, st.data())
def test_no_changed_octet_is_taken_for_a_state(
    path: Path, state: Record, data: st.DataObject
) -> None:
    path.write_bytes(bytes(2 * PAGE))
    write(path, state)
    pages = bytearray(path.read_bytes())
    start = PAGE * (state.sequence % 2)
    length = len(bytes(pages[start : start + PAGE]).rstrip(b"\0"))
    at = start + data.draw(st.integers(0, length - 1))
    pages[at] ^= data.draw(st.integers(1, 255))
    try:
        assert parse(bytes(pages)) == state
    except DamagedRecordError:
        pass
    else:
        pytest.fail(f"a changed octet at {at - start} of {length} was not noticed")


@given(st.binary(max_size=3 * PAGE))
def test_octets_of_any_kind_are_damage_or_nothing(octets: bytes) -> None:
    try:
        assert parse(octets) == Record()
    except DamagedRecordError:
        assert octets[: 2 * PAGE].strip(b"\0")


def test_more_than_fits_is_refused_and_the_old_state_stays(path: Path) -> None:
    path.write_bytes(bytes(2 * PAGE))
    write(path, Record(1, 1, "radio:x"))
    long = Entry(
        **{
            "lease": "0" * 16,
            "token": 1,
            "seat": 0,
            "owner": "ü" * 120,
            "uid": 0,
            "pid": 1,
            "host": "ü" * 120,
            "boot": "",
            "purpose": "ü" * 120,
            "rig": "ü" * 120,
            "since_us": 0,
            "until_us": None,
            "beat_s": 0.0,
            "ttl_s": None,
        }
    )
    with pytest.raises(OSError, match="too many"):
        write(path, Record(2, 1, "radio:x", (long,) * 5))
    assert read(path) == Record(1, 1, "radio:x")
