"""Faults of joining devices, and the case that finds each."""

from __future__ import annotations

from device_fault import DeviceFault

FAULTS = (
    DeviceFault(
        name="wrong install code",
        says="it joins with another code than its label says",
        caught_by="J01",
        behaviour={"wrong_install_code": True},
    ),
    DeviceFault(
        name="never announces itself",
        says="it sends no Device_annce once it has the network key",
        caught_by="J01",
        behaviour={"never_announces": True},
    ),
    DeviceFault(
        name="starts too late",
        says="it looks for its network 25 min after it was made to",
        caught_by="J01",
        behaviour={"start_delay": "25min"},
    ),
    DeviceFault(
        name="silent in the middle of its join",
        says="it is not heard any more once it has the network key",
        caught_by="J01",
        behaviour={"silent_at": "joined"},
    ),
    DeviceFault(
        name="silent once it has its key",
        says="it establishes its key and says nothing under it",
        caught_by="J01",
        behaviour={"silent_at": "key-established"},
    ),
    DeviceFault(
        name="leaves in the middle of its join",
        says="it leaves after Ephemeral Data, and begins again",
        caught_by="J01",
        behaviour={"leaves_at": "key-ephemeral"},
    ),
    DeviceFault(
        name="leaves once it is registered",
        says="it leaves as soon as it has found its servers, and begins again",
        caught_by="J01",
        behaviour={"leaves_at": "registered"},
    ),
    DeviceFault(
        name="prefers the wrong band",
        says="it has both bands and comes on 868 MHz, where 2.4 GHz would do",
        caught_by="J01",
        behaviour={"prefers_wrong_band": True},
        device="virtual-ihd",
        rig="virtual-dual-band",
        entry={"bands": ["2.4 GHz", "868 MHz"]},
    ),
    DeviceFault(
        name="gives up after a refusal",
        says="it looks for a network no more once a join failed",
        caught_by="J02",
        behaviour={"gives_up_joining": True},
        with_cases=("J01",),
    ),
    DeviceFault(
        name="tries without a pause",
        says="whoever refuses it is asked again after a second",
        caught_by="J04",
        behaviour={"looks_every": "1s"},
        with_cases=("J01",),
    ),
    DeviceFault(
        name="ignores the permit bit",
        says="it associates although the beacon says that the network is closed",
        caught_by="J05",
        behaviour={"ignore_permit_bit": True},
        with_cases=("J01",),
    ),
    DeviceFault(
        name="slow to find an open network",
        says="it looks for one each quarter of an hour",
        caught_by="J05",
        behaviour={"looks_every": "15min"},
        with_cases=("J01",),
    ),
    DeviceFault(
        name="rejoins for no reason",
        says="it rejoins the network that it is on, each 20 s",
        caught_by="J07",
        behaviour={"rejoin_storm": {"per_second": 0.05}},
        with_cases=("J01",),
    ),
    DeviceFault(
        name="loses its key with its power",
        says="it has neither network nor key after a power cycle",
        caught_by="J08",
        behaviour={"forgets_network": True},
        with_cases=("J01",),
    ),
)
