"""What the hub leaves unanswered on purpose, so that a device shows what it does then.

A device has to notice that its hub is not there any more by what it gets no answer to. Nothing here
is ever on by itself: `Hub.withhold` asks for it, from inside the process, for one device and one
cluster. The NCP acknowledges the frame as ever; the hub notes it (`left-unanswered`) and says no
word. Everything else of the device is served.
"""

from __future__ import annotations

from labctl.hub.device_log import Device
from labctl.hub.reporter import Reporter
from labctl.radio.coordinator import Incoming
from labctl.smart_energy.eui64 import Eui64

LEFT_UNANSWERED = "left-unanswered"
"""The note of a request that got no answer on purpose; its detail has `cluster_id`."""


class Withholding:
    """The devices and clusters that are left without answers."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._silent: dict[Eui64, set[int]] = {}

    def begin(self, eui64: Eui64, cluster_id: int) -> None:
        """Answer nothing of this device on this cluster from now on."""
        self._silent.setdefault(eui64, set()).add(cluster_id)

    def end(self, eui64: Eui64, cluster_id: int) -> None:
        """Answer again. Nothing happens when it is answered."""
        clusters = self._silent.get(eui64, set())
        clusters.discard(cluster_id)
        if not clusters:
            self._silent.pop(eui64, None)

    def takes(self, device: Device, packet: Incoming) -> bool:
        """Whether a frame is to get no answer; then it is noted, and that is all."""
        if packet.cluster_id not in self._silent.get(device.eui64, ()) or not packet.profile_id:
            return False
        self._reporter.note(LEFT_UNANSWERED, eui64=device.eui64, cluster_id=packet.cluster_id)
        return True
