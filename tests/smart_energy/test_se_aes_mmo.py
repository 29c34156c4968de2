import pytest
from cbke_support import EXCHANGES, VECTORS
from hypothesis import given
from hypothesis import strategies as st
from zigpy.util import aes_mmo_hash

from labctl.smart_energy.aes_mmo import aes_mmo, hmac_mmo


# R22 C.5.1 to C.5.6: both length encodings, and both sides of the boundary between them.
@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"\xc0", "ae3a102a28d43ee0d4a09e22788b206c"),
        (bytes(range(0xC0, 0xD0)), "a7977e88bc0b61e8210827109a228f2d"),
        (bytes(i & 0xFF for i in range(8191)), "24ec2fe75bbffcb34789bc0610e7f165"),
        (bytes(i & 0xFF for i in range(8192)), "dc6b0687f09f8607131c170b3bd31591"),
        (bytes(i & 0xFF for i in range(8201)), "72c9b15e178aa843e4a16c58e33643a3"),
        (bytes(i & 0xFF for i in range(8202)), "bc9828d59b2aa323daf20be5f2e66511"),
    ],
    ids=lambda value: f"{len(value)} octets" if isinstance(value, bytes) else "",
)
def test_hash_gives_the_specifications_worked_examples(message: bytes, digest: str) -> None:
    assert aes_mmo(message).hex() == digest


def test_hash_of_a_link_key_gives_the_trust_centre_swap_out_key() -> None:
    vector = VECTORS["trust_centre_swap_out_hash"]
    assert aes_mmo(bytes.fromhex(vector["tc_link_key"])).hex() == vector["aes_mmo"]


@given(st.binary(max_size=200))
def test_hash_agrees_with_zigpys(data: bytes) -> None:
    assert aes_mmo(data) == aes_mmo_hash(data).serialize()


# R22 C.6.1.
def test_hmac_gives_the_specifications_worked_example() -> None:
    key = bytes(range(0x40, 0x50))
    assert hmac_mmo(key, b"\xc0").hex() == "4512807bf94cb3400f0e2c25fb76e999"


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda e: e["id"])
@pytest.mark.parametrize("name", ["macu", "macv"])
def test_hmac_gives_the_published_confirmations(exchange: dict, name: str) -> None:
    expected = exchange["expected"]
    mac = hmac_mmo(bytes.fromhex(expected["mac_key"]), bytes.fromhex(expected[f"{name}_input"]))
    assert mac.hex() == expected[name]


@pytest.mark.parametrize("length", [0, 15, 17])
def test_hmac_refuses_a_key_that_is_not_of_16_octets(length: int) -> None:
    with pytest.raises(ValueError, match=f"16 octets, not {length}"):
        hmac_mmo(bytes(length), b"")
