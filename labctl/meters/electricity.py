"""An electricity meter: Wh, and demand in W that is the summation's slope."""

from __future__ import annotations

from labctl.meters.meter import MICROSECONDS, Fuel, Meter, Reading
from labctl.meters.profile import LoadProfile
from labctl.meters.tariff import Tariff

_JOULES_PER_WH = 3600


class ElectricityMeter(Meter):
    """Counts from `start_wh` at the profile's origin. The profile's rate is in watts."""

    fuel = Fuel.ELECTRICITY

    def __init__(
        self,
        *,
        name: str,
        mpxn: str,
        serial_number: str,
        tariff: Tariff | None,
        profile: LoadProfile,
        start_wh: int,
    ) -> None:
        """Raise `ValueError` for a negative start or ids too long."""
        super().__init__(name=name, mpxn=mpxn, serial_number=serial_number, tariff=tariff)
        if start_wh < 0:
            raise ValueError("a meter does not start below 0")
        self._profile = profile
        self._start_j = start_wh * _JOULES_PER_WH

    def at(self, utc_us: int) -> Reading:
        """The reading at `utc_us`; below the start's time the register stands at 0 or more."""
        flow = self._profile.at(utc_us)
        summation = max(0, self._start_j + flow.amount) // _JOULES_PER_WH
        return Reading(utc_us // MICROSECONDS, summation, flow.rate)

    def consumed(self, start_s: int, end_s: int) -> int:
        """Wh between two instants, from the same register."""
        return self.at(end_s * MICROSECONDS).summation - self.at(start_s * MICROSECONDS).summation
