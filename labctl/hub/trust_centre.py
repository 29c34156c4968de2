"""The trust centre: each join from the NCP's first word of it to its outcome.

    JoinSeen ─KEY_SENT─▶ ANNOUNCE ──Device_annce──▶ BEGIN ──Initiate──▶ ESTABLISHING ──▶ authorised
       │                     │ 10 s                     │ 20 min              │
       ▼                     ▼                          ▼                     ▼
    refused                failed                     failed                failed

The NCP decides about joiners alone and tells afterwards, so refusals are read from what it tells.
A join ends `authorised` when the established key is in the NCP and its confirmation delivered;
discovery and first read are steps that come after that.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from labctl.events import (
    JoinKind,
    JoinOutcome,
    PairingWindowClosed,
    Step,
    StepStatus,
)
from labctl.hub import causes
from labctl.hub.chores import Chores, nothing
from labctl.hub.device_log import Device, DeviceLog, KeyState
from labctl.hub.eviction import Eviction
from labctl.hub.joins import JoinBook, JoinRow
from labctl.hub.keys import Keys
from labctl.hub.pairing import Window, Windows
from labctl.hub.reporter import Reporter
from labctl.hub.settings import Patience
from labctl.radio.coordinator import Coordinator, JoinDecision, JoinSeen


class Phase(enum.Enum):
    """What a join waits for."""

    ANNOUNCE = "announce"
    BEGIN = "begin"
    ESTABLISHING = "establishing"


@dataclass(slots=True)
class _Join:
    """A join that is under way."""

    row: JoinRow
    phase: Phase
    prevent: Callable[[], None] = nothing


class TrustCentre:
    """Joins, their timers, and what happens at the end of a window.

    `authorised` is called whenever a device has got in.
    """

    def __init__(
        self,
        *,
        log: DeviceLog,
        book: JoinBook,
        eviction: Eviction,
        keys: Keys,
        coordinator: Coordinator,
        reporter: Reporter,
        chores: Chores,
        patience: Patience,
        authorised: Callable[[Device], None],
    ) -> None:
        self._log = log
        self._book = book
        self._eviction = eviction
        self._keys = keys
        self._reporter = reporter
        self._chores = chores
        self._patience = patience
        self._authorised = authorised
        self.windows = Windows(coordinator, reporter, chores, self._window_closed)
        self._joins: dict[str, _Join] = {}
        self._late: dict[str, JoinRow] = {}
        self._unanswered: dict[str, int] = {}
        self._heard: set[str] = set()
        self._settling: dict[str, Callable[[], None]] = {}
        self._unsettled: set[str] = set()
        """Whose window is open, or over and not yet done with."""
        self._all_settled = asyncio.Event()
        self._all_settled.set()

    # -- what the NCP tells -----------------------------------------------------------------------

    def join_seen(self, join: JoinSeen) -> None:
        """A joiner was let in or refused by the NCP."""
        device = self._log.get(join.eui64)
        if device is not None:
            self._heard.add(device.eui64)
            if join.decision is not JoinDecision.DENIED:
                self._log.moved(device, join.nwk, join.bearer)
            self._start_over(device)
        row = self._book.start(
            join.eui64, join.kind, nwk=join.nwk, parent=join.parent_nwk, bearer=join.bearer
        )
        last = self.windows.last(device) if device else None
        cause = causes.objection(join, device, last)
        if cause is not None:
            row.end(JoinOutcome.REFUSED, cause)
            if join.decision is not JoinDecision.DENIED:
                # It has the network key from a time when it was welcome, and the NCP let it in.
                self._chores.run(self._eviction.expel(join.eui64, join.nwk))
            return
        assert device is not None  # otherwise there was an objection
        if join.kind is JoinKind.SECURED_REJOIN:
            if device.authorised:  # it holds the network key, and its link key is in force
                self._joins[device.eui64] = _Join(row, Phase.ANNOUNCE)
                self._end(device, JoinOutcome.AUTHORISED)
                self._authorised(device)
                return
        else:
            if join.kind is JoinKind.JOIN:
                row.step(Step.ASSOCIATION)
            row.step(Step.TRANSPORT_KEY, detail="under the device's link key")
        self._await(device, row, Phase.ANNOUNCE)

    def _start_over(self, device: Device) -> None:
        """A device that joins while a join of its is under way gave that one up."""
        join = self._joins.get(device.eui64)
        if join is None:
            return
        if join.phase is Phase.ANNOUNCE:
            self._end_unanswered(device, join)
        else:
            self._end(device, JoinOutcome.FAILED, causes.STARTED_OVER)

    def announced(self, device: Device) -> None:
        """A Device_annce arrived: the device has read the network key."""
        join = self._joins.get(device.eui64)
        if join is not None and join.phase is Phase.ANNOUNCE:
            join.row.step(Step.DEVICE_ANNOUNCE)
            self._is_on_the_network(device, join)

    def heard(self, device: Device, *, secured: bool) -> None:
        """Any frame from the device: as good as its announcement, should that have been lost."""
        join = self._joins.get(device.eui64)
        if join is None or join.phase is not Phase.ANNOUNCE:
            return
        if not device.authorised or secured:
            self._is_on_the_network(device, join)

    def _is_on_the_network(self, device: Device, join: _Join) -> None:
        self._unanswered.pop(device.eui64, None)
        if device.key is KeyState.UNPROVEN and join.row.kind is JoinKind.UNSECURED_REJOIN:
            # It has read a network key that only its link key opens.
            self._keys.confirm(device)
        if device.authorised:
            self._end(device, JoinOutcome.AUTHORISED)
            self._authorised(device)
            return
        self._await(device, join.row, Phase.BEGIN)
        self._eviction.watch(
            device, self._patience.remove_unkeyed_s, lambda: self._still_unkeyed(device)
        )

    def left(self, device: Device) -> None:
        """The device left the network."""
        self._eviction.spare(device)
        self._eviction.left(device.eui64)
        self._end(device, JoinOutcome.FAILED, causes.LEFT)
        self._reporter.note("device-left", eui64=device.eui64)

    # -- key establishment ------------------------------------------------------------------------

    def establishment_began(self, device: Device) -> None:
        """The device sent Initiate. Another attempt on the same network is a row of its own."""
        self._heard.add(device.eui64)
        join = self._joins.get(device.eui64)
        if join is not None and join.phase is Phase.ESTABLISHING:
            self._end(device, JoinOutcome.FAILED, causes.BEGAN_ANEW)
            join = None
        row = join.row if join else self._row_of(device)
        self._await(device, row, Phase.ESTABLISHING)

    def _row_of(self, device: Device) -> JoinRow:
        """A row for a device that is on the network already."""
        return self._book.start(device.eui64, JoinKind.JOIN, nwk=device.nwk, bearer=device.bearer)

    def establishment_step(self, device: Device, step: Step, detail: str) -> None:
        """A message of the exchange was accepted. Repetitions are not steps."""
        join = self._joins.get(device.eui64)
        if join is not None and not join.row.took(step):
            join.row.step(step, detail=detail)

    def established(self, device: Device) -> None:
        """The key is in the NCP, and the device has the confirmation."""
        join = self._joins.get(device.eui64)
        if join is not None:
            join.row.step(Step.LINK_KEY_INSTALLED)
        self._eviction.spare(device)
        self._end(device, JoinOutcome.AUTHORISED)
        self._authorised(device)

    def proven(self, device: Device) -> None:
        """The device was heard under a key that it had yet to prove."""
        self._eviction.spare(device)
        if device.eui64 in self._joins:
            self._end(device, JoinOutcome.AUTHORISED)
        self._authorised(device)

    def unproven(self, device: Device) -> None:
        """A start found the device with a key that nobody has heard it use: it has its time."""
        self._eviction.watch(
            device,
            self._patience.remove_unkeyed_s,
            lambda: self._chores.run(self._eviction.disproven(device)),
        )

    def revoked(self, device: Device, cause: str) -> None:
        """A key that was established is withdrawn: the device says that it has none."""
        row = self._row_of(device)
        row.step(Step.KEY_CONFIRM, StepStatus.FAILED, cause)
        row.end(JoinOutcome.FAILED, causes.revoked(cause))
        self._late.pop(device.eui64, None)
        if not device.authorised:
            self._eviction.watch(
                device, self._patience.remove_unkeyed_s, lambda: self._still_unkeyed(device)
            )
            self._chores.run(self._settle(device))

    def establishment_failed(self, device: Device, step: Step, cause: str) -> None:
        """Key establishment ended without a key, at `step`."""
        join = self._joins.get(device.eui64)
        if join is None or join.phase is not Phase.ESTABLISHING:
            return
        if not join.row.took(step):
            join.row.step(step, StepStatus.FAILED, cause)
        self._end(device, JoinOutcome.FAILED, f"key establishment: {cause}")

    # -- after the join ---------------------------------------------------------------------------

    def progressed(self, device: Device, *, read: bool) -> None:
        """An authorised device asked for something: its discovery, and its first read."""
        row = self._late.get(device.eui64)
        if row is None:
            return
        if not row.took(Step.DISCOVERY):
            row.step(Step.DISCOVERY)
        if read:
            row.step(Step.FIRST_READ)
            del self._late[device.eui64]

    # -- waiting ----------------------------------------------------------------------------------

    def _await(self, device: Device, row: JoinRow, phase: Phase) -> None:
        before = self._joins.get(device.eui64)
        if before is not None:
            before.prevent()
        join = self._joins[device.eui64] = _Join(row, phase)
        if phase is Phase.ANNOUNCE:
            join.prevent = self._chores.later(
                self._patience.announce_s, lambda: self._end_unanswered(device, join)
            )
        elif phase is Phase.BEGIN:
            patience_s = self._patience.begin_key_establishment_s
            join.prevent = self._chores.later(
                patience_s,
                lambda: self._end(device, JoinOutcome.FAILED, causes.never_began(patience_s)),
            )
        # Key establishment has timers of its own.

    def _end_unanswered(self, device: Device, join: _Join) -> None:
        attempts = self._unanswered[device.eui64] = self._unanswered.get(device.eui64, 0) + 1
        self._end(device, JoinOutcome.FAILED, causes.unanswered(device, join.row.kind, attempts))

    def _still_unkeyed(self, device: Device) -> None:
        if device.authorised:
            return
        self._end(device, JoinOutcome.FAILED, causes.unkeyed(self._patience.remove_unkeyed_s))
        self._chores.run(self._eviction.remove(device))

    def _end(self, device: Device, outcome: JoinOutcome, cause: str = "") -> None:
        join = self._joins.pop(device.eui64, None)
        if join is not None:
            join.prevent()
            join.row.end(outcome, cause)
            if outcome is JoinOutcome.AUTHORISED:
                self._late[device.eui64] = join.row
        if self._stop_settling(device):
            self._chores.run(self._settle(device))

    # -- the end of a window ----------------------------------------------------------------------

    def opened(self, device: Device) -> None:
        """A window opens: what was heard before does not count for it."""
        self._heard.discard(device.eui64)
        self._unanswered.pop(device.eui64, None)
        self._stop_settling(device)

    def _window_closed(self, window: Window) -> None:
        device = window.device
        if device.eui64 in self._joins:
            # A join that is under way gets to finish. Nobody can start one any more.
            patience_s = self._patience.finish_s
            self._settling[device.eui64] = self._chores.later(
                patience_s,
                lambda: self._end(device, JoinOutcome.FAILED, causes.did_not_finish(patience_s)),
            )
            return
        if not device.authorised and device.eui64 not in self._heard:
            row = self._book.start(device.eui64, JoinKind.JOIN)
            row.end(JoinOutcome.NOT_HEARD, causes.not_heard(window))
        self._chores.run(self._settle(device))

    async def open_window(self, device: Device, seconds: int) -> None:
        """A device may join for so long. Raises `RigError`."""
        self._unsettled.add(device.eui64)
        self._all_settled.clear()
        await self.windows.open(device, seconds)

    async def end_windows(self) -> None:
        """All windows are over now, as if their time were up. Raises `RigError`.

        Returns when each is settled; a join that is under way has its time to finish.
        """
        for device in self._log:
            window = self.windows.of(device)
            if window is not None:
                window.closes_us = self._reporter.now_us()
                await self.windows.close(device)
                self._window_closed(window)
        await self._all_settled.wait()

    def _settled(self, device: Device) -> None:
        self._unsettled.discard(device.eui64)
        if not self._unsettled:
            self._all_settled.set()

    async def _settle(self, device: Device) -> None:
        """A window is over for good: a device that did not get in has no key and no place."""
        if self.windows.of(device) is not None:
            return  # opened anew in the meantime
        await self._eviction.window_over(device)
        self._closed(device)

    def _closed(self, device: Device) -> None:
        self._settled(device)
        self._reporter.emit(
            PairingWindowClosed(
                at_us=self._reporter.now_us(), eui64=device.eui64, authorised=device.authorised
            )
        )

    def _stop_settling(self, device: Device) -> bool:
        prevent = self._settling.pop(device.eui64, None)
        if prevent is None:
            return False
        prevent()
        return True

    # -- unpairing and stopping -------------------------------------------------------------------

    async def forget(self, device: Device, cause: str) -> None:
        """Drop all that is under way for a device. Raises `RigError`."""
        self._stop_settling(device)
        self._eviction.spare(device)
        self._end(device, JoinOutcome.FAILED, cause)
        self._late.pop(device.eui64, None)
        await self.windows.close(device)
        self._settled(device)

    async def close(self) -> None:
        """The run ends: so do joins and windows. Raises `RigError`."""
        for device in self._log:
            self._stop_settling(device)
            self._end(device, JoinOutcome.FAILED, causes.RUN_ENDED)
            # An install-code key is there only while a window is open or being settled.
            window_open = device.key is KeyState.INSTALL_CODE or self.windows.of(device) is not None
            await self.windows.close(device)
            if window_open:
                await self._settle(device)

    def radio_lost(self, cause: str, devices: Iterable[Device]) -> None:
        """The radio that these devices are on is away: their joins are over, windows go on."""
        for device in devices:
            self._end(device, JoinOutcome.FAILED, f"the radio was lost: {cause}")

    async def reopen(self) -> None:
        """A radio that was away has joining closed and no install-code keys. Raises `RigError`."""
        for device in self._log:
            if self.windows.of(device) is not None and device.key is KeyState.NONE:
                await self._keys.install_code_key(device)
        await self.windows.permit()

    def radio_gone(self, cause: str) -> None:
        """Nothing more will come: end what is open, without touching the radio."""
        for device in self._log:
            window_open = self._stop_settling(device) or self.windows.drop(device)
            self._end(device, JoinOutcome.FAILED, f"the radio was lost: {cause}")
            if window_open:
                self._closed(device)
