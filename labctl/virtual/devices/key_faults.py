"""Key establishment messages gone wrong: what a faulty device sends in place of a sound message."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from labctl.smart_energy.cbke import CommandId
from labctl.smart_energy.certificates import KEY_USAGE_AGREEMENT
from labctl.smart_energy.curves import CURVES
from labctl.virtual.devices.behaviour import KeyFault

_CERTIFICATE_AT = 4
_KEY_USAGE_AT = _CERTIFICATE_AT + 36
_SUITE_2_INITIATE_OCTETS = _CERTIFICATE_AT + 74
_CONFIRMATION_OCTETS = 16

Message = tuple[CommandId, bytes]


@dataclass(slots=True)
class KeyMessages:
    """Turns each sound message of one attempt into what goes out.

    `without_key_usage` clears key agreement in the own certificate (suite 2 alone has the field).
    """

    fault: KeyFault | None
    without_key_usage: bool
    suite: int
    rng: random.Random
    mute: bool = False
    """It does not tell its partner that it ended the exchange."""
    _initiate: bytes = field(default=b"", init=False)

    def outgoing(self, command: CommandId, payload: bytes) -> Sequence[Message]:
        """The messages to send in place of this one, in their order."""
        if command is CommandId.INITIATE:
            payload = self._own_initiate(payload)
        if command is CommandId.TERMINATE and self.mute:
            return []
        if self.fault is None or command is CommandId.TERMINATE:
            return [(command, payload)]
        if self.fault is KeyFault.REPEATED:
            return [(command, payload)] * 2
        if self.fault is KeyFault.TRUNCATED:
            return [(command, payload[:-1])]
        return [self._replaced(command, payload)]

    def _own_initiate(self, payload: bytes) -> bytes:
        if self.without_key_usage and len(payload) == _SUITE_2_INITIATE_OCTETS:
            usage = payload[_KEY_USAGE_AT] & ~KEY_USAGE_AGREEMENT
            payload = payload[:_KEY_USAGE_AT] + bytes((usage,)) + payload[_KEY_USAGE_AT + 1 :]
        self._initiate = payload
        return payload

    def _replaced(self, command: CommandId, payload: bytes) -> Message:
        fault = self.fault
        if command is CommandId.INITIATE:
            if fault is KeyFault.EPHEMERAL_FIRST:
                return CommandId.EPHEMERAL_DATA, b"\x02" + self._point()
            if fault is KeyFault.TWO_SUITES:
                return command, b"\x03\x00" + payload[2:]
            if fault is KeyFault.UNKNOWN_SUITE:
                return command, b"\x04\x00" + payload[2:]
        elif command is CommandId.EPHEMERAL_DATA:
            if fault is KeyFault.CORRUPT_EPHEMERAL:
                # All ones are above the field's degree: no point of either curve.
                return command, b"\x02" + b"\xff" * (CURVES[self.suite].point_octets - 1)
            if fault is KeyFault.CONFIRMATION_FIRST:
                return CommandId.CONFIRM_KEY, self.rng.randbytes(_CONFIRMATION_OCTETS)
        elif command is CommandId.CONFIRM_KEY:
            if fault is KeyFault.CORRUPT_CONFIRMATION:
                bit = self.rng.randrange(8 * len(payload))
                wrong = int.from_bytes(payload, "big") ^ 1 << bit
                return command, wrong.to_bytes(len(payload), "big")
            if fault is KeyFault.INITIATE_AGAIN:
                return CommandId.INITIATE, self._initiate
        return command, payload

    def _point(self) -> bytes:
        return b"\x00" + self.rng.randbytes(CURVES[self.suite].point_octets - 2)
