"""The pages and their files. They hold no data and need no token; what they show does."""

import hashlib
from functools import lru_cache
from importlib.resources import files

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.errors import ApiError
from api.parameters import no_parameters

# Everything that is served, and nothing else: no path is ever built from a request.
FILES: dict[str, tuple[str, str, str]] = {
    "plotly.min.js": ("plotly", "package_data/plotly.min.js", "text/javascript"),
    **{
        name: ("api.pages", name, f"text/{'css' if name.endswith('.css') else 'javascript'}")
        for name in (
            "base.css",
            "trends.css",
            "passport.css",
            "chart.js",
            "client.js",
            "dom.js",
            "passport.js",
            "timeline.js",
            "times.js",
            "trends.js",
        )
    },
}
CACHE = "no-cache"  # ask each time, take the held copy when its tag is still right
router = APIRouter(tags=["pages"], include_in_schema=False)


@lru_cache(maxsize=64)
def _content(package: str, name: str) -> tuple[bytes, str]:
    """Bytes of a shipped file and their tag; read once."""
    data = files(package).joinpath(name).read_bytes()
    return data, f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def _file(request: Request, package: str, name: str, media_type: str) -> Response:
    data, tag = _content(package, name)
    headers = {"etag": tag, "cache-control": CACHE}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(data, 200, headers, f"{media_type}; charset=utf-8")


@router.get("/")
def trends(request: Request) -> Response:
    """Live trends of chosen tags."""
    return _file(request, "api.pages", "trends.html", "text/html")


@router.get("/units/{serial:path}")
def passport(request: Request, serial: str) -> Response:
    """Passport of a unit; the page reads the serial from its own address."""
    del serial
    return _file(request, "api.pages", "passport.html", "text/html")


@router.get("/static/{name}", dependencies=[Depends(no_parameters)])
def static(request: Request, name: str) -> Response:
    """A file of the pages."""
    if name not in FILES:
        raise ApiError(404, "no_such_path", "cannot find file", where="path")
    return _file(request, *FILES[name])
