"""Outages of the mains behind the meters: recorded, and told to who is bound (S2 para. 131, 161).

A meter without mains says nothing, so both ends are written down when they are seen; the alert is
that of the restoration, as GBCS has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from labctl.events import Severity
from labctl.hub.reporter import Reporter
from labctl.meters import Meter

RESTORED: Final = 0x8F35
"""GBCS: Supply Outage Restored."""
RESTORED_AFTER_LONG: Final = 0x8F36
"""GBCS: Supply Outage Restored, outage >= 3 minutes."""
_LONG_US: Final = 180_000_000
_US = 1_000_000

Alert = Callable[[str, int], None]
"""Gets the meter's name and the event id."""


class Outages:
    """Looks at the meters and notes `supply-lost` and `supply-restored`."""

    def __init__(self, meters: Iterable[Meter], reporter: Reporter, alert: Alert) -> None:
        self._meters = tuple(meters)
        self._reporter = reporter
        self._alert = alert
        now_us = reporter.now_us()
        self._looked_us = dict.fromkeys((meter.name for meter in self._meters), now_us)
        self._lasting_us: dict[str, int] = {}
        for meter in self._meters:
            if not meter.supply_at(now_us).mains:
                self._lasting_us[meter.name] = meter.outages(0, now_us + 1)[-1].began_us

    def look(self) -> None:
        """See what began and what ended since the last look."""
        now_us = self._reporter.now_us()
        for meter in self._meters:
            # What begins at this very instant is seen now.
            since_us, self._looked_us[meter.name] = self._looked_us[meter.name], now_us + 1
            if len(meter.journal):
                self._look_at(meter, since_us, now_us + 1)

    def _look_at(self, meter: Meter, since_us: int, now_us: int) -> None:
        name = meter.name
        for outage in meter.outages(self._lasting_us.get(name, since_us), now_us):
            if name not in self._lasting_us:
                self._reporter.note(
                    "supply-lost", Severity.WARNING, meter=name, began_us=outage.began_us
                )
            if outage.ended_us is None:
                self._lasting_us[name] = outage.began_us
                return
            self._lasting_us.pop(name, None)
            length_us = outage.ended_us - outage.began_us
            self._reporter.note(
                "supply-restored", meter=name, ended_us=outage.ended_us, seconds=length_us / _US
            )
            self._alert(name, RESTORED if length_us < _LONG_US else RESTORED_AFTER_LONG)
