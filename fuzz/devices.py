"""The devices around the fuzzed hub: two good ones, and the one whose traffic is made up."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from fuzz import crypto
from fuzz.finding import Finding
from labctl.events import JoinKind
from labctl.radio.coordinator import (
    CoordinatorListener,
    Incoming,
    JoinDecision,
    JoinSeen,
    Outgoing,
)
from labctl.smart_energy.cbke import Identity, KeyEstablishment, Role, Send
from labctl.smart_energy.cbke_actions import Action
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.devices import zcl
from labctl.virtual.devices.zcl import Frame, ZclError

KEY_ESTABLISHMENT: Final = 0x0800
TOLERANCE_S: Final = 2.0
_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Place:
    """What a good device reads: a server cluster of the hub."""

    endpoint: int
    cluster: int


class Pairable:
    """A device as far as joining goes. `hear` takes what the hub sends to its address."""

    def __init__(self, eui64: Eui64, nwk: int, identities: dict[int, Identity], hub: Eui64) -> None:
        self.eui64 = eui64
        self.nwk = nwk
        self._identities = identities
        self._hub = hub
        self._random = crypto.source(nwk)
        self._machine: KeyEstablishment | None = None
        self.due: list[bytes] = []
        self._sequence = 0
        self._counter = 0

    def packet(
        self,
        data: bytes,
        *,
        cluster: int,
        endpoint: int,
        secured: bool = False,
        profile: int = 0x0109,
        source: int = 1,
        broadcast: bool = False,
    ) -> Incoming:
        """A packet from this device."""
        self._counter = (self._counter + 1) % 256
        return Incoming(
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
        )

    def next_sequence(self) -> int:
        """The number of the next request."""
        self._sequence = (self._sequence + 1) % 256
        return self._sequence

    def association(self) -> JoinSeen:
        """What the NCP tells of its association."""
        return JoinSeen(self.eui64, self.nwk, JoinKind.JOIN, JoinDecision.KEY_SENT, 0x0000)

    def announcement(self) -> Incoming:
        """Its Device_annce."""
        data = b"\x01" + self.nwk.to_bytes(2, "little") + self.eui64.little_endian + b"\x80"
        return self.packet(data, profile=0, cluster=0x0013, source=0, endpoint=0, broadcast=True)

    # -- key establishment, one message at a time -------------------------------------------------

    def begin(self) -> None:
        """Begin an exchange anew: its first message becomes due."""
        self._machine = KeyEstablishment(
            Role.INITIATOR,
            self._identities,
            own_eui64=self.eui64,
            partner=self._hub,
            random_octets=self._random,
        )
        self.due.clear()
        self._take(self._machine.start())

    def hear(self, packet: Outgoing) -> None:
        """Whatever the hub sends; messages of an exchange make the next one due."""
        if packet.cluster_id != KEY_ESTABLISHMENT or self._machine is None:
            return
        frame = Frame.parse(packet.data)
        if frame.cluster_specific:
            self._take(self._machine.receive(frame.command, frame.payload, frame.from_server))

    def _take(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                command = int(action.command_id)
                frame = Frame(command, self.next_sequence(), action.payload, cluster_specific=True)
                self.due.append(frame.serialise())


class Good(Pairable):
    """A device that reads on schedule and wants every answer in time, and the right one.

    It asks two hubs at once: the one under attack, and one like it that is left alone. Their
    answers have to be the same to the octet: that is how it would show if a refused write or
    command changed anything, and if the attacked hub mixed up what it knows of whom. With
    `compares` off it only wants answers, for attackers that may change something.
    """

    def __init__(
        self, eui64: Eui64, nwk: int, identities: dict[int, Identity], hub: Eui64, period_s: float
    ) -> None:
        super().__init__(eui64, nwk, identities, hub)
        self.period_s = period_s
        self.reads = 0
        self.compares = True
        self._reading = False
        self._ask: Callable[[Incoming], None] = _nobody
        self._attributes: list[tuple[Place, tuple[int, ...]]] = []
        self._turn = 0
        self._answers: dict[tuple[int, int, int], bytes] = {}
        self._control: dict[tuple[int, int, int], bytes] = {}

    def reads_of(
        self, attributes: dict[Place, tuple[int, ...]], ask: Callable[[Incoming], None]
    ) -> None:
        """What is there to be read, some at a time so that each answer would fit the air.

        `ask` hands a request to both hubs.
        """
        self._ask = ask
        self._attributes = [
            (place, ids[at : at + 8])
            for place, ids in sorted(
                attributes.items(), key=lambda i: (i[0].endpoint, i[0].cluster)
            )
            for at in range(0, len(ids), 8)
        ]

    def hear(self, packet: Outgoing) -> None:
        """From the hub under attack."""
        super().hear(packet)
        self._keep(self._answers, packet)

    def hear_control(self, packet: Outgoing) -> None:
        """From the hub that is left alone."""
        self._keep(self._control, packet)

    @staticmethod
    def _keep(answers: dict[tuple[int, int, int], bytes], packet: Outgoing) -> None:
        if packet.aps_encrypt and len(packet.data) >= 3 and packet.data[0] & 0x13 == 0x10:
            key = packet.source_endpoint, packet.cluster_id, packet.data[1]
            answers[key] = packet.data

    async def read_forever(self, failed: Callable[[Finding], None]) -> None:
        """Read every `period_s` until cancelled. What goes wrong is handed to `failed`."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            due_s += self.period_s
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            await self.read(failed)

    async def read(self, failed: Callable[[Finding], None]) -> None:
        """Read the next few attributes, unless a read is under way."""
        if self._reading:
            return
        self._reading = True
        try:
            place, attributes = self._attributes[self._turn % len(self._attributes)]
            self._turn += 1
            sequence = self.next_sequence()
            payload = struct.pack(f"<{len(attributes)}H", *attributes)
            packet = self.packet(
                Frame(zcl.Global.READ, sequence, payload).serialise(),
                cluster=place.cluster,
                endpoint=place.endpoint,
                secured=True,
            )
            key = place.endpoint, place.cluster, sequence
            self._answers.clear()
            self._control.clear()
            self._ask(packet)
            await self._settled(key)
            self.reads += 1
            if (cause := self._verdict(key, place, attributes)) is not None:
                failed(Finding(cause))
        finally:
            self._reading = False

    async def _settled(self, key: tuple[int, int, int]) -> None:
        for wait_s in (0.000_1, 0.01, TOLERANCE_S):
            await asyncio.sleep(wait_s)
            if key in self._answers and key in self._control:
                return

    def _verdict(
        self, key: tuple[int, int, int], place: Place, attributes: tuple[int, ...]
    ) -> str | None:
        what = (
            f"{self.eui64} read {', '.join(f'0x{a:04X}' for a in attributes)} of cluster "
            f"0x{place.cluster:04X} on endpoint {place.endpoint}"
        )
        control = self._control.get(key)
        if control is None:
            return f"{what} and even the hub that is left alone did not answer"
        answer = self._answers.get(key)
        if answer is None:
            return f"{what} and got no answer within {TOLERANCE_S:g} s"
        if self.compares and answer != control:
            return (
                f"{what} and got {answer.hex()}; the hub that nobody attacks says {control.hex()}"
            )
        if answer[2] != zcl.Global.READ_RESPONSE:
            return f"{what} and got {answer.hex()}"
        try:
            records = zcl.parse_read_response(answer[3:])
        except ZclError as error:
            return f"{what} and got what is no ZCL, {answer.hex()}: {error}"
        if [record.attribute for record in records] != list(attributes):
            return f"{what} and got an answer of others: {answer.hex()}"
        return None


def _nobody(packet: Incoming) -> None:
    """Takes the requests of a device that was not told yet what to read."""
    raise AssertionError("there is nothing to be read yet")


async def pair(
    device: Pairable,
    hub: CoordinatorListener,
    to_hub: Callable[[Incoming], None],
    established: Callable[[], bool],
) -> None:
    """The whole way in of a healthy device whose window is open. Raises `Finding`."""
    hub.join_seen(device.association())
    to_hub(device.announcement())
    await asyncio.sleep(0.01)
    device.begin()
    for _ in range(_ATTEMPTS):
        due, device.due = device.due, []
        for frame in due:
            to_hub(device.packet(frame, cluster=KEY_ESTABLISHMENT, endpoint=1))
            await asyncio.sleep(0.01)
    if not established():
        raise Finding(f"{device.eui64} did not get in on a quiet network")
