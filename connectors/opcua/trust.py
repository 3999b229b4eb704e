"""Whom we believe: a folder with ``trusted``, ``issuers`` and ``rejected`` certificates.

A certificate is believed when it lies in ``trusted`` itself, or when its chain of issuers leads to
an authority in ``trusted``; authorities in ``issuers`` complete a chain and are not believed by
themselves. Revocation lists (``*.crl``) may lie in both. Who is not believed is kept in
``rejected``, so that a person can look and say yes.

References
----------
OPC 10000-4, 6.1.3: steps of certificate validation.
"""

import contextlib
import ipaddress
import itertools
import logging
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from connectors.connector import ConfigError, SourceUnavailable
from connectors.opcua.certificates import (
    CHAIN_MAX,
    moment,
    names_of,
    parse,
    read_file,
    thumbprint,
    write_file,
)

TRUSTED, ISSUERS, REJECTED = "trusted", "issuers", "rejected"
REJECTED_MAX = 100
_FILES_MAX = 1_000
_RSA_BITS = (2048, 4096)
_WEAK = {"md5", "sha1", "md2"}

_log = logging.getLogger(__name__)


class Untrusted(SourceUnavailable):
    """The server's certificate is not believed. A person may mend that while we try again."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is checked beyond the chain.

    Attributes
    ----------
    application_uri : str
        What the server says it is; must be in its certificate.
    host : str
        Where we connect to; must be in its certificate.
    check_host : bool
    revocation_required : bool
        Refuse an authority without a list that is up to date.
    """

    application_uri: str
    host: str
    check_host: bool = True
    revocation_required: bool = False


@dataclass(slots=True)
class _Store:
    trusted: list[x509.Certificate] = field(default_factory=list)
    issuers: list[x509.Certificate] = field(default_factory=list)
    lists: list[x509.CertificateRevocationList] = field(default_factory=list)


class TrustList:
    """The folder. It is read anew at every check: what a person changes counts at once.

    Parameters
    ----------
    folder : Path
    rejected_max : int
        Certificates kept in ``rejected``; the oldest go.
    """

    def __init__(self, folder: Path, rejected_max: int = REJECTED_MAX) -> None:
        self.folder = folder
        self._rejected_max = rejected_max

    def check(self, sent: bytes, rules: Rules, now_ns: int) -> x509.Certificate:
        """Believe what a server sent, or keep it in ``rejected``.

        Parameters
        ----------
        sent : bytes
            Its certificate in DER, issuers behind it.
        rules : Rules
        now_ns : int

        Returns
        -------
        Certificate
            The server's own.

        Raises
        ------
        Untrusted
            With the first rule that is broken.
        """
        try:
            chain = parse(sent)
        except ValueError as error:
            raise Untrusted(f"cannot trust server: {error}, want its certificate") from error
        store = self._read()
        try:
            self._check(chain, store, rules, now_ns)
        except Untrusted as error:
            if chain[0] in store.trusted:
                raise
            try:
                kept = f"kept as {REJECTED}/{self.reject(chain)} in {self.folder}"
            except OSError as refusal:
                kept = f"not kept in {self.folder}: got {refusal}"
            raise Untrusted(f"{error}; {kept}") from error
        return chain[0]

    def reject(self, chain: tuple[x509.Certificate, ...]) -> str:
        """Keep a certificate that is not believed; its file's name."""
        name = f"{thumbprint(chain[0])}.der"
        path = self.folder / REJECTED / name
        if not path.exists():
            write_file(path, b"".join(each.public_bytes(Encoding.DER) for each in chain))
        held = sorted(path.parent.glob("*.der"), key=_age)
        for old in held[: max(0, len(held) - self._rejected_max)]:
            old.unlink(missing_ok=True)
        return name

    def listed(self) -> list[tuple[str, str, x509.Certificate]]:
        """Every certificate of the folder as (folder, file, certificate)."""
        return [
            (part, path.name, chain[0])
            for part in (TRUSTED, ISSUERS, REJECTED)
            for path, chain in self._certificates(part)
        ]

    def move(self, thumb: str, target: str) -> tuple[str, x509.Certificate]:
        """Move a certificate to another folder.

        Parameters
        ----------
        thumb : str
            Its thumbprint or the beginning of it.
        target : str
            ``trusted`` or ``rejected``.

        Returns
        -------
        (str, Certificate)
            Name of its file, and the certificate.

        Raises
        ------
        ConfigError
            If not exactly one other certificate begins so.
        """
        wanted = thumb.replace(":", "").replace(" ", "").lower()
        every = [
            (path, chain)
            for part in (REJECTED, TRUSTED, ISSUERS)
            if part != target
            for path, chain in self._certificates(part)
            if wanted and thumbprint(chain[0]).startswith(wanted)
        ]
        if len({thumbprint(chain[0]) for _, chain in every}) != 1:
            raise ConfigError(
                f"cannot find certificate: got {len(every)} outside {target} of {self.folder} "
                f"that begin with {thumb!r}, want one"
            )
        chain = every[0][1]
        if target == REJECTED:
            name = self.reject(chain)
        else:
            name = self.add(chain[0], target)
            for issuer in chain[1:]:  # completes the chain, is not believed by itself
                self.add(issuer, ISSUERS)
        for path, _ in every:
            path.unlink(missing_ok=True)
        return name, chain[0]

    def add(self, certificate: x509.Certificate, target: str) -> str:
        """Keep a certificate in a folder; its file's name."""
        name = f"{thumbprint(certificate)}.der"
        write_file(self.folder / target / name, certificate.public_bytes(Encoding.DER))
        return name

    def _certificates(self, part: str) -> list[tuple[Path, tuple[x509.Certificate, ...]]]:
        found = []
        for path in _files(self.folder / part, {".der", ".pem", ".crt", ".cer"}):
            try:
                found.append((path, parse(read_file(path))))
            except (OSError, ValueError) as error:
                _log.warning("cannot read certificate %s: got %s", path, error)
        return found

    def _read(self) -> _Store:
        store = _Store()
        for _, chain in self._certificates(TRUSTED):
            store.trusted += chain
        for _, chain in self._certificates(ISSUERS):
            store.issuers += chain
        for part in (TRUSTED, ISSUERS):
            for path in _files(self.folder / part, {".crl"}):
                try:
                    data = read_file(path)
                    pem = b"-----BEGIN" in data
                    load = x509.load_pem_x509_crl if pem else x509.load_der_x509_crl
                    store.lists.append(load(data))
                except (OSError, ValueError) as error:
                    _log.warning("cannot read revocation list %s: got %s", path, error)
        return store

    def _check(
        self, sent: tuple[x509.Certificate, ...], store: _Store, rules: Rules, now_ns: int
    ) -> None:
        leaf = sent[0]
        chain = _chain(sent, store)
        if not any(each in store.trusted for each in chain):
            raise _refused(leaf, "an unknown certificate", "one that is trusted")
        now = moment(now_ns)
        for each in chain:
            if not each.not_valid_before_utc <= now <= each.not_valid_after_utc:
                span = f"{each.not_valid_before_utc:%F} to {each.not_valid_after_utc:%F}"
                raise _refused(each, f"a certificate for {span}", f"one that is valid on {now:%F}")
            _strong(each)
        _names(leaf, rules)
        _usage(leaf)
        for each, issuer in itertools.pairwise(chain):
            _not_revoked(each, issuer, store, rules, now_ns)


def _files(folder: Path, suffixes: set[str]) -> list[Path]:
    if not folder.is_dir():
        return []
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes)
    if len(found) > _FILES_MAX:
        raise ConfigError(
            f"cannot read {folder}: got {len(found)} files, want at most {_FILES_MAX}"
        )
    return [path for path in found if not path.name.startswith(".")]


def _age(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime_ns
    return 0


def _refused(certificate: x509.Certificate, got: str, want: str) -> Untrusted:
    name = certificate.subject.rfc4514_string()[:200]
    thumb = thumbprint(certificate)
    return Untrusted(f"cannot trust certificate of {name} ({thumb}): got {got}, want {want}")


def _chain(sent: tuple[x509.Certificate, ...], store: _Store) -> list[x509.Certificate]:
    """The leaf and its issuers, signatures checked, up to one that signed itself.

    A certificate that is itself in ``trusted`` needs no issuer: a person has seen these very bytes.
    """
    known = [*store.trusted, *store.issuers, *sent[1:]]
    chain = [sent[0]]
    while chain[-1].issuer != chain[-1].subject:
        issuer = next((each for each in known if _issued(chain[-1], each, len(chain) - 1)), None)
        if issuer is None:
            if sent[0] in store.trusted:
                return chain
            raise _refused(chain[-1], "no issuer that we know", "a complete chain of issuers")
        if issuer in chain or len(chain) >= CHAIN_MAX:
            raise _refused(sent[0], "a chain without end", f"at most {CHAIN_MAX} issuers")
        chain.append(issuer)
    try:
        chain[-1].verify_directly_issued_by(chain[-1])
    except (InvalidSignature, ValueError, TypeError) as error:
        raise _refused(chain[-1], "a wrong signature", "its own") from error
    return chain


def _issued(certificate: x509.Certificate, issuer: x509.Certificate, below: int) -> bool:
    """Whether ``issuer`` is an authority and signed ``certificate``."""
    if certificate.issuer != issuer.subject:
        return False
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        if not constraints.ca or names_of(issuer)[0]:
            return False  # an application's certificate makes nobody else's
        if constraints.path_length is not None and constraints.path_length < below:
            return False
        with contextlib.suppress(x509.ExtensionNotFound):
            if not issuer.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign:
                return False
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
        return False
    return True


def _strong(certificate: x509.Certificate) -> None:
    key = certificate.public_key()
    low, high = _RSA_BITS
    if not isinstance(key, rsa.RSAPublicKey) or not low <= key.key_size <= high:
        size = getattr(key, "key_size", 0)
        raise _refused(certificate, f"a key of {size} bits", f"RSA of {low} to {high}")
    digest = certificate.signature_hash_algorithm
    if digest is None or digest.name in _WEAK:
        raise _refused(certificate, f"a signature over {digest and digest.name}", "SHA-256")


def _names(leaf: x509.Certificate, rules: Rules) -> None:
    uris, hosts = names_of(leaf)
    if rules.application_uri not in uris:
        raise _refused(leaf, f"application uri {uris}", repr(rules.application_uri))
    if rules.check_host and _host(rules.host) not in {_host(each) for each in hosts}:
        raise _refused(leaf, f"host names {hosts}", f"{rules.host!r} (or check_host = false)")


def _host(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return name.rstrip(".").lower()


def _usage(leaf: x509.Certificate) -> None:
    try:
        with contextlib.suppress(x509.ExtensionNotFound):
            usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
            if not (
                usage.digital_signature and (usage.key_encipherment or usage.data_encipherment)
            ):
                raise _refused(leaf, "a key for other uses", "one to sign and encipher")
        with contextlib.suppress(x509.ExtensionNotFound):
            uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            servers = (
                ExtendedKeyUsageOID.SERVER_AUTH,
                ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
            )
            if not any(each in uses for each in servers):
                raise _refused(leaf, "a certificate for other uses", "one of a server")
    except ValueError as error:
        raise _refused(leaf, f"broken extensions ({error})", "sound ones") from error


def _not_revoked(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    store: _Store,
    rules: Rules,
    now_ns: int,
) -> None:
    """A list that is out of date still revokes; whether it is missed is the configuration's."""
    now, current = moment(now_ns), False
    for each in store.lists:
        key = issuer.public_key()
        if each.issuer != issuer.subject or not isinstance(key, rsa.RSAPublicKey):
            continue
        if not each.is_signature_valid(key):
            _log.warning("revocation list of %s: got a wrong signature", each.issuer)
            continue
        if each.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
            raise _refused(certificate, "a revoked certificate", "one that is not")
        current = current or each.next_update_utc is None or now <= each.next_update_utc
    if rules.revocation_required and not current:
        raise _refused(certificate, "no revocation list that is up to date", "one")
