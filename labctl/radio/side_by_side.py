"""Two coordinators under one hub: a 2.4 GHz stick and a sub-GHz one, each with its own network.

It is what a lab can do with an ordinary stick and one sub-GHz kit. To the hub it is one
`Coordinator` with two bearers. A device may join either network with its install code; once its
key is agreed on, the key is in the one stick that the device is on and in no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labctl.errors import RigError
from labctl.radio.coordinator import (
    Coordinator,
    CoordinatorListener,
    DutyCycle,
    EndpointDescriptor,
    Incoming,
    JoinDecision,
    JoinSeen,
    NetworkSettings,
    Outgoing,
    PartnerKey,
    RadioState,
    in_network,
    network_of,
    short_address,
)
from labctl.secret import Secret
from labctl.smart_energy.airtime import DutyCycleState, Limits
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64


class SideBySide(Coordinator):
    """Several coordinators of one bearer each, in the order of the settings' `phys`.

    Network number, bearer and place in that order are one and the same. Key establishment is done
    on the host: two NCPs' engines would be two state machines for one exchange.
    """

    def __init__(self, coordinators: Sequence[Coordinator]) -> None:
        """Raise `ValueError` for fewer than two."""
        if len(coordinators) < 2:
            raise ValueError("side by side are two coordinators at least")
        self._each = tuple(coordinators)
        self._where: dict[Eui64, int] = {}
        self._states: tuple[RadioState, ...] = ()
        self._listener: CoordinatorListener | None = None

    # -- life -------------------------------------------------------------------------------------

    def listen(self, listener: CoordinatorListener) -> None:
        """Set the one listener."""
        self._listener = listener
        for number, coordinator in enumerate(self._each):
            coordinator.listen(_Relay(number, listener, self._where))

    async def start(
        self, settings: NetworkSettings, endpoints: Sequence[EndpointDescriptor]
    ) -> tuple[RadioState, ...]:
        """Start all, or none. PAN ids of the settings are the first network's."""
        if len(settings.phys) != len(self._each):
            raise ValueError(f"{len(self._each)} coordinators, {len(settings.phys)} bearers")
        if settings.not_on is not None:
            raise RigError(
                "an exported device log cannot be taken over by two radios side by side",
                mend="import it on a rig with one radio: both networks would have to be swapped at "
                "once, and the log says of the first alone what it was",
            )
        states: list[RadioState] = []
        try:
            for number, coordinator in enumerate(self._each):
                phy = settings.phys[number]
                own = replace(settings, phys=(phy,))
                if number:
                    own = replace(own, pan_id=phy.pan_id, extended_pan_id=phy.extended_pan_id)
                (state,) = await coordinator.start(own, endpoints)
                states.append(state)
            for eui64, numbers in (await self._holders()).items():
                if len(numbers) == 1:
                    self._where[eui64] = numbers[0]
        except BaseException:
            await self.stop()
            raise
        self._states = tuple(states)
        return self._states

    async def stop(self) -> None:
        """Stop all, whatever one of them says to it."""
        failure: Exception | None = None
        for coordinator in reversed(self._each):
            try:
                await coordinator.stop()
            except RigError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    async def restart(self, bearer: int = 0) -> None:
        """That one alone."""
        await self._each[bearer].restart()

    # -- joining and keys -------------------------------------------------------------------------

    async def permit_joining(self, seconds: int) -> None:
        """On every network; one that cannot keeps no other from it."""
        failure: RigError | None = None
        for coordinator in self._each:
            try:
                await coordinator.permit_joining(seconds)
            except RigError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    async def link_keys(self) -> dict[Eui64, Secret]:
        """Those of all. A key that a device has in two sticks is still its install code's."""
        found: dict[Eui64, Secret] = {}
        for coordinator in reversed(self._each):
            found.update(await coordinator.link_keys())
        for eui64, number in self._where.items():
            keys = await self._each[number].link_keys()
            if eui64 in keys:
                found[eui64] = keys[eui64]
        return found

    async def _holders(self) -> dict[Eui64, list[int]]:
        holders: dict[Eui64, list[int]] = {}
        for number, coordinator in enumerate(self._each):
            for eui64 in await coordinator.link_keys():
                holders.setdefault(eui64, []).append(number)
        return holders

    async def install_link_key(
        self, eui64: Eui64, key: Secret, *, bearer: int | None = None
    ) -> None:
        """In the stick that the device is on, or in all.

        The others lose theirs first: whoever is cut short between the two must not leave an agreed
        key here and the install code's there.
        """
        if bearer is None:
            for coordinator in self._each:
                await coordinator.install_link_key(eui64, key)
            return
        for number, coordinator in enumerate(self._each):
            if number != bearer:
                await coordinator.erase_link_key(eui64)
        await self._each[bearer].install_link_key(eui64, key)
        self._where[eui64] = bearer

    async def erase_link_key(self, eui64: Eui64) -> None:
        """From all."""
        for coordinator in self._each:
            await coordinator.erase_link_key(eui64)

    async def allow_partner_keys(self, allowed: bool) -> None:
        """On every network."""
        for coordinator in self._each:
            await coordinator.allow_partner_keys(allowed)

    async def remove_device(self, eui64: Eui64, nwk: int) -> None:
        """On the network of its address."""
        await self._of(nwk).remove_device(eui64, short_address(nwk))

    async def send_network_key(self, eui64: Eui64, nwk: int, key: Secret) -> None:
        """On the network of its address: both go over to the same key."""
        await self._of(nwk).send_network_key(eui64, short_address(nwk), key)

    async def switch_network_key(self) -> None:
        """On every network."""
        for coordinator in self._each:
            await coordinator.switch_network_key()

    async def network_keys(self) -> tuple[Secret, ...]:
        """Of all networks."""
        return tuple([key for each in self._each for key in await each.network_keys()])

    # -- data -------------------------------------------------------------------------------------

    async def send(self, packet: Outgoing) -> None:
        """On the network of its address."""
        await self._of(packet.nwk).send(replace(packet, nwk=short_address(packet.nwk)))

    @property
    def tells_refusals(self) -> bool:
        """Only where all do: a device may try on either network."""
        return all(coordinator.tells_refusals for coordinator in self._each)

    def address_of(self, eui64: Eui64) -> int | None:
        """On the network that the device was last heard on, else on any that knows it."""
        last = self._where.get(eui64)
        numbers = range(len(self._each)) if last is None else (last,)
        for number in numbers:
            nwk = self._each[number].address_of(eui64)
            if nwk is not None:
                return in_network(nwk, number)
        return None

    def bearer_of(self, eui64: Eui64) -> int:
        """Where the device was last heard, or holds its key."""
        return self._where.get(eui64, 0)

    def _of(self, nwk: int) -> Coordinator:
        return self._each[network_of(nwk)]

    # -- the air ----------------------------------------------------------------------------------

    async def energy_scan(
        self, channels: Sequence[Channel], *, exponent: int = 5
    ) -> dict[Channel, int]:
        """Each band by the stick that is on it."""
        levels: dict[Channel, int] = {}
        for number, state in enumerate(self._states):
            own = [channel for channel in channels if channel.band is state.band]
            if own:
                levels.update(await self._each[number].energy_scan(own, exponent=exponent))
        return levels

    async def change_channel(self, bearer: int, channel: Channel) -> None:
        """Of the one network."""
        await self._each[bearer].change_channel(0, channel)

    async def announce_channel(self, bearer: int, channel: Channel) -> None:
        """On the one network."""
        await self._each[bearer].announce_channel(0, channel)

    async def duty_cycle(self, bearer: int) -> DutyCycle | None:
        """As the one stick counts it."""
        counted = await self._each[bearer].duty_cycle(0)
        if counted is None:
            return None
        devices = {
            in_network(nwk, bearer): airtime_us
            for nwk, airtime_us in counted.device_airtime_us.items()
        }
        return replace(counted, device_airtime_us=devices)

    async def set_duty_cycle_limits(self, bearer: int, limits: Limits) -> None:
        """Of the one stick."""
        await self._each[bearer].set_duty_cycle_limits(0, limits)

    async def check_alive(self) -> None:
        """All of them."""
        for coordinator in self._each:
            await coordinator.check_alive()

    def silent_s(self, bearer: int = 0) -> float:
        """Of the one stick."""
        return self._each[bearer].silent_s()

    async def counters(self) -> dict[str, int]:
        """Those of all, with the radio's name before them."""
        counts: dict[str, int] = {}
        for state, coordinator in zip(self._states, self._each, strict=True):
            for name, count in (await coordinator.counters()).items():
                counts[f"{state.name}/{name}"] = count
        return counts


class _Relay(CoordinatorListener):
    """Hands on what one coordinator tells, with its number on it."""

    def __init__(self, number: int, to: CoordinatorListener, where: dict[Eui64, int]) -> None:
        self._number = number
        self._to = to
        self._where = where

    def packet_received(self, packet: Incoming) -> None:
        if packet.eui64 is not None:
            self._where[packet.eui64] = self._number
        if self._number:
            nwk = in_network(packet.nwk, self._number)
            packet = replace(packet, nwk=nwk, bearer=self._number)
        self._to.packet_received(packet)

    def overheard(self, packet: Incoming) -> None:
        nwk = in_network(packet.nwk, self._number)
        self._to.overheard(replace(packet, nwk=nwk, bearer=self._number))

    def child_polled(self, nwk: int) -> None:
        self._to.child_polled(in_network(nwk, self._number))

    def join_seen(self, join: JoinSeen) -> None:
        if join.decision is not JoinDecision.DENIED:
            self._where[join.eui64] = self._number
        self._to.join_seen(
            replace(
                join,
                nwk=in_network(join.nwk, self._number),
                parent_nwk=in_network(join.parent_nwk, self._number),
                bearer=self._number,
            )
        )

    def device_left(self, eui64: Eui64, nwk: int) -> None:
        # A device that moved to the other band leaves here: that is no leaving of the hub.
        if self._where.get(eui64, self._number) == self._number:
            self._to.device_left(eui64, in_network(nwk, self._number))

    def partner_key(self, request: PartnerKey) -> None:
        self._to.partner_key(request)

    def duty_cycle_changed(self, bearer: int, state: DutyCycleState) -> None:
        self._to.duty_cycle_changed(self._number, state)

    def channel_changed(self, bearer: int, channel: Channel) -> None:
        self._to.channel_changed(self._number, channel)

    def joining_changed(self, bearer: int, is_open: bool) -> None:
        self._to.joining_changed(self._number, is_open)

    def connection_lost(self, cause: str, bearer: int = 0) -> None:
        self._to.connection_lost(cause, self._number)

    async def connection_restored(self, states: Sequence[RadioState], bearer: int = 0) -> None:
        await self._to.connection_restored(states, self._number)
