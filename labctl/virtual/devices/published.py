"""What servers publish, as named values (Smart Energy 1.4a annex D): prices, logs, calendars, ...

Each reader takes the payload of one command. What may follow the last field that a display knows
is left alone, since later revisions append fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from labctl.virtual.devices.cursor import Cursor
from labctl.virtual.devices.settings import (
    CALENDAR,
    DEVICE_MANAGEMENT,
    EVENTS,
    METERING,
    PREPAYMENT,
    PRICE,
)
from labctl.virtual.devices.zcl import ZclError

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Publication:
    """One command of a server: its name, and its fields."""

    name: str
    fields: Mapping[str, Any]


def _plain(layout: str) -> Callable[[Cursor], Fields]:
    """A reader for fields in a row: `name:octets`, `name:s4` signed, `name:text`."""
    parts = [part.split(":") for part in layout.split()]

    def read(cursor: Cursor) -> Fields:
        fields: Fields = {}
        for name, kind in parts:
            if kind == "text":
                fields[name] = cursor.text()
            elif kind.startswith("s"):
                fields[name] = cursor.signed(int(kind[1:]))
            else:
                fields[name] = cursor.unsigned(int(kind))
        return fields

    return read


def _with(
    head: str, name: str, entry: Callable[[Cursor], Any], count: str | None = None
) -> Callable[[Cursor], Fields]:
    """`head`, then entries: `count` of them, or as many as there are."""
    read_head = _plain(head)

    def read(cursor: Cursor) -> Fields:
        fields = read_head(cursor)
        entries = []
        if count is None:
            while cursor.left:
                entries.append(entry(cursor))
        else:
            entries = [entry(cursor) for _ in range(fields[count])]
        fields[name] = entries
        return fields

    return read


_SERIES = "provider:4 event:4"


def _u24(cursor: Cursor) -> int | None:
    value = cursor.unsigned(3)
    return None if value == 0xFFFFFF else value


def _thresholds(cursor: Cursor) -> Fields:
    head = cursor.unsigned(1)
    return {"tier": head >> 4, "thresholds": [cursor.unsigned(6) for _ in range(head & 0x0F)]}


def _date(cursor: Cursor) -> Fields:
    year, month, day, weekday, reference = cursor.take(5)
    return {"year": year, "month": month, "day": day, "weekday": weekday, "id": reference}


def _snapshot(cursor: Cursor) -> Fields:
    """PublishSnapshot (D.3.2.3.1.7); of the payload types those without billing are read."""
    fields = _plain("id:4 utc:4 found:1 index:1 total:1 cause:4 type:1")(cursor)
    if fields["type"] in (4, 5):
        fields["summation"] = cursor.unsigned(6)
        fields["tiers"] = [cursor.unsigned(6) for _ in range(cursor.unsigned(1))]
    elif fields["type"] in (6, 7):
        fields["summation"] = cursor.unsigned(6)
        fields["tiers"] = [cursor.unsigned(6) for _ in range(cursor.unsigned(1))]
        fields["blocks"] = [cursor.unsigned(6) for _ in range(cursor.unsigned(1) & 0x0F)]
    else:
        fields["payload"] = cursor.rest().hex()
    return fields


_TOP_UP = _plain("code:text amount:s4 utc:4")
_DEBT = _plain("utc:4 collected:4 type:1 outstanding:4")
_LOGGED = _plain("log:1 id:2 utc:4 data:text")

_READERS: Mapping[tuple[int, int], tuple[str, Callable[[Cursor], Fields]]] = MappingProxyType(
    {
        (PRICE, 0x01): (
            "BlockPeriod",
            _plain(f"{_SERIES} start:4 duration:3 control:1 duration_type:1 tariff_type:1"),
        ),
        (PRICE, 0x02): ("ConversionFactor", _plain("event:4 start:4 factor:4 digits:1")),
        (PRICE, 0x03): ("CalorificValue", _plain("event:4 start:4 value:4 unit:1 digits:1")),
        (PRICE, 0x04): (
            "TariffInformation",
            _plain(
                f"{_SERIES} tariff:4 start:4 scheme:1 label:text tiers:1 thresholds:1 unit:1 "
                "currency:2 digits:1 standing_charge:4 block_mode:1 multiplier:3 divisor:3"
            ),
        ),
        (PRICE, 0x05): (
            "PriceMatrix",
            _with(
                f"{_SERIES} start:4 tariff:4 index:1 total:1 control:1",
                "prices",
                _plain("id:1 price:4"),
            ),
        ),
        (PRICE, 0x06): (
            "BlockThresholds",
            _with(f"{_SERIES} start:4 tariff:4 index:1 total:1 control:1", "tiers", _thresholds),
        ),
        (PRICE, 0x07): ("CO2Value", _plain(f"{_SERIES} start:4 type:1 value:4 unit:1 digits:1")),
        (PRICE, 0x08): (
            "TierLabels",
            _with(
                f"{_SERIES} tariff:4 index:1 total:1 count:1",
                "labels",
                _plain("tier:1 label:text"),
                "count",
            ),
        ),
        (PRICE, 0x09): (
            "BillingPeriod",
            _plain(f"{_SERIES} start:4 duration:3 duration_type:1 tariff_type:1"),
        ),
        (PRICE, 0x0A): (
            "ConsolidatedBill",
            _plain(
                f"{_SERIES} start:4 duration:3 duration_type:1 tariff_type:1 "
                "bill:4 currency:2 digits:1"
            ),
        ),
        (PRICE, 0x0E): ("CancelTariff", _plain("provider:4 tariff:4 type:1")),
        (METERING, 0x00): (
            "Profile",
            _with("end:4 status:1 interval:1 count:1", "newest_first", _u24, "count"),
        ),
        (METERING, 0x03): ("FastPoll", _plain("period:1 end:4")),
        (METERING, 0x06): ("Snapshot", _snapshot),
        (METERING, 0x07): (
            "SampledData",
            _with("id:2 start:4 type:1 interval:2 count:2", "oldest_first", _u24, "count"),
        ),
        (METERING, 0x0C): ("SupplyStatus", _plain("provider:4 event:4 utc:4 status:1")),
        (PREPAYMENT, 0x01): (
            "PrepaySnapshot",
            _plain(
                "id:4 utc:4 found:1 index:1 total:1 cause:4 type:1 accumulated_debt:s4 "
                "debt_1:4 debt_2:4 debt_3:4 emergency_credit:s4 credit:s4"
            ),
        ),
        (PREPAYMENT, 0x02): (
            "ChangePaymentMode",
            _plain("friendly:1 calendar:4 emergency_limit:4 emergency_threshold:4"),
        ),
        (PREPAYMENT, 0x03): ("TopUp", _plain("result:1 amount:s4 source:1 credit:s4")),
        (PREPAYMENT, 0x05): ("TopUpLog", _with("index:1 total:1", "top_ups", _TOP_UP)),
        (PREPAYMENT, 0x06): ("DebtLog", _with("index:1 total:1", "debts", _DEBT)),
        (CALENDAR, 0x00): (
            "Calendar",
            _plain(
                f"{_SERIES} id:4 start:4 type:1 time_reference:1 name:text seasons:1 weeks:1 days:1"
            ),
        ),
        (CALENDAR, 0x01): (
            "DayProfile",
            _with(
                f"{_SERIES} id:4 day:1 entries:1 index:1 total:1 type:1",
                "switches",
                _plain("minute:2 tier:1"),
            ),
        ),
        (CALENDAR, 0x02): (
            "WeekProfile",
            _plain(f"{_SERIES} id:4 week:1 mon:1 tue:1 wed:1 thu:1 fri:1 sat:1 sun:1"),
        ),
        (CALENDAR, 0x03): ("Seasons", _with(f"{_SERIES} id:4 index:1 total:1", "seasons", _date)),
        (CALENDAR, 0x04): (
            "SpecialDays",
            _with(f"{_SERIES} id:4 start:4 type:1 number:1 index:1 total:1", "days", _date),
        ),
        (CALENDAR, 0x05): ("CancelCalendar", _plain("provider:4 id:4 type:1")),
        (DEVICE_MANAGEMENT, 0x00): (
            "ChangeOfTenancy",
            _plain(f"{_SERIES} tariff_type:1 start:4 control:4"),
        ),
        (DEVICE_MANAGEMENT, 0x01): (
            "ChangeOfSupplier",
            _plain(
                "provider:4 event:4 tariff_type:1 proposed:4 start:4 control:4 "
                "name:text contact:text"
            ),
        ),
        (DEVICE_MANAGEMENT, 0x03): ("SiteId", _plain("event:4 start:4 provider:4 site_id:text")),
        (DEVICE_MANAGEMENT, 0x06): ("CustomerId", _plain("event:4 start:4 provider:4 id:text")),
        (EVENTS, 0x00): ("Event", _plain("log:1 id:2 utc:4 control:1 data:text")),
        (EVENTS, 0x01): (
            "EventLog",
            _with("total:2 index:1 count:1 control:1", "events", _LOGGED),
        ),
    }
)


def read(cluster_id: int, command: int, payload: bytes) -> Publication | None:
    """What a server's command says; None for a command that a display has no use for.

    Raise `ZclError` when it cannot be read.
    """
    known = _READERS.get((cluster_id, command))
    if known is None:
        return None
    name, reader = known
    try:
        return Publication(name, reader(Cursor(payload)))
    except ZclError as error:
        raise ZclError(f"{name}: {error}") from error
