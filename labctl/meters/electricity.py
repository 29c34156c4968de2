"""An electricity meter: Wh, and demand in W that is the summation's slope."""

from __future__ import annotations

import enum
from dataclasses import replace

from labctl.meters.meter import MICROSECONDS, Fuel, Meter, Reading
from labctl.meters.profile import LoadProfile, Profile, ProfileShape
from labctl.meters.settings import MeterSettings
from labctl.meters.works import Works

_JOULES_PER_WH = 3600


class MeterRole(enum.StrEnum):
    """What an electricity meter stands between."""

    IMPORT = "import"
    """The grid and the home; it may count export as well."""
    EXPORT = "export"
    """The home and the grid, with a supply point number of its own: counts received energy only."""
    GENERATION = "generation"
    """A generator and the home: what it delivers is what was generated."""


class ElectricityMeter(Meter):
    """Counts from `start_wh` at the profile's origin. The profile's rate is in watts.

    `export` (same origin) is what is received, from `start_received_wh` on. A meter in the role
    EXPORT counts its profile as received. A start of None is as if the meter had been installed
    when its history begins.
    """

    fuel = Fuel.ELECTRICITY

    def __init__(
        self,
        settings: MeterSettings,
        *,
        start_wh: int | None,
        role: MeterRole = MeterRole.IMPORT,
        export: Profile | None = None,
        start_received_wh: int | None = None,
    ) -> None:
        """Raise `ValueError` for a negative start."""
        if role is not MeterRole.IMPORT and (export or settings.prepayment):
            raise ValueError(f"a meter for {role.value} has no export and no account of its own")
        if role is MeterRole.EXPORT:
            export, start_received_wh, start_wh = settings.profile, start_wh, 0
            nothing = LoadProfile(
                ProfileShape.FLAT, base=0, peak=0, origin_s=export.origin_s, seed=0
            )
            settings = replace(settings, profile=nothing)
        super().__init__(
            settings,
            Works(
                settings,
                fuel=self.fuel,
                parts_per_unit=_JOULES_PER_WH,
                start=start_wh,
                export=export,
                start_received=start_received_wh,
            ),
        )
        self.role = role
        self.exports = export is not None

    def at(self, utc_us: int) -> Reading:
        """The reading at `utc_us`; below the start's time the register stands at 0 or more."""
        delivered, demand = self.works.delivered_us(utc_us)
        received = 0
        if self.exports:
            received, export = self.works.received_us(utc_us)
            demand -= export
        return Reading(utc_us // MICROSECONDS, delivered, demand, received)
