"""Network key security of NWK frames (R22 4.3.1): counters, keys, and their change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag

from labctl.virtual.frames import FrameError, nwk, to_air
from labctl.virtual.frames.security import MIC_OCTETS, cipher
from labctl.virtual.stack.state import CounterGuard
from labctl.virtual.stack.types import Role

if TYPE_CHECKING:
    from labctl.virtual.node import Node

_AUXILIARY_OCTETS = 14
_ON_AIR = b"\x28"  # network key, extended nonce, level 0
_COMPUTED = b"\x2d"  # the same with level 5


class NwkSecurity:
    """The network keys of one node at work: the active one, and the one before or after it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.state = node.state
        self.counters = node.counters
        self._counter = CounterGuard(self.state, node.listener.network_changed, of_aps=False)
        self._eui64 = to_air(self.state.eui64)
        self._incoming: dict[bytes, int] = {}  # least acceptable counter of each neighbour
        self._is_end_device = self.state.role is Role.END_DEVICE

    def forget_neighbour(self, eui64: bytes) -> None:
        """It starts anew (a join): accept any counter."""
        self._incoming.pop(eui64, None)

    def forget_counters(self) -> None:
        """A new network key: all counters start anew (R22 4.3.1.2)."""
        self._incoming.clear()

    def seal(self, header: bytes, payload: bytes) -> bytes:
        """The secured frame under the active network key, with the next outgoing counter."""
        state = self.state
        counter = self._counter.next().to_bytes(4, "little")
        tail = counter + self._eui64 + bytes((state.network_key_sequence,))
        sealed = cipher(state.network_key).encrypt(
            self._eui64 + counter + _COMPUTED, payload, header + _COMPUTED + tail
        )
        return header + _ON_AIR + tail + sealed

    def open(self, frame: nwk.NwkFrame) -> bytes | None:
        """The content of a received frame; None when it is not to be taken: no key, a counter that
        has been seen, or a MIC that does not fit. Each is counted. Raises `FrameError` when it has
        no network key security at all."""
        body = frame.body
        counters = self.counters
        if len(body) < _AUXILIARY_OCTETS + MIC_OCTETS or body[0] & 0x38 != 0x28:
            raise FrameError("no network key security")
        key = self._key(body[13])
        if not key:
            counters["nwk_decryption_failure"] += 1
            return None
        source = body[5:13]
        counter = int.from_bytes(body[1:5], "little")
        if counter < self._incoming.get(source, 0) or counter == 0xFFFFFFFF:
            counters["nwk_frame_counter_failure"] += 1
            return None
        try:
            payload = cipher(key).decrypt(
                source + body[1:5] + _COMPUTED,
                body[_AUXILIARY_OCTETS:],
                frame.header + _COMPUTED + body[1:_AUXILIARY_OCTETS],
            )
        except InvalidTag:
            counters["nwk_decryption_failure"] += 1
            return None
        if body[13] != self.state.network_key_sequence:
            self._used_other_key(body[13])
        self._incoming[source] = counter + 1
        return payload

    def _key(self, sequence: int) -> bytes:
        state = self.state
        if sequence == state.network_key_sequence:
            return state.network_key
        if sequence == state.alternate_key_sequence:
            return state.alternate_network_key
        return b""

    def _used_other_key(self, sequence: int) -> None:
        """Somebody already uses the next key: a device that missed the Switch-Key follows."""
        newer = (sequence - self.state.network_key_sequence) & 0xFF < 0x80
        if self._is_end_device and newer:
            self.switch_key(sequence)

    def switch_key(self, sequence: int) -> None:
        """Make the alternate key the active one; the old one stays to read stragglers with."""
        state = self.state
        if not state.alternate_network_key or state.alternate_key_sequence != sequence:
            return
        state.network_key, state.alternate_network_key = (
            state.alternate_network_key,
            state.network_key,
        )
        state.network_key_sequence, state.alternate_key_sequence = (
            state.alternate_key_sequence,
            state.network_key_sequence,
        )
        self.forget_counters()
        self.node.listener.network_changed()
