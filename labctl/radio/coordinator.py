"""What the hub asks of a radio, whatever driver is behind it.

The hub imports this module and nothing else of `radio/`. Implementations: `radio/ezsp/`.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labctl.errors import RigError
from labctl.events import Band, JoinKind
from labctl.secret import Secret
from labctl.smart_energy.airtime import DutyCycleState, Limits
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64

BROADCAST_DELIVERY_S = 9.0
"""nwkNetworkBroadcastDeliveryTime: how long a broadcast may be on its way (R22 3.6.5)."""

_NETWORK_SHIFT = 16


def short_address(nwk: int) -> int:
    """The 16 bits of an address that go into frames and into the record.

    Short addresses are unique within a network. A coordinator that runs a second one (two sticks
    side by side) puts its number above them, so that `nwk` names one node everywhere in the hub.
    """
    return nwk & 0xFFFF


def in_network(nwk: int, network: int) -> int:
    """The address of a node of the network with this number, counted from 0."""
    return network << _NETWORK_SHIFT | nwk


def network_of(nwk: int) -> int:
    """The number of the network that the address belongs to."""
    return nwk >> _NETWORK_SHIFT


class OtherRadioError(RigError):
    """The radio holds another network than the one that is to be resumed, or is another radio.

    Trying again does not mend that.
    """


@dataclass(frozen=True, slots=True)
class EndpointDescriptor:
    """A simple descriptor that the NCP is to answer discovery with (R22 2.3.2.5)."""

    endpoint: int
    device_id: int
    server_clusters: tuple[int, ...]
    client_clusters: tuple[int, ...] = ()
    profile_id: int = 0x0109
    device_version: int = 1


@dataclass(frozen=True, slots=True)
class PhySettings:
    """One bearer: a channel, and the power to transmit with, dBm.

    The ids are for a bearer with a network of its own, side by side with the first.
    """

    channel: Channel
    tx_power_dbm: int
    pan_id: int | None = None
    extended_pan_id: Eui64 | None = None


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """How to form the network, when the radio holds none. None means: choose at random.

    `phys` has one entry for each bearer: one, or on a dual-band hub 2.4 GHz and then sub-GHz.
    """

    phys: tuple[PhySettings, ...]
    pan_id: int | None = None
    extended_pan_id: Eui64 | None = None
    max_devices: int = 16
    form_anew: bool = False
    """Leave the network that the radio holds first, and form another one."""
    not_on: Eui64 | None = None
    """A radio that this is refused on: the one whose devices another is to take over."""
    only: Eui64 | None = None
    """Extended PAN id of the network to be resumed: none is formed. Else `OtherRadioError`."""


@dataclass(frozen=True, slots=True)
class RadioState:
    """A bearer as it runs: one band of one radio, which is what a frame goes over.

    `resumed` is false when the network was formed by this start. A coordinator with two PHYs has
    two bearers of the same address and network; the second is called `NAME/868`.
    """

    name: str
    driver: str
    path: str
    eui64: Eui64
    band: Band
    page: int
    channel: int
    pan_id: int
    extended_pan_id: Eui64
    resumed: bool
    tx_power_dbm: int | None = None
    serial_number: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    firmware: str | None = None
    protocol_version: int | None = None
    key_table_size: int | None = None
    remarks: tuple[str, ...] = ()
    """What a person should know of it: it runs otherwise than the settings say."""

    @property
    def at(self) -> Channel:
        """Page and channel as one value."""
        return Channel(self.page, self.channel)


@dataclass(frozen=True, slots=True)
class DutyCycle:
    """What the firmware counts of the airtime of a sub-GHz bearer (R22 annex D).

    Airtimes are of the sliding hour, microseconds, as exact as the firmware tells (EZSP: 0.01 %,
    which is 360 ms). Devices are named by their address.
    """

    state: DutyCycleState
    hub_airtime_us: int
    device_airtime_us: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A packet that the NCP handed up. `bearer` counts what `Coordinator.start` returned.

    `eui64` is None while the sender's address is not known. `aps_encrypted` is true only when the
    frame carried APS security *and* the NCP decrypted it with that device's link key.
    """

    nwk: int
    eui64: Eui64 | None
    source_endpoint: int
    destination_endpoint: int
    profile_id: int
    cluster_id: int
    data: bytes
    aps_encrypted: bool
    broadcast: bool
    lqi: int
    rssi_dbm: int | None
    aps_counter: int
    bearer: int = 0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A unicast to one device. `aps_ack` asks for an APS acknowledgement (SE always does)."""

    nwk: int
    source_endpoint: int
    destination_endpoint: int
    cluster_id: int
    data: bytes
    profile_id: int = 0x0109
    aps_encrypt: bool = False
    aps_ack: bool = True


class JoinDecision(enum.StrEnum):
    """What the NCP's trust centre did with a joiner. It decides alone and tells afterwards."""

    KEY_SENT = "key-sent"
    NO_ACTION = "no-action"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class JoinSeen:
    """The NCP's trust centre dealt with a joiner."""

    eui64: Eui64
    nwk: int
    kind: JoinKind
    decision: JoinDecision
    parent_nwk: int
    bearer: int = 0


@dataclass(frozen=True, slots=True)
class PartnerKey:
    """The NCP's trust centre was asked for a link key between two devices (R22 4.4.7).

    `refusal` says why it sent none, empty when it sent one to each.
    """

    requester: Eui64 | None
    refusal: str = ""


class RadioKeyEngine(abc.ABC):
    """Key establishment inside the NCP. One exchange at a time; its radio is deaf meanwhile.

    Methods raise `RigError` when the NCP does not do it.
    """

    suites: frozenset[int]
    """Those that the firmware has both library and certificate for."""

    @abc.abstractmethod
    async def certificate(self, suite: int) -> bytes:
        """The NCP's own certificate, 48 or 74 octets."""

    @abc.abstractmethod
    async def generate(self, suite: int) -> bytes:
        """Begin an exchange: a new ephemeral key pair, of which the public key (22, 37 octets)."""

    @abc.abstractmethod
    async def calculate(
        self, suite: int, *, initiator: bool, certificate: bytes, ephemeral: bytes
    ) -> tuple[bytes, bytes] | None:
        """MACU and MACV from the partner's data; `initiator` says that we are.

        None when the NCP can do nothing with the partner's certificate or point.
        """

    @abc.abstractmethod
    async def store(self, suite: int, partner: Eui64) -> Secret:
        """End the exchange well: the key goes into the NCP's table. Returns it too."""

    @abc.abstractmethod
    async def discard(self, suite: int) -> None:
        """End the exchange without a key."""


class CoordinatorListener(abc.ABC):
    """What a radio tells whoever drives it. Called on the event loop; must not block or raise."""

    @abc.abstractmethod
    def packet_received(self, packet: Incoming) -> None:
        """A packet for an endpoint of ours, or a ZDO request that the host is to answer."""

    def overheard(self, packet: Incoming) -> None:  # noqa: B027 - not every owner cares
        """A ZDO request that the radio answers by itself: there is nothing to be done."""

    def child_polled(self, nwk: int) -> None:  # noqa: B027 - not every owner cares
        """A device asked the radio, its parent, for frames. Told only by a radio with a sub-GHz
        bearer, where all airtime is counted, and only by firmware that can."""

    @abc.abstractmethod
    def join_seen(self, join: JoinSeen) -> None:
        """A join or rejoin was let in or refused by the NCP."""

    @abc.abstractmethod
    def device_left(self, eui64: Eui64, nwk: int) -> None:
        """A device left the network."""

    def partner_key(self, request: PartnerKey) -> None:  # noqa: B027 - not every owner cares
        """Two devices asked for a link key between them."""

    def duty_cycle_changed(self, bearer: int, state: DutyCycleState) -> None:  # noqa: B027
        """The airtime of a sub-GHz bearer crossed a limit, in either direction."""

    def channel_changed(self, bearer: int, channel: Channel) -> None:  # noqa: B027
        """The network moved to another channel, asked for or not."""

    def joining_changed(self, bearer: int, is_open: bool) -> None:  # noqa: B027
        """The radio says that joining is open on its network from now on, or is not any more.

        Told only by firmware that does (EZSP), be it that it was asked or that its time ran out.
        """

    @abc.abstractmethod
    def connection_lost(self, cause: str, bearer: int = 0) -> None:
        """The stick is gone or in a failed state. Nothing comes, unless it is restored."""

    async def connection_restored(  # noqa: B027 - not every owner cares
        self, states: Sequence[RadioState], bearer: int = 0
    ) -> None:
        """A lost stick runs its network again; `bearer` is that of the first of `states`.

        What its RAM forgot is to be set again. Raises `RigError` when that fails: then it is lost
        still, and tried again.
        """


class Coordinator(abc.ABC):
    """A coordinator and Smart Energy trust centre on a stick.

    Raises `RigError` when the stick cannot do what is asked, `DeliveryError` when a frame did not
    arrive. All methods are coroutines on the hub's event loop.
    """

    @abc.abstractmethod
    async def start(
        self, settings: NetworkSettings, endpoints: Sequence[EndpointDescriptor]
    ) -> tuple[RadioState, ...]:
        """Open the port; resume the network that the radio holds, or form one; register endpoints.

        Joining is closed afterwards, whatever the firmware's default. Returns the bearers, in the
        order of `settings.phys`.
        """

    @abc.abstractmethod
    async def stop(self) -> None:
        """Close the window and the port. The network stays in the radio. Safe to call twice."""

    async def restart(self, bearer: int = 0) -> None:
        """Reset the NCP of a bearer on purpose: it is lost, and comes back as after any loss.

        Returns at once; the listener hears of both. Raises `RigError` where nothing would bring it
        back.
        """
        raise RigError("this radio is not started again by itself")

    async def abandon(self) -> None:
        """Close the port without a word to the radio, which is gone or does not answer."""
        await self.stop()

    @abc.abstractmethod
    def listen(self, listener: CoordinatorListener) -> None:
        """Set the one listener. To be called before `start`."""

    @abc.abstractmethod
    async def permit_joining(self, seconds: int) -> None:
        """Let devices associate for 1 to 254 s from now; 0 closes. Who may is up to the keys."""

    @abc.abstractmethod
    async def link_keys(self) -> dict[Eui64, Secret]:
        """The link keys that the radio holds, by partner."""

    @abc.abstractmethod
    async def install_link_key(
        self, eui64: Eui64, key: Secret, *, bearer: int | None = None
    ) -> None:
        """Store the 16-octet link key of a device, in place of any other. Survives a reset.

        `bearer` is what the device is on, so that no other radio keeps a key of it; None lets it
        join anywhere.
        """

    @abc.abstractmethod
    async def erase_link_key(self, eui64: Eui64) -> None:
        """Forget a device's link key. Not an error when there is none."""

    @abc.abstractmethod
    async def send(self, packet: Outgoing) -> None:
        """Send a unicast, in fragments where it is too long, and wait for its delivery.

        Raises `DeliveryError`.
        """

    @abc.abstractmethod
    async def remove_device(self, eui64: Eui64, nwk: int) -> None:
        """Send an APS Remove Device (R22 4.4.5)."""

    def address_of(self, eui64: Eui64) -> int | None:
        """The address that the NCP knows of a device. Known once started."""
        return None

    def bearer_of(self, eui64: Eui64) -> int:
        """What the NCP's own tables say a device is on. Known once started."""
        return 0

    async def check_alive(self) -> None:
        """Ask the radio for anything. Raises `RigError` when no answer comes."""
        await self.counters()

    def silent_s(self, bearer: int = 0) -> float:
        """How long before its latest loss nothing had been heard of the radio, where known."""
        return 0.0

    @property
    def tells_refusals(self) -> bool:
        """Whether it is told of joiners that the NCP refused: else nobody knows who tried."""
        return True

    @property
    def key_engine(self) -> RadioKeyEngine | None:
        """Key establishment in the NCP, where its firmware has it. Known once started."""
        return None

    @abc.abstractmethod
    async def allow_partner_keys(self, allowed: bool) -> None:
        """Whether the NCP is to send link keys to two devices that ask for one between them."""

    @abc.abstractmethod
    async def send_network_key(self, eui64: Eui64, nwk: int, key: Secret) -> None:
        """Give one device the next network key, under its link key (R22 4.4.3)."""

    @abc.abstractmethod
    async def switch_network_key(self) -> None:
        """Everybody uses the next network key from now on (R22 4.4.6).

        Not sooner than `BROADCAST_DELIVERY_S` after the last `send_network_key`.
        """

    async def network_keys(self) -> tuple[Secret, ...]:
        """The keys of its networks, one each: for whoever reads a capture, and for nobody else.

        Raises `RigError` where the firmware keeps them to itself.
        """
        raise RigError("this radio does not show its network key")

    async def energy_scan(
        self, channels: Sequence[Channel], *, exponent: int = 5
    ) -> dict[Channel, int]:
        """The highest level heard on each channel, dBm, listening 2**exponent + 1 slots to each.

        The radio is deaf to its network meanwhile. Raises `RigError` where it cannot scan.
        """
        raise RigError("this radio does no energy scans")

    async def change_channel(self, bearer: int, channel: Channel) -> None:
        """Move a bearer to another channel of its band, without telling anybody.

        Whoever is to follow must know before. Raises `RigError`.
        """
        raise RigError("this radio cannot change the channel of a network that runs")

    async def announce_channel(self, bearer: int, channel: Channel) -> None:
        """Tell everybody on a bearer's network to follow it to another channel, by a broadcast.

        It is a Mgmt_NWK_Update_req (R22 2.4.3.3.9) that says "change channel", and on its way for
        `BROADCAST_DELIVERY_S`. Raises `RigError`.
        """
        raise RigError("this radio sends no broadcasts")

    async def duty_cycle(self, bearer: int) -> DutyCycle | None:
        """The airtime as the firmware counts it; None where it does not (2.4 GHz, old firmware)."""
        return None

    async def set_duty_cycle_limits(self, bearer: int, limits: Limits) -> None:
        """Where the firmware is to change its state. Raises `RigError` where it counts nothing."""
        raise RigError("this radio's firmware counts no airtime")

    @abc.abstractmethod
    async def counters(self) -> dict[str, int]:
        """The firmware's own counters since its last reset, by name."""
