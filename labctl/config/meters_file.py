"""The meters of a rig file: registers, load, and the account behind them."""

from __future__ import annotations

import datetime
import enum
import re
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from labctl.config.fields import (
    Name,
    Octets,
    Real,
    Strict,
    Text,
    Whole,
    as_written,
    choice,
    wrong,
)
from labctl.config.problems import quote
from labctl.config.tariff_file import Switching, Tariff
from labctl.config.times import Duration, Within


class Profile(enum.StrEnum):
    """How consumption runs over the day."""

    DOMESTIC = "domestic"
    HEATING = "heating"
    FLAT = "flat"
    SOLAR = "solar"


class Role(enum.StrEnum):
    """What an electricity meter counts."""

    IMPORT = "import"
    EXPORT = "export"
    GENERATION = "generation"


class Outside(enum.StrEnum):
    """What holds outside of a CSV file's span."""

    REPEAT = "repeat"
    HOLD = "hold"


class Days(enum.StrEnum):
    """Whose midnights part the days of the history."""

    UTC = "utc"
    LOCAL = "local"


def _mpxn(value: Any) -> str:
    text = as_written(value)
    if isinstance(text, str) and re.fullmatch(r"[0-9]{6,13}", text):
        return text
    raise wrong(
        f"{quote(value)} is not a supply point number",
        "an MPAN has 13 digits, an MPRN 6 to 10",
    )


class Csv(Strict):
    """A load that was measured, from a CSV file."""

    path: Text
    """Path of the file, from this file's folder. Its first line is `timestamp,UNIT` with the unit
    `W`, `kW`, `Wh` or `kWh` (gas: `m3/h` or `m3`); then an instant with its zone and a value a
    line."""
    outside: Annotated[Outside, choice(Outside)] = Outside.REPEAT
    """Before and after its span: `repeat` the file, or `hold` its first and last rate."""


class Panels(Strict):
    """Solar panels behind an import meter. What the home does not use is exported."""

    peak_w: Annotated[float, Real(0, 100_000)]
    """Output at a clear midsummer noon, W."""
    cloud_percent: Annotated[int, Whole(0, 100)] = 70
    """How much the darkest cloud takes away."""


class TimeDebt(Strict):
    """A debt that is paid off by the day."""

    label: Annotated[str, Octets(12)] = "Debt"
    """Label, up to 12 octets."""
    owed: Annotated[float, Real(0, 10_000)]
    """What is owed, pounds."""
    per_day: Annotated[float, Real(0, 1000)]
    """What is taken at each midnight (UTC), pounds."""


class PaymentDebt(Strict):
    """A debt that is paid off with every top-up."""

    label: Annotated[str, Octets(12)] = "Debt"
    """Label, up to 12 octets."""
    owed: Annotated[float, Real(0, 10_000)]
    """What is owed, pounds."""
    percent: Annotated[float, Real(0, 100)]
    """Share of each top-up."""
    weekly_cap: Annotated[float, Real(0, 10_000)] | None = None
    """Most that is taken in 7 days, pounds. Default: no limit."""


class Prepayment(Strict):
    """A prepayment account. Amounts are pounds, as they stand at the rig's very first start."""

    mode: Literal["prepayment", "credit"] = "prepayment"
    """`prepayment`, or `credit` for a meter that can be switched over."""
    credit: Annotated[float, Real(-10_000, 10_000)] = 10.0
    """Balance."""
    emergency_credit: Annotated[float, Real(0, 10_000)] = 10.0
    """How much emergency credit there is; 0 for none."""
    emergency_threshold: Annotated[float, Real(0, 10_000)] = 1.0
    """From which balance down emergency credit can be selected."""
    low_credit: Annotated[float, Real(0, 10_000)] = 2.0
    """From which balance down credit is low."""
    cut_off: Annotated[float, Real(-10_000, 10_000)] = 0.0
    """The balance at which the supply is switched off."""
    max_credit: Annotated[float, Real(0, 20_000)] = 500.0
    """The balance that no top-up may exceed."""
    max_top_up: Annotated[float, Real(0, 20_000)] = 200.0
    """The largest top-up."""
    top_up_worth: Annotated[float, Real(0, 20_000)] = 10.0
    """What a top-up code is worth that a device sends: labctl checks its form, 20 digits, alone."""
    accumulated_debt: Annotated[float, Real(0, 10_000)] = 0.0
    """Debt that the next top-up pays first."""
    debts: Annotated[tuple[TimeDebt, ...], Field(strict=False, max_length=2)] = ()
    """Up to two debts that are paid off by the day."""
    payment_debt: PaymentDebt | None = None
    """A debt that is paid off with every top-up."""
    suspend_debt_emergency: bool = True
    """Whether debts wait while emergency credit is in use."""
    suspend_debt_disabled: bool = True
    """Whether debts wait while the supply is off for want of credit."""
    non_disablement: Switching | None = None
    """When the supply is never switched off for want of credit ("friendly credit"): a switching
    table with the values 1 (then) and 0."""

    @model_validator(mode="after")
    def _values_are_flags(self) -> Prepayment:
        if self.non_disablement and not self.non_disablement.values <= {0, 1}:
            raise wrong("the values of a non-disablement calendar are 0 and 1")
        return self


class _Meter(Strict):
    kind: Literal["electricity", "gas"]
    mpxn: Annotated[
        str,
        BeforeValidator(_mpxn),
        WithJsonSchema(
            {
                "anyOf": [{"type": "string", "pattern": "^[0-9]{6,13}$"}, {"type": "integer"}],
                "x-kind": "6 to 13 digits",
            }
        ),
    ]
    """Supply point: 13 digits (MPAN) for electricity, 6 to 10 (MPRN) for gas."""
    serial_number: Annotated[str, Octets(24)]
    """Serial number of the meter, up to 24 octets."""
    profile: Annotated[Profile, choice(Profile)] = Profile.DOMESTIC
    """How consumption runs over the day: `domestic`, `heating` (a boiler), `flat`, or `solar`
    (what panels generate; electricity only)."""
    noise_percent: Annotated[int, Whole(0, 100)] | None = None
    """How far chance moves a half-hour. Default: 30, `flat` 0, `solar` (clouds) 70."""
    csv: Csv | None = None
    """A load that was measured, instead of a profile."""
    tariff: Tariff | None = None
    """Tariff. Default: none is published."""
    billing_day: Annotated[int, Whole(1, 28)] = 1
    """The day of the month on which billing periods start (UTC)."""
    days: Annotated[Days, choice(Days)] = Days.UTC
    """Midnights that part the days of the history: `utc` as GB meters have it, or `local`."""
    prepayment: Prepayment | None = None
    """A prepayment account. Default: a meter in credit mode without one."""


class ElectricityMeter(_Meter):
    """An electricity meter."""

    kind: Literal["electricity"]
    """`electricity`."""
    role: Annotated[Role, choice(Role)] = Role.IMPORT
    """`import`, `export` (counts what is received) or `generation`."""
    home: Name | None = None
    """For an export or a generation meter: the import meter whose surplus, or whose panels, it
    counts, instead of a profile of its own."""
    generation: Panels | None = None
    """Solar panels behind an import meter: it then also counts what it receives."""
    start_kwh: Annotated[float, Real(0, 99_999_999)] | None = None
    """Reading at the very first start of the rig, kWh. Default: what a meter installed two years
    before has counted. With less, the meter is younger and its history shorter."""
    start_received_kwh: Annotated[float, Real(0, 99_999_999)] | None = None
    """The same for what an import meter has received."""
    base_w: Annotated[float, Real(0, 100_000)] = 250.0
    """Load that is always there, W."""
    peak_w: Annotated[float, Real(0, 100_000)] = 6000.0
    """Load added to it at the busiest time of day, W; `solar`: output at a clear midsummer noon."""

    @model_validator(mode="after")
    def _roles(self) -> ElectricityMeter:
        if self.role is Role.IMPORT:
            if self.home is not None:
                raise wrong("an import meter has no 'home'", "leave it out, or change 'role'")
            if self.generation is not None and self.csv is not None:
                raise wrong("'generation' does not go with 'csv'", "leave one of them out")
        else:
            for key in ("generation", "prepayment", "start_received_kwh"):
                if getattr(self, key) is not None:
                    raise wrong(f"{quote(key)} is for import meters")
        return self


class GasMeter(_Meter):
    """A gas meter. It sleeps; devices read the hub's gas proxy."""

    kind: Literal["gas"]
    """`gas`."""
    start_m3: Annotated[float, Real(0, 99_999_999)] | None = None
    """Reading at the very first start of the rig, m³. Default: what a meter installed two years
    before has counted. With less, the meter is younger and its history shorter."""
    base_m3_per_h: Annotated[float, Real(0, 1000)] = 0.0
    """Flow that is always there, m³/h."""
    peak_m3_per_h: Annotated[float, Real(0, 1000)] = 1.2
    """Flow added to it at the busiest time of day, m³/h."""
    calorific_value_mj_per_m3: Annotated[float, Real(30, 45)] = 39.5
    """Calorific value, MJ/m³."""
    conversion_factor: Annotated[float, Real(0.5, 2)] = 1.02264
    """Volume correction for temperature and pressure."""
    wake_offset: Annotated[Duration, Within("0s", "1799s")] = datetime.timedelta(0)
    """How long after each half-hour of UTC the meter wakes and tells the hub."""

    @model_validator(mode="after")
    def _no_sun(self) -> GasMeter:
        if self.profile is Profile.SOLAR:
            raise wrong("'solar' is for electricity meters", "write domestic, heating or flat")
        return self


def _meter_kind(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return f"<{kind}>" if kind in ("electricity", "gas") else None


Meter = Annotated[
    Annotated[ElectricityMeter, Tag("<electricity>")] | Annotated[GasMeter, Tag("<gas>")],
    Discriminator(
        _meter_kind,
        custom_error_type="meter_kind",
        custom_error_message="the kind of meter is not known",
    ),
]
"""A meter of one of the two kinds."""
