"""The frames of EZSP, protocol version 13 (EmberZNet 7.4), as a table; `versions` has the others.

One frame a line: id in hexadecimal, name (also the handler's), `(request) -> response` for commands
and `: parameters` for callbacks. Field types: u8 u16 u32 i8, eui64, key (16 octets), `bytes` (one
octet of length before), `bytes32` (four), `bytes32?` (only on success), `u16*name` (as many words
as the field `name` says), `u16*` (a count before), and the structures of `codec.STRUCTURES`. What
is called `status` or `reason` is a status code, and a number of another kind has another name.

Frames that are not here belong to libraries that a coordinator's firmware is built without (RF4CE,
ZLL, Green Power, bootloader over the air): the answer is INVALID_FRAME_ID.
"""

from __future__ import annotations

VERSION_13 = """
# configuration
0000 version(u8 desired) -> u8 protocol, u8 stack_type, u16 stack_version
0001 get_library_status(u8 library) -> u8 library_status
0002 add_endpoint(u8 endpoint, u16 profile_id, u16 device_id, u8 device_version, u8 inputs, \
u8 outputs, u16*inputs input_clusters, u16*outputs output_clusters) -> u8 status
0003 get_extended_value(u8 value_id, u32 characteristics) -> u8 status, bytes value
0052 get_configuration_value(u8 config_id) -> u8 status, u16 value
0053 set_configuration_value(u8 config_id, u16 value) -> u8 status
0055 set_policy(u8 policy_id, u8 decision) -> u8 status
0056 get_policy(u8 policy_id) -> u8 status, u8 decision
00AA get_value(u8 value_id) -> u8 status, bytes value
00AB set_value(u8 value_id, bytes value) -> u8 status
0105 set_passive_ack_config(u8 config, u8 minimum) -> u8 status

# utilities
0005 nop() ->
0006 callback() ->
0007 no_callbacks:
0009 set_token(u8 token, token8 data) -> u8 status
000A get_token(u8 token) -> u8 status, token8 data
000B get_mfg_token(u8 token) -> bytes data
000C set_mfg_token(u8 token, bytes data) -> u8 status
000D stack_token_changed_handler: u16 address
000E set_timer(u8 timer, u16 time, u8 units, u8 repeat) -> u8 status
000F timer_handler: u8 timer
0012 debug_write(u8 binary, bytes message) -> u8 status
0013 get_xncp_info() -> u8 status, u16 manufacturer, u16 version
0047 custom_frame(bytes payload) -> u8 status, bytes reply
0049 get_random_number() -> u8 status, u16 value
004E get_timer(u8 timer) -> u16 time, u8 units, u8 repeat
004F get_true_random_entropy_source() -> u8 source
0058 invalid_command: u8 reason
0065 read_and_clear_counters() -> u16*counters values
0077 token_factory_reset(u8 exclude_outgoing, u8 exclude_boot) ->
0081 echo(bytes data) -> bytes echo
009D delay_test(u16 delay) ->
00F1 read_counters() -> u16*counters values
00F2 counter_rollover_handler: u8 counter
0100 get_token_count() -> u8 count
0101 get_token_info(u8 index) -> u8 status, token info
0102 get_token_data(u32 token, u32 index) -> u8 status, bytes32? value
0103 set_token_data(u32 token, u32 index, bytes32 value) -> u8 status
0104 reset_node() ->

# networking
0010 set_concentrator(u8 on, u16 kind, u16 min_time, u16 max_time, u8 route_errors, \
u8 delivery_failures, u8 max_hops) -> u8 status
0011 set_broken_route_error_code(u8 code) -> u8 status
0015 set_manufacturer_code(u16 code) ->
0016 set_power_descriptor(u16 descriptor) ->
0017 network_init(u16 bitmask) -> u8 status
0018 network_state() -> u8 state
0019 stack_status_handler: u8 status
001A start_scan(u8 kind, u32 channels, u8 duration) -> u8 status
001B network_found_handler: found network, u8 lqi, i8 rssi
001C scan_complete_handler: u8 channel, u8 status
001D stop_scan() -> u8 status
001E form_network(network parameters) -> u8 status
001F join_network(u8 node_type, network parameters) -> u8 status
0020 leave_network() -> u8 status
0022 permit_joining(u8 duration) -> u8 status
0023 child_join_handler: u8 index, u8 joining, u16 child, eui64 eui64, u8 child_type
0024 trust_center_join_handler: u16 node, eui64 eui64, u8 update, u8 decision, u16 parent
0026 get_eui64() -> eui64 eui64
0027 get_node_id() -> u16 node
0028 get_network_parameters() -> u8 status, u8 node_type, network parameters
0029 get_parent_child_parameters() -> u8 children, eui64 parent_eui64, u16 parent
0035 get_duty_cycle_state() -> u8 status, u8 state
0041 send_many_to_one_route_request(u16 kind, u8 radius) -> u8 status
0048 energy_scan_result_handler: u8 channel, i8 rssi
004A get_child_data(u8 index) -> u8 status, child child
004B get_duty_cycle_limits() -> u8 status, u16 limit, u16 critical, u16 suspend
004C get_current_duty_cycle(u8 devices) -> u8 status, duty134 consumed
004D duty_cycle_handler: u8 page, u8 channel, u8 state, u8 devices, u16*devices entries
0040 set_duty_cycle_limits_in_stack(u16 limit, u16 critical, u16 suspend) -> u8 status
005A set_source_route_discovery_mode(u8 mode) -> u32 remaining
0059 incoming_route_record_handler: u16 source, eui64 eui64, u8 lqi, i8 rssi, u16* relays
0079 get_neighbor(u8 index) -> u8 status, neighbour value
007A neighbor_count() -> u8 value
007B get_route_table_entry(u8 index) -> u8 status, route value
007C id_conflict_handler: u16 node
0080 incoming_route_error_handler: u8 status, u16 target
00C4 incoming_network_status_handler: u8 code, u16 target
00AC set_child_data(u8 index, child child) -> u8 status
00AE set_source_route(u16 destination, u16* relays) -> u8 status
00C1 get_source_route_table_entry(u8 index) -> u8 status, u16 destination, u8 closer
00C2 get_source_route_table_filled_size() -> u8 size
00C3 get_source_route_table_total_size() -> u8 size
0095 set_radio_ieee802154_cca_mode(u8 mode) -> u8 status
0099 set_radio_power(i8 power) -> u8 status
009A set_radio_channel(u8 channel) -> u8 status
00B9 set_logical_and_radio_channel(u8 channel) -> u8 status
00BA get_logical_channel() -> u8 channel
00FD get_radio_parameters(u8 phy) -> u8 status, radio parameters
00F7 send_link_power_delta_request() -> u8 status
00F8 multi_phy_start(u8 phy, u8 page, u8 channel, i8 power, u8 bitmask) -> u8 status
00F9 multi_phy_stop(u8 phy) -> u8 status
00FA multi_phy_set_radio_power(u8 phy, i8 power) -> u8 status
00FB multi_phy_set_radio_channel(u8 phy, u8 page, u8 channel) -> u8 status
00FC get_phy_interface_count() -> u8 count
0106 child_id(u8 index) -> u16 node

# bindings
002A clear_binding_table() -> u8 status
002B set_binding(u8 index, binding value) -> u8 status
002C get_binding(u8 index) -> u8 status, binding value
002D delete_binding(u8 index) -> u8 status
002E binding_is_active(u8 index) -> u8 active
002F get_binding_remote_node_id(u8 index) -> u16 node
0030 set_binding_remote_node_id(u8 index, u16 node) ->

# messaging
0033 maximum_payload_length() -> u8 length
0034 send_unicast(u8 kind, u16 destination, aps aps, u8 tag, bytes contents) -> \
u8 status, u8 sequence
0036 send_broadcast(u16 destination, aps aps, u8 radius, u8 tag, bytes contents) -> \
u8 status, u8 sequence
0037 proxy_broadcast(u16 source, u16 destination, u8 nwk_sequence, aps aps, u8 radius, u8 tag, \
bytes contents) -> u8 status, u8 sequence
0038 send_multicast(aps aps, u8 hops, u8 nonmember_radius, u8 tag, bytes contents) -> \
u8 status, u8 sequence
0039 send_reply(u16 sender, aps aps, bytes contents) -> u8 status
003F message_sent_handler: u8 kind, u16 destination, aps aps, u8 tag, u8 status, bytes contents
0044 poll_handler: u16 child, u8 transmit_expected
0045 incoming_message_handler: u8 kind, aps aps, u8 lqi, i8 rssi, u16 sender, u8 binding_index, \
u8 address_index, bytes contents
0062 incoming_sender_eui64_handler: eui64 eui64

# addresses
005B address_table_entry_is_active(u8 index) -> u8 active
005C set_address_table_remote_eui64(u8 index, eui64 eui64) -> u8 status
005D set_address_table_remote_node_id(u8 index, u16 node) ->
005E get_address_table_remote_eui64(u8 index) -> eui64 eui64
005F get_address_table_remote_node_id(u8 index) -> u16 node
0060 lookup_node_id_by_eui64(eui64 eui64) -> u16 node
0061 lookup_eui64_by_node_id(u16 node) -> u8 status, eui64 eui64
0063 get_multicast_table_entry(u8 index) -> u8 status, multicast value
0064 set_multicast_table_entry(u8 index, multicast value) -> u8 status
007E set_extended_timeout(eui64 eui64, u8 extended) ->
007F get_extended_timeout(eui64 eui64) -> u8 extended
0082 replace_address_table_entry(u8 index, eui64 eui64, u16 node, u8 extended) -> \
u8 status, eui64 old_eui64, u16 old_node, u8 old_extended

# security
0068 set_initial_security_state(security state) -> u8 status
0069 get_current_security_state() -> u8 status, u16 bitmask, eui64 trust_centre
006B clear_transient_link_keys() ->
006E switch_network_key_handler: u8 sequence
0074 broadcast_network_key_switch() -> u8 status
0075 find_key_table_entry(eui64 eui64, u8 link_key) -> u8 index
0076 erase_key_table_entry(u8 index) -> u8 status
009B zigbee_key_establishment_handler: eui64 partner, u8 key_status
00A8 remove_device(u16 node, eui64 eui64, eui64 target) -> u8 status
00A9 unicast_nwk_key_update(u16 node, eui64 eui64, key key) -> u8 status
00B1 clear_key_table() -> u8 status
010C get_aps_key_info(context context) -> eui64 eui64, metadata metadata, u32 status
010D export_link_key_by_eui(eui64 eui64) -> key key, u8 index, metadata metadata, u32 status
010E import_link_key(u8 index, eui64 eui64, key key) -> u32 status
010F export_link_key_by_index(u8 index) -> eui64 eui64, key key, metadata metadata, u32 status
0110 check_key_context(context context) -> u32 status
0111 import_transient_key(eui64 eui64, key key, u8 flags) -> u32 status
0112 export_transient_key_by_index(u8 index) -> context context, key key, metadata metadata, \
u32 status
0113 export_transient_key_by_eui(eui64 eui64) -> context context, key key, metadata metadata, \
u32 status
0114 export_key(context context) -> key key, u32 status
0115 import_key(context context, key key) -> u32 status
0116 get_network_key_info() -> u32 status, keyinfo info

# manufacturing library: the radio without the stack
0083 mfglib_start(u8 rx_callback) -> u8 status
0084 mfglib_end() -> u8 status
008A mfglib_set_channel(u8 channel) -> u8 status
008B mfglib_get_channel() -> u8 channel
008C mfglib_set_power(u16 mode, i8 power) -> u8 status
008D mfglib_get_power() -> i8 power
008E mfglib_rx_handler: u8 lqi, i8 rssi, bytes contents

# Green Power: a sink table that is always empty
00DD gp_sink_table_get_entry(u8 index) -> u8 status, sink62 entry
00E2 gp_sink_table_clear_all() ->
0118 gp_sink_table_get_number_of_active_entries() -> u8 count

# key establishment in the NCP: the library is not built in, and whatever the frame's own layout,
# the answer is one octet (ncp-stack-stub)
009F calculate_smacs() -> u8 status
00A1 clear_temporary_data_maybe_store_link_key() -> u8 status
00A2 set_preinstalled_cbke_data() -> u8 status
00A3 dsa_verify() -> u8 status
00A4 generate_cbke_keys() -> u8 status
00A5 get_certificate() -> u8 status
00A6 dsa_sign() -> u8 status
00B0 dsa_verify283k1() -> u8 status
00E8 generate_cbke_keys283k1() -> u8 status
00EA calculate_smacs283k1() -> u8 status
00EC get_certificate283k1() -> u8 status
00ED save_preinstalled_cbke_data283k1() -> u8 status
00EE clear_temporary_data_maybe_store_link_key283k1() -> u8 status
"""


KEY_ESTABLISHMENT_13 = """
# firmware that has the libraries: each frame as it is laid out
009E generate_cbke_keys_handler: u8 status, point1 point
009F calculate_smacs(u8 initiator, certificate1 certificate, point1 point) -> u8 status
00A0 calculate_smacs_handler: u8 status, smac initiator_smac, smac responder_smac
00A1 clear_temporary_data_maybe_store_link_key(u8 store_link_key) -> u8 status
00A5 get_certificate() -> u8 status, certificate1 certificate
00E9 generate_cbke_keys_handler283k1: u8 status, point2 point
00EA calculate_smacs283k1(u8 initiator, certificate2 certificate, point2 point) -> u8 status
00EB calculate_smacs_handler283k1: u8 status, smac initiator_smac, smac responder_smac
00EC get_certificate283k1() -> u8 status, certificate2 certificate
00EE clear_temporary_data_maybe_store_link_key283k1(u8 store_link_key) -> u8 status
"""
