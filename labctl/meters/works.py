"""The inside of a meter: what its registers stand at, and everything that is kept of them."""

from __future__ import annotations

from fractions import Fraction

from labctl.meters.civil import HALF_HOUR_S, date_at, midnight, month_start
from labctl.meters.ledger import Ledger
from labctl.meters.moment import Fuel
from labctl.meters.plan import Plan
from labctl.meters.profile import Profile
from labctl.meters.settings import MeterSettings
from labctl.meters.timeline import Timeline

_MONTHS_BEFORE = 25  # 24 months of days, and the month that the origin is in


class Works:
    """Registers of one meter, in Wh or litres, from two years before its profile's origin on.

    `parts_per_unit` is how much of the profile's rate x s makes one unit of the register.
    `start` is what the register stands at at the origin; None is as if the meter had been
    installed when its history begins. A start too small for the history makes a young meter: its
    register was 0 when it was installed, and there is no history before.
    """

    def __init__(
        self,
        settings: MeterSettings,
        *,
        fuel: Fuel,
        parts_per_unit: int,
        start: int | None,
        export: Profile | None = None,
        start_received: int | None = None,
        wh_per_unit: Fraction = Fraction(1),
    ) -> None:
        """Raise `ValueError` for a negative start."""
        if min(start or 0, start_received or 0) < 0:
            raise ValueError("a meter does not start below 0")
        profile = settings.profile
        self.wh_per_unit = wh_per_unit
        self.history_s = _history_start(profile.origin_s)
        self.plan = Plan(settings.name, settings.tariff, settings.journal)
        self.timeline = Timeline(
            settings.name,
            fuel,
            settings.journal,
            profile=profile,
            export=export,
            declared=settings.prepayment,
        )
        self._parts = parts_per_unit
        self._start = _start(profile, start, parts_per_unit, self.history_s)
        self._start_received = (
            0 if export is None else _start(export, start_received, parts_per_unit, self.history_s)
        )
        self._earliest_s = profile.known_from_s
        self.ledger = Ledger(
            self.delivered,
            self.plan,
            epoch_s=self.history_s,
            settled=lambda: self.timeline.certain_s,
            wh_per_unit=wh_per_unit,
        )
        self.timeline.cost = self.ledger.cost
        self.timeline.standing = self.plan.standing_charge
        self.timeline.on_change = self.ledger.forget

    def delivered(self, utc_s: int) -> int:
        """The register of what was delivered, at a UTC second."""
        return max(0, self._start + self.timeline.delivered_by(utc_s)) // self._parts

    def delivered_us(self, utc_us: int) -> tuple[int, int]:
        """The same at a microsecond, and the rate in the profile's unit."""
        flow = self.timeline.delivered(utc_us)
        return max(0, self._start + flow.amount) // self._parts, flow.rate

    def received(self, utc_s: int) -> int:
        """The register of what was received (exported), at a UTC second."""
        return self.received_us(utc_s * 1_000_000)[0]

    def received_us(self, utc_us: int) -> tuple[int, int]:
        """The same at a microsecond, and the rate."""
        flow = self.timeline.received(utc_us)
        return max(0, self._start_received + flow.amount) // self._parts, flow.rate

    def energy(self, utc_s: int) -> int:
        """The register of what was delivered, as Wh."""
        return self.energy_of(self.delivered(utc_s))

    def energy_of(self, amount: int) -> int:
        """Wh of an amount of the register."""
        return amount * self.wh_per_unit.numerator // self.wh_per_unit.denominator

    def earliest_s(self) -> int:
        """When counting began, to the half-hour: the start of the history or, if that is later,
        the half-hour in which the register left 0.
        """
        if self._earliest_s is None:
            self._earliest_s = self._find_earliest()
        return self._earliest_s

    def _find_earliest(self) -> int:
        low, high = self.history_s // HALF_HOUR_S, self.timeline.origin_s // HALF_HOUR_S
        if self._start + self.timeline.delivered_by(low * HALF_HOUR_S) >= 0:
            return self.history_s
        while high - low > 1:
            middle = (low + high) // 2
            before = self._start + self.timeline.delivered_by(middle * HALF_HOUR_S) < 0
            low, high = (middle, high) if before else (low, middle)
        return low * HALF_HOUR_S


def _history_start(origin_s: int) -> int:
    today = date_at(origin_s)
    return midnight(month_start(today.year * 12 + today.month - 1 - _MONTHS_BEFORE))


def _start(profile: Profile, start: int | None, parts: int, history_s: int) -> int:
    """What the register stands at at the origin, in parts."""
    if start is not None:
        return start * parts
    return -profile.amount_at(history_s) // parts * parts + parts
