"""Somebody in the room who hears everything that is on the air, and may ask who is there.

It belongs to no network, and disturbs none but for the beacon requests that it is asked to send.
The acceptance campaign looks with it at what no radio of the hub tells: whether a device tries to
associate where joining is closed, and until when the beacons say that it is open.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.frames import FrameError, aps, from_air, mac, nwk
from labctl.virtual.frames.security import AuxiliaryHeader, unprotect
from labctl.virtual.frames.zdp import Cluster
from labctl.virtual.node import Beacon, Node, NodeListener, NodeState, Role

_ADDRESS = Eui64("00:00:5e:ef:10:00:fe:00")
_ASSOCIATION_REQUEST = bytes((mac.Command.ASSOCIATION_REQUEST,))
_ZDO_PROFILE = 0x0000


@dataclass(frozen=True, slots=True)
class Permit:
    """A Mgmt_Permit_Joining_req to everybody: open for `seconds` (0 closes, 255: for good)."""

    at_us: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Association:
    """An association request of `eui64`, each of its repetitions too."""

    at_us: int
    eui64: Eui64


class Onlooker:
    """Listens while it is entered. `keys` are the network keys that frames may be read with.

    It stands at `position`, metres, when it asks; it hears all channels and everybody, wherever.
    """

    failure: OSError | None = None

    def __init__(
        self,
        air: Air,
        now_us: Callable[[], int],
        keys: Callable[[], Iterable[bytes]],
        position: tuple[float, float, float],
        rng: random.Random,
    ) -> None:
        self._air = air
        self._now_us = now_us
        self._keys = keys
        state = NodeState(eui64=_ADDRESS, role=Role.END_DEVICE)
        self._node = Node(air, state, NodeListener(), rng=rng, position=position)
        self.associations: list[Association] = []
        self.permits: list[Permit] = []

    def __enter__(self) -> Onlooker:
        self._air.capture_to(self)
        self._node.power_on()
        return self

    def __exit__(self, *_: object) -> None:
        self._node.power_off()
        self._air.stop_capture(self)

    async def ask(self, page: int, channel: int) -> list[Beacon]:
        """Send a beacon request; the beacons that answer it. Takes some 0.15 s (868 MHz: 0.5)."""
        return await self._node.active_scan([(page, channel)])

    # -- what is on the air -----------------------------------------------------------------------

    def frame(
        self, psdu: bytes, *, page: int, channel: int, rss_dbm: float, lqi: int, age_s: float = 0.0
    ) -> None:
        """One transmission, with its FCS."""
        at_us = self._now_us() - round(age_s * 1_000_000)
        try:
            self._look_at(at_us, mac.decode(psdu[:-2]))
        except FrameError:
            return  # random octets are on this air too

    def flush(self) -> None:
        """There is nothing to be handed over."""

    def close(self) -> None:
        """Leaving the context is what ends it."""

    def _look_at(self, at_us: int, frame: mac.MacFrame) -> None:
        if frame.kind == mac.Kind.COMMAND and frame.payload[:1] == _ASSOCIATION_REQUEST:
            if isinstance(frame.source, bytes):
                self.associations.append(Association(at_us, from_air(frame.source)))
        elif frame.kind == mac.Kind.DATA:
            outer = nwk.decode(frame.payload)
            if outer.kind != nwk.Kind.DATA or not nwk.is_broadcast(outer.destination):
                return
            self._look_into(at_us, self._opened(outer))

    def _look_into(self, at_us: int, payload: bytes | None) -> None:
        if payload is None:
            return
        inner = aps.decode(payload)
        if (inner.kind, inner.profile, inner.cluster) != (
            aps.Kind.DATA,
            _ZDO_PROFILE,
            Cluster.MGMT_PERMIT_JOINING,
        ) or len(inner.body) < 2:
            return
        self.permits.append(Permit(at_us, inner.body[1]))

    def _opened(self, frame: nwk.NwkFrame) -> bytes | None:
        """The content of a frame; None when no key opens it."""
        if not frame.security:
            return frame.body
        auxiliary, length = AuxiliaryHeader.decode(frame.body)
        if auxiliary.source is None:
            return None
        for key in self._keys():
            payload = unprotect(key, frame.header, frame.body, auxiliary, length, auxiliary.source)
            if payload is not None:
                return payload
        return None
