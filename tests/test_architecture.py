"""The house: arrows point down, no circles. This table is the one in docs/architecture.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import labctl

PACKAGE = Path(labctl.__file__).parent

FOUNDATION = {"errors", "secret", "clock", "events", "files"}
"""What is without a room of its own: anybody may import it."""

MAY_IMPORT: dict[str, set[str]] = {
    "smart_energy": set(),
    "config": {"smart_energy"},
    "leases": set(),
    "capture": set(),
    "statistics": set(),
    "radio": {"smart_energy", "config", "leases"},
    "meters": {"smart_energy"},
    "hub": {"radio.coordinator", "meters", "smart_energy"},
    "record": {"statistics"},
    "virtual": {"smart_energy", "config", "capture"},
    "rig": {
        *("smart_energy", "config", "leases", "radio", "meters", "hub", "record", "virtual"),
        "capture",
    },
    "bench": {"rig", "record", "config", "leases", "capture"},
    "campaign": {
        "rig",
        "record",
        "capture",
        "config",
        "statistics",
        "hub",
        "meters",
        "smart_energy",
        "radio.coordinator",
    },
    "survey": {
        "rig",
        "record",
        "config",
        "statistics",
        "hub",
        "smart_energy",
        "radio.coordinator",
    },
    "lab": {"smart_energy", "config", "leases", "radio", "rig", "record"},
    "report": {"record", "statistics"},
    "cli": {"bench", "campaign", "survey", "lab", "report", "config", "record"},
}

NAMED_EXCEPTIONS = {
    # The commands of the virtual rig are the only ones that reach into virtual/, and to the folder
    # where its devices keep what they show.
    "cli.virtual": {"virtual", "smart_energy", "rig.state_folder"},
    # What a person does to meters goes into the rig's journal.
    "cli.meter": {"rig"},
    # What is leased is shown as it is.
    "cli.lease": {"leases"},
    "cli.power": {"leases", "rig.power"},
    # How large files are, and channels by any of their names.
    "cli.capture": {"capture", "smart_energy.channels"},
    # What nights say is shown as it is.
    "cli.trend": {"statistics"},
    # Certificates and install codes are Smart Energy values that a person handles directly.
    "cli.inventory": {"smart_energy"},
}

DRIVERS = {"bellows", "zigpy_znp", "serialx"}
"""Only radio/ may know that drivers exist."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield name, ast.parse(path.read_text(), filename=str(path))


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that arrows can be read"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def allowed(module: str, target: str) -> bool:
    room = module.split(".")[0]
    target_room = target.split(".")[0]
    if target_room in FOUNDATION or target_room == room or room == "":
        return True
    permitted = MAY_IMPORT.get(room, set()) | NAMED_EXCEPTIONS.get(module, set())
    return any(target == name or target.startswith(name + ".") for name in permitted)


def arrows() -> Iterator[tuple[str, str]]:
    known = {name for name, _ in modules()}
    for name, tree in modules():
        for target in imports(tree):
            if target.startswith("labctl.") and target.removeprefix("labctl.") in known:
                yield name, target.removeprefix("labctl.")


def test_every_arrow_points_down() -> None:
    wrong = sorted(
        {f"{a} imports {b}" for a, b in arrows() if a not in FOUNDATION and not allowed(a, b)}
    )
    assert not wrong, "\n".join(wrong)


def test_every_room_is_in_the_table() -> None:
    rooms = {name.split(".")[0] for name, _ in modules()} - {"", "__main__"} - FOUNDATION
    assert rooms <= set(MAY_IMPORT), sorted(rooms - set(MAY_IMPORT))


def test_the_foundation_imports_no_room() -> None:
    wrong = [
        f"{a} imports {b}"
        for a, b in arrows()
        if a in FOUNDATION and b.split(".")[0] not in FOUNDATION
    ]
    assert not wrong, wrong


def test_statistics_are_pure_values() -> None:
    """Of labctl it may know how a bad value is refused, and nothing else."""
    wrong = [
        f"{a} imports {b}"
        for a, b in arrows()
        if a.split(".")[0] == "statistics" and b.split(".")[0] not in {"statistics", "errors"}
    ]
    assert not wrong, wrong


def test_only_the_radio_room_knows_the_drivers() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, tree in modules()
        for target in imports(tree)
        if target.split(".")[0] in DRIVERS and name.split(".")[0] != "radio"
    ]
    assert not wrong, wrong


def test_nothing_reads_the_computers_clock_behind_the_loops_back() -> None:
    """`clock.py` is the one place that may ask for the time of day."""
    forbidden = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow")}
    wrong = []
    for name, tree in modules():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and (node.func.value.id, node.func.attr) in forbidden
                and name != "clock"
            ):
                wrong.append(f"{name}:{node.lineno} calls {node.func.value.id}.{node.func.attr}()")
    assert not wrong, wrong
