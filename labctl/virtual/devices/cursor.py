"""Reading octets from the front: little-endian numbers and strings, and one error for the rest."""

from __future__ import annotations

from labctl.virtual.devices.zcl import ZclError


class Cursor:
    """Octets that are read from the front. Every method raises `ZclError` where they end early."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    @property
    def left(self) -> int:
        """How many octets were not read."""
        return len(self._octets) - self._at

    def take(self, count: int) -> bytes:
        """So many octets as they are."""
        if count > self.left:
            raise ZclError(f"cut off: {count} octets wanted, {self.left} left")
        self._at += count
        return self._octets[self._at - count : self._at]

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(self.left)

    def unsigned(self, octets: int) -> int:
        """An unsigned number of so many octets."""
        return int.from_bytes(self.take(octets), "little")

    def signed(self, octets: int) -> int:
        """A signed number of so many octets."""
        return int.from_bytes(self.take(octets), "little", signed=True)

    def text(self) -> str:
        """A string with its length before it (0xFF: none). Labels are not always UTF-8."""
        length = self.unsigned(1)
        raw = self.take(0 if length == 0xFF else length)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")
