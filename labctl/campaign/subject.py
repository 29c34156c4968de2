"""A device under test, as a case has it in hand."""

from __future__ import annotations

from labctl.campaign.findings import Failed, NotSeen
from labctl.campaign.hands import Ask, Hands
from labctl.campaign.watch import Watch
from labctl.config.resolved import DeviceUnderTest
from labctl.events import (
    Band,
    DeviceKind,
    DeviceSeen,
    JoinEnded,
    JoinOutcome,
    JoinStarted,
    ReadServed,
)
from labctl.hub.settings import PairingRequest
from labctl.rig.session import RigSession
from labctl.smart_energy.eui64 import Eui64

AUTHORISED_WITHIN_S = 20 * 60.0
"""How long a device has from the opening of its window (SE 1.4a 5.4.2: 20 min)."""


class Subject:
    """One device under test. `watch` is the attempt's; `hands` does what a person would."""

    def __init__(
        self, session: RigSession, declared: DeviceUnderTest, watch: Watch, ask: Ask | None
    ) -> None:
        self.session = session
        self.declared = declared
        self.watch = watch
        self.hands = Hands(session, declared, ask)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def name(self) -> str:
        """As the inventory has it."""
        return self.declared.name

    @property
    def eui64(self) -> Eui64:
        """Its address."""
        return self.declared.eui64

    @property
    def kind(self) -> DeviceKind:
        """What it is."""
        return self.declared.kind

    @property
    def authorised(self) -> bool:
        """Whether the hub holds an established link key of it."""
        return self.session.hub.authorised(self.eui64)

    @property
    def band(self) -> Band | None:
        """The band that it is on; None while it is on no network."""
        device = self.session.hub.device_log().get(self.eui64)
        if device is None or device.nwk is None:
            return None
        return self.session.hub.bearers.of(device).band

    @property
    def bearer(self) -> int:
        """Which of the hub's bearers it is on; the first for one that never was on any."""
        device = self.session.hub.device_log().get(self.eui64)
        return 0 if device is None else device.bearer or 0

    @property
    def seen(self) -> DeviceSeen | None:
        """What the hub last told of it in this attempt."""
        told = self.watch.of(self.eui64, DeviceSeen)
        return told[-1] if told else None

    @property
    def reads(self) -> list[ReadServed]:
        """What it read since the attempt began."""
        return [
            read for read in self.watch.of(self.eui64, ReadServed) if read.initiator == "device"
        ]

    # -- pairing ------------------------------------------------------------------------------

    async def arm(self, window_s: int | None = None) -> None:
        """Put it into the device log and open its window. Raises `RigError`."""
        pairing = self.declared.pairing
        await self.session.hub.pair(
            PairingRequest(
                eui64=self.eui64,
                window_s=window_s or round(pairing.window.total_seconds()),
                requested_by=pairing.requested_by,
                consent_reference=pairing.consent_reference,
            )
        )

    async def pair(self, within_s: float = AUTHORISED_WITHIN_S) -> JoinEnded:
        """Arm it, make it look for a network, and wait until it is authorised.

        Raises `NotSeen` when it is not, `RigError`, `NotApplicable`.
        """
        await self.arm(round(within_s))
        await self.hands.look_for_network()
        return await self.authorisation(within_s)

    async def authorisation(self, within_s: float) -> JoinEnded:
        """The end of the join with which it is authorised. Raises `NotSeen` with the last cause."""
        try:
            return await self.watch.wait(
                JoinEnded,
                self.eui64,
                within_s=within_s,
                what=f"{self.name} authorised",
                which=lambda end: end.outcome is JoinOutcome.AUTHORISED,
            )
        except NotSeen as unseen:
            ends = [
                end for end in self.watch.of(self.eui64, JoinEnded)
                if end.outcome in (JoinOutcome.REFUSED, JoinOutcome.FAILED)
            ]  # fmt: skip
            last = f"; its last of {len(ends)} joins: {ends[-1].cause}" if ends else "; no join"
            raise NotSeen(unseen.cause + last) from None

    async def forget(self, reason: str = "campaign") -> None:
        """Take it out of the log, and have it forget its network.

        Raises `RigError`, and `NotApplicable` where nobody can reset it.
        """
        if self.session.hub.device_log().get(self.eui64) is not None:
            await self.session.hub.unpair(self.eui64, reason)
        await self.hands.reset()
        self.session.hub.forget_old_key(self.eui64)

    @property
    def joins(self) -> list[JoinStarted]:
        """Its attempts to join since the attempt at the case began."""
        return self.watch.of(self.eui64, JoinStarted)

    @property
    def join_ends(self) -> list[JoinEnded]:
        """How its attempts to join ended, those that did."""
        return self.watch.of(self.eui64, JoinEnded)

    # -- reads --------------------------------------------------------------------------------

    async def next_read(self, *, within_s: float, cluster_id: int | None = None) -> ReadServed:
        """The next read of its that the hub answers with success. Raises `NotSeen`."""
        what = "a read" if cluster_id is None else f"a read of cluster 0x{cluster_id:04x}"
        return await self.watch.wait(
            ReadServed,
            self.eui64,
            within_s=within_s,
            what=f"{what} by {self.name}",
            which=lambda read: (
                read.initiator == "device"
                and read.status == 0
                and cluster_id in (None, read.cluster_id)
            ),
        )

    def must_be_on_the_network(self) -> None:
        """Raises `Failed` unless it is authorised."""
        if not self.authorised:
            raise Failed(f"{self.name} is not authorised any more")
