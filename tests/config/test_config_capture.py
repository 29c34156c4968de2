"""The section `capture` of a rig file: which radio may listen."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.config.loading import load_rig
from labctl.config.problems import ConfigurationErrors

INVENTORY = """
radios:
  hub: {driver: ezsp, path: /dev/ttyUSB0}
  second: {driver: ezsp, path: /dev/ttyUSB1}
  kit: {driver: ezsp, path: /dev/ttyUSB2, bands: [868 MHz]}
  ti: {driver: znp, path: /dev/ttyUSB3}
  made-up: {driver: ezsp, path: virtual}
"""
RIG = """
rig: bench
hub: {radio: RADIO}
meters:
  electricity: {kind: electricity, mpxn: "1200012345678", serial_number: "E1"}
capture: {radio: SNIFFER}
"""


def write(folder: Path, sniffer: str, radio: str = "hub", more: str = "") -> Path:
    (folder / "inventory.yaml").write_text(INVENTORY)
    path = folder / "bench.yaml"
    path.write_text(RIG.replace("RADIO", radio).replace("SNIFFER", sniffer) + more)
    return path


def test_a_second_stick_is_the_sniffer(tmp_path: Path) -> None:
    loaded = load_rig(write(tmp_path, "second"))
    assert loaded.rig.capture.radio == "second"
    assert not [each for each in loaded.warnings if "capture" in each.what]


@pytest.mark.parametrize(
    ("sniffer", "what"),
    [
        ("secnd", "there is no radio 'secnd'"),
        ("hub", "the hub works with the radio 'hub'"),
        ("ti", "ZNP has no packet capture"),
        ("made-up", "hears nothing of a real air"),
        ("kit", "the hub is on 2.4 GHz, which the radio 'kit' does not have"),
    ],
)
def test_a_radio_that_cannot_be_one_is_named_with_its_place(
    tmp_path: Path, sniffer: str, what: str
) -> None:
    with pytest.raises(ConfigurationErrors) as raised:
        load_rig(write(tmp_path, sniffer))
    (problem,) = raised.value.problems
    assert what in problem.what
    assert (problem.line, problem.column) == (6, 18)
    assert problem.mend


def test_a_virtual_rig_needs_none(tmp_path: Path) -> None:
    path = write(tmp_path, "second", "made-up", "virtual: {seed: 1, start: 2026-01-05T00:00:00Z}\n")
    (warning,) = [each for each in load_rig(path).warnings if "capture" in str(each.what)]
    assert "captured as a whole" in warning.what
