"""What the hub sends on: bands, channels and powers of its radios, held against each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from labctl.config.channel_choice import ChannelCheck
from labctl.config.document import Document, Place
from labctl.config.durations import duration_text
from labctl.config.hub_radio import SUB_GHZ_MOST_DBM, DutyCycle, HubBand, SubGhz
from labctl.config.inventory import LAB_CA, Driver, Inventory, Radio
from labctl.config.problems import Problem, did_you_mean, quote
from labctl.config.resolved import Phy
from labctl.config.rig_file import Rig
from labctl.events import Band
from labctl.smart_energy.airtime import Limits
from labctl.smart_energy.channels import Channel

DEFAULT_POWER_DBM = {Band.GHZ_2_4: 8, Band.MHZ_868: SUB_GHZ_MOST_DBM}
_RETAIL = "all retail sticks are 2.4 GHz only"
_KITS = (
    "868 MHz takes an EFR32 development kit with a sub-GHz radio (for both bands at once: BRD4155A "
    "or BRD4197A with switch-coordinator firmware)"
)
_ZNP = "is a ZNP stick: ZNP knows neither channel pages nor a second PHY, so it is 2.4 GHz only"
_SIDES = (
    "a dual-band hub has a side on each band: the keys of 'hub' are for 2.4 GHz, those of "
    "'sub_ghz' for 868 MHz"
)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class BearerCheck:
    """Resolves the bearers of a rig, and says what does not go together."""

    rig: Rig
    document: Document
    inventory: Inventory
    inventory_document: Document
    problems: list[Problem] = field(default_factory=list)
    phys: tuple[Phy, ...] = ()
    second_name: str | None = None
    """The radio that works side by side with the hub's own."""
    duty_limits: Limits | None = None

    def run(self) -> None:
        """Check everything. `phys` stays empty when a channel could not be made out."""
        hub = self.rig.hub
        band = self._hub_band()
        first = Band.MHZ_868 if band is HubBand.MHZ_868 else Band.GHZ_2_4
        found = [self._phy(("hub",), first, hub.page, hub.channel, hub.frequency, hub.tx_power_dbm)]
        radio = self.inventory.radios.get(hub.radio)
        if radio is not None:
            self._radio_has(self._band_place(), hub.radio, radio, first)
        if band is HubBand.DUAL:
            found.append(self._sub_ghz(hub.sub_ghz or SubGhz(), radio))
        elif hub.sub_ghz is not None:
            self._error(
                ("hub", "sub_ghz"),
                f"this section is for dual-band hubs, and 'band' says {band}",
                "write 'band: dual', or remove the section"
                if band is HubBand.GHZ_2_4
                else "write its keys directly below 'hub', or 'band: dual'",
                of_key=True,
            )
        self.phys = tuple(phy for phy in found if phy is not None)
        if len(self.phys) < len(found):
            self.phys = ()
        self._duty_cycle()

    def _error(self, place: Place, what: str, mend: str = "", *, of_key: bool = False) -> None:
        self.problems.append(self.document.problem(place, what, mend, of_key=of_key))

    # -- bands ------------------------------------------------------------------------------------

    def _hub_band(self) -> HubBand:
        hub = self.rig.hub
        if hub.band is not None:
            return hub.band
        if hub.sub_ghz is not None:
            return HubBand.DUAL
        if hub.frequency is not None:
            return HubBand(hub.frequency.band.value)
        return HubBand.MHZ_868 if hub.page else HubBand.GHZ_2_4

    def _band_place(self) -> Place:
        """Where the file says which band the hub is on; else the radio that does not fit."""
        hub = self.rig.hub
        for key, value in (("band", hub.band), ("frequency", hub.frequency), ("page", hub.page)):
            if value is not None:
                return ("hub", key)
        return ("hub", "radio")

    def _radio_has(self, place: Place, name: str, radio: Radio, band: Band) -> None:
        if band is Band.MHZ_868 and radio.driver is Driver.ZNP:
            mend = "use a radio with 'driver: ezsp' for 868 MHz"
            self._error(place, f"the radio {quote(name)} {_ZNP}", mend)
        elif band not in radio.bands:
            self._error(
                place,
                f"the radio {quote(name)} has {radio.bands[0]} only, and is asked for {band}",
                self._mend(radio, band),
            )

    def _mend(self, radio: Radio, band: Band) -> str:
        both = f"write 'bands: [{', '.join(Band)}]' at the radio in {self.inventory_document.path}"
        if band is Band.MHZ_868:
            retail = f"{_RETAIL}; {_KITS}. A radio that can says so in its 'bands'"
            return both if radio.is_virtual else retail
        if self._hub_band() is HubBand.DUAL:
            return f"name it in hub.sub_ghz.radio, and in hub.radio one that has {band}"
        mend = f"write 'band: {radio.bands[0]}'"
        return f"{mend}, or {both}" if radio.is_virtual else f"{mend}, or use another radio"

    # -- the second bearer ------------------------------------------------------------------------

    def _sub_ghz(self, entry: SubGhz, own: Radio | None) -> Phy | None:
        place: Place = ("hub", "sub_ghz")
        band = Band.MHZ_868
        if entry.radio is None:
            self._two_phys(entry, own)
        else:
            self._side_by_side(entry.radio, own)
        return self._phy(
            place, band, entry.page, entry.channel, entry.frequency, entry.tx_power_dbm
        )

    def _two_phys(self, entry: SubGhz, radio: Radio | None) -> None:
        name = self.rig.hub.radio
        if radio is not None and Band.MHZ_868 not in radio.bands:
            mend = "name a second radio in hub.sub_ghz.radio"
            if radio.is_virtual:
                mend += f", or {self._mend(radio, Band.MHZ_868)}"
            elif radio.driver is Driver.EZSP:
                mend += f": {_RETAIL}; {_KITS}"
            what = f"the radio {quote(name)} has 2.4 GHz only, and is asked for both bands"
            if radio.driver is Driver.ZNP:
                what = f"the radio {quote(name)} {_ZNP}"
            self._error(self._dual_place(), what, mend)
        for key in ("certificate", "pan_id", "extended_pan_id"):
            value = getattr(entry, key)
            if value is not None and value != LAB_CA:
                self._error(
                    ("hub", "sub_ghz", key),
                    "this is for a second radio: two PHYs of one radio have one network",
                    f"write {key!r} below 'hub', or name the second radio here",
                    of_key=True,
                )

    def _dual_place(self) -> Place:
        return ("hub", "band") if self.rig.hub.band is not None else ("hub", "sub_ghz")

    def _side_by_side(self, name: str, own: Radio | None) -> None:
        place: Place = ("hub", "sub_ghz", "radio")
        radio = self.inventory.radios.get(name)
        if radio is None:
            self._error(
                place,
                f"there is no radio {quote(name)} in {self.inventory_document.path}",
                did_you_mean(name, self.inventory.radios),
            )
            return
        if name == self.rig.hub.radio:
            self._error(
                place,
                f"the radio {quote(name)} is the hub's own already",
                "remove this key if it is on both bands at once (two PHYs), or name another radio",
            )
            return
        self.second_name = name
        self._radio_has(place, name, radio, Band.MHZ_868)
        if own is None:
            return
        if own.is_virtual != radio.is_virtual:
            words = {True: "virtual", False: "a real one"}
            self._error(
                place,
                f"the radio {quote(name)} is {words[radio.is_virtual]}, and "
                f"{quote(self.rig.hub.radio)} is {words[own.is_virtual]}",
                "devices hear real radios or virtual ones, not both",
            )
        elif own.is_virtual and None in (own.eui64, radio.eui64):
            without = self.rig.hub.radio if own.eui64 is None else name
            self._error(
                place,
                f"the virtual radio {quote(without)} has no address",
                f"side by side takes two: add 'eui64: ...' to it in {self.inventory_document.path}",
            )
        elif not own.is_virtual and (own.path, own.path or own.usb) == (
            radio.path,
            radio.path or radio.usb,
        ):
            same = f"path {quote(own.path)}" if own.path else f"USB identity {own.usb}"
            self._error(
                place,
                f"the radios {quote(self.rig.hub.radio)} and {quote(name)} have the same {same}",
                "side by side takes two sticks, each with a port of its own",
            )

    # -- channel and power ------------------------------------------------------------------------

    def _phy(
        self,
        place: Place,
        band: Band,
        page: int | None,
        channel: int | None,
        frequency: Channel | None,
        tx_power_dbm: int | None,
    ) -> Phy | None:
        other = _SIDES
        if self._hub_band() is not HubBand.DUAL:
            wanted = Band.MHZ_868 if band is Band.GHZ_2_4 else Band.GHZ_2_4
            other = f"write 'band: {wanted}', or a channel of {band}"
        chosen = ChannelCheck(self.document, self.problems, place, band, other).resolve(
            page, channel, frequency
        )
        power = DEFAULT_POWER_DBM[band] if tx_power_dbm is None else tx_power_dbm
        if band is Band.MHZ_868 and power > SUB_GHZ_MOST_DBM:
            self._error(
                (*place, "tx_power_dbm"),
                f"{power} dBm is over the limit on 868 MHz: {SUB_GHZ_MOST_DBM} dBm (25 mW)",
            )
        return None if chosen is None else Phy(chosen, power)

    # -- airtime ----------------------------------------------------------------------------------

    def _duty_cycle(self) -> None:
        sub_ghz = [phy.channel for phy in self.phys if phy.band is Band.MHZ_868]
        usual = Limits.of_page(sub_ghz[0].page) if sub_ghz else Limits()
        limits = self._limits(("hub", "duty_cycle"), self.rig.hub.duty_cycle, usual)
        virtual = self.rig.virtual
        if virtual is not None and virtual.duty_cycle is not None:
            radio = self.inventory.radios.get(self.rig.hub.radio)
            override = self._limits(("virtual", "duty_cycle"), virtual.duty_cycle, usual)
            if radio is not None and radio.is_virtual:
                limits = override
        self.duty_limits = limits if sub_ghz else None

    def _limits(self, place: Place, entry: DutyCycle, usual: Limits) -> Limits | None:
        names = ("limited", "critical", "regulated")
        usually = (usual.limited_us, usual.critical_us, usual.regulated_us)
        written = (entry.limited, entry.critical, entry.regulated)
        chosen = [
            usually[i] if value is None else value // _MICROSECOND
            for i, value in enumerate(written)
        ]
        if chosen[2] > usual.regulated_us:
            self._error(
                (*place, "regulated"),
                f"{_text(chosen[2])} in an hour is over the regulated limit of "
                f"{_text(usual.regulated_us)}",
            )
            return None
        for i in (1, 2):
            if chosen[i] <= chosen[i - 1]:
                blamed = i if written[i] is not None else i - 1
                self._error(
                    (*place, names[blamed]),
                    f"{names[i - 1]!r} is {_text(chosen[i - 1])}, and {names[i]!r} is "
                    f"{_text(chosen[i])}: each must be more than the one before",
                    "limits ascend: limited, critical, regulated",
                )
                return None
        return Limits(*chosen)


def _text(us: int) -> str:
    return duration_text(timedelta(microseconds=us))
