"""A gas meter, which sleeps, and the gas proxy, which shows what it last said.

The meter wakes every 30 minutes and updates its proxy on the hub; devices read the proxy. So a
device sees the value of the last wake-up, with the time of that wake-up.
"""

from __future__ import annotations

from fractions import Fraction

from labctl.meters.civil import HALF_HOUR_S
from labctl.meters.meter import MICROSECONDS, Fuel, Meter, Reading
from labctl.meters.settings import MeterSettings
from labctl.meters.works import Works

_ML_SECONDS_PER_LITRE = 1000 * 3600  # the profile's rate is in ml/h


class GasMeter(Meter):
    """Counts litres from `start_litres` at the profile's origin. The profile's rate is in ml/h.

    `calorific_value` in 10^-2 MJ/m3 and `conversion_factor` in 10^-5 turn volume into energy. A
    start of None is as if the meter had been installed when its history begins.
    """

    fuel = Fuel.GAS

    def __init__(
        self,
        settings: MeterSettings,
        *,
        start_litres: int | None,
        calorific_value: int = 39_50,
        conversion_factor: int = 1_02264,
    ) -> None:
        """Raise `ValueError` for a negative start, or a value or factor that is not above 0."""
        if calorific_value <= 0 or conversion_factor <= 0:
            raise ValueError("calorific value and conversion factor are above 0")
        self.calorific_value = calorific_value
        self.conversion_factor = conversion_factor
        super().__init__(
            settings,
            Works(
                settings,
                fuel=self.fuel,
                parts_per_unit=_ML_SECONDS_PER_LITRE,
                start=start_litres,
                # litres -> m3 (1/1000), MJ -> Wh (1/0.0036)
                wh_per_unit=Fraction(calorific_value, 100)
                * Fraction(conversion_factor, 100_000)
                * Fraction(1_000_000, 3600)
                / 1000,
            ),
        )

    def at(self, utc_us: int) -> Reading:
        """The register itself at `utc_us`."""
        return Reading(utc_us // MICROSECONDS, self.works.delivered_us(utc_us)[0], None)


class GasProxy(Meter):
    """The gas meter as the hub shows it: everything as it was at the meter's last wake-up.

    The meter wakes at every half-hour of UTC plus `wake_offset_s` (0 to 1799). What was done to the
    meter since (a top-up, a new tariff) shows after the next wake-up; its logs reach to the last.
    """

    fuel = Fuel.GAS

    def __init__(self, meter: GasMeter, *, wake_offset_s: int = 0) -> None:
        """Raise `ValueError` for an offset outside the half-hour."""
        if not 0 <= wake_offset_s < HALF_HOUR_S:
            raise ValueError("the gas meter's wake-up offset is 0 to 1799 s")
        self.meter = meter
        self._offset_s = wake_offset_s
        self._last: tuple[int, Reading] | None = None
        super().__init__(meter.settings, meter.works)

    def last_wake_s(self, utc_s: int) -> int:
        """When the meter last woke, at `utc_s`."""
        return utc_s - (utc_s - self._offset_s) % HALF_HOUR_S

    def as_of_s(self, utc_s: int) -> int:
        """The last wake-up."""
        return self.last_wake_s(utc_s)

    def at(self, utc_us: int) -> Reading:
        """What the proxy shows at `utc_us`."""
        woke_s = self.last_wake_s(utc_us // MICROSECONDS)
        known = len(self.journal)
        if self._last is None or self._last[0] != known or self._last[1].taken_s != woke_s:
            self._last = known, self.meter.at(woke_s * MICROSECONDS)
        return self._last[1]
