"""What a meter of either fuel is set up as."""

from __future__ import annotations

from dataclasses import dataclass, field

from labctl.meters.civil import TimeBase
from labctl.meters.journal import Journal
from labctl.meters.prepayment import Prepayment
from labctl.meters.profile import Profile
from labctl.meters.tariff import Tariff

_MPXN_OCTETS = 32
_SERIAL_OCTETS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSettings:
    """A meter's identity, and what all that it shows follows from, but for its register's start.

    `name` is what the rig file calls it; `mpxn` is the site id (MPAN or MPRN). `tariff` is that of
    the very first start; without one no price is published. `profile` is what flows through it.
    `journal` is what was done to it, `prepayment` what its account starts with, if it has one.
    Billing periods begin on `billing_day` (1 to 28); `days` says by which clock days begin.

    Raises `ValueError` for ids too long for the air (32 and 24 octets).
    """

    name: str
    mpxn: str
    serial_number: str
    tariff: Tariff | None
    profile: Profile
    journal: Journal = field(default_factory=Journal)
    prepayment: Prepayment | None = None
    billing_day: int = 1
    days: TimeBase = TimeBase.UTC

    def __post_init__(self) -> None:
        if len(self.mpxn.encode()) > _MPXN_OCTETS:
            raise ValueError(f"MPxN {self.mpxn!r} is longer than {_MPXN_OCTETS} octets")
        if len(self.serial_number.encode()) > _SERIAL_OCTETS:
            raise ValueError(
                f"serial number {self.serial_number!r} is longer than {_SERIAL_OCTETS} octets"
            )
