"""Every decoder of the virtual bench and of Smart Energy, for octets of any kind.

    python -m fuzz.decoders FILE      the octets that a fuzzer wrote down, once more

A decoder may refuse octets with the one error that it documents. What it takes has to come out
the same when it is encoded and decoded again, where there is an encoder.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, Final

from fuzz import crypto
from fuzz.entry import Entry, once_more
from fuzz.finding import Finding
from labctl.hub import binding
from labctl.hub import frames as hub_frames
from labctl.hub.frames import MalformedFrame
from labctl.smart_energy import ota_image
from labctl.smart_energy.cbke import KeyEstablishment, Role, Send
from labctl.smart_energy.certificates import CertificateError, parse_certificate
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.install_code import InstallCode, InstallCodeError
from labctl.smart_energy.lab_ca import LabCertificateAuthority
from labctl.smart_energy.ota_image import OtaImageError
from labctl.virtual.devices import published, zcl
from labctl.virtual.devices import zdp as device_zdp
from labctl.virtual.devices.payloads import DisplayMessage, PublishPrice
from labctl.virtual.devices.zcl import ZclError
from labctl.virtual.frames import aps, mac, nwk, security, zdp
from labctl.virtual.frames.error import FrameError
from labctl.virtual.ncp import codec
from labctl.virtual.ncp.ash import AshNcp, Received, ResetCode
from labctl.virtual.ncp.ash import frame as ash_frame
from labctl.virtual.ncp.codec import ParameterError
from labctl.virtual.ncp.versions import table as commands

_OWN: Final = Eui64("00:0d:6f:00:00:00:00:01")
_PARTNER: Final = Eui64("00:0d:6f:00:00:00:00:02")
_EUI: Final = bytes(range(8))


def _entry(
    name: str,
    decode: Callable[[bytes], Any],
    refuses: type[Exception] | tuple[type[Exception], ...],
    *samples: bytes,
    encode: Callable[[Any], bytes] | None = None,
) -> Entry:
    """An entry that also goes there and back. `refuses` is what the decoder may raise."""

    def run(octets: bytes) -> None:
        try:
            first = decode(octets)
        except refuses:
            return
        if encode is None:
            return
        again = decode(encode(first))
        if hasattr(first, "header"):  # as it came: reserved bits are not kept when encoding
            first, again = (replace(frame, header=b"") for frame in (first, again))
        if again != first:
            raise Finding(f"{name}: {first!r} comes back as {again!r}")

    return Entry(name, run, samples or (b"",))


@cache
def table() -> tuple[Entry, ...]:
    """All entries, always in this order."""
    return (*_radio(), *_zdp(), *_zcl(), *_smart_energy(), *_ncp())


# -- 802.15.4, NWK, APS ---------------------------------------------------------------------------


def _radio() -> list[Entry]:
    data = mac.encode_data(1, 0x1234, 0x0000, 0x1A2B, b"payload")
    aps_data = bytes.fromhex("40020207090101 2a".replace(" ", "")) + b"\x00\x01\x00\x00\x03"
    return [
        _entry("mac", mac.decode, FrameError, data, b"\x61\x88\x01\x34\x12\x00\x00\x2b\x1a" + _EUI),
        _entry("mac fcs", mac.check_fcs, FrameError, mac.with_fcs(b"\x02\x00\x01")),
        _entry("beacon", mac.ZigbeeBeacon.decode, FrameError, b"\x00\x22\x84" + _EUI + b"\xff" * 4),
        _entry("association response", mac.decode_association_response, FrameError, b"\x02\1\0\0"),
        _entry("nwk", nwk.decode, FrameError, b"\x08\x02\x00\x00\x2b\x1a\x1e\x01" + _EUI,
               b"\x08\x1e\x00\x00\x2b\x1a\x1e\x01" + _EUI * 2 + b"\x01\x00\x01\x02\x03\x04\x05\x06",
               encode=lambda frame: frame.encode()),
        *(
            _entry(f"nwk {decode.__name__}", decode, FrameError, b"\x01\x21\x02\x03\x04")
            for decode in (
                nwk.decode_rejoin_request,
                nwk.decode_rejoin_response,
                nwk.decode_leave,
                nwk.decode_link_status,
                nwk.decode_network_status,
                nwk.decode_end_device_timeout_request,
                nwk.decode_end_device_timeout_response,
            )
        ),
        _entry("aps", aps.decode, FrameError, aps_data, b"\x21\x2a\x05\x01",
               b"\xc0\x02\x02\x07\x09\x01\x01\x2a\x01\x03data",
               encode=_aps_octets),
        _entry("transport key", aps.TransportKey.decode, FrameError,
               b"\x01" + bytes(16) + b"\x00" + _EUI * 2, b"\x04" + bytes(16) + _EUI * 2,
               b"\x03" + bytes(16) + _EUI + b"\x01"),
        *(
            _entry(f"aps {decode.__name__}", decode, FrameError, _EUI + b"\x01\x02\x03")
            for decode in (
                aps.decode_update_device,
                aps.decode_remove_device,
                aps.decode_request_key,
                aps.decode_switch_key,
            )
        ),
        _entry("auxiliary header", security.AuxiliaryHeader.decode, FrameError,
               b"\x28\x01\x00\x00\x00" + _EUI + b"\x00", b"\x00\x01\x00\x00\x00"),
        _entry("unprotect", _unprotect, FrameError,
               b"\x28\x01\x00\x00\x00" + _EUI + b"\x00" + b"body and mic"),
    ]  # fmt: skip


def _aps_octets(frame: aps.ApsFrame) -> bytes:
    """Acknowledgements go to one device: one with another delivery mode is read, never written."""
    if frame.kind == aps.Kind.ACK and frame.delivery != aps.Delivery.UNICAST:
        return frame.header + frame.body
    return frame.encode()


def _unprotect(octets: bytes) -> bytes | None:
    auxiliary, length = security.AuxiliaryHeader.decode(octets)
    return security.unprotect(bytes(16), b"header", octets, auxiliary, length, _EUI)


def _zdp() -> list[Entry]:
    return [
        _entry("device announce", zdp.decode_device_announce, FrameError,
               b"\x2b\x1a" + _EUI + b"\x80"),
        _entry("match request", zdp.MatchRequest.decode, FrameError,
               b"\x00\x00\x09\x01\x01\x02\x07\x01\x00\x07", encode=lambda r: r.encode()),
        _entry("binding", zdp.Binding.decode, FrameError,
               _EUI + b"\x01\x02\x07\x03" + _EUI + b"\x01", encode=lambda b: b.encode()),
        _entry("node descriptor", zdp.NodeDescriptor.decode, FrameError, bytes(13)),
        _entry("hub's announce", binding.parse_announce, (), b"\x01\x2b\x1a" + _EUI + b"\x80"),
        _entry("simple descriptor", device_zdp.parse_simple_desc, (),
               b"\x00\x00\x00\x0c\x01\x09\x01\x00\x05\x00\x01\x02\x07\x01\x00\x07"),
        _entry("matched endpoints", device_zdp.matched_endpoints, (), b"\x00\x00\x00\x02\x01\x02"),
    ]  # fmt: skip


# -- ZCL ------------------------------------------------------------------------------------------


def _zcl() -> list[Entry]:
    return [
        _entry("zcl frame", zcl.Frame.parse, ZclError, b"\x18\x01\x01\x00\x00\x00\x20\x02",
               b"\x04\x0b\x10\x01\x00", encode=lambda frame: frame.serialise()),
        _entry("hub's zcl frame", hub_frames.parse, MalformedFrame, b"\x00\x01\x00\x00\x00",
               b"\x04\x0b\x10\x01\x00", encode=lambda frame: frame.octets()),
        Entry("two readings of a frame", _two_readings, (b"\x00\x01\x00\x00\x00",)),
        _entry("value", _value, ZclError, b"\x42\x03abc", b"\x48\x20\x02\x00\x01\x02",
               b"\x4c\x01\x00\x20\x01", b"\x39\x00\x00\x80\x3f", b"\x25" + bytes(6)),
        _entry("read attributes", zcl.parse_read_attributes, ZclError, b"\x00\x00\x01\x00",
               encode=zcl.read_attributes),
        _entry("read response", zcl.parse_read_response, ZclError,
               b"\x00\x00\x00\x20\x02\x01\x00\x86", b"\x00\x00\x00\x42\x03abc"),
        _entry("write attributes", zcl.parse_write_attributes, ZclError, b"\x00\x00\x20\x02"),
        _entry("write response", zcl.parse_write_response, ZclError, b"\x88\x00\x00"),
        _entry("default response", zcl.parse_default_response, ZclError, b"\x00\x86"),
        _entry("publish price", PublishPrice.parse, ZclError, bytes(60)),
        _entry("display message", DisplayMessage.parse, ZclError, bytes(11) + b"\x03abc"),
        _entry("published", _published, ZclError,
               *(bytes((number, command)) + bytes(40)
                 for number in range(6) for command in range(0, 0x0E, 3))),
    ]  # fmt: skip


def _two_readings(octets: bytes) -> None:
    """The hub's and the devices' decoder must agree on what is a frame and what is in it."""
    try:
        one = hub_frames.parse(octets)
    except MalformedFrame:
        one = None
    try:
        other = zcl.Frame.parse(octets)
    except ZclError:
        other = None
    if one is None or other is None:
        if one is not None or other is not None:
            raise Finding(f"only one of two decoders takes {octets.hex()}")
        return
    mine = (one.cluster_specific, one.from_server, one.default_response_disabled, one.manufacturer)
    yours = (
        other.cluster_specific,
        other.from_server,
        other.disable_default_response,
        other.manufacturer,
    )
    rest = (one.sequence, one.command_id, one.payload)
    if mine + rest != (*yours, other.sequence, other.command, other.payload):
        raise Finding(f"two decoders read {octets.hex()} differently")


def _value(octets: bytes) -> Any:
    if not octets:
        return None
    value, end = zcl.decode_value(octets[0], octets, 1)
    if not 1 <= end <= len(octets):
        raise Finding(f"a value that ends at {end} of {len(octets)} octets")
    return value


_PUBLISHED_CLUSTERS: Final = (0x0700, 0x0702, 0x0703, 0x0705, 0x0707, 0x0708, 0x0709)


def _published(octets: bytes) -> Any:
    if len(octets) < 2:
        return None
    cluster = _PUBLISHED_CLUSTERS[octets[0] % len(_PUBLISHED_CLUSTERS)]
    return published.read(cluster, octets[1], octets[2:])


# -- Smart Energy ---------------------------------------------------------------------------------


def _smart_energy() -> list[Entry]:
    first, exchange = _responder()
    return [
        Entry("key establishment", exchange, first),
        _entry("suite 1 certificate", lambda o: parse_certificate(1, o), CertificateError,
               bytes(48), encode=lambda c: c.octets),
        _entry("suite 2 certificate", lambda o: parse_certificate(2, o), CertificateError,
               first[0][5:79], encode=lambda c: c.octets),
        _entry("install code", InstallCode.parse, InstallCodeError,
               b"83FED3407A939723A5C639B26916D505C3B5"),
        _entry("ota image", ota_image.parse, OtaImageError,
               bytes.fromhex("1ef1ee0b000138000000") + bytes(46) + b"\x00\x00\x02\x00\x00\x00ab"),
    ]  # fmt: skip


def _responder() -> tuple[tuple[bytes, ...], Callable[[bytes], None]]:
    """Messages as (command, length, payload) in a row, at a responder: it never raises."""
    crypto.remember_products()
    authority = LabCertificateAuthority.generate(
        2, Eui64("00:0d:6f:ff:00:00:00:ca"), random.Random(1).randbytes
    )
    own = {2: authority.issue(_OWN, random.Random(2).randbytes)}
    theirs = {2: authority.issue(_PARTNER, random.Random(3).randbytes)}

    def machine(role: Role) -> KeyEstablishment:
        us, them, who = (
            (own, _PARTNER, _OWN) if role is Role.RESPONDER else (theirs, _OWN, _PARTNER)
        )
        return KeyEstablishment(
            role, us, own_eui64=who, partner=them, random_octets=crypto.source(len(role.value))
        )

    initiator, responder = machine(Role.INITIATOR), machine(Role.RESPONDER)
    said = b""
    samples = []
    due = list(initiator.start())
    while due:
        action = due.pop(0)
        if isinstance(action, Send):
            said += bytes((int(action.command_id), len(action.payload))) + action.payload
            samples.append(said)
            for answer in responder.receive(int(action.command_id), action.payload, False):
                if isinstance(answer, Send):
                    due += initiator.receive(int(answer.command_id), answer.payload, True)

    def exchange(octets: bytes) -> None:
        responder = machine(Role.RESPONDER)
        at = 0
        while at + 2 <= len(octets):
            command, length = octets[at], octets[at + 1]
            responder.receive(
                command & 0x0F, octets[at + 2 : at + 2 + length], bool(command & 0x10)
            )
            at += 2 + length

    return tuple(samples), exchange


# -- the stick ------------------------------------------------------------------------------------


def _ncp() -> list[Entry]:
    command = ash_frame(b"\x00\x42\x21\xa8\x50")
    return [
        _entry("ezsp header", codec.parse_header, (), b"\x01\x00\x01\x02\x00", b"\x01\x00\x00"),
        Entry("ezsp parameters", _parameters, (bytes(80), b"\x10" + bytes(60))),
        Entry("ash", _line, (b"\x1a\xc0\x38\xbc\x7e" + command, command, b"\x81\x60\x59\x7e")),
    ]


@cache
def _layouts() -> list[tuple[str, codec.Layout]]:
    return [
        (frame.name, frame.request) for frame in commands(13).values() if frame.request is not None
    ]


def _parameters(octets: bytes) -> None:
    """Parameters of one command: either refused, or the same after there and back."""
    if not octets:
        return
    name, layout = _layouts()[int.from_bytes(octets[:2], "little") % len(_layouts())]
    try:
        values = layout.unpack(octets[2:])
    except ParameterError:
        return
    again = layout.unpack(layout.pack(values))
    if again != values:
        raise Finding(f"{name}: {values!r} comes back as {again!r}")


def _line(octets: bytes) -> None:
    """A line with noise on it: the link never raises, and keeps no more than it may."""
    link = AshNcp()
    now = 0.0
    for at in range(0, len(octets), 7):
        now += 0.1
        for event in link.receive(octets[at : at + 7], now):
            if isinstance(event, Received):
                link.send(b"answer", now)
            else:
                link.boot()
                link.started(ResetCode.SOFTWARE)
        link.tick(now)
        link.take_output()
    kept = len(getattr(link, "_received", b""))
    if kept > 1024:
        raise Finding(f"the link keeps {kept} octets of an unfinished frame")


if __name__ == "__main__":
    sys.exit(once_more(sys.argv[1:], table(), __doc__))
