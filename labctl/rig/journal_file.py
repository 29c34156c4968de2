"""The journal of a rig's meters on disk: `.labctl/RIG/journal.jsonl`, one entry a line.

`labctl meter set` adds lines, and so does a running rig with what devices do (a top-up, a supply
switched on). A running rig looks for new lines; what it finds happens when it is found, so that no
value that a device read before is ever untrue. Both lock the file while they write. It holds the
codes of top-ups, by which a second use is known, so it is of mode 0600.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from labctl.errors import ConfigurationError
from labctl.files import replace_file
from labctl.meters import Journal, JournalError
from labctl.meters.entries import DemandSet, Entry, OutageBegan

NAME = "journal.jsonl"
LOOK_EVERY_S = 10.0


class JournalFile:
    """The file, and the journal in memory that goes with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = Journal()
        self._kept = 0
        """Entries of the journal that are in the file."""
        self._seen = 0
        """Octets of the file that are in the journal."""

    def load(self) -> Journal:
        """Read all of it. Raises `ConfigurationError`."""
        with self._locked():
            text = self._read()
            try:
                self.journal = Journal.from_json_lines(text.decode())
            except (JournalError, UnicodeDecodeError) as error:
                raise ConfigurationError(
                    f"the journal of the meters is damaged: {error}",
                    where=str(self.path),
                    mend="correct the line, or remove the file: the meters then start over",
                ) from error
            self._kept, self._seen = len(self.journal), len(text)
        return self.journal

    def add(self, entry: Entry) -> Entry:
        """Append one entry, after whatever the file has: for commands. Raises as `load`."""
        self.load()
        last = self.journal.since(max(0, len(self.journal) - 1))
        if last and last[0].at_us > entry.at_us:
            entry = _dated(entry, last[0].at_us)
        self.journal.append(entry)
        with self._locked():
            self._append()
        return entry

    def exchange(self, now_us: int) -> int:
        """Take what others added and write what was added here: for a running rig.

        An entry of others happens at `now_us` if it is dated before. Returns how many were taken;
        a line that is no entry is passed over by raising `ConfigurationError`, once.
        """
        if len(self.journal) == self._kept and self._size() == self._seen:
            return 0
        with self._locked():
            fresh = self._read()[self._seen :]
            self._seen += len(fresh)
            taken = 0
            try:
                others = Journal.from_json_lines(fresh.decode())
            except (JournalError, UnicodeDecodeError) as error:
                raise ConfigurationError(
                    f"a line of the meters' journal is no entry and was passed over: {error}",
                    where=str(self.path),
                    mend="correct the line before the next run",
                ) from error
            for entry in others:
                self.journal.append(_dated(entry, max(entry.at_us, self._after(now_us))))
                taken += 1
            if taken:
                self._rewrite()  # they have the dates now at which they happened
            elif len(self.journal) > self._kept:
                self._append()
        return taken

    async def watch(
        self,
        now_us: Callable[[], int],
        on_problem: Callable[[ConfigurationError], None],
        on_change: Callable[[], None],
    ) -> None:
        """Exchange every ten seconds, until cancelled; and once more then.

        `on_change` is called when there are entries that were not there ten seconds before,
        whoever made them.
        """
        known = len(self.journal)
        try:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                self._try(now_us, on_problem)
                if len(self.journal) != known:
                    known = len(self.journal)
                    on_change()
        finally:
            self._try(now_us, on_problem)

    def _try(
        self, now_us: Callable[[], int], on_problem: Callable[[ConfigurationError], None]
    ) -> None:
        try:
            self.exchange(now_us())
        except ConfigurationError as error:
            on_problem(error)

    # -- the file -----------------------------------------------------------------------------

    def _after(self, now_us: int) -> int:
        last = self.journal.since(max(0, len(self.journal) - 1))
        return max(now_us, last[0].at_us) if last else now_us

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def _read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._unusable(error) from error

    def _append(self) -> None:
        new = Journal(self.journal.since(self._kept)).to_json_lines().encode()
        try:
            with open(self.path, "ab", opener=_for_the_owner) as file:
                file.write(new)
        except OSError as error:
            raise self._unusable(error) from error
        self._kept, self._seen = len(self.journal), self._seen + len(new)

    def _rewrite(self) -> None:
        text = self.journal.to_json_lines().encode()
        try:
            replace_file(self.path, text, mode=0o600)
        except OSError as error:
            raise self._unusable(error) from error
        self._kept, self._seen = len(self.journal), len(text)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The lock is a file of its own, since the journal is replaced when it is rewritten."""
        try:
            descriptor = os.open(self.path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _unusable(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"the journal of the meters cannot be used: {error.strerror}",
            where=str(self.path),
            mend="make the folder writable",
        )


def _for_the_owner(path: str, flags: int) -> int:
    """How the journal is opened when it may not be there yet."""
    return os.open(path, flags, 0o600)


def _dated(entry: Entry, at_us: int) -> Entry:
    """The entry at another instant, as long as before."""
    if isinstance(entry, DemandSet | OutageBegan) and entry.until_us is not None:
        return replace(entry, at_us=at_us, until_us=entry.until_us + at_us - entry.at_us)
    return replace(entry, at_us=at_us)
