"""Publish Snapshot: what the registers stood at, by tiers or blocks (SE 1.4 D.3.2.3.1.7).

A bill goes with a snapshot of the end of a billing period. A meter that counts both directions
publishes a snapshot in two commands.
"""

from __future__ import annotations

import struct
from typing import Any

from labctl.hub.services.base import NOT_FOUND, Outcome, Request, answer, command_of
from labctl.hub.services.metering_attributes import (
    LEAST_BLOCKS,
    LEAST_TIERS,
    counts_received,
    u32,
)
from labctl.hub.services.price_tariff import DIGITS
from labctl.hub.services.publishing import PAYLOAD_LIMIT, now_s, utc_of
from labctl.hub.services.time import zigbee_time
from labctl.meters import Cause, Meter, Snapshot, Tariff
from labctl.smart_energy.clusters import Metering
from labctl.smart_energy.disagreements import SnapshotWindow

# Payload types: delivered; received is one more.
TOU_WITH_BILL, BLOCK_WITH_BILL, TOU, BLOCK = 0, 2, 4, 6

ANY_CAUSE = 0xFFFFFFFF
_HEADER = 16
_BILL = struct.Struct("<IIIIB")
_MOST_TIERS = 48
_MOST_BLOCK_TIERS = 15


def window(request: Request, fields: Any) -> tuple[int, int]:
    """The window of a request, UTC seconds, half-open; an end of 0 or 0xFFFFFFFF is now."""
    earliest, latest = int(fields.earliest_start_time), int(fields.latest_end_time)
    start_s = utc_of(earliest) if earliest else 0
    if latest in (0, 0xFFFFFFFF):
        return start_s, now_s(request) + 1
    closed = request.settings.snapshot_window is SnapshotWindow.CLOSED
    return start_s, utc_of(latest) + (1 if closed else 0)


def get_snapshot(meter: Meter, request: Request, fields: Any) -> Outcome:
    """The snapshot number `snapshot_offset` of those found, the oldest first."""
    start_s, end_s = window(request, fields)
    causes = Cause(int(fields.snapshot_cause))
    found = meter.snapshots(start_s, end_s, causes, now_s=now_s(request))[::-1]
    offset = int(fields.snapshot_offset)
    if offset >= len(found):
        return NOT_FOUND
    snapshot = found[offset]
    payloads = [_payload(meter, snapshot)]
    if counts_received(meter):
        payloads.append(_received(snapshot))
    return [
        answer(
            command_of(Metering, "publish_snapshot"),
            snapshot_id=snapshot.snapshot_id,
            snapshot_time=zigbee_time(snapshot.taken_s),
            total_snapshots_found=min(len(found), 0xFF),
            command_index=index,
            total_number_of_commands=len(payloads),
            snapshot_cause=int(snapshot.cause),
            snapshot_payload_type=type_,
            snapshot_payload=payload,
        )
        for index, (type_, payload) in enumerate(payloads)
    ]


def _payload(meter: Meter, snapshot: Snapshot) -> tuple[int, bytes]:
    """Type and octets of what was delivered."""
    tariff = meter.tariff_at(snapshot.taken_s - 1)
    account = snapshot.account
    with_bill = (
        Cause.END_OF_BILLING in snapshot.cause
        and snapshot.bill.cost is not None
        and not (account is not None and account.prepayment)
    )
    octets = _u48(snapshot.summation) + (_bill(snapshot) if with_bill else b"")
    if tariff is None or tariff.blocks is None:
        return (TOU_WITH_BILL if with_bill else TOU), octets + _tiers(snapshot, tariff)
    octets += _tiers(snapshot, tariff)
    octets += _blocks(snapshot, tariff, PAYLOAD_LIMIT - _HEADER - len(octets))
    return (BLOCK_WITH_BILL if with_bill else BLOCK), octets


def _received(snapshot: Snapshot) -> tuple[int, bytes]:
    """What was received: there are no tiers of it."""
    return TOU + 1, _u48(snapshot.received) + b"\x01" + _u48(snapshot.received)


def _bill(snapshot: Snapshot) -> bytes:
    bill = snapshot.bill
    projected = bill.cost if bill.projected is None else bill.projected
    as_of, end = zigbee_time(bill.as_of_s), zigbee_time(bill.end_s)
    return _BILL.pack(u32(bill.cost), as_of, u32(projected), end, DIGITS)


def _tiers(snapshot: Snapshot, tariff: Tariff | None) -> bytes:
    in_use = 1 if tariff is None else len(tariff.tiers) + 1
    count = min(max(in_use, LEAST_TIERS), _MOST_TIERS)
    values = b"".join(_u48(snapshot.totals.tier(tier)) for tier in range(1, count + 1))
    return bytes((count,)) + values


def _blocks(snapshot: Snapshot, tariff: Tariff, room: int) -> bytes:
    """Numbers of tiers (high nibble) and of thresholds, then blocks: of each tier, or of none.

    Meters have four blocks at least. As many tiers are sent as have room in a command.
    """
    assert tariff.blocks is not None
    thresholds = len(tariff.blocks.thresholds)
    if not tariff.tiers:
        count = max(thresholds + 1, LEAST_BLOCKS)
        values = b"".join(_u48(snapshot.totals.block(block)) for block in range(1, count + 1))
        return bytes((count - 1,)) + values
    blocks = range(1, thresholds + 2)
    tiers = min(len(tariff.tiers) + 1, _MOST_BLOCK_TIERS, (room - 1) // (6 * len(blocks)))
    values = b"".join(
        _u48(snapshot.totals.amounts.get((tier, block), 0))
        for tier in range(1, tiers + 1)
        for block in blocks
    )
    return bytes((tiers << 4 | thresholds,)) + values


def _u48(value: int) -> bytes:
    return value.to_bytes(6, "little")
