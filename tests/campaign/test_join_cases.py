"""The cases on joining."""

from __future__ import annotations

from pathlib import Path

from playing import play

from labctl.events import CaseOutcome


def test_a_good_device_gets_in_and_one_with_another_code_does_not(tmp_path: Path) -> None:
    results = play(tmp_path, cases=["J01"], behaviour={"wrong_install_code": True})
    good, bad = results["J01", "virtual-ihd"], results["J01", "virtual-cad"]
    assert good.outcome is CaseOutcome.PASS
    assert 0 < {m.name: m.value for m in good.measurements}["authorised_s"] < 300
    assert bad.outcome is CaseOutcome.FAIL
    assert "virtual-cad authorised: not seen within 1200 s" in bad.cause
