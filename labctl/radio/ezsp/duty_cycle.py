"""The NCP's own account of the airtime in the sub-GHz band (UG100: the duty cycle commands)."""

from __future__ import annotations

import struct
from typing import Any

import bellows.types as t
from bellows.exception import InvalidCommandError

from labctl.errors import RigError
from labctl.radio.coordinator import DutyCycle
from labctl.radio.ezsp.driver_gaps import DutyCycleLimits
from labctl.radio.ezsp.messages import status_name
from labctl.smart_energy.airtime import DutyCycleState, Limits

NEEDS_DUTY_CYCLE = (
    "the airtime is counted by Silicon Labs' sub-GHz firmware, on a network in the 868 MHz band; "
    "without it labctl's own count of the frames goes on"
)
HUNDREDTH_US = 360_000
"""0.01 % of the hour."""

_MOST = 33
"""Entries of getCurrentDutyCycle: the hub and 32 children."""

_HUB = 0x0000
_NOBODY = 0xFFFF


async def read(ezsp: Any) -> DutyCycle | None:
    """What the NCP counts; None where it counts nothing."""
    try:
        status, state = await ezsp.getDutyCycleState()
        if not _ok(status):
            return None
        status, array = await ezsp.getCurrentDutyCycle(maxDevices=t.uint8_t(_MOST))
    except (InvalidCommandError, AttributeError):
        return None  # EZSP 5 and older
    if not _ok(status):
        return None
    consumed = entries(bytes(array))
    hub = consumed.pop(_HUB, 0)
    return DutyCycle(state_of(state), hub, consumed)


def entries(array: bytes) -> dict[int, int]:
    """Node and airtime in µs, from a count and as many pairs of address and 0.01 %."""
    number = min(array[0], (len(array) - 1) // 4) if array else 0
    found: dict[int, int] = {}
    for index in range(number):
        node, hundredths = struct.unpack_from("<HH", array, 1 + 4 * index)
        if node != _NOBODY:
            found[node] = hundredths * HUNDREDTH_US
    return found


def state_of(value: int) -> DutyCycleState:
    """A state that a later firmware may know and we do not is taken for the most careful one."""
    try:
        return DutyCycleState(int(value))
    except ValueError:
        return DutyCycleState.SUSPENDED


async def set_limits(ezsp: Any, limits: Limits, radio: str) -> None:
    """Tell the NCP its limits and read them back. Raises `RigError`."""
    wanted = limits.hundredths
    try:
        (status,) = await ezsp.setDutyCycleLimitsInStack(
            limits=DutyCycleLimits(*(t.uint16_t(each) for each in wanted))
        )
        if not _ok(status):
            raise RigError(
                f"the firmware takes no duty cycle limits: {status_name(status)}",
                where=radio,
                mend=NEEDS_DUTY_CYCLE,
            )
        status, found = await ezsp.getDutyCycleLimits()
    except (InvalidCommandError, AttributeError) as error:
        raise RigError(
            "the firmware knows nothing of duty cycles", where=radio, mend=NEEDS_DUTY_CYCLE
        ) from error
    if not _ok(status) or (found.limited, found.critical, found.suspended) != wanted:
        raise RigError(f"the firmware did not keep its duty cycle limits: {found!r}", where=radio)


def _ok(status: Any) -> bool:
    return bool(t.sl_Status.from_ember_status(status) == t.sl_Status.OK)
