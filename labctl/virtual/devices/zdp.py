"""The few ZDO bodies that a client needs (R22 2.4.3, 2.4.4); all little-endian.

Bodies are without the sequence number, which the node adds and takes off. What cannot be read
comes back as None: a display that gets a broken answer treats it as no answer.
"""

from __future__ import annotations

import struct

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.node import SimpleDescriptor

SIMPLE_DESC = 0x0004
ACTIVE_EP = 0x0005
MATCH_DESC = 0x0006
BIND = 0x0021
UPDATE_NOTIFY = 0x803B
"""Mgmt_NWK_Unsolicited_Enhanced_Update_notify."""

BROADCAST_RX_ON = 0xFFFD


def match_desc(of: int, profile_id: int, server_cluster: int) -> bytes:
    """Match_Desc_req for one server cluster."""
    return struct.pack("<HHBHB", of, profile_id, 1, server_cluster, 0)


def match_client(of: int, profile_id: int, client_cluster: int) -> bytes:
    """Match_Desc_req for one client cluster."""
    return struct.pack("<HHBBH", of, profile_id, 0, 1, client_cluster)


def matched_endpoints(body: bytes | None) -> tuple[int, ...]:
    """The endpoints in a Match_Desc_rsp or an Active_EP_rsp; none when it is not a success."""
    if body is None or len(body) < 4 or body[0] != 0 or len(body) < 4 + body[3]:
        return ()
    return tuple(body[4 : 4 + body[3]])


def active_ep(of: int) -> bytes:
    """Active_EP_req."""
    return struct.pack("<H", of)


def simple_desc(of: int, endpoint: int) -> bytes:
    """Simple_Desc_req."""
    return struct.pack("<HB", of, endpoint)


def parse_simple_desc(body: bytes | None) -> SimpleDescriptor | None:
    """The descriptor in a Simple_Desc_rsp."""
    if body is None or len(body) < 12 or body[0] != 0:
        return None
    descriptor = body[4 : 4 + body[3]]
    try:
        endpoint, profile_id, device_id, version, inputs = struct.unpack_from("<BHHBB", descriptor)
        servers = struct.unpack_from(f"<{inputs}H", descriptor, 7)
        (outputs,) = struct.unpack_from("<B", descriptor, 7 + 2 * inputs)
        clients = struct.unpack_from(f"<{outputs}H", descriptor, 8 + 2 * inputs)
    except struct.error:
        return None
    return SimpleDescriptor(endpoint, profile_id, device_id, version & 0x0F, servers, clients)


def bind(source: Eui64, source_endpoint: int, cluster_id: int, to: Eui64, endpoint: int) -> bytes:
    """Bind_req: `source` shall send what `cluster_id` has to say to our `endpoint`."""
    return (
        source.little_endian
        + struct.pack("<BHB", source_endpoint, cluster_id, 3)
        + to.little_endian
        + bytes((endpoint,))
    )
