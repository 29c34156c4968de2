"""A virtual EZSP network co-processor: what sits behind the serial line of an EmberZNet stick.

From the line inwards: `server` (TCP or pty), `ash` (framing, no I/O), `codec` and `commands` (what
the frames look like), `ezsp` (the dispatcher), `handlers/` (what the firmware does), `flash` (what
it keeps). Below the handlers is a coordinator `Node` of the virtual air.

Written without bellows, so that a green test is two implementations agreeing.
"""

from labctl.virtual.ncp.ezsp import Identity
from labctl.virtual.ncp.flash import Flash
from labctl.virtual.ncp.hardware import RETAIL, SUB_GHZ_KIT, SWITCH_COORDINATOR, Hardware
from labctl.virtual.ncp.server import VirtualEzspNcp

__all__ = [
    "RETAIL",
    "SUB_GHZ_KIT",
    "SWITCH_COORDINATOR",
    "Flash",
    "Hardware",
    "Identity",
    "VirtualEzspNcp",
]
