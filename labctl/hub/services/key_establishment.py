"""Key Establishment 0x0800: the attribute. The exchange itself is `hub/key_establishment.py`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from labctl.hub.services.base import Attribute, Security, Service, defined
from labctl.smart_energy.cbke_messages import suite_bitmap
from labctl.smart_energy.clusters import KeyEstablishment
from labctl.smart_energy.disagreements import USUAL, DeviceSettings


class KeyEstablishmentService(Service[None]):
    """Says which suites are on offer: `suites`, unless the reader's settings name others."""

    definition = KeyEstablishment
    security = Security.NONE
    commands = frozenset({0x00, 0x01, 0x02, 0x03})
    sends = (
        "initiate_key_establishment_response",
        "ephemeral_data_response",
        "confirm_key_data_response",
        "terminate_key_establishment_from_server",
    )
    also_client = True
    client_commands = frozenset({0x00, 0x01, 0x02, 0x03})
    client_generated = (0x00, 0x01, 0x02, 0x03)

    def __init__(self, suites: Iterable[int]) -> None:
        bitmap = suite_bitmap(frozenset(suites))
        super().__init__([Attribute(defined(KeyEstablishment, "key_establishment_suite"), bitmap)])

    def read(
        self, attribute_ids: Sequence[int], now_us: int, settings: DeviceSettings = USUAL
    ) -> tuple[bytes, int]:
        """As `Service.read`, with the suites that are on offer to the reader."""
        if settings.suites is None:
            return super().read(attribute_ids, now_us)
        return KeyEstablishmentService(settings.suites).read(attribute_ids, now_us)
