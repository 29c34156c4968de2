"""Captures on disk: rotation, what is kept, full disks, and the key table."""

from __future__ import annotations

import io
import stat
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.capture import Rotation, TapWriter, open_capture, write_wireshark_keys
from labctl.capture.tap import FILE_OCTETS, RECORD_OCTETS
from labctl.capture.wireshark import wireshark_key_rows

NOW_US = 1_750_000_000_123_456
PSDU = bytes(range(50))
RECORD = RECORD_OCTETS + len(PSDU)


def frame(writer: object, psdu: bytes = PSDU, channel: int = 15) -> None:
    writer.frame(psdu, page=0, channel=channel, rss_dbm=-50, lqi=200)  # type: ignore[attr-defined]


def psdus(path: Path) -> list[bytes]:
    octets, at, found = path.read_bytes(), FILE_OCTETS, []
    assert octets[:4] == bytes.fromhex("d4c3b2a1")
    while at < len(octets):
        (length,) = struct.unpack_from("<I", octets, at + 8)
        found.append(octets[at + 52 : at + 16 + length])
        at += 16 + length
    return found


def test_one_file_without_rotation(tmp_path: Path) -> None:
    path = tmp_path / "air.pcap"
    path.write_bytes(b"an older capture")
    files = open_capture(path, lambda: NOW_US)
    for _ in range(200):
        frame(files)
    files.close()
    assert files.files == (path,)
    assert files.records == len(psdus(path)) == 200
    assert files.octets == path.stat().st_size == FILE_OCTETS + 200 * RECORD


def test_every_frame_is_in_one_file_and_no_file_is_too_large(tmp_path: Path) -> None:
    files = open_capture(tmp_path / "air.pcap", lambda: NOW_US, Rotation(4096))
    sent = [number.to_bytes(4, "big") + bytes(number % 100) for number in range(300)]
    for psdu in sent:
        frame(files, psdu)
    files.close()
    assert [psdu for path in files.files for psdu in psdus(path)] == sent
    assert [path.name for path in files.files[:2]] == ["air-0001.pcap", "air-0002.pcap"]
    assert all(path.stat().st_size <= 4096 for path in files.files)
    # Full to within the largest frame: it is not cut sooner than it has to be.
    assert all(path.stat().st_size > 4096 - RECORD_OCTETS - 104 for path in files.files[:-1])
    assert files.octets == sum(path.stat().st_size for path in files.files)
    assert files.records == 300


@given(keep=st.integers(1, 6), frames=st.integers(1, 400))
def test_the_newest_are_kept(
    tmp_path_factory: pytest.TempPathFactory, keep: int, frames: int
) -> None:
    folder = tmp_path_factory.mktemp("captures")
    files = open_capture(folder / "air.pcap", lambda: NOW_US, Rotation(4096, keep))
    for number in range(frames):
        frame(files, number.to_bytes(4, "big") + bytes(46))
    files.close()
    there = sorted(folder.iterdir())
    assert there == list(files.files)
    a_file = (4096 - FILE_OCTETS) // RECORD
    wanted = -(-frames // a_file)
    assert len(there) == min(keep, wanted)
    kept = [int.from_bytes(psdu[:4], "big") for path in there for psdu in psdus(path)]
    assert kept == list(range(frames - len(kept), frames))
    assert files.records == frames


def test_earlier_captures_of_the_same_name_are_left_alone(tmp_path: Path) -> None:
    for name in ("air-0007.pcap", "air-0009.pcapng", "air-x.pcap", "airs-0011.pcap"):
        (tmp_path / name).write_bytes(b"old")
    files = open_capture(tmp_path / "air.pcap", lambda: NOW_US, Rotation(4096, 1))
    for _ in range(100):
        frame(files)
    files.close()
    assert files.files[-1].name == "air-0010.pcap"  # the third after the highest that was there
    assert (tmp_path / "air-0007.pcap").read_bytes() == b"old"


def test_frames_are_counted_by_channel(tmp_path: Path) -> None:
    files = open_capture(tmp_path / "air.pcap", lambda: NOW_US, Rotation(4096, 1))
    for number in range(100):
        frame(files, channel=11 + number % 2)
    files.close()
    assert files.by_channel == {(0, 11): 50, (0, 12): 50}


class FullDisk(io.BytesIO):
    def write(self, data: object) -> int:
        if self.tell() > 100:
            raise OSError(28, "No space left on device")
        return super().write(data)  # type: ignore[arg-type]


def test_a_full_disk_is_kept_for_who_asks_and_stops_nothing() -> None:
    writer = TapWriter(FullDisk(), lambda: NOW_US)
    for _ in range(10):
        frame(writer)
    assert writer.failure is not None
    assert writer.records == 1


def test_a_folder_that_is_gone_ends_the_rotation_with_a_reason(tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    folder.mkdir()
    files = open_capture(folder / "air.pcap", lambda: NOW_US, Rotation(4096))
    frame(files)
    (folder / "air-0001.pcap").unlink()
    folder.rmdir()
    for _ in range(100):
        frame(files)
    files.close()
    assert isinstance(files.failure, FileNotFoundError)


@pytest.mark.parametrize(("octets", "keep"), [(4095, None), (0, 1), (4096, 0), (-1, 1)])
def test_a_rotation_that_makes_no_sense_is_refused(octets: int, keep: int | None) -> None:
    with pytest.raises(ValueError, match="file"):
        Rotation(octets, keep)


def test_keys_are_the_owners_alone_whatever_was_there(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("old")
    path.chmod(0o666)
    write_wireshark_keys(path, [(bytes(range(16)), "network"), (bytes(range(16)), "again")])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == (
        '"00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F","Normal","network"\n'
    )


@given(st.text(max_size=20))
def test_no_label_breaks_the_table(label: str) -> None:
    (row,) = wireshark_key_rows([(bytes(16), label)])
    assert row.count('"') == 6
    assert "\n" not in row
