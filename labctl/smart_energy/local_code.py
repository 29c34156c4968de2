"""The pairing code that a consumer types at the meter: 20 to 44 decimal digits (S3 para. 24).

S3 gives the lengths and says that the Smart Energy Profile allows them, and no more. Install codes
with their CRC have 8, 10, 14 or 18 octets; as decimal numbers without loss of a leading zero these
take 20, 25, 34 and 44 digits. So the code is taken to be the decimal rendering of the octets, most
significant first, padded with zeros: an inference, which no source states.
"""

from __future__ import annotations

import re

from labctl.secret import Secret
from labctl.smart_energy.install_code import InstallCode, InstallCodeError

DIGITS = {20: 8, 25: 10, 34: 14, 44: 18}
"""How many octets, CRC included, a code of so many digits stands for."""

_SEPARATORS = re.compile(r"[\s\-]+")


def parse_local_code(text: str) -> InstallCode:
    """The install code behind the digits; spaces and dashes may stand anywhere.

    Raises `InstallCodeError`, whose text never contains the code or a part of it.
    """
    digits = _SEPARATORS.sub("", text)
    if not digits:
        raise InstallCodeError("the pairing code is empty")
    if not (digits.isascii() and digits.isdigit()):
        raise InstallCodeError(
            "the pairing code has something other than digits in it; it is the decimal one, "
            "not the hexadecimal install code"
        )
    octets = DIGITS.get(len(digits))
    if octets is None:
        raise InstallCodeError(
            f"the pairing code has {len(digits)} digits; it must have 20, 25, 34 or 44"
        )
    number = int(digits)
    if number >= 1 << 8 * octets:
        raise InstallCodeError(
            f"no install code gives this pairing code of {len(digits)} digits: "
            "one of the first digits was mistyped"
        )
    try:
        return InstallCode(number.to_bytes(octets, "big"))
    except InstallCodeError:
        raise InstallCodeError("the pairing code is wrong: a digit was mistyped") from None


def local_code(code: InstallCode) -> Secret:
    """The digits that stand for an install code, in ASCII."""
    octets = code.octets.reveal()
    width = next(digits for digits, length in DIGITS.items() if length == len(octets))
    return Secret(str(int.from_bytes(octets, "big")).zfill(width).encode())
