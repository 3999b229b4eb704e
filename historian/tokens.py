"""Bearer tokens: random, shown once, kept as sha256; each has a principal and scopes."""

import hashlib
import hmac
import os
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

from historian.catalog_database import Database
from historian.errors import (
    ConfigInvalid,
    Conflict,
    Forbidden,
    NotFound,
    RequestInvalid,
    Unauthorized,
)
from storage_engine.clock import Clock

SCOPES = ("read", "write", "admin")  # each includes those before it
ADMIN = "admin"
_TOKEN_BYTES = 32
_SECRET_CHARACTERS_MIN = 32
_TOKENS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, and what the token allows."""

    name: str
    scopes: frozenset[str]

    def require(self, scope: str) -> None:
        """Refuse unless the token has this scope.

        Raises
        ------
        Forbidden
        """
        if scope not in self.scopes:
            got = ", ".join(s for s in SCOPES if s in self.scopes) or "none"
            message = f"cannot do that as {self.name!r}: got scope {got}, want {scope}"
            raise Forbidden(message, got=got, want=scope)


def implied(scope: str) -> frozenset[str]:
    """Return a scope with all that it includes: admin may write, a writer may read.

    Raises
    ------
    RequestInvalid
        For an unknown scope.
    """
    if scope not in SCOPES:
        message = f"cannot issue token: got scope {scope!r}, want one of: {', '.join(SCOPES)}"
        raise RequestInvalid(message, got=scope, where="scope")
    return frozenset(SCOPES[: SCOPES.index(scope) + 1])


class Tokens:
    """Issues, verifies and revokes tokens of one catalog.

    Parameters
    ----------
    database : Database
        The catalog's file.
    clock : Clock
        Stamps issue and revocation.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[bytes, Principal] = {}
        self._load()

    def _load(self) -> None:
        rows = self._database.rows(
            "SELECT sha256, principal, scopes FROM tokens WHERE revoked_ns IS NULL"
        )
        self._known = {
            digest: Principal(name, frozenset(scopes.split(","))) for digest, name, scopes in rows
        }

    def verify(self, secret: str) -> Principal:
        """Return who holds this token.

        Raises
        ------
        Unauthorized
            If nobody does.

        Notes
        -----
        Compares digests, each in constant time and all of them, so that the time taken tells
        nothing about a token that nearly fits.
        """
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
        found: Principal | None = None
        for known, principal in self._known.items():
            if hmac.compare_digest(known, digest):
                found = principal
        if found is None:
            raise Unauthorized("cannot accept token: got one that is not known, want a valid token")
        return found

    def issue(self, name: str, scope: str, by: str) -> str:
        """Make a token and return it; it is never shown again.

        Parameters
        ----------
        name : str
            Its principal; one valid token per name.
        scope : str
            read, write or admin; each includes those before it.
        by : str
            Who is entered in the audit.

        Raises
        ------
        Conflict
            If the name has a valid token, or there are too many.
        """
        secret = secrets.token_urlsafe(_TOKEN_BYTES)
        self._insert(secret, name, scope, by)
        return secret

    def revoke(self, name: str, by: str) -> None:
        """Make the token of a principal worthless.

        Raises
        ------
        NotFound
            If the name has no valid token.
        """
        with self._lock:
            if not any(p.name == name for p in self._known.values()):
                message = f"cannot revoke token: got {name!r}, want the name of a valid token"
                raise NotFound(message, got=name)
            with self._database.transaction():
                self._database.execute(
                    "UPDATE tokens SET revoked_ns=? WHERE principal=? AND revoked_ns IS NULL",
                    (self._clock.now_ns(), name),
                )
                self._database.record(by, "revoke token", name)
            self._load()

    def names(self) -> list[tuple[str, str]]:
        """(principal, widest scope) of every valid token."""
        return sorted((p.name, max(p.scopes, key=SCOPES.index)) for p in self._known.values())

    def _insert(self, secret: str, name: str, scope: str, by: str) -> None:
        scopes = ",".join(s for s in SCOPES if s in implied(scope))
        digest = hashlib.sha256(secret.encode()).digest()
        with self._lock:
            if any(p.name == name for p in self._known.values()):
                message = f"cannot issue token: got {name!r}, which has one, want another name"
                raise Conflict(message, got=name)
            if len(self._known) >= _TOKENS_MAX:
                raise Conflict(f"cannot issue token: got {_TOKENS_MAX} already, revoke some first")
            with self._database.transaction():
                self._database.execute(
                    "INSERT INTO tokens VALUES(?,?,?,?,NULL)",
                    (digest, name, scopes, self._clock.now_ns()),
                )
                self._database.record(by, "issue token", name, None, {"scopes": scopes})
            self._load()

    def ensure_admin(self, path: Path) -> None:
        """See to it that the file holds a valid administrator's token.

        A missing file gets a new token, and the one before is revoked. A file that somebody else
        wrote is taken as it is: whoever can write it may administrate.

        Parameters
        ----------
        path : Path
            ``http.token_file``.

        Raises
        ------
        ConfigInvalid
            If the file's token is too short to be a secret, or the file cannot be written.
        """
        try:
            if path.exists():
                self._adopt(path.read_text(encoding="utf-8").strip(), path)
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            self._drop_admin()
            secret = secrets.token_urlsafe(_TOKEN_BYTES)
            self._insert(secret, ADMIN, ADMIN, "historian")
            _write_secret(path, secret)
        except (OSError, UnicodeDecodeError) as error:
            message = f"cannot use token file: {error}, want a file of our own, at {path}"
            raise ConfigInvalid(message, where="http.token_file") from error

    def _drop_admin(self) -> None:
        if any(p.name == ADMIN for p in self._known.values()):
            self.revoke(ADMIN, "historian")

    def _adopt(self, secret: str, path: Path) -> None:
        if hashlib.sha256(secret.encode()).digest() in self._known:
            return
        if len(secret) < _SECRET_CHARACTERS_MIN:
            message = f"cannot use token file: got {len(secret)} characters"
            message += f", want at least {_SECRET_CHARACTERS_MIN}, at {path}"
            raise ConfigInvalid(message, where="http.token_file")
        self._drop_admin()
        self._insert(secret, ADMIN, ADMIN, "historian")


def _write_secret(path: Path, secret: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
