"""What the doctor asks of the computer. A test puts another one in its place."""

from __future__ import annotations

import getpass
import grp
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from labctl.clock import wall_us

_PATIENCE_S = 10.0
_RULES = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")


@dataclass(frozen=True, slots=True)
class Said:
    """What a program said."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class DevicePermissions:
    """Who may open a port: the owner's and the group's names, and what this user may do."""

    owner: str
    group: str
    mode: int
    may_open: bool


class Host:
    """This computer. Methods raise nothing: what cannot be learnt is None."""

    @property
    def system(self) -> str:
        """`Linux`, `Darwin`."""
        return platform.system()

    def user(self) -> str:
        """Who runs labctl."""
        try:
            return getpass.getuser()
        except (KeyError, OSError):
            return str(os.getuid())

    def is_root(self) -> bool:
        """Whether nothing is forbidden."""
        return os.geteuid() == 0

    def groups(self) -> frozenset[str]:
        """The groups of this process: those of the login, not those written down since."""
        return frozenset(_group(gid) for gid in {*os.getgroups(), os.getegid()})

    def member_of(self, group: str) -> bool:
        """Whether the user is written down as a member, whether or not he logged in since."""
        try:
            return self.user() in grp.getgrnam(group).gr_mem
        except KeyError:
            return False

    def permissions(self, path: str) -> DevicePermissions | None:
        """Who may open a port; None when it is not there."""
        try:
            status = os.stat(path)
        except OSError:
            return None
        return DevicePermissions(
            owner=str(status.st_uid),
            group=_group(status.st_gid),
            mode=status.st_mode & 0o777,
            may_open=os.access(path, os.R_OK | os.W_OK),
        )

    def file_mode(self, path: Path) -> tuple[int, bool] | None:
        """The permissions of a file, and whether it is this user's; None when it is not there."""
        try:
            status = path.stat()
        except OSError:
            return None
        return status.st_mode & 0o777, status.st_uid == os.geteuid()

    def processes(self, name: str) -> list[int]:
        """Processes of this name, by /proc."""
        found = []
        for comm in Path("/proc").glob("[0-9]*/comm"):
            try:
                if comm.read_text().strip() == name[:15]:
                    found.append(int(comm.parent.name))
            except OSError:
                continue  # it ended meanwhile
        return sorted(found)

    def run(self, *words: str) -> Said | None:
        """What a program says; None when it is not installed or says nothing in 10 s."""
        program = shutil.which(words[0])
        if program is None:
            return None
        try:
            done = subprocess.run(  # noqa: S603 - fixed words, no shell
                [program, *words[1:]],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_PATIENCE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return Said(done.returncode, (done.stdout + done.stderr).strip())

    def udev_rules(self) -> dict[str, str]:
        """Rule files by path, later folders first hidden by earlier ones as udev has it."""
        found: dict[str, str] = {}
        names: set[str] = set()
        for folder in map(Path, _RULES):
            try:
                files = sorted(folder.glob("*.rules"))
            except OSError:
                continue
            for file in files:
                if file.name in names:
                    continue
                names.add(file.name)
                try:
                    found[str(file)] = file.read_text(errors="replace")
                except OSError:
                    continue  # a rule that one may not read is not ours
        return found

    def free_octets(self, folder: Path) -> int | None:
        """Room on the disk of a folder, as this user may use it."""
        try:
            return shutil.disk_usage(folder).free
        except OSError:
            return None

    def wall_us(self) -> int:
        """UTC as the computer has it."""
        return wall_us()


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
