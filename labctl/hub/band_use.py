"""Which band a device is on, which it could have been on, and why (S3: 2.4 GHz where practicable).

The hub knows the bands that a device has only from its description, and of a band that the device
did not choose only whether it was ever heard there.
"""

from __future__ import annotations

from collections.abc import Callable

from labctl.events import Band, BandUse, DeviceKind
from labctl.hub.bearers import Bearers
from labctl.hub.device_log import Device
from labctl.hub.reporter import Reporter
from labctl.hub.settings import LoggedDevice
from labctl.smart_energy.eui64 import Eui64

_PREFER_2_4 = frozenset({DeviceKind.IHD, DeviceKind.PPMID, DeviceKind.CAD})


class BandUses:
    """`described` gives what the rig file says of a device: its bands, and how far each gets."""

    def __init__(
        self,
        bearers: Bearers,
        reporter: Reporter,
        described: Callable[[Device], LoggedDevice | None],
    ) -> None:
        self._bearers = bearers
        self._reporter = reporter
        self._described = described
        self._used: dict[Eui64, Band] = {}
        self._heard: dict[tuple[Eui64, Band], int | None] = {}

    def authorised(self, device: Device) -> None:
        """A device got in, or came back."""
        if self._used.get(device.eui64) is not self._bearers.of(device).band:
            self._tell(device)

    def heard(self, device: Device, rssi_dbm: int | None) -> None:
        """A device was heard on another bearer than before, or for the first time."""
        band = self._bearers.of(device).band
        self._heard[device.eui64, band] = rssi_dbm
        if device.authorised and self._used.get(device.eui64) is not band:
            self._tell(device)

    def forget(self, eui64: Eui64) -> None:
        """A device was unpaired."""
        self._used.pop(eui64, None)
        for key in [key for key in self._heard if key[0] == eui64]:
            del self._heard[key]

    def _tell(self, device: Device) -> None:
        used = self._bearers.of(device).band
        self._used[device.eui64] = used
        hub = {bearer.band for bearer in self._bearers}
        said = self._described(device)
        own = said.bands if said else ()
        could = tuple(b for b in Band if b in hub and (b in own or b is used))
        self._reporter.emit(
            BandUse(
                at_us=self._reporter.now_us(),
                eui64=device.eui64,
                used=used,
                could=could,
                why="; ".join((self._why(device, used, own, hub), *_reaches(said, hub))),
            )
        )

    def _why(self, device: Device, used: Band, own: tuple[Band, ...], hub: set[Band]) -> str:
        other = Band.MHZ_868 if used is Band.GHZ_2_4 else Band.GHZ_2_4
        if other not in hub:
            return f"the hub has no radio on {other}"
        if not own:
            return f"it came on {used}; whether it has {other} too, nobody said"
        if other not in own:
            return f"it has no radio on {other}"
        there = self._there(device, other)
        if used is Band.GHZ_2_4:
            return f"it has both bands, and 2.4 GHz goes first where it reaches; {there}"
        if device.kind in _PREFER_2_4:
            return (
                f"it has both bands, and 2.4 GHz should go first where it reaches: "
                f"either it does not reach, or the device chose otherwise; {there}"
            )
        return f"it has both bands and chose {used}; {there}"

    def _there(self, device: Device, band: Band) -> str:
        if (device.eui64, band) not in self._heard:
            return f"the hub never heard it on {band}"
        rssi_dbm = self._heard[device.eui64, band]
        level = "" if rssi_dbm is None else f" at {rssi_dbm} dBm"
        return f"the hub heard it on {band} before{level}"


def _reaches(said: LoggedDevice | None, hub: set[Band]) -> list[str]:
    """What is known of the bands that a device could choose from, if there are two."""
    bands = [band for band in Band if said and band in hub and band in said.bands]
    if said is None or len(bands) < 2:
        return []
    return [said.reach[band] for band in bands if band in said.reach]
