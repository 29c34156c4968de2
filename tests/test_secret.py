"""Secrets print as <secret>, wherever they end up."""

from __future__ import annotations

import copy
import json
import pickle
import traceback

import pytest

from labctl.secret import Secret

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
