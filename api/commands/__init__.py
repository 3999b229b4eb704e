"""The commands, one file each, one line each."""

from collections.abc import Callable

from api.commands.backup import backup
from api.commands.certificate import certificate
from api.commands.collect import collect
from api.commands.discover import discover
from api.commands.dump import dump
from api.commands.export import export
from api.commands.import_ import import_
from api.commands.inspect import inspect
from api.commands.quarantine import quarantine
from api.commands.query import query
from api.commands.replay import replay
from api.commands.restore import restore, restore_tag
from api.commands.retention import retention
from api.commands.salvage import salvage
from api.commands.serve import serve
from api.commands.stats import stats
from api.commands.tags import tags
from api.commands.trace import trace
from api.commands.verify import verify
from api.commands.version import version

COMMANDS: dict[str, Callable[..., None]] = {
    "serve": serve,
    "collect": collect,
    "replay": replay,
    "certificate": certificate,
    "discover": discover,
    "backup": backup,
    "restore": restore,
    "restore-tag": restore_tag,
    "export": export,
    "import": import_,
    "tags": tags,
    "query": query,
    "trace": trace,
    "retention": retention,
    "quarantine": quarantine,
    "verify": verify,
    "inspect": inspect,
    "dump": dump,
    "salvage": salvage,
    "stats": stats,
    "version": version,
}
