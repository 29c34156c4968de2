"""Sub-GHz 0x070B (SE 1.4 D.13): channels of the 868 MHz band, and who is to be silent for now.

Served on the hub's endpoint and on that of the gas supply, by a hub with a radio in that band.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labctl.hub.services.base import (
    SOLICITED,
    Answer,
    Attribute,
    Outcome,
    Request,
    Service,
    answer,
    command_of,
    defined,
)
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.clusters import SubGhz
from labctl.smart_energy.eui64 import Eui64

GET_SUSPEND_STATUS = 0x00
_PAGES = (28, 29, 30, 31)


def _nobody_is(eui64: Eui64) -> int:
    return 0


class SubGhzService(Service[int]):
    """`masks` are those of the pages 28 to 31.

    `minutes_left` tells how long a device is still to be silent, 0 for one that is not.
    `announced` is the channel that the hub is about to move to.
    """

    definition = SubGhz
    sends = ("suspend_zcl_messages",)
    commands = frozenset({GET_SUSPEND_STATUS})

    def __init__(self, masks: tuple[int, int, int, int]) -> None:
        self.minutes_left: Callable[[Eui64], int] = _nobody_is
        self.announced: Channel | None = None
        self.masks = masks
        super().__init__(
            [
                Attribute(defined(SubGhz, "channel_change"), lambda mask: mask),
                *(
                    Attribute(defined(SubGhz, f"page_{page}_channel_mask"), mask)
                    for page, mask in zip(_PAGES, masks, strict=True)
                ),
            ]
        )

    def state(self, now_us: int) -> int:
        """ChannelChange: the mask of the channel that is announced, 0 for none."""
        return 0 if self.announced is None else self.announced.mask

    def command(self, request: Request, fields: Any) -> Outcome:
        """Get Suspend ZCL Messages Status: answered with the command that suspends."""
        return [suspend(self.minutes_left(request.eui64))]


def suspend(minutes: int) -> Answer:
    """Suspend ZCL Messages; 0 minutes lift it. No Default Response is wanted: it would be ZCL."""
    return answer(command_of(SubGhz, "suspend_zcl_messages"), SOLICITED, period=minutes)
