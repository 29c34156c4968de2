"""Pairing at the emulated meter: the PIN first, then the code of the device (S3 option 3)."""

from __future__ import annotations

from labctl.config.resolved import LoadedRig
from labctl.rig.applicants import Applicant, by_local_code
from labctl.rig.keypad import Keypad, reset
from labctl.rig.session import keypad_path

__all__ = ["applicant_at", "keypad_of", "reset_keypad"]


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
