"""The protocol versions beside 13: layouts against the driver's own, statuses, handlers."""

from __future__ import annotations

from typing import Any

import bellows.types as t
import pytest
from bellows.ezsp import EZSP
from ncp_support import fast, stick

from labctl.config.inventory import EZSP_VERSIONS
from labctl.virtual.ncp import Identity
from labctl.virtual.ncp.codec import Layout
from labctl.virtual.ncp.status import Ember, Ezsp, Sl
from labctl.virtual.ncp.status_codes import as_octet, as_sl
from labctl.virtual.ncp.versions import FIRMWARE, NEWEST, table

VERSIONS = sorted(FIRMWARE)
_GREEDY = {"addEndpoint", "readCounters", "readAndClearCounters"}
"""The driver's layouts of these take all there is; the tests on the line cover them."""

_OTHERWISE = {"getDutyCycleLimits", "setDutyCycleLimitsInStack"}
"""The driver has another structure in their place (a vendor's number and name for three limits)."""

_STUBS = range(0x009F, 0x00A7)
_STUBS_283K1 = (0x00B0, *range(0x00E8, 0x00EF))
"""Key establishment without its library: one status, whatever the frame's layout."""


def octets_of_ours(layout: Layout) -> int:
    """How long the frame is when everything in it is zero."""
    values: dict[str, Any] = {}
    offset = 0
    for part in layout._parts:
        offset = part.unpack(bytes(500), offset, values)
    return offset


def octets_of_theirs(schema: Any) -> int:
    if isinstance(schema, dict):
        _, rest = t.deserialize_dict(bytes(500), schema)
    elif schema == ():
        return 0
    else:
        _, rest = schema.deserialize(bytes(500))
    return 500 - len(rest)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_frame_is_as_long_as_the_driver_has_it(version: int) -> None:
    theirs = {
        frame_id: (name, request, response)
        for name, (frame_id, request, response) in EZSP._BY_VERSION[version].COMMANDS.items()
    }
    wrong = []
    for frame_id, frame in table(version).items():
        assert frame_id in theirs, f"EZSP {version} has no 0x{frame_id:04X} {frame.name}"
        name, request, response = theirs[frame_id]
        if name in _GREEDY | _OTHERWISE or frame_id in _STUBS or frame_id in _STUBS_283K1:
            continue
        ours = [octets_of_ours(frame.response)]
        expected = [octets_of_theirs(response)]
        if frame.request is not None:
            ours.append(octets_of_ours(frame.request))
            expected.append(octets_of_theirs(request))
        if ours != expected:
            wrong.append((frame.name, ours, expected))
    assert wrong == []


@pytest.mark.parametrize("version", VERSIONS)
def test_key_establishment_is_as_long_as_the_driver_has_it(version: int) -> None:
    theirs = {
        frame_id: (request, response)
        for frame_id, request, response in EZSP._BY_VERSION[version].COMMANDS.values()
    }
    frames = table(version, key_establishment=True)
    checked = [*range(0x009E, 0x00A2), 0x00A5, 0x00E8, 0x00E9, 0x00EA, 0x00EB, 0x00EC, 0x00EE]
    for frame_id in checked:
        frame, (request, response) = frames[frame_id], theirs[frame_id]
        assert octets_of_ours(frame.response) == octets_of_theirs(response), frame.name
        if frame.request is not None:
            assert octets_of_ours(frame.request) == octets_of_theirs(request), frame.name


def test_the_newest_version_is_the_drivers_newest() -> None:
    assert max(EZSP._BY_VERSION) == NEWEST
    assert set(VERSIONS) == {version for version in EZSP._BY_VERSION if version >= 8}


def test_a_version_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"EZSP 15 is not emulated.* 14, 16"):
        table(15)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_command_of_every_version_has_a_handler(version: int) -> None:
    async def main() -> None:
        async with stick(identity=Identity.speaking(version)) as (ncp, _):
            missing = [
                frame.name
                for frame_id, frame in table(version).items()
                if frame.request is not None and frame_id not in ncp.firmware._handlers
            ]
            assert missing == []

    fast(main)


def test_every_status_has_a_translation_and_nothing_else_passes() -> None:
    assert {as_sl(status) is Sl.OK for status in (Ember.SUCCESS, Ezsp.SUCCESS, Sl.OK)} == {True}
    for status in (*Ember, *Ezsp):
        assert (as_sl(status) is Sl.OK) == (status == 0)
        named = getattr(t, "EmberStatus" if isinstance(status, Ember) else "EzspStatus")(status)
        known = t.sl_Status.from_ember_status(named)
        if known != t.sl_Status.FAIL and isinstance(status, Ember):
            assert int(known) == int(as_sl(status)), status
    for foreign in (0, 0x70, "OK", None):
        with pytest.raises(TypeError):
            as_sl(foreign)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        as_octet(Sl.NOT_FOUND)  # type: ignore[arg-type]


def test_the_inventory_offers_the_versions_that_are_emulated() -> None:
    assert list(EZSP_VERSIONS) == VERSIONS
