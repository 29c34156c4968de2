"""Whether sticks can be opened: permissions, udev, ModemManager, holders, power of hub ports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from labctl.lab.doctor.host import Host
from labctl.lab.doctor.row import Row, fail, ok, skip, warn
from labctl.lab.survey import Row as Stick
from labctl.lab.survey import State
from labctl.radio.ports import Port
from labctl.radio.sticks import Confidence

RULE_FILE = "/etc/udev/rules.d/70-labctl.rules"
_IGNORE = "ID_MM_DEVICE_IGNORE"
_USUAL_GROUP = "dialout"


def sticks_of(rows: Iterable[Stick]) -> list[Stick]:
    """Those ports that are sticks, or may well be, or that the inventory names."""
    return [
        row
        for row in rows
        if row.names or row.port.confidence in (Confidence.LIKELY, Confidence.POSSIBLE)
    ]


def ports(rows: Sequence[Stick]) -> list[Row]:
    """`ports`: whether there is anything to open. `radio:NAME`: what the inventory has in vain."""
    missing = [row for row in rows if row.state is State.MISSING]
    told = [
        fail(f"radio:{name}", row.trouble.what, row.trouble.mend)
        for row in missing
        for name in row.names
        if row.trouble is not None
    ]
    there = [row for row in sticks_of(rows) if row.state is not State.MISSING]
    if not there and not missing:
        return [skip("ports", "no port looks like a stick", "plug one in")]
    if there:
        told.insert(0, ok("ports", f"{len(there)} that are sticks or may be"))
    return told


def permissions(rows: Sequence[Stick], host: Host) -> list[Row]:
    """`permissions:PORT`: whether this user may open it, and which group he wants if not."""
    found = []
    for row in sticks_of(rows):
        device = row.port.device
        if row.port.is_network or row.state is State.MISSING:
            continue
        id_ = f"permissions:{device}"
        allowed = host.permissions(device)
        if allowed is None:
            found.append(fail(id_, "there is no such port", "is the stick plugged in?"))
        elif allowed.may_open:
            found.append(ok(id_, f"{host.user()} may open it"))
        else:
            evidence = f"{host.user()} may not open it: group {allowed.group}, {allowed.mode:04o}"
            found.append(fail(id_, evidence, _mend(allowed.group, allowed.mode, host)))
    return found


def _mend(group: str, mode: int, host: Host) -> str:
    if group == "root" or mode & 0o060 != 0o060:
        return f"sudo labctl doctor --udev-rule > {RULE_FILE}, then plug the stick in again"
    if host.member_of(group) and group not in host.groups():
        return f"you are a member of {group} since your login: log out and in again"
    return f"sudo usermod -aG {group} {host.user()}, then log out and in again"


def udev(rows: Sequence[Stick], host: Host) -> Row:
    """`udev-rule`: whether rules name the sticks, so that they get a group and a steady name."""
    if host.system != "Linux":
        return skip("udev-rule", f"{host.system} has no udev")
    usb = [row.port for row in sticks_of(rows) if row.port.vid is not None]
    if not usb:
        return skip("udev-rule", "there is no USB stick to have a rule")
    rules = host.udev_rules()
    without = [port for port in usb if not _rules_for(port, rules)]
    if not without:
        return ok("udev-rule", ", ".join(sorted(_rules_for(usb[0], rules))))
    names = ", ".join(port.device for port in without)
    return skip(
        "udev-rule",
        f"no rule of labctl's names {names}; the system's defaults hold",
        f"where they do not do: labctl doctor --udev-rule | sudo tee {RULE_FILE}",
    )


def _rules_for(port: Port, rules: dict[str, str]) -> list[str]:
    vid, pid = f"{port.vid:04x}", f"{port.pid:04x}"
    return [
        path
        for path, text in rules.items()
        if any(
            all(word in line for word in ("labctl", vid, pid))
            for line in text.lower().splitlines()
            if not line.lstrip().startswith("#")
        )
    ]


def modem_manager(rows: Sequence[Stick], host: Host) -> Row:
    """`modem-manager`: it speaks to every new serial port for half a minute, in AT commands."""
    running = host.processes("ModemManager")
    if not running:
        return ok("modem-manager", "it does not run")
    usb = [row.port for row in sticks_of(rows) if row.port.vid is not None]
    rules = host.udev_rules()
    spared = all(any(_IGNORE in rules[path] for path in _rules_for(port, rules)) for port in usb)
    if usb and spared:
        return ok("modem-manager", f"it runs (process {running[0]}); the rules keep it off")
    return warn(
        "modem-manager",
        f"it runs (process {running[0]}) and talks to sticks when they are plugged in",
        f"labctl doctor --udev-rule | sudo tee {RULE_FILE} keeps it off, or: sudo systemctl "
        "disable --now ModemManager",
    )


def holders(rows: Sequence[Stick]) -> list[Row]:
    """`holder:PORT`: ports that somebody has open or leased."""
    return [
        warn(
            f"holder:{row.port.device}",
            f"in use by {', '.join(row.held_by)}",
            "wait for it, or end it; `labctl lease list` shows what is leased",
        )
        for row in rows
        if row.state is State.HELD
    ]


def hub_power(host: Host) -> Row:
    """`hub-power`: whether ports of USB hubs can be switched off and on."""
    said = host.run("uhubctl")
    if said is None:
        return skip(
            "hub-power",
            "uhubctl is not installed: a hung stick takes a person to pull it",
            "sudo apt install uhubctl, with a hub that switches its ports",
        )
    hubs = [line for line in said.text.splitlines() if line.startswith("Current status for hub")]
    if hubs:
        return ok("hub-power", f"{len(hubs)} hubs switch their ports")
    if "ermission" in said.text or "root" in said.text:
        return warn(
            "hub-power",
            "uhubctl may not reach the hubs",
            "run it with sudo, or add the udev rules that uhubctl comes with",
        )
    return skip("hub-power", "no hub here switches its ports", "its list of hubs says which do")


def udev_rule(rows: Sequence[Stick]) -> str:
    """A rule file for the sticks that are plugged in: group, no ModemManager, a steady name.

    Sticks without a serial number get no name: two of them would share it.
    """
    lines = [
        f"# {RULE_FILE}",
        "# written by `labctl doctor --udev-rule`; afterwards: sudo udevadm control --reload",
    ]
    seen = set()
    for row in sticks_of(rows):
        port = row.port
        if port.vid is None or port.pid is None:
            continue
        words = [
            'SUBSYSTEM=="tty"',
            f'ATTRS{{idVendor}}=="{port.vid:04x}"',
            f'ATTRS{{idProduct}}=="{port.pid:04x}"',
        ]
        serial = _plain(port.serial_number)
        if serial:
            words.append(f'ATTRS{{serial}}=="{serial}"')
        words += [f'GROUP="{_USUAL_GROUP}"', 'MODE="0660"', f'ENV{{{_IGNORE}}}="1"']
        if row.names and serial and not row.twins:
            words.append(f'SYMLINK+="labctl/{row.names[0]}"')
        words.append('ENV{ID_LABCTL}="1"')
        line = ", ".join(words)
        if line not in seen:
            seen.add(line)
            lines.append(line)
    if not seen:
        lines.append("# no USB stick is plugged in")
    return "\n".join(lines)


def _plain(serial: str | None) -> str:
    """A serial number that means itself in a rule; udev has patterns and quotes of its own."""
    if not serial or not all(letter.isalnum() or letter in "-_. :" for letter in serial):
        return ""
    return serial
