"""The recorder: a subscriber to the event bus that writes what happens into SQLite."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from labctl import events as ev
from labctl.errors import DatabaseError
from labctl.record.database import open_for_writing, translate, translated
from labctl.record.writer import Writer

#: A batch is written when it holds this many events ...
FLUSH_EVENTS = 100
#: ... or this long after its first event, on the clock of the event loop, in seconds.
FLUSH_AFTER_S = 1.0
#: How many flushes in a row may find the database locked, or the disk full, before recording is
#: given up: 20 s at least, 30 s for a lock, each attempt at which waits.
MOST_BUSY_FLUSHES = 20
#: How many events may wait for a database that cannot be written, or for a run to start.
MOST_PENDING = 20_000

# A person waits for these, or a reader follows them: they are written at once.
_AT_ONCE = (
    ev.CaseEnded,
    ev.SurveyStarted,
    ev.SurveyEnded,
    ev.WaypointStarted,
    ev.WaypointEnded,
    ev.WaypointCounts,
    ev.SurveyRemark,
    ev.ProbeTaken,
    ev.RunStarted,
    ev.RunEnded,
    ev.RadioUp,
    ev.RadioLost,
    ev.PairingArmed,
    ev.PairingWindowClosed,
    ev.PairingRemoved,
    ev.JoinEnded,
)


class Recorder:
    """Writes events into the database at `path`, in batches, from one event loop.

    A batch is committed after 100 events, one second after its first event on the clock of the
    loop, at the events that a person waits for (run, pairing, end of a join), and at `close`. A
    commit survives SIGKILL, so a killed run lacks at most its last second.

    The constructor opens or creates the database and raises `DatabaseError`. Afterwards errors are
    kept instead of raised, since the emitter of an event is in the middle of a protocol:
    `on_failure` is called once, recording stops, and `close` raises what happened.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        on_failure: Callable[[DatabaseError], None] | None = None,
    ) -> None:
        self.path = Path(path)
        self.failure: DatabaseError | None = None
        self._connection: sqlite3.Connection | None = open_for_writing(self.path)
        self._writer = Writer(self._connection)
        self._loop = loop
        self._on_failure = on_failure
        self._pending: list[ev.Event] = []
        self._timer: asyncio.TimerHandle | None = None
        self._busy, self._delay = 0, ""
        self._flush_at = FLUSH_EVENTS
        self._unsubscribe: list[Callable[[], None]] = []

    @property
    def run_id(self) -> int | None:
        """The id of the current run, known as soon as `RunStarted` was emitted."""
        return self._writer.run_id

    @property
    def connection(self) -> sqlite3.Connection:
        """The writer's connection, for queries of the run that is going on. Read only, please."""
        if self._connection is None:
            raise DatabaseError("the recorder is closed", where=str(self.path))
        return self._connection

    def subscribe(self, bus: ev.EventBus) -> Callable[[], None]:
        """Record what `bus` carries, until `close` or until the returned function is called."""
        unsubscribe = bus.subscribe(self)
        self._unsubscribe.append(unsubscribe)

        def end() -> None:
            self._unsubscribe.remove(unsubscribe)
            unsubscribe()

        return end

    def __call__(self, event: ev.Event) -> None:
        """Take one event. Quick, and never raises on account of the database."""
        if self.failure is not None:
            return
        pending = self._pending
        pending.append(event)
        if len(pending) >= self._flush_at or isinstance(event, _AT_ONCE):
            self._flush_quietly()
        elif self._timer is None:
            self._arm()

    def flush(self) -> None:
        """Commit everything that is waiting. Raises `DatabaseError`."""
        if self.failure is not None:
            raise self.failure
        with translated(self.path):
            self._flush()

    def survive_power_cuts(self) -> None:
        """From now on each commit is on the disk before the next event is taken.

        It costs a few milliseconds each. Without it a power cut may take the last commits back,
        and a crash of the process none. Raises `DatabaseError`.
        """
        with translated(self.path):
            self.connection.execute("PRAGMA synchronous = FULL")

    def add_artefact(self, kind: str, path: Path) -> None:
        """Note a finished file of this run (a capture, a report) with its size and SHA-256."""
        if self.run_id is None:
            raise DatabaseError("there is no run that the file could belong to", where=str(path))
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with translated(self.path):
            self.connection.execute(
                "INSERT INTO artefacts (run_id, kind, path, sha256, bytes) VALUES (?, ?, ?, ?, ?)",
                (self.run_id, kind, str(path), digest, path.stat().st_size),
            )

    def close(self) -> None:
        """Commit what is waiting and close the database. Raises the error that stopped it."""
        if self._connection is None:
            return
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe.clear()
        self._disarm()
        try:
            self.flush()
        finally:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
            return
        # What went wrong outside matters more than what goes wrong while closing.
        try:
            self.close()
        except DatabaseError as second:
            error.add_note(f"and the recorder could not be closed: {second}")

    # -- when to write -----------------------------------------------------------------------

    def _arm(self) -> None:
        if self._loop is None:
            try:
                self._loop = asyncio.get_running_loop()
            except RuntimeError:
                return  # no loop, no clock: batches are written by size and at their ends
        self._timer = self._loop.call_later(FLUSH_AFTER_S, self._timer_fired)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timer_fired(self) -> None:
        self._timer = None
        self._flush_quietly()

    def _flush_quietly(self) -> None:
        try:
            self._flush()
        except sqlite3.Error as error:
            failure = translate(error, self.path)
            if self._try_again(error):
                return
            self._fail(failure)

    def _try_again(self, error: sqlite3.Error) -> bool:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL):
            return False
        self._busy += 1
        self._delay = translate(error, self.path).what
        if self._busy > MOST_BUSY_FLUSHES or len(self._pending) > MOST_PENDING:
            return False
        # Not at every event from now on: each attempt makes the radios wait.
        self._flush_at = len(self._pending) + FLUSH_EVENTS
        if self._timer is None:
            self._arm()
        return True

    def _fail(self, failure: DatabaseError) -> None:
        self.failure = failure
        self._pending.clear()
        self._disarm()
        if self._on_failure is not None:
            self._on_failure(failure)

    def _flush(self) -> None:
        self._disarm()
        batch = self._pending
        if not batch or self._connection is None:
            return
        if self._writer.run_id is None:
            if not any(isinstance(event, ev.RunStarted) for event in batch):
                self._flush_at = len(batch) + FLUSH_EVENTS
                return
            # What was heard before the run was announced belongs to it.
            batch = sorted(batch, key=lambda event: not isinstance(event, ev.RunStarted))
        snapshot = self._writer.snapshot()
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._writer.write(batch)
            if self._busy:
                self._writer.write([self._delayed(batch[-1].at_us)])
            connection.execute("COMMIT")
        except BaseException:
            self._writer.restore(snapshot)
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._pending = []
        self._busy, self._delay = 0, ""
        self._flush_at = FLUSH_EVENTS

    def _delayed(self, at_us: int) -> ev.Note:
        detail: dict[str, object] = {"attempts": self._busy, "cause": self._delay}
        return ev.Note(
            at_us=at_us, kind="recording-delayed", severity=ev.Severity.WARNING, detail=detail
        )
