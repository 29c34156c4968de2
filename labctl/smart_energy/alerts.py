"""GBCS alert codes of a hub on 868 MHz, as Wireshark's and other public decoders name them."""

from __future__ import annotations

import enum


class SubGhzAlert(enum.IntEnum):
    """What a hub tells the WAN of its sub-GHz band. Here it stands in the record and in the log."""

    LIMITED_DUTY_CYCLE_ACTION_TAKEN = 0x8F20
    DUTY_CYCLE_BELOW_NORMAL_LIMITED = 0x8F21
    CRITICAL_DUTY_CYCLE_ACTION_TAKEN = 0x8F22
    DUTY_CYCLE_BELOW_LIMITED_CRITICAL = 0x8F23
    REGULATED_DUTY_CYCLE_ACTION_TAKEN = 0x8F24
    DUTY_CYCLE_BELOW_CRITICAL_REGULATED = 0x8F25
    CHANNEL_CHANGED = 0x8F26
    CHANNEL_SCAN_INITIATED = 0x8F27
    CHANNEL_SCAN_REQUEST_ASSESSMENT = 0x8F28
    CONFIGURATION_CHANGED = 0x8F2A
    CHANNEL_NOT_CHANGED = 0x8F2B
    MESSAGE_DISCARDED = 0x8F2C
    NO_MORE_CAPACITY = 0x8F2D
