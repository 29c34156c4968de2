"""The command-line tools of the drivers on `labctl virtual ncp`, as a person runs them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zigpy.types as t
from ncp_support import STICK, stick
from test_ncp_bellows import every_version, started

from labctl.virtual import clock
from labctl.virtual.ncp import Flash, Identity
from labctl.virtual.ncp.versions import FIRMWARE

BELLOWS = Path(sys.executable).with_name("bellows")
ENDS_WITHIN_S = 60.0


@contextmanager
def ncp(version: int, state: Path) -> Iterator[str]:
    """The path of a virtual NCP in a process of its own."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "labctl.cli.main", "virtual", "ncp", "--json"),
            *("--listen", "127.0.0.1:0", "--ezsp", str(version), "--state", str(state)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = ""
        while not said.endswith("\n}\n"):
            line = process.stdout.readline()
            assert line, f"the NCP did not start: {said}"
            said += line
        yield json.loads(said)["data"]["path"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def bellows(path: str, *words: str) -> str:
    """What it says on stdout; it has to end by itself, and well."""
    done = subprocess.run(
        [str(BELLOWS), "-d", path, *words],
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def formed(state: Path, version: int) -> tuple[int, t.EUI64]:
    """Have a network formed in the flash; PAN id and extended PAN id of it."""

    async def main() -> tuple[int, t.EUI64]:
        speaking = Identity.speaking(version)
        async with stick(flash=Flash(state), identity=speaking) as (_, port):
            app = await started(port)
            found = app.state.network_info.pan_id, app.state.network_info.extended_pan_id
            await app.shutdown()
            await asyncio.sleep(1)
        return found

    return clock.run(main(), fast=True)


@every_version
def test_bellows_tells_of_stick_and_network(tmp_path: Path, version: int) -> None:
    state, database = tmp_path / "stick.json", tmp_path / "app.db"
    database.touch()  # bellows wants it to be there
    pan_id, extended_pan_id = formed(state, version)
    with ncp(version, state) as path:
        said = bellows(path, "info")
        assert STICK in said
        assert f"panId=0x{pan_id:04X}" in said
        assert str(extended_pan_id) in said
        assert f"EmberZNet version: {'.'.join(map(str, FIRMWARE[version]))} build 0" in said
        values = dict(
            line.split("=", 1)
            for line in bellows(path, "config", "-a").splitlines()
            if line.startswith("CONFIG_")
        )
        assert int(values["CONFIG_STACK_PROFILE"]) == 2
        assert len(values) > 20
        if version == 13:  # it starts the stick several times
            said = bellows(path, "permit", "-D", str(database), "-t", "1")
            assert "permitted for the next 1s" in said


@pytest.mark.parametrize("command", ["scan", "dump", "backup", "restore"])
def test_what_bellows_has_given_up_is_still_given_up(command: str) -> None:
    """docs/drivers.md says so; what does not complete there has its reason in the driver."""
    words = {"dump": ["-c", "15", "-w", "x.pcap"], "restore": ["-B", "x"]}.get(command, [])
    done = subprocess.run(
        [str(BELLOWS), "-d", "nowhere", command, *words],
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_S,
        check=False,
    )
    assert "zigpy" in done.stdout + done.stderr
    assert "deprecated" in done.stdout + done.stderr or "removed" in done.stdout + done.stderr
