"""Leases: who has a physical thing just now. `docs/leases.md` says how they work.

leases = Leases(LockFolder.shared())
lease = leases.take([Thing(Kind.RADIO, "usb:10c4:ea60:0001")], purpose="bench")
lease.check()      # before every write
lease.beat()       # now and then
lease.release()
"""

from labctl.leases.entry import Entry
from labctl.leases.folder import LockFolder
from labctl.leases.leases import Lease, LeaseLostError, Leases, LeaseState
from labctl.leases.things import Kind, Thing, stick_identity

__all__ = [
    "Entry",
    "Kind",
    "Lease",
    "LeaseLostError",
    "LeaseState",
    "Leases",
    "LockFolder",
    "Thing",
    "stick_identity",
]
