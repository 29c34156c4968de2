"""A load profile from a CSV file: what really was measured, played back.

    timestamp,W
    2026-01-05T00:00:00Z,310
    2026-01-05T00:30:00Z,285

The header names the unit. `W`, `kW`, `m3/h` are rates that hold until the next row; `Wh`, `kWh`,
`m3` are amounts from this row to the next, spread evenly. The last row lasts as long as the one
before it. Reading the file is for others: here comes its text.
"""

from __future__ import annotations

import csv
import datetime
import enum
import io
from bisect import bisect_right
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from itertools import pairwise

from labctl.meters.profile import Flow, Profile

_US = 1_000_000
_ML = 1_000_000  # ml in a m3
_HOUR_S = 3600
_LARGEST = 10**9
_YEARS = range(2000, 2100)

# Column title -> what to multiply by to get W or ml/h; whether it is an amount of the whole row.
_ELECTRICITY_UNITS = {"w": (1, False), "kw": (1000, False), "wh": (1, True), "kwh": (1000, True)}
_GAS_UNITS = {"m3/h": (_ML, False), "m3": (_ML, True)}


class Outside(enum.StrEnum):
    """What holds before the first row and after the last."""

    REPEAT = "repeat"
    """The file over and over again."""
    HOLD = "hold"
    """The first row's rate before it, the last row's after it."""


class CsvError(ValueError):
    """What is wrong in a CSV file, and in which line (counted from 1)."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")
        self.line = line
        self.what = what


class CsvProfile(Profile):
    """The rows of a CSV file as a profile. Amounts count from `origin_s` (UTC seconds)."""

    def __init__(
        self, text: str, *, origin_s: int, gas: bool = False, outside: Outside = Outside.REPEAT
    ) -> None:
        """Raise `CsvError` for anything that is not a list of rising instants with rates."""
        rows = list(_rows(text, gas=gas))
        if len(rows) < 2:
            raise CsvError(len(text.splitlines()) or 1, "at least two rows are needed")
        self.origin_s = origin_s
        self._outside = outside
        lengths = [later[0] - row[0] for row, later in pairwise(rows)]
        lengths.append(lengths[-1])
        self._starts = [row[0] for row in rows] + [rows[-1][0] + lengths[-1]]
        self._sums = [0]
        for (_, value, whole), length in zip(rows, lengths, strict=True):
            # An amount is of the whole row: as rate x s it is value x 3600, whatever the length.
            amount = round(value * (_HOUR_S if whole else length))
            self._sums.append(self._sums[-1] + amount)
        self._zero = self._sum(origin_s * _US)[0]

    def at(self, utc_us: int) -> Flow:
        """The amount since the origin, and the rate."""
        total, rate = self._sum(utc_us)
        return Flow(total - self._zero, rate)

    def _sum(self, utc_us: int) -> tuple[int, int]:
        """The amount since the file's first row, and the rate."""
        first_us, last_us = self._starts[0] * _US, self._starts[-1] * _US
        rounds = 0
        if not first_us <= utc_us < last_us:
            if self._outside is Outside.HOLD:
                row = 0 if utc_us < first_us else len(self._starts) - 2
                return self._within(row, utc_us)
            rounds, into_us = divmod(utc_us - first_us, last_us - first_us)
            utc_us = first_us + into_us
        total, rate = self._within(bisect_right(self._starts, utc_us // _US) - 1, utc_us)
        return rounds * self._sums[-1] + total, rate

    def _within(self, row: int, utc_us: int) -> tuple[int, int]:
        """As `_sum`, with the row given; its rate also holds outside of it."""
        length = self._starts[row + 1] - self._starts[row]
        amount = self._sums[row + 1] - self._sums[row]
        into_us = utc_us - self._starts[row] * _US
        return self._sums[row] + amount * into_us // (length * _US), amount // length


def _rows(text: str, *, gas: bool) -> Iterator[tuple[int, Decimal, bool]]:
    """Instant, rate or amount in W, Wh, ml/h or ml, and whether it is an amount."""
    units = _GAS_UNITS if gas else _ELECTRICITY_UNITS
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    factor, whole = 0, False
    last: int | None = None
    try:
        for row in reader:
            line = reader.line_num
            if not row or row[0].lstrip().startswith("#"):
                continue
            if len(row) != 2:
                raise CsvError(line, f"2 columns are needed, and here are {len(row)}")
            if factor == 0:
                factor, whole = _header(line, row, units)
                continue
            instant = _instant(line, row[0].strip())
            if last is not None and instant <= last:
                raise CsvError(line, f"{row[0].strip()} is not after the row before it")
            last = instant
            yield instant, _value(line, row[1].strip()) * factor, whole
    except csv.Error as error:
        raise CsvError(reader.line_num or 1, str(error)) from error


def _header(line: int, row: list[str], units: dict[str, tuple[int, bool]]) -> tuple[int, bool]:
    unit = units.get(row[1].strip().lower())
    if row[0].strip().lower() != "timestamp" or unit is None:
        some = ", ".join(f"'timestamp,{name}'" for name in units)
        raise CsvError(line, f"the first line is a header, one of {some}")
    return unit


def _instant(line: int, text: str) -> int:
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise CsvError(line, f"{text!r} is not an instant: write 2026-01-05T00:30:00Z") from None
    if found.tzinfo is None:
        raise CsvError(line, f"{text!r} does not say that it is UTC: write 2026-01-05T00:30:00Z")
    if found.year not in _YEARS or found.microsecond:
        raise CsvError(line, f"{text!r}: whole seconds of the years 2000 to 2099 are possible")
    return int(found.timestamp())


def _value(line: int, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise CsvError(line, f"{text!r} is not a number") from None
    if not value.is_finite() or not 0 <= value <= _LARGEST:
        raise CsvError(line, f"{text!r} is out of range: 0 to {_LARGEST} is possible")
    return value
