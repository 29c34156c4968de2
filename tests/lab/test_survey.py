"""Which sticks there are, who has them, and which of them are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from labctl.config.inventory import Driver, Radio, UsbIdentity
from labctl.errors import RigError
from labctl.lab.survey import Look, Row, State, survey
from labctl.leases import Kind, Leases, LockFolder, Thing
from labctl.radio.holders import Holder, Holders
from labctl.radio.ports import Port
from labctl.radio.probe import Attempt, Probed
from labctl.radio.sticks import Line, stick_of
from labctl.virtual.clock import run


def port(device: str, vid: int, pid: int, serial: str | None = None, product: str = "") -> Port:
    return Port(
        device=device,
        vid=vid,
        pid=pid,
        serial_number=serial,
        location=f"1-{device[-1]}",
        by_path=f"/dev/serial/by-path/{device[-1]}",
        product=product,
        stick=stick_of(vid, pid, "", product),
    )


SKY = port("/dev/ttyUSB1", 0x10C4, 0xEA60, "sky", "SkyConnect v1.0")
ZZH_1, ZZH_2 = port("/dev/ttyUSB2", 0x1A86, 0x7523), port("/dev/ttyUSB3", 0x1A86, 0x7523)
CONBEE = port("/dev/ttyACM4", 0x1CF1, 0x0030, "c")
UART = Port(device="/dev/ttyS5")


class Bench:
    """Ports, holders and answers as a test wants them; notes what was asked."""

    def __init__(
        self,
        folder: Path,
        ports: Sequence[Port],
        *,
        held: Sequence[str] = (),
        silent: Sequence[str] = (),
    ) -> None:
        self.asked: list[str] = []
        self.silent = silent
        self.leases = Leases(LockFolder(folder / "locks"))
        holder = (Holder(41, "minicom"),)
        self.look = Look(
            ports=lambda: list(ports),
            holders=lambda _paths: Holders(dict.fromkeys(held, holder)),
            leases=lambda: self.leases,
            ask=self.answer,
        )

    async def answer(self, path: str, attempts: Sequence[Attempt]) -> Probed:
        self.asked.append(path)
        assert attempts
        if path in self.silent:
            raise RigError("nothing on this port speaks EZSP", where=path)
        return Probed(driver=attempts[0].driver, line=attempts[0].line, protocol="EZSP 13")


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    return lambda *ports, **more: Bench(tmp_path, ports, **more)


def look(bench: Bench, *args: object, **more: object) -> dict[str, Row]:
    rows = asyncio.run(survey(*args, look=bench.look, **more))  # type: ignore[arg-type]
    return {row.port.device: row for row in rows}


def test_what_may_be_a_stick_is_asked_and_nothing_else(bench: Callable[..., Bench]) -> None:
    here = bench(SKY, ZZH_1, CONBEE, UART)
    rows = look(here)
    assert {device: row.state for device, row in rows.items()} == {
        SKY.device: State.ANSWERED,
        ZZH_1.device: State.ANSWERED,
        CONBEE.device: State.OTHER,
        UART.device: State.NOT_ASKED,
    }
    assert sorted(here.asked) == [SKY.device, ZZH_1.device]


def test_what_is_named_is_asked_whatever_it_looks_like(bench: Callable[..., Bench]) -> None:
    here = bench(SKY, UART)
    rows = look(here, named=[UART.device, "socket://192.0.2.1:6638"])
    assert here.asked == [UART.device, "socket://192.0.2.1:6638"]
    assert all(row.state is State.ANSWERED for row in rows.values())


def test_nothing_is_opened_when_that_is_not_wanted(bench: Callable[..., Bench]) -> None:
    here = bench(SKY, UART)
    rows = look(here, asking=False)
    assert here.asked == []
    assert {row.state for row in rows.values()} == {State.NOT_ASKED}


def test_a_port_that_a_process_has_open_is_left_alone(bench: Callable[..., Bench]) -> None:
    here = bench(SKY, ZZH_1, held=[SKY.device])
    row = look(here)[SKY.device]
    assert row.state is State.HELD
    assert row.held_by == ("minicom (process 41)",)
    assert here.asked == [ZZH_1.device]


def test_a_stick_that_is_leased_is_left_alone_and_its_owner_named(
    bench: Callable[..., Bench],
) -> None:
    here = bench(SKY, UART)
    thing = Thing(Kind.RADIO, f"port:{UART.device}")
    with here.leases.take([thing], purpose="bench", rig="lab-7"):
        row = look(here, named=[UART.device])[UART.device]
        assert row.state is State.HELD
        assert "lab-7" in row.held_by[0]
        assert here.asked == []
    assert look(here, named=[UART.device])[UART.device].state is State.ANSWERED


def test_a_stick_is_leased_while_it_is_asked_and_free_afterwards(
    bench: Callable[..., Bench],
) -> None:
    here = bench(UART)
    held: list[int] = []
    ask = here.answer

    async def asked(path: str, attempts: Sequence[Attempt]) -> Probed:
        held.append(len(here.leases.states()))
        return await ask(path, attempts)

    here.look = Look(
        ports=here.look.ports, holders=here.look.holders, leases=here.look.leases, ask=asked
    )
    look(here, named=[UART.device])
    assert held == [1]
    assert here.leases.states() == []


def test_who_cannot_lock_does_not_ask(tmp_path: Path, bench: Callable[..., Bench]) -> None:
    here = bench(SKY)
    blocked = tmp_path / "a-file"
    blocked.touch()
    here.look = Look(
        ports=here.look.ports,
        holders=here.look.holders,
        leases=lambda: Leases(LockFolder(blocked)),
        ask=here.answer,
    )
    row = look(here)[SKY.device]
    assert (row.state, here.asked) == (State.NOT_ASKED, [])
    assert row.trouble is not None
    assert "lock folder" in row.trouble.what


def test_twins_are_shown_as_such_and_by_their_sockets(bench: Callable[..., Bench]) -> None:
    rows = look(bench(ZZH_1, ZZH_2))
    assert rows[ZZH_1.device].twins == (ZZH_2.device,)
    assert rows[ZZH_1.device].path == ZZH_1.by_path


def test_radios_of_the_inventory_are_their_ports_or_missing(bench: Callable[..., Bench]) -> None:
    radios = {
        "hub": Radio(
            driver=Driver.EZSP, usb=UsbIdentity(vid=0x10C4, pid=0xEA60, serial_number="sky")
        ),
        "net": Radio(driver=Driver.ZNP, path="socket://192.0.2.1:6638"),
        "lost": Radio(driver=Driver.EZSP, usb=UsbIdentity(vid=1, pid=2, serial_number="x")),
        "either": Radio(driver=Driver.ZNP, usb=UsbIdentity(vid=0x1A86, pid=0x7523)),
        "simulated": Radio(driver=Driver.EZSP, path="virtual"),
    }
    here = bench(SKY, ZZH_1, ZZH_2)
    rows = asyncio.run(survey(radios, look=here.look))
    by_name = {name: row for row in rows for name in row.names}
    assert by_name["hub"].port == SKY
    assert by_name["net"].state is State.ANSWERED
    assert by_name["net"].probed is not None
    assert by_name["net"].probed.driver is Driver.ZNP
    assert by_name["lost"].state is by_name["either"].state is State.MISSING
    assert by_name["either"].trouble is not None
    assert "2 sticks are 1a86:7523" in by_name["either"].trouble.what
    assert "simulated" not in by_name
    only = asyncio.run(survey({"hub": radios["hub"]}, only_radios=True, look=here.look))
    assert [row.port for row in only] == [SKY]


def test_a_radio_is_asked_as_it_is_written_and_no_other_way(bench: Callable[..., Bench]) -> None:
    here = bench(SKY, silent=[SKY.device])
    radio = Radio(driver=Driver.ZNP, path=SKY.device, baudrate=57600)
    row = look(here, {"hub": radio})[SKY.device]
    assert row.state is State.SILENT
    assert row.attempts == (Attempt(driver=Driver.ZNP, line=Line(baudrate=57600)),)
    assert row.trouble is not None


def test_a_stick_that_is_slow_to_answer_stays_leased(bench: Callable[..., Bench]) -> None:
    here = bench(UART)

    async def slowly(path: str, attempts: Sequence[Attempt]) -> Probed:
        await asyncio.sleep(300.0)
        (state,) = here.leases.states()
        assert state.entries
        return await here.answer(path, attempts)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        here.leases.monotonic_s = loop.time
        rows = await survey(
            named=[UART.device],
            look=Look(
                ports=here.look.ports,
                holders=here.look.holders,
                leases=here.look.leases,
                ask=slowly,
            ),
        )
        assert [row.state for row in rows] == [State.ANSWERED]
        assert here.leases.states() == []

    run(scenario(), fast=True)
