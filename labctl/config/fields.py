"""The kinds of values that the files hold, each with a message for what it is not."""

from __future__ import annotations

import datetime
import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError, core_schema

from labctl.config.document import WrittenFloat, WrittenInt
from labctl.config.problems import did_you_mean, quote
from labctl.smart_energy.eui64 import Eui64


def wrong(what: str, mend: str = "") -> PydanticCustomError:
    """The error to raise in a validator: one sentence, and what to do."""
    return PydanticCustomError("labctl", "{what}", {"what": what, "mend": mend})


class Strict(BaseModel):
    """Base of all models: unknown keys are errors, nothing is converted silently, all is frozen.

    While a file is loaded, the context notes which model each mapping was read as, so that the
    message for an unknown key can suggest the model's own keys.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _note_the_model(cls, data: Any, info: ValidationInfo) -> Any:
        if isinstance(data, dict) and info.context is not None:
            info.context[id(data)] = cls
        return data


# -- text ---------------------------------------------------------------------------------------


def as_written(value: Any) -> Any:
    """Numbers keep the form in which they were written: 00123 stays 00123."""
    if isinstance(value, WrittenInt | WrittenFloat):
        return value.text
    return value


Text = Annotated[str, BeforeValidator(as_written), Field(min_length=1, max_length=255)]
"""A text of 1 to 255 characters; a number is taken as it is written."""


def _name(value: Any) -> str:
    text = as_written(value)
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", text):
        raise wrong(
            f"{quote(value)} is not a name",
            "use letters, digits, '-' and '_', starting with a letter or a digit",
        )
    return text


Name = Annotated[
    str,
    BeforeValidator(_name),
    WithJsonSchema(
        {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$", "x-kind": "name"}
    ),
]
"""A name that other parts of the files refer to."""


def choice(kind: type[enum.StrEnum]) -> BeforeValidator:
    """One word of an enumeration."""

    def parse(value: Any) -> enum.StrEnum:
        try:
            return kind(as_written(value))
        except ValueError:
            pass
        words = [member.value for member in kind]
        hint = did_you_mean(str(value), words)
        mend = hint if hint.startswith("did") else "write one of: " + ", ".join(words)
        raise wrong(f"{quote(value)} is not possible here", mend)

    return BeforeValidator(parse)


# -- numbers ------------------------------------------------------------------------------------


def _eui64(value: Any) -> Eui64:
    text = as_written(value)
    if isinstance(text, str):
        try:
            return Eui64(text)
        except ValueError:
            raise _not_an_eui64(text) from None
    raise wrong("not an EUI-64: 16 hexadecimal digits are needed", "put it in quotes")


def _not_an_eui64(text: str) -> PydanticCustomError:
    """Does not show the text: people paste install codes here."""
    digits = re.sub(r"[\s:.-]", "", text.lower().removeprefix("0x"))
    mend = "write it as on the label: 00:0d:6f:00:0a:90:69:e7"
    if odd := re.search(r"[^0-9a-f]", digits):
        return wrong(f"{odd.group()!r} in an EUI-64, which has hexadecimal digits only", mend)
    if len(digits) in _INSTALL_CODE_DIGITS:
        mend = "this has the length of an install code: give that as install_code"
    return wrong(f"an EUI-64 has 16 hexadecimal digits, and these are {len(digits)}", mend)


_INSTALL_CODE_DIGITS = (20, 28, 36)


Eui = Annotated[
    Eui64,
    PlainValidator(_eui64),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^(0x)?([0-9A-Fa-f]{2}[:. -]?){7}[0-9A-Fa-f]{2}$",
            "x-kind": "EUI-64",
        }
    ),
]
"""An EUI-64 as its label has it."""


class _Checked:
    """A check that comes before pydantic's own, with its JSON Schema."""

    def parse(self, value: Any) -> Any:
        """The value, or `wrong`."""
        raise NotImplementedError

    def json_schema(self) -> dict[str, Any]:
        """What editors are told."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self.parse, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return self.json_schema()


@dataclass(frozen=True)
class Octets(_Checked):
    """A text that goes out over the air in at most `most` octets of UTF-8."""

    most: int

    def parse(self, value: Any) -> str:
        """The value, or `wrong`."""
        text = as_written(value)
        if not isinstance(text, str):
            raise wrong("a text is needed here", "put it in quotes")
        if not 1 <= len(text.encode()) <= self.most:
            raise wrong(f"the text has {len(text.encode())} octets: 1 to {self.most} are possible")
        return text

    def json_schema(self) -> dict[str, Any]:
        """What editors are told."""
        return {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": self.most},
                {"type": "number"},
            ],
            "x-kind": f"text of 1 to {self.most} octets",
        }


@dataclass(frozen=True)
class Whole(_Checked):
    """An integer between two limits, both included."""

    low: int
    high: int
    hexadecimal: bool = False

    def parse(self, value: Any) -> int:
        """The value, or `wrong`."""
        if isinstance(value, bool) or not isinstance(value, int):
            hint = "remove the quotes" if isinstance(value, str) and value.isdigit() else ""
            raise wrong(f"{quote(value)} is not a whole number", hint)
        if not self.low <= value <= self.high:
            limits = f"{self._text(self.low)} to {self._text(self.high)} is possible"
            raise wrong(f"{getattr(value, 'text', value)} is out of range: {limits}")
        return int(value)

    def _text(self, number: int) -> str:
        return f"0x{number:04X}" if self.hexadecimal else str(number)

    def json_schema(self) -> dict[str, Any]:
        """What editors are told."""
        return {
            "type": "integer",
            "minimum": self.low,
            "maximum": self.high,
            "x-kind": f"whole number, {self._text(self.low)} to {self._text(self.high)}",
        }


@dataclass(frozen=True)
class Real(_Checked):
    """A number between two limits, both included."""

    low: float
    high: float

    def parse(self, value: Any) -> float:
        """The value, or `wrong`."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            hint = "remove the quotes" if isinstance(value, str) and _is_number(value) else ""
            raise wrong(f"{quote(value)} is not a number", hint)
        if not self.low <= value <= self.high:
            limits = f"{_plain(self.low)} to {_plain(self.high)} is possible"
            raise wrong(f"{getattr(value, 'text', value)} is out of range: {limits}")
        return float(value)

    def json_schema(self) -> dict[str, Any]:
        """What editors are told."""
        return {
            "type": "number",
            "minimum": self.low,
            "maximum": self.high,
            "x-kind": f"number, {_plain(self.low)} to {_plain(self.high)}",
        }


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d+)?", text) is not None


# -- time ---------------------------------------------------------------------------------------

_UNITS_S = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?:\s*\d+(?:\.\d+)?\s*(?:ms|s|min|h|d))+\s*")
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)")


def parse_duration(text: str) -> datetime.timedelta:
    """`10s`, `500ms`, `30min`, `24h`, `1d`, `1h30min`, or a bare number of seconds.

    Raises `ValueError` with a sentence for the person who wrote it.
    """
    stripped = text.strip()
    try:
        if re.fullmatch(r"\d+(\.\d+)?", stripped):
            return datetime.timedelta(seconds=float(stripped))
        if _DURATION.fullmatch(stripped):
            seconds = sum(float(n) * _UNITS_S[unit] for n, unit in _PART.findall(stripped))
            return datetime.timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError(f"{quote(text)} is longer than time can be counted") from None
    if re.fullmatch(r"\d+(\.\d+)?\s*m", stripped):
        minutes = stripped.removesuffix("m").strip()
        raise ValueError(f"{quote(text)} is not a duration: did you mean '{minutes}min'?")
    raise ValueError(f"{quote(text)} is not a duration: write 10s, 500ms, 30min, 24h or 1d")


def duration_text(value: datetime.timedelta) -> str:
    """The shortest form that `parse_duration` reads back: `30min`, `1h30min`, `500ms`."""
    left = round(value / datetime.timedelta(milliseconds=1))
    parts = []
    for unit, size in (
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("min", 60_000),
        ("s", 1000),
        ("ms", 1),
    ):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


@dataclass(frozen=True)
class Within(_Checked):
    """A duration between two limits, both included."""

    low: str
    high: str

    def parse(self, value: Any) -> datetime.timedelta:
        """The value, or `wrong`."""
        if isinstance(value, datetime.timedelta):
            found = value
        elif isinstance(value, bool) or not isinstance(value, int | float | str):
            raise wrong("a duration is needed here", "write 10s, 500ms, 30min, 24h or 1d")
        else:
            try:
                found = parse_duration(str(as_written(value)))
            except ValueError as error:
                what, _, mend = str(error).partition(": ")
                raise wrong(what, mend) from None
        if not parse_duration(self.low) <= found <= parse_duration(self.high):
            raise wrong(
                f"{duration_text(found)} is out of range: {self.low} to {self.high} is possible"
            )
        return found

    def json_schema(self) -> dict[str, Any]:
        """What editors are told."""
        return {
            "anyOf": [
                {"type": "string", "pattern": r"^(\s*\d+(\.\d+)?\s*(ms|s|min|h|d))+\s*$"},
                {"type": "number", "minimum": 0},
            ],
            "x-kind": f"duration, {self.low} to {self.high}",
        }


Duration = Annotated[datetime.timedelta, PlainSerializer(duration_text, return_type=str)]
"""To be annotated further with `Within`."""


def _instant(value: Any) -> datetime.datetime:
    mend = "write date, time and zone: 2026-01-05T00:00:00Z"
    if isinstance(value, datetime.datetime):
        found = value
    else:
        try:
            found = datetime.datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise wrong(f"{quote(value)} is not a date with a time", mend) from None
    if found.tzinfo is None:
        raise wrong(f"{quote(value)} does not say in which time zone", mend)
    found = found.astimezone(datetime.UTC)
    if not 2000 <= found.year < 2100:
        raise wrong(f"the year {found.year} is out of range: 2000 to 2099 is possible")
    return found


def _instant_text(value: datetime.datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


Instant = Annotated[
    datetime.datetime,
    BeforeValidator(_instant),
    PlainSerializer(_instant_text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "x-kind": "date, time and zone"}),
]
"""A point in time, with its zone; kept in UTC. Smart Energy counts from the year 2000."""


def _time_of_day(value: Any) -> datetime.time:
    text = as_written(value)
    if isinstance(text, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        return datetime.time.fromisoformat(text)
    raise wrong(f"{quote(value)} is not a time of day", "write 00:30 (UTC)")


TimeOfDay = Annotated[
    datetime.time,
    BeforeValidator(_time_of_day),
    PlainSerializer(lambda value: value.strftime("%H:%M"), return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$",
            "x-kind": "time of day, UTC",
        }
    ),
]
"""Hours and minutes, UTC."""


def unique(values: Iterable[Any], *, what: str) -> None:
    """Raise when a value comes twice."""
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise wrong(f"{what} {quote(str(value))} stands here twice")
        seen.add(value)


def section(value: Any) -> Any:
    """For sections whose entries may all be commented out: null is just an empty one."""
    return {} if value is None else value
