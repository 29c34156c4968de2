"""What a person would see on a device's display, computed from what the device has read.

It is kept in a file of its own beside the flash, so that it can be looked at during a run and
after it. There is no key in it, but what a household uses and pays: its mode is 0600.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from labctl.errors import ConfigurationError
from labctl.files import replace_file
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.devices.payloads import PublishPrice
from labctl.virtual.devices.screen import MeterReadout, Screen
from labctl.virtual.devices.settings import PREPAYMENT, PRICE, Fuel, Kind

FORMAT = "labctl-virtual-screen"
VERSION = 1

_EPOCH = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_AMBIENT: dict[object, str] = {0: "low", 1: "medium", 2: "high"}
_SUPPLY: dict[object, str] = {0: "off", 1: "armed", 2: "on"}
_AMBIENT_INDICATOR, _SUPPLY_STATUS = 0x0207, 0x0014
_YESTERDAY = {Fuel.ELECTRICITY: 0x0403, Fuel.GAS: 0x0C03}
_STANDING_CHARGE, _PRICE_DIGITS = 0x0301, 0x0617
_KWH, _CUBIC_METRE = 0x00, 0x01
_MJ_PER_KWH = 3.6
_MONEY_DIGITS = 5
"""Of prepayment amounts where the meter does not say: 10^-5 of the currency's main unit."""
_CREDIT_STATUS = (
    (0x40, "exhausted"),
    (0x20, "emergency credit in use"),
    (0x10, "emergency credit selected"),
    (0x08, "emergency credit available"),
    (0x02, "low"),
    (0x01, "ok"),
)

Picture = dict[str, Any]


def picture(kind: Kind, eui64: Eui64, screen: Screen, now_s: float) -> Picture:
    """The display of a device as JSON; None stands for what it does not know."""
    utc = screen.utc(now_s)
    fuels = {fuel.value: _fuel(screen, fuel) for fuel in Fuel}
    message = screen.message
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind.value,
        "eui64": str(eui64),
        "utc": None if utc is None else _instant(utc),
        **fuels,
        "message": None if message is None else message.text,
        "confirmation_wanted": bool(message is not None and message.confirmation_required),
    }


def _instant(utc: float) -> str:
    moment = _EPOCH + datetime.timedelta(seconds=int(utc))
    return moment.isoformat().replace("+00:00", "Z")


def _fuel(screen: Screen, fuel: Fuel) -> Picture | None:
    meter = screen.meter(fuel)
    if meter is None:
        return None
    price = screen.price(fuel)
    today_kwh = _kwh(screen, meter, meter.today)
    standing = _standing_charge(screen, meter)
    unit_price = screen.price_per_unit(fuel)
    cost = None
    if unit_price is not None and price is not None:
        used = today_kwh if price.unit & 0x7F == _KWH else meter.today
        cost = None if used is None else round(used * unit_price + (standing or 0.0), 4)
    return {
        "reading": meter.consumption_text,
        "demand_kw": meter.demand if fuel is Fuel.ELECTRICITY else None,
        "today_kwh": None if today_kwh is None else round(today_kwh, 3),
        "yesterday_kwh": meter.history(_YESTERDAY[fuel]),
        "today_cost": cost,
        "standing_charge": standing,
        "price": unit_price,
        "currency": price.currency if price is not None else None,
        "tariff": _tariff(screen, meter, price),
        "tier": price.tier if price is not None else None,
        "ambient": _AMBIENT.get(meter.raw.get(_AMBIENT_INDICATOR)),
        "supply": _SUPPLY.get(meter.raw.get(_SUPPLY_STATUS)),
        "prepayment": _prepayment(screen, meter),
    }


def _kwh(screen: Screen, meter: MeterReadout, amount: float | None) -> float | None:
    """An amount of this meter in kWh; gas takes its calorific value and conversion factor."""
    if amount is None or meter.fuel is not Fuel.GAS or meter.raw.get(0x0300) != _CUBIC_METRE:
        return amount
    calorific = screen.published(meter.peer, "CalorificValue")
    conversion = screen.published(meter.peer, "ConversionFactor")
    if calorific is None or conversion is None or calorific.fields["unit"] != 1:
        return None
    value = calorific.fields["value"] / 10 ** (calorific.fields["digits"] >> 4)
    factor = conversion.fields["factor"] / 10 ** (conversion.fields["digits"] >> 4)
    return float(amount * value * factor / _MJ_PER_KWH)


def _standing_charge(screen: Screen, meter: MeterReadout) -> float | None:
    """A day's, in the currency's main unit."""
    tariff = screen.published(meter.peer, "TariffInformation")
    if tariff is not None and tariff.fields["standing_charge"] != 0xFFFFFFFF:
        return float(tariff.fields["standing_charge"] / 10 ** (tariff.fields["digits"] >> 4))
    charge = screen.attribute(meter.peer, PRICE, _STANDING_CHARGE)
    digits = screen.attribute(meter.peer, PRICE, _PRICE_DIGITS)
    if not isinstance(charge, int) or not isinstance(digits, int):
        return None
    return float(charge / 10 ** (digits >> 4))


def _tariff(screen: Screen, meter: MeterReadout, price: PublishPrice | None) -> str | None:
    if price is None:
        return None
    labels = screen.published(meter.peer, "TierLabels")
    if not price.label and labels is not None:
        for entry in labels.fields["labels"]:
            if entry["tier"] == price.tier:
                return str(entry["label"])
    return price.label or None


def _prepayment(screen: Screen, meter: MeterReadout) -> Picture | None:
    peer = meter.peer
    if not screen.is_prepayment(peer):
        return None

    def money(attribute: int) -> float | None:
        value = screen.attribute(peer, PREPAYMENT, attribute)
        return float(value / 10**_MONEY_DIGITS) if isinstance(value, int) else None

    status = screen.attribute(peer, PREPAYMENT, 0x0003)
    top_ups = screen.published(peer, "TopUpLog")
    debts = [money(attribute) for attribute in (0x0211, 0x0221, 0x0231)]
    return {
        "balance": money(0x0001),
        "emergency_credit": money(0x0002),
        "emergency_credit_limit": money(0x0010),
        "status": _credit_status(status) if isinstance(status, int) else None,
        "debt": money(0x0005),
        "debts": debts,
        "top_ups": [
            {
                "code": entry["code"],
                "amount": entry["amount"] / 10**_MONEY_DIGITS,
                "at": _instant(entry["utc"]),
            }
            for entry in (top_ups.fields["top_ups"] if top_ups is not None else ())
        ],
    }


def _credit_status(status: int) -> str | None:
    for bit, word in _CREDIT_STATUS:
        if status & bit:
            return word
    return None


# -- the file -------------------------------------------------------------------------------------


def picture_path(flash: Path) -> Path:
    """Where the picture of the device with that flash file is kept."""
    return flash.with_suffix(".screen.json")


def keep(path: Path, shown: Picture) -> None:
    """Replace the picture. Raise `ConfigurationError` when it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(shown), mode=0o600)
    except OSError as error:
        raise ConfigurationError(
            f"a virtual device's screen cannot be kept: {error.strerror}",
            where=str(path),
            mend="make the folder writable",
        ) from error


def load_picture(path: Path) -> Picture | None:
    """The picture that was kept; None when there is none.

    Raise `ConfigurationError` when the file cannot be used.
    """
    try:
        shown = json.loads(path.read_text())
        if shown["format"] != FORMAT or shown["version"] != VERSION:
            raise ValueError("another format")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"a virtual device's screen cannot be read ({type(error).__name__})",
            where=str(path),
            mend="delete the file: the next run makes it anew",
        ) from None
    return dict(shown)
