import dataclasses

import pytest
from cbke_support import DEVICE, EXCHANGES, ISSUER, VECTORS, authority, lab_identity, seeded
from hypothesis import given
from hypothesis import strategies as st

from labctl.secret import Secret
from labctl.smart_energy.certificates import (
    FOREVER_S,
    CertificateError,
    Suite1Certificate,
    Suite2Certificate,
    parse_certificate,
)
from labctl.smart_energy.curves import CURVES
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity
from labctl.smart_energy.lab_ca import LabCertificateAuthority

suites = pytest.mark.parametrize("suite", [1, 2])


def published(name: str) -> dict:
    return next(c for c in VECTORS["certificates"] if c["name"] == name)


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda e: e["id"])
@pytest.mark.parametrize(("side", "public"), [("initiator_U", "qu"), ("responder_V", "qv")])
def test_published_certificate_gives_the_published_public_key(
    exchange: dict, side: str, public: str
) -> None:
    octets = bytes.fromhex(exchange[side]["certificate"])
    certificate = parse_certificate(exchange["suite"], octets)
    point = certificate.public_key(bytes.fromhex(exchange["ca_public_key"]))
    assert CURVES[exchange["suite"]].compress(point).hex() == exchange["expected"][public]
    assert certificate.subject == Eui64(exchange[side]["eui64"])
    assert certificate.issuer == Eui64(exchange["ca_issuer_id"].split()[0])
    assert certificate.octets == octets


@pytest.mark.parametrize("vector", VECTORS["certificates"], ids=lambda v: v["name"])
def test_published_test_identity_belongs_together(vector: dict) -> None:
    identity = Identity(
        vector["suite"],
        bytes.fromhex(vector["certificate"]),
        Secret(bytes.fromhex(vector["private_key"])),
        bytes.fromhex(vector["ca_public_key"]),
    )
    identity.verify()
    point = identity.parsed.public_key(identity.ca_public_key)
    assert CURVES[vector["suite"]].compress(point).hex() == vector["device_public_key"]


@pytest.mark.parametrize("vector", VECTORS["invalid_certificates"], ids=lambda v: v["name"])
def test_reconstruction_point_off_the_curve_is_refused(vector: dict) -> None:
    certificate = parse_certificate(vector["suite"], bytes.fromhex(vector["certificate"]))
    with pytest.raises(CertificateError, match="reconstruction point: the point is not on the"):
        certificate.public_key(bytes.fromhex(vector["ca_public_key"]))


def test_suite_1_fields_are_read_where_they_stand() -> None:
    certificate = parse_certificate(1, bytes.fromhex(published("test CA, suite1 B")["certificate"]))
    assert isinstance(certificate, Suite1Certificate)
    assert certificate.subject == "00:22:a3:00:00:17:31:f3"
    assert certificate.issuer.big_endian == b"TESTSECA"
    assert certificate.attributes.hex() == "0109108301234567890a"
    assert certificate.profile_id == 0x0109


def test_suite_2_fields_are_read_where_they_stand() -> None:
    certificate = parse_certificate(2, bytes.fromhex(published("test CA, suite2")["certificate"]))
    assert isinstance(certificate, Suite2Certificate)
    assert certificate.serial_number.hex() == "0b3ad5a312ab75d6"
    assert certificate.subject == "00:22:08:00:00:00:00:01"
    assert certificate.issuer == "11:12:13:14:15:16:17:18"
    assert certificate.valid_from_s == 0x5B7ED230
    assert certificate.validity_s == FOREVER_S
    assert certificate.key_usage == 0x08
    certificate.check()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"type": 0x01}, "type is 01, where 00"),
        ({"curve": 0x0C}, "curve is 0c, where 0d"),
        ({"hash": 0x09}, "hash is 09, where 08"),
        ({"key_usage": 0x80}, "key usage 80 lacks key agreement"),
    ],
)
def test_suite_2_certificate_that_is_not_for_key_agreement_is_refused(
    change: dict, says: str
) -> None:
    good = lab_identity(2, DEVICE).parsed
    bad = dataclasses.replace(good, **change)
    with pytest.raises(CertificateError, match=says):
        bad.check()
    with pytest.raises(CertificateError, match=says):
        dataclasses.replace(lab_identity(2, DEVICE), certificate=bad.octets)


@given(st.binary(min_size=48, max_size=48))
def test_any_48_octets_parse_and_serialise_to_themselves(octets: bytes) -> None:
    assert parse_certificate(1, octets).octets == octets


@given(st.binary(min_size=74, max_size=74))
def test_any_74_octets_parse_and_serialise_to_themselves(octets: bytes) -> None:
    assert parse_certificate(2, octets).octets == octets


@pytest.mark.parametrize(("suite", "length"), [(1, 47), (1, 74), (2, 48), (2, 75), (2, 0)])
def test_wrong_length_is_told(suite: int, length: int) -> None:
    with pytest.raises(
        CertificateError, match=f"suite {suite} certificate has {length} octets instead"
    ):
        parse_certificate(suite, bytes(length))


def test_unknown_suite_is_told() -> None:
    with pytest.raises(CertificateError, match="no cryptographic suite 3"):
        parse_certificate(3, bytes(48))
    with pytest.raises(CertificateError, match="no cryptographic suite 3"):
        LabCertificateAuthority.generate(3, ISSUER)
    with pytest.raises(CertificateError, match="no cryptographic suite 3"):
        LabCertificateAuthority(3, ISSUER, Secret(bytes(21)))


def test_bad_authority_key_is_told() -> None:
    certificate = lab_identity(1, DEVICE).parsed
    with pytest.raises(CertificateError, match="authority's public key: a point of sect163k1"):
        certificate.public_key(bytes(21))


def test_certificate_that_stands_for_infinity_is_refused() -> None:
    identity = lab_identity(1, DEVICE)
    curve = CURVES[1]
    own = identity.parsed.public_key(identity.ca_public_key)
    ca = curve.decompress(identity.ca_public_key)
    # Q = e·P + Q_CA, so with Q_CA - Q in the place of Q_CA nothing is left.
    cancelling = curve.add(ca, curve.negate(own))
    assert cancelling is not None
    with pytest.raises(CertificateError, match="infinity"):
        identity.parsed.public_key(curve.compress(cancelling))


@suites
def test_lab_authority_issues_identities_that_belong_together(suite: int) -> None:
    source = seeded(suite)
    ca = LabCertificateAuthority.generate(suite, ISSUER, source)
    for number in range(2):
        subject = Eui64(f"{number:016x}")
        identity = ca.issue(subject, source)
        identity.verify()
        assert identity.subject == subject
        assert identity.issuer == ISSUER
        assert identity.ca_public_key == ca.public_key


def test_lab_authority_writes_the_fields_that_it_is_given() -> None:
    attributes = bytes.fromhex("0109108301234567890a")
    one = authority(1).issue(DEVICE, seeded(1), attributes=attributes).parsed
    two = authority(2).issue(DEVICE, seeded(1), valid_from_s=1_700_000_000, validity_s=60).parsed
    assert isinstance(one, Suite1Certificate)
    assert isinstance(two, Suite2Certificate)
    assert one.attributes == attributes
    assert (two.valid_from_s, two.validity_s) == (1_700_000_000, 60)


@pytest.mark.parametrize(
    ("suite", "fields", "says"),
    [
        (1, {"attributes": b"\x01\x09"}, "attributes has 2 octets instead of 10"),
        (2, {"valid_from_s": 1 << 40}, "valid from"),
        (2, {"valid_from_s": -1}, "valid from"),
        (2, {"validity_s": 1 << 32}, "validity"),
    ],
)
def test_lab_authority_refuses_fields_that_do_not_fit(suite: int, fields: dict, says: str) -> None:
    with pytest.raises(CertificateError, match=says):
        authority(suite).issue(DEVICE, seeded(1), **fields)


@suites
def test_lab_authority_survives_being_stored(suite: int) -> None:
    ca = authority(suite)
    stored = ca.to_dict()
    assert LabCertificateAuthority.from_dict(stored) == ca
    assert ca.private_key.reveal().hex() in stored.values()
    assert ca.private_key.reveal().hex() not in repr(ca)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"suite": "2"}, "needs a suite"),
        ({"suite": True}, "needs a suite"),
        ({"suite": 7}, "no cryptographic suite 7"),
        ({"issuer": None}, "needs an issuer"),
        ({"issuer": "nobody"}, "not an EUI-64"),
        ({"private_key": None}, "needs its private_key"),
        ({"private_key": "xy"}, "not hexadecimal"),
        ({"private_key": "00"}, "must have 36 octets"),
        ({"private_key": "00" * 36}, "out of range"),
        ({"private_key": "ff" * 36}, "out of range"),
        ({"public_key": "00"}, "does not belong to its private_key"),
    ],
)
def test_damaged_store_of_an_authority_is_told_without_its_key(change: dict, says: str) -> None:
    stored = authority(2).to_dict()
    with pytest.raises(CertificateError, match=says) as caught:
        LabCertificateAuthority.from_dict(stored | change)
    assert str(stored["private_key"]) not in str(caught.value)


@suites
def test_identity_of_another_device_or_authority_does_not_verify(suite: int) -> None:
    good = lab_identity(suite, DEVICE)
    other = authority(suite).issue(Eui64("1" * 16), seeded(5))
    stranger = authority(suite, seed=9)
    for wrong in (
        dataclasses.replace(good, private_key=other.private_key),
        dataclasses.replace(good, certificate=other.certificate),
        dataclasses.replace(good, ca_public_key=stranger.public_key),
    ):
        with pytest.raises(CertificateError, match="does not belong to this certificate"):
            wrong.verify()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"suite": 2}, "suite 2 certificate has 48 octets instead of 74"),
        ({"private_key": Secret(bytes(20))}, "private key has 21 octets, not 20"),
        ({"private_key": Secret(bytes(21))}, "not between 1 and the order"),
        ({"private_key": Secret(b"\xff" * 21)}, "not between 1 and the order"),
        ({"ca_public_key": bytes(22)}, "authority's public key: a compressed point starts"),
    ],
)
def test_identity_that_cannot_be_is_refused_at_once(change: dict, says: str) -> None:
    with pytest.raises(CertificateError, match=says):
        dataclasses.replace(lab_identity(1, DEVICE), **change)


def test_identity_does_not_print_its_private_key() -> None:
    identity = lab_identity(2, DEVICE)
    assert identity.private_key.reveal().hex() not in repr(identity)
    assert "<secret>" in repr(identity)
