"""Non-volatile items: what hosts may do with them, how they are laid out, what survives."""

from __future__ import annotations

import asyncio
import random
import struct
from pathlib import Path

import pytest
from ncp_support import fast
from znp_support import (
    CAD,
    KEY,
    OK,
    STICK,
    clean_air,
    connected,
    hub,
    hub_with_device,
    octets,
    stick,
)

from labctl.errors import ConfigurationError
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.znp import Memory
from labctl.virtual.znp.nvram import Nvram, Table
from labctl.virtual.znp.structures import (
    AddressEntry,
    DeviceEntry,
    KeyData,
    LinkKeyEntry,
    Nib,
    TclkEntry,
    pack_link_keys,
    unpack_link_keys,
)

INVALID, UNINIT, FAILED, BAD_LENGTH = b"\x02", b"\x09", b"\x0a", b"\x0c"

FORMED_NIB = bytes.fromhex(
    "870502331433001e0000000105018f00070002051e0000000f00000000000000000000000e1c0800008010020f0f"
    "04000100000001000000000163c8c3acc64eca01000000000000000000000000000000000000000000000000000000"
    "0000000000000000000f030001780a0100000000000000"
)
"""Of a real CC2652R on a network."""


def item(number: int, *more: int) -> bytes:
    return struct.pack("<H", number) + bytes(more)


def test_a_real_network_information_base_is_understood() -> None:
    nib = Nib.unpack(FORMED_NIB)
    assert (nib.channel, nib.pan_id, nib.short, nib.state) == (15, 0x1C0E, 0x0000, 8)
    assert nib.extended_pan_id == "ca:4e:c6:ac:c3:c8:63:01"
    assert nib.key_loaded
    assert nib.channels == 0x02108000
    assert (nib.persistence_s, nib.security_level, nib.update_id) == (7, 5, 0)
    again = nib.pack()
    assert Nib.unpack(again) == nib
    different = [at for at in range(116) if again[at] != FORMED_NIB[at]]
    assert different == [0, 4, 19, 103]  # sequence, depth, discovery time, age limit: by version


def test_empty_entries_are_as_on_a_new_stick() -> None:
    assert AddressEntry().pack() == b"\xff" * 12
    assert DeviceEntry().pack() == b"\xff" * 16
    assert TclkEntry().pack().hex() == "0" * 32 + "ff000000"
    assert KeyData().pack() == bytes(24)
    assert pack_link_keys([], 3) == bytes(20)


@pytest.mark.parametrize(
    "entry",
    [
        AddressEntry(3, 0x1234, CAD),
        TclkEntry(7, 8, CAD, 0, 4, 5, 0x83),
        KeyData(KEY, 1, 2),
        DeviceEntry(0x1234, 5, 2, 8),
    ],
    ids=lambda entry: type(entry).__name__,
)
def test_entries_come_back(entry: AddressEntry | TclkEntry | KeyData | DeviceEntry) -> None:
    assert type(entry).unpack(entry.pack()) == entry


def test_the_key_table_comes_back() -> None:
    entries = [LinkKeyEntry(4, 0, 1), LinkKeyEntry(9, 2, 0)]
    packed = pack_link_keys(entries, 3)
    assert packed.hex() == "0200040000000" + "1ff0900020000ff" + "00" * 6
    assert unpack_link_keys(packed) == entries


def test_legacy_items() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            assert await host.ask(0x2113, item(0x0021)) == b"\x74\x00"  # NIB
            assert await host.ask(0x2113, item(0x00F0)) == b"\0\0"  # not there
            assert await host.ask(0x2107, item(0x00F0, 4, 0, 2, 1, 2)) == UNINIT
            assert await host.ask(0x2107, item(0x00F0, 4, 0, 0)) == OK
            assert await host.ask(0x211C, item(0x00F0, 0, 0)) == b"\0\4\1\2\xff\xff"
            assert await host.ask(0x211C, item(0x00F0, 3, 0)) == b"\0\1\xff"
            assert await host.ask(0x211C, item(0x00F0, 4, 0)) == INVALID + b"\0"
            # newer stacks write from the first octet on, whatever the offset
            assert await host.ask(0x211D, item(0x00F0, 2, 0, 2, 0, 8, 9)) == OK
            assert await host.ask(0x2108, item(0x00F0, 0)) == b"\0\4\x08\x09\xff\xff"
            assert await host.ask(0x211D, item(0x00F0, 0, 0, 5, 0, *bytes(5))) == INVALID
            assert await host.ask(0x2109, item(0x00F1, 0, 1, 1)) == FAILED
            assert await host.ask(0x2112, item(0x00F0, 3, 0)) == BAD_LENGTH
            assert await host.ask(0x2112, item(0x00F0, 4, 0)) == OK
            assert await host.ask(0x2112, item(0x00F0, 4, 0)) == UNINIT
            assert await host.ask(0x2107, item(0x0F00, 1, 0, 1, 0x55)) == FAILED  # beyond 0x03FF

    fast(main)


def test_the_old_poll_rate_is_not_there_and_is_the_new_one() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            assert await host.ask(0x2113, item(0x0024)) == b"\0\0"
            assert await host.ask(0x2108, item(0x0024, 0)) == b"\0\2\xb8\x0b"
            await host.do(0x2109, item(0x0024, 0, 2, 0x10, 0x27))
            assert (await host.ask(0x2108, item(0x0035, 0)))[2:4] == b"\x10\x27"

    fast(main)


def test_extended_items() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            tclk = struct.pack("<BHH", 1, 0x0004, 0)
            assert await host.ask(0x2132, tclk) == struct.pack("<I", 20)
            assert await host.ask(0x2133, tclk + b"\0\0\x14") == b"\0\x14" + TclkEntry().pack()
            assert await host.ask(0x2134, tclk + b"\1\0\1\0") == INVALID  # an offset
            assert await host.ask(0x2134, tclk + b"\0\0\x15" + bytes(21)) == INVALID
            counts = {
                table: await _count(host, table)
                for table in (1, 3, 4, 5, 6, 7)  # type: ignore[misc]
            }
            assert counts == {1: 257, 3: 51, 4: 200, 5: 40, 6: 3, 7: 5}
            own = struct.pack("<BHH", 7, 0x0100, 0)
            assert await host.ask(0x2130, own + struct.pack("<I", 8)) == UNINIT
            assert await host.ask(0x2130, own + struct.pack("<I", 8)) == OK
            assert await host.ask(0x2131, own) == OK
            assert await host.ask(0x2131, own) == UNINIT
            assert await host.ask(0x2135, own + b"\2ab") == OK
            assert await host.ask(0x2133, own + b"\0\0\x08") == b"\0\2ab"

    async def _count(host: object, table: int) -> int:
        sub = 0
        while await host.ask(0x2132, struct.pack("<BHH", 1, table, sub)) != bytes(4):  # type: ignore[attr-defined]
            sub += 1
        return sub

    fast(main)


def test_a_new_address_counts_at_once_and_a_deleted_one_comes_back() -> None:
    async def main() -> None:
        other = Eui64("00:12:4b:00:99:99:99:99")
        async with stick() as (_, port), connected(port) as host:
            await host.do(0x211D, item(1, 0, 0, 8, 0) + octets(other))
            assert await host.ask(0x2104) == octets(other)
            await host.reset()
            assert await host.ask(0x2104) == octets(other)
            await host.do(0x2112, item(1, 8, 0))
            await host.reset()
            assert await host.ask(0x2104) == octets(STICK)

    fast(main)


def test_the_startup_option_clears_the_network_at_the_next_start() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, _, ncp):
            before = dict(ncp.firmware.nvram.items)
            await host.do(0x211D, item(3, 0, 0, 1, 0, 0x02))
            assert (await host.ask(0x211C, item(0x0055, 0, 0)))[2] == 1
            await host.reset()
            assert (await host.ask(0x211C, item(0x0055, 0, 0)))[2] == 0
            assert (await host.ask(0x211C, item(0x0003, 0, 0)))[2] == 0
            after = ncp.firmware.nvram
            assert TclkEntry.unpack(after.entry(Table.TCLK, 0)).empty
            assert not any(after.entry(Table.INSTALL_CODES, 0))
            assert before[1, 0, 0x0101] != after.items[1, 0, 0x0101]  # another seed
            assert set(before) == set(after.items)

    fast(main)


def test_the_network_and_the_keys_survive_the_power(tmp_path: Path) -> None:
    path = tmp_path / "stick.json"

    async def first() -> None:
        async with hub(memory=Memory(path)) as (host, ncp):
            await host.add_code()
            node = ncp.firmware.network.node
            assert node is not None
            for _ in range(3000):  # more frames than between two writes of the counter
                node.nwk.security._counter.next()
            seen.append((node.state.network_key, node.state.outgoing_nwk_counter))
            await asyncio.sleep(1)

    async def second() -> None:
        async with stick(memory=Memory(path)) as (ncp, port), connected(port) as host:
            assert ncp.firmware.network.node is None  # silent until it is told to start
            await host.resume()
            node = ncp.firmware.network.node
            assert node is not None
            assert node.state.network_key == seen[0][0]
            assert node.state.outgoing_nwk_counter >= seen[0][1]
            assert node.state.link_keys[CAD].key == KEY
            assert (node.state.channel, node.state.pan_id) == (20, ncp.firmware.network.nib.pan_id)

    seen: list[tuple[bytes, int]] = []
    fast(first)
    assert path.stat().st_mode & 0o777 == 0o600
    fast(second)


def test_no_counter_is_used_twice_when_the_power_goes_at_once(tmp_path: Path) -> None:
    path = tmp_path / "stick.json"
    used: list[int] = []

    async def run() -> None:
        memory = Memory(path)
        async with stick(memory=memory) as (ncp, port), connected(port) as host:
            await host.form()
            node = ncp.firmware.network.node
            assert node is not None
            for _ in range(random.Random(len(used)).randrange(200, 2000)):
                used.append(node.nwk.security._counter.next())
            memory.save()
            content = path.read_bytes()
        path.write_bytes(content)  # what was in the flash the moment the power went

    for _ in range(4):
        fast(run)
    assert used == sorted(set(used))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "znp-1"}', '{"format": 1}'])
def test_a_file_that_is_no_memory_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "stick.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="not the state of a virtual ZNP stick"):
        Memory(path).load(STICK)


def test_the_memory_of_another_stick_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stick.json"
    memory = Memory(path)
    memory.load(STICK)
    memory.save()
    with pytest.raises(ConfigurationError, match="of the stick 00:12:4b"):
        Memory(path).load(CAD)
    assert Memory(path).stored_eui64 == STICK


def test_what_hosts_leave_behind_never_breaks_the_firmware() -> None:
    async def main() -> None:
        rng = random.Random(7)
        async with hub(clean_air()) as (host, ncp):
            await host.add_code()
            items = ncp.firmware.nvram.items
            for _ in range(40):
                for key in rng.sample(sorted(items), 40):
                    if rng.random() < 0.3:
                        del items[key]
                    else:
                        items[key] = rng.randbytes(rng.choice((1, len(items[key]))))
                await host.reset()
                await host.do(0x2F05, b"\x04")
                while (await host.notice(0x4F80))[2]:
                    pass
                host.notices.clear()

    fast(main)


def test_keys_are_not_in_reprs() -> None:
    entries = (KeyData(KEY), Nvram({(1, 0, 0x3A): KEY}, lambda: None))
    assert all(KEY.hex() not in repr(entry) and repr(KEY) not in repr(entry) for entry in entries)
