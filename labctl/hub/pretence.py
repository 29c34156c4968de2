"""What one device is told on purpose that is not so: attributes that are missing, or another clock.

What a device makes of a meter of another scale, of an attribute that a meter does not have, or of
the night in which clocks change, shows only when it meets with it. Nothing here is ever on by
itself: it is asked for from inside the process, for one device, and ended there. Other devices are
told what is so. The record has a note when it begins (`pretence`) and one when it is over
(`pretence-over`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from labctl.hub.device_log import Device
from labctl.hub.reporter import Reporter
from labctl.hub.services.base import SUCCESS, UNSUPPORTED_ATTRIBUTE, Service
from labctl.smart_energy.disagreements import DeviceSettings
from labctl.smart_energy.eui64 import Eui64

BEGAN = "pretence"
OVER = "pretence-over"

TIME: Final = 0x000A


@dataclass(frozen=True, slots=True)
class Told:
    """An attribute as it is told: its ZCL type and its octets, little endian."""

    type: int
    octets: bytes


UNSUPPORTED: Final = None
"""The attribute is answered with UNSUPPORTED_ATTRIBUTE, 0x86."""

Key = tuple[int, int, int]
"""Endpoint, cluster and attribute."""


@dataclass(slots=True)
class _Pretence:
    attributes: dict[Key, Told | None] = field(default_factory=dict)
    clock_offset_us: int = 0


class Pretences:
    """What devices are told that is not so, by device; mostly nothing."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._of: dict[Eui64, _Pretence] = {}

    def __contains__(self, device: Device) -> bool:
        return device.eui64 in self._of

    @contextlib.contextmanager
    def telling(
        self,
        eui64: Eui64,
        attributes: Mapping[Key, Told | None] | None = None,
        *,
        clock_offset_s: int = 0,
    ) -> Iterator[None]:
        """While it lasts, the device is told these attributes, and a time that is so far ahead.

        The Time cluster is served as it would be then, with the clock changes of that year. One
        pretence for each device at a time: the inner of two replaces the outer while it lasts.
        """
        before = self._of.get(eui64)
        self._of[eui64] = _Pretence(dict(attributes or {}), clock_offset_s * 1_000_000)
        self._reporter.note(
            BEGAN,
            eui64=eui64,
            attributes=[
                {"endpoint": endpoint, "cluster_id": cluster, "attribute": attribute}
                for endpoint, cluster, attribute in attributes or {}
            ],
            clock_offset_s=clock_offset_s,
        )
        try:
            yield
        finally:
            if before is None:
                del self._of[eui64]
            else:
                self._of[eui64] = before
            self._reporter.note(OVER, eui64=eui64)

    def read(
        self,
        device: Device,
        endpoint: int,
        service: Service[Any],
        attribute_ids: Sequence[int],
        now_us: int,
        settings: DeviceSettings,
    ) -> tuple[bytes, int]:
        """What `Service.read` would give, as this device is to be told it."""
        pretence = self._of[device.eui64]
        if service.cluster_id == TIME:
            now_us += pretence.clock_offset_us
        parts: list[bytes] = []
        worst = SUCCESS
        for attribute_id in attribute_ids:
            key = (endpoint, service.cluster_id, attribute_id)
            if key in pretence.attributes:
                part = _record(attribute_id, pretence.attributes[key])
                status = part[2]
            else:
                part, status = service.read((attribute_id,), now_us, settings)
            parts.append(part)
            worst = status or worst
        return b"".join(parts), worst


def _record(attribute_id: int, told: Told | None) -> bytes:
    """A record of a Read Attributes Response (ZCL 2.5.2)."""
    head = attribute_id.to_bytes(2, "little")
    if told is None:
        return head + bytes((UNSUPPORTED_ATTRIBUTE,))
    return head + bytes((SUCCESS, told.type)) + told.octets
