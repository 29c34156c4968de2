"""Read schedules in numbers: names of clusters, attributes, commands and meters looked up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from labctl.config.clusters import CLUSTERS, ClusterNames, cluster_named
from labctl.config.document import Document, Place
from labctl.config.problems import Problem, did_you_mean, quote
from labctl.config.resolved import ReadSchedule
from labctl.config.rig_file import Read, Rig

HUB_ENDPOINT = "hub"


def resolve_reads(
    rig: Rig, role: int, document: Document, problems: list[Problem]
) -> tuple[ReadSchedule, ...]:
    """The schedules of the device at position `role`; those with problems are missing."""
    place: Place = ("devices", role, "reads")
    names: set[str] = set()
    schedules = []
    for number, read in enumerate(rig.devices[role].reads):
        here = (*place, number)
        if read.name in names:
            problems.append(
                document.problem(
                    (*here, "name"), f"the device has two schedules named {quote(read.name)}"
                )
            )
        names.add(read.name)
        schedule = _resolve(read, rig, document, here, problems)
        if schedule is not None:
            schedules.append(schedule)
    return tuple(schedules)


def _resolve(
    read: Read, rig: Rig, document: Document, place: Place, problems: list[Problem]
) -> ReadSchedule | None:
    before = len(problems)
    if read.punctual_within >= read.every:
        problems.append(
            document.problem(
                (*place, "tolerance"),
                "the tolerance is not shorter than the period",
                "a read that may be a whole period late is never late",
            )
        )
    if isinstance(read.endpoint, str) and read.endpoint not in (HUB_ENDPOINT, *rig.meters):
        problems.append(
            document.problem(
                (*place, "endpoint"),
                f"there is no meter {quote(read.endpoint)} in this rig",
                did_you_mean(read.endpoint, [HUB_ENDPOINT, *rig.meters]),
            )
        )
    found = cluster_named(read.cluster)
    if found is None:
        problems.append(
            document.problem(
                (*place, "cluster"),
                f"no cluster is named {quote(read.cluster)}",
                f"{did_you_mean(str(read.cluster), CLUSTERS)} A number such as 0x0702 will do too.",
            )
        )
        return None
    cluster_id, names = found
    attributes = _attributes(read, names, document, place, problems)
    command_id = _command(read, names, document, place, problems)
    if len(problems) > before:
        return None
    return ReadSchedule(
        name=read.name,
        cluster_id=cluster_id,
        endpoint=read.endpoint if isinstance(read.endpoint, int) else None,
        meter=read.endpoint if read.endpoint in rig.meters else None,
        on_hub=read.endpoint == HUB_ENDPOINT,
        attributes=attributes,
        command_id=command_id,
        period_ms=_milliseconds(read.every),
        tolerance_ms=_milliseconds(read.punctual_within),
    )


def _attributes(
    read: Read, names: ClusterNames, document: Document, place: Place, problems: list[Problem]
) -> tuple[int, ...]:
    ids: list[int] = []
    for number, word in enumerate(read.attributes):
        here = (*place, "attributes", number)
        found = _look_up(word, names.attributes, "attribute", read, document, here, problems)
        if found is not None and found in ids:
            problems.append(document.problem(here, f"attribute 0x{found:04X} stands here twice"))
        elif found is not None:
            ids.append(found)
    return tuple(ids)


def _command(
    read: Read, names: ClusterNames, document: Document, place: Place, problems: list[Problem]
) -> int | None:
    if read.command is None:
        return None
    here = (*place, "command")
    if isinstance(read.command, int) and read.command > 0xFF:
        problems.append(document.problem(here, "a command's number is 0x00 to 0xFF"))
        return None
    return _look_up(read.command, names.commands, "command", read, document, here, problems)


def _look_up(
    word: int | str,
    table: Mapping[str, int],
    what: str,
    read: Read,
    document: Document,
    place: Place,
    problems: list[Problem],
) -> int | None:
    if isinstance(word, int):
        return word
    if word in table:
        return table[word]
    hint = did_you_mean(word, table)
    problems.append(
        document.problem(
            place,
            f"cluster {quote(read.cluster)} has no {what} named {quote(word)}",
            f"{hint} Its number will do too.".strip(),
        )
    )
    return None


def _milliseconds(duration: timedelta) -> int:
    return round(duration / timedelta(milliseconds=1))
