"""Labels, QR codes and the decimal pairing code."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.install_code import InstallCode, InstallCodeError
from labctl.smart_energy.label import LabelError, parse_label
from labctl.smart_energy.local_code import DIGITS, local_code, parse_local_code

ADDRESS = "000D6F000A9069E7"
CODE = "83FED3407A939723A5C639B26916D505C3B5"
EUI64 = Eui64(ADDRESS)
INSTALL_CODE = InstallCode.parse(CODE)

codes = st.sampled_from([6, 8, 12, 16]).flatmap(
    lambda length: st.binary(min_size=length, max_size=length)
)


@pytest.mark.parametrize(
    "text",
    [
        f"Z:{ADDRESS}$I:{CODE}",
        f"Z:{ADDRESS}$I:{CODE}%M:10FF$D:17",
        f"G$M:69775$S:680S00003915$D:00000000031D4E6F%Z$A:{ADDRESS}$I:{CODE}",
        "MAC: 00-0D-6F-00-0A-90-69-E7  Install Code: 83FE D340 7A93 9723 A5C6 39B2 6916 D505 C3B5",
        f"EUI64={ADDRESS};IC={CODE}",
        f'{{"eui64": "{ADDRESS}", "install_code": "{CODE}"}}',
        f"IEEE address 0x{ADDRESS}\ninstallation code {CODE.lower()}",
    ],
)
def test_labels_that_say_what_is_what_need_no_assumption(text: str) -> None:
    label = parse_label(text)
    assert (label.eui64, label.install_code, label.assumed) == (EUI64, INSTALL_CODE, ())


@pytest.mark.parametrize(
    ("text", "assumed"),
    [
        (f"{ADDRESS} {CODE}", "the first number was taken for the address"),
        (f"{ADDRESS}|{CODE}", "the first number was taken for the address"),
        (f"{CODE},{ADDRESS}", "the last number was taken for the address"),
        (ADDRESS + CODE, "the first 16 digits were taken for the address"),
        (f"MAC {ADDRESS} IC {CODE[:-4]}", "without its CRC: it was added"),
    ],
)
def test_what_had_to_be_assumed_is_said(text: str, assumed: str) -> None:
    label = parse_label(text)
    assert (label.eui64, label.install_code) == (EUI64, INSTALL_CODE)
    assert len(label.assumed) == 1
    assert assumed in label.assumed[0]


def test_a_vendors_own_form_has_its_code_without_crc() -> None:
    label = parse_label(
        "RB01SG0D836591B3CC0010000000000000000000000D6F00179F2BC9DLKD0F471C9BBA2C0208608E91EED17E2B1"
    )
    assert label.eui64 == "00:0d:6f:00:17:9f:2b:c9"
    assert label.install_code.code.reveal().hex().upper() == "D0F471C9BBA2C0208608E91EED17E2B1"
    assert "without its CRC" in label.assumed[0]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "empty"),
        ("hello", "no address and code"),
        (ADDRESS, "no address of 16 with an install code"),
        (ADDRESS + CODE[:-2], "no address of 16"),
        (f"{ADDRESS} {CODE[:-1]}6", "CRC of the install code"),
        (f"{'0' * 16} {CODE}", "is no device's address"),
        (f"{'F' * 16} {CODE}", "is no device's address"),
    ],
)
def test_a_label_that_cannot_be_read_says_why(text: str, what: str) -> None:
    with pytest.raises(LabelError, match=what) as caught:
        parse_label(text)
    assert CODE[:10] not in str(caught.value)


@given(codes, st.binary(min_size=8, max_size=8), st.sampled_from([" ", ",", "|", "\n", ";", "/"]))
def test_every_address_and_code_is_read_back(code: bytes, address: bytes, between: str) -> None:
    if address in (bytes(8), b"\xff" * 8):
        return
    install_code = InstallCode.from_octets_without_crc(code)
    octets = install_code.octets.reveal().hex()
    label = parse_label(f"Z:{address.hex()}$I:{octets}")
    assert (label.eui64.big_endian, label.install_code) == (address, install_code)
    label = parse_label(f"{address.hex()}{between}{octets}")
    assert (label.eui64.big_endian, label.install_code) == (address, install_code)


@given(st.text(max_size=120))
def test_anything_at_all_is_a_label_or_no_label(text: str) -> None:
    with contextlib.suppress(LabelError):
        parse_label(text)


# -- the decimal code ---------------------------------------------------------------------------


@given(codes)
def test_a_local_code_stands_for_one_install_code(code: bytes) -> None:
    install_code = InstallCode.from_octets_without_crc(code)
    digits = local_code(install_code).reveal().decode()
    assert DIGITS[len(digits)] == len(code) + 2
    assert parse_local_code(digits) == install_code
    grouped = " ".join(digits[i : i + 4] for i in range(0, len(digits), 4))
    assert parse_local_code(grouped) == install_code


def test_its_lengths_go_from_20_to_44_digits() -> None:
    assert min(DIGITS) == 20
    assert max(DIGITS) == 44
    for digits, octets in DIGITS.items():
        assert len(str(256**octets - 1)) == digits


def test_one_wrong_digit_is_noticed() -> None:
    digits = local_code(INSTALL_CODE).reveal().decode()
    rng = random.Random(1)
    for _ in range(200):
        place = rng.randrange(len(digits))
        wrong = str((int(digits[place]) + rng.randrange(1, 10)) % 10)
        with pytest.raises(InstallCodeError) as caught:
            parse_local_code(digits[:place] + wrong + digits[place + 1 :])
        assert digits[:8] not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "empty"),
        ("1" * 19, "has 19 digits"),
        ("1" * 45, "has 45 digits"),
        (CODE, "hexadecimal"),
        ("９" * 20, "other than digits"),
        ("9" * 44, "first digits was mistyped"),
    ],
)
def test_what_is_no_pairing_code_is_told(text: str, what: str) -> None:
    with pytest.raises(InstallCodeError, match=what):
        parse_local_code(text)
