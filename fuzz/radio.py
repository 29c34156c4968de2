"""A coordinator without a radio, that tells what the hub sends and fails when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from labctl.errors import DeliveryError
from labctl.radio.coordinator import (
    Coordinator,
    CoordinatorListener,
    EndpointDescriptor,
    NetworkSettings,
    Outgoing,
    RadioState,
)
from labctl.secret import Secret
from labctl.smart_energy.eui64 import Eui64


class FuzzRadio(Coordinator):
    """Delivers at once. `failures[nwk]` sends to that address fail, one by one."""

    def __init__(self, own: Eui64, sent: Callable[[Outgoing], None]) -> None:
        self._own = own
        self._sent = sent
        self._keys: dict[Eui64, Secret] = {}
        self.listener: CoordinatorListener | None = None
        self.endpoints: Sequence[EndpointDescriptor] = ()
        self.failures: dict[int, int] = {}
        self.ever_installed: set[Secret] = set()
        self.removed = 0

    @property
    def hub(self) -> CoordinatorListener:
        """Whoever listens."""
        assert self.listener is not None
        return self.listener

    @property
    def keys(self) -> int:
        """How many link keys there are."""
        return len(self._keys)

    async def start(
        self, settings: NetworkSettings, endpoints: Sequence[EndpointDescriptor]
    ) -> tuple[RadioState, ...]:
        """Up at once, on a network that was formed just now."""
        self.endpoints = endpoints
        return tuple(
            RadioState(
                name="fuzz",
                driver="ezsp",
                path="fuzz",
                eui64=self._own,
                band=phy.channel.band,
                page=phy.channel.page,
                channel=phy.channel.number,
                pan_id=0x1234,
                extended_pan_id=self._own,
                resumed=False,
            )
            for phy in settings.phys
        )

    async def stop(self) -> None:
        """Nothing to stop."""

    def listen(self, listener: CoordinatorListener) -> None:
        """Set the one listener."""
        self.listener = listener

    async def permit_joining(self, seconds: int) -> None:
        """Whoever wants to join, joins."""
        if not 0 <= seconds <= 254:
            raise AssertionError(f"permit-join for {seconds} s")

    async def link_keys(self) -> dict[Eui64, Secret]:
        """The table."""
        return dict(self._keys)

    async def install_link_key(self, eui64: Eui64, key: Secret, *_: Any, **__: Any) -> None:
        """Into the table."""
        if len(key) != 16:
            raise AssertionError(f"a link key of {len(key)} octets")
        self._keys[eui64] = key
        self.ever_installed.add(key)

    async def erase_link_key(self, eui64: Eui64) -> None:
        """Out of the table."""
        self._keys.pop(eui64, None)

    async def send(self, packet: Outgoing) -> None:
        """Deliver at once, or fail."""
        left = self.failures.get(packet.nwk, 0)
        if left:
            self.failures[packet.nwk] = left - 1
            raise DeliveryError("no acknowledgement came", status="DELIVERY_FAILED")
        self._sent(packet)

    async def remove_device(self, eui64: Eui64, nwk: int) -> None:
        """Counted."""
        self.removed += 1

    async def allow_partner_keys(self, allowed: bool) -> None:
        """Nobody asks for any but through `CoordinatorListener`."""

    async def send_network_key(self, eui64: Eui64, nwk: int, key: Secret) -> None:
        """Delivered, unless sends to the address fail; watched like a link key."""
        self.ever_installed.add(key)
        if self.failures.get(nwk, 0):
            self.failures[nwk] -= 1
            raise DeliveryError("no acknowledgement came", status="DELIVERY_FAILED")

    async def switch_network_key(self) -> None:
        """Broadcast, and that is all."""

    async def counters(self) -> dict[str, int]:
        """None."""
        return {}
