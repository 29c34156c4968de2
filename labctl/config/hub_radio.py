"""What a hub sends on: bands, channels by number or by frequency, power, and airtime limits."""

from __future__ import annotations

import datetime
import enum
from datetime import timedelta
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from labctl.config.fields import WRITTEN, Eui, Name, Strict, Whole, as_written, choice, wrong
from labctl.config.inventory import LAB_CA
from labctl.config.problems import quote
from labctl.config.times import Duration, Within
from labctl.smart_energy.channels import (
    PAGES,
    Channel,
    nearest_channel,
    parse_frequency_khz,
)

SUB_GHZ_MOST_DBM = 14
"""25 mW: the most that a GB home area network may send with below 2.4 GHz."""


class HubBand(enum.StrEnum):
    """Where the hub's network is: on one band, or on both."""

    GHZ_2_4 = "2.4 GHz"
    MHZ_868 = "868 MHz"
    DUAL = "dual"


def _frequency(value: Any) -> Channel:
    if isinstance(value, Channel):
        return value
    text = as_written(value)
    if not isinstance(text, str):
        raise wrong("a frequency is needed here", "write 868.45 MHz or 868450 kHz")
    try:
        khz = parse_frequency_khz(text)
    except ValueError as error:
        what, _, mend = str(error).partition(": ")
        raise wrong(what.replace(repr(text), quote(text)), mend) from None
    try:
        return Channel.from_frequency_khz(khz)
    except ValueError:
        raise wrong(
            f"no channel has the centre frequency {text.strip()}",
            f"the nearest is {nearest_channel(khz)}",
        ) from None


Frequency = Annotated[
    Channel,
    PlainValidator(_frequency),
    PlainSerializer(lambda channel: channel.frequency, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgG][hH][zZ])\s*$",
            "x-kind": "frequency",
        }
    ),
]
"""A channel, by its centre frequency."""


def _page(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(f"{quote(value)} is not a channel page", "there are 0, 28, 29, 30 and 31")
    if value not in PAGES:
        text = getattr(value, "text", value)
        raise wrong(
            f"there is no channel page {text}",
            "2.4 GHz is page 0, sub-GHz has the pages 28 to 31",
        )
    return int(value)


Page = Annotated[
    int,
    BeforeValidator(_page),
    WithJsonSchema({"enum": list(PAGES), "x-kind": "0, 28, 29, 30 or 31"}),
]
"""A channel page: 0 for 2.4 GHz, 28 to 31 for sub-GHz."""

MaybeBand = Annotated[Annotated[HubBand, choice(HubBand)] | None, WRITTEN]
MaybePage = Annotated[Page | None, WRITTEN]
MaybeFrequency = Annotated[Frequency | None, WRITTEN]
MaybeChannel = Annotated[Annotated[int, Whole(0, 62)] | None, WRITTEN]
"""A channel's number on its page; `rig check` holds it against the page."""
MaybePower = Annotated[Annotated[int, Whole(-40, 20)] | None, WRITTEN]
"""Transmit power in dBm."""


class SubGhz(Strict):
    """The 868 MHz side of a dual-band hub: a second PHY of its radio, or a radio of its own."""

    radio: Annotated[Name | None, WRITTEN] = None
    """A second radio, side by side with the hub's own, with a network of its own. Default: the
    second PHY of the hub's own radio, one network on both bands."""
    page: MaybePage = None
    """Channel page, 28 to 31. Default: the one that `channel` is on; 28 for 0 to 26."""
    channel: MaybeChannel = None
    """Channel: 0 to 26 on page 28, 27 to 34 on 29, 35 to 48 on 30, 0 to 12 on 31. Default: 10."""
    frequency: MaybeFrequency = None
    """Instead of page and channel: `868.45 MHz`."""
    tx_power_dbm: MaybePower = None
    """Transmit power in dBm, at most 14. Default: 14."""
    certificate: Name = LAB_CA
    """With a second radio: its certificate, which is for its own address."""
    pan_id: Annotated[int, Whole(0x0001, 0xFFFE, hexadecimal=True)] | None = None
    """With a second radio: PAN id of its network. Default: chosen at random."""
    extended_pan_id: Eui | None = None
    """With a second radio: extended PAN id of its network. Default: chosen at random."""


Airtime = Annotated[Duration, Within("1ms", "100s")]


class DutyCycle(Strict):
    """Airtime in an hour on 868 MHz from which on a state holds. What is left out is as in R22."""

    limited: Airtime | None = None
    """One device is asked to be silent. Default: 54s."""
    critical: Airtime | None = None
    """All that talk are asked to be silent. Default: 75s."""
    regulated: Airtime | None = None
    """Nothing is sent any more. Default, and at most: 100s on the pages 28 and 29, 90s on 30 and
    31."""


def _whole_minutes(value: datetime.timedelta) -> datetime.timedelta:
    if value % timedelta(minutes=1):
        raise wrong("devices are told of whole minutes only", "write 5min")
    return value


Suspension = Annotated[Duration, Within("1min", "255min"), AfterValidator(_whole_minutes)]
"""How long devices are asked to be silent: one octet of minutes."""
