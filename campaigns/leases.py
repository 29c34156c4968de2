"""Two users with two processes each fight over three rigs; some are killed, some are stopped.

    python campaigns/leases.py [--rounds 10000] [--stops 50] [--seed 1]

The rigs share sticks and devices, each pair in another order, so that whoever waited for one thing
while he had another would lock up sooner or later. Each user has an inventory of his own, as people
have, and both share the lock folder. Started as root, the users are two uids; otherwise two
inventories of one user, which is said.

Never are there two owners of a thing: the things know it themselves. Each has a file that its owner
creates, if there is none, with who he is; one that is there when a thing was taken, by somebody who
still lives, is a violation. Processes are killed at random, at any instruction; how long it takes
until what they had is free is measured. Then processes are stopped until others have taken over;
what they do when they go on is watched. What is wrong is printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pwd
import random
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import rigs
from labctl.config.loading import load_rig
from labctl.config.resolved import LoadedRig
from labctl.errors import BusyError
from labctl.leases import Kind, LeaseLostError, Leases, LockFolder, Thing
from labctl.rig.hold import hold_rig

RIGS = {"north": ("s1", "d1", "d2"), "east": ("s2", "d2", "d3"), "south": ("s1", "d3", "d1")}
"""A stick and two devices each; every two have something in common."""
PROCESSES_OF_A_USER = 2
STUCK_AFTER_S = 30.0
STALE_S = 1.0
TTL_S = 1.0
"""How soon a stopped process is silent, in the second part."""


@dataclass
class Figures:
    """What came of it."""

    rounds: int = 0
    busy: int = 0
    kills: int = 0
    kills_while_holding: int = 0
    stops: int = 0
    lost: int = 0
    late: int = 0
    longest_wait_s: float = 0.0
    longest_stale_s: float = 0.0
    longest_handover_s: float = 0.0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class User:
    """Whoever runs processes: a uid, and an inventory with the three rigs."""

    name: str
    uid: int
    rigs: tuple[LoadedRig, ...]


# -- the lab -------------------------------------------------------------------------------------


def users(folder: Path) -> list[User]:
    """Two users with a home each. As root they are two uids."""
    uids = [65534, 65533] if os.getuid() == 0 else [os.getuid()] * 2
    found = []
    for number, uid in enumerate(uids):
        home = folder / f"user{number}"
        (home / "rigs").mkdir(parents=True)
        found.append(User(f"user{number}", uid, tuple(_rigs_of(home))))
        for path in (home, home / "rigs"):
            os.chown(path, uid, -1)
    return found


def _rigs_of(home: Path) -> Iterator[LoadedRig]:
    _, rig = rigs.shipped()
    inventory: dict[str, Any] = {
        "radios": {
            f"s{number}": {"driver": "ezsp", "path": f"socket://lab-{number}:6638"}
            for number in (1, 2)
        },
        "devices": {
            f"d{number}": {
                "kind": "ihd",
                "eui64": f"00:00:5e:ef:20:00:00:{number:02x}",
                "install_code": rigs.install_code(number),
            }
            for number in (1, 2, 3)
        },
    }
    yaml = YAML(typ="safe")
    with (home / "inventory.yaml").open("w") as file:
        yaml.dump(inventory, file)
    rig.pop("virtual", None)
    for name, (radio, *devices) in RIGS.items():
        rig["rig"] = name
        rig["hub"] = {**rig["hub"], "radio": radio}
        rig["devices"] = [{"device": device} for device in devices]
        path = home / "rigs" / f"{name}.yaml"
        with path.open("w") as file:
            yaml.dump(rig, file)
        yield load_rig(path)


class Things:
    """The things themselves: each has a file that says whose it is.

    A symbolic link, which appears with what it says or not at all, and only where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)

    def enter(self, thing: Thing) -> None:
        """Note that this process has it. Raises `AssertionError` when another one, alive, has."""
        path = self.folder / thing.file_stem
        mine = f"{os.getpid()} {_born(os.getpid())}"
        deadline_s = time.monotonic() + STALE_S
        while True:
            try:
                os.symlink(mine, path)
                return
            except FileExistsError:
                text = _text(path)
            if text is None:
                continue
            if not _lives(text):
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()  # he was killed while he had it
            elif time.monotonic() > deadline_s:
                # The kernel lets go of a dying process's locks shortly before it is gone.
                raise AssertionError(f"two owners of {thing}: {mine} and {text}")

    def are_left_by(self, pid: int) -> bool:
        """Whether a process that is gone had any."""
        texts = [_text(path) for path in self.folder.iterdir()]
        return any(text is not None and text.startswith(f"{pid} ") for text in texts)

    def leave(self, thing: Thing) -> None:
        """Take the note away. Raises `AssertionError` when it is not this process's any more."""
        path = self.folder / thing.file_stem
        text = _text(path)
        if text is None or not text.startswith(f"{os.getpid()} "):
            raise AssertionError(f"{thing} was taken from {os.getpid()} by {text}")
        path.unlink()


def _text(path: Path) -> str | None:
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return None


def _born(pid: int) -> str:
    """When a process started; tells it from another one that has its number later."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[19]


def _lives(text: str) -> bool:
    pid, born = text.split()
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return words[19] == born and words[0] not in "ZX"


# -- the processes ---------------------------------------------------------------------------------


class Team:
    """Processes that are forked, each as its user, and tell what they do in lines of JSON."""

    def __init__(self, members: list[User], work: Callable[..., None], seed: int) -> None:
        self._work = work
        self._random = random.Random(f"{seed}/team")
        self.members = members
        self.at: dict[int, tuple[User, int]] = {}
        """The reading end of each process's pipe, by pid."""
        self._rest: dict[int, bytes] = {}
        for member in members:
            self.start(member)

    def start(self, user: User) -> int:
        """Fork one more."""
        reading, writing = os.pipe()
        seed = self._random.random()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(reading)
                if os.getuid() == 0:
                    os.setgroups([])
                    os.setuid(user.uid)
                os.umask(0o077)  # the unkindest that a user can have
                self._work(user, random.Random(seed), lambda what: _tell(writing, what))
                code = 0
            except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
                _tell(writing, {"wrong": traceback.format_exc()})
            finally:
                os._exit(code)
        os.close(writing)
        self.at[pid] = user, reading
        return pid

    def heard(self, timeout_s: float) -> Iterator[tuple[int, dict[str, Any]]]:
        """What was told within that time."""
        ends = {reading: pid for pid, (_, reading) in self.at.items()}
        ready, _, _ = select.select(list(ends), [], [], timeout_s)
        for end in ready:
            for what in self._read(end):
                yield ends[end], what

    def _read(self, end: int) -> list[dict[str, Any]]:
        octets = self._rest.pop(end, b"") + os.read(end, 1 << 16)
        *lines, rest = octets.split(b"\n")
        if rest:
            self._rest[end] = rest
        return [json.loads(line) for line in lines]

    def kill(self, pid: int) -> User:
        """End one, and wait for its end."""
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        user, reading = self.at.pop(pid)
        self._rest.pop(reading, None)
        os.close(reading)
        return user

    def end(self) -> None:
        """End all."""
        for pid in list(self.at):
            self.kill(pid)


def _tell(end: int, what: dict[str, Any]) -> None:
    os.write(end, json.dumps(what).encode() + b"\n")


# -- first part: killed ----------------------------------------------------------------------------


def fight(
    rounds: int, seed: int, folder: Path, *, kill_every_s: float = 0.15, figures: Figures
) -> None:
    """`rounds` times some process has some rig. Adds to `figures`."""
    things = Things(folder / "things")

    def work(user: User, chance: random.Random, tell: Callable[[dict[str, Any]], None]) -> None:
        while True:
            loaded = chance.choice(user.rigs)
            began_s = time.monotonic()
            try:
                with hold_rig(loaded, "campaign", wait_s=chance.choice((0.0, 0.2, 5.0))) as hold:
                    waited_s = time.monotonic() - began_s
                    mine = [thing for thing in hold.things if thing.kind is not Kind.RIG]
                    for thing in mine:
                        things.enter(thing)
                    time.sleep(chance.random() * 0.004)
                    if chance.random() < 0.2:
                        hold.beat(patience_s=5.0)
                    fence = hold.fence(loaded.radio_name)
                    assert fence is not None
                    fence()
                    for thing in mine:
                        things.leave(thing)
                tell({"round": loaded.name, "waited_s": waited_s})
            except BusyError as error:
                if "has stopped" in error.what:
                    raise  # nobody is stopped here
                tell({"busy": loaded.name})
            time.sleep(chance.random() * 0.002)

    chance = random.Random(f"{seed}/kills")
    members = [user for user in users(folder) for _ in range(PROCESSES_OF_A_USER)]
    team = Team(members, work, seed)
    leases = Leases(LockFolder.shared())
    kill_at_s = heard_s = time.monotonic()
    served: set[str] = set()
    try:
        while figures.rounds < rounds and not figures.wrong:
            for _, what in team.heard(0.02):
                if "wrong" in what:
                    figures.wrong.append(what["wrong"])
                elif "busy" in what:
                    figures.busy += 1
                else:
                    heard_s = time.monotonic()
                    served.add(what["round"])
                    figures.rounds += 1
                    figures.longest_wait_s = max(figures.longest_wait_s, what["waited_s"])
            now_s = time.monotonic()
            if now_s - heard_s > STUCK_AFTER_S:
                figures.wrong.append(f"nobody got anything for {STUCK_AFTER_S:.0f} s: a deadlock")
            if now_s > kill_at_s:
                kill_at_s = now_s + chance.uniform(0.5, 1.5) * kill_every_s
                # Not at once: something was heard just now, and that is when nobody has anything.
                time.sleep(chance.uniform(0.0, 0.02))
                _kill(team, chance.choice(list(team.at)), leases, things, figures)
    finally:
        team.end()
    if rounds >= 100 and served != set(RIGS):
        figures.wrong.append(f"only {', '.join(sorted(served))} were ever had")
    left = leases.states()
    if left:
        figures.wrong.append(f"leases outlived all processes: {left}")


def _kill(team: Team, pid: int, leases: Leases, things: Things, figures: Figures) -> None:
    """Kill one, and see how long what it had stays leased to it."""
    user = team.kill(pid)
    died_s = time.monotonic()
    figures.kills += 1
    figures.kills_while_holding += things.are_left_by(pid)
    while any(entry.pid == pid for state in leases.states() for entry in state.entries):
        if time.monotonic() - died_s > STUCK_AFTER_S:
            break
    stale_s = time.monotonic() - died_s
    figures.longest_stale_s = max(figures.longest_stale_s, stale_s)
    if stale_s > STALE_S:
        figures.wrong.append(f"the leases of {pid} outlived it by {stale_s:.2f} s")
    team.start(user)


# -- second part: stopped --------------------------------------------------------------------------


def stop(stops: int, seed: int, folder: Path, *, figures: Figures) -> None:
    """`stops` times the owner of a thing is stopped until another one has it. Adds to `figures`.

    The thing counts as a radio does that knows nothing of tokens: a write with an older token after
    one with a newer one is *late*. There is an instant between the check and the write, in which a
    process can be stopped; a second late write after that would be wrong.
    """
    thing = Thing(Kind.RADIO, "campaign-stops")
    written = folder / "written"
    written.write_text("")
    written.chmod(0o666)
    path = LockFolder.shared().path

    def work(user: User, chance: random.Random, tell: Callable[[dict[str, Any]], None]) -> None:
        descriptor = os.open(written, os.O_WRONLY | os.O_APPEND)
        leases = Leases(LockFolder(path))
        while True:
            lease = leases.take([thing], purpose="campaign", ttl_s=TTL_S, wait_s=60.0)
            token = lease.token(thing)
            tell({"has": token, "at_s": time.monotonic()})
            try:
                while True:
                    for _ in range(100):  # by the check alone, and not by a heartbeat, it is found
                        lease.check(thing)
                        os.write(descriptor, f"{token}\n".encode())
                        time.sleep(0.001)
                    lease.beat(patience_s=5.0)
            except LeaseLostError:
                tell({"lost": token})
            finally:
                lease.release()

    team = Team(users(folder), work, seed)
    chance = random.Random(f"{seed}/stops")
    owner, _ = _next(team, figures)
    try:
        for _ in range(stops):
            if figures.wrong:
                break
            time.sleep(chance.uniform(0.0, 0.05))
            os.kill(owner, signal.SIGSTOP)
            stopped_s = time.monotonic()
            other, has = _next(team, figures)
            if has is None:
                break
            figures.stops += 1
            took_s = has["at_s"] - stopped_s
            figures.longest_handover_s = max(figures.longest_handover_s, took_s)
            if took_s > TTL_S + STALE_S:
                figures.wrong.append(
                    f"a silent lease outlived its expiry by {took_s - TTL_S:.2f} s"
                )
            time.sleep(0.02)
            os.kill(owner, signal.SIGCONT)
            figures.lost += _hears(team, owner, "lost", figures)
            owner = other
    finally:
        team.end()
    _judge([int(line) for line in written.read_text().split()], figures)


def _judge(tokens: list[int], figures: Figures) -> None:
    highest, late = 0, dict[int, int]()
    for token in tokens:
        if token < highest:
            late[token] = late.get(token, 0) + 1
        highest = max(highest, token)
    figures.late += sum(late.values())
    figures.wrong += [
        f"token {token} wrote {count} times after a newer one"
        for token, count in late.items()
        if count > 1
    ]


def _next(team: Team, figures: Figures) -> tuple[int, dict[str, Any] | None]:
    """Who gets the thing next."""
    deadline_s = time.monotonic() + STUCK_AFTER_S
    while time.monotonic() < deadline_s and not figures.wrong:
        for pid, what in team.heard(0.05):
            if "wrong" in what:
                figures.wrong.append(what["wrong"])
            elif "has" in what:
                return pid, what
    figures.wrong.append(f"nobody got the thing for {STUCK_AFTER_S:.0f} s")
    return 0, None


def _hears(team: Team, pid: int, word: str, figures: Figures) -> bool:
    deadline_s = time.monotonic() + STUCK_AFTER_S
    while time.monotonic() < deadline_s:
        for teller, what in team.heard(0.05):
            if "wrong" in what:
                figures.wrong.append(what["wrong"])
                return False
            if teller == pid and word in what:
                return True
    figures.wrong.append("a process that was passed over did not notice")
    return False


@contextlib.contextmanager
def lab() -> Iterator[Path]:
    """A folder that two users reach, with the lock folder in it."""
    with tempfile.TemporaryDirectory(prefix="labctl-leases-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        before = os.environ.get("LABCTL_LOCKS")
        os.environ["LABCTL_LOCKS"] = str(folder / "locks")
        LockFolder(folder / "locks", mode=0o1777)
        try:
            yield folder
        finally:
            if before is None:
                del os.environ["LABCTL_LOCKS"]
            else:
                os.environ["LABCTL_LOCKS"] = before


def main() -> int:
    """Run it and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    figures = Figures()
    began_s = time.monotonic()
    with lab() as folder:
        fight(options.rounds, options.seed, folder, figures=figures)
    fought_s = time.monotonic() - began_s
    if not figures.wrong:
        with lab() as folder:
            stop(options.stops, options.seed, folder, figures=figures)
    who = "two uids" if os.getuid() == 0 else f"two homes of {pwd.getpwuid(os.getuid()).pw_name}"
    print(f"users             {who}, {PROCESSES_OF_A_USER} processes each")
    print(f"rounds            {figures.rounds} in {fought_s:.0f} s; {figures.busy} times busy")
    print(f"longest wait      {figures.longest_wait_s:.2f} s")
    print(f"killed            {figures.kills}, {figures.kills_while_holding} of them while holding")
    print(f"longest stale     {figures.longest_stale_s * 1000:.0f} ms after the owner's death")
    print(f"stopped           {figures.stops}, {figures.lost} noticed when they went on")
    print(f"longest handover  {figures.longest_handover_s:.2f} s after the stop, expiry {TTL_S} s")
    print(f"late writes       {figures.late}, between a check and its write")
    for wrong in figures.wrong:
        print(f"WRONG: {wrong}", file=sys.stderr)
    return 1 if figures.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
