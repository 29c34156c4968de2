"""Replacing a file as a whole."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.files import replace_file


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def umask_022() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.parametrize("durable", [False, True])
def test_the_new_content_is_all_there_is(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "note"
    path.write_text("a longer old content")
    replace_file(path, "Zähler\n", durable=durable)
    assert path.read_bytes() == "Zähler\n".encode()
    replace_file(path, b"\xff\r\n", durable=durable)
    assert path.read_bytes() == b"\xff\r\n"
    assert names(tmp_path) == ["note"]


def test_whoever_has_the_old_one_open_still_has_it(tmp_path: Path) -> None:
    path = tmp_path / "note"
    path.write_text("old")
    with path.open() as reader:
        replace_file(path, "new")
        assert reader.read() == "old"


@pytest.mark.usefixtures("umask_022")
def test_the_permissions_are_those_asked_for_and_not_the_old_ones(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.touch(0o644)
    replace_file(path, "secret", mode=0o600)
    assert mode_of(path) == 0o600
    replace_file(path, "public")
    assert mode_of(path) == 0o644


@pytest.mark.usefixtures("umask_022")
def test_a_secret_is_not_readable_by_others_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys"
    path.touch(0o644)
    seen = []
    replace = os.replace

    def look(fresh: Path, target: Path) -> None:
        seen.append(mode_of(fresh))
        replace(fresh, target)

    opened = os.open

    def look_at_open(name: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = opened(name, flags, mode)
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "replace", look)
    monkeypatch.setattr(os, "open", look_at_open)
    replace_file(path, "secret", mode=0o600)
    assert seen == [0o600, 0o600]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_one_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "note"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, "new", durable=True)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["note"]


def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "note" / "in the way").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path / "note", "new")
    assert names(tmp_path) == ["note"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "no" / "note", "new")


def test_a_name_as_long_as_names_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("n" * os.pathconf(tmp_path, "PC_NAME_MAX"))
    replace_file(path, "new", durable=True)
    assert path.read_text() == "new"


def test_durable_asks_the_disk_for_the_content_first_and_then_for_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "note"
    asked = []
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        asked.append(("folder" if is_folder else "file", path.exists()))
        if not is_folder:
            assert os.fstat(descriptor).st_size == 3, (
                "what is still in a buffer cannot be asked for"
            )
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    replace_file(path, "new", durable=True)
    assert asked == [("file", False), ("folder", True)]
    asked.clear()
    replace_file(path, "new")
    assert asked == []


@pytest.mark.parametrize(("number", "is_told"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_file_system_that_cannot_fsync_folders_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_told: bool
) -> None:
    path = tmp_path / "note"
    fsync = os.fsync

    def refuse(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    if is_told:
        with pytest.raises(OSError, match=os.strerror(number)):
            replace_file(path, "new", durable=True)
    else:
        replace_file(path, "new", durable=True)
    assert path.read_text() == "new"
    assert names(tmp_path) == ["note"]


_WRITER = """
import sys
from collections.abc import Iterator
from pathlib import Path
from labctl.files import replace_file
for _ in range(200):
    replace_file(Path(sys.argv[1]), sys.argv[2] * 20_000)
"""


def test_two_writers_at_a_time_leave_the_content_of_one(tmp_path: Path) -> None:
    path = tmp_path / "note"
    replace_file(path, "a" * 20_000)
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), letter]) for letter in "ab"
    ]
    looks = 0
    while any(writer.poll() is None for writer in writers) or not looks:
        text = path.read_text()
        assert text in ("a" * 20_000, "b" * 20_000)
        looks += 1
    assert [writer.wait() for writer in writers] == [0, 0]
    assert names(tmp_path) == ["note"]
