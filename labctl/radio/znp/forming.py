"""The stick's network: resumed if labctl formed it, formed anew otherwise.

The driver would form a throw-away network on another channel, with home automation's settings, and
then write over it. Z-Stack forms what its configuration items say, so they are written before.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass

import zigpy.exceptions
import zigpy_znp.commands as c
import zigpy_znp.types as t
from zigpy_znp.types.nvids import OsalNvIds

from labctl.errors import RigError
from labctl.radio.coordinator import NetworkSettings, OtherRadioError
from labctl.radio.znp import mt
from labctl.radio.znp.connection import Connection, Refused
from labctl.radio.znp.firmware import TRANSMIT_POWER_DBM, UNAIDED_DBM, channels
from labctl.radio.znp.memory import Memory
from labctl.radio.znp.tables import EXTADDR, MARK, STARTUP_OPTION, Mark
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64

_LOGGER = logging.getLogger(__name__)

FORM_ANEW = (
    "use another stick, or give that network up with `labctl bench RIG --form-anew`: "
    "all its devices must then be paired again"
)

CLEAR_STATE, CLEAR_CONFIGURATION = 0x02, 0x01
"""Bits of ZCD_NV_STARTUP_OPTION: what the next start of the stick forgets."""

_COORDINATOR = 0
_ACK_WAIT_2_MS = 3000
"""6 s for an APS acknowledgement, as the vendor has it. Builds for home automation have 1 s: a
Smart Energy device that is slow, or asleep, would be sent everything again."""

_BROADCAST_100_MS = 30


@dataclass(frozen=True, slots=True)
class Network:
    """What the stick holds."""

    eui64: Eui64
    channel: int
    pan_id: int
    extended_pan_id: Eui64


async def read_eui64(connection: Connection) -> Eui64:
    """The stick's own address. Raises `Refused` when it has none."""
    octets = await Memory(connection).read(EXTADDR)
    if octets is None or len(octets) != 8:
        raise Refused("the stick's own address", 0x0A)
    return Eui64.from_little_endian(octets)


async def read_network(connection: Connection) -> Network | None:
    """The network in memory; None when there is none that a coordinator could go on with."""
    read = connection.nvram.osal_read
    try:
        nib = await read(OsalNvIds.NIB, item_type=t.NIB)
        joined = await read(OsalNvIds.BDBNODEISONANETWORK, item_type=t.uint8_t)
    except KeyError:
        return None
    if not int(nib.nwkLogicalChannel) or not nib.nwkKeyLoaded or joined != 1:
        return None
    return Network(
        await read_eui64(connection),
        int(nib.nwkLogicalChannel),
        int(nib.nwkPanId),
        Eui64(str(nib.extendedPANID)),
    )


async def bring_up(
    connection: Connection,
    settings: NetworkSettings,
    random_octets: Callable[[int], bytes],
    radio: str,
) -> bool:
    """Start the network that the stick holds, or form one. True when it was there before.

    Raises `RigError` for a network that is not labctl's.
    """
    if settings.not_on is not None and await read_eui64(connection) == settings.not_on:
        raise RigError(
            "this is the radio that the device log was exported from: its devices know it, and "
            "would not know it again with other keys",
            where=radio,
            mend="import the log on another radio",
        )
    network = await read_network(connection)
    held = None if network is None else network.extended_pan_id
    if settings.only is not None and held != settings.only:
        raise OtherRadioError(
            f"the radio holds {'no network any more' if held is None else f'the network {held}'}; "
            f"it was {settings.only}",
            where=radio,
            mend="it was given another firmware or erased, or it is another stick: start "
            "another run, which forms a network that all devices must be paired with again",
        )
    if network is not None and not settings.form_anew:
        await must_be_ours(connection, network, radio)
        await start(connection)
        return True
    await _form(connection, settings, random_octets, radio)
    return False


async def start(connection: Connection) -> None:
    """Restart the processor and have it resume its network: only the first start after a reset
    does that. All that was in RAM is gone."""
    await _configure(connection)
    await connection.reset()
    await connection.start_network()


async def must_be_ours(connection: Connection, network: Network, radio: str) -> None:
    """Sticks come from other uses: devices of another network hold keys that everybody knows.

    Raises `RigError` for a network that labctl did not form.
    """
    octets = await Memory(connection).read(MARK)
    mark = None if octets is None else Mark.unpack(octets)
    if mark != Mark(network.extended_pan_id, network.pan_id):
        raise RigError(
            "the stick holds a network that labctl did not form: it is not a Smart Energy one",
            where=radio,
            mend=FORM_ANEW,
        )


async def _configure(connection: Connection) -> None:
    """Items that hold for any network; read by the firmware when it starts."""
    write = connection.nvram.osal_write
    for item, value in {
        OsalNvIds.LOGICAL_TYPE: t.uint8_t(_COORDINATOR),
        OsalNvIds.CONCENTRATOR_ENABLE: t.Bool(True),
        OsalNvIds.CONCENTRATOR_DISCOVERY: t.uint8_t(120),
        OsalNvIds.CONCENTRATOR_RC: t.Bool(True),
        OsalNvIds.SRC_RTG_EXPIRY_TIME: t.uint8_t(255),
        OsalNvIds.BCAST_DELIVERY_TIME: t.uint8_t(_BROADCAST_100_MS),
        OsalNvIds.APS_ACK_WAIT_DURATION: t.uint16_t(_ACK_WAIT_2_MS),
        OsalNvIds.ZDO_DIRECT_CB: t.Bool(True),
    }.items():
        kept = await connection.nvram.osal_read(item, item_type=type(value))
        if kept != value:
            await write(item, value)


async def _form(
    connection: Connection,
    settings: NetworkSettings,
    random_octets: Callable[[int], bytes],
    radio: str,
) -> None:
    """Empty memory, configuration, labctl's mark, network."""
    phy = settings.phys[0]
    memory = Memory(connection)
    clear = bytes((CLEAR_STATE | CLEAR_CONFIGURATION,))
    await memory.write(STARTUP_OPTION, clear)
    await connection.reset()
    pan_id = settings.pan_id
    if pan_id is None:
        pan_id = 1 + int.from_bytes(random_octets(4), "big") % 0xFFFD
    extended = settings.extended_pan_id
    if extended is None:
        # GBCS: the extended PAN id is the hub's own address on the HAN.
        extended = await read_eui64(connection)
    await _configure(connection)
    mask = 1 << phy.channel.number
    for item, value in {
        "PANID": struct.pack("<H", pan_id),
        "APS_USE_EXT_PANID": extended.little_endian,
        "EXTENDED_PAN_ID": extended.little_endian,
        "CHANLIST": struct.pack("<I", mask),
        "PRECFGKEYS_ENABLE": b"\x00",
        "PRECFGKEY": random_octets(16),
    }.items():
        await memory.put(STARTUP_OPTION._replace(sub=int(OsalNvIds[item])), value)
    # Before there is a network: whoever is cut short in between finds its own again.
    await memory.put(MARK, Mark(extended, pan_id).pack())
    # Z-Stack 3 does not look at the list of channels above.
    for primary, chosen in ((True, mask), (False, 0)):
        await connection.do(
            "channels", c.AppConfig.BDBSetChannel.Req(IsPrimary=primary, Channel=channels(chosen))
        )
    try:
        await connection.start_network()
    except zigpy.exceptions.FormationFailure as error:
        raise RigError(
            f"the stick forms no network at {phy.channel}",
            where=radio,
            mend="move it away from USB 3 ports and Wi-Fi access points, or change the channel",
        ) from error
    formed = await read_network(connection)
    other_pan = formed is not None and formed.pan_id != pan_id
    if (
        formed is None
        or formed.channel != phy.channel.number
        or (other_pan and settings.pan_id is not None)
    ):
        raise RigError(
            f"the stick formed another network than it was told to: {_described(formed)}",
            where=radio,
            mend="update its firmware",
        )
    if formed.extended_pan_id != extended:
        raise RigError(
            f"the stick formed a network with the extended PAN id {formed.extended_pan_id}, "
            f"not {extended}",
            where=radio,
            mend="update its firmware",
        )
    if other_pan:  # somebody near had that one already
        await memory.put(MARK, Mark(extended, formed.pan_id).pack())


def _described(network: Network | None) -> str:
    if network is None:
        return "none at all"
    return f"{Channel(0, network.channel)} with PAN id 0x{network.pan_id:04x}"


async def set_power(connection: Connection, wanted_dbm: int, radio: str) -> int:
    """In RAM. Returns what it is: sticks without an amplifier take up to 5 dBm.

    Raises `RigError` when the stick takes nothing.
    """
    for dbm in (wanted_dbm, min(wanted_dbm, UNAIDED_DBM)):
        if dbm in TRANSMIT_POWER_DBM:
            request = c.SYS.SetTxPower.Req(TXPower=t.int8s(dbm))
            answer = await connection.do("setting the power", request)
            if int(answer.StatusOrPower) == mt.SUCCESS:
                return dbm
    raise RigError(
        f"the stick does not transmit with {wanted_dbm} dBm",
        where=radio,
        mend=f"hub.tx_power_dbm is {TRANSMIT_POWER_DBM[0]} to {TRANSMIT_POWER_DBM[-1]} on ZNP "
        f"sticks, and up to {UNAIDED_DBM} on those without an amplifier",
    )
