"""`labctl virtual`: parts of the virtual bench on their own, for other programs to talk to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from labctl.cli.output import Output, examples, output_options
from labctl.errors import ExitCode, UsageError
from labctl.smart_energy.eui64 import Eui64

if TYPE_CHECKING:
    from labctl.virtual.ncp import VirtualEzspNcp

DEFAULT_EUI64 = Eui64("00:0d:6f:00:00:00:00:01")
"""Of a virtual stick that is not told its address."""


@click.group(
    epilog=examples(
        "labctl virtual ncp --listen 127.0.0.1:8899",
        "labctl virtual ncp --pty /tmp/stick --state stick.json",
    )
)
def virtual() -> None:
    """Parts of the virtual bench on their own, reached as hardware is: through a serial path."""


def _address(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> tuple[str, int] | None:
    """HOST:PORT, the host perhaps in brackets."""
    if value is None:
        return None
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"{value!r} is not HOST:PORT, such as 127.0.0.1:8899")
    return host.strip("[]"), int(port)


def _eui64(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Eui64 | None:
    try:
        return None if value is None else Eui64(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@virtual.command(
    epilog=examples(
        "labctl virtual ncp --listen 127.0.0.1:8899",
        "labctl virtual ncp --listen 127.0.0.1:0 --json   any free port, told on stdout",
        "labctl virtual ncp --pty /tmp/stick --state stick.json",
    )
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    callback=_address,
    help="Serve on TCP; hosts use socket://HOST:PORT. Port 0 takes any that is free.",
)
@click.option(
    "--pty",
    is_flag=False,
    flag_value="",
    metavar="[PATH]",
    help="Serve on a new pty; with PATH, make a symbolic link of that name to it.",
)
@click.option(
    "--protocol",
    type=click.Choice(["ezsp"]),
    default="ezsp",
    show_default=True,
    help="What the NCP speaks (EZSP version 13, EmberZNet 7.4).",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that is the NCP's flash (network, keys; mode 0600). Default: memory alone.",
)
@click.option(
    "--eui64",
    metavar="EUI64",
    callback=_eui64,
    help=f"The stick's address. Default: that of --state, or {DEFAULT_EUI64}.",
)
@click.option("--seed", type=int, help="Make everything random repeatable.")
@output_options("labctl.virtual.ncp/1")
def ncp(
    output: Output,
    listen: tuple[str, int] | None,
    pty: str | None,
    protocol: str,
    state: Path | None,
    eui64: Eui64 | None,
    seed: int | None,
) -> int:
    """Run a virtual network co-processor, until interrupted.

    It is an EZSP stick to whatever connects: bellows, zigpy, labctl itself. One host at a time;
    the network goes on while none is connected. Where it is reached goes to stdout.
    """
    import asyncio

    if (listen is None) == (pty is None):
        raise UsageError(
            "the NCP is reached in one way",
            where="labctl virtual ncp",
            mend="give either --listen HOST:PORT or --pty [PATH]",
        )
    return asyncio.run(_serve(output, listen, pty, state, eui64, seed))


async def _serve(
    output: Output,
    listen: tuple[str, int] | None,
    pty: str | None,
    state: Path | None,
    eui64: Eui64 | None,
    seed: int | None,
) -> int:
    import asyncio
    import random
    import signal

    from labctl.virtual.air import Air
    from labctl.virtual.ncp import Flash, VirtualEzspNcp

    rng = random.Random(random.SystemRandom().getrandbits(64) if seed is None else seed)
    flash = Flash(state)
    stick = VirtualEzspNcp(
        air=Air(rng=rng), eui64=eui64 or flash.stored_eui64 or DEFAULT_EUI64, flash=flash, rng=rng
    )
    stopped: asyncio.Future[ExitCode] = asyncio.get_running_loop().create_future()

    def stop(code: ExitCode) -> None:
        if not stopped.done():
            stopped.set_result(code)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop, ExitCode.INTERRUPTED)
    loop.add_signal_handler(signal.SIGTERM, stop, ExitCode.PASS)
    try:
        path = await _plug_in(stick, listen, pty)
        output.emit({"path": path, "protocol": "ezsp", "version": 13}, text=path)
        output.message("running; Ctrl-C stops it")
        return await stopped
    finally:
        await stick.close()


async def _plug_in(stick: VirtualEzspNcp, listen: tuple[str, int] | None, pty: str | None) -> str:
    if listen is not None:
        host, port = listen
        bound = await stick.listen(host, port)
        return f"socket://{host}:{bound}"
    return str(stick.open_pty(Path(pty) if pty else None))
