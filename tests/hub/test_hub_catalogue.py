"""docs/clusters.md is what the code serves, and everything else has a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.config.access_file import shipped_access
from labctl.events import DeviceKind
from labctl.hub import catalogue, gb_use
from labctl.smart_energy.clusters import CLUSTERS

PAGE = Path(__file__).parents[2] / "docs" / "clusters.md"


def test_the_page_is_what_the_code_says() -> None:
    mend = "run: python -m labctl.hub.catalogue docs/clusters.md"
    assert PAGE.read_text(encoding="utf-8") == catalogue.page(), mend


def test_what_gb_devices_use_is_served_or_has_a_reason_and_never_both() -> None:
    assert catalogue.problems() == []


def test_the_catalogue_notices_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = {**gb_use.NOT_SENT, 0x0703: {0x00: "served, and here is a reason all the same"}}
    monkeypatch.setattr(gb_use, "NOT_SENT", gone)
    assert catalogue.problems() == [
        "Messaging sent 0x00: served 'sent', reason 'served, and here is a reason all the same'",
        "Messaging sent 0x02: served '', reason ''",
    ]


def test_every_attribute_that_gb_devices_use_is_defined() -> None:
    for cluster_id, uses in gb_use.ATTRIBUTES.items():
        defined = {int(d.id) for d in CLUSTERS[cluster_id].AttributeDefs}
        used = [one for use in uses for one in use.ids]
        assert set(used) <= defined, hex(cluster_id)
        assert len(used) == len(set(used)), hex(cluster_id)
        assert {use.source for use in uses} <= gb_use.SOURCES.keys()


def test_the_suppliers_commands_are_refused_to_every_device() -> None:
    table = shipped_access()
    suppliers = [
        (cluster_id, command)
        for cluster_id, reasons in gb_use.NOT_RECEIVED.items()
        for command, reason in reasons.items()
        if "supplier" in reason
    ]
    assert len(suppliers) == 14
    for cluster_id, command in suppliers:
        assert not any(table.allowed(kind, cluster_id, command) for kind in DeviceKind)
