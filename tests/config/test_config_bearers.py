"""What a rig sends on after loading: bands, channels, powers, second radios, limits of airtime."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.cli.main import main
from labctl.config.loading import inspect_rig, load_inventory, load_rig
from labctl.config.problems import ConfigurationErrors, ProblemSeverity
from labctl.config.resolved import LoadedRig
from labctl.events import Band
from labctl.smart_energy.airtime import Limits
from labctl.smart_energy.channels import DEFAULT_CHANNELS, PAGES, Channel, channels_of_page

PROJECT = Path(__file__).parents[2]
INVENTORY = """
radios:
  one: {driver: ezsp, path: virtual, eui64: 00:00:5e:ef:10:00:00:01}
  low: {driver: ezsp, path: virtual, eui64: 00:00:5e:ef:10:00:00:02, bands: [868 MHz]}
  both:
    {driver: ezsp, path: virtual, eui64: 00:00:5e:ef:10:00:00:03, bands: [868 MHz, 2.4 GHz]}
  real: {driver: ezsp, path: /dev/ttyUSB0}
  kit: {driver: ezsp, path: /dev/ttyUSB1, bands: [868 MHz]}
devices:
  plain: &plain
    kind: cad
    eui64: 00:00:5e:ef:10:00:00:11
    install_code: 83FED3407A939723A5C639B26916D505C3B5
    virtual: {}
  gas: {<<: *plain, kind: gas-meter, eui64: 00:00:5e:ef:10:00:00:12}
  two: {<<: *plain, eui64: 00:00:5e:ef:10:00:00:13, bands: [868 MHz, 2.4 GHz]}
  low-first:
    {<<: *plain, eui64: 00:00:5e:ef:10:00:00:14, bands: [2.4 GHz, 868 MHz],
     virtual: {prefers: 868 MHz}}
  low-only: {<<: *plain, eui64: 00:00:5e:ef:10:00:00:15, bands: [868 MHz]}
  real-low:
    {kind: cad, eui64: 00:0d:6f:00:0a:90:69:e7, bands: [868 MHz],
     install_code: 83FED3407A939723A5C639B26916D505C3B5}
  real-unknown:
    {kind: cad, eui64: 00:0d:6f:00:0a:90:69:e8,
     install_code: 83FED3407A939723A5C639B26916D505C3B5}
"""
DEFAULT_2_4, DEFAULT_868 = DEFAULT_CHANNELS[Band.GHZ_2_4], DEFAULT_CHANNELS[Band.MHZ_868]


def write(folder: Path, hub: str, *, devices: str = "[plain]", virtual: str = "{}") -> Path:
    (folder / "inventory.yaml").write_text(INVENTORY)
    path = folder / "rig.yaml"
    roles = "".join(f"  - device: {name}\n" for name in devices.strip("[]").split(", ") if name)
    path.write_text(
        f"rig: test\nhub: {hub}\n"
        "meters:\n  e: {kind: electricity, mpxn: 1200012345678, serial_number: E1}\n"
        f"devices:\n{roles}" + (f"virtual: {virtual}\n" if virtual else "")
    )
    return path


def load(folder: Path, hub: str, **more: str) -> LoadedRig:
    return load_rig(write(folder, hub, **more))


@pytest.mark.parametrize(
    ("hub", "channels", "powers"),
    [
        ("{radio: one}", [DEFAULT_2_4], [8]),
        ("{radio: one, channel: 11, tx_power_dbm: 20}", [Channel(0, 11)], [20]),
        ("{radio: one, page: 0, channel: 25}", [Channel(0, 25)], [8]),
        ("{radio: one, frequency: 2425 MHz}", [Channel(0, 15)], [8]),
        ("{radio: both, band: 868 MHz}", [DEFAULT_868], [14]),
        ("{radio: both, band: 868 MHz, tx_power_dbm: -3}", [DEFAULT_868], [-3]),
        ("{radio: both, band: 868 MHz, channel: 26}", [Channel(28, 26)], [14]),
        ("{radio: both, band: 868 MHz, channel: 34}", [Channel(29, 34)], [14]),
        ("{radio: both, band: 868 MHz, channel: 48}", [Channel(30, 48)], [14]),
        ("{radio: both, page: 31, channel: 12}", [Channel(31, 12)], [14]),
        ("{radio: both, page: 29}", [Channel(29, 27)], [14]),
        ("{radio: both, page: 28}", [DEFAULT_868], [14]),
        ("{radio: both, frequency: 868450 kHz}", [Channel(28, 26)], [14]),
        ("{radio: both, band: dual}", [DEFAULT_2_4, DEFAULT_868], [8, 14]),
        ("{radio: both, sub_ghz: }", [DEFAULT_2_4, DEFAULT_868], [8, 14]),
        (
            "{radio: both, channel: 11, sub_ghz: {frequency: 868.45 MHz, tx_power_dbm: 3}}",
            [Channel(0, 11), Channel(28, 26)],
            [8, 3],
        ),
    ],
)
def test_bearers_of_a_hub(
    tmp_path: Path, hub: str, channels: list[Channel], powers: list[int]
) -> None:
    loaded = load(tmp_path, hub, devices="[two]")
    assert [phy.channel for phy in loaded.phys] == channels
    assert [phy.tx_power_dbm for phy in loaded.phys] == powers
    assert loaded.bands == tuple(channel.band for channel in channels)
    assert loaded.second is None
    assert (loaded.second_radio, loaded.second_radio_name) == (None, None)
    assert loaded.warnings == ()


def test_second_radio_is_side_by_side(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        "{radio: one, pan_id: 1, sub_ghz: {radio: low, channel: 3, pan_id: 2,"
        " extended_pan_id: 00:00:5e:ef:10:00:00:aa}}",
    )
    assert loaded.radio_name == "one"
    assert loaded.second_radio_name == "low"
    assert loaded.second_radio is loaded.inventory.radios["low"]
    assert [phy.channel for phy in loaded.phys] == [DEFAULT_2_4, Channel(28, 3)]
    assert loaded.second is not None
    assert loaded.second.pan_id == 2
    assert loaded.second.extended_pan_id == "00:00:5e:ef:10:00:00:aa"
    assert loaded.second.certificate is None


def test_radio_with_both_bands_may_be_the_second(tmp_path: Path) -> None:
    loaded = load(tmp_path, "{radio: one, sub_ghz: {radio: both}}")
    assert loaded.second_radio_name == "both"
    assert loaded.bands == tuple(Band)


def test_real_stick_and_kit_are_side_by_side(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        "{radio: real, sub_ghz: {radio: kit}}",
        devices="[real-low, real-unknown]",
        virtual="",
    )
    assert loaded.second_radio_name == "kit"
    assert [device.bands for device in loaded.devices] == [(Band.MHZ_868,), ()]
    assert [device.prefers for device in loaded.devices] == [Band.MHZ_868, None]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(channel=st.sampled_from([c for page in PAGES for c in channels_of_page(page)]))
def test_every_channel_can_be_written_in_both_ways(tmp_path: Path, channel: Channel) -> None:
    by_number = f"{{radio: both, page: {channel.page}, channel: {channel.number}}}"
    by_frequency = f"{{radio: both, frequency: {channel.frequency}}}"
    for hub in (by_number, by_frequency):
        loaded = load(tmp_path, hub, devices="[two]")
        assert [phy.channel for phy in loaded.phys] == [channel]
        assert [w.severity for w in loaded.warnings] == (
            [] if channel.used_in_gb else [ProblemSeverity.WARNING]
        )


def test_channel_that_gb_does_not_use_is_a_warning_with_its_place(tmp_path: Path) -> None:
    loaded = load(tmp_path, "{radio: low, frequency: 875.65 MHz}", devices="[low-only]")
    (warning,) = loaded.warnings
    assert warning.what == (
        "875.65 MHz (page 29, channel 62) is not one of the channels that GB hubs use"
    )
    assert "of page 29 they use 27 to 34" in warning.mend
    assert (warning.line, warning.column) == (2, 30)


# -- devices --------------------------------------------------------------------------------------


def test_bands_of_virtual_devices_go_by_their_kind(tmp_path: Path) -> None:
    loaded = load(
        tmp_path, "{radio: both, band: dual}", devices="[plain, gas, two, low-first, low-only]"
    )
    both, high, low = (Band.GHZ_2_4, Band.MHZ_868), (Band.GHZ_2_4,), (Band.MHZ_868,)
    assert [device.bands for device in loaded.devices] == [high, both, both, both, low]
    assert [device.prefers for device in loaded.devices] == [
        Band.GHZ_2_4,
        Band.GHZ_2_4,
        Band.GHZ_2_4,
        Band.MHZ_868,
        Band.MHZ_868,
    ]


def test_real_device_of_the_other_band_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "{radio: real}", devices="[real-low, real-unknown]", virtual="")
    (error,) = inspect_rig(path).errors
    assert error.what == "'real-low' can only join on 868 MHz, and the hub is on 2.4 GHz"


def test_acting_as_a_gas_meter_gives_its_bands(tmp_path: Path) -> None:
    (tmp_path / "inventory.yaml").write_text(
        "radios: {one: {driver: ezsp, path: virtual}}\n"
        "devices:\n"
        "  meter: {kind: meter, eui64: 00:00:5e:ef:10:00:00:21, virtual: {}}\n"
        "  other: {kind: other, eui64: 00:00:5e:ef:10:00:00:22, virtual: {acts_as: gas-meter}}\n"
        "  not: {kind: meter, eui64: 00:00:5e:ef:10:00:00:23, virtual: {acts_as: cad}}\n"
    )
    devices = load_inventory(tmp_path / "inventory.yaml").devices
    assert [devices[name].known_bands for name in ("meter", "other", "not")] == [
        tuple(Band),
        tuple(Band),
        (Band.GHZ_2_4,),
    ]


# -- airtime --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hub", "virtual", "limits"),
    [
        ("{radio: one}", "{}", None),
        ("{radio: one}", "{duty_cycle: {limited: 1s}}", None),
        ("{radio: both, band: dual}", "{}", Limits()),
        ("{radio: low, page: 28}", "{}", Limits()),
        ("{radio: low, page: 30}", "{}", Limits(regulated_us=90_000_000)),
        ("{radio: low, page: 28, duty_cycle: {limited: 10s}}", "{}", Limits(10_000_000)),
        (
            "{radio: low, page: 28, duty_cycle: {limited: 10s, critical: 12s500ms,"
            " regulated: 1min}}",
            "{}",
            Limits(10_000_000, 12_500_000, 60_000_000),
        ),
        (
            "{radio: low, page: 28, duty_cycle: {limited: 10s, critical: 20s}}",
            "{duty_cycle: {limited: 500ms, critical: 2s}}",
            Limits(500_000, 2_000_000),
        ),
    ],
)
def test_limits_of_airtime(tmp_path: Path, hub: str, virtual: str, limits: Limits | None) -> None:
    assert load(tmp_path, hub, devices="[two]", virtual=virtual).duty_limits == limits


def test_limits_for_tests_do_not_count_on_a_real_rig(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        "{radio: kit, band: 868 MHz}",
        devices="[real-low]",
        virtual="{duty_cycle: {limited: 1s}}",
    )
    assert loaded.duty_limits == Limits()
    assert [warning.line for warning in loaded.warnings] == [7]


# -- shipped rigs ---------------------------------------------------------------------------------


def test_shipped_rigs_are_what_they_say() -> None:
    found = {path.stem: load_rig(path) for path in sorted((PROJECT / "rigs").glob("virtual*.yaml"))}
    assert {name: loaded.bands for name, loaded in found.items()} == {
        "virtual": (Band.GHZ_2_4,),
        "virtual-868": (Band.MHZ_868,),
        "virtual-dual-band": tuple(Band),
        "virtual-stone-house": tuple(Band),
        "virtual-two-coordinators": tuple(Band),
        "virtual-znp": (Band.GHZ_2_4,),
    }
    assert [name for name, loaded in found.items() if loaded.second] == ["virtual-two-coordinators"]
    assert all(loaded.warnings == () for loaded in found.values())
    dual = found["virtual-dual-band"]
    quick = [
        device.name
        for device in dual.devices
        if device.bands == (Band.MHZ_868,)
        and any(schedule.period_ms <= 10_000 for schedule in device.schedules)
    ]
    assert len(quick) == dual.rig.hub.sub_ghz_links + 1
    sleepy = [device for device in dual.devices if device.kind == "gas-meter"]
    assert [device.bands for device in sleepy] == [(Band.MHZ_868,)]


def test_rig_show_tells_the_bearers(capsys: pytest.CaptureFixture[str]) -> None:
    main(["rig", "show", str(PROJECT / "rigs" / "virtual-two-coordinators.yaml")])
    shown = capsys.readouterr().out
    assert "virtual-ezsp: 2450 MHz (page 0, channel 20), 8 dBm" in shown
    assert "virtual-868: 868.45 MHz (page 28, channel 26), 14 dBm" in shown


def test_errors_of_both_sides_come_together(tmp_path: Path) -> None:
    path = write(
        tmp_path, "{radio: both, channel: 27, sub_ghz: {channel: 3, tx_power_dbm: 15, page: 30}}"
    )
    with pytest.raises(ConfigurationErrors) as caught:
        load_rig(path)
    assert [problem.column for problem in caught.value.problems] == [29, 52, 69]
