"""A27: what only a PPMID may ask for is refused to others, and recorded.

Selecting emergency credit, topping up and restoring the supply take a PPMID. Which commands those
are is read from the rig's access table: all that a PPMID may send and a device of this kind may
not. No good CAD sends them, so the hub is asked what it would answer: each command goes through its
dispatcher as if the device had sent it, to each meter. The status has to be `hub.refusal_status`,
each refusal would stand in the record, and supply and credit are as they were.

A device that really tries is found in the record, from its pairing in this run on to ten minutes
after it at least.
"""

from __future__ import annotations

from labctl.campaign.case import Measure, case
from labctl.campaign.findings import NotApplicable
from labctl.campaign.hub_state import entry_of, kept_by, shown_to
from labctl.campaign.measurements import Measurements
from labctl.campaign.so_far import first_contact_over, refusals
from labctl.campaign.subject import Subject
from labctl.events import DeviceKind
from labctl.hub.hub import Hub
from labctl.smart_energy.access import AccessTable


def ppmid_only(table: AccessTable, kind: DeviceKind) -> list[tuple[int, int]]:
    """Commands, by cluster, that a PPMID may send and a device of that kind may not."""
    return sorted(
        (cluster_id, what)
        for (cluster_id, what), kinds in table.rows.items()
        if isinstance(what, int) and DeviceKind.PPMID in kinds and kind not in kinds
    )


@case(
    "A27",
    "a command that only a PPMID may send is refused to others, and recorded",
    measures=(
        Measure.exactly("status", 0x7E, why="S2 167, 252"),
        Measure.exactly("unrecorded", 0, why="S2 252"),
        Measure.yes("meters_unchanged", why="S2 167"),
        Measure.yes("hub_unchanged", why="S2 167"),
        Measure("attempts", most=0, why="proposal"),
    ),
    kinds=(DeviceKind.CAD, DeviceKind.IHD),
)
async def test_ppmid_command(device: Subject, hub: Hub, measure: Measurements) -> None:
    loaded = device.session.loaded
    commands = ppmid_only(loaded.access, device.kind)
    if not commands:
        raise NotApplicable(
            f"the rig's access table lets a {device.kind.value} do all that a PPMID may"
        )
    expected = loaded.rig.hub.refusal_status
    measure.expect("status", least=expected, most=expected)
    entry = entry_of(hub, device.eui64)
    before = shown_to(hub, entry), kept_by(hub)
    told: dict[str, int | None] = {}
    unrecorded = 0
    for cluster_id, command_id in commands:
        for endpoint in hub.rehearsals.serving(cluster_id):
            rehearsed = hub.rehearsals.command(entry, endpoint, cluster_id, command_id, b"")
            told[f"0x{cluster_id:04X}/0x{command_id:02X} at {endpoint}"] = rehearsed.status
            unrecorded += not rehearsed.refused
    wrong = {what: status for what, status in told.items() if status != expected}
    measure.take(
        "status",
        next((-1 if status is None else status for status in wrong.values()), expected),
        "; ".join(f"{what}: {_name(status)}" for what, status in wrong.items()),
    )
    measure.take("unrecorded", unrecorded)
    measure.take("meters_unchanged", shown_to(hub, entry) == before[0])
    measure.take("hub_unchanged", kept_by(hub) == before[1])
    await first_contact_over(device)
    attempts = [
        each for each in refusals(device)
        if (each.get("cluster_id"), each.get("command_id")) in commands
    ]  # fmt: skip
    measure.take("attempts", len(attempts), "; ".join({str(each["cause"]) for each in attempts}))


def _name(status: int | None) -> str:
    return "no answer" if status is None else f"status 0x{status:02X}"
