"""The hub's day on each version of EZSP, and on ZNP: pairing, reads, long messages, restarts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from labs import STICK, PairingLab, in_a_lab

from labctl.errors import RigError
from labctl.events import DeviceKind, JoinKind, JoinStarted, ReadServed
from labctl.hub import Hub, LoggedDevice, PairingRequest
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.install_code import InstallCode
from labctl.virtual.devices import VirtualDevice
from labctl.virtual.devices.observations import What
from labctl.virtual.devices.peer import Peer
from labctl.virtual.ncp.versions import NEWEST

VERSIONS = [8, 13, 14, NEWEST]
every_version = pytest.mark.parametrize("ezsp", VERSIONS, ids=[f"EZSP {v}" for v in VERSIONS])
STICKS = [{"ezsp": version} for version in VERSIONS] + [{"driver": "znp"}]
every_stick = pytest.mark.parametrize(
    "stick", STICKS, ids=[" ".join(map(str, *s.items())) for s in STICKS]
)

IHD = Eui64("00:00:5e:ef:10:00:00:02")
METERING = 0x0702
MANY = tuple(range(0x0000, 0x0030))
"""Attributes that fit one frame neither in the question nor in the answer."""


async def pair(lab: PairingLab, hub: Hub) -> VirtualDevice:
    code = InstallCode.from_octets_without_crc(bytes(range(16)))
    device = lab.device("ihd", IHD, code)
    await hub.pair(
        PairingRequest(
            eui64=IHD,
            window_s=600,
            device=LoggedDevice(
                eui64=IHD, name="ihd", kind=DeviceKind.IHD, link_key=code.link_key()
            ),
        )
    )
    device.power_on()
    assert await lab.until(lambda: hub.authorised(IHD) and device.is_authorised, 600)
    return device


async def long_read(hub: Hub, device: VirtualDevice) -> dict[int, Any]:
    assert device._client is not None
    peer = Peer(0x0000, hub.endpoint_of("electricity"))
    return dict(await device._client.port.read(peer, METERING, MANY))


@every_stick
def test_pairing_reads_long_messages_restarts_and_unpairing(
    tmp_path: Path, stick: dict[str, Any]
) -> None:
    async def scenario(lab: PairingLab) -> None:
        hub = await lab.start_hub()
        assert not hub.radio.resumed
        assert hub.radio.protocol_version == stick.get("ezsp", 2)
        device = await pair(lab, hub)
        (established,) = lab.keys_in_the_stick().items()
        assert established[0] == IHD
        assert await lab.until(lambda: len(lab.of(ReadServed)) > 20, 600)

        fragments = fragments_handed_up(lab) if "ezsp" in stick else []
        records = await long_read(hub, device)
        assert set(records) == set(MANY)
        assert len(fragments) == (2 if "ezsp" in stick else 0), "Z-Stack hands up whole messages"

        await lab.stop_hub()
        hub = await lab.start_hub()
        assert hub.radio.resumed
        assert dict([established]) == lab.keys_in_the_stick()
        served = len(lab.of(ReadServed))
        assert await lab.until(lambda: len(lab.of(ReadServed)) > served + 5, 900)

        await lab.kill_hub()
        await lab.pull_out()
        hub = await lab.start_hub()
        assert hub.radio.resumed
        assert await lab.until(lambda: hub.authorised(IHD), 10)
        served = len(lab.of(ReadServed))
        assert await lab.until(lambda: len(lab.of(ReadServed)) > served + 5, 900)
        assert set(await long_read(hub, device)) == set(MANY)

        joins = [event.kind for event in lab.of(JoinStarted)]
        assert joins[0] is JoinKind.JOIN
        assert joins.count(JoinKind.JOIN) == 1, "no second pairing"
        assert await hub.unpair(IHD, "over") is True
        assert device.observations.counts[What.LEFT] == 1
        assert lab.keys_in_the_stick() == {}

    in_a_lab(tmp_path, scenario, **stick)


def fragments_handed_up(lab: PairingLab) -> list[Any]:
    """What an EZSP stick leaves to the host to put together, from now on."""
    assert lab.stick is not None
    messaging = lab.stick.firmware.messaging
    handed_up = messaging.hand_up
    fragments: list[Any] = []

    def note(indication: Any, options: int = 0) -> None:
        if indication.block is not None:
            fragments.append(indication)
        handed_up(indication, options)

    messaging.hand_up = note
    return fragments


@every_version
def test_key_establishment_inside_the_stick(tmp_path: Path, ezsp: int) -> None:
    async def scenario(lab: PairingLab) -> None:
        hub = await lab.start_hub()
        engine = hub._coordinator.key_engine
        assert engine is not None
        assert await engine.certificate(2) == lab.identity(2, STICK).certificate
        assert len(await engine.generate(2)) == 37
        await engine.discard(2)

    in_a_lab(tmp_path, scenario, ezsp=ezsp, stick_suites=(2,))


@pytest.mark.parametrize("alien", [7, 15, 20])
def test_a_version_that_is_not_known_is_refused_with_those_that_are(
    tmp_path: Path, alien: int
) -> None:
    """The stick speaks the newest layouts and says another number."""

    async def scenario(lab: PairingLab) -> None:
        await lab.plug_in()
        assert lab.stick is not None
        object.__setattr__(lab.stick.firmware.identity, "protocol", alien)
        started = asyncio.get_running_loop().time()
        with pytest.raises(RigError) as caught:
            await lab.start_hub()
        assert f"speaks EZSP {alien}" in caught.value.what
        assert "8 to 14, 16 to 19" in caught.value.what
        assert "7.4" in caught.value.mend
        assert asyncio.get_running_loop().time() - started < 60
        lab.hub = None

    in_a_lab(tmp_path, scenario, ezsp=NEWEST)
