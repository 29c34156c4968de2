"""Asking an EZSP stick what it is. The NCP is reset before and after: it keeps nothing of this."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import bellows.types as t
import zigpy.config
from bellows.exception import InvalidCommandError

from labctl.config.inventory import Driver, FlowControl
from labctl.errors import RigError
from labctl.events import Band
from labctl.radio.ezsp.connection import Connection
from labctl.radio.ezsp.key_engine import built_in_suites
from labctl.radio.ezsp.phys import Phys
from labctl.radio.ezsp.troubles import DRIVER_ERRORS, start_failed
from labctl.radio.ezsp.versions import KNOWN, must_be_known
from labctl.radio.probe import NobodyAnswers, Probed, closing, is_network
from labctl.radio.sticks import Line
from labctl.smart_energy.channels import DEFAULT_CHANNELS
from labctl.smart_energy.eui64 import Eui64

_LOGGER = logging.getLogger(__name__)

_ANSWER_S, _NETWORK_ANSWER_S = 4.0, 9.0
"""For reset and version. A network coordinator is given two seconds to reset on its own."""

_FACTS_S = 60.0
_TABLE_SIZES = (250, 127, 96, 64, 48, 32, 24, 20, 16, 12, 8, 4)
_SCAN_EXPONENT = 1


def connection_to(path: str, line: Line) -> Connection:
    """A connection that is not open yet."""
    flow = None if line.flow_control is FlowControl.NONE else line.flow_control.value
    return Connection(
        {
            zigpy.config.CONF_DEVICE_PATH: path,
            zigpy.config.CONF_DEVICE_BAUDRATE: line.baudrate,
            zigpy.config.CONF_DEVICE_FLOW_CONTROL: flow,
        }
    )


async def probe_ezsp(path: str, line: Line) -> Probed:
    """What the stick answers. Raises `NobodyAnswers`, and `RigError` when the port fails."""
    connection = connection_to(path, line)
    try:
        await open_connection(connection, path)
        try:
            async with asyncio.timeout(_FACTS_S):
                return await _facts(connection, line)
        except (TimeoutError, OSError, *DRIVER_ERRORS) as error:
            raise start_failed(error, path) from error
    finally:
        await closing(connection.disconnect())


async def open_connection(connection: Connection, path: str) -> None:
    """Open the port and agree on a version. Raises `NobodyAnswers`, `RigError`."""
    try:
        async with asyncio.timeout(_NETWORK_ANSWER_S if is_network(path) else _ANSWER_S):
            await connection.connect(use_thread=False)
    except TimeoutError as error:
        raise NobodyAnswers("no answer to a reset") from error
    except OSError as error:
        raise start_failed(error, path) from error
    except DRIVER_ERRORS as error:
        raise NobodyAnswers(f"{type(error).__name__}") from error


async def _facts(ezsp: Any, line: Line) -> Probed:
    version = int(ezsp.ezsp_version)
    protocol = f"EZSP {version}"
    if version not in KNOWN:
        return Probed(
            driver=Driver.EZSP,
            line=line,
            protocol=protocol,
            protocol_version=version,
            usable=False,
            remarks=(_why_unknown(version),),
        )
    (eui64,) = await ezsp.getEui64()
    manufacturer, board, firmware = await _board(ezsp)
    bands = await _bands(ezsp)
    suites = await built_in_suites(ezsp)
    size = await _key_table_size(ezsp)
    phys = await _phys(ezsp)
    await ezsp.reset()
    return Probed(
        driver=Driver.EZSP,
        line=line,
        protocol=protocol,
        protocol_version=version,
        eui64=Eui64(str(eui64)),
        firmware=firmware,
        firmware_key=_numbers(firmware),
        manufacturer=manufacturer,
        model=board,
        bands=bands,
        both_at_once=phys > 1 and len(bands) > 1,
        key_establishment=tuple(sorted(suites)),
        key_table_size=size,
        usable=bool(bands),
        remarks=() if bands else ("its radio listened to no channel of either band",),
    )


def _why_unknown(version: int) -> str:
    try:
        must_be_known(version, "")
    except RigError as error:
        return f"{error.what}: {error.mend}"
    return ""


async def _board(ezsp: Any) -> tuple[str | None, str | None, str | None]:
    """Manufacturer, board and version, as far as the firmware has them."""
    try:
        manufacturer, board, firmware = await ezsp.get_board_info()
    except (InvalidCommandError, ValueError, KeyError) as error:
        _LOGGER.debug("no board info: %r", error)
        return None, None, None
    return manufacturer, board, firmware


def _numbers(firmware: str | None) -> tuple[int, ...]:
    """7.4.3.0 of `7.4.3.0 build 0`."""
    parts = (firmware or "").partition(" ")[0].split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else ()


async def _bands(ezsp: Any) -> tuple[Band, ...]:
    """The bands that the radio listens to; it refuses to scan a page that it does not have."""
    phys = Phys(ezsp, radio="the stick")
    found = []
    for band, channel in DEFAULT_CHANNELS.items():
        try:
            await phys.energy_scan([channel], _SCAN_EXPONENT)
        except RigError as error:
            _LOGGER.debug("%s: %s", band, error.what)
        else:
            found.append(band)
    return tuple(found)


async def _phys(ezsp: Any) -> int:
    try:
        (count,) = await ezsp.getPhyInterfaceCount()
    except (InvalidCommandError, AttributeError):
        return 1
    return 1 if int(count) == 0xFF else int(count)


async def _key_table_size(ezsp: Any) -> int | None:
    """The largest size that the firmware sets and reads back. RAM alone: the reset undoes it."""
    wanted = t.EzspConfigId.CONFIG_KEY_TABLE_SIZE
    for size in _TABLE_SIZES:
        (status,) = await ezsp.setConfigurationValue(configId=wanted, value=t.uint16_t(size))
        if not _ok(status):
            continue
        status, value = await ezsp.getConfigurationValue(configId=wanted)
        if _ok(status) and int(value) >= size:
            return int(value)
    status, value = await ezsp.getConfigurationValue(configId=wanted)
    return int(value) if _ok(status) else None


def _ok(status: Any) -> bool:
    return bool(t.sl_Status.from_ember_status(status) == t.sl_Status.OK)
