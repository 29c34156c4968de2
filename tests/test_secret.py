"""Secrets print as <secret>, wherever they end up."""

from __future__ import annotations

import copy
import json
import pickle
import traceback

import pytest

from labctl.secret import Secret, hide, scrub

OCTETS = bytes(range(0x41, 0x51))
LEAKS = (OCTETS.hex(), OCTETS.decode(), str(OCTETS), str(list(OCTETS)))


def printed_forms(secret: Secret) -> list[str]:
    holder = {"key": secret, "list": [secret]}
    return [str(secret), repr(secret), f"{secret}", f"{secret!r:>20}", "%s" % secret, str(holder)]  # noqa: UP031


def test_no_printed_form_shows_the_octets() -> None:
    for text in printed_forms(Secret(OCTETS)):
        assert "<secret>" in text
        assert not any(leak in text for leak in LEAKS)


def test_an_exception_that_holds_a_secret_does_not_show_it() -> None:
    try:
        raise ValueError("no such key", Secret(OCTETS))
    except ValueError as error:
        text = "".join(traceback.format_exception(error))
    assert not any(leak in text for leak in LEAKS)


def test_a_secret_is_refused_by_json_and_pickle() -> None:
    with pytest.raises(TypeError):
        json.dumps(Secret(OCTETS))
    with pytest.raises(TypeError):
        pickle.dumps(Secret(OCTETS))


def test_equal_octets_are_equal_secrets_and_copies_stay_secret() -> None:
    secret = Secret(OCTETS)
    assert secret == Secret(OCTETS)
    assert secret != Secret(bytes(16))
    assert secret != OCTETS
    assert len({secret, Secret(OCTETS)}) == 1
    assert copy.deepcopy(secret) is secret
    assert secret.reveal() == OCTETS


KEY = bytes.fromhex("83FED3407A939723A5C639B26916D505")


@pytest.mark.parametrize(
    "form",
    [
        KEY.hex(),
        KEY.hex(":"),
        KEY.hex(" ").upper(),
        KEY.hex("-"),
        repr(KEY),
        repr(bytearray(KEY)),
        str(list(KEY)),
        ", ".join(f"0x{octet:02X}" for octet in KEY),
        "73920184655102938476",
    ],
)
@pytest.mark.parametrize("around", ["{}", "key={}, seq=0", "Key({}) of 00:00:5e:ef:10:00:00:02"])
def test_octets_in_the_text_of_others_are_hidden(form: str, around: str) -> None:
    for clean in (scrub, hide):
        cleaned = clean(around.format(form))
        assert form not in cleaned
        assert form[8:20] not in cleaned


def test_addresses_and_short_values_stay_in_log_lines() -> None:
    line = "00:00:5e:ef:10:00:00:02 sent b'\\x01\\x02' to endpoint 1, cluster 0x0702, [1, 2, 3]"
    assert hide(line) == line
    assert "5e:ef" not in scrub(line), "a person may have written a short install code so"


def test_a_key_is_not_taken_for_addresses() -> None:
    assert hide(f"key {KEY.hex(':')}") == "key <hidden>"
