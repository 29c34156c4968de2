"""A gas meter, which sleeps, and the gas proxy, which shows what it last said.

The meter wakes every 30 minutes and updates its proxy on the hub; devices read the proxy. So a
device sees the value of the last wake-up, with the time of that wake-up.
"""

from __future__ import annotations

from fractions import Fraction

from labctl.meters.meter import MICROSECONDS, Fuel, Meter, Reading
from labctl.meters.profile import HALF_HOUR_S, LoadProfile
from labctl.meters.tariff import Tariff

_ML_SECONDS_PER_LITRE = 1000 * 3600  # the profile's rate is in ml/h


class GasMeter(Meter):
    """Counts litres from `start_litres` at the profile's origin. The profile's rate is in ml/h.

    `calorific_value` in 10^-2 MJ/m3 and `conversion_factor` in 10^-5 turn volume into energy.
    """

    fuel = Fuel.GAS

    def __init__(
        self,
        *,
        name: str,
        mpxn: str,
        serial_number: str,
        tariff: Tariff | None,
        profile: LoadProfile,
        start_litres: int,
        calorific_value: int = 39_50,
        conversion_factor: int = 1_02264,
    ) -> None:
        """Raise `ValueError` for a negative start or ids too long."""
        super().__init__(name=name, mpxn=mpxn, serial_number=serial_number, tariff=tariff)
        if start_litres < 0:
            raise ValueError("a meter does not start below 0")
        if calorific_value <= 0 or conversion_factor <= 0:
            raise ValueError("calorific value and conversion factor are above 0")
        self._profile = profile
        self._start = start_litres * _ML_SECONDS_PER_LITRE
        self.calorific_value = calorific_value
        self.conversion_factor = conversion_factor
        # litres -> m3 (1/1000), MJ -> Wh (1/0.0036)
        self._wh_per_litre = (
            Fraction(calorific_value, 100)
            * Fraction(conversion_factor, 100_000)
            * Fraction(1_000_000, 3600)
            / 1000
        )

    def at(self, utc_us: int) -> Reading:
        """The register itself at `utc_us`."""
        amount = self._start + self._profile.at(utc_us).amount
        return Reading(utc_us // MICROSECONDS, max(0, amount) // _ML_SECONDS_PER_LITRE, None)

    def consumed(self, start_s: int, end_s: int) -> int:
        """Litres between two instants."""
        return self.at(end_s * MICROSECONDS).summation - self.at(start_s * MICROSECONDS).summation

    def energy_wh(self, litres: int) -> int:
        """The energy of a volume, by calorific value and conversion factor."""
        return int(litres * self._wh_per_litre)


class GasProxy(Meter):
    """The gas meter as the hub shows it: the reading of its last wake-up.

    The meter wakes at every half-hour of UTC plus `wake_offset_s` (0 to 1799).
    """

    fuel = Fuel.GAS

    def __init__(self, meter: GasMeter, *, wake_offset_s: int = 0) -> None:
        """Raise `ValueError` for an offset outside the half-hour."""
        if not 0 <= wake_offset_s < HALF_HOUR_S:
            raise ValueError("the gas meter's wake-up offset is 0 to 1799 s")
        super().__init__(
            name=meter.name,
            mpxn=meter.mpxn,
            serial_number=meter.serial_number,
            tariff=meter.tariff,
        )
        self.meter = meter
        self._offset_s = wake_offset_s
        self._last: Reading | None = None

    def last_wake_s(self, utc_s: int) -> int:
        """When the meter last woke, at `utc_s`."""
        return utc_s - (utc_s - self._offset_s) % HALF_HOUR_S

    def at(self, utc_us: int) -> Reading:
        """What the proxy shows at `utc_us`."""
        woke_s = self.last_wake_s(utc_us // MICROSECONDS)
        last = self._last
        if last is None or last.taken_s != woke_s:
            last = self._last = self.meter.at(woke_s * MICROSECONDS)
        return last

    def consumed(self, start_s: int, end_s: int) -> int:
        """Litres between two instants, as far as the proxy knows: up to the last wake-up."""
        return self.at(end_s * MICROSECONDS).summation - self.at(start_s * MICROSECONDS).summation
