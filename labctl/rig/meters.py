"""From the meters of a rig file to the meters that the hub shows."""

from __future__ import annotations

import os
from datetime import time
from pathlib import Path

from labctl.config.meters_file import Csv, Profile, Role
from labctl.config.meters_file import ElectricityMeter as ElectricityEntry
from labctl.config.meters_file import GasMeter as GasEntry
from labctl.config.meters_file import Prepayment as PrepaymentEntry
from labctl.config.resolved import LoadedRig
from labctl.config.tariff_file import Blocks as BlocksEntry
from labctl.config.tariff_file import Switching as SwitchingEntry
from labctl.config.tariff_file import Tariff as TariffEntry
from labctl.errors import ConfigurationError
from labctl.meters import (
    BlockPeriod,
    Blocks,
    CsvError,
    CsvProfile,
    Debt,
    ElectricityMeter,
    GasMeter,
    GasProxy,
    Journal,
    LoadProfile,
    Meter,
    MeterRole,
    MeterSettings,
    NetProfile,
    Outside,
    Prepayment,
    ProfileShape,
    Season,
    SolarProfile,
    SpecialDay,
    Switch,
    SwitchingTable,
    Tariff,
    Tier,
    TimeBase,
    pence,
)
from labctl.meters import Profile as Load
from labctl.meters.profile import HalfHourProfile

_NOISE_PERCENT = {Profile.DOMESTIC: 30, Profile.HEATING: 30, Profile.FLAT: 0, Profile.SOLAR: 70}
_SEASON_PERCENT = {Profile.HEATING: 80}
_ML_PER_M3 = 1_000_000
_PANELS_SEED = 1000  # so that the sun does not follow the kettle


def meters(
    loaded: LoadedRig, *, origin_s: int, journal: Journal | None = None, seed: int | None = None
) -> tuple[Meter, ...]:
    """The meters that the hub shows, electricity first; gas through its proxy.

    `origin_s` (UTC seconds) is when the registers stood at the rig file's start values, the same
    for every run of the rig. `journal` is what was done to the meters since then. `seed` replaces
    the rig file's. Raises `ConfigurationError` for a load profile that cannot be read.
    """
    if seed is None:
        seed = loaded.rig.virtual.seed if loaded.is_virtual and loaded.rig.virtual else 0
    journal = Journal() if journal is None else journal
    entries = sorted(loaded.rig.meters.items(), key=lambda entry: entry[1].kind)
    seeds = {name: seed + number for number, (name, _) in enumerate(entries)}
    made = _Making(loaded, origin_s, journal, seeds)
    return tuple(
        made.electricity(name, entry)
        if isinstance(entry, ElectricityEntry)
        else GasProxy(made.gas(name, entry), wake_offset_s=int(entry.wake_offset.total_seconds()))
        for name, entry in entries
    )


class _Making:
    """What all meters of a rig are made with."""

    def __init__(
        self, loaded: LoadedRig, origin_s: int, journal: Journal, seeds: dict[str, int]
    ) -> None:
        self._loaded = loaded
        self._origin_s = origin_s
        self._journal = journal
        self._seeds = seeds

    def electricity(self, name: str, entry: ElectricityEntry) -> Meter:
        """One electricity meter, with its place in the home."""
        return ElectricityMeter(
            self._settings(name, entry, self._through(name, entry)),
            start_wh=None if entry.start_kwh is None else round(entry.start_kwh * 1000),
            role=MeterRole(entry.role.value),
            export=self._surplus(name, entry) if entry.generation else None,
            start_received_wh=(
                None if entry.start_received_kwh is None else round(entry.start_received_kwh * 1000)
            ),
        )

    def gas(self, name: str, entry: GasEntry) -> GasMeter:
        """The gas meter itself."""
        load = (
            self._csv(name, entry.csv, gas=True)
            if entry.csv
            else self._modelled(
                name,
                entry,
                round(entry.base_m3_per_h * _ML_PER_M3),
                round(entry.peak_m3_per_h * _ML_PER_M3),
            )
        )
        return GasMeter(
            self._settings(name, entry, load),
            start_litres=None if entry.start_m3 is None else round(entry.start_m3 * 1000),
            calorific_value=round(entry.calorific_value_mj_per_m3 * 100),
            conversion_factor=round(entry.conversion_factor * 100_000),
        )

    def _settings(self, name: str, entry: ElectricityEntry | GasEntry, load: Load) -> MeterSettings:
        return MeterSettings(
            name=name,
            mpxn=entry.mpxn,
            serial_number=entry.serial_number,
            tariff=_tariff(entry.tariff, self._origin_s),
            profile=load,
            journal=self._journal,
            prepayment=prepayment(entry.prepayment),
            billing_day=entry.billing_day,
            days=TimeBase[entry.days.name],
        )

    def _through(self, name: str, entry: ElectricityEntry) -> Load:
        """What goes through an electricity meter in its main direction."""
        home = self._loaded.rig.meters.get(entry.home) if entry.home else None
        if entry.home is not None:
            if not isinstance(home, ElectricityEntry) or home.generation is None:
                raise ConfigurationError(
                    f"{entry.home!r} is not an import meter with 'generation'",
                    where=f"{self._loaded.path}, meters.{name}.home",
                    mend="name an import meter that has solar panels behind it",
                )
            if entry.role is Role.EXPORT:
                return self._surplus(entry.home, home)
            return self._panels(entry.home, home)
        if entry.csv is not None:
            return self._csv(name, entry.csv, gas=False)
        load = self._load(name, entry)
        if entry.generation is None:
            return load
        return NetProfile(load, self._panels(name, entry), origin_s=self._origin_s)

    def _surplus(self, name: str, entry: ElectricityEntry) -> Load:
        panels, load = self._panels(name, entry), self._load(name, entry)
        return NetProfile(panels, load, origin_s=self._origin_s)

    def _panels(self, name: str, entry: ElectricityEntry) -> HalfHourProfile:
        assert entry.generation is not None
        return SolarProfile(
            peak=round(entry.generation.peak_w),
            origin_s=self._origin_s,
            seed=self._seeds[name] + _PANELS_SEED,
            noise_percent=entry.generation.cloud_percent,
        )

    def _load(self, name: str, entry: ElectricityEntry) -> HalfHourProfile:
        return self._modelled(name, entry, round(entry.base_w), round(entry.peak_w))

    def _modelled(
        self, name: str, entry: ElectricityEntry | GasEntry, base: int, peak: int
    ) -> HalfHourProfile:
        noise = entry.noise_percent
        noise = _NOISE_PERCENT[entry.profile] if noise is None else noise
        if entry.profile is Profile.SOLAR:
            return SolarProfile(
                peak=peak, origin_s=self._origin_s, seed=self._seeds[name], noise_percent=noise
            )
        return LoadProfile(
            ProfileShape(entry.profile.value),
            base=base,
            peak=peak,
            origin_s=self._origin_s,
            seed=self._seeds[name],
            noise_percent=noise,
            season_percent=_SEASON_PERCENT.get(entry.profile, 0),
        )

    def _csv(self, name: str, entry: Csv, *, gas: bool) -> Load:
        path = Path(os.path.normpath(self._loaded.path.parent / Path(entry.path).expanduser()))
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
            raise ConfigurationError(
                f"the load profile of {name!r} cannot be read: {why}", where=str(path)
            ) from error
        try:
            return CsvProfile(
                text, origin_s=self._origin_s, gas=gas, outside=Outside(entry.outside.value)
            )
        except CsvError as error:
            raise ConfigurationError(error.what, where=f"{path}:{error.line}") from error


def tariff(entry: TariffEntry, *, start_s: int) -> Tariff:
    """A tariff as its file has it. `start_s` (UTC seconds) holds where the file has no start."""
    start = start_s if entry.start is None else round(entry.start.timestamp())
    return Tariff(
        name=entry.name,
        unit_price=pence(entry.unit_p_per_kwh),
        standing_charge=pence(entry.standing_charge_p_per_day),
        start_s=start,
        tiers=tuple(
            Tier(tier.label, pence(tier.unit_p_per_kwh), _minute(tier.start), _minute(tier.end))
            for tier in entry.tiers
        ),
        provider_id=entry.provider_id,
        tariff_id=entry.tariff_id,
        switching=_switching(entry.switching),
        blocks=_blocks(entry.blocks),
        co2_g_per_kwh=entry.co2_g_per_kwh,
    )


def _tariff(entry: TariffEntry | None, origin_s: int) -> Tariff | None:
    return None if entry is None else tariff(entry, start_s=origin_s)


def _blocks(entry: BlocksEntry | None) -> Blocks | None:
    """Thresholds of kWh or m3 become Wh or litres alike: the register's thousandths."""
    if entry is None:
        return None
    return Blocks(
        thresholds=tuple(round(threshold * 1000) for threshold in entry.thresholds),
        prices=tuple(tuple(pence(price) for price in row) for row in entry.unit_p_per_kwh),
        period=BlockPeriod[entry.period.name],
        individual=entry.individual,
    )


def _switching(entry: SwitchingEntry | None) -> SwitchingTable | None:
    if entry is None:
        return None
    weeks = tuple(
        (week[0], week[1], week[2], week[3], week[4], week[5], week[6]) for week in entry.weeks
    )
    return SwitchingTable(
        days=tuple(
            tuple(Switch(_minute(switch.at), switch.value) for switch in day) for day in entry.days
        ),
        weeks=weeks or ((1,) * 7,),
        seasons=tuple(
            Season(season.start[1], season.start[2], season.week) for season in entry.seasons
        ),
        special_days=tuple(
            SpecialDay(special.date[1], special.date[2], special.day, special.date[0])
            for special in entry.special_days
        ),
        time_base=TimeBase[entry.time.name],
    )


def prepayment(entry: PrepaymentEntry | None) -> Prepayment | None:
    """An account as its section declares it."""
    if entry is None:
        return None
    debts = [
        Debt(_pounds(debt.owed), _pounds(debt.per_day), debt.label) for debt in entry.debts
    ] + [Debt(), Debt()]
    paid = entry.payment_debt
    cap = paid.weekly_cap if paid else None
    return Prepayment(
        credit=_pounds(entry.credit),
        emergency_limit=_pounds(entry.emergency_credit),
        emergency_threshold=_pounds(entry.emergency_threshold),
        accumulated_debt=_pounds(entry.accumulated_debt),
        debts=(
            debts[0],
            debts[1],
            Debt(_pounds(paid.owed), round(paid.percent * 100), paid.label) if paid else Debt(),
        ),
        low_credit=_pounds(entry.low_credit),
        cut_off=_pounds(entry.cut_off),
        max_credit=_pounds(entry.max_credit),
        max_top_up=_pounds(entry.max_top_up),
        top_up_worth=_pounds(entry.top_up_worth),
        payment_debt_cap=None if cap is None else _pounds(cap),
        suspend_debt_emergency=entry.suspend_debt_emergency,
        suspend_debt_disabled=entry.suspend_debt_disabled,
        non_disablement=_switching(entry.non_disablement),
        prepayment=entry.mode == "prepayment",
    )


def _pounds(value: float) -> int:
    """Pounds as 10^-5 pounds."""
    return round(value * 100_000)


def _minute(of_day: time | None) -> int:
    return 0 if of_day is None else of_day.hour * 60 + of_day.minute
