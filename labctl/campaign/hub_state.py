"""What the hub would not change by itself: to be compared before and after a provocation."""

from __future__ import annotations

from labctl.hub.device_log import Device
from labctl.hub.hub import Hub
from labctl.smart_energy.eui64 import Eui64

METERING, PRICE, PREPAYMENT = 0x0702, 0x0700, 0x0705

_SHOWN = (
    (METERING, (0x0300, 0x0301, 0x0302, 0x0303, 0x0306, 0x0307, 0x0308, 0x0014)),
    (PRICE, (0x0000, 0x0300, 0x0301, 0x0303)),
    (PREPAYMENT, (0x0000, 0x0001, 0x0002, 0x0010)),
)
"""Attributes that stand still from one moment to the next: the meters' settings and accounts."""


def entry_of(hub: Hub, eui64: Eui64) -> Device:
    """A device's entry in the log; it is paired."""
    device = hub.device_log().get(eui64)
    assert device is not None
    return device


def shown_to(hub: Hub, device: Device) -> dict[tuple[int, int], bytes]:
    """What the meters' endpoints show a device, as octets, by endpoint and cluster."""
    return {
        (endpoint, cluster_id): hub.rehearsals.read(device, endpoint, cluster_id, *attributes)
        for cluster_id, attributes in _SHOWN
        for endpoint in hub.rehearsals.serving(cluster_id)
    }


def kept_by(hub: Hub) -> tuple[object, ...]:
    """The hub's own state: its network, and who is in its log with what key."""
    return (
        *((radio.name, radio.pan_id, radio.page, radio.channel) for radio in hub.bearers),
        *((each.eui64, each.kind, each.key, each.secret, each.nwk) for each in hub.device_log()),
    )
