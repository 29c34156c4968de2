"""The published worked examples of annex C, value by value and through the whole machine."""

import pytest
from cbke_support import EXCHANGES, link_key, only_send, run, vector_identity

from labctl.smart_energy.cbke import CommandId, KeyEstablishment, Role, Send
from labctl.smart_energy.curves import CURVES, Point
from labctl.smart_energy.ecmqv import KeyMaterial, shared_secret
from labctl.smart_energy.eui64 import Eui64

exchanges = pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda e: e["id"])


def ephemeral_scalar(exchange: dict, side: str) -> int:
    """The published ephemeral private key. Suite 2's responder has one above n: it is reduced."""
    return int(exchange[side]["ephemeral_private"], 16) % CURVES[exchange["suite"]].n


def machine(exchange: dict, side: str) -> KeyEstablishment:
    """A machine that draws the published ephemeral key."""
    role, own, partner = (
        (Role.INITIATOR, "initiator_U", "responder_V")
        if side == "initiator_U"
        else (Role.RESPONDER, "responder_V", "initiator_U")
    )
    drawn = ephemeral_scalar(exchange, side) - 1  # a draw is taken modulo n - 1, and 1 added
    return KeyEstablishment(
        role,
        {exchange["suite"]: vector_identity(exchange, own)},
        own_eui64=Eui64(exchange[own]["eui64"]),
        partner=Eui64(exchange[partner]["eui64"]),
        random_octets=lambda count: drawn.to_bytes(count, "big"),
        ephemeral_time_s=3,
        confirm_time_s=6,
    )


@exchanges
@pytest.mark.parametrize(("side", "name"), [("initiator_U", "qeu"), ("responder_V", "qev")])
def test_ephemeral_public_key_is_the_published_one(exchange: dict, side: str, name: str) -> None:
    curve = CURVES[exchange["suite"]]
    point = curve.multiply(ephemeral_scalar(exchange, side), curve.generator)
    assert point is not None
    assert curve.compress(point).hex() == exchange["expected"][name]


@exchanges
@pytest.mark.parametrize("side", ["u", "v"])
def test_each_side_derives_the_published_secret_and_keys(exchange: dict, side: str) -> None:
    curve, expected = CURVES[exchange["suite"]], exchange["expected"]
    own, other = ("initiator_U", "v") if side == "u" else ("responder_V", "u")

    def point(name: str) -> Point:
        return curve.decompress(bytes.fromhex(expected[name]))

    z = shared_secret(
        curve,
        private_key=int(exchange[own]["private_key"], 16),
        ephemeral_private_key=int(exchange[own]["ephemeral_private"], 16),
        ephemeral_public_key=point(f"qe{side}"),
        partner_public_key=point(f"q{other}"),
        partner_ephemeral_public_key=point(f"qe{other}"),
    )
    assert z.hex() == expected["z"]
    keys = KeyMaterial.derive(z)
    assert keys.mac_key.reveal().hex() == expected["mac_key"]
    assert keys.link_key.reveal().hex() == expected["key_data"]


@exchanges
def test_both_confirmations_are_the_published_ones(exchange: dict) -> None:
    expected = exchange["expected"]
    keys = KeyMaterial.derive(bytes.fromhex(expected["z"]))
    parties = (
        Eui64(exchange["initiator_U"]["eui64"]),
        Eui64(exchange["responder_V"]["eui64"]),
        bytes.fromhex(expected["qeu"]),
        bytes.fromhex(expected["qev"]),
    )
    assert keys.macu(*parties).hex() == expected["macu"]
    assert keys.macv(*parties).hex() == expected["macv"]


@exchanges
def test_machines_exchange_the_published_messages(exchange: dict) -> None:
    device, hub = machine(exchange, "initiator_U"), machine(exchange, "responder_V")
    by_device, by_hub = run(device, hub)
    expected = exchange["expected"]
    times = f"{exchange['suite']:02x}000306"
    assert [(a.command_id, a.payload.hex()) for a in by_device if isinstance(a, Send)] == [
        (CommandId.INITIATE, times + exchange["initiator_U"]["certificate"]),
        (CommandId.EPHEMERAL_DATA, expected["qeu"]),
        (CommandId.CONFIRM_KEY, expected["macu"]),
    ]
    assert [(a.command_id, a.payload.hex()) for a in by_hub if isinstance(a, Send)] == [
        (CommandId.INITIATE, times + exchange["responder_V"]["certificate"]),
        (CommandId.EPHEMERAL_DATA, expected["qev"]),
        (CommandId.CONFIRM_KEY, expected["macv"]),
    ]
    for actions in (by_device, by_hub):
        key = link_key(actions)
        assert key is not None
        assert key.hex() == expected["key_data"]


def test_initiate_is_the_published_payload_octet_for_octet() -> None:
    exchange = next(e for e in EXCHANGES if "initiate_req_payload" in e)
    send = only_send(machine(exchange, "initiator_U").start())
    assert send.payload.hex() == exchange["initiate_req_payload"]
