"""One owner at a time, whatever becomes of him."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from lease_lab import DISPLAY, OTHER, STICK, SetClock, another_process, leases_in

from labctl.errors import BusyError, ExitCode, RigError
from labctl.leases import LeaseLostError, LockFolder
from labctl.leases.leases import LEASE_VARIABLE, SILENT_AFTER_S


def test_a_thing_has_one_owner_at_a_time(tmp_path: Path) -> None:
    first = leases_in(tmp_path).take([STICK], purpose="bench", rig="east")
    with pytest.raises(BusyError) as raised:
        leases_in(tmp_path).take([STICK], purpose="bench")
    assert raised.value.exit_code is ExitCode.BUSY
    assert f"the radio {STICK.identity} is in use by process {os.getpid()}" in raised.value.what
    assert "for bench on rig east" in raised.value.what
    assert "no end was told" in raised.value.what
    first.release()
    leases_in(tmp_path).take([STICK], purpose="bench").release()


def test_who_comes_second_is_told_until_when(tmp_path: Path) -> None:
    clock = SetClock()
    leases = leases_in(tmp_path, clock)
    lease = leases.take([STICK], purpose="x", until_us=1_790_003_600_000_000)
    with pytest.raises(BusyError, match="until 2026-09-21 15:13:20 UTC"):
        leases.take([STICK], purpose="y")
    lease.release()


def test_several_things_are_taken_together_or_not_at_all(tmp_path: Path) -> None:
    leases = leases_in(tmp_path)
    held = leases.take([OTHER], purpose="x")
    with pytest.raises(BusyError):
        leases.take([DISPLAY, STICK, OTHER], purpose="y")
    assert [state.thing for state in leases.states()] == [OTHER]
    held.release()
    both = leases.take([STICK, DISPLAY, STICK], purpose="y")
    assert both.things == tuple(sorted((STICK, DISPLAY)))
    both.release()


def test_the_lease_of_a_killed_process_ends_at_once(tmp_path: Path) -> None:
    leases = leases_in(tmp_path)
    with another_process(tmp_path, STICK) as process:
        (state,) = leases.states()
        assert state.entries[0].pid == process.pid
        with pytest.raises(BusyError):
            leases.take([STICK], purpose="y")
        process.kill()
        process.wait()
        assert leases.states() == []
        began = time.monotonic()
        leases.take([STICK], purpose="y").release()
        assert time.monotonic() - began < 1.0


def test_whoever_waits_gets_it_when_its_owner_dies(tmp_path: Path) -> None:
    with another_process(tmp_path, STICK) as process:
        told: list[str] = []

        def kill(error: BusyError) -> None:
            told.append(error.what)
            process.kill()

        began = time.monotonic()
        lease = leases_in(tmp_path).take([STICK], purpose="y", wait_s=30.0, waiting=kill)
        assert time.monotonic() - began < 2.0
        assert len(told) == 1
        lease.release()


def test_waiting_has_an_end(tmp_path: Path) -> None:
    lease = leases_in(tmp_path).take([STICK], purpose="x")
    began = time.monotonic()
    with pytest.raises(BusyError):
        leases_in(tmp_path).take([STICK], purpose="y", wait_s=0.3)
    assert 0.3 <= time.monotonic() - began < 3.0
    lease.release()


def test_a_process_that_stopped_loses_its_lease_at_its_expiry(tmp_path: Path) -> None:
    clock = SetClock()
    leases = leases_in(tmp_path, clock)
    silent = leases.take([STICK], purpose="x", ttl_s=10.0)
    clock.now_s += 9.9
    with pytest.raises(BusyError):
        leases.take([STICK], purpose="y")
    clock.now_s += 0.2
    other = leases.take([STICK], purpose="y", ttl_s=10.0)
    assert other.token(STICK) > silent.token(STICK)
    for ask in (silent.check, silent.beat):
        with pytest.raises(LeaseLostError, match="is held by process"):
            ask()
    silent.release()
    other.check()  # what the first one gave back was not the second one's
    with pytest.raises(BusyError):
        leases.take([STICK], purpose="z")
    other.release()


def test_a_stopped_process_is_passed_over_and_finds_itself_locked_out(tmp_path: Path) -> None:
    """The kernel lock of a stopped process cannot be had: the next owner has another seat."""
    with another_process(tmp_path, STICK) as process:
        process.send_signal(signal.SIGSTOP)
        clock = SetClock()
        clock.now_s = time.monotonic() + SILENT_AFTER_S + 1.0
        lease = leases_in(tmp_path, clock).take([STICK], purpose="y")
        assert (tmp_path / f"{STICK.file_stem}.1.lock").exists()
        lease.check()
        process.send_signal(signal.SIGCONT)
        assert process.stdin is not None
        process.stdin.close()  # it gives back what it has: nothing
        process.wait()
        lease.check()
        lease.release()


def test_a_heartbeat_keeps_a_lease(tmp_path: Path) -> None:
    clock = SetClock()
    leases = leases_in(tmp_path, clock)
    lease = leases.take([STICK, OTHER], purpose="x", ttl_s=10.0)
    for _ in range(5):
        clock.now_s += 8.0
        lease.beat()
    with pytest.raises(BusyError):
        leases.take([OTHER], purpose="y")
    lease.release()


def test_a_silent_lease_that_nobody_took_is_renewed_by_its_owner(tmp_path: Path) -> None:
    clock = SetClock()
    leases = leases_in(tmp_path, clock)
    lease = leases.take([STICK], purpose="x", ttl_s=10.0)
    clock.now_s += 100.0
    assert leases.states() == []
    lease.check(STICK)
    with pytest.raises(BusyError):
        leases.take([STICK], purpose="y")
    lease.release()


def test_without_an_expiry_a_lease_lasts_as_long_as_its_process(tmp_path: Path) -> None:
    clock = SetClock()
    leases = leases_in(tmp_path, clock)
    lease = leases.take([STICK], purpose="x", ttl_s=None)
    clock.now_s += 1e9
    lease.check()
    with pytest.raises(BusyError):
        leases.take([STICK], purpose="y")
    lease.release()


def test_tokens_only_grow(tmp_path: Path) -> None:
    tokens = []
    for _ in range(5):
        lease = leases_in(tmp_path).take([STICK], purpose="x")
        tokens.append(lease.token(STICK))
        lease.release()
    (broken,) = [leases_in(tmp_path).take([STICK], purpose="x")]
    leases_in(tmp_path).break_([STICK])
    lease = leases_in(tmp_path).take([STICK], purpose="x")
    tokens += [broken.token(STICK), lease.token(STICK)]
    assert tokens == sorted(set(tokens))
    lease.release()
    broken.release()


def test_a_broken_lease_is_lost_and_its_owner_hears_of_it_once(tmp_path: Path) -> None:
    leases = leases_in(tmp_path)
    lease = leases.take([STICK, OTHER], purpose="x")
    heard: list[LeaseLostError] = []
    lease.when_lost(heard.append)
    (state,) = leases.break_([STICK])
    assert state.entries[0].purpose == "x"
    for _ in range(2):
        with pytest.raises(LeaseLostError, match="it was broken"):
            lease.check()
    assert len(heard) == 1
    assert leases.break_([STICK]) == []
    second = leases.take([STICK], purpose="y")  # although the first one still lives
    second.check()
    lease.release()
    second.check()
    second.release()


def test_a_lease_can_be_used_from_inside(tmp_path: Path) -> None:
    leases = leases_in(tmp_path)
    outer = leases.take([STICK, OTHER], purpose="by hand")
    inner = leases.take([STICK], purpose="bench", inside=outer.lease_id)
    with pytest.raises(BusyError, match="for bench"):
        leases.take([STICK], purpose="second", inside=outer.lease_id)
    with pytest.raises(LeaseLostError, match="lent"):
        outer.check(STICK)
    outer.check(OTHER)
    outer.beat()  # lent is not lost
    inner.check()
    inner.release()
    outer.check()
    with pytest.raises(BusyError, match="by hand"):
        leases.take([STICK], purpose="second", inside="somebody else's")
    outer.release()


def test_who_works_inside_of_a_lease_keeps_the_thing_when_the_outer_one_ends(
    tmp_path: Path,
) -> None:
    leases = leases_in(tmp_path)
    outer = leases.take([STICK], purpose="by hand")
    inner = leases.take([STICK], purpose="bench", inside=outer.lease_id)
    outer.release()
    inner.check()
    with pytest.raises(BusyError, match="for bench"):
        leases.take([STICK], purpose="second")
    inner.release()
    assert leases.states() == []


def test_the_lease_to_work_inside_of_is_found_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = leases_in(tmp_path)
    outer = leases.take([STICK], purpose="by hand")
    monkeypatch.setenv(LEASE_VARIABLE, outer.lease_id)
    leases.take([STICK], purpose="bench").release()
    outer.release()


@pytest.mark.parametrize(
    "damage",
    [b"", b"labctl-lease-1 1 2 3 4\n{}", os.urandom(8192), b"\0" * 8191 + b"x", b"\xff" * 4096],
)
def test_a_damaged_record_gives_the_thing_to_nobody(tmp_path: Path, damage: bytes) -> None:
    leases = leases_in(tmp_path)
    lease = leases.take([STICK], purpose="x")
    token = lease.token(STICK)
    record = tmp_path / f"{STICK.file_stem}.lease"
    record.write_bytes(damage)
    with pytest.raises(RigError, match="is damaged") as raised:
        leases.take([STICK], purpose="y")
    assert raised.value.exit_code is ExitCode.RIG_UNAVAILABLE
    assert [(state.thing, state.damaged) for state in leases.states()] == [(STICK, True)]
    with pytest.raises(LeaseLostError):
        lease.check()
    (broken,) = leases.break_([STICK])
    assert broken.damaged
    second = leases.take([STICK], purpose="y")
    assert second.token(STICK) > token
    second.release()
    lease.release()


def test_one_torn_page_is_the_state_before(tmp_path: Path) -> None:
    """What a kill in the middle of writing leaves: the owner before, whose seat is free."""
    leases = leases_in(tmp_path)
    leases.take([STICK], purpose="x").release()
    record = tmp_path / f"{STICK.file_stem}.lease"
    state = bytearray(record.read_bytes())
    for at in range(0, 4096, 7):
        state[at] ^= 0x55
    record.write_bytes(bytes(state))
    lease = leases.take([STICK], purpose="y")
    lease.check()
    lease.release()


def test_a_record_that_was_removed_does_not_give_the_thing_away(tmp_path: Path) -> None:
    leases = leases_in(tmp_path)
    lease = leases.take([STICK], purpose="x")
    (tmp_path / f"{STICK.file_stem}.lease").unlink()
    with pytest.raises(RigError, match="is damaged"):
        leases.take([STICK], purpose="y")
    with pytest.raises(LeaseLostError):
        lease.check()
    lease.release()
    leases.take([STICK], purpose="y").release()


def test_removing_the_whole_folder_ends_all_leases_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    lease = leases_in(folder).take([STICK], purpose="x")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    second = leases_in(folder).take([STICK], purpose="y")
    with pytest.raises(LeaseLostError):
        lease.check()
    second.check()
    second.release()
    lease.release()


def test_a_token_that_is_given_out_a_second_time_is_not_mine(tmp_path: Path) -> None:
    """The counter starts again in a new folder; a lease is its number and its own random name."""
    folder = tmp_path / "locks"
    lease = leases_in(folder).take([STICK], purpose="x")
    for path in folder.iterdir():
        path.unlink()
    second = leases_in(folder).take([STICK], purpose="y")
    assert second.token(STICK) == lease.token(STICK)
    with pytest.raises(LeaseLostError):
        lease.check()
    second.release()
    lease.release()


def test_a_check_costs_no_more_than_reading_a_small_file(tmp_path: Path) -> None:
    lease = leases_in(tmp_path).take([STICK], purpose="x")
    record = tmp_path / f"{STICK.file_stem}.lease"

    def times(work: object, count: int = 300) -> float:
        began = time.perf_counter()
        for _ in range(count):
            work()  # type: ignore[operator]
        return time.perf_counter() - began

    check = min(times(lambda: lease.check(STICK)) for _ in range(5))
    reading = min(times(record.read_bytes) for _ in range(5))
    assert check < 5 * reading
    lease.release()


def test_a_process_that_stopped_while_it_changed_the_leases_is_said(tmp_path: Path) -> None:
    folder = LockFolder(tmp_path)
    with (
        folder.guard(),
        pytest.raises(BusyError, match="has stopped") as raised,
        LockFolder(tmp_path).guard(patience_s=0.05),
    ):
        pass
    assert "fuser" in raised.value.mend


def test_what_is_no_text_can_be_a_purpose(tmp_path: Path) -> None:
    leases = leases_in(tmp_path)
    lease = leases.take([STICK], purpose="caf\udce9\n" + "ü" * 500, rig="ü" * 500)
    inner = leases.take([STICK], purpose="ü" * 500, inside=lease.lease_id)
    with pytest.raises(BusyError):
        leases.take([STICK], purpose="y")
    inner.release()
    (state,) = leases.states()
    assert state.entries[0].purpose.startswith("caf? ü")
    lease.release()
