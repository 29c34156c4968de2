"""A virtual ZNP network co-processor: what sits behind the serial line of a Z-Stack stick.

From the line inwards: `server` (TCP or pty), `framing` (no I/O), `codec` and `commands` (what the
frames look like), `firmware` (the dispatcher), `handlers/` (what it does), `nvram`, `structures`
and `addresses` (what it keeps, as hosts see it), `memory` (the file). Below the handlers is a
coordinator `Node` of the virtual air.

Written without zigpy-znp, so that a green test is two implementations agreeing.
"""

from labctl.virtual.znp.firmware import Firmware
from labctl.virtual.znp.memory import Memory
from labctl.virtual.znp.server import VirtualZnpNcp

__all__ = ["Firmware", "Memory", "VirtualZnpNcp"]
