"""ASH at the NCP's end: framing, acknowledgements, rejection, retransmission, failure."""

from __future__ import annotations

import binascii
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from ncp_support import RESET, RSTACK, FrameReader, data_frame

from labctl.virtual.ncp.ash import (
    ACK_TIMEOUTS,
    MAX_DATA_FIELD,
    AshNcp,
    Received,
    ResetCode,
    ResetRequested,
    State,
    frame,
    randomise,
)

ERROR = bytes.fromhex("c20251a8bd7e")

VERSION_COMMAND = bytes.fromhex("00000002")


def short(control: int) -> bytes:
    return frame(bytes([control]))


def connected(**settings_: int) -> AshNcp:
    ash = AshNcp(**settings_)
    assert ash.receive(RESET, 0.0) == [ResetRequested()]
    ash.started(ResetCode.SOFTWARE)
    assert ash.take_output() == RSTACK
    return ash


def controls(octets: bytes) -> list[int]:
    return [control for control, _ in FrameReader().frames(octets)]


# -- octets of the specification -------------------------------------------------------------------


def test_frames_are_octet_for_octet_those_of_the_specification() -> None:
    # UG101 rev. 9, "Frame Formats"
    assert frame(bytes([0x25]) + randomise(VERSION_COMMAND)).hex() == "254221a856a6097e"
    assert short(0x81).hex() == "8160597e"
    assert short(0x8E).hex() == "8e91b67e"
    assert frame(bytes.fromhex("c10202")).hex() == "c102029b7b7e"
    # from a trace of real firmware (its own document has a wrong CRC in the example of ERROR)
    assert frame(bytes.fromhex("c20251")) == ERROR


def test_a_powered_stick_says_nothing_until_it_is_asked() -> None:
    ash = AshNcp()
    assert ash.take_output() == b""
    assert ash.deadline is None


def test_a_reset_is_answered_with_rstack_and_the_software_code() -> None:
    connected()


def test_nothing_is_heard_while_booting() -> None:
    ash = AshNcp()
    ash.receive(RESET, 0.0)
    assert ash.receive(data_frame(0, 0, b"abc"), 0.01) == []
    ash.started(ResetCode.SOFTWARE)
    assert ash.take_output() == RSTACK


@given(st.binary(min_size=1, max_size=MAX_DATA_FIELD))
def test_any_payload_passes_both_ways(payload: bytes) -> None:
    ash = connected()
    assert ash.receive(data_frame(0, 0, payload), 0.0) == [Received(payload)]
    ash.send(payload, 0.0)
    ((control, body),) = FrameReader().frames(ash.take_output())
    assert (control, body) == (0x01, payload)


# -- acknowledgements ------------------------------------------------------------------------------


def test_an_answer_carries_the_acknowledgement() -> None:
    ash = connected()
    ash.receive(data_frame(0, 0, b"abc"), 0.0)
    ash.send(b"answer", 0.0)
    assert controls(ash.take_output()) == [0x01]
    assert ash.deadline == 1.6  # for the host's own acknowledgement, and no other


def test_without_an_answer_the_acknowledgement_comes_after_20_ms() -> None:
    ash = connected()
    ash.receive(data_frame(0, 0, b"abc"), 0.0)
    assert ash.take_output() == b""
    assert ash.deadline == 0.02
    ash.tick(0.02)
    assert controls(ash.take_output()) == [0x81]
    assert ash.deadline is None


def test_numbers_wrap_after_seven() -> None:
    ash = connected()
    for index in range(20):
        assert ash.receive(data_frame(index % 8, index % 8, b"abc"), 0.0) == [Received(b"abc")]
        ash.send(b"x", 0.0)
        ((control, _),) = FrameReader().frames(ash.take_output())
        assert control == index % 8 << 4 | (index + 1) % 8


def test_the_window_limits_what_is_on_its_way() -> None:
    ash = connected(window=2)
    for index in range(4):
        ash.send(bytes([index]), 0.0)
    host = FrameReader()
    assert [body[0] for _, body in host.frames(ash.take_output())] == [0, 1]
    ash.receive(short(0x81), 0.1)  # the first is there
    assert [body[0] for _, body in host.frames(ash.take_output())] == [2]
    ash.receive(short(0x83), 0.1)
    assert [body[0] for _, body in host.frames(ash.take_output())] == [3]


def test_the_time_for_an_acknowledgement_adapts() -> None:
    ash = connected()
    for index in range(40):
        ash.send(b"x", float(index))
        ash.receive(short(0x80 | (index + 1) % 8), index + 0.001)
    assert ash.rx_ack_s == 0.4
    ash.send(b"x", 100.0)
    ash.tick(100.4)
    assert ash.rx_ack_s == 0.8
    ash.tick(101.2)
    assert ash.rx_ack_s == 1.6


def test_an_acknowledgement_of_what_was_never_sent_is_refused() -> None:
    ash = connected()
    ash.receive(short(0x85), 0.0)
    assert controls(ash.take_output()) == [0xA0]


# -- trouble on the line -------------------------------------------------------------------------


def test_a_damaged_frame_is_refused_once_and_then_waited_for() -> None:
    ash = connected()
    damaged = bytearray(data_frame(0, 0, b"abc"))
    damaged[2] ^= 0x01
    assert ash.receive(bytes(damaged), 0.0) == []
    assert controls(ash.take_output()) == [0xA0]
    assert ash.receive(data_frame(1, 0, b"next"), 0.0) == []  # rejected without another word
    assert ash.take_output() == b""
    assert ash.receive(data_frame(0, 0, b"abc", again=True), 0.0) == [Received(b"abc")]
    assert ash.receive(data_frame(2, 0, b"gap"), 0.0) == []  # the rejection before is over
    assert controls(ash.take_output()) == [0xA1]


def test_a_repeated_frame_is_acknowledged_and_not_delivered_again() -> None:
    ash = connected()
    ash.receive(data_frame(0, 0, b"abc"), 0.0)
    assert ash.receive(data_frame(0, 0, b"abc", again=True), 0.01) == []
    assert controls(ash.take_output()) == [0x81]


def test_nak_brings_everything_unacknowledged_again() -> None:
    ash = connected()
    ash.send(b"one", 0.0)
    ash.send(b"two", 0.0)
    ash.take_output()
    ash.receive(short(0xA0), 0.1)
    assert FrameReader().frames(ash.take_output()) == [(0x08, b"one"), (0x18, b"two")]


def test_cancel_discards_what_came_before_it() -> None:
    ash = connected()
    good = data_frame(0, 0, b"abc")
    assert ash.receive(b"\x42\x42\x1a" + good, 0.0) == [Received(b"abc")]
    assert ash.receive(b"\x42\x18\x42\x1a" + data_frame(1, 0, b"d"), 0.0) == [Received(b"d")]


def test_substitute_spoils_the_frame_up_to_the_next_flag() -> None:
    ash = connected()
    good = data_frame(0, 0, b"abc")
    assert ash.receive(good[:2] + b"\x18" + good[2:], 0.0) == []
    assert controls(ash.take_output()) == [0xA0]
    assert ash.receive(data_frame(0, 0, b"abc", again=True), 0.0) == [Received(b"abc")]


def test_flow_control_octets_are_not_data() -> None:
    ash = connected()
    good = data_frame(0, 0, b"abc")
    assert ash.receive(good[:3] + b"\x11" + good[3:], 0.0) == [Received(b"abc")]


def test_xoff_holds_output_back_until_xon() -> None:
    ash = connected()
    ash.receive(b"\x13", 0.0)
    ash.send(b"x", 0.0)
    assert ash.take_output() == b""
    ash.receive(b"\x11", 0.5)
    assert controls(ash.take_output()) == [0x00]


def test_xoff_from_line_noise_does_not_silence_the_ncp_for_good() -> None:
    ash = connected()
    ash.receive(b"\x13", 0.0)
    ash.send(b"x", 0.0)
    assert ash.deadline == 3.2
    ash.tick(3.2)
    assert 0x00 in controls(ash.take_output())


def test_a_host_that_is_not_ready_gets_responses_and_no_callbacks_for_a_second() -> None:
    ash = connected()
    ash.receive(short(0x88), 0.0)
    ash.send(b"callback", 0.0, deferrable=True)
    ash.send(b"response", 0.0)
    host = FrameReader()
    assert [body for _, body in host.frames(ash.take_output())] == [b"response"]
    ash.receive(short(0x81), 0.2)  # ready again
    assert [body for _, body in host.frames(ash.take_output())] == [b"callback"]

    ash.receive(short(0x8A), 1.0)
    ash.send(b"callback 2", 1.0, deferrable=True)
    assert ash.take_output() == b""
    assert ash.deadline == 2.0
    ash.tick(2.0)
    assert [body for _, body in host.frames(ash.take_output())] == [b"callback 2"]


def test_a_frame_longer_than_any_is_refused_and_not_kept() -> None:
    ash = connected()
    for _ in range(100):
        assert ash.receive(b"\x42" * 1000, 0.0) == []
    assert len(ash._received) < 1000
    ash.receive(b"\x7e", 0.0)
    assert controls(ash.take_output()) == [0xA0]
    assert ash.receive(data_frame(0, 0, b"abc"), 0.0) == [Received(b"abc")]


# -- giving up -------------------------------------------------------------------------------------


def test_four_timeouts_in_a_row_and_the_ncp_gives_up_until_it_is_reset() -> None:
    ash = connected()
    ash.send(b"x", 0.0)
    assert controls(ash.take_output()) == [0x00]
    for _ in range(ACK_TIMEOUTS - 1):
        assert ash.deadline is not None
        ash.tick(ash.deadline)
        assert controls(ash.take_output()) == [0x08]
    assert ash.deadline is not None
    assert ash.deadline == 1.6 + 3.2 + 3.2 + 3.2
    ash.tick(ash.deadline)
    assert ash.state is State.FAILED
    assert ash.take_output() == ERROR
    assert ash.deadline is None

    assert ash.receive(data_frame(0, 0, b"abc"), 20.0) == []
    assert ash.take_output() == ERROR
    ash.send(b"lost", 20.0)
    assert ash.take_output() == b""

    assert ash.receive(RESET, 21.0) == [ResetRequested()]
    ash.started(ResetCode.SOFTWARE)
    assert ash.take_output() == RSTACK
    assert ash.receive(data_frame(0, 0, b"abc"), 22.0) == [Received(b"abc")]


def test_an_acknowledgement_forgives_earlier_timeouts() -> None:
    ash = connected()
    now = 0.0
    for round_ in range(3):
        ash.send(b"x", now)
        for _ in range(ACK_TIMEOUTS - 1):
            assert ash.deadline is not None
            now = ash.deadline
            ash.tick(now)
        ash.receive(short(0x80 | round_ + 1), now)
        assert ash.state is State.CONNECTED


# -- anything at all -------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_no_octets_whatever_raise_anything(chunks: list[bytes]) -> None:
    ash = connected()
    now = 0.0
    for chunk in chunks:
        now += 0.1
        for event in ash.receive(chunk, now):
            if isinstance(event, ResetRequested):
                ash.started(ResetCode.SOFTWARE)
        ash.send(b"callback", now, deferrable=True)
        ash.tick(now)
        ash.take_output()
    ash.boot()
    ash.started(ResetCode.POWER_ON)
    assert ash.receive(data_frame(0, 0, b"abc"), now) == [Received(b"abc")]


class SimpleHost:
    """A host that sends its frames one at a time until each is acknowledged (UG101, window 1)."""

    def __init__(self, payloads: list[bytes]) -> None:
        self._payloads = payloads
        self._next = 0
        self._expected = 0
        self._rest = b""
        self._rejecting = False
        self.delivered: list[bytes] = []

    @property
    def sent(self) -> int:
        return self._next

    @property
    def done(self) -> bool:
        return self._next == len(self._payloads)

    def poll(self, first: bool) -> bytes:
        if self.done:
            return b""
        payload = self._payloads[self._next]
        return data_frame(self._next % 8, self._expected, payload, again=not first)

    def receive(self, octets: bytes) -> bytes:
        """Octets from the NCP, perhaps damaged; returns acknowledgements."""
        *complete, self._rest = (self._rest + octets).split(b"\x7e")
        said = b""
        for each in complete:
            each = each.rpartition(b"\x1a")[2]
            plain, escaped = bytearray(), False
            for octet in each.translate(None, b"\x11\x13"):
                if octet == 0x7D:
                    escaped = True
                else:
                    plain.append(octet ^ 0x20 if escaped else octet)
                    escaped = False
            if len(plain) < 3 or binascii.crc_hqx(bytes(plain), 0xFFFF) or 0x18 in each:
                if each and not self._rejecting:
                    self._rejecting = True
                    said += short(0xA0 | self._expected)
                continue
            control = plain[0]
            if control < 0xC0 and control & 7 == (self._next + 1) % 8 and not self.done:
                self._next += 1
            if control < 0x80:
                if control >> 4 == self._expected:
                    self._rejecting = False
                    self._expected = (self._expected + 1) % 8
                    self.delivered.append(randomise(bytes(plain[1:-2])))
                said += short(0x80 | self._expected)
        return said


class NoisyLine:
    """Damages octets, but for flags (a lost one would cost the next frame too).

    The tests that use it always take the same examples: now and then a damaged frame has the right
    CRC, which no protocol can help.
    """

    def __init__(self, seed: int, rate: float, quiet_s: float) -> None:
        self._chance = random.Random(seed)
        self._rate = rate
        self._quiet_s = quiet_s  # for so long after a damaged burst all others pass that way
        self._noisy_from = {"to the NCP": 0.0, "to the host": 0.0}

    def carry(self, octets: bytes, direction: str, now: float) -> bytes:
        if now < self._noisy_from[direction]:
            return octets
        out = bytearray()
        for octet in octets:
            luck = self._chance.random()
            if octet == 0x7E or luck > self._rate:
                out.append(octet)
            elif luck > self._rate * 2 / 3:
                out += bytes([self._chance.randrange(256), octet])
            elif luck > self._rate / 3:
                out.append(self._chance.randrange(256))
        if out != octets:
            self._noisy_from[direction] = now + self._quiet_s
        return bytes(out)


def talk(
    ash: AshNcp, host: SimpleHost, line: NoisyLine, answers: list[bytes]
) -> tuple[list[bytes], float]:
    """The host sends, the NCP answers each frame. What the NCP heard, and when it ended."""
    heard: list[bytes] = []
    now, first = 0.0, True
    while now < 400 and ash.state is State.CONNECTED:
        if host.done and len(host.delivered) == len(answers):
            break
        before = host.sent
        octets = host.poll(first)
        now += 0.2
        for _ in range(6):  # let both sides talk until they have nothing more to say
            for event in ash.receive(line.carry(octets, "to the NCP", now), now):
                assert isinstance(event, Received), "damage became a reset"
                ash.send(answers[len(heard)], now)
                heard.append(event.frame)
            ash.tick(now)
            octets = host.receive(line.carry(ash.take_output(), "to the host", now))
            now += 0.02
        first = host.sent != before
    return heard, now


PAYLOADS = st.lists(st.binary(min_size=3, max_size=40), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(PAYLOADS, st.integers(0, 2**32), st.floats(min_value=0.0, max_value=0.1))
def test_everything_gets_through_when_damage_is_less_frequent_than_timeouts(
    payloads: list[bytes], seed: int, rate: float
) -> None:
    ash = connected(window=1)
    host = SimpleHost(payloads)
    answers = [b"answer " + payload for payload in payloads]
    heard, _ = talk(ash, host, NoisyLine(seed, rate, quiet_s=12.0), answers)
    assert ash.state is State.CONNECTED
    assert heard == payloads
    assert host.delivered == answers


@settings(max_examples=100, deadline=None, derandomize=True)
@given(PAYLOADS, st.integers(0, 2**32), st.floats(min_value=0.0, max_value=0.1))
def test_on_any_line_nothing_comes_twice_or_out_of_order(
    payloads: list[bytes], seed: int, rate: float
) -> None:
    ash = connected()
    host = SimpleHost(payloads)
    answers = [b"answer " + payload for payload in payloads]
    heard, now = talk(ash, host, NoisyLine(seed, rate, quiet_s=0.0), answers)
    assert heard == payloads[: len(heard)]
    assert host.delivered == answers[: len(host.delivered)]
    if ash.state is State.FAILED:  # four timeouts in a row; only a reset helps now
        ash.take_output()
        assert ash.receive(RESET, now) == [ResetRequested()]
