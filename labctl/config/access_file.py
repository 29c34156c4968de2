"""The access table as a file: who may do what to the clusters of the hub."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from labctl.config.clusters import CLUSTERS, ClusterNames, cluster_named
from labctl.config.document import Document, Place
from labctl.config.fields import Strict, choice, unique, wrong
from labctl.config.problems import ConfigurationErrors, Problem, did_you_mean, errors_of, quote
from labctl.config.reading_models import read_model
from labctl.events import DeviceKind
from labctl.smart_energy.access import AccessTable, General, What

_WHAT = "access table"


def _kinds(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise wrong("a list of kinds of devices is needed here", "write [cad, ihd], or []")
    unique(value, what="kind")
    return value


class AccessFile(Strict):
    """An access table."""

    clusters: dict[
        str,
        dict[
            str,
            Annotated[
                tuple[Annotated[DeviceKind, choice(DeviceKind)], ...],
                BeforeValidator(_kinds),
                Field(strict=False),
            ],
        ],
    ]
    """Kinds of devices by cluster and by what they may do to it."""


def shipped_access() -> AccessTable:
    """The table that comes with labctl."""
    with as_file(files("labctl.smart_energy") / "data" / "access.yaml") as path:
        return load_access(path)


def load_access(path: Path) -> AccessTable:
    """Read and check an access table. Raises `ConfigurationErrors`."""
    table, problems = inspect_access(path)
    if table is None or errors_of(problems):
        raise ConfigurationErrors(errors_of(problems))
    return table


def inspect_access(path: Path) -> tuple[AccessTable | None, list[Problem]]:
    """All that can be said of an access table. Raises nothing for what a file may hold."""
    model, document, problems = read_model(path, AccessFile, what=_WHAT)
    if model is None or document is None:
        return None, problems
    reader = _Reader(document)
    rows = reader.rows(model)
    return AccessTable(rows), problems + reader.problems


class _Reader:
    """Turns names into numbers, and says where that cannot be done."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.problems: list[Problem] = []

    def rows(self, model: AccessFile) -> dict[tuple[int, What], frozenset[DeviceKind]]:
        rows: dict[tuple[int, What], frozenset[DeviceKind]] = {}
        for word, entries in model.clusters.items():
            place: Place = ("clusters", word)
            found = cluster_named(_number(word))
            if found is None or found[0] > 0xFFFF:
                self._complain(
                    place,
                    f"there is no cluster {quote(word)}",
                    did_you_mean(word, CLUSTERS),
                )
                continue
            cluster_id, names = found
            for row, kinds in entries.items():
                what = self._what((*place, row), row, names)
                if what is None:
                    continue
                if (cluster_id, what) in rows:
                    self._complain((*place, row), f"{quote(row)} of this cluster has a row already")
                rows[cluster_id, what] = frozenset(kinds)
        return rows

    def _what(self, place: Place, row: str, names: ClusterNames) -> What | None:
        number = _number(row)
        if isinstance(number, int):
            if number <= 0xFF:
                return number
            self._complain(place, f"{row} is no command: 0x00 to 0xFF are possible")
            return None
        if row in (General.READ.value, General.WRITE.value):
            return General(row)
        command = names.all_commands.get(row)
        if command is None:
            words = ["read", "write", *names.all_commands]
            self._complain(
                place, f"the cluster has no command {quote(row)}", did_you_mean(row, words)
            )
        return command

    def _complain(self, place: Place, what: str, mend: str = "") -> None:
        self.problems.append(self._document.problem(place, what, mend, of_key=True))


def _number(word: str) -> int | str:
    try:
        number = int(word, 16) if word.lower().startswith("0x") else int(word)
    except ValueError:
        return word
    return number if number >= 0 else word
