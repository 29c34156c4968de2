"""J03: an install code whose CRC is wrong is refused before anything is armed.

The device's own code is spoilt as people spoil it: a digit mistyped, two digits changed round, the
octets of the CRC swapped. Each is offered in every way in which a person pairs: typed with
the address, read from a label, in a list of many devices, typed in decimal at the meter, sent to a
hub that is held, and in an inventory. All must be refused with a sentence that says so and that
shows no digit of the code; and the device log, the keys in the radio and the windows must be what
they were. This is of labctl alone: the device is not asked.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from labctl.campaign.case import Measure, Start, case
from labctl.campaign.cases.join.door import whole_log
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import Subject
from labctl.campaign.watch import Watch
from labctl.config.loading import load_inventory
from labctl.config.resolved import LoadedRig
from labctl.errors import LabctlError
from labctl.events import PairingArmed
from labctl.rig.applicants import by_hand, by_local_code, of_a_file, of_a_label
from labctl.rig.wire import applicant_from
from labctl.smart_energy.install_code import InstallCode


@case(
    "J03",
    "bad CRC: refused before anything is armed",
    measures=(
        Measure("codes_tried", least=1),
        Measure.exactly("not_refused", 0),
        Measure.exactly("told_wrongly", 0, why="the sentence says what is wrong, and no digit"),
        Measure.exactly("armed", 0),
        Measure.exactly("changes_of_log", 0),
    ),
    start=Start.ANY,
)
async def test_bad_crc(device: Subject, watch: Watch, measure: Measurements) -> None:
    await device.session.hub.close_joining()  # for windows that end are changes too
    before = await whole_log(device.session)
    tried = not_refused = told_wrongly = 0
    for digits in spoilt(device.declared.install_code):
        for offer in ways_to_pair(device.session.loaded, str(device.eui64), digits):
            tried += 1
            try:
                offer()
            except LabctlError as error:
                told_wrongly += digits in str(error) or "code" not in str(error)
            else:
                not_refused += 1
    changes = before.differences(await whole_log(device.session))
    measure(
        codes_tried=tried,
        not_refused=not_refused,
        told_wrongly=told_wrongly,
        armed=len(watch.of(device.eui64, PairingArmed)),
    )
    measure.take("changes_of_log", len(changes), ", ".join(changes))


def spoilt(code: InstallCode) -> Iterator[str]:
    """The code with its CRC, in hexadecimal digits, wrong in the ways in which people are."""
    octets = code.octets.reveal()
    digits = octets.hex().upper()
    yield f"{int(digits[0], 16) ^ 0x1:X}" + digits[1:]
    yield digits[:-1] + f"{int(digits[-1], 16) ^ 0x8:X}"
    at = next((n for n in range(len(digits) - 1) if digits[n] != digits[n + 1]), None)
    if at is not None:
        yield digits[:at] + digits[at + 1] + digits[at] + digits[at + 2 :]
    if octets[-1] != octets[-2]:
        yield digits[:-4] + digits[-2:] + digits[-4:-2]


def ways_to_pair(loaded: LoadedRig, address: str, digits: str) -> Iterator[Callable[[], object]]:
    """Offers these digits as a device's install code, in each way that there is."""
    yield lambda: by_hand(loaded, address, digits)
    yield lambda: of_a_label(loaded, f"Z:{address.replace(':', '')}$I:{digits}")
    yield lambda: by_local_code(loaded, address, _decimal(digits))
    yield lambda: applicant_from(
        {
            "eui64": address,
            "code": digits,
            "name": "spoilt",
            "kind": "cad",
            "method": "remote",
            "window_s": 60,
            "requested_by": "campaign",
        }
    )
    yield lambda: _listed(loaded, address, digits)
    yield lambda: _in_an_inventory(address, digits)


def _decimal(digits: str) -> str:
    width = {16: 20, 20: 25, 28: 34, 36: 44}[len(digits)]
    return str(int(digits, 16)).zfill(width)


def _listed(loaded: LoadedRig, address: str, digits: str) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "devices.csv"
        path.touch(mode=0o600)
        path.write_text(f"eui64,install_code\n{address},{digits}\n")
        return of_a_file(loaded, path)


def _in_an_inventory(address: str, digits: str) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inventory.yaml"
        path.touch(mode=0o600)
        path.write_text(
            "radios:\n  spare: {driver: ezsp, path: virtual, eui64: 00:00:5e:ef:10:00:fe:01}\n"
            f'devices:\n  spoilt:\n    kind: cad\n    eui64: "{address}"\n'
            f'    install_code: "{digits}"\n'
        )
        return load_inventory(path)
