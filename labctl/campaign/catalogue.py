"""The built-in cases, found in their folder."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.campaign import cases
from labctl.campaign.case import Case, case_of

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
