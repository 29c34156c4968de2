"""A coordinator without a radio, and a device without a stack, both scripted by tests."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from labctl.clock import Clock
from labctl.config.access_file import shipped_access
from labctl.errors import DeliveryError, RigError
from labctl.events import DeviceKind, Event, EventBus, JoinKind
from labctl.hub import Hub, HubSettings, LoggedDevice, PairingRequest
from labctl.hub.bearer_settings import BearerSettings, LinkSettings
from labctl.hub.vault import Vault
from labctl.meters import (
    ElectricityMeter,
    GasMeter,
    GasProxy,
    LoadProfile,
    Meter,
    MeterSettings,
    ProfileShape,
    Tariff,
    Tier,
)
from labctl.radio.coordinator import (
    Coordinator,
    CoordinatorListener,
    EndpointDescriptor,
    Incoming,
    JoinDecision,
    JoinSeen,
    NetworkSettings,
    Outgoing,
    PhySettings,
    RadioKeyEngine,
    RadioState,
)
from labctl.secret import Secret
from labctl.smart_energy.cbke import Established, Identity, KeyEstablishment, Role, Send
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.lab_ca import LabCertificateAuthority
from labctl.virtual.clock import run

START_S = 1_767_600_000  # 2026-01-05T08:00:00Z, a Monday
HUB_EUI64 = Eui64("00:0d:6f:00:00:00:00:01")
IHD_EUI64 = Eui64("00:0d:6f:00:0a:90:69:e7")
CAD_EUI64 = Eui64("00:0d:6f:00:0a:90:69:e8")
IHD_KEY = Secret(bytes(range(16)))
CAD_KEY = Secret(bytes(range(16, 32)))

IHD = LoggedDevice(eui64=IHD_EUI64, name="ihd", kind=DeviceKind.IHD, link_key=IHD_KEY)
CAD = LoggedDevice(eui64=CAD_EUI64, name="cad", kind=DeviceKind.CAD, link_key=CAD_KEY)

ACCESS = shipped_access()
NETWORK = NetworkSettings((PhySettings(Channel(0, 20), tx_power_dbm=8),))

SILENT = BearerSettings(links=LinkSettings(ask_every_s=None, noise_every_s=None))
"""A hub that asks its devices nothing of its own accord."""

_random = random.Random(20260105)
AUTHORITY = LabCertificateAuthority.generate(2, Eui64("00:0d:6f:ff:00:00:00:ca"), _random.randbytes)
OTHER_AUTHORITY = LabCertificateAuthority.generate(
    2, Eui64("00:0d:6f:ff:00:00:00:cb"), _random.randbytes
)
IDENTITIES = {
    eui64: {2: AUTHORITY.issue(eui64, _random.randbytes)}
    for eui64 in (HUB_EUI64, IHD_EUI64, CAD_EUI64)
}

T = TypeVar("T")
E = TypeVar("E", bound=Event)


class FakeCoordinator(Coordinator):
    """Keeps what the hub does; `keys` is the NCP's table and may outlive a hub."""

    def __init__(self, keys: dict[Eui64, Secret] | None = None) -> None:
        self.keys = {} if keys is None else keys
        self.listener: CoordinatorListener | None = None
        self.endpoints: Sequence[EndpointDescriptor] = ()
        self.sent: list[Outgoing] = []
        self.permits: list[tuple[float, int]] = []
        self.removed: list[Eui64] = []
        self.receivers: dict[int, Callable[[Outgoing], None]] = {}
        self.delivers: Callable[[Outgoing], bool] = lambda packet: True
        self.delay_s = 0.0
        self.running = False
        self.eui64 = HUB_EUI64
        self.extended_pan_id = HUB_EUI64
        self.settings: NetworkSettings | None = None
        self.partner_keys: bool | None = None
        self.network_keys: dict[Eui64, Secret] = {}
        self.switched_s: list[float] = []
        self.deaf: set[int] = set()
        self.engine: RadioKeyEngine | None = None

    @property
    def key_engine(self) -> RadioKeyEngine | None:
        return self.engine

    async def start(
        self, settings: NetworkSettings, endpoints: Sequence[EndpointDescriptor]
    ) -> tuple[RadioState, ...]:
        self.endpoints = endpoints
        self.running = True
        self.settings = settings
        return tuple(
            RadioState(
                name="fake",
                driver="ezsp",
                path="fake",
                eui64=self.eui64,
                band=phy.channel.band,
                page=phy.channel.page,
                channel=phy.channel.number,
                pan_id=0x1234,
                extended_pan_id=self.extended_pan_id,
                resumed=bool(self.keys),
            )
            for phy in settings.phys
        )

    async def stop(self) -> None:
        self.running = False

    def listen(self, listener: CoordinatorListener) -> None:
        self.listener = listener

    async def permit_joining(self, seconds: int) -> None:
        self.permits.append((asyncio.get_running_loop().time(), seconds))

    async def link_keys(self) -> dict[Eui64, Secret]:
        return dict(self.keys)

    async def install_link_key(
        self, eui64: Eui64, key: Secret, *, bearer: int | None = None
    ) -> None:
        self.keys[eui64] = key

    async def erase_link_key(self, eui64: Eui64) -> None:
        self.keys.pop(eui64, None)

    async def send(self, packet: Outgoing) -> None:
        self.sent.append(packet)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if not self.delivers(packet):
            raise DeliveryError("no acknowledgement came", status="DELIVERY_FAILED")
        receiver = self.receivers.get(packet.nwk)
        if receiver is not None:
            asyncio.get_running_loop().call_soon(receiver, packet)

    async def remove_device(self, eui64: Eui64, nwk: int) -> None:
        self.removed.append(eui64)

    async def allow_partner_keys(self, allowed: bool) -> None:
        self.partner_keys = allowed

    async def send_network_key(self, eui64: Eui64, nwk: int, key: Secret) -> None:
        if nwk in self.deaf:
            raise RigError("no route", where="fake")
        self.network_keys[eui64] = key

    async def switch_network_key(self) -> None:
        self.switched_s.append(asyncio.get_running_loop().time())

    async def counters(self) -> dict[str, int]:
        return {}


class FakeDevice:
    """A device under test as far as the hub can see it."""

    def __init__(self, bench: Bench, logged: LoggedDevice, nwk: int) -> None:
        self.bench = bench
        self.eui64 = logged.eui64
        self.link_key = logged.link_key
        self.nwk = nwk
        self.bearer = 0
        self.answers: list[Outgoing] = []
        self.identities = IDENTITIES[logged.eui64]
        self.machine: KeyEstablishment | None = None
        self.established: Established | None = None
        self.basic: bytes | None = None
        self.sent_key_messages: list[tuple[int, bytes]] = []
        self._counter = 0
        self._sequence = 0
        bench.radio.receivers[nwk] = self.receive

    # -- joining --------------------------------------------------------------------------------

    def associate(
        self, kind: JoinKind = JoinKind.JOIN, decision: JoinDecision = JoinDecision.KEY_SENT
    ) -> None:
        self.bench.listener.join_seen(JoinSeen(self.eui64, self.nwk, kind, decision, 0x0000))

    def announce(self) -> None:
        data = b"\x01" + self.nwk.to_bytes(2, "little") + self.eui64.little_endian + b"\x8e"
        self.packet(data, profile=0, cluster=0x0013, source=0, endpoint=0, broadcast=True)

    async def establish(self, **options: Any) -> None:
        self.machine = KeyEstablishment(
            Role.INITIATOR,
            self.identities,
            own_eui64=self.eui64,
            partner=HUB_EUI64,
            random_octets=random.Random(self.nwk).randbytes,
            **options,
        )
        self._carry_out(self.machine.start())
        await self.bench.settle()

    async def join(self) -> None:
        """The whole way in, as a healthy device goes it."""
        self.associate()
        self.announce()
        await self.bench.settle()
        await self.establish()

    def _carry_out(self, actions: Sequence[Any]) -> None:
        for action in actions:
            if isinstance(action, Send):
                self.sent_key_messages.append((int(action.command_id), action.payload))
                self.command(0x0800, int(action.command_id), action.payload, endpoint=1)
            elif isinstance(action, Established):
                self.established = action

    # -- frames ---------------------------------------------------------------------------------

    def packet(
        self,
        data: bytes,
        *,
        cluster: int,
        endpoint: int,
        profile: int = 0x0109,
        source: int = 1,
        secured: bool = False,
        broadcast: bool = False,
    ) -> None:
        self._counter = (self._counter + 1) % 256
        self.bench.listener.packet_received(
            Incoming(
                nwk=self.nwk,
                eui64=self.eui64,
                source_endpoint=source,
                destination_endpoint=endpoint,
                profile_id=profile,
                cluster_id=cluster,
                data=data,
                aps_encrypted=secured,
                broadcast=broadcast,
                lqi=200,
                rssi_dbm=-60,
                aps_counter=self._counter,
                bearer=self.bearer,
            )
        )

    def command(
        self,
        cluster: int,
        command: int,
        payload: bytes = b"",
        *,
        endpoint: int = 2,
        secured: bool = False,
        control: int = 0x01,
    ) -> None:
        self._sequence = (self._sequence + 1) % 256
        frame = bytes((control, self._sequence, command)) + payload
        self.packet(frame, cluster=cluster, endpoint=endpoint, secured=secured)

    async def ask(self, data: bytes, **where: Any) -> list[bytes]:
        """Send octets and return the octets of the answers."""
        before = len(self.answers)
        self.packet(data, **where)
        await self.bench.settle()
        return [answer.data for answer in self.answers[before:]]

    async def read(
        self, cluster: int, *attributes: int, endpoint: int = 2, secured: bool = True
    ) -> bytes | None:
        """The answer to a Read Attributes, without its header; None for none."""
        data = b"\x00\x5a\x00" + b"".join(a.to_bytes(2, "little") for a in attributes)
        sent = await self.ask(data, cluster=cluster, endpoint=endpoint, secured=secured)
        # The hub may have a question of its own at the same time: that one is no answer.
        answers = [frame for frame in sent if frame[0] & 0x08]
        if not answers:
            return None
        (answer,) = answers
        assert answer[:3] == b"\x18\x5a\x01", answer.hex()
        return answer[3:]

    async def get(
        self, cluster: int, command: int, payload: bytes = b"", *, endpoint: int = 2
    ) -> list[bytes]:
        return await self.ask(
            bytes((0x01, 0x77, command)) + payload, cluster=cluster, endpoint=endpoint, secured=True
        )

    def receive(self, packet: Outgoing) -> None:
        self.answers.append(packet)
        if packet.cluster_id == 0x0800 and self.machine is not None and packet.data[0] & 1:
            self._carry_out(self.machine.receive(packet.data[2], packet.data[3:], from_server=True))
        elif packet.cluster_id == 0x0000 and packet.data[2] == 0x00 and self.basic is not None:
            self.packet(
                bytes((0x18, packet.data[1], 0x01)) + self.basic,
                cluster=0,
                endpoint=packet.source_endpoint,
            )


class Bench:
    """A hub on a fake radio."""

    def __init__(
        self,
        hub: Hub,
        radio: FakeCoordinator,
        events: list[Event],
        clock: Clock,
        shown: list[Meter],
    ) -> None:
        self.hub = hub
        self.meters = shown
        self.radio = radio
        self.events = events
        self.clock = clock

    @property
    def listener(self) -> CoordinatorListener:
        assert self.radio.listener is not None
        return self.radio.listener

    def device(self, logged: LoggedDevice = IHD, nwk: int = 0x1A2B) -> FakeDevice:
        return FakeDevice(self, logged, nwk)

    async def paired(self, logged: LoggedDevice = IHD, nwk: int = 0x1A2B) -> FakeDevice:
        """A device that is authorised: paired just now, unless the radio has its key already."""
        device = self.device(logged, nwk)
        if self.hub.authorised(logged.eui64):
            return device
        await self.hub.pair(PairingRequest(eui64=logged.eui64, window_s=600))
        await device.join()
        assert self.hub.authorised(logged.eui64)
        return device

    async def settle(self) -> None:
        """Until nothing but timers is left to happen."""
        for _ in range(60):
            await asyncio.sleep(0)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


def meters() -> list[Meter]:
    """An electricity meter and a gas proxy, both with a tariff."""
    return [
        ElectricityMeter(
            MeterSettings(
                name="electricity",
                mpxn="1200012345678",
                serial_number="E6S1",
                tariff=Tariff(
                    name="Day/Night",
                    unit_price=24_500,
                    standing_charge=54_794,
                    start_s=START_S - 86_400,
                    tiers=(Tier("Night", 12_000, 0, 7 * 60),),
                ),
                profile=LoadProfile(
                    ProfileShape.FLAT, base=360, peak=0, origin_s=START_S, seed=1, noise_percent=0
                ),
            ),
            start_wh=1_234_567,
        ),
        GasProxy(
            GasMeter(
                MeterSettings(
                    name="gas",
                    mpxn="4100012345",
                    serial_number="G4A1",
                    tariff=Tariff(
                        name="Gas",
                        unit_price=6_000,
                        standing_charge=30_000,
                        start_s=START_S - 86_400,
                    ),
                    profile=LoadProfile(
                        ProfileShape.FLAT,
                        base=60_000,
                        peak=0,
                        origin_s=START_S,
                        seed=1,
                        noise_percent=0,
                    ),
                ),
                start_litres=4_321_000,
            )
        ),
    ]


def with_keys(scenario: Callable[[Bench], Coroutine[Any, Any, T]], **settings: Any) -> T:
    """A hub that resumes with both devices authorised: for what comes after pairing."""
    keys = {IHD_EUI64: Secret(b"\xe1" * 16), CAD_EUI64: Secret(b"\xe2" * 16)}
    return with_hub(scenario, radio=FakeCoordinator(keys), **settings)


def with_hub(
    scenario: Callable[[Bench], Coroutine[Any, Any, T]],
    *,
    radio: FakeCoordinator | None = None,
    devices: tuple[LoggedDevice, ...] = (IHD, CAD),
    identities: dict[int, Identity] | None = None,
    vault: Vault | None = None,
    **settings: Any,
) -> T:
    """Run a scenario against a hub on the fast clock. A task of the hub that fails fails it."""

    async def main() -> T:
        loop = asyncio.get_running_loop()
        bugs: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: bugs.append(context))
        coordinator = radio if radio is not None else FakeCoordinator()
        clock = Clock(loop, START_S * 1_000_000)
        bus = EventBus()
        events: list[Event] = []
        bus.subscribe(events.append)
        shown = meters()
        hub = Hub(
            HubSettings(
                **{"network": NETWORK, "devices": devices, "access": ACCESS, "bearers": SILENT}
                | settings,
            ),
            coordinator,
            bus,
            clock,
            meters=shown,
            identities=IDENTITIES[HUB_EUI64] if identities is None else identities,
            random_octets=random.Random(7).randbytes,
            vault=vault,
        )
        await hub.start()
        try:
            result = await scenario(Bench(hub, coordinator, events, clock, shown))
        finally:
            await hub.stop()
        if bugs:
            raise AssertionError(bugs) from bugs[0].get("exception")
        return result

    return run(main(), fast=True)
