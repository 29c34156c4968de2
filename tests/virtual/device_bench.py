"""A scripted hub for the virtual devices, and a stack on the node's contract without any radio.

The hub's ZCL is written by hand here, octet by octet: no labctl.hub, no codec of the devices.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from labctl.smart_energy.cbke import Established, KeyEstablishment, Send, Terminated
from labctl.smart_energy.cbke import Role as KeyRole
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity
from labctl.smart_energy.install_code import InstallCode
from labctl.smart_energy.lab_ca import LabCertificateAuthority
from labctl.virtual.devices import VirtualDevice
from labctl.virtual.node import (
    Beacon,
    Indication,
    JoinFailure,
    LinkKey,
    NodeListener,
    NodeState,
    SimpleDescriptor,
    Status,
)

HUB = Eui64("00:0d:6f:00:00:00:00:01")
DEVICE = Eui64("00:0d:6f:00:0a:90:69:e7")
EXTENDED_PAN = Eui64("00:0d:6f:00:00:00:00:99")
CODE = InstallCode.parse("83FED3407A939723A5C639B26916D505C3B5")
NETWORK_KEY = bytes(range(16))


@cache
def authority(suite: int = 2, name: str = "lab") -> LabCertificateAuthority:
    seed = random.Random(f"{suite} {name}")
    issuer = Eui64.from_big_endian(seed.randbytes(8))
    return LabCertificateAuthority.generate(suite, issuer, seed.randbytes)


@cache
def identity(eui64: Eui64, suite: int = 2, name: str = "lab") -> Identity:
    return authority(suite, name).issue(eui64, random.Random(f"{eui64} {suite} {name}").randbytes)


# -- the hub ---------------------------------------------------------------------------------------

UINT8, UINT16, UINT24, UINT32, UINT48 = 0x20, 0x21, 0x22, 0x23, 0x25
MAP8, MAP16, INT24, ENUM8, OCTETS, TEXT, UTC = 0x18, 0x19, 0x2A, 0x30, 0x41, 0x42, 0xE2


def typed(type_id: int, octets: bytes) -> bytes:
    return bytes((type_id,)) + octets


def uint(type_id: int, value: int, width: int) -> bytes:
    return typed(type_id, value.to_bytes(width, "little"))


def string(type_id: int, text: str) -> bytes:
    return typed(type_id, bytes((len(text),)) + text.encode())


def meter(*, device_type: int, unit: int, site_id: str) -> dict[int, bytes]:
    return {
        0x0000: uint(UINT48, 1_234_567, 6),
        0x0200: uint(MAP8, 0, 1),
        0x0014: uint(ENUM8, 2, 1),
        0x0300: uint(ENUM8, unit, 1),
        0x0301: uint(UINT24, 1, 3),
        0x0302: uint(UINT24, 1000, 3),
        0x0303: uint(MAP8, 0xFB, 1),
        0x0306: uint(MAP8, device_type, 1),
        0x0307: string(OCTETS, site_id),
        0x0308: string(OCTETS, "SN-" + site_id),
    }


@dataclass
class Request:
    at_s: float
    endpoint: int
    cluster_id: int
    control: int
    command: int
    payload: bytes
    aps_secured: bool


@dataclass
class ScriptedHub:
    """Answers one device. What it does wrong is set by its fields."""

    identities: dict[int, Identity]
    install_key: bytes = field(default=CODE.link_key().reveal(), repr=False)
    open: bool = True
    on: bool = True
    refuse_association: bool = False
    deaf_to: set[int] = field(default_factory=set)  # clusters whose frames get no answer
    refuses: dict[int, int] = field(default_factory=dict)  # cluster id to status
    drop_after: int | None = None  # hear nothing after so many metering requests
    delay_s: float = 0.02
    new_network_key: bool = False  # changed while the device was away
    wait_s: int = 10  # what its Terminate asks for
    commands: dict[tuple[int, int], Callable[[bytes], list[tuple[int, bytes]]]] = field(
        default_factory=dict
    )
    """Answers to cluster commands: from the payload, commands of the server and their payloads."""
    mirror: int = 2
    flags: int = 0  # for a gas meter, in MirrorReportAttributeResponse

    def __post_init__(self) -> None:
        self.servers: dict[int, list[int]] = {
            1: [0x0000, 0x0800, 0x0025, 0x000A],
            2: [0x0000, 0x000A, 0x0700, 0x0701, 0x0702, 0x0703],
            3: [0x0000, 0x000A, 0x0700, 0x0701, 0x0702, 0x0703],
        }
        self.devices = {1: 0x0508, 2: 0x0500, 3: 0x0500}
        self.clients: dict[int, tuple[int, ...]] = {1: (0x0800,), 2: (0x0800,), 3: (0x0800,)}
        basic = {
            0x0003: uint(UINT8, 1, 1),
            0x0004: string(TEXT, "labctl"),
            0x0005: string(TEXT, "Hub"),
        }
        electricity = meter(device_type=0x00, unit=0x00, site_id="1200012345678")
        electricity[0x0400] = typed(INT24, (1500).to_bytes(3, "little"))
        self.attributes: dict[tuple[int, int], dict[int, bytes]] = {
            (1, 0x0025): {0: uint(UINT8, 10, 1), 1: uint(UINT16, 300, 2)},
            (2, 0x0702): electricity,
            (3, 0x0702): meter(device_type=0x80, unit=0x01, site_id="9800012345"),
        }
        for endpoint in (1, 2, 3):
            self.attributes[endpoint, 0x0000] = basic
            self.attributes[endpoint, 0x000A] = {0x0001: uint(MAP8, 0x02, 1)}
        for endpoint in (2, 3):
            self.attributes[endpoint, 0x0700] = {
                0x0615: uint(ENUM8, 0, 1),
                0x0616: uint(UINT16, 826, 2),
                0x0617: uint(MAP8, 0x50, 1),
            }
        self.key = self.install_key
        self.pending_key: bytes | None = None
        self.requests: list[Request] = []
        self.zdo_requests: list[tuple[float, int, int, bytes]] = []
        self.bindings: list[bytes] = []
        self.ended: list[Terminated] = []
        self.key_machines = 0
        self.machine: KeyEstablishment | None = None
        self.metering_requests = 0
        self.aps_secured_answers = True

    @property
    def utc(self) -> int:
        return 800_000_000 + int(asyncio.get_running_loop().time())

    def reads(self, endpoint: int, *attributes: int) -> list[Request]:
        asked = struct.pack(f"<{len(attributes)}H", *attributes)
        return [
            r
            for r in self.requests
            if (r.endpoint, r.cluster_id, r.control & 1, r.command, r.payload)
            == (endpoint, 0x0702, 0, 0x00, asked)
        ]

    # -- ZDO ----------------------------------------------------------------------------------

    def zdo(self, destination: int, cluster_id: int, body: bytes) -> bytes | None:
        now = asyncio.get_running_loop().time()
        self.zdo_requests.append((now, destination, cluster_id, body))
        if not self.on:
            return None
        if cluster_id == 0x0006:
            _, profile, n, wanted, _ = struct.unpack("<HHBHB", body)
            assert n == 1
            if wanted in self.deaf_to:
                return None
            matches = [
                endpoint
                for endpoint, servers in self.servers.items()
                if wanted in servers and profile in (0x0109, 0xFFFF)
            ]
            if not matches and destination >= 0xFFF8:
                return None
            return b"\x00\x00\x00" + bytes((len(matches), *matches))
        if cluster_id == 0x0005:
            return b"\x00\x00\x00" + bytes((len(self.servers), *self.servers))
        if cluster_id == 0x0004:
            endpoint = body[2]
            servers = self.servers[endpoint]
            simple = struct.pack(
                "<BHHBB", endpoint, 0x0109, self.devices[endpoint], 0, len(servers)
            )
            simple += struct.pack(f"<{len(servers)}H", *servers) + b"\x01\x00\x08"
            return b"\x00\x00\x00" + bytes((len(simple),)) + simple
        if cluster_id == 0x0021:
            self.bindings.append(body)
            return b"\x00" if int.from_bytes(body[9:11], "little") != 0x0708 else b"\x84"
        return b"\x84"

    # -- ZCL ----------------------------------------------------------------------------------

    def zcl(self, endpoint: int, cluster_id: int, frame: bytes, secured: bool) -> list[bytes]:
        """The answers to a frame of the device."""
        control, sequence, command, payload = frame[0], frame[1], frame[2], frame[3:]
        self.requests.append(
            Request(
                asyncio.get_running_loop().time(),
                endpoint,
                cluster_id,
                control,
                command,
                payload,
                secured,
            )
        )
        if cluster_id in self.deaf_to:
            return []
        if cluster_id == 0x0800:
            return self._key_establishment(command, sequence, payload)
        if cluster_id == 0x0702:
            self.metering_requests += 1
            if self.drop_after is not None and self.metering_requests > self.drop_after:
                return []
        needs_key = cluster_id not in (0x0000,)
        if needs_key and (not secured or self.key == self.install_key):
            # Without APS security: FAILURE. Under the install code's key: dropped.
            return [] if secured else [_default(sequence, command, 0x01)]
        if cluster_id in self.refuses:
            return [_default(sequence, command, self.refuses[cluster_id])]
        if control & 0x08:
            return self._from_meter(cluster_id, control, command, sequence, payload)
        if control & 0x03 == 0:
            return self._general(endpoint, cluster_id, command, sequence, payload)
        scripted = self.commands.get((cluster_id, command))
        if scripted is not None:
            answers = scripted(payload)
            if not answers:
                return [_default(sequence, command, 0x00)]
            return [bytes((0x19, sequence, number)) + body for number, body in answers]
        return [self._cluster_command(endpoint, cluster_id, command, sequence)]

    def _from_meter(
        self, cluster_id: int, control: int, command: int, sequence: int, payload: bytes
    ) -> list[bytes]:
        if control & 0x01 and (cluster_id, command) == (0x0702, 0x01):
            return [bytes((0x11, sequence, 0x01)) + self.mirror.to_bytes(2, "little")]
        if not control & 0x01 and command == 0x0A and payload[-4:] == b"\xfe\xff\x30\x01":
            answer = bytes((0x11, sequence, 0x09, 0x01)) + self.flags.to_bytes(4, "little")
            return [answer]
        return []

    def _general(
        self, endpoint: int, cluster_id: int, command: int, sequence: int, payload: bytes
    ) -> list[bytes]:
        served = dict(self.attributes.get((endpoint, cluster_id), {}))
        if cluster_id == 0x000A and 0x0000 not in served:
            served |= {0: uint(UTC, self.utc, 4), 8: uint(UTC, self.utc, 4)}
        if command == 0x00:
            out = b""
            for (attribute,) in struct.iter_unpack("<H", payload):
                out += attribute.to_bytes(2, "little")
                out += b"\x00" + served[attribute] if attribute in served else b"\x86"
            return [bytes((0x18, sequence, 0x01)) + out]
        if command == 0x02:
            return [bytes((0x18, sequence, 0x04, 0x88)) + payload[:2]]
        if command == 0x0B:
            return []
        return [_default(sequence, command, 0x82)]

    def _cluster_command(
        self, endpoint: int, cluster_id: int, command: int, sequence: int
    ) -> bytes:
        if (cluster_id, command) == (0x0700, 0x00):
            price = {2: 24500, 3: 6240}[endpoint]
            return bytes((0x19, sequence, 0x00)) + publish_price(self.utc, price)
        if (cluster_id, command) == (0x0703, 0x00):
            text = b"Hello"
            return (
                bytes((0x19, sequence, 0x00))
                + struct.pack("<IBIHB", 7, 0, 0, 0xFFFF, len(text))
                + text
            )
        if (cluster_id, command) == (0x0701, 0x01):
            return _default(sequence, command, 0x8B)
        return _default(sequence, command, 0x81)

    def _key_establishment(self, command: int, sequence: int, payload: bytes) -> list[bytes]:
        if command == 0x00 or self.machine is None:
            self.key_machines += 1
            self.machine = KeyEstablishment(
                KeyRole.RESPONDER,
                self.identities,
                own_eui64=HUB,
                partner=DEVICE,
                random_octets=random.Random(self.key_machines).randbytes,
                wait_s=self.wait_s,
            )
        assert self.machine is not None
        out = []
        for action in self.machine.receive(command, payload, from_server=False):
            if isinstance(action, Send):
                out.append(bytes((0x19, sequence, action.command_id)) + action.payload)
            elif isinstance(action, Established):
                self.pending_key = action.link_key.reveal()
                self.key = self.pending_key
            else:
                self.ended.append(action)
        return out


def publish_price(utc: int, price: int) -> bytes:
    label = b"Standard"
    return (
        struct.pack("<IB", 1, len(label))
        + label
        + struct.pack("<IIBHBBIHI", 5, utc, 0, 826, 0x51, 0x11, 0, 0xFFFF, price)
    )


def _default(sequence: int, command: int, status: int) -> bytes:
    return bytes((0x18, sequence, 0x0B, command, status))


# -- a stack without radio -------------------------------------------------------------------------


class FakeNode:
    """The contract of `labctl.virtual.node.Node` for one device facing one `ScriptedHub`.

    The "air" handed to it is the hub.
    """

    def __init__(
        self,
        hub: Any,
        state: NodeState,
        listener: NodeListener,
        *,
        rng: random.Random,
        position: tuple[float, float, float],
        tx_power_dbm: int,
    ) -> None:
        self.hub: ScriptedHub = hub
        self.state = state
        self.listener = listener
        self.endpoints: dict[int, SimpleDescriptor] = {}
        self.on = False
        self.rx_on_when_idle = True
        self.calls: list[tuple[float, str]] = []
        self.under_way: set[asyncio.Task[Status]] = set()

    def _call(self, what: str) -> None:
        assert self.on, f"{what} without power"
        self.calls.append((asyncio.get_running_loop().time(), what))

    def power_on(self) -> None:
        self.on = True

    def power_off(self) -> None:
        self.on = False
        for task in self.under_way:
            task.cancel()

    async def active_scan(self, channels: Sequence[int], duration: int = 3) -> list[Beacon]:
        self._call("scan")
        await asyncio.sleep(2.2)
        if not self.hub.on:
            return []
        return [
            Beacon(
                page=0,
                channel=20,
                pan_id=0x1234,
                source=0,
                extended_pan_id=EXTENDED_PAN,
                permit_joining=self.hub.open,
                router_capacity=True,
                end_device_capacity=True,
                stack_profile=2,
                depth=0,
                update_id=0,
                lqi=255,
                rssi_dbm=-40,
            )
        ]

    async def join(
        self, beacon: Beacon, *, link_key: bytes, key_timeout_s: float = 5.0
    ) -> JoinFailure | None:
        self._call("join")
        await asyncio.sleep(0.6)
        if not self.hub.on or self.hub.refuse_association:
            return JoinFailure.ASSOCIATION_REFUSED
        if link_key != self.hub.install_key:
            await asyncio.sleep(key_timeout_s)
            return JoinFailure.NO_NETWORK_KEY
        self.hub.key = self.hub.install_key
        s = self.state
        s.joined, s.channel, s.pan_id, s.nwk, s.parent = True, 20, 0x1234, 0x4321, 0
        s.extended_pan_id, s.trust_centre, s.network_key = EXTENDED_PAN, HUB, NETWORK_KEY
        s.link_keys = {HUB: LinkKey(HUB, link_key)}
        self.listener.network_changed()
        return None

    async def rejoin(
        self, *, secured: bool, key_timeout_s: float = 5.0, channels: Sequence[int] = range(11, 27)
    ) -> JoinFailure | None:
        self._call(f"{'' if secured else 'unsecured '}rejoin on {len(channels)}")
        self.state.joined = False
        await asyncio.sleep(0.3)
        if not self.hub.on:
            return JoinFailure.NO_BEACON
        if secured and self.hub.new_network_key:
            return JoinFailure.ASSOCIATION_TIMEOUT
        self.state.joined = True
        return None

    def leave(self) -> None:
        self._call("leave")
        self.told_to_leave(rejoin=False)

    def told_to_leave(self, *, rejoin: bool) -> None:
        if rejoin:
            self.state.joined = False
        else:
            self.state.forget_network()
        self.listener.left(rejoin)

    def request(
        self, destination: int, *, done: Callable[[Status], None], **frame: Any
    ) -> Status | None:
        if not self.on or not self.state.joined:
            return Status.NOT_JOINED
        task = asyncio.get_running_loop().create_task(self.send(destination, **frame))
        self.under_way.add(task)

        def confirmed(task: asyncio.Task[Status]) -> None:
            self.under_way.discard(task)
            if self.on:
                done(task.result())

        task.add_done_callback(confirmed)
        return None

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
        **_: Any,
    ) -> Status:
        self._call(f"send {cluster_id:04x}")
        assert profile_id == 0x0109
        assert source_endpoint == 1
        if not self.state.joined:
            return Status.NOT_JOINED
        await asyncio.sleep(self.hub.delay_s)
        own = self.state.link_keys[HUB].key
        if not self.hub.on or destination != 0 or (aps_secured and own != self.hub.key):
            return Status.NO_ACK
        answers = self.hub.zcl(destination_endpoint, cluster_id, payload, aps_secured)
        loop = asyncio.get_running_loop()
        for number, answer in enumerate(answers):
            loop.call_later(
                self.hub.delay_s * (1 + number),
                self.deliver,
                destination_endpoint,
                cluster_id,
                answer,
                aps_secured and self.hub.aps_secured_answers,
            )
        return Status.SUCCESS

    def deliver(
        self, endpoint: int, cluster_id: int, payload: bytes, secured: bool = True, source: int = 0
    ) -> None:
        if not self.on:
            return
        self.listener.data_received(
            Indication(
                source=source,
                source_eui64=HUB,
                destination=self.state.nwk,
                source_endpoint=endpoint,
                destination_endpoint=1,
                profile_id=0x0109,
                cluster_id=cluster_id,
                payload=payload,
                counter=0,
                aps_secured=secured,
                ack_requested=True,
                lqi=255,
                rssi_dbm=-40,
            )
        )

    async def zdo(
        self, destination: int, cluster_id: int, body: bytes, *, timeout_s: float = 5.0
    ) -> bytes | None:
        self._call(f"zdo {cluster_id:04x}")
        await asyncio.sleep(self.hub.delay_s)
        answer = self.hub.zdo(destination, cluster_id, body)
        if answer is None:
            await asyncio.sleep(timeout_s)
        return answer

    async def zdo_broadcast(
        self, destination: int, cluster_id: int, body: bytes, *, collect_s: float
    ) -> list[tuple[int, bytes]]:
        self._call(f"zdo broadcast {cluster_id:04x}")
        answer = self.hub.zdo(destination, cluster_id, body)
        await asyncio.sleep(collect_s)
        return [] if answer is None else [(0, answer)]


def a_hub(**settings: Any) -> ScriptedHub:
    settings.setdefault("identities", {2: identity(HUB)})
    return ScriptedHub(**settings)


def a_device(hub: ScriptedHub, kind: str = "cad", **settings: Any) -> VirtualDevice:
    settings.setdefault("identities", {2: identity(DEVICE)})
    settings.setdefault("rng", random.Random(1))
    make_node: Callable[..., Any] = settings.pop("make_node", FakeNode)
    air: Any = hub
    return VirtualDevice(
        kind, air=air, eui64=DEVICE, install_code=CODE, make_node=make_node, **settings
    )
