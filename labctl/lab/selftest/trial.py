"""The steps of a trial, in their order.

A network that the stick holds is never given up unasked: it is resumed, and left as it was. Without
one, and without `form`, what needs a network is left out. A scratch network is formed with little
power, and given up at the end.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from labctl.config.inventory import Driver, FlowControl
from labctl.errors import LabctlError, RigError
from labctl.events import Band
from labctl.lab.selftest.steps import Outcome, SkippedError, Step, maker_of
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
from labctl.radio.firmware import Fitness, judge
from labctl.radio.held import Held, forget_network, held_network
from labctl.radio.probe import Attempt, Probed, probe
from labctl.secret import Secret
from labctl.smart_energy.channels import DEFAULT_CHANNELS, channels_of_page
from labctl.smart_energy.eui64 import Eui64

SCRATCH_POWER_DBM = 0
PARTNER = Eui64("00:00:5e:ef:10:00:00:fe")
"""Whose link key is written and erased: an address from those kept for documentation."""

ENDPOINTS = (
    EndpointDescriptor(1, 0x0508, (0x0000, 0x000A, 0x0025, 0x0800), (0x0800,)),
    EndpointDescriptor(2, 0x0500, (0x0000, 0x0700, 0x0701, 0x0702), (0x0800,)),
)
_USUAL_DEVICES = 16
_PERMIT_S = 5
_SCAN_EXPONENT = 3
_STEP_S = 120.0
_NO_NETWORK = "it holds no network, and none was to be formed"

Work = Callable[[], Awaitable[str]]


@dataclass(slots=True)
class Trial:
    """One stick on trial. `told` hears of each step as it ends.

    `form`: a scratch network may be formed on a stick without one. `give_up`: also on a stick that
    holds one, which is lost then, with all pairings.
    """

    path: str
    attempts: Sequence[Attempt]
    form: bool = False
    give_up: bool = False
    told: Callable[[Step], None] = lambda _: None
    random_octets: Callable[[int], bytes] = os.urandom
    fence: Callable[[], None] | None = None
    """Asked before every write to the stick: whether it is still ours."""
    steps: list[Step] = field(default_factory=list)
    probed: Probed | None = None
    _held: Held | None = None
    _scratch: bool = False
    _coordinator: Coordinator | None = None
    _states: tuple[RadioState, ...] = ()
    _listener: _Listener = field(default_factory=lambda: _Listener())

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(step.outcome is not Outcome.FAIL for step in self.steps)

    async def run(self) -> None:
        """All steps. Raises nothing that a stick can bring about."""
        if not await self._step("open", "opens and answers", self._open):
            return
        assert self.probed is not None
        self._judge(self.probed)
        if not self.probed.usable:
            return
        if not await self._step("network", "what network it holds", self._look):
            return
        if self._held is None and not self._scratch:
            self._note(
                Step(
                    id="start",
                    title="forms or resumes a network",
                    outcome=Outcome.SKIPPED,
                    evidence=f"{_NO_NETWORK}: nor is there anything else that needs one",
                    mend="run it again with --form",
                )
            )
            return
        try:
            if await self._step("start", "forms or resumes a network", self._start):
                await self._with_network(self.probed)
        finally:
            await self._stop()
            if self._scratch:
                await self._step("forget", "forgets the scratch network", self._forget)

    async def _with_network(self, found: Probed) -> None:
        for band in found.bands:
            await self._step(f"energy-scan:{band}", f"listens at {band}", partial(self._scan, band))
        await self._step("key-table", "keeps and erases a link key", self._key_table)
        await self._step("permit-joining", "opens and closes joining", self._permit)
        await self._step("counters", "counts", self._counters)
        await self._step("resume", "resumes after a restart, keys and all", self._resume)
        await self._step("steady", "was there all the time", self._steady)

    async def _step(self, id_: str, title: str, work: Work) -> bool:
        """One step; whether it passed."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        mend = ""
        try:
            async with asyncio.timeout(_STEP_S):
                outcome, evidence = Outcome.PASS, await work()
        except SkippedError as skipped:
            outcome, evidence, mend = Outcome.SKIPPED, skipped.why, skipped.mend
        except TimeoutError:
            outcome, evidence = Outcome.FAIL, f"nothing came of it in {_STEP_S:.0f} s"
        except LabctlError as error:
            outcome, evidence, mend = Outcome.FAIL, self._without_address(error.what), error.mend
        seconds = round(loop.time() - began_s, 2)
        self._note(
            Step(
                id=id_,
                title=title,
                outcome=outcome,
                evidence=evidence,
                mend=mend,
                seconds=seconds,
            )
        )
        return outcome is Outcome.PASS

    def _note(self, step: Step) -> None:
        self.steps.append(step)
        self.told(step)

    def _without_address(self, text: str) -> str:
        own = self.probed.eui64 if self.probed else None
        return text.replace(str(own), maker_of(own)) if own is not None else text

    # -- before a network -------------------------------------------------------------------------

    async def _open(self) -> str:
        self.probed = found = await probe(self.path, self.attempts)
        told = [found.protocol, found.firmware or "no version"]
        if found.eui64 is not None:
            told.append(f"address {maker_of(found.eui64)}")
        told.append("bands: " + (", ".join(found.bands) or "none"))
        if found.both_at_once:
            told.append("both at once")
        size = "not told" if found.key_table_size is None else str(found.key_table_size)
        suites = ", ".join(map(str, found.key_establishment)) or "none"
        return "; ".join(
            [*told, f"room for link keys: {size}", f"key establishment in the NCP: {suites}"]
        )

    def _judge(self, found: Probed) -> None:
        judgement = judge(found)
        outcome = {
            Fitness.GOOD: Outcome.PASS,
            Fitness.DOUBTFUL: Outcome.DOUBTFUL,
            Fitness.BAD: Outcome.FAIL,
        }[judgement.fitness]
        self._note(
            Step(
                id="firmware",
                title="firmware is known to do",
                outcome=outcome,
                evidence=judgement.why,
                mend=judgement.mend,
            )
        )

    async def _look(self) -> str:
        """What network it holds, and whether the trial may go on with it."""
        assert self.probed is not None
        driver, line = self.probed.driver, self.probed.line
        held = await held_network(self.path, driver, line)
        if held is not None and self.form and self.give_up:
            await forget_network(self.path, driver, line)
            self._scratch = True
            return f"it held one at {held.channel}, which was given up as asked"
        if held is None:
            self._scratch = self.form
            return "it holds none" + ("; a scratch network is formed" if self.form else "")
        if not held.ours:
            raise SkippedError(
                f"it holds somebody else's network, at {held.channel}, which is left alone",
                "with --form --give-up-network that network is lost, and its devices with it",
            )
        self._held = held
        told = f"it holds one at {held.channel}, which is resumed and left as it is"
        return told + ("; so --form has nothing to form" if self.form else "")

    # -- with one ---------------------------------------------------------------------------------

    async def _start(self) -> str:
        self._states = await self._started()
        first = self._states[0]
        if first.resumed != (self._held is not None):
            raise RigError(
                "the stick formed a network although it holds one"
                if self._held
                else "the stick resumed a network although it held none"
            )
        at = " and ".join(f"{state.at}, {state.tx_power_dbm} dBm" for state in self._states)
        word = "resumed" if first.resumed else "formed"
        return f"{word} at {at}; {len(ENDPOINTS)} endpoints registered"

    async def _started(self) -> tuple[RadioState, ...]:
        assert self.probed is not None
        coordinator = _driver(self.path, self.probed, self.random_octets, self.fence)
        coordinator.listen(self._listener)
        self._coordinator = coordinator
        size = self.probed.key_table_size
        most = _USUAL_DEVICES if size is None else max(1, min(_USUAL_DEVICES, size))
        settings = NetworkSettings(self._phys(self.probed), max_devices=most)
        return await coordinator.start(settings, ENDPOINTS)

    def _phys(self, found: Probed) -> tuple[PhySettings, ...]:
        if self._held is not None:
            return (PhySettings(self._held.channel, SCRATCH_POWER_DBM),)
        bands = [band for band in Band if band in found.bands]
        if not found.both_at_once:
            bands = bands[:1]
        return tuple(PhySettings(DEFAULT_CHANNELS[band], SCRATCH_POWER_DBM) for band in bands)

    async def _stop(self) -> None:
        coordinator, self._coordinator = self._coordinator, None
        self._listener.stopping = True
        if coordinator is not None:
            await coordinator.stop()
        self._listener.stopping = False

    async def _scan(self, band: Band) -> str:
        channels = channels_of_page(DEFAULT_CHANNELS[band].page)
        levels = await self._running.energy_scan(channels, exponent=_SCAN_EXPONENT)
        if not levels:
            raise RigError("the scan came to its end without a single channel")
        quiet = min(levels, key=lambda channel: levels[channel])
        loud = max(levels, key=lambda channel: levels[channel])
        return (
            f"{len(levels)} of {len(channels)} channels; quietest {quiet} at {levels[quiet]} dBm, "
            f"loudest {loud} at {levels[loud]} dBm"
        )

    async def _key_table(self) -> str:
        before = len(await self._running.link_keys())
        await self._write_key()
        await self._erase_key()
        after = len(await self._running.link_keys())
        if after != before:
            raise RigError(f"it held {before} link keys before and {after} afterwards")
        return f"written, read back and erased; it holds {before}"

    async def _write_key(self) -> Secret:
        if PARTNER in await self._running.link_keys():
            await self._running.erase_link_key(PARTNER)  # of a trial that was broken off
        key = Secret(secrets.token_bytes(16))
        await self._running.install_link_key(PARTNER, key)
        await self._must_hold(key)
        return key

    async def _must_hold(self, key: Secret) -> None:
        found = (await self._running.link_keys()).get(PARTNER)
        if found != key:
            told = "another one" if found else "none"
            raise RigError(f"the link key that was written is not there: {told} is")

    async def _erase_key(self) -> None:
        await self._running.erase_link_key(PARTNER)
        if PARTNER in await self._running.link_keys():
            raise RigError("the link key that was erased is still there")

    async def _permit(self) -> str:
        await self._running.permit_joining(_PERMIT_S)
        await self._running.permit_joining(0)
        return "opened and closed"

    async def _counters(self) -> str:
        counted = await self._running.counters()
        if not counted:
            raise SkippedError("its firmware has no counters that a host could ask for")
        busy = sum(1 for value in counted.values() if value)
        return f"{len(counted)} counters, {busy} of them not 0"

    async def _resume(self) -> str:
        key = await self._write_key()
        before = self._states
        await self._stop()
        after = await self._started()
        if [_network_of(state) for state in before] != [_network_of(state) for state in after]:
            raise RigError("it came back with another network")
        if not all(state.resumed for state in after):
            raise RigError("it formed a network instead of resuming its own")
        await self._must_hold(key)
        await self._erase_key()
        return "the same network, and the link key that was written before"

    async def _steady(self) -> str:
        if self._listener.lost:
            raise RigError(
                f"the connection was lost: {self._listener.lost[0]}",
                mend="another cable, a hub with a supply of its own, or another flow control",
            )
        return "the connection was never lost"

    async def _forget(self) -> str:
        assert self.probed is not None
        driver, line = self.probed.driver, self.probed.line
        await forget_network(self.path, driver, line)
        if await held_network(self.path, driver, line) is not None:
            raise RigError("the scratch network is still there")
        return "the stick is empty again"

    @property
    def _running(self) -> Coordinator:
        if self._coordinator is None:
            raise RigError("the stick did not come back")
        return self._coordinator


class _Listener(CoordinatorListener):
    """Notes what must not happen: nothing else is expected of a stick with no devices."""

    def __init__(self) -> None:
        self.lost: list[str] = []
        self.stopping = False

    def packet_received(self, packet: Incoming) -> None:
        """Devices of a resumed network may talk."""

    def join_seen(self, join: JoinSeen) -> None:
        """Likewise."""

    def device_left(self, eui64: Eui64, nwk: int) -> None:
        """Likewise."""

    def connection_lost(self, cause: str, bearer: int = 0) -> None:
        """What must not happen."""
        if not self.stopping:
            self.lost.append(cause)


def _network_of(state: RadioState) -> tuple[object, ...]:
    return state.eui64, state.pan_id, state.extended_pan_id, state.at


def _driver(
    path: str,
    found: Probed,
    random_octets: Callable[[int], bytes],
    fence: Callable[[], None] | None,
) -> Coordinator:
    flow = found.line.flow_control
    port: dict[str, Any] = {
        "name": "the stick",
        "path": path,
        "baudrate": found.line.baudrate,
        "flow_control": None if flow is FlowControl.NONE else flow.value,
        "fence": fence,
    }
    if found.driver is Driver.EZSP:
        from labctl.radio.ezsp import EzspCoordinator, EzspPort

        return EzspCoordinator(EzspPort(**port), random_octets)
    from labctl.radio.znp import ZnpCoordinator, ZnpPort

    return ZnpCoordinator(ZnpPort(**port), random_octets)
