"""What a node keeps over a loss of power, and how its counters survive one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from labctl.errors import ConfigurationError
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.stack.types import Role

COUNTER_STEP = 1024
"""Outgoing counters are stored this much ahead, so that not every frame wears the flash."""

FORMAT = 1

NO_EUI64 = Eui64("00" * 8)


@dataclass(slots=True)
class LinkKey:
    """A link key shared with `partner`, and its counters (R22 4.4.10).

    `incoming_counter` is the least acceptable one. Real stacks keep it in RAM: it restarts at 0
    with the power, and with a new key.
    """

    partner: Eui64
    key: bytes = field(repr=False)
    incoming_counter: int = 0
    replay_protected: bool = True
    """Whether frames with a counter that has been seen are refused: Z-Stack takes them."""


@dataclass(slots=True)
class NodeState:
    """Everything that flash keeps. Counters are saved ahead, as real stacks do.

    `link_keys` has at most one entry per partner; its order is the table's. Real NCPs index it:
    the NCP keeps the index itself.
    """

    eui64: Eui64
    role: Role
    joined: bool = False
    page: int = 0
    channel: int = 0
    pan_id: int = 0xFFFF
    extended_pan_id: Eui64 = NO_EUI64
    nwk: int = 0xFFFE
    update_id: int = 0
    parent: int = 0xFFFF
    parent_eui64: Eui64 | None = None
    trust_centre: Eui64 | None = None
    network_key: bytes = field(default=b"", repr=False)
    network_key_sequence: int = 0
    outgoing_nwk_counter: int = 0
    outgoing_aps_counter: int = 0
    link_keys: dict[Eui64, LinkKey] = field(default_factory=dict)
    addresses: dict[Eui64, int] = field(default_factory=dict)  # EUI-64 to short address
    children: dict[Eui64, dict[str, Any]] = field(default_factory=dict)
    alternate_network_key: bytes = field(default=b"", repr=False)  # until a Switch-Key names it
    alternate_key_sequence: int = 0
    bindings: list[str] = field(default_factory=list)  # bodies of Bind_req, hexadecimal
    stored_nwk_counter: int = field(default=0, compare=False, repr=False)
    stored_aps_counter: int = field(default=0, compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """For flash. Holds keys: the file must be 0600.

        The counters in it are ahead of the present ones by one to two steps of 1024. The owner has
        to have it in the flash before it returns from `NodeListener.network_changed`, or at least
        before 512 more frames are out: then no counter is ever used twice, whenever the power goes.
        """
        self.stored_nwk_counter = _ahead(self.outgoing_nwk_counter)
        self.stored_aps_counter = _ahead(self.outgoing_aps_counter)
        return {
            "format": FORMAT,
            "eui64": str(self.eui64),
            "role": self.role.value,
            "joined": self.joined,
            "page": self.page,
            "channel": self.channel,
            "pan_id": self.pan_id,
            "extended_pan_id": str(self.extended_pan_id),
            "nwk": self.nwk,
            "update_id": self.update_id,
            "parent": self.parent,
            "parent_eui64": _text(self.parent_eui64),
            "trust_centre": _text(self.trust_centre),
            "network_key": self.network_key.hex(),
            "network_key_sequence": self.network_key_sequence,
            "alternate_network_key": self.alternate_network_key.hex(),
            "alternate_key_sequence": self.alternate_key_sequence,
            "outgoing_nwk_counter": self.stored_nwk_counter,
            "outgoing_aps_counter": self.stored_aps_counter,
            "link_keys": [
                {"partner": str(each.partner), "key": each.key.hex()}
                for each in self.link_keys.values()
            ],
            "addresses": {str(eui64): short for eui64, short in self.addresses.items()},
            "children": {str(eui64): dict(child) for eui64, child in self.children.items()},
            "bindings": list(self.bindings),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> NodeState:
        """From flash; outgoing counters jump ahead past anything sent since the last save.

        `ConfigurationError` when this is no such record; its text has no key in it.
        """
        try:
            if stored["format"] != FORMAT:
                raise ConfigurationError(
                    f"the stored state of a virtual node has format {stored['format']!r}, "
                    f"not {FORMAT}",
                    mend="Delete the file: the node starts anew and has to be paired again.",
                )
            return cls._read(stored)
        except (KeyError, TypeError, ValueError, AttributeError) as cause:
            raise ConfigurationError(
                f"the stored state of a virtual node is damaged ({type(cause).__name__})",
                mend="Delete the file: the node starts anew and has to be paired again.",
            ) from None

    @classmethod
    def _read(cls, stored: dict[str, Any]) -> NodeState:
        keys = [LinkKey(Eui64(each["partner"]), _key(each["key"])) for each in stored["link_keys"]]
        state = cls(
            eui64=Eui64(stored["eui64"]),
            role=Role(stored["role"]),
            joined=bool(stored["joined"]),
            page=_number(stored["page"], 31),
            channel=_number(stored["channel"], 62),
            pan_id=_number(stored["pan_id"]),
            extended_pan_id=Eui64(stored["extended_pan_id"]),
            nwk=_number(stored["nwk"]),
            update_id=_number(stored["update_id"], 255),
            parent=_number(stored["parent"]),
            parent_eui64=_address(stored["parent_eui64"]),
            trust_centre=_address(stored["trust_centre"]),
            network_key=_key(stored["network_key"]),
            network_key_sequence=_number(stored["network_key_sequence"], 255),
            outgoing_nwk_counter=_number(stored["outgoing_nwk_counter"], 0xFFFFFFFF),
            outgoing_aps_counter=_number(stored["outgoing_aps_counter"], 0xFFFFFFFF),
            link_keys={each.partner: each for each in keys},
            addresses={
                Eui64(eui64): _number(short) for eui64, short in stored["addresses"].items()
            },
            children={Eui64(eui64): _child(child) for eui64, child in stored["children"].items()},
            alternate_network_key=_key(stored["alternate_network_key"]),
            alternate_key_sequence=_number(stored["alternate_key_sequence"], 255),
            bindings=[bytes.fromhex(each).hex() for each in stored["bindings"]],
        )
        return state

    def forget_network(self) -> None:
        """As after a leave: no network, no keys, no children. Outgoing counters go on (R22 4.3)."""
        self.joined = False
        self.page = self.channel = 0
        self.pan_id = self.parent = 0xFFFF
        self.extended_pan_id = NO_EUI64
        self.nwk = 0xFFFE
        self.update_id = 0
        self.parent_eui64 = self.trust_centre = None
        self.network_key = self.alternate_network_key = b""
        self.network_key_sequence = self.alternate_key_sequence = 0
        self.link_keys.clear()
        self.addresses.clear()
        self.children.clear()
        self.bindings.clear()


def capture_keys(states: Iterable[NodeState]) -> list[tuple[bytes, str]]:
    """All keys of these nodes, with labels, each once: what Wireshark needs to read a capture.

    For `labctl.capture.write_wireshark_keys`, and for nothing that people see.
    """
    labels: dict[bytes, str] = {}
    for state in states:
        for key, sequence in (
            (state.network_key, state.network_key_sequence),
            (state.alternate_network_key, state.alternate_key_sequence),
        ):
            if key:
                labels.setdefault(key, f"network {state.extended_pan_id} {sequence}")
        for link_key in state.link_keys.values():
            labels.setdefault(link_key.key, f"link {state.eui64} {link_key.partner}")
    return list(labels.items())


class CounterGuard:
    """Hands out one outgoing counter, and asks for a save in time.

    Each value is used once. When the stored one comes near, `changed` is called, before the value
    in question goes out.
    """

    __slots__ = ("_ask_at", "_changed", "_of_aps", "_state")

    def __init__(self, state: NodeState, changed: Callable[[], None], *, of_aps: bool) -> None:
        self._state = state
        self._changed = changed
        self._of_aps = of_aps
        self._ask_at = 0

    def next(self) -> int:
        """The next value."""
        state = self._state
        if self._of_aps:
            value = state.outgoing_aps_counter
            state.outgoing_aps_counter = value + 1
        else:
            value = state.outgoing_nwk_counter
            state.outgoing_nwk_counter = value + 1
        if value >= self._ask_at:
            self._save(value)
        return value

    def _save(self, value: int) -> None:
        state = self._state
        stored = state.stored_aps_counter if self._of_aps else state.stored_nwk_counter
        if value >= stored - COUNTER_STEP // 2:
            self._changed()
            stored = state.stored_aps_counter if self._of_aps else state.stored_nwk_counter
        # An owner that keeps nothing is asked again after a while, not at every frame.
        self._ask_at = max(stored - COUNTER_STEP // 2, value + COUNTER_STEP // 4)


def _ahead(counter: int) -> int:
    return (counter // COUNTER_STEP + 2) * COUNTER_STEP


def _text(address: Eui64 | None) -> str | None:
    return None if address is None else str(address)


def _address(text: Any) -> Eui64 | None:
    return None if text is None else Eui64(text)


def _number(value: Any, most: int = 0xFFFF) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError("a number is out of range")
    return value


def _child(stored: Any) -> dict[str, Any]:
    return {
        "nwk": _number(stored["nwk"]),
        "capability": _number(stored["capability"], 255),
        "rx_on_when_idle": bool(stored["rx_on_when_idle"]),
        "timeout": _number(stored["timeout"], 14),
        "phy": _number(stored.get("phy", 0), 1),  # states of one PHY do not tell
    }


def _key(text: Any) -> bytes:
    key = bytes.fromhex(text)
    if len(key) not in (0, 16):
        raise ValueError("a key has 16 octets")
    return key
