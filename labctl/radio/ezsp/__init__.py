"""The EZSP coordinator: unmodified bellows under a Smart Energy trust centre.

`application` overrides what zigpy does for home automation, `messages` sends and receives APS
frames, `link_keys` keeps the NCP's key table, `coordinator` puts them together behind the
`Coordinator` interface. `sniffer` is a stick that only listens.
"""

from labctl.radio.ezsp.coordinator import EzspCoordinator, EzspPort
from labctl.radio.ezsp.sniffer import EzspSniffer

__all__ = ["EzspCoordinator", "EzspPort", "EzspSniffer"]
