"""What an open rig is asked by whoever uses it: who is who, how it stands, another channel."""

from __future__ import annotations

from typing import Any

from labctl.config.clusters import cluster_named
from labctl.errors import RigError, UsageError
from labctl.hub.device_log import Device
from labctl.rig.session import RigSession
from labctl.smart_energy.channels import Channel


def listed(session: RigSession, word: str) -> Device:
    """The device of the log with that name or address. Raises `UsageError`."""
    for each in session.hub.device_log():
        if each.listed and (word == each.name or word.lower() == each.eui64):
            return each
    raise UsageError(
        f"{word[:60]} is not in the device log of rig {session.loaded.name}",
        mend=f"`labctl hub log {session.loaded.name}` shows who is",
    )


def radios(session: RigSession) -> list[dict[str, Any]]:
    """How it stands with each bearer; `lost` is why its radio is, None when it is not."""
    lost = session.hub.lost
    return [
        {
            "name": state.name,
            "driver": state.driver,
            "eui64": str(state.eui64),
            "band": state.band.value,
            "page": state.page,
            "channel": state.channel,
            "pan_id": state.pan_id,
            "extended_pan_id": str(state.extended_pan_id),
            "lost": lost.get(bearer),
        }
        for bearer, state in enumerate(session.hub.bearers)
    ]


def devices(session: RigSession) -> list[dict[str, Any]]:
    """How it stands with each device of the log, without keys."""
    return [_device(session, each) for each in session.hub.device_log() if each.listed]


def _device(session: RigSession, device: Device) -> dict[str, Any]:
    hub = session.hub
    sub_ghz = hub.care.sub_ghz
    return {
        "eui64": str(device.eui64),
        "name": device.name,
        "kind": device.kind.value,
        "key": device.key.value,
        "authorised": device.authorised,
        "heard": device.endpoint is not None,
        "radio": None if device.bearer is None else hub.bearers.of(device).name,
        "suspended_min": 0 if sub_ghz is None else sub_ghz.suspensions.minutes_left(device.eui64),
    }


def must_have_radio(session: RigSession) -> None:
    """Raises `RigError` while a radio is lost."""
    lost = session.hub.lost
    if lost:
        cause = next(iter(lost.values()))
        raise RigError(f"the hub's radio is lost: {cause}", mend="wait until it is back")


async def read(
    session: RigSession,
    word: str,
    cluster_id: int,
    attributes: list[int],
    endpoint: int | None,
) -> dict[str, Any]:
    """Attributes of a device, with their names. Raises `UsageError`, `RigError`."""
    device = listed(session, word)
    readings = await session.hub.read_device(
        device.eui64, cluster_id, attributes, endpoint=endpoint
    )
    named = cluster_named(cluster_id)
    names = {} if named is None else {number: name for name, number in named[1].attributes.items()}
    return {
        "device": device.name,
        "eui64": str(device.eui64),
        "cluster": cluster_id,
        "attributes": [
            {
                "attribute": reading.attribute,
                "name": names.get(reading.attribute),
                "status": reading.status,
                "type": reading.type,
                "value": reading.value,
            }
            for reading in readings
        ],
    }


async def change_channel(
    session: RigSession, wanted: str | None, bearer: int | None
) -> dict[str, Any]:
    """Move a bearer to a channel, None for the quietest of its page. Raises as `read` does.

    `bearer` None is the one on 868 MHz where there is one.
    """
    hub = session.hub
    if bearer is None:
        bearer = 0 if hub.care.sub_ghz is None else hub.care.sub_ghz.bearer
    if bearer >= len(hub.bearers):
        raise UsageError(f"the hub has one bearer: {hub.bearers.first.name}")
    before = hub.bearers[bearer].at
    try:
        channel = None if wanted is None else Channel.parse(wanted)
        moved = await hub.change_channel(channel, bearer=bearer)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return {
        "radio": hub.bearers[bearer].name,
        "before": str(before),
        "channel": str(hub.bearers[bearer].at),
        "moved": moved is not None,
    }
