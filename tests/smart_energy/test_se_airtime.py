"""Airtime of frames, the sliding hour of the duty cycle, and its states."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.smart_energy.airtime import (
    BUCKET_S,
    MAC_ACK_PSDU_OCTETS,
    MAX_APS_PAYLOAD,
    MAX_PSDU_OCTETS,
    WINDOW_S,
    AirtimeWindow,
    DutyCycleState,
    Limits,
    OverTheAirState,
    aps_ack_psdu_octets,
    blocks_of,
    frame_airtime_us,
    psdu_octets_of,
    unicast_airtime_us,
)

PAGES = st.sampled_from((0, 28, 29, 30, 31))
MOMENTS = st.floats(0, 30_000, allow_nan=False)
FRAMES = st.lists(st.tuples(MOMENTS, st.integers(0, 12_000)), max_size=60)


def test_airtime_of_the_longest_frame_and_of_an_acknowledgement() -> None:
    # 802.15.4: 133 octets at 250 kb/s; R22 annex D: 139 octets at 100 kb/s.
    assert frame_airtime_us(0, 127) == 4256
    assert frame_airtime_us(28, 127) == 11_120
    assert frame_airtime_us(0, MAC_ACK_PSDU_OCTETS) == 352
    assert frame_airtime_us(31, MAC_ACK_PSDU_OCTETS) == 1360


@pytest.mark.parametrize("page", [1, 27, 32, -1])
def test_a_page_that_no_radio_has_is_refused(page: int) -> None:
    with pytest.raises(ValueError, match="page"):
        frame_airtime_us(page, 20)


def test_the_longest_payloads_fill_a_frame() -> None:
    assert MAX_APS_PAYLOAD == 82  # what an NCP tells of itself (UG100)
    assert psdu_octets_of(82, aps_encrypted=False) == MAX_PSDU_OCTETS
    assert psdu_octets_of(73, aps_encrypted=True) == MAX_PSDU_OCTETS
    assert psdu_octets_of(71, aps_encrypted=True, fragment=True) == MAX_PSDU_OCTETS
    with pytest.raises(ValueError, match="74"):
        psdu_octets_of(74, aps_encrypted=True)
    assert aps_ack_psdu_octets(aps_encrypted=True) == 54
    assert aps_ack_psdu_octets(aps_encrypted=True, fragment=True) == 57


@given(st.integers(0, 1500), st.booleans())
def test_blocks_are_the_whole_message_and_fit(octets: int, aps_encrypted: bool) -> None:
    blocks = blocks_of(octets, aps_encrypted=aps_encrypted)
    assert sum(blocks) == octets
    for block in blocks:
        fragment = len(blocks) > 1
        assert psdu_octets_of(block, aps_encrypted=aps_encrypted, fragment=fragment) <= 127


@given(PAGES, st.integers(0, 1500), st.booleans(), st.booleans())
def test_more_octets_never_cost_less(page: int, octets: int, secured: bool, ack: bool) -> None:
    less = unicast_airtime_us(page, octets, aps_encrypted=secured, aps_ack=ack)
    more = unicast_airtime_us(page, octets + 1, aps_encrypted=secured, aps_ack=ack)
    assert more.sender_us > less.sender_us
    assert more.receiver_us >= less.receiver_us


def test_a_read_is_accounted_to_both_parties() -> None:
    # A request of 5 octets secured with a link key: 59 octets, acknowledged by the MAC and by APS.
    spent = unicast_airtime_us(28, 5, aps_encrypted=True)
    assert spent.sender_us == (12 + 59) * 80 + 1360
    assert spent.receiver_us == 1360 + (12 + 54) * 80


def test_the_two_enumerations_of_the_state_differ_by_one() -> None:
    assert [int(state) for state in DutyCycleState] == [0, 1, 2, 3, 4]
    for state in OverTheAirState:
        assert DutyCycleState.from_over_the_air(state).over_the_air is state
        assert DutyCycleState.from_over_the_air(state).name == state.name
    assert DutyCycleState.OFF.over_the_air is OverTheAirState.NORMAL


def test_limits_of_the_pages() -> None:
    assert Limits.of_page(28) == Limits.of_page(29) == Limits(54_000_000, 75_000_000, 100_000_000)
    assert Limits.of_page(30) == Limits.of_page(31) == Limits(54_000_000, 75_000_000, 90_000_000)
    assert Limits.of_page(28).hundredths == (150, 208, 277)
    with pytest.raises(ValueError, match="no duty cycle"):
        Limits.of_page(0)
    with pytest.raises(ValueError, match="ascend"):
        Limits(75_000_000, 54_000_000)


def test_firmware_is_told_limits_that_are_never_looser() -> None:
    limits = Limits.of_page(28)
    again = Limits.from_hundredths(*limits.hundredths)
    assert again.limited_us <= limits.limited_us
    assert again.critical_us <= limits.critical_us
    assert again.regulated_us <= limits.regulated_us


@given(st.integers(0, 200_000_000), st.integers(0, 1_000_000))
def test_more_airtime_never_means_a_better_state(used: int, more: int) -> None:
    limits = Limits()
    assert limits.state(used + more) >= limits.state(used)


def test_a_state_begins_at_its_limit() -> None:
    limits = Limits()
    for state in (DutyCycleState.LIMITED, DutyCycleState.CRITICAL, DutyCycleState.SUSPENDED):
        assert limits.state(limits.of(state)) is state
        assert limits.state(limits.of(state) - 1) == state - 1


@given(FRAMES, MOMENTS)
def test_the_window_holds_the_hour_and_at_most_a_bucket_more(
    frames: list[tuple[float, int]], later: float
) -> None:
    window = AirtimeWindow()
    frames.sort()
    for at_s, us in frames:
        window.add(us, at_s)
    now = (frames[-1][0] if frames else 0.0) + later
    used = window.used_us(now)
    assert used >= sum(us for at_s, us in frames if at_s > now - WINDOW_S)
    assert used <= sum(us for at_s, us in frames if at_s >= now - WINDOW_S - BUCKET_S)


@given(FRAMES)
def test_the_window_never_grows_by_itself(frames: list[tuple[float, int]]) -> None:
    window = AirtimeWindow()
    frames.sort()
    for at_s, us in frames:
        window.add(us, at_s)
    start = frames[-1][0] if frames else 0.0
    seen = [window.used_us(start + step * 97.0) for step in range(60)]
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == 0


def test_a_step_back_of_the_clock_is_counted_now() -> None:
    window = AirtimeWindow()
    window.add(100, 10_000.0)
    window.add(50, 9_000.0)
    assert window.used_us(9_500.0) == 150
    assert window.used_us(10_000.0 + WINDOW_S - BUCKET_S) == 150
    assert window.used_us(10_000.0 + WINDOW_S + BUCKET_S) == 0


def test_negative_airtime_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        AirtimeWindow().add(-1, 0.0)


@given(
    st.lists(st.tuples(st.floats(0, 4000), st.integers(0, 300_000)), max_size=40),
    st.floats(100.0, 60_000.0),
)
def test_a_forecast_is_what_comes_of_it(frames: list[tuple[float, int]], rate: float) -> None:
    """Going on at that rate, the window is at the limit then and not a moment before."""
    limit = 54_000_000
    window = AirtimeWindow()
    frames.sort()
    for at_s, us in frames:
        window.add(us, at_s)
    now = frames[-1][0] if frames else 0.0
    expected = window.forecast(limit, now, rate=rate)
    steps = 2 * (WINDOW_S + BUCKET_S)
    reached = None
    for second in range(1, steps + 1):
        window.add(math.floor(rate), now + second - 0.5)
        if window.used_us(now + second) >= limit:
            reached = second
            break
    if expected is None:
        assert reached is None
    elif reached is None:
        assert expected >= steps - 1 or rate * (WINDOW_S + BUCKET_S) - limit < 2 * rate + 8000
    else:
        # What is added in whole µs and whole seconds is late by little.
        assert expected - 2 <= reached <= expected + 2 + expected / math.floor(rate)


def test_a_forecast_of_the_present_rate() -> None:
    window = AirtimeWindow()
    for second in range(600):
        window.add(20_000, float(second))
    assert window.rate(599.0) == pytest.approx(20_000, rel=0.01)
    # 54 s at 20 ms/s are 2700 s, of which 600 are gone.
    seconds = window.forecast(54_000_000, 599.0)
    assert seconds is not None
    assert seconds == pytest.approx(2100, rel=0.01)
    assert window.forecast(10_000_000, 599.0) == 0.0


def test_no_forecast_without_traffic_or_below_the_limit() -> None:
    window = AirtimeWindow()
    assert window.forecast(54_000_000, 100.0) is None
    assert window.forecast(54_000_000, 100.0, rate=13_000.0) is None  # 3900 s of it are 50.7 s
    assert window.forecast(54_000_000, 100.0, rate=15_000.0) is not None
