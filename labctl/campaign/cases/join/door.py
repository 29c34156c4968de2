"""What the cases on joining do to the hub's door, and how they look at it from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labctl.campaign.subject import Subject
from labctl.campaign.watch import Watch
from labctl.events import DeviceKind, JoinEnded, JoinOutcome, JoinStarted
from labctl.hub.settings import LoggedDevice
from labctl.hub.vault import KeptLog
from labctl.radio.coordinator import Coordinator
from labctl.rig.session import RigSession
from labctl.secret import Secret
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.install_code import InstallCode


@dataclass(frozen=True, slots=True)
class WholeLog:
    """The device log with its historic part, and the keys in the radio. Compares by value."""

    log: KeptLog
    keys: Mapping[Eui64, Secret]

    def differences(self, other: WholeLog) -> list[str]:
        """What is not the same, an address and a word for each; no key is in it."""
        own = {device.eui64: device for device in self.log.devices}
        others = {device.eui64: device for device in other.log.devices}
        found = [f"{each} entry" for each in own.keys() | others.keys()
                 if own.get(each) != others.get(each)]  # fmt: skip
        found += [f"{each} key" for each in self.keys.keys() | other.keys.keys()
                  if self.keys.get(each) != other.keys.get(each)]  # fmt: skip
        if self.log.historic != other.log.historic:
            found.append("historic devices")
        return sorted(found)


def radio_of(session: RigSession) -> Coordinator:
    """The hub's coordinator."""
    assert session.radio is not None  # an open rig has one
    return session.radio


async def whole_log(session: RigSession) -> WholeLog:
    """The log as it is now. Raises `RigError`."""
    return WholeLog(session.hub.device_log().as_kept(), await radio_of(session).link_keys())


def tries(watch: Watch, eui64: str, since_us: int) -> list[JoinStarted]:
    """A device's attempts to join, without what is noted of a window in which none was heard."""
    unheard = {
        end.join
        for end in watch.of(eui64, JoinEnded, since_us=since_us)
        if end.outcome is JoinOutcome.NOT_HEARD
    }
    started = watch.of(eui64, JoinStarted, since_us=since_us)
    return [each for each in started if each.join not in unheard]


async def first_try(watch: Watch, device: Subject, since_us: int, within_s: float) -> None:
    """Until a device tries to join. Raises `NotSeen`."""
    if not tries(watch, device.eui64, since_us):
        await watch.wait(
            JoinStarted,
            device.eui64,
            within_s=within_s,
            what=f"an attempt of {device.name} to join",
        )


def another_code(code: InstallCode) -> InstallCode:
    """An install code of the same length that is not `code`, with its right CRC."""
    octets = code.code.reveal()
    return InstallCode.from_octets_without_crc(bytes([octets[0] ^ 0x55]) + octets[1:])


def placeholder(number: int) -> LoggedDevice:
    """A device that does not exist, to be put into the log. `number` is 0 to 255.

    Its address is of the range for documentation, and nobody has its key.
    """
    eui64 = Eui64(f"00:00:5e:ef:10:00:ff:{number:02x}")
    code = InstallCode.from_octets_without_crc(eui64.big_endian * 2)
    return LoggedDevice(
        eui64=eui64,
        name=f"placeholder-{number}",
        kind=DeviceKind.OTHER,
        link_key=code.link_key(),
    )
