"""The key store: the device log with its keys, in one file of mode 0600.

It outlives the hub and the stick. `labctl hub export` writes the same file with hashed keys, from
which another stick takes over (GBCS CCS03; R22 4.7.4).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from labctl.errors import ConfigurationError
from labctl.events import DeviceKind, PairingMethod
from labctl.files import replace_file
from labctl.hub.keys import hashed
from labctl.hub.vault import (
    Evidence,
    HistoricDevice,
    KeptDevice,
    KeptLog,
    KeyState,
    Vault,
)
from labctl.secret import Secret
from labctl.smart_energy.device_types import DeviceLogType
from labctl.smart_energy.eui64 import Eui64

FORMAT = 1

_OWNER_ONLY = 0o077
_MEND = "restore it from a backup; without it the devices' keys are those that the stick has"


class KeyStore(Vault):
    """A file. Every method raises `ConfigurationError` when it cannot be read or written."""

    def __init__(self, path: Path, may_save: Callable[[], None] | None = None) -> None:
        """`may_save` raises when the file is not this process's to write any more."""
        self._path = path
        self._may_save = may_save

    def load(self) -> KeptLog:
        """What the file says; an empty log when there is none.

        A file that others may read is refused: its keys are not secret any more.
        """
        try:
            with self._path.open(encoding="utf-8") as file:
                mode = os.fstat(file.fileno()).st_mode
                text = file.read()
        except FileNotFoundError:
            return KeptLog()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise self._unusable(f"it cannot be read: {why}", _MEND) from None
        if mode & _OWNER_ONLY:
            raise self._unusable(
                "others than its owner may read it", f"chmod 600 {self._path}, and mind who has it"
            )
        try:
            return _read(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        # Outside of `except`: what the parser had in hand are keys.
        raise self._unusable("it is damaged, or a newer labctl wrote it", _MEND)

    def save(self, log: KeptLog) -> None:
        """Replace the file as a whole, so that a kill leaves the old one or the new one."""
        if self._may_save is not None:
            self._may_save()
        text = json.dumps(_written(log), indent=1)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace_file(self._path, text, mode=0o600, durable=True)
        except OSError as error:
            raise self._unusable(
                f"it cannot be written: {error.strerror}",
                "is the folder there, and may it be written to?",
            ) from error

    def _unusable(self, why: str, mend: str) -> ConfigurationError:
        return ConfigurationError(
            f"the key store cannot be used: {why}", where=str(self._path), mend=mend
        )


def for_another_stick(log: KeptLog) -> KeptLog:
    """What an export holds: hashed keys, no install codes' keys, nothing of who was removed.

    Only devices with an established key can follow a swap-out; the others have to be paired.
    """
    devices = []
    for device in log.devices:
        key = device.key
        if key is None or device.state in (KeyState.NONE, KeyState.INSTALL_CODE):
            continue
        devices.append(
            replace(
                device,
                state=KeyState.HASHED,
                key=key if device.state is KeyState.HASHED else hashed(key),
                before=None,
                before_state=KeyState.NONE,
            )
        )
    return replace(log, restore=True, devices=tuple(devices), historic=())


def _written(log: KeptLog) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "hub": log.hub,
        "extended_pan_id": log.extended_pan_id,
        "beside": log.beside,
        "restore": log.restore,
        "devices": [
            {
                "eui64": device.eui64,
                "name": device.name,
                "kind": device.kind.value,
                "type": None if device.log_type is None else int(device.log_type),
                "manufacturer": device.manufacturer,
                "model": device.model,
                "sleepy": device.sleepy,
                "state": device.state.value,
                "install_code_key": device.link_key.reveal().hex(),
                "key": _hex(device.key),
                "before": _hex(device.before),
                "before_state": device.before_state.value,
                "evidence": _evidence_written(device.evidence),
            }
            for device in log.devices
        ],
        "historic": [
            {
                "eui64": device.eui64,
                "name": device.name,
                "kind": device.kind.value,
                "type": None if device.log_type is None else int(device.log_type),
                "key": device.key.reveal().hex(),
                "removed_us": device.removed_us,
                "reason": device.reason,
            }
            for device in log.historic
        ],
    }


def _evidence_written(evidence: Evidence | None) -> dict[str, Any] | None:
    if evidence is None:
        return None
    return {
        "method": evidence.method.value,
        "requested_by": evidence.requested_by,
        "consent_reference": evidence.consent_reference,
        "added_us": evidence.added_us,
    }


def _read(stored: dict[str, Any]) -> KeptLog:
    if stored["format"] != FORMAT:
        raise ValueError("another format")
    return KeptLog(
        hub=_address(stored["hub"]),
        extended_pan_id=_address(stored["extended_pan_id"]),
        beside=_address(stored.get("beside")),
        restore=bool(stored["restore"]),
        devices=tuple(_device(entry) for entry in stored["devices"]),
        historic=tuple(
            HistoricDevice(
                eui64=Eui64(entry["eui64"]),
                name=str(entry["name"]),
                kind=DeviceKind(entry["kind"]),
                log_type=_type(entry["type"]),
                key=_key(entry["key"]),
                removed_us=int(entry["removed_us"]),
                reason=str(entry["reason"]),
            )
            for entry in stored["historic"]
        ),
    )


def _device(entry: dict[str, Any]) -> KeptDevice:
    evidence = entry["evidence"]
    device = KeptDevice(
        eui64=Eui64(entry["eui64"]),
        name=str(entry["name"]),
        kind=DeviceKind(entry["kind"]),
        log_type=_type(entry["type"]),
        manufacturer=entry["manufacturer"],
        model=entry["model"],
        sleepy=bool(entry["sleepy"]),
        link_key=_key(entry["install_code_key"]),
        state=KeyState(entry["state"]),
        key=None if entry["key"] is None else _key(entry["key"]),
        before=None if entry["before"] is None else _key(entry["before"]),
        before_state=KeyState(entry["before_state"]),
        evidence=None
        if evidence is None
        else Evidence(
            method=PairingMethod(evidence["method"]),
            requested_by=str(evidence["requested_by"]),
            consent_reference=evidence["consent_reference"],
            added_us=int(evidence["added_us"]),
        ),
    )
    if (device.key is None) is not (device.state is KeyState.NONE):
        raise ValueError("a key and its state do not go together")
    return device


def _hex(key: Secret | None) -> str | None:
    return None if key is None else key.reveal().hex()


def _key(text: str) -> Secret:
    key = Secret(bytes.fromhex(text))
    if len(key) != 16:
        raise ValueError("a key has 16 octets")
    return key


def _address(text: str | None) -> Eui64 | None:
    return None if text is None else Eui64(text)


def _type(number: int | None) -> DeviceLogType | None:
    return None if number is None else DeviceLogType(number)
