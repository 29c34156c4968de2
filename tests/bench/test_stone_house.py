"""The drawn house: behind stone a CAD with both bands is on 868 MHz, behind thin walls on 2.4."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from virtual_rigs import write_rig

from labctl.cli.main import main

CAD, IHD = "00:00:5e:ef:10:00:00:21", "00:00:5e:ef:10:00:00:02"


def pull_down(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
    """Take the three stone walls away: thin ones stand there."""
    del rig["virtual"]["house"]["walls"]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("stone", "band", "page"),
    [(True, "868 MHz", 28), (False, "2.4 GHz", 0)],
    ids=["stone", "thin walls"],
)
def test_the_cad_joins_where_the_walls_let_it(
    stone: bool,
    band: str,
    page: int,
    seed: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rig = write_rig(tmp_path, None if stone else pull_down, "virtual-stone-house")
    code = main(["bench", str(rig), "--json", "--for", "12min", "--seed", str(seed)])
    told = json.loads(capsys.readouterr().out)["data"]
    assert code in (0, 69), told  # too short for a verdict on gas
    with sqlite3.connect(tmp_path / "labctl.db") as db:
        joins = dict(db.execute("SELECT eui64, band FROM joins WHERE outcome = 'authorised'"))
        pages = dict(
            db.execute(
                "SELECT d.eui64, group_concat(DISTINCT l.page) FROM link_samples l"
                " JOIN devices d ON d.id = l.device_id GROUP BY 1"
            )
        )
    assert joins == {CAD: band, IHD: "2.4 GHz"}
    assert pages == {CAD: str(page), IHD: "0"}
    (report,) = [Path(path).read_text() for path in told["reports"] if path.endswith(".md")]
    (why,) = [row for row in report.splitlines() if row.startswith(f"| virtual-dual-cad | {band}")]
    if stone:
        assert "3 × stone" in why
        assert "2.4 GHz arrives there at about -118 dBm, 18 dB below the sensitivity" in why
        assert "868 MHz arrives there at about -71 dBm, 33 dB above the sensitivity" in why
    else:
        assert "3 × partition" in why
        assert "2.4 GHz arrives there at about -57 dBm, 43 dB above the sensitivity" in why
