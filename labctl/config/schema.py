"""JSON Schema of the two files, and the tables of their keys for the documentation.

`python -m labctl.config.schema DOCS` writes both into the documentation's folder; the tests say
when that is due.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from labctl.config.clusters import CLUSTERS
from labctl.config.durations import duration_text
from labctl.config.fields import Strict
from labctl.config.inventory import Inventory
from labctl.config.rig_file import Rig

FILES: dict[str, type[Strict]] = {"inventory": Inventory, "rig": Rig}

Schema = dict[str, Any]

_DURATION = TypeAdapter(timedelta)


def json_schema(file: str) -> Schema:
    """The schema of `inventory` or `rig` files (JSON Schema 2020-12)."""
    schema: Schema = _without_ours(_raw_schema(file))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _raw_schema(file: str) -> Schema:
    """With `x-kind`, the word for a type that our own tables show."""
    schema: Schema = _with_readable_durations(FILES[file].model_json_schema(mode="validation"))
    return schema


def _with_readable_durations(value: Any) -> Any:
    """pydantic writes defaults as PT10M, which our files do not read."""
    if isinstance(value, dict):
        changed = {key: _with_readable_durations(item) for key, item in value.items()}
        if str(value.get("x-kind", "")).startswith("duration") and "default" in value:
            changed["default"] = duration_text(_DURATION.validate_python(value["default"]))
        return changed
    if isinstance(value, list):
        return [_with_readable_durations(item) for item in value]
    return value


def _without_ours(value: Any) -> Any:
    """Drops the keys that only our own tables read."""
    if isinstance(value, dict):
        return {key: _without_ours(item) for key, item in value.items() if key != "x-kind"}
    if isinstance(value, list):
        return [_without_ours(item) for item in value]
    return value


# -- tables of keys --------------------------------------------------------------------------------

_TITLES = {
    "Inventory": "Top level of the inventory",
    "Rig": "Top level of a rig file",
    "Radio": "`radios.NAME`",
    "UsbIdentity": "`radios.NAME.usb`",
    "Power": "`power` of a radio or a device",
    "HubPort": "`power.uhubctl`",
    "VirtualRadio": "`radios.NAME.virtual`",
    "Device": "`devices.NAME`",
    "VirtualDevice": "`devices.NAME.virtual`",
    "Behaviour": "`devices.NAME.virtual.behaviour`",
    "KeyFaults": "`devices.NAME.virtual.behaviour.key_establishment`",
    "DisplayFaults": "`devices.NAME.virtual.behaviour.display`",
    "Burst": "`devices.NAME.virtual.behaviour`: `replays`, `flood`, `rejoin_storm`",
    "Malformed": "`devices.NAME.virtual.behaviour.malformed`",
    "Press": "`devices.NAME.virtual.behaviour.presses`, each",
    "Certificate": "`certificates.NAME`",
    "FromEnvironment": "A secret in an environment variable",
    "FromFile": "A secret in a file",
    "Hub": "`hub`",
    "KeepAlive": "`hub.keep_alive`",
    "Ota": "`hub.ota`",
    "Tunnels": "`hub.tunnels`",
    "SubGhz": "`hub.sub_ghz`",
    "DutyCycle": "`hub.duty_cycle` and `virtual.duty_cycle`",
    "Agility": "`hub.agility`",
    "Links": "`hub.links`",
    "Supplier": "`hub.supplier`",
    "ElectricityMeter": "`meters.NAME`, electricity",
    "GasMeter": "`meters.NAME`, gas",
    "Tariff": "`meters.NAME.tariff`",
    "Tier": "`meters.NAME.tariff.tiers`, each",
    "Blocks": "`meters.NAME.tariff.blocks`",
    "Switching": "`switching` of a tariff, and `non_disablement` of an account",
    "Switch": "`switching.days`, each of a day",
    "Season": "`switching.seasons`, each",
    "SpecialDay": "`switching.special_days`, each",
    "Csv": "`meters.NAME.csv`",
    "Panels": "`meters.NAME.generation`",
    "Prepayment": "`meters.NAME.prepayment`",
    "TimeDebt": "`meters.NAME.prepayment.debts`, each",
    "PaymentDebt": "`meters.NAME.prepayment.payment_debt`",
    "DeviceRole": "`devices`, each",
    "Pairing": "`devices[].pairing`",
    "Read": "`devices[].reads`, each",
    "Disputed": "`devices[].settings`",
    "Bench": "`bench`",
    "Campaign": "`campaign`",
    "Survey": "`survey`",
    "Limit": "`campaign.limits.CASE.MEASUREMENT`",
    "Quarantine": "`campaign.quarantine`, each",
    "Capture": "`capture`",
    "VirtualBench": "`virtual`",
    "Environment": "`virtual.environment`",
    "House": "`virtual.house`",
    "Room": "`virtual.house.rooms.NAME`",
    "Wall": "`virtual.house.walls`, each",
    "Material": "`virtual.house.materials.NAME`",
    "Interferer": "`virtual.interference`, each",
}


def tables(file: str) -> str:
    """All keys of a file as Markdown tables, from the top down."""
    root = _raw_schema(file)
    definitions: dict[str, Schema] = root.get("$defs", {})
    order = [str(root["title"])]
    models = {order[0]: root, **definitions}
    for name in order:  # grows while it is walked
        order += [found for found in _references(models[name]) if found not in order]
    return "\n".join(
        _table(name, models[name], definitions) for name in order if _is_model(models[name])
    )


def _is_model(schema: Schema) -> bool:
    return "properties" in schema


def _references(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        found = [_target(schema["$ref"])] if "$ref" in schema else []
        return found + [
            name for key, item in schema.items() if key != "$defs" for name in _references(item)
        ]
    if isinstance(schema, list):
        return [name for item in schema for name in _references(item)]
    return []


def _target(reference: str) -> str:
    return reference.rsplit("/", 1)[-1]


def _table(name: str, schema: Schema, definitions: dict[str, Schema]) -> str:
    rows = [
        f"### {_TITLES[name]}",
        "",
        "| key | type | default | meaning |",
        "|---|---|---|---|",
    ]
    required = schema.get("required", [])
    for key, item in schema["properties"].items():
        default = "**required**" if key in required else _default(item)
        meaning = re.sub(r"\s+", " ", _meaning(item, definitions))
        cells = (f"`{key}`", _type(item, definitions), default, meaning)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _meaning(item: Schema, definitions: dict[str, Schema]) -> str:
    """Its own description, or that of the one model that it refers to."""
    models = [definitions[name] for name in _references(item)]
    return str(item.get("description") or (models[0].get("description", "") if models else ""))


def _default(item: Schema) -> str:
    default = item.get("default")
    if default is None or default in ({}, []):
        return ""
    return f"`{default}`" if isinstance(default, str) else f"`{json.dumps(default)}`"


def _type(item: Schema, definitions: dict[str, Schema]) -> str:
    if "x-kind" in item:
        return str(item["x-kind"])
    if "$ref" in item:
        target = definitions[_target(item["$ref"])]
        return _type(target, definitions) if "enum" in target else "mapping"
    if "const" in item:
        return f"`{item['const']}`"
    if "enum" in item:
        return ", ".join(f"`{value}`" for value in item["enum"])
    for union in ("anyOf", "oneOf"):
        if union in item:
            kinds = [_type(part, definitions) for part in item[union] if part.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if item["type"] == "array":
        inner = _type(item["items"], definitions)
        return "list of mappings" if inner == "mapping" else f"list of: {inner}"
    if item["type"] == "object":
        if "patternProperties" not in item:
            return "mapping"
        inner = _type(next(iter(item["patternProperties"].values())), definitions)
        return f"mapping of names to {'mappings' if inner == 'mapping' else inner}"
    return {"string": "text", "boolean": "`true` or `false`"}[item["type"]]


def cluster_table() -> str:
    """The names that read schedules may use."""
    rows = ["| cluster | number | attributes | commands |", "|---|---|---|---|"]
    for name, cluster in CLUSTERS.items():
        attributes, commands = (
            ", ".join(f"`{word}`" for word in words)
            for words in (cluster.attributes, cluster.commands)
        )
        rows.append(f"| `{name}` | 0x{cluster.cluster_id:04X} | {attributes} | {commands} |")
    return "\n".join(rows) + "\n"


# -- keeping the documentation in step -------------------------------------------------------------


def with_tables(text: str) -> str:
    """The text of the documentation with its tables made anew, between their markers."""
    parts = {f"keys of {file}": tables(file) for file in FILES} | {"clusters": cluster_table()}
    for name, table in parts.items():
        start, end = f"<!-- {name}: generated -->", f"<!-- end of {name} -->"
        before, found, rest = text.partition(start)
        _, found_end, after = rest.partition(end)
        if not (found and found_end):
            raise ValueError(f"the markers {start} and {end} are missing")
        text = f"{before}{start}\n\n{table}\n{end}{after}"
    return text


def schema_text(file: str) -> str:
    """The schema as it is shipped."""
    return json.dumps(json_schema(file), indent=2, ensure_ascii=False) + "\n"


def write(docs: Path) -> None:
    """Bring the schemas and the tables in `docs` up to date."""
    (docs / "schema").mkdir(exist_ok=True)
    for file in FILES:
        (docs / "schema" / f"{file}.schema.json").write_text(schema_text(file), encoding="utf-8")
    page = docs / "rig-files.md"
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
