"""What a meter's endpoint tells a device of its register, and another scale to tell it."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.campaign.hub_state import METERING, entry_of
from labctl.campaign.subject import Subject
from labctl.hub.pretence import Key, Told

REGISTER = 0x0000
MULTIPLIER, DIVISOR = 0x0301, 0x0302
_UINT24 = 0x22


@dataclass(frozen=True, slots=True)
class Scaling:
    """raw x multiplier / divisor is the reading in the meter's unit."""

    multiplier: int
    divisor: int

    def told_at(self, endpoint: int) -> dict[Key, Told | None]:
        """What a device is to be told of it (SE 1.4 D.3.2.2.4)."""
        return {
            (endpoint, METERING, attribute): Told(_UINT24, value.to_bytes(3, "little"))
            for attribute, value in ((MULTIPLIER, self.multiplier), (DIVISOR, self.divisor))
        }

    def __str__(self) -> str:
        return f"x {self.multiplier} / {self.divisor}"


def number_told(device: Subject, endpoint: int, attribute: int) -> int:
    """A whole number of a meter as the hub tells it to the device at this moment."""
    hub = device.session.hub
    record = hub.rehearsals.read(entry_of(hub, device.eui64), endpoint, METERING, attribute)
    if len(record) < 5 or record[2]:
        raise ValueError(f"attribute 0x{attribute:04X} is not served")
    return int.from_bytes(record[4:], "little")
