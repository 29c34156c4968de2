"""The four commands of the Key Establishment cluster, 0x0800 (SE 1.4a C.3.1.2.3, C.3.1.3.3).

They have the same ids and payloads in both directions: requests go from client to server,
responses from server to client, Terminate goes either way.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Self

from labctl.smart_energy.certificates import CERTIFICATE_OCTETS
from labctl.smart_energy.curves import CURVES
from labctl.smart_energy.ecmqv import CONFIRMATION_OCTETS

CLUSTER_ID = 0x0800

_INITIATE = struct.Struct("<HBB")
_TERMINATE = struct.Struct("<BBH")


class CommandId(enum.IntEnum):
    """Commands of the cluster, the same both ways."""

    INITIATE = 0x00
    EPHEMERAL_DATA = 0x01
    CONFIRM_KEY = 0x02
    TERMINATE = 0x03

    @property
    def label(self) -> str:
        """As the specification writes it."""
        return _LABELS[self]


_LABELS = {
    CommandId.INITIATE: "Initiate Key Establishment",
    CommandId.EPHEMERAL_DATA: "Ephemeral Data",
    CommandId.CONFIRM_KEY: "Confirm Key",
    CommandId.TERMINATE: "Terminate Key Establishment",
}


class TerminateStatus(enum.IntEnum):
    """Why key establishment was ended (SE 1.4a, table C-6).

    Any other octet gives a member of its own, named ``RESERVED_xx``: a device under test may send
    anything, and what it sent has to be told.
    """

    UNKNOWN_ISSUER = 0x01
    BAD_KEY_CONFIRM = 0x02
    BAD_MESSAGE = 0x03
    NO_RESOURCES = 0x04
    UNSUPPORTED_SUITE = 0x05
    INVALID_CERTIFICATE = 0x06

    @classmethod
    def _missing_(cls, value: object) -> TerminateStatus | None:
        if not isinstance(value, int) or not 0 <= value <= 0xFF:
            return None
        member = int.__new__(cls, value)
        member._name_ = f"RESERVED_{value:02X}"
        member._value_ = value
        return member


class MessageError(ValueError):
    """A payload that cannot be answered but with a Terminate of this status."""

    def __init__(self, status: TerminateStatus, cause: str) -> None:
        super().__init__(cause)
        self.status = status
        self.cause = cause


def suite_bitmap(suites: set[int] | frozenset[int]) -> int:
    """The suites as a bitmap16: bit 0 is suite 1, bit 1 suite 2 (SE 1.4a, table C-4)."""
    return sum(1 << suite - 1 for suite in suites)


@dataclass(frozen=True, slots=True)
class Initiate:
    """Initiate Key Establishment, request or response: 52 octets (suite 1) or 78 (suite 2).

    `ephemeral_time_s` and `confirm_time_s` (0 to 255) say how long the sender will take to
    produce its ephemeral data and its confirmation.
    """

    suite: int
    ephemeral_time_s: int
    confirm_time_s: int
    certificate: bytes

    def encode(self) -> bytes:
        """The payload."""
        return (
            _INITIATE.pack(suite_bitmap({self.suite}), self.ephemeral_time_s, self.confirm_time_s)
            + self.certificate
        )

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """From a payload. Raises `MessageError`.

        The suite is looked at before the length, because the length depends on it; a device with
        a suite unknown to us is to be told so.
        """
        if len(payload) < 2:
            raise MessageError(
                TerminateStatus.BAD_MESSAGE,
                f"Initiate Key Establishment has {len(payload)} octets: not even a suite",
            )
        bitmap = int.from_bytes(payload[:2], "little")
        if bitmap.bit_count() > 1:
            raise MessageError(
                TerminateStatus.BAD_MESSAGE,
                f"Initiate Key Establishment names more than one suite: bitmap {bitmap:04x}",
            )
        suite = bitmap.bit_length()
        if suite not in CERTIFICATE_OCTETS:
            raise MessageError(
                TerminateStatus.UNSUPPORTED_SUITE,
                f"Initiate Key Establishment names no suite that exists: bitmap {bitmap:04x}",
            )
        length = _INITIATE.size + CERTIFICATE_OCTETS[suite]
        if len(payload) != length:
            raise MessageError(
                TerminateStatus.BAD_MESSAGE,
                f"Initiate Key Establishment has {len(payload)} octets; "
                f"suite {suite} needs {length}",
            )
        _, ephemeral_time_s, confirm_time_s = _INITIATE.unpack_from(payload)
        return cls(suite, ephemeral_time_s, confirm_time_s, payload[_INITIATE.size :])


@dataclass(frozen=True, slots=True)
class EphemeralData:
    """Ephemeral Data, request or response: a compressed point of 22 or 37 octets."""

    public_key: bytes

    def encode(self) -> bytes:
        """The payload."""
        return self.public_key

    @classmethod
    def decode(cls, payload: bytes, suite: int) -> Self:
        """From a payload of the suite under way. Raises `MessageError` for a wrong length."""
        length = CURVES[suite].point_octets
        if len(payload) != length:
            raise MessageError(
                TerminateStatus.BAD_MESSAGE,
                f"Ephemeral Data has {len(payload)} octets; suite {suite} needs {length}",
            )
        return cls(payload)


@dataclass(frozen=True, slots=True)
class ConfirmKey:
    """Confirm Key, request (MACU) or response (MACV): 16 octets."""

    mac: bytes

    def encode(self) -> bytes:
        """The payload."""
        return self.mac

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """From a payload. Raises `MessageError` for a wrong length."""
        if len(payload) != CONFIRMATION_OCTETS:
            raise MessageError(
                TerminateStatus.BAD_MESSAGE,
                f"Confirm Key has {len(payload)} octets; it needs {CONFIRMATION_OCTETS}",
            )
        return cls(payload)


@dataclass(frozen=True, slots=True)
class Terminate:
    """Terminate Key Establishment: 4 octets.

    `wait_s` (0 to 255) is how long the partner should wait before it tries again; `suites` is the
    bitmap of what the sender supports.
    """

    status: TerminateStatus
    wait_s: int
    suites: int

    def encode(self) -> bytes:
        """The payload."""
        return _TERMINATE.pack(self.status, self.wait_s, self.suites)

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """From a payload. Raises `MessageError` for a wrong length; any status is taken."""
        if len(payload) != _TERMINATE.size:
            raise MessageError(
                TerminateStatus.BAD_MESSAGE,
                f"Terminate Key Establishment has {len(payload)} octets; "
                f"it needs {_TERMINATE.size}",
            )
        status, wait_s, suites = _TERMINATE.unpack(payload)
        return cls(TerminateStatus(status), wait_s, suites)
