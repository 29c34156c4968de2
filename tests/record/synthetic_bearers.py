"""A day of a dual-band hub that never happened: airtime near its limit, a suspension, a move.

The numbers are chosen so that every figure of the report has something to show; they are no model
of anything.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace

from synthetic_runs import ELECTRICITY, GAS, HOUR, MINUTE, PRICE, SECOND, Actor, Plan, Story

from labctl import events as ev

SUB_GHZ = "main/868"
PAGE, CHANNEL, SECOND_CHANNEL = 28, 26, 11
LIMITED_US, CRITICAL_US, REGULATED_US = 54_000_000, 75_000_000, 100_000_000
MIRROR = Plan("gas mirror", 0x0702, (0x0000,), 1_800_000, 60_000, endpoint=3)

SUSPENDED_AT = 7 * HOUR + 12 * MINUTE
MOVED_AT = 13 * HOUR


def _on_868(number: int, name: str, kind: ev.DeviceKind, rssi: float, **more: object) -> Actor:
    actor = Actor(
        number, name, kind, (ELECTRICITY,), rssi_dbm=rssi, radio=SUB_GHZ, page=PAGE, channel=CHANNEL
    )
    return replace(actor, **more)  # type: ignore[arg-type]


def dual_band(hours: float = 24.0) -> Story:
    """Four 10 s links and a gas meter on 868 MHz, an IHD and a CAD on 2.4 GHz."""
    story = Story(
        actors=[
            Actor(3, "hall-ihd", ev.DeviceKind.IHD, (ELECTRICITY, PRICE), rssi_dbm=-71.0),
            Actor(2, "kitchen-cad", ev.DeviceKind.CAD, (ELECTRICITY, GAS), rssi_dbm=-58.0),
            _on_868(
                5,
                "cellar-cad",
                ev.DeviceKind.CAD,
                -95.0,
                loss=0.004,
                silent=((SUSPENDED_AT, SUSPENDED_AT + 5 * MINUTE),),
            ),
            _on_868(6, "garage-cad", ev.DeviceKind.CAD, -84.0),
            _on_868(7, "attic-ppmid", ev.DeviceKind.PPMID, -88.0),
            _on_868(8, "annexe-cad", ev.DeviceKind.CAD, -77.0),
            _on_868(9, "gas-meter", ev.DeviceKind.GAS_METER, -90.0, plans=(MIRROR,)),
        ],
        rig="dual-band",
        hours=hours,
        verdict=ev.Verdict.PASS,
    )
    return replace(story, more=tuple(_more(story)))


def _more(story: Story) -> list[ev.Event]:
    rng = random.Random(5)
    start = story.start_us
    found: list[ev.Event] = [_radio(start + SECOND)]
    found += _choices(story, start + 2 * MINUTE)
    found += _airtime(story, rng)
    for at in range(start + 15 * MINUTE, story.end_us, 15 * MINUTE):
        found += _noise(at, moved=at > start + MOVED_AT, rng=rng)
        found += _reports(story, at, rng)
    for at in range(start + 5 * MINUTE, story.end_us, 5 * MINUTE):
        for actor in story.actors:
            lost = rng.random() < (0.08 if actor.rssi_dbm < -90 else 0.005)
            found.append(
                ev.Deliveries(
                    at_us=at,
                    eui64=actor.eui64,
                    radio=actor.radio,
                    attempts=30,
                    delivered=30 - lost,
                    retries=rng.randrange(4),
                )
            )
    if story.hours > 8:
        found += _suspension(story, start + SUSPENDED_AT)
    if story.hours > 14:
        found.append(
            ev.ChannelMoved(
                at_us=start + MOVED_AT,
                radio=SUB_GHZ,
                from_page=PAGE,
                from_channel=CHANNEL,
                to_page=PAGE,
                to_channel=SECOND_CHANNEL,
                cause="an energy scan found −72 dBm on channel 26, −97 dBm on channel 11",
            )
        )
    return found


def _radio(at_us: int) -> ev.RadioUp:
    return ev.RadioUp(
        at_us=at_us,
        name=SUB_GHZ,
        driver="ezsp",
        band=ev.Band.MHZ_868,
        path="socket://127.0.0.1:9999",
        eui64="00:0d:6f:00:0a:90:00:01",
        page=PAGE,
        channel=CHANNEL,
        pan_id=0x1A62,
        extended_pan_id="00:0d:6f:00:0a:90:00:01",
        resumed=False,
        tx_power_dbm=14,
        serial_number="0001",
        manufacturer="Lab",
        model="Virtual NCP",
        firmware="7.4.1.0",
        protocol_version=13,
    )


def _choices(story: Story, at_us: int) -> list[ev.Event]:
    both = (ev.Band.GHZ_2_4, ev.Band.MHZ_868)
    why = {
        "hall-ihd": (both, "an IHD goes on 2.4 GHz where it can, and it hears the hub there"),
        "kitchen-cad": (both, "it prefers 2.4 GHz, and hears the hub there at −58 dBm"),
        "cellar-cad": (
            (ev.Band.MHZ_868,),
            "it scanned 2.4 GHz first and heard no beacon: two stone walls stand between",
        ),
        "gas-meter": ((ev.Band.MHZ_868,), "it has no 2.4 GHz radio"),
    }
    found: list[ev.Event] = []
    for actor in story.actors:
        could, reason = why.get(actor.name or "", (both, "it prefers 868 MHz"))
        found.append(
            ev.BandUse(at_us=at_us, eui64=actor.eui64, used=actor.band, could=could, why=reason)
        )
    if story.hours > 1.1:
        found.append(
            ev.CapacityExceeded(
                at_us=at_us + HOUR,
                eui64=story.actors[5].eui64,
                radio=SUB_GHZ,
                links=5,
                limit=4,
            )
        )
    return found


def _airtime(story: Story, rng: random.Random) -> list[ev.Event]:
    found: list[ev.Event] = []
    before = ev.AirtimeState.NORMAL
    for minute in range(1, round(story.hours * 60)):
        at = story.start_us + minute * MINUTE
        hump = 26e6 * math.exp(-(((minute - 440) / 45) ** 2))
        level = min(1.0, minute / 60) * 33e6 + hump + rng.gauss(0, 2e5)
        used = max(0, round(level))
        state = ev.AirtimeState.LIMITED if used >= LIMITED_US else ev.AirtimeState.NORMAL
        rising = 395 <= minute < 440 and state is ev.AirtimeState.NORMAL
        found.append(
            _sample(
                at,
                used,
                state,
                next_state=ev.AirtimeState.LIMITED if rising else None,
                next_state_in_s=60 * (432 - minute) if rising and minute < 432 else None,
            )
        )
        if minute % 5 == 0:  # the firmware tells hundredths of a per cent of the hour
            told = used // 360_000 * 360_000
            found.append(_sample(at + 1, told, state, source=ev.AirtimeSource.FIRMWARE))
        if state is not before:
            found.append(
                ev.DutyCycleChanged(
                    at_us=at, radio=SUB_GHZ, state=state, before=before, airtime_us=used
                )
            )
            before = state
        if minute % 5 == 0:
            for actor in story.actors:
                if actor.radio == SUB_GHZ:
                    share = 0.005 if actor.kind is ev.DeviceKind.GAS_METER else 0.17
                    found.append(
                        _sample(at, round(share * used), ev.AirtimeState.NORMAL, actor.eui64)
                    )
    return found


def _sample(
    at_us: int,
    airtime_us: int,
    state: ev.AirtimeState,
    eui64: str | None = None,
    *,
    source: ev.AirtimeSource = ev.AirtimeSource.COMPUTED,
    next_state: ev.AirtimeState | None = None,
    next_state_in_s: int | None = None,
) -> ev.AirtimeSample:
    return ev.AirtimeSample(
        at_us=at_us,
        radio=SUB_GHZ,
        eui64=eui64,
        airtime_us=airtime_us,
        limited_us=LIMITED_US,
        critical_us=CRITICAL_US,
        regulated_us=REGULATED_US,
        state=state,
        source=source,
        next_state=None if next_state_in_s is None else next_state,
        next_state_in_s=next_state_in_s,
    )


def _noise(at_us: int, *, moved: bool, rng: random.Random) -> list[ev.Event]:
    channel = SECOND_CHANNEL if moved else CHANNEL
    hog = not moved and at_us % (4 * HOUR) > 3 * HOUR
    return [
        ev.NoiseSample(
            at_us=at_us, radio="main", page=0, channel=15, level_dbm=round(rng.gauss(-91, 2))
        ),
        ev.NoiseSample(
            at_us=at_us,
            radio=SUB_GHZ,
            page=PAGE,
            channel=channel,
            level_dbm=round(rng.gauss(-74 if hog else -98, 1.5)),
        ),
    ]


def _reports(story: Story, at_us: int, rng: random.Random) -> list[ev.Event]:
    found: list[ev.Event] = []
    for actor in story.actors:
        rssi = round(actor.rssi_dbm - 3 + rng.gauss(0, 2))
        found.append(
            ev.LinkReport(
                at_us=at_us,
                eui64=actor.eui64,
                radio=actor.radio,
                source=ev.LinkSource.MGMT_LQI,
                lqi=max(0, min(255, 4 * (rssi + 110))),
            )
        )
        if actor.kind is ev.DeviceKind.CAD:
            found.append(
                ev.LinkReport(
                    at_us=at_us + 1,
                    eui64=actor.eui64,
                    radio=actor.radio,
                    source=ev.LinkSource.DIAGNOSTICS,
                    lqi=max(0, min(255, 4 * (rssi + 110))),
                    rssi_dbm=rssi,
                    mac_retries=rng.randrange(3),
                )
            )
        if actor.radio == SUB_GHZ:
            found.append(
                ev.LinkReport(
                    at_us=at_us + 2,
                    eui64=actor.eui64,
                    radio=actor.radio,
                    source=ev.LinkSource.LINK_POWER,
                    rssi_dbm=rssi,
                    power_delta_db=-79 - rssi,
                )
            )
        found.append(
            ev.LinkReport(
                at_us=at_us + 3,
                eui64=actor.eui64,
                radio=actor.radio,
                source=ev.LinkSource.NEIGHBOUR,
                lqi=200,
                in_cost=1 if rssi > -80 else 3,
                out_cost=1 if rssi > -85 else 5,
            )
        )
    return found


def _suspension(story: Story, at_us: int) -> list[ev.Event]:
    cellar = story.actors[2].eui64
    return [
        ev.Suspended(
            at_us=at_us,
            eui64=cellar,
            radio=SUB_GHZ,
            minutes=5,
            cause="the hub is Limited, and it talks most",
        ),
        ev.Resumed(
            at_us=at_us + 5 * MINUTE, eui64=cellar, radio=SUB_GHZ, cause="its time was over"
        ),
    ]
