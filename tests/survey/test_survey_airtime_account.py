"""The account of a survey's airtime: what is left for probes beside all other traffic."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from labctl.hub.airtime import AirtimeBook
from labctl.smart_energy.airtime import DutyCycleState, Limits
from labctl.smart_energy.eui64 import Eui64
from labctl.survey.airtime import Airtime

CAD = Eui64("00:00:5e:ef:10:00:00:24")
START_S = 1_000_000 * 300  # a bucket of the account begins there
LIMITED_US = 10_000_000


class Rig:
    """As much of a hub as is looked at, with a clock to be set."""

    def __init__(self) -> None:
        self.now_s = float(START_S)
        limits = Limits(LIMITED_US, 2 * LIMITED_US, 3 * LIMITED_US)
        self.book = AirtimeBook(28, limits)
        self.sub_ghz = SimpleNamespace(
            bearer=1, book=self.book, suspensions=SimpleNamespace(state=DutyCycleState.NORMAL)
        )
        self.device = cast(Any, SimpleNamespace(eui64=CAD, bearer=1))

    def now_us(self) -> int:
        return round(self.now_s * 1e6)

    def airtime(self, before: list[tuple[Eui64, int]] | None = None) -> Airtime:
        hub = SimpleNamespace(care=SimpleNamespace(sub_ghz=self.sub_ghz))
        return Airtime(cast(Any, hub), cast(Any, self), 0.9, before or [])

    def probe(self, airtime: Airtime, us: int) -> None:
        before = airtime.used_us(self.device)
        self.book.hub.add(us, self.now_s)
        airtime.spent(self.device, before)


def test_nothing_waits_on_2_4_ghz_or_while_there_is_room() -> None:
    rig = Rig()
    airtime = rig.airtime()
    assert airtime.wait_s(rig.device) == 0
    rig.book.hub.add(50 * LIMITED_US, rig.now_s)
    assert airtime.wait_s(rig.device) > 0
    rig.device.bearer = 0
    assert airtime.wait_s(rig.device) == 0


def test_what_the_probes_used_is_back_after_an_hour() -> None:
    rig = Rig()
    airtime = rig.airtime()
    rig.probe(airtime, LIMITED_US)
    assert 3500 <= airtime.wait_s(rig.device) <= 3900
    rig.now_s += 1800
    assert 1700 <= airtime.wait_s(rig.device) <= 2100
    rig.now_s += 2100
    assert airtime.wait_s(rig.device) == 0


def test_other_traffic_keeps_its_room_before_it_is_there() -> None:
    rig = Rig()
    airtime = rig.airtime()
    rig.now_s += 600
    rig.book.hub.add(LIMITED_US // 8, rig.now_s)  # in ten minutes: three quarters in an hour
    assert airtime.wait_s(rig.device) == 0
    rig.probe(airtime, LIMITED_US // 5)
    assert airtime.wait_s(rig.device) > 0


def test_the_devices_own_airtime_counts_as_well() -> None:
    rig = Rig()
    rig.book.devices[CAD] = type(rig.book.hub)()
    rig.book.devices[CAD].add(LIMITED_US, rig.now_s)
    assert rig.airtime().wait_s(rig.device) > 0


def test_a_hub_that_is_limited_is_not_probed_through() -> None:
    rig = Rig()
    rig.sub_ghz.suspensions.state = DutyCycleState.LIMITED
    assert rig.airtime().wait_s(rig.device) > 0


@pytest.mark.parametrize(("ago_s", "waits"), [(60, True), (3000, True), (3700, False)])
def test_a_resumed_survey_remembers_its_last_hour(ago_s: int, waits: bool) -> None:
    rig = Rig()
    sent = [(CAD, rig.now_us() - ago_s * 1_000_000)] * 700
    assert (rig.airtime(sent).wait_s(rig.device) > 0) is waits
