"""Airtime on the hub's sub-GHz bearer, computed from the frames that the host sees.

Counted are data frames and their acknowledgements of both layers, broadcasts and their repetition,
what the radio answers by itself, and polls, where the radio tells of them; else the keep-alive
polls that awake devices are taken to send. What the radio does without a word (beacons, joins,
repetitions of what was lost) only firmware can count; where it does, its figures lead.
"""

from __future__ import annotations

from functools import lru_cache

from labctl.events import AirtimeSample, AirtimeSource, AirtimeState
from labctl.hub.reporter import Reporter
from labctl.radio.coordinator import Incoming, Outgoing
from labctl.smart_energy.airtime import (
    MAC_ACK_PSDU_OCTETS,
    MAC_DATA_REQUEST_PSDU_OCTETS,
    AirtimeWindow,
    DutyCycleState,
    Limits,
    Spent,
    frame_airtime_us,
    psdu_octets_of,
    unicast_airtime_us,
)
from labctl.smart_energy.eui64 import Eui64

_US = 1_000_000
_APS_TRIES = 3
"""How often a message is sent that nobody acknowledges (R22 apscMaxFrameRetries)."""
_NEXT = {
    DutyCycleState.NORMAL: DutyCycleState.LIMITED,
    DutyCycleState.LIMITED: DutyCycleState.CRITICAL,
    DutyCycleState.CRITICAL: DutyCycleState.SUSPENDED,
}


@lru_cache(maxsize=2048)
def _unicast(page: int, octets: int, aps_encrypted: bool, aps_ack: bool) -> Spent:
    return unicast_airtime_us(page, octets, aps_encrypted=aps_encrypted, aps_ack=aps_ack)


class AirtimeBook:
    """The sliding hour of the hub and of each device on one bearer.

    `hub` is what the hub was on the air; `devices` what each device was; `caused` what the hub was
    because of each device: its acknowledgements to it, and what it sends it.
    """

    def __init__(self, page: int, limits: Limits) -> None:
        self.page = page
        self.limits = limits
        self.hub = AirtimeWindow()
        self.devices: dict[Eui64, AirtimeWindow] = {}
        self.caused: dict[Eui64, AirtimeWindow] = {}

    def received(self, eui64: Eui64, packet: Incoming, now_us: int) -> None:
        """A frame of a device arrived."""
        at_s = now_us / _US
        if packet.broadcast:
            octets = psdu_octets_of(min(len(packet.data), 82), aps_encrypted=False)
            us = frame_airtime_us(self.page, octets)
            ack_us = frame_airtime_us(self.page, MAC_ACK_PSDU_OCTETS)
            # A child gives its broadcast to its parent, who acknowledges it, and says it to all.
            _of(self.devices, eui64).add(us, at_s)
            _of(self.caused, eui64).add(us + ack_us, at_s)
            self.hub.add(us + ack_us, at_s)
            return
        spent = _unicast(self.page, len(packet.data), packet.aps_encrypted, True)
        _of(self.devices, eui64).add(spent.sender_us, at_s)
        _of(self.caused, eui64).add(spent.receiver_us, at_s)
        self.hub.add(spent.receiver_us, at_s)

    def sent(self, eui64: Eui64, packet: Outgoing, now_us: int, *, delivered: bool) -> None:
        """A frame went out to a device, or was tried to."""
        at_s = now_us / _US
        spent = _unicast(self.page, len(packet.data), packet.aps_encrypt, packet.aps_ack)
        sender_us = spent.sender_us if delivered else spent.sender_us * _APS_TRIES
        self.hub.add(sender_us, at_s)
        _of(self.caused, eui64).add(sender_us, at_s)
        if delivered:
            _of(self.devices, eui64).add(spent.receiver_us, at_s)

    def answered(self, eui64: Eui64, octets: int, now_us: int) -> None:
        """The radio sent a device an answer of so many octets of its own accord."""
        at_s = now_us / _US
        spent = _unicast(self.page, octets, False, True)
        self.hub.add(spent.sender_us, at_s)
        _of(self.caused, eui64).add(spent.sender_us, at_s)
        _of(self.devices, eui64).add(spent.receiver_us, at_s)

    def polled(self, eui64: Eui64, times: float, now_us: int) -> None:
        """A device polled its parent so many times (R22 3.6.10)."""
        at_s = now_us / _US
        poll_us = frame_airtime_us(self.page, MAC_DATA_REQUEST_PSDU_OCTETS)
        ack_us = round(times * frame_airtime_us(self.page, MAC_ACK_PSDU_OCTETS))
        _of(self.devices, eui64).add(round(times * poll_us), at_s)
        _of(self.caused, eui64).add(ack_us, at_s)
        self.hub.add(ack_us, at_s)

    def used_us(self, now_us: int) -> int:
        """The hub's airtime of the hour."""
        return self.hub.used_us(now_us / _US)

    def state(self, now_us: int) -> DutyCycleState:
        """The hub's state by what was counted here."""
        return self.limits.state(self.used_us(now_us))

    def costliest(self, eui64s: list[Eui64], now_us: int) -> tuple[Eui64, int] | None:
        """Of these devices the one that costs the hub most airtime, and how much, µs."""
        at_s = now_us / _US
        costs = [(self.caused[e].used_us(at_s), e) for e in eui64s if e in self.caused]
        cost, eui64 = max(costs, key=lambda pair: (pair[0], str(pair[1])), default=(0, None))
        return None if eui64 is None or not cost else (eui64, cost)

    def forget(self, eui64: Eui64) -> None:
        """A device is out. What it cost the hub stays counted."""
        self.devices.pop(eui64, None)
        self.caused.pop(eui64, None)

    def report(self, reporter: Reporter, radio: str) -> None:
        """Emit what the hub and each device used, with the forecast of each."""
        now_us = reporter.now_us()
        reporter.emit(self._sample(radio, None, self.hub, now_us))
        for eui64, window in self.devices.items():
            reporter.emit(self._sample(radio, eui64, window, now_us))

    def _sample(
        self, radio: str, eui64: Eui64 | None, window: AirtimeWindow, now_us: int
    ) -> AirtimeSample:
        at_s = now_us / _US
        used_us = window.used_us(at_s)
        state = self.limits.state(used_us)
        following = _NEXT.get(state)
        seconds = None
        if following is not None:
            seconds = window.forecast(self.limits.of(following), at_s)
        return AirtimeSample(
            at_us=now_us,
            radio=radio,
            eui64=eui64,
            airtime_us=used_us,
            limited_us=self.limits.limited_us,
            critical_us=self.limits.critical_us,
            regulated_us=self.limits.regulated_us,
            state=shown(state),
            source=AirtimeSource.COMPUTED,
            next_state=None if following is None or seconds is None else shown(following),
            next_state_in_s=None if seconds is None else round(seconds),
        )


def shown(state: DutyCycleState) -> AirtimeState:
    """The state as events name it."""
    return AirtimeState[state.name]


def _of(windows: dict[Eui64, AirtimeWindow], eui64: Eui64) -> AirtimeWindow:
    window = windows.get(eui64)
    if window is None:
        window = windows[eui64] = AirtimeWindow()
    return window
