"""ZDO: what the NCP answers by itself, and what the host hears of it or answers instead.

The answers themselves are the node's. A request that the host sends to its own NCP takes the same
way: the node loops it back.
"""

from __future__ import annotations

from labctl.virtual.ncp.handlers.base import Part
from labctl.virtual.ncp.handlers.configuration import ConfigId, ZdoFlag
from labctl.virtual.ncp.handlers.messaging import ZDO_RESPONSE_REQUIRED
from labctl.virtual.node import Indication

NWK_ADDR = 0x0000
IEEE_ADDR = 0x0001
NODE_DESC = 0x0002
POWER_DESC = 0x0003
SIMPLE_DESC = 0x0004
ACTIVE_EP = 0x0005
MATCH_DESC = 0x0006
DEVICE_ANNCE = 0x0013
PARENT_ANNCE = 0x001F

_ENDPOINT_REQUESTS = frozenset({SIMPLE_DESC, ACTIVE_EP, MATCH_DESC})
_BINDING_REQUESTS = frozenset({0x0021, 0x0022, 0x0033})
_SUPPORTED = frozenset(
    {
        *(NWK_ADDR, IEEE_ADDR, NODE_DESC, POWER_DESC, DEVICE_ANNCE, PARENT_ANNCE),
        *(0x0031, 0x0034, 0x0036),  # Mgmt_Lqi, Mgmt_Leave, Mgmt_Permit_Joining
        *_ENDPOINT_REQUESTS,
        *_BINDING_REQUESTS,
    }
)
_RESPONSE = 0x8000


class Zdo(Part):
    """Who answers is decided by configuration value 0x2A (APPLICATION_ZDO_FLAGS)."""

    def reset(self) -> None:
        """The manufacturer code goes into the node descriptor."""
        self.manufacturer_code = 0x0000

    def host_answers(self, cluster_id: int) -> bool:
        """Whether the host has claimed this request for itself."""
        flags = self.ezsp.configuration[ConfigId.APPLICATION_ZDO_FLAGS]
        if cluster_id in _ENDPOINT_REQUESTS:
            return bool(flags & ZdoFlag.APP_HANDLES_ENDPOINTS)
        if cluster_id in _BINDING_REQUESTS:
            return bool(flags & ZdoFlag.APP_HANDLES_BINDING)
        return cluster_id not in _SUPPORTED and bool(flags & ZdoFlag.APP_HANDLES_UNSUPPORTED)

    def request(self, indication: Indication) -> bool:
        """A request came over the air. True when the host is to answer it, and has been told."""
        if not self.host_answers(indication.cluster_id):
            return False
        self.ezsp.messaging.hand_up(indication, ZDO_RESPONSE_REQUIRED)
        return True

    def observed(self, indication: Indication) -> None:
        """Any ZDO frame, before `request`: the host gets a copy of some."""
        cluster_id = indication.cluster_id
        if cluster_id & _RESPONSE or cluster_id == DEVICE_ANNCE:
            self.ezsp.messaging.hand_up(indication)
            return
        if self.host_answers(cluster_id):
            return  # `request` will hand it up
        flags = self.ezsp.configuration[ConfigId.APPLICATION_ZDO_FLAGS]
        if cluster_id in _SUPPORTED and flags & ZdoFlag.APP_RECEIVES_SUPPORTED:
            self.ezsp.messaging.hand_up(indication)
