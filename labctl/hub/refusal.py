"""What a device hears that asks for what it may not have, and what stands in the record of it."""

from __future__ import annotations


class Refusal(Exception):
    """Ends the handling of a frame: recorded, and answered with `status` (None: not at all).

    `layer` is nwk, aps, zdo, zcl or application, as in the `Refused` event. Never leaves the hub.
    """

    def __init__(
        self, layer: str, cause: str, status: int | None, command_id: int | None = None
    ) -> None:
        super().__init__(cause)
        self.layer = layer
        self.cause = cause
        self.status = status
        self.command_id = command_id
