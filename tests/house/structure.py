"""The rules of the house as functions over a tree, so that tests can break them on purpose."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FLOOR = {"storage_engine": 1, "connectors": 2, "query": 2, "historian": 3, "api": 4}
BESIDE = ("benchmarks", "tests")
SOURCE_SUFFIXES = (".py", ".pyx", ".pxd", ".pyi")

# Everything under storage_engine is barred, except these named rooms.
ENGINE_DOORS = {
    "connectors": {"storage_engine.sample"},
    "query": {"storage_engine.sample"},
    "api": {"storage_engine.sample", "storage_engine.errors"},
}
# A third-party library is imported in one file per role.
ONE_PLACE = {
    "asyncua": {"connectors/opcua/", "connectors/simulator/opcua_server.py"},
    "cryptography": {"connectors/opcua/"},
    "aiomqtt": {"connectors/simulator/publisher.py"},
    "paho": {"connectors/simulator/publisher.py"},
    "amqtt": {"connectors/simulator/embedded_broker.py"},
    "fastapi": {"api/"},
    "starlette": {"api/"},
    "uvicorn": {"api/"},
    "typer": {"api/"},
    "rich": {"api/"},
    "pint": {"query/eng_units.py"},
    "plotly": {"api/"},
    "pyarrow": {"api/arrow.py", "historian/transfer/arrow_files.py"},
    "sqlite3": {"historian/"},
    "prometheus_client": {"historian/metrics.py"},
    "zstandard": {"storage_engine/codec/", "connectors/replay/"},
    "httpx": {"historian/", "api/"},
}
ENGINE_BARRED = {"asyncio", "socket", "ssl", "http", "sqlite3", "time", "datetime", "logging"}
# Doors to the disk and to the clock, and who may hold them.
DISK_DOORS = {"storage_engine/filesystem.py"}
# The simulator's process is an entrance of its own and hands its clock in.
CLOCK_DOORS = {
    "historian/clock.py",
    "historian/testing.py",
    "connectors/simulator/__main__.py",
}
BANNED_MODULES = {"utils", "helpers", "common", "manager", "misc"}

_IMPORT = re.compile(r"^\s*(?:import|cimport)\s+(.+?)\s*(?:#.*)?$")
_FROM = re.compile(r"^\s*from\s+(\.*[\w.]*)\s+(?:import|cimport)\s+(.+?)\s*(?:#.*)?$")
_DISK = re.compile(
    r"(?<![\w.])(?<!def )(?:open\(|os\.(?:open|rename|replace|unlink|fsync|remove)\()"
)
_CLOCK = re.compile(r"time\.(?:time|time_ns|sleep|monotonic)\(|datetime\.now\(|asyncio\.sleep\(")


@dataclass(frozen=True)
class Broken:
    """A rule that a file breaks, and where."""

    rule: str
    path: str
    line: int
    what: str


def sources(root: Path) -> Iterator[Path]:
    """Every source file of the five packages."""
    for package in FLOOR:
        for path in sorted((root / package).rglob("*")):
            if path.suffix in SOURCE_SUFFIXES:
                yield path


def imports(path: Path) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """(line, module, names) of each import and cimport, continued lines joined."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    text = re.sub(r'("""|\'\'\')(?:.|\n)*?\1', lambda m: "\n" * m.group(0).count("\n"), text)
    text = re.sub(r"\(([^()]*)\)", lambda m: "(" + m.group(1).replace("\n", "\r") + ")", text)
    for number, line in enumerate(text.split("\n"), 1):
        flat = line.replace("\r", " ")
        if found := _FROM.match(flat):
            names = found.group(2).strip("() ").split(",")
            yield number, found.group(1), tuple(n.split()[0] for n in names if n.split())
        elif found := _IMPORT.match(flat):
            for module in found.group(1).split(","):
                yield number, module.split()[0], ()


def _targets(module: str, names: tuple[str, ...], root: Path) -> Iterator[str]:
    """The modules an import really reaches: ``from a import b`` may name the module a.b."""
    for name in names or ("",):
        deeper = f"{module}.{name}" if name else module
        base = root.joinpath(*deeper.split("."))
        is_module = base.is_dir() or any(base.with_suffix(s).exists() for s in SOURCE_SUFFIXES)
        yield deeper if name and is_module else module


def broken_arrows(root: Path) -> list[Broken]:
    """Imports that go up, sideways between strangers, or past a door."""
    found: list[Broken] = []
    for path in sources(root):
        where = path.relative_to(root).as_posix()
        own = where.split("/")[0]
        for line, module, names in imports(path):
            if module.startswith("."):
                found.append(Broken("relative import", where, line, module))
                continue
            top = module.split(".")[0]
            if top in BESIDE:
                found.append(Broken("imports what stands beside", where, line, module))
            if top in FLOOR and top != own and FLOOR[top] >= FLOOR[own]:
                found.append(Broken("arrow not downward", where, line, f"{own} -> {module}"))
            if top == "storage_engine" and own in ENGINE_DOORS:
                found.extend(
                    Broken("past the engine's door", where, line, target)
                    for target in _targets(module, names, root)
                    if target not in ENGINE_DOORS[own] and target != own
                )
            if top in ONE_PLACE and not any(where.startswith(p) for p in ONE_PLACE[top]):
                found.append(Broken("library outside its room", where, line, top))
            if own == "storage_engine" and top in ENGINE_BARRED:
                found.append(Broken("barred from the engine", where, line, top))
            if own == "connectors" and top == "connectors":
                found.extend(_stranger(where, line, module))
    return found


def _stranger(where: str, line: int, module: str) -> list[Broken]:
    """Connector folders do not know each other; replay plays on the simulator's stage."""
    folders = {"opcua", "mqtt", "sparkplug", "simulator", "replay"}
    shared = {("mqtt", "payload"), ("sparkplug", "mqtt"), ("replay", "simulator")}
    own = where.split("/")[1]
    other = module.split(".")[1] if "." in module else ""
    if own in folders and other in folders and own != other and (own, other) not in shared:
        return [Broken("connectors are strangers", where, line, module)]
    return []


def broken_doors(root: Path) -> list[Broken]:
    """Disk and clock used elsewhere than in their doors."""
    found: list[Broken] = []
    for path in sources(root):
        where = path.relative_to(root).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.lstrip().startswith("#"):
                continue
            engine = where.startswith("storage_engine/") and where not in DISK_DOORS
            if engine and (hit := _DISK.search(line)):
                found.append(Broken("disk outside its door", where, number, hit.group(0)))
            if where not in CLOCK_DOORS and (hit := _CLOCK.search(line)):
                found.append(Broken("clock outside its door", where, number, hit.group(0)))
    return found


def circles(root: Path) -> list[list[str]]:
    """Import circles between files (runtime imports at module level and inside functions alike)."""
    graph: dict[str, set[str]] = {}
    for path in sources(root):
        if path.suffix == ".pyi":
            continue
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        edges = graph.setdefault(name, set())
        for _, module, names in imports(path):
            if module.split(".")[0] in FLOOR:
                edges.update(t for t in _targets(module, names, root) if t != name)
    return _strong_components(graph)


def _strong_components(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other, by repeated reachability; the graph is small."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for node in graph.get(todo.pop(), ()):
                if node not in seen:
                    seen.add(node)
                    todo.append(node)
        return seen

    reached = {node: reach(node) for node in graph}
    groups = {
        frozenset(other for other in reached[node] if node in reached.get(other, ())) | {node}
        for node in graph
        if node in reached[node]
    }
    return sorted(sorted(group) for group in groups)


def bad_names(root: Path) -> list[Broken]:
    """Drawers without a label, and modules that hide a standard library name."""
    return [
        Broken("drawer", p.relative_to(root).as_posix(), 0, p.stem)
        for p in sources(root)
        if p.stem in BANNED_MODULES or p.parent.name in BANNED_MODULES
    ]
