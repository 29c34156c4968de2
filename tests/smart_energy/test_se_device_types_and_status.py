import pytest

from labctl.smart_energy.device_types import (
    DeviceLogType,
    GbcsDeviceType,
    SmartEnergyDevice,
    device_label,
)
from labctl.smart_energy.status import Status, status_name


def test_device_ids_have_names_for_people() -> None:
    assert device_label(0x0500) == "energy service interface"
    assert device_label(SmartEnergyDevice.IN_HOME_DISPLAY) == "in home display"
    assert device_label(0x0007) == "device 0x0007"


@pytest.mark.parametrize(
    ("in_the_log", "gbcs"),
    [
        (0, GbcsDeviceType.ESME),
        (1, GbcsDeviceType.GSME),
        (13, GbcsDeviceType.HCALCS),
        (128, GbcsDeviceType.TYPE_2),
        (130, GbcsDeviceType.TYPE_2),
        (132, GbcsDeviceType.PPMID),
        (254, GbcsDeviceType.GPF),
    ],
)
def test_device_log_types_turn_into_gbcs_types(in_the_log: int, gbcs: GbcsDeviceType) -> None:
    assert DeviceLogType(in_the_log).gbcs is gbcs


def test_the_two_numberings_of_meters_are_opposite() -> None:
    assert int(GbcsDeviceType.GSME) == int(DeviceLogType.ESME) == 0
    assert int(GbcsDeviceType.ESME) == int(DeviceLogType.GSME) == 1


def test_every_gbcs_type_has_a_label() -> None:
    assert len({kind.label for kind in GbcsDeviceType}) == len(GbcsDeviceType)


def test_status_has_its_zcl_name() -> None:
    assert status_name(0x00) == "SUCCESS"
    assert status_name(0x7E) == "NOT_AUTHORIZED"
    assert status_name(Status.UNSUPPORTED_ATTRIBUTE) == "UNSUPPORTED_ATTRIBUTE"
    assert status_name(0xC0) == "HARDWARE_FAILURE"


def test_status_that_the_zcl_does_not_name_is_told_by_number() -> None:
    assert status_name(0x42) == "STATUS_0x42"
    assert status_name(Status(0x42)) == "STATUS_0x42"
