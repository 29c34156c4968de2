"""The open rig that cases are played on: it stays open from the first case to the last.

Cases are coroutines. They run one after another on the rig's own loop, in this thread; between
them, while pytest does its own work, the loop stands still, for milliseconds. On the fast clock no
rig time passes meanwhile. A case that is no coroutine blocks the hub while it works: it should only
look at what was recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from labctl.campaign.air import AirMemory
from labctl.campaign.hands import Ask
from labctl.campaign.subject import Subject
from labctl.campaign.watch import Watch
from labctl.config.resolved import DeviceUnderTest, LoadedRig
from labctl.errors import BusyError, LabctlError
from labctl.events import CampaignStarted
from labctl.record.verdict import Assessment
from labctl.rig.hold import hold_rig
from labctl.rig.loop import loop_factory
from labctl.rig.session import RigSession, key_store_of, open_rig
from labctl.rig.state_folder import forget_virtual_rig

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOptions:
    """How a campaign's rig is opened. `ask` is None where no person is at hand."""

    database: Path
    seed: int | None = None
    fresh: bool = False
    capture: Path | None = None
    note: str = ""
    selection: str = ""
    wait_s: float = 0.0
    waiting: Callable[[BusyError], None] | None = None
    ask: Ask | None = None
    reports: Path | None = None
    """Where captures of attempts that did not pass are written; None: nowhere."""


class Stage:
    """Opens the rig at the first need, plays coroutines on it, and closes it."""

    def __init__(self, loaded: LoadedRig, options: StageOptions) -> None:
        self.loaded = loaded
        self.options = options
        self.assessment: Assessment | None = None
        """What the campaign says, once it is closed."""
        self.broken: LabctlError | None = None
        """Why the rig is out, for good."""
        self.air: AirMemory | None = None
        """What was on the air lately, where that can be heard."""
        self._on_purpose: list[list[int]] = []
        """From when to when radios were out on purpose, microseconds."""
        self._contexts = contextlib.ExitStack()
        self._runner: asyncio.Runner | None = None
        self._session: RigSession | None = None
        self._host: asyncio.Task[None] | None = None
        self._close_it: asyncio.Event | None = None

    # -- life ---------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the rig is open."""
        return self._session is not None

    @property
    def session(self) -> RigSession:
        """The open rig. Raises the `LabctlError` because of which it is not open."""
        if self._session is None:
            self.open()
        assert self._session is not None
        return self._session

    def open(self) -> None:
        """Open the rig. Raises `LabctlError`; a rig that would not open is not tried again."""
        if self.broken is not None:
            raise self.broken
        try:
            hold = self._contexts.enter_context(
                hold_rig(
                    self.loaded,
                    "labctl campaign",
                    wait_s=self.options.wait_s,
                    waiting=self.options.waiting,
                )
            )
            if self.options.fresh and self.loaded.is_virtual:
                forget_virtual_rig(
                    self.loaded.inventory_path, self.loaded.name, key_store_of(self.loaded)
                )
            self._runner = self._contexts.enter_context(
                asyncio.Runner(loop_factory=loop_factory(self.loaded))
            )
            loop = self._runner.get_loop()
            opened: asyncio.Future[RigSession] = loop.create_future()
            self._host = loop.create_task(self._hold(hold, opened))
            self._session = self._runner.run(_until(opened))
        except LabctlError as error:
            self.broken = error
            self._contexts.close()
            raise
        if self.options.reports is not None and self._session.bench is not None:
            self.air = AirMemory(self._session.clock.now_us)
            self._session.bench.overhear(self.air)
        self._session.bus.emit(
            CampaignStarted(
                at_us=self._session.clock.now_us(),
                generation=self.loaded.rig.hub.generation.value,
                meters="+".join(sorted({m.kind for m in self.loaded.rig.meters.values()})),
                selection=self.options.selection,
                reference=self.loaded.rig.campaign.reference,
                seed=self._session.seed,
            )
        )

    async def _hold(self, hold: Any, opened: asyncio.Future[RigSession]) -> None:
        """Open and close the rig in one task, however many others use it in between."""
        self._close_it = asyncio.Event()
        try:
            async with open_rig(
                self.loaded,
                kind="campaign",
                database=self.options.database,
                seed=self.options.seed,
                capture=self.options.capture,
                note=self.options.note,
                hold=hold,
            ) as session:
                opened.set_result(session)
                await self._close_it.wait()
        except Exception as error:
            if opened.done():
                raise
            opened.set_exception(error)
            return
        self.assessment = session.assessment

    def close(self) -> None:
        """End the run with its verdict. Safe to call twice. Raises `LabctlError`."""
        if self._session is None:
            return
        assert self._runner is not None
        assert self._host is not None
        assert self._close_it is not None
        self._close_it.set()
        try:
            self._runner.run(_until(self._host))
        finally:
            self._session = None
            self._contexts.close()

    # -- play ---------------------------------------------------------------------------------

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the rig's loop.

        When the rig breaks meanwhile, the work is cancelled and what broke it is raised.
        """
        try:
            session = self.session
        except BaseException:
            work.close()
            raise
        assert self._runner is not None
        return self._runner.run(self._unless_broken(session, work))

    async def _unless_broken(self, session: RigSession, work: Coroutine[Any, Any, _T]) -> _T:
        task = asyncio.ensure_future(work)
        ends: set[asyncio.Future[Any]] = {task, session.broken}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self.broken = session.broken.result()
                raise self.broken
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    def subject(self, device: DeviceUnderTest, watch: Watch) -> Subject:
        """A device under test, for one attempt at a case."""
        return Subject(self.session, device, watch, self.options.ask)

    @contextlib.contextmanager
    def outage_on_purpose(self) -> Iterator[None]:
        """While it lasts, a radio that is lost is the case's own doing, and no trouble."""
        now_us = self.session.clock.now_us
        stretch = [now_us(), 1 << 62]
        self._on_purpose.append(stretch)
        try:
            yield
        finally:
            stretch[1] = now_us()

    def on_purpose(self, at_us: int) -> bool:
        """Whether radios were out on purpose at that time."""
        return any(start <= at_us <= end for start, end in self._on_purpose)


async def _until(future: asyncio.Future[_T]) -> _T:
    return await future
