"""The lock folder: where it is, whether it can be used, and the one lock under which it changes.

Whoever cannot use it gets no lease: two people who lock in two places have no lock at all.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from labctl.errors import BusyError, ConfigurationError, RigError

VARIABLE = "LABCTL_LOCKS"
_USUAL = (Path("/run/lock"), Path("/var/lock"), Path("/var/tmp"))  # noqa: S108 - shared on purpose
_NAME = "labctl"
_OPEN_TO_ALL = 0o1777
_GUARD = "guard.lock"
_GUARD_PATIENCE_S = 10.0
_GUARD_POLL_S = 0.002


class LockFolder:
    """A folder with kernel locks and the records beside them.

    Its files are as open as the folder itself: 0666 where all may write, 0660 where a group may,
    0600 where one person may. The folder is made when it is not there.
    """

    def __init__(self, path: Path, *, mode: int = 0o700, mend: str = "") -> None:
        self.path = path
        self._mend = mend or "make the folder writable"
        try:
            if not path.is_dir():
                self._make(mode)
            status = os.stat(path)
        except OSError as error:
            raise self.unusable(error) from error
        if not stat.S_ISDIR(status.st_mode):
            raise self._cannot("it is no folder")
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise self._cannot("Permission denied")
        if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
            raise RigError(
                "anybody could take a lock away here",
                where=str(path),
                mend=f"chmod +t {path}",
            )
        self.file_mode = 0o600 | (status.st_mode & 0o066)
        if self.file_mode & 0o020:
            self.file_mode |= 0o060
        if self.file_mode & 0o002:
            self.file_mode |= 0o006

    @classmethod
    def shared(cls) -> LockFolder:
        """The folder that all users of this computer share: LABCTL_LOCKS, or the usual place.

        Raises `RigError` when it cannot be used, `ConfigurationError` when LABCTL_LOCKS is no
        absolute path.
        """
        named = os.environ.get(VARIABLE)
        if named:
            path = Path(named)
            if not path.is_absolute():
                raise ConfigurationError(
                    f"{VARIABLE} is not an absolute path", where=named, mend="write /a/path"
                )
            return cls(path, mend=f"correct {VARIABLE}, or make that folder writable")
        parent = next((place for place in _USUAL if place.is_dir()), _USUAL[-1])
        path = parent / _NAME
        return cls(
            path,
            mode=_OPEN_TO_ALL,
            mend=f"sudo install -d -m 1777 {path} (all users of the computer need the same folder, "
            f"after each of its starts: docs/leases.md), or name another in {VARIABLE}",
        )

    def _make(self, mode: int) -> None:
        """Two may be at it at once, and one may be killed: it appears with its mode, or not."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{self.path.name}-{secrets.token_hex(8)}.new")
        os.mkdir(fresh, 0o700)
        try:
            os.chmod(fresh, mode)
            os.rename(fresh, self.path)
        except OSError:
            os.rmdir(fresh)
            if not self.path.is_dir():
                raise

    def make_file(self, name: str, *, octets: int = 0) -> None:
        """See to it that this file is there, as open as the folder, with `octets` zeros in it.

        It appears with its mode or not at all: a file that its maker had no time to open to the
        others would shut them out for ever. Raises `OSError`.
        """
        path = self.path / name
        if path.exists():
            return
        fresh = self.path / f".{secrets.token_hex(8)}.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with contextlib.closing(os.fdopen(descriptor, "wb")) as file:
                os.fchmod(descriptor, self.file_mode)
                file.write(bytes(octets))
            with contextlib.suppress(FileExistsError):  # another was faster: his is as good
                os.link(fresh, path)
        finally:
            os.unlink(fresh)

    @contextmanager
    def guard(self, *, patience_s: float = _GUARD_PATIENCE_S) -> Iterator[None]:
        """Whoever is in here is alone. It takes milliseconds; who waits for long is told so.

        Raises `BusyError` after `patience_s`, `RigError` when the folder cannot be used.
        """
        try:
            self.make_file(_GUARD)
            lock = self._lock(_GUARD)
            lock.acquire(timeout=patience_s, poll_interval=_GUARD_POLL_S)
        except Timeout:
            raise BusyError(
                "the leases do not answer: a process has stopped while it was changing them",
                where=str(self.path),
                mend=f"`fuser -v {self.path / _GUARD}` says which: let it go on, or end it",
            ) from None
        except OSError as error:
            raise self.unusable(error) from error
        try:
            self._must_be_of_the_kernel(lock)
            yield
        finally:
            lock.release()

    def _lock(self, name: str) -> FileLock:
        return FileLock(self.path / name, timeout=0, mode=self.file_mode, thread_local=False)

    def try_lock(self, name: str) -> FileLock | None:
        """Take the kernel lock of that name, or None when another has it.

        Raises `OSError`, `RigError`.
        """
        self.make_file(name)
        lock = self._lock(name)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        self._must_be_of_the_kernel(lock)
        return lock

    def _must_be_of_the_kernel(self, lock: BaseFileLock) -> None:
        """filelock makes do with mere files where there is no flock: those outlive their owner."""
        if not isinstance(lock, FileLock):
            lock.release()
            raise self._cannot("its file system has no kernel locks")

    def unusable(self, error: OSError) -> RigError:
        """The error for what the system said."""
        return self._cannot(error.strerror or str(error))

    def _cannot(self, why: str) -> RigError:
        return RigError(
            f"the lock folder cannot be used: {why}", where=str(self.path), mend=self._mend
        )
