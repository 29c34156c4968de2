"""Which clusters, attributes and commands of GB devices the hub serves, as a page of documentation.

`python -m labctl.hub.catalogue docs/clusters.md` writes it from the code: the cluster definitions,
the services of a hub with every kind of meter, and the list of what GB devices use (`gb_use`).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from zigpy.zcl import Cluster

from labctl.events import DeviceKind
from labctl.hub import gb_use
from labctl.hub.endpoints import Endpoint, build_endpoints
from labctl.hub.post import Means
from labctl.hub.services.base import Service
from labctl.hub.services.tunneling import TunnelClient
from labctl.hub.settings import HubSettings, LoggedDevice
from labctl.hub.tallies import Tallies
from labctl.meters import (
    Blocks,
    ElectricityMeter,
    GasMeter,
    GasProxy,
    LoadProfile,
    Meter,
    MeterSettings,
    Prepayment,
    ProfileShape,
    Tariff,
)
from labctl.radio.coordinator import NetworkSettings, PhySettings
from labctl.secret import Secret
from labctl.smart_energy.access import AccessTable
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.clusters import CLUSTERS
from labctl.smart_energy.eui64 import Eui64

_HEAD = """# Clusters

What the hub serves of what GB devices use, written from the code by
`python -m labctl.hub.catalogue docs/clusters.md` and held to it by a test. A dash in the column
"why not" means that it is served; everything that is not has a reason.

Who may read, write and command what is the access table, `labctl/smart_energy/data/access.yaml`.
GBCS 7.4 lays it down in a spreadsheet that was not to be had, so the table is a working matrix made
from what is public; `hub.access` in the rig file puts another in its place. Access denied is
answered with `hub.refusal_status` (NOT_AUTHORIZED unless set otherwise), recorded, and changes
nothing.

Endpoint 1 is the hub itself (device 0x0508); each meter is an endpoint of its own (0x0500) from 2
on; a gas meter with a radio of its own has a mirror (0x0501) behind them. Diagnostics is not among
the clusters that SE 1.4 allows on 0x0508 and is there for the lab's sake. Sub-GHz is there on a hub
with an 868 MHz radio.

Attributes that depend on a tariff, an account or a past are there when their meter has one.

Sources: """


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the page: ids that have everything else in common."""

    ids: tuple[int, ...]
    names: tuple[str, ...]
    where: str
    reason: str
    source: str


def page() -> str:
    """The whole page."""
    sources = "; ".join(f"*{short}*, {text}" for short, text in gb_use.SOURCES.items())
    parts = [_HEAD + sources + ".\n"]
    parts += [_section(cluster_id, CLUSTERS[cluster_id]) for cluster_id in sorted(CLUSTERS)]
    return "\n".join(parts)


def problems() -> list[str]:
    """What keeps the page from being true: things without a reason, and reasons without a thing."""
    found: list[str] = []
    for cluster_id in gb_use.ATTRIBUTES.keys() ^ CLUSTERS.keys():
        found.append(f"0x{cluster_id:04X} is not both defined and listed")
    for cluster_id, cluster in CLUSTERS.items():
        name = cluster.__name__
        if bool(endpoints_of(cluster_id)) == (cluster_id in gb_use.NOT_SERVED_CLUSTERS):
            found.append(f"{name}: served, or not, and the reason says otherwise")
        if cluster_id in gb_use.NOT_SERVED_CLUSTERS:
            continue
        for kind, lines, reasons in (
            ("attribute", attributes(cluster_id), gb_use.NOT_SERVED_ATTRIBUTES),
            ("received", received(cluster_id), gb_use.NOT_RECEIVED),
            ("sent", sent(cluster_id), gb_use.NOT_SENT),
        ):
            found += _mismatches(f"{name} {kind}", lines, reasons.get(cluster_id, {}))
    return found


def _mismatches(what: str, lines: Iterable[Line], reasons: Mapping[int, str]) -> Iterator[str]:
    missing = dict(reasons)
    for line in lines:
        for one in line.ids:
            missing.pop(one, None)
            if bool(line.where) == bool(line.reason):
                yield f"{what} 0x{one:02X}: served {line.where!r}, reason {line.reason!r}"
    for one in missing:
        yield f"{what} 0x{one:02X}: a reason, and GB does not use it"


# -- what is served -------------------------------------------------------------------------------


def attributes(cluster_id: int) -> list[Line]:
    """The attributes that GB devices read."""
    names = {int(d.id): d.name for d in CLUSTERS[cluster_id].AttributeDefs}
    reasons = gb_use.NOT_SERVED_ATTRIBUTES.get(cluster_id, {})
    lines: list[Line] = []
    for use in gb_use.ATTRIBUTES[cluster_id]:
        singles = [
            Line(
                (one,),
                (names.get(one, "?"),),
                _places(
                    endpoint
                    for endpoint in endpoints_of(cluster_id)
                    if endpoint.services[cluster_id].knows_attribute(one)
                ),
                reasons.get(one, ""),
                use.source,
            )
            for one in use.ids
        ]
        lines += _together(singles)
    return lines


def received(cluster_id: int) -> list[Line]:
    """The commands from client to server."""
    reasons = gb_use.NOT_RECEIVED.get(cluster_id, {})
    sent_as_client = _sent_as_client()
    lines: list[Line] = []
    for command in sorted(CLUSTERS[cluster_id].ServerCommandDefs, key=lambda c: int(c.id)):
        one = int(command.id)
        where = _places(
            endpoint
            for endpoint in endpoints_of(cluster_id)
            if one in endpoint.services[cluster_id].commands
        )
        if (cluster_id, one) in sent_as_client:
            where = ", ".join(filter(None, (where, "sent by the hub as client")))
        source = gb_use.COMMAND_SOURCES[cluster_id]
        lines.append(Line((one,), (command.name,), where, reasons.get(one, ""), source))
    return lines


def sent(cluster_id: int) -> list[Line]:
    """The commands from server to client."""
    reasons = gb_use.NOT_SENT.get(cluster_id, {})
    sends = _sent_names()
    lines: list[Line] = []
    for command in sorted(CLUSTERS[cluster_id].ClientCommandDefs, key=lambda c: int(c.id)):
        one = int(command.id)
        where = "sent" if (CLUSTERS[cluster_id].__name__, command.name) in sends else ""
        if _taken(cluster_id, one):
            where = ", ".join(filter(None, (where, "taken by the hub as client")))
        source = gb_use.COMMAND_SOURCES[cluster_id]
        lines.append(Line((one,), (command.name,), where, reasons.get(one, ""), source))
    return lines


def _taken(cluster_id: int, command_id: int) -> bool:
    return any(
        command_id in endpoint.services[cluster_id].client_commands
        for endpoint in endpoints_of(cluster_id)
    )


def endpoints_of(cluster_id: int) -> list[Endpoint]:
    """The endpoints that have the cluster."""
    return [e for e in _endpoints().values() if cluster_id in e.services]


@cache
def _sent_names() -> frozenset[tuple[str, str]]:
    """The commands that the hub's code asks for by name: `command_of(Price, "publish_price")`."""
    found: set[tuple[str, str]] = {
        ("KeyEstablishment", command.name)
        for command in CLUSTERS[0x0800].ClientCommandDefs  # sent by the key establishment itself
    }
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "command_of"
                and len(node.args) == 2
                and isinstance(node.args[0], ast.Name)
                and isinstance(node.args[1], ast.Constant)
            ):
                found.add((node.args[0].id, str(node.args[1].value)))
    return frozenset(found)


def _sent_as_client() -> frozenset[tuple[int, int]]:
    """Commands to servers of devices: those of key establishment, tunnels and the mirror."""
    key_establishment = {(0x0800, command) for command in range(4)}
    tunnels = {(0x0704, command) for command in (0x00, 0x01, 0x02)}
    mirror = {(0x0702, command) for command in (0x01, 0x02, 0x09)}
    return frozenset(key_establishment | tunnels | mirror)


# -- a hub to look at -----------------------------------------------------------------------------


@cache
def _endpoints() -> dict[int, Endpoint]:
    """A hub with a meter of each kind and nobody to talk to: its services are only looked at."""
    means = Means(cast(Any, None), cast(Any, None), cast(Any, None), Tallies())
    settings = HubSettings(
        network=NetworkSettings((PhySettings(Channel(28, 0), tx_power_dbm=14),)),
        access=AccessTable({}),
        devices=(
            LoggedDevice(
                eui64=Eui64("00:0d:6f:00:00:00:00:01"),
                name="gas meter",
                kind=DeviceKind.GAS_METER,
                link_key=Secret(bytes(16)),
            ),
        ),
    )
    return build_endpoints(settings, _meters(), 0, means, cast(TunnelClient, None))


def _meters() -> list[Meter]:
    def profile() -> LoadProfile:
        return LoadProfile(ProfileShape.FLAT, base=1000, peak=0, origin_s=0, seed=0)

    def tariff() -> Tariff:
        blocks = Blocks(thresholds=(1, 2, 3), prices=((1, 2, 3, 4),))
        return Tariff(
            name="x", unit_price=1, standing_charge=1, start_s=0, blocks=blocks, co2_g_per_kwh=1
        )

    def settings(name: str) -> MeterSettings:
        return MeterSettings(
            name=name,
            mpxn="1",
            serial_number="1",
            tariff=tariff(),
            profile=profile(),
            prepayment=Prepayment(),
        )

    return [
        ElectricityMeter(settings("electricity"), start_wh=0, export=profile()),
        GasProxy(GasMeter(settings("gas"), start_litres=0)),
    ]


def _places(endpoints: Iterable[Endpoint]) -> str:
    return ", ".join(endpoint.name for endpoint in endpoints)


# -- print ----------------------------------------------------------------------------------------


def _together(lines: list[Line]) -> list[Line]:
    """One line for neighbours that have everything but id and name in common."""
    joined: list[Line] = []
    for (where, reason, source), group in groupby(
        lines, key=lambda line: (line.where, line.reason, line.source)
    ):
        members = list(group)
        ids = tuple(one for line in members for one in line.ids)
        names = tuple(name for line in members for name in line.names)
        joined.append(Line(ids, names, where, reason, source))
    return joined


def _section(cluster_id: int, cluster: type[Cluster]) -> str:
    why_not = gb_use.NOT_SERVED_CLUSTERS.get(cluster_id)
    out = [f"## {cluster.__name__} 0x{cluster_id:04X}", ""]
    if why_not is not None:
        out += [f"Deliberately not served: {why_not}.", ""]
    else:
        servers = [e for e in endpoints_of(cluster_id) if e.services[cluster_id].server]
        clients = [e for e in endpoints_of(cluster_id) if e.services[cluster_id].also_client]
        out += [f"Server: {_places(servers) or 'none'}. Client: {_places(clients) or 'none'}.", ""]
        out += [_security(endpoints_of(cluster_id)[0].services[cluster_id]), ""]
    tables = (
        ("attribute", 4, attributes(cluster_id)),
        ("client to server", 2, received(cluster_id)),
        ("server to client", 2, sent(cluster_id)),
    )
    for title, digits, lines in tables:
        if lines:
            out += [f"| {title} | name | where | why not | source |", "|---|---|---|---|---|"]
            out += [_row(line, digits, why_not) for line in lines]
            out.append("")
    return "\n".join(out)


def _security(service: Service[Any]) -> str:
    words = {
        "none": "APS security: not needed.",
        "either": "APS security: either way, or as `devices[].settings` demands.",
        "link key": "APS security: the link key.",
    }
    return words[service.security.value]


def _row(line: Line, digits: int, why_not: str | None) -> str:
    ids = ", ".join(_ranges(line.ids, digits))
    names = line.names[0] if len(line.names) == 1 else f"{line.names[0]} … {line.names[-1]}"
    where = "–" if why_not else line.where or "–"
    reason = "see above" if why_not else line.reason or "–"
    return f"| {ids} | `{names}` | {where} | {reason} | {line.source} |"


def _ranges(ids: tuple[int, ...], digits: int) -> Iterator[str]:
    """Runs of ids that are equally far apart; three and more become "first–last"."""
    start = 0
    while start < len(ids):
        end = start
        step = ids[start + 1] - ids[start] if start + 1 < len(ids) else 0
        while end + 1 < len(ids) and ids[end + 1] - ids[end] == step and step in (1, 2):
            end += 1
        if end - start >= 2:
            every = "" if step == 1 else " (every second)"
            yield f"0x{ids[start]:0{digits}X}–0x{ids[end]:0{digits}X}{every}"
        else:
            end = start
            yield f"0x{ids[start]:0{digits}X}"
        start = end + 1


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
