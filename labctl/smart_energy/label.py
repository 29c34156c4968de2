"""What stands on a device's label, or in its QR code: an address and an install code.

There is no one format. These are read, with whatever separators in the numbers:

- ``Z:<EUI-64>$I:<code>`` and its kin with ``%`` between the parts (Zigbee's setup payload), with
  ``A:`` for the address (``Z$A:…$I:…``), among other fields in any order;
- ``RB01SG…<EUI-64>DLK<code>`` (a vendor's, whose code has no CRC);
- labelled text: ``MAC``, ``EUI64``, ``IEEE`` ... and ``IC``, ``Install Code``, ``Code`` ...;
- two numbers with something between them, or one after the other without anything.

What had to be assumed is said, so that a person can look at the label again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.install_code import CODE_OCTETS, CRC_OCTETS, InstallCode, InstallCodeError

_HEX = r"[0-9A-Fa-f]"
_NUMBER = rf"(?:0[xX])?{_HEX}(?:[\s:.\-]?{_HEX})*"
_ADDRESS_WORD = (
    r"(?:MAC(?:[\s_-]*(?:ADDRESS|ADDR))?|EUI[\s_-]?(?:64)?|IEEE(?:[\s_-]*ADDR(?:ESS)?)?)"
)
_CODE_WORD = r"(?:INSTALL(?:ATION)?[\s_-]*CODE|INST(?:ALL)?\.?[\s_-]*CODE|IC|CODE|KEY)"
_JOINT = r"[\"']?\s*[:=]?\s*[\"']?"

_SETUP_ADDRESS = re.compile(rf"(?:^|[$%])(?:Z:|(?:Z\$)?A:)({_HEX}{{16}})(?=$|[$%])")
_SETUP_CODE = re.compile(rf"(?:^|[$%])I:({_HEX}+)(?=$|[$%])")
_VENDOR = re.compile(rf"^RB01SG{_HEX}{{34}}({_HEX}{{16}})DLK({_HEX}{{32}})$", re.IGNORECASE)
_WORDED_ADDRESS = re.compile(rf"\b{_ADDRESS_WORD}{_JOINT}({_NUMBER})", re.IGNORECASE)
_WORDED_CODE = re.compile(rf"\b{_CODE_WORD}{_JOINT}({_NUMBER})", re.IGNORECASE)
_GAP = re.compile(r"[\s,;|/]+")
_SEPARATORS = re.compile(r"[\s:.\-]")

_ADDRESS_DIGITS = 16
_FULL_DIGITS = frozenset(2 * (octets + CRC_OCTETS) for octets in CODE_OCTETS)
_BARE_DIGITS = frozenset(2 * octets for octets in CODE_OCTETS)


class LabelError(ValueError):
    """A label that cannot be read. The text never contains the code or a part of it."""


@dataclass(frozen=True, slots=True)
class Label:
    """A device's address and install code; `assumed` are sentences on what was not plain."""

    eui64: Eui64
    install_code: InstallCode
    assumed: tuple[str, ...] = ()


def parse_label(text: str) -> Label:
    """Read a label or the content of a QR code. Raises `LabelError`."""
    text = text.strip()
    if not text:
        raise LabelError("the label is empty")
    address, code, how = _parts(text)
    assumed = [how] if how else []
    try:
        eui64 = Eui64(address)
    except ValueError:
        raise LabelError("the label's address has not 16 hexadecimal digits") from None
    if eui64.big_endian in (bytes(8), b"\xff" * 8):
        raise LabelError(f"{eui64} is no device's address")
    install_code, sentence = _install_code(code)
    if sentence:
        assumed.append(sentence)
    return Label(eui64, install_code, tuple(assumed))


def _parts(text: str) -> tuple[str, str, str]:
    """Address and code as they stand there, and what had to be assumed to find them."""
    setup = _SETUP_ADDRESS.search(text), _SETUP_CODE.search(text)
    if setup[0] and setup[1]:
        return setup[0][1], setup[1][1], ""
    vendor = _VENDOR.match(text)
    if vendor:
        return vendor[1], vendor[2], ""
    worded = _WORDED_ADDRESS.search(text), _WORDED_CODE.search(text)
    if worded[0] and worded[1]:
        return _first_number(worded[0][1], {_ADDRESS_DIGITS}), _first_number(worded[1][1]), ""
    return _unlabelled(text)


def _first_number(found: str, lengths: set[int] | frozenset[int] = frozenset()) -> str:
    """What was matched may run on into the next field: it ends where its length is right."""
    words = _GAP.split(found)
    digits = ""
    best = ""
    for word in words:
        digits += _digits(word)
        if len(digits) in (lengths or _FULL_DIGITS | _BARE_DIGITS):
            best = digits
            if lengths:
                break
    return best or digits


def _digits(text: str) -> str:
    bare = _SEPARATORS.sub("", text)
    return bare[2:] if bare[:2] in ("0x", "0X") else bare


def _unlabelled(text: str) -> tuple[str, str, str]:
    words = [_digits(word) for word in _GAP.split(text) if word]
    if len(words) >= 2 and all(re.fullmatch(rf"{_HEX}+", word) for word in words):
        if len(words[0]) == _ADDRESS_DIGITS:
            return words[0], "".join(words[1:]), "the first number was taken for the address"
        if len(words[-1]) == _ADDRESS_DIGITS:
            return words[-1], "".join(words[:-1]), "the last number was taken for the address"
        joined = "".join(words)
    else:
        joined = "".join(words)
    if not re.fullmatch(rf"{_HEX}+", joined):
        raise LabelError("the label has no address and code in a form that is known here")
    if len(joined) - _ADDRESS_DIGITS not in _FULL_DIGITS | _BARE_DIGITS:
        raise LabelError(
            f"the label's {len(joined)} digits are no address of 16 with an install code after it"
        )
    return (
        joined[:_ADDRESS_DIGITS],
        joined[_ADDRESS_DIGITS:],
        "the first 16 digits were taken for the address, the others for the install code",
    )


def _install_code(digits: str) -> tuple[InstallCode, str]:
    """The code, and the sentence that is due when its CRC was not on the label.

    16 digits could be 6 octets with their CRC or 8 without; a CRC that is wrong says nothing about
    which, so they are taken with it.
    """
    try:
        return InstallCode.parse(digits), ""
    except InstallCodeError as error:
        if len(digits) not in _BARE_DIGITS - _FULL_DIGITS:
            raise LabelError(f"the label: {error}") from None
        code = InstallCode.from_octets_without_crc(bytes.fromhex(digits))
    octets = len(digits) // 2
    return code, f"the install code of {octets} octets stands there without its CRC: it was added"
