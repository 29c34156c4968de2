"""Faults of devices in recovery, and the case that finds each."""

from __future__ import annotations

from device_fault import DeviceFault

FAULTS = (
    DeviceFault(
        name="forgets its network",
        says="it forgets network and keys with its power, and has to be paired anew",
        caught_by="R31",
        behaviour={"forgets_network": True},
    ),
    DeviceFault(
        name="never rejoins",
        says="it does not look for its network again, once it has lost it",
        caught_by="R30",
        behaviour={"never_rejoins": True},
    ),
    DeviceFault(
        name="ignores lost keep-alives",
        says="it goes on though nobody answers its keep-alives",
        caught_by="R32",
        behaviour={"ignores_keep_alive": True},
    ),
    DeviceFault(
        name="misses the network key",
        says="it takes no other network key, and does not come back by a rejoin",
        caught_by="R34",
        behaviour={"misses_network_key": True, "never_rejoins": True},
    ),
    DeviceFault(
        name="ignores a channel change at 2.4 GHz",
        says="it stays on the channel that the hub leaves, and has to search",
        caught_by="R35",
        behaviour={"ignores_channel_change": True},
    ),
    DeviceFault(
        name="refuses another hub",
        says="it does not accept the hash of its key when the hub was swapped out",
        caught_by="R33",
        behaviour={"refuses_other_hub": True},
    ),
)
