"""The keypad of the emulated electricity meter: pairing behind the consumer's Privacy PIN.

Local pairing works where a PIN is set and is known, and nowhere else (S0 para. 10, 14): anybody may
stand before a meter in a shared hall. Three wrong PINs in a row lock the keypad until the supplier
resets it. The PIN is kept as a salted hash, in a file of mode 0600.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from pathlib import Path

from labctl.errors import ConfigurationError, UsageError
from labctl.files import replace_file

PIN_DIGITS = 4
TRIES = 3

_PIN = re.compile(r"[0-9]{4}")
_SALT_OCTETS = 16
_LEFT = {2: "2 more tries", 1: "1 more try"}


class Keypad:
    """One meter's keypad, as its file says; without a file it forgets.

    Raises `ConfigurationError` for a damaged file.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._salt = self._hash = b""
        self._wrong = 0
        if path is None:
            return
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            self._salt = bytes.fromhex(stored["salt"])
            self._hash = bytes.fromhex(stored["hash"])
            self._wrong = int(stored["wrong"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError):
            raise ConfigurationError(
                "the keypad's memory cannot be used",
                where=str(path),
                mend="reset it: labctl meter keypad RIG --reset --yes",
            ) from None

    @property
    def has_pin(self) -> bool:
        """Whether the consumer has set one."""
        return bool(self._hash)

    @property
    def locked(self) -> bool:
        """Whether too many wrong PINs were entered."""
        return self._wrong >= TRIES

    def set_pin(self, pin: str, *, before: str | None = None) -> None:
        """Set the PIN; the one `before` has to be known. Raises `UsageError`."""
        if self.has_pin:
            self.enter(before or "")
        if not _PIN.fullmatch(pin):
            raise UsageError(f"a Privacy PIN has {PIN_DIGITS} digits")
        self._salt = os.urandom(_SALT_OCTETS)
        self._hash = self._digest(pin)
        self._save()

    def enter(self, pin: str) -> None:
        """Somebody enters a PIN. Raises `UsageError` when there is none, or it is not this one."""
        if not self.has_pin:
            raise UsageError(
                "no Privacy PIN is set: without one nothing is paired at this meter",
                mend="set one with --set-pin, or pair remotely with `labctl pair`",
            )
        if self.locked:
            raise UsageError(
                f"the keypad is locked after {TRIES} wrong PINs",
                mend="the supplier resets it: labctl meter keypad RIG --reset --yes",
            )
        if not hmac.compare_digest(self._digest(pin), self._hash):
            self._wrong += 1
            self._save()
            left = TRIES - self._wrong
            raise UsageError(
                "the PIN is wrong: " + _LEFT.get(left, "the keypad is locked"),
                mend="" if left else "the supplier resets it: labctl meter keypad RIG --reset",
            )
        if self._wrong:
            self._wrong = 0
            self._save()

    def _digest(self, pin: str) -> bytes:
        return hashlib.scrypt(pin.encode(), salt=self._salt, n=2**14, r=8, p=1)

    def _save(self) -> None:
        if self._path is None:
            return
        content = {"salt": self._salt.hex(), "hash": self._hash.hex(), "wrong": self._wrong}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace_file(self._path, json.dumps(content), mode=0o600)
        except OSError as error:
            raise ConfigurationError(
                f"the keypad's memory cannot be written: {error.strerror}", where=str(self._path)
            ) from error


def reset(path: Path) -> None:
    """The supplier resets the keypad: no PIN, no lock. Raises `ConfigurationError`."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the keypad's memory cannot be removed: {error.strerror}", where=str(path)
        ) from error
