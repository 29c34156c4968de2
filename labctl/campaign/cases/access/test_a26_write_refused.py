"""A26: a device that writes to a meter is refused, and nothing has changed.

Consumer devices may look at meters and change nothing. No good device can be asked to write, so the
hub is asked what it would answer: a Write Attributes of each setting of each meter goes through its
dispatcher as if the device had sent it, under its link key, and what comes back is looked at. The
status has to be the one that the rig file gives (`hub.write_status`: 0x88 READ_ONLY or 0x7E
NOT_AUTHORIZED), with the meters and the hub as they were.

A device that really tries to write is found in the record, from its pairing in this run on to ten
minutes after it: it is refused, and it has no business to try.
"""

from __future__ import annotations

from labctl.campaign.case import Measure, case
from labctl.campaign.hub_state import METERING, PRICE, entry_of, kept_by, shown_to
from labctl.campaign.measurements import Measurements
from labctl.campaign.so_far import first_contact_over, refusals
from labctl.campaign.subject import Subject
from labctl.events import DeviceKind
from labctl.hub.hub import Hub

_WRITES = (
    (METERING, 0x0301, 0x22, (7).to_bytes(3, "little")),  # Multiplier, uint24
    (METERING, 0x0302, 0x22, (7).to_bytes(3, "little")),  # Divisor, uint24
    (METERING, 0x0000, 0x25, bytes(6)),  # CurrentSummationDelivered, uint48
    (PRICE, 0x0000, 0x41, b"\x04Free"),  # Tier1PriceLabel, octet string
)
"""Cluster, attribute, type and octets."""
_OF_METERS = range(0x0700, 0x0710)
_UNSUPPORTED = 0x86


@case(
    "A26",
    "a write to a meter is refused (READ_ONLY or NOT_AUTHORIZED), value and hub unchanged",
    measures=(
        Measure.exactly("status", 0x88, why="ZCL 2.5.5; S2 167, 252"),
        Measure.exactly("recorded", len(_WRITES), why="S2 252"),
        Measure.yes("value_unchanged", why="S2 167"),
        Measure.yes("hub_unchanged", why="S2 167"),
        Measure("attempts", most=0, why="proposal"),
    ),
    kinds=(DeviceKind.CAD, DeviceKind.IHD, DeviceKind.PPMID),
)
async def test_write_refused(device: Subject, hub: Hub, measure: Measurements) -> None:
    expected = device.session.loaded.rig.hub.write_status
    measure.expect("status", least=expected, most=expected)
    entry = entry_of(hub, device.eui64)
    before = shown_to(hub, entry), kept_by(hub)
    statuses: set[int] = set()
    recorded = expected_records = 0
    for endpoint in hub.rehearsals.serving(METERING):
        for cluster_id, attribute, type_, raw in _WRITES:
            if endpoint not in hub.rehearsals.serving(cluster_id):
                continue
            rehearsed = hub.rehearsals.write(entry, endpoint, cluster_id, attribute, type_, raw)
            status = rehearsed.status
            expected_records += 1
            recorded += len(rehearsed.refused)
            statuses.add(_UNSUPPORTED if status is None else status)
    measure.expect("recorded", least=expected_records, most=expected_records)
    # A meter that does not have an attribute says so, and that is a refusal too.
    wrong = statuses - {expected, _UNSUPPORTED}
    measure.take(
        "status",
        next(iter(wrong), expected if expected in statuses else _UNSUPPORTED),
        " and ".join(f"0x{status:02X}" for status in sorted(statuses)),
    )
    measure.take("recorded", recorded)
    measure.take("value_unchanged", shown_to(hub, entry) == before[0])
    measure.take("hub_unchanged", kept_by(hub) == before[1])
    await first_contact_over(device)
    attempts = [
        each for each in refusals(device)
        if str(each["cause"]).startswith("write of attribute")
        and each.get("cluster_id") in _OF_METERS
    ]  # fmt: skip
    measure.take("attempts", len(attempts), "; ".join({str(each["cause"]) for each in attempts}))
