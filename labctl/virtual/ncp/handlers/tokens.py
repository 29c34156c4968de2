"""Tokens: the manufacturer's, the application's, and a window on the stack's own (NV3)."""

from __future__ import annotations

import struct

from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.ncp.codec import TokenInfo
from labctl.virtual.ncp.handlers.base import Answer, Part
from labctl.virtual.ncp.status import Ember
from labctl.virtual.node import NodeState, Role

_APPLICATION_TOKENS = 8
_TOKEN_SIZE = 8

# EzspMfgTokenId: sizes
_MFG_STRING, _MFG_BOARD_NAME, _MFG_CUSTOM_EUI64 = 0x01, 0x02, 0x0C
_MFG_SIZES = {
    0x00: 2,  # CUSTOM_VERSION
    _MFG_STRING: 16,
    _MFG_BOARD_NAME: 16,
    0x03: 2,  # MANUF_ID
    0x04: 2,  # PHY_CONFIG
    0x05: 16,  # BOOTLOAD_AES_KEY
    0x06: 40,  # ASH_CONFIG
    0x07: 8,  # EZSP_STORAGE
    0x0A: 20,  # INSTALLATION_CODE
    _MFG_CUSTOM_EUI64: 8,
    0x0D: 2,  # CTUNE
}
_WRITABLE_ONCE = frozenset({_MFG_CUSTOM_EUI64})

# NV3 keys
RESTORED_EUI64 = 0xE12A
STACK_NODE_DATA = 0x1EE64
STACK_NETWORK_MANAGEMENT = 0x1E125
STACK_CHILD_TABLE = 0x10580
_INFO = (
    TokenInfo(RESTORED_EUI64, 0, 0, 8, 1),
    TokenInfo(STACK_NODE_DATA, 0, 0, 16, 1),
    TokenInfo(STACK_NETWORK_MANAGEMENT, 0, 0, 8, 1),
    TokenInfo(STACK_CHILD_TABLE, 0, 1, 11, 64),
)
_UNWRITTEN = b"\xff" * 8


class Tokens(Part):
    """What is written here is in flash at once."""

    def _stored(self, name: str, default: bytes) -> bytes:
        return self.ezsp.contents.tokens.get(name, default)

    def _store(self, name: str, value: bytes) -> None:
        self.ezsp.contents.tokens[name] = value
        self.ezsp.flash.save(durable=True)

    def reset(self) -> None:
        """An address written into the tokens is the NCP's from the next start on."""
        for name in (f"nv3/{RESTORED_EUI64}", f"mfg/{_MFG_CUSTOM_EUI64}"):
            value = self._stored(name, _UNWRITTEN)
            if value != _UNWRITTEN:
                self._become(Eui64.from_little_endian(value))
                return
        self._become(self.ezsp.factory_eui64)

    def _become(self, eui64: Eui64) -> None:
        state = self.ezsp.contents.node
        if state.eui64 != eui64 and not state.joined:
            state.eui64 = eui64

    # -- manufacturer's -------------------------------------------------------------------------

    def get_mfg_token(self, token: int) -> Answer:
        """Padded with FF; empty for one that is unknown or secret."""
        size = _MFG_SIZES.get(token, 0)
        identity = self.ezsp.identity
        written = {
            _MFG_STRING: identity.manufacturer.encode("ascii"),
            _MFG_BOARD_NAME: identity.board.encode("ascii"),
        }.get(token, b"")
        value = self._stored(f"mfg/{token}", written)
        return {"data": value[:size].ljust(size, b"\xff")}

    def set_mfg_token(self, token: int, data: bytes) -> Answer:
        """The custom EUI-64, once; the others are written in the factory."""
        if token not in _WRITABLE_ONCE:
            return {"status": Ember.INVALID_CALL}
        if len(data) != _MFG_SIZES[token]:
            return {"status": Ember.BAD_ARGUMENT}
        if self._stored(f"mfg/{token}", _UNWRITTEN) != _UNWRITTEN:
            return {"status": Ember.ERR_FLASH_WRITE_INHIBITED}
        self._store(f"mfg/{token}", data)
        return {"status": Ember.SUCCESS}

    # -- application's --------------------------------------------------------------------------

    def set_token(self, token: int, data: bytes) -> Answer:
        """Eight tokens of eight octets."""
        if token >= _APPLICATION_TOKENS:
            return {"status": Ember.INDEX_OUT_OF_RANGE}
        self._store(f"application/{token}", data)
        return {"status": Ember.SUCCESS}

    def get_token(self, token: int) -> Answer:
        """FF where nothing was written."""
        if token >= _APPLICATION_TOKENS:
            return {"status": Ember.INDEX_OUT_OF_RANGE, "data": bytes(_TOKEN_SIZE)}
        return {
            "status": Ember.SUCCESS,
            "data": self._stored(f"application/{token}", b"\xff" * _TOKEN_SIZE),
        }

    # -- the stack's ----------------------------------------------------------------------------

    def get_token_count(self) -> Answer:
        """Those that can be read."""
        return {"count": len(_INFO)}

    def get_token_info(self, index: int) -> Answer:
        """Key and size."""
        if index >= len(_INFO):
            return {"status": Ember.INDEX_OUT_OF_RANGE, "info": TokenInfo(0, 0, 0, 0, 0)}
        return {"status": Ember.SUCCESS, "info": _INFO[index]}

    def get_token_data(self, token: int, index: int) -> Answer:
        """NOT_FOUND for what is not there or never was written."""
        value = self._read(token, index)
        if value is None:
            return {"status": Ember.NOT_FOUND}
        return {"status": Ember.SUCCESS, "value": value}

    def _read(self, token: int, index: int) -> bytes | None:
        state = self.ezsp.contents.node
        if token == STACK_CHILD_TABLE:
            child = self.ezsp.contents.child_slots.get(index)
            if child not in state.children:
                return None
            nwk = state.children[child]["nwk"]
            return child.little_endian + struct.pack("<HB", nwk, 0x80)
        if index != 0:
            return None
        if token == RESTORED_EUI64:
            return self._stored(f"nv3/{token}", _UNWRITTEN)
        if token == STACK_NETWORK_MANAGEMENT and state.joined:
            return struct.pack(
                "<IHBB", Channel(state.page, state.channel).mask, 0x0000, state.update_id, 0
            )
        if token == STACK_NODE_DATA and state.joined:
            return struct.pack(
                "<HbBBBH8s",
                state.pan_id,
                self.ezsp.contents.tx_power_dbm,
                Channel(state.page, state.channel).ember_byte,
                0x02,
                0x01,
                0x0000,
                state.extended_pan_id.little_endian,
            )
        return None

    def set_token_data(self, token: int, index: int, value: bytes) -> Answer:
        """The restored EUI-64, the transmit power, the update id; nothing else."""
        present = self._read(token, index)
        if present is None or token == STACK_CHILD_TABLE:
            return {"status": Ember.NOT_FOUND}
        if len(value) != len(present):
            return {"status": Ember.BAD_ARGUMENT}
        if token == RESTORED_EUI64:
            self._store(f"nv3/{token}", value)
        elif token == STACK_NODE_DATA:
            self.ezsp.contents.tx_power_dbm = struct.unpack_from("<b", value, 2)[0]
            self.ezsp.flash.save(durable=True)
        else:
            self.ezsp.contents.node.update_id = value[6]
            self.ezsp.flash.save(durable=True)
        return {"status": Ember.SUCCESS}

    def token_factory_reset(self, exclude_outgoing: int, exclude_boot: int) -> Answer:
        """Everything that came after manufacture is gone; the host resets afterwards."""
        contents = self.ezsp.contents
        old = contents.node
        fresh = NodeState(eui64=old.eui64, role=Role.COORDINATOR)
        if exclude_outgoing:
            fresh.outgoing_nwk_counter = old.outgoing_nwk_counter
            fresh.outgoing_aps_counter = old.outgoing_aps_counter
        self.ezsp.network.power_off()
        contents.node = fresh
        contents.link_keys.clear()
        contents.child_slots.clear()
        contents.bindings.clear()
        contents.security_bitmask = None
        contents.preconfigured_key = bytes(16)
        for name in [name for name in contents.tokens if not name.startswith("mfg/")]:
            del contents.tokens[name]
        self.ezsp.flash.save(durable=True)
        return {}
