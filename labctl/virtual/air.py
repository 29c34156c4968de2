"""The virtual air: carries real 802.15.4 frames between the radios that hear them.

Every frame is octets on the way: the sender's layers encode, the air adds the FCS, a receiver's
layers decode. The air does what a radio chip does in hardware: clear channel assessment, address
filter, acknowledgement with the frame pending bit, repetition.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection
from typing import Protocol

from labctl.capture.tap import FrameWriter
from labctl.virtual.interference import Bursts, Disturber
from labctl.virtual.medium import Medium
from labctl.virtual.propagation import Position, Propagation
from labctl.virtual.radio import Radio, RadioClient
from labctl.virtual.sniffer import Sniffer

__all__ = ["Air", "DropHook", "Medium", "Radio", "RadioClient"]


class Air:
    """One room's worth of radio waves.

    Everything random comes from `rng`. `drop(sender, receiver, psdu)`, if set, loses the frames for
    which it returns True (faults, tests). `noise_dbm` has the level of something steady for
    `(page, channel)` that energy scans hear and that harms nothing; what comes and goes, keeps
    others from transmitting and costs frames is a `disturber`.
    """

    def __init__(self, *, rng: random.Random, propagation: Propagation | None = None) -> None:
        self.rng = rng
        self.seed = rng.getrandbits(64)
        self.propagation = propagation or Propagation()
        self.fading = self.propagation.fading_table()
        self.radios: list[Radio] = []
        self.monitors: list[Radio] = []  # those of them that take everything
        self.captures: list[Sniffer] = []
        self.capturing = False
        self.disturbers: dict[Disturber, Bursts] = {}
        self.drop: DropHook | None = None
        self.noise_dbm: dict[tuple[int, int], float] = {}
        self._media: dict[tuple[int, int], Medium] = {}

    def medium(self, page: int, channel: int) -> Medium:
        """The channel `channel` of `page`."""
        medium = self._media.get((page, channel))
        if medium is None:
            medium = self._media[page, channel] = Medium(self, page, channel)
        return medium

    def attach(
        self,
        client: RadioClient,
        *,
        name: str,
        position: Position = (0.0, 0.0, 0.0),
        tx_power_dbm: float = 8,
    ) -> Radio:
        """A new radio, its receiver off and tuned to nothing. `name` identifies it between power
        cuts: its links keep their shadowing."""
        radio = Radio(self, name, client, position, tx_power_dbm)
        self.radios.append(radio)
        return radio

    def disturb(self, disturber: Disturber) -> None:
        """Switch a foreign transmitter on."""
        if disturber not in self.disturbers:
            now = asyncio.get_running_loop().time()
            bursts = self.disturbers[disturber] = Bursts(disturber, self.seed, now)
            for medium in self._media.values():
                medium.add_disturber(disturber, bursts)

    def hush(self, disturber: Disturber) -> None:
        """Switch a foreign transmitter off. Nothing happens when it was not on."""
        if self.disturbers.pop(disturber, None) is not None:
            for medium in self._media.values():
                medium.disturbers = [each for each in medium.disturbers if each[0] != disturber]

    def capture_to(
        self,
        writer: FrameWriter,
        *,
        beside: Radio | Collection[str] = (),
        at: Position | None = None,
    ) -> None:
        """Write every transmission on every channel to `writer`.

        With the levels and qualities at `beside`: a radio, or the names of those in the same place
        (a name stays when the power goes and comes back). Where none of them is on the channel,
        with those `at` a place; else as if everything were sent right there.
        """
        names = frozenset((beside.name,) if isinstance(beside, Radio) else beside)
        self.captures.append(Sniffer(self, writer, names, at))
        self.capturing = True

    def stop_capture(self, writer: FrameWriter) -> None:
        """No more to this writer."""
        self.captures = [each for each in self.captures if each.writer is not writer]
        self.capturing = bool(self.captures)


class DropHook(Protocol):
    """Decides whether a frame that would be received is lost."""

    def __call__(self, sender: Radio, receiver: Radio, psdu: bytes, /) -> bool:
        """True loses the frame. Acknowledgements come as `02 00 00`."""
