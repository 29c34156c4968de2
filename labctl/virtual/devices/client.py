"""The life of a virtual device from power-on to power-off: everything that its RAM holds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labctl.events import Band
from labctl.secret import Secret
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity
from labctl.virtual.devices import diagnostics, zcl
from labctl.virtual.devices.application import Application, Surroundings
from labctl.virtual.devices.bands import Bands
from labctl.virtual.devices.behaviour import Behaviour, Burst, LifeStep
from labctl.virtual.devices.commissioning import Commissioning, is_member
from labctl.virtual.devices.flash import Flash, Memory
from labctl.virtual.devices.keepalive import KeepAlive, NetworkLost
from labctl.virtual.devices.key_answers import KeyResponder
from labctl.virtual.devices.key_habits import KeyHabits
from labctl.virtual.devices.keys import IssuerUnknown, KeyDriver
from labctl.virtual.devices.kinds import KINDS
from labctl.virtual.devices.link_watch import LinkWatch
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.ota import ImageSlot
from labctl.virtual.devices.picture import Picture, keep, picture
from labctl.virtual.devices.port import Peer, ZclPort
from labctl.virtual.devices.provoke import Provocation
from labctl.virtual.devices.registration import Registration, RegistrationAborted, Services
from labctl.virtual.devices.schedule import Reader
from labctl.virtual.devices.screen import Screen
from labctl.virtual.devices.servers import LocalServers, Product
from labctl.virtual.devices.settings import (
    DIAGNOSTICS,
    METERING,
    SUB_GHZ,
    Fuel,
    Kind,
    ReadSchedule,
    Timings,
)
from labctl.virtual.devices.silence import Silence
from labctl.virtual.devices.sub_ghz import SubGhzClient
from labctl.virtual.devices.survey import Survey
from labctl.virtual.devices.trouble import Trouble
from labctl.virtual.node import Indication, Node, NodeListener
from labctl.virtual.stack.zdo import Zdo

ENDPOINT = 1
_CRYSTAL_PPM = 20.0
_LEAVE_GOES_OUT_S = 0.25
"""So long the leave command has to get out before the radio is used for other things."""

_RESTART_S = 5.0
"""How long a device takes to start its new firmware."""


class _Quiet(Zdo):
    """The device objects of a device that never announces itself."""

    def announce(self) -> None:
        """Say nothing."""


class _Departed(Exception):
    """The hub, or the device itself, ended the membership; `rejoin` when it may come back."""

    def __init__(self, rejoin: bool) -> None:
        super().__init__()
        self.rejoin = rejoin


@dataclass(frozen=True, slots=True)
class Body:
    """What the device is, whatever happens to it: given once, the same after each power cycle."""

    kind: Kind
    product: Product
    identities: Mapping[int, Identity]
    link_key: Secret
    """Of its install code."""
    behaviour: Behaviour
    bands: Bands
    schedules: Sequence[ReadSchedule]
    timings: Timings
    rng: random.Random
    cut_power: Callable[[float], None]
    """Take the power away at once, for so many seconds."""
    slot: ImageSlot
    """Where new firmware is loaded to."""
    screen_path: Path | None
    """Where the picture on the screen is kept, if at all."""
    cut_before: set[LifeStep]
    """Steps at which a knob cut the power already; outlasts power cycles."""


class Client(NodeListener):
    """One power-on of a device. `make_node(state, listener)` builds the node it sits on."""

    def __init__(
        self,
        body: Body,
        make_node: Callable[[Memory, NodeListener], Node],
        memory: Memory,
        flash: Flash,
        saw: Observations,
    ) -> None:
        self._body = body
        self._memory = memory
        self._flash = flash
        self._saw = saw
        self._dirty = asyncio.Event()
        self._interruption: asyncio.Future[NetworkLost | _Departed] | None = None
        self._services: Services | None = None
        self._issuer_refusals = 0
        self._until_silent: asyncio.Timeout | None = None
        self._cut_short = False
        self._stopping = False
        self._shown: Picture | None = None
        self._torn = False  # the power went while flash was being written
        self._left_at: set[LifeStep] = set()
        self._profile = KINDS[body.kind]
        self._switched_on_s = asyncio.get_running_loop().time()
        self.screen = Screen(body.behaviour.display)
        self.node = make_node(memory, self)
        self._has_sub_ghz = Band.MHZ_868 in body.bands.order
        self.node.endpoints[ENDPOINT] = self._profile.descriptor(
            ENDPOINT, sub_ghz=self._has_sub_ghz
        )
        self.node.obeys_channel_changes = not body.behaviour.ignores_channel_change
        self.node.obeys_removal = not body.behaviour.stays_when_removed
        self.node.accepts_swap = not body.behaviour.refuses_other_hub
        self.node.takes_key_updates = not body.behaviour.misses_network_key
        self._compose()

    def _compose(self) -> None:
        body, saw, node = self._body, self._saw, self.node
        t, rng = body.timings, body.rng
        suites = sum(1 << (suite - 1) for suite in body.identities)
        ppm = body.behaviour.clock_ppm
        if ppm is None:
            ppm = rng.uniform(-_CRYSTAL_PPM, _CRYSTAL_PPM)
        behaviour = body.behaviour
        product = replace(body.product, firmware=self._memory.firmware or body.product.firmware)
        self.servers = LocalServers.of(product, suites=suites, battery=self._profile.sleeps)
        if DIAGNOSTICS in self._profile.extra_servers:
            diagnostics.serve(self.servers, node)
        if behaviour.hides_firmware:
            self.servers.hide_firmware()
        self._silence = Silence(t, rng, saw)
        self.port = ZclPort(
            node,
            ENDPOINT,
            self.servers,
            saw,
            self._silence,
            timeout_s=t.request_timeout_s,
            first_sequence=rng.randrange(256),
            fixed_counter=rng.randrange(256) if behaviour.duplicate_counters else None,
        )
        self.port.on_command = self._command
        self.port.on_garbage = self._heard_garbage
        self._sub_ghz = SubGhzClient(node, self.port, t, behaviour, self._silence, saw)
        habits = KeyHabits(
            node,
            body.identities,
            t,
            rng,
            behaviour.key_establishment,
            behaviour.key_usage_missing,
            self._reached,
        )
        self._key_answers = KeyResponder(
            habits,
            self.port,
            saw,
            lambda: self._keys.is_busy,
            lambda: self._memory.suite if self._memory.authorised else None,
            self._in_force,
        )
        self._keys = KeyDriver(habits, self.port, saw, self._key_answers.idle)
        self.port.on_key_frame = self._key_frame
        self.port.on_secured = self._key_answers.heard_secured
        self._commissioning = Commissioning(
            node, rng, t, behaviour, _preconfigured(body), saw, body.bands, self._reached
        )
        self._registration = Registration(
            node, self.port, ENDPOINT, t, saw, self._establish, self._profile.binds
        )
        self._keep_alive = KeepAlive(
            node, self.port, t, rng, saw, self._silence, behaviour.ignores_keep_alive
        )
        self._survey = Survey(node, self.port, t, self.screen, saw, self._profile.binds)
        self._provocation = Provocation(node, self.port, t, saw)
        self._reader = Reader(
            self.port,
            t,
            rng,
            1 / (1 + ppm * 1e-6),
            self.screen,
            saw,
            self._time_server,
            self._silence,
            behaviour.reads_per_slot,
            behaviour.gives_up_after_unsupported,
        )
        self._trouble = Trouble(
            node,
            self.port,
            t,
            behaviour,
            rng,
            saw,
            self._switched_on_s,
            lambda: list(self.screen.meters),
        )

        self.application = Application(
            Surroundings(
                body.kind,
                node,
                self.port,
                self.servers,
                t,
                behaviour,
                rng,
                self.screen,
                saw,
                product,
                body.slot,
                lambda: product.firmware,
                self._install,
                self._silence,
                self._sub_ghz,
            )
        )

    @property
    def is_authorised(self) -> bool:
        """Whether the link key is one from key establishment."""
        return self._memory.authorised

    async def read_too_early(self) -> bool | None:
        """Read a meter as if the link key were established already; whether any value came."""
        return await self._provocation.read_too_early()

    # -- life ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_flash())
                if self._body.behaviour.power_cuts_every_s is not None:
                    group.create_task(self._fail(self._body.behaviour.power_cuts_every_s))
                if self._body.screen_path is not None:
                    group.create_task(self._keep_showing(self._body.screen_path))
                group.create_task(self._live())
        finally:
            self.node.power_off()
            self._key_answers.close()
            self._silence.close()
            self.port.close()
            self.application.close()
            if self._body.screen_path is not None and not self._cut_short:
                self._show(self._body.screen_path)
            if self._dirty.is_set() and not self._torn:
                self._flash.save(self._memory)

    async def _live(self) -> None:
        silent_after_s = self._body.behaviour.silent_after_s
        self._end = What.SILENT
        try:
            async with asyncio.timeout(silent_after_s) as until_silent:
                self._until_silent = until_silent
                await self._be_on_the_network()
        except TimeoutError:
            if not until_silent.expired():
                raise
        self._saw.note(self._end)
        self.node.power_off()

    async def _fail(self, every_s: float) -> None:
        """The mains fail at random times."""
        await asyncio.sleep(self._body.rng.expovariate(1 / every_s))
        self._cut("at random")

    def _cut(self, why: str) -> None:
        self._cut_short = True
        self._saw.note(What.POWER_CUT, why)
        self._body.cut_power(self._body.behaviour.power_back_after_s)

    def _reached(self, step: LifeStep) -> None:
        """The knobs that wait for a step of the device's life."""
        behaviour = self._body.behaviour
        if behaviour.power_cut_at is step and step not in self._body.cut_before:
            self._body.cut_before.add(step)
            # The new key is in RAM only; every other write was over before its step.
            self._torn = step is LifeStep.KEY_ESTABLISHED
            self._cut(f"at {step}")
            return  # without power it does nothing else
        if behaviour.silent_at is step:
            self._fall_silent()
        if behaviour.leaves_at is step and step not in self._left_at and self.node.state.joined:
            self._left_at.add(step)
            self.node.leave()

    def _fall_silent(self) -> None:
        """Off the air for good, before any time passes."""
        if self._until_silent is not None:
            self._until_silent.reschedule(asyncio.get_running_loop().time())

    async def flood(self, per_second: float, seconds: float) -> None:
        """Send reads for a while, without waiting for their answers."""
        on_s = asyncio.get_running_loop().time() - self._switched_on_s
        await self._trouble.flood(Burst(per_second=per_second, after_s=on_s, duration_s=seconds))

    async def _be_on_the_network(self) -> None:
        await asyncio.sleep(self._body.behaviour.start_delay_s)
        self.node.power_on()
        if self._body.behaviour.never_announces:
            self.node.objects = _Quiet(self.node)
        state = self.node.state
        come_back = is_member(self.node)  # after a power cycle, show up with a rejoin
        while not self._stopping:
            if not is_member(self.node):
                self._forget()
                await self._commissioning.join()
            elif come_back or not state.joined:
                await self._commissioning.rejoin(authorised=self._memory.authorised)
            if state.joined:
                come_back = await self._work()

    async def _work(self) -> bool:
        """Be a client on the network, until it is lost (True: search for it) or left."""
        self._interruption = asyncio.get_running_loop().create_future()
        come_back = False
        refused = False
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch(self._interruption))
                group.create_task(self._serve(group))
                for task in self._trouble.tasks():
                    group.create_task(task)
        except* NetworkLost as lost:
            self._saw.note(What.NETWORK_LOST, _first(lost))
            come_back = True
        except* _Departed as departed:
            come_back = any(isinstance(e, _Departed) and e.rejoin for e in departed.exceptions)
        except* IssuerUnknown:
            refused = True
        finally:
            self._interruption = None
        if not is_member(self.node):
            await asyncio.sleep(_LEAVE_GOES_OUT_S)
        if refused:
            await self._give_up_this_network()
        return come_back

    async def _watch(self, interruption: asyncio.Future[NetworkLost | _Departed]) -> None:
        raise await interruption

    async def _give_up_this_network(self) -> None:
        """The hub is of another authority: leave, and do not come back at once."""
        t = self._body.timings
        if self.node.state.joined:
            self.node.leave()
        self._issuer_refusals += 1
        wait, jitter = t.rescan_s, t.rescan_jitter_s
        if self._issuer_refusals >= t.joins_per_network:
            wait, jitter = t.slow_rescan_s, t.slow_rescan_jitter_s
        await asyncio.sleep(wait + self._body.rng.uniform(-jitter, jitter))

    async def _serve(self, group: asyncio.TaskGroup) -> None:
        t, behaviour = self._body.timings, self._body.behaviour
        if behaviour.reads_before_key_establishment and not self._memory.authorised:
            await self._provocation.read_too_early()
        came_back = self._memory.authorised
        if came_back:
            await self._ask_whether_to_talk()  # before anything else is said
        services = await self._register()
        if not came_back:
            await self._ask_whether_to_talk()
        if self._has_sub_ghz:
            group.create_task(LinkWatch(self.node, t, self._saw).run())
        group.create_task(self._keep_alive.run())
        group.create_task(self._rediscover())
        for work in self.application.registered():
            group.create_task(work)
        if (stays_s := behaviour.stays_s or self._profile.stays_s) is not None:
            group.create_task(self._go_after(stays_s))
        if self._body.kind is Kind.GAS_METER:
            return
        while not self.screen.meters:
            self.application.explorer.surveyed(await self._survey.run(services))
            if self.screen.meters or METERING not in self._profile.binds:
                break
            await asyncio.sleep(t.application_retry_s)
        self._reached(LifeStep.SURVEYED)
        for schedule in self._body.schedules:
            group.create_task(self._reader.run(schedule))
        for work in self.application.surveyed():
            group.create_task(work)
        group.create_task(self._look_for_missing_meters(services))
        meter = self.screen.meter(Fuel.ELECTRICITY)
        if behaviour.writes_attribute and meter is not None:
            await self._provocation.write(meter.peer)

    async def _ask_whether_to_talk(self) -> None:
        if self._has_sub_ghz:
            await self._sub_ghz.ask()
            await self._silence.over()

    async def _go_after(self, stays_s: float) -> None:
        """A device that is only visiting leaves, and is switched off."""
        await asyncio.sleep(stays_s)
        self._end = What.GONE
        self._stopping = True
        self.node.leave()  # which interrupts everything

    def _install(self, version: int) -> None:
        self._memory.firmware = version
        self._dirty.set()
        self._body.cut_power(_RESTART_S)

    async def _register(self) -> Services:
        """Registration, again and again until it succeeds."""
        while self._services is None:
            authorised = self._memory.authorised or self._body.behaviour.key_establishment.never
            try:
                self._discovered(await self._registration.register(authorised=authorised))
            except RegistrationAborted:
                await asyncio.sleep(self._body.timings.restart_s)
        self._reached(LifeStep.REGISTERED)
        return self._services

    async def _look_for_missing_meters(self, services: Services) -> None:
        """A meter that was not heard of in the survey may have been lost on the air."""
        t = self._body.timings
        wanted = {s.fuel for s in self._body.schedules if s.cluster_id == METERING}
        for _ in range(t.strikes):
            if all(self.screen.meter(fuel) is not None for fuel in wanted):
                return
            await asyncio.sleep(t.application_retry_s)
            self.application.explorer.surveyed(await self._survey.run(services))

    async def _rediscover(self) -> None:
        while True:
            await asyncio.sleep(self._body.timings.rediscovery_s)
            await self._silence.over()
            try:
                services = await self._registration.discover()
            except RegistrationAborted:
                continue  # what was found before still stands
            self._discovered(services)
            self._saw.note(What.REDISCOVERED)
            known = {peer.endpoint for peer in self.screen.meters}
            if self._profile.sleeps or METERING not in self._profile.binds:
                continue
            if any(set(endpoints) - known for endpoints in services.esis.values()):
                self.application.explorer.surveyed(await self._survey.run(services))

    def _discovered(self, services: Services) -> None:
        self._services = services
        if services.utc is not None:
            self.screen.set_time(services.utc, services.utc_at_s)

    async def _establish(self, peer: Peer) -> None:
        self._in_force(await self._keys.establish(peer))

    def _in_force(self, suite: int | None) -> None:
        """The link key is one of key establishment with that suite; None: it is none of that."""
        self._memory.authorised = suite is not None
        self._memory.suite = suite
        if suite is not None:
            self._issuer_refusals = 0
        self._dirty.set()

    def _key_frame(self, peer: Peer, frame: zcl.Frame) -> None:
        side = self._keys if frame.from_server else self._key_answers
        side.frame_received(peer, frame)

    def _time_server(self) -> Peer | None:
        return self._services.time_server if self._services else None

    # -- the screen ---------------------------------------------------------------------------

    async def _keep_showing(self, path: Path) -> None:
        while True:
            await asyncio.sleep(self._body.timings.screen_every_s)
            self._show(path)

    def picture(self) -> Picture:
        """What a person sees on it."""
        now = asyncio.get_running_loop().time()
        return picture(self._body.kind, self.node.state.eui64, self.screen, now)

    def _show(self, path: Path) -> None:
        shown = self.picture()
        if shown != self._shown:
            self._shown = shown
            keep(path, shown)

    # -- memory -------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._services = None
        self._sub_ghz.forget()
        self.screen.meters.clear()
        self.screen.prices.clear()
        self.screen.attributes.clear()
        self.screen.told.clear()
        if self._memory.authorised:
            self._memory.authorised = False
            self._memory.suite = None
            self._dirty.set()

    async def _keep_flash(self) -> None:
        while True:
            await self._dirty.wait()
            if self._torn:
                return
            self._dirty.clear()
            self._flash.save(self._memory)

    # -- what the node tells --------------------------------------------------------------------

    def data_received(self, indication: Indication) -> None:
        """Data for our endpoint, or for all of them."""
        if indication.destination_endpoint in (ENDPOINT, 0xFF):
            self.port.data_received(indication)

    def left(self, rejoin: bool) -> None:
        """Told to leave, or left."""
        self._saw.note(What.LEFT, "to rejoin" if rejoin else "")
        self._interrupt(_Departed(rejoin))

    def channel_followed(self, channel: Channel) -> None:
        """The network is on another channel, and so are we."""
        self._saw.note(What.CHANNEL_FOLLOWED, str(channel))

    def parent_lost(self) -> None:
        """The parent does not answer polls any more."""
        self._interrupt(NetworkLost("parent lost"))

    def _heard_garbage(self) -> None:
        """Something malformed: a sound device leaves it at that."""
        if self._body.behaviour.crashes_on_malformed:
            self._fall_silent()

    def _interrupt(self, why: NetworkLost | _Departed) -> None:
        if self._interruption is not None and not self._interruption.done():
            self._interruption.set_result(why)

    def key_received(self, kind: str, partner: Eui64 | None) -> None:
        """A Transport-Key arrived."""
        if kind == "network":
            self._reached(LifeStep.NETWORK_KEY)

    def trust_centre_swapped(self, trust_centre: Eui64) -> None:
        """Another hub took over: our key is a hash of the one before, and not established."""
        self._saw.note(What.HUB_SWAPPED, str(trust_centre))
        self._forget()

    def network_changed(self) -> None:
        """Counters or keys moved on."""
        self._dirty.set()

    def _command(self, peer: Peer, cluster_id: int, frame: zcl.Frame) -> None:
        try:
            if cluster_id == SUB_GHZ:
                self._sub_ghz.heard(peer, frame)
                return
            now = asyncio.get_running_loop().time()
            heard = self.screen.hear(peer, cluster_id, frame, now)
            self.application.hear(peer, cluster_id, frame)
        except zcl.ZclError as error:
            self._saw.note(What.GARBAGE, str(error))
            self._heard_garbage()
            return
        if heard:
            self._saw.note(What.PUSHED, heard)


def _first(group: BaseExceptionGroup[NetworkLost]) -> str:
    for error in group.exceptions:
        if isinstance(error, NetworkLost):
            return error.why
    return ""


def _preconfigured(body: Body) -> Secret:
    if body.behaviour.wrong_install_code:
        return Secret(bytes(octet ^ 0xFF for octet in body.link_key.reveal()))
    return body.link_key
