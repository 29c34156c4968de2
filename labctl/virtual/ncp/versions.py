"""The protocol versions of EZSP that there are, each as a difference to its neighbour.

The notation is that of `commands.py`: a line replaces the frame with that id, `- ID` takes it out.
There is no version 15. From 14 on status codes have four octets, which needs no line of its own.
"""

from __future__ import annotations

import functools

from labctl.virtual.ncp.codec import Frame, parse_table
from labctl.virtual.ncp.commands import KEY_ESTABLISHMENT_13, VERSION_13

FIRMWARE: dict[int, tuple[int, int, int, int]] = {
    8: (6, 10, 3, 0),
    9: (7, 1, 5, 0),
    10: (7, 2, 0, 0),
    11: (7, 2, 5, 0),
    12: (7, 3, 2, 0),
    13: (7, 4, 5, 0),
    14: (8, 0, 2, 0),
    16: (8, 1, 1, 0),
    17: (8, 2, 0, 0),
    18: (9, 0, 0, 0),
    19: (9, 1, 0, 0),
}
"""Protocol version to a release of EmberZNet that speaks it."""

NEWEST = max(FIRMWARE)
SL_STATUS_SINCE = 14

_BACK_TO_12 = """
# the security manager's context is shorter; the key commands of EZSP 8 are still there
- 0077 0116 0118
0066 add_or_update_key_table_entry(eui64 eui64, u8 link_key, key key) -> u8 status
006A get_key(u8 key_type) -> u8 status, keystruct value
006D get_transient_key_table_entry(u8 index) -> u8 status, transient value
0071 get_key_table_entry(u8 index) -> u8 status, keystruct value
0072 set_key_table_entry(u8 index, eui64 eui64, u8 link_key, key key) -> u8 status
00AF add_transient_link_key(eui64 eui64, key key) -> u8 status
00CE get_transient_link_key(eui64 eui64) -> u8 status, transient value
010C get_aps_key_info(context12 context) -> eui64 eui64, metadata metadata, u32 status
0110 check_key_context(context12 context) -> u32 status
0112 export_transient_key_by_index(u8 index) -> context12 context, key key, metadata metadata, \
u32 status
0113 export_transient_key_by_eui(eui64 eui64) -> context12 context, key key, metadata metadata, \
u32 status
0114 export_key(context12 context) -> key key, u32 status
0115 import_key(context12 context, key key) -> u32 status
"""

_BACK_TO_11 = """
# no security manager
- 0105 0106 010C 010D 010E 010F 0110 0111 0112 0113 0114 0115
"""

_BACK_TO_10 = """
0044 poll_handler: u16 child
"""

_BACK_TO_9 = """
004A get_child_data(u8 index) -> u8 status, child7 child
00AC set_child_data(u8 index, child7 child) -> u8 status
"""

_BACK_TO_8 = """
# no window on the tokens, and children are not restored
- 0095 00AC 0100 0101 0102 0103 0104
"""

_ON_TO_14 = """
# messages: tags of 16 bits, and the packet's information in one block
0034 send_unicast(u8 kind, u16 destination, aps aps, u16 tag, bytes contents) -> \
u8 status, u8 sequence
0036 send_broadcast(u16 alias, u16 destination, u8 nwk_sequence, aps aps, u8 radius, u16 tag, \
bytes contents) -> u8 status, u8 sequence
0038 send_multicast(aps aps, u8 hops, u16 broadcast, u16 alias, u8 nwk_sequence, u16 tag, \
bytes contents) -> u8 status, u8 sequence
003F message_sent_handler: u8 status, u8 kind, u16 destination, aps aps, u16 tag, bytes contents
0045 incoming_message_handler: u8 kind, aps aps, u16 sender, eui64 sender_eui64, \
u8 binding_index, u8 address_index, u8 lqi, i8 rssi, u32 timestamp, bytes contents
- 0037 0062
# addresses: an entry of the table is read and written as a whole
- 005D 005F
005C set_address_table_info(u8 index, eui64 eui64, u16 node) -> u8 status
005E get_address_table_info(u8 index) -> u8 status, u16 node, eui64 eui64
0060 lookup_node_id_by_eui64(eui64 eui64) -> u8 status, u16 node
007E set_extended_timeout(eui64 eui64, u8 extended) -> u8 status
007F get_extended_timeout(eui64 eui64) -> u8 status
# answers that were empty, and a question that was
0015 set_manufacturer_code(u16 code) -> u8 status
0016 set_power_descriptor(u16 descriptor) -> u8 status
0020 leave_network(u8 options) -> u8 status
# security: the status comes first, and a context with what is told
010C get_aps_key_info(context context) -> u8 status, metadata metadata, context context
010D export_link_key_by_eui(eui64 eui64) -> u8 status, context context, key key, \
metadata metadata
010F export_link_key_by_index(u8 index) -> u8 status, context context, key key, \
metadata metadata
0112 export_transient_key_by_index(u8 index) -> u8 status, context context, key key, \
metadata metadata
0113 export_transient_key_by_eui(eui64 eui64) -> u8 status, context context, key key, \
metadata metadata
0114 export_key(context context) -> u8 status, key key, context context
0115 import_key(context context, key key) -> u8 status, context context
"""

_ON_TO_17 = """
# Green Power: proxies may be forgotten
005D gp_proxy_table_remove_entry(u8 index) ->
005F gp_clear_proxy_table() ->
"""

_ON_TO_18 = """
0100 get_token_count() -> u32 count
"""

_ON_TO_19 = """
0101 get_token_info(u8 index) -> u8 status, token19 info
006D clear_binding_table_on_leave(u8 clear) ->
"""

_BACK = {12: _BACK_TO_12, 11: _BACK_TO_11, 10: _BACK_TO_10, 9: _BACK_TO_9, 8: _BACK_TO_8}
_ON = {14: _ON_TO_14, 16: "", 17: _ON_TO_17, 18: _ON_TO_18, 19: _ON_TO_19}


@functools.cache
def table(version: int, *, key_establishment: bool = False) -> dict[int, Frame]:
    """The frames of a protocol version; raises `ValueError` for one that there is not."""
    if version not in FIRMWARE:
        known = ", ".join(str(number) for number in FIRMWARE)
        raise ValueError(f"EZSP {version} is not emulated; {known} are")
    text = VERSION_13
    if key_establishment:
        text += KEY_ESTABLISHMENT_13
    steps = [_BACK[step] for step in sorted(_BACK, reverse=True) if version <= step]
    steps += [_ON[step] for step in sorted(_ON) if step <= version]
    return parse_table(text + "".join(steps), wide=version >= SL_STATUS_SINCE)
