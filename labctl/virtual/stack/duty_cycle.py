"""The airtime account of one sub-GHz radio, and what it may still send (R22 annex D.11).

A frame that would reach the regulated limit is not sent, and from then on nothing is, not even an
acknowledgement, until the sliding hour has room again for the longest frame. The states below that
change nothing here: they are for whoever decides who shall be quiet.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labctl.smart_energy.airtime import BUCKET_S, AirtimeWindow, DutyCycleState, Limits
from labctl.virtual.frames import mac
from labctl.virtual.phy import PHY_868

_LONGEST_US = PHY_868.airtime_us(mac.MAX_PSDU)
_ACK_US = PHY_868.airtime_us(5)

Address = int | bytes
"""Short address, or the 8 octets of a long one."""


@dataclass(frozen=True, slots=True)
class DutyCycle:
    """What a radio has on its account: microseconds of the sliding hour.

    `heard_us` has what was heard of each neighbour (its frames, its acknowledgements), `spent_us`
    what went out to each. A neighbour is a short address, or eight octets before it had one.
    """

    state: DutyCycleState
    limits: Limits | None
    used_us: int
    heard_us: Mapping[Address, int]
    spent_us: Mapping[Address, int]


class Account:
    """Counts for one radio as long as the power is on, over all channels that it is tuned to.

    `changed` is called with the new state, from the loop and never from within a transmission.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, changed: Callable[[DutyCycleState], None]
    ) -> None:
        self._loop = loop
        self._changed = changed
        self._limits: Limits | None = None
        self._chosen = False  # the limits are not those of the page
        self._own = AirtimeWindow()
        self._heard: dict[Address, AirtimeWindow] = {}
        self._spent: dict[Address, AirtimeWindow] = {}
        self.heard_total_us: defaultdict[Address, int] = defaultdict(int)
        self._muted = False  # by its owner
        self._exhausted = False  # a frame has been refused
        self._told = DutyCycleState.OFF
        self.state = DutyCycleState.OFF
        self._timer: asyncio.TimerHandle | None = None
        self._telling: asyncio.Handle | None = None

    def close(self) -> None:
        """The power is gone."""
        for handle in (self._timer, self._telling):
            if handle is not None:
                handle.cancel()
        self._timer = self._telling = None

    # -- settings --------------------

    @property
    def limits(self) -> Limits | None:
        """What holds; None: nothing is limited, and the state is off."""
        return self._limits

    def on_page(self, page: int) -> None:
        """The radio is tuned to that page: its limits hold, unless others were set."""
        if not self._chosen:
            limits = Limits.of_page(page)
            if limits != self._limits:
                self._set(limits)

    def set_limits(self, limits: Limits | None) -> None:
        """Other limits than the page's, from now on."""
        self._chosen = True
        self._set(limits)

    def _set(self, limits: Limits | None) -> None:
        self._limits = limits
        self._exhausted = False
        self._look()

    def mute(self, muted: bool) -> None:
        """Send nothing at all, whatever the account says; or no longer so."""
        self._muted = muted

    # -- Regulator --------------------

    def permits(self, us: int) -> bool:
        """Whether so many microseconds may go out now."""
        if self._muted:
            return False
        limits = self._limits
        if limits is None:
            return True
        used = self._own.used_us(self._loop.time())
        if self._exhausted and used + _LONGEST_US < limits.regulated_us:
            self._exhausted = False  # the hour has moved on, and the timer is about to say so
        if self._exhausted or used + us >= limits.regulated_us:
            self._exhausted = True
            self._look()
            return False
        return True

    def spent(self, us: int, psdu: bytes, *, ack: bool) -> None:
        """So many microseconds went out: a frame, or the acknowledgement of one."""
        now = self._loop.time()
        self._own.add(us, now)
        neighbour = _source(psdu) if ack else _destination(psdu)
        if neighbour is not None:
            _add(self._spent, neighbour, us, now)
        self._look()

    # -- what others send --------------------

    def heard(self, psdu: bytes) -> None:
        """A frame of a neighbour."""
        source = _source(psdu)
        if source is not None:
            us = PHY_868.airtime_us(len(psdu))
            self.heard_total_us[source] += us
            _add(self._heard, source, us, self._loop.time())

    def acknowledged(self, mpdu: bytes) -> None:
        """The neighbour that `mpdu` was for has acknowledged it."""
        destination = _destination(mpdu)
        if destination is not None:
            self.heard_total_us[destination] += _ACK_US
            _add(self._heard, destination, _ACK_US, self._loop.time())

    # -- the state --------------------

    def report(self) -> DutyCycle:
        """All of it, as of now."""
        now = self._loop.time()
        return DutyCycle(
            self.state,
            self._limits,
            self._own.used_us(now),
            {each: window.used_us(now) for each, window in self._heard.items()},
            {each: window.used_us(now) for each, window in self._spent.items()},
        )

    def _look(self) -> None:
        """Find the state. While it is not normal, look again when the hour drops a part."""
        limits = self._limits
        now = self._loop.time()
        if limits is None:
            self._become(DutyCycleState.OFF)
            return
        used = self._own.used_us(now)
        if self._exhausted and used + _LONGEST_US < limits.regulated_us:
            self._exhausted = False
        state = DutyCycleState.SUSPENDED if self._exhausted else limits.state(used)
        if state is DutyCycleState.SUSPENDED:
            self._exhausted = True
        if state is not DutyCycleState.NORMAL and self._timer is None:
            due = (now // BUCKET_S + 1) * BUCKET_S
            self._timer = self._loop.call_at(due, self._hour_moves_on)
        self._become(state)

    def _hour_moves_on(self) -> None:
        self._timer = None
        self._look()

    def _become(self, state: DutyCycleState) -> None:
        if state is not self.state:
            self.state = state
            if self._telling is None:
                self._telling = self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        self._telling = None
        before, self._told = self._told, self.state
        begins = before is DutyCycleState.OFF and self.state is DutyCycleState.NORMAL
        if self.state is not before and not begins:
            self._changed(self.state)


def _add(windows: dict[Address, AirtimeWindow], neighbour: Address, us: int, now: float) -> None:
    window = windows.get(neighbour)
    if window is None:
        window = windows[neighbour] = AirtimeWindow()
    window.add(us, now)


def _destination(octets: bytes) -> Address | None:
    """Whom a frame is for; None for a broadcast, and for one without a destination."""
    mode = octets[1] >> 2 & 3
    if mode == 2:
        short = int.from_bytes(octets[5:7], "little")
        return None if short == mac.BROADCAST else short
    return octets[5:13] if mode == 3 else None


def _source(octets: bytes) -> Address | None:
    """Whom a frame is from, if it says so."""
    mode = octets[1] >> 6 & 3
    if mode not in (2, 3):
        return None
    at = 3 + (0, 0, 4, 10)[octets[1] >> 2 & 3]
    if not octets[0] & 0x40:
        at += 2
    return octets[at : at + 8] if mode == 3 else int.from_bytes(octets[at : at + 2], "little")
