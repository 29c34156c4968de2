"""What an inventory says of a virtual device reaches the device; its screen reaches the person."""

from __future__ import annotations

import dataclasses
import json
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from labctl.cli.main import main
from labctl.config import behaviour as written
from labctl.config.inventory import ActsAs
from labctl.config.loading import load_rig
from labctl.errors import ConfigurationError, ExitCode
from labctl.rig.assembly import behaviour, virtual_kind
from labctl.rig.state_folder import StateFolder
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.devices import (
    Behaviour,
    KeyCheck,
    Kind,
    LifeStep,
    load_picture,
    picture_path,
)
from labctl.virtual.devices import behaviour as understood
from labctl.virtual.devices.picture import keep, picture
from labctl.virtual.devices.published import _READERS, read
from labctl.virtual.devices.screen import Screen
from labctl.virtual.devices.zcl import ZclError

PROJECT = Path(__file__).parents[2]
BURST = {"per_second": 3, "after": "1min", "duration": "10s"}

KNOBS: dict[str, Any] = {
    "start_delay": "7s",
    "wrong_install_code": True,
    "ignore_permit_bit": True,
    "looks_every": "2min",
    "gives_up_joining": True,
    "foreign_certificate": True,
    "certificate_of_another": True,
    "key_usage_missing": True,
    "never_announces": True,
    "reads_before_key_establishment": True,
    "key_establishment": {
        "fault": "repeated",
        "attempts": 3,
        "ephemeral_declared": "4s",
        "confirm_declared": "5s",
        "ephemeral_work": "6s",
        "confirm_work": "500ms",
        "ignores_wait": True,
        "never": True,
        "overlooks": ["issuer", "order"],
        "never_terminates": True,
        "keeps_key": True,
        "gives_up": True,
        "patience": "7s",
    },
    "leaves_at": "joined",
    "silent_at": "registered",
    "power_cut_at": "key-confirm",
    "power_cuts_every": "1h",
    "power_back_after": "3s",
    "writes_attribute": True,
    "writes_every": "1min",
    "forbidden_commands_every": "2min",
    "reads_per_slot": 4,
    "duplicate_counters": True,
    "replays": BURST,
    "flood": BURST,
    "malformed": BURST | {"layers": ["zdo", "zcl"]},
    "rejoin_storm": BURST,
    "fast_poll_every": "1h",
    "presses": [{"button": "top-up", "after": "5s", "code": "01234567890123456789"}],
    "stays": "2h",
    "silent_after": "3h",
    "ignores_suspension": True,
    "answers_suspension": True,
    "never_asks_suspension": True,
    "ignores_channel_change": True,
    "forgets_network": True,
    "never_rejoins": True,
    "ignores_keep_alive": True,
    "misses_network_key": True,
    "stays_when_removed": True,
    "keeps_tenant_data": True,
    "hides_firmware": True,
    "refuses_other_hub": True,
    "ignores_ota_wait": True,
    "prefers_wrong_band": True,
    "gives_up_after_unsupported": True,
    "crashes_on_malformed": True,
    "display": {
        "ignores_multiplier": True,
        "ignores_divisor": True,
        "forgets_summation": True,
        "keeps_first_price": True,
        "history_in_local_time": True,
    },
    "clock_ppm": 40,
}


def lab(folder: Path, virtual: dict[str, Any], kind: str = "ihd") -> Path:
    """The shipped virtual rig with its IHD changed."""
    yaml = YAML(typ="safe")
    inventory = yaml.load((PROJECT / "inventory.yaml").read_text())
    device = inventory["devices"]["virtual-ihd"]
    device["virtual"] |= virtual
    device["kind"] = kind
    (folder / "rigs").mkdir()
    with (folder / "inventory.yaml").open("w") as file:
        yaml.dump(inventory, file)
    path = folder / "rigs" / "virtual.yaml"
    path.write_text((PROJECT / "rigs" / "virtual.yaml").read_text())
    return path


def test_every_knob_reaches_the_device(tmp_path: Path) -> None:
    loaded = load_rig(lab(tmp_path, {"behaviour": KNOBS}))
    entry = loaded.devices[0].device.virtual
    assert entry is not None
    found, healthy = behaviour(entry.behaviour), Behaviour()
    for field in dataclasses.fields(Behaviour):
        assert getattr(found, field.name) != getattr(healthy, field.name), field.name
    for field in dataclasses.fields(found.key_establishment):
        assert getattr(found.key_establishment, field.name) not in (None, False), field.name
    for field in dataclasses.fields(found.display):
        assert getattr(found.display, field.name), field.name
    assert found.key_establishment.overlooks == {KeyCheck.ISSUER, KeyCheck.ORDER}
    assert found.power_cut_at is LifeStep.KEY_CONFIRM
    assert found.malformed is not None
    assert (found.malformed.per_second, found.malformed.after_s, found.malformed.duration_s) == (
        3.0,
        60.0,
        10.0,
    )
    assert set(KNOBS) | {"read_periods"} == set(written.Behaviour.model_fields)


@pytest.mark.parametrize("name", ["LifeStep", "KeyFault", "KeyCheck", "Layer", "Button"])
def test_the_files_know_the_words_that_the_devices_know(name: str) -> None:
    one: type[StrEnum] = getattr(written, name)
    other: type[StrEnum] = getattr(understood, name)
    assert [member.value for member in one] == [member.value for member in other]
    assert [member.value for member in ActsAs] == [member.value for member in Kind]


@pytest.mark.parametrize(
    ("kind", "virtual", "expected"),
    [
        ("ihd", {}, Kind.IHD),
        ("ppmid", {}, Kind.PPMID),
        ("meter", {}, Kind.GAS_METER),
        ("other", {"acts_as": "load-switch"}, Kind.LOAD_SWITCH),
        ("other", {"acts_as": "hand-held-terminal"}, Kind.HAND_HELD_TERMINAL),
        ("other", {}, None),
    ],
)
def test_a_device_does_what_its_kind_says_or_what_it_acts_as(
    kind: str, virtual: dict[str, Any], expected: Kind | None, tmp_path: Path
) -> None:
    loaded = load_rig(lab(tmp_path, virtual, kind))
    assert virtual_kind(loaded.devices[0]) is expected


@pytest.mark.parametrize(
    ("knobs", "word"),
    [
        ({"malformed": {"per_second": 1, "layers": ["mac"]}}, "mac"),
        ({"leaves_at": "yesterday"}, "yesterday"),
        ({"flood": {"per_second": 0}}, "0.001 to 1000"),
        ({"key_establishment": {"ephemeral_declared": "255s"}}, "0s to 254s"),
        ({"presses": [{"button": "doorbell"}]}, "doorbell"),
    ],
)
def test_a_knob_that_does_not_exist_is_told(
    knobs: dict[str, Any], word: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError) as told:
        load_rig(lab(tmp_path, {"behaviour": knobs}))
    assert word in str(told.value) + told.value.where


# -- the screen -----------------------------------------------------------------------------------


def test_the_screen_of_a_rig_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = lab(tmp_path, {})
    folder = StateFolder(tmp_path / "inventory.yaml", "virtual").rig
    shown = picture(Kind.IHD, Eui64("00:00:5e:ef:10:00:00:02"), Screen(), 0.0)
    shown["electricity"] = dict.fromkeys(
        ("reading", "today_kwh", "today_cost", "price", "tariff", "ambient", "supply"), None
    ) | {
        "reading": "12.5 kWh",
        "demand_kw": 0.25,
        "prepayment": {"balance": 3.5, "status": "ok", "emergency_credit": None, "debt": 0.0},
    }
    keep(picture_path(folder / "virtual-ihd.json"), shown)
    options = ["virtual", "screen", str(path), "--inventory", str(tmp_path / "inventory.yaml")]
    assert main(options) == ExitCode.PASS
    text = capsys.readouterr().out
    assert "12.5 kWh" in text
    assert "0.25 kW" in text
    assert "balance          3.5" in text
    assert "virtual-cad: nothing was ever shown" in text
    assert main([*options, "--json"]) == ExitCode.PASS
    data = json.loads(capsys.readouterr().out)["data"]
    assert data["screens"] == {"virtual-ihd": shown}
    assert main([*options[:3], "nobody", *options[3:]]) == ExitCode.USAGE
    assert "virtual-ihd, virtual-cad" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"format": "x", "version": 1}', "\x00"])
def test_a_damaged_picture_is_told(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "a.screen.json"
    path.write_text(damage)
    with pytest.raises(ConfigurationError, match="screen cannot be read"):
        load_picture(path)
    assert load_picture(tmp_path / "none") is None


@given(st.sampled_from(sorted(_READERS)), st.binary(max_size=120))
def test_what_servers_publish_is_read_or_is_a_zcl_error(
    which: tuple[int, int], octets: bytes
) -> None:
    try:
        found = read(*which, octets)
    except ZclError:
        return
    assert found is not None
    assert found.fields
