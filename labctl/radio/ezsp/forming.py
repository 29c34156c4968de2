"""The NCP's network: resumed if it is ours, formed as a Smart Energy trust centre otherwise."""

from __future__ import annotations

import logging
from collections.abc import Callable

import bellows.types as t
import zigpy.exceptions
from bellows.exception import InvalidTxPower

from labctl.errors import RigError
from labctl.events import Band
from labctl.radio.coordinator import NetworkSettings, OtherRadioError
from labctl.radio.ezsp.application import SmartEnergyApplication
from labctl.radio.ezsp.link_keys import driver_eui64
from labctl.radio.ezsp.phys import NEEDS_SUB_GHZ
from labctl.smart_energy.eui64 import Eui64

_LOGGER = logging.getLogger(__name__)

_SECURITY_STATE = 0x0A00
"""HAVE_NETWORK_KEY | REQUIRE_ENCRYPTED_KEY: a Smart Energy trust centre, no global key."""

GLOBAL_LINK_KEY = 0x0004
"""EmberCurrentSecurityBitmask, also within the bits of TRUST_CENTER_USES_HASHED_LINK_KEY 0x0084."""

FORM_ANEW = (
    "use another stick, or give that network up with `labctl bench RIG --form-anew`: "
    "all its devices must then be paired again"
)


async def bring_up(
    app: SmartEnergyApplication,
    settings: NetworkSettings,
    random_octets: Callable[[int], bytes],
    radio: str,
) -> bool:
    """Start the network that the NCP holds, or form one. True when it was there before.

    Raises `RigError` for a network that is not a Smart Energy one.
    """
    resumed = True
    if settings.not_on is not None:
        await _must_be_another(app, settings.not_on, radio)
    try:
        await app._ensure_network_running()
        if settings.form_anew:
            await _leave(app)
            resumed = False
        else:
            await _must_be_ours(app, radio)
    except zigpy.exceptions.NetworkNotFormed as error:
        if settings.only is not None:
            raise OtherRadioError(
                f"the radio holds no network any more; it was {settings.only}",
                where=radio,
                mend="it was given another firmware or erased, or it is another stick: start "
                "another run, which forms a network that all devices must be paired with again",
            ) from error
        _LOGGER.debug("%s holds no network", radio)
        resumed = False
    if not resumed:
        await _form(app, settings, random_octets, radio)
    # Once, and last: it starts the driver's watchdog.
    await app.initialize(auto_form=False)
    return resumed


async def _must_be_another(app: SmartEnergyApplication, formerly: Eui64, radio: str) -> None:
    (own,) = await app._ezsp.getEui64()
    if Eui64(str(own)) == formerly:
        raise RigError(
            "this is the radio that the device log was exported from: its devices know it, and "
            "would not know it again with other keys",
            where=radio,
            mend="import the log on another radio",
        )


async def _must_be_ours(app: SmartEnergyApplication, radio: str) -> None:
    """Sticks come from other uses: a home-automation network has a key that everybody knows."""
    status, state = await app._ezsp.getCurrentSecurityState()
    must_be_ok(status, "the NCP does not tell its security state", radio)
    if int(state.bitmask) & GLOBAL_LINK_KEY:
        raise RigError(
            "the stick holds a network with a global link key: it is not a Smart Energy one",
            where=radio,
            mend=FORM_ANEW,
        )


async def _leave(app: SmartEnergyApplication) -> None:
    """Forget the network that the NCP holds, and be as after plugging it in."""
    await app._ezsp.leaveNetwork()
    await app.reconnect()


async def _form(
    app: SmartEnergyApplication,
    settings: NetworkSettings,
    random_octets: Callable[[int], bytes],
    radio: str,
) -> None:
    """Security state, empty key table, network."""
    ezsp, phy = app._ezsp, settings.phys[0]
    pan_id = settings.pan_id
    if pan_id is None:
        pan_id = 1 + int.from_bytes(random_octets(4), "big") % 0xFFFD
    extended = settings.extended_pan_id
    if extended is None:
        # GBCS: the extended PAN id is the hub's own address on the HAN.
        (own,) = await ezsp.getEui64()
        extended = Eui64(str(own))
    (status,) = await ezsp.clearKeyTable()
    must_be_ok(status, "the NCP did not clear its link key table", radio)
    state = t.EmberInitialSecurityState(
        bitmask=t.EmberInitialSecurityBitmask(_SECURITY_STATE),
        preconfiguredKey=t.KeyData(bytes(16)),
        networkKey=t.KeyData(random_octets(16)),
        networkKeySequenceNumber=0,
        preconfiguredTrustCenterEui64=t.EUI64.convert("00:00:00:00:00:00:00:00"),
    )
    (status,) = await ezsp.setInitialSecurityState(state=state)
    must_be_ok(status, "the NCP did not take the trust centre's security state", radio)
    parameters = t.EmberNetworkParameters(
        panId=t.EmberPanId(pan_id),
        extendedPanId=driver_eui64(extended),
        # bellows types it unsigned; the NCP reads a signed octet
        radioTxPower=t.uint8_t(phy.tx_power_dbm % 256),
        radioChannel=t.uint8_t(phy.channel.ember_byte),
        joinMethod=t.EmberJoinMethod.USE_MAC_ASSOCIATION,
        nwkManagerId=t.EmberNodeId(0),
        nwkUpdateId=t.uint8_t(0),
        channels=t.Channels(phy.channel.mask),
    )
    try:
        await ezsp.formNetwork(parameters=parameters)
    except (zigpy.exceptions.FormationFailure, InvalidTxPower) as error:
        raise RigError(
            f"the stick forms no network at {phy.channel} with {phy.tx_power_dbm} dBm: {error}",
            where=radio,
            mend=NEEDS_SUB_GHZ if phy.channel.band is Band.MHZ_868 else "",
        ) from error


def must_be_ok(status: object, what: str, radio: str) -> None:
    """Raise `RigError` unless an EZSP status says success."""
    if t.sl_Status.from_ember_status(status) != t.sl_Status.OK:
        raise RigError(f"{what}: {status!r}", where=radio)
