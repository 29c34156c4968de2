"""The built-in cases, found in their folder."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.campaign import cases
from labctl.campaign.case import Case, Measure, case_of

CASES = Path(cases.__file__).parent


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A built-in case, the test function that plays it, and where that is."""

    case: Case
    function: Callable[..., Any]
    module: str

    @property
    def asks_for(self) -> tuple[str, ...]:
        """The fixtures that it takes."""
        return tuple(inspect.signature(self.function).parameters)

    @property
    def about(self) -> str:
        """Its module's docstring: what it does, and why."""
        return inspect.getdoc(inspect.getmodule(self.function)) or ""


def built_in() -> tuple[BuiltIn, ...]:
    """All of them, in the order in which they are played."""
    found = []
    for info in pkgutil.walk_packages(cases.__path__, cases.__name__ + "."):
        if not info.name.rpartition(".")[2].startswith("test_"):
            continue
        module = importlib.import_module(info.name)
        found += [
            BuiltIn(case_of(function), function, info.name)
            for name, function in inspect.getmembers(module, inspect.isfunction)
            if name.startswith("test_") and function.__module__ == info.name
        ]
    return tuple(sorted(found, key=lambda each: each.case.order))


def table() -> str:
    """The built-in cases as a table for the documentation."""
    rows = ["| case | what has to hold | measures |", "|---|---|---|"]
    for found in built_in():
        measures = "; ".join(_in_short(measure) for measure in found.case.measures)
        rows.append(f"| {found.case.name} | {found.case.title} | {measures} |")
    return "\n".join(rows) + "\n"


def _in_short(measure: Measure) -> str:
    unit = f" {measure.unit}" if measure.unit else ""
    if measure.least is not None and measure.least == measure.most:
        return f"`{measure.name}` = {measure.least:g}{unit}"
    low = "" if measure.least is None else f"{measure.least:g} ≤ "
    high = "" if measure.most is None else f" ≤ {measure.most:g}"
    return f"{low}`{measure.name}`{high}{unit if low or high else ''}"


def with_table(text: str) -> str:
    """The page with its table made anew. Raises `ValueError` without its markers."""
    start, end = "<!-- cases: generated -->", "<!-- end of cases -->"
    before, found, rest = text.partition(start)
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise ValueError(f"the markers {start} and {end} are missing")
    return f"{before}{start}\n\n{table()}\n{end}{after}"


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(with_table(page.read_text(encoding="utf-8")), encoding="utf-8")
