"""A Zigbee PRO node on the virtual air: MAC, NWK, APS and ZDO of one device.

CONTRACT (agreed before the implementation; whoever implements keeps names and meanings): the
virtual NCP (`virtual/ncp/`) puts EZSP on top of a coordinator `Node`, the virtual devices
(`virtual/devices/`) put an application on top of an end-device `Node`. Neither knows the other.
"""

from __future__ import annotations

import asyncio
import enum
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air


class Role(enum.StrEnum):
    """Logical device type (R22 2.3.2.3.1)."""

    COORDINATOR = "coordinator"
    ROUTER = "router"
    END_DEVICE = "end-device"


class Status(enum.StrEnum):
    """How a request to the stack ended."""

    SUCCESS = "success"
    NO_ACK = "no-ack"  # APS acknowledgement did not come, after all retries
    MAC_FAILURE = "mac-failure"  # MAC acknowledgement did not come, or channel busy
    NO_KEY = "no-key"  # APS encryption asked for, no link key or no address mapping
    TOO_LONG = "too-long"
    NOT_JOINED = "not-joined"
    EXPIRED = "expired"  # indirect transmission not fetched by a sleepy child


class JoinFailure(enum.StrEnum):
    """Why a join or rejoin did not succeed, as the joiner itself can tell."""

    NO_BEACON = "no-beacon"
    NOT_PERMITTED = "not-permitted"  # no beacon permits association
    ASSOCIATION_REFUSED = "association-refused"
    ASSOCIATION_TIMEOUT = "association-timeout"
    NO_NETWORK_KEY = "no-network-key"  # nothing decipherable came within the time


@dataclass(frozen=True, slots=True)
class SimpleDescriptor:
    """R22 2.3.2.5."""

    endpoint: int
    profile_id: int
    device_id: int
    device_version: int
    input_clusters: tuple[int, ...]  # servers
    output_clusters: tuple[int, ...]  # clients


@dataclass(frozen=True, slots=True)
class Beacon:
    """A beacon heard in an active scan (802.15.4 7.3.1, R22 3.6.7)."""

    page: int
    channel: int
    pan_id: int
    source: int
    extended_pan_id: Eui64
    permit_joining: bool
    router_capacity: bool
    end_device_capacity: bool
    stack_profile: int
    depth: int
    update_id: int
    lqi: int
    rssi_dbm: int


@dataclass(frozen=True, slots=True)
class Indication:
    """An APS data frame for one of our endpoints, or a ZDO one (profile 0, endpoint 0)."""

    source: int
    source_eui64: Eui64 | None
    destination: int  # NWK destination: ours or 0xFFFC..0xFFFF
    source_endpoint: int
    destination_endpoint: int
    profile_id: int
    cluster_id: int
    payload: bytes
    counter: int
    aps_secured: bool
    ack_requested: bool
    lqi: int
    rssi_dbm: int
    block: int | None = None  # fragment number, when the node does not reassemble
    block_count: int | None = None  # only in block 0


class TrustCentreDecision(enum.StrEnum):
    """What a trust centre does with a joiner."""

    SEND_KEY = "send-key"  # network key under the device's link key
    NO_ACTION = "no-action"
    DENY = "deny"


class Admission(enum.StrEnum):
    """What the trust centre is asked about (R22 4.4.4, Update-Device status)."""

    SECURED_REJOIN = "secured-rejoin"
    UNSECURED_JOIN = "unsecured-join"
    LEFT = "left"
    UNSECURED_REJOIN = "unsecured-rejoin"


class NodeListener:
    """What a node tells its owner. All called on the loop; all may stay as they are here."""

    def data_received(self, indication: Indication) -> None:
        """Data for an endpoint of ours."""

    def zdo_request(self, indication: Indication) -> bool:
        """A ZDO request arrived. Return True to answer it yourself; False lets the node answer."""
        return False

    def zdo_observed(self, indication: Indication) -> None:
        """Any ZDO frame (requests that the node answers, responses, Device_annce), for a copy."""

    def child_joined(
        self, eui64: Eui64, nwk: int, rx_on_when_idle: bool, rejoin: bool
    ) -> None:
        """A direct child associated or rejoined (before any key went out)."""

    def admission(
        self, eui64: Eui64, nwk: int, kind: Admission, parent: int
    ) -> TrustCentreDecision:
        """Coordinator only: decide about a joiner. Called before any key goes out."""
        return TrustCentreDecision.DENY

    def key_received(self, kind: str, partner: Eui64 | None) -> None:
        """Joiner: a Transport-Key arrived and was deciphered; kind "network" or "application"."""

    def left(self, rejoin: bool) -> None:
        """We were told to leave (Remove-Device, NWK leave), or left."""

    def network_changed(self) -> None:
        """Something that flash has to keep changed: save `node.state` soon."""


@dataclass(slots=True)
class LinkKey:
    """A link key shared with `partner`, and its counters (R22 4.4.10)."""

    partner: Eui64
    key: bytes
    incoming_counter: int = 0


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
    extended_pan_id: Eui64 = Eui64("00" * 8)
    nwk: int = 0xFFFE
    update_id: int = 0
    parent: int = 0xFFFF
    parent_eui64: Eui64 | None = None
    trust_centre: Eui64 | None = None
    network_key: bytes = b""
    network_key_sequence: int = 0
    outgoing_nwk_counter: int = 0
    outgoing_aps_counter: int = 0
    link_keys: dict[Eui64, LinkKey] = field(default_factory=dict)
    addresses: dict[Eui64, int] = field(default_factory=dict)  # EUI-64 to short address
    children: dict[Eui64, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For flash. Holds keys: the file must be 0600."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> NodeState:
        """From flash; outgoing counters jump ahead past anything sent since the last save."""
        raise NotImplementedError


class Node:
    """One Zigbee node. Everything runs on the event loop's clock; randomness from `rng` alone.

    `reassemble`: put fragments together and acknowledge them (devices). An NCP's host does that
    itself, so the NCP passes False, gets each block as an `Indication` and answers with
    `acknowledge_block`.
    `manufacturer_code`, `max_transfer` go into the node descriptor.
    """

    def __init__(
        self,
        air: Air,
        state: NodeState,
        listener: NodeListener,
        *,
        rng: random.Random,
        position: tuple[float, float, float] = (0.0, 0.0, 0.0),
        tx_power_dbm: int = 8,
        rx_on_when_idle: bool = True,
        mains_powered: bool = True,
        reassemble: bool = True,
        manufacturer_code: int = 0x0000,
        max_transfer: int = 1500,
        max_children: int = 32,
    ) -> None:
        self.state = state
        self.endpoints: dict[int, SimpleDescriptor] = {}
        raise NotImplementedError

    # -- life ---------------------------------------------------------------------------------

    def power_on(self) -> None:
        """Attach to the air. A node whose state is joined is on its network at once."""

    def power_off(self) -> None:
        """Cut the power: the radio is gone at once, all timers die, RAM state is lost."""

    # -- networks -----------------------------------------------------------------------------

    async def active_scan(self, channels: Sequence[int], duration: int = 3) -> list[Beacon]:
        """Beacon requests on each channel, and the beacons heard."""
        raise NotImplementedError

    async def energy_scan(self, channels: Sequence[int], duration: int = 3) -> dict[int, int]:
        """Peak energy for each channel, dBm."""
        raise NotImplementedError

    def form(
        self,
        *,
        page: int,
        channel: int,
        pan_id: int,
        extended_pan_id: Eui64,
        network_key: bytes,
        network_key_sequence: int = 0,
        update_id: int = 0,
    ) -> None:
        """Coordinator: start a network as its trust centre."""
        raise NotImplementedError

    def permit_joining(self, seconds: int) -> None:
        """0 closes, 255 opens for good. Affects beacons and associations at this node."""
        raise NotImplementedError

    async def join(
        self, beacon: Beacon, *, link_key: bytes, key_timeout_s: float = 5.0
    ) -> JoinFailure | None:
        """Associate with `beacon`, wait for the network key under `link_key`, announce.

        None when joined. `link_key` becomes the trust centre's entry in `state.link_keys`.
        """
        raise NotImplementedError

    async def rejoin(self, *, secured: bool, key_timeout_s: float = 5.0) -> JoinFailure | None:
        """NWK rejoin (R22 3.6.1.4.2) to the network in `state`; announces when it succeeds."""
        raise NotImplementedError

    def leave(self) -> None:
        """Send a NWK leave and forget the network and all keys."""
        raise NotImplementedError

    # -- data ---------------------------------------------------------------------------------

    async def send(
        self,
        destination: int,
        *,
        source_endpoint: int,
        destination_endpoint: int,
        profile_id: int,
        cluster_id: int,
        payload: bytes,
        aps_secured: bool = False,
        ack: bool = True,
        counter: int | None = None,
        block: int | None = None,
        block_count: int | None = None,
        radius: int = 30,
    ) -> Status:
        """APSDE-DATA.request, unicast or broadcast (0xFFFC..0xFFFF), and its confirm.

        With `block` the caller fragments by himself and passes `counter` for blocks after the
        first; without, a payload that is too long for a frame is fragmented here (window 1) when
        the node reassembles, and is TOO_LONG otherwise. `last_counter` is the counter used.
        """
        raise NotImplementedError

    last_counter: int = 0

    def acknowledge_block(self, indication: Indication, bitmap: int = 0xFF) -> None:
        """Send the APS acknowledgement for one fragment (nodes that do not reassemble)."""
        raise NotImplementedError

    def max_payload(self, *, aps_secured: bool, fragmented: bool = False) -> int:
        """Octets of APS payload that fit in one frame."""
        raise NotImplementedError

    async def zdo(
        self, destination: int, cluster_id: int, body: bytes, *, timeout_s: float = 5.0
    ) -> bytes | None:
        """Send a ZDO request (sequence number added) and await its response body, or None.

        For broadcasts use `zdo_broadcast`. The body returned starts after the sequence number.
        """
        raise NotImplementedError

    async def zdo_broadcast(
        self, destination: int, cluster_id: int, body: bytes, *, collect_s: float
    ) -> list[tuple[int, bytes]]:
        """Broadcast a ZDO request and collect (source, response body) for `collect_s` seconds."""
        raise NotImplementedError

    # -- trust centre (coordinator only) --------------------------------------------------------

    def transport_network_key(self, eui64: Eui64, nwk: int) -> None:
        """Send the network key under that device's link key."""
        raise NotImplementedError

    def remove_device(self, parent: int, target: Eui64) -> Status:
        """APS Remove-Device to the parent, or a NWK leave to a direct child (R22 4.4.5)."""
        raise NotImplementedError

    # -- counters -------------------------------------------------------------------------------

    counters: dict[str, int]
    """mac_rx, mac_tx, mac_tx_failed, nwk_decryption_failure, aps_decryption_failure,
    nwk_frame_counter_failure, aps_frame_counter_failure, aps_tx_success, aps_tx_failed, ..."""


def loop_time() -> float:
    """The event loop's time, s."""
    return asyncio.get_running_loop().time()
