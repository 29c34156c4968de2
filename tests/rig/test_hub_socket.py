"""The socket of a hub that is held: who gets in, and what becomes of whatever they send."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.errors import (
    BusyError,
    ConfigurationError,
    DeliveryError,
    ExitCode,
    LabctlError,
    RigError,
    UsageError,
)
from labctl.events import DeviceKind
from labctl.rig import wire
from labctl.rig.applicants import Applicant
from labctl.rig.hub_socket import MOST_CONNECTIONS, HubSocket, reachable
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.install_code import InstallCode

CODE = "83FED3407A939723A5C639B26916D505C3B5"
APPLICANT = Applicant(
    eui64=Eui64("00:0d:6f:00:0a:90:69:e7"),
    install_code=InstallCode.parse(CODE),
    name="ihd",
    kind=DeviceKind.IHD,
)

Act = Callable[[wire.Request, Callable[[str], None]], Awaitable[dict[str, Any]]]


async def echo(request: wire.Request, tell: Callable[[str], None]) -> dict[str, Any]:
    if request.do == "count":
        for number in range(request.whole("to", 0, 10)):
            tell(f"{number}")
        request.nothing_else()
        return {"counted": True}
    if request.do == "fail":
        raise RigError("no", where="here", mend="yes")
    if request.do == "stumble":
        raise ZeroDivisionError(CODE)
    if request.do == "wait":
        await asyncio.sleep(3600)
    raise UsageError(f"{request.do[:20]!r} is nothing that a hub does")


def served(
    path: Path, talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> None:
    async def main() -> None:
        server = HubSocket(path, echo)
        await server.open()
        with reachable(path) as name:
            reader, writer = await asyncio.open_unix_connection(name)
        try:
            await asyncio.wait_for(talk(reader, writer), 10)
        finally:
            writer.close()
            await server.close()

    asyncio.run(main())
    assert not path.exists()


async def asked(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, octets: bytes
) -> list[dict[str, Any]]:
    """Send octets; the lines up to the one that ends the answer."""
    writer.write(octets)
    lines: list[dict[str, Any]] = []
    while not lines or "tell" in lines[-1]:
        lines.append(json.loads(await reader.readuntil(b"\n")))
    return lines


def test_an_answer_comes_after_what_is_told_meanwhile(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = await asked(reader, writer, b'{"labctl": 1, "do": "count", "to": 3}\n')
        assert [line.get("tell") for line in lines[:-1]] == ["0", "1", "2"]
        assert lines[-1] == {"labctl": 1, "done": {"counted": True}}
        both = wire.line({"do": "count", "to": 1}) + wire.line({"do": "fail"})
        assert (await asked(reader, writer, both))[-1]["done"] == {"counted": True}
        assert (await asked(reader, writer, b""))[-1]["error"]["what"] == "no"

    served(tmp_path / "hub.sock", talk)


def test_the_socket_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "rig"
    folder.mkdir(mode=0o700)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert stat.S_IMODE((folder / "hub.sock").stat().st_mode) == 0o600

    served(folder / "hub.sock", talk)


def test_a_folder_that_a_group_shares_shares_the_socket_and_with_nobody_else(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "rig"
    folder.mkdir()
    folder.chmod(0o777)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert stat.S_IMODE((folder / "hub.sock").stat().st_mode) == 0o660

    served(folder / "hub.sock", talk)


def test_a_path_that_is_too_long_for_the_kernel_works_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 40)
    folder.mkdir()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (line,) = await asked(reader, writer, wire.line({"do": "count", "to": 0}))
        assert line["done"]

    served(folder / "hub.sock", talk)
    assert len(os.fsencode(folder)) > 108


def test_a_socket_that_a_killed_hub_left_behind_is_no_hindrance(tmp_path: Path) -> None:
    import socket

    path = tmp_path / "hub.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (line,) = await asked(reader, writer, wire.line({"do": "count", "to": 0}))
        assert line["done"]

    served(path, talk)


@pytest.mark.parametrize(
    "octets",
    [
        b"\n",
        b"null\n",
        b"[]\n",
        b"{}\n",
        b"\xff\xfe\n",
        b'{"labctl": 2, "do": "count"}\n',
        b'{"labctl": 1}\n',
        b'{"labctl": 1, "do": 7}\n',
        b'{"labctl": 1, "do": "dance"}\n',
        b'{"labctl": 1, "do": "count"}\n',
        b'{"labctl": 1, "do": "count", "to": true}\n',
        b'{"labctl": 1, "do": "count", "to": 11}\n',
        b'{"labctl": 1, "do": "count", "to": 1, "more": 1}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_bad_input_is_answered_and_the_next_request_is_done(tmp_path: Path, octets: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        error = (await asked(reader, writer, octets))[-1]["error"]
        assert error["kind"] == "UsageError"
        assert error["exit_code"] == ExitCode.USAGE
        assert (await asked(reader, writer, wire.line({"do": "count", "to": 1})))[-1]["done"]

    served(tmp_path / "hub.sock", talk)


def test_a_line_that_never_ends_is_answered_and_hung_up_on(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * (wire.LONGEST_LINE + 70_000))
        line = json.loads(await reader.readuntil(b"\n"))
        assert line["error"]["kind"] == "UsageError"

    served(tmp_path / "hub.sock", talk)


def test_a_bug_costs_one_request_and_tells_no_code(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        error = (await asked(reader, writer, wire.line({"do": "stumble"})))[-1]["error"]
        assert error["exit_code"] == ExitCode.BUG
        assert CODE not in json.dumps(error)
        assert (await asked(reader, writer, wire.line({"do": "count", "to": 1})))[-1]["done"]

    served(tmp_path / "hub.sock", talk)
    assert CODE not in caplog.text


def test_whoever_waits_when_the_hub_ends_hears_of_it(tmp_path: Path) -> None:
    path = tmp_path / "hub.sock"

    async def main() -> None:
        server = HubSocket(path, echo)
        await server.open()
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(wire.line({"do": "wait"}))
        await asyncio.sleep(0.05)
        await server.close()
        line = json.loads(await reader.readuntil(b"\n"))
        assert line["error"]["what"] == "the hub ends"
        writer.close()

    asyncio.run(main())


def test_what_is_done_for_somebody_who_went_away_is_broken_off(tmp_path: Path) -> None:
    path = tmp_path / "hub.sock"

    async def main() -> None:
        started, ended = asyncio.Event(), asyncio.Event()

        async def act(request: wire.Request, tell: Callable[[str], None]) -> dict[str, Any]:
            started.set()
            try:
                await asyncio.sleep(3600)
            finally:
                ended.set()
            return {}

        server = HubSocket(path, act)
        await server.open()
        _, writer = await asyncio.open_unix_connection(str(path))
        writer.write(wire.line({"do": "wait"}))
        await started.wait()
        writer.close()
        await asyncio.wait_for(ended.wait(), 5)
        await server.close()

    asyncio.run(main())


def test_too_many_at_once_are_told_so(tmp_path: Path) -> None:
    path = tmp_path / "hub.sock"

    async def main() -> None:
        server = HubSocket(path, echo)
        await server.open()
        lines = [await asyncio.open_unix_connection(str(path)) for _ in range(MOST_CONNECTIONS)]
        await asyncio.sleep(0.05)
        reader, writer = await asyncio.open_unix_connection(str(path))
        assert "error" in json.loads(await asyncio.wait_for(reader.readuntil(b"\n"), 5))
        for _, each in [*lines, (reader, writer)]:
            each.close()
        await server.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "error",
    [
        UsageError("a", mend="b"),
        ConfigurationError("a", where="w"),
        RigError("a"),
        BusyError("a"),
        DeliveryError("not delivered", status="NO_ROUTE"),
    ],
)
def test_an_error_arrives_as_what_it_was(error: LabctlError) -> None:
    told = wire.parsed(wire.line({"error": wire.error_content(error)}))
    found = wire.error_from(told["error"])
    assert (found.what, found.where, found.mend) == (error.what, error.where, error.mend)
    assert found.exit_code == error.exit_code
    assert isinstance(error, type(found))


def test_a_device_arrives_as_it_was_sent() -> None:
    told = wire.parsed(wire.line({"do": "pair", "devices": [wire.applicant_content(APPLICANT)]}))
    assert wire.Request("pair", told).applicants("devices") == [APPLICANT]


@pytest.mark.parametrize(
    "change",
    [
        {"code": "83FED3407A939723A5C639B26916D505C3B6"},
        {"code": "xyz"},
        {"code": None},
        {"eui64": "nothing"},
        {"kind": "kettle"},
        {"method": "magic"},
        {"window_s": -1},
        {"window_s": "long"},
        {"name": ""},
    ],
)
def test_a_device_that_is_none_is_refused_without_its_code(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as refused:
        wire.applicant_from(wire.applicant_content(APPLICANT) | change)
    assert CODE.lower() not in str(refused.value).lower()
    assert str(change.get("code")) not in str(refused.value)


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=300)
def test_whatever_octets_come_they_are_a_request_or_a_usage_error(octets: bytes) -> None:
    with contextlib.suppress(UsageError):
        assert isinstance(wire.parse(octets), wire.Request)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_is_said_of_a_device_it_is_one_or_a_usage_error(told: object) -> None:
    with pytest.raises(UsageError):
        wire.applicant_from(told)
