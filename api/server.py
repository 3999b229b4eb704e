"""One historian behind one HTTP server, until somebody asks it to end."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
import uvicorn

from api.app import create_app
from api.console import CommandFailed
from connectors.connector import Clock
from historian.config import HistorianConfig
from historian.memory import bound_allocator
from historian.runtime import Historian

GRACE_S = 5  # requests that still run get this long at the end
IDLE_S = 30  # a connection without a request is closed after this
CONNECTIONS_MAX = 512
SWITCH_INTERVAL_S = 0.001  # a busy thread must not keep the event loop from an fsync's answer
BACKLOG = 256
SIGNALS = (signal.SIGINT, signal.SIGTERM)
Announce = Callable[[Historian, str], None]


class Server(uvicorn.Server):
    """uvicorn's server, but it does not raise the signal again when it has ended.

    The historian is closed after the server; a signal raised between them would cut that short.
    """

    announce: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say the address once it is really open."""
        await super().startup(sockets=sockets)
        if self.started:
            self.announce()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on the first signal, at once on the second."""
        loop = asyncio.get_running_loop()

        def end() -> None:
            self.force_exit = self.should_exit
            self.should_exit = True

        for number in SIGNALS:
            loop.add_signal_handler(number, end)
        try:
            yield
        finally:
            # From here on the stores are being closed: a further signal must not tear them.
            for number in SIGNALS:
                loop.add_signal_handler(number, _patience)


def _patience() -> None:
    structlog.get_logger("historian.api").warning("ending", detail="the store is being closed")


def run_server(config: HistorianConfig, clock: Clock, announce: Announce) -> None:
    """Open, serve, close; returns when all of it has ended.

    Parameters
    ----------
    config : HistorianConfig
        Whole configuration.
    clock : Clock
        The process's clock.
    announce : callable
        Called with the historian and its address once requests are answered.

    Raises
    ------
    CommandFailed
        If the port is taken.
    """
    listening = _listen(config.http.host, config.http.port)
    configure_logs()
    bound_allocator()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(_serve(config, clock, listening, announce))
    finally:
        listening.close()


def _new_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _listen(host: str, port: int) -> socket.socket:
    """Bind before anything is opened: a second server ends without touching the store."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        message = f"cannot serve: got {error.strerror}, want a free port, at {host}:{port}"
        raise CommandFailed(message) from None
    listening.setblocking(False)
    return listening


async def _serve(
    config: HistorianConfig, clock: Clock, listening: socket.socket, announce: Announce
) -> None:
    historian = await asyncio.to_thread(Historian.open, config, clock)
    try:
        await historian.start()
        server = Server(
            uvicorn.Config(
                create_app(historian),
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=CONNECTIONS_MAX,
                timeout_keep_alive=IDLE_S,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        host, port = listening.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        server.announce = lambda: announce(historian, url)
        await server.serve(sockets=[listening])
    finally:
        await historian.stop()


def configure_logs() -> None:
    """Logs go to stderr: coloured lines for a person, one JSON object a line otherwise."""
    person = sys.stderr.isatty()
    lines = structlog.processors.JSONRenderer(default=str)
    renderer = _for_people() if person else lines
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if person else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def _for_people() -> structlog.dev.ConsoleRenderer:
    # Tracebacks without local variables: those hold tokens and bodies.
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
