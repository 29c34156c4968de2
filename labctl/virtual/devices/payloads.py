"""Command payloads that a display understands (Smart Energy 1.4a annex D), as values."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from labctl.virtual.devices.zcl import ZclError

_PRICE_HEAD = struct.Struct("<IB")
_PRICE_TAIL = struct.Struct("<IIBHBBIHI")
_MESSAGE_HEAD = struct.Struct("<IBIHB")


def _text(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


@dataclass(frozen=True, slots=True)
class PublishPrice:
    """PublishPrice (D.4.2.4.1), in its short form; what may follow carries nothing for a display.

    `price` counts in units of 10^-`trailing_digits` of the currency's main unit; `start_utc` is in
    s since 2000, 0 for now; `duration_min` is 0xFFFF until changed.
    """

    provider: int
    label: str
    event: int
    utc: int
    unit: int
    currency: int
    trailing_digits: int
    tier: int
    start_utc: int
    duration_min: int
    price: int
    control: int = 0

    @property
    def wants_acknowledgement(self) -> bool:
        """Whether a PriceAcknowledgement is asked for (price control bit 0)."""
        return bool(self.control & 0x01)

    @classmethod
    def parse(cls, octets: bytes) -> PublishPrice:
        """Raise `ZclError` when `octets` are no PublishPrice."""
        try:
            provider, length = _PRICE_HEAD.unpack_from(octets)
            length = 0 if length == 0xFF else length
            label = octets[5 : 5 + length]
            event, utc, unit, currency, digits, _tiers, start, minutes, price = (
                _PRICE_TAIL.unpack_from(octets, 5 + length)
            )
        except struct.error as error:
            raise ZclError("PublishPrice is cut off") from error
        # Of the optional fields, a display looks at the control alone: the last of the first 14.
        control_at = 5 + length + _PRICE_TAIL.size + 13
        control = octets[control_at] if len(octets) > control_at else 0
        return cls(
            provider,
            _text(label),
            event,
            utc,
            unit,
            currency,
            digits >> 4,
            digits & 0x0F,
            start,
            minutes,
            price,
            0 if control == 0xFF else control,
        )


@dataclass(frozen=True, slots=True)
class DisplayMessage:
    """DisplayMessage (D.5.2.3.1).

    `start_utc` is in s since 2000, 0 for now; `duration_min` is 0xFFFF until withdrawn.
    """

    message_id: int
    control: int
    start_utc: int
    duration_min: int
    text: str

    @property
    def confirmation_required(self) -> bool:
        """Whether the person is to press a button (control bit 7)."""
        return bool(self.control & 0x80)

    @classmethod
    def parse(cls, octets: bytes) -> DisplayMessage:
        """Raise `ZclError` when `octets` are no DisplayMessage."""
        try:
            message_id, control, start, minutes, length = _MESSAGE_HEAD.unpack_from(octets)
        except struct.error as error:
            raise ZclError("DisplayMessage is cut off") from error
        raw = octets[12 : 12 + length]
        if length == 0xFF or len(raw) < length:
            raise ZclError("the message's text is cut off")
        return cls(message_id, control, start, minutes, _text(raw))
