"""What a device does with its network: the applications that its kind has, put together."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from labctl.virtual.devices import zcl
from labctl.virtual.devices.behaviour import Behaviour, Press
from labctl.virtual.devices.explore import Explorer
from labctl.virtual.devices.gas_meter import GasMeter, GasRegister, serial_of
from labctl.virtual.devices.kinds import KINDS
from labctl.virtual.devices.load_control import LoadControl
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.ota import ImageSlot, OtaClient
from labctl.virtual.devices.person import Person
from labctl.virtual.devices.port import NoAnswer, Peer, RequestRefused, ZclPort
from labctl.virtual.devices.screen import Screen
from labctl.virtual.devices.servers import LocalServers, Product
from labctl.virtual.devices.settings import (
    DRLC,
    METERING,
    OTA,
    PREPAYMENT,
    TUNNELING,
    Fuel,
    Kind,
    Timings,
)
from labctl.virtual.devices.silence import Silence
from labctl.virtual.devices.sub_ghz import SubGhzClient
from labctl.virtual.devices.tunnel import TunnelServer
from labctl.virtual.node import Node

_DEMAND = 0x0400
_FAST_POLL, _FAST_PERIOD_S, _FAST_MINUTES = 0x03, 2, 15
_MAP16 = 0x19
_GAS_START_UTC = 789_000_000
_GAS_START_LITRES = 567_890

Work = Coroutine[Any, Any, None]


@dataclass(slots=True)
class Surroundings:
    """What an application has to do with: the stack, the settings, and its device."""

    kind: Kind
    node: Node
    port: ZclPort
    servers: LocalServers
    timings: Timings
    behaviour: Behaviour
    rng: random.Random
    screen: Screen
    saw: Observations
    product: Product
    slot: ImageSlot
    firmware: Callable[[], int]
    install: Callable[[int], None]
    """Run that version of the firmware from now on: the device restarts."""
    silence: Silence
    sub_ghz: SubGhzClient


class Application:
    """All that one device does once it is registered; lives from power-on to power-off."""

    def __init__(self, around: Surroundings) -> None:
        self._around = a = around
        self._background: set[asyncio.Task[None]] = set()
        self._pressed = 0
        profile = KINDS[a.kind]
        self.explorer = Explorer(a.kind, a.port, a.timings, a.screen, a.saw)
        self.person = Person(
            a.port,
            a.timings,
            a.screen,
            a.saw,
            profile.has_person,
            self._in_background,
            a.behaviour.keeps_tenant_data,
        )
        self.ota: OtaClient | None = None
        if OTA in profile.extra_clients:
            self.ota = OtaClient(
                a.node,
                a.port,
                a.timings,
                a.rng,
                a.saw,
                a.product,
                a.firmware,
                a.install,
                a.slot,
                a.silence,
                a.behaviour.ignores_ota_wait,
            )
        self.tunnels: TunnelServer | None = None
        if TUNNELING in profile.extra_servers:
            self.tunnels = TunnelServer(self._sender(TUNNELING, from_server=True), a.saw)
            a.servers.attributes[TUNNELING] = self.tunnels.attributes()
            a.servers.handlers |= self.tunnels.handlers()
        if PREPAYMENT in profile.extra_servers:
            a.servers.attributes[PREPAYMENT] = {0x0000: (_MAP16, 0x0C94)}
        self.load: LoadControl | None = None
        if a.kind is Kind.LOAD_SWITCH:
            self.load = LoadControl(self._sender(DRLC, from_server=False), self._utc, a.rng, a.saw)
        self.gas: GasMeter | None = None
        if a.kind is Kind.GAS_METER:
            self.gas = GasMeter(
                a.node,
                a.port,
                a.servers,
                a.timings,
                a.rng,
                a.saw,
                self._utc,
                GasRegister(_GAS_START_LITRES, _GAS_START_UTC, a.rng.uniform(0.7, 1.3)),
                serial_of(a.node.state.eui64.big_endian),
                a.silence,
                a.sub_ghz,
            )
            self.gas.serve()

    def close(self) -> None:
        """The power is gone."""
        for task in tuple(self._background):
            task.cancel()
        if self.tunnels is not None:
            self.tunnels.close()
        if self.load is not None:
            self.load.close()

    def hear(self, peer: Peer, cluster_id: int, frame: zcl.Frame) -> None:
        """A server's command, after the screen heard it. Raise `ZclError` when it is broken."""
        if cluster_id == OTA and self.ota is not None and frame.cluster_specific:
            self.ota.notified(frame)
        elif cluster_id == DRLC and self.load is not None and frame.cluster_specific:
            self.load.heard(peer, frame)
        else:
            self.person.pushed(peer, cluster_id, frame)

    def registered(self) -> Iterator[Work]:
        """What begins with registration."""
        if self.ota is not None:
            yield self.ota.run()
        if self.gas is not None:
            yield self.gas.run()

    def surveyed(self) -> Iterator[Work]:
        """What begins when the meters are known."""
        if self.gas is not None:
            return
        yield self.explorer.run()
        if self._around.behaviour.fast_poll_every_s is not None:
            yield self._poll_fast(self._around.behaviour.fast_poll_every_s)
        presses = sorted(self._around.behaviour.presses, key=lambda press: press.after_s)
        if presses:
            yield self._press(presses)

    # -- what they do -------------------------------------------------------------------------

    async def _press(self, presses: list[Press]) -> None:
        """Each button once between power-on and power-off, be the network lost in between."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for press in presses[self._pressed :]:
            await asyncio.sleep(max(0.0, start + press.after_s - loop.time()))
            self._pressed += 1
            await self.person.press(press)

    async def _poll_fast(self, every_s: float) -> None:
        """Ask for fast poll mode; while it is on, read the demand at the period granted."""
        a = self._around
        while True:
            await asyncio.sleep(every_s)
            meter = a.screen.meter(Fuel.ELECTRICITY)
            if meter is None:
                continue
            asked = struct.pack("<BB", _FAST_PERIOD_S, _FAST_MINUTES)
            try:
                await a.port.command(meter.peer, METERING, _FAST_POLL, asked)
            except (NoAnswer, RequestRefused) as error:
                a.saw.note(What.FAST_POLL, str(error))
                continue
            granted = a.screen.published(meter.peer, "FastPoll")
            if granted is None:
                continue
            period, end = granted.fields["period"], granted.fields["end"]
            a.saw.note(What.FAST_POLL, f"every {period} s until {end}")
            while (utc := self._utc()) is not None and utc < end and period:
                await self._read_demand(meter.peer)
                await asyncio.sleep(period)

    async def _read_demand(self, peer: Peer) -> None:
        a = self._around
        try:
            records = await a.port.read(peer, METERING, (_DEMAND,))
        except (NoAnswer, RequestRefused) as error:
            a.saw.tally[f"fast read: {error}"] += 1
            return
        a.saw.tally["fast read"] += 1
        a.screen.take(peer, METERING, records, asyncio.get_running_loop().time())

    def _utc(self) -> float | None:
        return self._around.screen.utc(asyncio.get_running_loop().time())

    def _sender(self, cluster_id: int, *, from_server: bool) -> Callable[[Peer, int, bytes], bool]:
        def fire(peer: Peer, command: int, payload: bytes) -> bool:
            return self._around.port.fire(
                peer,
                cluster_id,
                command,
                payload,
                cluster_specific=True,
                from_server=from_server,
            )

        return fire

    def _in_background(self, work: Work) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
