"""The laboratory's certificate authority, and the certificates it has issued, in one file.

The file holds private keys: it is of mode 0600 and is replaced as a whole, so that a kill leaves
the old one or the new one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labctl.errors import ConfigurationError
from labctl.files import replace_file
from labctl.secret import Secret
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity
from labctl.smart_energy.lab_ca import LabCertificateAuthority

ISSUER = Eui64("4c:41:42:43:54:4c:43:41")
"""The issuer that lab certificates name: the letters LABCTLCA."""

FOREIGN_ISSUER = Eui64("46:4f:52:45:49:47:4e:43")
"""The issuer of certificates that the hub is not to trust: the letters FOREIGNC."""

_FORMAT = 1


class LabAuthority:
    """Issues one certificate for each suite and EUI-64, and gives the same one ever after.

    `random_octets` makes keys; virtual rigs pass a seeded one. Raises `ConfigurationError` when the
    file cannot be read, understood or written.
    """

    def __init__(
        self,
        path: Path,
        random_octets: Callable[[int], bytes] = os.urandom,
        *,
        issuer: Eui64 = ISSUER,
    ) -> None:
        self._path = path
        self._issuer = issuer
        self._random_octets = random_octets
        self._authorities: dict[int, LabCertificateAuthority] = {}
        self._issued: dict[tuple[int, Eui64], Identity] = {}
        if path.exists():
            self._load()

    def identity(self, suite: int, subject: Eui64) -> Identity:
        """The certificate of `subject` for cryptographic suite 1 or 2, issued on first use."""
        known = self._issued.get((suite, subject))
        if known is not None:
            return known
        authority = self._authorities.get(suite)
        if authority is None:
            authority = LabCertificateAuthority.generate(suite, self._issuer, self._random_octets)
            self._authorities[suite] = authority
        identity = authority.issue(subject, self._random_octets)
        self._issued[suite, subject] = identity
        self._save()
        return identity

    def _load(self) -> None:
        try:
            stored = json.loads(self._path.read_text())
            if stored["format"] != _FORMAT:
                raise ValueError("another format")
            for entry in stored["authorities"]:
                authority = LabCertificateAuthority.from_dict(entry)
                self._authorities[authority.suite] = authority
            for entry in stored["issued"]:
                identity = _identity(entry)
                self._issued[identity.suite, identity.subject] = identity
        except OSError as error:
            raise self._unusable(error.strerror or "it cannot be read") from error
        except (ValueError, KeyError, TypeError):
            # The cause is not chained: it could quote the file, which holds private keys.
            raise self._unusable("it is damaged") from None

    def _save(self) -> None:
        stored = {
            "format": _FORMAT,
            "authorities": [authority.to_dict() for authority in self._authorities.values()],
            "issued": [_stored(identity) for identity in self._issued.values()],
        }
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, json.dumps(stored, indent=1), mode=0o600, durable=True)
        except OSError as error:
            raise self._unusable(error.strerror or "it cannot be written") from error

    def _unusable(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"the lab certificate authority's file cannot be used: {why}",
            where=str(self._path),
            mend="restore it from a backup; a new one means that lab devices must be paired anew",
        )


def _stored(identity: Identity) -> dict[str, Any]:
    return {
        "suite": identity.suite,
        "certificate": identity.certificate.hex(),
        "private_key": identity.private_key.reveal().hex(),
        "ca_public_key": identity.ca_public_key.hex(),
    }


def _identity(entry: dict[str, Any]) -> Identity:
    return Identity(
        int(entry["suite"]),
        bytes.fromhex(entry["certificate"]),
        Secret(bytes.fromhex(entry["private_key"])),
        bytes.fromhex(entry["ca_public_key"]),
    )
