"""Every decoder takes octets of any kind: the short form of what atheris does with them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import decoders, files
from fuzz.entry import Entry, chosen, once_more
from fuzz.files import _edited, _told
from fuzz.finding import Finding

ENTRIES = decoders.table()
LOADERS = files.table()


def changed(octets: bytes, rng: random.Random) -> bytes:
    """Some octets cut off, added, or replaced."""
    some = bytearray(octets)
    for _ in range(rng.randint(1, 4)):
        choice = rng.random()
        if choice < 0.3:
            del some[rng.randint(0, len(some)) :]
        elif choice < 0.5:
            some += rng.randbytes(rng.randint(1, 20))
        elif some:
            some[rng.randrange(len(some))] = rng.choice(
                (0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256))
            )
    return bytes(some)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_decoders_raise_nothing_but_their_own_error(entry: Entry) -> None:
    rng = random.Random(entry.name)
    for sample in entry.samples:
        entry.decode(sample)
    times = 20 if entry.name == "key establishment" else 400
    for _ in range(times):
        entry.decode(changed(rng.choice(entry.samples), rng))


@given(octets=st.binary(max_size=120), number=st.integers(0, len(ENTRIES) - 1))
@settings(max_examples=1500, deadline=None)
def test_decoders_take_noise(octets: bytes, number: int) -> None:
    ENTRIES[number].decode(octets)


@pytest.mark.parametrize("entry", LOADERS, ids=lambda entry: entry.name)
def test_loaders_say_what_is_wrong_and_raise_nothing(entry: Entry) -> None:
    rng = random.Random(entry.name)
    for sample in entry.samples:
        entry.decode(sample)
    for _ in range(12):
        entry.decode(changed(rng.choice(entry.samples), rng))


def test_an_edit_replaces_lines_of_the_shipped_file() -> None:
    assert _edited(b"a\nb\nc", b"\x01\x01x: 1\x00\x00\x00y") == b"y\na\nx: 1\nc"


def test_the_checks_of_decoders_and_loaders_can_fail() -> None:
    with pytest.raises(Finding, match="comes back as"):
        decoders._entry("x", lambda o: o, (), b"", encode=lambda o: o + b"!").decode(b"octets")
    with pytest.raises(Finding, match="install code"):
        _told(["the code 83FED3407A939723 A5C639B26916D505C3B5 is wrong"], b"")


def test_what_a_fuzzer_wrote_down_is_decoded_once_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decoded: list[tuple[str, bytes]] = []
    table = [Entry(name, lambda o, n=name: decoded.append((n, o)), ()) for name in ("a", "b")]
    path = tmp_path / "found.octets"
    path.write_bytes(b"\x03\x0a\xff")
    assert once_more([str(path)], table, "the usage") == 0
    assert decoded == [("b", b"\x0a\xff")]
    assert capsys.readouterr().out == "b: 0aff\nnothing found\n"
    assert once_more([str(path)], table, "the usage", repr) == 0
    assert "b: b'\\n\\xff'" in capsys.readouterr().out
    assert once_more([], table, "the usage") == 2
    assert capsys.readouterr().err == "the usage\n"
    assert chosen(table, b"\x04").name == "a"
