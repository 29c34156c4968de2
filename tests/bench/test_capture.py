"""What is on the virtual air, as a program that we did not write sees it."""

from __future__ import annotations

import pytest
from tshark_decoding import Frames, decode, infos, malformed, need_tshark, sealed
from virtual_rigs import short_periods, write_rig

from labctl.cli.main import main

pytestmark = pytest.mark.tshark


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """Every frame of ten minutes from the first beacon on, as tshark decodes it."""
    need_tshark()
    folder = tmp_path_factory.mktemp("capture")
    rig = write_rig(folder, short_periods)
    air, keys = folder / "air.pcap", folder / "air.keys"
    main(["bench", str(rig), "--for", "10min", "-q", "--capture", str(air), "--keys", str(keys)])
    assert keys.stat().st_mode & 0o777 == 0o600
    return decode(air, keys.read_text().splitlines())


def test_the_capture_has_a_whole_pairing_and_the_reads_after_it(
    frames: Frames,
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


def test_no_frame_is_malformed(frames: Frames) -> None:
    assert malformed(frames) == []


def test_nothing_stays_encrypted_when_the_keys_are_given(frames: Frames) -> None:
    assert sealed(frames) == []


def test_every_checksum_channel_and_page_is_right(frames: Frames) -> None:
    assert {frame["wpan.fcs_ok"] for frame in frames} == {"1"}
    assert {frame["wpan-tap.ch_page"] for frame in frames} == {"0"}
    searched = {f["wpan-tap.ch_num"] for f in frames if f["_ws.col.Info"] == "Beacon Request"}
    assert searched == {str(channel) for channel in range(11, 27)}
    assert {f["wpan-tap.ch_num"] for f in frames if "zbee_nwk" in f["frame.protocols"]} == {"20"}


def test_the_network_key_travels_under_a_key_transport_key_only(
    frames: Frames,
) -> None:
    transports = [f for f in frames if f["_ws.col.Info"].startswith("Transport Key")]
    assert transports
    assert {frame["zbee.sec.key_id"] for frame in transports} == {"0x02"}
