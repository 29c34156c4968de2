"""What a rig asks of a ZNP stick that no Z-Stack firmware can do, found before the stick is opened.

docs/drivers.md says where each limit comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from labctl.config.document import Document
from labctl.config.inventory import Driver, Inventory
from labctl.config.problems import Problem, ProblemSeverity
from labctl.config.resolved import Phy
from labctl.config.rig_file import KeyEngine, Rig
from labctl.events import PairingMethod

DEVICE_KEYS = 40
"""Devices that a stick keeps a link key for: the slots of install codes, in all public builds."""

LEAST_DBM = -20
UNAIDED_DBM = 5
"""More takes a stick with a power amplifier."""

_EZSP = "use a radio with 'driver: ezsp'"


def znp_problems(rig: Rig, document: Document, phys: Sequence[Phy]) -> Iterable[Problem]:
    """Problems of a rig whose hub is on a ZNP stick."""
    hub = rig.hub
    if hub.max_devices > DEVICE_KEYS:
        yield document.problem(
            ("hub", "max_devices"),
            f"a ZNP stick keeps the link keys of {DEVICE_KEYS} devices, not of {hub.max_devices}",
            f"write {DEVICE_KEYS} or less, or {_EZSP}",
        )
    if hub.key_engine is KeyEngine.RADIO:
        yield document.problem(
            ("hub", "key_engine"),
            "no ZNP stick does key establishment by itself",
            "write 'host', or leave this key out",
        )
    power_dbm = phys[0].tx_power_dbm if phys else 0
    if power_dbm < LEAST_DBM:
        yield document.problem(
            ("hub", "tx_power_dbm"),
            f"{power_dbm} dBm is less than a ZNP stick transmits with",
            f"write {LEAST_DBM} or more",
        )
    elif hub.tx_power_dbm is not None and power_dbm > UNAIDED_DBM:
        yield document.problem(
            ("hub", "tx_power_dbm"),
            f"more than {UNAIDED_DBM} dBm takes a ZNP stick with a power amplifier (CC2652P)",
            severity=ProblemSeverity.WARNING,
        )
    for number, device in enumerate(rig.devices):
        if device.pairing.method is PairingMethod.CONFIRM:
            yield document.problem(
                ("devices", number, "pairing", "method"),
                "a ZNP stick does not tell who tries to join, so nobody can be shown for "
                "confirmation",
                f"pair by 'remote' or 'local-code', or {_EZSP}",
            )


def znp_inventory_problems(inventory: Inventory, document: Document) -> Iterable[Problem]:
    """Problems of ZNP sticks in the inventory, whatever rig they are for."""
    for name, radio in inventory.radios.items():
        if radio.driver is Driver.ZNP and radio.key_establishment:
            yield document.problem(
                ("radios", name, "key_establishment"),
                f"{name!r} is a ZNP stick: none does key establishment by itself",
                "remove this key",
            )
