"""What the firmware of a ZNP stick does, octet by octet, and what a naive emulator forgets."""

from __future__ import annotations

import asyncio
import struct

import pytest
from ncp_support import fast
from znp_support import (
    CAD,
    DEFAULT_KEY,
    KEY,
    OK,
    OTHER,
    SECOND_KEY,
    STICK,
    Device,
    clean_air,
    connected,
    framed,
    hub,
    hub_with_device,
    octets,
    stick,
)

from labctl.smart_energy.aes_mmo import aes_mmo
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.install_code import crc16_x25
from labctl.virtual.node import JoinFailure, LinkKey, Status
from labctl.virtual.znp import Firmware, VirtualZnpNcp
from labctl.virtual.znp.commands import REQUESTS, TABLE
from labctl.virtual.znp.nvram import Table
from labctl.virtual.znp.structures import (
    DEFAULT,
    PROVISIONAL,
    VERIFIED,
    TclkEntry,
    unpack_link_keys,
)

TC_DEV, ANNOUNCE, LEAVE, MSG_CB = 0x45CA, 0x45C1, 0x45C9, 0x45FF
CONFIRM, INCOMING, INCOMING_EXT = 0x4480, 0x4481, 0x4482
STATE, COMMISSIONING, RESET = 0x45C0, 0x4F80, 0x4180
SUCCESS, INVALID, MEM_ERROR, BUFFER_FULL = 0x00, 0x02, 0x10, 0x11
NO_KEY, NO_ACK, DUPLICATE, INVALID_REQUEST = 0xA1, 0xB7, 0xB8, 0xC2
UNKNOWN_DEVICE, NO_ROUTE, EXPIRED = 0xC8, 0xCD, 0xF0


def entry_of(ncp: VirtualZnpNcp, partner: Eui64) -> TclkEntry | None:
    entries = map(TclkEntry.unpack, ncp.firmware.nvram.entries(Table.TCLK))
    return next((entry for entry in entries if entry.partner == partner), None)


# -- the line ------------------------------------------------------------------------------------


def test_ping_and_version() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            assert await host.ask(0x2101) == b"\x59\x05"
            assert await host.ask(0x2102) == bytes([2, 1, 2, 7, 1]) + struct.pack("<I", 20250321)
        async with (
            stick(firmware=Firmware(product=0, build=None)) as (_, port),
            connected(port) as host,
        ):
            assert await host.ask(0x2102) == bytes([2, 0, 2, 7, 1])

    fast(main)


def test_the_vendors_own_build() -> None:
    async def main() -> None:
        async with hub_with_device(firmware=Firmware.stock()) as (host, device, ncp):
            for item in (0x3A, 0x3B, 0x62):
                assert await host.ask(0x211C, struct.pack("<HH", item, 0)) == b"\2\0"
                assert await host.ask(0x2113, struct.pack("<H", item)) != b"\0\0"
            for command in (0x2523, 0x2744, 0x2763):
                assert (await host.exchange(command, bytes(26)))[0] == 0x6000
            await host.do(0x2542, struct.pack("<H", device.nwk) + octets(CAD) + KEY)
            assert sum(1 for _ in ncp.firmware.nvram.entries(Table.TCLK)) == 40
            assert await host.ask(0x2132, struct.pack("<BHH", 1, 4, 40)) == bytes(4)
            await device.send(b"another profile", profile=0x0104)
            await asyncio.sleep(1)
            assert host.heard(INCOMING) == []
            await host.permit(0)
            assert await device.node.rejoin(secured=False) is JoinFailure.NO_NETWORK_KEY

    fast(main)


def test_every_request_of_the_table_has_a_handler() -> None:
    async def main() -> None:
        async with stick() as (ncp, _):
            assert {frame.name for frame in REQUESTS.values()} == set(ncp.firmware._handlers)
            assert len({frame.command for frame in TABLE.values()}) == len(TABLE)

    fast(main)


def test_unknown_commands() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            assert await host.exchange(0x21F0) == (0x6000, bytes([2, 0x21, 0xF0]))
            assert await host.exchange(0x2204, b"x") == (0x6000, bytes([1, 0x22, 0x04]))
            assert await host.exchange(0x2604, b"x") == (0x6000, bytes([1, 0x26, 0x04]))
            assert await host.exchange(0x2400, b"\1") == (0x6000, bytes([4, 0x24, 0x00]))
            assert await host.silence(0x2F7F)  # the one subsystem that says nothing
            assert await host.silence(0x4101)  # and whatever asks for no answer
            assert await host.ask(0x2101)

    fast(main)


def test_requests_are_answered_one_by_one_and_noise_is_passed_over() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            host.write(b"\x00\xef" * 100 + framed(0x2101) + framed(0x2102) + framed(0x2101)[:3])
            host.write(framed(0x2101)[3:])
            await asyncio.sleep(1)
            assert host.order == [0x6101, 0x6102, 0x6101]

    fast(main)


def test_what_is_sent_while_the_stick_starts_is_answered_late() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            host.write(framed(0x4100, b"\0") + framed(0x2101))
            await asyncio.sleep(0.5)
            assert host.order == []
            assert await host.notice(RESET) == bytes([0, 2, 1, 2, 7, 1])
            await asyncio.sleep(0.1)
            assert host.order == [RESET, 0x6101]

    fast(main)


def test_a_response_goes_before_what_it_causes() -> None:
    async def main() -> None:
        async with hub() as (host, _):
            host.order.clear()
            await host.do(0x2502, struct.pack("<HH", 0, 0))  # node descriptor of itself
            await asyncio.sleep(1)
            assert host.order == [0x6502, MSG_CB, 0x4582]

    fast(main)


def test_a_hung_processor_and_a_crash() -> None:
    async def main() -> None:
        async with hub() as (host, ncp):
            ncp.hang()
            assert await host.silence(0x2101)
            ncp.restart()
            assert await host.notice(RESET)
            assert await host.ask(0x2101)
            ncp.crash()
            assert await host.notice(RESET)

    fast(main)


def test_a_stick_is_pulled_and_plugged_in_again() -> None:
    async def main() -> None:
        async with stick() as (ncp, port):
            async with connected(port) as host:
                await host.form()
            await ncp.pull()
            with pytest.raises(OSError, match=r".+"):
                await asyncio.open_connection("127.0.0.1", port)
            await ncp.plug()
            async with connected(port) as host:
                assert await host.notice(RESET)
                await host.resume()
                assert (await host.ask(0x2700))[12] == 9

    fast(main)


# -- starting ------------------------------------------------------------------------------------


def test_the_steps_of_forming_and_of_resuming() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.do(0x2F08, struct.pack("<BI", 1, 1 << 20))
            await host.do(0x2F05, b"\x04")
            await asyncio.sleep(10)
            steps = [(command, bytes(data)) for command, data in host.notices]
            starting = (STATE, b"\x08")
            assert steps == [
                starting,
                (COMMISSIONING, bytes([1, 2, 4])),
                *[starting] * 4,
                (STATE, b"\x09"),
                (COMMISSIONING, bytes([0, 2, 0])),
            ]
            host.notices.clear()
            await host.reset()
            assert (await host.ask(0x2700))[12] == 0  # on hold: the radio is off
            await host.do(0x2540, b"\0\0")  # the old way to start
            await asyncio.sleep(10)
            assert host.notices == [
                (STATE, b"\x09"),
                (COMMISSIONING, bytes([0x0D, 0, 4])),
                (COMMISSIONING, bytes([8, 2, 0])),
            ]
            host.notices.clear()
            await host.do(0x2F05, b"\x04")  # only the first start restores
            await asyncio.sleep(10)
            assert host.notices == [(COMMISSIONING, bytes([8, 2, 0]))]

    fast(main)


def test_forming_without_a_channel_fails() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.do(0x2F08, struct.pack("<BI", 1, 0))
            await host.do(0x2F05, b"\x04")
            await asyncio.sleep(10)
            assert host.notices[-2:] == [(STATE, b"\0"), (COMMISSIONING, bytes([8, 2, 0]))]

    fast(main)


def test_a_network_as_the_configuration_says() -> None:
    async def main() -> None:
        async with stick() as (ncp, port), connected(port) as host:
            await host.do(0x211D, struct.pack("<HHH2s", 0x83, 0, 2, b"\x34\x12"))
            await host.do(0x211D, struct.pack("<HHH16s", 0x62, 0, 16, SECOND_KEY))
            await host.do(0x211D, struct.pack("<HHH8s", 0x47, 0, 8, octets(OTHER)))
            await host.form(15)
            node = ncp.firmware.network.node
            assert node is not None
            state = node.state
            assert (state.pan_id, state.channel, state.extended_pan_id) == (0x1234, 15, OTHER)
            assert state.network_key == SECOND_KEY
            key = (await host.ask(0x211C, struct.pack("<HH", 0x3A, 0)))[2:]
            assert key == b"\0" + SECOND_KEY
            info = await host.ask(0x2550)
            assert info[:5] == bytes([0, 0, 9, 0x34, 0x12])
            assert info[-1] == 15

    fast(main)


def test_ram_is_gone_after_a_reset() -> None:
    async def main() -> None:
        async with hub() as (host, ncp):
            trust = ncp.firmware.trust
            for command, value in ((0x2F06, 1), (0x2F09, 1), (0x2F03, 0)):
                await host.do(command, bytes([value]))
            assert (trust.install_codes_only, trust.require_key_exchange) == (True, True)
            assert not trust.default_key_rejoins
            await host.permit(254)
            assert await host.register(2) == bytes([DUPLICATE])
            await host.reset()
            assert (trust.install_codes_only, trust.require_key_exchange) == (False, False)
            assert trust.default_key_rejoins
            await host.resume()
            host.notices.clear()
            node = ncp.firmware.network.node
            assert node is not None
            assert not node.parent.permits_joining
            await host.do(0x2505, struct.pack("<HH", 0, 0))
            assert await host.notice(0x4585) == bytes(6)  # no endpoints
            assert host.heard(MSG_CB) == []  # and nothing registered
            assert await host.register(2) == OK

    fast(main)


# -- joining -------------------------------------------------------------------------------------


def test_a_device_joins_with_its_install_code() -> None:
    async def main() -> None:
        air = clean_air()
        async with hub(air) as (host, ncp):
            await host.add_code()
            await host.permit()
            device = Device(air)
            host.order.clear()
            assert await device.join(KEY) is None
            await asyncio.sleep(1)
            where = struct.pack("<H", device.nwk)
            assert await host.notice(TC_DEV) == where + octets(CAD) + b"\0\0"
            assert await host.notice(ANNOUNCE) == where + where + octets(CAD) + b"\x8c"
            assert host.order.index(TC_DEV) < host.order.index(ANNOUNCE)
            told = await host.notice(MSG_CB)  # MSG_CB of the permission came before
            while told[3:5] != b"\x13\0":
                told = await host.notice(MSG_CB)
            assert told[:3] == where + b"\x01"
            entry = entry_of(ncp, CAD)
            assert entry is not None
            assert (entry.attribute, entry.install_code) == (PROVISIONAL, 0x80)
            assert await host.ask(0x2740, octets(CAD)) == where
            assert await host.ask(0x2741, where) == octets(CAD)
            assert await host.ask(0x2748, b"\1\2") == b"\1\0"

    fast(main)


def test_an_install_code_with_its_crc_is_hashed() -> None:
    async def main() -> None:
        air = clean_air()
        code = bytes(range(16))
        whole = code + crc16_x25(code).to_bytes(2, "little")
        async with hub(air) as (host, _):
            assert await host.ask(0x2F04, b"\1" + octets(CAD) + code + b"\0\0") == b"\2"
            assert await host.ask(0x2F04, b"\1" + octets(CAD) + code[:8]) == b"\2"
            await host.do(0x2F04, b"\1" + octets(CAD) + whole)
            await host.do(0x2F04, b"\7" + octets(OTHER) + whole)  # no such format: it says nothing
            await host.permit()
            assert await Device(air).join(aes_mmo(whole)) is None

    fast(main)


def test_a_wrong_key_looks_like_a_join_without_an_announcement() -> None:
    async def main() -> None:
        air = clean_air()
        async with hub(air) as (host, _):
            await host.add_code()
            await host.permit()
            assert await Device(air).join(SECOND_KEY) is JoinFailure.NO_NETWORK_KEY
            assert await host.notice(TC_DEV)
            assert host.heard(ANNOUNCE) == []

    fast(main)


def test_a_refused_join_is_invisible() -> None:
    async def main() -> None:
        air = clean_air()
        async with hub(air) as (host, ncp):
            await host.add_code()
            await host.do(0x2F06, b"\1")  # install codes only
            await host.permit()
            host.notices.clear()
            assert await Device(air, OTHER).join(DEFAULT_KEY) is JoinFailure.NO_NETWORK_KEY
            await asyncio.sleep(30)
            assert host.notices == []
            assert entry_of(ncp, OTHER) is None
            assert await Device(air).join(KEY) is None

    fast(main)


def test_without_an_install_code_a_device_gets_in_under_the_default_key() -> None:
    async def main() -> None:
        air = clean_air()
        async with hub(air) as (host, ncp):
            await host.permit()
            assert await Device(air, OTHER).join(DEFAULT_KEY) is None
            entry = entry_of(ncp, OTHER)
            assert entry is not None
            assert entry.attribute == DEFAULT

    fast(main)


def test_who_does_not_exchange_its_key_has_to_go_where_that_is_demanded() -> None:
    async def main() -> None:
        air = clean_air()
        async with hub(air) as (host, ncp):
            await host.add_code()
            await host.do(0x2F09, b"\1")
            await host.permit()
            known, unknown = Device(air), Device(air, OTHER)
            assert await known.join(KEY) is None
            await asyncio.sleep(1)
            assert await unknown.join(DEFAULT_KEY) is None
            await asyncio.sleep(19)
            assert known.heard.lefts == unknown.heard.lefts == [False]
            assert entry_of(ncp, CAD) is not None  # its code stays
            assert entry_of(ncp, OTHER) is None
            assert {await host.notice(LEAVE), await host.notice(LEAVE)}

    fast(main)


def test_rejoins_without_the_network_key() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, ncp):
            await host.permit(0)
            assert await device.node.rejoin(secured=False) is None  # this build lets it
            await host.notice(TC_DEV)
            await host.do(0x2F03, b"\0")
            assert await device.node.rejoin(secured=False) is JoinFailure.NO_NETWORK_KEY
            assert host.heard(TC_DEV) == []
            device.node.power_off()
            # one whose key has been verified is let in all the same
            trust = ncp.firmware.trust
            found = trust._entry(CAD)
            assert found is not None
            found[1].attribute = VERIFIED
            trust._write(*found)
            trust._refresh(CAD)
            device.node.power_on()
            key = trust.trust_centre_key(CAD)
            device.node.state.link_keys[STICK] = LinkKey(STICK, key)
            assert await device.node.rejoin(secured=False) is None
            await host.notice(TC_DEV)

    fast(main)


def test_a_secured_rejoin_is_told_too() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, _):
            await host.do(0x2F03, b"\0")
            assert await device.node.rejoin(secured=True) is None
            assert (await host.notice(TC_DEV))[2:10] == octets(CAD)

    fast(main)


def test_leaves_are_told_with_and_without_return() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, ncp):
            where = struct.pack("<H", device.nwk)
            await host.do(0x2534, where + octets(CAD) + b"\x01")  # leave, and rejoin
            assert await host.notice(0x45B4) == where + b"\0"
            assert await host.notice(LEAVE) == where + octets(CAD) + b"\0\0\1"
            assert await device.node.rejoin(secured=True) is None
            where = struct.pack("<H", device.nwk)
            device.node.leave()
            assert await host.notice(LEAVE) == where + octets(CAD) + b"\0\0\0"
            assert entry_of(ncp, CAD) is not None  # an install code is kept

    fast(main)


def test_a_device_is_removed() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, _):
            where = struct.pack("<H", device.nwk)
            await host.do(0x2551, where + octets(CAD) + b"\0\0")
            assert (await host.notice(LEAVE))[2:10] == octets(CAD)
            assert device.heard.lefts == [False]

    fast(main)


# -- keys ----------------------------------------------------------------------------------------


def test_forty_install_codes_and_no_more() -> None:
    async def main() -> None:
        async with hub() as (host, ncp):
            for number in range(40):
                await host.add_code(Eui64(f"00:12:4b:00:00:00:01:{number:02x}"))
            late = b"\2" + octets(OTHER) + KEY
            assert await host.ask(0x2F04, late) == bytes([MEM_ERROR])
            await host.add_code(Eui64("00:12:4b:00:00:00:01:07"), SECOND_KEY)  # in place
            keys = ncp.firmware.trust.link_keys()
            assert keys[Eui64("00:12:4b:00:00:00:01:07")].key == SECOND_KEY
            assert len(keys) == 40
            await host.do(0x2524, octets(Eui64("00:12:4b:00:00:00:01:09")))
            await host.do(0x2F04, late)

    fast(main)


def test_three_application_link_keys_and_no_more() -> None:
    async def main() -> None:
        async with hub() as (host, ncp):
            partners = [Eui64(f"00:12:4b:00:00:00:02:0{number}") for number in range(4)]
            for number, partner in enumerate(partners[:3]):
                await host.do(0x2542, struct.pack("<H", 0x1000 + number) + octets(partner) + KEY)
            fourth = b"\x03\x10" + octets(partners[3]) + KEY
            assert await host.ask(0x2542, fourth) == bytes([BUFFER_FULL])
            assert await host.ask(0x2740, octets(partners[3])) == b"\xfe\xff"
            await host.do(0x2523, b"\x01\x10" + octets(partners[1]) + SECOND_KEY)  # in place
            assert (await host.ask(0x2744, octets(partners[1])))[:17] == OK + SECOND_KEY
            assert await host.ask(0x2745, octets(partners[1])) == b"\0\1\0"
            assert (await host.ask(0x2543, octets(partners[2])))[3:] == b"\2\0\0"
            assert await host.ask(0x2744, octets(partners[3])) == b"\1" + b"\xff" * 24
            assert (await host.ask(0x2525, octets(partners[1])))[0] == UNKNOWN_DEVICE  # broken
            await host.do(0x2544, octets(partners[0]))
            assert await host.ask(0x2544, octets(partners[0])) == bytes([UNKNOWN_DEVICE])
            await host.do(0x2542, fourth)
            # what is not authenticated by a library stays so, and backups pass it over
            table = (await host.ask(0x211C, struct.pack("<HH", 0x4C, 0)))[2:]
            assert [each.authentication for each in unpack_link_keys(table)] == [0, 0, 0]
            await host.reset()
            await host.resume()
            assert ncp.firmware.trust.link_keys()[partners[3]].key == KEY

    fast(main)


def test_remove_link_key_takes_the_other_table() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, ncp):
            await host.do(0x2542, struct.pack("<H", device.nwk) + octets(CAD) + SECOND_KEY)
            await host.do(0x2524, octets(CAD))
            assert entry_of(ncp, CAD) is None
            assert (await host.ask(0x2744, octets(CAD)))[:17] == OK + SECOND_KEY
            assert await host.ask(0x2524, octets(CAD)) == bytes([UNKNOWN_DEVICE])

    fast(main)


def test_data_goes_under_the_application_key_and_the_network_key_under_the_other() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, _):
            await host.do(0x2542, struct.pack("<H", device.nwk) + octets(CAD) + SECOND_KEY)
            device.node.state.link_keys[STICK] = LinkKey(STICK, SECOND_KEY)
            assert await host.send(device.nwk, b"under the new key") == SUCCESS
            assert await host.notice(CONFIRM) == bytes([SUCCESS, 2, 7])
            assert device.heard.data[-1].aps_secured
            assert await device.send(b"and back") is Status.SUCCESS
            assert (await host.notice(INCOMING))[10] == 1
            # a rejoin that needs the network key gets it under the install code's
            failed = await device.node.rejoin(secured=False)
            assert failed is JoinFailure.NO_NETWORK_KEY
            device.node.state.link_keys[STICK] = LinkKey(STICK, KEY)
            assert await device.node.rejoin(secured=False) is None

    fast(main)


def test_the_key_can_be_exchanged_for_another_in_mid_session() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, _):
            await host.add_code(CAD, SECOND_KEY)
            device.node.state.link_keys[STICK] = LinkKey(STICK, SECOND_KEY)
            assert await host.send(device.nwk, b"x") == SUCCESS
            assert (await host.notice(CONFIRM))[0] == SUCCESS
            assert await device.node.rejoin(secured=False) is None

    fast(main)


def test_for_want_of_a_key_data_goes_out_under_the_default_one_without_a_word() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, ncp):
            await host.do(0x2524, octets(CAD))  # no entry any more
            device.node.state.link_keys[STICK] = LinkKey(STICK, DEFAULT_KEY)
            assert await host.send(device.nwk, b"x") == SUCCESS
            assert await host.notice(CONFIRM) == bytes([SUCCESS, 2, 7])
            assert device.heard.data[-1].aps_secured
            entry = entry_of(ncp, CAD)
            assert entry is not None
            assert entry.attribute == DEFAULT

    fast(main)


def test_an_unknown_address_has_no_key() -> None:
    async def main() -> None:
        async with hub() as (host, _):
            assert await host.send(0x4321, b"x") == NO_KEY

    fast(main)


def test_replays_are_taken_from_devices_with_install_codes() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, _):
            state = device.node.state
            assert await device.send(b"1") is Status.SUCCESS
            state.outgoing_aps_counter = 1
            await asyncio.sleep(10)
            assert await device.send(b"2") is Status.SUCCESS
            assert len(host.heard(INCOMING)) == 2

    fast(main)


# -- data ----------------------------------------------------------------------------------------


def test_data_both_ways_with_and_without_security() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, _):
            for secured in (True, False):
                assert await device.send(b"up", secured=secured) is Status.SUCCESS
                message = await host.notice(INCOMING)
                assert message[:4] == struct.pack("<HH", 0, 0x0702)
                assert message[4:8] == struct.pack("<HBB", device.nwk, 2, 2)
                assert message[8] == 0
                assert message[9] > 200  # LQI: of the level nothing is told
                assert message[10] == secured
                assert message[15:19] == b"\0\2up"
                assert message[19:] == struct.pack("<HB", device.nwk, 30)
                options = 0x50 if secured else 0x10
                assert await host.send(device.nwk, b"down", options=options, tag=9) == SUCCESS
                assert await host.notice(CONFIRM) == bytes([SUCCESS, 2, 9])
                heard = device.heard.data[-1]
                assert (heard.payload, heard.aps_secured) == (b"down", secured)
                assert (heard.profile_id, heard.source_endpoint) == (0x0109, 2)

    fast(main)


def test_only_registered_endpoints_send_and_hear() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, _):
            assert await host.send(device.nwk, b"x", endpoint=9) == INVALID
            await device.send(b"lost", endpoint=9)
            await device.send(b"another profile", profile=0x0104)
            assert (await host.notice(INCOMING))[17:].startswith(b"another profile")
            await device.send(b"green power", profile=0xFFFE)
            await asyncio.sleep(1)
            assert host.heard(INCOMING) == []
            await host.do(0x2404, b"\x02")
            assert await host.send(device.nwk, b"x") == INVALID

    fast(main)


def test_how_sending_fails() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with hub_with_device() as (host, device, _):
            short = device.nwk
            assert await host.send(0x4321, b"x", options=0x10) == SUCCESS
            assert (await host.notice(CONFIRM))[0] == NO_ROUTE
            device.node.endpoints.clear()
            device.node.power_off()
            began = loop.time()
            assert await host.send(short, b"x") == SUCCESS
            assert (await host.notice(CONFIRM))[0] == 0xE9
            assert loop.time() - began < 1  # the MAC's word is final

    fast(main)


def test_a_sleeping_child_that_does_not_fetch_it() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with hub_with_device(rx_on=False) as (host, device, _):
            device.node.power_off()
            began = loop.time()
            assert await host.send(device.nwk, b"x") == SUCCESS
            assert (await host.notice(CONFIRM))[0] == EXPIRED
            assert 7 < loop.time() - began < 8.5

    fast(main)


def test_a_request_before_the_network_is_up() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.register()
            assert await host.send(0x1234, b"x") == INVALID_REQUEST
            assert await host.ask(0x2502, bytes(4)) == bytes([INVALID_REQUEST])

    fast(main)


def extended(short: int, length: int, data: bytes = b"", mode: int = 2) -> bytes:
    return struct.pack("<BH6xBHBHBBBH", mode, short, 2, 0, 2, 0x0702, 7, 0x50, 0, length) + data


def test_long_messages_go_out_in_pieces() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, _):
            payload = bytes(range(256)) * 3
            assert await host.ask(0x2411, b"\0\0\1x") == bytes([MEM_ERROR])  # none is open
            await host.do(0x2402, extended(device.nwk, len(payload)))
            assert await host.ask(0x2402, extended(device.nwk, 300)) == bytes([INVALID])
            for at in range(0, len(payload), 240):
                piece = payload[at : at + 240]
                await host.do(0x2411, struct.pack("<HB", at, len(piece)) + piece)
            assert await host.ask(0x2411, struct.pack("<HB", 760, 20) + bytes(20)) == b"\x10"
            await host.do(0x2411, b"\0\0\0")
            assert await host.notice(CONFIRM) == bytes([SUCCESS, 2, 7])
            assert device.heard.data[-1].payload == payload
            assert device.heard.data[-1].aps_secured
            # and one that nobody finishes is forgotten
            await host.do(0x2402, extended(device.nwk, 300))
            await asyncio.sleep(16)
            assert await host.ask(0x2411, b"\0\0\0") == bytes([MEM_ERROR])

    fast(main)


def test_a_message_that_needs_fragments_but_no_pieces() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, _):
            payload = bytes(range(230))
            await host.do(0x2402, extended(device.nwk, 230, payload))
            assert (await host.notice(CONFIRM))[0] == SUCCESS
            assert device.heard.data[-1].payload == payload
            assert await device.send(payload[:220]) is Status.SUCCESS
            assert (await host.notice(INCOMING))[16:].startswith(b"\xdc" + payload[:220])

    fast(main)


def test_long_messages_come_in_pieces() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, _):
            payload = bytes(range(256)) * 2
            assert await device.send(payload) is Status.SUCCESS
            head = await host.notice(INCOMING_EXT)
            assert len(head) == 30
            assert struct.unpack_from("<BH", head, 4) == (2, device.nwk)
            assert head[19] == 1  # secured
            timestamp, length = head[20:24], head[25:27]
            assert length == struct.pack("<H", 512)
            got = b""
            while len(got) < 512:
                size = min(240, 512 - len(got))
                ask = timestamp + struct.pack("<HB", len(got), size)
                answer = await host.ask(0x2412, ask)
                assert answer[:2] == bytes([SUCCESS, size])
                got += answer[2:]
            assert got == payload
            assert await host.ask(0x2412, timestamp + b"\0\0\0") == b"\0\0"  # free it
            assert (await host.ask(0x2412, timestamp + b"\0\0\x10"))[0] == 1
            await device.send(payload)
            timestamp = (await host.notice(INCOMING_EXT))[20:24]
            await asyncio.sleep(16)
            assert (await host.ask(0x2412, timestamp + b"\0\0\x10"))[0] == 1

    fast(main)


def test_too_many_long_messages_are_lost_without_a_word() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, _):
            for _ in range(10):
                assert await device.send(bytes(1400)) is Status.SUCCESS
            assert 0 < len(host.heard(INCOMING_EXT)) < 10

    fast(main)


def test_broadcasts_and_ourselves() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, _):
            await host.do(0x2402, extended(0xFFFF, 3, b"all", mode=0x0F))
            await asyncio.sleep(1)
            assert device.heard.data[-1].payload == b"all"
            assert not device.heard.data[-1].aps_secured
            assert host.heard(CONFIRM) == []
            assert await host.ask(0x2402, extended(0x0001, 3, b"grp", mode=1)) == b"\x12"

    fast(main)


# -- ZDO -----------------------------------------------------------------------------------------


def test_responses_come_twice_and_requests_not_at_all() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, _):
            where = struct.pack("<H", device.nwk)
            host.notices.clear()
            await host.do(0x2505, where + where)
            assert await host.notice(0x4585) == where + OK + where + b"\1\2"
            (told,) = host.heard(MSG_CB)
            assert told[:6] == where + b"\0\x05\x80\0"
            assert told[7:] == b"\0\0" + OK + where + b"\1\2"
            host.notices.clear()
            # a request of the device's is answered, and not told
            body = struct.pack("<HHBHB", 0, 0x0109, 1, 0x0702, 0)
            answer = await device.node.zdo(0, 0x0006, body)
            assert answer == b"\0\0\0\1\2"
            assert host.notices == []
            # unless that very cluster is registered
            await host.do(0x253E, b"\x06\0")
            await device.node.zdo(0, 0x0006, body)
            (told,) = host.heard(MSG_CB)
            assert told[3:5] == b"\x06\0"
            assert told[9:] == body
            await host.do(0x253F, b"\x06\0")
            await host.do(0x253F, b"\xff\xff")
            host.notices.clear()
            await host.do(0x2505, where + where)
            await host.notice(0x4585)
            assert host.heard(MSG_CB) == []

    fast(main)


def test_addresses_are_told_when_they_are_found() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, _):
            where = struct.pack("<H", device.nwk)
            await host.do(0x2500, octets(CAD) + b"\0\0")
            assert await host.notice(0x4580) == OK + octets(CAD) + where + b"\0\0"
            await host.do(0x2501, b"\0\0\1\0")  # ours, with our children
            found = await host.notice(0x4581)
            assert found == OK + octets(STICK) + b"\0\0" + b"\0\1" + where
            host.notices.clear()
            await host.do(0x2501, where + b"\0\0")
            await host.notice(0x4581)

    fast(main)


def test_permission_for_us_alone_and_for_all() -> None:
    async def main() -> None:
        async with hub() as (host, ncp):
            node = ncp.firmware.network.node
            assert node is not None
            for mode, to in ((2, 0x0000), (0x0F, 0xFFFC), (2, 0xFFFC)):
                await host.do(0x2536, struct.pack("<BHBB", mode, to, 60, 1))
                assert await host.notice(0x45B6) == b"\0\0\0"
                assert node.parent.permits_joining
                await host.permit(0)
                assert not node.parent.permits_joining
            await host.do(0x2536, struct.pack("<BHBB", 2, 0, 0xFF, 1))
            await asyncio.sleep(250)
            assert node.parent.permits_joining
            await asyncio.sleep(10)
            assert not node.parent.permits_joining  # 255 is taken for 254

    fast(main)


def test_energy_is_measured() -> None:
    async def main() -> None:
        async with hub() as (host, _):
            mask = 1 << 11 | 1 << 26
            await host.do(0x2537, struct.pack("<HBIBBH", 0, 2, mask, 2, 1, 0))
            found = await host.notice(0x45B8)
            assert found[:7] == b"\0\0\0" + struct.pack("<I", mask)
            assert found[11] == 2
            assert len(found) == 14

    fast(main)


def test_the_channel_is_changed() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, _, ncp):
            await host.do(0x2537, struct.pack("<HBIBBH", 0xFFFF, 0x0F, 1 << 25, 0xFE, 0, 0))
            await asyncio.sleep(10)
            nib = ncp.firmware.network.nib
            assert (nib.channel, nib.update_id) == (25, 1)
            await host.reset()
            await host.resume()
            node = ncp.firmware.network.node
            assert node is not None
            assert node.state.channel == 25

    fast(main)


def test_networks_are_discovered_while_off_the_network() -> None:
    async def main() -> None:
        air = clean_air()
        async with hub(air) as (host, _):
            assert await host.ask(0x2526, struct.pack("<IB", 1 << 20, 3)) == b"\xc2"
            other = VirtualZnpNcp(eui64=OTHER, air=air, rng=air.rng, position=(2.0, 0.0, 0.0))
            async with connected(await other.listen()) as second:
                await second.do(0x2526, struct.pack("<IB", 0x07FFF800, 3))
                beacon = await second.notice(0x45C5)
                assert beacon[:3] == b"\1\0\0"
                assert beacon[5] == 20
                assert len(beacon) == 22
                assert await second.notice(0x45C7) == OK
            await other.close()

    fast(main)


# -- children ------------------------------------------------------------------------------------


def test_a_child_is_taken_off_the_list_and_put_back() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, _):
            where = struct.pack("<H", device.nwk)
            found = await host.ask(0x274A, octets(CAD) + b"\0\0")
            assert found[:2] == where
            assert found[4] == 2  # a child that listens
            assert await host.ask(0x2749, b"\0") == found
            assert await host.ask(0x2749, b"\1") == b"\xff" * 36
            await host.do(0x2763, octets(CAD))
            assert await host.ask(0x2763, octets(CAD)) == b"\1"
            assert (await host.ask(0x274A, octets(CAD) + b"\0\0"))[4] == 0xFF
            assert await host.ask(0x2546, where + b"\1\3") == b"\4"
            await host.do(0x2764, where + octets(CAD) + b"\2")
            assert await host.ask(0x2546, where + b"\1\3") == OK
            assert await host.send(device.nwk, b"x") == SUCCESS
            assert (await host.notice(CONFIRM))[0] == SUCCESS

    fast(main)


def test_children_are_remembered_over_a_reset() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, _):
            short = device.nwk
            await host.reset()
            await host.register()
            await host.resume()
            info = await host.ask(0x2700)
            assert info[13:] == struct.pack("<BH", 1, short)
            assert await host.send(short, b"still here") == SUCCESS
            assert (await host.notice(CONFIRM))[0] == SUCCESS

    fast(main)


def test_a_new_network_key_is_given_out() -> None:
    async def main() -> None:
        async with hub_with_device() as (host, device, ncp):
            await host.do(0x254E, struct.pack("<HB", 0xFFFF, 5) + SECOND_KEY)
            await asyncio.sleep(2)
            assert device.node.state.alternate_network_key == SECOND_KEY
            await host.do(0x254F, struct.pack("<HB", 0xFFFF, 5))
            await asyncio.sleep(2)
            for state in (device.node.state, ncp.firmware.network.node.state):  # type: ignore[union-attr]
                assert (state.network_key, state.network_key_sequence) == (SECOND_KEY, 5)
            key = (await host.ask(0x211C, struct.pack("<HH", 0x3A, 0)))[2:]
            assert key == b"\5" + SECOND_KEY
            assert await device.send(b"x") is Status.SUCCESS

    fast(main)


# -- small things --------------------------------------------------------------------------------


def test_timers_clock_and_power() -> None:
    async def main() -> None:
        async with stick() as (ncp, port), connected(port) as host:
            await host.do(0x210A, struct.pack("<BH", 1, 500))
            assert await host.notice(0x4181) == b"\1"
            assert await host.ask(0x210B, b"\1") == b"\2"
            await host.do(0x2110, struct.pack("<I", 86400 * 366) + bytes(7))
            now = await host.ask(0x2111)
            assert now[4:] == bytes([0, 0, now[6], 1, 1]) + struct.pack("<H", 2001)
            await host.do(0x2114, b"\x05")
            assert ncp.firmware.system.tx_power_dbm == 5
            assert await host.ask(0x2114, b"\x30") == b"\xe8"
            assert await host.ask(0x210F, b"\0\xfb") == OK
            assert ncp.firmware.system.tx_power_dbm == -5
            assert await host.ask(0x2710, b"echo") == b"echo"
            assert len(await host.ask(0x274C)) == 100

    fast(main)


@pytest.mark.parametrize("seed", range(3))
def test_random_requests_are_all_survived(seed: int) -> None:
    import random

    async def main() -> None:
        rng = random.Random(seed)
        async with hub_with_device() as (host, _, _):
            commands = [command for command in sorted(REQUESTS) if command not in (0x4100, 0x2F05)]
            for _ in range(400):
                command = rng.choice(commands)
                found, _ = await host.exchange(command, rng.randbytes(rng.randrange(60)))
                assert found in (command | 0x4000, 0x6000)
            assert await host.ask(0x2101) == b"\x59\x05"

    fast(main)
