import pytest
from cbke_support import VECTORS
from hypothesis import given
from hypothesis import strategies as st

from labctl.smart_energy.install_code import InstallCode, InstallCodeError, crc16_x25

PUBLISHED = VECTORS["install_codes"]
CODE = "83fed3407a939723a5c639b26916d505"
FULL = CODE + "c3b5"

codes = st.sampled_from([6, 8, 12, 16]).flatmap(lambda n: st.binary(min_size=n, max_size=n))


@pytest.mark.parametrize("vector", PUBLISHED, ids=lambda v: v["full"])
def test_published_code_gives_its_crc_and_link_key(vector: dict) -> None:
    code = InstallCode.parse(vector["full"])
    assert code.link_key().reveal().hex() == vector["link_key_mmo"]
    assert code.code.reveal().hex() == vector["install_code"]
    crc = crc16_x25(bytes.fromhex(vector["install_code"]))
    assert crc.to_bytes(2, "little").hex() == vector["crc16_x25_le"]


def test_crc_has_the_catalogues_check_value() -> None:
    assert crc16_x25(b"123456789") == 0x906E


@pytest.mark.parametrize(
    "text",
    [
        "83FED3407A939723A5C639B26916D505C3B5",
        "83FE D340 7A93 9723 A5C6 39B2 6916 D505 C3B5",
        "83fe-d340-7a93-9723-a5c6-39b2-6916-d505 c3b5\n",
        "83:fe:d3:40:7a:93:97:23:a5:c6:39:b2:69:16:d5:05:c3:b5",
        "0x83fed3407a939723a5c639b26916d505c3b5",
        b"83fe d340 7a93 9723 a5c6 39b2 6916 d505 c3b5",
        bytes.fromhex(FULL),
    ],
)
def test_every_way_of_writing_a_code_is_the_same_code(text: str | bytes) -> None:
    assert InstallCode.parse(text) == InstallCode.parse(FULL)
    assert hash(InstallCode.parse(text)) == hash(InstallCode.parse(FULL))


@given(codes)
def test_any_code_survives_with_and_without_its_crc(octets: bytes) -> None:
    code = InstallCode.from_octets_without_crc(octets)
    assert code.code.reveal() == octets
    assert InstallCode.parse(code.octets.reveal()) == code
    assert InstallCode.parse(code.octets.reveal().hex()) == code


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        (" - : ", "is empty"),
        (FULL[:-1], "35 hexadecimal digits, an odd number"),
        (FULL[:4] + "g" + FULL[5:], "character 5 .* is not a hexadecimal digit"),
        (FULL[:4] + "O" + FULL[5:], "the letter O; was the digit 0 meant"),
        (FULL[:4] + "l" + FULL[5:], "was the digit 1 meant"),
        ("83fe", "has 2 octets .* 8, 10, 14 or 18 .*16, 20, 28 or 36 digits"),
        (FULL + "00", "has 19 octets"),
        (CODE, "16 octets is the length of a code without its CRC"),
        (CODE[:24], "12 octets is the length of a code without its CRC"),
        (CODE[:12], "6 octets is the length of a code without its CRC"),
        (CODE[:16], r"CRC .*\(8 octets\) is wrong.*a code of 8 octets whose CRC was left off"),
        (CODE + "b5c3", "two octets are swapped"),
        (CODE + "c3b4", r"CRC of the install code \(18 octets\) is wrong: a digit was mistyped$"),
        ("9" + FULL[1:], "a digit was mistyped"),
    ],
)
def test_wrong_code_is_told_precisely_and_without_the_code(text: str, says: str) -> None:
    with pytest.raises(InstallCodeError, match=says) as caught:
        InstallCode.parse(text)
    assert caught.value.__cause__ is None
    assert "83fe" not in str(caught.value).lower()


@given(st.one_of(st.text(max_size=60), st.binary(max_size=60)))
def test_anything_is_a_code_or_an_error_of_ours(text: str | bytes) -> None:
    try:
        code = InstallCode.parse(text)
    except InstallCodeError as error:
        assert str(error)  # noqa: PT017
    else:
        assert len(code.octets) in (8, 10, 14, 18)


@given(codes, st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_no_single_changed_octet_goes_unnoticed(octets: bytes, place: int, change: int) -> None:
    full = bytearray(InstallCode.from_octets_without_crc(octets).octets.reveal())
    full[place % len(full)] ^= change
    with pytest.raises(InstallCodeError):
        InstallCode.parse(bytes(full))


@pytest.mark.parametrize("length", [0, 5, 7, 18])
def test_code_without_crc_of_an_impossible_length_is_refused(length: int) -> None:
    with pytest.raises(InstallCodeError, match="6, 8, 12 or 16"):
        InstallCode.from_octets_without_crc(bytes(length))


def test_code_never_prints() -> None:
    code = InstallCode.parse(FULL)
    for text in (repr(code), str(code), f"{code}", f"{code:>10}", "%s" % code, repr([code])):  # noqa: UP031
        assert "83fe" not in text
        assert "<secret>" in text


def test_code_is_not_equal_to_something_else() -> None:
    assert InstallCode.parse(FULL) != FULL
