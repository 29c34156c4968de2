"""Rig files whose pairings take a person: the code at the meter, the address that is confirmed."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from virtual_rigs import Change, loaded_rig, short_periods, write_rig

from labctl.cli.main import main
from labctl.errors import ExitCode
from labctl.events import Event, JoinEnded, JoinOutcome, Note, PairingArmed
from labctl.rig.keypad import Keypad
from labctl.rig.loop import run
from labctl.rig.session import RigSession, keypad_path, open_rig
from labctl.smart_energy.install_code import InstallCode
from labctl.smart_energy.local_code import local_code

CAD = "00:00:5e:ef:10:00:00:03"
CAD_CODE = "5B7C1E90D2468ACE13579BDF02F4E6A8C391"
DIGITS = local_code(InstallCode.parse(CAD_CODE)).reveal().decode()
PIN = "4711"


def by(method: str, window: str = "5min") -> Change:
    """The virtual rig with the CAD paired in that way, and the IHD remotely."""

    def change(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        short_periods(inventory, rig)
        for device in rig["devices"]:
            if device["device"] == "virtual-cad":
                device["pairing"] = {
                    "method": method,
                    "window": window,
                    "requested_by": "consumer",
                    "consent_reference": "form-17",
                }

    return change


def bench(rig: Path, capsys: pytest.CaptureFixture[str], length: str = "35min") -> tuple[int, str]:
    capsys.readouterr()
    code = main(["bench", str(rig), "--for", length, "--plain"])
    out, err = capsys.readouterr()
    return code, out + err


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / "labctl.db") as database:
        return database.execute(query).fetchall()


def events(folder: Path, *kinds: str) -> list[tuple[str, dict[str, Any]]]:
    found = rows(folder, "SELECT kind, detail FROM events ORDER BY id")
    return [(kind, json.loads(detail)) for kind, detail in found if kind in kinds]


PAIRED = """
    SELECT p.method, p.requested_by, p.consent_reference, p.authorised
      FROM pairings p JOIN devices d ON d.id = p.device_id WHERE d.name = 'virtual-cad'
"""


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("local-code", "the virtual consumer types its code at the meter"),
        ("confirm", "the virtual consumer confirms its address"),
    ],
)
def test_on_a_virtual_rig_the_virtual_consumer_does_it(
    method: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = write_rig(tmp_path, by(method))
    code, shown = bench(rig, capsys)
    assert code == ExitCode.PASS, shown
    assert f"virtual-cad: {said} (within 300 s)" in shown
    assert rows(tmp_path, PAIRED) == [(method, "consumer", "form-17", 1)]
    ((_, awaited),) = events(tmp_path, "pairing-awaits-person")
    assert (awaited["method"], awaited["within_s"]) == (method, 300)
    assert events(tmp_path, "pairing-not-begun") == []
    assert DIGITS not in shown
    assert not any(DIGITS in str(row) for row in rows(tmp_path, "SELECT detail FROM events"))


def test_a_device_that_nobody_pairs_is_not_armed_in_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The meter is somebody's who has set a PIN; the virtual consumer does not know it."""
    rig = write_rig(tmp_path, by("local-code"))
    assert main(["meter", "keypad", str(rig), "--set-pin", "--pin", PIN]) == 0
    code, shown = bench(rig, capsys)
    assert code == ExitCode.RIG_UNAVAILABLE
    assert "type its code: labctl meter keypad virtual virtual-cad (within 300 s)" in shown
    assert rows(tmp_path, PAIRED) == []
    ((_, detail),) = events(tmp_path, "pairing-not-begun")
    assert detail["cause"] == "nobody typed its code at the meter within 300 s"
    assert "virtual-cad" in shown
    assert "nobody typed its code at the meter within 300 s" in shown
    assert rows(tmp_path, "SELECT verdict FROM runs") == [("incomplete",)]


def while_it_runs(
    folder: Path,
    change: Change,
    scenario: Callable[[RigSession, list[Event]], Coroutine[Any, Any, None]],
) -> None:
    loaded = loaded_rig(folder, change)
    seen: list[Event] = []

    async def all_of_it() -> None:
        async with open_rig(
            loaded, kind="bench", database=folder / "labctl.db", subscribers=[seen.append]
        ) as session:
            await session.pair_all()
            session.power_on()
            await asyncio.sleep(6)
            await scenario(session, seen)

    run(loaded, all_of_it())


def notes(seen: list[Event], kind: str) -> list[dict[str, object]]:
    return [e.detail for e in seen if isinstance(e, Note) and e.kind == kind]


def authorised(session: RigSession) -> bool:
    return any(d.eui64 == CAD and session.hub.authorised(d.eui64) for d in session.loaded.devices)


def test_the_keypad_of_a_rig_that_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rig = write_rig(tmp_path, by("local-code"))
    Keypad(keypad_path(loaded_rig(tmp_path, by("local-code")))).set_pin(PIN)

    async def scenario(session: RigSession, seen: list[Event]) -> None:
        words = ["meter", "keypad", str(rig), "virtual-cad", "--code", DIGITS]
        assert main([*words, "--pin", "0815"]) == ExitCode.USAGE
        await asyncio.sleep(10)
        assert not authorised(session)
        (refused,) = notes(seen, "keypad-refused")
        assert refused == {"cause": "the PIN is wrong: 2 more tries", "device": "virtual-cad"}
        capsys.readouterr()
        assert main([*words, "--pin", PIN, "--json"]) == ExitCode.PASS
        data = json.loads(capsys.readouterr().out)["data"]
        assert data == {"handed_over": True, "eui64": CAD, "name": "virtual-cad"}
        await asyncio.sleep(200)
        assert authorised(session)
        (armed,) = [e for e in seen if isinstance(e, PairingArmed) and e.eui64 == CAD]
        assert (armed.method, armed.requested_by) == ("local-code", "consumer, at the meter")
        await asyncio.sleep(300)
        assert notes(seen, "pairing-not-begun") == []

    while_it_runs(tmp_path, by("local-code"), scenario)
    acts = tmp_path / ".labctl" / "virtual" / "acts.jsonl"
    assert acts.stat().st_mode & 0o777 == 0o600
    assert acts.read_bytes() == b""


def test_an_address_is_confirmed_while_the_rig_runs(tmp_path: Path) -> None:
    """By somebody who is quicker than the virtual consumer."""
    rig = write_rig(tmp_path, by("confirm"))

    async def scenario(session: RigSession, seen: list[Event]) -> None:
        words = ["pair", str(rig), "--confirm", "--eui64", CAD, "--requested-by", "anna"]
        assert main(words) == ExitCode.PASS
        await asyncio.sleep(400)
        assert authorised(session)
        assert notes(seen, "pairing-not-begun") == []
        (armed,) = [e for e in seen if isinstance(e, PairingArmed) and e.eui64 == CAD]
        assert (armed.method, armed.requested_by) == ("confirm", "anna")
        outcomes = [e.outcome for e in seen if isinstance(e, JoinEnded)]
        assert JoinOutcome.REFUSED in outcomes  # its first try, which showed its address

    while_it_runs(tmp_path, by("confirm"), scenario)


def test_what_the_keypad_refuses_is_recorded_without_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = str(write_rig(tmp_path, by("local-code")))
    words = ["meter", "keypad", rig, "virtual-cad"]
    assert main([*words, "--pin", PIN, "--code", DIGITS]) == ExitCode.USAGE
    assert main(["meter", "keypad", rig, "--set-pin", "--pin", PIN]) == 0
    assert main([*words, "--pin", PIN, "--code", DIGITS[::-1]]) == ExitCode.USAGE
    for _ in range(4):
        assert main([*words, "--pin", "0000", "--code", DIGITS]) == ExitCode.USAGE
    capsys.readouterr()
    causes = [detail["cause"] for _, detail in events(tmp_path, "keypad-refused")]
    assert causes == [
        "no Privacy PIN is set: without one nothing is paired at this meter",
        "the pairing code is wrong: a digit was mistyped",
        "the PIN is wrong: 2 more tries",
        "the PIN is wrong: 1 more try",
        "the PIN is wrong: the keypad is locked",
        "the keypad is locked after 3 wrong PINs",
    ]
    told = rows(tmp_path, "SELECT note, verdict, ended_us IS NOT NULL FROM runs")
    assert told == [("labctl meter keypad", "incomplete", 1)] * 6
    everything = str(rows(tmp_path, "SELECT * FROM events")) + str(told)
    assert PIN not in everything
    assert DIGITS[:10] not in everything


def test_pairing_by_command_is_not_called_what_the_rig_file_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = write_rig(tmp_path, by("local-code"))
    assert main(["pair", str(rig), "virtual-cad"]) == ExitCode.PASS
    assert rows(tmp_path, PAIRED) == [("remote", "consumer", "form-17", 1)]
