"""Prepayment 0x0705: the account of one meter (SE 1.4 D.7).

Every meter answers Payment Control Configuration, from which a display sees the mode; balances and
debts are there in prepayment mode alone. A PPMID may select emergency credit and enter top-ups at
an electricity meter; what comes of it follows from the account. Everything else that changes the
account is the supplier's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, Final

from labctl.events import Event, Note
from labctl.hub.services.base import (
    FAILURE,
    NOT_AUTHORIZED,
    NOT_FOUND,
    PUSHED,
    SUCCESS,
    Outcome,
    Request,
    Service,
    answer,
    command_of,
)
from labctl.hub.services.metering_snapshots import window
from labctl.hub.services.prepayment_attributes import (
    PrepaymentState,
    prepayment_attributes,
    s32,
    u32,
)
from labctl.hub.services.publishing import enter, in_parts, now_s, utc_of
from labctl.hub.services.time import zigbee_time
from labctl.meters import AccountView, Cause, Fuel, Meter, Originator, Snapshot
from labctl.meters.entries import EmergencySelected, ToppedUp
from labctl.smart_energy.clusters import Prepayment
from labctl.smart_energy.clusters.prepayment import DebtRecord, TopUpRecord

SELECT_EMERGENCY_CREDIT: Final = 0x00
CONSUMER_TOP_UP: Final = 0x04
GET_PREPAY_SNAPSHOT: Final = 0x07
GET_TOP_UP_LOG: Final = 0x08
GET_DEBT_LOG: Final = 0x0A

TOP_UPS_KEPT = 5
DEBT_PAYMENTS_KEPT = 10
_ALL_DEBTS = 0xFF
_DEBT_ACCOUNT = 0x00
"""Snapshot payload type: debts and credit."""
_SNAPSHOT = struct.Struct("<iIIIii")
_LOG_HEADER = 2
_IN_HOME_DISPLAY = 2


class PrepaymentService(Service[PrepaymentState]):
    """The account of one meter, or that it has none."""

    definition = Prepayment
    sends = (
        "publish_prepay_snapshot",
        "consumer_top_up_response",
        "publish_top_up_log",
        "publish_debt_log",
    )
    queries = frozenset({GET_PREPAY_SNAPSHOT, GET_TOP_UP_LOG, GET_DEBT_LOG})
    commands = queries | {SELECT_EMERGENCY_CREDIT, CONSUMER_TOP_UP}

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        super().__init__(prepayment_attributes(meter))
        self._doers: dict[int, Callable[[AccountView, Request, Any], Outcome]] = {
            SELECT_EMERGENCY_CREDIT: self._select_emergency_credit,
            CONSUMER_TOP_UP: self._top_up,
            GET_PREPAY_SNAPSHOT: self._snapshot,
            GET_TOP_UP_LOG: self._top_up_log,
            GET_DEBT_LOG: self._debt_log,
        }

    def state(self, now_us: int) -> PrepaymentState:
        """The account as it is at `now_us`."""
        return PrepaymentState(self.meter, now_us // 1_000_000)

    def command(self, request: Request, fields: Any) -> Outcome:
        """Carry out a command; a meter without an account has nothing to find."""
        account = self.meter.prepayment
        if account is None:
            return NOT_FOUND
        return self._doers[request.command_id](account, request, fields)

    def events(self, request: Request, fields: Any) -> Iterable[Event]:
        """That a device put money on a meter, or tried to, is evidence. Codes are not recorded."""
        if request.command_id in self.queries or self.meter.prepayment is None:
            return
        account = self.meter.prepayment.at(now_s(request))
        yield Note(
            at_us=request.now_us,
            kind=(
                "top-up-entered"
                if request.command_id == CONSUMER_TOP_UP
                else "emergency-credit-asked"
            ),
            eui64=request.eui64,
            detail={
                "meter": self.meter.name,
                "credit": account.credit,
                "emergency_selected": account.emergency_selected,
            },
        )

    # -- what a PPMID may do ----------------------------------------------------------------------

    def _select_emergency_credit(self, view: AccountView, request: Request, fields: Any) -> Outcome:
        """FAILURE when there is none to select. Gas is reached by its own protocol alone."""
        if self.meter.fuel is Fuel.GAS:
            return NOT_AUTHORIZED
        before = view.at(now_s(request))
        selected = EmergencySelected(
            at_us=request.now_us,
            meter=self.meter.name,
            originator=Originator.PPMID,
        )
        enter(self.meter, selected)
        if before.emergency_selected or not before.emergency_available:
            return FAILURE
        return SUCCESS

    def _top_up(self, view: AccountView, request: Request, fields: Any) -> Outcome:
        """A code that is no UTRN, or was used before, is rejected with -1 for both amounts."""
        if self.meter.fuel is Fuel.GAS:
            return NOT_AUTHORIZED
        code = bytes(fields.top_up_code).decode("latin-1")
        entered = ToppedUp(
            at_us=request.now_us,
            meter=self.meter.name,
            code=code,
            originator=Originator.PPMID,
        )
        at_us = enter(self.meter, entered)
        attempt = view.result_of(at_us, code)
        assert attempt is not None, "the account judges every top-up"
        accepted = attempt.result.accepted
        return [
            answer(
                command_of(Prepayment, "consumer_top_up_response"),
                PUSHED,
                result_type=int(attempt.result),
                top_up_value=s32(attempt.amount) if accepted else -1,
                source_of_top_up=_IN_HOME_DISPLAY,
                credit_remaining=s32(attempt.credit) if accepted else -1,
            )
        ]

    # -- logs -------------------------------------------------------------------------------------

    def _snapshot(self, view: AccountView, request: Request, fields: Any) -> Outcome:
        """The snapshot number `snapshot_offset` of those found, the oldest first."""
        start_s, end_s = window(request, fields)
        causes = Cause(int(fields.snapshot_cause))
        taken = self.meter.snapshots(start_s, end_s, causes, now_s=now_s(request))
        found = [snapshot for snapshot in reversed(taken) if snapshot.account is not None]
        offset = int(fields.snapshot_offset)
        if offset >= len(found):
            return NOT_FOUND
        snapshot = found[offset]
        return [
            answer(
                command_of(Prepayment, "publish_prepay_snapshot"),
                snapshot_id=snapshot.snapshot_id,
                snapshot_time=zigbee_time(snapshot.taken_s),
                total_snapshots_found=min(len(found), 0xFF),
                command_index=0,
                total_number_of_commands=1,
                snapshot_cause=int(snapshot.cause),
                snapshot_payload_type=_DEBT_ACCOUNT,
                snapshot_payload=_account(snapshot),
            )
        ]

    def _top_up_log(self, view: AccountView, request: Request, fields: Any) -> Outcome:
        """The newest first, up to a time (0 is now); 0 records are all that are kept."""
        latest_s = _latest(request, int(fields.latest_end_time))
        top_ups = [t for t in view.top_ups(now_s(request), TOP_UPS_KEPT) if t.at_s <= latest_s]
        records = [
            TopUpRecord(
                code=top_up.code.encode("latin-1"),
                amount=s32(top_up.amount),
                time=zigbee_time(top_up.at_s),
            )
            for top_up in top_ups[: int(fields.number_of_records) or None]
        ]
        parts = in_parts(records, lambda record: 9 + len(record.code), _LOG_HEADER)
        return [
            answer(
                command_of(Prepayment, "publish_top_up_log"),
                command_index=index,
                total_number_of_commands=len(parts),
                top_ups=part,
            )
            for index, part in enumerate(parts)
            if part
        ] or NOT_FOUND

    def _debt_log(self, view: AccountView, request: Request, fields: Any) -> Outcome:
        """What was taken for a debt (type 0, 1, 2) or for any (0xFF), the newest first."""
        type_ = int(fields.debt_type)
        if type_ != _ALL_DEBTS and type_ > 2:
            return NOT_FOUND
        number = None if type_ == _ALL_DEBTS else type_ + 1
        latest_s = _latest(request, int(fields.latest_end_time))
        paid = view.debt_payments(now_s(request), DEBT_PAYMENTS_KEPT, number)
        records = [
            DebtRecord(
                collection_time=zigbee_time(payment.at_s),
                amount_collected=u32(payment.amount),
                debt_type=payment.number - 1,
                outstanding_debt=u32(payment.owed),
            )
            for payment in [p for p in paid if p.at_s <= latest_s][
                : int(fields.number_of_debts) or None
            ]
        ]
        if not records:
            return NOT_FOUND
        return [
            answer(
                command_of(Prepayment, "publish_debt_log"),
                command_index=0,
                total_number_of_commands=1,
                debts=records,
            )
        ]


def _latest(request: Request, zigbee_s: int) -> int:
    """The end of a log that is asked for, UTC seconds."""
    return utc_of(zigbee_s) if zigbee_s else now_s(request)


def _account(snapshot: Snapshot) -> bytes:
    """Accumulated debt, debts 1 to 3, emergency credit, credit: 24 octets (D.7.2.4.2)."""
    account = snapshot.account
    assert account is not None
    one, two, three = (u32(debt.amount) for debt in account.debts)
    return _SNAPSHOT.pack(
        s32(account.accumulated_debt),
        one,
        two,
        three,
        s32(account.emergency_remaining),
        s32(account.credit),
    )
