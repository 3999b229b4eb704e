"""Authorities, certificates of servers, and a real server that uses them, for tests."""

import contextlib
import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from connectors.opcua.certificates import Identity, make
from connectors.opcua.testing import URI
from historian.clock import SystemClock
from historian.testing import free_port

SERVER_URI = "urn:test:server"
CLIENT_URI = "urn:test:client"
DAY = timedelta(days=1)
POLICY_TYPES = ua.SecurityPolicyType


@dataclass
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def der(self):
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem_key(self):
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sealed_key(self, password):
        """The key, readable with a password."""
        sealed = BestAvailableEncryption(password)
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed)


@dataclass
class Wish:
    """What a certificate of a test shall be; the default is one that a server may have."""

    name: str = "server"
    issuer: Made | None = None
    uri: str = SERVER_URI
    hosts: tuple = ("127.0.0.1",)
    begin: timedelta = -DAY
    end: timedelta = 30 * DAY
    authority: bool = False
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH
    bits: int = 2048
    path_length: int | None = None
    extra: list = field(default_factory=list)


def made(wish=None, **more):
    """A certificate as wished."""
    wish = wish or Wish(**more)
    key = rsa.generate_private_key(65537, wish.bits)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wish.name)])
    issuer = wish.issuer.certificate.subject if wish.issuer else subject
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .public_key(key.public_key())
        .not_valid_before(now + wish.begin)
        .not_valid_after(now + wish.end)
        .add_extension(x509.BasicConstraints(wish.authority, wish.path_length), True)
    )
    if not wish.authority:
        names = [x509.UniformResourceIdentifier(wish.uri)]
        for host in wish.hosts:
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                names.append(x509.DNSName(host))
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([wish.usage]), False)
    signer = wish.issuer.key if wish.issuer else key
    return Made(builder.sign(signer, hashes.SHA256()), key)


def revocations(authority, *revoked, end=DAY):
    """A revocation list of an authority, DER."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - 10 * DAY)
        .next_update(now + end)
    )
    for each in revoked:
        entry = x509.RevokedCertificateBuilder().revocation_date(now - DAY)
        entry = entry.serial_number(each.certificate.serial_number).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.DER)


def keep(pki, folder, *certificates):
    """Put certificates, or a revocation list's bytes, in a folder of the trust list."""
    where = pki / folder
    where.mkdir(parents=True, exist_ok=True)
    for number, each in enumerate(certificates):
        if isinstance(each, bytes):
            (where / f"{number}.crl").write_bytes(each)
        else:
            (where / f"{each.certificate.serial_number}.der").write_bytes(each.der)


def own(pki, now_ns=None, days=365):
    """Make the client's pair."""
    now_ns = SystemClock().now_ns() if now_ns is None else now_ns
    return make(pki / "own", Identity(CLIENT_URI, ("127.0.0.1",)), now_ns, days)


class Users:
    """Who may come: reader with secret, holders of a known certificate, nobody without a name."""

    def __init__(self, certificates=(), anonymous=True):
        self.certificates = certificates
        self.anonymous = anonymous
        self.asked = []

    def get_user(self, _iserver, username=None, password=None, certificate=None):
        self.asked.append((username, password, certificate))
        known = (username, password) == ("reader", "secret")
        if username is None:
            known = self.anonymous or certificate in self.certificates
        return User(role=UserRole.User) if known else None


@contextlib.asynccontextmanager
async def secured(server_pair, *policies, users=None, tokens=None, believe=None, port=0):
    """Serve one variable x = 4.5 of a real server; gives (port, server)."""
    port = port or free_port()
    server = Server(user_manager=users)
    await server.init()
    await server.set_application_uri(SERVER_URI)
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy(list(policies) or [POLICY_TYPES.Basic256Sha256_SignAndEncrypt])
    if tokens:
        server.set_identity_tokens(tokens)
    if believe:
        server.set_certificate_validator(believe)
    await server.load_certificate(server_pair.der)
    await server.load_private_key(server_pair.pem_key, format="pem")
    index = await server.register_namespace(URI)
    await server.nodes.objects.add_variable(ua.NodeId("x", index), "x", 4.5)
    await server.start()
    try:
        yield port, server
    finally:
        await server.stop()


def settings(port, pki, **more):
    """Settings of a source that reads it."""
    security = {"pki_path": str(pki), **more.pop("security", {})}
    return {
        "url": f"opc.tcp://127.0.0.1:{port}",
        "application_uri": CLIENT_URI,
        "security": security,
        "publishing_interval_ms": 20.0,
        "keepalive_s": 1.0,
        "request_timeout_s": 2.0,
        "nodes": [f"nsu={URI};s=x"],
        **more,
    }
