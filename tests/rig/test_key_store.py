"""The file that keeps the device log, and the keypad's."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import ConfigurationError, UsageError
from labctl.events import DeviceKind, PairingMethod
from labctl.hub.vault import Evidence, HistoricDevice, KeptDevice, KeptLog, KeyState
from labctl.rig.key_store import KeyStore, for_another_stick
from labctl.rig.keypad import Keypad, reset
from labctl.secret import Secret
from labctl.smart_energy.aes_mmo import aes_mmo
from labctl.smart_energy.device_types import DeviceLogType
from labctl.smart_energy.eui64 import Eui64

HUB = Eui64("00:00:5e:ef:10:00:00:01")

keys = st.binary(min_size=16, max_size=16).map(Secret)
addresses = st.binary(min_size=8, max_size=8).map(Eui64.from_big_endian)
states = st.sampled_from(list(KeyState))


@st.composite
def devices(draw: st.DrawFn) -> KeptDevice:
    state = draw(states)
    return KeptDevice(
        eui64=draw(addresses),
        name=draw(st.text(max_size=20)),
        kind=draw(st.sampled_from(list(DeviceKind))),
        log_type=draw(st.none() | st.sampled_from(list(DeviceLogType))),
        link_key=draw(keys),
        state=state,
        key=None if state is KeyState.NONE else draw(keys),
        before=draw(st.none() | keys),
        before_state=draw(states),
        manufacturer=draw(st.none() | st.text(max_size=20)),
        sleepy=draw(st.booleans()),
        evidence=draw(
            st.none()
            | st.builds(
                Evidence,
                method=st.sampled_from(list(PairingMethod)),
                requested_by=st.text(max_size=20),
                consent_reference=st.none() | st.text(max_size=20),
                added_us=st.integers(0, 2**62),
            )
        ),
    )


logs = st.builds(
    KeptLog,
    hub=st.none() | addresses,
    extended_pan_id=st.none() | addresses,
    restore=st.booleans(),
    devices=st.lists(devices(), max_size=3).map(tuple),
    historic=st.lists(
        st.builds(
            HistoricDevice,
            eui64=addresses,
            name=st.text(max_size=10),
            kind=st.sampled_from(list(DeviceKind)),
            log_type=st.none() | st.sampled_from(list(DeviceLogType)),
            key=keys,
            removed_us=st.integers(0, 2**62),
            reason=st.text(max_size=10),
        ),
        max_size=2,
    ).map(tuple),
)


def entry(state: KeyState, octet: int) -> KeptDevice:
    return KeptDevice(
        eui64=Eui64.from_big_endian(bytes([octet]) * 8),
        name=f"d{octet}",
        kind=DeviceKind.CAD,
        log_type=DeviceLogType.CAD,
        link_key=Secret(b"c" * 16),
        state=state,
        key=None if state is KeyState.NONE else Secret(bytes([octet]) * 16),
    )


@given(log=logs)
def test_what_is_kept_comes_back(log: KeptLog, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = KeyStore(tmp_path_factory.mktemp("store") / "keys.json")
    store.save(log)
    assert store.load() == log


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "keys.json"
    store = KeyStore(path)
    assert store.load() == KeptLog()
    store.save(KeptLog(hub=HUB))
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["keys.json"]
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="others than its owner may read it"):
        store.load()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "hub": "0011"}', "\x00\xff"]
)
def test_a_damaged_store_is_told_without_its_content(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="key store cannot be used"):
        KeyStore(path).load()


def test_no_octet_that_goes_missing_or_turns_over_gives_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    store = KeyStore(path)
    store.save(KeptLog(hub=HUB, devices=(entry(KeyState.ESTABLISHED, 0xAB),)))
    whole = path.read_bytes()
    rng = random.Random(1)
    for _ in range(300):
        spoiled = bytearray(whole)
        spoiled[rng.randrange(len(spoiled))] = rng.randrange(256)
        del spoiled[rng.randrange(len(spoiled)) :][: rng.randrange(2)]
        path.write_bytes(spoiled)
        said = ""
        try:
            store.load()
        except ConfigurationError as error:
            said = str(error)
        assert "abab" not in said


def test_an_export_has_hashed_keys_and_nothing_else(tmp_path: Path) -> None:
    log = KeptLog(
        hub=HUB,
        extended_pan_id=HUB,
        devices=(
            entry(KeyState.ESTABLISHED, 1),
            entry(KeyState.INSTALL_CODE, 2),
            entry(KeyState.NONE, 3),
            replace(entry(KeyState.UNPROVEN, 4), before=Secret(b"b" * 16)),
            entry(KeyState.HASHED, 5),
        ),
        historic=(),
    )
    export = for_another_stick(log)
    assert export.restore
    assert export.extended_pan_id == HUB
    found = {device.name: device.key for device in export.devices}
    assert found == {
        "d1": Secret(aes_mmo(b"\x01" * 16)),
        "d4": Secret(aes_mmo(b"\x04" * 16)),
        "d5": Secret(b"\x05" * 16),  # hashed before: once is enough
    }
    assert {device.state for device in export.devices} == {KeyState.HASHED}
    KeyStore(tmp_path / "export.json").save(export)
    text = (tmp_path / "export.json").read_text()
    assert "01" * 16 not in text
    assert "62" * 16 not in text


# -- the keypad -----------------------------------------------------------------------------------


def test_without_a_pin_nothing_is_paired(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no Privacy PIN is set"):
        Keypad(tmp_path / "keypad.json").enter("1234")


def test_three_wrong_pins_in_a_row_lock_it_until_the_supplier_resets_it(tmp_path: Path) -> None:
    path = tmp_path / "keypad.json"
    Keypad(path).set_pin("1234")
    for said in ("2 more tries", "1 more try", "the keypad is locked"):
        with pytest.raises(UsageError, match=said):
            Keypad(path).enter("9999")  # each time a new process
    with pytest.raises(UsageError, match="locked"):
        Keypad(path).enter("1234")
    assert Keypad(path).locked
    reset(path)
    assert not Keypad(path).locked
    assert not Keypad(path).has_pin


def test_the_right_pin_begins_the_count_anew(tmp_path: Path) -> None:
    path = tmp_path / "keypad.json"
    Keypad(path).set_pin("1234")
    for _ in range(3):
        for _ in range(2):
            with pytest.raises(UsageError):
                Keypad(path).enter("0000")
        Keypad(path).enter("1234")
    assert not Keypad(path).locked


def test_a_pin_is_changed_by_who_knows_it_and_never_written_down(tmp_path: Path) -> None:
    path = tmp_path / "keypad.json"
    Keypad(path).set_pin("1234")
    with pytest.raises(UsageError, match="wrong"):
        Keypad(path).set_pin("5678")
    Keypad(path).set_pin("5678", before="1234")
    Keypad(path).enter("5678")
    assert path.stat().st_mode & 0o777 == 0o600
    stored = json.loads(path.read_text())
    assert "5678" not in stored.values()
    for pin in ("123", "12345", "12a4", ""):
        with pytest.raises(UsageError, match="4 digits"):
            Keypad(tmp_path / "other.json").set_pin(pin)


def test_a_damaged_keypad_says_how_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "keypad.json"
    path.write_text("{")
    with pytest.raises(ConfigurationError, match="memory cannot be used"):
        Keypad(path)
