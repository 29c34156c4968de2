"""Outages of the hub's radio that a case makes on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest
from playing import rig_in

from labctl.campaign.outage import cycle_hub
from labctl.campaign.stage import Stage, StageOptions
from labctl.campaign.watch import Watch
from labctl.events import RadioLost, RadioUp


@pytest.mark.parametrize(
    ("rig", "bearer"), [("virtual", 0), ("virtual-znp", 0), ("virtual-two-coordinators", 1)]
)
def test_an_ncp_that_is_reset_on_purpose_comes_back_and_no_other_radio_is_lost(
    tmp_path: Path, rig: str, bearer: int
) -> None:
    stage = Stage(rig_in(tmp_path, rig=rig), StageOptions(database=tmp_path / "labctl.db", seed=1))

    async def scenario() -> None:
        session = stage.session
        name = session.hub.bearers[bearer].name
        with Watch(session.bus, session.clock) as watch, stage.outage_on_purpose():
            assert session.radio is not None
            await session.radio.restart(bearer)
            up = await watch.wait(RadioUp, None, within_s=60, what="the radio back")
            assert (up.name, up.resumed) == (name, True)
            (lost,) = [event for event in watch if isinstance(event, RadioLost)]
            assert lost.name == name
            assert stage.on_purpose(lost.at_us)
        assert session.hub.lost == {}

    try:
        stage.session  # noqa: B018 - opens the rig
        stage.run(scenario())
    finally:
        stage.close()


def test_one_of_two_sticks_is_without_power_for_as_long_as_was_asked(tmp_path: Path) -> None:
    loaded = rig_in(tmp_path, rig="virtual-two-coordinators")
    stage = Stage(loaded, StageOptions(database=tmp_path / "labctl.db", seed=1))

    async def scenario() -> None:
        session = stage.session
        with Watch(session.bus, session.clock) as watch:
            outage = await cycle_hub(stage, watch, 1, 60.0)
            assert [loss.name for loss in watch.outages] == [session.hub.bearers[1].name]
            assert all(stage.on_purpose(loss.at_us) for loss in watch.outages)
        assert outage.by == "unplugged"
        assert 60 <= outage.seconds < 75

    try:
        stage.run(scenario())
    finally:
        stage.close()
