"""Snapshots: what the registers stood at at midnights, ends of billing periods and changes.

A snapshot's id is the time that it was taken (seconds from 2000, UTC): two causes at one instant
are one snapshot with both.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from labctl.meters.billing import Bill, Billing
from labctl.meters.civil import DAY_S
from labctl.meters.history import readable_instant
from labctl.meters.ledger import Totals
from labctl.meters.prepayment import Account
from labctl.meters.works import Works

_US = 1_000_000
_EPOCH_2000_S = 946_684_800
DAILY_KEPT = 31
BILLING_KEPT = 12
CHANGES_KEPT = 12


class Cause(enum.IntFlag):
    """Why a snapshot was taken (SE 1.4 D.3.2.3.1.7, and D.7.2.4.2 for the last two)."""

    GENERAL = 1 << 0
    END_OF_BILLING = 1 << 1
    TARIFF_CHANGE = 1 << 3
    CHANGE_OF_TENANCY = 1 << 12
    CHANGE_OF_MODE = 1 << 14
    SCHEDULED = 1 << 16
    TOP_UP = 1 << 18
    DEBT_OR_CREDIT = 1 << 19


ALL_CAUSES = ~Cause(0)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The registers at `taken_s` (UTC). `bill` is of the period that then ended or ran."""

    snapshot_id: int
    taken_s: int
    cause: Cause
    summation: int
    received: int
    totals: Totals
    bill: Bill
    account: Account | None


class Snapshots:
    """The snapshots of one meter: 31 daily, 12 of billing periods, 12 of each kind of change."""

    def __init__(self, works: Works, billing: Billing, as_of_s: Callable[[int], int]) -> None:
        self._works = works
        self._billing = billing
        self._as_of_s = as_of_s

    def find(self, start_s: int, end_s: int, causes: Cause, now_s: int) -> tuple[Snapshot, ...]:
        """The snapshots taken in [start, end), the newest first."""
        seen_s = self._as_of_s(now_s)
        since = self._works.plan.tenancy_since(now_s)
        earliest_s = self._works.earliest_s()
        return tuple(
            self._take(taken_s, cause)
            for taken_s, cause in sorted(self._instants(seen_s).items(), reverse=True)
            if start_s <= taken_s < end_s
            and earliest_s <= taken_s <= seen_s
            and cause & causes
            and readable_instant(taken_s, since)
        )

    def _instants(self, now_s: int) -> dict[int, Cause]:
        found: dict[int, Cause] = {}

        def note(at_s: int, cause: Cause) -> None:
            found[at_s] = found.get(at_s, Cause(0)) | cause

        for back in range(DAILY_KEPT):
            note(now_s - now_s % DAY_S - back * DAY_S, Cause.SCHEDULED)
        for back in range(BILLING_KEPT):
            note(self._billing.period(now_s, back)[0], Cause.END_OF_BILLING)
        plan, first_s = self._works.plan, self._works.history_s
        for at_s in plan.changes(first_s, now_s + 1)[-CHANGES_KEPT:]:
            note(at_s, Cause.TARIFF_CHANGE)
        for at_s in plan.tenancies(first_s, now_s + 1)[-CHANGES_KEPT:]:
            note(at_s, Cause.CHANGE_OF_TENANCY)
        for at_s, cause in self._account_instants(now_s):
            note(at_s, cause)
        return found

    def _account_instants(self, now_s: int) -> list[tuple[int, Cause]]:
        found: dict[Cause, list[int]] = {}
        before: Account | None = None
        for moment in self._works.timeline.moments(first_us(self._works), (now_s + 1) * _US):
            account = moment.account
            if account is None:
                break
            at_s = -(-moment.at_us // _US)
            if before is not None:
                if account.topped_up != before.topped_up:
                    found.setdefault(Cause.TOP_UP, []).append(at_s)
                if account.prepayment != before.prepayment:
                    found.setdefault(Cause.CHANGE_OF_MODE, []).append(at_s)
                if account.adjusted != before.adjusted or account.debts != before.debts:
                    found.setdefault(Cause.DEBT_OR_CREDIT, []).append(at_s)
            before = account
        return [(at_s, cause) for cause, times in found.items() for at_s in times[-CHANGES_KEPT:]]

    def _take(self, taken_s: int, cause: Cause) -> Snapshot:
        works = self._works
        ends_period = Cause.END_OF_BILLING in cause
        bill = self._billing.bill(taken_s, 1 if ends_period else 0)
        before_start = taken_s < works.timeline.origin_s
        return Snapshot(
            snapshot_id=taken_s - _EPOCH_2000_S,
            taken_s=taken_s,
            cause=cause,
            summation=works.delivered(taken_s),
            received=works.received(taken_s),
            totals=works.ledger.at(taken_s),
            bill=bill,
            account=None if before_start else works.timeline.account_at(taken_s * _US),
        )


def first_us(works: Works) -> int:
    """The first instant of a meter's timeline."""
    return works.timeline.origin_s * _US
