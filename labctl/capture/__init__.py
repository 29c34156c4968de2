"""Captures: what was on the air, in files that Wireshark reads, and the keys that open them."""

from labctl.capture.rotation import Rotation, open_capture
from labctl.capture.tap import FrameWriter, TapWriter
from labctl.capture.wireshark import wireshark_key_rows, write_wireshark_keys

__all__ = [
    "FrameWriter",
    "Rotation",
    "TapWriter",
    "open_capture",
    "wireshark_key_rows",
    "write_wireshark_keys",
]
