"""The configuration of ``make run`` on free ports and in a folder of its own."""

from pathlib import Path

from historian.testing import ServerProcess, free_port

ROOT = Path(__file__).parents[2]


def demo_server(
    home: Path, *, simulator: bool = True, mqtt_port: int | None = None
) -> ServerProcess:
    """A server with the simulated line, not yet started."""
    import historian

    text = (Path(historian.__file__).parent / "demo.toml").read_text()
    server = ServerProcess(home)
    for port, other in (("48650", None), ("18650", mqtt_port)):
        assert port in text
        text = text.replace(port, str(other or free_port()))
    if not simulator:
        assert "enabled = true" in text
        text = text.replace("enabled = true", "enabled = false")
    for old, new in (
        ('path = "../var"', f'path = "store"\nfree_bytes_min = {50_000_000}'),
        ("port = 8650", f'port = {server.port}\ntoken_file = "token"'),
    ):
        assert old in text
        text = text.replace(old, new)
    server.config.write_text(text)
    return server


def processes_of_session(session: int) -> list[str]:
    """Command lines of the processes that live in a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            if int(state[3]) == session and state[0] != "Z":
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except (OSError, IndexError):
            continue
    return found
