"""Octets of the line and of the stick's memory, held against the driver's and the stick's own."""

from __future__ import annotations

from typing import Any

import pytest
import zigpy_znp.commands as c
import zigpy_znp.types as t
from hypothesis import given
from hypothesis import strategies as st
from zigpy_znp.exceptions import InvalidFrame

from labctl.radio.znp import mt
from labctl.radio.znp.channels import energy_dbm
from labctl.radio.znp.tables import (
    DEFAULT,
    PROVISIONAL,
    AddressEntry,
    Mark,
    TrustCentreEntry,
    key_owners,
)
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.znp import structures
from labctl.virtual.znp.commands import TABLE
from labctl.virtual.znp.handlers.scanning import energy

octet = st.integers(0, 0xFF)
word = st.integers(0, 0xFFFF)
long = st.integers(0, 0xFFFFFFFF)
addresses = st.binary(min_size=8, max_size=8).map(Eui64.from_little_endian)


def driver_eui64(eui64: Eui64) -> t.EUI64:
    value, _ = t.EUI64.deserialize(eui64.little_endian)
    return value


# -- the line -------------------------------------------------------------------------------------


@given(nwk=word, endpoints=st.tuples(octet, octet), cluster=word, number=octet, data=st.binary())
def test_a_data_request_is_the_drivers(
    nwk: int, endpoints: tuple[int, int], cluster: int, number: int, data: bytes
) -> None:
    data = data[:200]
    ours = mt.DataRequest(nwk, *endpoints, cluster, number, mt.SECURITY | mt.ACK_REQUEST)
    theirs = c.AF.DataRequestExt.Req(
        DstAddrModeAddress=t.AddrModeAddress(mode=t.AddrMode.NWK, address=nwk),
        DstEndpoint=endpoints[0],
        DstPanId=0,
        SrcEndpoint=endpoints[1],
        ClusterId=cluster,
        TSN=number,
        Options=c.af.TransmitOptions.ENABLE_SECURITY | c.af.TransmitOptions.ACK_REQUEST,
        Radius=mt.RADIUS,
        Data=t.LongBytes(data),
    )
    assert ours.pack(len(data)) + data == theirs.to_frame().data
    assert len(ours.pack(0)) == mt.EXT_HEADER


def test_the_driver_alone_cannot_send_what_does_not_fit_the_line() -> None:
    request = c.AF.DataRequestExt.Req(
        DstAddrModeAddress=t.AddrModeAddress(mode=t.AddrMode.NWK, address=0x1234),
        DstEndpoint=1,
        DstPanId=0,
        SrcEndpoint=2,
        ClusterId=0x0702,
        TSN=1,
        Options=c.af.TransmitOptions.ACK_REQUEST,
        Radius=mt.RADIUS,
        Data=t.LongBytes(bytes(mt.HUGE_FROM)),
    )
    with pytest.raises(InvalidFrame):
        request.to_frame()


def an_incoming(**more: Any) -> dict[str, Any]:
    return {
        "group": 0,
        "cluster_id": 0x0702,
        "source_endpoint": 1,
        "destination_endpoint": 2,
        "was_broadcast": 0,
        "lqi": 77,
        "security_use": 1,
        "timestamp": 0x01020304,
        "transaction": 0,
        "mac_source": 0x1234,
        "radius": 30,
        **more,
    }


@given(data=st.binary(max_size=220))
def test_a_short_message_is_read(data: bytes) -> None:
    octets = TABLE["af_incoming_msg"].response.pack(an_incoming(source=0x1234, data=data))
    message = mt.unpack_message(mt.AF_INCOMING, octets)
    assert (message.nwk, message.cluster_id, message.data) == (0x1234, 0x0702, data)
    assert (message.source_endpoint, message.destination_endpoint) == (1, 2)
    assert (message.secured, message.lqi, message.is_huge) == (True, 77, False)


@pytest.mark.parametrize("length", [221, 1500])
def test_a_huge_message_is_only_announced_and_the_driver_cannot_read_it(length: int) -> None:
    frame = TABLE["af_incoming_msg_ext"]
    values = an_incoming(
        source=structures_address(0x1234), source_pan=0x1A2B, length=length, data=b""
    )
    octets = frame.response.pack(values)
    assert len(octets) == 30
    message = mt.unpack_message(mt.AF_INCOMING_EXT, octets)
    assert (message.nwk, message.length, message.data) == (0x1234, length, b"")
    assert message.is_huge
    with pytest.raises(ValueError, match=r"IncomingMsgExt|short|Data"):
        c.AF.IncomingMsgExt.Callback.from_frame(
            t_frame(c.AF.IncomingMsgExt.Callback.header, octets), align=True
        )


def structures_address(short: int) -> Any:
    from labctl.virtual.znp.codec import SHORT, Address

    return Address(SHORT, short, structures.NOBODY)


def t_frame(header: Any, data: bytes) -> Any:
    from zigpy_znp.frames import GeneralFrame

    return GeneralFrame(header, data)


@given(data=st.binary(max_size=40), command=st.sampled_from([mt.AF_INCOMING, mt.AF_INCOMING_EXT]))
def test_a_message_that_is_cut_short_is_no_message(data: bytes, command: int) -> None:
    try:
        message = mt.unpack_message(command, data)
    except ValueError:
        return
    assert len(message.data) <= message.length


def test_where_the_network_is_is_read_and_the_driver_misreads_it() -> None:
    octets = TABLE["zdo_ext_nwk_info"].response.pack(
        {
            "short": 0,
            "state": 9,
            "pan_id": 0x1A2B,
            "parent": 0,
            "extended_pan_id": Eui64("00:00:5e:ef:10:00:00:01"),
            "parent_eui64": structures.NOBODY,
            "channel": 25,
        }
    )
    info = mt.unpack_network_info(octets)
    assert (info.state, info.pan_id, info.channel) == (9, 0x1A2B, 25)
    assert info.extended_pan_id == Eui64("00:00:5e:ef:10:00:00:01")
    header = c.ZDO.ExtNwkInfo.Rsp.header
    with pytest.raises(ValueError, match=r"ExtNwkInfo|short|Data"):
        c.ZDO.ExtNwkInfo.Rsp.from_frame(t_frame(header, octets))
    with pytest.raises(ValueError, match="cut short"):
        mt.unpack_network_info(octets[:-1])


@given(level=octet)
def test_levels_are_those_of_the_receiver(level: int) -> None:
    assert abs(energy(energy_dbm(level)) - level) <= 2


# -- memory ---------------------------------------------------------------------------------------


@given(
    partner=addresses,
    attribute=st.sampled_from([PROVISIONAL, 1, 2, DEFAULT]),
    counters=st.tuples(long, long),
    slot=st.integers(0, 39),
)
def test_a_trust_centre_entry_is_the_sticks(
    partner: Eui64, attribute: int, counters: tuple[int, int], slot: int
) -> None:
    theirs = structures.TclkEntry(*counters, partner, attribute, 1, 3, 0x80 | slot)
    ours = TrustCentreEntry.unpack(theirs.pack())
    assert ours.pack() == theirs.pack()
    nobody = partner in (structures.NOBODY, structures.EVERYBODY)
    assert ours.slot == (slot if attribute == PROVISIONAL and not nobody else None)
    assert ours.with_slot(slot).attribute == PROVISIONAL


def test_an_entry_that_was_removed_is_nobodys() -> None:
    removed = TrustCentreEntry.unpack(bytes(20))
    assert removed.attribute == PROVISIONAL
    assert removed.is_empty
    assert removed.slot is None
    with pytest.raises(ValueError, match="20 octets"):
        TrustCentreEntry.unpack(bytes(19))


@given(users=st.integers(1, 7), nwk=word, eui64=addresses)
def test_an_address_entry_is_the_sticks_and_the_drivers(users: int, nwk: int, eui64: Eui64) -> None:
    ours = AddressEntry(users, nwk, eui64)
    assert ours.pack() == structures.AddressEntry(users, nwk, eui64).pack()
    assert AddressEntry.unpack(ours.pack()) == ours
    theirs = t.AddrMgrEntry(
        type=t.AddrMgrUserType(users), nwkAddr=t.NWK(nwk), extAddr=driver_eui64(eui64)
    )
    assert ours.pack() == theirs.serialize(align=True)


def test_empty_address_entries_of_all_firmware_are_empty() -> None:
    assert AddressEntry.unpack(b"\xff" * 12).is_empty
    assert AddressEntry.unpack(bytes(12)).is_empty
    assert not AddressEntry(2, 0x1234, Eui64("00:00:5e:ef:10:00:00:01")).is_empty


@given(entries=st.lists(st.tuples(word, st.integers(0, 2)), max_size=3))
def test_owners_of_application_keys_are_read(entries: list[tuple[int, int]]) -> None:
    octets = structures.pack_link_keys(
        [structures.LinkKeyEntry(address, key, 1) for address, key in entries], 3
    )
    assert key_owners(octets) == entries
    for cut in (octets[:1], b"\x04\x00" + octets[2:]):
        with pytest.raises(ValueError, match="cut short"):
            key_owners(cut)


@given(extended=addresses, pan_id=word, other=st.binary(max_size=20))
def test_the_mark_says_which_network(extended: Eui64, pan_id: int, other: bytes) -> None:
    mark = Mark(extended, pan_id)
    assert Mark.unpack(mark.pack()) == mark
    if other != mark.pack():
        assert Mark.unpack(other) != mark
