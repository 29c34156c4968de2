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

import datetime
import enum
from collections.abc import Callable
from dataclasses import dataclass

from labctl.clock import MICROSECONDS, Clock
from labctl.errors import RigError
from labctl.events import (
    EventBus,
    JoinKind,
    JoinOutcome,
    Note,
    PairingWindowClosed,
    Severity,
    Step,
    StepStatus,
)
from labctl.hub.chores import Chores
from labctl.hub.device_log import Device, DeviceLog, KeyState
from labctl.hub.joins import JoinBook, JoinRow
from labctl.hub.keys import Keys
from labctl.hub.pairing import Window, Windows
from labctl.hub.settings import Patience
from labctl.radio.coordinator import Coordinator, JoinDecision, JoinSeen

NOT_IN_THE_LOG = "not in the device log"


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
    prevent: Callable[[], None]


def _nothing() -> None:
    pass


def _clock_time(at_us: int) -> str:
    return f"{datetime.datetime.fromtimestamp(at_us / MICROSECONDS, datetime.UTC):%H:%M:%S} UTC"


class TrustCentre:
    """Joins, their timers, and what happens at the end of a window.

    `authorised` is called whenever a device has got in.
    """

    def __init__(
        self,
        *,
        log: DeviceLog,
        book: JoinBook,
        keys: Keys,
        coordinator: Coordinator,
        bus: EventBus,
        clock: Clock,
        chores: Chores,
        patience: Patience,
        authorised: Callable[[Device], None],
    ) -> None:
        self._log = log
        self._book = book
        self._keys = keys
        self._coordinator = coordinator
        self._bus = bus
        self._clock = clock
        self._chores = chores
        self._patience = patience
        self._authorised = authorised
        self.windows = Windows(coordinator, clock, chores, self._window_closed)
        self._joins: dict[str, _Join] = {}
        self._late: dict[str, JoinRow] = {}
        self._unanswered: dict[str, int] = {}
        self._heard: set[str] = set()
        self._settling: dict[str, Callable[[], None]] = {}
        self._removals: dict[str, Callable[[], None]] = {}

    # -- what the NCP tells -----------------------------------------------------------------------

    def join_seen(self, join: JoinSeen) -> None:
        """A joiner was let in or refused by the NCP."""
        device = self._log.get(join.eui64)
        if device is not None:
            self._heard.add(device.eui64)
            if join.decision is not JoinDecision.DENIED:
                self._log.moved(device, join.nwk)
            self._start_over(device)
        row = self._book.start(join.eui64, join.kind, nwk=join.nwk, parent=join.parent_nwk)
        cause = self._objection(join, device)
        if cause is not None:
            row.end(JoinOutcome.REFUSED, cause)
            return
        assert device is not None  # otherwise there was an objection
        if join.kind is JoinKind.SECURED_REJOIN:
            # It holds the network key already, and its link key is in force.
            row.end(JoinOutcome.AUTHORISED)
            self._authorised(device)
            return
        if join.kind is JoinKind.JOIN:
            row.step(Step.ASSOCIATION)
        row.step(Step.TRANSPORT_KEY, detail="under the device's link key")
        self._await(device, row, Phase.ANNOUNCE)

    def _objection(self, join: JoinSeen, device: Device | None) -> str | None:
        """Why the join is refused, or None."""
        if device is None:
            return NOT_IN_THE_LOG
        if device.key is KeyState.NONE:
            return self._why_not_open(device)
        if join.decision is JoinDecision.DENIED:
            if device.authorised:
                return "the radio refused a device that holds an established link key"
            return "the radio refused it although its window is open and its key is installed"
        if join.kind is JoinKind.SECURED_REJOIN:
            if not device.authorised:
                return "it holds the network key but never established a link key"
            return None
        if join.decision is JoinDecision.NO_ACTION:
            return "the radio took no action: it sent no key"
        return None

    def _why_not_open(self, device: Device) -> str:
        last = self.windows.last(device)
        if last is None:
            return "no pairing window was opened for it"
        return f"its pairing window closed at {_clock_time(last.closes_us)}"

    def _start_over(self, device: Device) -> None:
        """A device that joins while a join of its is under way gave that one up."""
        join = self._joins.get(device.eui64)
        if join is None:
            return
        if join.phase is Phase.ANNOUNCE:
            self._end_unanswered(device, join)
        else:
            self._end(device, JoinOutcome.FAILED, "the device left it and started over")

    def announced(self, device: Device, nwk: int) -> None:
        """A Device_annce arrived: the device has read the network key."""
        self._log.moved(device, nwk)
        join = self._joins.get(device.eui64)
        if join is None or join.phase is not Phase.ANNOUNCE:
            return
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
        if device.authorised:
            self._end(device, JoinOutcome.AUTHORISED)
            self._authorised(device)
            return
        self._await(device, join.row, Phase.BEGIN)
        self._prevent_removal(device)
        self._removals[device.eui64] = self._chores.later(
            self._patience.remove_unkeyed_s, lambda: self._still_unkeyed(device)
        )

    def left(self, device: Device) -> None:
        """The device left the network."""
        if device.eui64 in self._joins:
            self._end(device, JoinOutcome.FAILED, "the device left the network")
        self._note("device-left", device)

    # -- key establishment ------------------------------------------------------------------------

    def establishment_began(self, device: Device) -> JoinRow:
        """The device sent Initiate. Another attempt on the same network is a row of its own."""
        self._heard.add(device.eui64)
        join = self._joins.get(device.eui64)
        if join is not None and join.phase is Phase.ESTABLISHING:
            self._end(device, JoinOutcome.FAILED, "the device began key establishment anew")
            join = None
        row = join.row if join else self._book.start(device.eui64, JoinKind.JOIN, nwk=device.nwk)
        self._await(device, row, Phase.ESTABLISHING)
        return row

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
        self._prevent_removal(device)
        self._end(device, JoinOutcome.AUTHORISED)
        self._authorised(device)

    def establishment_failed(self, device: Device, step: Step, cause: str) -> None:
        """Key establishment ended without a key."""
        join = self._joins.get(device.eui64)
        if join is None:
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
        join = self._joins[device.eui64] = _Join(row, phase, _nothing)
        if phase is Phase.ANNOUNCE:
            join.prevent = self._chores.later(
                self._patience.announce_s, lambda: self._end_unanswered(device, join)
            )
        elif phase is Phase.BEGIN:
            join.prevent = self._chores.later(
                self._patience.begin_key_establishment_s, lambda: self._never_began(device)
            )
        # Key establishment has timers of its own.

    def _end_unanswered(self, device: Device, join: _Join) -> None:
        count = self._unanswered[device.eui64] = self._unanswered.get(device.eui64, 0) + 1
        self._end(device, JoinOutcome.FAILED, self._why_unanswered(device, join.row, count))

    def _why_unanswered(self, device: Device, row: JoinRow, count: int) -> str:
        cause = "the network key was sent but the device never announced itself: "
        if device.authorised:
            return cause + (
                "the hub holds a key that it established with the device before; if the device "
                "was reset since, unpair it and pair it again"
            )
        if row.kind is not JoinKind.JOIN:
            return cause + "the link is too poor, or the device lost its link key"
        cause += "wrong install code, or the link is too poor"
        if count > 1:
            # Each attempt took an association both ways: the link carries frames.
            cause += (
                f"; it associated {count} times and could not use the key any time, "
                "so most likely the install code"
            )
        return cause

    def _never_began(self, device: Device) -> None:
        minutes = self._patience.begin_key_establishment_s / 60
        self._end(
            device,
            JoinOutcome.FAILED,
            f"joined, but did not begin key establishment within {minutes:g} min",
        )

    def _end(self, device: Device, outcome: JoinOutcome, cause: str = "") -> None:
        join = self._joins.pop(device.eui64, None)
        if join is not None:
            join.prevent()
            join.row.end(outcome, cause)
            if outcome is JoinOutcome.AUTHORISED:
                self._late[device.eui64] = join.row
        if device.eui64 in self._settling:
            self._settling.pop(device.eui64)()
            self._chores.run(self._settle(device))

    # -- the end of a window ----------------------------------------------------------------------

    def opened(self, device: Device) -> None:
        """A window opened: what was heard before does not count for it."""
        self._heard.discard(device.eui64)
        self._unanswered.pop(device.eui64, None)
        prevent = self._settling.pop(device.eui64, None)
        if prevent is not None:
            prevent()

    def _window_closed(self, window: Window) -> None:
        device = window.device
        if device.eui64 in self._joins:
            # A join that is under way gets to finish. Nobody can start one any more.
            self._settling[device.eui64] = self._chores.later(
                self._patience.finish_s, lambda: self._did_not_finish(device)
            )
            return
        if not device.authorised and device.eui64 not in self._heard:
            row = self._book.start(device.eui64, JoinKind.JOIN)
            seconds = (window.closes_us - window.opened_us) // MICROSECONDS
            row.end(
                JoinOutcome.NOT_HEARD,
                f"joining was open for {seconds} s and nothing was heard of the device: it was "
                "off, out of range, still on another network, or does not search this channel",
            )
        self._chores.run(self._settle(device))

    def _did_not_finish(self, device: Device) -> None:
        self._end(
            device,
            JoinOutcome.FAILED,
            f"still not through {self._patience.finish_s:g} s after its window closed",
        )

    async def _settle(self, device: Device) -> None:
        """A window is over for good: a device that did not get in has no key and no place."""
        if self.windows.of(device) is not None:
            return  # opened anew in the meantime
        if device.key is KeyState.INSTALL_CODE:
            await self._evict(device)
        self._bus.emit(
            PairingWindowClosed(
                at_us=self._clock.now_us(), eui64=device.eui64, authorised=device.authorised
            )
        )

    async def _evict(self, device: Device) -> None:
        """Remove an unkeyed device, while there is a key to tell it with; then erase that."""
        try:
            if device.eui64 in self._removals and device.nwk is not None:
                await self._coordinator.remove_device(device.eui64, device.nwk)
        except RigError as error:
            self._note("not-removed", device, Severity.WARNING, cause=error.what)
        self._prevent_removal(device)
        try:
            await self._keys.erase(device)
        except RigError as error:
            self._note("key-not-erased", device, Severity.ERROR, cause=error.what)

    def _still_unkeyed(self, device: Device) -> None:
        if not device.authorised:
            self._chores.run(self._remove_unkeyed(device))

    async def _remove_unkeyed(self, device: Device) -> None:
        minutes = self._patience.remove_unkeyed_s / 60
        if device.eui64 in self._joins:
            self._end(
                device, JoinOutcome.FAILED, f"removed: no link key {minutes:g} min after joining"
            )
        self._removals.pop(device.eui64, None)
        if device.nwk is None:
            return
        try:
            await self._coordinator.remove_device(device.eui64, device.nwk)
            self._note("unkeyed-removed", device, Severity.WARNING, minutes=minutes)
        except RigError as error:
            self._note("not-removed", device, Severity.WARNING, cause=error.what)

    def _prevent_removal(self, device: Device) -> None:
        prevent = self._removals.pop(device.eui64, None)
        if prevent is not None:
            prevent()

    # -- unpairing and stopping -------------------------------------------------------------------

    async def forget(self, device: Device, cause: str) -> None:
        """Drop all that is under way for a device. Raises `RigError`."""
        prevent = self._settling.pop(device.eui64, None)
        if prevent is not None:
            prevent()
        self._prevent_removal(device)
        self._end(device, JoinOutcome.FAILED, cause)
        self._late.pop(device.eui64, None)
        await self.windows.close(device)

    async def close(self) -> None:
        """The run ends: so do joins and windows. Raises `RigError`."""
        for device in self._log:
            waiting = self.windows.of(device) is not None or device.eui64 in self._settling
            await self.forget(device, "the run ended before the join was through")
            if waiting:
                await self._settle(device)

    def _note(
        self, kind: str, device: Device, severity: Severity = Severity.INFO, **detail: object
    ) -> None:
        self._bus.emit(
            Note(
                at_us=self._clock.now_us(),
                kind=kind,
                severity=severity,
                eui64=device.eui64,
                detail=detail,
            )
        )
