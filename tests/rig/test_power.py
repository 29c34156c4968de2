"""Switching power: what a switch says is believed when the stick vanishes and comes back."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path

import pytest

from labctl.cli.main import main
from labctl.config.inventory import Radio
from labctl.config.power import Power
from labctl.errors import RigError
from labctl.leases import Kind, Leases, LockFolder, Thing
from labctl.rig.power import Ability, PowerBook, PowerSwitch, radio_switch

_UHUBCTL = """#!/bin/sh
# uhubctl -l HUB -p PORT -a STATE: the stick of a port is a file.
echo "$@" >> {log}
[ "$2" = 1-1.4 ] && [ "$4" = 2 ] || {{ echo "No compatible devices detected!"; exit 1; }}
case "{way} $6" in
  "good off"|"not-back off") rm -f {stick} ;;
  "good on") : > {stick} ;;
esac
echo "Sent power $6 request"
"""


class Hub:
    """A USB hub with a stick in port 2, and a program `uhubctl` that knows it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, way: str = "good") -> None:
        self.stick = folder / "ttyUSB0"
        self.stick.write_text("")
        self.log = folder / "log"
        self.book = PowerBook(folder)
        program = folder / "bin" / "uhubctl"
        program.parent.mkdir()
        program.write_text(_UHUBCTL.format(log=self.log, stick=self.stick, way=way))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    def switch(self, *, port: int = 2, seen: bool = True) -> PowerSwitch:
        power = Power.model_validate(
            {
                "uhubctl": {"location": "1-1.4", "port": port},
                "off_for": "100ms",
                "back_within": "1s",
            }
        )
        return PowerSwitch("stick-1", power, self.book, self.stick.exists if seen else None)

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    return Hub(tmp_path, monkeypatch)


def test_a_stick_is_switched_off_and_on_and_that_it_works_is_known(hub: Hub) -> None:
    seen = asyncio.run(hub.switch().cycle())
    assert seen.ability is Ability.SWITCHES
    assert hub.calls() == ["-l 1-1.4 -p 2 -a off", "-l 1-1.4 -p 2 -a on"]
    assert hub.book.known("uhubctl:1-1.4:2") == seen
    assert hub.switch().worth_trying


def test_a_hub_that_says_yes_and_leaves_the_power_on_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.rig.power._GONE_WITHIN_S", 0.3)
    hub = Hub(tmp_path, monkeypatch, way="liar")
    with pytest.raises(RigError, match="the stick stayed") as raised:
        asyncio.run(hub.switch().cycle())
    assert "does not switch the power" in raised.value.mend
    assert hub.calls()[-1].endswith("-a on"), "it is switched on whatever came of it"
    known = hub.book.known("uhubctl:1-1.4:2")
    assert known is not None
    assert known.ability is Ability.STAYS_ON
    assert not hub.switch().worth_trying


def test_a_stick_that_does_not_come_back_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(tmp_path, monkeypatch, way="not-back")
    with pytest.raises(RigError, match="not back within 1 s"):
        asyncio.run(hub.switch().cycle())
    assert hub.switch().worth_trying, "the port does switch"


def test_a_port_that_the_hub_does_not_have_is_said_and_remembered(hub: Hub) -> None:
    switch = hub.switch(port=3)
    with pytest.raises(RigError, match="exit code 1: No compatible devices detected!"):
        asyncio.run(switch.cycle())
    assert not switch.worth_trying
    assert hub.switch().worth_trying, "another port of it is another matter"


def test_what_nobody_can_see_is_not_claimed(hub: Hub) -> None:
    assert asyncio.run(hub.switch(seen=False).cycle()).ability is Ability.UNSEEN


def test_a_stick_that_was_not_there_proves_nothing(hub: Hub) -> None:
    hub.stick.unlink()
    assert asyncio.run(hub.switch().cycle()).ability is Ability.UNSEEN
    assert hub.stick.exists()


def test_nothing_is_left_without_power_when_a_run_ends_in_between(hub: Hub) -> None:
    async def main() -> None:
        cycling = asyncio.create_task(hub.switch().cycle())
        while hub.stick.exists():  # noqa: ASYNC110 - a file tells nobody that it goes
            await asyncio.sleep(0.005)
        cycling.cancel()
        await asyncio.gather(cycling, return_exceptions=True)

    asyncio.run(main())
    assert hub.stick.exists()


def test_a_switch_that_is_somebody_elses_is_not_used(hub: Hub) -> None:
    def lost() -> None:
        raise RigError("the lease is lost")

    power = Power.model_validate({"uhubctl": {"location": "1-1.4", "port": 2}})
    switch = PowerSwitch("stick-1", power, hub.book, hub.stick.exists, lost)
    with pytest.raises(RigError, match="the lease is lost"):
        asyncio.run(switch.switch(on=False))
    assert not hub.log.exists()


def test_a_command_is_run_without_a_shell(tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = tmp_path / "switch it"
    program.write_text(f'#!/bin/sh\nprintf "%s|" "$@" >> {told}\n')
    program.chmod(0o700)
    power = Power.model_validate(
        {"command": f"'{program}' 'outlet 3; $HOME' state={{state}}", "off_for": "100ms"}
    )
    asyncio.run(PowerSwitch("ihd", power, PowerBook(tmp_path)).cycle())
    assert told.read_text() == "outlet 3; $HOME|state=off|outlet 3; $HOME|state=on|"


def test_a_program_that_is_not_there_is_said(tmp_path: Path) -> None:
    power = Power.model_validate({"command": "/nonexistent/switch {state}"})
    with pytest.raises(RigError, match="/nonexistent/switch cannot be run") as raised:
        asyncio.run(PowerSwitch("ihd", power, PowerBook(tmp_path)).cycle())
    assert "power" in raised.value.mend


def test_a_program_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.rig.power._COMMAND_S", 0.2)
    power = Power.model_validate({"command": "sh -c 'exec sleep 60' {state}"})
    with pytest.raises(RigError, match="did not end within"):
        asyncio.run(PowerSwitch("ihd", power, PowerBook(tmp_path)).switch(on=True))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"uhubctl:1-1.4:2": 3}', '{"uhubctl:1-1.4:2": {"ability": "x"}}']
)
def test_a_damaged_book_is_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "power.json").write_text(text)
    book = PowerBook(tmp_path)
    assert book.known("uhubctl:1-1.4:2") is None


def test_the_book_keeps_each_port(hub: Hub, tmp_path: Path) -> None:
    asyncio.run(hub.switch().cycle())
    with pytest.raises(RigError):
        asyncio.run(hub.switch(port=3).cycle())
    book = json.loads((tmp_path / "power.json").read_text())
    assert {port: seen["ability"] for port, seen in book.items()} == {
        "uhubctl:1-1.4:2": "switches",
        "uhubctl:1-1.4:3": "refuses",
    }


def test_a_radio_of_the_inventory_has_its_switch(hub: Hub) -> None:
    radio = Radio.model_validate(
        {
            "driver": "ezsp",
            "path": str(hub.stick),
            "power": {"uhubctl": {"location": "1-1.4", "port": 2}, "off_for": "100ms"},
        }
    )
    switch = radio_switch("stick-1", radio, hub.book, lambda: None)
    assert switch is not None
    assert asyncio.run(switch.cycle()).ability is Ability.SWITCHES
    by_hand = Radio.model_validate({"driver": "ezsp", "path": "/dev/ttyUSB0", "power": "none"})
    assert radio_switch("stick-1", by_hand, hub.book, lambda: None) is None


def test_a_switch_is_tried_from_the_command_line(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(
        "radios:\n"
        f"  stick-1: {{driver: ezsp, path: {hub.stick}, power: "
        "{uhubctl: {location: 1-1.4, port: 2}, off_for: 100ms}}\n"
        f"  stick-2: {{driver: ezsp, path: {hub.stick}, power: none}}\n"
    )
    where = ["--inventory", str(inventory)]
    assert main(["power", "list", *where]) == 0
    assert "never tried" in capsys.readouterr().out
    assert main(["power", "cycle", "stick-1", *where]) == 0
    assert "vanished and came back" in capsys.readouterr().out
    assert main(["power", "list", "--json", *where]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["data"]
    assert listed["seen"]["ability"] == "switches"
    assert main(["power", "cycle", "stick-2", *where]) == 2
    stick = Thing(Kind.RADIO, f"port:{hub.stick}")
    with Leases(LockFolder.shared()).take([stick], purpose="a run"):
        assert main(["power", "cycle", "stick-1", *where]) == 75
    assert "a run" in capsys.readouterr().err
    assert len(hub.calls()) == 2
