"""Hub service time: request octets in to reply octets out, against a bare echo.

A Read Attributes of two attributes goes through everything that the hub does with it: sender,
link sample, inbox, dispatch, meter, answer, read accounting. The echo takes the same packet and
calls the same coordinator's `send` in a task of its own, which is the least that any host does.
Both run in turns in one process, so that the machine's mood cancels out.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Callable, Sequence

from labctl.clock import Clock
from labctl.config.access_file import shipped_access
from labctl.events import Band, DeviceKind, Event, EventBus
from labctl.hub import Hub, HubSettings, LoggedDevice, ReadSchedule
from labctl.meters import ElectricityMeter, LoadProfile, MeterSettings, ProfileShape, Tariff
from labctl.radio.coordinator import (
    Coordinator,
    CoordinatorListener,
    EndpointDescriptor,
    Incoming,
    NetworkSettings,
    Outgoing,
    PhySettings,
    RadioState,
)
from labctl.secret import Secret
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.lab_ca import LabCertificateAuthority

ROUNDS = 40
BATCH = 250
START_S = 1_767_600_000
HUB = Eui64("00:0d:6f:00:00:00:00:01")
CAD = Eui64("00:0d:6f:00:0a:90:69:e8")

PACKET = Incoming(
    nwk=0x1A2B,
    eui64=CAD,
    source_endpoint=1,
    destination_endpoint=2,
    profile_id=0x0109,
    cluster_id=0x0702,
    data=bytes.fromhex("00010000000004"),  # Read Attributes: summation and demand
    aps_encrypted=True,
    broadcast=False,
    lqi=200,
    rssi_dbm=-60,
    aps_counter=0,
)


class Sink(Coordinator):
    """Takes what is sent and counts it."""

    def __init__(self) -> None:
        self.count = 0
        self.wanted = 0
        self.done = asyncio.Event()

    async def start(
        self, settings: NetworkSettings, endpoints: Sequence[EndpointDescriptor]
    ) -> tuple[RadioState, ...]:
        return (
            RadioState(
                name="sink",
                driver="ezsp",
                path="none",
                eui64=HUB,
                band=Band.GHZ_2_4,
                page=0,
                channel=20,
                pan_id=1,
                extended_pan_id=HUB,
                resumed=True,
            ),
        )

    async def stop(self) -> None:
        pass

    def listen(self, listener: CoordinatorListener) -> None:
        pass

    async def permit_joining(self, seconds: int) -> None:
        pass

    async def link_keys(self) -> dict[Eui64, Secret]:
        return {CAD: Secret(bytes(range(16)))}  # established: not the install code's

    async def install_link_key(
        self, eui64: Eui64, key: Secret, *, bearer: int | None = None
    ) -> None:
        pass

    async def erase_link_key(self, eui64: Eui64) -> None:
        pass

    async def send(self, packet: Outgoing) -> None:
        self.count += 1
        if self.count == self.wanted:
            self.done.set()

    async def remove_device(self, eui64: Eui64, nwk: int) -> None:
        pass

    async def allow_partner_keys(self, allowed: bool) -> None:
        pass

    async def send_network_key(self, eui64: Eui64, nwk: int, key: Secret) -> None:
        pass

    async def switch_network_key(self) -> None:
        pass

    async def counters(self) -> dict[str, int]:
        return {}


class Echo:
    """The least a host can do: a packet in, a packet out."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._tasks: set[asyncio.Task[None]] = set()

    def packet_received(self, packet: Incoming) -> None:
        task = asyncio.get_running_loop().create_task(
            self._coordinator.send(
                Outgoing(
                    nwk=packet.nwk,
                    source_endpoint=packet.destination_endpoint,
                    destination_endpoint=packet.source_endpoint,
                    cluster_id=packet.cluster_id,
                    data=packet.data,
                    aps_encrypt=True,
                )
            )
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def make_hub(sink: Sink, bus: EventBus) -> Hub:
    """A hub with one CAD and one meter."""
    authority = LabCertificateAuthority.generate(2, HUB, random.Random(1).randbytes)
    meter = ElectricityMeter(
        MeterSettings(
            name="electricity",
            mpxn="1200012345678",
            serial_number="E6S1",
            tariff=Tariff("Standard", 24_500, 54_794, START_S),
            profile=LoadProfile(
                ProfileShape.DOMESTIC, base=250, peak=5750, origin_s=START_S, seed=1
            ),
        ),
        start_wh=1_234_567,
    )
    settings = HubSettings(
        access=shipped_access(),
        network=NetworkSettings((PhySettings(Channel(0, 20), tx_power_dbm=8),)),
        devices=(
            LoggedDevice(eui64=CAD, name="cad", kind=DeviceKind.CAD, link_key=Secret(bytes(16))),
        ),
        schedules=(
            ReadSchedule(
                eui64=CAD,
                name="electricity",
                cluster_id=0x0702,
                endpoint="electricity",
                attributes=(0x0000, 0x0400),
                period_ms=10_000,
                tolerance_ms=2_000,
            ),
        ),
    )
    return Hub(
        settings,
        sink,
        bus,
        Clock(asyncio.get_running_loop(), START_S * 1_000_000),
        meters=[meter],
        identities={2: authority.issue(HUB, random.Random(2).randbytes)},
        random_octets=random.Random(3).randbytes,
    )


async def timed(sink: Sink, receive: Callable[[Incoming], None]) -> float:
    """Seconds of CPU for one request and its answer, mean of a batch one after the other."""
    started = time.process_time()
    for _ in range(BATCH):
        sink.done.clear()
        sink.wanted = sink.count + 1
        receive(PACKET)
        await sink.done.wait()
    return (time.process_time() - started) / BATCH


async def measure() -> tuple[float, float]:
    """Median seconds for the hub and for the echo."""
    sink = Sink()
    bus = EventBus()
    events = 0

    def count(_: Event) -> None:
        nonlocal events
        events += 1

    bus.subscribe(count)
    hub = make_hub(sink, bus)
    await hub.start()
    echo = Echo(sink)
    hub_s, echo_s = [], []
    for round_ in range(ROUNDS + 2):
        hub_time = await timed(sink, hub.packet_received)
        echo_time = await timed(sink, echo.packet_received)
        if round_ >= 2:  # the first rounds warm the caches up
            hub_s.append(hub_time)
            echo_s.append(echo_time)
    await hub.stop()
    assert events >= 2 * ROUNDS * BATCH, "every read is a link sample and a read"
    return statistics.median(hub_s), statistics.median(echo_s)


def main() -> None:
    """Print the ratio, and the two times it is made of."""
    hub_s, echo_s = asyncio.run(measure())
    print(
        f"hub service time / bare echo: {hub_s / echo_s:.2f}"
        f"   (hub {hub_s * 1e6:.0f} us, echo {echo_s * 1e6:.0f} us a request)"
    )


if __name__ == "__main__":
    main()
