"""The page's colours can be read, in daylight and in the dark (WCAG 2.2, 1.4.3 and 1.4.11)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import labctl.report

STYLE = (Path(labctl.report.__file__).parent / "templates" / "style.css").read_text()


def palette(dark: bool) -> dict[str, str]:
    light_part, dark_part = STYLE.split("@media (prefers-color-scheme: dark)", 1)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", light_part))
    if dark:
        colours.update(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", dark_part.split("* {", 1)[0]))
    return colours


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


VERDICTS = ("pass", "marginal", "fail", "incomplete", "infra")


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read(dark: bool) -> None:
    p = palette(dark)
    for paper in ("page", "card"):
        for ink in ("ink", "soft", "to", *VERDICTS):
            assert contrast(p[ink], p[paper]) >= 4.5, (ink, paper)
    for verdict in VERDICTS:
        assert contrast(p[verdict], p[f"{verdict}-bg"]) >= 4.5, verdict


@pytest.mark.parametrize("dark", [False, True])
def test_lines_and_bars_stand_out(dark: bool) -> None:
    p = palette(dark)
    for mark in ("to", "from", "network", "keys", "use", "fail", "marginal", "infra"):
        assert contrast(p[mark], p["card"]) >= 3, mark
    for phase in ("network", "keys", "use", "fail"):
        assert contrast(p[phase], p["track"]) >= 2.5, phase


def test_the_two_themes_name_the_same_colours() -> None:
    light_part, dark_part = STYLE.split("@media (prefers-color-scheme: dark)", 1)
    names = re.compile(r"--([a-z-]+): #")
    assert set(names.findall(light_part)) == set(names.findall(dark_part.split("* {", 1)[0]))
    used = set(re.findall(r"var\(--([a-z-]+)\)", STYLE))
    local = {"v", "vb", "c", "p", "l"}
    assert used - local <= set(names.findall(light_part))
