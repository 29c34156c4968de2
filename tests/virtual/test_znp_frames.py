"""MT frames and their parameters."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from znp_support import framed

from labctl.virtual.znp.codec import ParameterError
from labctl.virtual.znp.commands import REQUESTS, TABLE
from labctl.virtual.znp.framing import Deframer, MtFrame
from labctl.virtual.znp.handlers.scanning import energy

frames = st.builds(MtFrame, st.integers(0, 0x7FFF), st.binary(max_size=250))


@given(st.lists(frames, max_size=5), st.integers(1, 40))
def test_frames_come_back_whatever_the_pieces(sent: list[MtFrame], size: int) -> None:
    line = b"".join(frame.encode() for frame in sent)
    deframer = Deframer()
    got = [
        frame for at in range(0, len(line), size) for frame in deframer.feed(line[at : at + size])
    ]
    assert got == sent
    assert deframer.errors == 0


@given(frames)
def test_the_octets_are_those_of_the_document(frame: MtFrame) -> None:
    assert frame.encode() == framed(frame.command, frame.data)


@given(st.binary(max_size=600))
def test_noise_is_no_frame_and_no_exception(noise: bytes) -> None:
    deframer = Deframer()
    for frame in deframer.feed(noise):
        assert frame.encode() in noise


@given(st.binary(max_size=60).filter(lambda noise: 0xFE not in noise), frames)
def test_a_frame_after_noise_is_found(noise: bytes, frame: MtFrame) -> None:
    assert Deframer().feed(noise + frame.encode()) == [frame]


def test_a_wrong_sum_loses_that_frame_alone() -> None:
    broken = bytearray(MtFrame(0x2101).encode())
    broken[-1] ^= 1
    deframer = Deframer()
    assert deframer.feed(bytes(broken) + MtFrame(0x2102).encode()) == [MtFrame(0x2102)]
    assert deframer.errors


def test_a_length_above_250_is_no_frame() -> None:
    assert Deframer().feed(b"\xfe\xfb" + MtFrame(0x2101).encode()) == [MtFrame(0x2101)]
    with pytest.raises(ValueError, match="251"):
        MtFrame(0x2101, bytes(251)).encode()


def test_known_octets() -> None:
    assert MtFrame(0x2101).encode().hex() == "fe00210120"  # SYS_PING
    assert Deframer().feed(bytes.fromhex("fe00210120")) == [MtFrame(0x2101)]


def test_data_is_not_in_the_repr() -> None:
    assert "secret" not in repr(MtFrame(0x2F04, b"secret"))


@pytest.mark.parametrize("command", sorted(REQUESTS), ids=hex)
def test_parameters_cut_short_are_refused(command: int) -> None:
    layout = REQUESTS[command].request
    assert layout is not None
    rng = random.Random(command)
    whole = bytes(rng.randrange(2) for _ in range(900))
    packed = layout.pack(layout.unpack(whole))
    assert layout.pack(layout.unpack(packed)) == packed
    takes_the_rest = len(packed) == len(whole)
    if packed and not takes_the_rest:
        with pytest.raises(ParameterError):
            layout.unpack(packed[:-1])


def test_an_address_has_eight_octets_whatever_it_is() -> None:
    layout = TABLE["af_data_request_ext"].request
    assert layout is not None
    data = struct.pack("<BHxxxxxxBHBHBBBH", 2, 0x1234, 1, 0, 2, 0x0702, 9, 0x50, 30, 3) + b"abc"
    values = layout.unpack(data)
    assert (values["destination"].mode, values["destination"].short) == (2, 0x1234)
    assert values["data"] == b"abc"
    assert layout.pack(values) == data


@given(st.floats(-120, 20))
def test_energies_rise_with_the_level(dbm: float) -> None:
    assert 0 <= energy(dbm) <= 255
    assert energy(dbm) <= energy(dbm + 5)
