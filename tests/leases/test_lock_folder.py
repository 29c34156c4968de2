"""The folder that users share: who may use it, and that nobody goes without."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lease_lab import STICK, leases_in

from labctl.errors import ConfigurationError, RigError
from labctl.leases import Kind, Leases, LockFolder, Thing, stick_identity


def _modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("mode", "files"), [(0o1777, 0o666), (0o3770, 0o660), (0o700, 0o600), (0o755, 0o644)]
)
def test_files_are_as_open_as_their_folder_whatever_the_umask(
    tmp_path: Path, mode: int, files: int
) -> None:
    folder = tmp_path / "locks"
    folder.mkdir()
    folder.chmod(mode)
    before = os.umask(0o077)
    try:
        leases_in(folder).take([STICK], purpose="x").release()
    finally:
        os.umask(before)
    assert _modes(folder) == {files}


def test_a_folder_is_made_with_its_mode(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        LockFolder(tmp_path / "new", mode=0o1777)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o1777
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_folder_from_which_anybody_may_remove_locks_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(RigError, match="take a lock away") as raised:
        LockFolder(tmp_path)
    assert "chmod +t" in raised.value.mend


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("")
    with pytest.raises(RigError, match="cannot be used"):
        LockFolder(tmp_path / "locks")


def test_a_folder_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(RigError, match="cannot be used"):
        LockFolder(Path("/proc/labctl/locks"))


def test_the_shared_folder_is_named_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_LOCKS", str(tmp_path / "here"))
    assert LockFolder.shared().path == tmp_path / "here"
    monkeypatch.setenv("LABCTL_LOCKS", "not/absolute")
    with pytest.raises(ConfigurationError, match="LABCTL_LOCKS"):
        LockFolder.shared()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be two users")
def test_a_folder_that_another_user_may_not_use_is_refused(tmp_path: Path) -> None:
    """Without a lock nobody gets in: it fails closed."""
    tmp_path.chmod(0o755)
    folder = tmp_path / "locks"
    LockFolder(folder)
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from labctl.errors import RigError\n"
        "from labctl.leases import LockFolder\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: LockFolder(Path(sys.argv[1]))\n"
        "except RigError as error: sys.exit(int(error.exit_code))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(folder)], check=False)
    assert done.returncode == 69


# -- names -----------------------------------------------------------------------------------------


@given(st.sampled_from(Kind), st.text(min_size=1, max_size=200))
def test_every_thing_has_a_file_of_its_own(kind: Kind, identity: str) -> None:
    thing = Thing(kind, identity)
    assert "/" not in thing.file_stem
    assert len(thing.file_stem.encode()) <= 120
    assert Thing.parse(str(thing)) == thing
    assert Thing.of_file_stem(thing.file_stem, said=str(thing)) == thing
    assert Thing(kind, identity + "x").file_stem != thing.file_stem


@pytest.mark.parametrize("text", ["", "radio", "radio:", "stick:usb", ":x"])
def test_what_is_no_thing_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of an enumeration as well
        Thing.parse(text)


def _usb_tree(root: Path, *, serial: str | None) -> Path:
    """What sysfs has of a stick at ttyUSB0."""
    stick = root / "devices" / "usb1" / "1-1.4"
    (stick / "1-1.4:1.0" / "ttyUSB0").mkdir(parents=True)
    (stick / "idVendor").write_text("10c4\n")
    (stick / "idProduct").write_text("ea60\n")
    if serial is not None:
        (stick / "serial").write_text(serial + "\n")
    tty = root / "class" / "tty" / "ttyUSB0"
    tty.mkdir(parents=True)
    (tty / "device").symlink_to(stick / "1-1.4:1.0" / "ttyUSB0")
    return root


def test_a_stick_is_its_serial_number_by_whatever_path(tmp_path: Path) -> None:
    sysfs = _usb_tree(tmp_path / "sys", serial="0001ABCD")
    device = tmp_path / "dev" / "ttyUSB0"
    device.parent.mkdir()
    device.write_text("")
    link = tmp_path / "by-id"
    link.symlink_to(device)
    for path in (device, link):
        assert stick_identity(str(path), sysfs=sysfs) == "usb:10c4:ea60:0001ABCD"


def test_a_stick_without_a_serial_number_is_its_socket(tmp_path: Path) -> None:
    sysfs = _usb_tree(tmp_path / "sys", serial=None)
    assert stick_identity("/dev/ttyUSB0", sysfs=sysfs) == "usb:10c4:ea60@1-1.4"


def test_a_stick_that_is_not_there_is_what_the_inventory_says(tmp_path: Path) -> None:
    found = stick_identity(
        "/nonexistent", vid=0x10C4, pid=0xEA60, serial_number="A1", sysfs=tmp_path
    )
    assert found == "usb:10c4:ea60:A1"


def test_other_ports_are_where_they_are(tmp_path: Path) -> None:
    port = tmp_path / "pts"
    port.write_text("")
    link = tmp_path / "link"
    link.symlink_to(port)
    assert stick_identity(str(link), sysfs=tmp_path) == f"port:{port}"
    assert stick_identity("socket://Lab-7:6638/") == "socket:lab-7:6638"


def test_one_name_in_two_folders_is_two_things(tmp_path: Path) -> None:
    one = Leases(LockFolder(tmp_path / "a")).take([STICK], purpose="x")
    Leases(LockFolder(tmp_path / "b")).take([STICK], purpose="x").release()
    one.release()
