"""Durations, quoting and suggestions; the table of cluster names; the schema and the docs."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from labctl.config import schema
from labctl.config.clusters import CLUSTERS, cluster_named
from labctl.config.durations import duration_text, parse_duration
from labctl.config.inventory import Device
from labctl.config.problems import did_you_mean, quote

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("500ms", 0.5),
        ("30min", 1800),
        ("24h", 86400),
        ("1d", 86400),
        ("1h30min", 5400),
        ("1 h 30 min", 5400),
        ("1.5h", 5400),
        ("90", 90),
        ("0.25", 0.25),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "10", "10 m", "ten", "-5s", "5s5", "1h-5min", "s", "1e3s"])
def test_what_is_no_duration_is_refused_or_read_as_seconds(text: str) -> None:
    if text == "10":
        assert parse_duration(text) == timedelta(seconds=10)
        return
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


def test_a_duration_too_long_to_count_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than time"):
        parse_duration("99999999999d")


@given(st.integers(0, 400 * 86_400_000))
def test_durations_survive_being_written(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(duration_text(duration)) == duration


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        duration = parse_duration(text)
    except ValueError:
        return
    assert duration >= timedelta(0)


@given(st.binary(min_size=8, max_size=18), st.sampled_from(["", " ", ":", "-", "."]))
def test_quoting_never_shows_what_may_be_a_code(octets: bytes, separator: str) -> None:
    code = octets.hex(separator) if separator else octets.hex()
    for text in (code, code.upper(), f"x {code} y"):
        shown = re.sub(r"[^0-9a-f]", "", quote(text).lower())
        assert octets.hex()[:8] not in shown


def test_quoting_is_short_and_suggestions_are_near() -> None:
    assert quote("chanel") == "'chanel'"
    assert len(quote("no code " * 100)) < 60
    assert did_you_mean("chanel", ["channel", "pan_id"]) == "did you mean 'channel'?"
    assert did_you_mean("Channel", ["channel"]) == "did you mean 'channel'?"
    assert did_you_mean("xyz", ["channel", "band"]) == "known here: band, channel"
    assert did_you_mean("xyz", []) == ""


def test_a_model_hides_what_it_refuses() -> None:
    with pytest.raises(ValidationError) as caught:
        Device.model_validate({"kind": "ihd", "eui64": "83FED3407A939723A5C639B26916D505C3B5"})
    assert "83FED340" not in str(caught.value)


# -- cluster names --------------------------------------------------------------------------------


def test_cluster_names_agree_with_the_cluster_definitions() -> None:
    from labctl.smart_energy.clusters import CLUSTERS as DEFINITIONS

    compared = 0
    for name, names in CLUSTERS.items():
        definition = DEFINITIONS.get(names.cluster_id)
        if definition is None:
            continue
        attributes = {attribute.name: int(attribute.id) for attribute in definition.AttributeDefs}
        commands = {command.name: int(command.id) for command in definition.ServerCommandDefs}
        for table, defined in ((names.attributes, attributes), (names.commands, commands)):
            for word, number in table.items():
                assert number in defined.values(), (name, word)
                assert defined.get(word, number) == number, (name, word)
                compared += 1
    assert compared > 60


def test_clusters_are_found_by_name_and_by_number() -> None:
    by_name, by_number = cluster_named("metering"), cluster_named(0x0702)
    assert by_name == by_number
    assert cluster_named("nonsense") is None
    unknown = cluster_named(0xFC00)
    assert unknown is not None
    assert unknown[0] == 0xFC00
    assert not unknown[1].attributes


# -- schema and documentation ---------------------------------------------------------------------


@pytest.mark.parametrize("file", schema.FILES)
def test_shipped_schema_is_in_step(file: str) -> None:
    shipped = (DOCS / "schema" / f"{file}.schema.json").read_text()
    assert shipped == schema.schema_text(file), "run: python -m labctl.config.schema docs"


def test_tables_in_the_documentation_are_in_step() -> None:
    page = (DOCS / "rig-files.md").read_text()
    assert page == schema.with_tables(page), "run: python -m labctl.config.schema docs"


@pytest.mark.parametrize("file", schema.FILES)
def test_every_key_says_what_it_means(file: str) -> None:
    rows = [line for line in schema.tables(file).splitlines() if line.startswith("| `")]
    assert len(rows) > 20
    for row in rows:
        assert row.rstrip(" |").count("|") >= 4, row
        assert row.rstrip("| ")[-1] in ".:", row


@pytest.mark.parametrize(
    ("file", "path"), [("inventory", "inventory.yaml"), ("rig", "rigs/virtual.yaml")]
)
def test_shipped_files_pass_their_schema(file: str, path: str) -> None:
    text = (PROJECT / path).read_text()
    data = YAML(typ="safe", pure=True).load(
        text.replace("T00:00:00Z", "T00:00:00Z ").replace(
            "start: 2026-01-05T00:00:00Z", 'start: "2026-01-05T00:00:00Z"'
        )
    )
    validator = jsonschema.Draft202012Validator(schema.json_schema(file))
    validator.check_schema(schema.json_schema(file))
    assert list(validator.iter_errors(data)) == []
    hint = re.search(r"yaml-language-server: \$schema=(\S+)", text)
    assert hint
    assert (PROJECT / path).parent.joinpath(hint[1]).resolve() == (
        DOCS / "schema" / f"{file}.schema.json"
    )


def test_the_schema_refuses_what_the_check_refuses() -> None:
    validator = jsonschema.Draft202012Validator(schema.json_schema("rig"))
    rig = YAML(typ="safe", pure=True).load((PROJECT / "rigs" / "virtual.yaml").read_text())
    rig["virtual"]["start"] = "2026-01-05T00:00:00Z"
    for spoil in (
        {"rig": "My Rig"},
        {"hub": {**rig["hub"], "channel": "20"}},
        {"hub": {**rig["hub"], "chanel": 20}},
        {"meters": {}},
        {"bench": {"duration": "10m"}},
    ):
        assert not validator.is_valid({**rig, **spoil}), spoil
    assert validator.is_valid(rig)
