"""Twenty pairings of the campaign, and that it notices what it is there to notice."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT / "campaigns"))

import pairings  # noqa: E402

from labctl.hub.keys import Keys  # noqa: E402


@pytest.mark.parametrize("number", range(20))
def test_a_pairing_with_misfortune_ends_as_it_should(number: int) -> None:
    _, _, wrong = pairings.attempt(2026, number)
    assert not wrong


def test_the_twenty_are_of_all_sorts() -> None:
    cases = [pairings.case(2026, number) for number in range(20)]
    assert {one.refusal for one in cases} > {"", "wrong code", "foreign issuer"}
    assert any(one.hub_cut for one in cases)
    assert any(one.device_cut for one in cases)
    assert any(one.loss > 0.1 for one in cases)
    assert any(one.in_ncp for one in cases)
    assert {one.suite for one in cases} == {1, 2}


def test_a_key_that_is_left_behind_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forgetful(self: Keys, device: object) -> None:
        """Leaves everything as it is."""

    number = next(n for n in range(100) if pairings.case(2026, n).refusal == "wrong code")
    monkeypatch.setattr(Keys, "erase", forgetful)
    _, _, wrong = pairings.attempt(2026, number)
    assert "a key is left" in wrong
