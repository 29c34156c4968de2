"""Billing periods: what a customer owes so far, and the bills before.

A billing period is a month from `billing_day` to `billing_day`, UTC. A bill is the cost of what was
used and the standing charges of the days that have begun.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labctl.meters.civil import date_at, month_start
from labctl.meters.civil import midnight as midnight_of
from labctl.meters.history import History
from labctl.meters.plan import Plan


@dataclass(frozen=True, slots=True)
class Bill:
    """A billing period, and what it came to by `as_of_s`; 10^-5 pounds.

    `cost` is None when nothing of the period may be read. `projected` is what the period will come
    to at the pace so far, None when it is over.
    """

    start_s: int
    end_s: int
    as_of_s: int
    cost: int | None
    projected: int | None


class Billing:
    """The bills of one meter."""

    def __init__(
        self, costs: History, plan: Plan, as_of_s: Callable[[int], int], billing_day: int
    ) -> None:
        """Raise `ValueError` for a day that not every month has."""
        if not 1 <= billing_day <= 28:
            raise ValueError("the billing day is 1 to 28")
        self._costs = costs
        self._plan = plan
        self._as_of_s = as_of_s
        self._day = billing_day

    def period(self, utc_s: int, back: int = 0) -> tuple[int, int]:
        """Start and end of the billing period `back` periods before the one of `utc_s`."""
        today = date_at(utc_s)
        number = today.year * 12 + today.month - 1 - back - (today.day < self._day)
        start, end = (month_start(at).replace(day=self._day) for at in (number, number + 1))
        return midnight_of(start), midnight_of(end)

    def bill(self, now_s: int, back: int = 0) -> Bill:
        """The bill of this period so far (0), or of an earlier one."""
        seen_s = self._as_of_s(now_s)
        start_s, end_s = self.period(seen_s, back)
        as_of_s = min(seen_s, end_s)
        cost = self._costs.between(start_s, end_s, now_s=now_s)
        projected = None
        if cost is not None and as_of_s < end_s:
            since = self._plan.tenancy_since(now_s)
            begun_s = start_s if since is None else max(start_s, since)
            passed = as_of_s - begun_s
            projected = cost * (end_s - begun_s) // passed if passed > 0 else cost
        return Bill(start_s, end_s, as_of_s, cost, projected)
