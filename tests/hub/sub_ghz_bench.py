"""A hub on 868 MHz with a radio that scans, moves and counts, all scripted by tests."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fake_radio import CAD_EUI64, IHD_EUI64, SILENT, Bench, FakeCoordinator, with_hub
from hypothesis import strategies as st

from labctl.errors import RigError
from labctl.events import Note
from labctl.hub.bearer_settings import AgilitySettings, BearerSettings, LinkSettings, SubGhzSettings
from labctl.radio.coordinator import DutyCycle, NetworkSettings, Outgoing, PhySettings
from labctl.secret import Secret
from labctl.smart_energy.airtime import Limits
from labctl.smart_energy.channels import Channel

HERE = Channel(28, 5)
SUB_GHZ = NetworkSettings((PhySettings(HERE, tx_power_dbm=14),))
DUAL = NetworkSettings(
    (PhySettings(Channel(0, 20), tx_power_dbm=8), PhySettings(HERE, tx_power_dbm=14))
)
SUB_GHZ_CLUSTER, OTA, METERING = 0x070B, 0x0019, 0x0702


class SubGhzRadio(FakeCoordinator):
    """`levels` are what a scan hears, -100 dBm where nothing else is said."""

    def __init__(self) -> None:
        super().__init__({IHD_EUI64: Secret(b"\xe1" * 16), CAD_EUI64: Secret(b"\xe2" * 16)})
        self.levels: dict[Channel, int] = {}
        self.scans: list[tuple[Sequence[Channel], int]] = []
        self.moves: list[tuple[int, Channel]] = []
        self.announced: list[tuple[int, Channel]] = []
        self.counted: DutyCycle | None = None
        self.limits: Limits | None = None
        self.cannot: set[str] = set()

    def _demand(self, what: str) -> None:
        if what in self.cannot:
            raise RigError(f"no {what}", where="fake")

    async def energy_scan(
        self, channels: Sequence[Channel], *, exponent: int = 5
    ) -> dict[Channel, int]:
        self._demand("scan")
        self.scans.append((tuple(channels), exponent))
        return {channel: self.levels.get(channel, -100) for channel in channels}

    async def change_channel(self, bearer: int, channel: Channel) -> None:
        self._demand("move")
        self.moves.append((bearer, channel))
        assert self.listener is not None
        self.listener.channel_changed(bearer, channel)

    async def announce_channel(self, bearer: int, channel: Channel) -> None:
        self._demand("broadcast")
        self.announced.append((bearer, channel))

    async def duty_cycle(self, bearer: int) -> DutyCycle | None:
        return self.counted

    async def set_duty_cycle_limits(self, bearer: int, limits: Limits) -> None:
        self.limits = limits


def with_sub_ghz(
    scenario: Callable[[Bench], Coroutine[Any, Any, None]],
    *,
    radio: SubGhzRadio | None = None,
    limits: Limits | None = None,
    agility: AgilitySettings | None = None,
    links: LinkSettings | None = None,
    network: NetworkSettings = SUB_GHZ,
    sub_ghz: dict[str, Any] | None = None,
    **settings: Any,
) -> None:
    """Run a scenario against a hub on 868 MHz that knows its devices' keys."""
    bearers = BearerSettings(
        sub_ghz=SubGhzSettings(**{"limits": limits} | (sub_ghz or {})),
        agility=agility or AgilitySettings(),
        links=links or SILENT.links,
    )
    with_hub(
        scenario,
        radio=radio or SubGhzRadio(),
        **{"network": network, "bearers": bearers} | settings,
    )


def tight(limited_ms: int, critical_ms: int, regulated_ms: int = 3_600_000) -> Limits:
    """Limits that a test reaches within a few frames, in ms of airtime."""
    return Limits(limited_ms * 1000, critical_ms * 1000, regulated_ms * 1000)


def suspensions(sent: Sequence[Outgoing]) -> list[tuple[int, int]]:
    """Whom Suspend ZCL Messages was sent to, and for how many minutes."""
    return [
        (packet.nwk, packet.data[3])
        for packet in sent
        if packet.cluster_id == SUB_GHZ_CLUSTER and packet.data[0] & 0x09 == 0x09
    ]


def details(bench: Bench, kind: str) -> list[dict[str, object]]:
    return [note.detail for note in bench.of(Note) if note.kind == kind]


def alerts(bench: Bench) -> list[object]:
    return [detail["name"] for detail in details(bench, "alert")]


OCTETS = st.binary(max_size=90)
