"""What is encoded is decoded again; what is not a frame is a FrameError and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.virtual.frames import FrameError, aps, from_air, mac, nwk, security, to_air, zdp

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
eui64 = st.binary(min_size=8, max_size=8)
key = st.binary(min_size=16, max_size=16)
addresses = st.one_of(u16, eui64)

DECODERS: list[Callable[[bytes], Any]] = [
    mac.decode,
    mac.check_fcs,
    mac.ZigbeeBeacon.decode,
    mac.decode_association_response,
    nwk.decode,
    nwk.decode_rejoin_request,
    nwk.decode_rejoin_response,
    nwk.decode_leave,
    nwk.decode_link_status,
    nwk.decode_network_status,
    nwk.decode_end_device_timeout_request,
    nwk.decode_end_device_timeout_response,
    aps.decode,
    aps.TransportKey.decode,
    aps.decode_update_device,
    aps.decode_remove_device,
    aps.decode_request_key,
    aps.decode_switch_key,
    security.AuxiliaryHeader.decode,
    zdp.decode_device_announce,
    zdp.MatchRequest.decode,
    zdp.Binding.decode,
    zdp.NodeDescriptor.decode,
]


@pytest.mark.parametrize("decode", DECODERS, ids=lambda each: each.__qualname__)
@given(octets=st.binary(max_size=130))
def test_decoders_raise_nothing_but_a_frame_error(
    decode: Callable[[bytes], Any], octets: bytes
) -> None:
    try:
        decode(octets)
    except FrameError:
        return


@pytest.mark.parametrize("decode", DECODERS, ids=lambda each: each.__qualname__)
def test_nothing_at_all_is_no_frame(decode: Callable[[bytes], Any]) -> None:
    with pytest.raises(FrameError):
        decode(b"")


@given(octets=st.binary(min_size=3, max_size=125))
def test_fcs_round_trip_and_any_flipped_bit_is_seen(octets: bytes) -> None:
    psdu = mac.with_fcs(octets)
    assert mac.check_fcs(psdu) == octets
    at = len(octets) // 2
    damaged = psdu[:at] + bytes((psdu[at] ^ 0x10,)) + psdu[at + 1 :]
    with pytest.raises(FrameError):
        mac.check_fcs(damaged)


@given(
    sequence=u8,
    destination=addresses,
    source=addresses,
    pan=u16,
    source_pan=u16,
    payload=st.binary(min_size=1, max_size=60),
    kind=st.sampled_from([mac.Kind.DATA, mac.Kind.COMMAND]),
    flags=st.tuples(st.booleans(), st.booleans()),
)
def test_mac_round_trip(
    sequence: int,
    destination: int | bytes,
    source: int | bytes,
    pan: int,
    source_pan: int,
    payload: bytes,
    kind: mac.Kind,
    flags: tuple[bool, bool],
) -> None:
    frame = mac.MacFrame(
        kind, sequence, payload, pan, destination, source_pan, source, flags[0], flags[1]
    )
    assert mac.decode(frame.encode()) == frame


def test_a_data_frame_is_the_same_by_either_encoder() -> None:
    frame = mac.MacFrame(mac.Kind.DATA, 7, b"abc", 0x1A62, 0x0000, 0x1A62, 0x1234, ack_request=True)
    assert mac.encode_data(7, 0x1A62, 0x0000, 0x1234, b"abc") == frame.encode()
    assert frame.encode()[:9] == bytes.fromhex("618807621a00003412")


@given(
    network=eui64,
    flags=st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    depth=st.integers(0, 15),
    update=u8,
)
def test_beacon_round_trip(
    network: bytes, flags: tuple[bool, bool, bool, bool], depth: int, update: int
) -> None:
    beacon = mac.ZigbeeBeacon(
        network,
        association_permit=flags[0],
        pan_coordinator=flags[1],
        router_capacity=flags[2],
        end_device_capacity=flags[3],
        depth=depth,
        update_id=update,
    )
    assert mac.ZigbeeBeacon.decode(beacon.encode()) == beacon


optional_eui64 = st.none() | eui64


@given(
    addresses=st.tuples(u16, u16),
    radius=u8,
    sequence=u8,
    kind=st.sampled_from([nwk.Kind.DATA, nwk.Kind.COMMAND]),
    security_on=st.booleans(),
    discover=st.integers(0, 3),
    long=st.tuples(optional_eui64, optional_eui64),
    route=st.none() | st.lists(u16, max_size=5).map(tuple),
    relay=u8,
    multicast=st.none() | u8,
    end_device=st.booleans(),
    body=st.binary(max_size=60),
)
def test_nwk_round_trip(
    addresses: tuple[int, int],
    radius: int,
    sequence: int,
    kind: nwk.Kind,
    security_on: bool,
    discover: int,
    long: tuple[bytes | None, bytes | None],
    route: tuple[int, ...] | None,
    relay: int,
    multicast: int | None,
    end_device: bool,
    body: bytes,
) -> None:
    frame = nwk.NwkFrame(
        addresses[0],
        addresses[1],
        radius,
        sequence,
        body,
        kind,
        security_on,
        discover,
        long[0],
        long[1],
        route,
        relay if route is not None else 0,
        multicast,
        end_device,
    )
    octets = frame.encode()
    decoded = nwk.decode(octets)
    assert decoded.header + decoded.body == octets
    decoded.header = b""
    assert decoded == frame


@given(
    counter=u8,
    flags=st.tuples(st.booleans(), st.booleans()),
    endpoints=st.tuples(u8, u8),
    cluster=u16,
    profile=u16,
    delivery=st.sampled_from(list(aps.Delivery)),
    group=u16,
    fragment=st.sampled_from(list(aps.Fragmentation)),
    block=u8,
    body=st.binary(max_size=60),
)
def test_aps_data_round_trip(
    counter: int,
    flags: tuple[bool, bool],
    endpoints: tuple[int, int],
    cluster: int,
    profile: int,
    delivery: aps.Delivery,
    group: int,
    fragment: aps.Fragmentation,
    block: int,
    body: bytes,
) -> None:
    to_group = delivery is aps.Delivery.GROUP
    frame = aps.ApsFrame(
        aps.Kind.DATA,
        counter,
        body,
        delivery,
        flags[0],
        flags[1],
        False,
        0 if to_group else endpoints[0],
        cluster,
        profile,
        endpoints[1],
        group if to_group else 0,
        fragment,
        block if fragment else 0,
    )
    octets = frame.encode()
    decoded = aps.decode(octets)
    assert decoded.header + decoded.body == octets
    decoded.header = b""
    assert decoded == frame


@given(counter=u8, command=st.booleans(), fragment=st.sampled_from([0, 1, 2]), block=u8, bits=u8)
def test_aps_acknowledgement_round_trip(
    counter: int, command: bool, fragment: int, block: int, bits: int
) -> None:
    frame = aps.ApsFrame(aps.Kind.ACK, counter, ack_format=command, fragmentation=fragment)
    if fragment:
        frame.block, frame.acknowledged = block, bits
    decoded = aps.decode(frame.encode())
    decoded.header = b""
    assert decoded == frame


@given(
    kind=st.sampled_from([aps.KeyType.NETWORK, aps.KeyType.APPLICATION, aps.KeyType.TRUST_CENTRE]),
    octets=key,
    sequence=u8,
    destination=eui64,
    source=eui64,
    initiator=st.booleans(),
)
def test_transport_key_round_trip(
    kind: aps.KeyType,
    octets: bytes,
    sequence: int,
    destination: bytes,
    source: bytes,
    initiator: bool,
) -> None:
    command = aps.TransportKey(kind, octets, source=source)
    if kind is aps.KeyType.NETWORK:
        command.sequence = sequence
    if kind is aps.KeyType.APPLICATION:
        command.initiator = initiator
    else:
        command.destination = destination
    assert aps.TransportKey.decode(command.encode()) == command


@given(device=eui64, short=u16, status=u8, partner=eui64)
def test_aps_commands_round_trip(device: bytes, short: int, status: int, partner: bytes) -> None:
    assert aps.decode_update_device(aps.update_device(device, short, status)) == (
        device,
        short,
        status,
    )
    assert aps.decode_remove_device(aps.remove_device(device)) == device
    assert aps.decode_request_key(aps.request_key(2, partner)) == (2, partner)
    assert aps.decode_request_key(aps.request_key(4)) == (4, None)
    assert aps.decode_switch_key(aps.switch_key(status)) == status


@given(
    entries=st.lists(
        st.tuples(u16, st.integers(0, 7), st.integers(0, 7)), max_size=31, unique_by=lambda e: e[0]
    )
)
def test_link_status_round_trip_in_ascending_order(entries: list[tuple[int, int, int]]) -> None:
    assert nwk.decode_link_status(nwk.link_status(entries)) == sorted(entries)


@given(flags=st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_leave_round_trip(flags: tuple[bool, bool, bool]) -> None:
    request, rejoin, children = flags
    octets = nwk.leave(request=request, rejoin=rejoin, remove_children=children)
    assert nwk.decode_leave(octets) == flags


@given(
    link_key=key,
    header=st.binary(min_size=2, max_size=24),
    payload=st.binary(max_size=80),
    source=eui64,
    counter=st.integers(0, 0xFFFFFFFF),
    shape=st.sampled_from(
        [
            (security.KeyId.NETWORK, True, 3),
            (security.KeyId.DATA, False, None),
            (security.KeyId.KEY_TRANSPORT, True, None),
        ]
    ),
)
def test_what_is_sealed_opens_with_the_same_key_and_nothing_else(
    link_key: bytes,
    header: bytes,
    payload: bytes,
    source: bytes,
    counter: int,
    shape: tuple[security.KeyId, bool, int | None],
) -> None:
    key_id, extended, sequence = shape
    auxiliary = security.AuxiliaryHeader(key_id, counter, source if extended else None, sequence)
    body = security.protect(link_key, header, auxiliary, source, payload)
    decoded, length = security.AuxiliaryHeader.decode(body)
    assert decoded == auxiliary
    assert body[0] & 7 == 0, "security level 0 on the air"
    assert security.unprotect(link_key, header, body, decoded, length, source) == payload
    other = bytes((link_key[0] ^ 1,)) + link_key[1:]
    assert security.unprotect(other, header, body, decoded, length, source) is None
    changed = bytes((header[0] ^ 1,)) + header[1:]
    assert security.unprotect(link_key, changed, body, decoded, length, source) is None
    stranger = bytes((source[0] ^ 1,)) + source[1:]
    assert security.unprotect(link_key, header, body, decoded, length, stranger) is None


def test_nwk_overheads_leave_the_room_that_stacks_know() -> None:
    header = b"\x00" * 8
    auxiliary = security.AuxiliaryHeader(security.KeyId.NETWORK, 1, bytes(8), 0)
    body = security.protect(bytes(16), header, auxiliary, bytes(8), b"")
    assert len(body) == security.NWK_OVERHEAD
    data = security.AuxiliaryHeader(security.KeyId.DATA, 1)
    body = security.protect(bytes(16), header, data, bytes(8), b"")
    assert len(body) == security.APS_OVERHEAD


@given(
    request=st.builds(
        zdp.MatchRequest,
        u16,
        u16,
        st.lists(u16, max_size=8).map(tuple),
        st.lists(u16, max_size=8).map(tuple),
    )
)
def test_match_request_round_trip(request: zdp.MatchRequest) -> None:
    assert zdp.MatchRequest.decode(request.encode()) == request


@given(
    binding=st.one_of(
        st.builds(zdp.Binding, eui64, u8, u16, u16),
        st.builds(zdp.Binding, eui64, u8, u16, eui64, u8),
    )
)
def test_binding_round_trip(binding: zdp.Binding) -> None:
    assert zdp.Binding.decode(binding.encode()) == binding


@given(
    descriptor=st.builds(
        zdp.NodeDescriptor,
        logical_type=st.integers(0, 2),
        capability=u8,
        manufacturer_code=u16,
        max_buffer=st.integers(0, 127),
        max_incoming=u16,
        max_outgoing=u16,
        server_mask=u16,
        frequency_bands=st.integers(0, 31),
    )
)
def test_node_descriptor_round_trip(descriptor: zdp.NodeDescriptor) -> None:
    assert len(descriptor.encode()) == 13
    assert zdp.NodeDescriptor.decode(descriptor.encode()) == descriptor


@given(short=u16, address=eui64, capability=u8)
def test_device_announce_round_trip(short: int, address: bytes, capability: int) -> None:
    octets = zdp.device_announce(short, address, capability)
    assert zdp.decode_device_announce(octets) == (short, address, capability)


@given(octets=eui64)
def test_addresses_on_the_air_are_least_significant_octet_first(octets: bytes) -> None:
    address = from_air(octets)
    assert to_air(address) == octets
    assert address.big_endian == octets[::-1]
