"""A stick beside a real rig that takes what is on its air. The rig need not be open, and is not.

The sniffer has a lease of its own and touches nothing of the rig's: another process may have the
rig, and its hub goes on.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from labctl.capture import FrameWriter
from labctl.clock import wall_us
from labctl.config.capture_checks import ANOTHER_STICK, cannot_sniff
from labctl.config.inventory import FlowControl, Radio
from labctl.config.problems import did_you_mean
from labctl.config.resolved import LoadedRig
from labctl.errors import (
    BusyError,
    ConfigurationError,
    DatabaseError,
    InternalError,
    LabctlError,
    RigError,
)
from labctl.events import Band
from labctl.leases import Kind, Lease, Leases, LockFolder, Thing
from labctl.radio.ezsp import EzspPort, EzspSniffer
from labctl.radio.ports import identity, resolve
from labctl.radio.sniffer import Overheard, SnifferState
from labctl.record.channels import last_channels
from labctl.record.database import open_for_reading, translated
from labctl.rig.hold import RigHold
from labctl.smart_energy.channels import Channel

_LOGGER = logging.getLogger(__name__)

_FOLLOW_EVERY_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """What is to listen, and where. `remarks` are for the person who reads the capture.

    `follow` says that the channel is the hub's own, and may move with it.
    """

    name: str
    radio: Radio
    channel: Channel
    follow: bool
    remarks: tuple[str, ...]


def plan_listening(
    loaded: LoadedRig,
    *,
    radio: str | None = None,
    band: Band | None = None,
    channel: Channel | None = None,
    database: Path | None = None,
) -> Listening:
    """Choose the sniffer and its channel for a real rig.

    `radio` is another one than the rig file's, `channel` another one than the hub's, and `band`
    that of the two that is wanted of a dual-band rig. `database` tells where the hub was last.

    Raises `ConfigurationError` when there is no sniffer, or none that can.
    """
    name = radio or loaded.rig.capture.radio
    if name is None:
        raise ConfigurationError(
            f"the rig {loaded.name} has no sniffer, and its hub's own radio cannot be one while it "
            "is on the hub's network",
            where=str(loaded.path),
            mend="add `capture: {radio: NAME}` with a second EZSP stick of the inventory, or name "
            "one with --radio",
        )
    chosen = loaded.inventory.radios.get(name)
    if chosen is None:
        raise ConfigurationError(
            f"there is no radio '{name}'",
            where=str(loaded.inventory_path),
            mend=did_you_mean(name, loaded.inventory.radios),
        )
    reason = cannot_sniff(name, chosen)
    if reason is not None:
        raise ConfigurationError(reason[0], where=str(loaded.inventory_path), mend=reason[1])
    remarks = []
    if name in (loaded.radio_name, loaded.second_radio_name):
        remarks.append(
            f"{name} is the hub's radio: while it listens, the hub's network is off the air"
        )
    if channel is not None:
        _must_have(name, chosen, channel.band)
        return Listening(
            name=name, radio=chosen, channel=channel, follow=False, remarks=tuple(remarks)
        )
    theirs = _hub_channels(loaded, database)
    if band is not None and band not in theirs:
        raise ConfigurationError(
            f"the rig {loaded.name} is not on {band}",
            where=str(loaded.path),
            mend="it is on " + " and ".join(theirs),
        )
    wanted = [each for each in theirs if band in (None, each)]
    possible = [each for each in wanted if each in chosen.bands]
    if not possible:
        _must_have(name, chosen, wanted[0])
    here = theirs[possible[0]]
    remarks += [
        f"the hub is on {theirs[each]} too, which is not captured: one stick hears one channel"
        for each in theirs
        if each is not possible[0]
    ]
    return Listening(name=name, radio=chosen, channel=here, follow=True, remarks=tuple(remarks))


def _must_have(name: str, radio: Radio, band: Band) -> None:
    if band not in radio.bands:
        raise ConfigurationError(
            f"the radio '{name}' does not have {band}: it has {' and '.join(radio.bands)}",
            mend=f"{ANOTHER_STICK} that has, or correct its 'bands' in the inventory. All retail "
            "sticks are 2.4 GHz only",
        )


def _hub_channels(loaded: LoadedRig, database: Path | None) -> dict[Band, Channel]:
    """By band: as the rig file has it, or where the hub was seen last, for a network that moved or
    was formed elsewhere stays there."""
    found = {phy.band: phy.channel for phy in loaded.phys}
    for channel in _seen_channels(loaded, database):
        if channel.band in found:
            found[channel.band] = channel
    return found


def _seen_channels(loaded: LoadedRig, database: Path | None) -> list[Channel]:
    if database is None or not database.exists():
        return []
    try:
        with closing(open_for_reading(database)) as connection, translated(database):
            return _recorded(connection, loaded.name)
    except DatabaseError as error:
        # The frames count. Where they are is in the rig file as well, or was known before.
        _LOGGER.warning("the hub's channel is not known from the database: %s", error.what)
        return []


def _recorded(connection: sqlite3.Connection, rig: str) -> list[Channel]:
    return [Channel(page, number) for page, number in last_channels(connection, rig)]


@contextmanager
def hold_sniffer(
    loaded: LoadedRig,
    plan: Listening,
    purpose: str,
    *,
    lasts: timedelta | None = None,
    wait_s: float = 0.0,
    waiting: Callable[[BusyError], None] | None = None,
) -> Iterator[Lease]:
    """Have the stick, and nothing else of the rig, for as long as the block lasts.

    Raises `BusyError` with who has it, `RigError` when the lock folder cannot be used.
    """
    thing = Thing(Kind.RADIO, identity(plan.name, plan.radio))
    lease = Leases(LockFolder.shared()).take(
        [thing],
        purpose=purpose,
        rig=loaded.name,
        until_us=None if lasts is None else wall_us() + lasts // timedelta(microseconds=1),
        wait_s=wait_s,
        waiting=waiting,
    )
    with lease:
        yield lease


@asynccontextmanager
async def listening(
    loaded: LoadedRig,
    plan: Listening,
    lease: Lease,
    writer: FrameWriter,
    broken: asyncio.Future[LabctlError],
    *,
    database: Path | None = None,
    moved: Callable[[Channel], None] = lambda _: None,
) -> AsyncIterator[SnifferState]:
    """Write what the sniffer hears to `writer` for as long as the block lasts.

    With `database` the sniffer follows the hub to other channels as the hub's own run records them;
    `moved` is told. `broken` gets the cause when it cannot go on. Raises `RigError`.
    """

    def heard(frame: Overheard) -> None:
        writer.frame(
            frame.psdu,
            page=frame.channel.page,
            channel=frame.channel.number,
            rss_dbm=frame.rssi_dbm,
            lqi=frame.lqi,
        )

    def lost(cause: str) -> None:
        _break(
            broken,
            RigError(
                f"the sniffer was lost: {cause}",
                where=plan.name,
                mend="plug the stick in again, and start another capture",
            ),
        )

    radio = plan.radio
    sniffer = EzspSniffer(
        EzspPort(
            name=plan.name,
            path=resolve(plan.name, radio),
            baudrate=radio.baudrate,
            flow_control=None if radio.flow_control is FlowControl.NONE else radio.flow_control,
            eui64=radio.eui64,
            serial_number=radio.usb.serial_number if radio.usb else None,
            fence=lease.check,
        )
    )
    lease.when_lost(lambda error: _break(broken, error))
    keeping = asyncio.create_task(RigHold(lease, None, {}).keep())
    following: asyncio.Task[None] | None = None
    try:
        state = await sniffer.start(plan.channel, heard, lost)
        if plan.follow and database is not None:
            work = _follow(loaded, plan.channel, sniffer, database, moved)
            following = asyncio.create_task(work)
            following.add_done_callback(lambda task: _followed(task, broken))
        yield state
    finally:
        for task in (keeping, following):
            if task is not None:
                task.cancel()
        await sniffer.stop()


async def _follow(
    loaded: LoadedRig,
    here: Channel,
    sniffer: EzspSniffer,
    database: Path,
    moved: Callable[[Channel], None],
) -> None:
    while True:
        await asyncio.sleep(_FOLLOW_EVERY_S)
        there = next((c for c in _seen_channels(loaded, database) if c.band is here.band), here)
        if there != here:
            await sniffer.change_channel(there)
            here = there
            moved(there)


def _followed(task: asyncio.Task[None], broken: asyncio.Future[LabctlError]) -> None:
    error = None if task.cancelled() else task.exception()
    if isinstance(error, LabctlError):
        _break(broken, error)
    elif error is not None:
        _break(broken, InternalError(f"a bug in labctl: {type(error).__name__}: {error}"))


def _break(broken: asyncio.Future[LabctlError], error: LabctlError) -> None:
    if not broken.done():
        broken.set_result(error)
