"""What no single value of a rig file can tell: references, contradictions, and what is not yet."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from labctl.config.access_file import inspect_access, shipped_access
from labctl.config.bearer_checks import BearerCheck
from labctl.config.capture_checks import check_capture
from labctl.config.document import Document
from labctl.config.durations import duration_text
from labctl.config.hub_radio import SubGhz
from labctl.config.inventory import LAB_CA, Device, Driver, Inventory, Radio
from labctl.config.inventory_checks import read_identity, read_install_code
from labctl.config.ota_folder import read_images
from labctl.config.place_checks import PlaceCheck
from labctl.config.problems import Problem, ProblemSeverity, did_you_mean, errors_of, quote
from labctl.config.resolved import (
    DeviceUnderTest,
    Phy,
    ReadSchedule,
    SecondNetwork,
    VirtualPlace,
)
from labctl.config.rig_file import DeviceRole, ElectricityMeter, Meter, Rig
from labctl.config.schedules import HUB_ENDPOINT, resolve_reads
from labctl.config.secrets import SecretReader
from labctl.config.znp_checks import znp_problems
from labctl.smart_energy.access import AccessTable
from labctl.smart_energy.airtime import Limits
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity
from labctl.smart_energy.ota_image import OtaImage

MOST_ELECTRICITY_METERS = 4
MOST_GAS_METERS = 1
_PATHS = "paths start at the folder of the rig file"


@dataclass(slots=True)
class RigCheck:
    """The checks of one rig against its inventory, and what they resolved."""

    rig: Rig
    document: Document
    inventory: Inventory
    inventory_document: Document
    reader: SecretReader
    problems: list[Problem] = field(default_factory=list)
    inventory_problems: list[Problem] = field(default_factory=list)
    radio: Radio | None = None
    phys: tuple[Phy, ...] = ()
    second: SecondNetwork | None = None
    duty_limits: Limits | None = None
    place: VirtualPlace = field(default_factory=VirtualPlace)
    devices: list[DeviceUnderTest] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    certificate: Identity | None = None
    access: AccessTable | None = None
    images: tuple[OtaImage, ...] = ()
    file_problems: list[Problem] = field(default_factory=list)
    """Problems of files that the rig file names, beside the inventory."""

    def run(self) -> None:
        """Run all checks."""
        self._radio()
        self._bearers()
        self._network()
        self._suites_and_certificate()
        self._access()
        self._images()
        self._meters()
        self._virtual_section()
        self._devices()
        self._place()
        self._capture()

    def _error(self, place: tuple[str | int, ...], what: str, mend: str = "") -> None:
        self.problems.append(self.document.problem(place, what, mend))

    def _warn(self, place: tuple[str | int, ...], what: str, mend: str = "") -> None:
        self.problems.append(
            self.document.problem(place, what, mend, severity=ProblemSeverity.WARNING)
        )

    # -- the hub ----------------------------------------------------------------------------------

    def _radio(self) -> None:
        name = self.rig.hub.radio
        radio = self.inventory.radios.get(name)
        if radio is None:
            self._error(
                ("hub", "radio"),
                f"there is no radio {quote(name)} in {self.inventory_document.path}",
                did_you_mean(name, self.inventory.radios),
            )
            return
        self.radio = radio

    def _bearers(self) -> None:
        check = BearerCheck(self.rig, self.document, self.inventory, self.inventory_document)
        check.run()
        self.problems += check.problems
        self.phys, self.duty_limits = check.phys, check.duty_limits
        if self.radio is not None and self.radio.driver is Driver.ZNP:
            self.problems += znp_problems(self.rig, self.document, check.phys)
        second = self.inventory.radios.get(check.second_name or "")
        if check.second_name is None or second is None:
            return
        entry = self.rig.hub.sub_ghz or SubGhz()
        place = ("hub", "sub_ghz")
        self._not_none((*place, "extended_pan_id"), entry.extended_pan_id)
        self.second = SecondNetwork(
            radio_name=check.second_name,
            radio=second,
            certificate=self._certificate(
                (*place, "certificate"), entry.certificate, check.second_name, second
            ),
            pan_id=entry.pan_id,
            extended_pan_id=entry.extended_pan_id,
        )

    def _capture(self) -> None:
        self.problems += check_capture(
            self.rig,
            self.document,
            self.inventory,
            self.inventory_document.path,
            {self.rig.hub.radio, *([self.second.radio_name] if self.second else [])},
            [phy.band for phy in self.phys],
        )

    def _network(self) -> None:
        self._not_none(("hub", "extended_pan_id"), self.rig.hub.extended_pan_id)

    def _not_none(self, place: tuple[str, ...], extended_pan_id: Eui64 | None) -> None:
        if extended_pan_id in (Eui64("00" * 8), Eui64("ff" * 8)):
            self._error(place, "this extended PAN id means 'none'")

    def _suites_and_certificate(self) -> None:
        hub = self.rig.hub
        if hub.generation.suite not in hub.all_suites:
            self._error(
                ("hub", "suites"),
                f"a {hub.generation} hub offers key establishment suite {hub.generation.suite}, "
                "and it is not among the suites",
            )
        self.certificate = self._certificate(
            ("hub", "certificate"), hub.certificate, hub.radio, self.radio
        )

    def _certificate(
        self, place: tuple[str, ...], name: str, radio_name: str, radio: Radio | None
    ) -> Identity | None:
        """The licensed certificate of that name; None for the lab's own authority."""
        if name == LAB_CA:
            return None
        entry = self.inventory.certificates.get(name)
        if entry is None:
            self._error(
                place,
                f"there is no certificate {quote(name)} in {self.inventory_document.path}",
                did_you_mean(name, [LAB_CA, *self.inventory.certificates]),
            )
            return None
        missing = [suite for suite in self.rig.hub.all_suites if suite != entry.suite]
        if missing:
            self._error(
                place,
                f"the certificate {quote(name)} is for key establishment suite "
                f"{entry.suite}; the hub needs suite {missing[0]}",
            )
        certificate = read_identity(
            entry, self.inventory_document, name, self.reader, self.inventory_problems
        )
        address = radio.eui64 if radio else None
        if certificate and address and certificate.subject != address:
            self._error(
                place,
                f"the certificate {quote(name)} is for {certificate.subject}, "
                f"and the radio {quote(radio_name)} is {address}",
                "devices check that the hub's address is the one in its certificate",
            )
        return certificate

    def _access(self) -> None:
        if self.rig.hub.access is None:
            self.access = shipped_access()
            return
        path = self._file(self.rig.hub.access)
        if not path.is_file():
            self._error(("hub", "access"), f"there is no access table at {path}", _PATHS)
            return
        self.access, problems = inspect_access(path)
        self.file_problems += problems

    def _images(self) -> None:
        if self.rig.hub.ota is None:
            return
        place = ("hub", "ota", "images")
        folder = self._file(self.rig.hub.ota.images)
        try:
            self.images, problems = read_images(folder)
        except FileNotFoundError:
            self._error(place, f"there is no folder {folder}", _PATHS)
            return
        except OSError as error:
            self._error(place, f"{folder} cannot be read: {error.strerror}")
            return
        self.file_problems += problems
        if not self.images and not problems:
            self._warn(place, f"there is no image in {folder}", "images end in .ota or .zigbee")

    def _file(self, path: str) -> Path:
        return Path(os.path.normpath(self.document.path.parent / Path(path).expanduser()))

    # -- meters -----------------------------------------------------------------------------------

    def _meters(self) -> None:
        counts = {"electricity": 0, "gas": 0}
        limits = {"electricity": MOST_ELECTRICITY_METERS, "gas": MOST_GAS_METERS}
        points: dict[str, str] = {}
        for name, meter in self.rig.meters.items():
            place = ("meters", name)
            counts[meter.kind] += 1
            if counts[meter.kind] == limits[meter.kind] + 1:
                self._error(
                    place,
                    f"a hub shows at most {limits[meter.kind]} {meter.kind} meters"
                    if limits[meter.kind] > 1
                    else f"a hub shows one {meter.kind} meter",
                )
            if name == HUB_ENDPOINT:
                self._error(place, f"the name {quote(name)} is taken by the hub's own endpoint")
            if meter.mpxn in points:
                self._error(
                    (*place, "mpxn"),
                    f"the meter {quote(points[meter.mpxn])} has the same supply point",
                )
            points.setdefault(meter.mpxn, name)
            self._meter_references(place, meter)
            digits = len(meter.mpxn)
            if isinstance(meter, ElectricityMeter) != (digits == 13):
                usual = "13 digits" if meter.kind == "electricity" else "6 to 10 digits"
                self._warn((*place, "mpxn"), f"{digits} digits; for {meter.kind} {usual} are usual")

    def _meter_references(self, place: tuple[str, str], meter: Meter) -> None:
        """The home that an export or generation meter belongs to, and the file of a load."""
        if isinstance(meter, ElectricityMeter) and meter.home is not None:
            home = self.rig.meters.get(meter.home)
            if not isinstance(home, ElectricityMeter) or home.generation is None:
                self._error(
                    (*place, "home"),
                    f"{quote(meter.home)} is not an import meter with 'generation'",
                    did_you_mean(
                        meter.home,
                        [
                            name
                            for name, other in self.rig.meters.items()
                            if isinstance(other, ElectricityMeter) and other.generation
                        ],
                    ),
                )
        if meter.csv is not None:
            path = self._file(meter.csv.path)
            if not path.is_file():
                self._error((*place, "csv", "path"), f"there is no file {path}", _PATHS)

    # -- virtual or real --------------------------------------------------------------------------

    def _virtual_section(self) -> None:
        if self.radio is None:
            return
        if self.radio.is_virtual and self.rig.virtual is None:
            self._error(
                ("hub", "radio"),
                f"the radio {quote(self.rig.hub.radio)} is virtual, and the rig has no section "
                "'virtual'",
                "add 'virtual: {}' at the top level",
            )
        elif not self.radio.is_virtual and self.rig.virtual is not None:
            self._warn(
                ("virtual",),
                f"this section has no effect: the radio {quote(self.rig.hub.radio)} is a real one",
            )

    def _place(self) -> None:
        if self.radio is None or not self.radio.is_virtual or self.rig.virtual is None:
            return
        check = PlaceCheck(self.rig, self.rig.virtual, self.document, self.inventory)
        self.place = check.run([role.device for role in self.rig.devices])
        self.problems += check.problems

    # -- devices under test -----------------------------------------------------------------------

    def _devices(self) -> None:
        if len(self.rig.devices) > self.rig.hub.max_devices:
            self._error(
                ("devices",),
                f"{len(self.rig.devices)} devices, and the device log has room for "
                f"{self.rig.hub.max_devices}",
                "raise hub.max_devices, or leave devices out",
            )
        seen: set[str] = set()
        for number, role in enumerate(self.rig.devices):
            place = ("devices", number, "device")
            device = self.inventory.devices.get(role.device)
            schedules = resolve_reads(self.rig, number, self.document, self.problems)
            if role.device in seen:
                self._error(place, f"the device {quote(role.device)} has a role already")
            elif device is None:
                self._error(
                    place,
                    f"there is no device {quote(role.device)} in {self.inventory_document.path}",
                    did_you_mean(role.device, self.inventory.devices),
                )
            else:
                self._device(number, role, device, schedules)
            seen.add(role.device)
        if not errors_of(self.problems) and len(self.left_out) == len(self.rig.devices):
            self._warn(("devices",), "no device is under test", "add one below 'devices:'")

    def _device(
        self, number: int, role: DeviceRole, device: Device, schedules: tuple[ReadSchedule, ...]
    ) -> None:
        place = ("devices", number, "device")
        radio = self.radio
        if radio is not None and radio.is_virtual and device.virtual is None:
            self._error(
                place,
                f"{quote(role.device)} is a real device: it cannot hear a virtual radio",
                "use a real radio, or give the device a section 'virtual' in the inventory",
            )
            return
        if radio is not None and not radio.is_virtual and device.virtual is not None:
            self.left_out.append(role.device)
            self._warn(
                place,
                f"{quote(role.device)} is a virtual device: it cannot hear a real radio "
                "and is left out",
            )
            return
        self._suites_of(number, role)
        if device.virtual is not None:
            self._virtual_device(number, role, device)
        self._device_bands(number, role, device)
        self._pairing(number, role, device, schedules)

    def _suites_of(self, number: int, role: DeviceRole) -> None:
        suites = self.rig.hub.all_suites
        missing = [suite for suite in role.settings.suites or () if suite not in suites]
        if missing:
            self._error(
                ("devices", number, "settings", "suites"),
                f"suite {missing[0]} is to be on offer to {quote(role.device)}, "
                "and the hub does not have it",
                "name it in hub.suites too",
            )

    def _device_bands(self, number: int, role: DeviceRole, device: Device) -> None:
        bands, rig_bands = device.known_bands, [phy.band for phy in self.phys]
        if not bands or not rig_bands or set(bands) & set(rig_bands):
            return
        self._error(
            ("devices", number, "device"),
            f"{quote(role.device)} can only join on {bands[0]}, and the hub is on {rig_bands[0]}",
            f"use another hub, or say 'bands: [{bands[0]}, {rig_bands[0]}]' in the inventory "
            "if the device has both",
        )

    def _virtual_device(self, number: int, role: DeviceRole, device: Device) -> None:
        place = ("devices", number, "device")
        assert device.virtual is not None
        offered = set(role.settings.suites or self.rig.hub.all_suites)
        if not set(device.virtual.suites) & offered:
            self._warn(
                place,
                f"{quote(role.device)} has no key establishment suite in common with the hub: "
                "it will never be authorised",
            )
        names = [read.name for read in role.reads]
        for name, period in device.virtual.behaviour.read_periods.items():
            if name not in names:
                self._warn(
                    place,
                    f"{quote(role.device)} is to read {quote(name)} every "
                    f"{duration_text(period)}, and has no such schedule here",
                    did_you_mean(name, names),
                )

    def _pairing(
        self, number: int, role: DeviceRole, device: Device, schedules: tuple[ReadSchedule, ...]
    ) -> None:
        if device.install_code is None:
            self._error(
                ("devices", number, "device"),
                f"{quote(role.device)} has no install code in {self.inventory_document.path}",
                f"add 'install_code: ...' to it: pairing by {role.pairing.method} needs one",
            )
            return
        code = read_install_code(
            device.install_code,
            self.inventory_document,
            role.device,
            self.reader,
            self.inventory_problems,
        )
        if code is not None:
            self.devices.append(
                DeviceUnderTest(
                    name=role.device,
                    eui64=device.eui64,
                    kind=device.kind,
                    device=device,
                    install_code=code,
                    pairing=role.pairing,
                    schedules=schedules,
                    settings=role.settings.values,
                    bands=device.known_bands,
                    prefers=device.prefers,
                )
            )
