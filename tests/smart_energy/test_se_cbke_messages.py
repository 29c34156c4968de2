import pytest
from cbke_support import EXCHANGES
from hypothesis import given
from hypothesis import strategies as st

from labctl.smart_energy.cbke_messages import (
    CommandId,
    ConfirmKey,
    EphemeralData,
    Initiate,
    MessageError,
    Terminate,
    TerminateStatus,
    suite_bitmap,
)

octet = st.integers(min_value=0, max_value=0xFF)


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda e: e["id"])
def test_initiate_has_the_published_form(exchange: dict) -> None:
    suite = exchange["suite"]
    certificate = bytes.fromhex(exchange["initiator_U"]["certificate"])
    payload = Initiate(suite, 3, 6, certificate).encode()
    assert len(payload) == {1: 52, 2: 78}[suite]
    assert Initiate.decode(payload) == Initiate(suite, 3, 6, certificate)
    if "initiate_req_payload" in exchange:
        assert payload.hex() == exchange["initiate_req_payload"]


@pytest.mark.parametrize(
    ("payload", "status", "says"),
    [
        ("", TerminateStatus.BAD_MESSAGE, "0 octets: not even a suite"),
        ("01", TerminateStatus.BAD_MESSAGE, "1 octets: not even a suite"),
        ("0300", TerminateStatus.BAD_MESSAGE, "more than one suite: bitmap 0003"),
        ("ffff", TerminateStatus.BAD_MESSAGE, "more than one suite"),
        ("0000", TerminateStatus.UNSUPPORTED_SUITE, "bitmap 0000"),
        ("0400", TerminateStatus.UNSUPPORTED_SUITE, "bitmap 0004"),
        ("0080", TerminateStatus.UNSUPPORTED_SUITE, "bitmap 8000"),
        ("0100", TerminateStatus.BAD_MESSAGE, "2 octets; suite 1 needs 52"),
        ("0100" + "00" * 51, TerminateStatus.BAD_MESSAGE, "53 octets; suite 1 needs 52"),
        ("0200" + "00" * 50, TerminateStatus.BAD_MESSAGE, "52 octets; suite 2 needs 78"),
    ],
)
def test_bad_initiate_gets_the_right_status(
    payload: str, status: TerminateStatus, says: str
) -> None:
    with pytest.raises(MessageError, match=says) as caught:
        Initiate.decode(bytes.fromhex(payload))
    assert caught.value.status is status


@pytest.mark.parametrize(("suite", "length"), [(1, 22), (2, 37)])
def test_ephemeral_data_has_the_length_of_its_suite(suite: int, length: int) -> None:
    assert EphemeralData.decode(bytes(length), suite).encode() == bytes(length)
    for wrong in (0, length - 1, length + 1):
        with pytest.raises(MessageError, match=f"{wrong} octets; suite {suite} needs {length}"):
            EphemeralData.decode(bytes(wrong), suite)


def test_confirm_key_has_16_octets() -> None:
    assert ConfirmKey.decode(bytes(16)).encode() == bytes(16)
    for wrong in (0, 15, 17):
        with pytest.raises(MessageError, match=f"{wrong} octets; it needs 16"):
            ConfirmKey.decode(bytes(wrong))


def test_terminate_has_the_documented_layout() -> None:
    terminate = Terminate(TerminateStatus.UNSUPPORTED_SUITE, 30, 0x0003)
    assert terminate.encode().hex() == "051e0300"
    assert Terminate.decode(bytes.fromhex("051e0300")) == terminate
    for wrong in (0, 3, 5):
        with pytest.raises(MessageError, match=f"{wrong} octets"):
            Terminate.decode(bytes(wrong))


@given(octet, octet, st.integers(min_value=0, max_value=0xFFFF))
def test_terminate_with_any_status_survives(status: int, wait_s: int, suites: int) -> None:
    terminate = Terminate(TerminateStatus(status), wait_s, suites)
    again = Terminate.decode(terminate.encode())
    assert (int(again.status), again.wait_s, again.suites) == (status, wait_s, suites)


def test_reserved_status_has_a_name_that_tells_its_number() -> None:
    assert TerminateStatus(0x77).name == "RESERVED_77"
    assert TerminateStatus(0) not in list(TerminateStatus)
    assert len(list(TerminateStatus)) == 6
    with pytest.raises(ValueError, match="256"):
        TerminateStatus(256)


def test_suites_make_a_bitmap() -> None:
    assert [suite_bitmap(frozenset(s)) for s in ((), (1,), (2,), (1, 2))] == [0, 1, 2, 3]


def test_commands_have_names_for_people() -> None:
    assert CommandId.EPHEMERAL_DATA.label == "Ephemeral Data"
    assert all(command.label for command in CommandId)
