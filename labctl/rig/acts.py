"""What persons do at a rig that runs already, handed to it through `.labctl/RIG/acts.jsonl`.

A rig is opened by one process at a time, and a person who types at its meter has another. The file
holds pairing codes until the rig takes them, so it is of mode 0600 and emptied with each taking.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from labctl.errors import ConfigurationError
from labctl.events import DeviceKind, PairingMethod
from labctl.rig.applicants import Applicant
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.install_code import InstallCode

NAME = "acts.jsonl"


@dataclass(frozen=True, slots=True)
class Entered:
    """A device's code was typed behind the right PIN, or its address was confirmed."""

    applicant: Applicant


@dataclass(frozen=True, slots=True)
class KeypadRefused:
    """The keypad refused what was typed for `device` (a name or an address, None: for itself)."""

    cause: str
    device: str | None = None


Act = Entered | KeypadRefused


class ActsFile:
    """The file. Everything raises `ConfigurationError` when it cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, act: Act) -> None:
        """Leave an act for the rig to take."""
        with self._locked(), self._opened(os.O_APPEND) as descriptor:
            os.write(descriptor, (json.dumps(_to_json(act)) + "\n").encode())

    def take(self) -> list[Act]:
        """What was left since the last taking; a line that is no act is passed over."""
        if not self._size():
            return []
        with self._locked(), self._opened(0) as descriptor:
            text = os.read(descriptor, os.fstat(descriptor).st_size)
            os.ftruncate(descriptor, 0)
        return [act for line in text.splitlines() if (act := _from_json(line)) is not None]

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    @contextmanager
    def _opened(self, flags: int) -> Iterator[int]:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | flags, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            descriptor = os.open(self.path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _unusable(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"nothing can be handed to the rig: {error.strerror}",
            where=str(self.path),
            mend="make the folder writable",
        )


def _to_json(act: Act) -> dict[str, Any]:
    if isinstance(act, KeypadRefused):
        return {"what": "keypad-refused", "cause": act.cause, "device": act.device}
    who = act.applicant
    return {
        "what": "entered",
        "eui64": who.eui64,
        "code": who.install_code.octets.reveal().hex(),
        "name": who.name,
        "kind": who.kind.value,
        "method": who.method.value,
        "window_s": who.window.total_seconds(),
        "requested_by": who.requested_by,
        "consent_reference": who.consent_reference,
    }


def _from_json(line: bytes) -> Act | None:
    try:
        told = json.loads(line)
        if told["what"] == "keypad-refused":
            return KeypadRefused(str(told["cause"]), told["device"])
        return Entered(
            Applicant(
                eui64=Eui64(told["eui64"]),
                install_code=InstallCode(bytes.fromhex(told["code"])),
                name=str(told["name"]),
                kind=DeviceKind(told["kind"]),
                method=PairingMethod(told["method"]),
                window=timedelta(seconds=float(told["window_s"])),
                requested_by=str(told["requested_by"]),
                consent_reference=told["consent_reference"],
            )
        )
    except (ValueError, KeyError, TypeError):
        return None  # half a line of a writer that was killed; its person was told nothing
