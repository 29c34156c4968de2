"""What the hub's frames go over: one bearer, or two on a dual-band hub.

Two bearers are either two PHYs of one radio (one network, one address of the hub) or two radios
side by side (two networks, two addresses). The rest of the hub asks here which one a device is on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from labctl.hub.device_log import Device
from labctl.radio.coordinator import RadioState
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64


class Bearers:
    """The bearers in the order in which the coordinator counts them."""

    def __init__(self, states: Sequence[RadioState]) -> None:
        """Raise `ValueError` when there is none."""
        if not states:
            raise ValueError("a hub has at least one bearer")
        self._states = list(states)

    def __iter__(self) -> Iterator[RadioState]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)

    def __getitem__(self, bearer: int) -> RadioState:
        return self._states[bearer]

    @property
    def first(self) -> RadioState:
        """The one that the device log belongs to: of the hub's own radio."""
        return self._states[0]

    @property
    def addresses(self) -> tuple[Eui64, ...]:
        """The hub's own EUI-64 addresses: one for each radio, the first radio's first."""
        return tuple(dict.fromkeys(state.eui64 for state in self._states))

    @property
    def beside(self) -> RadioState | None:
        """The second radio of two that stand side by side."""
        return next((state for state in self._states if state.eui64 != self.first.eui64), None)

    def of(self, device: Device) -> RadioState:
        """The bearer that a device was last heard on; the first for one that never was."""
        return self._states[device.bearer or 0]

    def returned(self, bearer: int, state: RadioState) -> None:
        """Note that a lost radio is back, and how."""
        self._states[bearer] = state

    def moved(self, bearer: int, channel: Channel) -> RadioState:
        """Note that a bearer is on another channel now."""
        state = replace(self._states[bearer], page=channel.page, channel=channel.number)
        self._states[bearer] = state
        return state
