"""Secure channels: which policy, which certificate of ours, whether to believe the server's.

asyncua 2.1.0 takes the server's certificate from an unsecured answer, calls its validator only
after the channel is open, sends a password in clear where the server asks for it, and takes any
nonce. Here the certificate is believed before the channel is opened with it, and the session is
refused before a token is sent.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from asyncua import ua as asyncua_ua
from asyncua.client.client import Client
from asyncua.crypto import security_policies as asyncua_policies
from asyncua.crypto.uacrypto import CertProperties
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from connectors.connector import Clock, ConfigError, SourceUnavailable
from connectors.opcua.calls import LOST, WRONG_SIGNATURE
from connectors.opcua.certificates import Pair, days_left, load_pair, names_of, usable
from connectors.opcua.trust import Rules, TrustList, Untrusted
from connectors.settings import Table

ua: Any = asyncua_ua  # half of its names are not exported for type checkers
security_policies: Any = asyncua_policies

POLICIES = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
MODES = {
    "sign": ua.MessageSecurityMode.Sign,
    "sign_and_encrypt": ua.MessageSecurityMode.SignAndEncrypt,
}
_HOW = '"none" for no security at all, or a table [security] with pki_path, policy and mode'
_NONCE_BYTES_MIN = 32
# What a server says that does not believe in our certificate, often after it cut the line.
_DISTRUST = {
    ua.StatusCodes.BadSecurityChecksFailed,
    ua.StatusCodes.BadCertificateInvalid,
    ua.StatusCodes.BadCertificateUntrusted,
    ua.StatusCodes.BadCertificateUseNotAllowed,
    ua.StatusCodes.BadCertificateTimeInvalid,
    ua.StatusCodes.BadCertificateUriInvalid,
    ua.StatusCodes.BadCertificateChainIncomplete,
    ua.StatusCodes.BadCertificateRevoked,
    ua.StatusCodes.BadCertificateIssuerRevoked,
    ua.StatusCodes.BadCertificateRevocationUnknown,
    ua.StatusCodes.BadCertificateIssuerRevocationUnknown,
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SecurityConfig:
    """The ``security`` of a source; ``pki_path`` is None for ``"none"``."""

    pki_path: Path | None
    policy: str = "Basic256Sha256"
    mode: str = "sign_and_encrypt"
    server_uri: str = ""
    check_host: bool = True
    revocation_required: bool = False
    expiry_warning_days: int = 60
    rejected_max: int = 100


@dataclass(frozen=True, slots=True)
class UserConfig:
    """Who we are to the server: nobody, a user with a password, or a certificate."""

    name: str | None = None
    password: str | None = None
    certificate_file: str = ""
    key_file: str = ""
    key_password: str | None = None
    in_clear: bool = False


def read_security(table: Table) -> SecurityConfig:
    """Read ``security`` of a source.

    Raises
    ------
    ConfigError
        If it is not said.
    """
    found = table.take("security", None)
    if found == "none":
        return SecurityConfig(None)
    if not isinstance(found, dict):
        raise table.refuse("security", found, _HOW)
    inner = table.table("security")
    config = SecurityConfig(
        pki_path=_folder(inner),
        policy=inner.text("policy", "Basic256Sha256", among=tuple(POLICIES)),
        mode=inner.text("mode", "sign_and_encrypt", among=tuple(MODES)),
        server_uri=inner.text("server_uri", ""),
        check_host=inner.flag("check_host", True),
        revocation_required=inner.flag("revocation_required", False),
        expiry_warning_days=inner.integer("expiry_warning_days", 60, 0, 3_650),
        rejected_max=inner.integer("rejected_max", 100, 1, 10_000),
    )
    inner.done()
    return config


def _folder(table: Table) -> Path:
    """Absolute: the command that makes certificates may run in another folder than a collector."""
    path = Path(table.text("pki_path"))
    if not path.is_absolute():
        raise table.refuse("pki_path", str(path), "the absolute path of a folder")
    return path


def read_user(table: Table, security: SecurityConfig) -> UserConfig:
    """Read the user of a source.

    Raises
    ------
    ConfigError
        If it is half said, or would be sent in clear without a word that it may.
    """
    config = UserConfig(
        name=table.secret("user"),
        password=table.secret("password"),
        certificate_file=table.text("user_certificate_file", ""),
        key_file=table.text("user_key_file", ""),
        key_password=table.secret("user_key_password"),
        in_clear=table.flag("password_in_clear", False),
    )
    if bool(config.certificate_file) != bool(config.key_file):
        raise table.refuse("user_key_file", config.key_file, "certificate and key of the user")
    if config.name is not None and config.certificate_file:
        raise table.refuse("user_env", config.name, "a user, or a certificate of one")
    if security.pki_path is None and config.certificate_file:
        raise table.refuse("user_certificate_file", config.certificate_file, "security, too")
    if security.pki_path is None and config.password and not config.in_clear:
        want = "security, or password_in_clear = true"
        raise table.refuse("password_env", "a password without security", want)
    return config


class Guard:
    """Opens the way to one server as configured.

    Parameters
    ----------
    url : str
    security : SecurityConfig
    user : UserConfig
    clock : Clock
    """

    def __init__(self, url: str, security: SecurityConfig, user: UserConfig, clock: Clock) -> None:
        self._url = url
        self._security = security
        self._user = user
        self._clock = clock
        self._own: list[Pair] = []
        self._used: Pair | None = None

    async def connect(
        self, client: Client, attempt: Callable[[], Awaitable[None]], drop: Callable[[], None]
    ) -> None:
        """Run ``attempt`` (channel, session, activation) with the newest certificate it takes.

        Servers do not believe in a renewed certificate until a person there says so; until then
        the one before it is used. ``drop`` cuts a line that ``attempt`` has left.

        Raises
        ------
        SourceUnavailable
            Untrusted among them, and when our own certificates cannot be used.
        ConfigError
            If the user's certificate cannot be used, or the server wants a password in clear.
        """
        await self._take_user(client)
        folder = self._security.pki_path
        if folder is None:
            await self._try(attempt)
            return
        try:
            own = await asyncio.to_thread(usable, folder / "own", self._clock.now_ns())
        except ConfigError as error:  # a person mends it while we try again
            raise SourceUnavailable(str(error)) from error
        certificate = await self._believe(client)
        for place, pair in enumerate(own):
            await self._prepare(client, pair, certificate)
            try:
                await self._try(attempt)
            except (ConnectionError, ua.UaStatusCodeError) as error:
                distrust = not isinstance(error, ua.UaStatusCodeError) or error.code in _DISTRUST
                if not distrust or place + 1 == len(own):
                    raise
                _log.warning("%s refuses certificate %d: got %s", self._url, pair.number, error)
                drop()
                continue
            self._own, self._used = own, pair
            return

    async def changed(self, client: Client) -> bool:
        """Whether the server shows another certificate than the one its channel was opened with.

        A server that has renewed its certificate refuses the old channel for ever.
        """
        if self._security.pki_path is None:
            return False
        policy = client.security_policy
        try:
            found = await self._believe(client)
        except Untrusted:
            return True
        except SourceUnavailable:
            return False
        finally:
            client.security_policy = policy
            client.uaclient.set_security(policy)
        return found != policy.peer_certificate

    async def activate(self, client: Client) -> None:
        """Activate the session with the user's token, after a look at what the server asks for."""
        self._check_nonce(client)
        name, password = self._user.name, self._user.password
        if name is not None and password:
            self._check_password(client)
        await client.activate_session(
            username=name, password=password, certificate=client.user_certificate
        )

    async def _take_user(self, client: Client) -> None:
        user = self._user
        if not user.certificate_file:
            return
        pair = await asyncio.to_thread(
            load_pair, Path(user.certificate_file), Path(user.key_file), 0, user.key_password
        )
        client.user_certificate = pair.certificate
        client.user_certificate_chain = list(pair.chain[1:])
        await client.load_private_key(pair.key, extension="pem")  # type: ignore[arg-type]

    async def _believe(self, client: Client) -> bytes:
        """Certificate of the endpoint that the policy asks for, believed; DER."""
        security = self._security
        policy, mode = POLICIES[security.policy], MODES[security.mode]
        client.security_policy = security_policies.SecurityPolicyNone()
        client.uaclient.set_security(client.security_policy)
        try:
            endpoints = await client.connect_and_get_server_endpoints()
        except LOST as error:
            client.disconnect_socket()
            raise SourceUnavailable(
                f"cannot ask for endpoints: got {type(error).__name__} ({error}), "
                f"want an answer, at {self._url}"
            ) from error
        offered = []
        for endpoint in endpoints:
            offered.append(f"{endpoint.SecurityPolicyUri}:{endpoint.SecurityMode.name}")
            if endpoint.SecurityPolicyUri != policy.URI or endpoint.SecurityMode != mode:
                continue
            rules = Rules(
                security.server_uri or endpoint.Server.ApplicationUri or "",
                urlsplit(self._url).hostname or "",
                security.check_host,
                security.revocation_required,
            )
            assert security.pki_path is not None
            trust = TrustList(security.pki_path, security.rejected_max)
            sent = endpoint.ServerCertificate or b""
            found = await asyncio.to_thread(trust.check, sent, rules, self._clock.now_ns())
            client.certificate_validator = self._confirm
            return found.public_bytes(Encoding.DER)
        raise SourceUnavailable(
            f"cannot connect {self._url}: got endpoints {', '.join(sorted(offered))}, "
            f"want {security.policy} with {security.mode}"
        )

    async def _confirm(self, certificate: Certificate, server: Any) -> None:
        """Within the channel the server must be who it was in the unsecured answer."""
        wanted = self._security.server_uri or server.ApplicationUri
        if wanted not in names_of(certificate)[0]:
            raise Untrusted(
                f"cannot trust {self._url}: got application uri {server.ApplicationUri!r} within "
                "the channel, want the one of its certificate"
            )

    async def _prepare(self, client: Client, pair: Pair, server: bytes) -> None:
        ders = [each.public_bytes(Encoding.DER) for each in pair.chain]
        try:
            await client.set_security(
                POLICIES[self._security.policy],
                certificate=CertProperties(ders[0], "der"),
                private_key=CertProperties(pair.key, "pem"),
                server_certificate=CertProperties(server, "der"),
                mode=MODES[self._security.mode],
                certificate_chain=[CertProperties(each, "der") for each in ders[1:]],
            )
        except (ua.UaError, ValueError) as error:
            raise ConfigError(f"cannot use certificate {pair.number}: got {error}") from error

    async def _try(self, attempt: Callable[[], Awaitable[None]]) -> None:
        try:
            await attempt()
        except (*WRONG_SIGNATURE, ValueError) as error:  # its signature or its encryption is wrong
            what = f"{type(error).__name__} {error}".strip()
            raise SourceUnavailable(
                f"cannot connect {self._url}: got {what}, want a server that holds its key"
            ) from error

    def _check_nonce(self, client: Client) -> None:
        nonce = client._server_nonce or b""  # noqa: SLF001 - asyncua checks none
        if self._security.pki_path is not None and len(nonce) < _NONCE_BYTES_MIN:
            raise SourceUnavailable(
                f"cannot activate session at {self._url}: got a nonce of {len(nonce)} bytes, "
                f"want {_NONCE_BYTES_MIN} (OPC 10000-4, 5.7.2)"
            )

    def _check_password(self, client: Client) -> None:
        """Refuse to send a password in clear: asyncua does whatever the server asks for."""
        uri = client.server_policy(ua.UserTokenType.UserName).SecurityPolicyUri
        clear = not uri or uri == security_policies.SecurityPolicyNone.URI
        encrypted = client.security_policy.Mode == ua.MessageSecurityMode.SignAndEncrypt
        if clear and not encrypted and not self._user.in_clear:
            raise ConfigError(
                f"cannot send password to {self._url}: got a server that wants it in clear, "
                "want mode sign_and_encrypt, or password_in_clear = true"
            )

    @property
    def notice(self) -> str:
        """What a person should know: a certificate that ends soon; empty when there is nothing."""
        used = self._used
        if used is None:
            return ""
        newest, left = self._own[0], days_left(used.certificate, self._clock.now_ns())
        if used is not newest:
            return (
                f"the server does not take our certificate {newest.number} yet; {used.number} "
                f"ends in {left} days, the server must trust {newest.number} before that"
            )
        if left <= self._security.expiry_warning_days:
            return f"our certificate {used.number} ends in {left} days, renew it"
        return ""
