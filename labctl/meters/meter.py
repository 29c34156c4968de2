"""What electricity and gas meters have in common, as the hub sees them."""

from __future__ import annotations

import abc
import enum
from dataclasses import dataclass

from labctl.meters.tariff import Tariff

MICROSECONDS = 1_000_000


class Fuel(enum.StrEnum):
    """What a meter measures."""

    ELECTRICITY = "electricity"
    GAS = "gas"


@dataclass(frozen=True, slots=True)
class Reading:
    """A meter at one instant.

    `summation` is in Wh or litres (thousandths of the register's kWh or m3) and never falls.
    `demand_w` is the summation's slope in W, None where the meter does not tell (gas).
    `taken_s` is when the meter itself was last looked at (UTC seconds): the instant asked for,
    or, behind the gas proxy, the last wake-up.
    """

    taken_s: int
    summation: int
    demand_w: int | None


class Meter(abc.ABC):
    """A meter that the hub shows to devices.

    `name` is what the rig file calls it; `mpxn` is the site id (MPAN or MPRN). Without a `tariff`
    no price is published.
    """

    fuel: Fuel

    def __init__(self, *, name: str, mpxn: str, serial_number: str, tariff: Tariff | None) -> None:
        """Raise `ValueError` for ids too long for the air (32 and 24 octets)."""
        if len(mpxn.encode()) > 32:
            raise ValueError(f"MPxN {mpxn!r} is longer than 32 octets")
        if len(serial_number.encode()) > 24:
            raise ValueError(f"serial number {serial_number!r} is longer than 24 octets")
        self.name = name
        self.mpxn = mpxn
        self.serial_number = serial_number
        self.tariff = tariff

    @abc.abstractmethod
    def at(self, utc_us: int) -> Reading:
        """The reading that a device gets at `utc_us` (UTC microseconds)."""

    @abc.abstractmethod
    def consumed(self, start_s: int, end_s: int) -> int:
        """Wh or litres between two instants (UTC seconds): a difference of summations."""
