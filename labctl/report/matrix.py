"""The page of what works with what (`labctl matrix --html`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labctl.record.matrix import MatrixRow
from labctl.report import formats
from labctl.report.pages import rendered

_SHA_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Row:
    """A row as the page shows it. What is stale says nothing of the device as it is now."""

    r: MatrixRow
    device: str
    kind: str
    firmware: str
    date: str
    cases: str
    evidence: str


def html(rows: Sequence[MatrixRow], rig: str | None = None) -> str:
    """The page: one file, without anything from elsewhere. `rig` is the one that was asked for."""
    return rendered(
        "matrix.html.j2",
        {
            "rows": [
                Row(
                    r=row,
                    device=" ".join(filter(None, (row.manufacturer, row.device))),
                    kind=formats.KINDS.get(row.kind or "other", "device"),
                    firmware=row.firmware or "not told",
                    date=formats.instant(row.at_us).date().isoformat(),
                    cases=f"{row.cases} (some)" if row.selection else str(row.cases),
                    evidence=row.evidence_sha256[:_SHA_DIGITS] if row.evidence_sha256 else "",
                )
                for row in rows
            ],
            "rig": rig,
            "stale": sum(row.stale for row in rows),
            "simulated": sum(row.simulated for row in rows),
        },
        "campaign.css",
    )
