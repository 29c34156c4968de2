"""Long messages fetched from the NCP, which hands up only that they have come.

It keeps one for 15 s, by a timestamp that two may share; the driver knows nothing of all that.
"""

from __future__ import annotations

from labctl.radio.znp import mt
from labctl.radio.znp.connection import Connection, Refused


async def fetch(connection: Connection, message: mt.Message) -> bytes:
    """The payload, after which the NCP forgets it. Raises `Refused` when it has done so before."""
    whole = b""
    while len(whole) < message.length:
        wanted = min(mt.RETRIEVE_OCTETS, message.length - len(whole))
        piece = await _retrieve(connection, message.timestamp, len(whole), wanted)
        if not piece:
            raise Refused("fetching a long message", 0x01)
        whole += piece
    await _retrieve(connection, message.timestamp, 0, 0)
    return whole


async def _retrieve(connection: Connection, timestamp: int, index: int, length: int) -> bytes:
    data = timestamp.to_bytes(4, "little") + index.to_bytes(2, "little") + bytes((length,))
    answer = await connection.ask(mt.AF_DATA_RETRIEVE, data)
    if len(answer) < 2 or answer[0] != mt.SUCCESS:
        raise Refused("fetching a long message", answer[0] if answer else 0x01)
    return answer[2 : 2 + answer[1]]
