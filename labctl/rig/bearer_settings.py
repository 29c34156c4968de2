"""What the hub is told of its bearers: limits, links, and when to change the channel."""

from __future__ import annotations

from datetime import timedelta

from labctl.config.hub_links import OverCapacity
from labctl.config.resolved import LoadedRig
from labctl.hub.bearer_settings import AgilitySettings, BearerSettings, LinkSettings, SubGhzSettings


def bearer_settings(loaded: LoadedRig) -> BearerSettings:
    """As the rig file has it."""
    hub = loaded.rig.hub
    return BearerSettings(
        sub_ghz=SubGhzSettings(
            suspend_min=round(hub.suspend_for / timedelta(minutes=1)),
            limits=loaded.duty_limits,
            high_bandwidth_links=hub.sub_ghz_links,
            refuse_over_capacity=hub.over_capacity is OverCapacity.REFUSE,
        ),
        agility=AgilitySettings(
            by_itself=hub.agility.by_itself,
            failed_share=hub.agility.lost_percent / 100,
            not_again_s=hub.agility.not_again.total_seconds(),
            gain_db=hub.agility.gain_db,
            wake_up_s=hub.agility.wake_up.total_seconds(),
        ),
        links=LinkSettings(
            ask_every_s=_seconds(hub.links.ask_every),
            noise_every_s=_seconds(hub.links.noise_every),
        ),
    )


def _seconds(period: timedelta | None) -> float | None:
    return None if period is None else period.total_seconds()
