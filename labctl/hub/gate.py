"""A coordinator whose unicasts pass by a keeper, who counts them and holds back what may not go.

A hub with a sub-GHz bearer puts it in front of its radio, so that every part of the hub keeps the
rules of that band without knowing of them. A hub on 2.4 GHz alone has none.
"""

from __future__ import annotations

from typing import Any, Final, Protocol, cast

from labctl.errors import DeliveryError
from labctl.radio.coordinator import Coordinator, Outgoing

WITHHELD: Final = frozenset({"SUSPENDED", "DUTY_CYCLE"})
"""The status of a frame that a keeper did not let through: it was not lost on the way."""


class Keeper(Protocol):
    """Whoever decides about frames on their way out."""

    def demand(self, packet: Outgoing) -> None:
        """Raise `DeliveryError` for a frame that may not go out."""

    def sent(self, packet: Outgoing, *, delivered: bool) -> None:
        """A frame went out, or was tried to."""


class Gate:
    """Everything but `send` is the coordinator's own. Without a `keeper` it lets all through."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self.keeper: Keeper | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coordinator, name)

    @property
    def coordinator(self) -> Coordinator:
        """This, as what it stands for."""
        return cast(Coordinator, self)

    async def send(self, packet: Outgoing) -> None:
        """Send a unicast that the keeper lets through. Raises `DeliveryError`."""
        keeper = self.keeper
        if keeper is None:
            await self._coordinator.send(packet)
            return
        keeper.demand(packet)
        try:
            await self._coordinator.send(packet)
        except DeliveryError:
            keeper.sent(packet, delivered=False)
            raise
        keeper.sent(packet, delivered=True)
