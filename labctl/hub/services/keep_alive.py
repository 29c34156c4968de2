"""Keep-Alive 0x0025: how often devices look whether the trust centre is there (SE 1.4 A.2).

A display that finds no Keep-Alive server takes the trust centre for lost and rejoins every few
minutes, so it is always listed.
"""

from __future__ import annotations

from labctl.hub.services.base import Attribute, Security, Service, defined
from labctl.smart_energy.clusters import KeepAlive


class KeepAliveService(Service[None]):
    """`base_min` 1 to 255 minutes, `jitter_s` 0 to 512 seconds."""

    definition = KeepAlive
    security = Security.EITHER

    def __init__(self, *, base_min: int, jitter_s: int) -> None:
        super().__init__(
            [
                Attribute(defined(KeepAlive, "tc_keep_alive_base"), base_min),
                Attribute(defined(KeepAlive, "tc_keep_alive_jitter"), jitter_s),
            ]
        )
