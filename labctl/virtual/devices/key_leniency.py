"""A key establishment that does not look closely: what a faulty device makes of its partner.

A certificate that is not looked at closely is taken for the one that would be right. So the
exchange goes on as with a hub that has a private key for what its certificate says, and the device
ends up with a key.
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import Any

from labctl.smart_energy.cbke import (
    Action,
    CommandId,
    Established,
    KeyEstablishment,
    Role,
    State,
    TerminateStatus,
)
from labctl.smart_energy.cbke_messages import ConfirmKey, suite_bitmap
from labctl.smart_energy.certificates import KEY_USAGE_AGREEMENT, Certificate, Suite2Certificate
from labctl.smart_energy.curves import Point
from labctl.virtual.devices.behaviour import KeyCheck

_DUE = {
    State.AWAITING_INITIATE: CommandId.INITIATE,
    State.AWAITING_EPHEMERAL_DATA: CommandId.EPHEMERAL_DATA,
    State.AWAITING_CONFIRM_KEY: CommandId.CONFIRM_KEY,
}


class LenientKeyEstablishment(KeyEstablishment):
    """One attempt of a device that overlooks something, or keeps a key that it refused."""

    def __init__(
        self, *arguments: Any, overlooks: frozenset[KeyCheck], keeps_key: bool, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._overlooks = overlooks
        self._keeps_key = keeps_key

    def _dispatch(self, command: CommandId, payload: bytes) -> list[Action]:
        due = _DUE.get(self.state)
        if due is not None and command is not due and KeyCheck.ORDER in self._overlooks:
            return []
        if command is due is CommandId.INITIATE and KeyCheck.SUITE in self._overlooks:
            suite = self.suite or max(self._identities)
            payload = suite_bitmap({suite}).to_bytes(2, "little") + payload[2:]
        return super()._dispatch(command, payload)

    def _accept_certificate(self, certificate: Certificate) -> Point | None:
        if KeyCheck.ISSUER in self._overlooks:
            issuer = self._identities[certificate.suite].issuer
            certificate = replace(certificate, issuer=issuer)
        if KeyCheck.SUBJECT in self._overlooks:
            certificate = replace(certificate, subject=self.partner)
        if KeyCheck.KEY_USAGE in self._overlooks and isinstance(certificate, Suite2Certificate):
            usage = certificate.key_usage | KEY_USAGE_AGREEMENT
            certificate = replace(certificate, key_usage=usage)
        return super()._accept_certificate(certificate)

    def _receive_confirm(self, message: ConfirmKey) -> list[Action]:
        expected = self._macv if self.role is Role.INITIATOR else self._macu
        if KeyCheck.CONFIRMATION in self._overlooks:
            message = ConfirmKey(expected)
        elif self._keeps_key and not hmac.compare_digest(message.mac, expected):
            assert self._keys is not None  # settled by Ephemeral Data
            assert self._partner_certificate is not None  # settled by Initiate
            taken = Established(self._keys.link_key, self._settled_suite, self._partner_certificate)
            self._end(State.ESTABLISHED)
            return [self._terminate_message(TerminateStatus.BAD_KEY_CONFIRM), taken]
        return super()._receive_confirm(message)
