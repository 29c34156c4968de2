"""The doctor's checks, one by one, on facts that are put in."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from labctl.cli.main import main
from labctl.config.inventory import Driver, Radio
from labctl.config.loading import inspect_inventory
from labctl.errors import ConfigurationError, DatabaseError, ExitCode, RigError
from labctl.events import Band
from labctl.lab.doctor import Row, Verdict, access, exit_code, sticks, store
from labctl.lab.doctor.examine import Patient, examine, last_real_us
from labctl.lab.doctor.host import DevicePermissions, Host, Said
from labctl.lab.doctor.row import fail, ok, skip, warn
from labctl.lab.survey import Look, State
from labctl.lab.survey import Row as Stick
from labctl.radio.holders import Holders
from labctl.radio.ports import Port
from labctl.radio.probe import Probed
from labctl.radio.sticks import Line, stick_of
from labctl.record.database import Health, open_for_writing
from labctl.smart_energy.eui64 import Eui64

EUI = Eui64("00:0d:6f:00:0a:90:69:e7")
RULE = (
    'SUBSYSTEM=="tty", ATTRS{idVendor}=="10c4", ATTRS{idProduct}=="ea60", '
    'ENV{ID_MM_DEVICE_IGNORE}="1", SYMLINK+="labctl/hub"\n'
)


@dataclass
class Facts(Host):
    """A computer as a test wants it."""

    os: str = "Linux"
    allowed: DevicePermissions | None = None
    in_groups: frozenset[str] = frozenset({"users"})
    written_down: frozenset[str] = frozenset()
    running: dict[str, list[int]] = field(default_factory=dict)
    programs: dict[str, Said] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)
    free: int | None = 100 << 30
    now_us: int = 1_700_000_000_000_000
    modes: dict[str, tuple[int, bool]] = field(default_factory=dict)

    @property
    def system(self) -> str:
        return self.os

    def user(self) -> str:
        return "anna"

    def is_root(self) -> bool:
        return False

    def groups(self) -> frozenset[str]:
        return self.in_groups

    def member_of(self, group: str) -> bool:
        return group in self.written_down

    def permissions(self, path: str) -> DevicePermissions | None:
        return self.allowed

    def file_mode(self, path: Path) -> tuple[int, bool] | None:
        return self.modes.get(path.name)

    def processes(self, name: str) -> list[int]:
        return self.running.get(name, [])

    def run(self, *words: str) -> Said | None:
        return self.programs.get(words[0])

    def udev_rules(self) -> dict[str, str]:
        return self.rules

    def free_octets(self, folder: Path) -> int | None:
        return self.free

    def wall_us(self) -> int:
        return self.now_us


def stick(
    state: State = State.ANSWERED,
    *,
    names: tuple[str, ...] = ("hub",),
    serial: str | None = "0001",
    probed: Probed | None = None,
    trouble: RigError | None = None,
    held_by: tuple[str, ...] = (),
    twins: tuple[str, ...] = (),
) -> Stick:
    port = Port(
        device="/dev/ttyUSB0",
        vid=0x10C4,
        pid=0xEA60,
        serial_number=serial,
        stick=stick_of(0x10C4, 0xEA60, "", "SkyConnect v1.0"),
    )
    return Stick(
        port=port,
        path="/dev/serial/by-path/1",
        state=state,
        names=names,
        probed=probed,
        trouble=trouble,
        held_by=held_by,
        twins=twins,
    )


def answered(
    firmware: tuple[int, ...] = (7, 4, 5, 0),
    bands: tuple[Band, ...] = (Band.GHZ_2_4,),
    *,
    usable: bool = True,
) -> Probed:
    return Probed(
        driver=Driver.EZSP,
        line=Line(),
        protocol="EZSP 13",
        eui64=EUI,
        firmware_key=firmware,
        bands=bands,
        key_table_size=127,
        usable=usable,
        remarks=() if usable else ("it is too old",),
    )


def of(rows: list[Row]) -> dict[str, Verdict]:
    return {row.id: row.verdict for row in rows}


# -- exit code ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([], ExitCode.PASS),
        ([ok("a", ""), warn("b", "", ""), skip("c", "")], ExitCode.PASS),
        ([fail("a", "", "")], ExitCode.RIG_UNAVAILABLE),
        ([fail("a", "", "", ExitCode.CONFIGURATION)], ExitCode.CONFIGURATION),
        (
            [fail("a", "", "", ExitCode.CONFIGURATION), fail("b", "", "")],
            ExitCode.RIG_UNAVAILABLE,
        ),
    ],
)
def test_only_failures_count_and_files_alone_are_78(rows: list[Row], code: ExitCode) -> None:
    assert exit_code(rows) is code


# -- access ---------------------------------------------------------------------------------------


def test_no_port_is_no_fault_but_a_missing_radio_is() -> None:
    assert of(access.ports([])) == {"ports": Verdict.SKIP}
    missing = stick(State.MISSING, trouble=RigError("it is not plugged in", mend="plug it in"))
    (row,) = access.ports([missing])
    assert (row.id, row.verdict, row.mend) == ("radio:hub", Verdict.FAIL, "plug it in")
    assert of(access.ports([stick(), missing])) == {
        "ports": Verdict.OK,
        "radio:hub": Verdict.FAIL,
    }


@pytest.mark.parametrize(
    ("allowed", "in_groups", "written_down", "verdict", "mend"),
    [
        (DevicePermissions("0", "dialout", 0o660, True), [], [], Verdict.OK, ""),
        (
            DevicePermissions("0", "dialout", 0o660, False),
            [],
            [],
            Verdict.FAIL,
            "sudo usermod -aG dialout anna",
        ),
        (
            DevicePermissions("0", "dialout", 0o660, False),
            [],
            ["dialout"],
            Verdict.FAIL,
            "log out and in again",
        ),
        (DevicePermissions("0", "root", 0o600, False), [], [], Verdict.FAIL, "--udev-rule"),
        (None, [], [], Verdict.FAIL, "plugged in"),
    ],
)
def test_a_port_that_may_not_be_opened_names_the_group_to_join(
    allowed: DevicePermissions | None,
    in_groups: list[str],
    written_down: list[str],
    verdict: Verdict,
    mend: str,
) -> None:
    host = Facts(
        allowed=allowed, in_groups=frozenset(in_groups), written_down=frozenset(written_down)
    )
    (row,) = access.permissions([stick()], host)
    assert row.id == "permissions:/dev/ttyUSB0"
    assert row.verdict is verdict
    assert mend in row.mend


def test_a_network_port_has_no_permissions() -> None:
    row = replace(stick(), port=Port(device="socket://192.0.2.1:6638"))
    assert access.permissions([row], Facts()) == []


def test_a_udev_rule_is_found_by_the_sticks_ids() -> None:
    host = Facts(rules={"/etc/udev/rules.d/70-labctl.rules": RULE})
    assert access.udev([stick()], host).verdict is Verdict.OK
    assert access.udev([stick()], Facts()).verdict is Verdict.SKIP
    commented = Facts(rules={"/x.rules": "# " + RULE})
    assert access.udev([stick()], commented).verdict is Verdict.SKIP
    others = Facts(rules={"/x.rules": RULE.replace("ea60", "8a2a")})
    assert access.udev([stick()], others).verdict is Verdict.SKIP
    assert "Darwin" in access.udev([stick()], Facts(os="Darwin")).evidence


def test_modem_manager_is_a_warning_unless_rules_keep_it_off() -> None:
    running = {"ModemManager": [612]}
    assert access.modem_manager([stick()], Facts()).verdict is Verdict.OK
    row = access.modem_manager([stick()], Facts(running=running))
    assert row.verdict is Verdict.WARN
    assert "612" in row.evidence
    kept_off = Facts(running=running, rules={"/x.rules": RULE})
    assert access.modem_manager([stick()], kept_off).verdict is Verdict.OK


def test_a_held_port_names_its_holder() -> None:
    (row,) = access.holders([stick(State.HELD, held_by=("minicom (process 41)",)), stick()])
    assert row.verdict is Verdict.WARN
    assert "minicom (process 41)" in row.evidence


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (None, Verdict.SKIP),
        (Said(0, "Current status for hub 1-1 [0409:005a]\n  Port 1: 0100 power"), Verdict.OK),
        (Said(1, "No compatible devices detected!\nRun with -h to get usage info."), Verdict.SKIP),
        (Said(1, "There were permission problems while accessing USB."), Verdict.WARN),
    ],
)
def test_hub_power_goes_by_what_uhubctl_says(said: Said | None, verdict: Verdict) -> None:
    programs = {"uhubctl": said} if said else {}
    assert access.hub_power(Facts(programs=programs)).verdict is verdict


def test_the_printed_rule_names_each_stick_once_and_no_odd_serial_number() -> None:
    twin = stick(serial=None, names=(), twins=("/dev/ttyUSB1",))
    odd = stick(serial='1"; RUN+="rm -rf /', names=("odd",))
    text = access.udev_rule([stick(), twin, twin, odd, stick(State.MISSING)])
    rules = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(rules) == 2
    assert 'ATTRS{serial}=="0001"' in rules[0]
    assert 'SYMLINK+="labctl/hub"' in rules[0]
    assert "serial" not in rules[1]
    assert "RUN" not in text
    assert all('ENV{ID_MM_DEVICE_IGNORE}="1"' in line for line in rules)
    host = Facts(rules={"/etc/udev/rules.d/70-labctl.rules": text})
    assert access.udev([stick(), twin], host).verdict is Verdict.OK


# -- sticks ---------------------------------------------------------------------------------------


def test_silence_is_a_failure_of_a_known_radio_and_else_a_warning() -> None:
    trouble = RigError("nothing on this port speaks EZSP", mend="unplug it")
    rows = sticks.answers([stick(State.SILENT, trouble=trouble)])
    assert of(rows) == {"stick:/dev/ttyUSB0": Verdict.FAIL}
    rows = sticks.answers([stick(State.SILENT, trouble=trouble, names=())])
    assert of(rows) == {"stick:/dev/ttyUSB0": Verdict.WARN}


@pytest.mark.parametrize(
    ("probed", "names", "verdict"),
    [
        (answered(), ("hub",), Verdict.OK),
        (answered((8, 0, 0, 0)), ("hub",), Verdict.WARN),
        (answered(usable=False), ("hub",), Verdict.FAIL),
        (answered(usable=False), (), Verdict.WARN),
    ],
)
def test_firmware_is_told_by_its_fitness(
    probed: Probed, names: tuple[str, ...], verdict: Verdict
) -> None:
    (row,) = sticks.firmware([stick(probed=probed, names=names)])
    assert row.verdict is verdict


@pytest.mark.parametrize(
    ("radio", "verdict", "evidence"),
    [
        (Radio(driver=Driver.EZSP, path="/dev/x"), Verdict.OK, "as the inventory says"),
        (Radio(driver=Driver.EZSP, path="/dev/x", eui64=EUI), Verdict.OK, str(EUI)),
        (
            Radio(driver=Driver.EZSP, path="/dev/x", eui64=Eui64("00:0d:6f:00:00:00:00:01")),
            Verdict.FAIL,
            "the inventory says 00:0d:6f:00:00:00:00:01",
        ),
        (
            Radio(driver=Driver.EZSP, path="/dev/x", bands=(Band.MHZ_868,)),
            Verdict.FAIL,
            "868 MHz, and its radio has not",
        ),
    ],
)
def test_a_stick_is_held_against_the_inventory(
    radio: Radio, verdict: Verdict, evidence: str
) -> None:
    (row,) = sticks.as_written([stick(probed=answered())], {"hub": radio})
    assert row.verdict is verdict
    assert evidence in row.evidence


def test_two_bands_one_at_a_time_are_not_both_at_once() -> None:
    radio = Radio(driver=Driver.EZSP, path="/dev/x", bands=tuple(Band))
    probed = answered(bands=tuple(Band))
    (row,) = sticks.as_written([stick(probed=probed)], {"hub": radio})
    assert (row.verdict, "one PHY" in row.evidence) == (Verdict.FAIL, True)
    (row,) = sticks.as_written([stick(probed=replace(probed, both_at_once=True))], {"hub": radio})
    assert row.verdict is Verdict.OK


def test_twins_are_told_with_their_sockets() -> None:
    (row,) = sticks.twins([stick(twins=("/dev/ttyUSB1",)), stick()])
    assert row.verdict is Verdict.WARN
    assert "/dev/serial/by-path/1" in row.mend


# -- what is kept ---------------------------------------------------------------------------------


def test_a_file_with_errors_fails_with_78_and_says_where(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text("radios:\n  a: {driver: ezp, path: virtual}\n")
    (row,) = store.files([("inventory", path, inspect_inventory(path))])
    assert (row.verdict, row.exit_code) == (Verdict.FAIL, ExitCode.CONFIGURATION)
    assert "line 2" in row.evidence
    path.write_text("radios:\n  a: {driver: ezsp, path: virtual}\n")
    assert store.files([("inventory", path, inspect_inventory(path))])[0].verdict is Verdict.OK


def test_the_database_is_looked_through(tmp_path: Path) -> None:
    path = tmp_path / "labctl.db"

    def health(*integrity: str) -> Health:
        return Health(path, 1000, "wal", ("1",), (), integrity, (), ())

    def lacking(_: Path) -> Health:
        raise DatabaseError("the database lacks m0007", mend="The next run brings it up to date.")

    def broken(_: Path) -> Health:
        raise DatabaseError("this file is not an SQLite database", mend="Give another --db.")

    assert store.database(path, lambda _: health()).verdict is Verdict.SKIP
    path.touch()
    assert store.database(path, lambda _: health()).verdict is Verdict.OK
    assert store.database(path, lambda _: health("row 7 missing")).verdict is Verdict.FAIL
    assert store.database(path, lacking).verdict is Verdict.WARN
    assert store.database(path, broken).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("free", "verdict"),
    [
        (None, Verdict.SKIP),
        (50 << 20, Verdict.FAIL),
        (500 << 20, Verdict.WARN),
        (5 << 30, Verdict.OK),
    ],
)
def test_a_full_disk_fails_and_a_filling_one_warns(free: int | None, verdict: Verdict) -> None:
    assert store.disk(Path("/srv"), Facts(free=free)).verdict is verdict


@pytest.mark.parametrize(
    ("os", "said", "verdict"),
    [
        ("Linux", Said(0, "NTP=yes\nNTPSynchronized=yes"), Verdict.OK),
        ("Linux", Said(0, "NTP=yes\nNTPSynchronized=no"), Verdict.WARN),
        ("Linux", Said(0, "NTP=no\nNTPSynchronized=no"), Verdict.WARN),
        ("Linux", Said(1, "System has not been booted with systemd"), Verdict.SKIP),
        ("Linux", None, Verdict.SKIP),
        ("Darwin", None, Verdict.SKIP),
    ],
)
def test_the_clock_is_what_timedatectl_says_or_the_reason_why_it_says_nothing(
    os: str, said: Said | None, verdict: Verdict
) -> None:
    row = store.clock(Facts(os=os, programs={"timedatectl": said} if said else {}))
    assert row.verdict is verdict
    assert row.evidence


def test_a_last_run_in_the_future_means_that_the_clock_is_wrong() -> None:
    host = Facts()
    assert store.clock_of_record(None, host).verdict is Verdict.SKIP
    assert store.clock_of_record(host.now_us - 1, host).verdict is Verdict.OK
    assert store.clock_of_record(host.now_us + 30_000_000, host).verdict is Verdict.OK
    row = store.clock_of_record(host.now_us + 2 * 3600 * 1_000_000, host)
    assert (row.verdict, "2.0 h" in row.evidence) == (Verdict.FAIL, True)


def test_the_last_real_run_is_what_counts(tmp_path: Path) -> None:
    path = tmp_path / "labctl.db"
    assert last_real_us(path) is None
    connection = open_for_writing(path)
    _run(connection, rig="virtual", simulated=1, ended_us=9_000)
    assert last_real_us(path) is None
    _run(connection, rig="bench", simulated=0, ended_us=5_000)
    _run(connection, rig="bench", simulated=0, ended_us=3_000)
    connection.close()
    assert last_real_us(path) == 5_000


def _run(connection: sqlite3.Connection, *, rig: str, simulated: int, ended_us: int) -> None:
    wanted = {
        name: 0 if kind == "INTEGER" else "x"
        for _, name, kind, notnull, default, key in connection.execute("PRAGMA table_info(runs)")
        if notnull and default is None and not key
    }
    values = {**wanted, "rig": rig, "simulated": simulated, "ended_us": ended_us}
    values |= {"started_us": 1_000, "verdict": "pass", "kind": "bench", "reasons": "[]"}
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    connection.execute(f"INSERT INTO runs ({names}) VALUES ({marks})", values)


def test_locks_that_cannot_be_used_fail_with_their_mend() -> None:
    def unusable() -> None:
        raise RigError("the lock folder cannot be used", where="/run/lock/labctl", mend="sudo ...")

    row = store.locks("shared", unusable)
    assert (row.id, row.verdict, row.mend) == ("locks:shared", Verdict.FAIL, "sudo ...")
    assert store.locks("shared", lambda: None).verdict is Verdict.OK


def test_a_key_store_is_its_owners_alone() -> None:
    path = Path("/lab/.labctl/bench/keys.json")

    def damaged() -> None:
        raise ConfigurationError("it is damaged", mend="restore it from a backup")

    assert store.keys("bench", path, Facts()).verdict is Verdict.SKIP
    assert store.keys("bench", path, Facts(modes={path.name: (0o600, True)})).verdict is Verdict.OK
    for mode, own in ((0o640, True), (0o604, True), (0o600, False)):
        row = store.keys("bench", path, Facts(modes={path.name: (mode, own)}))
        assert row.verdict is Verdict.FAIL
    row = store.keys("bench", path, Facts(modes={path.name: (0o600, True)}), damaged)
    assert (row.verdict, row.mend) == (Verdict.FAIL, "restore it from a backup")


# -- all of it ------------------------------------------------------------------------------------


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "inventory.yaml").write_text(
        "radios:\n"
        "  hub: {driver: ezsp, usb: {vid: 0x10C4, pid: 0xEA60, serial_number: '0001'}}\n"
        "  simulated: {driver: ezsp, path: virtual}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABCTL_LOCKS", str(tmp_path / "locks"))
    for variable in ("LABCTL_INVENTORY", "LABCTL_DB"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def test_every_check_has_its_row_and_each_row_its_evidence(lab: Path) -> None:
    port = stick().port

    async def ask(_path: str, _attempts: object) -> Probed:
        return answered()

    look = Look(ports=lambda: [port], holders=lambda _: Holders({}), ask=ask)
    patient = Patient(inventory=lab / "inventory.yaml", database=lab / "labctl.db", rigs=())
    host = Facts(allowed=DevicePermissions("0", "dialout", 0o660, True))
    rows = asyncio.run(examine(patient, host=host, look=look))
    ids = {row.id.partition(":")[0] for row in rows}
    assert ids == {
        "software", "file", "ports", "permissions", "udev-rule", "modem-manager", "firmware",
        "radio", "hub-power", "locks", "database", "disk", "clock", "clock-record",
    }  # fmt: skip
    assert all(row.evidence for row in rows)
    assert all(row.mend for row in rows if row.verdict in (Verdict.WARN, Verdict.FAIL))
    assert exit_code(rows) is ExitCode.PASS


def test_the_command_tells_a_missing_radio_with_69(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--no-probe", "--json"]) == ExitCode.RIG_UNAVAILABLE
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "labctl.doctor/1"
    rows = {row["id"]: row for row in answer["data"]["rows"]}
    assert rows["radio:hub"]["verdict"] == "fail"
    assert "10c4:ea60 0001" in rows["radio:hub"]["evidence"]
    assert answer["data"]["ok"] is False


def test_the_command_tells_a_broken_file_with_78(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (lab / "inventory.yaml").write_text("radios: {a: {driver: ezsp}}\n")
    assert main(["doctor", "--no-probe"]) == ExitCode.CONFIGURATION
    assert "nothing says where this radio is" in capsys.readouterr().out


def test_the_rule_alone_is_printed(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--udev-rule"]) == ExitCode.PASS
    assert capsys.readouterr().out.startswith("# /etc/udev/rules.d/70-labctl.rules")
