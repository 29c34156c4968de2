"""Prepayment, octet by octet against the layouts that GB meters use."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from service_bench import (
    DAY_S,
    NOW,
    START_S,
    account,
    ask,
    electricity,
    friendly_table,
    gas,
    number,
    published,
    request,
    u,
    value,
)

from labctl.events import Note
from labctl.hub.services.metering import MeteringService
from labctl.hub.services.prepayment import PrepaymentService
from labctl.meters import Journal
from labctl.meters.entries import PaymentModeSet

SUCCESS, FAILURE, NOT_FOUND, NOT_AUTHORIZED = 0x00, 0x01, 0x8B, 0x7E
CODE = b"12345678901234567890"
PPMID = b"\x02"
TO_NOW = u(0, 4)


def prepaid(**changes: object) -> PrepaymentService:
    return PrepaymentService(electricity(prepayment=account(**changes)))


def top_up(service: PrepaymentService, code: bytes = CODE, at_s: int = START_S) -> bytes:
    payload = PPMID + bytes((len(code),)) + code
    assert len(payload) == 22 or len(code) != 20
    (answer,) = published(service, 0x04, payload, at_s=at_s)
    assert len(answer) == 10
    return answer


def test_the_mode_is_told_by_every_meter() -> None:
    assert number(PrepaymentService(electricity()), 0x0000) == 0x0C94
    assert number(prepaid(), 0x0000) == 0x0497
    assert number(prepaid(suspend_debt_emergency=False), 0x0000) == 0x0C97
    both = {"suspend_debt_emergency": False, "suspend_debt_disabled": False}
    assert number(prepaid(**both), 0x0000) == 0x0897
    assert number(prepaid(suspend_debt_disabled=False), 0x0000) == 0x0097


def test_balances_are_there_in_prepayment_mode_alone() -> None:
    journal = Journal()
    service = PrepaymentService(electricity(prepayment=account(), journal=journal))
    assert number(service, 0x0001) == 5_00000
    assert number(service, 0x0003) == 0x05, "credit is fine, emergency credit enabled"
    assert number(service, 0x0010) == 10_00000
    journal.append(PaymentModeSet(at_us=START_S * 1_000_000, prepayment=False))
    later = START_S + 1
    assert number(service, 0x0000, at_s=later) == 0x0C94
    assert [value(service, a, at_s=later) for a in (0x0001, 0x0003, 0x0210)] == [None] * 3
    assert value(PrepaymentService(electricity()), 0x0001) is None


def test_debts_have_the_slots_that_gb_meters_give_them() -> None:
    service = prepaid()
    assert value(service, 0x0210) == b"\x05Meter"
    assert number(service, 0x0211) == 20_00000
    assert number(service, 0x0212) == 0x00
    assert number(service, 0x0216) == 0x01
    assert number(service, 0x0217) == 10000
    assert number(service, 0x0231) == 30_00000
    assert number(service, 0x0232) == 0x01
    assert number(service, 0x0239) == 2500
    assert value(service, 0x0237) is None


def test_what_days_cost_goes_with_what_they_used() -> None:
    service = PrepaymentService(electricity())
    day = (360 * 7 * 12_000 + 360 * 17 * 24_500) // 1000 + 54_794
    assert number(service, 0x051E) == day
    assert number(service, 0x0532) == 7 * day
    assert number(service, 0x0542) == 31 * day
    assert number(service, 0x0503) == 826
    assert not service.knows_attribute(0x0502)  # what its values stand for is not public
    assert value(PrepaymentService(electricity(None)), 0x051E) is None


def test_a_top_up_is_accepted_once() -> None:
    service = prepaid()
    first = top_up(service)
    # a quarter goes to debt 3, the rest to the balance
    assert first == b"\x00" + u(10_00000, 4) + b"\x02" + u(12_50000, 4)
    assert number(service, 0x0001, at_s=START_S + 1) in range(12_49000, 12_50001)
    again = top_up(service, at_s=START_S + 10)
    assert again == b"\x02" + b"\xff" * 4 + b"\x02" + b"\xff" * 4
    assert top_up(service, b"123", at_s=START_S + 20)[0] == 0x01
    assert top_up(service, b"x" * 20, at_s=START_S + 30)[0] == 0x01
    assert number(service, 0x0020, at_s=START_S + 40) == 10_00000


def test_the_log_has_the_newest_top_up_first() -> None:
    service = prepaid()
    for n in range(7):
        assert top_up(service, str(10**19 + n).encode(), at_s=START_S + 60 * n)[0] == 0x00
    at_s = START_S + DAY_S
    (log,) = published(service, 0x08, TO_NOW + b"\x00", at_s=at_s)
    assert len(log) == 147
    assert log[:2] == b"\x00\x01"
    assert log[2:31] == b"\x14" + str(10**19 + 6).encode() + u(10_00000, 4) + u(NOW + 360, 4)
    (two,) = published(service, 0x08, u(NOW + 240, 4) + b"\x02", at_s=at_s)
    assert two[3:23] == str(10**19 + 4).encode()
    assert len(two) == 2 + 2 * 29
    assert value(service, 0x0103, at_s=at_s) == b"\x14" + str(10**19 + 6).encode()
    assert number(service, 0x0143 - 3, at_s=at_s) == NOW + 120
    assert ask(prepaid(), 0x08, TO_NOW + b"\x00") == NOT_FOUND


def test_the_debt_log_has_13_octets_for_each_payment() -> None:
    service = prepaid()
    top_up(service)
    at_s = START_S + 2 * DAY_S
    (log,) = published(service, 0x0A, TO_NOW + b"\x00\xff", at_s=at_s)
    assert len(log) == 2 + 3 * 13
    newest, oldest = log[2:15], log[28:]
    assert newest == u(NOW - 8 * 3600 + 2 * DAY_S, 4) + u(10000, 4) + b"\x00" + u(19_80000, 4)
    assert oldest == u(NOW, 4) + u(2_50000, 4) + b"\x02" + u(27_50000, 4)
    (third,) = published(service, 0x0A, TO_NOW + b"\x05\x02", at_s=at_s)
    assert third[2:] == oldest
    assert ask(service, 0x0A, TO_NOW + b"\x00\x01", at_s=at_s) == NOT_FOUND
    assert ask(service, 0x0A, TO_NOW + b"\x00\x07", at_s=at_s) == NOT_FOUND


def test_emergency_credit_is_selected_when_there_is_little_left() -> None:
    service = prepaid(credit=50000)
    payload = u(NOW, 4) + PPMID
    assert len(payload) == 5
    assert ask(service, 0x00, payload) == SUCCESS
    assert (number(service, 0x0003, at_s=START_S + 1) or 0) & 0x10
    assert number(service, 0x0002, at_s=START_S + 1) == 10_00000
    assert ask(service, 0x00, payload, at_s=START_S + 2) == FAILURE, "it is selected already"
    assert ask(prepaid(), 0x00, payload) == FAILURE, "there is credit enough"


def test_a_prepay_snapshot_has_24_octets_of_account() -> None:
    service = prepaid()
    top_up(service, at_s=START_S + 10)
    window = u(NOW + 10, 4) + u(NOW + 11, 4)
    (snapshot,) = published(service, 0x07, window + b"\x00" + u(1 << 18, 4), at_s=START_S + 60)
    assert snapshot[:9] == u(NOW + 10, 4) * 2 + b"\x01"
    assert snapshot[15] == 0x00
    assert snapshot[16:] == (
        u(0, 4) + u(20_00000, 4) + u(0, 4) + u(27_50000, 4) + u(0, 4) + snapshot[36:]
    )
    assert int.from_bytes(snapshot[36:], "little") in range(12_49000, 12_50001)
    assert ask(service, 0x07, window + b"\x01" + u(1 << 18, 4)) == NOT_FOUND


def test_gas_takes_no_money_but_by_its_own_protocol() -> None:
    meter = gas(None, prepayment=account())
    service = PrepaymentService(meter)
    assert ask(service, 0x04, PPMID + b"\x14" + CODE) == NOT_AUTHORIZED
    assert ask(service, 0x00, u(NOW, 4) + PPMID) == NOT_AUTHORIZED
    assert len(meter.journal) == 0


def test_a_meter_without_an_account_finds_nothing() -> None:
    service = PrepaymentService(electricity())
    assert ask(service, 0x04, PPMID + b"\x14" + CODE) == NOT_FOUND
    assert ask(service, 0x08, TO_NOW + b"\x00") == NOT_FOUND


def test_friendly_credit_tells_when_it_ends_and_when_it_comes() -> None:
    service = prepaid(non_disablement=friendly_table())
    assert number(service, 0x0034) == 60
    assert number(service, 0x0035) == NOW + 10 * 3600
    assert number(service, 0x0034, at_s=START_S + 3600) == 0


def test_money_out_and_in_switches_the_supply() -> None:
    meter = electricity(prepayment=account(credit=1, emergency_limit=0), watts=36_000)
    metering, service = MeteringService(meter), PrepaymentService(meter)
    out = START_S + 3600
    assert number(metering, 0x0014, at_s=out) == 0
    assert top_up(service, at_s=out)[0] == 0x12, "accepted, the supply is armed"
    assert number(metering, 0x0014, at_s=out + 1) == 1
    (answer,) = published(metering, 0x0C, b"\x02", at_s=out + 2)
    assert answer[-1] == 2


def test_a_top_up_is_evidence_and_its_code_is_not() -> None:
    service = prepaid()
    payload = PPMID + b"\x14" + CODE
    fields = service.parse(0x04, payload)
    service.command(request(0x04, payload), fields)
    (note,) = service.events(request(0x04, payload), fields)
    assert isinstance(note, Note)
    assert note.kind == "top-up-entered"
    assert CODE.decode() not in repr(note)


@settings(max_examples=100, deadline=None)
@given(
    command=st.sampled_from(sorted(PrepaymentService.commands)),
    payload=st.one_of(
        st.binary(min_size=13, max_size=16),
        st.builds(lambda code: PPMID + bytes((len(code),)) + code, st.binary(max_size=200)),
    ),
    later_s=st.integers(0, 10**7),
)
def test_whatever_is_asked_is_answered(command: int, payload: bytes, later_s: int) -> None:
    service = prepaid()
    try:
        service.parse(command, payload)
    except ValueError:
        return  # the dispatcher calls that malformed
    outcome = ask(service, command, payload, at_s=START_S + later_s)
    if isinstance(outcome, int):
        assert outcome in (SUCCESS, FAILURE, NOT_FOUND)
    else:
        assert all(len(answer.payload) <= 1497 for answer in outcome)
