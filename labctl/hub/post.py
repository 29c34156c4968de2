"""Commands that the hub sends of its own accord: pushes, and requests where it is the client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labctl.errors import DeliveryError, RigError
from labctl.events import Severity
from labctl.hub.chores import Chores
from labctl.hub.device_log import Device
from labctl.hub.frames import Frame
from labctl.hub.gate import WITHHELD
from labctl.hub.reporter import Reporter
from labctl.hub.tallies import Tallies
from labctl.radio.coordinator import Coordinator, Outgoing
from labctl.smart_energy.eui64 import Eui64

TO_SERVER = 0x01
"""Frame control of a cluster command from client to server."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A cluster command to a device. `sequence` None takes the next one of the hub's own."""

    eui64: Eui64
    source_endpoint: int
    endpoint: int
    cluster_id: int
    command_id: int
    payload: bytes
    control: int
    sequence: int | None = None
    aps_encrypt: bool = True


class Post:
    """Sends, waits for the delivery, and turns what fails into a note."""

    def __init__(
        self,
        coordinator: Coordinator,
        reporter: Reporter,
        tallies: Tallies,
        find: Callable[[Eui64], Device | None],
    ) -> None:
        self._coordinator = coordinator
        self._reporter = reporter
        self._tallies = tallies
        self._find = find
        self._sequence = 0
        self.outcome: Callable[[Device, bool], None] = _nobody_counts
        """Told of each unicast whether it arrived."""

    def next_sequence(self) -> int:
        """A sequence number for a frame of the hub's own."""
        self._sequence = (self._sequence + 1) % 256
        return self._sequence

    async def send(self, letter: Letter) -> bool:
        """Send a command; whether it was delivered. A device that has no address gets nothing."""
        device = self._find(letter.eui64)
        if device is None or device.nwk is None:
            self._failed(letter, "its network address is not known", "NO_ADDRESS")
            return False
        sequence = self.next_sequence() if letter.sequence is None else letter.sequence
        frame = Frame(letter.control, sequence, letter.command_id, letter.payload)
        try:
            await self._coordinator.send(
                Outgoing(
                    nwk=device.nwk,
                    source_endpoint=letter.source_endpoint,
                    destination_endpoint=letter.endpoint,
                    cluster_id=letter.cluster_id,
                    data=frame.octets(),
                    aps_encrypt=letter.aps_encrypt,
                )
            )
        except DeliveryError as error:
            if error.status not in WITHHELD:
                self._tallies.not_delivered += 1
                self.outcome(device, False)
            self._failed(letter, error.what, error.status)
            return False
        except RigError as error:
            self._reporter.note("radio-error", Severity.ERROR, letter.eui64, cause=error.what)
            return False
        self._tallies.delivered += 1
        self.outcome(device, True)
        return True

    def _failed(self, letter: Letter, cause: str, status: str) -> None:
        self._reporter.note(
            "command-not-delivered",
            Severity.WARNING,
            letter.eui64,
            cause=cause,
            status=status,
            cluster_id=letter.cluster_id,
            command_id=letter.command_id,
            endpoint=letter.source_endpoint,
        )


@dataclass(frozen=True, slots=True)
class Means:
    """What a service may use that does more than answer."""

    post: Post
    chores: Chores
    reporter: Reporter
    tallies: Tallies


def _nobody_counts(device: Device, arrived: bool) -> None:
    """Until somebody wants to know."""
