"""What goes over the socket of a hub that is held: one JSON object in a line, in both directions.

    > {"labctl": 1, "do": "read", "device": "ihd", "cluster": 1794, "attributes": [0]}
    < {"labctl": 1, "tell": "a line for the person who waits"}
    < {"labctl": 1, "done": {...}}       or        {"labctl": 1, "error": {...}}

A connection carries one request after the other. Each is answered by any number of `tell` and then
by one `done` or `error`. Requests may hold install codes: nothing that arrives is ever logged.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from labctl import errors
from labctl.errors import ExitCode, LabctlError, RigError, UsageError
from labctl.events import DeviceKind, PairingMethod
from labctl.rig.applicants import Applicant
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.install_code import InstallCode

VERSION: Final = 1
LONGEST_LINE: Final = 256 * 1024
NAME: Final = "hub.sock"

_ERRORS: Final = {
    each.__name__: each
    for each in (
        errors.UsageError,
        errors.ConfigurationError,
        errors.RigError,
        errors.BusyError,
        errors.DatabaseError,
        errors.InternalError,
    )
}


class Request:
    """What somebody asks for: `do`, and arguments that are taken one by one, with their types."""

    def __init__(self, do: str, arguments: Mapping[str, Any]) -> None:
        self.do = do
        self._arguments = dict(arguments)
        self._taken: set[str] = set()

    def text(self, name: str, default: str | None = None) -> str:
        """A text that is not empty. Raises `UsageError`."""
        value = self._value(name, default)
        if not isinstance(value, str) or not value:
            raise UsageError(f"{name} must be a text")
        return value

    def maybe_text(self, name: str) -> str | None:
        """A text, or None. Raises `UsageError`."""
        return None if self._arguments.get(name) is None else self.text(name)

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number within limits, both included. Raises `UsageError`."""
        value = self._value(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise UsageError(f"{name} must be a whole number from {low} to {high}")
        return value

    def maybe_whole(self, name: str, low: int, high: int) -> int | None:
        """The same, or None. Raises `UsageError`."""
        return None if self._arguments.get(name) is None else self.whole(name, low, high)

    def wholes(self, name: str, low: int, high: int) -> list[int]:
        """A list of them, not empty. Raises `UsageError`."""
        values = self._value(name, None)
        if not isinstance(values, list) or not values:
            raise UsageError(f"{name} must be a list of whole numbers")
        return [Request("", {name: value}).whole(name, low, high) for value in values]

    def applicants(self, name: str) -> list[Applicant]:
        """Devices to be paired, not none. Raises `UsageError`."""
        values = self._value(name, None)
        if not isinstance(values, list) or not values:
            raise UsageError(f"{name} must be a list of devices")
        return [applicant_from(value) for value in values]

    def nothing_else(self) -> None:
        """Raises `UsageError` for arguments that nobody took: a newer client means something."""
        left = sorted(set(self._arguments) - self._taken)
        if left:
            raise UsageError(f"{self.do} does not know {left[0][:40]!r}")

    def _value(self, name: str, default: object) -> Any:
        self._taken.add(name)
        value = self._arguments.get(name)
        if value is None:
            value = default
        if value is None:
            raise UsageError(f"{self.do} needs {name}")
        return value


def parse(line: bytes) -> Request:
    """A request. Raises `UsageError`, whatever the line is; the text never quotes it."""
    told = parsed(line)
    if told.pop("labctl", None) != VERSION:
        raise UsageError(
            f"this hub speaks version {VERSION} of its protocol",
            mend="use the same labctl that holds the hub",
        )
    do = told.pop("do", None)
    if not isinstance(do, str):
        raise UsageError("the request does not say what to do")
    return Request(do, told)


def parsed(line: bytes) -> dict[str, Any]:
    """The object in a line. Raises `UsageError`."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        raise UsageError("this is not a line of JSON") from None
    if not isinstance(told, dict):
        raise UsageError("this is not a JSON object")
    return told


def line(content: Mapping[str, object]) -> bytes:
    """A line with this content, the version in front."""
    return json.dumps({"labctl": VERSION, **content}, ensure_ascii=False).encode() + b"\n"


def error_content(error: LabctlError) -> dict[str, object]:
    """An error as the other side raises it again."""
    kind = next((name for name, each in _ERRORS.items() if type(error) is each), None)
    if kind is None:
        kind = next(
            (name for name, each in reversed(_ERRORS.items()) if isinstance(error, each)),
            "InternalError",
        )
    return {
        "kind": kind,
        "exit_code": int(error.exit_code),
        "what": error.what,
        "where": error.where,
        "mend": error.mend,
    }


def error_from(content: object) -> LabctlError:
    """The error that the other side had."""
    if not isinstance(content, dict):
        return RigError("the hub answered with something that is no error")
    kind = _ERRORS.get(str(content.get("kind")), RigError)
    error = kind(
        str(content.get("what", "")),
        where=str(content.get("where") or ""),
        mend=str(content.get("mend") or ""),
    )
    with contextlib.suppress(TypeError, ValueError):  # one of a newer labctl: that of its kind
        error.exit_code = ExitCode(int(content.get("exit_code", error.exit_code)))
    return error


def applicant_content(applicant: Applicant) -> dict[str, object]:
    """A device that is to be paired. It holds the install code."""
    return {
        "eui64": str(applicant.eui64),
        "code": applicant.install_code.octets.reveal().hex(),
        "name": applicant.name,
        "kind": applicant.kind.value,
        "method": applicant.method.value,
        "window_s": applicant.window.total_seconds(),
        "requested_by": applicant.requested_by,
        "consent_reference": applicant.consent_reference,
        "manufacturer": applicant.manufacturer,
        "model": applicant.model,
    }


def applicant_from(told: object) -> Applicant:
    """The device. Raises `UsageError`, which says nothing of its install code."""
    if not isinstance(told, dict):
        raise UsageError("a device to be paired must be a JSON object")
    asked = Request("a device", told)
    try:
        code = InstallCode(bytes.fromhex(asked.text("code")))
    except ValueError:
        raise UsageError("this is not an install code with its CRC") from None
    try:
        return Applicant(
            eui64=Eui64(asked.text("eui64")),
            install_code=code,
            name=asked.text("name"),
            kind=DeviceKind(asked.text("kind")),
            method=PairingMethod(asked.text("method")),
            window=timedelta(seconds=_seconds(told.get("window_s"))),
            requested_by=asked.text("requested_by"),
            consent_reference=asked.maybe_text("consent_reference"),
            manufacturer=asked.maybe_text("manufacturer"),
            model=asked.maybe_text("model"),
        )
    except ValueError as error:
        raise UsageError(str(error)) from None


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 0xFFFF:
        raise UsageError("window_s must be a number of seconds from 1 to 65535")
    return float(value)
