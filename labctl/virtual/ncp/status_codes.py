"""Status codes as a protocol version has them.

Up to EZSP 13 a status is one octet, of EmberStatus or EzspStatus; the security manager's alone are
sl_status_t. From EZSP 14 every status is an sl_status_t of four octets. Handlers speak the older
codes, where there is one, and this is their translation.
"""

from __future__ import annotations

from labctl.virtual.ncp.status import Ember, Ezsp, Sl

_OF_EMBER: dict[Ember, Sl] = {
    Ember.SUCCESS: Sl.OK,
    Ember.ERR_FATAL: Sl.FAIL,
    Ember.BAD_ARGUMENT: Sl.INVALID_PARAMETER,
    Ember.NOT_FOUND: Sl.NOT_FOUND,
    Ember.NO_BUFFERS: Sl.ALLOCATION_FAILED,
    Ember.MAC_SCANNING: Sl.MAC_SCANNING,
    Ember.MAC_BAD_SCAN_DURATION: Sl.BAD_SCAN_DURATION,
    Ember.MAC_INCORRECT_SCAN_TYPE: Sl.MAC_INCORRECT_SCAN_TYPE,
    Ember.MAC_INVALID_CHANNEL_MASK: Sl.INVALID_CHANNEL_MASK,
    Ember.ERR_FLASH_WRITE_INHIBITED: Sl.FLASH_WRITE_INHIBITED,
    Ember.DELIVERY_FAILED: Sl.ZIGBEE_DELIVERY_FAILED,
    Ember.BINDING_INDEX_OUT_OF_RANGE: Sl.INVALID_INDEX,
    Ember.ADDRESS_TABLE_INDEX_OUT_OF_RANGE: Sl.INVALID_RANGE,
    Ember.INVALID_BINDING_INDEX: Sl.INVALID_INDEX,
    Ember.INVALID_CALL: Sl.INVALID_STATE,
    Ember.MAX_MESSAGE_LIMIT_REACHED: Sl.ZIGBEE_MAX_MESSAGE_LIMIT_REACHED,
    Ember.MESSAGE_TOO_LONG: Sl.MESSAGE_TOO_LONG,
    Ember.ADDRESS_TABLE_ENTRY_IS_ACTIVE: Sl.ZIGBEE_ADDRESS_TABLE_ENTRY_IS_ACTIVE,
    Ember.PHY_INVALID_CHANNEL: Sl.TRANSMIT_INVALID_CHANNEL,
    Ember.PHY_INVALID_POWER: Sl.TRANSMIT_INVALID_POWER,
    Ember.NETWORK_UP: Sl.NETWORK_UP,
    Ember.NETWORK_DOWN: Sl.NETWORK_DOWN,
    Ember.NOT_JOINED: Sl.NOT_JOINED,
    Ember.CHANNEL_CHANGED: Sl.ZIGBEE_CHANNEL_CHANGED,
    Ember.NETWORK_OPENED: Sl.ZIGBEE_NETWORK_OPENED,
    Ember.NETWORK_CLOSED: Sl.ZIGBEE_NETWORK_CLOSED,
    Ember.NETWORK_BUSY: Sl.BUSY,
    Ember.INVALID_ENDPOINT: Sl.INVALID_PARAMETER,
    Ember.APS_ENCRYPTION_ERROR: Sl.ZIGBEE_APS_ENCRYPTION_ERROR,
    Ember.SECURITY_STATE_NOT_SET: Sl.ZIGBEE_SECURITY_STATE_NOT_SET,
    Ember.INDEX_OUT_OF_RANGE: Sl.INVALID_INDEX,
    Ember.KEY_INVALID: Sl.INVALID_KEY,
    Ember.LIBRARY_NOT_PRESENT: Sl.NOT_AVAILABLE,
    Ember.TABLE_ENTRY_ERASED: Sl.NOT_FOUND,
    Ember.TABLE_FULL: Sl.FULL,
    Ember.SECURITY_CONFIGURATION_INVALID: Sl.INVALID_CONFIGURATION,
    Ember.TOO_SOON_FOR_SWITCH_KEY: Sl.ZIGBEE_TOO_SOON_FOR_SWITCH_KEY,
    Ember.OPERATION_IN_PROGRESS: Sl.IN_PROGRESS,
    Ember.KEY_NOT_AUTHORIZED: Sl.ZIGBEE_KEY_NOT_AUTHORIZED,
}

_OF_EZSP: dict[Ezsp, Sl] = {
    Ezsp.SUCCESS: Sl.OK,
    Ezsp.VERSION_NOT_SET: Sl.NOT_INITIALIZED,
    Ezsp.INVALID_FRAME_ID: Sl.COMMAND_IS_INVALID,
    Ezsp.WRONG_DIRECTION: Sl.COMMAND_IS_INVALID,
    Ezsp.TRUNCATED: Sl.COMMAND_INCOMPLETE,
    Ezsp.OVERFLOW: Sl.HAS_OVERFLOWED,
    Ezsp.OUT_OF_MEMORY: Sl.NO_MORE_RESOURCE,
    Ezsp.INVALID_VALUE: Sl.INVALID_PARAMETER,
    Ezsp.INVALID_ID: Sl.INVALID_PARAMETER,
    Ezsp.INVALID_CALL: Sl.INVALID_STATE,
    Ezsp.NO_RESPONSE: Sl.FAIL,
    Ezsp.COMMAND_TOO_LONG: Sl.COMMAND_TOO_LONG,
    Ezsp.UNSUPPORTED_CONTROL: Sl.ZIGBEE_EZSP_ERROR,
    Ezsp.UNSECURE_FRAME: Sl.ZIGBEE_EZSP_ERROR,
}
"""Which of them real firmware gives has not been seen; success and failure are not in doubt."""


def as_sl(status: Ember | Ezsp | Sl) -> Sl:
    """The sl_status_t of a status. `TypeError` for what is no status at all."""
    if isinstance(status, Sl):
        return status
    if isinstance(status, Ember):
        return _OF_EMBER[status]
    if isinstance(status, Ezsp):
        return _OF_EZSP[status]
    raise TypeError(f"{status!r} is not a status")


def as_octet(status: Ember | Ezsp) -> int:
    """The one octet of a status up to EZSP 13."""
    if isinstance(status, Ember | Ezsp):
        return int(status)
    raise TypeError(f"{status!r} is not a status of one octet")
