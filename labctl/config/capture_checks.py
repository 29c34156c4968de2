"""The rig's sniffer: whether the radio that a rig file names can be one for this rig."""

from __future__ import annotations

from collections.abc import Collection

from labctl.config.document import Document, Place
from labctl.config.inventory import Driver, Inventory, Radio
from labctl.config.problems import Problem, ProblemSeverity, did_you_mean, quote
from labctl.config.rig_file import Rig
from labctl.events import Band

_PLACE: Place = ("capture", "radio")
ANOTHER_STICK = "name a second EZSP stick"


def cannot_sniff(name: str, radio: Radio) -> tuple[str, str] | None:
    """Why a radio of the inventory cannot be a sniffer at all, and what to do; None when it can."""
    if radio.driver is Driver.ZNP:
        return (
            f"the radio {quote(name)} is a ZNP stick, and ZNP has no packet capture",
            f"{ANOTHER_STICK}: its firmware has one (mfglib)",
        )
    if radio.is_virtual:
        return (
            f"the radio {quote(name)} is virtual: it hears nothing of a real air",
            ANOTHER_STICK,
        )
    return None


def check_capture(
    rig: Rig,
    document: Document,
    inventory: Inventory,
    inventory_path: object,
    hub_radios: Collection[str],
    bands: Collection[Band],
) -> list[Problem]:
    """The problems of the section `capture`. `hub_radios` are those that the hub works with."""
    name = rig.capture.radio
    if name is None:
        return []

    def problem(what: str, mend: str, *, warning: bool = False) -> list[Problem]:
        severity = ProblemSeverity.WARNING if warning else ProblemSeverity.ERROR
        return [document.problem(_PLACE, what, mend, severity=severity)]

    radio = inventory.radios.get(name)
    if radio is None:
        return problem(
            f"there is no radio {quote(name)} in {inventory_path}",
            did_you_mean(name, inventory.radios),
        )
    hub = inventory.radios.get(rig.hub.radio)
    if hub is not None and hub.is_virtual:
        return problem(
            "the air of a virtual rig is captured as a whole, without this radio",
            "leave it out",
            warning=True,
        )
    if name in hub_radios:
        return problem(
            f"the hub works with the radio {quote(name)}, which cannot capture while it is on the "
            "hub's network",
            ANOTHER_STICK,
        )
    reason = cannot_sniff(name, radio)
    if reason is not None:
        return problem(*reason)
    if bands and not set(bands) & set(radio.bands):
        return problem(
            f"the hub is on {' and '.join(bands)}, which the radio {quote(name)} does not have",
            "name one that has, or write what it has into its 'bands' in the inventory",
        )
    return []
