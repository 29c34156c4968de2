"""Who is to be silent on 868 MHz, and for how long (SE 1.4 D.13, GBCS 10.6.2).

    normal ──▶ limited: the device that costs the hub most airtime is suspended; OTA is served
           ──▶ critical: every talker is suspended; an OTA block request hears WAIT_FOR_DATA
           ──▶ suspended: the regulated limit is reached, the hub sends nothing

A suspension lasts the minutes that were announced. While the state goes on it is renewed when the
device talks again, not before: a word that nobody waits for costs airtime too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from labctl.errors import DeliveryError
from labctl.events import DutyCycleChanged, Resumed, Severity, Suspended
from labctl.hub import frames as zcl
from labctl.hub.airtime import AirtimeBook, shown
from labctl.hub.alerts import Alerts
from labctl.hub.chores import Chores, nothing
from labctl.hub.device_log import Device
from labctl.hub.frames import Frame, MalformedFrame
from labctl.hub.post import Letter, Post
from labctl.hub.reporter import Reporter
from labctl.hub.services.sub_ghz import GET_SUSPEND_STATUS, suspend
from labctl.radio.coordinator import Incoming, Outgoing
from labctl.smart_energy.airtime import DutyCycleState
from labctl.smart_energy.alerts import SubGhzAlert
from labctl.smart_energy.eui64 import Eui64

SUB_GHZ: Final = 0x070B
OTA: Final = 0x0019
SUSPEND_ANSWERED: Final = "a Default Response to Suspend ZCL Messages, which is never answered"
"""Why such a frame is refused: two who answer each other would never end (SE 1.4 D.13)."""
_HUB_ENDPOINT = 1
_IMAGE_BLOCK, _IMAGE_PAGE = 0x03, 0x04
_BLOCK_RESPONSE = 0x05
_WAIT_FOR_DATA = 0x97
_MINUTE_US = 60_000_000
_TOLD_AGAIN_US = 10_000_000
"""A suspended device that goes on talking is reminded at most this often."""

_LIMITED, _CRITICAL = DutyCycleState.LIMITED, DutyCycleState.CRITICAL
_RISING = {
    _LIMITED: SubGhzAlert.LIMITED_DUTY_CYCLE_ACTION_TAKEN,
    _CRITICAL: SubGhzAlert.CRITICAL_DUTY_CYCLE_ACTION_TAKEN,
    DutyCycleState.SUSPENDED: SubGhzAlert.REGULATED_DUTY_CYCLE_ACTION_TAKEN,
}
_FALLING = {
    DutyCycleState.NORMAL: SubGhzAlert.DUTY_CYCLE_BELOW_NORMAL_LIMITED,
    _LIMITED: SubGhzAlert.DUTY_CYCLE_BELOW_LIMITED_CRITICAL,
    _CRITICAL: SubGhzAlert.DUTY_CYCLE_BELOW_CRITICAL_REGULATED,
}


@dataclass(slots=True)
class _Suspension:
    until_us: int
    cause: str
    told_us: int | None = None
    heard: bool = False
    """The device acknowledged it: what it sends from now on, it sends in spite of it."""
    discarded: int = 0
    talked: int = 0
    prevent: Callable[[], None] = nothing


class Suspensions:
    """The devices that are suspended on one bearer, and what may pass to and from them.

    `talkers` gives the devices that are on the bearer and hold a link key.
    """

    def __init__(
        self,
        *,
        minutes: int,
        radio: str,
        book: AirtimeBook,
        talkers: Callable[[], Iterable[Device]],
        post: Post,
        chores: Chores,
        reporter: Reporter,
        alerts: Alerts,
    ) -> None:
        self._minutes = minutes
        self._radio = radio
        self._book = book
        self._talkers = talkers
        self._post = post
        self._chores = chores
        self._reporter = reporter
        self._alert = alerts.raise_
        self._suspended: dict[Eui64, _Suspension] = {}
        self.state = DutyCycleState.NORMAL
        self.chosen: Eui64 | None = None
        """Whom the limited state fell upon."""

    # -- the state --------------------------------------------------------------------------------

    def changed(self, state: DutyCycleState, airtime_us: int | None) -> None:
        """The hub's airtime crossed a limit, in either direction; silence whom it must."""
        before, self.state = self.state, state
        if before == state:
            return
        self._reporter.emit(
            DutyCycleChanged(
                at_us=self._reporter.now_us(),
                radio=self._radio,
                state=shown(state),
                before=shown(before),
                airtime_us=airtime_us,
            )
        )
        alert = (_RISING if state > before else _FALLING).get(state)
        if alert is not None:
            self._alert(alert, airtime_us=airtime_us)
        if state < _LIMITED:
            self.chosen = None
        elif state >= _CRITICAL > before:
            for device in self._talkers():
                # One that sleeps would not hear it now; it is told when it talks.
                if not device.sleepy and device.eui64 not in self._suspended:
                    self._silence(device, "the hub's airtime is critical: every talker")
        elif state is _LIMITED and before < _LIMITED:
            self._choose()

    def _choose(self) -> None:
        """Of those who may talk, the one that costs the hub most airtime."""
        now_us = self._reporter.now_us()
        free = {d.eui64: d for d in self._talkers() if d.eui64 not in self._suspended}
        found = self._book.costliest(list(free), now_us)
        if found is None:
            self._reporter.note("nobody-to-suspend", Severity.WARNING)
            return
        self.chosen, cost_us = found
        used_us = self._book.used_us(now_us)
        self._silence(
            free[self.chosen],
            f"the hub's airtime is limited, and this device costs most of it: "
            f"{cost_us / 1e6:.1f} s of {used_us / 1e6:.1f} s in the hour",
        )

    # -- suspending -------------------------------------------------------------------------------

    def suspend(self, device: Device, minutes: int, cause: str) -> None:
        """Silence a device for 1 to 255 minutes, whatever the state. Raises `ValueError`."""
        if not 1 <= minutes <= 255:
            raise ValueError(f"a suspension lasts 1 to 255 min, not {minutes}")
        self._silence(device, cause, minutes)

    def resume(self, device: Device, cause: str) -> None:
        """Let a device talk again before its time, and tell it."""
        if device.eui64 in self._suspended:
            self._over(device.eui64, cause)
            self._chores.run(self._tell(device, 0))

    def _silence(self, device: Device, cause: str, minutes: int | None = None) -> None:
        """The time begins when the device has heard of it; until then it is held to it too."""
        minutes = minutes or self._minutes
        before = self._suspended.get(device.eui64)
        if before is not None:
            before.prevent()
        now_us = self._reporter.now_us()
        self._suspended[device.eui64] = _Suspension(now_us + minutes * _MINUTE_US, cause)
        self._expire_later(device.eui64, minutes * _MINUTE_US)
        self._chores.run(self._announce(device, minutes))

    async def _announce(self, device: Device, minutes: int) -> None:
        suspension = self._suspended.get(device.eui64)
        if suspension is None:
            return
        now_us = suspension.told_us = self._reporter.now_us()
        if not await self._send(device, minutes):
            suspension.told_us = None
            return
        suspension.heard = True
        if self._suspended.get(device.eui64) is suspension:
            suspension.prevent()
            heard_us = self._reporter.now_us()
            suspension.until_us = heard_us + minutes * _MINUTE_US
            self._expire_later(device.eui64, minutes * _MINUTE_US)
        self._reporter.emit(
            Suspended(
                at_us=now_us,
                eui64=device.eui64,
                radio=self._radio,
                minutes=minutes,
                cause=suspension.cause,
            )
        )

    async def _send(self, device: Device, minutes: int) -> bool:
        word = suspend(minutes)
        return await self._post.send(
            Letter(
                eui64=device.eui64,
                source_endpoint=_HUB_ENDPOINT,
                endpoint=device.endpoint or 1,
                cluster_id=SUB_GHZ,
                command_id=word.command_id,
                payload=word.payload,
                control=word.control,
            )
        )

    def _expire_later(self, eui64: Eui64, after_us: int) -> None:
        def due() -> None:
            self._over(eui64, "its time is over")

        self._suspended[eui64].prevent = self._chores.later(after_us / 1e6, due)

    def _over(self, eui64: Eui64, cause: str) -> None:
        suspension = self._suspended.pop(eui64, None)
        if suspension is None:
            return
        suspension.prevent()
        if suspension.talked:
            self._reporter.note(
                "talked-while-suspended",
                Severity.WARNING,
                eui64,
                discarded=suspension.talked,
                told=suspension.told_us is not None,
            )
        self._reporter.emit(
            Resumed(at_us=self._reporter.now_us(), eui64=eui64, radio=self._radio, cause=cause)
        )

    def forget(self, eui64: Eui64) -> None:
        """A device is out, or on another bearer."""
        suspension = self._suspended.pop(eui64, None)
        if suspension is not None:
            suspension.prevent()
        if self.chosen == eui64:
            self.chosen = None

    def minutes_left(self, eui64: Eui64) -> int:
        """How long a device is still to be silent: whole minutes, the begun one counts; 0: not."""
        suspension = self._suspended.get(eui64)
        if suspension is None:
            return 0
        return max(1, -(-(suspension.until_us - self._reporter.now_us()) // _MINUTE_US))

    def wait_s(self, eui64: Eui64) -> int:
        """How long a device is to wait with the next block of its image; 0: not at all."""
        suspension = self._suspended.get(eui64)
        if self.state < _CRITICAL or suspension is None:
            return 0
        return max(1, -(-(suspension.until_us - self._reporter.now_us()) // 1_000_000))

    # -- what devices send ------------------------------------------------------------------------

    def admits(self, device: Device, packet: Incoming) -> bool:
        """Whether a ZCL frame of a device is to be looked at; if not, it is dealt with."""
        state = self.state
        suspension = self._suspended.get(device.eui64)
        held = state >= _CRITICAL or (state >= _LIMITED and device.eui64 == self.chosen)
        if suspension is None and not held:
            return True
        frame = _frame(packet)
        if frame is None:
            return True  # the dispatcher refuses and records it
        if not frame.cluster_specific and frame.command_id in zcl.GENERAL_RESPONSES:
            # Nobody answers these, a Default Response above all: the two would answer each other.
            return True
        if packet.cluster_id == SUB_GHZ and frame.cluster_specific:
            if frame.command_id == GET_SUSPEND_STATUS:
                return True
        elif packet.cluster_id == OTA and frame.cluster_specific:
            if state < _CRITICAL:
                return True
            if frame.command_id in (_IMAGE_BLOCK, _IMAGE_PAGE):
                if suspension is None:
                    self._silence(device, "the hub's airtime is still critical, and it talks")
                return True
        if suspension is None:
            self._silence(device, f"the hub's airtime is still {state.name.lower()}, and it talks")
            self._discard(device, packet, frame, self._suspended[device.eui64])
            return False
        self._discard(device, packet, frame, suspension)
        self._remind(device, suspension)
        return False

    def _discard(
        self, device: Device, packet: Incoming, frame: Frame, suspension: _Suspension
    ) -> None:
        if not suspension.discarded:
            self._alert(SubGhzAlert.MESSAGE_DISCARDED, eui64=device.eui64)
        suspension.discarded += 1
        suspension.talked += suspension.heard
        self._reporter.refused(
            device.eui64,
            "application",
            "the device is suspended" if suspension.told_us is not None else suspension.cause,
            packet=packet,
            command_id=frame.command_id if frame.cluster_specific else None,
        )

    def _remind(self, device: Device, suspension: _Suspension) -> None:
        now_us = self._reporter.now_us()
        if suspension.told_us is not None and now_us - suspension.told_us < _TOLD_AGAIN_US:
            return
        minutes = self.minutes_left(device.eui64)
        if suspension.told_us is None:
            self._chores.run(self._announce(device, minutes))
            return
        suspension.told_us = now_us
        self._chores.run(self._tell(device, minutes))

    async def _tell(self, device: Device, minutes: int) -> None:
        await self._send(device, minutes)

    # -- what the hub sends -----------------------------------------------------------------------

    def demand(self, device: Device, packet: Outgoing) -> None:
        """Raise `DeliveryError` for a frame that may not go out to a device on this bearer."""
        if self.state >= DutyCycleState.SUSPENDED:
            raise DeliveryError(
                "the hub's airtime on 868 MHz is used up", status="DUTY_CYCLE", where=self._radio
            )
        if device.eui64 in self._suspended and packet.profile_id and not self._allowed(packet):
            raise DeliveryError("the device is suspended", status="SUSPENDED", where=self._radio)

    def _allowed(self, packet: Outgoing) -> bool:
        """What passes to a suspended device: of its suspension and, unless critical, images."""
        if packet.cluster_id == SUB_GHZ:
            return True
        if packet.cluster_id != OTA:
            return False
        data = packet.data
        waits = len(data) > 3 and data[2] == _BLOCK_RESPONSE and data[3] == _WAIT_FOR_DATA
        return self.state < _CRITICAL or waits


def _frame(packet: Incoming) -> Frame | None:
    try:
        return zcl.parse(packet.data)
    except MalformedFrame:
        return None
