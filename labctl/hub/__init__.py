"""The communications hub: device log, trust centre, services, and the record of what happens."""

from labctl.hub.hub import Hub
from labctl.hub.settings import (
    HUB,
    HubSettings,
    LoggedDevice,
    OtaSettings,
    PairingRequest,
    Patience,
    ReadSchedule,
    Supplier,
    TimeSource,
    TunnelSettings,
)

__all__ = [
    "HUB",
    "Hub",
    "HubSettings",
    "LoggedDevice",
    "OtaSettings",
    "PairingRequest",
    "Patience",
    "ReadSchedule",
    "Supplier",
    "TimeSource",
    "TunnelSettings",
]
