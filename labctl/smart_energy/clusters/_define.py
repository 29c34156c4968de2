"""zigpy's definition classes in the form that cluster definitions use here.

zigpy annotates its fields with its own integer types and turns plain integers and access strings
into them at run time; these functions say so to the type checker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from zigpy.zcl.foundation import BaseAttributeDefs, ZCLAttributeDef, ZCLCommandDef

Row = Mapping[str, ZCLAttributeDef]

_define_attribute: Any = ZCLAttributeDef
_define_command: Any = ZCLCommandDef


def attribute(id_: int, type_: Any, access: str = "r", mandatory: bool = False) -> ZCLAttributeDef:
    """An attribute; `access` as zigpy writes it ("r", "rw", "rp")."""
    definition: ZCLAttributeDef = _define_attribute(
        id=id_, type=type_, access=access, mandatory=mandatory
    )
    return definition


def command(id_: int, schema: Mapping[str, Any]) -> ZCLCommandDef:
    """A command; a field whose name ends in "?" is optional."""
    definition: ZCLCommandDef = _define_command(id=id_, schema=dict(schema))
    return definition


def row(ids_and_names: Iterable[tuple[int, str]], type_: Any, access: str = "r") -> Row:
    """One definition for each (attribute id, name), all of one type."""
    return {name: attribute(id_, type_, access) for id_, name in ids_and_names}


def rows(*several: Row) -> type[BaseAttributeDefs]:
    """A base class for `AttributeDefs` that holds these rows."""
    members: dict[str, Any] = {}
    for one in several:
        members |= one
    return type("Rows", (BaseAttributeDefs,), members)
