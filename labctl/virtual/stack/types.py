"""What a node takes and gives: descriptors, indications, statuses, and what its owner is told."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from labctl.smart_energy.airtime import DutyCycleState
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64


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
class PhySettings:
    """What one radio of a node is set to. `tx_power_dbm` at the antenna."""

    page: int
    channel: int
    tx_power_dbm: float


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
class Level:
    """How a frame was heard."""

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
    phy: int = 0  # which of our radios heard it


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

    def child_joined(self, eui64: Eui64, nwk: int, rx_on_when_idle: bool, rejoin: bool) -> None:
        """A direct child associated or rejoined (before any key went out)."""

    def admission(
        self, eui64: Eui64, nwk: int, kind: Admission, parent: int
    ) -> TrustCentreDecision:
        """Coordinator only: decide about a joiner. Called before any key goes out."""
        return TrustCentreDecision.DENY

    def child_left(self, eui64: Eui64, nwk: int) -> None:
        """A direct child is no longer one: it left, was removed, refused, or fell silent."""

    def leave_heard(self, eui64: Eui64, nwk: int, *, request: bool, rejoin: bool) -> None:
        """A NWK leave of somebody whose address is known, whatever becomes of it."""

    def child_polled(self, nwk: int, phy: int, pending: bool) -> None:
        """A child asked for a frame; `pending`: there is one for it."""

    def application_key_requested(self, requester: Eui64, partner: Eui64) -> bool:
        """Trust centre: may these two have a link key (Request-Key, R22 4.4.7)? True brokers it."""
        return False

    def duty_cycle_changed(self, phy: int, state: DutyCycleState) -> None:
        """A sub-GHz radio of ours crossed a limit of its airtime, in either direction. While it is
        suspended it sends nothing at all."""

    def channel_followed(self, channel: Channel) -> None:
        """End device: the network went to another channel, and we went with it."""

    def parent_lost(self) -> None:
        """End device: three polls in a row went unacknowledged. Time for a rejoin."""

    def key_received(self, kind: str, partner: Eui64 | None) -> None:
        """Joiner: a Transport-Key arrived and was deciphered; kind "network" or "application"."""

    def trust_centre_swapped(self, trust_centre: Eui64) -> None:
        """Another trust centre gave us the network key: key establishment is due anew."""

    def left(self, rejoin: bool) -> None:
        """We were told to leave (Remove-Device, NWK leave), or left."""

    def network_changed(self) -> None:
        """Something that flash has to keep changed: save `node.state` soon."""
