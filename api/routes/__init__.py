"""The doors, one file per resource, one line each."""

from fastapi import APIRouter

from api.routes import (
    aggregates,
    backups,
    changes,
    events,
    frames,
    health,
    imports,
    latest,
    lots,
    meters,
    pages,
    plot,
    raw,
    retention,
    samples,
    sources,
    store,
    tags,
    tokens,
    units,
)

ROUTERS: tuple[APIRouter, ...] = (
    frames.router,
    samples.router,
    events.router,
    changes.router,
    store.router,
    sources.router,
    tags.router,
    tokens.router,
    latest.router,
    raw.router,
    aggregates.router,
    plot.router,
    units.router,
    lots.router,
    meters.router,
    retention.router,
    health.router,
    imports.router,
    backups.router,
    pages.router,
)
