"""The arithmetic of the hub's key establishments: in the host, or in the NCP.

An NCP that has the library does one exchange at a time and is deaf while it calculates, so a
second device is told to wait. Its results are fetched before the state machine gets the message
that makes it ask for them.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping

from labctl.errors import ConfigurationError, RigError
from labctl.hub.settings import KeyEngine
from labctl.radio.coordinator import Coordinator, RadioKeyEngine
from labctl.secret import Secret
from labctl.smart_energy.cbke import CommandId, KeyEstablishment, Role, State
from labctl.smart_energy.cbke_engine import Engine, HostEngine, PreparedEngine
from labctl.smart_energy.cbke_messages import EphemeralData, Initiate, MessageError
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity


class Arithmetic(abc.ABC):
    """The arithmetic of one exchange."""

    engine: Engine
    """What the state machine asks."""

    async def prepare(self, machine: KeyEstablishment, command: int, payload: bytes) -> None:
        """Have ready what `machine` will ask for when it gets this message. Raises `RigError`."""
        return

    async def link_key(self, partner: Eui64, derived: Secret) -> tuple[Secret, bool]:
        """The key to put in force, and whether the NCP has it already. Raises `RigError`."""
        return derived, False

    async def end(self) -> None:
        """The exchange is over, however it ended. May be called again. Raises `RigError`."""
        return


class Arithmetics(abc.ABC):
    """Gives each exchange its arithmetic."""

    @abc.abstractmethod
    def begin(self) -> Arithmetic | None:
        """For a new exchange; None when there is no room for one more."""


class HostArithmetics(Arithmetics):
    """In the host: any number at a time."""

    def __init__(self, random_octets: Callable[[int], bytes]) -> None:
        self._random_octets = random_octets

    def begin(self) -> Arithmetic:
        """There is always room."""
        arithmetic = _HostArithmetic()
        arithmetic.engine = HostEngine(self._random_octets)
        return arithmetic


class _HostArithmetic(Arithmetic):
    pass


class RadioArithmetics(Arithmetics):
    """In the NCP: one at a time."""

    def __init__(self, radio: RadioKeyEngine) -> None:
        self._radio = radio
        self._current: _RadioArithmetic | None = None

    def begin(self) -> Arithmetic | None:
        """None while another exchange is under way."""
        if self._current is not None:
            return None
        self._current = _RadioArithmetic(self._radio, self._over)
        return self._current

    def _over(self) -> None:
        self._current = None


class _RadioArithmetic(Arithmetic):
    def __init__(self, radio: RadioKeyEngine, over: Callable[[], None]) -> None:
        self._radio = radio
        self._over = over
        self._prepared = PreparedEngine()
        self._suite: int | None = None
        self._partner = b""
        self.engine = self._prepared

    async def prepare(self, machine: KeyEstablishment, command: int, payload: bytes) -> None:
        initiator = machine.role is Role.INITIATOR
        try:
            if command == CommandId.INITIATE and machine.state is State.AWAITING_INITIATE:
                message = Initiate.decode(payload)
                self._partner = message.certificate
                if initiator and message.suite == machine.suite:
                    await self._generate(message.suite)
            elif (
                command == CommandId.EPHEMERAL_DATA
                and machine.state is State.AWAITING_EPHEMERAL_DATA
            ):
                assert machine.suite is not None  # settled by Initiate
                ephemeral = EphemeralData.decode(payload, machine.suite).public_key
                if not initiator:
                    await self._generate(machine.suite)
                self._prepared.macs = await self._radio.calculate(
                    machine.suite,
                    initiator=initiator,
                    certificate=self._partner,
                    ephemeral=ephemeral,
                )
        except MessageError:
            return  # the machine says what is wrong with it

    async def _generate(self, suite: int) -> None:
        self._suite = suite
        self._prepared.point = await self._radio.generate(suite)

    async def link_key(self, partner: Eui64, derived: Secret) -> tuple[Secret, bool]:
        assert self._suite is not None  # the machine got to the end
        suite, self._suite = self._suite, None
        return await self._radio.store(suite, partner), True

    async def end(self) -> None:
        self._over()
        suite, self._suite = self._suite, None
        if suite is not None:
            await self._radio.discard(suite)


async def radio_identities(
    coordinator: Coordinator, wanted: KeyEngine, suites: tuple[int, ...], radio: str
) -> Mapping[int, Identity] | None:
    """The NCP's own certificates, when it is to do the arithmetic; None when the host is.

    Raises `ConfigurationError` when it must and cannot.
    """
    engine = coordinator.key_engine
    if wanted is KeyEngine.HOST:
        return None
    missing = [suite for suite in suites if engine is None or suite not in engine.suites]
    if engine is None or missing:
        if wanted is KeyEngine.AUTO:
            return None
        raise ConfigurationError(
            f"the radio has no key establishment of its own for suite {missing[0]}",
            where=radio,
            mend="set hub.key_engine to host, or use firmware with the CBKE and ECC libraries",
        )
    try:
        return {
            suite: Identity.in_radio(suite, await engine.certificate(suite)) for suite in suites
        }
    except ValueError as error:
        raise RigError(
            f"the certificate in the radio is unusable: {error}",
            where=radio,
            mend="set hub.key_engine to host, or provision the radio anew",
        ) from error
