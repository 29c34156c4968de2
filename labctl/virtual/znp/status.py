"""Status octets of Z-Stack, and its states."""

from __future__ import annotations

import enum

from labctl.virtual.node import Status as NodeStatus


class Z(enum.IntEnum):
    """Status octets (ZComDef and the layers below)."""

    SUCCESS = 0x00
    FAILURE = 0x01
    INVALID_PARAMETER = 0x02
    NV_ITEM_UNINIT = 0x09
    NV_OPER_FAILED = 0x0A
    NV_BAD_ITEM_LEN = 0x0C
    MEM_ERROR = 0x10
    BUFFER_FULL = 0x11
    UNSUPPORTED_MODE = 0x12
    MAC_UNSUPPORTED = 0x18
    SEC_NO_KEY = 0xA1
    APS_NO_ACK = 0xB7
    APS_DUPLICATE_ENTRY = 0xB8
    NWK_INVALID_REQUEST = 0xC2
    NWK_TABLE_FULL = 0xC7
    NWK_UNKNOWN_DEVICE = 0xC8
    NWK_NO_ROUTE = 0xCD
    MAC_INVALID_PARAMETER = 0xE8
    MAC_NO_ACK = 0xE9
    MAC_TRANSACTION_EXPIRED = 0xF0
    MAC_SCAN_IN_PROGRESS = 0xFC


class Bdb(enum.IntEnum):
    """Status in a commissioning notification."""

    SUCCESS = 0x00
    IN_PROGRESS = 0x01
    NO_NETWORK = 0x02
    FORMATION_FAILURE = 0x08
    NETWORK_RESTORED = 0x0D


class State(enum.IntEnum):
    """Device states that a coordinator goes through."""

    HOLD = 0
    COORDINATOR_STARTING = 8
    COORDINATOR = 9


class RpcError(enum.IntEnum):
    """Why a frame was not even handed on."""

    SUBSYSTEM = 1
    COMMAND = 2
    PARAMETER = 3
    LENGTH = 4


_CONFIRMS = {
    NodeStatus.SUCCESS: Z.SUCCESS,
    NodeStatus.NO_ACK: Z.APS_NO_ACK,
    NodeStatus.MAC_FAILURE: Z.MAC_NO_ACK,
    NodeStatus.NO_KEY: Z.SEC_NO_KEY,
    NodeStatus.TOO_LONG: Z.INVALID_PARAMETER,
    NodeStatus.NOT_JOINED: Z.NWK_INVALID_REQUEST,
    NodeStatus.EXPIRED: Z.MAC_TRANSACTION_EXPIRED,
}


def as_octet(status: NodeStatus) -> Z:
    """What Z-Stack calls this end of a request."""
    return _CONFIRMS[status]
