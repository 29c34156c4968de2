"""A short fight over rigs, and that the campaign notices what it is there to notice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).parents[2] / "campaigns" / "leases.py"

_BROKEN = """
import runpy, sys
from contextlib import nullcontext
from labctl.leases import Lease, Leases, LockFolder
{sabotage}
sys.path.insert(0, {folder!r})
sys.argv = ["leases.py", "--rounds", "{rounds}", "--stops", "{stops}"]
runpy.run_path({campaign!r}, run_name="__main__")
"""


def test_processes_of_two_users_never_have_a_thing_twice() -> None:
    done = subprocess.run(
        [sys.executable, str(CAMPAIGN), "--rounds", "150", "--stops", "2"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rounds            15" in done.stdout
    assert "stopped           2, 2 noticed" in done.stdout


@pytest.mark.parametrize(
    ("sabotage", "rounds", "stops", "said"),
    [
        (
            "Leases._lives = lambda self, thing, entry: False",
            150,
            0,
            "was taken from|two owners|is lost",
        ),
        ("LockFolder.guard = lambda self, **options: nullcontext()", 500, 0, "Error"),
        ("Lease.check = lambda self, thing=None: None", 0, 2, "times after a newer one"),
    ],
)
def test_the_campaign_notices(sabotage: str, rounds: int, stops: int, said: str) -> None:
    script = _BROKEN.format(
        sabotage=sabotage,
        folder=str(CAMPAIGN.parent),
        campaign=str(CAMPAIGN),
        rounds=rounds,
        stops=stops,
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(word in done.stderr for word in said.split("|")), done.stderr
