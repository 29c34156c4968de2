"""`labctl virtual`: parts of the virtual bench on their own, and what its devices show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.arguments import RIG, inventory_option
from labctl.cli.output import Output, examples, output_options
from labctl.config.paths import chosen_inventory, find_rig
from labctl.errors import ExitCode, UsageError
from labctl.smart_energy.eui64 import Eui64

if TYPE_CHECKING:
    import random

    from labctl.virtual.line import SerialStick

DEFAULT_EUI64 = Eui64("00:0d:6f:00:00:00:00:01")
"""Of a virtual stick that is not told its address."""

DEFAULT_ZNP_EUI64 = Eui64("00:12:4b:00:00:00:00:01")
"""The same, of a ZNP one."""


@click.group(
    epilog=examples(
        "labctl virtual ncp --listen 127.0.0.1:8899",
        "labctl virtual ncp --pty /tmp/stick --state stick.json",
        "labctl virtual screen virtual virtual-ihd",
    )
)
def virtual() -> None:
    """Parts of the virtual bench on their own, and what its devices show."""


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


def _version(_context: click.Context, _parameter: click.Parameter, value: int) -> int:
    from labctl.virtual.ncp.versions import FIRMWARE

    if value not in FIRMWARE:
        known = ", ".join(str(version) for version in FIRMWARE)
        raise click.BadParameter(f"EZSP {value} is not emulated; {known} are")
    return value


@virtual.command(
    epilog=examples(
        "labctl virtual ncp --listen 127.0.0.1:8899",
        "labctl virtual ncp --listen 127.0.0.1:8899 --ezsp 8",
        "labctl virtual ncp --listen 127.0.0.1:8899 --protocol znp",
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
    type=click.Choice(["ezsp", "znp"]),
    default="ezsp",
    show_default=True,
    help="What the NCP speaks: EmberZNet's protocol, or Z-Stack's (3.30).",
)
@click.option(
    "--ezsp",
    type=int,
    default=13,
    show_default=True,
    metavar="N",
    callback=_version,
    help="Version of EZSP: 8 to 14 or 16 to 19. 8 is EmberZNet 6.7 to 7.0, 13 is 7.4, 14 is 8.0.",
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
    help=f"The stick's address. Default: that of --state, or {DEFAULT_EUI64} "
    f"({DEFAULT_ZNP_EUI64} with znp).",
)
@click.option("--seed", type=int, help="Make everything random repeatable.")
@output_options("labctl.virtual.ncp/1")
def ncp(
    output: Output,
    listen: tuple[str, int] | None,
    pty: str | None,
    protocol: str,
    ezsp: int,
    state: Path | None,
    eui64: Eui64 | None,
    seed: int | None,
) -> int:
    """Run a virtual network co-processor, until interrupted.

    It is an EZSP or ZNP stick to whatever connects: bellows, zigpy-znp, zigpy, labctl itself. One
    host at a time; the network goes on while none is connected. Where it is reached goes to stdout.
    """
    import asyncio

    if (listen is None) == (pty is None):
        raise UsageError(
            "the NCP is reached in one way",
            where="labctl virtual ncp",
            mend="give either --listen HOST:PORT or --pty [PATH]",
        )
    return asyncio.run(
        _serve(output, listen, pty, None if protocol == "znp" else ezsp, state, eui64, seed)
    )


async def _serve(
    output: Output,
    listen: tuple[str, int] | None,
    pty: str | None,
    ezsp: int | None,
    state: Path | None,
    eui64: Eui64 | None,
    seed: int | None,
) -> int:
    import asyncio
    import random
    import signal

    rng = random.Random(random.SystemRandom().getrandbits(64) if seed is None else seed)
    stick = _znp_stick(state, eui64, rng) if ezsp is None else _ezsp_stick(ezsp, state, eui64, rng)
    stopped: asyncio.Future[ExitCode] = asyncio.get_running_loop().create_future()

    def stop(code: ExitCode) -> None:
        if not stopped.done():
            stopped.set_result(code)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop, ExitCode.INTERRUPTED)
    loop.add_signal_handler(signal.SIGTERM, stop, ExitCode.PASS)
    try:
        path = await _plug_in(stick, listen, pty)
        what = {"protocol": "znp"} if ezsp is None else {"protocol": "ezsp", "version": ezsp}
        output.emit({"path": path, **what}, text=path)
        output.message("running; Ctrl-C stops it")
        return await stopped
    finally:
        await stick.close()


def _ezsp_stick(
    version: int, state: Path | None, eui64: Eui64 | None, rng: random.Random
) -> SerialStick:
    from labctl.virtual.air import Air
    from labctl.virtual.ncp import Flash, Identity, VirtualEzspNcp

    flash = Flash(state)
    return VirtualEzspNcp(
        air=Air(rng=rng),
        eui64=eui64 or flash.stored_eui64 or DEFAULT_EUI64,
        flash=flash,
        rng=rng,
        identity=Identity.speaking(version),
    )


def _znp_stick(state: Path | None, eui64: Eui64 | None, rng: random.Random) -> SerialStick:
    from labctl.virtual.air import Air
    from labctl.virtual.znp import Memory, VirtualZnpNcp

    memory = Memory(state)
    return VirtualZnpNcp(
        air=Air(rng=rng),
        eui64=eui64 or memory.stored_eui64 or DEFAULT_ZNP_EUI64,
        memory=memory,
        rng=rng,
    )


async def _plug_in(stick: SerialStick, listen: tuple[str, int] | None, pty: str | None) -> str:
    if listen is not None:
        host, port = listen
        bound = await stick.listen(host, port)
        return f"socket://{host}:{bound}"
    return str(stick.open_pty(Path(pty) if pty else None))


@virtual.command(
    epilog=examples(
        "labctl virtual screen virtual",
        "labctl virtual screen virtual virtual-ihd",
        "labctl virtual screen virtual --json | jq '.data.screens[].electricity.today_cost'",
    )
)
@click.argument("rig", type=RIG)
@click.argument("device", required=False)
@inventory_option
@output_options("labctl.virtual.screen/1")
def screen(output: Output, rig: str, device: str | None, inventory: Path | None) -> int:
    """Show what a consumer sees on the virtual devices of RIG, or on DEVICE alone.

    It is what the device computed from what it read, as it stood within the last minute of rig
    time, or when the device was switched off. It works during a run and after it.
    """
    from labctl.config.loading import load_rig
    from labctl.rig.state_folder import StateFolder
    from labctl.virtual.devices import load_picture, picture_path

    chosen = chosen_inventory(inventory)
    loaded = load_rig(find_rig(rig, chosen), chosen)
    names = [entry.name for entry in loaded.devices if entry.device.virtual is not None]
    if device is not None and device not in names:
        raise UsageError(
            f"{device!r} is no virtual device of the rig {loaded.name}",
            where="labctl virtual screen",
            mend=f"its virtual devices are: {', '.join(names) or 'none'}",
        )
    folder = StateFolder(loaded.inventory_path, loaded.name).rig
    shown = {
        name: load_picture(picture_path(folder / f"{name}.json"))
        for name in ([device] if device is not None else names)
    }
    output.emit(
        {"screens": {name: found for name, found in shown.items() if found is not None}},
        text="\n\n".join(_screen_text(name, found) for name, found in shown.items()),
    )
    return ExitCode.PASS


_LINES = (
    ("reading", "meter", ""),
    ("demand_kw", "now", " kW"),
    ("today_kwh", "today", " kWh"),
    ("today_cost", "cost today", ""),
    ("price", "price a unit", ""),
    ("tariff", "tariff", ""),
    ("ambient", "usage", ""),
    ("supply", "supply", ""),
)
_PREPAYMENT_LINES = (
    ("balance", "balance"),
    ("status", "credit"),
    ("emergency_credit", "emergency credit"),
    ("debt", "debt"),
)


def _screen_text(name: str, shown: dict[str, Any] | None) -> str:
    if shown is None:
        return f"{name}: nothing was ever shown"
    lines = [f"{name} ({shown['kind']})  {shown['utc'] or '--'}"]
    for fuel in ("electricity", "gas"):
        found = shown[fuel]
        if found is None:
            continue
        lines.append(f"  {fuel}")
        for key, title, unit in _LINES:
            if found[key] is not None:
                lines.append(f"    {title:<17}{found[key]}{unit}")
        for key, title in _PREPAYMENT_LINES if found["prepayment"] else ():
            if found["prepayment"][key] is not None:
                lines.append(f"    {title:<17}{found['prepayment'][key]}")
    if shown["message"] is not None:
        wanted = "  (to be confirmed)" if shown["confirmation_wanted"] else ""
        lines.append(f"  message: {shown['message']}{wanted}")
    return "\n".join(lines)
