"""ZDO as it arrives: what the firmware answers, and what the host hears of it.

The host gets responses in two forms: by a frame of the response's own, always, and by the general
one for the clusters that it has registered. It never hears a request unless it has registered just
that cluster, and the firmware answers that one all the same.
"""

from __future__ import annotations

import struct

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.frames import nwk, zdp
from labctl.virtual.node import Indication
from labctl.virtual.znp.codec import eui64_of
from labctl.virtual.znp.handlers.base import Answer, Part
from labctl.virtual.znp.status import Z

RESPONSE = 0x8000
ALL_RESPONSES = 0xFFFF
DEVICE_ANNCE = 0x0013
MGMT_RTG, MGMT_NWK_UPDATE = 0x0032, 0x0038
NWK_ADDR_RSP, IEEE_ADDR_RSP = 0x8000, 0x8001
DIRECT = frozenset(
    {
        *range(0x8000, 0x8007),
        *(0x801F, 0x8020, 0x8021, 0x8022),
        *(0x8030, 0x8031, 0x8032, 0x8033, 0x8034, 0x8035, 0x8036, 0x8038),
    }
)
"""Responses with a frame of their own, which has the cluster's low seven bits."""


class Zdo(Part):
    """Endpoint 0."""

    def boot(self) -> None:
        """Nothing is registered."""
        self._registered: set[int] = set()

    def zdo_msg_cb_register(self, cluster_id: int) -> Answer:
        """0xFFFF: all responses and announcements, and no request."""
        self._registered.add(cluster_id)
        return Z.SUCCESS

    def zdo_msg_cb_remove(self, cluster_id: int) -> Answer:
        """FAILURE when it was not registered."""
        if cluster_id not in self._registered:
            return Z.FAILURE
        self._registered.remove(cluster_id)
        return Z.SUCCESS

    # -- what is heard -----------------------------------------------------------------------------

    def observed(self, indication: Indication) -> None:
        """Any ZDO frame, one of our own to ourselves too."""
        cluster = indication.cluster_id
        sequence, body = indication.payload[0], indication.payload[1:]
        if self._wants(cluster):
            self.znp.notify(
                "zdo_msg_cb_incoming",
                source=indication.source,
                was_broadcast=int(nwk.is_broadcast(indication.destination)),
                cluster_id=cluster,
                security_use=int(indication.aps_secured),
                sequence=sequence,
                mac_destination=indication.destination,
                asdu=body,
            )
        if cluster == DEVICE_ANNCE and len(body) >= 11:
            self.znp.notify(
                "zdo_end_device_annce_ind",
                source=indication.source,
                short=int.from_bytes(body[:2], "little"),
                eui64=eui64_of(body[2:10]),
                capability=body[10],
            )
        elif cluster in DIRECT and body:
            self._direct(cluster, indication.source, body)

    def _wants(self, cluster: int) -> bool:
        if cluster in self._registered:
            return True
        heard = bool(cluster & RESPONSE) or cluster == DEVICE_ANNCE
        return ALL_RESPONSES in self._registered and heard

    def _direct(self, cluster: int, source: int, body: bytes) -> None:
        data = struct.pack("<H", source) + body
        if cluster in (NWK_ADDR_RSP, IEEE_ADDR_RSP):
            if body[0] != 0 or len(body) < 11:
                return
            # On the air the count of children goes before the index; here it is behind it.
            count, start = (body[11], body[12]) if len(body) >= 13 else (0, 0)
            data = body[:11] + bytes((start, count)) + body[13:]
        self.znp.notify_raw(0x4580 | cluster & 0x7F, data)

    def leave_heard(self, eui64: Eui64, short: int, request: bool, rejoin: bool) -> None:
        """A NWK leave."""
        self.znp.notify(
            "zdo_leave_ind",
            source=short,
            eui64=eui64,
            request=int(request),
            remove_children=0,
            rejoin=int(rejoin),
        )

    # -- what the firmware answers besides the node ------------------------------------------------

    def answers(self, indication: Indication) -> bool:
        """True for requests that the firmware answers by itself."""
        body = indication.payload[1:]
        if indication.cluster_id == MGMT_NWK_UPDATE:
            self.znp.scanning.update_requested(indication, body)
            return True
        if indication.cluster_id == MGMT_RTG and len(body) == 1:
            self.answer(indication, bytes((0, 0, body[0], 0)))  # one hop only: no routes
            return True
        return False

    def answer(self, indication: Indication, body: bytes) -> None:
        """Respond to a request, with its sequence number."""
        self.znp.zdo_requests.send(
            indication.source,
            indication.cluster_id | RESPONSE,
            body,
            sequence=indication.payload[0],
        )

    def known(self, short: int) -> bool:
        """Whether a device is a child or ourselves: then there is a way to it."""
        node = self.znp.network.node
        return node is not None and (short == 0 or short in node.parent.children)


assert zdp.RESPONSE == RESPONSE
