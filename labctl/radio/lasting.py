"""A coordinator that outlives its stick: lost, it is made anew until it is there again.

It stands in front of one driver of one radio and knows nothing of which. When the driver says that
its radio is gone, or the radio answers nothing any more, the listener hears of it at once; then a
fresh driver is started again and again, until the radio resumes the very network that it had, or
the time for that is up. Of two radios side by side each has one of these, so that only the lost
one is started again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from labctl.errors import DeliveryError, LabctlError, RigError
from labctl.radio.coordinator import (
    Coordinator,
    CoordinatorListener,
    DutyCycle,
    EndpointDescriptor,
    Incoming,
    JoinSeen,
    NetworkSettings,
    OtherRadioError,
    Outgoing,
    PartnerKey,
    RadioKeyEngine,
    RadioState,
)
from labctl.secret import Secret
from labctl.smart_energy.airtime import DutyCycleState, Limits
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64

_LOGGER = logging.getLogger(__name__)

ASK_EVERY_S: Final = 10.0
"""How often the radio is asked whether it is there."""
PATIENCE_S: Final = 6.0
"""How long each of the two answers may take whose lack means that it is hung. One that was lost to
garbage on the line is missed so soon after it that the radio is back within 10 s."""
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 1.0
"""Between two attempts: 0.5, 1, 1, ... s. An attempt that garbage spoils takes bellows 7.5 s (three
resets of 2.5 s each): what is left must do for the next, within 10 s."""
SWITCH_AFTER: Final = 2
"""Attempts that failed before the power is switched off and on, where it can be."""
_START_S: Final = 60.0
_STOP_S: Final = 5.0
_PLUG_IN: Final = "plug the stick in again, and start another run"


class LastingCoordinator(Coordinator):
    """`make` gives a fresh driver of one radio, which `name` is for messages.

    `for_s` is how long a lost radio is waited for; 0: it is not. `gave_up` is called once when it
    did not come back, or another one came in its place. `switch` switches its power off and on,
    once for each loss, when starting it alone did not help; it raises nothing.
    """

    def __init__(
        self,
        make: Callable[[], Coordinator],
        *,
        name: str,
        for_s: float,
        gave_up: Callable[[LabctlError], None],
        switch: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._make = make
        self._switch = switch
        self._name = name
        self._for_s = for_s
        self._gave_up = gave_up
        self._driver = make()
        self._listener: CoordinatorListener | None = None
        self._settings: NetworkSettings | None = None
        self._endpoints: Sequence[EndpointDescriptor] = ()
        self._states: tuple[RadioState, ...] = ()
        self._engine: _Engine | None = None
        self._relay: _Relay | None = None
        self._lost: str | None = None
        self._heard_s = 0.0
        self._silent_s = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    # -- life -------------------------------------------------------------------------------------

    def listen(self, listener: CoordinatorListener) -> None:
        """Set the one listener."""
        self._listener = listener

    async def start(
        self, settings: NetworkSettings, endpoints: Sequence[EndpointDescriptor]
    ) -> tuple[RadioState, ...]:
        """Start the first driver. What goes wrong now is not tried again."""
        self._endpoints = endpoints
        self._relay = self._listen_to(self._driver)
        self._states = states = await self._driver.start(settings, endpoints)
        self._settings = replace(
            settings, form_anew=False, not_on=None, only=states[0].extended_pan_id
        )
        if self._driver.key_engine is not None:
            self._engine = _Engine(self)
        self._relay.ready = True
        if self._relay.died is not None:
            cause = self._relay.died
            raise RigError(f"the radio was lost as it started: {cause}", where=self._name)
        self._heard()
        self._spawn(self._ask_on(self._relay))
        return states

    async def stop(self) -> None:
        """Stop the driver, or the attempts to bring it back."""
        self._stopping = True
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._lost is None:
            await self._driver.stop()

    def _listen_to(self, driver: Coordinator) -> _Relay:
        if self._listener is None:
            raise AssertionError("listen() comes before start()")
        relay = _Relay(self, self._listener)
        driver.listen(relay)
        return relay

    # -- losing it --------------------------------------------------------------------------------

    def _heard(self) -> None:
        self._heard_s = asyncio.get_running_loop().time()

    @property
    def lost(self) -> bool:
        """Whether the radio is gone at the moment."""
        return self._lost is not None

    def silent_s(self, bearer: int = 0) -> float:
        """How long before its latest loss nothing had been heard of the radio."""
        return self._silent_s

    async def _ask_on(self, relay: _Relay) -> None:
        """A hung NCP leaves its port as it was: only that it does not answer tells of it."""
        while relay is self._relay and self._lost is None:
            await asyncio.sleep(ASK_EVERY_S)
            if not await self._answers() and not await self._answers():
                self._went(relay, "it does not answer any more")

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._driver.check_alive()
        except (RigError, TimeoutError) as error:
            _LOGGER.info("%s: no answer: %r", self._name, error)
            return False
        self._heard()
        return True

    def _went(self, relay: _Relay, cause: str) -> None:
        if relay is not self._relay or self._stopping or self._lost is not None:
            return
        if not relay.ready:
            relay.died = relay.died or cause
            return
        assert self._listener is not None
        self._lost = cause
        self._silent_s = asyncio.get_running_loop().time() - self._heard_s
        self._listener.connection_lost(cause)
        self._spawn(self._bring_back(cause))

    async def restart(self, bearer: int = 0) -> None:
        """Give the driver up and start another one, which resets the NCP."""
        if self._for_s <= 0:
            raise RigError(
                "a radio that is lost is not waited for on this rig",
                where=self._name,
                mend="give hub.reconnect a time",
            )
        if self._relay is not None:
            self._went(self._relay, "it is restarted on purpose")

    # -- bringing it back -------------------------------------------------------------------------

    async def _bring_back(self, cause: str) -> None:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._for_s
        await self._discard(self._driver)
        if self._for_s <= 0:
            self._gave_up(self._radio_lost(cause))
            return
        pause_s = FIRST_PAUSE_S
        failed = 0
        while True:
            if failed == SWITCH_AFTER and self._switch is not None:
                await self._switch()
            try:
                await self._start_again()
            except OtherRadioError as error:
                self._gave_up(error)
                return
            except RigError as error:
                if loop.time() + pause_s > deadline_s:
                    self._gave_up(self._gone_for_good(cause, error))
                    return
                failed += 1
                _LOGGER.info("%s is not back yet: %s", self._name, error)
            except LabctlError as error:
                self._gave_up(error)
                return
            else:
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _start_again(self) -> None:
        """One attempt. Raises `RigError`."""
        assert self._settings is not None
        assert self._listener is not None
        lost, driver = self._lost, self._make()
        self._relay = relay = self._listen_to(driver)
        try:
            try:
                async with asyncio.timeout(_START_S):
                    states = await driver.start(self._settings, self._endpoints)
            except TimeoutError as error:
                raise RigError("the radio did not start in time", where=self._name) from error
            self._must_be_the_same(states)
            self._driver, self._states, self._lost = driver, states, None
            self._heard()
            await self._listener.connection_restored(states)
            if relay.died is not None:
                raise RigError(f"the radio was lost again: {relay.died}", where=self._name)
        except BaseException:
            self._lost = lost
            await self._discard(driver)
            raise
        relay.ready = True
        self._spawn(self._ask_on(relay))

    def _must_be_the_same(self, states: Sequence[RadioState]) -> None:
        for now, before in zip(states, self._states, strict=True):
            if now.eui64 != before.eui64:
                raise OtherRadioError(
                    f"the radio was lost, and another came in its place: {now.eui64} "
                    f"instead of {before.eui64}",
                    where=self._name,
                    mend=_PLUG_IN,
                )
            if (now.extended_pan_id, now.pan_id) != (before.extended_pan_id, before.pan_id):
                raise OtherRadioError(
                    f"the radio came back with another network: {now.extended_pan_id} "
                    f"(PAN 0x{now.pan_id:04x}) instead of {before.extended_pan_id} "
                    f"(PAN 0x{before.pan_id:04x})",
                    where=self._name,
                    mend="its devices cannot follow: unpair and pair them, or bring the network "
                    "back with `labctl hub import`",
                )

    async def _discard(self, driver: Coordinator) -> None:
        """Close what is left of a driver, whatever it stumbles over: its port must be free."""
        try:
            async with asyncio.timeout(_STOP_S):
                await driver.abandon()
        except (RigError, OSError, TimeoutError) as error:
            _LOGGER.info("%s: closing what was lost: %r", self._name, error)
        except Exception as error:  # noqa: BLE001 - drivers trip over their own missing transport
            _LOGGER.warning("%s: closing what was lost: %r", self._name, error)

    def _radio_lost(self, cause: str) -> RigError:
        return RigError(f"the radio was lost: {cause}", where=self._name, mend=_PLUG_IN)

    def _gone_for_good(self, cause: str, last: RigError) -> RigError:
        return RigError(
            f"the radio was lost ({cause}) and did not come back within {self._for_s:g} s: "
            f"{last.what}",
            where=self._name,
            mend=_PLUG_IN,
        )

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "while a radio was brought back", "exception": error}
            )

    # -- what goes through ------------------------------------------------------------------------

    @property
    def _up(self) -> Coordinator:
        if self._lost is not None:
            raise RigError(f"the radio is lost: {self._lost}", where=self._name)
        return self._driver

    async def permit_joining(self, seconds: int) -> None:
        """Of the driver."""
        await self._up.permit_joining(seconds)

    async def link_keys(self) -> dict[Eui64, Secret]:
        """Of the driver."""
        return await self._up.link_keys()

    async def install_link_key(
        self, eui64: Eui64, key: Secret, *, bearer: int | None = None
    ) -> None:
        """Of the driver."""
        await self._up.install_link_key(eui64, key, bearer=bearer)

    async def erase_link_key(self, eui64: Eui64) -> None:
        """Of the driver."""
        await self._up.erase_link_key(eui64)

    async def send(self, packet: Outgoing) -> None:
        """Of the driver; what comes of it is a sign of life."""
        try:
            await self._up.send(packet)
        except DeliveryError:
            self._heard()
            raise
        self._heard()

    async def remove_device(self, eui64: Eui64, nwk: int) -> None:
        """Of the driver."""
        await self._up.remove_device(eui64, nwk)

    @property
    def tells_refusals(self) -> bool:
        """As the driver."""
        return self._driver.tells_refusals

    def address_of(self, eui64: Eui64) -> int | None:
        """Of the driver, a lost one too."""
        return self._driver.address_of(eui64)

    def bearer_of(self, eui64: Eui64) -> int:
        """Of the driver, a lost one too."""
        return self._driver.bearer_of(eui64)

    @property
    def key_engine(self) -> RadioKeyEngine | None:
        """One that is always that of the present driver."""
        return self._engine

    async def allow_partner_keys(self, allowed: bool) -> None:
        """Of the driver."""
        await self._up.allow_partner_keys(allowed)

    async def send_network_key(self, eui64: Eui64, nwk: int, key: Secret) -> None:
        """Of the driver."""
        await self._up.send_network_key(eui64, nwk, key)

    async def switch_network_key(self) -> None:
        """Of the driver."""
        await self._up.switch_network_key()

    async def network_keys(self) -> tuple[Secret, ...]:
        """Of the driver."""
        return await self._up.network_keys()

    async def energy_scan(
        self, channels: Sequence[Channel], *, exponent: int = 5
    ) -> dict[Channel, int]:
        """Of the driver."""
        return await self._up.energy_scan(channels, exponent=exponent)

    async def change_channel(self, bearer: int, channel: Channel) -> None:
        """Of the driver."""
        await self._up.change_channel(bearer, channel)
        self._moved(bearer, channel)

    async def announce_channel(self, bearer: int, channel: Channel) -> None:
        """Of the driver."""
        await self._up.announce_channel(bearer, channel)

    async def duty_cycle(self, bearer: int) -> DutyCycle | None:
        """Of the driver."""
        return await self._up.duty_cycle(bearer)

    async def set_duty_cycle_limits(self, bearer: int, limits: Limits) -> None:
        """Of the driver."""
        await self._up.set_duty_cycle_limits(bearer, limits)

    async def counters(self) -> dict[str, int]:
        """Of the driver."""
        return await self._up.counters()

    async def check_alive(self) -> None:
        """Of the driver."""
        await self._up.check_alive()

    def _moved(self, bearer: int, channel: Channel) -> None:
        """Where it is to be when it comes back."""
        if self._settings is not None:
            phys = list(self._settings.phys)
            phys[bearer] = replace(phys[bearer], channel=channel)
            self._settings = replace(self._settings, phys=tuple(phys))


class _Relay(CoordinatorListener):
    """Hands on what one driver tells. Once another one took its place, nothing.

    `ready` is false until the listener knows of the driver; `died` is why it was lost by then.
    """

    def __init__(self, owner: LastingCoordinator, to: CoordinatorListener) -> None:
        self._owner = owner
        self._to = to
        self.ready = False
        self.died: str | None = None

    @property
    def _current(self) -> bool:
        if self._owner._relay is not self or self._owner.lost:
            return False
        self._owner._heard()
        return True

    def packet_received(self, packet: Incoming) -> None:
        if self._current:
            self._to.packet_received(packet)

    def overheard(self, packet: Incoming) -> None:
        if self._current:
            self._to.overheard(packet)

    def child_polled(self, nwk: int) -> None:
        if self._current:
            self._to.child_polled(nwk)

    def join_seen(self, join: JoinSeen) -> None:
        if self._current:
            self._to.join_seen(join)

    def device_left(self, eui64: Eui64, nwk: int) -> None:
        if self._current:
            self._to.device_left(eui64, nwk)

    def partner_key(self, request: PartnerKey) -> None:
        if self._current:
            self._to.partner_key(request)

    def duty_cycle_changed(self, bearer: int, state: DutyCycleState) -> None:
        if self._current:
            self._to.duty_cycle_changed(bearer, state)

    def channel_changed(self, bearer: int, channel: Channel) -> None:
        if self._current:
            self._owner._moved(bearer, channel)
            self._to.channel_changed(bearer, channel)

    def joining_changed(self, bearer: int, is_open: bool) -> None:
        if self._current:
            self._to.joining_changed(bearer, is_open)

    def connection_lost(self, cause: str, bearer: int = 0) -> None:
        self._owner._went(self, cause)


class _Engine(RadioKeyEngine):
    """Key establishment in whichever NCP is there. An exchange does not outlive a reset of it."""

    def __init__(self, owner: LastingCoordinator) -> None:
        self._owner = owner
        self.suites = self._present.suites

    @property
    def _present(self) -> RadioKeyEngine:
        engine = self._owner._up.key_engine
        if engine is None:
            raise RigError("the radio came back without key establishment")
        return engine

    async def certificate(self, suite: int) -> bytes:
        return await self._present.certificate(suite)

    async def generate(self, suite: int) -> bytes:
        return await self._present.generate(suite)

    async def calculate(
        self, suite: int, *, initiator: bool, certificate: bytes, ephemeral: bytes
    ) -> tuple[bytes, bytes] | None:
        return await self._present.calculate(
            suite, initiator=initiator, certificate=certificate, ephemeral=ephemeral
        )

    async def store(self, suite: int, partner: Eui64) -> Secret:
        return await self._present.store(suite, partner)

    async def discard(self, suite: int) -> None:
        await self._present.discard(suite)
