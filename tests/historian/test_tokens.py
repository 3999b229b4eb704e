"""tokens.py: only who was given a token may call, and only as far as its scope reaches."""

import hashlib
from pathlib import Path

import pytest

from historian.catalog_database import Database
from historian.errors import (
    ConfigInvalid,
    Conflict,
    Forbidden,
    NotFound,
    RequestInvalid,
    Unauthorized,
)
from historian.ingest_testing import SetClock
from historian.tokens import Tokens


def open_tokens(path: Path) -> Tokens:
    clock = SetClock(7)
    return Tokens(Database(path / "catalog.sqlite", clock), clock)


def test_the_first_start_writes_an_administrators_token_for_its_owner_only(tmp_path: Path) -> None:
    """Whoever can read the file may do everything."""
    tokens = open_tokens(tmp_path)
    file = tmp_path / "keys" / "admin.token"
    tokens.ensure_admin(file)
    secret = file.read_text().strip()

    assert 0o600 == file.stat().st_mode & 0o777
    assert 40 < len(secret)
    assert frozenset({"read", "write", "admin"}) == tokens.verify(secret).scopes
    tokens.ensure_admin(file)
    assert secret == file.read_text().strip()
    assert "admin" == open_tokens(tmp_path).verify(secret).name


def test_the_catalog_holds_no_token_in_clear(tmp_path: Path) -> None:
    """A copied backup must not open the door."""
    tokens = open_tokens(tmp_path)
    secret = tokens.issue("mes", "write", "admin")
    held = b"".join(p.read_bytes() for p in tmp_path.iterdir())

    assert secret.encode() not in held
    assert hashlib.sha256(secret.encode()).digest() in held


@pytest.mark.parametrize("secret", ["", "nobody's", "ä", "\udc80", "x" * 10_000])
def test_an_unknown_token_is_unauthorized(tmp_path: Path, secret: str) -> None:
    """Any text may come in a header."""
    tokens = open_tokens(tmp_path)
    tokens.issue("mes", "write", "admin")

    with pytest.raises(Unauthorized):
        tokens.verify(secret)


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [("read", {"read"}), ("write", {"read", "write"}), ("admin", {"read", "write", "admin"})],
)
def test_a_scope_includes_those_below_it_and_none_above(
    tmp_path: Path, scope: str, allowed: set[str]
) -> None:
    """A writer may read; a reader may not write."""
    tokens = open_tokens(tmp_path)
    principal = tokens.verify(tokens.issue("x", scope, "admin"))

    for wanted in ("read", "write", "admin"):
        if wanted in allowed:
            principal.require(wanted)
        else:
            with pytest.raises(Forbidden, match=wanted):
                principal.require(wanted)


def test_a_revoked_token_is_worthless_at_once_and_for_ever(tmp_path: Path) -> None:
    """Also after a restart."""
    tokens = open_tokens(tmp_path)
    secret = tokens.issue("mes", "write", "ann")
    tokens.revoke("mes", "ann")

    for opened in (tokens, open_tokens(tmp_path)):
        with pytest.raises(Unauthorized):
            opened.verify(secret)
    with pytest.raises(NotFound):
        tokens.revoke("mes", "ann")
    assert secret != tokens.issue("mes", "read", "ann")
    assert [("mes", "read")] == tokens.names()


def test_issuing_and_revoking_are_in_the_audit_without_the_secret(tmp_path: Path) -> None:
    """Who let whom in."""
    database = Database(tmp_path / "c", SetClock(7))
    tokens = Tokens(database, SetClock(7))
    secret = tokens.issue("mes", "write", "ann")
    tokens.revoke("mes", "bob")

    entries = database.audit()
    assert [("bob", "revoke token"), ("ann", "issue token")] == [
        (e.principal, e.action) for e in entries
    ]
    assert secret not in repr(entries)


def test_one_name_holds_one_token(tmp_path: Path) -> None:
    """Otherwise revoking a name would leave a door open."""
    tokens = open_tokens(tmp_path)
    tokens.issue("mes", "write", "ann")

    with pytest.raises(Conflict):
        tokens.issue("mes", "read", "ann")
    with pytest.raises(RequestInvalid, match="read, write, admin"):
        tokens.issue("x", "root", "ann")


def test_a_lost_file_gets_a_new_token_and_the_old_one_is_revoked(tmp_path: Path) -> None:
    """The file may have been taken."""
    tokens = open_tokens(tmp_path)
    file = tmp_path / "admin.token"
    tokens.ensure_admin(file)
    lost = file.read_text().strip()
    file.unlink()
    tokens.ensure_admin(file)

    with pytest.raises(Unauthorized):
        tokens.verify(lost)
    assert "admin" == tokens.verify(file.read_text().strip()).name


def test_a_token_that_an_administrator_put_there_is_taken(tmp_path: Path) -> None:
    """Deployments bring their own secrets; short ones are no secrets."""
    tokens = open_tokens(tmp_path)
    file = tmp_path / "admin.token"
    file.write_text("s" * 32 + "\n")
    tokens.ensure_admin(file)
    assert "admin" == tokens.verify("s" * 32).name

    file.write_text("short")
    with pytest.raises(ConfigInvalid, match="at least 32"):
        tokens.ensure_admin(file)
    with pytest.raises(ConfigInvalid, match="token file"):
        tokens.ensure_admin(tmp_path)
