"""The keys that open what is on a real rig's air, as far as this computer knows them."""

from __future__ import annotations

from pathlib import Path

from labctl.config.resolved import LoadedRig
from labctl.rig.key_store import KeyStore


def link_keys(loaded: LoadedRig, key_store: Path) -> list[tuple[bytes, str]]:
    """The link keys of a real rig's devices, with labels: from install codes and the key store.

    The network key is in the hub's stick alone. Wireshark learns it from a capture with a pairing:
    it goes to the device under its link key. Raises `ConfigurationError` for a bad key store.
    """
    keys = [
        (device.install_code.link_key().reveal(), f"{device.name} install code")
        for device in loaded.devices
    ]
    for kept in KeyStore(key_store).load().devices:
        named = [(kept.link_key, "install code"), (kept.key, "link"), (kept.before, "link before")]
        keys += [(key.reveal(), f"{kept.name} {what}") for key, what in named if key is not None]
    return keys
