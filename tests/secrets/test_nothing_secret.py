"""After all that can happen to a rig, no key and no code is in anything that it left behind."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from leak_search import Wanted, digits, keys_in, leaks, octets
from virtual_rigs import short_periods, write_rig

from labctl.cli.logs import configure_logging
from labctl.cli.main import main
from labctl.config.loading import load_rig
from labctl.errors import ExitCode
from labctl.events import Event, ReadServed
from labctl.rig.loop import run
from labctl.rig.session import RigSession, open_rig
from labctl.smart_energy.install_code import InstallCode
from labctl.smart_energy.local_code import local_code

MINUTE = 60.0
PIN, WRONG_PIN = "7294", "8351"
UTRN = "73920184655102938476"
MISTYPED = "A1B2C3D4E5F60718293A4B5C6D7E8F901234"

EXEMPT = {
    "inventory.yaml": "the lab's own file of devices, written by a person",
    "air.keys": "asked for with --keys",
    "hub.json": "asked for with `labctl hub export`",
    ".labctl/*/keys.json": "the device log's key store",
    ".labctl/*/lab-ca.json": "the lab's certificate authority",
    ".labctl/*/foreign-ca.json": "the authority of devices with certificates of another issuer",
    ".labctl/*/stick*.json": "a virtual stick's flash",
    ".labctl/*/DEVICE.json": "a virtual device's flash",
    ".labctl/*/*-ppmid.screen.json": "what a display shows of top-ups, as it read it from the hub",
    ".labctl/*/journal.jsonl": "the meters' journal: codes of top-ups, to know a second use",
}
"""Files that are there to hold secrets, and why. DEVICE is the name of one in the inventory."""
SOMETIMES = {".labctl/*/foreign-ca.json", ".labctl/*/*-ppmid.screen.json"}
"""Those that are in rigs with such devices alone."""
BY_A_PERSON = {"inventory.yaml"}
"""Those whose permissions are a person's business."""


@dataclass
class Lab:
    """A folder in which a rig lived, and every secret that there ever was in it."""

    folder: Path
    rig: Path
    wanted: dict[Wanted, None] = field(default_factory=dict)
    codes: list[int] = field(default_factory=list)

    def collect(self) -> None:
        """Note the secrets that are in use now."""
        devices = self.devices()
        for name, device in devices.items():
            code = InstallCode.parse(device["install_code"])
            self.want(octets(f"install code of {name}", code.octets.reveal()))
            self.want(octets(f"install-code key of {name}", code.link_key().reveal()))
            self.want(digits(f"pairing code of {name}", local_code(code).reveal().decode()))
        for path in (self.folder / ".labctl").rglob("*.json"):
            if not path.name.endswith(".screen.json"):
                for secret in keys_in(path):
                    self.want(secret)

    def collect_from(self, session: RigSession) -> bytes:
        """The same from a running rig; returns the network key."""
        assert session.bench is not None
        keys = session.bench.wireshark_keys()
        for key, label in keys:
            self.want(octets(label, key))
        self.collect()
        (network, *_) = [key for key, label in keys if "network" in label.lower()]
        return network

    def want(self, secret: Wanted) -> None:
        if not secret.octets or (len(secret.octets) >= 16 and any(secret.octets)):
            self.wanted[secret] = None

    def devices(self) -> dict[str, Any]:
        from ruamel.yaml import YAML

        inventory = YAML(typ="safe").load((self.folder / "inventory.yaml").read_text())
        return dict(inventory["devices"])

    def call(self, *words: str) -> int:
        """Run a command as a person would; what it says is kept in a file."""
        said = self.folder / "said" / f"{len(self.codes):02}-{words[0]}"
        with (
            said.with_suffix(".out").open("w") as out,
            said.with_suffix(".err").open("w") as err,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main(list(words))
        self.codes.append(code)
        self.collect()
        return code

    def is_exempt(self, path: Path) -> bool:
        shown = path.relative_to(self.folder).as_posix()
        patterns = [
            pattern.replace("DEVICE", device)
            for pattern in EXEMPT
            for device in (self.devices() if "DEVICE" in pattern else [""])
        ]
        return any(fnmatch(shown, pattern) for pattern in patterns)

    def files(self) -> list[tuple[Path, bytes]]:
        """All files, and what is packed into them."""
        found = []
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                found.append((path, path.read_bytes()))
                if path.suffix == ".zip":
                    with zipfile.ZipFile(path) as archive:
                        found += [(path / name, archive.read(name)) for name in archive.namelist()]
        return found


@contextlib.contextmanager
def kept_log(path: Path) -> Iterator[None]:
    """All that labctl and the drivers log, through labctl's own logging."""
    before = {
        name: logging.getLogger(name).level for name in (None, *logging.Logger.manager.loggerDict)
    }
    with path.open("w") as file:
        configure_logging(3, lambda line: print(line, file=file))
        try:
            yield
        finally:
            configure_logging(0, lambda line: None)
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)


def changed(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
    """Four devices: one is right, one has another code, one another issuer, one is for later."""
    shown = {device["device"]: device for device in rig["devices"]}
    has_868 = "sub-ghz-ihd" in shown
    other = "sub-ghz-ihd" if has_868 else "virtual-dual-cad"
    later = "sub-ghz-ppmid" if has_868 else "virtual-dual-cad"
    chosen = ["virtual-ihd", "virtual-cad", *(["sub-ghz-ihd"] if has_868 else [])]
    rig["devices"] = [shown[name] for name in chosen]
    short_periods(inventory, rig)
    devices = inventory["devices"]
    devices["virtual-cad"]["virtual"]["behaviour"] = {"wrong_install_code": True}
    if other != later:
        devices[other]["virtual"]["behaviour"] = {"foreign_certificate": True}
    rig["devices"].append({"device": later, "pairing": {"method": "local-code"}})
    rig["meters"]["electricity"]["prepayment"] = {"credit": 10, "emergency_credit": 5}
    if "sub_ghz_links" in rig["hub"]:
        rig["hub"]["sub_ghz_links"] = 2


@pytest.fixture(scope="module", params=["virtual-dual-band", "virtual-znp"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab after its worst day."""
    folder = tmp_path_factory.mktemp("lab")
    rig = write_rig(folder, changed, request.param)
    (folder / "said").mkdir()
    (folder / "tmp").mkdir()
    lab = Lab(folder, rig)
    for name, value in (("PIN", PIN), ("wrong PIN", WRONG_PIN), ("UTRN", UTRN)):
        lab.want(digits(name, value))
    lab.want(octets("mistyped code", bytes.fromhex(MISTYPED)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TMPDIR", str(folder / "tmp"))
        patch.setattr(tempfile, "tempdir", None)
        for name in [name for name in os.environ if name.startswith("LABCTL_")]:
            patch.delenv(name)
        a_bad_day(lab)
        yield lab


def a_bad_day(lab: Lab) -> None:
    name = str(lab.rig)
    later = load_rig(lab.rig).devices[-1]
    code = local_code(InstallCode.parse(lab.devices()[later.name]["install_code"]))
    typed = code.reveal().decode()
    assert lab.call("meter", "keypad", name, "--set-pin", "--pin", PIN) == 0
    lab.call(
        *("bench", name, "--for", "8min", "--plain", "-vvv"),
        *("--capture", "air.pcap", "--keys", "air.keys"),
    )
    assert lab.call("meter", "set", name, "top-up", UTRN, "--amount", "10") == 0
    assert lab.call("meter", "keypad", name, later.name, "--pin", WRONG_PIN, "--code", typed) == 2
    mistyped = typed[:-1] + str(9 - int(typed[-1]))
    lab.want(digits("mistyped pairing code", mistyped))
    assert lab.call("meter", "keypad", name, later.name, "--pin", PIN, "--code", mistyped) == 2
    lab.call("meter", "keypad", name, later.name, "--pin", PIN, "--code", typed, "-vvv")
    assert lab.call("pair", name, "--eui64", "00:0d:6f:00:00:00:99:99", "--code", MISTYPED) == 2
    in_one_session(lab)
    only = ("--device", "virtual-ihd", "--device", "virtual-cad")
    assert lab.call("campaign", "run", name, "J01", "J02", *only, "-vvv") == 1
    assert lab.call("hub", "export", name, "hub.json") == 0
    assert lab.call("hub", "log", name, "--json", "-vv") == 0
    assert lab.call("unpair", name, "virtual-ihd", "--yes", "-vvv", "--reason", "moved out") == 0
    lab.call("bench", name, "--for", "5min", "--json", "-vv")
    for words in (
        ["report", name, "--out", "again"],
        ["runs", "--json"],
        ["links", name, "--json"],
    ):
        assert lab.call(*words) in (0, 1), words


def in_one_session(lab: Lab) -> None:
    """The network key is changed, the radio is lost, a bug has keys in its text."""
    loaded = load_rig(lab.rig)

    async def scenario() -> None:
        async with open_rig(loaded, kind="bench", database=lab.folder / "labctl.db") as session:
            await session.pair_all()
            session.power_on()
            await asyncio.sleep(3 * MINUTE)
            before = lab.collect_from(session)
            await session.hub.update_network_key()
            await asyncio.sleep(2 * MINUTE)
            after = lab.collect_from(session)
            assert after != before
            assert session.bench is not None
            await session.bench.unplug()
            await asyncio.sleep(MINUTE)
            await session.bench.plug()
            await asyncio.sleep(3 * MINUTE)

            def stumble(event: Event) -> None:
                if isinstance(event, ReadServed):
                    told = f"{after.hex()} {after!r} {list(after)} {after.hex(':')} {UTRN}"
                    raise ValueError(f"cannot convert {told}")

            session.bus.subscribe(stumble)
            cause = await asyncio.wait_for(session.broken, 10 * MINUTE)
            assert cause.exit_code is ExitCode.BUG
            assert "ValueError: cannot convert" in cause.what

    with kept_log(lab.folder / "said" / "session.log"):
        run(loaded, scenario())
    lab.collect()


def test_the_day_was_a_bad_one(lab: Lab) -> None:
    """Or the search would be of nothing."""
    with sqlite3.connect(lab.folder / "labctl.db") as db:
        kinds = {kind for (kind,) in db.execute("SELECT DISTINCT kind FROM events")}
        outcomes = {outcome for (outcome,) in db.execute("SELECT DISTINCT outcome FROM joins")}
    assert {"network-key-switched", "internal-error", "keypad-refused"} <= kinds
    assert {"authorised", "failed"} <= outcomes
    assert any("radio" in kind for kind in kinds), kinds
    names = [secret.name for secret in lab.wanted]
    for part in ("network", "install code of", "private_key", "keys.json", "virtual-ihd.json"):
        assert any(part in name for name in names), part
    assert len(names) >= 30
    log = (lab.folder / "said" / "session.log").read_text()
    drivers = ("zigpy_znp.api", "zigpy") if "znp" in lab.rig.name else ("bellows.ash", "zigpy")
    for logger in drivers:
        assert f"DEBUG {logger}" in log, logger
    assert "<hidden>" in log
    assert list((lab.folder / "reports").iterdir())
    packed = [path.as_posix() for path, _ in lab.files() if ".evidence.zip/" in path.as_posix()]
    for end in (".db", ".log", ".html", "MANIFEST", "configuration.json", "J01-virtual-cad-1.pcap"):
        assert any(path.endswith(end) for path in packed), end


def test_no_secret_is_anywhere_but_where_it_belongs(lab: Lab) -> None:
    searched = [(path, content) for path, content in lab.files() if not lab.is_exempt(path)]
    suffixes = {path.suffix for path, _ in searched}
    assert {".html", ".md", ".json", ".db", ".pcap", ".out", ".err", ".log", ".yaml"} <= suffixes
    shown = [(path.relative_to(lab.folder), content) for path, content in searched]
    found = leaks(shown, lab.wanted)
    assert not found, "\n".join(found)


def test_each_file_with_secrets_is_for_its_owner_alone_and_has_some(lab: Lab) -> None:
    for pattern, why in EXEMPT.items():
        names = lab.devices() if "DEVICE" in pattern else [""]
        paths = [
            path for name in names for path in lab.folder.glob(pattern.replace("DEVICE", name))
        ]
        if pattern in SOMETIMES and lab.rig.stem != "virtual-dual-band":
            continue
        assert paths, pattern
        assert leaks([(path, path.read_bytes()) for path in paths], lab.wanted), (pattern, why)
        if pattern not in BY_A_PERSON:
            for path in paths:
                assert path.stat().st_mode & 0o777 == 0o600, path


def test_what_was_deleted_from_the_database_and_its_dump_hold_no_secret(lab: Lab) -> None:
    """Values of all columns, however SQLite lays them out on its pages."""
    with sqlite3.connect(lab.folder / "labctl.db") as db:
        dump = io.StringIO()
        for line in db.iterdump():
            dump.write(line + "\n")
        tables = [
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        blobs = b"\0".join(
            value
            for table in tables
            for row in db.execute(f'SELECT * FROM "{table}"')
            for value in row
            if isinstance(value, bytes)
        )
    content = [(Path("dump"), dump.getvalue().encode()), (Path("blobs"), blobs)]
    assert leaks(content, lab.wanted) == []


def test_hiding_does_not_eat_what_commands_are_for(lab: Lab) -> None:
    (path,) = sorted((lab.folder / "said").glob("*-hub.out"))[-1:]
    entries = json.loads(path.read_text())["data"]["entries"]
    assert [entry["eui64"] for entry in entries if len(entry["eui64"]) == 23]
