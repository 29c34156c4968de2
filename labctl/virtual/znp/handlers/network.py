"""The network: formed, kept in non-volatile memory, resumed. No frames of its own."""

from __future__ import annotations

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.node import Node, NodeState, Role
from labctl.virtual.znp.addresses import AddressManager
from labctl.virtual.znp.codec import eui64_octets, eui64_of
from labctl.virtual.znp.handlers.base import Part
from labctl.virtual.znp.nvram import Item, Table
from labctl.virtual.znp.status import State
from labctl.virtual.znp.structures import (
    NOBODY,
    SLEEPY_CHILD,
    Nib,
    TclkEntry,
    pack_material,
    unpack_material,
)

NWK_COUNTER_STEP = 1250
APS_COUNTER_STEP = 1001
"""How far counters jump ahead at each start: more than is sent between two writes of them."""

ON_NETWORK_STATE = 8  # of the NIB: a router, which a coordinator is as well
CHANNELS = range(11, 27)
ALLOCATE_ADDRESS, RECEIVER_ON = 0x80, 0x08  # capability information
UNKNOWN_PAN = (0xFFFE, 0xFFFF)
_LONGEST_TIMEOUT = 14


class Network(Part):
    """The network this stick is on. `node` is the radio and the stack, once started."""

    node: Node | None = None

    def boot(self) -> None:
        """Off the air, though memory may hold a network."""
        nvram = self.znp.nvram
        self.device_state = State.HOLD
        self.eui64: Eui64 = eui64_of(nvram[Item.EXTADDR])
        self.addresses = AddressManager(nvram)
        self._kept = (0, 0, 0)
        self._kept_key = b""

    def switch_off(self) -> None:
        """The radio is gone at once. Memory is as it is: counters have been written ahead."""
        if self.node is not None:
            node, self.node = self.node, None
            node.power_off()

    @property
    def nib(self) -> Nib:
        """As it is in memory."""
        return Nib.unpack(self.znp.nvram[Item.NIB][: Nib.SIZE])

    @property
    def formed(self) -> bool:
        """Whether memory holds a network that can be resumed."""
        nib = self.nib
        return (
            self.znp.nvram[Item.ON_A_NETWORK] == b"\x01"
            and nib.key_loaded
            and nib.channel in CHANNELS
            and nib.pan_id not in UNKNOWN_PAN
        )

    # -- starting ----------------------------------------------------------------------------------

    def resume(self) -> None:
        """Go on with the network in memory."""
        nib, nvram = self.nib, self.znp.nvram
        sequence, key = nvram[Item.ACTIVE_KEY][0], nvram[Item.ACTIVE_KEY][1:17]
        state = NodeState(
            self.eui64,
            Role.COORDINATOR,
            joined=True,
            channel=nib.channel,
            pan_id=nib.pan_id,
            extended_pan_id=nib.extended_pan_id,
            nwk=0x0000,
            update_id=nib.update_id,
            trust_centre=self.eui64,
            network_key=key,
            network_key_sequence=sequence,
            outgoing_nwk_counter=self._stored_counter(nib.extended_pan_id) + NWK_COUNTER_STEP,
            outgoing_aps_counter=self._aps_counter() + APS_COUNTER_STEP,
            addresses=self.addresses.addresses(),
        )
        for entry in self.addresses.children():
            eui64 = self.addresses[entry.address].eui64
            awake = entry.relation != SLEEPY_CHILD
            state.children[eui64] = {
                "nwk": entry.short,
                "capability": ALLOCATE_ADDRESS | (RECEIVER_ON if awake else 0),
                "rx_on_when_idle": awake,
                "timeout": min(entry.timeout, _LONGEST_TIMEOUT),
                "phy": 0,
            }
            state.addresses[eui64] = entry.short
        state.link_keys = self.znp.trust.link_keys()
        self._kept = (nib.channel, nib.pan_id, nib.update_id)
        self._kept_key = nvram[Item.ACTIVE_KEY][:17]
        self._switch_on(state)
        self.persist()

    def _switch_on(self, state: NodeState) -> None:
        node = self.znp.make_node(
            state, self.znp.listener, max_children=self.znp.identity.max_children
        )
        node.endpoints = self.znp.af.descriptors  # one table for both
        node.transport_key_of = self.znp.trust.trust_centre_key
        node.retries_after_mac_failure = False
        node.ack_wait_s = self._ack_wait_s()
        node.tx_power_dbm = self.znp.system.tx_power_dbm
        node.power_on()
        self.node = node
        self.device_state = State.COORDINATOR

    def _ack_wait_s(self) -> float:
        """Kept in units of 2 ms."""
        return int.from_bytes(self.znp.nvram[Item.APS_ACK_WAIT][:2], "little") * 0.002

    def form(self, channel: int) -> None:
        """Start a new network there, as the configuration items say or at random."""
        nvram, rng = self.znp.nvram, self.znp.rng
        pan_id = int.from_bytes(nvram[Item.PANID][:2], "little")
        if pan_id in UNKNOWN_PAN:
            pan_id = rng.randrange(1, 0xFFFE)
        extended = nvram[Item.APS_USE_EXT_PANID][:8]
        if not any(extended):
            extended = eui64_octets(self.eui64)
        key = nvram[Item.PRECFGKEY][:16]
        if not any(key):
            key = rng.randbytes(16)
        counter = self._stored_counter(eui64_of(extended))
        nvram[Item.NIB] = Nib(
            channel=channel,
            pan_id=pan_id,
            extended_pan_id=eui64_of(extended),
            short=0x0000,
            state=ON_NETWORK_STATE,
            channels=1 << channel,
            key_loaded=True,
        ).pack()
        nvram[Item.ACTIVE_KEY] = nvram[Item.ALTERNATE_KEY] = b"\0" + key
        nvram[Item.NWKKEY] = b"\0" + key + bytes(7)
        nvram[Item.EXTENDED_PAN_ID] = extended
        nvram[Item.PANID] = pan_id.to_bytes(2, "little")
        nvram[Item.ON_A_NETWORK] = b"\x01"
        self._store_counter(eui64_of(extended), counter)
        self.resume()
        self.znp.memory.save(durable=True)

    # -- counters ----------------------------------------------------------------------------------

    def _material(self, extended_pan_id: Eui64) -> int:
        """Where this network's frame counter is, or is to be."""
        stored = [unpack_material(each) for each in self.znp.nvram.entries(Table.MATERIAL)]
        for wanted in (extended_pan_id, NOBODY):
            for index, (_, owner) in enumerate(stored):
                if owner == wanted:
                    return index
        return 0

    def _stored_counter(self, extended_pan_id: Eui64) -> int:
        index = self._material(extended_pan_id)
        counter, owner = unpack_material(self.znp.nvram.entry(Table.MATERIAL, index))
        return counter if owner == extended_pan_id else 0

    def _store_counter(self, extended_pan_id: Eui64, counter: int) -> None:
        index = self._material(extended_pan_id)
        self.znp.nvram.set_entry(Table.MATERIAL, index, pack_material(counter, extended_pan_id))

    def _aps_counter(self) -> int:
        """The highest of all keys': here they share one, as receivers want it to rise only."""
        sent = [TclkEntry.unpack(each).sent for each in self.znp.nvram.entries(Table.TCLK)]
        sent += [each.sent for each in self.znp.trust.key_data()]
        return max(sent)

    def set_counter(self, counter: int) -> bool:
        """Another outgoing frame counter for the network. False without one."""
        if self.node is None:
            return False
        self.node.state.outgoing_nwk_counter = counter
        self.persist()
        return True

    # -- keeping -----------------------------------------------------------------------------------

    def persist(self) -> None:
        """Write into memory what has changed at the node."""
        if self.node is None or not self.node.state.joined:
            return
        state = self.node.state
        nvram = self.znp.nvram
        network = (state.channel, state.pan_id, state.update_id)
        if network != self._kept:
            self._kept = network
            nib = self.nib
            nib.channel, nib.pan_id, nib.update_id = network
            nib.channels |= 1 << state.channel
            nvram[Item.NIB] = nib.pack()
        key = bytes((state.network_key_sequence,)) + state.network_key
        if key != self._kept_key:
            self._kept_key = nvram[Item.ACTIVE_KEY] = key
        self._store_counter(state.extended_pan_id, state.outgoing_nwk_counter)
        state.stored_nwk_counter = state.outgoing_nwk_counter + NWK_COUNTER_STEP
        self.znp.trust.store_counters(state.outgoing_aps_counter)
        state.stored_aps_counter = state.outgoing_aps_counter + APS_COUNTER_STEP
        self.addresses.store(state)
