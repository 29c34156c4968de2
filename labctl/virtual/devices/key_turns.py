"""What frames, and lost frames, make of a device's key establishment, whoever began it."""

from __future__ import annotations

from labctl.smart_energy.cbke import Action, KeyEstablishment, Terminated
from labctl.virtual.devices import zcl


def taken(machine: KeyEstablishment, frame: zcl.Frame) -> list[Action]:
    """What the partner's next frame makes of the machine; one that cannot be read is not there."""
    if frame.cluster_specific:
        return machine.receive(frame.command, frame.payload, frame.from_server)
    try:
        _, status = zcl.parse_default_response(frame.payload)
    except zcl.ZclError:
        return []
    if status == zcl.Status.SUCCESS:
        return []
    return machine.lost(f"a Default Response with status 0x{status:02X}")


def lost(machine: KeyEstablishment, why: str) -> Terminated:
    """How an exchange ends of which a frame was lost."""
    for action in machine.lost(why):
        if isinstance(action, Terminated):
            return action
    raise AssertionError("a machine that is lost says so")
