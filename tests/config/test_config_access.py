"""The access table as a file: the one that is shipped, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.config.access_file import inspect_access, load_access, shipped_access
from labctl.config.problems import ConfigurationErrors
from labctl.events import DeviceKind
from labctl.smart_energy.access import AccessTable, General
from labctl.smart_energy.clusters import CLUSTERS

CAD, PPMID = DeviceKind.CAD, DeviceKind.PPMID


def problems(tmp_path: Path, text: str) -> list[tuple[int, int, str]]:
    path = tmp_path / "access.yaml"
    path.write_text(text)
    _, found = inspect_access(path)
    return [(problem.line, problem.column, problem.what) for problem in found]


def test_the_shipped_table_follows_the_working_matrix() -> None:
    table = shipped_access()
    assert table.allowed(CAD, 0x0702, General.READ)
    assert table.allowed(CAD, 0x0702, 0x08), "Get Sampled Data"
    assert not table.allowed(CAD, 0x0702, 0x0C), "Local Change Supply"
    assert table.allowed(PPMID, 0x0702, 0x0C)
    assert [kind for kind in DeviceKind if table.allowed(kind, 0x0705, 0x00)] == [PPMID]
    assert not any(table.allowed(kind, 0x0702, 0x0B) for kind in DeviceKind), "Change Supply"
    assert not any(table.allowed(kind, 0x0705, 0x02) for kind in DeviceKind), "Change Debt"
    hand_held = DeviceKind.HAND_HELD_TERMINAL
    assert table.allowed(hand_held, 0x0709, 0x00)
    assert not table.allowed(hand_held, 0x0702, General.READ)


def test_every_row_of_the_shipped_table_is_of_a_defined_command() -> None:
    for cluster_id, what in shipped_access().rows:
        commands = {int(command.id) for command in CLUSTERS[cluster_id].ServerCommandDefs}
        assert isinstance(what, General) or what in commands, (hex(cluster_id), what)


def test_numbers_do_as_well_as_names(tmp_path: Path) -> None:
    path = tmp_path / "access.yaml"
    path.write_text(
        "clusters:\n  0x0702:\n    0x0C: [cad]\n    read: []\n  0xFC01: {0x00: [ihd]}\n"
    )
    table = load_access(path)
    assert table.allowed(CAD, 0x0702, 0x0C)
    assert table.allowed(DeviceKind.IHD, 0xFC01, 0x00)
    assert not table.allowed(CAD, 0x0702, General.READ)


def test_a_table_that_denies_nothing_can_be_made() -> None:
    table = AccessTable.everything([0x0702])
    assert all(table.allowed(kind, 0x0702, 0x0B) for kind in DeviceKind)
    assert not table.allowed(CAD, 0x0700, 0x00)


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("clusters:\n  metring: {}\n", 2, 3, "there is no cluster 'metring'"),
        ("clusters:\n  price:\n    reed: [cad]\n", 3, 5, "the cluster has no command 'reed'"),
        ("clusters:\n  price:\n    0x100: []\n", 3, 5, "0x100 is no command"),
        ("clusters:\n  price:\n    read: [tv]\n", 3, 12, "'tv' is not possible here"),
        ("clusters:\n  price:\n    read: cad\n", 3, 11, "a list of kinds of devices is needed"),
        ("clusters:\n  price:\n    read: [cad, cad]\n", 3, 11, "kind 'cad' stands here twice"),
        (
            "clusters:\n  price:\n    get_current_price: []\n    0x00: []\n",
            4,
            5,
            "'0x00' of this cluster has a row already",
        ),
        ("clusters:\n  price: {}\n  price: {}\n", 3, 3, "a second time"),
        ("rows: {}\n", 1, 1, "unknown key 'rows'"),
    ],
)
def test_what_is_wrong_is_said_with_line_and_column(
    tmp_path: Path, text: str, line: int, column: int, what: str
) -> None:
    found = problems(tmp_path, text)
    assert any((line, column) == (a, b) and what in c for a, b, c in found), found
    with pytest.raises(ConfigurationErrors):
        load_access(tmp_path / "access.yaml")
