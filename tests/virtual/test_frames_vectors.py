"""Published examples of the arithmetic under the frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from labctl.smart_energy.aes_mmo import aes_mmo
from labctl.virtual.frames import mac, security

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "zigbee_vectors.json").read_text()
)


def octets(group: str, name: str) -> bytes:
    return bytes.fromhex(VECTORS[group][name])


def test_ccm_star_of_annex_c() -> None:
    cipher = AESCCM(octets("ccm_star", "key"), tag_length=8)
    sealed = cipher.encrypt(
        octets("ccm_star", "nonce"), octets("ccm_star", "payload"), octets("ccm_star", "header")
    )
    assert sealed == octets("ccm_star", "sealed")


def test_frame_check_sequence_of_the_standard() -> None:
    frame = octets("fcs", "frame")
    assert mac.with_fcs(frame) == frame + octets("fcs", "fcs")


def test_key_transport_key_of_the_well_known_link_key() -> None:
    derived = security.key_transport_key(octets("key_transport", "link_key"))
    assert derived == octets("key_transport", "key_transport_key")


def test_install_code_of_the_base_device_behaviour() -> None:
    assert aes_mmo(octets("install_code", "install_code")) == octets("install_code", "link_key")


def test_the_key_identifiers_select_different_keys() -> None:
    link_key = octets("key_transport", "link_key")
    keys = {
        security.aps_key(link_key, key_id)
        for key_id in (
            security.KeyId.DATA,
            security.KeyId.KEY_TRANSPORT,
            security.KeyId.KEY_LOAD,
        )
    }
    assert len(keys) == 3
    with pytest.raises(security.FrameError):
        security.aps_key(link_key, security.KeyId.NETWORK)
