"""Nothing goes to a radio whose lease is lost, on both drivers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from labctl.errors import RigError
from labctl.leases import Kind, LeaseLostError, Leases, LockFolder, Thing
from labctl.radio.coordinator import (
    Coordinator,
    CoordinatorListener,
    EndpointDescriptor,
    Incoming,
    JoinSeen,
    NetworkSettings,
    PhySettings,
    RadioState,
)
from labctl.radio.ezsp import EzspCoordinator, EzspPort
from labctl.radio.fence import FencedTransport, put_up_fence
from labctl.radio.znp import ZnpCoordinator, ZnpPort
from labctl.secret import Secret
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.clock import run
from labctl.virtual.ncp import VirtualEzspNcp
from labctl.virtual.znp import VirtualZnpNcp

STICK = Eui64("00:00:5e:ef:10:00:00:01")
DEVICE = Eui64("00:00:5e:ef:10:00:00:02")
SETTINGS = NetworkSettings((PhySettings(Channel(0, 15), tx_power_dbm=5),))
ENDPOINTS = (EndpointDescriptor(1, 0x0508, (0x0000,)),)
THING = Thing(Kind.RADIO, "the-stick")


class Transport(asyncio.Transport):
    """A port that notes what goes out."""

    def __init__(self) -> None:
        super().__init__()
        self.out: list[bytes] = []
        self.pins: list[dict[str, Any]] = []
        self.aborted = False

    def write(self, data: Any) -> None:
        self.out.append(bytes(data))

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    async def set_modem_pins(self, **pins: Any) -> None:
        self.pins.append(pins)


class Lost(CoordinatorListener):
    def __init__(self) -> None:
        self.lost: list[str] = []

    def packet_received(self, packet: Incoming) -> None: ...

    def join_seen(self, join: JoinSeen) -> None: ...

    def device_left(self, eui64: Eui64, nwk: int) -> None: ...

    def connection_lost(self, cause: str, bearer: int = 0) -> None:
        self.lost.append(cause)

    async def connection_restored(self, states: Sequence[RadioState], bearer: int = 0) -> None: ...


def test_a_transport_writes_until_the_fence_is_down_and_then_never_again() -> None:
    port, held = Transport(), [True]

    def fence() -> None:
        if not held[0]:
            raise LeaseLostError("lost")

    class Protocol:
        _transport: Any = port

    protocol = Protocol()
    put_up_fence(protocol, fence)
    put_up_fence(protocol, fence)
    fenced = protocol._transport
    assert isinstance(fenced, FencedTransport)
    fenced.write(b"one")
    asyncio.run(fenced.set_modem_pins(dtr=False))
    held[0] = False
    fenced.write(b"two")
    assert port.aborted, "to the driver it is a port that was closed"
    held[0] = True
    fenced.write(b"three")
    asyncio.run(fenced.set_modem_pins(dtr=True))
    assert port.out == [b"one"]
    assert port.pins == [{"dtr": False}]


def test_no_port_is_opened_for_whoever_has_no_lease() -> None:
    class Protocol:
        _transport: Any = Transport()

    def fence() -> None:
        raise LeaseLostError("lost")

    with pytest.raises(LeaseLostError):
        put_up_fence(Protocol(), fence)
    assert Protocol._transport.out == []


def ezsp(path: str, fence: Callable[[], None]) -> Coordinator:
    return EzspCoordinator(EzspPort("stick", path, fence=fence), random.Random(3).randbytes)


def znp(path: str, fence: Callable[[], None]) -> Coordinator:
    return ZnpCoordinator(ZnpPort("stick", path, fence=fence), random.Random(3).randbytes)


@pytest.mark.parametrize(("make", "ncp"), [(ezsp, VirtualEzspNcp), (znp, VirtualZnpNcp)])
def test_a_coordinator_whose_lease_is_broken_says_nothing_more_to_its_stick(
    make: Callable[[str, Callable[[], None]], Coordinator],
    ncp: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[bytes] = []

    async def main() -> None:
        stick = ncp(eui64=STICK, rng=random.Random(1), air=Air(rng=random.Random(2)))
        real = stick.received

        def received(data: bytes) -> None:
            heard.append(data)
            real(data)

        monkeypatch.setattr(stick, "received", received)
        path = f"socket://127.0.0.1:{await stick.listen()}"
        leases = Leases(LockFolder(tmp_path / "locks"))
        lease = leases.take([THING], purpose="test")
        checks = 0

        def fence() -> None:
            nonlocal checks
            checks += 1
            lease.check(THING)

        coordinator, listener = make(path, fence), Lost()
        coordinator.listen(listener)
        try:
            await coordinator.start(SETTINGS, ENDPOINTS)
            await coordinator.link_keys()
            assert checks > 20
            leases.break_([THING])
            before = len(heard)
            with pytest.raises(RigError):
                await coordinator.link_keys()
            await asyncio.sleep(60)
            assert len(heard) == before
            assert len(listener.lost) == 1
            assert lease.lost is not None
            await coordinator.stop()
            again = make(path, fence)
            again.listen(listener)
            with pytest.raises(RigError, match="is lost"):
                await again.start(SETTINGS, ENDPOINTS)
            assert len(heard) == before
        finally:
            await coordinator.stop()
            await stick.close()
            lease.release()

    run(main(), fast=True)


@pytest.mark.parametrize(("make", "ncp"), [(ezsp, VirtualEzspNcp), (znp, VirtualZnpNcp)])
def test_at_whichever_write_the_lease_is_found_lost_the_caller_hears_that_the_stick_is_gone(
    make: Callable[[str, Callable[[], None]], Coordinator], ncp: Any
) -> None:
    """An acknowledgement may be what was not written: the next call finds a port that closes."""
    unhandled: list[dict[str, Any]] = []

    async def until(last: int | None) -> int:
        """Writes that were made, the one that was refused included."""
        asyncio.get_running_loop().set_exception_handler(lambda _, told: unhandled.append(told))
        stick = ncp(eui64=STICK, rng=random.Random(1), air=Air(rng=random.Random(2)))
        path = f"socket://127.0.0.1:{await stick.listen()}"
        writes = 0
        counting = False

        def fence() -> None:
            nonlocal writes
            writes += counting
            if last is not None and writes >= last:
                raise LeaseLostError("lost")

        coordinator = make(path, fence)
        coordinator.listen(Lost())
        try:
            await coordinator.start(SETTINGS, ENDPOINTS)
            counting = True
            await coordinator.install_link_key(DEVICE, Secret(bytes(range(16))))
            await coordinator.permit_joining(60)
            await coordinator.check_alive()
            await coordinator.erase_link_key(DEVICE)
        finally:
            await coordinator.stop()
            await stick.close()
        return writes

    of_all = run(until(None), fast=True)
    assert of_all > 10
    # ZNP starts its stick over for a key, and writes a hundred times: one in seven is enough.
    for last in range(1, of_all, 1 if of_all < 40 else 7):
        # The last few are of its end, which says nothing of what it could not do.
        with suppress(RigError) if last > of_all - 6 else pytest.raises(RigError):
            run(until(last), fast=True)
    assert not unhandled
