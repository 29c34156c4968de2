"""Pairing at the emulated meter: the PIN first, then the code of the device (S3 option 3).

Whatever the keypad refuses is recorded with its cause: in the run that is under way, or in one of
its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from labctl.config.resolved import LoadedRig
from labctl.errors import UsageError
from labctl.events import Note, Severity
from labctl.rig.acts import Entered, KeypadRefused
from labctl.rig.applicants import Applicant, by_local_code
from labctl.rig.hub_client import reach
from labctl.rig.keypad import Keypad, reset
from labctl.rig.loop import run
from labctl.rig.session import handed_over, is_running, keypad_path, note_without_rig

__all__ = [
    "applicant_at",
    "hand_over",
    "hub_is_held",
    "is_running",
    "keypad_of",
    "recorded",
    "reset_keypad",
]

_T = TypeVar("_T")


def keypad_of(loaded: LoadedRig) -> Keypad:
    """The keypad of the rig's electricity meter. Raises `ConfigurationError`."""
    return Keypad(keypad_path(loaded))


def reset_keypad(loaded: LoadedRig) -> None:
    """What the supplier does for a consumer who forgot the PIN. Raises `ConfigurationError`."""
    reset(keypad_path(loaded))


def applicant_at(loaded: LoadedRig, keypad: Keypad, pin: str, device: str, code: str) -> Applicant:
    """The device whose code was typed behind the right PIN. Raises `UsageError`."""
    keypad.enter(pin)
    return by_local_code(loaded, device, code)


def hand_over(loaded: LoadedRig, applicant: Applicant) -> bool:
    """Hand what a person did to the rig, if it runs in another process. False: it does not."""
    return handed_over(loaded, Entered(applicant))


def hub_is_held(loaded: LoadedRig) -> bool:
    """Whether the rig's hub can be asked, and answers (`labctl hub up`)."""
    hub = reach(loaded)
    if hub is None:
        return False
    hub.close()
    return True


def recorded(
    loaded: LoadedRig, database: Path, device: str | None, attempt: Callable[[], _T]
) -> _T:
    """What `attempt` comes to; that the keypad refused it is recorded, and raised again."""
    try:
        return attempt()
    except UsageError as error:
        refusal = KeypadRefused(error.what, device)
        if not handed_over(loaded, refusal):
            _record(loaded, database, refusal)
        raise


def _record(loaded: LoadedRig, database: Path, refusal: KeypadRefused) -> None:
    detail: dict[str, object] = {"cause": refusal.cause, "device": refusal.device}
    found = Note(at_us=0, kind="keypad-refused", severity=Severity.WARNING, detail=detail)
    run(loaded, note_without_rig(loaded, database, "labctl meter keypad", found))
