"""A rig with devices of all kinds on its air, from their pairing on, as tshark decodes it."""

from __future__ import annotations

import asyncio
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from tshark_decoding import Frames, decode, infos, malformed, need_tshark, sealed

from labctl.config.resolved import LoadedRig
from labctl.rig.loop import run
from labctl.rig.meter_commands import What, set_meter
from labctl.rig.session import RigSession, open_rig
from labctl.smart_energy.ota_image import OtaImage, parse

sys.path.insert(0, str(Path(__file__).parents[2] / "campaigns"))

import rigs

pytestmark = pytest.mark.tshark

MINUTE_S = 60
CODE = "12345678901234567890"
DEVICES: dict[str, tuple[str, dict[str, Any]]] = {
    "cad": ("cad", {}),
    "older-cad": ("cad", {"suites": [1]}),
    "dropping-cad": ("cad", {"behaviour": {"power_cut_at": "registered"}}),
    "wrong-ihd": ("ihd", {"behaviour": {"foreign_certificate": True}}),
    "ihd": ("ihd", {"behaviour": {"fast_poll_every": "15min"}}),
    "forbidden-ihd": (
        "ihd",
        {"behaviour": {"writes_every": "1min", "forbidden_commands_every": "1min"}},
    ),
    "ppmid": (
        "ppmid",
        {
            "behaviour": {
                "presses": [
                    {"button": "emergency-credit", "after": "2min"},
                    {"button": "top-up", "after": "3min", "code": CODE},
                    {"button": "enable-supply", "after": "12min"},
                ]
            }
        },
    ),
    "load-switch": ("load-switch", {}),
    "second-load-switch": ("load-switch", {}),
    "hand-held": ("hand-held-terminal", {"behaviour": {"stays": "10min"}}),
    "gas-meter": ("gas-meter", {}),
}


def image() -> bytes:
    """New firmware for virtual CADs."""
    content = bytes(n % 251 for n in range(2000))
    header = struct.pack(
        "<IHHHHHIH32sI", 0x0BEEF11E, 0x0100, 56, 0, 0xFFF1, 1, 2, 2, b"CAD", 62 + len(content)
    )
    return header + struct.pack("<HI", 0, len(content)) + content


def rig_in(folder: Path) -> LoadedRig:
    inventory, rig = rigs.shipped()
    (folder / "rigs" / "images").mkdir(parents=True)
    (folder / "rigs" / "images" / "cad.ota").write_bytes(image())
    assert isinstance(parse(image()), OtaImage)
    inventory["devices"] = {
        name: rigs.device(number, kind, **virtual)
        for number, (name, (kind, virtual)) in enumerate(DEVICES.items(), 1)
    }
    rig["rig"] = "all-kinds"
    rig["hub"] |= {"suites": [1, 2], "ota": {"images": "images"}}
    rig["meters"]["electricity"] |= {
        "prepayment": {"credit": 0.5, "debts": [{"label": "old", "owed": 50, "per_day": 0.5}]},
        "generation": {"peak_w": 4000},
    }
    displays = ("cad", "ihd", "ppmid")
    rig["devices"] = [
        {
            "device": name,
            "pairing": {"method": "remote", "window": "15min"},
            "reads": [rigs.electricity("20s"), rigs.gas()] if kind in displays else [],
        }
        for name, (kind, _) in DEVICES.items()
    ]
    return rigs.write(folder, inventory, rig)


async def forty_minutes(loaded: LoadedRig, folder: Path, keys: dict[str, None]) -> None:
    """What happens in a home and in a lab; `keys` get those of each time."""

    def take_keys(session: RigSession) -> None:
        session.write_keys(folder / "keys")
        keys.update(dict.fromkeys((folder / "keys").read_text().splitlines()))

    at = {device.name: device.eui64 for device in loaded.devices}
    async with open_rig(
        loaded, kind="bench", database=folder / "labctl.db", capture=folder / "air.pcap"
    ) as session:
        hub = session.hub
        await session.pair_all()
        session.power_on()
        for _ in range(15):
            await asyncio.sleep(MINUTE_S)
            take_keys(session)
        hub.publisher.message("The engineer comes tomorrow", confirm=True)
        hub.publisher.change_supplier(
            proposed_id=7, name="Other", at=session.clock.now_us() // 1_000_000 + 86_400
        )
        await hub.establish_key(at["ihd"])
        await asyncio.sleep(MINUTE_S)
        take_keys(session)
        await hub.update_network_key()
        take_keys(session)
        await asyncio.sleep(5 * MINUTE_S)
        set_meter(loaded, What.OUTAGE, "5min")
        set_meter(loaded, What.SUPPLY, "off")
        await asyncio.sleep(MINUTE_S)
        hub.publisher.meters_changed()
        await asyncio.sleep(10 * MINUTE_S)
        await hub.unpair(at["second-load-switch"], "sold")
        await asyncio.sleep(9 * MINUTE_S)
        take_keys(session)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    need_tshark()
    folder = tmp_path_factory.mktemp("all-kinds")
    loaded = rig_in(folder)
    keys: dict[str, None] = {}
    run(loaded, forty_minutes(loaded, folder, keys))
    return decode(folder / "air.pcap", keys)


def test_all_that_devices_do_is_in_the_capture(frames: Frames) -> None:
    seen = infos(frames)
    for expected, least in {
        "Association Request": len(DEVICES),
        "Transport Key": len(DEVICES) - 1,
        "Rejoin Request": 1,
        "Leave": 1,
        "Switch Key": 1,
        "ZCL Key Establishment: Terminate Key Establishment": 2,
        "ZCL Key Establishment: Confirm Key Data Response": 9,
        "ZCL OTA": 40,
        "ZCL: Write Attributes": 3,
        "ZCL: Report Attributes": 1,
        "ZCL: Default Response": 10,
        "ZCL Messaging": 2,
        "ZCL Prepayment": 4,
        "ZCL Price": 10,
        "ZCL Metering": 2,
        "ZCL Events": 2,
        "ZCL Device Management": 2,
    }.items():
        found = sum(count for info, count in seen.items() if info.startswith(expected))
        assert found >= least, f"{expected}: {found}; there are {seen.most_common(120)}"


def test_no_frame_of_it_is_malformed(frames: Frames) -> None:
    assert malformed(frames) == []


def test_no_frame_of_it_stays_encrypted(frames: Frames) -> None:
    assert sealed(frames) == []


def test_each_checksum_of_it_is_right(frames: Frames) -> None:
    assert {frame["wpan.fcs_ok"] for frame in frames} == {"1"}
