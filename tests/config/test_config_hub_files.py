"""Files that a rig's hub refers to: the access table and the folder of images."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

from labctl.config.loading import inspect_rig, load_rig
from labctl.events import DeviceKind
from labctl.rig.assembly import hub_settings
from labctl.smart_energy.access import General
from labctl.smart_energy.disagreements import ApsSecurity, PriceForm

PROJECT = Path(__file__).parents[2]
IMAGE = (
    struct.pack("<IHHHHHIH32sI", 0x0BEEF11E, 0x0100, 56, 0, 0x10D7, 0x0502, 7, 2, b"display", 66)
    + struct.pack("<HI", 0, 4)
    + b"code"
)


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    shutil.copy(PROJECT / "inventory.yaml", tmp_path)
    shutil.copytree(PROJECT / "rigs", tmp_path / "rigs")
    return tmp_path / "rigs" / "virtual.yaml"


def with_hub_keys(rig: Path, *lines: str) -> Path:
    text = rig.read_text()
    assert "hub:\n" in text
    rig.write_text(text.replace("hub:\n", "hub:\n" + "".join(f"  {line}\n" for line in lines), 1))
    return rig


def found(rig: Path) -> list[str]:
    return [
        f"{problem.path.name}:{problem.line}: {problem.what}" for problem in inspect_rig(rig).errors
    ]


def test_a_rig_without_them_has_the_shipped_table_and_no_images(rig: Path) -> None:
    settings = hub_settings(load_rig(rig))
    assert settings.access.allowed(DeviceKind.CAD, 0x0702, General.READ)
    assert settings.ota.images == ()
    assert (settings.refusal_status, settings.write_status) == (0x7E, 0x88)


def test_table_images_and_settings_reach_the_hub(rig: Path) -> None:
    (rig.parent / "images").mkdir()
    (rig.parent / "images" / "display.ota").write_bytes(IMAGE)
    (rig.parent / "images" / "notes.txt").write_text("not an image")
    (rig.parent / "mine.yaml").write_text("clusters:\n  metering: {read: [other]}\n")
    with_hub_keys(
        rig,
        "access: mine.yaml",
        "refusal_status: 0xC0",
        "ota: {images: images, block_period: 250ms, upgrade_after: null, notify: false}",
        "tunnels: {close_after: 1h, most: 2}",
        "supplier: {name: Acme Energy, customer_id: A123}",
    )
    text = rig.read_text()
    assert "\ndevices:\n" in text
    first = text.index("- device:", text.index("\ndevices:\n"))
    end = text.index("\n", first) + 1
    indent = " " * (first - text.rindex("\n", 0, first) + 1)
    added = f"{indent}settings: {{time_security: required, publish_price: long, suites: [2]}}\n"
    rig.write_text(text[:end] + added + text[end:])
    before = load_rig(rig)
    settings = hub_settings(before)
    assert settings.access.allowed(DeviceKind.OTHER, 0x0702, General.READ)
    assert not settings.access.allowed(DeviceKind.CAD, 0x0702, General.READ)
    assert settings.refusal_status == 0xC0
    assert [image.version for image in settings.ota.images] == [7]
    assert (settings.ota.block_period_ms, settings.ota.upgrade_after_s) == (250, None)
    assert (settings.tunnels.close_after_s, settings.tunnels.most) == (3600, 2)
    assert (settings.supplier.name, settings.supplier.customer_id) == ("Acme Energy", "A123")
    treated = settings.devices[0].settings
    assert (treated.time_security, treated.price_form) == (ApsSecurity.REQUIRED, PriceForm.LONG)
    assert treated.suites == (2,)
    (rig.parent / "mine.yaml").write_text("clusters:\n  metering: {read: [ihd]}\n")
    assert load_rig(rig).config_sha256 != before.config_sha256, "another table, another rig"


def test_what_is_wrong_with_them_is_said_in_the_file_where_it_is(rig: Path) -> None:
    (rig.parent / "images").mkdir()
    (rig.parent / "images" / "a.ota").write_bytes(IMAGE)
    (rig.parent / "images" / "b.ota").write_bytes(IMAGE)
    (rig.parent / "images" / "c.zigbee").write_bytes(IMAGE[:-1])
    (rig.parent / "mine.yaml").write_text("clusters:\n  metring: {}\n")
    with_hub_keys(rig, "access: mine.yaml", "ota: {images: images}")
    errors = found(rig)
    assert errors == [
        "mine.yaml:2: there is no cluster 'metring'",
        "b.ota:0: a.ota is the same image: manufacturer 0x10D7, type 0x0502, version 0x00000007",
        "c.zigbee:0: not an OTA image: octet 52: total image size 66: the file has 65 octets",
    ]


def test_files_that_are_not_there_are_said_so_in_the_rig_file(rig: Path) -> None:
    with_hub_keys(rig, "access: none.yaml", "ota: {images: nowhere}")
    assert [error.split(": ", 1)[1].split(" at ")[0].split(" /")[0] for error in found(rig)] == [
        "there is no access table",
        "there is no folder",
    ]
