"""Entries for sticks that are in no inventory, and putting them into one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from labctl.config.inventory import Driver, FlowControl, Radio
from labctl.config.loading import inspect_inventory, load_inventory
from labctl.errors import ConfigurationError
from labctl.events import Band
from labctl.lab.suggest import Entry, add_to, stanza, suggestions
from labctl.lab.survey import Row, State
from labctl.radio.ports import Port
from labctl.radio.probe import Probed
from labctl.radio.sticks import Line, stick_of
from labctl.smart_energy.eui64 import Eui64

PROJECT = Path(__file__).parents[2]
HARDWARE = Line(flow_control=FlowControl.HARDWARE)


def row(
    serial: str | None = "0123",
    *,
    product: str = "SkyConnect v1.0",
    state: State = State.ANSWERED,
    names: tuple[str, ...] = (),
    twins: tuple[str, ...] = (),
    bands: tuple[Band, ...] = (Band.GHZ_2_4,),
    driver: Driver = Driver.EZSP,
) -> Row:
    port = Port(
        device="/dev/ttyUSB0",
        vid=0x10C4,
        pid=0xEA60,
        serial_number=serial,
        stick=stick_of(0x10C4, 0xEA60, "", product),
    )
    probed = Probed(
        driver=driver,
        line=HARDWARE,
        protocol="EZSP 13",
        eui64=Eui64("00:0d:6f:00:0a:90:69:e7"),
        firmware="7.4.5.0",
        bands=bands,
    )
    return Row(
        port=port,
        path="/dev/serial/by-path/pci-1",
        state=state,
        names=names,
        twins=twins,
        probed=probed if state is State.ANSWERED else None,
    )


def load_of(tmp_path: Path, *rows: Row) -> dict[str, Radio]:
    path = tmp_path / "inventory.yaml"
    add_to(path, suggestions(rows))
    assert not inspect_inventory(path).problems
    return load_inventory(path).radios


def test_a_stick_is_known_by_its_serial_number_and_needs_no_path(tmp_path: Path) -> None:
    radios = load_of(tmp_path, row())
    (name, radio), *_ = radios.items()
    assert name == "nabu-casa-skyconnect-69e7"
    assert radio.path is None
    assert str(radio.usb) == "10c4:ea60 0123"
    assert radio.flow_control is FlowControl.HARDWARE
    assert radio.eui64 == Eui64("00:0d:6f:00:0a:90:69:e7")


@pytest.mark.parametrize("known", [row(None), row("0123", twins=("/dev/ttyUSB1",))])
def test_one_that_only_its_socket_tells_has_a_path(tmp_path: Path, known: Row) -> None:
    (radio,) = load_of(tmp_path, known).values()
    assert radio.path == "/dev/serial/by-path/pci-1"
    assert radio.usb is None


def test_bands_are_written_where_they_are_not_the_usual(tmp_path: Path) -> None:
    (radio,) = load_of(tmp_path, row(bands=tuple(Band))).values()
    assert radio.bands == tuple(Band)


def test_names_do_not_clash(tmp_path: Path) -> None:
    entries = suggestions([row(), row(), row()], taken=["nabu-casa-skyconnect-69e7"])
    assert [entry.name for entry in entries] == [
        f"nabu-casa-skyconnect-69e7-{number}" for number in (2, 3, 4)
    ]


def test_what_is_known_already_or_cannot_be_told_is_left_out() -> None:
    assert suggestions([row(names=("hub",)), row(state=State.SILENT), row(state=State.OTHER)]) == []
    unknown = row(product="CP2102N USB to UART Bridge Controller", state=State.HELD)
    assert suggestions([unknown]) == []


def test_what_was_not_asked_is_told_by_its_name_and_says_so() -> None:
    (entry,) = suggestions([row(state=State.NOT_ASKED)])
    assert "not asked" in entry.remarks[0]
    assert "driver: ezsp" in entry.lines


@given(st.text(min_size=1, max_size=30).filter(lambda text: text.strip() == text))
def test_any_serial_number_is_read_back_as_it_was(serial: str) -> None:
    (entry,) = suggestions([row(serial)])
    assert "\n" not in "".join(entry.lines)
    printable = all(letter.isprintable() or ord(letter) < 256 for letter in serial)
    if printable:
        data = YAML(typ="safe", pure=True).load(stanza([entry]))
        assert data["radios"][entry.name]["usb"]["serial_number"] == serial


def test_the_shipped_inventory_gets_an_entry_and_keeps_every_other_line(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    old = (PROJECT / "inventory.yaml").read_text()
    path.write_text(old)
    path.chmod(0o640)
    before = load_inventory(path)
    add_to(path, suggestions([row()], before.radios))
    new = path.read_text()
    kept = iter(new.splitlines())
    assert all(line in kept for line in old.splitlines()), "all old lines, in their order"
    after = load_inventory(path)
    assert list(after.radios) == [*before.radios, "nabu-casa-skyconnect-69e7"]
    assert after.devices == before.devices
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "old",
    [
        "",
        "# nothing yet\n",
        "devices: {}\n",
        "radios:\n    a:\n        driver: ezsp\n        path: virtual\n",
        "radios:\n  a: {driver: ezsp, path: virtual}  # one\n  # the end of it\ndevices: {}",
        "radios:\n  a:\n    driver: ezsp\n    path: virtual\n    bands:\n    - 868 MHz\n\n# end\n",
        "devices: {}\nradios:\n  a: {driver: ezsp, path: virtual}",
    ],
)
def test_entries_are_added_to_files_of_any_layout(tmp_path: Path, old: str) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(old)
    before = YAML(typ="safe", pure=True).load(old) or {}
    add_to(path, suggestions([row()]))
    after = YAML(typ="safe", pure=True).load(path.read_text())
    assert list(after["radios"])[-1] == "nabu-casa-skyconnect-69e7"
    del after["radios"]["nabu-casa-skyconnect-69e7"]
    assert {**after, "radios": after["radios"]} == {**before, "radios": before.get("radios", {})}
    assert not inspect_inventory(path).errors


@pytest.mark.parametrize(
    "old",
    [
        "radios: {a: {driver: ezsp, path: virtual}}\n",
        "radios:\n",
        "radios: [\n",
        "{radios: {}}\n",
        "- a\n",
    ],
)
def test_where_entries_cannot_be_added_nothing_is_changed(tmp_path: Path, old: str) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(old)
    with pytest.raises(ConfigurationError, match="nothing was added"):
        add_to(path, [Entry("new", ("driver: ezsp", "path: virtual"))])
    assert path.read_text() == old
