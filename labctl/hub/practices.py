"""What a device does where the sources disagree: noted once, and again when it changes its ways."""

from __future__ import annotations

from labctl.events import Severity
from labctl.hub.reporter import Reporter
from labctl.smart_energy.cbke_messages import CommandId, MessageError, Terminate, TerminateStatus
from labctl.smart_energy.eui64 import Eui64

TIME: int = 0x000A
_STANDARD_TIME, _LOCAL_TIME = 0x0006, 0x0007
_BITMAP_OCTETS = 2
_SUITES = {0x0001: "1", 0x0002: "2", 0x0003: "1 and 2"}


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

    def suites(self, eui64: Eui64, command_id: int, payload: bytes, *, from_server: bool) -> None:
        """A device spoke of key establishment suites: it asked for one, or says which it has."""
        if command_id == CommandId.INITIATE and len(payload) >= _BITMAP_OCTETS:
            bitmap = int.from_bytes(payload[:_BITMAP_OCTETS], "little")
            self.seen(eui64, "suite-answered" if from_server else "suite-asked", _named(bitmap))
        elif command_id == CommandId.TERMINATE:
            try:
                terminate = Terminate.decode(payload)
            except MessageError:
                return  # the exchange says what is wrong with it
            if terminate.status is TerminateStatus.UNSUPPORTED_SUITE:
                self.seen(eui64, "suites-supported", _named(terminate.suites))

    def forget(self, eui64: Eui64) -> None:
        """A device was unpaired: whoever comes under its address is looked at anew."""
        for key in [key for key in self._seen if key[0] == eui64]:
            del self._seen[key]


def _named(bitmap: int) -> str:
    return _SUITES.get(bitmap, f"bitmap 0x{bitmap:04X}")
