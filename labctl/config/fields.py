"""The kinds of values that the files hold, each with a message for what it is not."""

from __future__ import annotations

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
from labctl.config.durations import duration_text as duration_text
from labctl.config.durations import parse_duration as parse_duration
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


def _written(value: Any) -> Any:
    if value is None:
        raise wrong("nothing is written here", "write a value, or remove the key")
    return value


WRITTEN = BeforeValidator(_written)
"""For keys whose default is worked out: without a value the key must not be there either."""


# -- text ---------------------------------------------------------------------------------------


def as_written(value: Any) -> Any:
    """Numbers keep the form in which they were written: 00123 stays 00123."""
    if isinstance(value, WrittenInt | WrittenFloat):
        return value.text
    return value


Text = Annotated[str, BeforeValidator(as_written), Field(min_length=1, max_length=255)]
"""A text of 1 to 255 characters; a number is taken as it is written."""


def name(value: Any) -> str:
    """A name that other parts of the files refer to, or `wrong`."""
    text = as_written(value)
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", text):
        raise wrong(
            f"{quote(value)} is not a name",
            "use letters, digits, '-' and '_', starting with a letter or a digit",
        )
    return text


Name = Annotated[
    str,
    BeforeValidator(name),
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


class Checked:
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
class Octets(Checked):
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
class Whole(Checked):
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
class Real(Checked):
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


def unique(values: Iterable[Any], *, what: str) -> None:
    """Raise when a value comes twice."""
    seen: list[Any] = []  # no set: what stands in a file at the wrong place may be a mapping
    for value in values:
        if value in seen:
            raise wrong(f"{what} {quote(str(value))} stands here twice")
        seen.append(value)


def section(value: Any) -> Any:
    """For sections whose entries may all be commented out: null is just an empty one."""
    return {} if value is None else value
