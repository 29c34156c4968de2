"""What sticks there are, who has them, and what they answer."""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from labctl.config.inventory import Radio
from labctl.errors import BusyError, RigError
from labctl.leases import Kind, Lease, Leases, LockFolder, Thing, stick_identity
from labctl.radio.firmware import Judgement, judge
from labctl.radio.holders import Holders, port_holders
from labctl.radio.ports import NETWORK, Port, list_ports, resolve, steady_path, twins
from labctl.radio.probe import Attempt, Probed, attempts_for, attempts_of, probe
from labctl.radio.sticks import Confidence

_LOGGER = logging.getLogger(__name__)
_AT_ONCE = 8
_BEAT_S = 5.0


class State(enum.StrEnum):
    """How it stands with a port."""

    ANSWERED = "answered"
    """It was asked, and is a stick."""
    SILENT = "silent"
    """It was asked, and nothing that labctl speaks came back."""
    HELD = "held"
    """A process has it open, or leased: it was not asked."""
    NOT_ASKED = "not asked"
    """Nothing says that it is a stick, or asking was not wanted."""
    OTHER = "other"
    """It is something else, and is never asked."""
    MISSING = "missing"
    """The inventory has it, and no port of this computer is it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One port, or one radio of the inventory that has none.

    `path` is what to write into an inventory. `names` are the radios of the inventory that are this
    stick. `trouble` is what stopped the asking.
    """

    port: Port
    path: str
    state: State
    names: tuple[str, ...] = ()
    held_by: tuple[str, ...] = ()
    twins: tuple[str, ...] = ()
    probed: Probed | None = None
    trouble: RigError | None = None
    attempts: tuple[Attempt, ...] = field(default=(), repr=False)

    @property
    def judgement(self) -> Judgement | None:
        """What is known of its firmware."""
        return judge(self.probed) if self.probed else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Where to look; all of it can be put in by tests."""

    ports: Callable[[], list[Port]] = list_ports
    holders: Callable[[Sequence[str]], Holders] = port_holders
    leases: Callable[[], Leases] = lambda: Leases(LockFolder.shared())
    ask: Callable[[str, Sequence[Attempt]], Any] = probe


async def survey(
    radios: Mapping[str, Radio] | None = None,
    *,
    named: Sequence[str] = (),
    only_radios: bool = False,
    asking: bool = True,
    look: Look | None = None,
) -> list[Row]:
    """All ports of this computer and all real radios of the inventory, asked where they are free.

    `named` ports are asked whatever they look like. `only_radios` leaves out ports that no radio of
    `radios` is at. A port that a process has open, or that is leased, is not opened.
    """
    look = look or Look()
    rows = rows_of(look.ports(), radios or {}, named=named, only_radios=only_radios)
    rows = _with_holders(rows, look)
    if not asking:
        return rows
    turn = asyncio.Semaphore(_AT_ONCE)

    async def asked(row: Row) -> Row:
        async with turn:
            return await _ask(row, look)

    return list(await asyncio.gather(*(asked(row) for row in rows)))


def rows_of(
    ports: Sequence[Port],
    radios: Mapping[str, Radio],
    *,
    named: Sequence[str] = (),
    only_radios: bool = False,
) -> list[Row]:
    """Ports and radios brought together. Opens nothing."""
    radios = {name: radio for name, radio in radios.items() if not radio.is_virtual}
    found: dict[str, str] = {}
    missing: list[Row] = []
    for name, radio in radios.items():
        try:
            found[name] = resolve(name, radio, ports)
        except RigError as error:
            place = Port(device=radio.place)
            missing.append(
                Row(
                    port=place,
                    path=radio.place,
                    state=State.MISSING,
                    names=(name,),
                    trouble=error,
                )
            )
    extra = [Port(device=path) for path in (*found.values(), *named)]
    rows = []
    for port in _without_repetition([*ports, *extra]):
        names = tuple(name for name, path in found.items() if port.is_at(path))
        wanted = any(port.is_at(path) for path in named)
        if not names and not wanted and (only_radios or named):
            continue
        rows.append(_row(port, ports, names, {name: radios[name] for name in names}, wanted))
    return [*rows, *([] if named else missing)]


def _without_repetition(ports: Sequence[Port]) -> list[Port]:
    kept: list[Port] = []
    for port in ports:
        if not any(one.is_at(port.device) for one in kept):
            kept.append(port)
    return kept


def _row(
    port: Port,
    ports: Sequence[Port],
    names: tuple[str, ...],
    radios: Mapping[str, Radio],
    wanted: bool,
) -> Row:
    attempts = [each for radio in radios.values() for each in attempts_of(radio)]
    if not radios or wanted:
        attempts += attempts_for(port)
    sure = bool(names) or wanted
    if port.confidence is Confidence.OTHER and not sure:
        state = State.OTHER
    elif sure or port.confidence in (Confidence.LIKELY, Confidence.POSSIBLE):
        state = State.SILENT  # until it answers
    else:
        state = State.NOT_ASKED
    return Row(
        port=port,
        path=steady_path(port, ports),
        state=state,
        names=names,
        twins=tuple(other.device for other in twins(port, ports)),
        attempts=tuple(dict.fromkeys(attempts)) if state is State.SILENT else (),
    )


def _with_holders(rows: Sequence[Row], look: Look) -> list[Row]:
    devices = [row.port.device for row in rows if not row.port.is_network]
    holders = look.holders(devices)
    changed = []
    for row in rows:
        by = () if row.port.is_network else holders.of(row.port.device)
        if by:
            row = replace(row, state=State.HELD, held_by=tuple(map(str, by)), attempts=())
        elif row.state is State.SILENT:
            row = replace(row, state=State.NOT_ASKED)
        changed.append(row)
    return changed


async def _ask(row: Row, look: Look) -> Row:
    if not row.attempts:
        return row
    try:
        lease = lease_of(row, look, purpose="radios")
    except BusyError as error:
        return replace(row, state=State.HELD, held_by=(error.what,))
    except RigError as error:
        # Who cannot lock does not open: somebody may be at work on it.
        return replace(row, trouble=error)
    try:
        async with kept(lease):
            found = await look.ask(row.port.device, row.attempts)
    except RigError as error:
        return replace(row, state=State.SILENT, trouble=error)
    return replace(row, state=State.ANSWERED, probed=found)


def lease_of(row: Row, look: Look, *, purpose: str) -> Lease:
    """Have the stick for oneself. Raises `BusyError`, `RigError`."""
    port = row.port
    identity = stick_identity(
        port.device, vid=port.vid, pid=port.pid, serial_number=port.serial_number
    )
    return look.leases().take([Thing(Kind.RADIO, identity)], purpose=purpose)


@asynccontextmanager
async def kept(lease: Lease) -> AsyncIterator[None]:
    """Say now and then that we live, for as long as the block lasts; then give the lease back.

    A lease that is lost all the same is found out by whoever asks it before a write.
    """

    async def beat() -> None:
        while lease.lost is None:
            await asyncio.sleep(_BEAT_S)
            with suppress(RigError):
                lease.beat(patience_s=0.0)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
        lease.release()


def is_path(word: str) -> bool:
    """Whether a word names a port, rather than a radio or a rig."""
    return word.startswith((NETWORK, "/dev/", "/tmp/")) or word.upper().startswith("COM")  # noqa: S108
