"""The hub's alerts of its sub-GHz band: in the record, and in its own network event log.

A hub sends them to the WAN. Nobody on the HAN is told: when airtime is short that would be a waste.
"""

from __future__ import annotations

from collections.abc import Callable

from labctl.events import Severity
from labctl.hub.reporter import Reporter
from labctl.smart_energy.alerts import SubGhzAlert
from labctl.smart_energy.eui64 import Eui64

_GOOD_NEWS = frozenset(
    {
        SubGhzAlert.DUTY_CYCLE_BELOW_NORMAL_LIMITED,
        SubGhzAlert.DUTY_CYCLE_BELOW_LIMITED_CRITICAL,
        SubGhzAlert.DUTY_CYCLE_BELOW_CRITICAL_REGULATED,
        SubGhzAlert.CHANNEL_CHANGED,
        SubGhzAlert.CHANNEL_SCAN_INITIATED,
        SubGhzAlert.CHANNEL_SCAN_REQUEST_ASSESSMENT,
        SubGhzAlert.CONFIGURATION_CHANGED,
    }
)


class Alerts:
    """`log` writes an event id into the hub's network event log."""

    def __init__(self, reporter: Reporter, log: Callable[[int], None]) -> None:
        self._reporter = reporter
        self._log = log

    def raise_(self, alert: SubGhzAlert, *, eui64: Eui64 | None = None, **detail: object) -> None:
        """Note an alert, as `alert` with its code and name."""
        self._log(int(alert))
        self._reporter.note(
            "alert",
            Severity.INFO if alert in _GOOD_NEWS else Severity.WARNING,
            eui64,
            code=int(alert),
            name=alert.name.lower().replace("_", "-"),
            **detail,
        )
