"""Metering 0x0702: zigpy's own definition, and what GB devices use beyond it (SE 1.4 D.3)."""

from __future__ import annotations

from typing import Any, Final

import zigpy.types as t
from zigpy.zcl.clusters import smartenergy

from labctl.smart_energy.clusters._define import Row, attribute, row, rows

_WAYS = ("delivered", "received")


def _history(base: int, prefix: str) -> tuple[Row, Row]:
    """Days 2-8 and weeks 0-5 (u24), then months 0-13 (u32); even ids delivered, odd received."""
    short: list[tuple[int, str]] = []
    long: list[tuple[int, str]] = []
    for odd, way in enumerate(_WAYS):
        for day in range(2, 9):
            name = f"{prefix}previous_day{day}_consumption_{way}"
            short.append((base + 0x20 + 2 * (day - 2) + odd, name))
        for week in range(6):
            short.append((base + 0x30 + 2 * week + odd, f"{prefix}{_back('week', week)}_{way}"))
        for month in range(14):
            long.append((base + 0x40 + 2 * month + odd, f"{prefix}{_back('month', month)}_{way}"))
    return row(short, t.uint24_t), row(long, t.uint32_t)


def _back(period: str, count: int) -> str:
    if count == 0:
        return f"current_{period}_consumption"
    return f"previous_{period}{count if count > 1 else ''}_consumption"


_TIERS = row(
    [
        (0x0100 + 2 * (tier - 1) + odd, f"current_tier{tier}_summ_{way}")
        for tier in range(16, 49)
        for odd, way in enumerate(_WAYS)
    ],
    t.uint48_t,
)
"""Tiers 1 to 15 are zigpy's."""

_BLOCKS = row(
    [
        (
            0x0700 + 0x10 * tier + block,
            f"current_{'no_tier' if tier == 0 else f'tier{tier}'}"
            f"_block{block + 1}_summation_delivered",
        )
        for tier in range(16)
        for block in range(16)
    ],
    t.uint48_t,
)

_ALTERNATIVE = row(
    [
        (0x0C01, "alternative_current_day_consumption_delivered"),
        (0x0C02, "alternative_current_day_consumption_received"),
        (0x0C03, "alternative_previous_day_consumption_delivered"),
        (0x0C04, "alternative_previous_day_consumption_received"),
    ],
    t.uint24_t,
)

_ROWS: Any = rows(
    *_history(0x0400, ""), *_history(0x0C00, "alternative_"), _ALTERNATIVE, _TIERS, _BLOCKS
)


class Metering(smartenergy.Metering):
    """Metering with the historical and alternative-unit sets (SE 1.4 D.3.2.2.5, D.3.2.2.13).

    `metering_device_type` (0x0306) is a bitmap8 on the wire although it holds an enumeration: a
    slip of the specification that is kept on purpose. zigpy has it so.
    """

    _skip_registry = True

    class AttributeDefs(_ROWS, smartenergy.Metering.AttributeDefs):
        """Attributes of the server side."""

        historical_freeze_time: Final = attribute(0x045C, t.uint16_t)
        load_limit_supply_state: Final = attribute(0x0605, t.enum8)
        load_limit_counter: Final = attribute(0x0606, t.uint8_t)
        supply_tamper_state: Final = attribute(0x0607, t.enum8)
        supply_depletion_state: Final = attribute(0x0608, t.enum8)
        supply_uncontrolled_flow_state: Final = attribute(0x0609, t.enum8)
        bill_delivered_trailing_digit: Final = attribute(0x0A04, t.bitmap8)
        uncontrolled_flow_threshold: Final = attribute(0x0B10, t.uint16_t)
        uncontrolled_flow_threshold_unit: Final = attribute(0x0B11, t.enum8)
        uncontrolled_flow_multiplier: Final = attribute(0x0B12, t.uint16_t)
        uncontrolled_flow_divisor: Final = attribute(0x0B13, t.uint16_t)
        flow_stabilisation_period: Final = attribute(0x0B14, t.uint8_t)
        flow_measurement_period: Final = attribute(0x0B15, t.uint16_t)
        alternative_instantaneous_demand: Final = attribute(0x0C00, t.int24s)
