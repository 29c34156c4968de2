"""A hub under attack: its radio, its good devices, the attackers, and everything that is checked.

One world lives through many batches. It is deterministic: the same batches in the same order give
the same world, so that whatever is found is found again from its journal.
"""

from __future__ import annotations

import asyncio
import logging
import random
import struct
import sys
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from fuzz import crypto
from fuzz.answers import Conversation
from fuzz.arrivals import BROADCAST, ENCRYPTED, Arrival, Kind, Who
from fuzz.devices import KEY_ESTABLISHMENT, Good, Pairable, Place, pair
from fuzz.finding import Finding
from fuzz.radio import FuzzRadio
from fuzz.watch import Secrecy, Tables
from labctl.clock import Clock
from labctl.config.loading import load_rig
from labctl.config.resolved import LoadedRig
from labctl.errors import LabctlError
from labctl.events import DeviceKind, Event, EventBus, JoinKind, Note, Refused
from labctl.hub import Hub, HubSettings, LoggedDevice, PairingRequest
from labctl.radio.coordinator import (
    EndpointDescriptor,
    Incoming,
    JoinDecision,
    JoinSeen,
    Outgoing,
    PartnerKey,
)
from labctl.rig.assembly import hub_settings
from labctl.rig.meters import meters
from labctl.secret import Secret
from labctl.smart_energy.cbke import Identity
from labctl.smart_energy.curves import CURVES
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.lab_ca import LabCertificateAuthority
from labctl.smart_energy.ota_image import OtaImage
from labctl.smart_energy.ota_image import parse as parse_image
from labctl.virtual.clock import FastLoop
from labctl.virtual.devices import zcl
from labctl.virtual.devices.zcl import Frame

RIG: Final = Path(__file__).with_name("rig.yaml")
INVENTORY: Final = Path(__file__).resolve().parent.parent / "inventory.yaml"
START_S: Final = 1_767_600_000  # 2026-01-05T08:00:00Z, a Monday
HUB: Final = Eui64("00:0d:6f:00:00:00:00:01")
ATTACKER: Final = Eui64("00:0d:6f:00:0b:ad:00:01")
UNKEYED: Final = Eui64("00:0d:6f:00:0b:ad:00:02")
STRANGER: Final = Eui64("00:0d:6f:00:0b:ad:00:03")
ATTACKER_NWK: Final = 0x0BAD
UNKEYED_NWK: Final = 0x0BAE
STRANGER_NWK: Final = 0x0BAF
GOOD_NWK: Final = (0x1001, 0x1002)
GOOD_PERIODS_S: Final = (31.0, 47.0)
"""Their schedules. In the middle of each batch one of them reads as well."""

WITHOUT_RIGHTS: Final = frozenset({DeviceKind.CAD, DeviceKind.IHD})
"""Kinds that may change nothing on the hub. Others may, so answers are then not compared."""

ATTACKERS: Final = (
    DeviceKind.CAD,
    DeviceKind.PPMID,
    DeviceKind.IHD,
    DeviceKind.HAND_HELD_TERMINAL,
    DeviceKind.CAD,
    DeviceKind.LOAD_SWITCH,
    DeviceKind.GAS_METER,
)
"""What the authorised attacker is, world after world."""

BATCH_LIMIT_S: Final = 1500.0
"""Rig time that one batch may take with waiting."""

COSTLY: Final = 1
"""Key establishment messages of a batch that may carry points nobody has calculated with before.

Such a point costs some 10 ms; a fuzzer that likes them would do nothing else.
"""

_COSTLY_OCTETS: Final = frozenset(3 + octets for octets in (22, 37, 52, 78))
_SETTLE_S: Final = 0.000_1
_WITHOUT_SETTLING: Final = 24
_NWKS: Final = (ATTACKER_NWK, UNKEYED_NWK, STRANGER_NWK, *GOOD_NWK, 0x0000, 0xFFFC, 0x0001)
_WARM: Final = 2500
_CHECK_TABLES_EVERY: Final = 10_000
_SUITE: Final = 2


@dataclass(slots=True)
class Figures:
    """What was done, for people."""

    arrivals: int = 0
    packets: int = 0
    batches: int = 0
    good_reads: int = 0
    answers: int = 0
    own: int = 0
    longest_answer: int = 0
    most_answers: int = 0
    rig_s: float = 0.0
    refusals: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    largest_tables: dict[str, int] = field(default_factory=dict)


@cache
def _loaded() -> LoadedRig:
    return load_rig(RIG, INVENTORY)


@cache
def _identities(eui64: Eui64) -> dict[int, Identity]:
    return {_SUITE: _authority().issue(eui64, random.Random(eui64).randbytes)}


@cache
def _authority() -> LabCertificateAuthority:
    return LabCertificateAuthority.generate(
        _SUITE, Eui64("00:0d:6f:ff:00:00:00:ca"), random.Random(1).randbytes
    )


def _image() -> OtaImage:
    """An image of 1000 octets for devices of manufacturer 0x10EF, type 1 (OTA 6.3.2)."""
    element = b"\x00\x00" + (1000).to_bytes(4, "little") + random.Random(3).randbytes(1000)
    head = struct.pack(
        "<IHHHHHIH32sI", 0x0BEEF11E, 0x0100, 56, 0, 0x10EF, 1, 5, 2, b"fuzz", 56 + len(element)
    )
    return parse_image(head + element)


def _link_key(eui64: Eui64) -> Secret:
    return Secret(random.Random("key" + eui64).randbytes(16))


class World:
    """The hub and everything around it, on one fast loop. `start`, `throw` often, then `stop`.

    `attacker` is the kind of the device that is authorised and misbehaves.
    """

    def __init__(self, attacker: DeviceKind = DeviceKind.CAD) -> None:
        crypto.remember_products()
        self.loop = FastLoop()
        self.figures = Figures()
        self.attacker = attacker
        self._problems: list[str] = []
        self._secrecy = Secrecy()
        self._conversation = Conversation()
        self._tables: Tables | None = None
        self._checked_at = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._until_s = 0.0
        self._costly = COSTLY

    # -- life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Two hubs up, the good devices paired, the attacker too. Raises `Finding`."""
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(self._loop_exception)
        logging.getLogger().addHandler(self._secrecy)
        self._run(self._start())

    def stop(self) -> None:
        """Everything down. Raises `Finding` when that goes wrong."""
        try:
            self._run(self._stop())
        finally:
            logging.getLogger().removeHandler(self._secrecy)
            asyncio.set_event_loop(None)
            self.loop.close()

    def throw(self, batch: Sequence[Arrival]) -> None:
        """Let a batch arrive, and look at what came of it. Raises `Finding`."""
        self._run(self._throw(batch))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(work)
        self._check()

    async def _start(self) -> None:
        loaded = _loaded()
        rig = hub_settings(loaded)
        goods = rig.devices[:2]
        extra = [(ATTACKER, self.attacker), (UNKEYED, DeviceKind.IHD)]
        settings = replace(
            rig,
            ota=replace(rig.ota, images=(_image(),), simultaneous=2, block_period_ms=50),
            devices=goods
            + tuple(
                LoggedDevice(eui64=eui64, name=eui64, kind=kind, link_key=_link_key(eui64))
                for eui64, kind in extra
            ),
        )
        self.devices: dict[Eui64, Pairable] = {}
        self.goods: list[Good] = []
        for logged, nwk, period_s in zip(goods, GOOD_NWK, GOOD_PERIODS_S, strict=True):
            good = Good(logged.eui64, nwk, _identities(logged.eui64), HUB, period_s)
            good.compares = self.attacker in WITHOUT_RIGHTS
            self.goods.append(good)
            self.devices[good.eui64] = good
        for eui64, nwk in ((ATTACKER, ATTACKER_NWK), (UNKEYED, UNKEYED_NWK)):
            self.devices[eui64] = Pairable(eui64, nwk, _identities(eui64), HUB)
        self.stranger = Pairable(STRANGER, STRANGER_NWK, _identities(STRANGER), HUB)
        self._by_nwk = {device.nwk: device for device in self.devices.values()}

        self.radio = FuzzRadio(HUB, self._sent)
        self.hub = self._hub(settings, self.radio, self._emitted)
        control_radio = FuzzRadio(HUB, self._sent_by_control)
        self._control_radio = control_radio
        self._control = self._hub(settings, control_radio, lambda event: None)
        for hub, radio in ((self.hub, self.radio), (self._control, control_radio)):
            await hub.start()
            for device in self.devices.values():
                if device.eui64 == UNKEYED or (hub is self._control and device not in self.goods):
                    continue
                await hub.pair(PairingRequest(eui64=device.eui64, window_s=600))
                to_hub = self._to_hub if hub is self.hub else radio.hub.packet_received
                await pair(device, radio.hub, to_hub, partial(hub.authorised, device.eui64))
        self._watch_secrets(settings)
        await self._let_unkeyed_in()
        await asyncio.sleep(700)  # windows close, the hub has read who the devices are
        attributes = await self._discover()
        for good in self.goods:
            good.reads_of(attributes, self._to_both)
            self._tasks.append(self.loop.create_task(good.read_forever(self._found)))
        await asyncio.sleep(30)

    def _hub(self, settings: HubSettings, radio: FuzzRadio, emitted: Any) -> Hub:
        clock = Clock(self.loop, START_S * 1_000_000)
        bus = EventBus()
        bus.subscribe(emitted)
        return Hub(
            settings,
            radio,
            bus,
            clock,
            meters=meters(_loaded(), origin_s=START_S),
            identities=_identities(HUB),
            random_octets=crypto.source(7),
        )

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.hub.stop()
        await self._control.stop()
        await asyncio.sleep(1)
        left = asyncio.all_tasks(self.loop) - {asyncio.current_task()}
        if left:
            raise Finding(f"tasks outlive the hub: {[task.get_name() for task in left]}")

    async def _let_unkeyed_in(self) -> None:
        """The unkeyed device is paired anew, joins, and goes no further."""
        unkeyed = self.devices[UNKEYED]
        await self.hub.pair(PairingRequest(eui64=UNKEYED, window_s=900))
        self.radio.hub.join_seen(unkeyed.association())
        self._to_hub(unkeyed.announcement())

    # -- what the hubs show -----------------------------------------------------------------------

    @property
    def endpoints(self) -> Sequence[EndpointDescriptor]:
        """The hub's endpoints, as discovery tells them."""
        return self.radio.endpoints

    async def _discover(self) -> dict[Place, tuple[int, ...]]:
        """Every attribute that a good device finds on the hub that nobody attacks."""
        asking = self.goods[0]
        found: dict[Place, tuple[int, ...]] = {}
        for descriptor in self._control_radio.endpoints:
            for cluster in descriptor.server_clusters:
                place = Place(descriptor.endpoint, cluster)
                secured = cluster != KEY_ESTABLISHMENT
                data = Frame(zcl.Global.DISCOVER, asking.next_sequence(), b"\x00\x00\xff")
                self._discovered: list[bytes] = []
                self._control_radio.hub.packet_received(
                    asking.packet(
                        data.serialise(), cluster=cluster, endpoint=place.endpoint, secured=secured
                    )
                )
                await asyncio.sleep(0.01)
                ids = tuple(
                    int.from_bytes(answer[at : at + 2], "little")
                    for answer in self._discovered
                    if answer[2] == zcl.Global.DISCOVER_RESPONSE
                    for at in range(4, len(answer) - 2, 3)
                )
                if ids and secured:
                    found[place] = ids
        if not found:
            raise Finding("a good device may discover nothing on a quiet hub")
        return found

    # -- a batch ----------------------------------------------------------------------------------

    async def _throw(self, batch: Sequence[Arrival]) -> None:
        self._until_s = self.loop.time() + BATCH_LIMIT_S
        self._costly = COSTLY
        self.figures.batches += 1
        unsettled = 0
        good = self.goods[self.figures.batches % len(self.goods)]
        reading: asyncio.Task[None] | None = None
        for number, arrival in enumerate(batch):
            self.figures.arrivals += 1
            if number == len(batch) // 2:
                reading = self.loop.create_task(good.read(self._found))
            await self._arrive(arrival)
            unsettled += 1
            if arrival.pause_s or unsettled >= _WITHOUT_SETTLING:
                unsettled = 0
                await asyncio.sleep(max(_SETTLE_S, arrival.pause_s))
        if reading is not None:
            await reading
        await asyncio.sleep(_SETTLE_S)

    async def _arrive(self, arrival: Arrival) -> None:
        what = arrival.what
        if what is Kind.PACKET:
            packet = self._packet(arrival)
            if not self._spare(packet):
                self._to_hub(packet)
        elif what is Kind.JOIN:
            self._join(arrival)
        elif what is Kind.LEFT:
            self.radio.hub.device_left(self._eui64(arrival), self._nwk(arrival))
        elif what is Kind.KEY_ESTABLISHMENT:
            self._establish(arrival)
        elif what is Kind.PAIRING:
            await self._pairing(arrival)
        elif what is Kind.RADIO:
            if arrival.whom is not Who.PRETENDER:
                self.radio.failures[self._device(arrival).nwk] = arrival.pause & 0x07
        elif what is Kind.LAB:
            await self._in_the_lab(arrival)
        elif what is Kind.ANNOUNCE:
            self._to_hub(self._device(arrival).announcement())
        elif what is Kind.WAIT and self.loop.time() + arrival.wait_s < self._until_s:
            await asyncio.sleep(arrival.wait_s)

    def _device(self, arrival: Arrival) -> Pairable:
        who = arrival.whom
        if who is Who.UNKEYED:
            return self.devices[UNKEYED]
        if who is Who.STRANGER:
            return self.stranger
        if who is Who.PRETENDER:
            return self.goods[arrival.source & 1]
        return self.devices[ATTACKER]

    def _eui64(self, arrival: Arrival) -> Eui64:
        if arrival.whom is Who.STRANGER and arrival.data:
            made_up = (arrival.data + b"\x0b\xad\x00\x00\x00\x00\x00\x00")[:8]
            return Eui64.from_little_endian(made_up)
        return self._device(arrival).eui64

    def _nwk(self, arrival: Arrival) -> int:
        """Mostly the device's own address, at times another's."""
        own = self._device(arrival).nwk
        return _NWKS[arrival.flags & 0x07] if arrival.flags & 0x80 else own

    def _packet(self, arrival: Arrival) -> Incoming:
        who = arrival.whom
        device = self._device(arrival)
        # Without its key nobody can encrypt; a stranger has none.
        may_encrypt = who in (Who.AUTHORISED, Who.UNKEYED, Who.ADDRESS_ONLY)
        nwk = device.nwk
        if arrival.flags & 0xC0 == 0xC0 and who is not Who.PRETENDER:
            nwk = _NWKS[arrival.source & 0x07]  # its address changed, or it pretends so
        packet = device.packet(
            arrival.data,
            cluster=arrival.cluster,
            endpoint=arrival.endpoint,
            secured=bool(arrival.flags & ENCRYPTED) and may_encrypt,
            profile=arrival.profile,
            source=arrival.source,
            broadcast=bool(arrival.flags & BROADCAST),
        )
        eui64 = None if who is Who.ADDRESS_ONLY else self._eui64(arrival)
        return replace(packet, nwk=nwk, eui64=eui64)

    def _join(self, arrival: Arrival) -> None:
        kinds, decisions = tuple(JoinKind), tuple(JoinDecision)
        self.radio.hub.join_seen(
            JoinSeen(
                self._eui64(arrival),
                self._nwk(arrival),
                kinds[arrival.endpoint % len(kinds)],
                decisions[arrival.source % len(decisions)],
                arrival.cluster,
            )
        )

    def _establish(self, arrival: Arrival) -> None:
        """A message of a real exchange: the next one, an old one, or one that was tampered with."""
        device = self._device(arrival)
        if device in self.goods:
            device = self.devices[UNKEYED]
        step = arrival.endpoint & 0x03
        if step == 0 or not device.due:
            device.begin()
        frame = device.due[arrival.source % len(device.due)]
        if step == 2:
            device.due.clear()  # the next one waits for the hub's answer
        elif step == 3 and arrival.data:
            at = arrival.cluster % len(frame)
            tampered = bytes(a ^ b for a, b in zip(frame[at:], arrival.data, strict=False))
            frame = frame[:at] + tampered + frame[at + len(tampered) :]
        packet = device.packet(
            frame,
            cluster=KEY_ESTABLISHMENT,
            endpoint=1 + (arrival.flags >> 6 & 1),
            secured=bool(arrival.flags & ENCRYPTED) and device is not self.stranger,
        )
        if step != 3 or not self._spare(packet):
            self._to_hub(packet)

    async def _pairing(self, arrival: Arrival) -> None:
        """Somebody pairs or unpairs the unkeyed device, and it may begin to join."""
        turn = arrival.endpoint & 0x03
        try:
            if turn & 1:
                await self.hub.unpair(UNKEYED, "a fuzzer wants it so")
            if turn & 2:
                await self._let_unkeyed_in()
            elif turn == 0:
                window_s = 1 + arrival.cluster % 900
                await self.hub.pair(PairingRequest(eui64=UNKEYED, window_s=window_s))
        except LabctlError as error:
            self.figures.refusals[f"pairing: {error.what}"] += 1

    def _spare(self, packet: Incoming) -> bool:
        """Whether the packet is left out, because the batch has had its share of such."""
        if packet.cluster_id != KEY_ESTABLISHMENT or len(packet.data) not in _COSTLY_OCTETS:
            return False
        self._costly -= 1
        return self._costly < 0

    async def _in_the_lab(self, arrival: Arrival) -> None:
        """Somebody in the lab does what the hub lets people do; to both hubs, if it can be read."""
        turn = arrival.endpoint & 0x0F
        eui64 = self._device(arrival).eui64
        words = arrival.data.decode("latin-1")
        try:
            if turn < 7:
                for hub in (self.hub, self._control):
                    self._publish(hub, turn, words, arrival)
            elif turn == 7:
                await self.hub.publisher.notify_image(eui64)
            elif turn == 8:
                await self.hub.publisher.upgrade_now(eui64)
            elif turn == 9:
                await self.hub.publisher.through_tunnel(eui64, arrival.data)
            elif turn == 10:
                await self.hub.offer(arrival.cluster % 300)
            elif turn == 11 and STRANGER in self.hub.offered:
                stranger = LoggedDevice(
                    eui64=STRANGER, name="s", kind=DeviceKind.CAD, link_key=_link_key(STRANGER)
                )
                request = PairingRequest(eui64=STRANGER, window_s=60, device=stranger)
                await self.hub.confirm(request)
            elif turn == 12 and arrival.whom is not Who.PRETENDER:
                await self.hub.establish_key(eui64)
            elif turn == 13 and arrival.pause & 0x07 == 0:
                await self.hub.update_network_key()
            elif turn == 14:
                self.radio.hub.partner_key(PartnerKey(eui64, words[:20]))
            elif turn == 15:
                await self.hub.unpair(STRANGER, "it was only a visit")
        except LabctlError as error:
            self.figures.refusals[f"lab: {error.what.split(':')[0]}"] += 1

    @staticmethod
    def _publish(hub: Hub, turn: int, words: str, arrival: Arrival) -> None:
        publisher = hub.publisher
        if turn in (0, 1, 2):
            publisher.message(words, confirm=turn > 0, enhanced=turn > 1, duration_min=turn * 5)
        elif turn == 3:
            publisher.cancel_message(arrival.cluster)
        elif turn == 4:
            publisher.change_supplier(
                proposed_id=arrival.cluster, name=words, contact=words, at=START_S + 90_000
            )
        elif turn == 5:
            publisher.event(arrival.cluster, data=arrival.data[:8])
        else:
            publisher.meters_changed()

    def _to_both(self, packet: Incoming) -> None:
        self._to_hub(packet)
        self._control_radio.hub.packet_received(packet)

    def _to_hub(self, packet: Incoming) -> None:
        self.figures.packets += 1
        self._conversation.heard(packet)
        try:
            self.radio.hub.packet_received(packet)
        except Exception as error:
            raise Finding(
                f"packet_received raised {type(error).__name__} for {packet.data.hex()} on "
                f"cluster 0x{packet.cluster_id:04X}, endpoint {packet.destination_endpoint}"
            ) from error

    # -- what comes back --------------------------------------------------------------------------

    def _sent(self, packet: Outgoing) -> None:
        try:
            self._conversation.said(packet)
        except Finding as finding:
            self._found(finding)
        device = self._by_nwk.get(packet.nwk)
        if device is not None:
            self.loop.call_soon(device.hear, packet)

    def _sent_by_control(self, packet: Outgoing) -> None:
        device = self._by_nwk.get(packet.nwk)
        if not self._tasks:
            if packet.cluster_id == KEY_ESTABLISHMENT and device is not None:
                self.loop.call_soon(device.hear, packet)
            elif hasattr(self, "_discovered"):
                self._discovered.append(packet.data)
        elif isinstance(device, Good):
            device.hear_control(packet)

    def _emitted(self, event: Event) -> None:
        self._secrecy.event(event)
        if isinstance(event, Refused):
            self.figures.refusals[event.layer] += 1
        elif isinstance(event, Note):
            self.figures.notes[event.kind] += 1
            if event.kind == "internal-error":
                self._problems.append(f"the hub noted an internal error: {event.detail}")

    def _loop_exception(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._problems.append(f"escaped: {context.get('message')}: {error!r}")
        if error is not None:
            self._cause = error

    def _found(self, finding: Finding) -> None:
        self._problems.append(str(finding))

    _cause: BaseException | None = None

    # -- checks -----------------------------------------------------------------------------------

    def _watch_secrets(self, settings: HubSettings) -> None:
        lengths = tuple(CURVES[suite].scalar_octets + 8 for suite in settings.suites)
        draws = crypto.drawn_from(crypto.source(7), lengths)
        self._secrecy.add(draws)
        for suite in settings.suites:
            curve = CURVES[suite]
            self._secrecy.add(
                (int.from_bytes(drawn, "big") % (curve.n - 1) + 1).to_bytes(
                    curve.scalar_octets, "big"
                )
                for drawn in draws
            )
        self._secrecy.add(device.link_key for device in settings.devices)
        self._secrecy.add(identity.private_key for identity in _identities(HUB).values())

    def _check(self) -> None:
        self._secrecy.add(self.radio.ever_installed)
        self._secrecy.check()
        if self._problems:
            raise Finding("; ".join(self._problems[:5])) from self._cause
        if self.radio.keys > len(self.devices) + 1:
            raise Finding(f"the NCP holds {self.radio.keys} keys of {len(self.devices)} devices")
        for good in self.goods:
            if not self.hub.authorised(good.eui64):
                raise Finding(f"{good.eui64} has lost its key")
        due = _WARM if self._tables is None else self._checked_at + _CHECK_TABLES_EVERY
        if self.figures.arrivals >= due:
            self.check_tables()

    def check_tables(self) -> None:
        """Raise `Finding` when a table of the hub has grown without bound."""
        self._checked_at = self.figures.arrivals
        if self._tables is None:
            # Now it is warm: what is worked out at its first use, a meter's past above all, is.
            self._tables = Tables(lambda: (self.hub, asyncio.all_tasks(self.loop)))
        self._tables.check()
        self.figures.largest_tables = dict(self._tables.largest)

    def summary(self) -> Figures:
        """What was done so far."""
        figures = self.figures
        figures.good_reads = sum(good.reads for good in self.goods)
        figures.answers = self._conversation.answers
        figures.own = self._conversation.own
        figures.longest_answer = len(self._conversation.longest)
        figures.most_answers = self._conversation.most
        figures.rig_s = self.loop.time()
        return figures


def allocated_blocks() -> int:
    """Blocks that Python holds, after collecting what is unreachable."""
    import gc

    gc.collect()
    return sys.getallocatedblocks()
