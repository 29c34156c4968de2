"""What a rig file says of airtime, links and the change of channels reaches the hub."""

from __future__ import annotations

from pathlib import Path

from labctl.config.loading import load_rig
from labctl.events import Band
from labctl.hub.bearer_settings import BearerSettings
from labctl.rig.assembly import hub_settings
from labctl.smart_energy.airtime import Limits

PROJECT = Path(__file__).parents[2]
KEYS = """
  duty_cycle: {limited: 1s, critical: 2s}
  suspend_for: 7min
  sub_ghz_links: 2
  over_capacity: refuse
  agility: {by_itself: false, lost_percent: 40, not_again: 1h, gain_db: 3, wake_up: 10min}
  links: {ask_every: null, noise_every: 5min}
"""


def test_the_defaults_are_the_hubs() -> None:
    rig = load_rig(PROJECT / "rigs" / "virtual.yaml")
    assert hub_settings(rig).bearers == BearerSettings()


def test_each_key_reaches_the_hub(tmp_path: Path) -> None:
    text = (PROJECT / "rigs" / "virtual-868.yaml").read_text()
    path = tmp_path / "rig.yaml"
    path.write_text(text.replace("hub:\n", "hub:" + KEYS, 1))
    settings = hub_settings(load_rig(path, PROJECT / "inventory.yaml"))
    sub_ghz, agility, links = (
        settings.bearers.sub_ghz,
        settings.bearers.agility,
        settings.bearers.links,
    )
    assert sub_ghz.limits == Limits(1_000_000, 2_000_000, 100_000_000)
    assert (sub_ghz.suspend_min, sub_ghz.high_bandwidth_links) == (7, 2)
    assert sub_ghz.refuse_over_capacity
    assert (agility.by_itself, agility.failed_share, agility.gain_db) == (False, 0.4, 3)
    assert (agility.not_again_s, agility.wake_up_s) == (3600.0, 600.0)
    assert (links.ask_every_s, links.noise_every_s) == (None, 300.0)


def test_the_hub_knows_the_bands_of_the_devices() -> None:
    settings = hub_settings(load_rig(PROJECT / "rigs" / "virtual-868.yaml"))
    assert all(Band.MHZ_868 in device.bands for device in settings.devices)
