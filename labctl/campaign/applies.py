"""Whether a case is for a rig and a device, and why not."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.campaign.case import Case
from labctl.config.resolved import DeviceUnderTest, LoadedRig
from labctl.events import Band


def why_not(case: Case, loaded: LoadedRig, device: DeviceUnderTest | None) -> str | None:
    """Why a case does not apply; None when it does."""
    needs = case.needs
    rig = loaded.rig
    left_out = rig.campaign.leave_out.get(case.name)
    if left_out is not None:
        return f"left out in the rig file: {left_out}"
    if needs.virtual and not loaded.is_virtual:
        return needs.why or "only a virtual rig can do it"
    if needs.generations and rig.hub.generation.value not in needs.generations:
        return f"it is for {_words(needs.generations)}, the hub is {rig.hub.generation.value}"
    missing = needs.meters - {meter.kind for meter in rig.meters.values()}
    if missing:
        return f"the rig has no {_words(missing)} meter"
    if needs.suites and not needs.suites & set(rig.hub.all_suites):
        return f"the hub does not offer suite {_words(str(suite) for suite in needs.suites)}"
    if needs.band is not None and needs.band not in loaded.bands:
        return f"the hub is not on {needs.band.value}"
    return None if device is None else _of_device(case, device)


def _of_device(case: Case, device: DeviceUnderTest) -> str | None:
    needs = case.needs
    if needs.kinds and device.kind not in needs.kinds:
        return f"{device.name} is a {device.kind.value}; it is for {_words(needs.kinds)}"
    bands: tuple[Band, ...] = device.bands
    if needs.band is not None and bands and needs.band not in bands:
        return f"{device.name} cannot join on {needs.band.value}"
    if needs.power and device.device.virtual is None and device.device.power is None:
        return f"the power of {device.name} cannot be switched: no 'power' in the inventory"
    return None


def _words(words: Iterable[object]) -> str:
    return " or ".join(sorted(str(word) for word in words))
