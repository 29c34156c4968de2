"""What Price publishes of a tariff: information, prices, thresholds, labels (SE 1.4 D.4.2.4).

Functions from a tariff to frames. Money counts 10^-5 pounds, thresholds count Wh or litres.
"""

from __future__ import annotations

from collections.abc import Sequence

from labctl.hub.services.base import Answer, answer, command_of
from labctl.hub.services.publishing import event_of, in_parts
from labctl.hub.services.time import zigbee_time
from labctl.meters import Tariff
from labctl.meters.tariff import CURRENCY_GBP, PRICE_TRAILING_DIGITS, Blocks
from labctl.smart_energy.clusters import Price
from labctl.smart_energy.clusters.price import PriceMatrixEntry, TierLabel

KWH = 0x00
DIGITS = PRICE_TRAILING_DIGITS << 4
"""Trailing digits, in the high nibble as all of Price has them."""
DIVISOR = 1000
"""Of thresholds: Wh or litres to kWh or m3."""
LABEL_OCTETS = 12
UNUSED = 0xFF
DELIVERED = 0x00
RECEIVED = 0x01
BOTH = 0x02

_TOU, _BLOCK, _TOU_AND_BLOCK, _TOU_AND_BLOCK_EACH = range(4)
_MOST_BLOCK_TIERS = 15  # the tier shares an octet with the block
_TOU_PRICES = 0x01
_FOR_ALL_TIERS = 0x01
_MATRIX_HEADER = 19
_LABELS_HEADER = 15


def label(text: str) -> bytes:
    """A label of at most 12 octets, cut at the end of a letter."""
    return text.encode()[:LABEL_OCTETS].decode(errors="ignore").encode()


def scheme(tariff: Tariff) -> int:
    """The charging scheme (D.4.2.4.5.1)."""
    if tariff.blocks is None:
        return _TOU
    if not tariff.tiers:
        return _BLOCK
    return _TOU_AND_BLOCK_EACH if tariff.blocks.individual else _TOU_AND_BLOCK


def tier_block_mode(tariff: Tariff) -> int:
    """Which of blocks, prices and thresholds depend on the tier; 0xFF without blocks."""
    return UNUSED if tariff.blocks is None else scheme(tariff) - 1


def thresholds_in_use(tariff: Tariff) -> int:
    """How many block thresholds there are."""
    return 0 if tariff.blocks is None else len(tariff.blocks.thresholds)


def tariff_information(tariff: Tariff) -> Answer:
    """PublishTariffInformation: 35 octets and the label."""
    return answer(
        command_of(Price, "publish_tariff_information"),
        provider_id=tariff.provider_id,
        issuer_event_id=event_of(tariff),
        issuer_tariff_id=tariff.tariff_id,
        start_time=zigbee_time(tariff.start_s),
        tariff_type_and_charging_scheme=scheme(tariff) << 4 | DELIVERED,
        tariff_label=tariff.name.encode(),
        number_of_price_tiers_in_use=len(tariff.unit_prices),
        number_of_block_thresholds_in_use=thresholds_in_use(tariff),
        unit_of_measure=KWH,
        currency=CURRENCY_GBP,
        price_trailing_digit=DIGITS,
        standing_charge=tariff.standing_charge,
        tier_block_mode=tier_block_mode(tariff),
        block_threshold_multiplier=1,
        block_threshold_divisor=DIVISOR,
    )


def price_matrix(tariff: Tariff) -> list[Answer]:
    """PublishPriceMatrix: 19 octets and 5 for each price."""
    entries = _prices(tariff)
    parts = in_parts(entries, lambda _: 5, _MATRIX_HEADER)
    return [
        answer(
            command_of(Price, "publish_price_matrix"),
            provider_id=tariff.provider_id,
            issuer_event_id=event_of(tariff),
            start_time=zigbee_time(tariff.start_s),
            issuer_tariff_id=tariff.tariff_id,
            command_index=index,
            total_number_of_commands=len(parts),
            sub_payload_control=_TOU_PRICES if tariff.blocks is None else 0,
            prices=part,
        )
        for index, part in enumerate(parts)
    ]


def _prices(tariff: Tariff) -> Sequence[PriceMatrixEntry]:
    """By tier (from 1), or by tier << 4 | block (from 0; without tiers the tier is 0)."""
    blocks = tariff.blocks
    if blocks is None:
        return [
            PriceMatrixEntry(id=number, price=price)
            for number, price in enumerate(tariff.unit_prices, 1)
        ]
    return [
        PriceMatrixEntry(
            id=(tier if tariff.tiers else 0) << 4 | block - 1,
            price=tariff.unit_price_of(tier, block),
        )
        for tier in range(1, min(len(tariff.tiers) + 1, _MOST_BLOCK_TIERS) + 1)
        for block in range(1, len(blocks.thresholds) + 2)
    ]


def block_thresholds(tariff: Tariff, blocks: Blocks) -> Answer:
    """PublishBlockThresholds: 19 octets and 6 for each threshold, of one tier or of each."""
    values = b"".join(threshold.to_bytes(6, "little") for threshold in blocks.thresholds)
    count = len(blocks.thresholds)
    each = blocks.individual and bool(tariff.tiers)
    tiers = range(1, min(len(tariff.tiers) + 1, _MOST_BLOCK_TIERS) + 1) if each else range(1)
    return answer(
        command_of(Price, "publish_block_thresholds"),
        provider_id=tariff.provider_id,
        issuer_event_id=event_of(tariff),
        start_time=zigbee_time(tariff.start_s),
        issuer_tariff_id=tariff.tariff_id,
        command_index=0,
        total_number_of_commands=1,
        sub_payload_control=0 if each else _FOR_ALL_TIERS,
        thresholds=b"".join(bytes((tier << 4 | count,)) + values for tier in tiers),
    )


def tier_labels(tariff: Tariff) -> list[Answer]:
    """PublishTierLabels: 15 octets and each tier's number and label."""
    labels = [
        TierLabel(tier=number, label=label(text)) for number, text in enumerate(tariff.labels, 1)
    ]
    parts = in_parts(labels, lambda entry: 2 + len(entry.label), _LABELS_HEADER)
    return [
        answer(
            command_of(Price, "publish_tier_labels"),
            provider_id=tariff.provider_id,
            issuer_event_id=event_of(tariff),
            issuer_tariff_id=tariff.tariff_id,
            command_index=index,
            total_number_of_commands=len(parts),
            labels=part,
        )
        for index, part in enumerate(parts)
    ]


def co2_value(tariff: Tariff, grams: int) -> Answer:
    """PublishCO2Value, in kg a kWh with three trailing digits."""
    return answer(
        command_of(Price, "publish_co2_value"),
        provider_id=tariff.provider_id,
        issuer_event_id=event_of(tariff),
        start_time=zigbee_time(tariff.start_s),
        tariff_type=DELIVERED,
        co2_value=grams,
        co2_value_unit=CO2_KG_PER_KWH,
        co2_value_trailing_digit=CO2_DIGITS,
    )


CO2_KG_PER_KWH = 0x01
CO2_DIGITS = 0x30
