"""The table of device faults in docs/campaign.md. That each is found is tested theme by theme."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from fault_table import THEMES, all_faults, with_table

from labctl.campaign.catalogue import built_in

PAGE = Path(__file__).parents[2] / "docs" / "campaign.md"


def test_the_page_has_every_fault_and_the_case_that_finds_it() -> None:
    text = PAGE.read_text()
    assert with_table(text) == text, "python tests/campaign/fault_table.py"


def test_there_are_at_least_thirty_each_with_a_name_of_its_own() -> None:
    faults = all_faults()
    assert len(faults) >= 30
    assert len({fault.name for fault in faults}) == len(faults)


def test_each_is_found_by_a_case_that_there_is() -> None:
    known = {found.case.name for found in built_in()}
    assert {fault.caught_by for fault in all_faults()} <= known


@pytest.mark.parametrize("theme", THEMES)
def test_each_theme_plays_all_of_its_faults(theme: str) -> None:
    words = theme.removeprefix("faults_")
    test = Path(__file__).with_name(f"test_{words}_cases.py").read_text()
    assert f"from {theme} import" in test
    assert "FAULTS" in test
    assert importlib.import_module(theme).FAULTS
