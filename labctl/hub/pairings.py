"""Pairing and unpairing: what a person does to the device log, and what is kept of it (S1 p. 12).

The ways of pairing differ in how address and code get here (requirements P1 to P4); from then on
they are one. Confirming is the exception: joining is open while nobody is expected, whoever tries
is recorded and offered, and has its entry armed for its next try once somebody says yes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from labctl.errors import ConfigurationError, RigError, UsageError
from labctl.events import (
    JoinKind,
    PairingArmed,
    PairingMethod,
    PairingRemoved,
    Severity,
)
from labctl.hub.chores import Chores, nothing
from labctl.hub.device_log import ALERT_LOG_CHANGED, Device, DeviceLog, KeyState
from labctl.hub.eviction import Eviction
from labctl.hub.key_establishment import KeyEstablishments
from labctl.hub.keys import Keys
from labctl.hub.reporter import Reporter
from labctl.hub.settings import HubSettings, LoggedDevice, PairingRequest
from labctl.hub.trust_centre import TrustCentre
from labctl.hub.vault import Evidence
from labctl.radio.coordinator import Coordinator, JoinSeen
from labctl.smart_energy.eui64 import Eui64


class Pairings:
    """Who may be on the network, by whose wish. `forgotten` is called for a device that is out."""

    def __init__(
        self,
        *,
        settings: HubSettings,
        known: Mapping[Eui64, LoggedDevice],
        log: DeviceLog,
        keys: Keys,
        eviction: Eviction,
        trust_centre: TrustCentre,
        key_establishments: KeyEstablishments,
        coordinator: Coordinator,
        reporter: Reporter,
        chores: Chores,
        forgotten: Callable[[Device], None],
    ) -> None:
        self._settings = settings
        self._known = known
        self._log = log
        self._keys = keys
        self._eviction = eviction
        self._trust_centre = trust_centre
        self._key_establishments = key_establishments
        self._coordinator = coordinator
        self._reporter = reporter
        self._chores = chores
        self._forgotten = forgotten
        self._half_time: dict[str, Callable[[], None]] = {}
        self._offered: dict[Eui64, None] = {}

    # -- in ---------------------------------------------------------------------------------------

    async def pair(self, request: PairingRequest) -> None:
        """Arm a device's entry and open its window. Raises as `Hub.pair` says."""
        try:
            device = self._enter(request)
        except (RigError, ConfigurationError, UsageError) as error:
            self._reporter.note(
                "pairing-refused",
                Severity.WARNING,
                request.eui64,
                cause=error.what,
                method=request.method.value,
                requested_by=request.requested_by,
            )
            raise
        self._trust_centre.opened(device)
        self._offered.pop(device.eui64, None)
        await self._arm(device, request.window_s)
        self._reporter.emit(
            PairingArmed(
                at_us=self._reporter.now_us(),
                eui64=device.eui64,
                method=request.method,
                requested_by=request.requested_by,
                window_s=request.window_s,
                consent_reference=request.consent_reference,
            )
        )
        await self._trust_centre.open_window(device, request.window_s)

    def _enter(self, request: PairingRequest) -> Device:
        """The device's entry, made now if there was none."""
        if self._settings.require_consent and not request.consent_reference:
            raise UsageError(
                "this rig pairs nothing without a consent reference",
                where=str(request.eui64),
                mend="say which consent it is (--consent), or set hub.require_consent to false",
            )
        logged = request.device or self._known.get(request.eui64)
        device = self._log.get(request.eui64)
        if device is None:
            if logged is None:
                raise ConfigurationError(
                    f"{request.eui64} is not in the device log",
                    mend="give the device with the request, or put it into the rig file",
                )
            device = self._log.declare(logged)
            try:
                self._log.admit(device)
            except RigError:
                self._log.withdraw(device)
                raise
            self._reporter.device_declared(device)
        elif device.listed:
            if logged is not None and logged.link_key != device.link_key and not device.authorised:
                self._reporter.note(
                    "key-ignored",
                    Severity.WARNING,
                    device.eui64,
                    cause="the device is in the log already, with another install code, which "
                    "stands; unpair it first to change the code",
                )
        else:
            if logged is not None:
                device.link_key = logged.link_key
            self._log.admit(device)
        self._added(device, request)
        return device

    def _added(self, device: Device, request: PairingRequest) -> None:
        new = device.evidence is None
        device.evidence = Evidence(
            method=request.method,
            requested_by=request.requested_by,
            consent_reference=request.consent_reference,
            added_us=self._reporter.now_us(),
        )
        self._log.keep()
        if new:
            self._changed(device, "added")
            for sentence in self._log.beyond_the_usual(device):
                self._reporter.note(
                    "device-log-unusual", Severity.WARNING, device.eui64, cause=sentence
                )

    async def _arm(self, device: Device, window_s: int) -> None:
        """The key into the NCP. An old key goes first; the code comes when half the time is over.

        (GBCS: a historic device's key is accepted in the first half of join_timeout.)
        """
        self._half_time.pop(device.eui64, nothing)()
        if device.key in (KeyState.ESTABLISHED, KeyState.HASHED):
            return
        historic = self._log.historic(device.eui64)
        if device.key is not KeyState.UNPROVEN:
            if historic is None:
                await self._keys.install_code_key(device)
                return
            await self._keys.archived_key(device, historic.key)
        self._half_time[device.eui64] = self._chores.later(
            window_s / 2, lambda: self._chores.run(self._half_time_is_over(device))
        )

    async def _half_time_is_over(self, device: Device) -> None:
        self._half_time.pop(device.eui64, None)
        if self._log.get(device.eui64) is device and device.key is KeyState.UNPROVEN:
            await self._keys.install_code_key(device)
            self._reporter.note("install-code-in-force", eui64=device.eui64)

    # -- offers -----------------------------------------------------------------------------------

    async def offer(self, seconds: int) -> None:
        """Open joining for whoever comes, for 1 to 65535 s; nobody gets in by that.

        Raises `UsageError` on a radio that does not tell who came.
        """
        if not self._coordinator.tells_refusals:
            raise UsageError(
                "this radio does not tell who tries to join, so nobody can be shown",
                mend="pair by address and install code, or use an EZSP stick",
            )
        self._offered.clear()
        await self._trust_centre.windows.open_to_all(seconds)

    @property
    def offered(self) -> tuple[Eui64, ...]:
        """Who tried while an offer was open and is not listed, in the order of their coming."""
        return tuple(self._offered)

    def join_seen(self, join: JoinSeen) -> None:
        """Somebody tried to join: is it one to be shown?"""
        device = self._log.get(join.eui64)
        if not self._trust_centre.windows.open_for_all or join.kind is not JoinKind.JOIN:
            return
        if (device is not None and device.listed) or join.eui64 in self._offered:
            return
        self._offered[join.eui64] = None
        self._reporter.note(
            "joiner-offered",
            eui64=join.eui64,
            described=device is not None or join.eui64 in self._known,
        )

    async def confirm(self, request: PairingRequest) -> None:
        """Somebody says that the device shown is theirs: arm it for its next try."""
        if request.eui64 not in self._offered:
            raise UsageError(
                f"{request.eui64} has not asked to join",
                mend="confirm an address that was shown, or pair by address and code",
            )
        await self.pair(replace(request, method=PairingMethod.CONFIRM))

    # -- out --------------------------------------------------------------------------------------

    async def unpair(self, eui64: Eui64, reason: str) -> bool:
        """Take a device off the network and out of the log. Raises `RigError`.

        True when the device said that it left, or was not on the network; False when it did not
        answer: then it is refused from now on.
        """
        device = self._log.get(eui64)
        if device is None:
            return True
        self._half_time.pop(eui64, nothing)()
        await self._trust_centre.forget(device, f"unpaired: {reason}")
        await self._key_establishments.forget(device)
        present = device.nwk is not None
        left = await self._eviction.dismiss(device, self._settings.patience.leave_s)
        self._log.remove(device, now_us=self._reporter.now_us(), reason=reason)
        if self._log.historic(eui64) is not None:
            # Written down before the NCP forgets it. A kill between the two leaves a historic
            # device's key in the NCP, which the next start erases.
            self._log.keep()
        await self._keys.erase(device)
        self._forgotten(device)
        if device.listed:
            self._changed(device, "removed")
        self._reporter.emit(
            PairingRemoved(at_us=self._reporter.now_us(), eui64=eui64, reason=reason)
        )
        if present and not left:
            self._reporter.note(
                "not-removed",
                Severity.WARNING,
                eui64,
                cause="it did not answer the removal: it is refused from now on",
            )
        return left or not present

    def _changed(self, device: Device, change: str) -> None:
        self._reporter.note(
            "device-log-changed",
            eui64=device.eui64,
            change=change,
            alert=ALERT_LOG_CHANGED,
            device_type=None if device.log_type is None else int(device.log_type),
            entries=len(self._log),
        )
