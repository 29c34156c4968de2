"""Why a join ended as it did, in sentences for the person who stands at the bench."""

from __future__ import annotations

import datetime

from labctl.clock import MICROSECONDS
from labctl.events import JoinKind
from labctl.hub.device_log import Device, KeyState
from labctl.hub.pairing import Window
from labctl.radio.coordinator import JoinDecision, JoinSeen

NOT_IN_THE_LOG = "not in the device log"
RUN_ENDED = "the run ended before the join was through"
STARTED_OVER = "the device left it and started over"
BEGAN_ANEW = "the device began key establishment anew"
LEFT = "the device left the network"


def objection(join: JoinSeen, device: Device | None, last_window: Window | None) -> str | None:
    """Why a join is refused; None when it is let in."""
    if device is None:
        return NOT_IN_THE_LOG
    if device.key is KeyState.NONE:
        return _no_window(last_window)
    if join.decision is JoinDecision.DENIED:
        if device.authorised:
            return "the radio refused a device that holds an established link key"
        return "the radio refused it although its window is open and its key is installed"
    if join.decision is JoinDecision.NO_ACTION and join.kind is not JoinKind.SECURED_REJOIN:
        return "the radio took no action: it sent no key"
    return None


def _no_window(last: Window | None) -> str:
    if last is None:
        return "no pairing window was opened for it"
    closed = datetime.datetime.fromtimestamp(last.closes_us / MICROSECONDS, datetime.UTC)
    return f"its pairing window closed at {closed:%H:%M:%S} UTC"


def unanswered(device: Device, kind: JoinKind, attempts: int) -> str:
    """The network key went out and no Device_annce came.

    `attempts` counts such joins in a row. Each took an association both ways, so more than one
    says that the link carries frames, and the install code becomes the likelier cause.
    """
    if kind is JoinKind.SECURED_REJOIN:
        return "the device rejoined but never announced itself: the link is too poor"
    cause = "the network key was sent but the device never announced itself: "
    if device.authorised:
        return cause + (
            "the hub holds a key that it established with the device before; if the device was "
            "reset since, unpair it and pair it again"
        )
    if device.key is KeyState.UNPROVEN and kind is JoinKind.JOIN:
        return cause + (
            "the hub offers the key that the device had before, and takes its install code in the "
            "second half of the window"
        )
    if kind is JoinKind.UNSECURED_REJOIN:
        return cause + "it lost its link key, or the link is too poor"
    cause += "wrong install code, or the link is too poor"
    if attempts > 1:
        cause += (
            f"; it associated {attempts} times and could not use the key any time, "
            "so it is most likely the install code"
        )
    return cause


def revoked(cause: str) -> str:
    """The device ended an exchange that the hub had concluded."""
    return f"key establishment: {cause}; the key of it is withdrawn, what was before it holds"


def never_began(seconds: float) -> str:
    """Joined, and then nothing."""
    return f"joined, but did not begin key establishment within {seconds / 60:g} min"


def unkeyed(seconds: float) -> str:
    """The trust centre's patience with an unkeyed device is over."""
    return f"removed: no link key {seconds / 60:g} min after joining"


def did_not_finish(seconds: float) -> str:
    """A join that was under way when its window closed took too long."""
    return f"still not through {seconds:g} s after its window closed"


def not_heard(window: Window) -> str:
    """The window closed and nothing came."""
    seconds = (window.closes_us - window.opened_us) // MICROSECONDS
    return (
        f"joining was open for {seconds} s and nothing was heard of the device: it was off, "
        "out of range, still on another network, or does not search this channel"
    )
