"""Who is not let in, and what stands in `joins` about it."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from virtual_rigs import Change, loaded_rig

from labctl.errors import ExitCode
from labctl.events import Event, LinkSample, Verdict
from labctl.rig.loop import run
from labctl.rig.session import RigSession, open_rig
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.install_code import InstallCode
from labctl.smart_energy.lab_ca import LabCertificateAuthority
from labctl.virtual.bench import DeviceInTheRoom
from labctl.virtual.devices import Behaviour, What

STRANGER = Eui64("00:00:5e:ef:10:00:00:77")


def joins(folder: Path) -> dict[str, list[tuple[str, str, str]]]:
    """(kind, outcome, cause) of every join attempt, by the device's EUI-64."""
    with sqlite3.connect(folder / "labctl.db") as db:
        found: dict[str, list[tuple[str, str, str]]] = {}
        for eui64, *rest in db.execute("SELECT eui64, kind, outcome, cause FROM joins ORDER BY id"):
            found.setdefault(eui64, []).append(tuple(rest))
        return found


def bench(folder: Path, change: Change, minutes: float, **options: Any) -> RigSession:
    loaded = loaded_rig(folder, change)

    async def main() -> RigSession:
        async with open_rig(loaded, kind="bench", database=folder / "labctl.db") as session:
            await session.pair_all()
            for prepare in options.values():
                prepare(session)
            session.power_on()
            await asyncio.sleep(minutes * 60)
        return session

    return run(loaded, main())


def eui64_of(session: RigSession, name: str) -> str:
    return next(device.eui64 for device in session.loaded.devices if device.name == name)


@pytest.mark.usefixtures("either_stick")
def test_a_wrong_install_code_is_a_failed_join_with_its_likely_cause(tmp_path: Path) -> None:
    def change(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        inventory["devices"]["virtual-ihd"]["virtual"]["behaviour"] = {"wrong_install_code": True}

    session = bench(tmp_path, change, 15)
    recorded = joins(tmp_path)
    attempts = recorded[eui64_of(session, "virtual-ihd")]
    assert len(attempts) >= 2
    assert {outcome for _, outcome, _ in attempts} == {"failed"}
    assert all("install code" in cause for _, _, cause in attempts), attempts
    assert [o for _, o, _ in recorded[eui64_of(session, "virtual-cad")]] == ["authorised"]
    assert session.assessment is not None
    # The code may be wrong in the inventory: that is not the device's failure.
    assert session.assessment.verdict is Verdict.INCOMPLETE
    assert any("install code" in reason for reason in session.assessment.reasons)


def test_an_unlisted_address_is_refused_by_name(tmp_path: Path) -> None:
    placed = []

    def put_a_stranger(session: RigSession) -> None:
        assert session.bench is not None
        randbytes = random.Random(5).randbytes
        authority = LabCertificateAuthority.generate(2, STRANGER, randbytes)
        placed.append(
            session.bench.put(
                DeviceInTheRoom(
                    name="stranger",
                    kind="cad",
                    eui64=STRANGER,
                    install_code=InstallCode.from_octets_without_crc(bytes(range(16))),
                    identities={2: authority.issue(STRANGER, randbytes)},
                    position=(1.0, 1.0, 0.0),
                    behaviour=Behaviour(),
                    schedules=None,
                )
            )
        )

    session = bench(tmp_path, lambda *_: None, 5, prepare=put_a_stranger)
    attempts = joins(tmp_path)[STRANGER]
    assert {outcome for _, outcome, _ in attempts} == {"refused"}
    assert all("not in the device log" in cause for _, _, cause in attempts)
    (stranger,) = placed
    assert not stranger.is_authorised
    assert stranger.observations.of(What.JOIN_FAILED)
    assert not stranger.observations.of(What.JOINED)
    assert session.assessment is not None
    assert session.assessment.verdict is not Verdict.FAIL, "a stranger is not the product's fault"


def test_a_device_whose_window_is_closed_is_refused_while_anothers_is_open(
    tmp_path: Path,
) -> None:
    def change(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        inventory["devices"]["virtual-ihd"]["virtual"]["behaviour"] = {"start_delay": "2min"}
        rig["devices"][0]["pairing"]["window"] = "30s"

    session = bench(tmp_path, change, 9)
    recorded = joins(tmp_path)
    attempts = recorded[eui64_of(session, "virtual-ihd")]
    assert attempts[0][1] == "not-heard"
    assert attempts[0][2].startswith("joining was open for 30 s and nothing was heard")
    later = attempts[1:]
    assert later
    assert {outcome for _, outcome, _ in later} == {"refused"}
    assert all("window" in cause and "closed" in cause for _, _, cause in later)
    assert [o for _, o, _ in recorded[eui64_of(session, "virtual-cad")]] == ["authorised"]


@pytest.mark.usefixtures("either_stick")
def test_a_device_that_comes_when_all_windows_are_closed_stays_out(tmp_path: Path) -> None:
    def change(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        inventory["devices"]["virtual-ihd"]["virtual"]["behaviour"] = {
            "start_delay": "5min",
            "ignore_permit_bit": True,
        }
        rig["devices"] = [rig["devices"][0]]
        rig["devices"][0]["pairing"]["window"] = "1min"

    session = bench(tmp_path, change, 12)
    ((_, outcome, cause),) = joins(tmp_path)[eui64_of(session, "virtual-ihd")]
    assert outcome == "not-heard"
    assert cause.startswith("joining was open for 60 s and nothing was heard")
    assert session.bench is not None
    device = session.bench.devices["virtual-ihd"]
    assert device.observations.of(What.JOIN_FAILED)
    assert not device.is_authorised


@pytest.mark.usefixtures("either_stick")
def test_a_certificate_of_another_issuer_is_named_as_that(tmp_path: Path) -> None:
    def change(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        inventory["devices"]["virtual-cad"]["virtual"]["behaviour"] = {"foreign_certificate": True}

    session = bench(tmp_path, change, 15)
    attempts = joins(tmp_path)[eui64_of(session, "virtual-cad")]
    assert all(outcome != "authorised" for _, outcome, _ in attempts)
    causes = " ".join(cause for _, _, cause in attempts)
    assert "46:4f:52:45:49:47:4e:43" in causes
    assert "4c:41:42:43:54:4c:43:41" in causes


@pytest.mark.usefixtures("either_stick")
def test_reads_before_key_establishment_get_nothing(tmp_path: Path) -> None:
    def change(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        inventory["devices"]["virtual-cad"]["virtual"]["behaviour"] = {
            "reads_before_key_establishment": True
        }

    session = bench(tmp_path, change, 15)
    assert session.bench is not None
    device = session.bench.devices["virtual-cad"]
    assert device.observations.of(What.PROVOKED)
    with sqlite3.connect(tmp_path / "labctl.db") as db:
        ((authorised_us,),) = db.execute(
            "SELECT min(s.at_us) FROM join_steps s JOIN joins j ON j.id = s.join_id"
            " WHERE s.step = 'link-key-installed' AND j.eui64 = ?",
            (eui64_of(session, "virtual-cad"),),
        )
        ((early,),) = db.execute(
            "SELECT count(*) FROM reads r JOIN devices d ON d.id = r.device_id"
            " WHERE d.eui64 = ? AND r.at_us < ? AND r.status = 0 AND r.cluster_id = 0x0702",
            (eui64_of(session, "virtual-cad"), authorised_us),
        )
        refused = db.execute(
            "SELECT detail FROM events WHERE kind = 'refused' AND at_us < ?", (authorised_us,)
        ).fetchall()
    assert early == 0
    assert len(refused) >= 2
    assert device.is_authorised


@pytest.mark.usefixtures("either_stick")
def test_a_write_is_refused_recorded_and_changes_nothing(tmp_path: Path) -> None:
    def change(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        inventory["devices"]["virtual-cad"]["virtual"]["behaviour"] = {"writes_attribute": True}

    session = bench(tmp_path, change, 15)
    assert session.bench is not None
    device = session.bench.devices["virtual-cad"]
    (provoked,) = device.observations.of(What.PROVOKED)
    assert "0x88" in provoked.detail or "0x7e" in provoked.detail.lower(), provoked
    with sqlite3.connect(tmp_path / "labctl.db") as db:
        refused = [
            detail
            for (detail,) in db.execute("SELECT detail FROM events WHERE kind = 'refused'")
            if "write" in detail.lower()
        ]
    assert refused


@pytest.mark.parametrize("pulled_after_s", [1.5, 60.0, 300.0])
def test_a_stick_that_dies_is_infrastructure_and_never_the_devices_fault(
    tmp_path: Path, pulled_after_s: float
) -> None:
    loaded = loaded_rig(tmp_path)

    async def main() -> RigSession:
        async with open_rig(loaded, kind="bench", database=tmp_path / "labctl.db") as session:
            await session.pair_all()
            session.power_on()
            await asyncio.sleep(pulled_after_s)
            assert session.bench is not None
            await session.bench.unplug()
            cause = await asyncio.wait_for(session.broken, 620)
            assert "did not come back within 600 s" in cause.what
            assert cause.exit_code is ExitCode.RIG_UNAVAILABLE
        return session

    session = run(loaded, main())
    assert session.assessment is not None
    assert session.assessment.verdict is Verdict.INFRASTRUCTURE_ERROR
    assert not any(d.verdict is Verdict.FAIL for d in session.assessment.devices)


@pytest.mark.usefixtures("either_stick")
def test_an_error_that_nobody_caught_ends_the_run_and_is_not_the_devices_fault(
    tmp_path: Path,
) -> None:
    loaded = loaded_rig(tmp_path)

    async def main() -> RigSession:
        async with open_rig(loaded, kind="bench", database=tmp_path / "labctl.db") as session:

            def stumble(event: Event) -> None:
                if isinstance(event, LinkSample):
                    raise ZeroDivisionError("on purpose")

            session.bus.subscribe(stumble)
            await session.pair_all()
            session.power_on()
            cause = await asyncio.wait_for(session.broken, 600)
            assert "a bug in labctl" in cause.what
            assert cause.exit_code is ExitCode.BUG
        return session

    session = run(loaded, main())
    assert session.assessment is not None
    assert session.assessment.verdict is Verdict.INFRASTRUCTURE_ERROR
