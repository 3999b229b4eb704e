"""The application: routes, refusals and headers around one historian. No logic."""

from fastapi import FastAPI

from api import errors
from api.body import BodyBudget
from api.leaving import Leaving
from api.routes import ROUTERS
from api.security import SecurityHeaders
from historian.runtime import Historian
from historian.transfer.jobs import TransferJobs
from historian.transfer.store import store_of
from query.work import Work


def create_app(historian: Historian, *, local_reader: bool = False) -> FastAPI:
    """Build the ASGI application.

    Parameters
    ----------
    historian : Historian
        Opened; whoever opened it starts and stops it.
    local_reader : bool
        Reads need no token: the caller is this very process, which could read the files. Never
        set by a server.

    Returns
    -------
    FastAPI
        With the interactive documentation switched off: it would load scripts from elsewhere.
        ``/openapi.json`` is there.
    """
    app = FastAPI(
        title="Lighthouse Historian",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.historian = historian
    app.state.local_reader = local_reader
    app.state.body_budget = BodyBudget(historian.config.http.body_bytes_max)
    app.state.transfers = TransferJobs(lambda: store_of(historian), historian.config.transfer)
    for router in ROUTERS:
        app.include_router(router)
    errors.install(app)
    seconds_max = historian.config.query.seconds_max
    app.add_middleware(Leaving, new_work=lambda: Work(historian.clock.monotonic_s, seconds_max))
    app.add_middleware(errors.LastResort)
    app.add_middleware(SecurityHeaders)
    return app
