"""Whatever is done to a file, checking it ends in problems with places, never in an exception."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.config.loading import Checked, inspect_inventory, inspect_rig

PROJECT = Path(__file__).parents[2]
RIG = (PROJECT / "rigs" / "virtual.yaml").read_text()
RIGS = [path.read_text() for path in sorted((PROJECT / "rigs").glob("virtual*.yaml"))]
INVENTORY = (PROJECT / "inventory.yaml").read_text()
SNIPPETS = (
    *("{", "}", "[", "]", ":", ": ", "- ", "#", "&a ", "*a", "!!int ", "<<: ", "'", '"', "|\n"),
    *("\t", "\n", "  ", "null", "true", "0x", "-1", "1e999", ".nan", ".inf", "1_0", "0o9"),
    *("env", "file", "kind: gas", "virtual:", "9" * 70, "\u2028", "ß", "\x85", "---\n", "? "),
)


def sound(checked: Checked, *texts: str) -> None:
    most = max(text.count("\n") for text in texts) + 2
    for problem in checked.problems:
        assert problem.what
        assert problem.line <= most
        assert "83FED340" not in str(problem).upper()
    assert (checked.rig is None) or not checked.errors


def spoiled(text: str, seed: int) -> str:
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 4)):
        lines = text.split("\n")
        row = rng.randrange(len(lines))
        what = rng.randrange(6)
        if what == 0:
            del lines[row]
        elif what == 1:
            lines.insert(rng.randrange(len(lines)), lines[row])
        elif what == 2:
            column = rng.randint(0, len(lines[row]))
            lines[row] = lines[row][:column] + rng.choice(SNIPPETS) + lines[row][column:]
        elif what == 3:
            lines[row] = rng.choice(("", " ", "    ")) + lines[row].lstrip()
        elif what == 4:
            key, colon, _ = lines[row].partition(":")
            lines[row] = key + colon + " " + rng.choice(SNIPPETS)
        else:
            lines[row] = lines[row][: rng.randint(0, len(lines[row]))]
        text = "\n".join(lines)
    return text


@pytest.mark.parametrize("seed", range(150))
def test_a_spoiled_rig_file_gives_problems(seed: int, tmp_path: Path) -> None:
    (tmp_path / "inventory.yaml").write_text(INVENTORY)
    text = spoiled(RIGS[seed % len(RIGS)], seed)
    path = tmp_path / "rig.yaml"
    path.write_text(text, encoding="utf-8")
    sound(inspect_rig(path), text, INVENTORY)


@pytest.mark.parametrize("seed", range(150))
def test_a_spoiled_inventory_gives_problems(seed: int, tmp_path: Path) -> None:
    text = spoiled(INVENTORY, 1000 + seed)
    (tmp_path / "inventory.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "rig.yaml").write_text(RIG)
    sound(inspect_inventory(tmp_path / "inventory.yaml"), text)
    sound(inspect_rig(tmp_path / "rig.yaml"), text, RIG)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_octets_give_problems(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "rig.yaml"
    path.write_bytes(octets)
    checked = inspect_rig(path)
    assert checked.errors
    assert checked.rig is None
