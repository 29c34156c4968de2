"""Status codes of EZSP: EmberStatus, EzspStatus, sl_status_t (UG100, error-def)."""

from __future__ import annotations

import enum


class Ember(enum.IntEnum):
    """EmberStatus, one octet, in the stack's own answers up to EZSP 13."""

    SUCCESS = 0x00
    ERR_FATAL = 0x01
    BAD_ARGUMENT = 0x02
    NOT_FOUND = 0x03
    NO_BUFFERS = 0x18
    MAC_SCANNING = 0x3D
    MAC_BAD_SCAN_DURATION = 0x33
    MAC_INVALID_CHANNEL_MASK = 0x35
    DELIVERY_FAILED = 0x66
    BINDING_INDEX_OUT_OF_RANGE = 0x69
    ADDRESS_TABLE_INDEX_OUT_OF_RANGE = 0x6A
    INVALID_BINDING_INDEX = 0x6C
    INVALID_CALL = 0x70
    MAX_MESSAGE_LIMIT_REACHED = 0x72
    MESSAGE_TOO_LONG = 0x74
    ADDRESS_TABLE_ENTRY_IS_ACTIVE = 0x76
    PHY_INVALID_CHANNEL = 0x8A
    PHY_INVALID_POWER = 0x8B
    NETWORK_UP = 0x90
    NETWORK_DOWN = 0x91
    NOT_JOINED = 0x93
    CHANNEL_CHANGED = 0x9B
    NETWORK_OPENED = 0x9C
    NETWORK_CLOSED = 0x9D
    NETWORK_BUSY = 0xA1
    INVALID_ENDPOINT = 0xA3
    APS_ENCRYPTION_ERROR = 0xA6
    SECURITY_STATE_NOT_SET = 0xA8
    INDEX_OUT_OF_RANGE = 0xB1
    KEY_INVALID = 0xB2
    LIBRARY_NOT_PRESENT = 0xB5
    TABLE_ENTRY_ERASED = 0xB6
    SECURITY_CONFIGURATION_INVALID = 0xB7
    TOO_SOON_FOR_SWITCH_KEY = 0xB8
    OPERATION_IN_PROGRESS = 0xBA
    KEY_NOT_AUTHORIZED = 0xBB


class Ezsp(enum.IntEnum):
    """EzspStatus, one octet: configuration, values, policies, and refused frames."""

    SUCCESS = 0x00
    VERSION_NOT_SET = 0x30
    INVALID_FRAME_ID = 0x31
    WRONG_DIRECTION = 0x32
    TRUNCATED = 0x33
    OVERFLOW = 0x34
    OUT_OF_MEMORY = 0x35
    INVALID_VALUE = 0x36
    INVALID_ID = 0x37
    INVALID_CALL = 0x38
    NO_RESPONSE = 0x39
    COMMAND_TOO_LONG = 0x40
    UNSUPPORTED_CONTROL = 0x49
    UNSECURE_FRAME = 0x4A


class Sl(enum.IntEnum):
    """sl_status_t, four octets: the security manager's answers in EZSP 12 and 13, all from 14."""

    OK = 0x0000
    FAIL = 0x0001
    INVALID_STATE = 0x0002
    NOT_AVAILABLE = 0x000E
    FULL = 0x001C
    INVALID_PARAMETER = 0x0021
    INVALID_TYPE = 0x0026
    INVALID_INDEX = 0x0027
    INVALID_KEY = 0x0029
    NOT_FOUND = 0x002D
