"""Taking, keeping and ending leases.

A thing has a record, and one or more *seats*: files whose kernel lock says that the owner who is
written down for that seat lives. All changes happen under the folder's guard, so that several
things are taken at once or not at all and nobody waits for one while he holds another. A silent
owner's seat cannot be taken from him: the next owner takes another seat, and the token in the
record says whose turn it is.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from labctl.clock import host_monotonic_s, wall_us
from labctl.errors import BusyError, RigError
from labctl.leases import record as records
from labctl.leases.entry import Entry, own_boot, own_host, own_name, short
from labctl.leases.folder import LockFolder
from labctl.leases.record import DamagedRecordError, Record
from labctl.leases.things import Thing

_LOGGER = logging.getLogger(__name__)

SILENT_AFTER_S = 60.0
"""How long after its last heartbeat a lease of a live process ends."""

LEASE_VARIABLE = "LABCTL_LEASE"
"""In the environment of a command: the lease inside which it may take the same things."""

_POLL_S = 0.1
_RECORD = ".lease"
_MOST_SEATS = 64


class LeaseLostError(RigError):
    """The thing is somebody else's by now: nothing may be written to it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseState:
    """How it stands with a thing. `entries` are of owners who live and are not silent.

    `damaged`: its record cannot be read; nobody gets it before the lease is broken.
    """

    thing: Thing
    entries: tuple[Entry, ...] = ()
    damaged: bool = False


class Leases:
    """The leases of one lock folder. `monotonic_s` and `wall_us` are for tests."""

    def __init__(
        self,
        folder: LockFolder,
        *,
        monotonic_s: Callable[[], float] = host_monotonic_s,
        wall_us: Callable[[], int] = wall_us,
    ) -> None:
        self.folder = folder
        self.monotonic_s = monotonic_s
        self.wall_us = wall_us
        self._host, self._boot = own_host(), own_boot()

    # -- taking ------------------------------------------------------------------------------------

    def take(
        self,
        things: Iterable[Thing],
        *,
        purpose: str,
        rig: str = "",
        until_us: int | None = None,
        ttl_s: float | None = SILENT_AFTER_S,
        inside: str | None = None,
        lease_id: str | None = None,
        idle: bool = False,
        wait_s: float = 0.0,
        waiting: Callable[[BusyError], None] | None = None,
    ) -> Lease:
        """All of `things`, or none. Waits up to `wait_s` seconds; `waiting` is told why, once.

        `inside` is the lease of the process that called this one: what is leased under it is given
        to this one for as long as it wants. Default: LABCTL_LEASE. `ttl_s` None never falls silent.
        `idle` says that it is kept for later. `lease_id` makes several leases one to `inside`.

        Raises `BusyError` with who has it and until when, `RigError` when the lock folder or a
        record cannot be used.
        """
        wanted = sorted(set(things))
        inside = os.environ.get(LEASE_VARIABLE) if inside is None else inside
        entry = Entry(
            lease=lease_id or secrets.token_hex(8),
            token=0,
            seat=0,
            owner=own_name(),
            uid=os.getuid(),
            pid=os.getpid(),
            host=self._host,
            boot=self._boot,
            purpose=short(purpose),
            rig=short(rig),
            since_us=0,
            until_us=until_us,
            beat_s=0.0,
            ttl_s=ttl_s,
            idle=idle,
        )
        deadline_s = self.monotonic_s() + wait_s
        while True:
            try:
                return self._try(wanted, entry, inside)
            except BusyError as error:
                left_s = deadline_s - self.monotonic_s()
                if left_s <= 0:
                    raise
                if waiting is not None:
                    waiting(error)
                    waiting = None
                time.sleep(min(_POLL_S, left_s))

    def _try(self, wanted: Sequence[Thing], entry: Entry, inside: str | None) -> Lease:
        held: dict[Thing, tuple[int, FileLock]] = {}
        with self.folder.guard():
            try:
                states = {thing: self._readable(thing) for thing in wanted}
                alive = {thing: self._alive(thing, states[thing]) for thing in wanted}
                for thing, entries in alive.items():
                    if entries and entries[0].lease != inside:
                        raise self._busy(thing, entries[0])
                for thing in wanted:
                    seat, lock = self._free_seat(thing)
                    token = states[thing].counter + 1
                    held[thing] = token, lock
                    mine = replace(
                        entry,
                        token=token,
                        seat=seat,
                        since_us=self.wall_us(),
                        beat_s=self.monotonic_s(),
                    )
                    self._write(thing, states[thing], (mine, *alive[thing]), counter=token)
                return Lease(self, entry.lease, held, entry.ttl_s)
            except BaseException as error:
                # What is in the records already is of a seat that nobody holds: free.
                for _, lock in held.values():
                    lock.release()
                if isinstance(error, OSError):
                    raise self.folder.unusable(error) from error
                raise

    # -- looking -----------------------------------------------------------------------------------

    def states(self, things: Iterable[Thing] | None = None) -> list[LeaseState]:
        """Who has what: all things that are held, or these. Raises `BusyError`, `RigError`."""
        with self.folder.guard():
            try:
                known = self._known() if things is None else sorted(set(things))
                found = [self._state(thing) for thing in known]
            except OSError as error:
                raise self.folder.unusable(error) from error
        return [one for one in found if one.entries or one.damaged or things is not None]

    def _state(self, thing: Thing) -> LeaseState:
        try:
            return LeaseState(thing=thing, entries=self._alive(thing, self._sound(thing)))
        except DamagedRecordError:
            return LeaseState(thing=thing, damaged=True)

    def _known(self) -> list[Thing]:
        """All things that ever had a record here. Raises `OSError`."""
        found = []
        for path in self.folder.path.glob(f"*{_RECORD}"):
            stem = path.name.removesuffix(_RECORD)
            with contextlib.suppress(ValueError):  # no record of ours
                found.append(Thing.of_file_stem(stem, said=self._said(path)))
        return sorted(found)

    def _said(self, path: Path) -> str:
        try:
            return records.read(path).thing
        except DamagedRecordError:
            return ""

    # -- ending ------------------------------------------------------------------------------------

    def break_(self, things: Iterable[Thing]) -> list[LeaseState]:
        """End the leases of `things`, whoever has them; who that was is returned.

        The owner is not asked. His next heartbeat, or his next write, fails.
        """
        broken = []
        with self.folder.guard():
            try:
                for thing in sorted(set(things)):
                    state = self._state(thing)
                    if state.damaged:
                        # No counter that was given out before is higher than the time of day.
                        before = Record(sequence=1)
                        self._write(thing, before, (), counter=self.wall_us())
                    elif state.entries:
                        before = self._read(thing)
                        self._write(thing, before, (), counter=before.counter + 1)
                    broken.append(state)
            except OSError as error:
                raise self.folder.unusable(error) from error
        return [state for state in broken if state.damaged or state.entries]

    # -- inside ------------------------------------------------------------------------------------

    def _alive(self, thing: Thing, state: Record) -> tuple[Entry, ...]:
        """Those entries whose seat is held and who are not silent."""
        return tuple(entry for entry in state.entries if self._lives(thing, entry))

    def _lives(self, thing: Thing, entry: Entry) -> bool:
        if entry.silent(self.monotonic_s(), host=self._host, boot=self._boot):
            return False
        lock = self.folder.try_lock(_seat_name(thing, entry.seat))
        if lock is None:
            return True
        lock.release()
        return False

    def _free_seat(self, thing: Thing) -> tuple[int, FileLock]:
        for seat in range(_MOST_SEATS):
            lock = self.folder.try_lock(_seat_name(thing, seat))
            if lock is not None:
                return seat, lock
        raise RigError(
            f"{_MOST_SEATS} processes hold {thing.told} and say nothing",
            where=str(self.folder.path),
            mend="end them",
        )

    def _busy(self, thing: Thing, entry: Entry) -> BusyError:
        return BusyError(
            f"{thing.told} is in use by {entry.told()}",
            where=str(self.folder.path),
            mend="wait for it (--wait 10m), or end that process; `labctl lease list` shows all",
        )

    def _readable(self, thing: Thing) -> Record:
        try:
            return self._sound(thing)
        except DamagedRecordError:
            raise RigError(
                f"the record of the lease of {thing.told} is damaged: nobody can tell who has it",
                where=str(self._path(thing)),
                mend=f"make sure that nobody uses it, then `labctl lease break {thing}`",
            ) from None

    def _sound(self, thing: Thing) -> Record:
        """The record, unless it is new though somebody lives who must have been in it."""
        state = self._read(thing)
        if state.sequence == 0:
            for seat in range(_MOST_SEATS):
                name = _seat_name(thing, seat)
                if not (self.folder.path / name).exists():
                    break
                lock = self.folder.try_lock(name)
                if lock is None:
                    raise DamagedRecordError
                lock.release()
        return state

    def _read(self, thing: Thing) -> Record:
        return records.read(self._path(thing))

    def _write(
        self, thing: Thing, before: Record, entries: tuple[Entry, ...], *, counter: int
    ) -> None:
        path = self._path(thing)
        self.folder.make_file(path.name, octets=2 * records.PAGE)
        records.write(path, Record(before.sequence + 1, counter, str(thing), entries))

    def _path(self, thing: Thing) -> Path:
        return self.folder.path / (thing.file_stem + _RECORD)


class Lease:
    """Things that this process has. `lease_id` is what a process that it starts is given."""

    def __init__(
        self,
        leases: Leases,
        lease_id: str,
        held: Mapping[Thing, tuple[int, FileLock]],
        ttl_s: float | None,
    ) -> None:
        self.lease_id = lease_id
        self.ttl_s = ttl_s
        self.lost: LeaseLostError | None = None
        self._leases = leases
        self._held = dict(held)
        self._beat_s = leases.monotonic_s()
        self._seen: dict[Thing, bytes] = {}
        self._on_lost: list[Callable[[LeaseLostError], None]] = []

    @property
    def things(self) -> tuple[Thing, ...]:
        """What is leased."""
        return tuple(self._held)

    def token(self, thing: Thing) -> int:
        """The fencing token: higher than that of every owner of the thing before."""
        return self._held[thing][0]

    def when_lost(self, call: Callable[[LeaseLostError], None]) -> None:
        """Be told, once, when it turns out that the lease is lost."""
        self._on_lost.append(call)

    def check(self, thing: Thing | None = None) -> None:
        """Whether `thing`, or all, may still be written to: to be asked before every write.

        One read of a small file; no lock. A lease that fell silent and that nobody took is renewed.
        Raises `LeaseLostError`.
        """
        if self.lost is not None:
            raise self.lost
        if self._is_silent():
            self.beat()
        for one in self._held if thing is None else (thing,):
            pages = self._pages(one)
            if pages != self._seen.get(one):
                self._must_be_mine(one, self._parsed(one, pages))
                self._seen[one] = pages

    def beat(self, *, patience_s: float = 1.0) -> None:
        """Say that the owner lives. Raises `LeaseLostError`, `BusyError`, `RigError`."""
        if self.lost is not None:
            raise self.lost
        with self._leases.folder.guard(patience_s=patience_s):
            now_s = self._leases.monotonic_s()
            for thing in self._held:
                state = self._parsed(thing, self._pages(thing))
                self._must_be_mine(thing, state, lent=True)
                entries = tuple(
                    replace(entry, beat_s=now_s) if entry.lease == self.lease_id else entry
                    for entry in state.entries
                )
                try:
                    self._leases._write(thing, state, entries, counter=state.counter)
                except OSError as error:
                    raise self._leases.folder.unusable(error) from error
            self._beat_s = now_s

    def release(self) -> None:
        """Give everything back. Things that are lost stay whose they are.

        The kernel locks go whatever else fails: they are what counts.
        """
        held, self._held = self._held, {}
        if not held:
            return
        try:
            with self._leases.folder.guard():
                for thing, (token, _) in held.items():
                    state = self._leases._read(thing)
                    entries = tuple(one for one in state.entries if one.token != token)
                    if entries != state.entries:
                        self._leases._write(thing, state, entries, counter=state.counter)
        except (OSError, RigError, DamagedRecordError) as error:
            _LOGGER.warning("the end of a lease was not written down: %s", error)
        finally:
            for _, lock in held.values():
                lock.release()

    def _is_silent(self) -> bool:
        return self.ttl_s is not None and self._leases.monotonic_s() - self._beat_s > self.ttl_s

    def _pages(self, thing: Thing) -> bytes:
        try:
            return records.pages(self._leases._path(thing))
        except OSError as error:
            raise self._lose(
                f"the lease of {thing.told} cannot be read: {error.strerror}"
            ) from None

    def _parsed(self, thing: Thing, pages: bytes) -> Record:
        try:
            return records.parse(pages)
        except DamagedRecordError:
            raise self._lose(f"the record of the lease of {thing.told} is damaged") from None

    def _must_be_mine(self, thing: Thing, state: Record, *, lent: bool = False) -> None:
        """`lent`: a process that was started under this lease may have it for a while."""
        mine = (self.lease_id, self._held[thing][0])
        where = [(entry.lease, entry.token) for entry in state.entries]
        if where[:1] == [mine]:
            return
        if mine not in where:
            by = f"held by {state.entries[0].told()}" if where else "free: it was broken"
            raise self._lose(f"the lease of {thing.told} is lost: it is {by}")
        if not lent:
            raise LeaseLostError(f"{thing.told} is lent to {state.entries[0].told()}")

    def _lose(self, what: str) -> LeaseLostError:
        if self.lost is None:
            self.lost = LeaseLostError(
                what,
                where=str(self._leases.folder.path),
                mend="a lease is lost when its process says nothing for "
                f"{SILENT_AFTER_S:.0f} s, or when somebody breaks it",
            )
            for call in self._on_lost:
                call(self.lost)
        return self.lost

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _seat_name(thing: Thing, seat: int) -> str:
    return f"{thing.file_stem}.{seat}.lock"
