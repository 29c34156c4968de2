"""What GB devices use of each cluster, and who says so: data for `catalogue`.

Attributes are of the server side. Commands are all of the definition's; here stand those that GB
devices do not use, and what is not served, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SOURCES: Final = {
    "SE": "Smart Energy 1.4 (Zigbee document 07-5356), and the ZCL for general clusters",
    "ZAP": "`ami.xml` and `general.xml` of project-chip/zap (Apache-2.0)",
    "GBCS": "GB Companion Specification, as its published use cases and test vectors show it",
    "hub sample": "the attribute list of Silicon Labs' GBCS communications hub sample",
    "GBCS list": "Exegin's list of metering and price attributes that GBCS requires",
    "test hub": "what a GB test hub answers commercial displays (imacht/myolddbch)",
}
"""The sources by the short names that the table uses."""


@dataclass(frozen=True, slots=True)
class Use:
    """Attributes that belong together, and the source of their use in GB."""

    ids: tuple[int, ...]
    source: str


def _use(source: str, *ids: int | range) -> Use:
    flat: list[int] = []
    for one in ids:
        flat += one if isinstance(one, range) else [one]
    return Use(tuple(flat), source)


def _history(base: int) -> list[range]:
    """Days 2-8, weeks 0-5 and months 0-13, delivered."""
    return [
        range(base + 0x20, base + 0x2D, 2),
        range(base + 0x30, base + 0x3B, 2),
        range(base + 0x40, base + 0x5B, 2),
    ]


ATTRIBUTES: Final[Mapping[int, tuple[Use, ...]]] = {
    0x0000: (
        _use("SE", 0x0000, 0x0001, 0x0002),
        _use("hub sample", 0x0003, 0x0004, 0x0005, 0x0007, 0x0011),
    ),
    0x0003: (_use("SE", 0x0000),),
    0x000A: (_use("SE", range(0x0007)), _use("hub sample", 0x0007), _use("SE", 0x0008, 0x0009)),
    0x0019: (),
    0x0025: (_use("SE", 0x0000, 0x0001),),
    0x0700: (
        _use("ZAP", range(0x0030)),
        _use("hub sample", range(0x0100, 0x0103)),
        _use("ZAP", 0x010F),
        _use("hub sample", range(0x0200, 0x0205)),
        _use("hub sample", range(0x0300, 0x0307)),
        _use("hub sample", range(0x0400, 0x0404)),
        _use("hub sample", 0x0410, 0x0420, 0x0430, 0x0440),
        _use("ZAP", 0x0610, 0x0611),
        _use("hub sample", 0x0612),
        _use("ZAP", 0x0613),
        _use("hub sample", 0x0615, 0x0616, 0x0617),
        _use("ZAP", 0x0619),
        _use("test hub", 0x0620, 0x0621, 0x0622),
        _use("test hub", range(0x0700, 0x0705)),
    ),
    0x0701: (),
    0x0702: (
        _use("hub sample", 0x0000),
        _use("GBCS list", 0x0001),
        _use("test hub", 0x0005, 0x0007),
        _use("SE", 0x000A, 0x000B),
        _use("test hub", 0x000D, 0x000F),
        _use("hub sample", 0x0014),
        _use("hub sample", 0x0100, 0x0102, 0x0104, 0x0106),
        _use("GBCS list", range(0x0108, 0x0160, 2)),
        _use("hub sample", 0x0200),
        _use("hub sample", 0x0205, 0x0206),
        _use("GBCS list", 0x0207),
        _use("hub sample", 0x0300, 0x0301, 0x0302, 0x0303),
        _use("GBCS list", 0x0304, 0x0305),
        _use("hub sample", 0x0306, 0x0307),
        _use("test hub", 0x0308),
        _use("hub sample", 0x0311, 0x0312, 0x0314),
        _use("GBCS list", 0x0400),
        _use("GBCS list", 0x0401, 0x0403, *_history(0x0400)),
        _use("test hub", 0x045C, 0x0500),
        _use("hub sample", 0x0607, 0x0608),
        _use("hub sample", range(0x0700, 0x0704)),
        _use("GBCS list", *(range(base, base + 4) for base in range(0x0710, 0x0780, 0x10))),
        _use("hub sample", 0x0A00),
        _use("test hub", 0x0A01, 0x0A02, 0x0A03),
        _use("hub sample", 0x0A04),
        _use("hub sample", 0x0C01, 0x0C03, *_history(0x0C00)),
    ),
    0x0703: (),
    0x0704: (_use("SE", 0x0000),),
    0x0705: (
        _use("hub sample", 0x0000, 0x0001, 0x0002),
        _use("test hub", 0x0003, 0x0004),
        _use("hub sample", 0x0005, 0x0006, 0x0010, 0x0011),
        _use("test hub", 0x0020),
        _use("hub sample", 0x0021, 0x0022),
        _use("test hub", 0x0030),
        _use("hub sample", 0x0031),
        _use("ZAP", 0x0032),
        _use("hub sample", 0x0040),
        _use("test hub", 0x0080),
        _use("test hub", *(range(base, base + 4) for base in range(0x0100, 0x0150, 0x10))),
        _use("test hub", 0x0210, 0x0212, 0x0213, 0x0214, 0x0219),
        _use("hub sample", 0x0211, 0x0216, 0x0217),
        _use("test hub", 0x0220, 0x0222, 0x0223, 0x0224, 0x0229),
        _use("hub sample", 0x0221, 0x0226, 0x0227),
        _use("test hub", 0x0230, 0x0232, 0x0233, 0x0234, 0x0236, 0x0237),
        _use("hub sample", 0x0231, 0x0239),
        _use("hub sample", 0x0400),
        _use("hub sample", range(0x0500, 0x0504)),
        _use("hub sample", 0x051C, 0x051E, *_history(0x0500)),
        _use("test hub", 0x055C),
    ),
    0x0706: (_use("ZAP", range(0x0007)),),
    0x0707: (_use("ZAP", range(0x0008)),),
    0x0708: (
        _use("hub sample", 0x0100, 0x0101, 0x0102),
        _use("test hub", range(0x0110, 0x0115)),
        _use("test hub", 0x0200, 0x0201),
        _use("ZAP", 0x0300),
        _use("test hub", 0x0400, 0x0401),
    ),
    0x0709: (),
    0x070A: (),
    0x070B: (_use("SE", range(0x0005)),),
    0x0800: (_use("SE", 0x0000),),
    0x0B05: (_use("SE", 0x0106, 0x0108, 0x0109, 0x010B, 0x0110, 0x011C, 0x011D),),
}
"""What GB devices read, by cluster."""

COMMAND_SOURCES: Final[Mapping[int, str]] = {
    0x0000: "SE",
    0x0003: "SE",
    0x0019: "SE",
    0x0700: "GBCS",
    0x0701: "SE",
    0x0702: "GBCS",
    0x0703: "GBCS",
    0x0704: "GBCS",
    0x0705: "GBCS",
    0x0706: "ZAP",
    0x0707: "GBCS",
    0x0708: "GBCS",
    0x0709: "GBCS",
    0x070A: "ZAP",
    0x070B: "ZAP",
    0x0800: "SE",
}

_NO_LOAD_CONTROL = "no load control event is ever issued: GB uses the cluster to find the hub"
_SUPPLIER = "the supplier's, through the hub's WAN side: refused to every device"
_FLAT = "a GB tariff has no critical peaks, credit payments or other currencies"

NOT_SERVED_CLUSTERS: Final[Mapping[int, str]] = {
    0x070A: "a GB home is a dwelling of its own; whoever asks hears UNSUPPORTED_CLUSTER",
}
"""Clusters that the hub does not list, and why."""

_FOR_THE_CLIENT = "an attribute of the load switch, whose client the hub is"
_TIME_BASED = "of payment-based debt; debts 1 and 2 are time-based in GB"
_PAYMENT_BASED = "of time-based debt; debt 3 is payment-based in GB"

NOT_SERVED_ATTRIBUTES: Final[Mapping[int, Mapping[int, str]]] = {
    0x0702: {
        0x000D: "a target that the consumer sets belongs to the display",
        0x0206: "the meter's number stands in 0x0308; a gas meter's own report is taken",
    },
    0x0705: {
        0x0006: "a cap on all debt together is not modelled; GB caps what is taken in a week",
        0x0080: "there is no token: codes are entered",
        0x0219: _TIME_BASED,
        0x0229: _TIME_BASED,
        0x0234: _PAYMENT_BASED,
        0x0236: _PAYMENT_BASED,
        0x0237: _PAYMENT_BASED,
        0x0502: "what its values stand for is not public; 0x0500 tells where the point is",
    },
    0x0706: dict.fromkeys(range(0x0007), _FOR_THE_CLIENT),
    0x0707: dict.fromkeys(range(0x0008), "no auxiliary load switch has a label here"),
}
"""Attributes that GB devices are known to read and that the hub does not have, and why."""

NOT_RECEIVED: Final[Mapping[int, Mapping[int, str]]] = {
    0x0000: {0x00: "a hub is not set back by its devices"},
    0x0003: {0x40: "the hub has no lamp to show an effect with"},
    0x0700: {0x0D: _FLAT},
    0x0702: dict.fromkeys((0x04, 0x05, 0x07, 0x0A, 0x0B, 0x0D, 0x0E), _SUPPLIER),
    0x0705: dict.fromkeys((0x02, 0x03, 0x05, 0x06, 0x09, 0x0B, 0x0C), _SUPPLIER),
    0x0706: {0x00: "the load switch is the server; the hub would send it, and issues no events"},
    0x0708: {
        0x02: "GB devices have no password from the hub",
        0x04: "the hub asks no device for its event configuration",
    },
}
"""Commands from client to server that the hub does not carry out, and why."""

NOT_SENT: Final[Mapping[int, Mapping[int, str]]] = {
    0x0700: {
        0x0B: _FLAT,
        0x0C: _FLAT,
        0x0D: _FLAT,
        0x0E: "a tariff ends when another takes its place",
    },
    0x0701: dict.fromkeys(range(0x03), _NO_LOAD_CONTROL),
    0x0702: {
        **dict.fromkeys((0x04, 0x05, 0x0D), "answers a command of the supplier's"),
        **dict.fromkeys((0x09, 0x0A), "a gas meter's; the hub's mirror needs no other scheme"),
    },
    0x0703: {0x02: "GB displays have no PIN to protect a message with"},
    0x0705: {0x02: "answers a command of the supplier's"},
    0x0707: {0x05: "a calendar ends when another takes its place"},
    0x0708: {
        0x02: "GB devices have no password from the hub",
        0x04: "the hub sets no device's event configuration",
        0x05: "the hub asks no device for its event configuration",
    },
}
"""Commands from server to client that the hub never sends, and why."""
