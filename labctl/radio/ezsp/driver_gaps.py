"""What bellows 1.2 has wrong of a failing line and of the frames of a sub-GHz hub, put right.

bellows itself stays as it is: what is replaced is in the objects that speak to one NCP.
`docs/drivers.md` says what is wrong; a test shows that it still is.
"""

from __future__ import annotations

import asyncio
from typing import Any

import bellows.types as t
from bellows.ash import AckFrame, DataFrame, NakFrame

FRAME_S = 0.5
"""How long the rest of a frame may take: 262 octets at 115200 Bd last 23 ms, networks stutter."""

_SET_LIMITS, _GET_LIMITS = "setDutyCycleLimitsInStack", "getDutyCycleLimits"


class DutyCycleLimits(t.EzspStruct):
    """EmberDutyCycleLimits: three numbers in 0.01 %, which ascend (UG100).

    bellows' own structure of that name has the fields of another one, a vendor's identifier and
    string of nine octets, so that its getDutyCycleLimits ends in a timeout.
    """

    limited: t.uint16_t
    critical: t.uint16_t
    suspended: t.uint16_t


def retrieve_failures(ash: Any) -> None:
    """Have frames sent as bellows does, with their failures taken notice of.

    bellows sends each frame in a task of its own that outlives whoever asked for it: one who gives
    up waiting leaves a failure behind that nobody retrieves, which counts as an error of ours.
    """

    async def send_data(data: bytes) -> None:
        frame = DataFrame(frm_num=None, re_tx=None, ack_num=None, ezsp_frame=data)
        sending = asyncio.get_running_loop().create_task(ash._send_data_frame(frame))
        sending.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(sending)

    ash.send_data = send_data


def spare_a_closing_port(ash: Any) -> None:
    """Have what was received not acknowledged once the port is closing.

    bellows acknowledges from inside the port's own callback, and raises there when it cannot: to
    the event loop that is an error that nobody caught.
    """
    write = ash._write_frame

    def write_frame(frame: Any, **around: Any) -> None:
        closing = ash._transport is None or ash._transport.is_closing()
        if not (closing and isinstance(frame, AckFrame | NakFrame)):
            write(frame, **around)

    ash._write_frame = write_frame


def forget_what_does_not_go_on(ash: Any) -> None:
    """Have octets that began no frame forgotten, with what they make bellows do to the next one.

    Garbage without a flag at its end is taken for the beginning of what the NCP says next: that
    frame is lost too, and with it the acknowledgement which bellows waits for.
    """
    received = ash.data_received
    rest: asyncio.TimerHandle | None = None

    def data_received(data: bytes) -> None:
        nonlocal rest
        if rest is not None:
            rest.cancel()
        received(data)
        rest = asyncio.get_running_loop().call_later(FRAME_S, does_not_go_on)

    def does_not_go_on() -> None:
        ash._buffer.clear()
        ash._discarding_until_next_flag = False

    ash.data_received = data_received


def put_right(protocol: Any) -> None:
    """Give the duty cycle's frames their layout in the table of this object, not of its class."""
    if _GET_LIMITS not in protocol.COMMANDS:
        return  # EZSP 5 and older
    number, _, answer = protocol.COMMANDS[_GET_LIMITS]
    status = answer["status"]
    right = {
        _GET_LIMITS: (number, {}, {"status": status, "limits": DutyCycleLimits}),
        _SET_LIMITS: (
            protocol.COMMANDS[_SET_LIMITS][0],
            {"limits": DutyCycleLimits},
            {"status": status},
        ),
    }
    protocol.COMMANDS = {**protocol.COMMANDS, **right}
    for name, (number, request, response) in right.items():
        protocol.COMMANDS_BY_ID[number] = (name, request, response)
