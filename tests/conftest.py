"""What all tests share: a lock folder of their own, and how hypothesis looks for examples.

In CI the examples are the same each time, so that a red run is about the change under test. At a
desk they are new each time; what they find is printed with the line that reproduces it.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# No deadlines: a noisy machine is no finding.
settings.register_profile("ci", derandomize=True, print_blob=True, deadline=None)
settings.register_profile("desk", print_blob=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


@pytest.fixture(scope="session", autouse=True)
def _locks(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test leases anything of the computer that it runs on."""
    os.environ["LABCTL_LOCKS"] = str(tmp_path_factory.mktemp("locks") / "shared")
