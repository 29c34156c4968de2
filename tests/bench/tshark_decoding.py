"""What tshark makes of a capture."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

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

Frames = list[dict[str, str]]


def need_tshark() -> None:
    """Skip without tshark; in CI that is a failure."""
    if shutil.which("tshark") is None:
        reason = "tshark is not installed (Debian: apt install tshark)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def decode(air: Path, keys: Iterable[str]) -> Frames:
    """Every frame of a capture; `keys` are rows of Wireshark's key table."""
    command = ["tshark", "-r", str(air), "-T", "fields", "-E", "separator=/t"]
    command += ["-o", "zbee_nwk.seclevel:AES-128 Encryption, 32-bit Integrity Protection"]
    for row in keys:
        command += ["-o", f"uat:zigbee_pc_keys:{row}"]
    for field in FIELDS:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in done.stdout.splitlines()]


def infos(frames: Frames) -> Counter[str]:
    """How often each kind of frame is there."""
    return Counter(frame["_ws.col.Info"].split(",")[0] for frame in frames)


def malformed(frames: Frames) -> Frames:
    """Frames that do not decode to their end."""
    return [f for f in frames if f["_ws.malformed"] or "Malformed" in f["_ws.col.Info"]]


def sealed(frames: Frames) -> Frames:
    """Frames that no key opened."""
    shut = [
        f for f in frames if "Encrypted" in f["_ws.col.Info"] or "Command: Enc" in f["_ws.col.Info"]
    ]
    # A fragment is data until the last one is there, in the clear all the same.
    whole = [f for f in frames if not f["zbee_aps.fragmentation"]]
    return shut + [f for f in whole if f["frame.protocols"].endswith("data") and f not in shut]
