"""Having a rig: all that is in it, or nothing."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from labctl.config.loading import load_rig
from labctl.config.resolved import LoadedRig
from labctl.errors import BusyError
from labctl.leases import Kind, LeaseLostError, Leases, LockFolder, Thing
from labctl.rig import hold as holds
from labctl.rig.hold import hold_rig, rig_leases, rig_state, rig_thing, things_of
from labctl.rig.key_store import KeyStore
from labctl.rig.session import is_running, key_store_of

PROJECT = Path(__file__).parents[2]
DISPLAY = Thing(Kind.DEVICE, "00:0d:6f:00:0a:90:69:e7")
STICK = Thing(Kind.RADIO, "socket:lab-7:6638")
OUTLET = Thing(Kind.POWER, "uhubctl:1-1.4:2")
SOCKET = Thing(Kind.POWER, "command:switch-outlet 3 {state}")


@pytest.fixture(autouse=True)
def _own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_LOCKS", str(tmp_path / "locks"))


def real_rig(folder: Path) -> LoadedRig:
    """A rig whose stick and display are real, and can be switched."""
    yaml = YAML(typ="safe")
    rig: dict[str, Any] = yaml.load((PROJECT / "rigs" / "virtual.yaml").read_text())
    rig.pop("virtual")
    rig["rig"], rig["hub"]["radio"] = "lab", "stick-1"
    rig["devices"] = [{"device": "ihd-1"}]
    inventory = {
        "radios": {
            "stick-1": {
                "driver": "ezsp",
                "path": "socket://LAB-7:6638",
                "power": {"uhubctl": {"location": "1-1.4", "port": 2}},
            }
        },
        "devices": {
            "ihd-1": {
                "kind": "ihd",
                "eui64": DISPLAY.identity,
                "install_code": "83FED3407A939723A5C639B26916D505C3B5",
                "power": {"command": "switch-outlet 3 {state}"},
            }
        },
    }
    (folder / "rigs").mkdir(parents=True)
    for path, content in (("inventory.yaml", inventory), ("rigs/lab.yaml", rig)):
        with (folder / path).open("w") as file:
            yaml.dump(content, file)
    return load_rig(folder / "rigs" / "lab.yaml")


def shared() -> Leases:
    return Leases(LockFolder.shared())


def held() -> set[Thing]:
    return {state.thing for state in shared().states()}


def test_a_rig_is_its_stick_its_devices_and_their_switches(tmp_path: Path) -> None:
    loaded = real_rig(tmp_path / "a")
    with hold_rig(loaded, "test", lasts=timedelta(hours=2)) as hold:
        assert set(hold.things) == set(things_of(loaded))
        assert held() == {STICK, DISPLAY, OUTLET, SOCKET}
        for state in (*shared().states(), rig_state(loaded)):
            (entry,) = state.entries
            assert entry.lease == hold.lease_id
            assert entry.rig == "lab"
            assert entry.until_us is not None
            assert 7199e6 < entry.until_us - entry.since_us <= 7200e6
        assert is_running(loaded)
    assert held() == set()
    assert not is_running(loaded)


def test_a_rig_that_is_kept_for_later_is_not_running(tmp_path: Path) -> None:
    loaded = real_rig(tmp_path / "a")
    with hold_rig(loaded, "test", reserve=True):
        assert not is_running(loaded)


def test_a_virtual_rig_has_nothing_that_others_could_want(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("inventory.yaml", "rigs/virtual.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((PROJECT / name).read_text())
    loaded = load_rig(tmp_path / "rigs" / "virtual.yaml")
    monkeypatch.setenv("LABCTL_LOCKS", "/proc/nowhere")
    with hold_rig(loaded, "test") as hold:
        assert hold.things == (rig_thing(loaded),)
        assert hold.fence(loaded.radio_name) is None
        hold.beat()
        with pytest.raises(BusyError, match="the rig virtual"), hold_rig(loaded, "second"):
            pass


def test_who_does_not_get_all_has_nothing(tmp_path: Path) -> None:
    loaded = real_rig(tmp_path / "a")
    with shared().take([DISPLAY], purpose="elsewhere"):
        with pytest.raises(BusyError, match=DISPLAY.identity), hold_rig(loaded, "test"):
            pass
        assert held() == {DISPLAY}
        assert rig_state(loaded).entries == ()


def test_who_waits_has_nothing_meanwhile_and_then_all(tmp_path: Path) -> None:
    loaded = real_rig(tmp_path / "a")
    other = shared().take([OUTLET], purpose="elsewhere")
    told: list[str] = []

    def waiting(error: BusyError) -> None:
        told.append(error.what)
        assert held() == {OUTLET}
        assert rig_state(loaded).entries == ()
        other.release()

    began = time.monotonic()
    with hold_rig(loaded, "test", wait_s=30.0, waiting=waiting):
        assert time.monotonic() - began < 5.0
        assert held() == {STICK, DISPLAY, OUTLET, SOCKET}
    assert len(told) == 1
    assert "power switch" in told[0]


def test_a_run_that_fails_gives_the_rig_back(tmp_path: Path) -> None:
    loaded = real_rig(tmp_path / "a")
    with pytest.raises(KeyError), hold_rig(loaded, "test"):
        raise KeyError
    with hold_rig(loaded, "test"):
        pass


def test_a_rig_that_is_open_keeps_its_leases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "SILENT_AFTER_S", 0.4)
    monkeypatch.setattr(holds, "BEAT_EVERY_S", 0.05)
    loaded = real_rig(tmp_path / "a")

    async def main() -> None:
        with hold_rig(loaded, "test") as hold:
            keeping = asyncio.create_task(hold.keep())
            await asyncio.sleep(1.0)
            assert held() == {STICK, DISPLAY, OUTLET, SOCKET}
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await asyncio.sleep(0.6)
            assert held() == set(), "it has fallen silent"

    asyncio.run(main())


def test_the_loss_of_any_part_is_told_and_ends_the_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "BEAT_EVERY_S", 0.05)
    loaded = real_rig(tmp_path / "a")
    lost: list[object] = []

    async def main() -> None:
        with hold_rig(loaded, "test") as hold:
            hold.when_lost(lost.append)
            shared().break_([SOCKET])
            async with asyncio.timeout(5):
                await hold.keep()
            fence = hold.fence("stick-1")
            assert fence is not None
            with pytest.raises(LeaseLostError):
                fence()

    asyncio.run(main())
    assert len(lost) == 1


def test_whoever_lost_the_rig_does_not_write_its_keys(tmp_path: Path) -> None:
    loaded = real_rig(tmp_path / "a")
    with hold_rig(loaded, "test") as hold:
        store = KeyStore(key_store_of(loaded), hold.check_rig)
        store.save(store.load())
        before = key_store_of(loaded).stat().st_mtime_ns
        rig_leases(loaded).break_([rig_thing(loaded)])
        with pytest.raises(LeaseLostError):
            store.save(store.load())
        assert key_store_of(loaded).stat().st_mtime_ns == before
