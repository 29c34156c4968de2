"""Solar generation by the height of the sun and passing clouds, and what of it passes the meter.

The sun is that of 52.5 degrees north and the Greenwich meridian: days of 7.7 to 16.8 hours.
"""

from __future__ import annotations

import math

from labctl.meters.civil import HALF_HOUR_S
from labctl.meters.profile import SLOTS, Chance, HalfHourProfile

_LATITUDE = math.radians(52.5)
_TILT = math.radians(23.44)
_PARTS = 1 << 16
_MINUTES = HALF_HOUR_S // 60


class SolarProfile(HalfHourProfile):
    """The output of solar panels: nothing at night, `peak` (W) at a clear midsummer noon.

    `noise_percent` (0 to 100) is how dark the darkest cloud is: clouds cover some days more than
    others, and some half-hours of a day more than others.
    """

    def __init__(self, *, peak: int, origin_s: int, seed: int, noise_percent: int = 70) -> None:
        """Raise `ValueError` for a negative peak and a percentage outside 0 to 100."""
        if peak < 0:
            raise ValueError("a solar profile's peak is 0 or more")
        if not 0 <= noise_percent <= 100:
            raise ValueError("the percentage of a solar profile is 0 to 100")
        self._peak = peak
        self._noise = noise_percent
        self._clouds = Chance(seed, b"clouds")
        super().__init__(origin_s)

    def half_hours_of(self, day: int) -> list[int]:
        """The sun's height in the middle of each half-hour, dimmed by the clouds."""
        season = 2 * math.pi * ((day + 10) % 365.2425) / 365.2425  # 0 at the winter solstice
        declination = -_TILT * math.cos(season)
        offset = math.sin(_LATITUDE) * math.sin(declination)
        swing = math.cos(_LATITUDE) * math.cos(declination)
        clear = math.cos(_LATITUDE - _TILT)  # the height of the midsummer noon sun
        first, second = self._clouds.draw(2 * day), self._clouds.draw(2 * day + 1)
        overcast, passing = first[31], first[:31] + second[: SLOTS - 31]
        amounts = []
        for of_day in range(SLOTS):
            hour_angle = 2 * math.pi * (of_day + 0.5 - SLOTS / 2) / SLOTS
            height = max(0.0, offset + swing * math.cos(hour_angle)) / clear
            cloud = (overcast + passing[of_day]) // 2
            dimmed = _PARTS * 100 - cloud * self._noise
            rate = self._peak * round(height * _PARTS) * dimmed // (_PARTS * _PARTS * 100)
            amounts.append(rate * HALF_HOUR_S)
        return amounts

    def weights(self, slot: int) -> list[int]:
        """The sun is steady for half an hour."""
        return [1] * _MINUTES


class NetProfile(HalfHourProfile):
    """What passes the meter of a home that generates: its load less its generation, or the reverse.

    Each half-hour is netted as a whole, so in any half-hour either import or export flows, and
    import - export == load - generation to the last Ws.
    """

    def __init__(self, gains: HalfHourProfile, losses: HalfHourProfile, *, origin_s: int) -> None:
        """What `gains` has over `losses`: load over generation for import, the reverse for export.

        Both count from `origin_s`.
        """
        self._gains = gains
        self._losses = losses
        super().__init__(origin_s)

    def half_hours_of(self, day: int) -> list[int]:
        """The surplus of each half-hour, 0 where there is none."""
        gains, losses = self._gains.half_hours_of(day), self._losses.half_hours_of(day)
        return [max(0, gain - loss) for gain, loss in zip(gains, losses, strict=True)]

    def weights(self, slot: int) -> list[int]:
        """Laid out as what it is a surplus of."""
        return self._gains.weights(slot)
