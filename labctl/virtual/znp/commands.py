"""The frames of the monitor-and-test interface that this firmware has, as a table.

One frame a line: both command octets in hexadecimal, name (also the handler's), `(request) ->
response` for requests and `: parameters` for what the stick sends by itself. Field types: u8 u16
u32 i8, eui64, key (16 octets), `bytes` and `bytes16` (one and two octets of length before), `u16*`
(one octet of count before), `rest` (all that is left), `address` (a mode and eight octets),
`associated` (a structure of the firmware's memory).

Frames that are not here belong to parts that this firmware is built without (MAC, SAPI, DEBUG,
Green Power, Inter-PAN, touchlink): the answer is an RPC error.
"""

from __future__ import annotations

from labctl.virtual.znp.codec import parse_table

TABLE = parse_table(
    """
# SYS
4100 sys_reset_req(u8 kind) ->
2101 sys_ping() -> u16 capabilities
2102 sys_version() -> u8 transport, u8 product, u8 major, u8 minor, u8 maintenance, rest revision
2103 sys_set_extaddr(eui64 eui64) -> u8 status
2104 sys_get_extaddr() -> eui64 eui64
2107 sys_osal_nv_item_init(u16 item, u16 length, bytes value) -> u8 status
2108 sys_osal_nv_read(u16 item, u8 offset) -> u8 status, bytes value
2109 sys_osal_nv_write(u16 item, u8 offset, bytes value) -> u8 status
210A sys_osal_start_timer(u8 timer, u16 milliseconds) -> u8 status
210B sys_osal_stop_timer(u8 timer) -> u8 status
210C sys_random() -> u16 value
210F sys_stack_tune(u8 operation, u8 value) -> u8 value
2110 sys_set_time(u32 seconds, u8 hour, u8 minute, u8 second, u8 month, u8 day, u16 year) -> \
u8 status
2111 sys_get_time() -> u32 seconds, u8 hour, u8 minute, u8 second, u8 month, u8 day, u16 year
2112 sys_osal_nv_delete(u16 item, u16 length) -> u8 status
2113 sys_osal_nv_length(u16 item) -> u16 length
2114 sys_set_tx_power(i8 dbm) -> u8 status
211C sys_osal_nv_read_ext(u16 item, u16 offset) -> u8 status, bytes value
211D sys_osal_nv_write_ext(u16 item, u16 offset, bytes16 value) -> u8 status
2130 sys_nv_create(u8 system, u16 item, u16 sub, u32 length) -> u8 status
2131 sys_nv_delete(u8 system, u16 item, u16 sub) -> u8 status
2132 sys_nv_length(u8 system, u16 item, u16 sub) -> u32 length
2133 sys_nv_read(u8 system, u16 item, u16 sub, u16 offset, u8 length) -> u8 status, bytes value
2134 sys_nv_write(u8 system, u16 item, u16 sub, u16 offset, bytes value) -> u8 status
2135 sys_nv_update(u8 system, u16 item, u16 sub, bytes value) -> u8 status
2136 sys_nv_compact(u16 threshold) -> u8 status
4180 sys_reset_ind: u8 reason, u8 transport, u8 product, u8 major, u8 minor, u8 maintenance
4181 sys_osal_timer_expired: u8 timer

# AF
2400 af_register(u8 endpoint, u16 profile_id, u16 device_id, u8 device_version, u8 latency, \
u16* input_clusters, u16* output_clusters) -> u8 status
2401 af_data_request(u16 destination, u8 destination_endpoint, u8 source_endpoint, \
u16 cluster_id, u8 transaction, u8 options, u8 radius, bytes data) -> u8 status
2402 af_data_request_ext(address destination, u8 destination_endpoint, u16 pan_id, \
u8 source_endpoint, u16 cluster_id, u8 transaction, u8 options, u8 radius, u16 length, rest data) \
-> u8 status
2403 af_data_request_src_rtg(u16 destination, u8 destination_endpoint, u8 source_endpoint, \
u16 cluster_id, u8 transaction, u8 options, u8 radius, u16* relays, bytes data) -> u8 status
2404 af_delete(u8 endpoint) -> u8 status
2411 af_data_store(u16 index, bytes data) -> u8 status
2412 af_data_retrieve(u32 timestamp, u16 index, u8 length) -> u8 status, bytes data
2413 af_apsf_config_set(u8 endpoint, u8 frame_delay, u8 window) -> u8 status
4480 af_data_confirm: u8 status, u8 endpoint, u8 transaction
4481 af_incoming_msg: u16 group, u16 cluster_id, u16 source, u8 source_endpoint, \
u8 destination_endpoint, u8 was_broadcast, u8 lqi, u8 security_use, u32 timestamp, \
u8 transaction, bytes data, u16 mac_source, u8 radius
4482 af_incoming_msg_ext: u16 group, u16 cluster_id, address source, u8 source_endpoint, \
u16 source_pan, u8 destination_endpoint, u8 was_broadcast, u8 lqi, u8 security_use, \
u32 timestamp, u8 transaction, u16 length, u16 mac_source, u8 radius

# ZDO: requests to other devices
2500 zdo_nwk_addr_req(eui64 eui64, u8 kind, u8 start) -> u8 status
2501 zdo_ieee_addr_req(u16 short, u8 kind, u8 start) -> u8 status
2502 zdo_node_desc_req(u16 destination, u16 interest) -> u8 status
2503 zdo_power_desc_req(u16 destination, u16 interest) -> u8 status
2504 zdo_simple_desc_req(u16 destination, u16 interest, u8 endpoint) -> u8 status
2505 zdo_active_ep_req(u16 destination, u16 interest) -> u8 status
2506 zdo_match_desc_req(u16 destination, u16 interest, u16 profile_id, u16* input_clusters, \
u16* output_clusters) -> u8 status
250A zdo_end_device_annce(u16 short, eui64 eui64, u8 capability) -> u8 status
2521 zdo_bind_req(u16 destination, eui64 source, u8 source_endpoint, u16 cluster_id, rest target) \
-> u8 status
2522 zdo_unbind_req(u16 destination, eui64 source, u8 source_endpoint, u16 cluster_id, \
rest target) -> u8 status
2531 zdo_mgmt_lqi_req(u16 destination, u8 start) -> u8 status
2532 zdo_mgmt_rtg_req(u16 destination, u8 start) -> u8 status
2533 zdo_mgmt_bind_req(u16 destination, u8 start) -> u8 status
2534 zdo_mgmt_leave_req(u16 destination, eui64 eui64, u8 options) -> u8 status
2536 zdo_mgmt_permit_join_req(u8 mode, u16 destination, u8 duration, u8 significance) -> u8 status
2537 zdo_mgmt_nwk_update_req(u16 destination, u8 mode, u32 channels, u8 duration, u8 count, \
u16 manager) -> u8 status

# ZDO: the coordinator itself
2523 zdo_set_link_key(u16 short, eui64 eui64, key key) -> u8 status
2524 zdo_remove_link_key(eui64 eui64) -> u8 status
2525 zdo_get_link_key(eui64 eui64) -> u8 status, eui64 eui64, key key
2526 zdo_network_discovery_req(u32 channels, u8 duration) -> u8 status
2528 zdo_send_data(u16 destination, u8 transaction, u16 cluster_id, rest data) -> u8 status
253E zdo_msg_cb_register(u16 cluster_id) -> u8 status
253F zdo_msg_cb_remove(u16 cluster_id) -> u8 status
2540 zdo_startup_from_app(u16 delay) -> u8 status
2542 zdo_sec_add_link_key(u16 short, eui64 eui64, key key) -> u8 status
2543 zdo_sec_entry_lookup_ext(eui64 eui64) -> u8 status, u16 index, u16 key_item, u8 authentication
2544 zdo_sec_device_remove(eui64 eui64) -> u8 status
2545 zdo_ext_route_disc(u16 destination, u8 options, u8 radius) -> u8 status
2546 zdo_ext_route_chk(u16 destination, u8 wanted, u8 options) -> u8 status
254E zdo_ext_update_nwk_key(u16 destination, u8 sequence, key key) -> u8 status
254F zdo_ext_switch_nwk_key(u16 destination, u8 sequence) -> u8 status
2550 zdo_ext_nwk_info() -> u16 short, u8 state, u16 pan_id, u16 parent, eui64 extended_pan_id, \
eui64 parent_eui64, u8 channel
2551 zdo_ext_sec_aps_remove_req(u16 short, eui64 eui64, u16 parent) -> u8 status
2554 zdo_startup_from_app_ext(u16 delay, u8 distributed) -> u8 status
45C0 zdo_state_change_ind: u8 state
45C1 zdo_end_device_annce_ind: u16 source, u16 short, eui64 eui64, u8 capability
45C3 zdo_status_error_rsp: u16 source, u8 status
45C5 zdo_beacon_notify_ind: u8 count, rest beacons
45C7 zdo_nwk_discovery_cnf: u8 status
45C9 zdo_leave_ind: u16 source, eui64 eui64, u8 request, u8 remove_children, u8 rejoin
45CA zdo_tc_dev_ind: u16 source, eui64 eui64, u16 parent
45FF zdo_msg_cb_incoming: u16 source, u8 was_broadcast, u16 cluster_id, u8 security_use, \
u8 sequence, u16 mac_destination, rest asdu

# UTIL
2700 util_get_device_info() -> u8 status, eui64 eui64, u16 short, u8 kind, u8 state, u16* children
2701 util_get_nv_info() -> u8 status, eui64 eui64, u32 channels, u16 pan_id, u8 security_level, \
key key
2706 util_callback_sub_cmd(u16 subsystem, u8 on) -> u8 status
2709 util_time_alive() -> u32 seconds
270A util_led_control(u8 led, u8 mode) -> u8 status
2710 util_loopback(rest data) -> rest data
2740 util_addrmgr_ext_addr_lookup(eui64 eui64) -> u16 short
2741 util_addrmgr_nwk_addr_lookup(u16 short) -> eui64 eui64
2744 util_apsme_link_key_data_get(eui64 eui64) -> u8 status, key key, u32 sent, u32 received
2745 util_apsme_link_key_nv_id_get(eui64 eui64) -> u8 status, u16 key_item
2748 util_assoc_count(u8 first, u8 last) -> u16 count
2749 util_assoc_find_device(u8 index) -> associated device
274A util_assoc_get_with_address(eui64 eui64, u16 short) -> associated device
274C util_srng_gen() -> octets100 numbers
2763 util_assoc_remove(eui64 eui64) -> u8 status
2764 util_assoc_add(u16 short, eui64 eui64, u8 relation) -> u8 status

# APP_CNF
2F01 app_cnf_set_default_enddevice_timeout(u8 index) -> u8 status
2F02 app_cnf_set_enddevice_timeout(u8 index) -> u8 status
2F03 app_cnf_set_allowrejoin_tc_policy(u8 on) -> u8 status
2F04 app_cnf_bdb_add_installcode(u8 format, eui64 eui64, rest code) -> u8 status
2F05 app_cnf_bdb_start_commissioning(u8 mode) -> u8 status
2F06 app_cnf_bdb_set_joinusesinstallcodekey(u8 on) -> u8 status
2F07 app_cnf_bdb_set_active_default_centralized_key(u8 mode, rest key) -> u8 status
2F08 app_cnf_bdb_set_channel(u8 primary, u32 channels) -> u8 status
2F09 app_cnf_bdb_set_tc_require_key_exchange(u8 on) -> u8 status
2FFF app_cnf_set_nwk_frame_counter(u32 counter) -> u8 status
4F80 app_cnf_bdb_commissioning_notification: u8 status, u8 mode, u8 remaining
""".replace("\\\n", "")
)

REQUESTS = {frame.command: frame for frame in TABLE.values() if frame.request is not None}
"""What a host may send, by both command octets."""
