"""The NCP's side of ASH, the serial protocol of UG101: bytes in, EZSP frames and bytes out.

No I/O and no clock of its own: every call that depends on time gets `now` in seconds of any
monotonic clock, `deadline` says when `tick` wants to be called. The owner writes `take_output()` to
the line after each call.
"""

from __future__ import annotations

import binascii
import enum
import re
from collections import deque
from dataclasses import dataclass

FLAG = 0x7E
ESCAPE = 0x7D
XON = 0x11
XOFF = 0x13
SUBSTITUTE = 0x18
CANCEL = 0x1A

VERSION = 0x02
"""The ASH version that RSTACK and ERROR carry."""

MAX_DATA_FIELD = 220
"""Octets of one EZSP frame at most (UG100, from EZSP 8)."""

_MAX_STUFFED = 2 * (1 + MAX_DATA_FIELD + 2)

RX_ACK_INITIAL_S = 1.6  # UG101 table 7: T_RX_ACK_INIT, _MIN, _MAX
RX_ACK_MIN_S = 0.4
RX_ACK_MAX_S = 3.2
TX_ACK_DELAY_S = 0.02  # T_TX_ACK_DELAY
REMOTE_NOT_READY_S = 1.0  # T_REMOTE_NOTRDY
ACK_TIMEOUTS = 4
TX_WINDOW = 5  # TX_K

XOFF_MAX_S = RX_ACK_MAX_S
"""Line noise can look like XOFF: without an XON the NCP resumes after this long."""

_FLAG_BYTE = bytes([FLAG])
_CANCEL_BYTE = bytes([CANCEL])
_RESERVED = re.compile(b"[\x7e\x7d\x11\x13\x18\x1a]")
_STUFFED = {bytes([code]): bytes([ESCAPE, code ^ 0x20]) for code in b"\x7e\x7d\x11\x13\x18\x1a"}
_ESCAPED = re.compile(b"\x7d(.?)", re.DOTALL)
_RST = b"\xc0\x38\xbc"


def _pseudo_random(length: int) -> bytes:
    """The sequence that DATA fields are exclusive-ored with (UG101 4.3)."""
    octets = bytearray()
    register = 0x42
    for _ in range(length):
        octets.append(register)
        register = (register >> 1) ^ (0xB8 if register & 1 else 0)
    return bytes(octets)


_MASKS = tuple(
    int.from_bytes(_pseudo_random(MAX_DATA_FIELD)[:length], "little")
    for length in range(MAX_DATA_FIELD + 1)
)


def randomise(data: bytes) -> bytes:
    """Apply the pseudo-random mask to a DATA field of at most 220 octets, or take it off again."""
    length = len(data)
    return (int.from_bytes(data, "little") ^ _MASKS[length]).to_bytes(length, "little")


def _stuff(octets: bytes) -> bytes:
    return _RESERVED.sub(lambda found: _STUFFED[found.group()], octets)


def _unstuff(octets: bytes) -> bytes | None:
    """Undo byte stuffing; None when an escape stands at the very end."""
    if ESCAPE not in octets:
        return octets
    if octets[-1] == ESCAPE and not octets.endswith(b"\x7d\x7d"):
        return None
    return _ESCAPED.sub(lambda found: bytes([(found.group(1) or b"\x20")[0] ^ 0x20]), octets)


def frame(octets: bytes) -> bytes:
    """Control byte and data field as they go on the line: CRC, stuffing, flag."""
    return _stuff(octets + binascii.crc_hqx(octets, 0xFFFF).to_bytes(2, "big")) + _FLAG_BYTE


class ResetCode(enum.IntEnum):
    """Why the NCP started (RSTACK) or gave up (ERROR), UG101 table 8."""

    UNKNOWN = 0x00
    EXTERNAL = 0x01
    POWER_ON = 0x02
    WATCHDOG = 0x03
    ASSERT = 0x06
    BOOTLOADER = 0x09
    SOFTWARE = 0x0B
    ACK_TIMEOUTS = 0x51


class State(enum.Enum):
    """Where the link stands."""

    BOOTING = "booting"  # deaf until `started`
    CONNECTED = "connected"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Received:
    """An EZSP frame arrived, in order and intact."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class ResetRequested:
    """The host sent RST. The link is deaf until the owner calls `started`."""


Event = Received | ResetRequested


@dataclass(slots=True)
class _Unacknowledged:
    number: int
    body: bytes  # randomised
    sent_s: float


class AshNcp:
    """One end of an ASH link, the NCP's. Not thread-safe; one instance lives as long as the NCP.

    `window` (1 to 5) is the number of DATA frames that may be on their way unacknowledged.
    Never raises for anything that comes in from the line.
    """

    def __init__(self, *, window: int = TX_WINDOW) -> None:
        if not 1 <= window <= 7:
            raise ValueError(f"an ASH window has 1 to 7 frames, not {window}")
        self._window = window
        self._output: list[bytes] = []
        self._received = b""
        self._overlong = False
        self.state = State.CONNECTED
        self._error_code = ResetCode.UNKNOWN
        self.framing_errors = 0
        self._clear()

    def _clear(self) -> None:
        self._expected = 0  # next DATA frame number from the host
        self._next = 0  # number of our next DATA frame
        self._in_flight: deque[_Unacknowledged] = deque()
        self._waiting: deque[bytes] = deque()
        self._deferred: deque[bytes] = deque()
        self._rejecting = False
        self._ack_due_s: float | None = None
        self._rx_ack_s = RX_ACK_INITIAL_S
        self._timer_s: float | None = None  # when the oldest frame in flight is given up
        self._timeouts = 0
        self._not_ready_until_s: float | None = None
        self._xoff_until_s: float | None = None

    # -- what the owner does ------------------------------------------------------------------

    @property
    def rx_ack_s(self) -> float:
        """The present time that an acknowledgement may take, 0.4 to 3.2 s."""
        return self._rx_ack_s

    @property
    def deadline(self) -> float | None:
        """When `tick` wants to be called, on the clock of the `now` arguments; None for never."""
        if self.state is not State.CONNECTED:
            return None
        if self._xoff_until_s is not None:
            return self._xoff_until_s
        due = [
            moment
            for moment in (self._ack_due_s, self._timer_s, self._not_ready_until_s)
            if moment is not None
        ]
        return min(due) if due else None

    def boot(self) -> None:
        """The processor restarts: everything in the link is lost, nothing is heard or said."""
        self._clear()
        self._received = b""
        self._overlong = False
        self._output.clear()
        self.state = State.BOOTING

    def started(self, code: ResetCode) -> None:
        """The firmware runs: say so with RSTACK and be connected."""
        self._clear()
        self._received = b""
        self._overlong = False
        self.state = State.CONNECTED
        self._output.append(frame(bytes([0xC1, VERSION, code])))

    def fail(self, code: ResetCode) -> None:
        """Give up: ERROR frames are all that comes until the host resets the NCP."""
        self._clear()
        self.state = State.FAILED
        self._error_code = code
        self._say_error()

    def send(self, ezsp_frame: bytes, now: float, *, deferrable: bool = False) -> None:
        """Queue an EZSP frame. `deferrable` (callbacks) waits while the host is not ready."""
        if self.state is not State.CONNECTED:
            return  # a failed or booting NCP loses its frames
        if len(ezsp_frame) > MAX_DATA_FIELD:
            raise ValueError(f"an EZSP frame has at most {MAX_DATA_FIELD} octets")
        body = randomise(ezsp_frame)
        if deferrable and (self._not_ready_until_s is not None or self._deferred):
            self._deferred.append(body)
        else:
            self._waiting.append(body)
        self._pump(now)

    def take_output(self) -> bytes:
        """Octets for the line, once."""
        if not self._output or self._xoff_until_s is not None:
            return b""
        octets = b"".join(self._output)
        self._output.clear()
        return octets

    def tick(self, now: float) -> None:
        """Do what is due: delayed acknowledgements, retransmissions, resuming."""
        if self.state is not State.CONNECTED:
            return
        if self._xoff_until_s is not None:
            if now < self._xoff_until_s:
                return
            self._resume(now)
        if self._not_ready_until_s is not None and now >= self._not_ready_until_s:
            self._host_ready(now)
        if self._timer_s is not None and now >= self._timer_s:
            self._timed_out(now)
        if self._ack_due_s is not None and now >= self._ack_due_s:
            self._say_ack()

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Octets from the line; whole frames that they complete."""
        if self.state is State.BOOTING:
            return []
        if XON in data or XOFF in data:
            data = self._flow_control(data, now)
        if self.state is State.FAILED:
            return self._receive_failed(data)
        events: list[Event] = []
        *complete, rest = (self._received + data).split(_FLAG_BYTE)
        for octets in complete:
            self._frame_received(octets, now, events)
            if events and isinstance(events[-1], ResetRequested):
                return events  # whatever else came is lost in the reset
        self._keep(rest)
        return events

    # -- receiving ----------------------------------------------------------------------------

    def _flow_control(self, data: bytes, now: float) -> bytes:
        if max(data.rfind(XON), data.rfind(XOFF)) == data.rfind(XOFF):
            self._xoff_until_s = now + XOFF_MAX_S
        elif self._xoff_until_s is not None:
            self._resume(now)
        return data.translate(None, b"\x11\x13")

    def _resume(self, now: float) -> None:
        """The line is free again: what could not go out has not been waited for either."""
        self._xoff_until_s = None
        if self._in_flight:
            self._timer_s = now + self._rx_ack_s

    def _keep(self, rest: bytes) -> None:
        """Keep an incomplete frame; what is longer than any frame is not kept but noted."""
        if CANCEL in rest:
            rest = rest.rpartition(_CANCEL_BYTE)[2]
            self._overlong = False
        if len(rest) > _MAX_STUFFED:
            rest = b""
            self._overlong = True
        self._received = rest

    def _receive_failed(self, data: bytes) -> list[Event]:
        # Only a reset helps. A burst of octets that arrives together is answered with one ERROR:
        # the transmitter is still busy with it when the last of them comes in.
        *complete, rest = (self._received + data).split(_FLAG_BYTE)
        self._keep(rest)
        if any(octets.rpartition(_CANCEL_BYTE)[2] == _RST for octets in complete):
            self.boot()
            return [ResetRequested()]
        if data:
            self._say_error()
        return []

    def _frame_received(self, octets: bytes, now: float, events: list[Event]) -> None:
        overlong, self._overlong = self._overlong, False
        if CANCEL in octets:
            octets = octets.rpartition(_CANCEL_BYTE)[2]
            overlong = False
        if not octets and not overlong:
            return  # flags back to back
        content = None if overlong or SUBSTITUTE in octets else _unstuff(octets)
        if (
            content is None
            or not 3 <= len(content) <= MAX_DATA_FIELD + 3
            or binascii.crc_hqx(content, 0xFFFF) != 0
        ):
            self._reject()
            return
        control = content[0]
        if control < 0x80:
            self._data_received(control, content[1:-2], now, events)
        elif control < 0xC0 and len(content) == 3:
            self._ack_or_nak_received(control, now)
        elif content == _RST:
            self.boot()
            events.append(ResetRequested())
        else:
            self._reject()

    def _data_received(self, control: int, body: bytes, now: float, events: list[Event]) -> None:
        if not self._acknowledged(control & 7, now):
            self._reject()
            return
        if control >> 4 == self._expected and body:
            self._rejecting = False
            self._expected = (self._expected + 1) & 7
            # The answer to a command usually carries the acknowledgement: wait for it.
            self._ack_due_s = now + TX_ACK_DELAY_S
            events.append(Received(randomise(body)))
        elif control & 0x08:
            self._say_ack()  # a retransmission of something that arrived
        else:
            self._reject()
        self._pump(now)

    def _ack_or_nak_received(self, control: int, now: float) -> None:
        if not self._acknowledged(control & 7, now):
            self._reject()
            return
        if control & 0x08:
            self._not_ready_until_s = now + REMOTE_NOT_READY_S
        elif self._not_ready_until_s is not None:
            self._host_ready(now)
        if control & 0x20:
            self._retransmit(now)
        self._pump(now)

    def _acknowledged(self, number: int, now: float) -> bool:
        """Drop what the host has. False when `number` was never sent."""
        count = (number - (self._next - len(self._in_flight))) & 7
        if count == 0:
            return True
        if count > len(self._in_flight):
            return False
        for _ in range(count):
            done = self._in_flight.popleft()
        self._adapt(self._rx_ack_s * 7 / 8 + (now - done.sent_s) / 2)
        self._timeouts = 0
        self._timer_s = now + self._rx_ack_s if self._in_flight else None
        return True

    def _host_ready(self, now: float) -> None:
        self._not_ready_until_s = None
        self._waiting.extend(self._deferred)
        self._deferred.clear()
        self._pump(now)

    # -- sending ------------------------------------------------------------------------------

    def _pump(self, now: float) -> None:
        while self._waiting and len(self._in_flight) < self._window:
            entry = _Unacknowledged(self._next, self._waiting.popleft(), now)
            self._next = (self._next + 1) & 7
            self._in_flight.append(entry)
            self._say_data(entry, 0)
            if self._timer_s is None:
                self._timer_s = now + self._rx_ack_s

    def _retransmit(self, now: float) -> None:
        for entry in self._in_flight:
            entry.sent_s = now
            self._say_data(entry, 0x08)
        if self._in_flight:
            self._timer_s = now + self._rx_ack_s

    def _timed_out(self, now: float) -> None:
        self._timeouts += 1
        if self._timeouts >= ACK_TIMEOUTS:
            self.fail(ResetCode.ACK_TIMEOUTS)
            return
        self._adapt(2 * self._rx_ack_s)
        self._retransmit(now)

    def _adapt(self, seconds: float) -> None:
        self._rx_ack_s = min(max(seconds, RX_ACK_MIN_S), RX_ACK_MAX_S)

    def _say_data(self, entry: _Unacknowledged, retransmission: int) -> None:
        control = entry.number << 4 | retransmission | self._expected
        self._output.append(frame(bytes([control]) + entry.body))
        self._ack_due_s = None

    def _say_ack(self) -> None:
        self._output.append(frame(bytes([0x80 | self._expected])))
        self._ack_due_s = None

    def _reject(self) -> None:
        """Ask once for what should have come; then wait for it (UG101 5.5)."""
        self.framing_errors += 1
        if not self._rejecting:
            self._rejecting = True
            self._output.append(frame(bytes([0xA0 | self._expected])))
            self._ack_due_s = None

    def _say_error(self) -> None:
        self._output.append(frame(bytes([0xC2, VERSION, self._error_code])))
