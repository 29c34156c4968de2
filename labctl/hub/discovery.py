"""Where on a device a cluster's server is: Match_Desc_req to it alone (R22 2.4.3.1.7)."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Final

from labctl.errors import RigError
from labctl.hub.device_log import Device
from labctl.radio.coordinator import Coordinator, Incoming, Outgoing, short_address
from labctl.smart_energy.clusters import SMART_ENERGY_PROFILE

MATCH_DESC: Final = 0x0006
MATCH_DESC_RESPONSE: Final = 0x8006
_REQUEST: Final = struct.Struct("<BHHBHB")
_RESPONSE: Final = struct.Struct("<BBHB")


class Discovery:
    """The hub's own questions about the endpoints of devices."""

    def __init__(self, coordinator: Coordinator, sequence: Callable[[], int], answer_s: float):
        self._coordinator = coordinator
        self._next_sequence = sequence
        self._answer_s = answer_s
        self._waiting: dict[tuple[str, int], asyncio.Future[list[int]]] = {}

    def answered(self, device: Device, packet: Incoming) -> None:
        """Take a ZDO response if it answers a question of ours. Never raises."""
        if packet.cluster_id != MATCH_DESC_RESPONSE or len(packet.data) < _RESPONSE.size:
            return
        sequence, status, _, count = _RESPONSE.unpack_from(packet.data)
        waiting = self._waiting.get((device.eui64, sequence))
        if waiting is not None and not waiting.done():
            endpoints = list(packet.data[_RESPONSE.size :][:count])
            waiting.set_result(endpoints if status == 0 else [])

    async def server(self, device: Device, cluster_id: int) -> int | None:
        """The first endpoint that serves a cluster; None when there is none or no answer came."""
        if device.nwk is None:
            return None
        sequence = self._next_sequence()
        key = (str(device.eui64), sequence)
        found = self._waiting[key] = asyncio.get_running_loop().create_future()
        request = Outgoing(
            nwk=device.nwk,
            source_endpoint=0,
            destination_endpoint=0,
            cluster_id=MATCH_DESC,
            profile_id=0,
            data=_REQUEST.pack(
                sequence, short_address(device.nwk), SMART_ENERGY_PROFILE, 1, cluster_id, 0
            ),
        )
        try:
            await self._coordinator.send(request)
            async with asyncio.timeout(self._answer_s):
                endpoints = await found
        except (TimeoutError, RigError):
            return None
        finally:
            self._waiting.pop(key, None)
        return next((endpoint for endpoint in endpoints if 1 <= endpoint <= 240), None)
