"""How long a probe on 868 MHz has to wait, so that a survey never comes near the limits."""

from __future__ import annotations

import copy

from labctl.clock import MICROSECONDS, Clock
from labctl.hub.device_log import Device
from labctl.hub.hub import Hub
from labctl.smart_energy.airtime import AirtimeWindow, DutyCycleState, unicast_airtime_us

_OCTETS = 32
"""Payload of question or answer, rounded up."""
_TRIES = 3
"""How often APS sends what nobody acknowledges (R22 apscMaxFrameRetries)."""
_STEP_S = 30.0
_MOST_S = 2 * 3600.0


class Airtime:
    """Keeps the hub and the devices below `share` of what the limits call limited."""

    def __init__(self, hub: Hub, clock: Clock, share: float) -> None:
        self._hub = hub
        self._clock = clock
        self._share = share

    def wait_s(self, device: Device) -> float:
        """Seconds until a probe of the device may go out; 0: now. Longer than that never hurts."""
        sub_ghz = self._hub.care.sub_ghz
        if sub_ghz is None or device.bearer != sub_ghz.bearer:
            return 0.0
        if sub_ghz.suspensions.state >= DutyCycleState.LIMITED:
            return _STEP_S
        book = sub_ghz.book
        spent = unicast_airtime_us(book.page, _OCTETS, aps_encrypted=False)
        cost_us = (spent.sender_us + spent.receiver_us) * _TRIES
        most_us = round(book.limits.limited_us * self._share) - cost_us
        now_s = self._clock.now_us() / MICROSECONDS
        waits = [_until(book.hub, now_s, most_us)]
        if (own := book.devices.get(device.eui64)) is not None:
            waits.append(_until(own, now_s, most_us))
        return max(waits)


def _until(window: AirtimeWindow, now_s: float, most_us: int) -> float:
    """How long until no more than that is left of the hour, if nothing is added."""
    if window.used_us(now_s) <= most_us:
        return 0.0
    ahead = copy.deepcopy(window)
    wait_s = _STEP_S
    while ahead.used_us(now_s + wait_s) > most_us and wait_s < _MOST_S:
        wait_s += _STEP_S
    return wait_s
