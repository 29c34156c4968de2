"""What a device does where the sources disagree: noted once, and again when it changes its ways."""

from __future__ import annotations

from labctl.events import Severity
from labctl.hub.reporter import Reporter
from labctl.smart_energy.eui64 import Eui64

TIME: int = 0x000A
_STANDARD_TIME, _LOCAL_TIME = 0x0006, 0x0007


class Practices:
    """Emits a note of the kind `practice` for each way of doing a thing that is seen first."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._seen: dict[tuple[str, str], str] = {}

    def seen(self, eui64: Eui64, what: str, how: str) -> None:
        """A device does `what` in the way `how`; both are short stable words."""
        key = (eui64, what)
        if self._seen.get(key) == how:
            return
        before = self._seen.get(key)
        self._seen[key] = how
        self._reporter.note("practice", Severity.INFO, eui64, what=what, how=how, before=before)

    def read(
        self, eui64: Eui64, cluster_id: int, attributes: tuple[int, ...], *, secured: bool
    ) -> None:
        """A device read a cluster on which sources disagree about APS security."""
        name = "time" if cluster_id == TIME else "keep-alive"
        self.seen(eui64, f"{name}-security", "aps" if secured else "network")
        if cluster_id == TIME and (_LOCAL_TIME in attributes or _STANDARD_TIME in attributes):
            local = _LOCAL_TIME in attributes
            self.seen(eui64, "time-base", "local" if local else "standard")

    def forget(self, eui64: Eui64) -> None:
        """A device was unpaired: whoever comes under its address is looked at anew."""
        for key in [key for key in self._seen if key[0] == eui64]:
            del self._seen[key]
