"""What the services publish, read by tshark: another implementation of the same layouts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from service_bench import (
    BLOCK,
    NOW,
    START_S,
    account,
    ask,
    electricity,
    gas,
    u,
)

from labctl.hub.services.base import Service
from labctl.hub.services.calendar import CalendarService
from labctl.hub.services.metering import MeteringService
from labctl.hub.services.prepayment import PrepaymentService
from labctl.hub.services.price import PriceService

pytestmark = [
    pytest.mark.tshark,
    pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed"),
]

ALL = u(0, 4) + u(0xFFFFFFFF, 4) + b"\x00"
ANY = b"\xff" * 8
FROM_TO = u(NOW - 86_400, 4) + u(NOW + 61, 4) + b"\x00"


def frames() -> list[tuple[int, bytes]]:
    """Cluster and ZCL frame of one answer to each request."""
    prepaid = PrepaymentService(electricity(prepayment=account()))
    asked: list[tuple[Service[object], int, bytes]] = [
        (PriceService(electricity(BLOCK)), 0x00, b"\x01"),
        (PriceService(electricity(BLOCK)), 0x03, u(0, 4) + b"\x01\x00"),
        (PriceService(gas()), 0x04, ALL),
        (PriceService(gas()), 0x05, ALL),
        (PriceService(electricity()), 0x06, ALL),
        (PriceService(electricity()), 0x07, u(1, 4)),
        (PriceService(electricity(BLOCK)), 0x08, u(7, 4)),
        (PriceService(electricity(BLOCK)), 0x09, ALL),
        (PriceService(electricity()), 0x0A, u(1, 4)),
        (PriceService(electricity()), 0x0B, ALL),
        (PriceService(electricity()), 0x0C, ALL),
        (CalendarService(electricity()), 0x00, ALL + ANY[:5]),
        (CalendarService(electricity()), 0x01, ANY + b"\x00\x00"),
        (CalendarService(electricity()), 0x02, ANY + b"\x00\x00"),
        (CalendarService(electricity()), 0x03, ANY),
        (MeteringService(electricity()), 0x00, b"\x00" + u(0, 4) + b"\x05"),
        (MeteringService(electricity()), 0x03, b"\x05\x05"),
        (MeteringService(electricity()), 0x06, FROM_TO + u(1 << 16, 4)),
        (MeteringService(electricity()), 0x08, u(0, 2) + u(0, 4) + b"\x00" + u(10, 2)),
        (MeteringService(electricity()), 0x0C, b"\x02"),
        (prepaid, 0x04, b"\x02\x1412345678901234567890"),
        (prepaid, 0x07, FROM_TO + u(1 << 18, 4)),
        (prepaid, 0x08, u(0, 4) + b"\x00"),
        (prepaid, 0x0A, u(0, 4) + b"\x00\xff"),
    ]
    found: list[tuple[int, bytes]] = []
    for number, (service, command, payload) in enumerate(asked):
        outcome = ask(service, command, payload, at_s=START_S + 10 * (number > 19) + number)
        assert not isinstance(outcome, int), (service, hex(command), hex(outcome))
        first = outcome[0]
        frame = bytes((first.control, number, first.command_id)) + first.payload
        found.append((service.cluster_id, frame))
    return found


def test_every_published_frame_decodes(tmp_path: Path) -> None:
    """In plain APS frames over plain NWK frames; nothing malformed, nothing left over."""
    packets = []
    for counter, (cluster, zcl) in enumerate(frames()):
        aps = b"\x00\x01" + u(cluster, 2) + u(0x0109, 2) + b"\x02" + bytes((counter,)) + zcl
        nwk = b"\x08\x00" + u(0x1234, 2) + u(0, 2) + b"\x1e" + bytes((counter,)) + aps
        mac = b"\x41\x88" + bytes((counter,)) + u(0xABCD, 2) + u(0x1234, 2) + u(0, 2) + nwk
        packets.append(mac)
    capture = tmp_path / "services.pcap"
    octets = bytearray(u(0xA1B2C3D4, 4) + u(2, 2) + u(4, 2) + bytes(8) + u(65535, 4) + u(230, 4))
    for number, packet in enumerate(packets):
        octets += u(START_S + number, 4) + u(0, 4) + u(len(packet), 4) * 2 + packet
    capture.write_bytes(octets)
    done = subprocess.run(
        ["tshark", "-r", str(capture), "-V", "-o", "wpan.fcs_format:No FCS"],
        capture_output=True,
        text=True,
        check=False,
    )
    shown = done.stdout
    assert shown.count("ZigBee Cluster Library Frame") == len(packets), done.stderr
    assert "Malformed" not in shown
    assert "[Expert Info (Error" not in shown
