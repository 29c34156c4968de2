"""Replacing a file as a whole: what a kill leaves is the old content or the new one.

What is kept between runs is written this way: keys, flash memories, notes; and a report too, since
somebody may have the old one open.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

_NO_FSYNC_OF_FOLDERS = {errno.EINVAL, errno.ENOTSUP}
"""What a file system says that cannot be asked to write a folder's entries down at once."""


def replace_file(
    path: Path, content: str | bytes, *, mode: int = 0o666, durable: bool = False
) -> None:
    """Make `content` what the file `path` holds; readers see the old content or all of the new.

    Text is written as UTF-8. The file is made new with the permissions `mode` less the umask,
    whatever those of the old one were, and has them from its first octet on: a secret with mode
    0600 is never readable for a moment. Two writers at a time do not meet; the later one wins.
    `durable` waits until the disk has the content, so that the loss of power cannot undo it.

    The folder has to be there. Raises `OSError` when it cannot be done; nothing is left behind then
    but the old file (or, if only the wait for the disk failed, the new one).
    """
    octets = content.encode() if isinstance(content, str) else content
    # In the same folder, since only there a rename is one step; a short name, since that of `path`
    # may be as long as names can be.
    fresh = path.with_name(f".labctl-{secrets.token_hex(8)}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(octets)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(fresh, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first failure is the one to be told
            fresh.unlink()
        raise
    if durable:
        _fsync_folder(path.parent)


def _fsync_folder(folder: Path) -> None:
    """The new name is an entry of the folder, and has to reach the disk as well."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FSYNC_OF_FOLDERS:
            raise
    finally:
        os.close(descriptor)
