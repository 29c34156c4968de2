"""`labctl capture`: what is on a rig's air, for Wireshark."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.arguments import (
    RIG,
    Duration,
    database_option,
    inventory_option,
    wait_option,
    waiting_told,
)
from labctl.cli.logs import configure_logging
from labctl.cli.output import Output, examples, output_options
from labctl.config.paths import chosen_inventory, find_rig, locate_database
from labctl.errors import UsageError
from labctl.events import Band

if TYPE_CHECKING:
    from labctl.bench.capture import CaptureResult, Listening
    from labctl.capture.rotation import CaptureFiles, Rotation
    from labctl.config.resolved import LoadedRig
    from labctl.smart_energy.channels import Channel

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_LINE_EVERY_S, _SCREEN_EVERY_S = 10.0, 0.5


class Size(click.ParamType[int]):
    """An amount of octets as people write it: ``100MB``, ``512KiB``, ``1000000``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse it, or fail with what is possible."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,3})?)\s*([kmg]i?)?b?", str(value).strip().lower())
        if found is None:
            self.fail(f"{value!r} is no size: write 100MB, 512KiB or a number", param, ctx)
        return int(float(found[1]) * _UNITS[found[2] or ""])


SIZE = Size()


def rotation_of(octets: int | None, keep: int | None, option: str) -> Rotation | None:
    """What `--rotate` and `--keep` ask for together. Raises `UsageError`."""
    from labctl.capture.rotation import LEAST_OCTETS, Rotation

    if octets is None:
        if keep is not None:
            raise UsageError(f"without {option} there is one file, and nothing to give up")
        return None
    if octets < LEAST_OCTETS:
        raise UsageError(f"{option} is at least {LEAST_OCTETS} octets")
    return Rotation(octets, keep)


@click.command(
    epilog=examples(
        "labctl capture bench-ezsp                         until Ctrl-C",
        "labctl capture bench-ezsp -o air.pcap --keys air.keys --for 1h",
        "labctl capture bench-ezsp --rotate 100MB --keep 10",
        "labctl capture bench-ezsp --radio stick-2 --channel 25",
        "labctl capture virtual --for 10min -o air.pcap",
    )
)
@click.argument("rig", type=RIG, metavar="RIG")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The capture (pcap, IEEE 802.15.4 TAP). Default: RIG-TIME.pcap here.",
)
@click.option(
    "--for",
    "--duration",
    "duration",
    type=Duration(),
    metavar="DURATION",
    help="How long. Default: until interrupted; a virtual rig 10min of its own time.",
)
@click.option(
    "--rotate",
    type=SIZE,
    metavar="SIZE",
    help="Go on in another file when one has this size: FILE-0001.pcap and so on.",
)
@click.option(
    "--keep",
    type=click.IntRange(1),
    metavar="N",
    help="With --rotate: keep the last N files of this capture.",
)
@click.option(
    "--keys",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the keys that are known (Wireshark's zigbee_pc_keys, 0600).",
)
@click.option(
    "--radio",
    metavar="NAME",
    help="Real rigs: the radio of the inventory that listens. Default: the rig file's "
    "capture.radio.",
)
@click.option(
    "--band",
    type=click.Choice([band.value for band in Band]),
    help="Real rigs on both bands: which one. Default: 2.4 GHz, if the radio has it.",
)
@click.option(
    "--channel",
    metavar="CHANNEL",
    help="Real rigs: another channel than the hub's: 20, '868.45 MHz', 'page 28, channel 26'.",
)
@click.option(
    "--real-time", is_flag=True, help="Virtual rigs: let time pass as it does on the wall."
)
@click.option("--plain", is_flag=True, help="Lines instead of the live counters.")
@wait_option
@inventory_option
@database_option
@output_options("labctl.capture/1")
def capture(
    output: Output,
    rig: str,
    out: Path | None,
    duration: timedelta | None,
    rotate: int | None,
    keep: int | None,
    keys: Path | None,
    radio: str | None,
    band: str | None,
    channel: str | None,
    real_time: bool,
    plain: bool,
    wait: timedelta | None,
    inventory: Path | None,
    database: Path | None,
) -> int:
    """Capture what is on the air of a rig, for Wireshark.

    On a real rig a second stick listens on the hub's channel, whoever runs the rig meanwhile. One
    stick hears one channel; a hub on both bands takes two sticks and two captures. A virtual rig
    is run for it, devices and all, and captured on all bands.

    Exit code 0: it ended when it should. 69: the stick or the disk gave out. 75: somebody else has
    the stick. 130: interrupted before --for was over.
    """
    rotation = rotation_of(rotate, keep, "--rotate")
    chosen = chosen_inventory(inventory)
    from labctl.config.loading import load_rig

    loaded = load_rig(find_rig(rig, chosen), chosen)
    for warning in loaded.warnings:
        output.warning(str(warning))
    database_path = locate_database(database, loaded.inventory_path).path
    plan = None
    if loaded.is_virtual:
        _only(
            "a virtual rig, whose air is captured as a whole",
            {
                "--radio": radio is not None,
                "--band": band is not None,
                "--channel": channel is not None,
            },
        )
    else:
        _only("a real rig", {"--real-time": real_time})
        plan = _plan(loaded, radio, band, channel, database_path)
    from labctl.bench.capture import CaptureOptions, run_capture

    view = _View(output, plain=plain)
    configure_logging(output.verbosity, view.say)
    result = run_capture(
        loaded,
        CaptureOptions(
            path=out or Path(_name(loaded.name)),
            database=database_path,
            plan=plan,
            rotation=rotation,
            keys=keys,
            duration=duration,
            real_time=real_time,
            wait_s=wait.total_seconds() if wait else 0.0,
            waiting=waiting_told(view.say),
        ),
        view,
    )
    view.end()
    output.emit(_as_json(loaded, result, keys), text=lambda: _as_text(result, keys))
    if result.broken:
        output.fail(f"the capture ended early: {result.broken}")
    return result.exit_code


def _only(of: str, given: dict[str, bool]) -> None:
    wrong = [option for option, is_given in given.items() if is_given]
    if wrong:
        raise UsageError(f"{', '.join(wrong)} does not go with {of}", mend="leave it out")


def _plan(
    loaded: LoadedRig, radio: str | None, band: str | None, channel: str | None, database: Path
) -> Listening:
    from labctl.bench.capture import plan_listening

    if band is not None and channel is not None:
        raise UsageError("a channel is of one band: leave --band out")
    return plan_listening(
        loaded,
        radio=radio,
        band=None if band is None else Band(band),
        channel=None if channel is None else _channel(channel),
        database=database,
    )


def _channel(text: str) -> Channel:
    from labctl.smart_energy.channels import Channel

    try:
        return Channel(0, int(text)) if text.isascii() and text.isdecimal() else Channel.parse(text)
    except ValueError as error:
        raise UsageError(
            str(error), mend="write 11 to 26, '868.45 MHz' or 'page 28, channel 26'"
        ) from None


def _name(rig: str) -> str:
    from labctl.clock import wall_us

    now = datetime.fromtimestamp(wall_us() // 10**6, UTC)
    return f"{rig}-{now:%Y%m%dT%H%M%SZ}.pcap"


# -- live -----------------------------------------------------------------------------------------


class _View:
    """One line that changes on a terminal; else a line now and then. All of it on stderr."""

    def __init__(self, output: Output, *, plain: bool) -> None:
        self._output = output
        self._screen = sys.stderr.isatty() and not plain and output.verbosity >= 0
        self._files: CaptureFiles | None = None
        self._shown_s = 0.0
        self._began_s = time.monotonic()
        self._width = 0

    def begin(self, files: CaptureFiles, where: str) -> None:
        self._files = files
        self._began_s = self._shown_s = time.monotonic()
        self.say(f"listening: {where}")

    def say(self, text: str) -> None:
        self._clear()
        self._output.message(text)

    def tick(self) -> None:
        now_s = time.monotonic()
        every_s = _SCREEN_EVERY_S if self._screen else _LINE_EVERY_S
        if self._files is None or now_s - self._shown_s < every_s:
            return
        self._shown_s = now_s
        text = _counters(self._files, now_s - self._began_s)
        if not self._screen:
            self._output.message(text)
            return
        self._clear()
        click.echo(text, nl=False, err=True)
        self._width = len(text)

    def end(self) -> None:
        """The answer comes."""
        self._clear()

    def _clear(self) -> None:
        if self._width:
            click.echo("\r" + " " * self._width + "\r", nl=False, err=True)
            self._width = 0


def _counters(files: CaptureFiles, seconds: float) -> str:
    parts = [f"{round(seconds)} s", f"{files.records} frames", _size(files.octets)]
    if len(files.files) > 1:
        parts.append(f"{len(files.files)} files")
    most, rest = _busiest(files.by_channel)
    parts += [
        f"{number if page == 0 else f'page {page} channel {number}'}: {count}"
        for (page, number), count in most
    ]
    if rest:
        parts.append(f"elsewhere: {rest}")
    return "  ".join(parts)


def _busiest(
    by_channel: Mapping[tuple[int, int], int],
) -> tuple[list[tuple[tuple[int, int], int]], int]:
    """The channels with most of the frames, in order, and how many were on all others: scans."""
    least = sum(by_channel.values()) / 50
    most = sorted(item for item in by_channel.items() if item[1] >= least)
    return most, sum(by_channel.values()) - sum(count for _, count in most)


def _size(octets: int) -> str:
    for unit, least in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if octets >= least:
            return f"{octets / least:.1f} {unit}"
    return f"{octets} B"


# -- the answer -----------------------------------------------------------------------------------


def _as_json(loaded: LoadedRig, result: CaptureResult, keys: Path | None) -> dict[str, Any]:
    from labctl.smart_energy.channels import Channel

    return {
        "rig": loaded.name,
        "simulated": loaded.is_virtual,
        "radio": result.radio,
        "files": [str(path) for path in result.files],
        "frames": result.frames,
        "octets": result.octets,
        "began_us": result.began_us,
        "ended_us": result.ended_us,
        "channels": [
            {
                "page": page,
                "channel": number,
                "frequency_khz": Channel(page, number).frequency_khz,
                "frames": count,
            }
            for (page, number), count in result.by_channel.items()
        ],
        "keys": None if keys is None else {"file": str(keys), "keys": result.keys},
        "interrupted": result.interrupted,
        "broken": result.broken.what if result.broken else None,
    }


def _as_text(result: CaptureResult, keys: Path | None) -> str:
    from labctl.smart_energy.channels import Channel

    seconds = (result.ended_us - result.began_us) / 1e6
    lines = [f"frames    {result.frames} in {seconds:.0f} s, {_size(result.octets)}"]
    most, rest = _busiest(result.by_channel)
    lines += [f"          {count} on {Channel(*where)}" for where, count in most]
    if rest:
        lines.append(f"          {rest} on other channels")
    lines += [f"capture   {path}" for path in result.files]
    if keys is not None:
        lines.append(f"keys      {keys} ({result.keys} keys; mode 0600)")
    return "\n".join(lines)
