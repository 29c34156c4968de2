"""UTIL: what the stick is, who its children are, addresses."""

from __future__ import annotations

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.stack.parent import Child
from labctl.virtual.znp.addresses import NO_SHORT
from labctl.virtual.znp.codec import eui64_octets
from labctl.virtual.znp.handlers.base import Answer, Part
from labctl.virtual.znp.nvram import Item
from labctl.virtual.znp.status import Z
from labctl.virtual.znp.structures import (
    AWAKE_CHILD,
    EVERYBODY,
    NOBODY,
    SLEEPY_CHILD,
    DeviceEntry,
)

ALL_ROLES = 0x07
"""The firmware can be a coordinator, a router and an end device."""

_CHILDREN = range(SLEEPY_CHILD, AWAKE_CHILD + 1)


class Util(Part):
    """Questions about the stick."""

    def util_get_device_info(self) -> Answer:
        """Addresses, state, children."""
        network = self.znp.network
        return {
            "status": Z.SUCCESS,
            "eui64": network.eui64,
            "short": NO_SHORT if network.node is None else 0x0000,
            "kind": ALL_ROLES,
            "state": network.device_state,
            "children": tuple(each.short for each in network.addresses.children()),
        }

    def util_get_nv_info(self) -> Answer:
        """Configuration items; the channels have their high octet first."""
        nvram = self.znp.nvram
        return {
            "status": Z.SUCCESS,
            "eui64": self.znp.network.eui64,
            "channels": int.from_bytes(nvram[Item.CHANLIST][:4], "big"),
            "pan_id": int.from_bytes(nvram[Item.PANID][:2], "little"),
            "security_level": self.znp.network.nib.security_level,
            "key": nvram[Item.PRECFGKEY][:16],
        }

    def util_callback_sub_cmd(self, subsystem: int, on: int) -> Answer:
        """Accepted: on this family there is nothing to subscribe to."""
        return Z.SUCCESS

    def util_time_alive(self) -> Answer:
        """Since the last reset, in whole seconds."""
        return {"seconds": int(self.znp.now - self.znp.system.started_at)}

    def util_led_control(self, led: int, mode: int) -> Answer:
        """Nobody looks at it."""
        return Z.SUCCESS

    def util_loopback(self, data: bytes) -> Answer:
        """The same octets."""
        return {"data": data}

    def util_srng_gen(self) -> Answer:
        """A hundred random octets."""
        return {"numbers": self.znp.rng.randbytes(100)}

    # -- addresses ---------------------------------------------------------------------------------

    def util_addrmgr_ext_addr_lookup(self, eui64: Eui64) -> Answer:
        """0xFFFE when it is not known."""
        node = self.znp.network.node
        known = {} if node is None else node.state.addresses
        return {"short": known.get(eui64, NO_SHORT)}

    def util_addrmgr_nwk_addr_lookup(self, short: int) -> Answer:
        """FF when it is not known."""
        node = self.znp.network.node
        found = None if node is None else node.eui64_of(short)
        return {"eui64": EVERYBODY if found is None else found}

    # -- children ----------------------------------------------------------------------------------

    def _associated(self, entry: DeviceEntry) -> bytes:
        node = self.znp.network.node
        child = None if node is None else node.parent.children.get(entry.short)
        return entry.associated(0 if child is None else child.lqi)

    def util_assoc_count(self, first: int, last: int) -> Answer:
        """Of these relations."""
        children = self.znp.network.addresses.children()
        return {"count": sum(first <= each.relation <= last for each in children)}

    def util_assoc_find_device(self, index: int) -> Answer:
        """The n-th one; FF beyond the last."""
        children = self.znp.network.addresses.children()
        entry = children[index] if index < len(children) else DeviceEntry()
        return {"device": self._associated(entry)}

    def util_assoc_get_with_address(self, eui64: Eui64, short: int) -> Answer:
        """By EUI-64 or, with zeros for that, by short address."""
        addresses = self.znp.network.addresses
        found = (
            each
            for each in addresses.children()
            if (each.short == short if eui64 == NOBODY else addresses[each.address].eui64 == eui64)
        )
        return {"device": self._associated(next(found, DeviceEntry()))}

    def util_assoc_remove(self, eui64: Eui64) -> Answer:
        """Take a device for no child any more, without a word to it."""
        node = self.znp.network.node
        short = None if node is None else node.state.addresses.get(eui64)
        child = None if node is None or short is None else node.parent.children.get(short)
        if node is None or child is None:
            return Z.FAILURE
        node.parent.drop(child)
        return Z.SUCCESS

    def util_assoc_add(self, short: int, eui64: Eui64, relation: int) -> Answer:
        """Take a device for a child again."""
        node = self.znp.network.node
        if node is None or relation not in _CHILDREN:
            return Z.FAILURE
        capability = 0x80 | (0x08 if relation == AWAKE_CHILD else 0)
        child = Child(eui64_octets(eui64), short, capability, self.znp.now, 0)
        child.authenticated = True
        node.parent.children[short] = child
        node.state.children[eui64] = {
            "nwk": short,
            "capability": capability,
            "rx_on_when_idle": child.rx_on_when_idle,
            "timeout": child.timeout,
            "phy": 0,
        }
        node.learn(child.eui64, short)
        self.znp.network.persist()
        return Z.SUCCESS
