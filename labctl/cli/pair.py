"""`labctl pair` and `labctl unpair`: devices into the device log, and out of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
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
from labctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from labctl.bench.pair import Applicant, PairResult
    from labctl.config.resolved import LoadedRig
    from labctl.events import Event

_KINDS = ("cad", "ihd", "ppmid", "load-switch", "hand-held-terminal", "gas-meter", "meter", "other")


@click.command(
    epilog=examples(
        "labctl pair virtual virtual-ihd",
        "labctl pair bench-ezsp --eui64 00:0d:6f:00:0a:90:69:e7 --code -",
        "labctl pair bench-ezsp --label 'Z:000D6F000A9069E7$I:83FED3...' --consent form-17",
        "labctl pair bench-ezsp --file devices.csv --requested-by nightly",
        "labctl pair bench-ezsp --confirm          shows who asks to join",
    )
)
@click.argument("rig", type=RIG, metavar="RIG")
@click.argument("device", required=False)
@click.option("--eui64", metavar="ADDRESS", help="The device's address, from its label.")
@click.option("--code", metavar="CODE", help="Its install code with CRC; - to be asked for it.")
@click.option("--label", metavar="TEXT", help="What its label or QR code says, instead of both.")
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="CSV",
    help="Many devices: eui64,install_code[,name,kind,window,requested_by,consent_reference].",
)
@click.option(
    "--confirm",
    "offer",
    is_flag=True,
    help="Show the address of whoever asks to join, and pair it when confirmed.",
)
@click.option("--kind", type=click.Choice(_KINDS), help="What it is. Default: cad.")
@click.option(
    "--window", type=Duration(), metavar="DURATION", help="How long joining is open for it."
)
@click.option(
    "--method",
    type=click.Choice(["remote", "pre-paired"]),
    help="How it came into the log. Default: remote, or what the rig file says.",
)
@click.option("--requested-by", metavar="WHO", help="Who asked for it: kept as evidence.")
@click.option("--consent", metavar="REFERENCE", help="The consumer's consent: kept as evidence.")
@click.option("--seed", type=click.IntRange(0), help="Virtual rigs: another seed than the file's.")
@click.option(
    "--real-time", is_flag=True, help="Virtual rigs: let time pass as it does on the wall."
)
@wait_option
@inventory_option
@database_option
@output_options("labctl.pair/1")
def pair(
    output: Output,
    rig: str,
    device: str | None,
    eui64: str | None,
    code: str | None,
    label: str | None,
    file: Path | None,
    offer: bool,
    kind: str | None,
    window: timedelta | None,
    method: str | None,
    requested_by: str | None,
    consent: str | None,
    seed: int | None,
    real_time: bool,
    wait: timedelta | None,
    inventory: Path | None,
    database: Path | None,
) -> int:
    """Pair a device: into the device log, and onto the network.

    DEVICE is one of the rig file, by name or address; without it, the device is described by
    --eui64 and --code, by --label, or many by --file. The rig is opened for the pairing window
    (the devices of a virtual rig are switched on), the steps are shown, and it ends when all are
    authorised or their windows are closed. Every attempt is recorded, with who asked.

    Exit code 0: paired, now or before. 1: it failed or was refused. 69: nothing was heard of it.
    """
    loaded = _load(output, rig, inventory)
    ways = {"DEVICE": device, "--eui64": eui64, "--label": label, "--file": file}
    given = [name for name, value in ways.items() if value is not None]
    if offer:
        given = [name for name in given if name != "--eui64"] + ["--confirm"]
    if len(given) != 1:
        raise UsageError(
            "nobody to pair was named"
            if not given
            else f"{' and '.join(given)} exclude each other",
            mend="name a DEVICE, or give --eui64 and --code, --label, --file or --confirm",
        )

    def evidence(applicant: Applicant) -> Applicant:
        return _with(applicant, kind, window, method, requested_by, consent)

    options = _options(loaded, database, seed, real_time, output, wait)
    view = _view(output)
    if offer:
        from labctl.bench.pair import confirm

        handed = _handed_over(loaded, eui64, code, evidence)
        if handed is not None:
            return told_handed_over(output, handed)
        length = window or timedelta(minutes=10)
        asked = _asker(output, loaded, eui64, code, evidence)
        result = confirm(loaded, length, asked, options, view)
    else:
        from labctl.bench.pair import pair as pair_

        applicants = [
            evidence(each) for each in _applicants(loaded, device, eui64, code, label, file)
        ]
        for applicant in applicants:
            for sentence in applicant.assumed:
                output.warning(f"{applicant.eui64}: {sentence}")
        result = pair_(loaded, applicants, options, view)
    return tell(output, result)


def _handed_over(
    loaded: LoadedRig,
    eui64: str | None,
    code: str | None,
    evidence: Callable[[Applicant], Applicant],
) -> Applicant | None:
    """The applicant, if the rig runs in another process and was handed the confirmation."""
    from labctl.bench.keypad import hand_over, is_running
    from labctl.bench.pair import by_hand, of_the_rig
    from labctl.events import PairingMethod

    if eui64 is None or not is_running(loaded):
        return None
    known = of_the_rig(loaded, eui64) if code is None else by_hand(loaded, eui64, _typed(code))
    applicant = replace(evidence(known), method=PairingMethod.CONFIRM)
    return applicant if hand_over(loaded, applicant) else None


def _applicants(
    loaded: LoadedRig,
    device: str | None,
    eui64: str | None,
    code: str | None,
    label: str | None,
    file: Path | None,
) -> list[Applicant]:
    from labctl.bench.pair import by_hand, of_a_file, of_a_label, of_the_rig

    if file is not None:
        return of_a_file(loaded, file)
    if label is not None:
        return [of_a_label(loaded, label)]
    if device is not None:
        return [of_the_rig(loaded, device)]
    assert eui64 is not None  # one of the four was given
    return [by_hand(loaded, eui64, _typed(code))]


def _typed(code: str | None) -> str:
    if code is None:
        raise UsageError("--eui64 needs --code", mend="--code - asks for it, and shows nothing")
    if code != "-":
        return code
    return str(click.prompt("install code", hide_input=True, err=True))


def _with(
    applicant: Applicant,
    kind: str | None,
    window: timedelta | None,
    method: str | None,
    requested_by: str | None,
    consent: str | None,
) -> Applicant:
    from labctl.bench.pair import window_of
    from labctl.events import DeviceKind, PairingMethod

    changes: dict[str, Any] = {}
    if kind is not None:
        changes["kind"] = DeviceKind(kind)
    if window is not None:
        try:
            changes["window"] = window_of(window)
        except ValueError as error:
            raise UsageError(str(error)) from None
    if method is not None:
        changes["method"] = PairingMethod(method)
    if requested_by is not None:
        changes["requested_by"] = requested_by
    if consent is not None:
        changes["consent_reference"] = consent
    return replace(applicant, **changes)


def _asker(
    output: Output,
    loaded: LoadedRig,
    expected: str | None,
    code: str | None,
    evidence: Callable[[Applicant], Applicant],
) -> Callable[[str], Applicant | None]:
    """Shows an address and asks whether it is the right one; `expected` answers for a script."""
    from labctl.bench.pair import by_hand, of_the_rig

    wanted = None if expected is None else expected.lower().replace("-", ":")
    if wanted is None and not sys.stdin.isatty():
        raise UsageError(
            "--confirm asks a person, and there is no terminal",
            mend="give the address that is to be confirmed with --eui64",
        )

    def ask(eui64: str) -> Applicant | None:
        output.message(f"{eui64} asks to join")
        if wanted is not None:
            if eui64 != wanted:
                return None
        elif not click.confirm("is this the address on your device?", err=True):
            return None
        if code is not None:
            return evidence(by_hand(loaded, eui64, _typed(code)))
        try:
            return evidence(of_the_rig(loaded, eui64))
        except UsageError:
            if wanted is not None:
                raise
            return evidence(by_hand(loaded, eui64, _typed("-")))

    return ask


@click.command(
    epilog=examples(
        "labctl unpair virtual virtual-cad --yes",
        "labctl unpair bench-ezsp 00:0d:6f:00:0a:90:69:e7 --yes --reason 'consent withdrawn'",
    )
)
@click.argument("rig", type=RIG, metavar="RIG")
@click.argument("device")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.option("--reason", default="asked for", metavar="TEXT", help="Why: kept as evidence.")
@wait_option
@inventory_option
@database_option
@output_options("labctl.unpair/1")
def unpair(
    output: Output,
    rig: str,
    device: str,
    yes: bool,
    reason: str,
    wait: timedelta | None,
    inventory: Path | None,
    database: Path | None,
) -> int:
    """Take a device off the network and out of the device log.

    DEVICE is its name or its address. It is told to leave; should it not answer, it is refused
    from then on. Its key is archived: paired again, it may come back with it.
    """
    loaded = _load(output, rig, inventory)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("this takes a device's access away", mend="add --yes")
        click.confirm(f"take {device} out of the log of rig {loaded.name}?", abort=True, err=True)
    from labctl.bench.pair import unpair as unpair_

    eui64, left = unpair_(
        loaded, device, reason, _options(loaded, database, None, False, output, wait), _view(output)
    )
    said = "it left" if left else "it did not answer: it is refused from now on"
    output.emit({"eui64": eui64, "left": left}, text=f"{eui64} is out of the log; {said}")
    return ExitCode.PASS


# -- shared with the keypad -----------------------------------------------------------------------


def _load(output: Output, rig: str, inventory: Path | None) -> LoadedRig:
    chosen = chosen_inventory(inventory)
    from labctl.config.loading import load_rig

    loaded = load_rig(find_rig(rig, chosen), chosen)
    for warning in loaded.warnings:
        output.warning(str(warning))
    return loaded


def _options(
    loaded: LoadedRig,
    database: Path | None,
    seed: int | None,
    real_time: bool,
    output: Output,
    wait: timedelta | None = None,
) -> Any:
    from labctl.bench.pair import PairOptions

    if not loaded.is_virtual and (seed is not None or real_time):
        raise UsageError("--seed and --real-time are for virtual rigs")
    path = locate_database(database, loaded.inventory_path).path
    return PairOptions(
        database=path,
        seed=seed,
        real_time=real_time,
        wait_s=wait.total_seconds() if wait else 0.0,
        waiting=waiting_told(output.message),
        say=output.message,
    )


def _view(output: Output) -> list[Callable[[Event], None]]:
    """The steps as lines on stderr, as they come."""
    from labctl.bench.board import Board
    from labctl.bench.plain import PlainView

    configure_logging(output.verbosity, output.message)
    board = Board()
    return [board, PlainView(board, output.message)]


def told_handed_over(output: Output, applicant: Applicant) -> int:
    """Say that another process pairs; the exit code."""
    output.emit(
        {"handed_over": True, "eui64": applicant.eui64, "name": applicant.name},
        text=f"{applicant.eui64}  {applicant.name}  handed to the run that has the rig open",
    )
    return ExitCode.PASS


_COLORS = {"authorised": "green", "already": "green", "not-heard": "yellow"}


def tell(output: Output, result: PairResult) -> int:
    """Say what came of it; the exit code."""
    output.emit(
        {
            "run": result.run_id,
            "devices": [
                {
                    "eui64": device.eui64,
                    "name": device.name,
                    "ending": device.ending.value,
                    "cause": device.cause or None,
                }
                for device in result.devices
            ],
            "interrupted": result.interrupted,
            "broken": result.broken.what if result.broken else None,
        },
        text=lambda: (
            "\n".join(
                f"{device.eui64}  {device.name}  "
                + click.style(
                    device.ending.value.replace("-", " "), fg=_COLORS.get(device.ending, "red")
                )
                + (f": {device.cause}" if device.cause else "")
                for device in result.devices
            )
            or "nobody was paired"
        ),
    )
    if result.broken is not None:
        output.fail(f"the run ended early: {result.broken}")
    return result.exit_code
