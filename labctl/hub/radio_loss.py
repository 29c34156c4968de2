"""What a hub does when a radio of its goes away, and when it is back.

The hub's own state stays as it is: log, services, bindings, histories, suspensions, windows. What
the radio forgot (joining, policies, limits) is told to it again, and its keys are compared with the
log's as at a start, since nobody knows what reached it last.
"""

from __future__ import annotations

from labctl.errors import RigError
from labctl.events import EventBus, RadioLost, Severity
from labctl.hub.bearer_care import BearerCare
from labctl.hub.bearers import Bearers
from labctl.hub.device_log import DeviceLog, KeyState
from labctl.hub.key_establishment import KeyEstablishments
from labctl.hub.keys import Keys
from labctl.hub.reporter import Reporter
from labctl.hub.trust_centre import TrustCentre
from labctl.radio.coordinator import RadioState


class RadioLosses:
    """Knows which bearers are lost. `care` is None until the hub's is made."""

    def __init__(
        self,
        *,
        bearers: Bearers,
        log: DeviceLog,
        keys: Keys,
        trust_centre: TrustCentre,
        key_establishments: KeyEstablishments,
        bus: EventBus,
        reporter: Reporter,
    ) -> None:
        self._bearers = bearers
        self._log = log
        self._keys = keys
        self._trust_centre = trust_centre
        self._key_establishments = key_establishments
        self._bus = bus
        self._reporter = reporter
        self._lost: dict[int, str] = {}
        self.care: BearerCare | None = None

    @property
    def cause(self) -> str:
        """Why a radio is lost at the moment; empty when none is."""
        return next(iter(self._lost.values()), "")

    @property
    def lost(self) -> dict[int, str]:
        """The lost bearers, and why each is."""
        return dict(self._lost)

    def again(self, bearer: int) -> None:
        """Say once more that a bearer's radio is lost, to a record that has just begun."""
        self._tell(bearer, 0.0)

    def _tell(self, bearer: int, silent_s: float) -> None:
        self._bus.emit(
            RadioLost(
                at_us=self._reporter.now_us(),
                name=self._bearers[bearer].name,
                cause=self._lost[bearer],
                silent_us=round(silent_s * 1e6),
            )
        )

    def went(self, cause: str, bearer: int, silent_s: float) -> None:
        """A radio is gone: infrastructure, and the end of whatever was under way on it."""
        if bearer in self._lost:
            return
        same = self._same_radio(bearer)
        self._lost.update(dict.fromkeys(same, cause))
        self._tell(bearer, silent_s)
        there = [device for device in self._log if (device.bearer or 0) in same]
        self._key_establishments.radio_lost(there)
        self._trust_centre.radio_lost(cause, there)

    async def back(self, states: tuple[RadioState, ...], bearer: int) -> None:
        """It runs its network again. Raises `RigError`: then it is lost still."""
        same = self._same_radio(bearer)
        if set(self._lost) <= set(same):
            # Of two radios the keys are compared once both are there.
            await self._agree()
        for number in same:
            self._lost.pop(number, None)
        for number, state in enumerate(states, bearer):
            self._bearers.returned(number, state)
            self._reporter.radio_up(state)
        if self.care is not None:
            self.care.radio_back(same)

    async def _agree(self) -> None:
        resumption = await self._keys.resume(again=True)
        for device in resumption.restored:
            self._reporter.note("key-restored", eui64=device.eui64, state=device.key.value)
        for device in self._log:
            if device.key is KeyState.UNPROVEN:
                self._trust_centre.unproven(device)
        try:
            await self._trust_centre.reopen()
        except RigError as error:
            self._reporter.note("windows-not-reopened", Severity.ERROR, cause=error.what)
            raise

    def _same_radio(self, bearer: int) -> list[int]:
        """The bearers of the radio that this one is of: they go and come together."""
        eui64 = self._bearers[bearer].eui64
        return [number for number, state in enumerate(self._bearers) if state.eui64 == eui64]
