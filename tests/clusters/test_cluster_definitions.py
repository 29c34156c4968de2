"""The cluster definitions, held against frames that GB meters really exchange."""

from __future__ import annotations

from typing import Any

import pytest
import zigpy.types as t
from zigpy.zcl import Cluster
from zigpy.zcl.clusters import general, smartenergy

from labctl.config.clusters import CLUSTERS as NAMED_IN_RIG_FILES
from labctl.smart_energy.clusters import (
    CLUSTERS,
    Basic,
    Drlc,
    KeyEstablishment,
    Messaging,
    Metering,
    Price,
)
from labctl.smart_energy.clusters.price import PriceMatrixEntry, TierLabel


def zeroes(schema: Any, **given: Any) -> Any:
    """A command with every mandatory field 0 or empty, but for those given."""
    fields = {}
    for field in schema.fields:
        if field.name in given:
            fields[field.name] = given[field.name]
        elif not field.optional:
            fields[field.name] = field.type() if issubclass(field.type, bytes | str | list) else 0
    return schema(**fields)


def test_zigpys_own_registry_is_left_alone() -> None:
    assert Cluster._registry[0x0700] is smartenergy.Price
    assert Cluster._registry[0x0702] is smartenergy.Metering
    assert Cluster._registry[0x0800] is smartenergy.KeyEstablishment
    assert Cluster._registry[0x0000] is general.Basic


def test_a_gas_meters_publish_price_as_it_was_really_sent() -> None:
    command = Price.ClientCommandDefs.publish_price.schema(
        provider_id=1,
        rate_label=b"",
        issuer_event_id=0x1C374A80,
        current_time=0x1C374A80,
        unit_of_measure=1,
        currency=0x033A,
        price_trailing_digit_and_price_tier=0x51,
        number_of_price_tiers_and_register_tier=0x41,
        start_time=0,
        duration_in_minutes=0x05A0,
        price=0x2580,
    )
    assert command.serialize() == bytes.fromhex(
        "0100000000804a371c804a371c013a03514100000000a00580250000"
    )
    assert len(command.serialize()) == 28


def test_publish_price_is_read_in_its_short_form_and_with_its_optional_tail() -> None:
    schema = Price.ClientCommandDefs.publish_price.schema
    short = zeroes(schema, rate_label=b"Day", price=24_500).serialize()
    assert len(short) == 28 + 3
    fields, rest = schema.deserialize(short)
    assert (fields.rate_label, fields.price, rest) == (b"Day", 24_500, b"")
    tail = bytes.fromhex("ff ffffffff ff ffffffff ff ff ff 00")
    fields, rest = schema.deserialize(short + tail)
    assert (fields.alternate_cost_delivered, fields.price_control, rest) == (0xFFFFFFFF, 0, b"")
    assert len(short + tail) == 42 + 3
    fields, rest = schema.deserialize(short + tail + b"\x01\x02\x03\x04\x05")
    assert (fields.extended_register_tier, rest) == (5, b"")
    assert len(short + tail) + 5 == 47 + 3


def test_publish_block_period_has_nothing_between_duration_and_control() -> None:
    command = Price.ClientCommandDefs.publish_block_period.schema(
        provider_id=1,
        issuer_event_id=2,
        block_period_start_time=3,
        block_period_duration=1,
        block_period_control=0x02,
        block_period_duration_type=0x23,
        tariff_type=0x00,
        tariff_resolution_period=0x01,
    ).serialize()
    assert len(command) == 19
    assert command[12:] == bytes.fromhex("010000 02 23 00 01")


def test_block_thresholds_of_three_blocks_have_38_octets() -> None:
    thresholds = bytes([0x03]) + b"".join(
        n.to_bytes(6, "little") for n in (1_000_000, 2_000_000, 3_000_000)
    )
    schema = Price.ClientCommandDefs.publish_block_thresholds.schema
    command = zeroes(schema, thresholds=thresholds, sub_payload_control=0x01).serialize()
    assert len(command) == 38
    assert command[18:20] == bytes.fromhex("01 03")


def test_price_matrix_has_start_before_tariff_and_tariff_information_the_other_way() -> None:
    matrix = zeroes(
        Price.ClientCommandDefs.publish_price_matrix.schema,
        start_time=0x11111111,
        issuer_tariff_id=0x22222222,
        prices=[PriceMatrixEntry(id=1, price=24_500), PriceMatrixEntry(id=2, price=12_000)],
    ).serialize()
    assert len(matrix) == 19 + 2 * 5
    assert matrix[8:16] == bytes.fromhex("11111111 22222222")
    tariff = zeroes(
        Price.ClientCommandDefs.publish_tariff_information.schema,
        start_time=0x11111111,
        issuer_tariff_id=0x22222222,
    ).serialize()
    assert tariff[8:16] == bytes.fromhex("22222222 11111111")


def test_tier_labels_count_their_entries() -> None:
    command = zeroes(
        Price.ClientCommandDefs.publish_tier_labels.schema,
        labels=[TierLabel(tier=1, label=b"Day"), TierLabel(tier=2, label=b"Night")],
    ).serialize()
    assert command[14:] == b"\x02\x01\x03Day\x02\x05Night"


@pytest.mark.parametrize(
    ("schema", "octets"),
    [
        (Price.ClientCommandDefs.publish_conversion_factor.schema, 13),
        (Price.ClientCommandDefs.publish_calorific_value.schema, 14),
        (Price.ClientCommandDefs.publish_tariff_information.schema, 35),
        (Price.ClientCommandDefs.publish_price_matrix.schema, 19),
        (Price.ClientCommandDefs.publish_co2_value.schema, 19),
        (Price.ClientCommandDefs.publish_billing_period.schema, 17),
        (Price.ClientCommandDefs.publish_consolidated_bill.schema, 24),
        (Price.ServerCommandDefs.get_current_price.schema, 1),
        (Price.ServerCommandDefs.get_scheduled_prices.schema, 5),
        (Price.ServerCommandDefs.price_acknowledgement.schema, 13),
        (Price.ServerCommandDefs.get_tariff_information.schema, 9),
        (Price.ServerCommandDefs.get_price_matrix.schema, 4),
        (Drlc.ClientCommandDefs.load_control_event.schema, 23),
        # Event, class, group, control and time: 4 + 2 + 1 + 1 + 4
        (Drlc.ClientCommandDefs.cancel_load_control_event.schema, 12),
        (Drlc.ClientCommandDefs.cancel_all_load_control_events.schema, 1),
        (Drlc.ServerCommandDefs.get_scheduled_events.schema, 5),
        (Messaging.ClientCommandDefs.display_message.schema, 12),
        (Messaging.ClientCommandDefs.cancel_message.schema, 5),
        (Messaging.ClientCommandDefs.cancel_all_messages.schema, 4),
        (Messaging.ServerCommandDefs.get_last_message.schema, 0),
        (Messaging.ServerCommandDefs.message_confirmation.schema, 8),
        (KeyEstablishment.ServerCommandDefs.terminate_key_establishment.schema, 4),
    ],
)
def test_commands_have_the_lengths_that_are_seen_on_the_air(schema: Any, octets: int) -> None:
    assert len(zeroes(schema).serialize()) == octets


@pytest.mark.parametrize(("certificate", "octets"), [(48, 52), (74, 78)])
def test_initiate_carries_a_certificate_of_either_suite(certificate: int, octets: int) -> None:
    schema = KeyEstablishment.ServerCommandDefs.initiate_key_establishment_request.schema
    data = zeroes(schema, identity=bytes(certificate)).serialize()
    assert len(data) == octets
    fields, rest = schema.deserialize(data)
    assert (len(fields.identity), rest) == (certificate, b"")


@pytest.mark.parametrize(
    ("attribute_id", "type_id"),
    [
        (0x0000, 0x25),  # summation, u48
        (0x0306, 0x18),  # device type: an enumeration in a bitmap8
        (0x0307, 0x41),  # site id, octet string
        (0x0400, 0x2A),  # demand, signed 24 bits
        (0x0401, 0x22),
        (0x042C, 0x22),  # day 8
        (0x043A, 0x22),  # week 5
        (0x0440, 0x23),  # this month, u32
        (0x045A, 0x23),  # month 13
        (0x0C01, 0x22),
        (0x0C5A, 0x23),
        (0x0703, 0x25),  # fourth block without tier
        (0x0A04, 0x18),
    ],
)
def test_metering_attributes_have_the_types_of_the_specification(
    attribute_id: int, type_id: int
) -> None:
    definitions = {int(d.id): d for d in Metering.AttributeDefs}
    assert int(definitions[attribute_id].zcl_type) == type_id


@pytest.mark.parametrize(
    ("attribute_id", "type_id"),
    [(0x0000, 0x41), (0x0301, 0x23), (0x0410, 0x23), (0x0610, 0x41), (0x0616, 0x21)],
)
def test_price_attributes_have_the_types_of_the_specification(
    attribute_id: int, type_id: int
) -> None:
    definitions = {int(d.id): d for d in Price.AttributeDefs}
    assert int(definitions[attribute_id].zcl_type) == type_id


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=lambda c: c.__name__)
def test_no_two_attributes_or_commands_share_an_id(cluster: type[Cluster]) -> None:
    for definitions in (
        [d for d in cluster.AttributeDefs if not d.is_manufacturer_specific],
        list(cluster.ServerCommandDefs),
        list(cluster.ClientCommandDefs),
    ):
        ids = [int(d.id) for d in definitions]
        assert len(ids) == len(set(ids))


def test_every_name_that_rig_files_may_use_has_a_definition() -> None:
    for name, names in NAMED_IN_RIG_FILES.items():
        cluster = CLUSTERS.get(names.cluster_id)
        if cluster is None:
            continue  # a cluster that is not served yet
        attributes = {int(d.id) for d in cluster.AttributeDefs}
        commands = {int(c.id) for c in cluster.ServerCommandDefs}
        assert set(names.attributes.values()) <= attributes, name
        assert set(names.commands.values()) <= commands, name


def test_basic_is_zigpys() -> None:
    assert Basic is general.Basic
    assert int(Basic.AttributeDefs.manufacturer.id) == 0x0004
    assert Basic.AttributeDefs.hw_version.type is t.uint8_t
