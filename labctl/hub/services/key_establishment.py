"""Key Establishment 0x0800: the attribute. The exchange itself is `hub/key_establishment.py`."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.hub.services.base import Attribute, Security, Service, defined
from labctl.smart_energy.clusters import KeyEstablishment


class KeyEstablishmentService(Service[None]):
    """Says which suites are on offer."""

    definition = KeyEstablishment
    security = Security.NONE
    commands = frozenset({0x00, 0x01, 0x02, 0x03})
    also_client = True

    def __init__(self, suites: Iterable[int]) -> None:
        bitmap = sum(1 << (suite - 1) for suite in set(suites))
        super().__init__([Attribute(defined(KeyEstablishment, "key_establishment_suite"), bitmap)])
