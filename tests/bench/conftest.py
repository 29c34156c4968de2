"""What tests of whole runs share."""

from __future__ import annotations

import pytest
import virtual_rigs


@pytest.fixture(params=["virtual", "virtual-znp"], ids=["ezsp", "znp"])
def either_stick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs on a stick of each driver."""
    monkeypatch.setattr(virtual_rigs, "SHIPPED", request.param)
