"""Small things: echo, random numbers, timers, and libraries that are not built in."""

from __future__ import annotations

from labctl.virtual.ncp.ash import ResetCode
from labctl.virtual.ncp.handlers.base import Answer, Part
from labctl.virtual.ncp.status import Ember

TIMERS = 2
_UNITS_S = {1: 0.001, 2: 0.25, 3: 60.0}


class Utilities(Part):
    """Frames without a state worth the name."""

    def reset(self) -> None:
        """No timers."""
        self._timers: dict[int, tuple[int, int, int, int]] = {}
        self._timer_use = 0

    def nop(self) -> Answer:
        """Nothing, answered."""
        return {}

    def callback(self) -> None:
        """A synchronous host fetches a callback: that is the response."""
        self.ezsp.fetch_callback()

    def echo(self, data: bytes) -> Answer:
        """The same octets."""
        return {"echo": data}

    def delay_test(self, delay: int) -> Answer:
        """A test of the host's patience that this NCP does not hold up."""
        return {}

    def debug_write(self, binary: int, message: bytes) -> Answer:
        """Debug output goes nowhere."""
        return {"status": Ember.SUCCESS}

    def custom_frame(self, payload: bytes) -> Answer:
        """Firmware without extensions of its own."""
        return {"status": Ember.INVALID_CALL, "reply": b""}

    def get_xncp_info(self) -> Answer:
        """No extensions, no version of them."""
        return {"status": Ember.INVALID_CALL, "manufacturer": 0, "version": 0}

    def get_random_number(self) -> Answer:
        """16 bits."""
        return {"status": Ember.SUCCESS, "value": self.ezsp.rng.getrandbits(16)}

    def get_true_random_entropy_source(self) -> Answer:
        """The radio."""
        return {"source": 1}

    def get_library_status(self, library: int) -> Answer:
        """Everything but link keys and install codes (AES) is a stub, as on consumer sticks.

        Unless the firmware was built with key establishment.
        """
        if self.ezsp.key_establishment.has_library(library):
            return {"library_status": 0x80}
        return {"library_status": {0x00: 0x80, 0x04: 0x80, 0x0B: 0x80}.get(library, 0x00)}

    def reset_node(self) -> None:
        """Restart at once, without an answer."""
        self.ezsp.reset_requested(ResetCode.SOFTWARE)

    def set_timer(self, timer: int, time: int, units: int, repeat: int) -> Answer:
        """Start or, with units 0, stop one of two timers."""
        if timer >= TIMERS or (units not in _UNITS_S and units != 0):
            return {"status": Ember.BAD_ARGUMENT}
        self._timers.pop(timer, None)
        if units:
            self._timer_use += 1
            self._timers[timer] = (time, units, repeat, self._timer_use)
            self._arm(timer)
        return {"status": Ember.SUCCESS}

    def _arm(self, timer: int) -> None:
        time, units, _, use = self._timers[timer]
        self.ezsp.later(max(time * _UNITS_S[units], 0.001), self._expired, timer, use)

    def _expired(self, timer: int, use: int) -> None:
        entry = self._timers.get(timer)
        if entry is None or entry[3] != use:
            return
        if entry[2]:
            self._arm(timer)
        else:
            del self._timers[timer]
        self.ezsp.callback("timer_handler", timer=timer)

    def get_timer(self, timer: int) -> Answer:
        """How a timer was set."""
        time, units, repeat, _ = self._timers.get(timer, (0, 0, 0, 0))
        return {"time": time, "units": units, "repeat": repeat}

    # -- Green Power, an empty sink table -------------------------------------------------------

    def gp_sink_table_get_entry(self, index: int) -> Answer:
        """There is none."""
        return {"status": Ember.ERR_FATAL, "entry": bytes(62)}

    def gp_sink_table_clear_all(self) -> Answer:
        """Empty already."""
        return {}

    def gp_clear_proxy_table(self) -> Answer:
        """Empty already."""
        return {}

    def gp_proxy_table_remove_entry(self, index: int) -> Answer:
        """Empty already."""
        return {}

    def gp_sink_table_get_number_of_active_entries(self) -> Answer:
        """None."""
        return {"count": 0}
