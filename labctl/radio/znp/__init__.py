"""The ZNP coordinator: unmodified zigpy-znp under a Smart Energy trust centre.

`connection` is the driver's, with labctl's own requests beside it (`mt` has their octets, `tables`
and `memory` the stick's items); `forming` starts the network, `policies` and `link_keys` make it a
Smart Energy one, `sending` and `fetching` move messages, `coordinator` puts them together behind
the `Coordinator` interface.
"""

from labctl.radio.znp.coordinator import ZnpCoordinator, ZnpPort

__all__ = ["ZnpCoordinator", "ZnpPort"]
