"""Configuration values, values, policies and endpoints: what the host sets before the network.

All of it is RAM: a host that forgets to write it again after a reset has a stick with defaults.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.virtual.ncp.handlers.base import Answer, Part
from labctl.virtual.ncp.status import Ember
from labctl.virtual.ncp.status import Ezsp as Status
from labctl.virtual.node import SimpleDescriptor

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ENDPOINTS = 10


class ConfigId:
    """EzspConfigId: those that other parts read."""

    PACKET_BUFFER_COUNT = 0x01
    APS_UNICAST_MESSAGE_COUNT = 0x03
    BINDING_TABLE_SIZE = 0x04
    ADDRESS_TABLE_SIZE = 0x05
    MULTICAST_TABLE_SIZE = 0x06
    STACK_PROFILE = 0x0C
    MAX_END_DEVICE_CHILDREN = 0x11
    KEY_TABLE_SIZE = 0x1E
    CERTIFICATE_TABLE_SIZE = 0x29
    APPLICATION_ZDO_FLAGS = 0x2A
    TRANSIENT_KEY_TIMEOUT_S = 0x36


class ValueId:
    """EzspValueId."""

    FREE_BUFFERS = 0x03
    UART_SYNCH_CALLBACKS = 0x04
    MAXIMUM_INCOMING_TRANSFER_SIZE = 0x05
    MAXIMUM_OUTGOING_TRANSFER_SIZE = 0x06
    EXTENDED_SECURITY_BITMASK = 0x0A
    NODE_SHORT_ID = 0x0B
    ENDPOINT_FLAGS = 0x0F
    VERSION_INFO = 0x11
    NEXT_ZIGBEE_SEQUENCE_NUMBER = 0x14
    CLEAR_COUNTERS = 0x19
    NWK_FRAME_COUNTER = 0x23
    APS_FRAME_COUNTER = 0x24
    TRANSIENT_KEY_TIMEOUT_S = 0x3B
    KEY_STORAGE_VERSION = 0x44


class PolicyId:
    """EzspPolicyId."""

    TRUST_CENTER = 0x00
    UNICAST_REPLIES = 0x02
    POLL_HANDLER = 0x03
    MESSAGE_CONTENTS_IN_CALLBACK = 0x04
    APP_KEY_REQUEST = 0x06


class ZdoFlag:
    """EmberZdoConfigurationFlags (configuration value 0x2A)."""

    APP_RECEIVES_SUPPORTED = 0x01
    APP_HANDLES_UNSUPPORTED = 0x02
    APP_HANDLES_ENDPOINTS = 0x04
    APP_HANDLES_BINDING = 0x08


@dataclass(frozen=True, slots=True)
class _Range:
    default: int
    lowest: int
    highest: int


# Defaults of a stock GSDK 4.x NCP build (ncp-configuration-config.h, ember-configuration-defaults).
_CONFIGURATION: dict[int, _Range] = {
    0x01: _Range(255, 255, 255),  # PACKET_BUFFER_COUNT: fixed at build time in 7.x
    0x02: _Range(16, 8, 26),  # NEIGHBOR_TABLE_SIZE
    0x03: _Range(10, 1, 255),  # APS_UNICAST_MESSAGE_COUNT
    0x04: _Range(32, 0, 127),  # BINDING_TABLE_SIZE
    0x05: _Range(8, 0, 255),  # ADDRESS_TABLE_SIZE
    0x06: _Range(8, 0, 255),  # MULTICAST_TABLE_SIZE
    0x07: _Range(16, 0, 255),  # ROUTE_TABLE_SIZE
    0x08: _Range(8, 0, 255),  # DISCOVERY_TABLE_SIZE
    0x0C: _Range(0, 0, 2),  # STACK_PROFILE
    0x0D: _Range(5, 0, 5),  # SECURITY_LEVEL
    0x10: _Range(30, 0, 30),  # MAX_HOPS
    0x11: _Range(6, 0, 64),  # MAX_END_DEVICE_CHILDREN
    0x12: _Range(7680, 0, 30000),  # INDIRECT_TRANSMISSION_TIMEOUT, ms
    0x13: _Range(8, 0, 14),  # END_DEVICE_POLL_TIMEOUT, 2**n min
    0x17: _Range(0, 0, 3),  # TX_POWER_MODE
    0x18: _Range(0, 0, 1),  # DISABLE_RELAY
    0x19: _Range(0, 0, 255),  # TRUST_CENTER_ADDRESS_CACHE_SIZE
    0x1A: _Range(0, 0, 255),  # SOURCE_ROUTE_TABLE_SIZE
    0x1C: _Range(1, 0, 8),  # FRAGMENT_WINDOW_SIZE
    0x1D: _Range(0, 0, 65535),  # FRAGMENT_DELAY_MS
    0x1E: _Range(0, 0, 127),  # KEY_TABLE_SIZE
    0x1F: _Range(1600, 0, 65535),  # APS_ACK_TIMEOUT, ms
    0x20: _Range(3, 0, 14),  # ACTIVE_SCAN_DURATION
    0x21: _Range(60, 1, 255),  # END_DEVICE_BIND_TIMEOUT, s
    0x22: _Range(2, 1, 63),  # PAN_ID_CONFLICT_REPORT_THRESHOLD
    0x24: _Range(0, 0, 10),  # REQUEST_KEY_TIMEOUT, min
    0x29: _Range(0, 0, 0),  # CERTIFICATE_TABLE_SIZE: no key establishment in this NCP
    0x2A: _Range(0, 0, 255),  # APPLICATION_ZDO_FLAGS
    0x2B: _Range(15, 15, 254),  # BROADCAST_TABLE_SIZE
    0x2C: _Range(0, 0, 254),  # MAC_FILTER_TABLE_SIZE
    0x2D: _Range(1, 1, 1),  # SUPPORTED_NETWORKS
    0x2E: _Range(0, 0, 1),  # SEND_MULTICASTS_TO_SLEEPY_ADDRESS
    0x2F: _Range(0, 0, 255),  # ZLL_GROUP_ADDRESSES
    0x30: _Range(65408, 0, 65535),  # ZLL_RSSI_THRESHOLD
    0x33: _Range(1, 0, 1),  # MTORR_FLOW_CONTROL
    0x34: _Range(16, 0, 255),  # RETRY_QUEUE_SIZE
    0x35: _Range(10, 0, 255),  # NEW_BROADCAST_ENTRY_THRESHOLD
    0x36: _Range(300, 0, 65535),  # TRANSIENT_KEY_TIMEOUT_S, superseded by value 0x3B
    0x37: _Range(255, 0, 255),  # BROADCAST_MIN_ACKS_NEEDED
    0x38: _Range(300, 0, 65535),  # TC_REJOINS_USING_WELL_KNOWN_KEY_TIMEOUT_S
    0x39: _Range(0, 0, 65535),  # CTUNE_VALUE
    0x40: _Range(0, 0, 65535),  # ASSUME_TC_CONCENTRATOR_TYPE
    0x41: _Range(5, 0, 255),  # GP_PROXY_TABLE_SIZE
    0x42: _Range(0, 0, 255),  # GP_SINK_TABLE_SIZE
}
_FIXED = frozenset({0x01, 0x29})

# Policies: default and the decisions that exist. None: a bitmask, anything goes.
_POLICIES: dict[int, tuple[int, tuple[int, ...] | None]] = {
    0x00: (0x03, None),  # TRUST_CENTER_POLICY: ALLOW_JOINS | ALLOW_UNSECURED_REJOINS
    0x01: (0x10, (0x10, 0x11, 0x12)),  # BINDING_MODIFICATION_POLICY
    0x02: (0x20, (0x20, 0x21)),  # UNICAST_REPLIES_POLICY
    0x03: (0x30, (0x30, 0x31)),  # POLL_HANDLER_POLICY
    0x04: (0x40, (0x40, 0x41)),  # MESSAGE_CONTENTS_IN_CALLBACK_POLICY
    0x05: (0x51, (0x50, 0x51, 0x52)),  # TC_KEY_REQUEST_POLICY
    0x06: (0x60, (0x60, 0x61)),  # APP_KEY_REQUEST_POLICY
    0x07: (0x62, (0x62, 0x63)),  # PACKET_VALIDATE_LIBRARY_POLICY
    0x08: (0x00, None),  # ZLL_POLICY
    0x09: (0x00, None),  # TC_REJOINS_USING_WELL_KNOWN_KEY_POLICY
}

# Values that are memory and nothing else: id to default. What has an effect is in the methods.
_PLAIN_VALUES: dict[int, bytes] = {
    0x04: b"\x00",  # UART_SYNCH_CALLBACKS
    0x05: b"\x52\x00",  # MAXIMUM_INCOMING_TRANSFER_SIZE: 82
    0x06: b"\x52\x00",  # MAXIMUM_OUTGOING_TRANSFER_SIZE
    0x07: b"\x01",  # STACK_TOKEN_WRITING
    0x08: b"\x00",  # STACK_IS_PERFORMING_REJOIN
    0x09: b"",  # MAC_FILTER_LIST
    0x0A: b"\x00\x00",  # EXTENDED_SECURITY_BITMASK
    0x0C: b"\x00",  # DESCRIPTOR_CAPABILITY
    0x0D: b"\x00",  # STACK_DEVICE_REQUEST_SEQUENCE_NUMBER
    0x0E: b"\x00",  # RADIO_HOLD_OFF
    0x12: b"\x00",  # NEXT_HOST_REJOIN_REASON
    0x13: b"\x00",  # LAST_REJOIN_REASON
    0x15: b"\xb5",  # CCA_THRESHOLD: -75 dBm
    0x25: b"\x00",  # RETRY_DEVICE_TYPE
    0x29: b"\x01",  # ENABLE_R21_BEHAVIOR
    0x30: b"\x00",  # ANTENNA_MODE
    0x33: b"\x00",  # MFGLIB_OPTIONS
    0x34: b"\x01",  # USE_NEGOTIATED_POWER_BY_LPD
    0x38: b"\x00",  # ANTENNA_RX_MODE
    0x39: b"\x00" * 4,  # NWK_KEY_TIMEOUT
    0x3A: b"\x00",  # FORCE_TX_AFTER_FAILED_CCA_ATTEMPTS
    0x3B: b"\x2c\x01",  # TRANSIENT_KEY_TIMEOUT_S: 300
    0x3D: b"\x08",  # MAX_BEACONS_TO_STORE
    0x3E: b"\xff\xff",  # END_DEVICE_TIMEOUT_OPTIONS_MASK
    0x3F: b"\x03",  # END_DEVICE_KEEP_ALIVE_SUPPORT_MODE
    0x43: b"\x10\x27",  # TRANSIENT_DEVICE_TIMEOUT: 10 000 ms
    0x45: b"\x00",  # DELAYED_JOIN_ACTIVATION
    0x46: b"\x03",  # MAX_NWK_RETRIES
    0x47: b"\x00",  # REJOIN_MODE
    0x48: b"\x00",  # JOIN_USE_INSTALL_CODE_ENABLE
}
_READ_ONLY_VALUES = frozenset({0x08, 0x13})


class Configuration(Part):
    """Configuration values, values, policies, endpoints."""

    def reset(self) -> None:
        """Defaults everywhere, no endpoints."""
        self._configuration = {key: known.default for key, known in _CONFIGURATION.items()}
        self._policies = {key: default for key, (default, _) in _POLICIES.items()}
        self._values = dict(_PLAIN_VALUES)
        self.synchronous_callbacks = False
        self.endpoints: dict[int, SimpleDescriptor] = {}
        self.endpoint_flags: dict[int, int] = {}
        self._readers: dict[int, Callable[[], bytes]] = {
            ValueId.FREE_BUFFERS: lambda: b"\xfd",
            ValueId.NODE_SHORT_ID: lambda: struct.pack("<H", self.ezsp.network.node_id),
            ValueId.VERSION_INFO: self._version_info,
            ValueId.NEXT_ZIGBEE_SEQUENCE_NUMBER: lambda: bytes([self.ezsp.messaging.peek()]),
            ValueId.NWK_FRAME_COUNTER: lambda: struct.pack(
                "<I", self.ezsp.contents.node.outgoing_nwk_counter
            ),
            ValueId.APS_FRAME_COUNTER: lambda: struct.pack(
                "<I", self.ezsp.contents.node.outgoing_aps_counter
            ),
            ValueId.KEY_STORAGE_VERSION: lambda: b"\x01",
        }

    def __getitem__(self, config_id: int) -> int:
        """A configuration value, for other parts."""
        return self._configuration[config_id]

    def policy(self, policy_id: int) -> int:
        """A policy's decision, for other parts."""
        return self._policies[policy_id]

    @property
    def transient_key_timeout_s(self) -> int:
        """How long a transient key that is imported now will live."""
        return int.from_bytes(self._values[ValueId.TRANSIENT_KEY_TIMEOUT_S], "little")

    @property
    def maximum_transfer(self) -> int:
        """Octets that an incoming message may have, for the node descriptor."""
        return int.from_bytes(self._values[ValueId.MAXIMUM_INCOMING_TRANSFER_SIZE], "little")

    def _version_info(self) -> bytes:
        identity = self.ezsp.identity
        return struct.pack("<HBBBBB", identity.build, *identity.version, 0xAA)  # 0xAA: a release

    # -- handlers -------------------------------------------------------------------------------

    def version(self, desired: int) -> Answer:
        """Which protocol we speak. Other commands work only when the host wants the same."""
        identity = self.ezsp.identity
        self.ezsp.version_agreed(desired == identity.protocol)
        return {
            "protocol": identity.protocol,
            "stack_type": identity.stack_type,
            "stack_version": identity.stack_version,
        }

    def get_configuration_value(self, config_id: int) -> Answer:
        """Present value."""
        if config_id not in self._configuration:
            return {"status": Status.INVALID_ID, "value": 0}
        if config_id == ConfigId.TRANSIENT_KEY_TIMEOUT_S:
            return {"status": Status.SUCCESS, "value": self.transient_key_timeout_s}
        return {"status": Status.SUCCESS, "value": self._configuration[config_id]}

    def set_configuration_value(self, config_id: int, value: int) -> Answer:
        """Before the network is up only."""
        return {"status": self._configure(config_id, value)}

    def _configure(self, config_id: int, value: int) -> Status:
        known = _CONFIGURATION.get(config_id)
        if known is None:
            return Status.INVALID_ID
        if self.ezsp.network.up:
            return Status.INVALID_CALL
        if config_id in _FIXED or not known.lowest <= value <= known.highest:
            return Status.INVALID_VALUE
        if config_id == ConfigId.TRANSIENT_KEY_TIMEOUT_S:
            self._values[ValueId.TRANSIENT_KEY_TIMEOUT_S] = value.to_bytes(2, "little")
        self._configuration[config_id] = value
        return Status.SUCCESS

    def set_policy(self, policy_id: int, decision: int) -> Answer:
        """At any time."""
        if policy_id not in _POLICIES:
            return {"status": Status.INVALID_ID}
        allowed = _POLICIES[policy_id][1]
        if allowed is not None and decision not in allowed:
            return {"status": Status.INVALID_VALUE}
        self._policies[policy_id] = decision
        return {"status": Status.SUCCESS}

    def get_policy(self, policy_id: int) -> Answer:
        """Present decision."""
        if policy_id not in self._policies:
            return {"status": Status.INVALID_ID, "decision": 0}
        return {"status": Status.SUCCESS, "decision": self._policies[policy_id]}

    def get_value(self, value_id: int) -> Answer:
        """Present value; INVALID_ID for what this build has not."""
        reader = self._readers.get(value_id)
        if reader is not None:
            return {"status": Status.SUCCESS, "value": reader()}
        if value_id in self._values:
            return {"status": Status.SUCCESS, "value": self._values[value_id]}
        return {"status": Status.INVALID_ID, "value": b""}

    def set_value(self, value_id: int, value: bytes) -> Answer:
        """Set a value, with its effects."""
        return {"status": self._set_value(value_id, value)}

    def _set_value(self, value_id: int, value: bytes) -> Status:
        if value_id in (ValueId.NWK_FRAME_COUNTER, ValueId.APS_FRAME_COUNTER):
            return self._set_frame_counter(value_id, value)
        if value_id == ValueId.ENDPOINT_FLAGS:
            return self._set_endpoint_flags(value)
        if value_id == ValueId.CLEAR_COUNTERS:
            self.ezsp.counters.clear()
            return Status.SUCCESS
        if value_id in self._readers or value_id in _READ_ONLY_VALUES:
            return Status.INVALID_CALL
        if value_id not in self._values:
            return Status.INVALID_ID
        if len(value) != len(_PLAIN_VALUES[value_id]) and _PLAIN_VALUES[value_id]:
            return Status.INVALID_VALUE
        self._values[value_id] = value
        if value_id == ValueId.UART_SYNCH_CALLBACKS:
            self.synchronous_callbacks = value != b"\x00"
        return Status.SUCCESS

    def _set_frame_counter(self, value_id: int, value: bytes) -> Status:
        if len(value) != 4:
            return Status.INVALID_VALUE
        if self.ezsp.network.up:
            return Status.INVALID_CALL
        state = self.ezsp.contents.node
        if value_id == ValueId.NWK_FRAME_COUNTER:
            state.outgoing_nwk_counter = int.from_bytes(value, "little")
        else:
            state.outgoing_aps_counter = int.from_bytes(value, "little")
        self.ezsp.flash.save(durable=True)
        return Status.SUCCESS

    def _set_endpoint_flags(self, value: bytes) -> Status:
        if len(value) != 3 or value[0] not in self.endpoints:
            return Status.INVALID_VALUE
        self.endpoint_flags[value[0]] = int.from_bytes(value[1:], "little")
        return Status.SUCCESS

    def get_extended_value(self, value_id: int, characteristics: int) -> Answer:
        """Values that take an argument."""
        if value_id == 0x00:  # ENDPOINT_FLAGS
            flags = self.endpoint_flags.get(characteristics & 0xFF)
            if flags is None:
                return {"status": Status.INVALID_VALUE, "value": b""}
            return {"status": Status.SUCCESS, "value": struct.pack("<H", flags)}
        if value_id == 0x01:  # LAST_LEAVE_REASON: reason and the node that told us
            return {"status": Status.SUCCESS, "value": b"\xff\xff\xff"}
        if value_id == 0x02:  # GET_SOURCE_ROUTE_OVERHEAD: no source routes, no overhead
            return {"status": Status.SUCCESS, "value": b"\x00"}
        return {"status": Status.INVALID_ID, "value": b""}

    def add_endpoint(
        self,
        endpoint: int,
        profile_id: int,
        device_id: int,
        device_version: int,
        inputs: int,
        outputs: int,
        input_clusters: tuple[int, ...],
        output_clusters: tuple[int, ...],
    ) -> Answer:
        """Before the network is up only; an endpoint once."""
        if self.ezsp.network.up:
            return {"status": Status.INVALID_CALL}
        if endpoint in (0, 0xFF) or endpoint in self.endpoints:
            return {"status": Status.INVALID_VALUE}
        if len(self.endpoints) >= MAX_ENDPOINTS:
            return {"status": Status.OUT_OF_MEMORY}
        self.endpoints[endpoint] = SimpleDescriptor(
            endpoint=endpoint,
            profile_id=profile_id,
            device_id=device_id,
            device_version=device_version & 0x0F,
            input_clusters=input_clusters[:inputs],
            output_clusters=output_clusters[:outputs],
        )
        self.endpoint_flags[endpoint] = 0x0001  # enabled
        return {"status": Status.SUCCESS}

    def set_passive_ack_config(self, config: int, minimum: int) -> Answer:
        """Accepted; broadcasts on the virtual air need no passive acknowledgements."""
        return {"status": Ember.SUCCESS if config <= 1 else Ember.BAD_ARGUMENT}
