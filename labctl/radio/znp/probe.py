"""Asking a ZNP stick what it is, by the driver's own means. Nothing is written to it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import zigpy.config
import zigpy_znp.commands as c
import zigpy_znp.config as znp_config
from zigpy_znp.api import ZNP
from zigpy_znp.exceptions import CommandNotRecognized, InvalidCommandResponse
from zigpy_znp.types.nvids import ExNvIds

from labctl.config.inventory import Driver, FlowControl
from labctl.events import Band
from labctl.radio.probe import NobodyAnswers, Probed, closing, is_network
from labctl.radio.sticks import Line
from labctl.radio.troubles import port_failed
from labctl.radio.znp.firmware import APPLICATION_LINK_KEYS, INSTALL_CODE_KEYS
from labctl.smart_energy.eui64 import Eui64

_LOGGER = logging.getLogger(__name__)

_ANSWER_S = 12.0
"""The driver pings, then sends what ends a bootloader and waits 2.5 s."""

_FACTS_S = 30.0
_MOST_SLOTS = 256
_PRODUCTS = {0: "stock", 1: "Koenkk 3.x", 2: "Koenkk 3.0"}
_OLD = (
    "no install codes and no link key of a device's own: it cannot be a Smart Energy hub. "
    "A CC2652 or newer can"
)
_Z302 = (
    "its trust centre forgets a device's install-code key 15 s after the join: use a CC2652 or "
    "newer"
)
_LIMITS = (
    "2.4 GHz alone; links are judged by LQI, there is no RSSI",
    f"{APPLICATION_LINK_KEYS} application link keys, {INSTALL_CODE_KEYS} slots for keys of devices",
)


async def probe_znp(path: str, line: Line) -> Probed:
    """What the stick answers. Raises `NobodyAnswers`, and `RigError` when the port fails."""
    znp = ZNP(configuration(path, line))
    try:
        await open_driver(znp, path)
        try:
            async with asyncio.timeout(_FACTS_S):
                return await _facts(znp, line)
        except (TimeoutError, OSError, InvalidCommandResponse) as error:
            raise port_failed(error, path, protocol="ZNP") from error
    finally:
        await closing(znp.disconnect())


def configuration(path: str, line: Line) -> dict[str, Any]:
    """What the driver is told of a port."""
    flow = None if line.flow_control is FlowControl.NONE else line.flow_control.value
    configuration: dict[str, Any] = znp_config.CONFIG_SCHEMA(
        {
            zigpy.config.CONF_DEVICE: {
                zigpy.config.CONF_DEVICE_PATH: path,
                zigpy.config.CONF_DEVICE_BAUDRATE: line.baudrate,
                zigpy.config.CONF_DEVICE_FLOW_CONTROL: flow,
            },
            # There are no modem lines behind a network port or a pty to move.
            znp_config.CONF_ZNP_CONFIG: {
                znp_config.CONF_SKIP_BOOTLOADER: not is_network(path) and "/pts/" not in path
            },
        }
    )
    return configuration


async def open_driver(znp: ZNP, path: str) -> None:
    """Open the port and find out what is there. Raises `NobodyAnswers`, `RigError`."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            await znp.connect()
    except TimeoutError as error:
        raise NobodyAnswers("no answer to a ping") from error
    except OSError as error:
        raise port_failed(error, path, protocol="ZNP") from error
    except (InvalidCommandResponse, CommandNotRecognized, ValueError) as error:
        raise NobodyAnswers(type(error).__name__) from error


async def _facts(znp: ZNP, line: Line) -> Probed:
    version = await znp.request(c.SYS.Version.Req())
    info = await znp.request(c.UTIL.GetDeviceInfo.Req())
    stack = float(znp.version or 0)
    revision = version.CodeRevision
    numbers = (int(version.MajorRel), int(version.MinorRel), int(version.MaintRel))
    built = str(int(revision)) if revision is not None else ".".join(map(str, numbers))
    product = _PRODUCTS.get(int(version.ProductId), f"product {int(version.ProductId)}")
    usable = stack >= 3.3
    remarks = _LIMITS if usable else ((_Z302 if stack >= 3.0 else _OLD), *_LIMITS[:1])
    return Probed(
        driver=Driver.ZNP,
        line=line,
        protocol=f"Z-Stack {stack:.2f}" if stack >= 3.3 else f"Z-Stack {stack}",
        eui64=Eui64(str(info.IEEE)),
        firmware=f"{built} ({product})",
        firmware_key=(int(revision),) if revision is not None else (),
        bands=(Band.GHZ_2_4,),
        key_table_size=await _slots(znp) if usable else 0,
        usable=usable,
        remarks=remarks,
    )


async def _slots(znp: ZNP) -> int | None:
    """How many slots for keys from install codes there are: the route for many partners.

    Asked by their lengths: what is in them is no business of a probe.
    """
    for count in range(_MOST_SLOTS):
        try:
            answer = await znp.request(
                c.SYS.NVLength.Req(SysId=1, ItemId=ExNvIds.TCLK_IC_TABLE, SubId=count)
            )
        except CommandNotRecognized:
            return None
        if not answer.Length:
            return count or None
    return _MOST_SLOTS
