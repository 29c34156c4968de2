"""What a device says that it is: on the network, in GBCS messages, and in the device log.

Three numberings for the same things, none of which can be turned into another without loss.
"""

from __future__ import annotations

import enum


class SmartEnergyDevice(enum.IntEnum):
    """Device ids of profile 0x0109, as simple descriptors carry them (SE 1.4a 6)."""

    RANGE_EXTENDER = 0x0008
    ENERGY_SERVICE_INTERFACE = 0x0500
    METERING_DEVICE = 0x0501
    IN_HOME_DISPLAY = 0x0502
    PROGRAMMABLE_THERMOSTAT = 0x0503
    LOAD_CONTROL_DEVICE = 0x0504
    SMART_APPLIANCE = 0x0505
    PREPAYMENT_TERMINAL = 0x0506
    PHYSICAL_DEVICE = 0x0507
    REMOTE_COMMUNICATIONS_DEVICE = 0x0508

    @property
    def label(self) -> str:
        """For people."""
        return self.name.replace("_", " ").lower()


class GbcsDeviceType(enum.IntEnum):
    """Device types in GBCS messages and in the meters' device logs."""

    GSME = 0
    ESME = 1
    CHF = 2
    GPF = 3
    HCALCS = 4
    PPMID = 5
    TYPE_2 = 6

    @property
    def label(self) -> str:
        """For people."""
        return _GBCS_LABELS[self]


_GBCS_LABELS = {
    GbcsDeviceType.GSME: "gas meter",
    GbcsDeviceType.ESME: "electricity meter",
    GbcsDeviceType.CHF: "communications hub",
    GbcsDeviceType.GPF: "gas proxy",
    GbcsDeviceType.HCALCS: "load control switch",
    GbcsDeviceType.PPMID: "prepayment display",
    GbcsDeviceType.TYPE_2: "type 2 device (IHD or CAD)",
}


class DeviceLogType(enum.IntEnum):
    """Device types in the hub's device log, as use case CCS01 (add device) carries them."""

    ESME = 0
    GSME = 1
    HCALCS = 13
    IHD = 128
    CAD = 130
    PPMID = 132
    GPF = 254

    @property
    def gbcs(self) -> GbcsDeviceType:
        """The same in GBCS messages, which make no difference between IHD and CAD."""
        if self in (DeviceLogType.IHD, DeviceLogType.CAD):
            return GbcsDeviceType.TYPE_2
        return GbcsDeviceType[self.name]


def device_label(device_id: int) -> str:
    """A Smart Energy device id for people: its name, or the number where there is none."""
    try:
        return SmartEnergyDevice(device_id).label
    except ValueError:
        return f"device 0x{device_id:04X}"
