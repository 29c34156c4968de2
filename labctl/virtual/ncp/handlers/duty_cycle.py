"""The duty cycle of the sub-GHz radio: what it has sent in the last hour, and what that means.

The stack counts; here is what the host sees of it. Everything is told in 0.01 % of the hour, which
is 360 ms of airtime. The first entry of a list is the hub itself, the others are its children.
"""

from __future__ import annotations

import struct

from labctl.smart_energy.airtime import DutyCycleState, Limits
from labctl.virtual.ncp.handlers.base import Answer, Part
from labctl.virtual.ncp.status import Ember

HUNDREDTH_US = 360_000
MAX_DEVICES = 33
"""The hub and 32 children."""

_ARRAY_OCTETS = 134
_HUB, _NOBODY = 0x0000, 0xFFFF


class DutyCycle(Part):
    """While a PHY is in the sub-GHz band, of firmware that has the library."""

    def reset(self) -> None:
        """The limits that the stack has by itself."""
        self._limits: tuple[int, int, int] | None = None

    @property
    def _built_in(self) -> bool:
        return self.ezsp.hardware.duty_cycle and self.ezsp.hardware.has_sub_ghz

    def limits(self) -> Limits:
        """What holds now: the host's, or R22's for the page."""
        if self._limits is not None:
            return Limits.from_hundredths(*self._limits)
        running = self.ezsp.phys.sub_ghz
        return Limits() if running is None else Limits.of_page(running[1].page)

    def apply(self) -> None:
        """A PHY was started or moved, or the limits are others: tell the stack."""
        running, node = self.ezsp.phys.sub_ghz, self.ezsp.network.node
        if running is not None and node is not None:
            limits = self.limits() if self.ezsp.hardware.duty_cycle else None
            node.set_duty_cycle_limits(running[0], limits)

    def changed(self, state: DutyCycleState) -> None:
        """dutyCycleHandler: the stack crossed a limit, in either direction."""
        running = self.ezsp.phys.sub_ghz
        if running is None or not self._built_in:
            return
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

    def _consumed(self, most: int) -> list[tuple[int, int]]:
        """Node and hundredths of a per cent, the hub first, then the children that talk most."""
        running, node = self.ezsp.phys.sub_ghz, self.ezsp.network.node
        report = None if running is None or node is None else node.duty_cycle(running[0])
        if report is None or node is None:
            return []
        children = [
            (child, us // HUNDREDTH_US)
            for child, us in report.heard_us.items()
            if isinstance(child, int) and node.phy_of(child) is not None
        ]
        children.sort(key=lambda entry: (-entry[1], entry[0]))
        return [(_HUB, report.used_us // HUNDREDTH_US), *children][:most]

    # -- handlers -------------------------------------------------------------------------------

    def get_duty_cycle_state(self) -> Answer:
        """Off at 2.4 GHz."""
        if not self._built_in:
            return {"status": self.ezsp.hardware.refusal, "state": DutyCycleState.OFF}
        running, node = self.ezsp.phys.sub_ghz, self.ezsp.network.node
        report = None if running is None or node is None else node.duty_cycle(running[0])
        state = DutyCycleState.OFF if report is None else report.state
        return {"status": Ember.SUCCESS, "state": state}

    def set_duty_cycle_limits_in_stack(self, limit: int, critical: int, suspend: int) -> Answer:
        """They ascend, or are all 0 for the stack's own."""
        if not self._built_in:
            return {"status": self.ezsp.hardware.refusal}
        if self.ezsp.phys.sub_ghz is None:
            return {"status": Ember.INVALID_CALL}
        if limit == critical == suspend == 0:
            self._limits = None
        elif 0 < limit < critical < suspend:
            self._limits = (limit, critical, suspend)
        else:
            return {"status": Ember.BAD_ARGUMENT}
        self.apply()
        return {"status": Ember.SUCCESS}

    def get_duty_cycle_limits(self) -> Answer:
        """Those that hold."""
        if not self._built_in:
            refusal = self.ezsp.hardware.refusal
            return {"status": refusal, "limit": 0, "critical": 0, "suspend": 0}
        limit, critical, suspend = self._limits or self.limits().hundredths
        return {"status": Ember.SUCCESS, "limit": limit, "critical": critical, "suspend": suspend}

    def get_current_duty_cycle(self, devices: int) -> Answer:
        """So many entries of node and hundredths, 0xFFFF where there is nobody."""
        if not self._built_in:
            return {"status": self.ezsp.hardware.refusal, "consumed": bytes(_ARRAY_OCTETS)}
        if devices > MAX_DEVICES:
            return {"status": Ember.BAD_ARGUMENT, "consumed": bytes(_ARRAY_OCTETS)}
        entries = self._consumed(devices)
        entries += [(_NOBODY, 0)] * (devices - len(entries))
        packed = bytes([devices]) + b"".join(struct.pack("<HH", *entry) for entry in entries)
        return {"status": Ember.SUCCESS, "consumed": packed.ljust(_ARRAY_OCTETS, b"\x00")}
