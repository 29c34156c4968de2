"""Forming, resuming, leaving, permitting, and what the network looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.ncp.codec import (
    ChildData,
    Neighbour,
    NetworkParameters,
    Route,
)
from labctl.virtual.ncp.handlers.base import Answer, Part
from labctl.virtual.ncp.handlers.configuration import ConfigId
from labctl.virtual.ncp.hardware import power_is_possible
from labctl.virtual.ncp.status import Ember
from labctl.virtual.node import Node, NodeState

if TYPE_CHECKING:
    from labctl.virtual.ncp.ezsp import Ezsp

COORDINATOR = 0x01
END_DEVICE = 0x03
SLEEPY_END_DEVICE = 0x04

NO_NETWORK = 0x00
JOINED_NETWORK = 0x02

NO_FRAME_COUNTER_RESET = 0x1000
_CAPABILITY, _RX_ON = 0x80, 0x08  # capability information: allocate address, receiver on
NOBODY = Eui64("00" * 8)
_STACK_UP_S = 0.02
"""From the response to formNetwork or networkInit to the stackStatusHandler."""


_LEAVE_S = 0.1
"""Time for the leave to get out on the air."""


class Network(Part):
    """The network the NCP is on. `node` is the radio and stack while it is powered."""

    def __init__(self, ezsp: Ezsp) -> None:
        self.node: Node | None = None
        self.up = False
        self._leaving: Node | None = None
        super().__init__(ezsp)

    def reset(self) -> None:
        """Off the air, though flash may hold a network."""
        self.power_off()
        self._permit_use = 0
        self._permit_open = False

    def power_off(self) -> None:
        """The radios are gone at once."""
        self.up = False
        self.ezsp.phys.reset()
        for node in (self.node, self._leaving):
            if node is not None:
                node.power_off()
        self.node = self._leaving = None

    # -- for other parts ------------------------------------------------------------------------

    @property
    def state(self) -> NodeState:
        """What flash says about the network."""
        return self.ezsp.contents.node

    @property
    def node_id(self) -> int:
        """Our short address: 0 on a network, 0xFFFE otherwise."""
        return 0x0000 if self.up else 0xFFFE

    def is_sleepy_child(self, eui64: Eui64) -> bool:
        """A direct child that does not listen all the time."""
        return _is_sleepy(self.state.children.get(eui64))

    def child_index(self, eui64: Eui64) -> int:
        """Where the child table has it; 0xFF when it is none of ours."""
        for index, child in self._children().items():
            if child == eui64:
                return index
        return 0xFF

    def _children(self) -> dict[int, Eui64]:
        """The child table. A slot stays a child's own as long as it is our child."""
        slots, children = self.ezsp.contents.child_slots, self.state.children
        for index in [index for index, child in slots.items() if child not in children]:
            del slots[index]
        placed = set(slots.values())
        for child in children:
            if child not in placed:
                slots[next(index for index in range(256) if index not in slots)] = child
        return slots

    def _switch_on(self) -> Node:
        """Power the node: it runs with the endpoints and tables configured by now."""
        configuration = self.ezsp.configuration
        self.ezsp.security.load_link_keys()
        node = self.ezsp.make_node(
            self.state,
            self.ezsp.listener,
            max_children=configuration[ConfigId.MAX_END_DEVICE_CHILDREN],
            max_transfer=configuration.maximum_transfer,
            manufacturer_code=self.ezsp.zdo.manufacturer_code,
        )
        node.endpoints.update(configuration.endpoints)
        self.state.addresses.update(self.ezsp.addresses.known())
        node.power_on()
        node.takes_data_under_key_of = self.ezsp.security.may_protect_data
        self.node = node
        return node

    def _begin(self) -> None:
        self.up = True
        self.ezsp.duty_cycle.apply()
        self.ezsp.later(_STACK_UP_S, self._stack_up)

    def _stack_up(self) -> None:
        self.ezsp.callback("stack_status_handler", status=Ember.NETWORK_UP)

    # -- forming and leaving --------------------------------------------------------------------

    def network_init(self, bitmask: int) -> Answer:
        """Resume the network in flash; NETWORK_UP follows."""
        if self.up or self._leaving is not None or self.ezsp.mfglib.running:
            return {"status": Ember.INVALID_CALL}
        if not self.state.joined:
            return {"status": Ember.NOT_JOINED}
        self.ezsp.scanning.stop()
        self._switch_on()
        self._begin()
        return {"status": Ember.SUCCESS}

    def form_network(self, parameters: NetworkParameters) -> Answer:
        """Start a network as its coordinator and trust centre; NETWORK_UP follows."""
        refusal = self._cannot_form(parameters)
        if refusal is not None:
            return {"status": refusal}
        security = self.ezsp.security
        initial = security.initial
        assert initial is not None
        channel = self.ezsp.hardware.channel(parameters.channel)
        assert channel is not None
        self.ezsp.scanning.stop()
        state = self.state
        state.forget_network()  # one that flash still held, and that nobody resumed
        if not initial.bitmask & NO_FRAME_COUNTER_RESET:
            state.outgoing_nwk_counter = state.outgoing_aps_counter = 0
        self.ezsp.contents.tx_power_dbm = parameters.tx_power_dbm
        node = self._switch_on()
        pan_id = parameters.pan_id
        if pan_id == 0xFFFF:
            pan_id = self.ezsp.rng.randrange(1, 0xFFFE)
        extended = parameters.extended_pan_id
        if extended == NOBODY:
            extended = Eui64.from_big_endian(self.ezsp.rng.randbytes(8))
        node.form(
            page=channel.page,
            channel=channel.number,
            pan_id=pan_id,
            extended_pan_id=extended,
            network_key=initial.network_key,
            network_key_sequence=initial.sequence,
        )
        security.network_formed(initial)
        self.ezsp.flash.save(durable=True)
        self._begin()
        return {"status": Ember.SUCCESS}

    def _cannot_form(self, parameters: NetworkParameters) -> Ember | None:
        if self.up or self._leaving is not None or self.ezsp.mfglib.running:
            return Ember.INVALID_CALL
        if self.ezsp.security.initial is None:
            return Ember.SECURITY_STATE_NOT_SET
        if self.ezsp.hardware.channel(parameters.channel) is None:
            return Ember.PHY_INVALID_CHANNEL
        if not power_is_possible(parameters.tx_power_dbm):
            return Ember.PHY_INVALID_POWER
        return None

    def join_network(self, node_type: int, parameters: NetworkParameters) -> Answer:
        """This firmware is a coordinator and nothing else."""
        return {"status": Ember.INVALID_CALL}

    def leave_network(self, options: int = 0) -> Answer:
        """Forget the network; NETWORK_DOWN follows. The link key table stays, as on a stick."""
        if not self.up or self.node is None:
            return {"status": Ember.INVALID_CALL}
        self.node.leave()
        self._leaving, self.node = self.node, None
        self.up = False
        self.ezsp.phys.reset()
        self.ezsp.security.network_left()
        self.ezsp.contents.child_slots.clear()
        self.ezsp.flash.save(durable=True)
        self.ezsp.later(_LEAVE_S, self._stack_down)
        return {"status": Ember.SUCCESS}

    def _stack_down(self) -> None:
        self.power_off()
        self.ezsp.callback("stack_status_handler", status=Ember.NETWORK_DOWN)

    def permit_joining(self, duration: int) -> Answer:
        """0 closes, 255 opens for good; the network closes by itself when the time is over."""
        if not self.up or self.node is None:
            return {"status": Ember.INVALID_CALL}
        self.node.permit_joining(duration)
        was_open, self._permit_open = self._permit_open, duration > 0
        self._permit_use += 1
        if self._permit_open and not was_open:
            self.ezsp.callback("stack_status_handler", status=Ember.NETWORK_OPENED)
        elif was_open and not self._permit_open:
            self.ezsp.callback("stack_status_handler", status=Ember.NETWORK_CLOSED)
        if 0 < duration < 255:
            self.ezsp.later(duration, self._permit_over, self._permit_use)
        return {"status": Ember.SUCCESS}

    def _permit_over(self, use: int) -> None:
        if use == self._permit_use and self._permit_open:
            self._permit_open = False
            self.ezsp.callback("stack_status_handler", status=Ember.NETWORK_CLOSED)

    # -- questions ------------------------------------------------------------------------------

    def network_state(self) -> Answer:
        """Before networkInit there is none, whatever flash holds."""
        return {"state": JOINED_NETWORK if self.up else NO_NETWORK}

    def get_eui64(self) -> Answer:
        """Ours."""
        return {"eui64": self.state.eui64}

    def get_node_id(self) -> Answer:
        """Ours."""
        return {"node": self.node_id}

    def get_network_parameters(self) -> Answer:
        """Zeros when there is no network."""
        state = self.state
        if not self.up:
            nothing = NetworkParameters(NOBODY, 0xFFFF, 0, 0, 0, 0, 0, 0)
            return {"status": Ember.NOT_JOINED, "node_type": 0, "parameters": nothing}
        channel = Channel(state.page, state.channel)
        parameters = NetworkParameters(
            extended_pan_id=state.extended_pan_id,
            pan_id=state.pan_id,
            tx_power_dbm=self.ezsp.contents.tx_power_dbm,
            channel=channel.ember_byte,
            join_method=0,
            manager=0x0000,
            update_id=state.update_id,
            channels=channel.mask,
        )
        return {"status": Ember.SUCCESS, "node_type": COORDINATOR, "parameters": parameters}

    def get_parent_child_parameters(self) -> Answer:
        """A coordinator has no parent."""
        return {
            "children": len(self._children()),
            "parent_eui64": Eui64("ff" * 8),
            "parent": 0xFFFF,
        }

    def get_child_data(self, index: int) -> Answer:
        """NOT_JOINED for an empty slot."""
        child = self._children().get(index)
        if child is None:
            nobody = ChildData(NOBODY, 0, 0xFFFF, 0, 0, 0, 0)
            return {"status": Ember.NOT_JOINED, "child": nobody}
        entry = self.state.children[child]
        data = ChildData(
            eui64=child,
            node_type=SLEEPY_END_DEVICE if _is_sleepy(entry) else END_DEVICE,
            node_id=self.state.addresses.get(child, 0xFFFF),
            phy=entry.get("phy", 0),
            power=0x80,
            timeout=8,
            timeout_remaining_ms=0,
        )
        return {"status": Ember.SUCCESS, "child": data}

    def set_child_data(self, index: int, child: ChildData) -> Answer:
        """Restore an entry of the child table; the stack reads it at the next start."""
        if index >= self.ezsp.configuration[ConfigId.MAX_END_DEVICE_CHILDREN]:
            return {"status": Ember.INDEX_OUT_OF_RANGE}
        sleepy = child.node_type == SLEEPY_END_DEVICE
        self.state.children[child.eui64] = {
            "nwk": child.node_id,
            "capability": _CAPABILITY | (0 if sleepy else _RX_ON),
            "rx_on_when_idle": not sleepy,
            "timeout": child.timeout or 8,
            "phy": child.phy,
        }
        self.state.addresses[child.eui64] = child.node_id
        self.ezsp.contents.child_slots[index] = child.eui64
        self.ezsp.flash.save(durable=True)
        return {"status": Ember.SUCCESS}

    def child_id(self, index: int) -> Answer:
        """Short address of a child."""
        child = self._children().get(index)
        node = 0xFFFF if child is None else self.state.addresses.get(child, 0xFFFF)
        return {"node": node}

    def get_neighbor(self, index: int) -> Answer:
        """Routers next to us: none is followed on the virtual air."""
        return {"status": Ember.ERR_FATAL, "value": Neighbour(0xFFFF, 0, 0, 0, 0, NOBODY)}

    def neighbor_count(self) -> Answer:
        """None."""
        return {"value": 0}

    def get_route_table_entry(self, index: int) -> Answer:
        """All unused."""
        if index >= self.ezsp.configuration[0x07]:
            return {"status": Ember.INDEX_OUT_OF_RANGE, "value": Route(0xFFFF, 0, 3, 0, 0, 0)}
        return {"status": Ember.SUCCESS, "value": Route(0xFFFF, 0xFFFF, 3, 0, 0, 0)}

    # -- routing: one hop only, so there is nothing to route ------------------------------------

    def set_concentrator(self, **_: Any) -> Answer:
        """Accepted: with every device one hop away there are no routes to record."""
        return {"status": Ember.SUCCESS}

    def send_many_to_one_route_request(self, kind: int, radius: int) -> Answer:
        """Accepted, as above."""
        return {"status": Ember.SUCCESS if self.up else Ember.NETWORK_DOWN}

    def set_source_route_discovery_mode(self, mode: int) -> Answer:
        """Milliseconds to the next many-to-one route request."""
        return {"remaining": 0}

    def set_source_route(self, destination: int, relays: tuple[int, ...]) -> Answer:
        """No source routes."""
        return {"status": Ember.SUCCESS}

    def get_source_route_table_entry(self, index: int) -> Answer:
        """Empty."""
        return {"status": Ember.NOT_FOUND, "destination": 0xFFFF, "closer": 0xFF}

    def get_source_route_table_filled_size(self) -> Answer:
        """Empty."""
        return {"size": 0}

    def get_source_route_table_total_size(self) -> Answer:
        """As configured."""
        return {"size": self.ezsp.configuration[0x1A]}

    def set_broken_route_error_code(self, code: int) -> Answer:
        """Accepted."""
        return {"status": Ember.SUCCESS}

    def set_manufacturer_code(self, code: int) -> Answer:
        """Goes into the node descriptor."""
        self.ezsp.zdo.manufacturer_code = code
        if self.node is not None:
            self.node.manufacturer_code = code
        return {"status": Ember.SUCCESS}

    def set_power_descriptor(self, descriptor: int) -> Answer:
        """Accepted: the node says what it is, mains powered and always on."""
        return {"status": Ember.SUCCESS}


def _is_sleepy(child: dict[str, Any] | None) -> bool:
    return child is not None and not child.get("rx_on_when_idle", True)
