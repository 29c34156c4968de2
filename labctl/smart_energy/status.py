"""Names of ZCL status codes.

zigpy's `Status` has all that Smart Energy uses (SE's NOT_AUTHORIZED 0x7E among them). A device
under test can send any octet, though, and each needs a name that fits a report.
"""

from __future__ import annotations

from zigpy.zcl.foundation import Status

__all__ = ["Status", "status_name"]


def status_name(status: int) -> str:
    """The name of a ZCL status (0 to 255), or ``STATUS_0xNN`` where the ZCL gives none."""
    for member in Status:
        if member == status:
            return str(member.name)
    return f"STATUS_0x{status:02X}"
