"""``historian certificate``: our own certificates for OPC UA, and which servers are trusted."""

import enum
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from api.client import read_config
from api.console import CommandFailed, print_json, print_table, refusals, say
from api.options import ConfigOption, JsonOption
from connectors.opcua.certificates import (
    Identity,
    days_left,
    install,
    make,
    names_of,
    pairs,
    parse,
    read_file,
    renew,
    request,
    thumbprint,
)
from connectors.opcua.trust import REJECTED, TRUSTED, TrustList
from historian.clock import SystemClock
from historian.config import HistorianConfig

_URI = "urn:lighthouse:historian:collector"


class What(enum.StrEnum):
    """What to do."""

    MAKE = "make"
    RENEW = "renew"
    REQUEST = "request"
    INSTALL = "install"
    LIST = "list"
    TRUST = "trust"
    REJECT = "reject"


def certificate(
    what: Annotated[What, typer.Argument(help="What to do.")],
    name: Annotated[
        str,
        typer.Argument(
            help="trust, reject: the beginning of a thumbprint, as `list` shows it; trust, "
            "install: or a file."
        ),
    ] = "",
    *,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of certificates (pki_path of a source).")
    ] = None,
    source: Annotated[str, typer.Option(help="Take the folder and the uri of this source.")] = "",
    uri: Annotated[str, typer.Option(help="make, request: our application uri.")] = "",
    host: Annotated[
        list[str] | None,
        typer.Option(help="make, request: name or address of this machine; else its own name."),
    ] = None,
    organization: Annotated[str, typer.Option(help="make, request: the company.")] = "",
    days: Annotated[int, typer.Option(min=1, max=7300, help="make, renew: valid so long.")] = 1095,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Make, renew or request our certificate for OPC UA; trust or reject those of servers."""
    with refusals():
        known_uri = ""
        if source:
            found, known_uri = _source(read_config(config), source)
            folder = folder or found
        if folder is None:
            raise CommandFailed("cannot find certificates: got neither --folder nor --source")
        own, now_ns = folder / "own", SystemClock().now_ns()
        identity = Identity(
            uri or known_uri or _URI, tuple(host or (socket.gethostname(),)), organization
        )
        if what is What.MAKE:
            if pairs(own):
                raise CommandFailed(f"cannot make: got a certificate in {own}, want none; renew it")
            pair = make(own, identity, now_ns, days)
            say(f"made {own / f'{pair.number}.der'} for {identity.application_uri}")
        elif what is What.RENEW:
            pair = renew(own, now_ns, days)
            say(f"made {own / f'{pair.number}.der'}; the older one is used by servers that want it")
        elif what is What.REQUEST:
            say(f"made {request(own, identity)}; give the signed answer to `certificate install`")
        elif what is What.INSTALL:
            pair = install(own, Path(name))
            say(f"installed {own / f'{pair.number}.pem'}")
        elif what is What.TRUST:
            say(_trust(TrustList(folder), name))
        elif what is What.REJECT:
            moved, _ = TrustList(folder).move(name, REJECTED)
            say(f"rejected {moved}; connections that are open stay open")
        _show(folder, now_ns, json=json)


def _source(config: HistorianConfig, name: str) -> tuple[Path, str]:
    """Folder and application uri of a source."""
    for each in config.sources:
        security = each.settings.get("security")
        if each.name == name and isinstance(security, dict) and "pki_path" in security:
            return Path(security["pki_path"]), str(each.settings.get("application_uri", ""))
    want = ", ".join(s.name for s in config.sources if s.kind == "opcua") or "none is configured"
    raise CommandFailed(
        f"cannot find certificates: got source {name!r}, want one with security.pki_path ({want})"
    )


def _trust(trust: TrustList, name: str) -> str:
    path = Path(name)
    if path.is_file():
        try:
            found = parse(read_file(path))[0]
        except ValueError as error:
            raise CommandFailed(f"cannot trust {path}: {error}, want a certificate") from None
        return f"trusted {trust.add(found, TRUSTED)}"
    return f"trusted {trust.move(name, TRUSTED)[0]}"


def _show(folder: Path, now_ns: int, *, json: bool) -> None:
    every = [("own", str(pair.number), pair.certificate) for pair in pairs(folder / "own")]
    every += TrustList(folder).listed()
    rows: list[dict[str, Any]] = []
    for part, _, each in every:
        uris, hosts = names_of(each)
        rows.append(
            {
                "folder": part,
                "thumbprint": thumbprint(each),
                "subject": each.subject.rfc4514_string(),
                "uri": uris[0] if uris else None,
                "hosts": " ".join(hosts) or None,
                "until": f"{each.not_valid_after_utc:%F}",
                "days": days_left(each, now_ns),
            }
        )
    if json:
        print_json({"certificates": rows})
    else:
        headings = ("folder", "thumbprint", "subject", "uri", "hosts", "until", "days")
        print_table({heading: [row[heading] for row in rows] for heading in headings})
