"""What the sticks themselves say: whether they answer, and whether their firmware will do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labctl.config.inventory import Radio
from labctl.lab.doctor.row import Row, fail, ok, skip, warn
from labctl.lab.survey import Row as Stick
from labctl.lab.survey import State
from labctl.radio.firmware import Fitness


def answers(rows: Sequence[Stick]) -> list[Row]:
    """`stick:PORT`: whether it spoke when it was asked. Silence counts only for known radios."""
    found = []
    for row in rows:
        if row.state is State.SILENT and row.trouble is not None:
            judge = fail if row.names else warn
            found.append(judge(_id("stick", row), row.trouble.what, row.trouble.mend))
        elif row.state is State.NOT_ASKED and row.trouble is not None:
            found.append(fail(_id("stick", row), row.trouble.what, row.trouble.mend))
    return found


def firmware(rows: Sequence[Stick]) -> list[Row]:
    """`firmware:PORT`: what is known of it."""
    found = []
    for row in rows:
        if row.probed is None or row.judgement is None:
            continue
        told = f"{row.probed.protocol}, {row.probed.firmware or 'no version'}"
        evidence = f"{told}: {row.judgement.why}"
        id_ = _id("firmware", row)
        match row.judgement.fitness:
            case Fitness.GOOD:
                found.append(ok(id_, evidence))
            case Fitness.DOUBTFUL:
                found.append(warn(id_, evidence, row.judgement.mend))
            case Fitness.BAD:
                judge = fail if row.names else warn
                found.append(judge(id_, evidence, row.judgement.mend))
    return found


def as_written(rows: Sequence[Stick], radios: Mapping[str, Radio]) -> list[Row]:
    """`radio:NAME`: whether the stick is what the inventory says of it."""
    found = []
    for row in rows:
        if row.probed is None:
            continue
        for name in row.names:
            radio, probed = radios[name], row.probed
            id_ = f"radio:{name}"
            lacking = [band for band in radio.bands if band not in probed.bands]
            if radio.eui64 is not None and probed.eui64 not in (None, radio.eui64):
                found.append(
                    fail(
                        id_,
                        f"this stick is {probed.eui64}, the inventory says {radio.eui64}",
                        "correct the inventory, or swap the sticks",
                    )
                )
            elif lacking:
                found.append(
                    fail(
                        id_,
                        f"the inventory says that it has {lacking[0]}, and its radio has not",
                        "correct `bands` in the inventory, or use another stick",
                    )
                )
            elif len(radio.bands) > 1 and not probed.both_at_once:
                found.append(
                    fail(
                        id_,
                        "the inventory says that it is on both bands at once; it has one PHY",
                        "name a second radio in hub.sub_ghz.radio of the rig file",
                    )
                )
            else:
                found.append(ok(id_, f"{probed.eui64}, as the inventory says"))
    return found


def twins(rows: Sequence[Stick]) -> list[Row]:
    """`twins:PORT`: sticks that only their sockets tell apart."""
    return [
        warn(
            _id("twins", row),
            f"looks the same as {', '.join(row.twins)}",
            f"in inventories, write the socket: path: {row.path}",
        )
        for row in rows
        if row.twins
    ]


def unasked(rows: Sequence[Stick]) -> list[Row]:
    """`sticks`: said when nothing was asked at all."""
    if any(row.probed is not None or row.state is State.SILENT for row in rows):
        return []
    return [skip("sticks", "no stick was asked what it is")]


def _id(what: str, row: Stick) -> str:
    return f"{what}:{row.port.device}"
