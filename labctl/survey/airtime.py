"""How long a probe on 868 MHz has to wait, so that a survey never comes near the limits.

What else goes over the bearer goes on in the next hour as it did of late, and has its room. Probes
get what is left of it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

from labctl.clock import MICROSECONDS, Clock
from labctl.hub.airtime import AirtimeBook
from labctl.hub.device_log import Device
from labctl.hub.hub import Hub
from labctl.smart_energy.airtime import (
    WINDOW_S,
    AirtimeWindow,
    DutyCycleState,
    unicast_airtime_us,
)
from labctl.smart_energy.eui64 import Eui64

_OCTETS = 32
"""Payload of question or answer, rounded up."""
_TRIES = 3
"""How often APS sends what nobody acknowledges (R22 apscMaxFrameRetries)."""
_STEP_S = 30.0
_AHEAD_S = 3600.0
_LEAST_S = 600.0
MOST_WAIT_S = 2 * 3600.0
"""After so long nothing will come of it: all the airtime is needed for other things."""


class Airtime:
    """Keeps the hub and the devices below `share` of what the limits call limited.

    `before` are the times, UTC microseconds, of probes that another process sent: the hub's own
    account does not have them any more.
    """

    def __init__(
        self, hub: Hub, clock: Clock, share: float, before: Iterable[tuple[Eui64, int]] = ()
    ) -> None:
        self._hub = hub
        self._clock = clock
        self._share = share
        self._since_s = clock.now_us() / MICROSECONDS
        self._own: dict[Eui64 | None, AirtimeWindow] = {}
        self._before: dict[Eui64 | None, AirtimeWindow] = {}
        sub_ghz = hub.care.sub_ghz
        now_us = clock.now_us()
        for eui64, at_us in before:
            if sub_ghz is not None and now_us - at_us < WINDOW_S * MICROSECONDS:
                for party in (None, eui64):
                    window = self._before.setdefault(party, AirtimeWindow())
                    window.add(_cost_us(sub_ghz.book), at_us / MICROSECONDS)

    def used_us(self, device: Device) -> tuple[int, int]:
        """What the hub and the device spent in the last hour; to be given to `spent`."""
        sub_ghz = self._hub.care.sub_ghz
        if sub_ghz is None or device.bearer != sub_ghz.bearer:
            return 0, 0
        now_s = self._clock.now_us() / MICROSECONDS
        own = sub_ghz.book.devices.get(device.eui64)
        return sub_ghz.book.hub.used_us(now_s), 0 if own is None else own.used_us(now_s)

    def spent(self, device: Device, before_us: tuple[int, int]) -> None:
        """A probe was sent; `before_us` is what `used_us` said before."""
        now_s = self._clock.now_us() / MICROSECONDS
        for party, was, used in zip(
            (None, device.eui64), before_us, self.used_us(device), strict=True
        ):
            self._own.setdefault(party, AirtimeWindow()).add(max(0, used - was), now_s)

    def wait_s(self, device: Device) -> float:
        """Seconds until a probe of the device may go out, as far as can be seen; 0: now."""
        sub_ghz = self._hub.care.sub_ghz
        if sub_ghz is None or device.bearer != sub_ghz.bearer:
            return 0.0
        if sub_ghz.suspensions.state >= DutyCycleState.LIMITED:
            return _STEP_S
        book = sub_ghz.book
        most_us = round(book.limits.limited_us * self._share) - _TRIES * _cost_us(book)
        waits = [self._until(None, book.hub, most_us)]
        if (of_device := book.devices.get(device.eui64)) is not None:
            waits.append(self._until(device.eui64, of_device, most_us))
        return max(waits)

    def _until(self, party: Eui64 | None, total: AirtimeWindow, most_us: int) -> float:
        """How long until probes and all else stay within that, if nothing is probed meanwhile."""
        now_s = self._clock.now_us() / MICROSECONDS
        total = copy.deepcopy(total)
        own = copy.deepcopy(self._own.get(party, AirtimeWindow()))
        before = copy.deepcopy(self._before.get(party, AirtimeWindow()))
        # Of less than ten minutes nothing is concluded: the pairing is in them.
        counted_s = min(WINDOW_S, max(_LEAST_S, now_s - self._since_s))
        others_us = (total.used_us(now_s) - own.used_us(now_s)) * WINDOW_S / counted_s
        wait_s = 0.0
        while wait_s < _AHEAD_S:
            at_s = now_s + wait_s
            probes_us = own.used_us(at_s)
            used_us = max(total.used_us(at_s) - probes_us, others_us) + probes_us
            if used_us + before.used_us(at_s) <= most_us:
                return wait_s
            wait_s += _STEP_S
        return wait_s


def _cost_us(book: AirtimeBook) -> int:
    """A question and its answer, nothing repeated: what one of the two has to send for them."""
    spent = unicast_airtime_us(book.page, _OCTETS, aps_encrypted=False)
    return spent.sender_us + spent.receiver_us
