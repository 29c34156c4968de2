"""Every fault of a device that the campaign is held to find, and the page's table of them."""

from __future__ import annotations

import importlib
from pathlib import Path

from device_fault import DeviceFault

THEMES = tuple(sorted(path.stem for path in Path(__file__).parent.glob("faults_*.py")))
_START = "<!-- device faults: generated -->"
_END = "<!-- end of device faults -->"


def all_faults() -> tuple[DeviceFault, ...]:
    """Of all themes, in the order of the cases that find them."""
    found = [fault for theme in THEMES for fault in importlib.import_module(theme).FAULTS]
    order = "JKDARSL"
    return tuple(
        sorted(found, key=lambda fault: (order.index(fault.caught_by[0]), fault.caught_by))
    )


def table() -> str:
    rows = ["| fault | what is wrong with the device | found by |", "|---|---|---|"]
    rows += [f"| {fault.name} | {fault.says} | {fault.caught_by} |" for fault in all_faults()]
    return "\n".join(rows) + "\n"


def with_table(text: str) -> str:
    before, found, rest = text.partition(_START)
    _, found_end, after = rest.partition(_END)
    if not (found and found_end):
        raise ValueError(f"the markers {_START} and {_END} are missing")
    return f"{before}{_START}\n\n{table()}\n{_END}{after}"


if __name__ == "__main__":
    page = Path(__file__).parents[2] / "docs" / "campaign.md"
    page.write_text(with_table(page.read_text()))
