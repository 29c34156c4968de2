"""What a person does to a rig's meters, as entries of their journal.

A later run begins with them. A running rig finds them within ten seconds of its own time.
"""

from __future__ import annotations

import asyncio
import datetime
import enum
import json
import re
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from labctl.clock import MICROSECONDS, Clock
from labctl.config.durations import parse_duration
from labctl.config.problems import ConfigurationErrors, errors_of
from labctl.config.reading_models import read_model
from labctl.config.resolved import LoadedRig
from labctl.config.tariff_file import Tariff as TariffEntry
from labctl.errors import ConfigurationError, LabctlError, UsageError
from labctl.meters import Originator, SupplyState
from labctl.meters.entries import (
    ClockSet,
    DemandSet,
    Entry,
    OutageBegan,
    OutageEnded,
    SupplyAsked,
    TariffSet,
    TenancyChanged,
    ToppedUp,
)
from labctl.meters.journal import to_json
from labctl.meters.prepayment import is_utrn
from labctl.rig.hub_client import reach
from labctl.rig.journal_file import NAME, JournalFile
from labctl.rig.meters import tariff
from labctl.rig.state_folder import StateFolder

_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(w|kw|m3/h|m³/h)\s*", re.IGNORECASE)
_RATES = {"w": 1, "kw": 1000, "m3/h": 1_000_000, "m³/h": 1_000_000}
_LARGEST_RATE = 10**9
_DAY = datetime.timedelta(days=1)
_POUND = 100_000


class What(enum.StrEnum):
    """What can be done to a meter."""

    DEMAND = "demand"
    OUTAGE = "outage"
    TARIFF = "tariff"
    TOP_UP = "top-up"
    CLOCK = "clock"
    SUPPLY = "supply"
    TENANCY = "tenancy"


def set_meter(
    loaded: LoadedRig,
    what: What,
    value: str,
    *,
    meter: str | None = None,
    lasting: datetime.timedelta | None = None,
    pounds: str | None = None,
) -> dict[str, Any]:
    """Put an entry into the rig's journal, and return it as it stands there.

    `meter` is a meter's name; without it everything that makes sense. `lasting` is for a demand,
    `pounds` for a top-up. Raises `UsageError`, `ConfigurationError`.
    """
    folder = StateFolder(loaded.inventory_path, loaded.name)
    making = _Making(loaded, meter, _now_us(loaded, folder))
    if lasting is not None and what is not What.DEMAND:
        raise UsageError("only a demand lasts for a time that can be told apart from it")
    if pounds is not None and what is not What.TOP_UP:
        raise UsageError("only a top-up has an amount")
    entry = JournalFile(folder.rig / NAME).add(making.entry(what, value, lasting, pounds))
    written: dict[str, Any] = json.loads(to_json(entry))
    _hurry(loaded)
    return written


def _hurry(loaded: LoadedRig) -> None:
    """Have a hub that is held look into the journal now; it would in ten seconds by itself."""
    with suppress(LabctlError):
        hub = reach(loaded)
        if hub is not None:
            with hub:
                hub.ask("meters")


def _now_us(loaded: LoadedRig, folder: StateFolder) -> int:
    """The time at the rig: the wall's, or that to which a virtual rig has come."""
    if loaded.rig.virtual is not None and loaded.is_virtual:
        start_us = round(loaded.rig.virtual.start.timestamp() * MICROSECONDS)
        return max(start_us, folder.last_rig_time_us())
    loop = asyncio.new_event_loop()
    try:
        return Clock.of_the_wall(loop).now_us()
    finally:
        loop.close()


class _Making:
    """Makes the entry for one rig."""

    def __init__(self, loaded: LoadedRig, meter: str | None, at_us: int) -> None:
        self._loaded = loaded
        self._meters = loaded.rig.meters
        self._meter = meter
        self._at_us = at_us
        if meter is not None and meter not in self._meters:
            raise UsageError(
                f"the rig has no meter {meter!r}",
                mend=f"it has {', '.join(sorted(self._meters))}",
            )

    def entry(
        self, what: What, value: str, lasting: datetime.timedelta | None, pounds: str | None
    ) -> Entry:
        """The entry of what is to be done. Raises `UsageError`, `ConfigurationError`."""
        if what is What.DEMAND:
            return self._demand(value, lasting)
        if what is What.OUTAGE:
            return self._outage(value)
        if what is What.TARIFF:
            return self._tariff(Path(value))
        if what is What.TOP_UP:
            return self._top_up(value, pounds)
        if what is What.CLOCK:
            return self._clock(value)
        if what is What.SUPPLY:
            return self._supply(value)
        return self._tenancy(value)

    def _demand(self, value: str, lasting: datetime.timedelta | None) -> Entry:
        until_us = None if lasting is None else self._at_us + _us(lasting)
        if value == "profile":
            if lasting is not None:
                raise UsageError("a meter goes back to its profile for good")
            return DemandSet(at_us=self._at_us, meter=self._meter)
        match = _QUANTITY.fullmatch(value)
        if match is None:
            raise UsageError(
                f"{value!r} is not a demand", mend="write 2.4kW, 500W, 1.2m3/h, or 'profile'"
            )
        unit = match[2].lower()
        rate = round(Decimal(match[1]) * _RATES[unit])
        if rate > _LARGEST_RATE:
            raise UsageError(f"{value!r} is more than a home can use")
        fuel = "electricity" if unit in ("w", "kw") else "gas"
        meter = self._meter
        if meter is not None and self._meters[meter].kind != fuel:
            raise UsageError(f"{meter!r} is not a meter for {fuel}, which {value!r} is of")
        if meter is None and fuel == "gas":
            meter = self._only("for gas", {n for n, m in self._meters.items() if m.kind == "gas"})
        return DemandSet(at_us=self._at_us, meter=meter, rate=rate, until_us=until_us)

    def _outage(self, value: str) -> Entry:
        meter = self._meter
        if meter is not None and self._meters[meter].kind == "gas":
            raise UsageError(f"{meter!r} is a gas meter, which needs no mains")
        if value == "over":
            return OutageEnded(at_us=self._at_us, meter=meter)
        length = _duration(value, "write 5min, or 'over' to end one")
        return OutageBegan(at_us=self._at_us, meter=meter, until_us=self._at_us + _us(length))

    def _tariff(self, path: Path) -> Entry:
        entry, _, problems = read_model(path, TariffEntry, what="tariff file")
        errors = errors_of(problems)
        if entry is None or errors:
            raise ConfigurationErrors(errors)
        try:
            new = tariff(entry, start_s=self._at_us // MICROSECONDS)
        except ValueError as error:
            raise ConfigurationError(str(error), where=str(path)) from error
        meter = self._meter or self._only("to take it", set(self._meters))
        return TariffSet(at_us=self._at_us, meter=meter, tariff=new)

    def _top_up(self, code: str, pounds: str | None) -> Entry:
        prepaid = {name for name, meter in self._meters.items() if meter.prepayment is not None}
        meter = self._meter or self._only("with an account", prepaid)
        if meter not in prepaid:
            raise UsageError(f"{meter!r} has no prepayment account")
        if not is_utrn(code):
            raise UsageError("a top-up code is 20 digits")
        return ToppedUp(
            at_us=self._at_us,
            meter=meter,
            code=code,
            amount=None if pounds is None else _money(pounds),
            originator=Originator.METER,
        )

    def _clock(self, value: str) -> Entry:
        sign = -1 if value.startswith("-") else 1
        offset = _duration(value.lstrip("+-"), "write +1h, -30s, or +0s to set it right")
        if offset > _DAY:
            raise UsageError("a meter's clock is off by a day at most")
        return ClockSet(
            at_us=self._at_us, meter=self._meter, offset_s=sign * round(offset.total_seconds())
        )

    def _supply(self, value: str) -> Entry:
        try:
            state = SupplyState[value.upper()]
        except KeyError:
            raise UsageError(
                f"{value!r} is no state of a supply", mend="on, off or armed"
            ) from None
        return SupplyAsked(at_us=self._at_us, meter=self._meter, state=state)

    def _tenancy(self, value: str) -> Entry:
        if value == "now":
            since = datetime.datetime.fromtimestamp(self._at_us // MICROSECONDS, datetime.UTC)
        else:
            try:
                since = datetime.datetime.fromisoformat(value)
            except ValueError:
                raise UsageError(
                    f"{value!r} is not an instant", mend="write 2026-01-05T12:00:00Z, or 'now'"
                ) from None
            since = since if since.tzinfo else since.replace(tzinfo=datetime.UTC)
        return TenancyChanged(
            at_us=self._at_us, meter=self._meter, since_s=round(since.timestamp())
        )

    def _only(self, which: str, names: set[str]) -> str:
        """The one meter of a kind, if there is one alone."""
        if len(names) == 1:
            return next(iter(names))
        if not names:
            raise UsageError(f"the rig has no meter {which}")
        raise UsageError(
            f"the rig has several meters {which}", mend=f"add --meter {'|'.join(sorted(names))}"
        )


def _duration(value: str, mend: str) -> datetime.timedelta:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise UsageError(str(error), mend=mend) from None


def _us(length: datetime.timedelta) -> int:
    return round(length.total_seconds() * MICROSECONDS)


def _money(pounds: str) -> int:
    """Pounds as 10^-5 pounds."""
    try:
        amount = Decimal(pounds.removeprefix("£"))
    except InvalidOperation:
        raise UsageError(f"{pounds!r} is not an amount of money", mend="write 10 or 7.50") from None
    if not amount.is_finite() or not 0 < amount <= 10_000:
        raise UsageError(f"£{pounds} is out of range: up to £10000 is possible")
    return round(amount * _POUND)
