"""What is on the virtual air, as a program that we did not write sees it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from virtual_rigs import short_periods, write_rig

from labctl.cli.main import main

pytestmark = pytest.mark.tshark

FIELDS = (
    "frame.protocols",
    "wpan.fcs_ok",
    "_ws.malformed",
    "_ws.expert.severity",
    "wpan-tap.ch_num",
    "wpan-tap.ch_page",
    "zbee.sec.key_id",
    "zbee_aps.fragmentation",
    "_ws.col.Info",
)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """Every frame of ten minutes from the first beacon on, as tshark decodes it."""
    if shutil.which("tshark") is None:
        reason = "tshark is not installed (Debian: apt install tshark)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("capture")
    rig = write_rig(folder, short_periods)
    air, keys = folder / "air.pcap", folder / "air.keys"
    main(["bench", str(rig), "--for", "10min", "-q", "--capture", str(air), "--keys", str(keys)])
    assert keys.stat().st_mode & 0o777 == 0o600
    return decode(air, keys)


def decode(air: Path, keys: Path) -> list[dict[str, str]]:
    command = ["tshark", "-r", str(air), "-T", "fields", "-E", "separator=/t"]
    command += ["-o", "zbee_nwk.seclevel:AES-128 Encryption, 32-bit Integrity Protection"]
    for row in keys.read_text().splitlines():
        command += ["-o", f"uat:zigbee_pc_keys:{row}"]
    for field in FIELDS:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in done.stdout.splitlines()]


def infos(frames: list[dict[str, str]]) -> Counter[str]:
    return Counter(frame["_ws.col.Info"].split(",")[0] for frame in frames)


def test_the_capture_has_a_whole_pairing_and_the_reads_after_it(
    frames: list[dict[str, str]],
) -> None:
    seen = infos(frames)
    for expected, least in {
        "Beacon Request": 2,
        "Association Request": 2,
        "Association Response": 2,
        "Transport Key": 2,
        "Device Announcement": 2,
        "ZCL Key Establishment: Initiate Key Establishment Request": 2,
        "ZCL Key Establishment: Ephemeral Data Request": 2,
        "ZCL Key Establishment: Confirm Key Data Request": 2,
        "Match Descriptor Request": 4,
        "Bind Request": 8,
        "ZCL: Read Attributes": 100,
        "ZCL: Read Attributes Response": 100,
        "ZCL Price: Publish Price": 4,
        "Link Status": 10,
    }.items():
        found = sum(count for info, count in seen.items() if info.startswith(expected))
        assert found >= least, f"{expected}: {found}; there are {seen.most_common(60)}"


def test_no_frame_is_malformed(frames: list[dict[str, str]]) -> None:
    assert [frame for frame in frames if frame["_ws.malformed"]] == []
    assert [frame for frame in frames if "Malformed" in frame["_ws.col.Info"]] == []


def test_nothing_stays_encrypted_when_the_keys_are_given(frames: list[dict[str, str]]) -> None:
    sealed = [
        f for f in frames if "Encrypted" in f["_ws.col.Info"] or "Command: Enc" in f["_ws.col.Info"]
    ]
    assert sealed == []
    # A fragment is data until the last one is there, in the clear all the same.
    whole = [f for f in frames if not f["zbee_aps.fragmentation"]]
    assert [f for f in whole if f["frame.protocols"].endswith("data")] == []


def test_every_checksum_channel_and_page_is_right(frames: list[dict[str, str]]) -> None:
    assert {frame["wpan.fcs_ok"] for frame in frames} == {"1"}
    assert {frame["wpan-tap.ch_page"] for frame in frames} == {"0"}
    searched = {f["wpan-tap.ch_num"] for f in frames if f["_ws.col.Info"] == "Beacon Request"}
    assert searched == {str(channel) for channel in range(11, 27)}
    assert {f["wpan-tap.ch_num"] for f in frames if "zbee_nwk" in f["frame.protocols"]} == {"20"}


def test_the_network_key_travels_under_a_key_transport_key_only(
    frames: list[dict[str, str]],
) -> None:
    transports = [f for f in frames if f["_ws.col.Info"].startswith("Transport Key")]
    assert transports
    assert {frame["zbee.sec.key_id"] for frame in transports} == {"0x02"}
