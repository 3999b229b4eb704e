"""Certificates of our own: made, renewed, requested from a company's authority, loaded.

A folder ``own`` holds numbered pairs: ``1.key`` and ``1.der`` (or ``1.pem`` with the chain of an
authority). The highest number is the newest; older ones stay until they expire, because a server
trusts a new certificate only after a person there has said so.

References
----------
OPC 10000-6, 6.2.2: fields of an application instance certificate.
"""

import ipaddress
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from connectors.connector import ConfigError

KEY_BITS = 3072
FILE_BYTES_MAX = 1 << 20
CHAIN_MAX = 10
_DAY_NS = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a certificate speaks for.

    Attributes
    ----------
    application_uri : str
    hosts : tuple of str
        DNS names and IP addresses of this machine.
    organization : str
    """

    application_uri: str
    hosts: tuple[str, ...]
    organization: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate (with its chain behind it) and its key, as PEM or DER bytes."""

    number: int
    chain: tuple[x509.Certificate, ...]
    key: bytes

    @property
    def certificate(self) -> x509.Certificate:
        """The leaf."""
        return self.chain[0]


def moment(now_ns: int) -> datetime:
    """Time of a clock as certificates compare it."""
    return datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)


def thumbprint(certificate: x509.Certificate) -> str:
    """SHA-1 of the certificate, the name that OPC UA gives it (OPC 10000-6, 6.2.2)."""
    return certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 - a name, not a proof


def parse(data: bytes) -> tuple[x509.Certificate, ...]:
    """Certificates of a file or of the wire: PEM, or DER with its chain behind it.

    Raises
    ------
    ValueError
        If there is none, more than ``CHAIN_MAX``, or a broken one.
    """
    if b"-----BEGIN" in data:
        found = x509.load_pem_x509_certificates(data)
    else:
        found = []
        while data and len(found) <= CHAIN_MAX:
            size = _der_size(data)
            found.append(x509.load_der_x509_certificate(data[:size]))
            data = data[size:]
    if not 0 < len(found) <= CHAIN_MAX:
        raise ValueError(f"got {len(found)} certificates, want 1 to {CHAIN_MAX}")
    return tuple(found)


def _der_size(data: bytes) -> int:
    """Bytes of the first DER value."""
    if len(data) < 2 or data[0] != 0x30:
        raise ValueError("got something else than a certificate")
    if data[1] < 0x80:
        return 2 + data[1]
    width = data[1] & 0x7F
    size = 2 + width + int.from_bytes(data[2 : 2 + width], "big")
    if width > 4 or size > len(data):
        raise ValueError("got a certificate that is cut off")
    return size


def read_file(path: Path) -> bytes:
    """Bytes of a file of bounded size."""
    with path.open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise ValueError(f"got more than {FILE_BYTES_MAX} bytes")
    return data


def write_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a new file with a mode from its first byte on; readers see all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    Path(part).replace(path)


def pairs(own: Path) -> list[Pair]:
    """Pairs of a folder, newest first.

    Raises
    ------
    ConfigError
        If a file cannot be read or a key is not the certificate's.
    """
    found = []
    for number in reversed(_numbers(own)):
        paths = [p for p in (own / f"{number}.pem", own / f"{number}.der") if p.exists()]
        if paths:
            found.append(load_pair(paths[0], own / f"{number}.key", number))
    return found


def load_pair(certificate: Path, key: Path, number: int = 0, password: str | None = None) -> Pair:
    """Read a certificate and its key.

    Raises
    ------
    ConfigError
        If a file cannot be read or the key is not the certificate's.
    """
    secret = None if password is None else password.encode()
    try:
        chain = parse(read_file(certificate))
        private = _load_key(read_file(key), secret)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"cannot use certificate {certificate} with key {key}: got {error}, want a pair"
        ) from error
    if private.public_key() != chain[0].public_key():
        raise ConfigError(f"cannot use certificate {certificate}: got a key that is not its own")
    plain = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Pair(number, chain, plain)


def usable(own: Path, now_ns: int) -> list[Pair]:
    """Pairs that are valid now, newest first.

    Raises
    ------
    ConfigError
        If there is none.
    """
    now = moment(now_ns)
    every = pairs(own)
    found = [
        pair
        for pair in every
        if pair.certificate.not_valid_before_utc <= now <= pair.certificate.not_valid_after_utc
    ]
    if not found:
        got = f"one until {every[0].certificate.not_valid_after_utc:%F}" if every else "none"
        what = "renew" if every else "make"
        raise ConfigError(
            f"cannot use certificates of {own}: got {got}, want a valid one; "
            f"`historian certificate {what}` makes it"
        )
    return found


def make(own: Path, identity: Identity, now_ns: int, days: int) -> Pair:
    """Make a key and a certificate signed by itself, beside those that are there."""
    extensions = _extensions(identity, signs_itself=True)
    number, key = _new_key(own)
    name = _subject(identity)
    now = moment(now_ns)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .serial_number(x509.random_serial_number())
        .public_key(key.public_key())
        .not_valid_before(now - timedelta(hours=1))  # servers' clocks are not ours
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    certificate = builder.sign(key, hashes.SHA256())
    path = own / f"{number}.der"
    write_file(path, certificate.public_bytes(serialization.Encoding.DER))
    return load_pair(path, own / f"{number}.key", number)


def renew(own: Path, now_ns: int, days: int) -> Pair:
    """Make a pair for who the newest certificate speaks for.

    Raises
    ------
    ConfigError
        If there is none.
    """
    every = pairs(own)
    if not every:
        raise ConfigError(f"cannot renew: got no certificate in {own}, want one; make it first")
    return make(own, identity_of(every[0].certificate), now_ns, days)


def request(own: Path, identity: Identity) -> Path:
    """Make a key and a request for a company's authority to sign; ``install`` takes the answer."""
    extensions = _extensions(identity, signs_itself=False)
    number, key = _new_key(own)
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(identity))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    path = own / f"{number}.csr"
    signed = builder.sign(key, hashes.SHA256())
    write_file(path, signed.public_bytes(serialization.Encoding.PEM))
    return path


def install(own: Path, answer: Path) -> Pair:
    """Keep a certificate that an authority signed, with the key of its request.

    Raises
    ------
    ConfigError
        If it is not the answer to a request of this folder.
    """
    try:
        chain = parse(read_file(answer))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot install {answer}: got {error}, want a certificate") from error
    for number in _numbers(own):
        key = own / f"{number}.key"
        if _load_key(read_file(key), None).public_key() == chain[0].public_key():
            path = own / f"{number}.pem"
            pem = (each.public_bytes(serialization.Encoding.PEM) for each in chain)
            write_file(path, b"".join(pem))
            return load_pair(path, key, number)
    raise ConfigError(f"cannot install {answer}: got a key that no request in {own} has")


def identity_of(certificate: x509.Certificate) -> Identity:
    """Who a certificate speaks for."""
    uris, hosts = names_of(certificate)
    organizations = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    organization = str(organizations[0].value) if organizations else ""
    return Identity(uris[0] if uris else "", hosts, organization)


def names_of(certificate: x509.Certificate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(URIs, DNS names and IP addresses) of the subject's alternative names."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return (), ()
    addresses = names.get_values_for_type(x509.IPAddress)
    return (
        tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
        (*names.get_values_for_type(x509.DNSName), *map(str, addresses)),
    )


def days_left(certificate: x509.Certificate, now_ns: int) -> int:
    """Whole days until a certificate expires; negative after it."""
    end_ns = int(certificate.not_valid_after_utc.timestamp()) * 1_000_000_000
    return (end_ns - now_ns) // _DAY_NS


def _numbers(own: Path) -> list[int]:
    return sorted(int(path.stem) for path in own.glob("*.key") if path.stem.isdecimal())


def _new_key(own: Path) -> tuple[int, rsa.RSAPrivateKey]:
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    number = max(_numbers(own), default=0) + 1
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    data = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_file(own / f"{number}.key", data, 0o600)
    return number, key


def _load_key(data: bytes, password: bytes | None) -> rsa.RSAPrivateKey:
    pem = b"-----BEGIN" in data
    load = serialization.load_pem_private_key if pem else serialization.load_der_private_key
    key = load(data, password)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"got a key of {type(key).__name__}, want RSA")
    return key


def _subject(identity: Identity) -> x509.Name:
    host = identity.hosts[0] if identity.hosts else ""
    common = f"Lighthouse Historian@{host}"[:64]
    found = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if identity.organization:
        found.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, identity.organization[:64]))
    return x509.Name(found)


def _extensions(
    identity: Identity, *, signs_itself: bool
) -> Sequence[tuple[x509.ExtensionType, bool]]:
    names = [_general_name(identity.application_uri, x509.UniformResourceIdentifier)]
    for host in identity.hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(_general_name(host, x509.DNSName))
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=signs_itself,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        (x509.SubjectAlternativeName(names), False),
        (usage, True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
    )


def _general_name(text: str, kind: Callable[[str], x509.GeneralName]) -> x509.GeneralName:
    try:
        if text and text.isprintable() and " " not in text:
            return kind(text)
    except ValueError:
        pass  # it takes ASCII alone
    raise ConfigError(f"cannot make certificate: got {text!r}, want a uri or host name in ASCII")
