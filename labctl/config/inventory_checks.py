"""What no single value of an inventory can tell: addresses that clash, codes that cannot be."""

from __future__ import annotations

import binascii
from collections.abc import Iterable

from labctl.config.document import Document, Place
from labctl.config.inventory import LAB_CA, Certificate, Driver, Inventory
from labctl.config.problems import Problem
from labctl.config.secrets import AnySource, FromFile, SecretReader, UnreadableSecret
from labctl.config.znp_checks import znp_inventory_problems
from labctl.events import Band
from labctl.secret import Secret
from labctl.smart_energy.certificates import CERTIFICATE_OCTETS, CertificateError
from labctl.smart_energy.curves import CURVES
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity
from labctl.smart_energy.install_code import InstallCode, InstallCodeError

_NOBODY = (Eui64("00" * 8), Eui64("ff" * 8))


def check_inventory(
    inventory: Inventory, document: Document, reader: SecretReader | None
) -> list[Problem]:
    """All problems of an inventory that its models accepted.

    Without a `reader`, references to secrets are not followed; codes in place are still checked.
    """
    problems = [
        *_clashing_addresses(inventory, document),
        *_bands(inventory, document),
        *znp_inventory_problems(inventory, document),
    ]
    for name, device in inventory.devices.items():
        if device.install_code is not None and (
            reader is not None or isinstance(device.install_code, Secret)
        ):
            read_install_code(device.install_code, document, name, reader, problems)
    if LAB_CA in inventory.certificates:
        what = f"the name {LAB_CA!r} stands for the lab's own certificate authority"
        place: Place = ("certificates", LAB_CA)
        problems.append(document.problem(place, what, "give it another name", of_key=True))
    if reader is not None:
        for name, certificate in inventory.certificates.items():
            read_identity(certificate, document, name, reader, problems)
    return problems


def _clashing_addresses(inventory: Inventory, document: Document) -> Iterable[Problem]:
    owners: dict[Eui64, str] = {}
    things: list[tuple[str, str, Eui64 | None]] = [
        *(("radios", name, radio.eui64) for name, radio in inventory.radios.items()),
        *(("devices", name, device.eui64) for name, device in inventory.devices.items()),
    ]
    for section, name, eui64 in things:
        if eui64 is None:
            continue
        place: Place = (section, name, "eui64")
        if eui64 in _NOBODY:
            yield document.problem(place, f"{eui64} is nobody's address")
        elif eui64 in owners:
            yield document.problem(
                place,
                f"{eui64} is the address of {owners[eui64]!r} too",
                "every radio and device has its own: compare with the labels",
            )
        owners.setdefault(eui64, name)


def _bands(inventory: Inventory, document: Document) -> Iterable[Problem]:
    for name, radio in inventory.radios.items():
        if radio.driver is Driver.ZNP and radio.bands != (Band.GHZ_2_4,):
            yield document.problem(
                ("radios", name, "bands"),
                f"{name!r} is a ZNP stick: ZNP knows neither channel pages nor a second PHY, so it "
                "is 2.4 GHz only",
                "remove this key",
            )
    for name, device in inventory.devices.items():
        wish = device.virtual.prefers if device.virtual else None
        if wish is not None and wish not in device.known_bands:
            yield document.problem(
                ("devices", name, "virtual", "prefers"),
                f"{name!r} prefers {wish}, and can only join on {device.known_bands[0]}",
                f"write 'bands: [{', '.join(Band)}]' below {name!r} if it has both",
            )


def read_install_code(
    source: AnySource,
    document: Document,
    device: str,
    reader: SecretReader | None,
    problems: list[Problem],
) -> InstallCode | None:
    """The install code of a device; None, and a problem that does not show it, when it is wrong.

    Without a `reader` the source must be the code in place.
    """
    place: Place = ("devices", device, "install_code")
    try:
        secret = source if isinstance(source, Secret) else _follow(source, reader)
        octets = secret.reveal()
        # Only a file can hold the octets themselves; elsewhere it is always text.
        code = octets if isinstance(source, FromFile) else octets.decode("utf-8", "replace")
        return InstallCode.parse(code)
    except UnreadableSecret as error:
        problems.append(document.problem(place, error.what, error.mend))
    except InstallCodeError as error:
        mend = "compare it with the label of the device"
        problems.append(document.problem(place, str(error), mend))
    return None


def _follow(source: AnySource, reader: SecretReader | None) -> Secret:
    if reader is None:
        raise TypeError("a reference needs a reader")
    return reader.read(source)


def read_identity(
    certificate: Certificate,
    document: Document,
    name: str,
    reader: SecretReader,
    problems: list[Problem],
) -> Identity | None:
    """A hub's certificate with its keys; None, and problems, when they do not fit together."""
    place: Place = ("certificates", name)
    curve = CURVES[certificate.suite]
    parts: dict[str, Secret] = {}
    for key, source, length in (
        ("certificate", certificate.certificate, CERTIFICATE_OCTETS[certificate.suite]),
        ("private_key", certificate.private_key, curve.scalar_octets),
        ("ca_public_key", certificate.ca_public_key, curve.point_octets),
    ):
        try:
            parts[key] = _octets(reader.read(source), length)
        except UnreadableSecret as error:
            problems.append(document.problem((*place, key), error.what, error.mend))
    if len(parts) < 3:
        return None
    try:
        identity = Identity(
            suite=certificate.suite,
            certificate=parts["certificate"].reveal(),
            private_key=parts["private_key"],
            ca_public_key=parts["ca_public_key"].reveal(),
        )
        identity.verify()
    except CertificateError as error:
        problems.append(document.problem((*place, "certificate"), str(error)))
        return None
    return identity


def _octets(secret: Secret, length: int) -> Secret:
    """`length` octets, from raw or hexadecimal form. Raises `UnreadableSecret`."""
    raw = secret.reveal()
    if len(raw) == length:
        return secret
    try:
        octets = binascii.unhexlify(b"".join(raw.split()).replace(b":", b""))
    except (binascii.Error, ValueError):
        raise UnreadableSecret(
            f"neither {length} octets nor {2 * length} hexadecimal digits",
            f"{len(raw)} octets were found",
        ) from None
    if len(octets) != length:
        raise UnreadableSecret(
            f"{length} octets are needed here, and {len(octets)} were found",
            "does it belong to the other suite?",
        )
    return Secret(octets)
