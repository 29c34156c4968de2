"""zigpy-znp's connection to the stick, and what labctl asks of it past the driver's own requests.

`zigpy_znp.api.ZNP` is used for the line, the framing, finding out what is connected, and starting
the network. The application layer above it, which is for home automation, is not used at all.
Requests of labctl's own take the same turn at the line but are neither parsed nor logged by the
driver: some carry keys, some it has wrong, and all of them fail at once when the stick goes away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import zigpy.config
import zigpy_znp.commands as c
import zigpy_znp.config as znp_config
import zigpy_znp.types as t
from zigpy_znp.api import ZNP
from zigpy_znp.frames import GeneralFrame

from labctl.errors import RigError
from labctl.radio.fence import Fence, put_up_fence
from labctl.radio.troubles import why_lost
from labctl.radio.znp import mt
from labctl.radio.znp.line import resynchronise

_LOGGER = logging.getLogger(__name__)

ANSWER_S = 11.0
"""How long the stick may take for an answer; writing to flash is the longest. No other question is
asked meanwhile: less than the time in which a radio is given up as hung (twice
`lasting.PATIENCE_S`)."""

FIRST_ANSWER_S = 4.0
"""How long it may take for its first answers, which nothing is to be written for."""
_PING_AGAIN_S = 1.0
_PINGS = 4

_PRIORITY = 0
_REFUSALS = {1: "subsystem", 2: "command", 3: "parameter", 4: "length"}


class Refused(Exception):
    """The stick said no to a request: `status` is its own word, `code` the octet."""

    def __init__(self, what: str, code: int) -> None:
        self.code = code
        self.status = status_name(code)
        super().__init__(f"{what}: {self.status}")


class NotBuiltIn(Exception):
    """The firmware does not know a command."""


def status_name(code: int) -> str:
    """What Z-Stack calls a status octet."""
    name: str = getattr(t.Status(code), "name", "") or f"0x{code:02x}"
    return f"0x{code:02x}" if name.startswith("undefined") else name


def handed_on(handle: Callable[[Any], None], told: Any) -> None:
    """Call a handler. The driver would log what it raises and go on as if all were well."""
    try:
        handle(told)
    except Exception as error:  # noqa: BLE001 - told to the loop, whose owner ends the run
        asyncio.get_running_loop().call_exception_handler(
            {"message": f"{type(told).__qualname__} could not be handled", "exception": error}
        )


def driver_configuration(*, path: str, baudrate: int, flow_control: str | None) -> dict[str, Any]:
    """The driver's configuration: a stick's bootloader is skipped as `_skip_bootloader` has it."""
    configuration: dict[str, Any] = znp_config.CONFIG_SCHEMA(
        {
            zigpy.config.CONF_DEVICE: {
                zigpy.config.CONF_DEVICE_PATH: path,
                zigpy.config.CONF_DEVICE_BAUDRATE: baudrate,
                zigpy.config.CONF_DEVICE_FLOW_CONTROL: flow_control,
            },
            znp_config.CONF_ZNP_CONFIG: {znp_config.CONF_SKIP_BOOTLOADER: True},
        }
    )
    return configuration


class Connection(ZNP):  # type: ignore[misc]  # the driver has no types
    """`zigpy_znp.api.ZNP`; messages and confirms go to us, and requests of ours are answered."""

    def __init__(
        self,
        config: dict[str, Any],
        on_lost: Callable[[str], None],
        fence: Fence | None = None,
    ) -> None:
        self._fence = fence
        self._port: Any = None
        super().__init__(config)
        self.on_message: Callable[[Any], None] | None = None
        self.on_confirm: Callable[[Any], None] | None = None
        self.gone: str | None = None
        self._on_lost = on_lost
        self._asked: tuple[int, asyncio.Future[bytes]] | None = None

    async def connect(self, *, test_port: bool = True) -> None:
        """As the driver connects, but without its patience of 15 s with a stick that is silent.

        A stick that was hung and starts over meanwhile has forgotten the question: the sooner it
        is asked again, the sooner it is found.
        """
        patience_s = self._znp_config[znp_config.CONF_SREQ_TIMEOUT]
        self._znp_config[znp_config.CONF_SREQ_TIMEOUT] = FIRST_ANSWER_S
        try:
            await super().connect(test_port=test_port)
        finally:
            self._znp_config[znp_config.CONF_SREQ_TIMEOUT] = patience_s

    async def _skip_bootloader(self) -> Any:
        """The first ping, again and again: a stick that starts over is found as soon as it runs.

        The driver does likewise, but moves the lines that put some sticks into their bootloader,
        and sends what ends it; there are no such lines over a network.
        """
        if "://" not in self._port_path:
            return await super()._skip_bootloader()
        for left in reversed(range(_PINGS)):
            try:
                async with asyncio.timeout(_PING_AGAIN_S):
                    return await self.request(c.SYS.Ping.Req())
            except TimeoutError:
                if not left:
                    raise
        raise AssertionError("unreachable: the last round raises or returns")

    @property
    def _uart(self) -> Any:
        return self._port

    @_uart.setter
    def _uart(self, port: Any) -> None:
        """The driver has opened the port, or let it go: the one moment between that and a write."""
        if port is not None:
            resynchronise(port)
        if port is not None and self._fence is not None:
            try:
                put_up_fence(port, self._fence)
            except RigError:
                if port._transport is not None:
                    port._transport.abort()  # the driver does not know of it yet
                raise
        self._port = port

    # -- from the stick ---------------------------------------------------------------------------

    def frame_received(self, frame: GeneralFrame) -> bool | None:
        """A frame: ours, or the driver's."""
        header = frame.header
        command = int(header) << 8 & 0xFF00 | int(header) >> 8
        if command == mt.AF_DATA_CONFIRM or command in (mt.AF_INCOMING, mt.AF_INCOMING_EXT):
            self._data_frame(command, bytes(frame.data))
            return True
        if self._asked is not None and self._answers(command, bytes(frame.data)):
            return True
        handled: bool | None = super().frame_received(frame)
        return handled

    def _data_frame(self, command: int, data: bytes) -> None:
        read: mt.Confirm | mt.Message
        try:
            if command == mt.AF_DATA_CONFIRM:
                read, handle = mt.unpack_confirm(data), self.on_confirm
            else:
                read, handle = mt.unpack_message(command, data), self.on_message
        except ValueError as error:
            _LOGGER.warning("the stick: %s", error)
            return
        if handle is not None:
            handed_on(handle, read)

    def _answers(self, command: int, data: bytes) -> bool:
        assert self._asked is not None
        asked, future = self._asked
        if command == asked | mt.RESPONSE:
            if not future.done():
                future.set_result(data)
            return True
        if command == mt.RPC_ERROR and data[1:3] == asked.to_bytes(2, "big"):
            if not future.done():
                why = _REFUSALS.get(data[0], str(data[0]))
                future.set_exception(NotBuiltIn(f"0x{asked:04x}: unknown {why}"))
            return True
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        """The port closed."""
        self.lost(why_lost(exc))

    def lost(self, cause: str) -> None:
        """The stick is not there any more, or is not what it was."""
        if self.gone is not None:
            return
        self.gone = cause
        if self._asked is not None and not self._asked[1].done():
            self._asked[1].set_exception(ConnectionError(cause))
        self._on_lost(cause)

    # -- to the stick -----------------------------------------------------------------------------

    async def ask(self, command: int, data: bytes = b"") -> bytes:
        """Send a request and wait for its response, whose data are returned.

        Raises `NotBuiltIn`, `TimeoutError`, `ConnectionError`.
        """
        async with self._sync_request_lock(priority=_PRIORITY):
            if self.gone is not None or self._uart is None:
                raise ConnectionError(self.gone or "the port was closed")
            future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self._asked = (command, future)
            try:
                header = t.CommandHeader(command >> 8 | (command & 0xFF) << 8)
                self._uart.send(GeneralFrame(header, data))
                async with asyncio.timeout(ANSWER_S):
                    return await future
            finally:
                self._asked = None

    async def must(self, what: str, command: int, data: bytes = b"") -> None:
        """A request that is answered by a status. Raises `Refused` for another than success."""
        answer = await self.ask(command, data)
        if not answer or answer[0] != mt.SUCCESS:
            raise Refused(what, answer[0] if answer else 0x01)

    async def do(self, what: str, request: Any) -> Any:
        """One of the driver's requests that the driver has right. Raises like `must`."""
        header = int(request.header)
        command = header << 8 & 0xFF00 | header >> 8
        frame = request.to_frame(align=True)
        answer = GeneralFrame(request.Rsp.header, await self.ask(command, bytes(frame.data)))
        try:
            response = request.Rsp.from_frame(answer, align=True)
        except ValueError as error:
            raise Refused(f"{what}: the answer cannot be read", 0x01) from error
        status = response.as_dict().get("Status", mt.SUCCESS)
        if int(status) != mt.SUCCESS:
            raise Refused(what, int(status))
        return response

    async def still_there(self) -> None:
        """SYS_PING."""
        await self.do("ping", c.SYS.Ping.Req())
