"""APP_CNF: base device behaviour: how a network is started."""

from __future__ import annotations

from labctl.virtual.znp.handlers.base import Answer, Part
from labctl.virtual.znp.handlers.network import CHANNELS
from labctl.virtual.znp.nvram import Item
from labctl.virtual.znp.status import Bdb, State, Z

INITIALISATION, STEERING, FORMATION = 0, 1, 2
"""Modes in a notification: a number, though what remains is a mask of them."""

STEERING_BIT, FORMATION_BIT = 0x02, 0x04
DEFAULT_CHANNELS = 1 << 11
START_S = 0.1
"""From the response to the first sign of a start."""

AFTER_RESTORE_S = 0.2
STARTING_S = 0.25
STEERING_S = 180
SCAN_DURATION = 3
_MAX_TIMEOUT = 14


class AppCnf(Part):
    """Starting, and with which channels."""

    def boot(self) -> None:
        """The channels are not kept."""
        self._primary, self._secondary = DEFAULT_CHANNELS, 0
        self._initialised = False
        self._forming = False

    def app_cnf_bdb_set_channel(self, primary: int, channels: int) -> Answer:
        """Of the next formation. Until the next reset."""
        if primary:
            self._primary = channels
        else:
            self._secondary = channels
        return Z.SUCCESS

    def app_cnf_set_default_enddevice_timeout(self, index: int) -> Answer:
        """Kept."""
        if index > _MAX_TIMEOUT:
            return Z.INVALID_PARAMETER
        self.znp.nvram[Item.END_DEVICE_TIMEOUT] = bytes((index,))
        return Z.SUCCESS

    def app_cnf_set_enddevice_timeout(self, index: int) -> Answer:
        """A coordinator is no end device: it is looked at and that is all."""
        return Z.INVALID_PARAMETER if index > _MAX_TIMEOUT else Z.SUCCESS

    def app_cnf_set_nwk_frame_counter(self, counter: int) -> Answer:
        """Of the network it is on."""
        return Z.SUCCESS if self.znp.network.set_counter(counter) else Z.FAILURE

    def zdo_startup_from_app(self, delay: int) -> Answer:
        """The old name for forming."""
        return self.app_cnf_bdb_start_commissioning(FORMATION_BIT)

    def zdo_startup_from_app_ext(self, delay: int, distributed: int) -> Answer:
        """The same."""
        return self.zdo_startup_from_app(delay)

    def app_cnf_bdb_start_commissioning(self, mode: int) -> Answer:
        """The first one after a reset brings the network in memory back, whatever is asked."""
        self.znp.later(START_S, self._start, mode)
        return Z.SUCCESS

    # -- the way of a start ------------------------------------------------------------------------

    def _tell(self, status: Bdb, mode: int, remaining: int) -> None:
        self.znp.notify(
            "app_cnf_bdb_commissioning_notification",
            status=status,
            mode=mode,
            remaining=remaining,
        )

    def _state(self, state: State) -> None:
        self.znp.network.device_state = state
        self.znp.notify("zdo_state_change_ind", state=state)

    def _start(self, mode: int) -> None:
        network = self.znp.network
        remaining = mode & (FORMATION_BIT | STEERING_BIT)
        first, self._initialised = not self._initialised, True
        if first and network.formed:
            network.resume()
            self._state(State.COORDINATOR)
            self._tell(Bdb.NETWORK_RESTORED, INITIALISATION, remaining)
            self.znp.later(AFTER_RESTORE_S, self._go_on, mode)
        else:
            self._go_on(mode)

    def _go_on(self, mode: int) -> None:
        on_network = self.znp.network.node is not None
        remaining = mode & STEERING_BIT
        if mode & FORMATION_BIT:
            if on_network:
                self._tell(Bdb.FORMATION_FAILURE, FORMATION, remaining)
            elif not self._forming:
                self._forming = True
                self.znp.spawn(self._form(remaining))
                return
        if remaining:
            self._steer()

    def _steer(self) -> None:
        """Open the network for three minutes."""
        if self.znp.network.node is None:
            self._tell(Bdb.NO_NETWORK, STEERING, 0)
            return
        self.znp.zdo_requests.zdo_mgmt_permit_join_req(0x0F, 0xFFFC, STEERING_S, 1)
        self._tell(Bdb.SUCCESS, STEERING, 0)

    async def _form(self, remaining: int) -> None:
        self._state(State.COORDINATOR_STARTING)
        self._tell(Bdb.IN_PROGRESS, FORMATION, FORMATION_BIT | remaining)
        node = self.znp.scanning.bare_node()
        node.power_on()
        try:
            channel = None
            for mask in (self._primary, self._secondary):
                channels = [each for each in CHANNELS if mask >> each & 1]
                if channels:
                    found = await self.znp.scanning.energies(node, channels, SCAN_DURATION)
                    channel = min(found, key=lambda each: (found[each], self.znp.rng.random()))
                    break
            for _ in range(4):
                await node.sleep(STARTING_S)
                self._state(State.COORDINATOR_STARTING)
        finally:
            node.power_off()
            self._forming = False
        if channel is None:
            self._state(State.HOLD)
            self._tell(Bdb.FORMATION_FAILURE, FORMATION, remaining)
            return
        self.znp.network.form(channel)
        self._state(State.COORDINATOR)
        self._tell(Bdb.SUCCESS, FORMATION, remaining)
        if remaining:
            self._steer()
