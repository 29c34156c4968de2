"""The timeline of a meter: its state at every instant from the rig's first start on.

Start values and the journal decide everything. The timeline is worked out moment by moment, from
one instant at which something changes to the next (an entry, the end of an outage, a midnight with
a standing charge, the second at which credit runs out), and kept; between moments nothing but the
profile moves. When the journal grows, moments from the new entry on are worked out anew.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace

from labctl.meters.account_book import AccountBook
from labctl.meters.civil import DAY_S
from labctl.meters.entries import DemandSet, Entry, OutageBegan, OutageEnded, SupplyAsked
from labctl.meters.journal import Journal
from labctl.meters.moment import Fuel, Moment, SupplyReason, asked_for, concerns, switched
from labctl.meters.prepayment import Account, Prepayment
from labctl.meters.profile import Flow, Profile

_US = 1_000_000
_DAY_US = DAY_S * _US


@dataclass(frozen=True, slots=True)
class Outage:
    """A stretch without mains; `ended_us` None while it lasts."""

    began_us: int
    ended_us: int | None


class Timeline:
    """Moments of one meter. Amounts are those of its profiles (rate x s), from `origin_us` on."""

    def __init__(
        self,
        name: str,
        fuel: Fuel,
        journal: Journal,
        *,
        profile: Profile,
        export: Profile | None = None,
        declared: Prepayment | None = None,
    ) -> None:
        """`declared` is the prepayment account, None for a meter without one.

        The origin is the profile's; an export profile has the same.
        """
        self._name = name
        self._fuel = fuel
        self._journal = journal
        self._profile = profile
        self._export = export
        self._book = AccountBook(declared) if declared else None
        self._entries: list[Entry] = []
        self._read = 0
        self._moments = [self._first()]
        self._starts = [self._moments[0].at_us]
        self._certain_us = self._starts[0]
        self._rolling = False
        self._plain_s = self._starts[0] // _US
        self.cost: Callable[[int], int] = lambda utc_s: 0
        """The running cost at a UTC second; the meter connects its ledger here."""
        self.standing: Callable[[int], int] = lambda utc_s: 0
        """The standing charge due at a UTC midnight."""
        self.on_change: Callable[[int], None] = lambda from_s: None
        """Called when everything from a UTC second on is to be worked out anew."""

    @property
    def origin_s(self) -> int:
        """When the timeline starts (UTC seconds)."""
        return self._profile.origin_s

    @property
    def certain_s(self) -> int:
        """Up to when the timeline has been worked out."""
        return self._certain_us // _US

    def at(self, utc_us: int) -> Moment:
        """The moment that an instant is in; before the first start, the first."""
        self._roll(utc_us)
        return self._moments[self._index(utc_us)]

    def moments(self, start_us: int, end_us: int) -> list[Moment]:
        """The moments that began in [start, end)."""
        self._roll(end_us)
        return [moment for moment in self._moments if start_us <= moment.at_us < end_us]

    def delivered(self, utc_us: int) -> Flow:
        """What was delivered since the origin, and the rate of it."""
        moment = self.at(utc_us)
        if utc_us < moment.at_us:
            return self._profile.at(utc_us)
        if not moment.flows:
            return Flow(moment.delivered, 0)
        if moment.rate is not None:
            return Flow(
                moment.delivered + moment.rate * (utc_us - moment.at_us) // _US, moment.rate
            )
        flow = self._profile.at(utc_us)
        return Flow(moment.delivered + flow.amount - moment.profile, flow.rate)

    def delivered_by(self, utc_s: int) -> int:
        """What was delivered since the origin, at a whole second."""
        if utc_s >= self._plain_s or len(self._journal) != self._read:
            self._roll(utc_s * _US)
            if utc_s >= self._plain_s:
                return self.delivered(utc_s * _US).amount
        return self._profile.amount_at(utc_s)

    def received(self, utc_us: int) -> Flow:
        """What was received (exported) since the origin, and the rate of it."""
        if self._export is None:
            return Flow(0, 0)
        moment = self.at(utc_us)
        if utc_us < moment.at_us:
            return self._export.at(utc_us)
        if not moment.flows:
            return Flow(moment.received, 0)
        flow = self._export.at(utc_us)
        return Flow(moment.received + flow.amount - moment.export, flow.rate)

    def account_at(self, utc_us: int) -> Account | None:
        """The account, everything charged up to the last whole second."""
        moment = self.at(utc_us)
        return self._charged(moment, utc_us) if utc_us > moment.at_us else moment.account

    def outages(self, start_us: int, end_us: int) -> tuple[Outage, ...]:
        """The outages that began in [start, end), the oldest first, as known at `end_us`."""
        self._roll(end_us)
        found: list[Outage] = []
        mains = True
        for moment in self._moments:
            if moment.at_us >= end_us or moment.mains == mains:
                continue
            mains = moment.mains
            if mains:
                found[-1] = Outage(found[-1].began_us, moment.at_us)
            else:
                found.append(Outage(moment.at_us, None))
        return tuple(outage for outage in found if start_us <= outage.began_us)

    # -- working it out ---------------------------------------------------------------------------

    def _first(self) -> Moment:
        origin_us = self._profile.origin_s * _US
        account = self._book.opened() if self._book else None
        return Moment(origin_us, account=account, supply_since_us=origin_us)

    def _index(self, utc_us: int) -> int:
        return max(0, bisect_right(self._starts, utc_us) - 1)

    def _roll(self, until_us: int) -> None:
        if self._rolling:
            return
        if len(self._journal) != self._read:
            self._take_in()
        if until_us <= self._certain_us:
            return
        self._rolling = True
        try:
            while self._forward(until_us):
                pass
            self._certain_us = until_us
        finally:
            self._rolling = False
        self._note_plain()

    def _take_in(self) -> None:
        """The journal has grown: forget what is after its new entries."""
        new = self._journal.since(self._read)
        self._read = len(self._journal)
        own = [entry for entry in new if concerns(entry, self._name, self._fuel)]
        if not own:
            return
        self._entries += own
        from_us = own[0].at_us
        keep = bisect_right(self._starts, from_us - 1)
        del self._moments[keep:], self._starts[keep:]
        if not self._moments:
            self._moments = [self._first()]
            self._starts = [self._moments[0].at_us]
        self._certain_us = min(self._certain_us, from_us - 1)
        self._note_plain()
        self.on_change(from_us // _US)

    def _note_plain(self) -> None:
        """Note up to when nothing but the profile has moved: that is quick to look up."""
        first = self._moments[0]
        plain_us = first.at_us
        if first.flows and first.rate is None:
            plain_us = self._starts[1] if len(self._starts) > 1 else self._certain_us + 1
        self._plain_s = plain_us // _US

    def _forward(self, until_us: int) -> bool:
        """Add the next moment up to `until_us`; False when there is none."""
        last = self._moments[-1]
        next_us = self._next(last)
        ahead_us = until_us if next_us is None else min(next_us, until_us)
        runs_out_us = self._runs_out(last, ahead_us)
        if runs_out_us is not None and (next_us is None or runs_out_us < next_us):
            self._add(self._settled(self._moved(last, runs_out_us)))
            return True
        if next_us is None or next_us > until_us:
            return False
        self._add(self._step(last, next_us))
        return True

    def _add(self, moment: Moment) -> None:
        if moment.at_us == self._starts[-1]:
            self._moments[-1] = moment
        else:
            self._moments.append(moment)
            self._starts.append(moment.at_us)
        self._certain_us = max(self._certain_us, moment.at_us)

    def _next(self, moment: Moment) -> int | None:
        """When the next thing happens, by itself or by the journal."""
        times = [moment.mains_back_us, moment.rate_until_us]
        if moment.entries < len(self._entries):
            times.append(max(self._entries[moment.entries].at_us, moment.at_us))
        if self._book is not None:
            times.append(self._book.next_us(moment))
        return min((time for time in times if time is not None), default=None)

    def _moved(self, moment: Moment, at_us: int) -> Moment:
        """The moment carried to a later instant, nothing else changed."""
        return replace(
            moment,
            at_us=at_us,
            delivered=self.delivered(at_us).amount,
            received=self.received(at_us).amount,
            profile=self._profile.at(at_us).amount,
            export=self._export.at(at_us).amount if self._export else 0,
            cost=self.cost(at_us // _US) if moment.account else None,
            account=self._charged(moment, at_us),
        )

    def _charged(self, moment: Moment, utc_us: int) -> Account | None:
        if moment.account is None or self._book is None:
            return None
        started = self.cost(moment.at_us // _US) if moment.cost is None else moment.cost
        return self._book.charged(moment.account, self.cost(utc_us // _US) - started)

    def _step(self, last: Moment, at_us: int) -> Moment:
        """The moment at which something happens."""
        moment = self._moved(last, at_us)
        if moment.mains_back_us == at_us:
            moment = replace(moment, mains=True, mains_back_us=None)
        if moment.rate_until_us == at_us:
            moment = replace(moment, rate=None, rate_until_us=None)
        if self._book is not None and at_us % _DAY_US == 0 and at_us > last.at_us:
            moment = self._settled(self._book.midnight(moment, self.standing(at_us // _US)))
        while moment.entries < len(self._entries):
            entry = self._entries[moment.entries]
            if entry.at_us > at_us:
                break
            moment = self._settled(self._entered(moment, entry))
            moment = replace(moment, entries=moment.entries + 1)
        return self._settled(moment)

    def _entered(self, moment: Moment, entry: Entry) -> Moment:
        if isinstance(entry, DemandSet):
            rate = None if _over(entry.until_us, moment) else entry.rate
            until_us = None if rate is None else entry.until_us
            return replace(moment, rate=rate, rate_until_us=until_us)
        if isinstance(entry, OutageBegan):
            if _over(entry.until_us, moment):
                return moment
            return replace(moment, mains=False, mains_back_us=entry.until_us)
        if isinstance(entry, OutageEnded):
            return replace(moment, mains=True, mains_back_us=None)
        if isinstance(entry, SupplyAsked):
            state = asked_for(entry, moment.supply, self._fuel)
            by_hand = SupplyReason.CONSUMER if entry.originator else SupplyReason.SUPPLIER
            return moment if state is None else switched(moment, state, by_hand)
        return moment if self._book is None else self._book.entered(moment, entry)

    def _settled(self, moment: Moment) -> Moment:
        return moment if self._book is None else self._book.settled(moment)

    def _runs_out(self, moment: Moment, until_us: int) -> int | None:
        """The first whole second after the moment, up to `until_us`, with nothing left to use."""
        book = self._book
        if book is None or not book.may_run_out(moment):
            return None

        def out(utc_s: int) -> bool:
            then = self._charged(moment, utc_s * _US)
            return then is not None and book.exhausted(then)

        low_s, high_s = moment.at_us // _US, until_us // _US
        if high_s <= low_s or not out(high_s):
            return None
        while high_s - low_s > 1:
            middle_s = (low_s + high_s) // 2
            low_s, high_s = (low_s, middle_s) if out(middle_s) else (middle_s, high_s)
        return high_s * _US


def _over(until_us: int | None, moment: Moment) -> bool:
    """Whether what an entry asks for ends before it begins."""
    return until_us is not None and until_us <= moment.at_us
