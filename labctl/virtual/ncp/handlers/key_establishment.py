"""Certificate-based key establishment inside the NCP, for firmware that has the libraries.

One exchange at a time. A calculation is answered at once with OPERATION_IN_PROGRESS; then the
radio is off and the processor busy for as long as a real one takes, and a handler brings what came
of it. Only `clear_temporary_data_maybe_store_link_key` marks a key as authorised: one that the
host imports may not protect data (APS commands it may).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.secret import Secret
from labctl.smart_energy.certificates import CertificateError, parse_certificate
from labctl.smart_energy.curves import CURVES, PointError
from labctl.smart_energy.ecmqv import EphemeralKey, KeyMaterial
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity
from labctl.virtual.ncp.handlers.base import Answer, Part
from labctl.virtual.ncp.status import Ember, Sl
from labctl.virtual.node import LinkKey

if TYPE_CHECKING:
    from labctl.virtual.ncp.ezsp import Ezsp

_DELAY_S = 0.25
"""For the APS retries that may still come, before the radio goes off."""

_GENERATE_S = 0.9
_SMACS_S = {1: 1.8, 2: 3.2}
"""Vendor's figures: keys up to 1 s, SMACs up to 3.5 s."""

_TWINS = {1: "", 2: "283k1"}
_LIBRARIES = {1: (0x06, 0x08), 2: (0x0D, 0x0E)}
_CORE = 0x0F
_NO_SMAC = bytes(16)


@dataclass(slots=True)
class _Temporary:
    """The RAM of an exchange. Its repr says nothing."""

    suite: int
    ephemeral: EphemeralKey
    partner: Eui64 | None = None
    link_key: Secret | None = None

    def __repr__(self) -> str:
        return "<temporary data>"


class KeyEstablishment(Part):
    """The CBKE commands. `identities` are what the manufacturing tokens hold, by suite."""

    def __init__(self, ezsp: Ezsp, identities: Mapping[int, Identity]) -> None:
        self.identities = dict(identities)
        super().__init__(ezsp)

    def reset(self) -> None:
        """Nothing under way."""
        self._busy = False
        self._temporary: _Temporary | None = None

    def has_library(self, library: int) -> bool:
        """Whether the firmware has this library: core, CBKE and ECC of each suite."""
        if library == _CORE:
            return bool(self.identities)
        return any(library in _LIBRARIES[suite] for suite in self.identities)

    def is_authorised(self, eui64: Eui64) -> bool:
        """Whether data may be protected with this partner's key."""
        return eui64 in self.ezsp.contents.authorised

    # -- the radio is off -----------------------------------------------------------------------

    def _calculate(self, seconds: float, name: str, values: Mapping[str, object]) -> None:
        self._busy = True
        self.ezsp.later(_DELAY_S, self._radio, False)
        self.ezsp.later(_DELAY_S + seconds, self._calculated, name, values)

    def _radio(self, on: bool) -> None:
        node = self.ezsp.network.node
        if node is None or not node.powered:
            return
        if on:
            node.resume_radio()
        else:
            node.mac.radio.listen(False)

    def _calculated(self, name: str, values: Mapping[str, object]) -> None:
        self._busy = False
        self._radio(True)
        self.ezsp.callback(name, **values)

    # -- commands -------------------------------------------------------------------------------

    def _generate(self, suite: int) -> Answer:
        if self._busy or suite not in self.identities:
            return {"status": Ember.INVALID_CALL}
        ephemeral = EphemeralKey.generate(CURVES[suite], self.ezsp.rng.randbytes)
        self._temporary = _Temporary(suite, ephemeral)
        self._calculate(
            _GENERATE_S,
            f"generate_cbke_keys_handler{_TWINS[suite]}",
            {"status": Ember.SUCCESS, "point": ephemeral.public_key},
        )
        return {"status": Ember.OPERATION_IN_PROGRESS}

    def _smacs(self, suite: int, initiator: int, certificate: bytes, point: bytes) -> Answer:
        temporary = self._temporary
        if self._busy or temporary is None or temporary.suite != suite:
            return {"status": Ember.INVALID_CALL}
        values: dict[str, object]
        try:
            macs = self._agree(temporary, bool(initiator), certificate, point)
            values = {
                "status": Ember.SUCCESS,
                "initiator_smac": macs[0],
                "responder_smac": macs[1],
            }
        except (CertificateError, PointError):
            values = {
                "status": Ember.ERR_FATAL,
                "initiator_smac": _NO_SMAC,
                "responder_smac": _NO_SMAC,
            }
        self._calculate(_SMACS_S[suite], f"calculate_smacs_handler{_TWINS[suite]}", values)
        return {"status": Ember.OPERATION_IN_PROGRESS}

    def _agree(
        self, temporary: _Temporary, initiator: bool, octets: bytes, point: bytes
    ) -> tuple[bytes, bytes]:
        identity = self.identities[temporary.suite]
        certificate = parse_certificate(temporary.suite, octets)
        keys: KeyMaterial = temporary.ephemeral.agree(
            identity.private_key, certificate.public_key(identity.ca_public_key), point
        )
        temporary.partner, temporary.link_key = certificate.subject, keys.link_key
        own = temporary.ephemeral.public_key
        parties = (
            (identity.subject, certificate.subject, own, point)
            if initiator
            else (certificate.subject, identity.subject, point, own)
        )
        return keys.macu(*parties), keys.macv(*parties)

    def _clear(self, suite: int, store_link_key: int) -> Answer:
        temporary, self._temporary = self._temporary, None
        if not store_link_key or temporary is None or temporary.link_key is None:
            return {"status": Ember.ERR_FATAL}
        assert temporary.partner is not None  # came with the key
        security = self.ezsp.security
        index = security.index_of(temporary.partner)
        if index is None:
            used = self.ezsp.contents.link_keys
            index = next((i for i in range(security.table_size) if i not in used), None)
        if index is None:
            return {"status": Ember.ERR_FATAL}
        key = temporary.link_key.reveal()
        stored = security.import_link_key(index, temporary.partner, key)
        if stored["status"] != Sl.OK:
            return {"status": Ember.ERR_FATAL}
        self.ezsp.contents.node.link_keys[temporary.partner] = LinkKey(temporary.partner, key)
        self.ezsp.contents.authorised.add(temporary.partner)
        self.ezsp.flash.save(durable=True)
        return {"status": Ember.SUCCESS}

    def _certificate(self, suite: int) -> Answer:
        identity = self.identities.get(suite)
        if identity is None:
            return {"status": Ember.ERR_FATAL, "certificate": bytes(48 if suite == 1 else 74)}
        return {"status": Ember.SUCCESS, "certificate": identity.certificate}

    def generate_cbke_keys(self) -> Answer:
        """Suite 1: a new ephemeral key pair."""
        return self._generate(1)

    def generate_cbke_keys283k1(self) -> Answer:
        """Suite 2."""
        return self._generate(2)

    def calculate_smacs(self, initiator: int, certificate: bytes, point: bytes) -> Answer:
        """Suite 1: both confirmations, from the partner's certificate and ephemeral point."""
        return self._smacs(1, initiator, certificate, point)

    def calculate_smacs283k1(self, initiator: int, certificate: bytes, point: bytes) -> Answer:
        """Suite 2."""
        return self._smacs(2, initiator, certificate, point)

    def clear_temporary_data_maybe_store_link_key(self, store_link_key: int) -> Answer:
        """Suite 1: forget the exchange; ERR_FATAL when no key was stored, wanted or not."""
        return self._clear(1, store_link_key)

    def clear_temporary_data_maybe_store_link_key283k1(self, store_link_key: int) -> Answer:
        """Suite 2."""
        return self._clear(2, store_link_key)

    def get_certificate(self) -> Answer:
        """Suite 1: our own."""
        return self._certificate(1)

    def get_certificate283k1(self) -> Answer:
        """Suite 2."""
        return self._certificate(2)
