"""What tells one stick from another, and which port a radio of the inventory is."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from labctl.config.inventory import Driver, FlowControl, Radio, UsbIdentity
from labctl.errors import RigError
from labctl.radio.firmware import Fitness, judge
from labctl.radio.holders import port_holders
from labctl.radio.ports import Port, identity, list_ports, resolve, steady_path, twins
from labctl.radio.probe import Probed, attempts_for, attempts_of
from labctl.radio.sticks import STICKS, Confidence, Line, stick_of

CP210X, CH340, XDS110, CP2105 = (
    (0x10C4, 0xEA60),
    (0x1A86, 0x7523),
    (0x0451, 0xBEF3),
    (0x10C4, 0x8A2A),
)


@dataclass
class Info:
    """What pyserial says of a port."""

    device: str
    vid: int | None = None
    pid: int | None = None
    serial_number: str | None = None
    location: str | None = None
    manufacturer: str | None = None
    product: str | None = None


def usb(
    device: str,
    ids: tuple[int, int],
    serial: str | None = None,
    at: str | None = None,
    product: str | None = None,
    maker: str | None = None,
) -> Info:
    return Info(device, ids[0], ids[1], serial, at, maker, product)


@pytest.fixture
def listed(tmp_path: Path) -> Callable[..., list[Port]]:
    """Lists these ports; devices are files, and the links to them are made as udev does."""
    for folder in ("by-id", "by-path"):
        (tmp_path / "serial" / folder).mkdir(parents=True)

    def make(*infos: Info) -> list[Port]:
        for info in infos:
            info.device = str(tmp_path / info.device)
            Path(info.device).touch()
            if info.vid is None:
                continue
            name = f"usb-{info.vid:04x}_{info.serial_number or 'USB_Serial'}-if00"
            for folder, link in (("by-id", name), ("by-path", f"pci-usb-0:{info.location}:1.0")):
                path = tmp_path / "serial" / folder / link
                path.unlink(missing_ok=True)  # udev: the last one wins
                path.symlink_to(info.device)
        return list_ports(lambda: infos, tmp_path / "serial")

    return make


def radio(path: str | None = None, ids: tuple[int, int] | None = None, serial: str | None = None):
    known = None if ids is None else UsbIdentity(vid=ids[0], pid=ids[1], serial_number=serial)
    said = {"path": path} if path is not None else {}
    return Radio(driver=Driver.EZSP, usb=known, **said)


# -- what a port is -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "maker", "product", "driver", "confidence", "flow"),
    [
        (CP210X, "ITead", "Sonoff Zigbee 3.0 USB Dongle Plus", Driver.ZNP, "likely", "none"),
        (CP210X, "Itead", "Sonoff Zigbee 3.0 USB Dongle Plus V2", Driver.EZSP, "likely", "none"),
        (CP210X, "Nabu Casa", "SkyConnect v1.0", Driver.EZSP, "likely", "hardware"),
        (CP210X, "SMLIGHT", "SMLIGHT SLZB-07p7", Driver.ZNP, "likely", "none"),
        (CP210X, "SMLIGHT", "SMLIGHT SLZB-07", Driver.EZSP, "likely", "hardware"),
        (CP210X, "Silicon Labs", "CP2102N USB to UART Bridge Controller", None, "possible", "none"),
        (CH340, None, "USB Serial", None, "possible", "none"),
        ((0x0403, 0x6015), "dresden elektronik", "ConBee III", None, "other", "none"),
        ((0x0403, 0x6015), "Electrolama", "zzhp", Driver.ZNP, "likely", "none"),
        ((0x1CF1, 0x0030), "dresden elektronik", "ConBee II", None, "other", "none"),
        ((0x303A, 0x4001), "Nabu Casa", "ZWA-2", None, "other", "none"),
        ((0x303A, 0x4001), "Nabu Casa", "ZBT-2", Driver.EZSP, "likely", "hardware"),
    ],
)
def test_a_stick_is_known_by_its_names_as_far_as_they_tell(
    ids: tuple[int, int],
    maker: str | None,
    product: str,
    driver: Driver | None,
    confidence: str,
    flow: str,
) -> None:
    stick = stick_of(*ids, maker, product)
    assert stick is not None
    assert (stick.driver, stick.confidence, stick.line.flow_control) == (
        driver,
        Confidence(confidence),
        FlowControl(flow),
    )


def test_what_has_no_usb_ids_or_unknown_ones_is_not_known() -> None:
    assert stick_of(None, None, None, None) is None
    assert stick_of(0x1234, 0x5678, "Somebody", "Something") is None


def test_every_stick_of_the_table_can_be_found() -> None:
    """No entry is hidden by another one before it, but for those that share a pattern."""
    for stick in STICKS:
        words = {
            "maker": stick.maker.replace("\\", "").split("|")[0],
            "product": stick.product.replace("\\", "").split("|")[0],
        }
        if "(" in stick.product:  # sonoff.*(mg24|mg21|max)
            words["product"] = "sonoff dongle plus mg24"
        if stick.product == r"z-?wave":
            words["product"] = "zwave"
        found = stick_of(stick.vid, stick.pid, words["maker"], words["product"])
        assert found is stick, stick.name


def test_the_likely_is_tried_first_and_the_other_protocol_after(
    listed: Callable[..., list[Port]],
) -> None:
    (sky,) = listed(usb("tty1", CP210X, "a", "1-1", "SkyConnect v1.0", "Nabu Casa"))
    attempts = attempts_for(sky)
    assert attempts[0].driver is Driver.EZSP
    assert attempts[0].line == Line(flow_control=FlowControl.HARDWARE)
    assert {attempt.driver for attempt in attempts} == {Driver.EZSP, Driver.ZNP}
    assert len(set(attempts)) == len(attempts)
    (sonoff,) = listed(
        usb("tty2", CP210X, "b", "1-2", "Sonoff Zigbee 3.0 USB Dongle Plus", "ITead")
    )
    assert attempts_for(sonoff)[0].driver is Driver.ZNP
    over_network = attempts_for(Port(device="socket://h:1"))
    assert [attempt.driver for attempt in over_network] == [Driver.EZSP, Driver.ZNP]


def test_a_radio_of_the_inventory_is_tried_as_it_is_written() -> None:
    written = Radio(
        driver=Driver.ZNP, path="/dev/x", baudrate=57600, flow_control=FlowControl.SOFTWARE
    )
    (attempt,) = attempts_of(written)
    assert attempt.driver is Driver.ZNP
    assert attempt.line == Line(baudrate=57600, flow_control=FlowControl.SOFTWARE)


# -- listing --------------------------------------------------------------------------------------


def test_sticks_come_first_and_have_their_links(listed: Callable[..., list[Port]]) -> None:
    ports = listed(
        Info("ttyS0"),
        usb("ttyUSB10", CP210X, "ccc", "1-3", "Sonoff Zigbee 3.0 USB Dongle Plus V2"),
        usb("ttyUSB2", CP210X, "bbb", "1-2", "Sonoff Zigbee 3.0 USB Dongle Plus V2"),
        usb("ttyUSB1", CH340, None, "1-1"),
    )
    assert [Path(port.device).name for port in ports] == ["ttyUSB2", "ttyUSB10", "ttyUSB1", "ttyS0"]
    assert ports[0].by_id is not None
    assert ports[0].by_id.endswith("usb-10c4_bbb-if00")
    assert steady_path(ports[0], ports) == ports[0].by_id
    assert steady_path(ports[3], ports) == ports[3].device


def test_without_by_id_folders_there_are_ports_all_the_same(tmp_path: Path) -> None:
    ports = list_ports(lambda: [usb("/dev/cu.usbserial-1", CP210X, "aa", "1-1")], tmp_path / "no")
    assert [port.by_id for port in ports] == [None]
    assert steady_path(ports[0], ports) == "/dev/cu.usbserial-1"


def test_two_bridges_without_serial_numbers_are_twins_and_known_by_their_sockets(
    listed: Callable[..., list[Port]],
) -> None:
    ports = listed(usb("ttyUSB0", CH340, None, "1-1.1"), usb("ttyUSB1", CH340, None, "1-1.2"))
    assert [twins(port, ports)[0].device for port in ports] == [ports[1].device, ports[0].device]
    assert [port.by_id is None for port in ports].count(True) == 1, "udev has one link for both"
    for port in ports:
        assert steady_path(port, ports) == port.by_path


def test_serial_numbers_that_are_the_same_make_twins_as_well(
    listed: Callable[..., list[Port]],
) -> None:
    ports = listed(usb("a", CP210X, "0001", "1-1"), usb("b", CP210X, "0001", "1-2"))
    assert len(twins(ports[0], ports)) == 1
    assert steady_path(ports[0], ports) == ports[0].by_path


def test_two_ports_of_one_stick_are_no_twins(listed: Callable[..., list[Port]]) -> None:
    ports = listed(
        usb("ttyACM0", XDS110, "L1", "1-1:1.0"),
        usb("ttyACM1", XDS110, "L1", "1-1:1.3"),
    )
    assert twins(ports[0], ports) == []
    assert [port.confidence for port in ports] == [Confidence.LIKELY, Confidence.OTHER]


# -- which port a radio is ------------------------------------------------------------------------


def test_a_stick_is_found_wherever_it_is_plugged_in(listed: Callable[..., list[Port]]) -> None:
    ports = listed(usb("ttyUSB0", CP210X, "other", "1-1"), usb("ttyUSB7", CP210X, "mine", "1-2"))
    found = resolve("stick", radio(ids=CP210X, serial="mine"), ports)
    assert Path(found).name == "ttyUSB7"


def test_a_bridge_without_a_serial_number_is_found_while_it_is_alone(
    listed: Callable[..., list[Port]],
) -> None:
    ports = listed(usb("ttyUSB0", CH340, None, "1-1"), usb("ttyUSB1", CP210X, "x", "1-2"))
    assert Path(resolve("zzh", radio(ids=CH340), ports)).name == "ttyUSB0"


def test_two_that_cannot_be_told_apart_are_refused_and_their_sockets_named(
    listed: Callable[..., list[Port]],
) -> None:
    ports = listed(usb("ttyUSB0", CH340, None, "1-1.1"), usb("ttyUSB1", CH340, None, "1-1.2"))
    with pytest.raises(RigError, match="2 sticks are 1a86:7523") as caught:
        resolve("zzh", radio(ids=CH340), ports)
    assert caught.value.where == "radios.zzh"
    for port in ports:
        assert port.by_path is not None
        assert port.by_path in caught.value.mend
    # By the socket it is one of them.
    chosen = ports[1].by_path
    assert chosen is not None
    assert resolve("zzh", radio(path=chosen, ids=CH340), ports) == chosen


def test_where_serial_numbers_would_tell_they_are_asked_for(
    listed: Callable[..., list[Port]],
) -> None:
    ports = listed(usb("a", CP210X, "0001", "1-1"), usb("b", CP210X, "0002", "1-2"))
    with pytest.raises(RigError) as caught:
        resolve("stick", radio(ids=CP210X), ports)
    assert "usb.serial_number" in caught.value.mend
    assert "0001 or 0002" in caught.value.mend


def test_a_stick_that_is_not_there_is_missed_and_the_others_named(
    listed: Callable[..., list[Port]],
) -> None:
    ports = listed(usb("ttyUSB0", CP210X, "other", "1-1"))
    with pytest.raises(
        RigError, match="10c4:ea60 mine of the radio 'stick' is not plugged in"
    ) as e:
        resolve("stick", radio(ids=CP210X, serial="mine"), ports)
    assert "10c4:ea60 other" in e.value.mend
    with pytest.raises(RigError) as caught:
        resolve("stick", radio(ids=CP210X, serial="mine"), [])
    assert "no USB serial ports at all" in caught.value.mend


def test_another_stick_at_the_path_is_found_out_before_it_is_written_to(
    listed: Callable[..., list[Port]],
) -> None:
    ports = listed(usb("ttyUSB0", CP210X, "other", "1-1"), usb("ttyUSB1", CP210X, "mine", "1-2"))
    wrong = next(port.device for port in ports if port.serial_number == "other")
    with pytest.raises(RigError, match="the stick at this path is 10c4:ea60 other") as caught:
        resolve("stick", radio(path=wrong, ids=CP210X, serial="mine"), ports)
    assert caught.value.where == wrong
    assert "take the path out" in caught.value.mend


def test_a_path_that_is_gone_is_answered_with_where_the_stick_is(
    listed: Callable[..., list[Port]], tmp_path: Path
) -> None:
    ports = listed(usb("ttyUSB1", CP210X, "mine", "1-2"))
    with pytest.raises(RigError, match="is not at this path") as caught:
        resolve("stick", radio(path=str(tmp_path / "ttyUSB0"), ids=CP210X, serial="mine"), ports)
    assert ports[0].device in caught.value.mend


def test_of_a_stick_with_several_ports_the_radios_is_taken_or_asked_for(
    listed: Callable[..., list[Port]],
) -> None:
    ports = listed(usb("acm0", XDS110, "L1", "1-1:1.0"), usb("acm1", XDS110, "L1", "1-1:1.3"))
    assert Path(resolve("launchpad", radio(ids=XDS110, serial="L1"), ports)).name == "acm0"
    ports = listed(usb("usb0", CP2105, "H", "1-2:1.0"), usb("usb1", CP2105, "H", "1-2:1.1"))
    with pytest.raises(RigError, match="has 2 ports") as caught:
        resolve("husbzb", radio(ids=CP2105), ports)
    assert "path:" in caught.value.mend


@pytest.mark.parametrize("path", ["virtual", "socket://192.0.2.1:6638", "/dev/ttyAMA1"])
def test_a_path_alone_is_what_it_says(path: str) -> None:
    assert resolve("any", radio(path=path), []) == path


def test_a_lease_names_a_stick_whichever_way_the_inventory_does(
    listed: Callable[..., list[Port]],
) -> None:
    listed(usb("ttyUSB1", CP210X, "mine", "1-2"))
    unplugged = radio(ids=(0xFFF0, 0xFFF1), serial="mine")
    assert identity("stick", unplugged) == "usb:fff0:fff1:mine"
    gone = radio(path="/dev/no-such-port", ids=(0xFFF0, 0xFFF1), serial="mine")
    assert identity("stick", gone) == identity("stick", unplugged)
    assert identity("net", radio(path="socket://H:1/")) == "socket:h:1"


# -- who has a port -------------------------------------------------------------------------------


def process(proc: Path, pid: int, words: Sequence[str], *open_files: str) -> None:
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
    for number, target in enumerate(open_files):
        (folder / "fd" / str(number)).symlink_to(target)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["/usr/sbin/ModemManager"], "ModemManager"),
        (["/usr/bin/python3.11", "-m", "bellows", "--key", "00112233"], "bellows"),
        (["python3", "-u", "/opt/hub/main.py", "secret"], "main.py"),
        (["python3", "-c", "print('secret')"], "python3"),
        ([], "a process"),
    ],
)
def test_a_holder_is_named_without_its_arguments(
    tmp_path: Path, words: list[str], name: str
) -> None:
    device = tmp_path / "ttyUSB0"
    device.touch()
    process(tmp_path / "proc", 41, words, str(device), "socket:[17]")
    process(tmp_path / "proc", 42, ["sleep"], "/dev/null")
    (found,) = port_holders([str(device)], proc=tmp_path / "proc").of(str(device))
    assert (found.pid, found.command) == (41, name)
    assert "secret" not in str(found)
    assert "00112233" not in str(found)


def test_a_port_is_held_by_whatever_link_it_was_opened(tmp_path: Path) -> None:
    device, link = tmp_path / "ttyUSB0", tmp_path / "by-id"
    device.touch()
    link.symlink_to(device)
    process(tmp_path / "proc", 41, ["minicom"], str(device))
    process(tmp_path / "proc", 40, ["labctl"], str(device))
    holders = port_holders([str(link)], proc=tmp_path / "proc", own_pid=40)
    assert [holder.pid for holder in holders.of(str(link))] == [41]
    assert holders.of(str(tmp_path / "other")) == ()


def test_this_computer_tells_who_holds_what(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc here")
    path = tmp_path / "held"
    with path.open("w"):
        assert port_holders([str(path)], own_pid=0).of(str(path))[0].pid == os.getpid()
        assert port_holders([str(path)]).of(str(path)) == ()
    assert port_holders([str(path)], own_pid=0).of(str(path)) == ()


def test_without_proc_nobody_is_named(tmp_path: Path) -> None:
    assert port_holders(["/dev/x"], proc=tmp_path / "none").by_path == {}


# -- firmware -------------------------------------------------------------------------------------


def ezsp(firmware: tuple[int, ...], *, keys: int | None = 32, usable: bool = True) -> Probed:
    return Probed(
        driver=Driver.EZSP,
        line=Line(),
        protocol="EZSP 13",
        firmware_key=firmware,
        key_table_size=keys,
        usable=usable,
        remarks=() if usable else ("too old",),
    )


def znp(build: tuple[int, ...]) -> Probed:
    return Probed(driver=Driver.ZNP, line=Line(), protocol="Z-Stack 3.30", firmware_key=build)


@pytest.mark.parametrize(
    ("found", "fitness"),
    [
        (ezsp((7, 4, 5, 0)), Fitness.GOOD),
        (ezsp((7, 5, 1, 0)), Fitness.GOOD),
        (ezsp((8, 0, 0, 0)), Fitness.DOUBTFUL),
        (ezsp((8, 0, 2, 0)), Fitness.GOOD),
        (ezsp((6, 10, 3, 0)), Fitness.GOOD),
        (ezsp(()), Fitness.GOOD),
        (ezsp((7, 4, 5, 0), keys=12), Fitness.DOUBTFUL),
        (ezsp((7, 4, 5, 0), keys=None), Fitness.GOOD),
        (ezsp((7, 4, 5, 0), usable=False), Fitness.BAD),
        (znp((20250321,)), Fitness.GOOD),
        (znp((20221226,)), Fitness.DOUBTFUL),
        (znp(()), Fitness.DOUBTFUL),
    ],
)
def test_firmware_is_judged_by_what_is_known_of_it(found: Probed, fitness: Fitness) -> None:
    judgement = judge(found)
    assert judgement.fitness is fitness
    assert judgement.why
    assert bool(judgement.mend) == (fitness is not Fitness.GOOD)
