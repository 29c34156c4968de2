"""Who is to be paired: lists with all their errors, and descriptions that go together."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from labctl.config.loading import load_rig
from labctl.config.problems import ConfigurationErrors
from labctl.config.resolved import LoadedRig
from labctl.errors import ConfigurationError, UsageError
from labctl.events import DeviceKind, PairingMethod
from labctl.rig.applicants import by_hand, by_local_code, of_a_file, of_a_label, of_the_rig
from labctl.smart_energy.install_code import InstallCode
from labctl.smart_energy.local_code import local_code

PROJECT = Path(__file__).parents[2]
CODE = "83FED3407A939723A5C639B26916D505C3B5"
STRANGER = "00:00:5e:ef:10:00:00:77"


@pytest.fixture(scope="module")
def rig() -> LoadedRig:
    return load_rig(PROJECT / "rigs" / "virtual.yaml")


def listed(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "devices.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_list_gives_one_applicant_a_line(rig: LoadedRig, tmp_path: Path) -> None:
    path = listed(
        tmp_path,
        "eui64, install_code, name, kind, window, requested_by, consent_reference",
        f"{STRANGER},{CODE},hall display,ihd,30min,anna,form 17",
        f"00:00:5e:ef:10:00:00:02,{CODE},,,,,",
    )
    hall, known = of_a_file(rig, path)
    assert (hall.name, hall.kind, hall.window) == (
        "hall display",
        DeviceKind.IHD,
        timedelta(minutes=30),
    )
    assert (hall.requested_by, hall.consent_reference) == ("anna", "form 17")
    assert hall.request.window_s == 1800
    assert known.name == "virtual-ihd"


def test_a_list_may_have_labels(rig: LoadedRig, tmp_path: Path) -> None:
    path = listed(tmp_path, "label,kind", f'"{STRANGER} {CODE}",ppmid')
    (one,) = of_a_file(rig, path)
    assert (one.eui64, one.kind) == (STRANGER, DeviceKind.PPMID)
    assert one.assumed


def test_all_errors_of_a_list_come_at_once_with_their_lines(rig: LoadedRig, tmp_path: Path) -> None:
    path = listed(
        tmp_path,
        "eui64,install_code,kind,window",
        f"{STRANGER},{CODE[:-1]}6,ihd,",
        f"0011,{CODE},,",
        f"{STRANGER},{CODE},cat,",
        f"{STRANGER},{CODE},,20h",
        f"{STRANGER},{CODE},,",
        f"{STRANGER},{CODE},,",
        f"00:00:00:00:00:00:00:05,{CODE},,,too much",
    )
    with pytest.raises(ConfigurationErrors) as caught:
        of_a_file(rig, path)
    said = {problem.line: problem.what for problem in caught.value.problems}
    assert set(said) == {2, 3, 4, 5, 7, 8}
    assert "CRC" in said[2]
    assert "EUI-64" in said[3]
    assert "no kind 'cat'" in said[4]
    assert "65535" in said[5]
    assert "is on line 6 already" in said[7]
    assert "more fields" in said[8]
    assert CODE not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (("eui64,instal_code", "a,b"), "there is no column 'instal_code'"),
        (("name,kind", "a,b"), "neither 'eui64' and 'install_code' nor 'label'"),
        (("eui64,install_code",), "no device in the list"),
        ((), "neither"),
    ],
)
def test_a_list_that_is_none(
    rig: LoadedRig, tmp_path: Path, lines: tuple[str, ...], what: str
) -> None:
    with pytest.raises(ConfigurationErrors) as caught:
        of_a_file(rig, listed(tmp_path, *lines))
    assert what in str(caught.value)


def test_a_list_that_is_not_there_or_no_text(rig: LoadedRig, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        of_a_file(rig, tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        of_a_file(rig, tmp_path / "bad.csv")


def test_a_device_of_the_rig_goes_by_name_or_address(rig: LoadedRig) -> None:
    assert of_the_rig(rig, "virtual-cad") == of_the_rig(rig, "0000:5EEF:1000:0003")
    with pytest.raises(UsageError, match="not a device of rig virtual") as caught:
        of_the_rig(rig, "virtual-card")
    assert "virtual-cad" in caught.value.mend


def test_typed_codes_are_checked_before_anything_is_armed(rig: LoadedRig) -> None:
    assert by_hand(rig, STRANGER, CODE).name == "device-000077"
    with pytest.raises(UsageError, match="CRC"):
        by_hand(rig, STRANGER, CODE[:-1] + "6")
    with pytest.raises(UsageError, match="no address"):
        by_hand(rig, "0011", CODE)
    with pytest.raises(UsageError, match="no address and code"):
        of_a_label(rig, "nothing")


def test_a_code_typed_at_the_meter(rig: LoadedRig) -> None:
    digits = local_code(InstallCode.parse(CODE)).reveal().decode()
    applicant = by_local_code(rig, STRANGER, digits)
    assert applicant.method is PairingMethod.LOCAL_CODE
    assert applicant.install_code == InstallCode.parse(CODE)
    assert by_local_code(rig, "virtual-cad", digits).eui64 == "00:00:5e:ef:10:00:00:03"
    with pytest.raises(UsageError, match="digits"):
        by_local_code(rig, STRANGER, digits[:-1])
