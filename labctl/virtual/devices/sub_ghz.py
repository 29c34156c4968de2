"""The client of the Sub-GHz cluster 0x070B (Smart Energy 1.4 D.13), at work on 868 MHz alone.

It asks the hub whether it may talk, obeys when it is silenced, and hears where the hub goes.
"""

from __future__ import annotations

from dataclasses import dataclass

from labctl.smart_energy.channels import Channel, channels_of_mask
from labctl.virtual.devices import zcl, zdp
from labctl.virtual.devices.behaviour import Behaviour
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.port import NoAnswer, Peer, RequestRefused, ZclPort
from labctl.virtual.devices.registration import TRUST_CENTRE
from labctl.virtual.devices.settings import SMART_ENERGY_PROFILE, SUB_GHZ, Timings
from labctl.virtual.devices.silence import Silence
from labctl.virtual.node import Node

_GET_SUSPEND_STATUS = 0x00
_SUSPEND = 0x00
_CHANNEL_CHANGE = 0x0000
_DEFAULT_MINUTES = 5
"""What a Suspend means that does not say for how long."""


@dataclass(slots=True)
class SubGhzClient:
    """Of one device, from power-on to power-off."""

    node: Node
    port: ZclPort
    timings: Timings
    behaviour: Behaviour
    silence: Silence
    saw: Observations
    _server: Peer | None = None

    @property
    def is_at_work(self) -> bool:
        """Whether the device is on a network below 1 GHz."""
        return self.node.state.joined and self.node.state.page != 0

    def forget(self) -> None:
        """Another network: another server, and nobody has silenced the device there."""
        self._server = None
        self.silence.end("another network")

    async def ask(self) -> None:
        """Get Suspend ZCL Messages Status: due when the device has come to the network."""
        if not self.is_at_work:
            self.silence.end("it is not on 868 MHz")
            return
        if self.silence.is_on or self.behaviour.never_asks_suspension:
            return
        server = await self._find()
        if server is None:
            return
        try:
            await self.port.command(server, SUB_GHZ, _GET_SUSPEND_STATUS)
        except (NoAnswer, RequestRefused) as error:
            self.saw.note(What.SUSPENSION_UNKNOWN, str(error))

    def heard(self, peer: Peer, frame: zcl.Frame) -> None:
        """A command of the server. Raise `zcl.ZclError` when it is broken."""
        if not frame.cluster_specific or frame.command != _SUSPEND:
            return
        if len(frame.payload) > 1:
            raise zcl.ZclError("Suspend ZCL Messages is too long")
        if peer.nwk != TRUST_CENTRE or not self.is_at_work:
            return
        minutes = frame.payload[0] if frame.payload else _DEFAULT_MINUTES
        if self.behaviour.answers_suspension:
            answer = frame.default_response(zcl.Status.SUCCESS)
            self.port.reply(peer, SUB_GHZ, answer, aps_secured=True, whatever=True)
        if not self.behaviour.ignores_suspension:
            self.silence.told(minutes)
        elif minutes:
            self.saw.note(What.PROVOKED, f"goes on talking, though suspended for {minutes} min")

    async def announced(self) -> Channel | None:
        """Where the hub is about to go: ChannelChange. None for nowhere, and when it is not known.

        Whoever sleeps has to ask, since it does not hear the broadcast.
        """
        if not self.is_at_work or self.behaviour.ignores_channel_change:
            return None
        server = await self._find()
        if server is None:
            return None
        try:
            records = await self.port.read(server, SUB_GHZ, (_CHANNEL_CHANGE,))
        except (NoAnswer, RequestRefused) as error:
            self.saw.tally[f"channel change not read: {error}"] += 1
            return None
        value = records[_CHANNEL_CHANGE].value if _CHANNEL_CHANGE in records else None
        if not isinstance(value, int) or not value:
            return None
        try:
            (channel,) = channels_of_mask(value)
        except ValueError:
            self.saw.note(What.GARBAGE, f"ChannelChange 0x{value:08X} is not one channel")
            return None
        return channel

    async def _find(self) -> Peer | None:
        if self._server is None:
            body = await self.node.zdo(
                TRUST_CENTRE,
                zdp.MATCH_DESC,
                zdp.match_desc(TRUST_CENTRE, SMART_ENERGY_PROFILE, SUB_GHZ),
                timeout_s=self.timings.zdo_timeout_s,
            )
            endpoints = zdp.matched_endpoints(body)
            if not endpoints:
                self.saw.note(What.SUSPENSION_UNKNOWN, "no server")
                return None
            self._server = Peer(TRUST_CENTRE, endpoints[0])
        return self._server
