"""What a sniffer is to the rest: a radio that belongs to no network and hears one channel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64


@dataclass(frozen=True, slots=True)
class Overheard:
    """One frame as it arrived at the sniffer. `psdu` ends with a check sequence that is right:
    sniffers keep frames with a wrong one to themselves."""

    channel: Channel
    psdu: bytes
    rssi_dbm: int
    lqi: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SnifferState:
    """A stick that listens."""

    name: str
    path: str
    eui64: Eui64
    protocol_version: int
    manufacturer: str | None
    model: str | None
    firmware: str | None


class Sniffer(ABC):
    """A stick that takes what is on the air. It sends nothing."""

    @abstractmethod
    async def start(
        self,
        channel: Channel,
        heard: Callable[[Overheard], None],
        lost: Callable[[str], None],
    ) -> SnifferState:
        """Open the stick and listen. `heard` is called with each frame, `lost` once when the stick
        goes away. Raises `RigError`; then nothing is left open."""

    @abstractmethod
    async def change_channel(self, channel: Channel) -> None:
        """Listen to another channel from now on. Raises `RigError`."""

    @abstractmethod
    async def stop(self) -> None:
        """End the listening, and close the port."""
