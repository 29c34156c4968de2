"""docs/ci.md: what stands in it can be read by what it is for."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from labctl.cli.main import labctl
from labctl.errors import ExitCode

PAGE = (Path(__file__).parents[1] / "docs" / "ci.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.S)


def test_the_recipes_are_yaml_and_unit_files() -> None:
    recipes = [YAML(typ="safe").load(text) for text in blocks("yaml")]
    assert {"jobs", "campaign"} <= {key for recipe in recipes for key in recipe}
    for text in blocks("ini"):
        unit = configparser.ConfigParser(interpolation=None)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(text)
        assert "Unit" in unit


def test_every_exit_code_of_the_page_is_one_of_labctls() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, flags=re.M)}
    assert codes <= {int(code) for code in ExitCode}
    assert {0, 1, 69, 75, 78, 130} <= codes


COMMANDS = sorted(
    set(re.findall(r"labctl ((?:campaign run|trend|matrix|db prune|lease take)\b[^`\n|]*)", PAGE))
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_on_the_page_exists(command: str) -> None:
    words = command.split(" -- ")[0].split()
    group = 2 if words[0] in ("campaign", "db", "lease") else 1
    shown = CliRunner().invoke(labctl, [*words[:group], "--help"])
    assert shown.exit_code == 0
    for option in re.findall(r"--[a-z-]+", command.split(" -- ")[0]):
        assert option in shown.output, option
