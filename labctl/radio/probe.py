"""Asking a stick what it is: protocol, firmware, address, bands, libraries, key table.

The port must be free, and the caller must have the right to it: opening it resets the stick. What
the stick holds (network, keys) is neither changed nor started.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from labctl.config.inventory import Driver, FlowControl, Radio
from labctl.errors import RigError
from labctl.events import Band
from labctl.radio.ports import NETWORK, Port
from labctl.radio.sticks import Line
from labctl.smart_energy.eui64 import Eui64

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One way to open a port and to speak to what is behind it."""

    driver: Driver
    line: Line

    def __str__(self) -> str:
        flow = self.line.flow_control
        with_flow = "" if flow is FlowControl.NONE else f", {flow} flow control"
        return f"{self.driver.value.upper()} at {self.line.baudrate} bits/s{with_flow}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What a stick answered. None: it did not tell, or was not asked.

    `bands` are those that its radio listened to; `both_at_once` says that it has a second PHY.
    `key_table_size` is how many link keys its firmware takes. `key_establishment` are the suites
    that it does by itself. `remarks` say what it cannot do.
    """

    driver: Driver
    line: Line
    protocol: str
    protocol_version: int | None = None
    eui64: Eui64 | None = None
    firmware: str | None = None
    firmware_key: tuple[int, ...] = ()
    manufacturer: str | None = None
    model: str | None = None
    bands: tuple[Band, ...] = ()
    both_at_once: bool = False
    key_establishment: tuple[int, ...] = ()
    key_table_size: int | None = None
    usable: bool = True
    remarks: tuple[str, ...] = field(default=())


async def probe(path: str, attempts: Sequence[Attempt]) -> Probed:
    """Try each way in turn; the first that is answered counts.

    Raises `RigError` when none is, and at once when the port cannot be opened at all.
    """
    tried: list[str] = []
    for attempt in attempts:
        try:
            return await _ask(path, attempt)
        except NobodyAnswers as error:
            _LOGGER.debug("%s: %s: %s", path, attempt, error)
            tried.append(str(attempt))
    raise RigError(
        "nothing on this port speaks " + " or ".join(_drivers(attempts)),
        where=path,
        mend=f"tried: {'; '.join(tried)}. Unplug the stick and plug it in again if it is hung; "
        "its firmware may be another one (router, Thread, bootloader)",
    )


class NobodyAnswers(Exception):
    """The port is open, and nothing that was said got an answer."""


async def _ask(path: str, attempt: Attempt) -> Probed:
    # The drivers are loaded when they are needed: `labctl radios --no-probe` needs none.
    if attempt.driver is Driver.EZSP:
        from labctl.radio.ezsp.probe import probe_ezsp

        return await probe_ezsp(path, attempt.line)
    from labctl.radio.znp.probe import probe_znp

    return await probe_znp(path, attempt.line)


def _drivers(attempts: Iterable[Attempt]) -> list[str]:
    return list(dict.fromkeys(attempt.driver.value.upper() for attempt in attempts))


def attempts_for(port: Port) -> list[Attempt]:
    """What to try on a port, the likely first: what its name says, then what else there is."""
    known = port.stick
    line = known.line if known else Line()
    if port.is_network:
        line = Line()  # the bridge sets the serial line
    first = known.driver if known and known.driver else Driver.EZSP
    attempts = [Attempt(driver=first, line=line)]
    other = Driver.ZNP if first is Driver.EZSP else Driver.EZSP
    lines = [Line()] if other is Driver.ZNP or port.is_network else [Line(), _HARDWARE]
    attempts += [Attempt(driver=other, line=each) for each in lines]
    if first is Driver.EZSP and not port.is_network:
        attempts += [Attempt(driver=Driver.EZSP, line=each) for each in _EZSP_LINES]
    return list(dict.fromkeys(attempts))


_HARDWARE = Line(flow_control=FlowControl.HARDWARE)
_EZSP_LINES = (
    Line(),
    _HARDWARE,
    Line(baudrate=460800, flow_control=FlowControl.HARDWARE),
    Line(baudrate=57600, flow_control=FlowControl.SOFTWARE),
)


def attempts_of(radio: Radio) -> list[Attempt]:
    """The one way that the inventory says."""
    line = Line(baudrate=radio.baudrate, flow_control=radio.flow_control)
    return [Attempt(driver=radio.driver, line=line)]


def is_network(path: str) -> bool:
    """Whether a path is reached over TCP."""
    return path.startswith(NETWORK)


async def closing(work: object, timeout_s: float = 5.0) -> None:
    """Wait for the end of a connection, but not for ever: a hung port may not close."""
    assert asyncio.iscoroutine(work)
    try:
        async with asyncio.timeout(timeout_s):
            await work
    except TimeoutError:
        _LOGGER.warning("the port did not close in %.0f s", timeout_s)
