"""Who is to be paired: from the rig file, from options, from a label, or many from a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from labctl.config.durations import parse_duration
from labctl.config.problems import ConfigurationErrors, Problem, did_you_mean
from labctl.config.resolved import DeviceUnderTest, LoadedRig
from labctl.errors import ConfigurationError, UsageError
from labctl.events import DeviceKind, PairingMethod
from labctl.hub.settings import LoggedDevice, PairingRequest
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.install_code import InstallCode, InstallCodeError
from labctl.smart_energy.label import LabelError, parse_label
from labctl.smart_energy.local_code import parse_local_code

_COLUMNS = {
    "eui64",
    "install_code",
    "label",
    "name",
    "kind",
    "window",
    "requested_by",
    "consent_reference",
}
_LONGEST_WINDOW_S = 0xFFFF
BY_A_PERSON = frozenset({PairingMethod.LOCAL_CODE, PairingMethod.CONFIRM})
"""Ways of pairing that nothing but a person's act begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """A device that is to be paired, with the evidence to keep. `assumed`: of its label."""

    eui64: Eui64
    install_code: InstallCode
    name: str
    kind: DeviceKind
    method: PairingMethod = PairingMethod.REMOTE
    window: timedelta = timedelta(minutes=10)
    requested_by: str = "bench"
    consent_reference: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    assumed: tuple[str, ...] = ()

    @property
    def request(self) -> PairingRequest:
        """What the hub is asked."""
        return PairingRequest(
            eui64=self.eui64,
            window_s=round(self.window.total_seconds()),
            method=self.method,
            requested_by=self.requested_by,
            consent_reference=self.consent_reference,
            device=LoggedDevice(
                eui64=self.eui64,
                name=self.name,
                kind=self.kind,
                link_key=self.install_code.link_key(),
                manufacturer=self.manufacturer,
                model=self.model,
            ),
        )


def of_the_rig(loaded: LoadedRig, word: str) -> Applicant:
    """A device under test, by its name or its address. Raises `UsageError`."""
    for device in loaded.devices:
        if word == device.name or _address(word) == device.eui64:
            return _under_test(device)
    raise UsageError(
        f"{word} is not a device of rig {loaded.name}",
        mend=did_you_mean(word, [device.name for device in loaded.devices])
        or "give --eui64 and --code for a device that is not in the rig file",
    )


def _under_test(device: DeviceUnderTest) -> Applicant:
    pairing = device.pairing
    return Applicant(
        eui64=device.eui64,
        install_code=device.install_code,
        name=device.name,
        kind=device.kind,
        # What takes a person's act is only what it says when a person has done it.
        method=PairingMethod.REMOTE if pairing.method in BY_A_PERSON else pairing.method,
        window=pairing.window,
        requested_by=pairing.requested_by,
        consent_reference=pairing.consent_reference,
        manufacturer=device.device.manufacturer,
        model=device.device.model,
    )


def known_or_new(
    loaded: LoadedRig, eui64: Eui64, code: InstallCode, *, kind: DeviceKind = DeviceKind.CAD
) -> Applicant:
    """A device by address and code; it has the name that the rig file gives it, if any."""
    for device in loaded.devices:
        if device.eui64 == eui64:
            return replace(_under_test(device), install_code=code)
    return Applicant(eui64=eui64, install_code=code, name=_name(eui64), kind=kind)


def of_a_label(loaded: LoadedRig, text: str, *, kind: DeviceKind = DeviceKind.CAD) -> Applicant:
    """A device by its label or QR code. Raises `UsageError`."""
    try:
        label = parse_label(text)
    except LabelError as error:
        raise UsageError(str(error), mend="give --eui64 and --code instead") from None
    applicant = known_or_new(loaded, label.eui64, label.install_code, kind=kind)
    return replace(applicant, assumed=label.assumed)


def of_a_file(loaded: LoadedRig, path: Path) -> list[Applicant]:
    """Many devices, from a CSV file with a header.

    Columns: ``eui64`` and ``install_code``, or ``label``; and, where wanted, ``name``, ``kind``,
    ``window``, ``requested_by``, ``consent_reference``. Raises `ConfigurationErrors` with all that
    is wrong, by line; then nobody is paired.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigurationError(f"the list cannot be read: {why}", where=str(path)) from None
    rows = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    header = [name.strip().lower() for name in rows.fieldnames or ()]
    rows.fieldnames = header
    problems = _header_problems(path, header)
    if problems:
        raise ConfigurationErrors(problems)
    found: list[Applicant] = []
    lines: dict[Eui64, int] = {}
    for row in rows:
        line = rows.line_num
        try:
            applicant = _of_a_row(loaded, row)
        except (ValueError, UsageError) as error:
            problems.append(_problem(path, line, str(getattr(error, "what", error))))
            continue
        if applicant.eui64 in lines:
            first = lines[applicant.eui64]
            problems.append(_problem(path, line, f"{applicant.eui64} is on line {first} already"))
            continue
        lines[applicant.eui64] = line
        found.append(applicant)
    if not found and not problems:
        problems.append(_problem(path, 1, "there is no device in the list"))
    if problems:
        raise ConfigurationErrors(problems)
    return found


def _header_problems(path: Path, header: list[str]) -> list[Problem]:
    problems = [
        _problem(path, 1, f"there is no column {name!r}", did_you_mean(name, _COLUMNS))
        for name in header
        if name not in _COLUMNS
    ]
    if "label" not in header and not {"eui64", "install_code"} <= set(header):
        problems.append(
            _problem(
                path,
                1,
                "the header names neither 'eui64' and 'install_code' nor 'label'",
                "begin the file with a line such as: eui64,install_code,name,kind",
            )
        )
    return problems


def _of_a_row(loaded: LoadedRig, row: Mapping[str | None, str | list[str] | None]) -> Applicant:
    if None in row:
        raise ValueError("there are more fields than columns")
    fields = {str(name): str(value or "").strip() for name, value in row.items()}
    kind = _kind(fields.get("kind", ""))
    if fields.get("label"):
        applicant = of_a_label(loaded, fields["label"], kind=kind or DeviceKind.CAD)
    else:
        eui64 = Eui64(fields.get("eui64", ""))
        try:
            code = InstallCode.parse(fields.get("install_code", ""))
        except InstallCodeError as error:
            raise ValueError(str(error)) from None
        applicant = known_or_new(loaded, eui64, code, kind=kind or DeviceKind.CAD)
    if kind is not None:
        applicant = replace(applicant, kind=kind)
    if fields.get("window"):
        applicant = replace(applicant, window=window(parse_duration(fields["window"])))
    return replace(
        applicant,
        name=fields.get("name") or applicant.name,
        requested_by=fields.get("requested_by") or applicant.requested_by,
        consent_reference=fields.get("consent_reference") or applicant.consent_reference,
    )


def window(duration: timedelta) -> timedelta:
    """A window's length. Raises `ValueError` when GBCS has no room for it."""
    if not 1 <= duration.total_seconds() <= _LONGEST_WINDOW_S:
        raise ValueError("a pairing window lasts 1 s to 65535 s")
    return duration


def _kind(word: str) -> DeviceKind | None:
    if not word:
        return None
    try:
        return DeviceKind(word.lower())
    except ValueError:
        raise ValueError(f"there is no kind {word!r}: {did_you_mean(word, DeviceKind)}") from None


def _address(word: str) -> Eui64 | None:
    try:
        return Eui64(word)
    except ValueError:
        return None


def _name(eui64: Eui64) -> str:
    return f"device-{eui64.replace(':', '')[-6:]}"


def _problem(path: Path, line: int, what: str, mend: str = "") -> Problem:
    return Problem(path=path, line=line, column=1, what=what, mend=mend)


def by_hand(
    loaded: LoadedRig, address: str, code: str, *, kind: DeviceKind = DeviceKind.CAD
) -> Applicant:
    """A device whose address and install code somebody typed. Raises `UsageError`."""
    eui64 = _address(address)
    if eui64 is None:
        raise UsageError(f"{address!r} is no address", mend="it has 16 hexadecimal digits")
    try:
        return known_or_new(loaded, eui64, InstallCode.parse(code), kind=kind)
    except InstallCodeError as error:
        raise UsageError(str(error)) from None


def by_local_code(loaded: LoadedRig, address: str, digits: str) -> Applicant:
    """A device whose pairing code somebody typed at the meter (S3 para. 24). Raises `UsageError`.

    That the digits are the install code in decimal is an inference: see `local_code`.
    """
    eui64 = _address(address)
    if eui64 is None:
        eui64 = of_the_rig(loaded, address).eui64
    try:
        code = parse_local_code(digits)
    except InstallCodeError as error:
        raise UsageError(str(error)) from None
    return replace(known_or_new(loaded, eui64, code), method=PairingMethod.LOCAL_CODE)
