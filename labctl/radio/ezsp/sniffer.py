"""A sniffer on unmodified bellows: its packet capture, which is EZSP's manufacturing library.

The library has the radio to itself, so a stick that is on a network cannot do it. It does without
one from its reset on, until `networkInit`: a network that the stick holds stays in it, off the air.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from bellows.exception import ControllerError, InvalidCommandError

from labctl.errors import RigError
from labctl.radio.ezsp.application import SmartEnergyApplication, application_configuration
from labctl.radio.ezsp.coordinator import EzspPort
from labctl.radio.ezsp.troubles import DRIVER_ERRORS, gone, start_failed, why_lost
from labctl.radio.sniffer import Overheard, Sniffer, SnifferState
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64

_LOGGER = logging.getLogger(__name__)

_START_S = 30.0
_CLOSE_S = 5.0
_LOOK_EVERY_S = 10.0
"""A stick that hears nothing and one that hangs look the same until it is asked something."""


class _Application(SmartEnergyApplication):
    """Tells when the driver's packet capture has reached a channel."""

    reached: asyncio.Event | None = None

    async def _packet_capture_change_channel(self, channel: int) -> None:
        await super()._packet_capture_change_channel(channel=channel)
        if self.reached is not None:
            self.reached.set()


class EzspSniffer(Sniffer):
    """The `Sniffer` on EZSP 8 and later."""

    def __init__(self, port: EzspPort) -> None:
        self._port = port
        self._app: _Application | None = None
        self._pump: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._lost: Callable[[str], None] | None = None

    async def start(
        self,
        channel: Channel,
        heard: Callable[[Overheard], None],
        lost: Callable[[str], None],
    ) -> SnifferState:
        """Open the stick and listen. Raises `RigError`."""
        app = _Application(
            application_configuration(
                path=self._port.path,
                baudrate=self._port.baudrate,
                flow_control=self._port.flow_control,
                max_devices=1,
            ),
            endpoints=(),
            on_connection_lost=self._gone,
            fence=self._port.fence,
        )
        self._app, self._lost = app, lost
        try:
            async with asyncio.timeout(_START_S):
                await app.connect()
                state = await self._state(app)
                await self._listen(app, channel, heard)
        except Exception as error:
            await self.stop()
            raise start_failed(error, self._port.path) from error
        assert self._pump is not None
        self._pump.add_done_callback(self._pump_ended)
        self._looking = asyncio.create_task(self._look(app))
        return state

    async def _state(self, app: _Application) -> SnifferState:
        (ieee,) = await app._ezsp.getEui64()
        eui64 = Eui64(str(ieee))
        if self._port.eui64 is not None and self._port.eui64 != eui64:
            raise RigError(
                f"this stick is {eui64}, the inventory says {self._port.eui64}",
                where=self._port.path,
                mend="another stick is on this path: correct the inventory or swap the sticks",
            )
        manufacturer, model, firmware = await app._get_board_info()
        return SnifferState(
            name=self._port.name,
            path=self._port.shown_path or self._port.path,
            eui64=eui64,
            protocol_version=int(app._ezsp.ezsp_version),
            manufacturer=manufacturer,
            model=model,
            firmware=firmware,
        )

    async def _listen(
        self, app: _Application, channel: Channel, heard: Callable[[Overheard], None]
    ) -> None:
        """Start the driver's capture, and return once it hears."""
        app.reached = asyncio.Event()
        self._pump = asyncio.create_task(self._run(app, channel, heard))
        reached = asyncio.create_task(app.reached.wait())
        try:
            await asyncio.wait((self._pump, reached), return_when=asyncio.FIRST_COMPLETED)
        finally:
            reached.cancel()
        if self._pump.done():
            try:
                self._pump.result()
            except InvalidCommandError as error:
                raise self._no_library() from error
            except ControllerError as error:
                raise self._refused(channel, app, error) from error
            raise RigError("the driver's packet capture ended at once", where=self._port.name)

    async def _run(
        self, app: _Application, channel: Channel, heard: Callable[[Overheard], None]
    ) -> None:
        async for packet in app.packet_capture(channel.ember_byte):
            heard(
                Overheard(
                    channel=Channel.from_ember_byte(int(packet.channel)),
                    psdu=bytes(packet.data) + packet.compute_fcs(),
                    rssi_dbm=round(packet.rssi),
                    lqi=int(packet.lqi),
                )
            )

    def _no_library(self) -> RigError:
        return RigError(
            "the stick's firmware cannot capture: it was built without the manufacturing library "
            "(mfglib)",
            where=self._port.name,
            mend="put NCP firmware with that library on it (that of the usual sticks has it), or "
            "use another stick",
        )

    def _refused(self, channel: Channel, app: _Application, error: ControllerError) -> RigError:
        if app._packet_capture_channel is None and "CHANNEL" in str(error):
            return RigError(
                f"the stick's radio does not have {channel}",
                where=self._port.name,
                mend="2.4 GHz sticks hear nothing below: use a sub-GHz kit for 868 MHz",
            )
        return RigError(
            f"the stick does not capture: {error}",
            where=self._port.name,
            mend="a stick cannot capture while it is on a network: use one that is no hub's",
        )

    async def change_channel(self, channel: Channel) -> None:
        """Another channel of the same stick."""
        app = self._app
        if app is None:
            raise AssertionError("start() comes before change_channel()")
        try:
            await app.packet_capture_change_channel(channel.ember_byte)
        except ControllerError as error:
            raise self._refused(channel, app, error) from error
        except (TimeoutError, OSError, *DRIVER_ERRORS) as error:
            raise gone(why_lost(error), self._port.name) from error

    async def stop(self) -> None:
        """Give the radio back and close the port."""
        self._lost = None
        for task in (self._looking, self._pump):
            if task is not None:
                task.cancel()
                await asyncio.wait((task,), timeout=_CLOSE_S)
                if task.done() and not task.cancelled() and (error := task.exception()):
                    _LOGGER.debug("%s: while it was closed: %r", self._port.name, error)
        self._looking = self._pump = None
        app, self._app = self._app, None
        if app is not None:
            await app.shutdown(db=False)

    async def _look(self, app: Any) -> None:
        """Ask the stick for nothing now and then, to see that it is there."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await app._ezsp.nop()
            except (TimeoutError, OSError, *DRIVER_ERRORS) as error:
                self._gone(why_lost(error))
                return

    def _pump_ended(self, pump: asyncio.Task[None]) -> None:
        if not pump.cancelled():
            self._gone(why_lost(pump.exception()))

    def _gone(self, cause: str) -> None:
        lost, self._lost = self._lost, None
        if lost is not None:
            _LOGGER.warning("%s: the sniffer is gone: %s", self._port.name, cause)
            lost(cause)
