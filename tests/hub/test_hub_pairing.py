"""Pairing windows and joins, as they come out in the record."""

from __future__ import annotations

import asyncio

import pytest
from fake_radio import (
    CAD,
    CAD_EUI64,
    IHD,
    IHD_EUI64,
    IHD_KEY,
    START_S,
    Bench,
    FakeCoordinator,
    with_hub,
)

from labctl.errors import ConfigurationError, RigError
from labctl.events import (
    DeviceKind,
    JoinEnded,
    JoinKind,
    JoinOutcome,
    JoinStarted,
    JoinStepTaken,
    Note,
    PairingArmed,
    PairingMethod,
    PairingRemoved,
    PairingWindowClosed,
    RadioLost,
    RadioUp,
    ReadScheduleDeclared,
    Step,
)
from labctl.hub import LoggedDevice, PairingRequest, Patience, ReadSchedule
from labctl.radio.coordinator import JoinDecision, JoinSeen
from labctl.secret import Secret
from labctl.smart_energy.eui64 import Eui64

WINDOW = PairingRequest(eui64=IHD_EUI64, window_s=600)
STRANGER = Eui64("00:0d:6f:00:0a:90:69:ff")
ESTABLISHED = Secret(b"\xee" * 16)


def outcomes(bench: Bench) -> list[tuple[JoinOutcome, str]]:
    return [(end.outcome, end.cause) for end in bench.of(JoinEnded)]


def test_a_healthy_device_takes_every_step_in_order() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        await device.read(0x0702, 0x0000)
        assert [step.step for step in bench.of(JoinStepTaken)] == [
            Step.ASSOCIATION,
            Step.TRANSPORT_KEY,
            Step.DEVICE_ANNOUNCE,
            Step.KEY_INITIATE,
            Step.KEY_EPHEMERAL,
            Step.KEY_CONFIRM,
            Step.LINK_KEY_INSTALLED,
            Step.DISCOVERY,
            Step.FIRST_READ,
        ]
        (started,) = bench.of(JoinStarted)
        assert (started.eui64, started.kind, started.nwk) == (IHD_EUI64, JoinKind.JOIN, 0x1A2B)
        assert (started.page, started.channel) == (0, 20)
        assert outcomes(bench) == [(JoinOutcome.AUTHORISED, "")]
        assert {step.join for step in bench.of(JoinStepTaken)} == {started.join}

    with_hub(scenario)


def test_steps_are_timed_from_the_one_before() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        await bench.hub.pair(WINDOW)
        device.associate()
        await asyncio.sleep(2)
        device.announce()
        await asyncio.sleep(4)
        await device.establish()
        elapsed = {step.step: step.elapsed_us for step in bench.of(JoinStepTaken)}
        assert elapsed[Step.ASSOCIATION] == 0
        assert elapsed[Step.DEVICE_ANNOUNCE] == 2_000_000
        assert elapsed[Step.KEY_INITIATE] == 4_000_000

    with_hub(scenario)


def test_the_install_code_key_is_there_in_the_window_and_the_established_one_after() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        assert bench.radio.keys == {}
        await bench.hub.pair(WINDOW)
        assert bench.radio.keys == {IHD_EUI64: IHD_KEY}
        await device.join()
        assert device.established is not None
        assert bench.radio.keys == {IHD_EUI64: device.established.link_key}
        assert bench.hub.authorised(IHD_EUI64)
        await asyncio.sleep(700)
        assert bench.radio.keys == {IHD_EUI64: device.established.link_key}
        (closed,) = bench.of(PairingWindowClosed)
        assert closed.authorised

    with_hub(scenario)


def test_pairing_keeps_who_asked_and_the_consent() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hub.pair(
            PairingRequest(
                eui64=IHD_EUI64,
                window_s=60,
                method=PairingMethod.PRE_PAIRED,
                requested_by="a person",
                consent_reference="C-1",
            )
        )
        (armed,) = bench.of(PairingArmed)
        assert (armed.eui64, armed.window_s) == (IHD_EUI64, 60)
        assert (armed.method, armed.requested_by) == (PairingMethod.PRE_PAIRED, "a person")
        assert armed.consent_reference == "C-1"

    with_hub(scenario)


def test_a_long_window_is_broadcast_again_and_never_for_good() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hub.pair(WINDOW)
        await asyncio.sleep(700)
        assert bench.radio.permits == [(0.0, 254), (240.0, 254), (480.0, 120), (600.0, 0)]

    with_hub(scenario)


def test_permit_joining_lasts_as_long_as_the_longest_window() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hub.pair(PairingRequest(eui64=IHD_EUI64, window_s=100))
        await asyncio.sleep(50)
        await bench.hub.pair(PairingRequest(eui64=CAD_EUI64, window_s=100))
        await asyncio.sleep(200)
        assert bench.radio.permits == [(0.0, 100), (50.0, 100), (100.0, 50), (150.0, 0)]

    with_hub(scenario)


def test_what_the_radio_was_told_of_joining_is_on_record() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hub.pair(WINDOW)
        await asyncio.sleep(700)
        told = [note for note in bench.of(Note) if note.kind == "joining-permitted"]
        assert [note.detail["seconds"] for note in told] == [254, 254, 120, 0]
        assert [note.at_us - told[0].at_us for note in told] == [
            0,
            240_000_000,
            480_000_000,
            600_000_000,
        ]

    with_hub(scenario)


def test_joining_can_be_closed_before_its_time() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        await bench.hub.pair(WINDOW)
        await device.join()
        await bench.hub.pair(PairingRequest(eui64=CAD_EUI64, window_s=900))
        await asyncio.sleep(10)
        await bench.hub.close_joining()
        assert "open for 10 s" in outcomes(bench)[-1][1]
        closed = {each.eui64: each.authorised for each in bench.of(PairingWindowClosed)}
        assert closed == {IHD_EUI64: True, CAD_EUI64: False}
        assert list(bench.radio.keys) == [IHD_EUI64]
        assert bench.radio.permits[-1][1] == 0
        await asyncio.sleep(1)
        permits = len(bench.radio.permits)
        await asyncio.sleep(1000)
        assert len(bench.of(PairingWindowClosed)) == 2
        assert bench.radio.permits[permits:] == []

    with_hub(scenario)


def test_joining_is_closed_when_joins_under_way_have_ended() -> None:
    async def scenario(bench: Bench) -> None:
        slow, never = bench.device(), bench.device(CAD, 0x2B3C)
        await bench.hub.pair(WINDOW)
        await bench.hub.pair(PairingRequest(eui64=CAD_EUI64, window_s=900))
        slow.associate()
        slow.announce()
        never.associate()
        never.announce()
        closing = asyncio.ensure_future(bench.hub.close_joining())
        await asyncio.sleep(20)
        await slow.establish()
        assert not closing.done()
        before = asyncio.get_running_loop().time()
        await closing
        assert asyncio.get_running_loop().time() - before == pytest.approx(280, abs=5)
        closed = {each.eui64: each.authorised for each in bench.of(PairingWindowClosed)}
        assert closed == {IHD_EUI64: True, CAD_EUI64: False}
        assert list(bench.radio.keys) == [IHD_EUI64]
        await bench.hub.pair(PairingRequest(eui64=CAD_EUI64, window_s=900))
        await bench.hub.unpair(CAD_EUI64, "no more")
        await bench.hub.close_joining()

    with_hub(scenario)


def test_a_window_in_which_nothing_was_heard_says_so_and_leaves_no_key() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hub.pair(WINDOW)
        await asyncio.sleep(599.5)
        assert bench.radio.keys
        await asyncio.sleep(1)
        assert bench.radio.keys == {}
        ((outcome, cause),) = outcomes(bench)
        assert outcome is JoinOutcome.NOT_HEARD
        assert "600 s" in cause
        assert "nothing was heard" in cause
        (closed,) = bench.of(PairingWindowClosed)
        assert not closed.authorised
        assert closed.at_us == (START_S + 600) * 1_000_000

    with_hub(scenario)


def test_an_unlisted_device_is_refused_by_name() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hub.pair(WINDOW)
        for decision in (JoinDecision.DENIED, JoinDecision.KEY_SENT):
            bench.listener.join_seen(JoinSeen(STRANGER, 0x7777, JoinKind.JOIN, decision, 0))
        assert outcomes(bench) == [(JoinOutcome.REFUSED, "not in the device log")] * 2
        assert [started.eui64 for started in bench.of(JoinStarted)] == [STRANGER] * 2

    with_hub(scenario)


def test_a_listed_device_outside_its_window_is_refused_with_the_time() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        device.associate(decision=JoinDecision.DENIED)
        assert outcomes(bench) == [
            (JoinOutcome.REFUSED, "no pairing window was opened for it"),
        ]
        await bench.hub.pair(PairingRequest(eui64=IHD_EUI64, window_s=60))
        await asyncio.sleep(70)
        device.associate(decision=JoinDecision.KEY_SENT)
        assert outcomes(bench)[-1] == (
            JoinOutcome.REFUSED,
            "its pairing window closed at 08:01:00 UTC",
        )

    with_hub(scenario)


def test_a_refusal_by_the_radio_itself_is_told_apart() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        await bench.hub.pair(WINDOW)
        device.associate(decision=JoinDecision.DENIED)
        device.associate(decision=JoinDecision.NO_ACTION)
        assert [outcome for outcome, _ in outcomes(bench)] == [JoinOutcome.REFUSED] * 2
        assert "although its window is open" in outcomes(bench)[0][1]
        assert "sent no key" in outcomes(bench)[1][1]

    with_hub(scenario)


def test_a_wrong_install_code_shows_as_a_key_that_was_never_used() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        await bench.hub.pair(WINDOW)
        device.associate()
        await asyncio.sleep(11)
        ((outcome, cause),) = outcomes(bench)
        assert outcome is JoinOutcome.FAILED
        assert "never announced itself: wrong install code, or the link is too poor" in cause
        assert "most likely" not in cause
        device.associate()
        await asyncio.sleep(3)
        device.associate()  # before the ten seconds are over
        await asyncio.sleep(11)
        assert [cause for _, cause in outcomes(bench)][1].endswith("most likely the install code")
        assert "associated 3 times" in outcomes(bench)[2][1]
        await asyncio.sleep(600)
        assert len(outcomes(bench)) == 3, "it was heard, so there is no row that says it was not"
        assert bench.radio.keys == {}

    with_hub(scenario)


def test_a_lost_announcement_does_not_fail_a_device_that_goes_on() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        await bench.hub.pair(WINDOW)
        device.associate()
        await asyncio.sleep(1)
        await device.establish()
        assert outcomes(bench) == [(JoinOutcome.AUTHORISED, "")]

    with_hub(scenario)


def test_a_device_may_announce_nobody_but_itself() -> None:
    async def scenario(bench: Bench) -> None:
        cad = await bench.paired(CAD, nwk=0x0C0C)
        ihd = bench.device()
        await bench.hub.pair(WINDOW)
        ihd.associate()
        data = b"\x01" + (0x1A2B).to_bytes(2, "little") + IHD_EUI64.little_endian + b"\x80"
        cad.packet(data, profile=0, cluster=0x0013, source=0, endpoint=0, broadcast=True)
        assert Step.DEVICE_ANNOUNCE not in [s.step for s in bench.of(JoinStepTaken) if s.join == 2]
        assert bench.of(JoinStepTaken)[-1].join == 2

    with_hub(scenario)


def test_joining_without_key_establishment_ends_after_twenty_minutes_and_an_hour() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        await bench.hub.pair(PairingRequest(eui64=IHD_EUI64, window_s=7200))
        device.associate()
        device.announce()
        await asyncio.sleep(20 * 60 - 1)
        assert outcomes(bench) == []
        await asyncio.sleep(2)
        ((outcome, cause),) = outcomes(bench)
        assert outcome is JoinOutcome.FAILED
        assert "did not begin key establishment within 20 min" in cause
        assert bench.radio.removed == []
        await asyncio.sleep(40 * 60)
        assert bench.radio.removed == [IHD_EUI64]

    with_hub(scenario)


def test_a_join_under_way_at_the_end_of_its_window_gets_to_finish() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        await bench.hub.pair(PairingRequest(eui64=IHD_EUI64, window_s=60))
        await asyncio.sleep(58)
        device.associate()
        device.announce()
        await asyncio.sleep(10)
        assert bench.radio.permits[-1] == (60.0, 0)
        assert bench.of(PairingWindowClosed) == []
        await device.establish()
        assert outcomes(bench) == [(JoinOutcome.AUTHORISED, "")]
        (closed,) = bench.of(PairingWindowClosed)
        assert closed.authorised

    with_hub(scenario)


def test_but_not_for_ever() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        await bench.hub.pair(PairingRequest(eui64=IHD_EUI64, window_s=60))
        device.associate()
        device.announce()
        await asyncio.sleep(60 + 301)
        ((outcome, cause),) = outcomes(bench)
        assert outcome is JoinOutcome.FAILED
        assert "300 s after its window closed" in cause
        assert bench.radio.removed == [IHD_EUI64], "it has the network key and may not keep it"
        assert bench.radio.keys == {}
        assert [closed.authorised for closed in bench.of(PairingWindowClosed)] == [False]

    with_hub(scenario)


def test_a_device_that_starts_over_leaves_a_row_for_each_attempt() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        await bench.hub.pair(WINDOW)
        device.associate()
        device.announce()
        await asyncio.sleep(5)
        await device.join()
        assert outcomes(bench) == [
            (JoinOutcome.FAILED, "the device left it and started over"),
            (JoinOutcome.AUTHORISED, ""),
        ]

    with_hub(scenario)


def test_a_device_that_leaves_in_the_middle_is_told_so() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        await bench.hub.pair(WINDOW)
        device.associate()
        device.announce()
        bench.listener.device_left(IHD_EUI64, device.nwk)
        assert outcomes(bench) == [(JoinOutcome.FAILED, "the device left the network")]
        assert [n.kind for n in bench.of(Note)][-1] == "device-left"

    with_hub(scenario)


def test_rejoins_of_an_authorised_device_need_no_window() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        await asyncio.sleep(700)
        device.associate(JoinKind.SECURED_REJOIN, JoinDecision.NO_ACTION)
        device.associate(JoinKind.UNSECURED_REJOIN)
        device.announce()
        device.associate(JoinKind.UNSECURED_REJOIN)
        await device.read(0x0702, 0x0000)  # the announcement was lost, a secured frame was not
        kinds = [started.kind for started in bench.of(JoinStarted)][1:]
        assert kinds == [
            JoinKind.SECURED_REJOIN,
            JoinKind.UNSECURED_REJOIN,
            JoinKind.UNSECURED_REJOIN,
        ]
        assert [outcome for outcome, _ in outcomes(bench)] == [JoinOutcome.AUTHORISED] * 4

    with_hub(scenario)


def test_a_reset_device_that_the_hub_still_has_a_key_for_is_told_what_to_do() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        await bench.hub.pair(WINDOW)
        device.associate()
        await asyncio.sleep(20)
        assert bench.radio.keys == {IHD_EUI64: ESTABLISHED}, "adding again keeps the key"
        assert "unpair it and pair it again" in outcomes(bench)[0][1]

    with_hub(scenario, radio=FakeCoordinator({IHD_EUI64: ESTABLISHED}))


def test_a_second_start_finds_its_devices_authorised() -> None:
    radio = FakeCoordinator()

    async def first(bench: Bench) -> Secret:
        device = await bench.paired()
        assert device.established is not None
        return device.established.link_key

    async def second(bench: Bench) -> bytes | None:
        assert bench.hub.authorised(IHD_EUI64)
        assert not bench.hub.authorised(CAD_EUI64)
        (up,) = bench.of(RadioUp)
        assert up.resumed
        answer = await bench.device().read(0x0702, 0x0300)
        assert bench.of(PairingArmed) == []
        return answer

    key = with_hub(first, radio=radio)
    assert radio.keys == {IHD_EUI64: key}
    assert with_hub(second, radio=radio) == bytes.fromhex("0003 00 30 00")


def test_an_install_code_key_that_a_killed_run_left_behind_is_erased() -> None:
    async def scenario(bench: Bench) -> None:
        assert bench.radio.keys == {}
        assert not bench.hub.authorised(IHD_EUI64)

    with_hub(scenario, radio=FakeCoordinator({IHD_EUI64: IHD_KEY}))


def test_a_key_of_a_device_that_is_not_listed_is_noted() -> None:
    async def scenario(bench: Bench) -> None:
        (note,) = bench.of(Note)
        assert (note.kind, note.eui64) == ("key-of-unlisted-device", STRANGER)

    with_hub(scenario, radio=FakeCoordinator({STRANGER: ESTABLISHED}))


def test_stopping_in_a_window_leaves_no_key_and_no_open_row() -> None:
    radio = FakeCoordinator()
    events = []

    async def scenario(bench: Bench) -> None:
        events.append(bench)
        device = bench.device()
        await bench.hub.pair(WINDOW)
        device.associate()
        device.announce()
        await bench.hub.stop()

    with_hub(scenario, radio=radio)
    (bench,) = events
    assert radio.keys == {}
    assert radio.permits[-1][1] == 0
    assert not radio.running
    assert outcomes(bench) == [(JoinOutcome.FAILED, "the run ended before the join was through")]
    assert [closed.authorised for closed in bench.of(PairingWindowClosed)] == [False]


def test_unpairing_takes_the_device_off_the_network_and_out_of_the_log() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        await bench.hub.unpair(IHD_EUI64, "the consumer asked")
        assert bench.radio.removed == [IHD_EUI64]
        assert bench.radio.keys == {}
        (removed,) = bench.of(PairingRemoved)
        assert removed.reason == "the consumer asked"
        assert await device.read(0x0702, 0x0000) is None
        device.associate()
        assert outcomes(bench)[-1] == (JoinOutcome.REFUSED, "not in the device log")
        await bench.hub.unpair(IHD_EUI64, "again")
        assert len(bench.of(PairingRemoved)) == 1

    with_hub(scenario)


def test_an_unpaired_device_can_be_paired_again() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.paired()
        await bench.hub.unpair(IHD_EUI64, "moved")
        again = await bench.paired()
        assert again.established is not None

    with_hub(scenario)


def test_a_device_that_nobody_described_cannot_be_paired() -> None:
    async def scenario(bench: Bench) -> None:
        with pytest.raises(ConfigurationError, match="not in the device log"):
            await bench.hub.pair(PairingRequest(eui64=STRANGER, window_s=60))
        described = LoggedDevice(
            eui64=STRANGER, name="new", kind=DeviceKind.CAD, link_key=Secret(bytes(16))
        )
        await bench.hub.pair(PairingRequest(eui64=STRANGER, window_s=60, device=described))
        assert STRANGER in bench.radio.keys

    with_hub(scenario)


def test_the_device_log_has_an_end() -> None:
    listed = tuple(
        LoggedDevice(
            eui64=Eui64(f"00:00:00:00:00:00:01:{n:02x}"),
            name=f"d{n}",
            kind=DeviceKind.CAD,
            link_key=Secret(bytes(16)),
        )
        for n in range(16)
    )

    async def scenario(bench: Bench) -> None:
        for device in listed:
            await bench.hub.pair(PairingRequest(eui64=device.eui64, window_s=60))
        seventeenth = PairingRequest(eui64=IHD_EUI64, window_s=60, device=IHD)
        with pytest.raises(RigError, match="the device log is full: 16"):
            await bench.hub.pair(seventeenth)
        await bench.hub.unpair(listed[0].eui64, "room")
        await bench.hub.pair(seventeenth)

    with_hub(scenario, devices=listed)


def test_a_lost_radio_ends_what_was_under_way_as_infrastructure() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        await bench.hub.pair(WINDOW)
        device.associate()
        bench.listener.connection_lost("unplugged")
        bench.listener.connection_lost("unplugged")
        assert [lost.cause for lost in bench.of(RadioLost)] == ["unplugged"]
        assert outcomes(bench) == [(JoinOutcome.FAILED, "the radio was lost: unplugged")]
        await bench.hub.stop()
        assert len(bench.of(PairingWindowClosed)) == 1

    with_hub(scenario)


def test_a_hub_that_does_not_run_does_not_pair() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hub.stop()
        with pytest.raises(RigError, match="not running"):
            await bench.hub.pair(WINDOW)
        bench.device().associate()
        bench.device().announce()

    with_hub(scenario)


def test_schedules_are_declared_at_the_start() -> None:
    async def scenario(bench: Bench) -> None:
        (declared,) = bench.of(ReadScheduleDeclared)
        assert (declared.name, declared.attributes) == ("electricity", (0x0000, 0x0400))
        assert (declared.period_ms, declared.tolerance_ms) == (10_000, 2_000)

    schedule = ReadSchedule(
        eui64=IHD_EUI64,
        name="electricity",
        cluster_id=0x0702,
        endpoint="electricity",
        attributes=(0x0000, 0x0400),
        period_ms=10_000,
        tolerance_ms=2_000,
    )
    with_hub(scenario, schedules=(schedule,))


def test_a_schedule_of_a_meter_that_is_not_there_is_refused_before_the_start() -> None:
    async def scenario(bench: Bench) -> None:
        raise AssertionError("the hub must not start")

    schedule = ReadSchedule(
        eui64=IHD_EUI64,
        name="water",
        cluster_id=0x0702,
        endpoint="water",
        attributes=(0,),
        period_ms=1,
        tolerance_ms=0,
    )
    with pytest.raises(ConfigurationError, match="water"):
        with_hub(scenario, schedules=(schedule,))


@pytest.mark.parametrize("window_s", [0, 65_536])
def test_a_window_has_bounds(window_s: int) -> None:
    with pytest.raises(ValueError, match="1 to 65535"):
        PairingRequest(eui64=IHD_EUI64, window_s=window_s)


def test_the_patience_of_the_trust_centre_is_a_setting() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        await bench.hub.pair(WINDOW)
        device.associate()
        await asyncio.sleep(1.5)
        assert [outcome for outcome, _ in outcomes(bench)] == [JoinOutcome.FAILED]

    with_hub(scenario, patience=Patience(announce_s=1.0))
