"""What a rig is after loading: references looked up, secrets kept, choices made."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from labctl.config.loading import inspect_inventory, inspect_rig, load_inventory, load_rig
from labctl.config.paths import find_rig
from labctl.config.problems import ConfigurationErrors, ProblemSeverity
from labctl.config.resolved import LoadedRig, ReadSchedule
from labctl.errors import ConfigurationError
from labctl.events import DeviceKind
from labctl.smart_energy.install_code import InstallCode

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
IHD_CODE = "83FED3407A939723A5C639B26916D505C3B5"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABCTL_INVENTORY", raising=False)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A copy of the shipped files, to be changed."""
    shutil.copy(PROJECT / "inventory.yaml", tmp_path)
    shutil.copytree(PROJECT / "rigs", tmp_path / "rigs")
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def uncommented(text: str) -> str:
    """What the hint in the files asks for: below a "## " line, the "# " of each line taken away."""
    lines, below = [], False
    for line in text.splitlines():
        bare = line.lstrip()
        if bare.startswith("## "):
            below = True
        elif bare.startswith("#") and below:
            line = re.sub(r"# ?", "", line, count=1)
        elif bare:
            below = False
        lines.append(line)
    return "\n".join(lines) + "\n"


def test_shipped_rig_is_complete() -> None:
    loaded = load_rig(PROJECT / "rigs" / "virtual.yaml")
    assert loaded.name == "virtual"
    assert loaded.is_virtual
    assert loaded.warnings == ()
    assert loaded.bench_duration == timedelta(hours=24)
    assert loaded.rig.hub.all_suites == (2,)
    assert loaded.rig.virtual is not None
    assert loaded.rig.virtual.start == datetime(2026, 1, 5, tzinfo=UTC)
    ihd, cad = loaded.devices
    assert (ihd.kind, cad.kind) == (DeviceKind.IHD, DeviceKind.CAD)
    assert ihd.install_code == InstallCode.parse(IHD_CODE)
    assert ihd.pairing.window == timedelta(minutes=10)
    assert cad.schedules == (
        ReadSchedule(
            name="electricity",
            cluster_id=0x0702,
            endpoint=None,
            meter="electricity",
            on_hub=False,
            attributes=(0x0000, 0x0400),
            command_id=None,
            period_ms=10_000,
            tolerance_ms=2_000,
        ),
        ReadSchedule(
            name="gas",
            cluster_id=0x0702,
            endpoint=None,
            meter="gas",
            on_hub=False,
            attributes=(0x0000,),
            command_id=None,
            period_ms=1_800_000,
            tolerance_ms=60_000,
        ),
    )


def test_commented_real_rig_is_right_once_uncommented(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (lab / "inventory.yaml", lab / "rigs" / "bench-ezsp.yaml"):
        path.write_text(uncommented(path.read_text()))
    monkeypatch.setenv("LABCTL_CODE_IHD_1", IHD_CODE)
    loaded = load_rig(lab / "rigs" / "bench-ezsp.yaml")
    assert not loaded.is_virtual
    assert loaded.bench_duration is None
    assert loaded.warnings == ()
    assert [device.name for device in loaded.devices] == ["ihd-1"]
    assert loaded.radio.usb is not None
    monkeypatch.delenv("LABCTL_CODE_IHD_1")
    with pytest.raises(ConfigurationErrors, match="LABCTL_CODE_IHD_1 is not set"):
        load_rig(lab / "rigs" / "bench-ezsp.yaml")


def test_one_line_puts_a_real_stick_under_the_virtual_rig(lab: Path) -> None:
    inventory, rig = lab / "inventory.yaml", lab / "rigs" / "virtual.yaml"
    change(inventory, "devices:\n", "  stick: {driver: ezsp, path: /dev/ttyUSB0}\n\ndevices:\n")
    change(rig, "radio: virtual-ezsp", "radio: stick")
    loaded = load_rig(rig)
    assert loaded.devices == ()
    assert loaded.left_out == ("virtual-ihd", "virtual-cad")
    assert all(warning.severity is ProblemSeverity.WARNING for warning in loaded.warnings)
    said = "\n".join(str(warning) for warning in loaded.warnings)
    assert said.count("is left out") == 2
    assert "this section has no effect" in said
    assert loaded.bench_duration == timedelta(hours=24)


# -- secrets --------------------------------------------------------------------------------------


def test_nothing_shows_a_code() -> None:
    loaded = load_rig(PROJECT / "rigs" / "virtual.yaml")
    texts = [
        repr(loaded),
        str(loaded.inventory),
        loaded.inventory.model_dump_json(),
        repr(loaded.inventory.model_dump()),
        repr(dataclasses.asdict(loaded.devices[0])),
    ]
    for text in texts:
        assert "<secret>" in text
        assert IHD_CODE not in text
        assert "83FED340" not in text.upper()


def test_fingerprint_has_no_secret_in_it_and_no_layout(lab: Path) -> None:
    rig = lab / "rigs" / "virtual.yaml"

    def fingerprint() -> str:
        return load_rig(rig).config_sha256

    before = fingerprint()
    change(lab / "inventory.yaml", IHD_CODE, "83FED3407A939738C552")
    assert fingerprint() == before, "another code is no other configuration"
    change(rig, "channel: 20", "channel: 0x14   # the same in other words")
    change(rig, "window: 10min", "window: 600")
    assert fingerprint() == before, "comments and spelling do not count"
    change(rig, "channel: 0x14", "channel: 21")
    assert fingerprint() != before


def code_from(lab: Path, source: str, environ: Mapping[str, str] | None = None) -> InstallCode:
    change(lab / "inventory.yaml", f'"{IHD_CODE}"', source)
    checked = inspect_rig(lab / "rigs" / "virtual.yaml", environ=environ)
    assert checked.rig is not None, checked.problems
    return checked.rig.devices[0].install_code


@pytest.mark.parametrize(
    "written",
    [
        IHD_CODE,
        IHD_CODE.lower() + "\n",
        "83FE D340 7A93 9723 A5C6 39B2 6916 D505 C3B5\r\n",
        "83-FE-D3-40-7A-93-97-23-A5-C6-39-B2-69-16-D5-05-C3-B5",
    ],
)
def test_a_code_may_be_in_a_file_or_in_the_environment(lab: Path, written: str) -> None:
    expected = InstallCode.parse(IHD_CODE)
    (lab / "ihd.code").write_text(written)
    assert code_from(lab, "{file: ihd.code}") == expected
    shutil.copy(PROJECT / "inventory.yaml", lab)
    assert code_from(lab, "{env: THE_CODE}", {"THE_CODE": written}) == expected


def test_a_file_may_hold_the_octets_themselves(lab: Path) -> None:
    (lab / "ihd.code").write_bytes(bytes.fromhex(IHD_CODE))
    assert code_from(lab, "{file: ihd.code}") == InstallCode.parse(IHD_CODE)


def test_a_code_of_digits_alone_is_not_taken_for_a_number(lab: Path) -> None:
    digits = next(
        text
        for n in range(100_000)
        if (
            text := InstallCode.from_octets_without_crc(bytes.fromhex(f"{n:012d}"))
            .octets.reveal()
            .hex()
        ).isdigit()
    )
    assert digits.startswith("0")
    assert code_from(lab, digits) == InstallCode.parse(digits)


def test_references_that_the_rig_does_not_use_are_left_alone(lab: Path) -> None:
    change(
        lab / "inventory.yaml",
        "  virtual-cad:\n",
        "  spare: {kind: ihd, eui64: 00:00:5e:ef:10:00:00:0f, install_code: {env: NOT_SET_X}}\n"
        "  virtual-cad:\n",
    )
    assert load_rig(lab / "rigs" / "virtual.yaml").devices
    assert load_inventory(lab / "inventory.yaml").devices["spare"]
    (problem,) = inspect_inventory(lab / "inventory.yaml", environ={}).problems
    assert "NOT_SET_X is not set" in problem.what


def test_a_certificate_is_read_and_its_key_kept(lab: Path) -> None:
    shutil.copytree(HERE / "lab", lab / "other")
    rig = lab / "rigs" / "virtual.yaml"
    change(rig, "generation: smets2", "generation: smets1\n  certificate: suite-1-only")
    loaded = load_rig(rig, lab / "other" / "inventory.yaml")
    assert loaded.certificate is not None
    assert loaded.certificate.suite == 1
    assert loaded.certificate.subject == "00:00:00:00:00:00:00:01"
    assert "00b8a900" not in repr(loaded)


# -- which inventory ------------------------------------------------------------------------------


def inventory_of(loaded: LoadedRig) -> str:
    return loaded.inventory_path.name


def test_the_inventory_is_the_one_chosen_then_named_then_nearby(lab: Path) -> None:
    rig = lab / "rigs" / "virtual.yaml"
    for name in ("named.yaml", "chosen.yaml"):
        shutil.copy(lab / "inventory.yaml", lab / name)
    assert inventory_of(load_rig(rig)) == "inventory.yaml"
    change(rig, "rig: virtual\n", "rig: virtual\ninventory: ../named.yaml\n")
    assert inventory_of(load_rig(rig)) == "named.yaml"
    assert inventory_of(load_rig(rig, lab / "chosen.yaml")) == "chosen.yaml"
    shutil.copy(lab / "inventory.yaml", lab / "rigs" / "inventory.yaml")
    change(rig, "inventory: ../named.yaml\n", "")
    assert load_rig(rig).inventory_path == lab / "rigs" / "inventory.yaml"


def test_no_inventory_nearby_is_an_error_of_the_rig_file(lab: Path) -> None:
    (lab / "inventory.yaml").unlink()
    with pytest.raises(ConfigurationErrors, match=r"there is no inventory\.yaml near"):
        load_rig(lab / "rigs" / "virtual.yaml")


def test_a_rig_is_found_by_name_or_path(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lab)
    assert find_rig("virtual") == Path("rigs/virtual.yaml")
    assert find_rig("rigs/virtual.yaml") == Path("rigs/virtual.yaml")
    monkeypatch.chdir(lab / "rigs")
    assert find_rig("virtual") == lab / "rigs" / "virtual.yaml"
    with pytest.raises(ConfigurationError, match="no rig 'virtuel'"):
        find_rig("virtuel")


# -- YAML -----------------------------------------------------------------------------------------


def test_merge_keys_and_aliases_work(lab: Path) -> None:
    rig = lab / "rigs" / "virtual.yaml"
    change(
        rig,
        "      - name: gas\n        cluster: metering\n        endpoint: gas\n"
        "        attributes: [current_summation_delivered]\n        every: 30min\n"
        "        tolerance: 1min\n",
        "      - <<: {cluster: metering, every: 5min, attributes: [0x0000]}\n"
        "        name: gas\n        endpoint: gas\n        every: 30min\n"
        "        tolerance: 1min\n",
    )
    assert {device.schedules[1].period_ms for device in load_rig(rig).devices} == {1_800_000}


def test_a_byte_order_mark_and_windows_line_ends_are_no_matter(lab: Path) -> None:
    rig = lab / "rigs" / "virtual.yaml"
    before = load_rig(rig)
    rig.write_bytes(b"\xef\xbb\xbf" + rig.read_bytes().replace(b"\n", b"\r\n"))
    assert load_rig(rig).config_sha256 == before.config_sha256


def test_sections_that_are_all_comments_are_empty(lab: Path) -> None:
    change(lab / "rigs" / "virtual.yaml", "bench:\n  duration: 24h", "bench:\n  # duration: 24h")
    assert load_rig(lab / "rigs" / "virtual.yaml").rig.bench.duration is None


def test_numbers_keep_the_form_in_which_texts_were_written(lab: Path) -> None:
    change(lab / "rigs" / "virtual.yaml", '"LAB-E-0001"', "00123")
    change(lab / "rigs" / "virtual.yaml", '"LAB-G-0001"', "12E5")
    meters = load_rig(lab / "rigs" / "virtual.yaml").rig.meters
    assert [meter.serial_number for meter in meters.values()] == ["00123", "12E5"]


def refusal(path: Path) -> str:
    with pytest.raises(ConfigurationErrors) as caught:
        load_rig(path)
    return json.dumps([problem.as_json() for problem in caught.value.problems])


def test_files_that_are_no_yaml_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    assert "there is no such rig file" in refusal(path)
    assert "this is a folder" in refusal(tmp_path)
    path.write_bytes("rig: x\n".encode("utf-16"))
    assert "UTF-16" in refusal(path)
    path.write_bytes("rig: x\nhub: {radio: ä".encode() + b"\xe4}\n")
    said = refusal(path)
    assert "octet 0xe4 is not UTF-8" in said
    assert '"line": 2, "column": 15' in said
    path.write_bytes(b"rig: x\nhub: \x07\n")
    assert "control character" in refusal(path)
    path.write_bytes(b"#" * (1 << 20) + b"\n")
    assert "too large" in refusal(path)
    path.write_text("a: " + "[" * 5000)
    assert "nested too deeply" in refusal(path)
    path.write_text("[" * 100 + "]" * 100)
    assert "a list, not a mapping" in refusal(path)


def test_aliases_cannot_blow_a_file_up(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    path.write_text("\n".join(lines))
    assert "too many values" in refusal(path)


def test_aliases_cannot_nest_a_file_too_deeply(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    lines = ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{x: *a{n - 1}}}" for n in range(1, 400))]
    path.write_text("\n".join(lines))
    assert "nested too deeply" in refusal(path)


def test_a_file_that_must_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("rig: x\n")

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "must not be read" in refusal(path)
