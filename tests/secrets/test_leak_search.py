"""The search itself: whatever encoding a secret is in, it is found; what is not there is not."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zigpy.types as t
from leak_search import Heap, Wanted, digits, leaks, octets

KEY = random.Random(7).randbytes(16)
FORMS: dict[str, Callable[[bytes], bytes]] = {
    "octets": lambda key: key,
    "hex": lambda key: key.hex().encode(),
    "HEX": lambda key: key.hex().upper().encode(),
    "colons": lambda key: key.hex(":").encode(),
    "spaces": lambda key: key.hex(" ").upper().encode(),
    "dashes": lambda key: key.hex("-").encode(),
    "groups of four": lambda key: key.hex(" ", 2).encode(),
    "lines": lambda key: key.hex("\n").encode(),
    "0x": lambda key: ("0x" + key.hex()).encode(),
    "list of 0x": lambda key: ", ".join(f"0x{octet:02X}" for octet in key).encode(),
    "C string": lambda key: "".join(f"\\x{octet:02x}" for octet in key).encode(),
    "list": lambda key: str(list(key)).encode(),
    "JSON list": lambda key: json.dumps(list(key), indent=1).encode(),
    "bytes": lambda key: repr(key).encode(),
    "bytearray": lambda key: repr(bytearray(key)).encode(),
    "KeyData": lambda key: repr(t.KeyData(key)).encode(),
    "KeyData str": lambda key: str(t.KeyData(key)).encode(),
    "LVBytes": lambda key: repr(t.LVBytes(key)).encode(),
    "Bytes": lambda key: repr(t.Bytes(key)).encode(),
    "serialised": lambda key: t.KeyData(key).serialize(),
    "base64": base64.b64encode,
    "urlsafe": base64.urlsafe_b64encode,
    "base64 within": lambda key: base64.b64encode(b"ab" + key + b"c"),
    "base32": base64.b32encode,
    "JSON": lambda key: json.dumps(key.decode("latin-1")).encode(),
    "UTF-8": lambda key: key.decode("latin-1").encode(),
    "number": lambda key: str(int.from_bytes(key, "big")).encode(),
    "half": lambda key: key[:8].hex().encode(),
    "other half": lambda key: key[8:],
}


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "reversed"])
@pytest.mark.parametrize("form", FORMS)
def test_a_key_is_found(form: str, order: int) -> None:
    around = random.Random(1)
    content = around.randbytes(300) + b" key=" + FORMS[form](KEY[::order]) + b"; " + b"x" * 300
    assert Heap(content).has(octets("key", KEY)), form
    assert Heap(content).has(octets("another", around.randbytes(16))) is None


@pytest.mark.parametrize(
    ("secret", "text", "there"),
    [
        ("7294", "PIN 7294", True),
        ("7294", '{"pin": "7294"}', True),
        ("7294", "at 1767294123", False),
        ("7294", "2.7294 s", False),
        ("73920184655102938476", "code 7392 0184 6551 0293 8476", True),
        ("73920184655102938476", "code 73920184655102938477", False),
    ],
)
def test_digits_are_found(secret: str, text: str, there: bool) -> None:
    assert (Heap(text.encode()).has(digits("it", secret)) is not None) is there


def test_what_is_said_of_a_leak_does_not_hold_it() -> None:
    (told,) = leaks([(Path("a.log"), KEY.hex().encode())], [Wanted("network key", KEY)])
    assert told == "a.log: network key (hexadecimal)"
