"""bellows' controller application, with the home-automation parts replaced.

Everything that zigpy 2.4 and bellows 1.2 would do to a Smart Energy network is overridden here, in
one place, each with its reason. `docs/drivers.md` lists the traps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import bellows.types as t
import zigpy.config
import zigpy.exceptions
import zigpy.state
import zigpy.types
import zigpy.zdo.types as zdo_t
from bellows.zigbee.application import ControllerApplication

from labctl.radio.coordinator import EndpointDescriptor
from labctl.radio.ezsp.connection import Connection
from labctl.radio.ezsp.troubles import why_lost
from labctl.radio.ezsp.versions import must_be_known
from labctl.radio.fence import Fence

_LOGGER = logging.getLogger(__name__)

POLICIES = {
    # ALLOW_JOINS | ALLOW_UNSECURED_REJOINS: a device needs a key of its own in the table to get
    # anywhere, and one that missed a network key switch may still come back (bellows' 0x01 would
    # shut it out). JOINS_USE_INSTALL_CODE_KEY (0x10) must stay off: it looks only in the
    # transient table, where Smart Energy keys do not live.
    "TRUST_CENTER_POLICY": 0x03,
    "TC_KEY_REQUEST_POLICY": 0x50,  # deny: Smart Energy has no Zigbee 3.0 key update
    "APP_KEY_REQUEST_POLICY": 0x61,  # allow: partner link keys
}


_BEFORE_VERSION = 4


def stack_configuration(*, max_devices: int) -> dict[str, int]:
    """EZSP configuration values for a hub with `max_devices` in its log.

    bellows' own defaults stand for what is not here. Set before the network is up, forgotten by
    the NCP at each reset.
    """
    return {
        "CONFIG_KEY_TABLE_SIZE": max(16, max_devices + 4),
        "CONFIG_ADDRESS_TABLE_SIZE": max(16, max_devices + 4),
        "CONFIG_TRUST_CENTER_ADDRESS_CACHE_SIZE": 4,
        "CONFIG_FRAGMENT_WINDOW_SIZE": 1,
        # The NCP answers discovery from our descriptors, alone and once. The host hears of it
        # (0x01), answers what the NCP cannot (0x02), and keeps the bindings (0x08).
        "CONFIG_APPLICATION_ZDO_FLAGS": 0x0B,
    }


class SmartEnergyApplication(ControllerApplication):
    """`ControllerApplication` that leaves Smart Energy devices to labctl."""

    def __init__(
        self,
        config: dict[str, Any],
        *,
        endpoints: Sequence[EndpointDescriptor],
        on_connection_lost: Callable[[str], None],
        fence: Fence | None = None,
    ) -> None:
        super().__init__(config)
        self._fence = fence
        self._smart_energy_endpoints = tuple(endpoints)
        self._on_connection_lost = on_connection_lost
        self._reconnecting = False

    async def connect(self) -> None:
        """As bellows connects, but over our `Connection`, and to versions that are known alone.

        Raises `RigError` for another one, also when what was read by the wrong table led to an
        error before the version could be looked at.
        """
        port = self.config[zigpy.config.CONF_DEVICE]
        connection: Any = Connection(port, self, self._fence)
        self._ezsp = connection
        try:
            await connection.connect(use_thread=False)
            must_be_known(int(connection.ezsp_version), port[zigpy.config.CONF_DEVICE_PATH])
            await connection.write_config(self.config["ezsp_config"])
            self._created_device_endpoints.clear()
            await self.register_endpoints()
        except Exception:
            self._ezsp = None
            await connection.disconnect()
            # 4 is where the driver starts: nothing was heard yet.
            if connection.ezsp_version != _BEFORE_VERSION:
                must_be_known(int(connection.ezsp_version), port[zigpy.config.CONF_DEVICE_PATH])
            raise

    async def register_endpoints(self) -> None:
        """Only our own: zigpy would add home automation, light link and Green Power ones."""
        for endpoint in self._smart_energy_endpoints:
            await self.add_endpoint(
                zdo_t.SimpleDescriptor(
                    endpoint=endpoint.endpoint,
                    profile=endpoint.profile_id,
                    device_type=endpoint.device_id,
                    device_version=endpoint.device_version,
                    input_clusters=list(endpoint.server_clusters),
                    output_clusters=list(endpoint.client_clusters),
                )
            )

    async def permit(self, time_s: int = 60, node: Any = None) -> None:
        """Only the NCP's own permit.

        bellows would add a wildcard ZigBeeAlliance09 transient key and, seconds later, overwrite
        the trust-centre policy; zigpy would open Green Power commissioning on the whole network.
        """
        await self.permit_ncp(time_s)

    async def cleanup_tc_link_key(self, ieee: t.EUI64) -> None:
        """Nothing: bellows would erase the joiner's install-code or established key."""

    def handle_join(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: zigpy would interview each joiner with home-automation reads."""

    def handle_leave(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: zigpy's device table has no Smart Energy devices in it."""

    def handle_relays(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: zigpy would send discovery requests to each unknown relay's owner."""

    def packet_received(self, packet: zigpy.types.ZigbeePacket) -> None:
        """Only the coordinator's own ZDO answers, which bellows' start-up waits for.

        All else is read from the raw callback (`messages`), since zigpy drops profile 0x0109 and
        would answer discovery a second time.
        """
        if packet.src is not None and packet.src.address == self.state.node_info.nwk:
            super().packet_received(packet)

    async def load_network_info(self, *, load_devices: bool = False) -> None:
        """Read the network's parameters, and no keys.

        bellows asserts that a trust-centre link key can be exported, which a Smart Energy trust
        centre does not have, and zigpy logs the keys it has read.
        """
        ezsp = self._ezsp
        await self._ensure_network_running()
        status, node_type, parameters = await ezsp.getNetworkParameters()
        if t.sl_Status.from_ember_status(status) != t.sl_Status.OK:
            raise zigpy.exceptions.NetworkNotFormed(f"network parameters: {status!r}")
        if node_type != t.EmberNodeType.COORDINATOR:
            raise zigpy.exceptions.NetworkNotFormed("the NCP is part of somebody else's network")
        (nwk,) = await ezsp.getNodeId()
        (ieee,) = await ezsp.getEui64()
        manufacturer, board, version = await self._get_board_info()
        self.state.node_info = zigpy.state.NodeInfo(
            nwk=zigpy.types.NWK(nwk),
            ieee=zigpy.types.EUI64(ieee),
            logical_type=zdo_t.LogicalType.Coordinator,
            manufacturer=manufacturer,
            model=board,
            version=version,
        )
        self.state.network_info = zigpy.state.NetworkInfo(
            source="labctl",
            extended_pan_id=zigpy.types.ExtendedPanId(parameters.extendedPanId),
            pan_id=zigpy.types.PanId(parameters.panId),
            nwk_update_id=zigpy.types.uint8_t(parameters.nwkUpdateId),
            nwk_manager_id=zigpy.types.NWK(parameters.nwkManagerId),
            channel=zigpy.types.uint8_t(parameters.radioChannel),
            tx_power=_signed(parameters.radioTxPower),
        )

    async def reconnect(self) -> None:
        """Close the port and open it again, which is no loss. Raises as `connect`."""
        self._reconnecting = True
        try:
            await self.disconnect()
            await self.connect()
        finally:
            self._reconnecting = False

    def connection_lost(self, exc: Exception | None) -> None:
        """The port closed, or the NCP reset or failed on its own."""
        if self._reconnecting:
            return  # what the NCP still said while its port closed had no port to be answered on
        self._on_connection_lost(why_lost(exc))


def _signed(octet: int) -> int:
    """bellows reads radioTxPower as unsigned; dBm can be negative."""
    return octet - 256 if octet > 127 else octet


def application_configuration(
    *, path: str, baudrate: int, flow_control: str | None, max_devices: int
) -> dict[str, Any]:
    """zigpy's configuration: one thread, no database, nothing periodic but the watchdog."""
    return {
        zigpy.config.CONF_DEVICE: {
            zigpy.config.CONF_DEVICE_PATH: path,
            zigpy.config.CONF_DEVICE_BAUDRATE: baudrate,
            zigpy.config.CONF_DEVICE_FLOW_CONTROL: flow_control,
        },
        zigpy.config.CONF_DATABASE: None,
        zigpy.config.CONF_NWK_BACKUP_ENABLED: False,
        zigpy.config.CONF_TOPO_SCAN_ENABLED: False,
        zigpy.config.CONF_OTA: {zigpy.config.CONF_OTA_ENABLED: False},
        zigpy.config.CONF_WATCHDOG_ENABLED: True,
        "use_thread": False,
        "ezsp_config": stack_configuration(max_devices=max_devices),
        "ezsp_policies": dict(POLICIES),
    }
