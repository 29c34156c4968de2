"""The duty cycle of the sub-GHz radio: what it has sent in the last hour, and what that means.

Everything is told in 0.01 % of the hour, which is 360 ms of airtime. The first entry of a list is
the hub itself. The state is looked at when it can have changed, and not at every frame: airtime
grows by at most a second in a second, so that it takes as long as there is room to a limit, and it
falls only where a bucket of the window is dropped.
"""

from __future__ import annotations

import struct

from labctl.smart_energy.airtime import BUCKET_S, AirtimeWindow, DutyCycleState, Limits
from labctl.virtual.ncp.handlers.base import Answer, Part
from labctl.virtual.ncp.status import Ember

HUNDREDTH_US = 360_000
MAX_DEVICES = 33
"""The hub and 32 children."""

_ARRAY_OCTETS = 134
_NOBODY = 0xFFFF
_SOONEST_S = 0.1
"""A limit that is nearer than this is seen so much later at most."""


class DutyCycle(Part):
    """Counts while a PHY is in the sub-GHz band."""

    def reset(self) -> None:
        """Counts from nothing, with the limits that the stack has by itself."""
        self._limits: tuple[int, int, int] | None = None
        self._own = AirtimeWindow()
        self._children: dict[int, AirtimeWindow] = {}
        self._seen_own_us = 0
        self._seen_children_us: dict[int, int] = {}
        self._state = DutyCycleState.OFF
        self._look_use = 0

    # -- counting -------------------------------------------------------------------------------

    @property
    def _counts(self) -> bool:
        return self.ezsp.hardware.duty_cycle and self.ezsp.phys.sub_ghz is not None

    def limits(self) -> Limits:
        """What holds now: the host's, or R22's for the page."""
        if self._limits is not None:
            return Limits.from_hundredths(*self._limits)
        running = self.ezsp.phys.sub_ghz
        return Limits() if running is None else Limits.of_page(running[1].page)

    def _take(self) -> None:
        """Put into the windows what has been sent and heard since the last time."""
        running, node = self.ezsp.phys.sub_ghz, self.ezsp.network.node
        if running is None or node is None:
            return
        now = self.ezsp.now
        own_us = node.sent_airtime_us(running[0])
        self._own.add(_more(own_us, self._seen_own_us), now)
        self._seen_own_us = own_us
        for child, us in node.heard_airtime_us(running[0]).items():
            more = _more(us, self._seen_children_us.get(child, 0))
            self._seen_children_us[child] = us
            if more:
                self._children.setdefault(child, AirtimeWindow()).add(more, now)

    def _consumed(self, most: int) -> list[tuple[int, int]]:
        """Node and hundredths of a per cent, the hub first, then the children that talk most."""
        now = self.ezsp.now
        entries = [(0x0000, self._own.used_us(now) // HUNDREDTH_US)]
        children = [
            (child, window.used_us(now) // HUNDREDTH_US) for child, window in self._children.items()
        ]
        children.sort(key=lambda entry: (-entry[1], entry[0]))
        return (entries + children)[:most]

    # -- the state ------------------------------------------------------------------------------

    def look(self) -> None:
        """Find the state, tell the host when it is another, and look again in time."""
        self._look_use += 1
        if not self._counts:
            self._become(DutyCycleState.OFF)
            return
        self._take()
        used_us, limits = self._own.used_us(self.ezsp.now), self.limits()
        self._become(limits.state(used_us))
        above = [
            limit
            for limit in (limits.limited_us, limits.critical_us, limits.regulated_us)
            if limit > used_us
        ]
        room_s = (above[0] - used_us) / 1e6 if above else BUCKET_S
        bucket_s = BUCKET_S - self.ezsp.now % BUCKET_S
        self.ezsp.later(max(_SOONEST_S, min(room_s, bucket_s)), self._look_again, self._look_use)

    def _look_again(self, use: int) -> None:
        if use == self._look_use:
            self.look()

    def _become(self, state: DutyCycleState) -> None:
        before, self._state = self._state, state
        running, node = self.ezsp.phys.sub_ghz, self.ezsp.network.node
        if state is before or running is None or node is None:
            return
        node.suspend_phy(running[0], state is DutyCycleState.SUSPENDED)
        if before is DutyCycleState.OFF:
            return  # counting begins
        entries = self._consumed(MAX_DEVICES)
        # The length of the list goes out twice, the second time in two octets: so the frame is in
        # the vendor's NCP, whose own host does not read it right.
        words = [len(entries)]
        for entry in entries:
            words.extend(entry)
        self.ezsp.callback(
            "duty_cycle_handler",
            page=running[1].page,
            channel=running[1].offset,
            state=state,
            devices=len(entries),
            entries=tuple(words),
        )

    # -- handlers -------------------------------------------------------------------------------

    def get_duty_cycle_state(self) -> Answer:
        """Off at 2.4 GHz."""
        if not self.ezsp.hardware.duty_cycle or not self.ezsp.hardware.has_sub_ghz:
            return {"status": self.ezsp.hardware.refusal, "state": DutyCycleState.OFF}
        self.look()
        return {"status": Ember.SUCCESS, "state": self._state}

    def set_duty_cycle_limits_in_stack(self, limit: int, critical: int, suspend: int) -> Answer:
        """They ascend, or are all 0 for the stack's own."""
        hardware = self.ezsp.hardware
        if not hardware.duty_cycle or not hardware.has_sub_ghz:
            return {"status": hardware.refusal}
        if self.ezsp.phys.sub_ghz is None:
            return {"status": Ember.INVALID_CALL}
        if limit == critical == suspend == 0:
            self._limits = None
        elif 0 < limit < critical < suspend:
            self._limits = (limit, critical, suspend)
        else:
            return {"status": Ember.BAD_ARGUMENT}
        self.look()
        return {"status": Ember.SUCCESS}

    def get_duty_cycle_limits(self) -> Answer:
        """Those that hold."""
        hardware = self.ezsp.hardware
        if not hardware.duty_cycle or not hardware.has_sub_ghz:
            return {"status": hardware.refusal, "limit": 0, "critical": 0, "suspend": 0}
        limit, critical, suspend = self._limits or self.limits().hundredths
        return {"status": Ember.SUCCESS, "limit": limit, "critical": critical, "suspend": suspend}

    def get_current_duty_cycle(self, devices: int) -> Answer:
        """So many entries of node and hundredths, 0xFFFF where there is nobody."""
        hardware = self.ezsp.hardware
        if not hardware.duty_cycle or not hardware.has_sub_ghz:
            return {"status": hardware.refusal, "consumed": bytes(_ARRAY_OCTETS)}
        if devices > MAX_DEVICES:
            return {"status": Ember.BAD_ARGUMENT, "consumed": bytes(_ARRAY_OCTETS)}
        if self._counts:
            self._take()
        entries = self._consumed(devices)
        entries += [(_NOBODY, 0)] * (devices - len(entries))
        packed = bytes([devices]) + b"".join(struct.pack("<HH", *entry) for entry in entries)
        return {"status": Ember.SUCCESS, "consumed": packed.ljust(_ARRAY_OCTETS, b"\x00")}


def _more(now_us: int, before_us: int) -> int:
    """What a counter has grown by; one that begins anew begins at 0."""
    return now_us - before_us if now_us >= before_us else now_us
