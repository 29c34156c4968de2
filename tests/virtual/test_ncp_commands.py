"""Every field where the documents have it: a raw host, without driver and without our codec."""

from __future__ import annotations

import asyncio
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ncp_support import NETWORK_KEY, RSTACK, STICK, connected, fast, stick

from labctl.virtual import clock
from labctl.virtual.ncp import Identity
from labctl.virtual.ncp.versions import NEWEST, table

METER = bytes.fromhex("aa00112233445566")
OTHER = bytes.fromhex("bb00112233445566")
KEY = bytes.fromhex("0102030405060708090a0b0c0d0e0f10")
NOBODY, EVERYBODY = bytes(8), b"\xff" * 8


# -- the line and the version ----------------------------------------------------------------------


def test_octets_from_reset_to_version_13_are_those_on_the_wire() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await asyncio.sleep(10)
            assert host.raw == b""  # a stick that is powered says nothing by itself
            await host.reset()
            assert host.raw == RSTACK
            assert await host.exchange(bytes([0, 0, 0, 4])) == bytes(
                [0, 0x80, 0, 13, 2, 0x50, 0x74]
            )
            answer = await host.exchange(bytes([1, 0, 1, 0, 0, 13]))
            assert answer == bytes([1, 0x80, 1, 0, 0, 13, 2, 0x50, 0x74])

    fast(main)


def test_nothing_works_before_the_version_is_agreed() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.reset()
            # getEui64, in either header
            assert await host.exchange(bytes([0, 0, 1, 0x26, 0])) == bytes(
                [0, 0x80, 1, 0x58, 0, 0x30]
            )
            assert await host.exchange(bytes([1, 0, 0x26])) == bytes([1, 0x80, 0x58, 0x30])
            # asking for another version is answered, and agrees on nothing
            assert (await host.exchange(bytes([2, 0, 1, 0, 0, 8])))[5] == 13
            assert (await host.exchange(bytes([3, 0, 1, 0x26, 0])))[3:] == bytes([0x58, 0, 0x30])
            await host.exchange(bytes([4, 0, 1, 0, 0, 13]))
            answer = await host.exchange(bytes([5, 0, 1, 0x26, 0]))
            assert answer == bytes([5, 0x80, 1, 0x26, 0]) + STICK.little_endian

    fast(main)


def test_refused_frames_get_the_right_reason() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            assert await host.refused(0x00FF) == 0x31  # no such frame
            assert await host.refused(0x003F) == 0x31  # a callback is no command
            assert await host.refused(0x0053, b"\x1e") == 0x33  # parameters cut short
            assert await host.refused(0x0081, b"\x05abc") == 0x33  # so is what a length announces
            wrong_way = struct.pack("<BBBH", 9, 0x80, 1, 0x05)
            assert (await host.exchange(wrong_way))[3:] == bytes([0x58, 0, 0x32])
            old_header = await host.exchange(bytes([10, 0, 0x05]))
            assert old_header == bytes([10, 0x80, 0x58, 0x49])
            # octets after the parameters are ignored, as the firmware does
            assert await host.command(0x05, b"extra") == b""

    fast(main)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=8))
def test_any_frame_at_all_is_answered_and_none_breaks_the_firmware(frames: list[bytes]) -> None:
    async def main() -> None:
        async with stick() as (ncp, _):
            said: list[bytes] = []
            firmware = ncp.firmware
            firmware._emit = lambda frame, is_callback: said.append(frame)
            firmware.receive(bytes([0, 0, 0, 13]))
            for index, frame in enumerate(frames):
                firmware.receive(struct.pack("<BBBH", index, 0, 1, frame[0]) + frame[1:])
                firmware.receive(frame)
            said.clear()
            firmware.receive(bytes([77, 0, 0, 13]))
            assert said[0][:4] == bytes([77, 0x80, 0, 13])

    clock.run(main(), fast=True)


def test_every_command_of_the_table_has_a_handler() -> None:
    async def main() -> None:
        async with stick() as (ncp, _):
            missing = [
                frame.name
                for frame_id, frame in table(13).items()
                if frame.request is not None and frame_id not in ncp.firmware._handlers
            ]
            assert missing == []

    fast(main)


@pytest.mark.parametrize(
    ("version", "formed"), [(13, False), (13, True), (8, True), (14, True), (NEWEST, True)]
)
@pytest.mark.parametrize("octet", [0x00, 0x01, 0x0A, 0xFF])
def test_every_command_answers_whatever_its_parameters_are(
    octet: int, formed: bool, version: int
) -> None:
    # TRUNCATED: a length beyond what there is
    invalid = bytes([0x58, 0, 0x33]) if version < 14 else bytes([0x58, 0, 0x4A, 0, 0, 0])

    async def main() -> None:
        restarts = {0x0020, 0x0104, 0x0006}  # leave, reset; and the one that fetches a callback
        async with (
            stick(identity=Identity.speaking(version)) as (_, port),
            connected(port, version) as host,
        ):
            await host.start()
            if formed:
                await host.form()
            for frame_id, frame in table(version).items():
                if frame.request is None or frame_id in restarts:
                    continue
                if frame_id == 0x0000:
                    continue  # version: asking for another one ends the agreement
                await host.command(0xAB, bytes([0x04, 1, 0]))  # callbacks by themselves, always
                sequence, host.sequence = host.sequence, (host.sequence + 1) % 256
                head = struct.pack("<BBBH", sequence, 0, 1, frame_id)
                answer = await host.exchange(head + bytes([octet]) * 60)
                assert answer[:3] == bytes([sequence, 0x80, 1]), frame.name
                if struct.unpack_from("<H", answer, 3)[0] != frame_id:
                    assert answer[3:] == invalid, frame.name

    fast(main)


# -- configuration ---------------------------------------------------------------------------------


def test_configuration_values_have_ranges_and_are_read_back() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start(keys=0)
            assert await host.command(0x52, b"\x1e") == bytes([0, 0, 0])  # KEY_TABLE_SIZE
            assert await host.command(0x53, struct.pack("<BH", 0x1E, 128)) == b"\x36"
            assert await host.command(0x53, struct.pack("<BH", 0x1E, 127)) == b"\x00"
            assert await host.command(0x52, b"\x1e") == bytes([0, 127, 0])
            assert await host.command(0x52, b"\xee") == bytes([0x37, 0, 0])
            assert await host.command(0x53, struct.pack("<BH", 0xEE, 1)) == b"\x37"
            assert await host.command(0x53, struct.pack("<BH", 0x01, 255)) == b"\x36"  # buffers
            await host.form()
            assert await host.command(0x53, struct.pack("<BH", 0x1E, 20)) == b"\x38"
            assert await host.command(0x02, struct.pack("<BHHBBB", 9, 1, 1, 0, 0, 0)) == b"\x38"

    fast(main)


def test_a_reset_forgets_configuration_policies_values_and_endpoints() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            await host.add_endpoint(1, 0x0702)
            assert await host.command(0x02, struct.pack("<BHHBBB", 1, 1, 1, 0, 0, 0)) == b"\x36"
            assert await host.command(0x55, bytes([0x05, 0x50])) == b"\x00"
            assert await host.command(0xAB, bytes([0x0A, 2, 0x00, 0x01])) == b"\x00"
            assert await host.command(0xAA, b"\x0a") == bytes([0, 2, 0x00, 0x01])
            await host.start(keys=4)
            assert await host.command(0x56, b"\x05") == bytes([0, 0x51])
            assert await host.command(0x56, b"\x00") == bytes([0, 0x03])
            assert await host.command(0xAA, b"\x0a") == bytes([0, 2, 0, 0])
            await host.add_endpoint(1, 0x0702)

    fast(main)


def test_policies_take_only_decisions_that_exist() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            assert await host.command(0x55, bytes([0x00, 0x13])) == b"\x00"
            assert await host.command(0x56, b"\x00") == bytes([0, 0x13])
            assert await host.command(0x55, bytes([0x06, 0x50])) == b"\x36"
            assert await host.command(0x55, bytes([0x77, 0x00])) == b"\x37"

    fast(main)


def test_what_the_firmware_says_about_itself() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            version = await host.command(0xAA, b"\x11")
            assert version == bytes([0, 7, 0, 0, 7, 4, 5, 0, 0xAA])
            assert await host.command(0x0B, b"\x01") == b"\x10labctl".ljust(17, b"\xff")
            assert await host.command(0x0B, b"\x0c") == b"\x08" + b"\xff" * 8
            assert await host.command(0x26) == STICK.little_endian
            assert await host.command(0x27) == b"\xfe\xff"
            assert await host.command(0x18) == b"\x00"
            assert await host.command(0x01, b"\x0d") == b"\x00"  # CBKE 283k1: a stub
            assert await host.command(0xFC) == b"\x01"

    fast(main)


@pytest.mark.parametrize("frame_id", [0x9F, 0xA1, 0xA2, 0xA4, 0xA5, 0xE8, 0xEA, 0xEC, 0xEE])
def test_key_establishment_frames_are_answered_with_one_octet(frame_id: int) -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            assert await host.command(frame_id, bytes(120)) == b"\xb5"

    fast(main)


def test_there_is_no_second_radio() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            assert await host.command(0xF8, bytes([1, 28, 0, 10, 0])) == b"\x70"
            assert await host.command(0xFB, bytes([1, 28, 3])) == b"\x70"

    fast(main)


def test_small_things() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            assert await host.command(0x05) == b""
            assert await host.command(0x81, b"\x03abc") == b"\x03abc"
            status, *number = await host.command(0x49)
            assert status == 0
            assert len(number) == 2
            assert await host.command(0x47, b"\x02\x00\x00") == bytes([0x70, 0])  # no extensions
            assert len(await host.command(0xF1)) == 2 * 41
            assert await host.command(0x0E, struct.pack("<BHBB", 0, 500, 1, 0)) == b"\x00"
            assert await host.callback(0x0F) == b"\x00"

    fast(main)


# -- callbacks -------------------------------------------------------------------------------------


def test_a_callback_bears_the_number_of_the_last_command_and_follows_its_response() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            await host.form()
            host.callbacks.clear()
            sequence = host.sequence
            assert await host.command(0x22, b"\x3c") == b"\x00"  # permitJoining
            assert await host.callback(0x19) == b"\x9c"  # NETWORK_OPENED
            await asyncio.sleep(70)
            assert host.callbacks == [(sequence, 0x19, b"\x9d")]  # NETWORK_CLOSED, the same number
            # The response went first: DATA frames come in order, and `command` saw it first.

    fast(main)


def test_a_synchronous_host_fetches_its_callbacks() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            assert await host.command(0xAB, bytes([0x04, 1, 1])) == b"\x00"
            assert (await host.exchange(bytes([90, 0, 1, 6, 0]))) == bytes([90, 0x80, 1, 7, 0])
            await host.command(0x0E, struct.pack("<BHBB", 0, 10, 1, 0))
            await asyncio.sleep(1)
            assert host.callbacks == []
            # callbackPending shows in the next response
            assert await host.exchange(bytes([91, 0, 1, 5, 0])) == bytes([91, 0x84, 1, 5, 0])
            # the callback is the response to `callback`, of the synchronous kind
            host._take = lambda body: host._answers.put_nowait(body)  # type: ignore[method-assign]
            answer = await host.exchange(bytes([92, 0, 1, 6, 0]))
            assert answer == bytes([92, 0x88, 1, 0x0F, 0, 0])

    fast(main)


# -- keys ------------------------------------------------------------------------------------------


def context(kind: int, *, index: int = 0, eui64: bytes = NOBODY, flags: int = 0) -> bytes:
    """sl_zb_sec_man_context_t of EZSP 13: 18 octets."""
    return struct.pack("<BBH8sBBI", kind, index, 0, eui64, 0, flags, 0)


def test_the_link_key_table() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start(keys=4)
            ok, fail = struct.pack("<I", 0), struct.pack("<I", 1)
            assert await host.command(0x75, NOBODY + b"\x01") == b"\x00"  # first free index
            assert await host.command(0x10E, b"\x02" + METER + KEY) == ok
            assert await host.command(0x75, METER + b"\x01") == b"\x02"
            assert await host.command(0x75, OTHER + b"\x01") == b"\xff"

            exported = await host.command(0x10F, b"\x02")
            eui64, key, bitmask, outgoing, incoming, ttl, status = struct.unpack(
                "<8s16sHIIHI", exported
            )
            assert (eui64, key, incoming, ttl, status) == (METER, KEY, 0, 0, 0)
            assert bitmask & 0x0010  # authorised
            assert outgoing == 0
            assert (await host.command(0x10F, b"\x01"))[-4:] == struct.pack("<I", 0x2D)
            assert (await host.command(0x10F, b"\x04"))[-4:] == struct.pack("<I", 0x27)

            # the same partner at another index, ourselves, or beyond the table: refused
            assert await host.command(0x10E, b"\x01" + METER + KEY) == fail
            assert await host.command(0x10E, b"\x01" + STICK.little_endian + KEY) == fail
            assert await host.command(0x10E, b"\x04" + OTHER + KEY) == struct.pack("<I", 0x27)
            # in place of another
            assert await host.command(0x10E, b"\x02" + OTHER + KEY) == ok
            assert await host.command(0x75, METER + b"\x01") == b"\xff"

            by_eui64 = await host.command(0x10D, OTHER)
            assert by_eui64[:17] == KEY + b"\x02"
            found = await host.command(0x114, context(4, eui64=OTHER, flags=2))
            assert found == KEY + ok
            assert await host.command(0x110, context(4, eui64=METER, flags=2)) == struct.pack(
                "<I", 0x2D
            )
            info = await host.command(0x10C, context(4, index=2, flags=1))
            assert info[:8] == OTHER
            assert await host.command(0x76, b"\x02") == b"\x00"
            assert await host.command(0x76, b"\x09") == b"\xb1"
            assert await host.command(0x75, OTHER + b"\x01") == b"\xff"

    fast(main)


def test_a_key_table_of_size_zero_takes_no_keys() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start(keys=0)
            assert await host.command(0x75, NOBODY + b"\x01") == b"\xff"
            assert await host.command(0x10E, b"\x00" + METER + KEY) == struct.pack("<I", 0x27)

    fast(main)


def test_transient_keys_time_out_each_with_the_timeout_at_its_import() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            assert await host.command(0x111, METER + KEY + b"\x00") == struct.pack("<I", 0)
            assert await host.command(0xAB, bytes([0x3B, 2]) + struct.pack("<H", 1000)) == b"\x00"
            assert await host.command(0x111, OTHER + KEY + b"\x00") == struct.pack("<I", 0)
            await asyncio.sleep(100)
            exported = await host.command(0x113, METER)
            kind, _, _, eui64, _, flags, _ = struct.unpack("<BBH8sBBI", exported[:18])
            assert (kind, eui64, flags) == (3, METER, 3)
            assert exported[18:34] == KEY
            assert struct.unpack("<HIIH", exported[34:46])[3] == 200
            assert struct.unpack("<HIIH", (await host.command(0x113, OTHER))[34:46])[3] == 900
            assert (await host.command(0x112, b"\x01"))[4:12] == OTHER
            await asyncio.sleep(201)
            assert (await host.command(0x113, METER))[-4:] == struct.pack("<I", 0x2D)
            assert (await host.command(0x112, b"\x00"))[4:12] == OTHER
            assert await host.command(0x6B) == b""
            assert (await host.command(0x112, b"\x00"))[-4:] == struct.pack("<I", 0x2D)

    fast(main)


def test_the_network_key_and_what_is_known_of_it() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            assert (await host.command(0x114, context(1)))[16:] == struct.pack("<I", 0x2D)
            await host.form()
            assert await host.command(0x114, context(1)) == NETWORK_KEY + struct.pack("<I", 0)
            # a Smart Energy trust centre has no link key of its own
            assert (await host.command(0x114, context(2)))[16:] == struct.pack("<I", 0x2D)
            info = await host.command(0x116)
            status, current, alternate, sequence, _, counter = struct.unpack("<IBBBBI", info)
            assert (status, current, alternate, sequence) == (0, 1, 0, 0)
            assert counter < 100
            state = await host.command(0x69)
            assert state == b"\x00" + struct.pack("<H", 0) + STICK.little_endian

    fast(main)


def test_the_security_state_is_taken_before_forming_only() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            parameters = bytes(8) + struct.pack("<HbBBHBI", 0x1A2B, 8, 20, 0, 0, 0, 0)
            assert await host.command(0x1E, parameters) == b"\xa8"  # SECURITY_STATE_NOT_SET
            bad = struct.pack("<H", 0x0A00) + bytes(16) + b"\xff" * 16 + bytes(9)
            assert await host.command(0x68, bad) == b"\xb2"
            hashed_and_distributed = struct.pack("<H", 0x0286) + bytes(16) + KEY + bytes(9)
            assert await host.command(0x68, hashed_and_distributed) == b"\xb7"
            await host.form()
            good = struct.pack("<H", 0x0A00) + bytes(16) + KEY + bytes(9)
            assert await host.command(0x68, good) == b"\x70"
            assert await host.command(0x1E, parameters) == b"\x70"

    fast(main)


def test_addresses_and_extended_timeouts() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            await host.form()
            assert await host.command(0x60, METER) == b"\xff\xff"
            assert await host.command(0x61, b"\x34\x12") == b"\x01" + bytes(8)
            assert await host.command(0x5F, b"\x00") == b"\xff\xff"
            old = await host.command(0x82, b"\x03" + METER + b"\x34\x12\x01")
            assert old == b"\x00" + bytes(8) + b"\xff\xff" + b"\x00"
            assert await host.command(0x5E, b"\x03") == METER
            assert await host.command(0x5F, b"\x03") == b"\x34\x12"
            assert await host.command(0x60, METER) == b"\x34\x12"
            assert await host.command(0x61, b"\x34\x12") == b"\x00" + METER
            assert await host.command(0x7F, METER) == b"\x01"
            assert await host.command(0x7E, METER + b"\x00") == b""
            assert await host.command(0x7F, METER) == b"\x00"
            assert (await host.command(0x82, b"\x30" + METER + b"\x34\x12\x01"))[0] == 0x6A
            assert await host.command(0x5C, b"\x04" + OTHER) == b"\x00"
            assert await host.command(0x5F, b"\x04") == b"\xfd\xff"  # not known
            assert await host.command(0x5D, b"\x04\x78\x56") == b""
            assert await host.command(0x60, OTHER) == b"\x78\x56"

    fast(main)


def test_tokens_and_the_address_written_into_them() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            restored = struct.pack("<II", 0xE12A, 0)
            unwritten = b"\x00" + struct.pack("<I", 8) + b"\xff" * 8
            assert await host.command(0x102, restored) == unwritten
            assert await host.command(0x102, struct.pack("<II", 0x12345, 0)) == b"\x03"
            write = restored + struct.pack("<I", 8) + METER
            assert await host.command(0x103, write) == b"\x00"
            assert await host.command(0x26) == STICK.little_endian  # from the next start on
            await host.start()
            assert await host.command(0x26) == METER
            assert await host.command(0x77, b"\x00\x00") == b""
            await host.start()
            assert await host.command(0x26) == STICK.little_endian

    fast(main)
