"""What a person does with a display: confirms messages, and presses the buttons of a PPMID.

And what a display does by itself when something is pushed to it: it acknowledges prices that ask
for that, and forgets the former tenant.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from labctl.virtual.devices import zcl
from labctl.virtual.devices.behaviour import Button, Press
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.payloads import DisplayMessage
from labctl.virtual.devices.port import NoAnswer, Peer, RequestRefused, ZclPort
from labctl.virtual.devices.screen import Screen, clears_consumer_data
from labctl.virtual.devices.settings import (
    DEVICE_MANAGEMENT,
    MESSAGING,
    METERING,
    PREPAYMENT,
    PRICE,
    Fuel,
    Timings,
)

_ORIGINATOR_PPMID = 0x02
_MESSAGE_CONFIRMATION, _PRICE_ACKNOWLEDGEMENT = 0x01, 0x02
_YES = 0x02
_SUPPLY_ON = 0x02
_NOW = 0
_TOP_UP_RESULTS = {
    0x00: "accepted",
    0x01: "invalid",
    0x02: "duplicate",
    0x03: "error",
    0x04: "more than the meter may hold",
    0x05: "keypad locked",
    0x06: "too large",
    0x10: "accepted, supply enabled",
    0x11: "accepted, supply disabled",
    0x12: "accepted, supply armed",
}


@dataclass(slots=True)
class Person:
    """Stands before one device while it is on the network. `has_hands` is false for a CAD."""

    port: ZclPort
    timings: Timings
    screen: Screen
    saw: Observations
    has_hands: bool
    start: Callable[[Coroutine[Any, Any, None]], None]
    """Have something done in the background, while the device has power."""
    keeps_tenant_data: bool = False
    """Nothing is forgotten when the tenant changes."""
    _confirmed: set[int] = field(default_factory=set)

    def pushed(self, peer: Peer, cluster_id: int, frame: zcl.Frame) -> None:
        """The screen has just heard a server's command."""
        if not frame.cluster_specific:
            return
        message = self.screen.message
        if cluster_id == MESSAGING and frame.command == 0x00 and message is not None:
            if self.has_hands and message.confirmation_required:
                self.start(self._confirm(peer, message))
        elif cluster_id == PRICE and frame.command == 0x00:
            price = self.screen.prices.get(peer)
            if price is not None and price.wants_acknowledgement:
                payload = struct.pack(
                    "<IIIB", price.provider, price.event, self._utc(), price.control
                )
                self.port.fire(peer, PRICE, _PRICE_ACKNOWLEDGEMENT, payload, cluster_specific=True)
        elif cluster_id == DEVICE_MANAGEMENT:
            for name in ("ChangeOfTenancy", "ChangeOfSupplier"):
                change = self.screen.published(peer, name)
                if change is None or not clears_consumer_data(change):
                    continue
                if self.keeps_tenant_data:
                    self.saw.note(What.PROVOKED, f"keeps what it knows, in spite of {name}")
                else:
                    del self.screen.told[peer, name]
                    self.screen.clear_consumer_data()
                    self.saw.note(What.CONSUMER_DATA_CLEARED, name)

    async def press(self, press: Press) -> None:
        """Press a button; what came of it is noted. Nothing happens without an electricity meter.

        The buttons act on electricity: what a PPMID tells a gas meter goes inside GBCS messages.
        """
        meter = self.screen.meter(Fuel.ELECTRICITY)
        if meter is None:
            self.saw.note(What.PRESSED, f"{press.button}: no meter")
            return
        try:
            outcome = await self._pressed(meter.peer, press)
        except RequestRefused as refused:
            outcome = f"refused with {refused}"
        except NoAnswer as silence:
            outcome = f"no answer ({silence.reason})"
        self.saw.note(What.PRESSED, f"{press.button}: {outcome}")

    async def _pressed(self, peer: Peer, press: Press) -> str:
        if press.button is Button.EMERGENCY_CREDIT:
            payload = struct.pack("<IB", self._utc(), _ORIGINATOR_PPMID)
            await self.port.command(peer, PREPAYMENT, 0x00, payload)
            return "accepted"
        if press.button is Button.ENABLE_SUPPLY:
            answer = await self.port.command(peer, METERING, 0x0C, bytes((_SUPPLY_ON,)))
            return "accepted" if not answer.cluster_specific else f"answered {answer.command:#04x}"
        code = press.code.encode("ascii", "replace")
        payload = bytes((_ORIGINATOR_PPMID, len(code))) + code
        await self.port.command(peer, PREPAYMENT, 0x04, payload)
        told = self.screen.published(peer, "TopUp")
        if told is None:
            return "no result"
        result = told.fields["result"]
        return _TOP_UP_RESULTS.get(result, f"result 0x{result:02X}")

    async def _confirm(self, peer: Peer, message: DisplayMessage) -> None:
        """Read it, then press the button: once for each message."""
        if message.message_id in self._confirmed:
            return
        self._confirmed.add(message.message_id)
        await asyncio.sleep(self.timings.confirmation_s)
        payload = struct.pack("<IIBB", message.message_id, self._utc(), _YES, 0)
        sent = self.port.fire(
            peer, MESSAGING, _MESSAGE_CONFIRMATION, payload, cluster_specific=True
        )
        if sent:
            self.saw.note(What.CONFIRMED, f"message {message.message_id}")
        else:
            self._confirmed.discard(message.message_id)

    def _utc(self) -> int:
        utc = self.screen.utc(asyncio.get_running_loop().time())
        return _NOW if utc is None else int(utc)
