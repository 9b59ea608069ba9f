"""The page for people: plain files, served as they lie here, with nothing loaded from elsewhere."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from andon import __version__
from andon.errors import BadRequest
from andon.serve.answers import error_answer, json_answer, request_id_of
from andon.serve.routing import add_route
from andon.serve.service import Service

_FOLDER = Path(__file__).parent
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' blob: data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


@dataclass(frozen=True, slots=True)
class _Asset:
    content: bytes
    media_type: str
    etag: str


def mount_page(app: FastAPI, service: Service) -> None:
    """Adds `/` (the page for people, JSON for machines) and the page's files below `/page/`."""
    assets = _assets()

    async def root(request: Request) -> Response:
        if _wants_html(request):
            return _file(request, assets["index.html"], {"vary": "accept"})
        return json_answer(_summary(service), headers={"vary": "accept"})

    async def asset(request: Request) -> Response:
        name = request.path_params["file"]
        if name not in assets:
            missing = BadRequest(f"the page has no file {name!r}", status=404, code="not_found")
            return error_answer(missing, request_id_of(request))
        return _file(request, assets[name], {})

    add_route(app, "GET", "/", root, summary="A page for people, or what this server is for machines")
    add_route(app, "GET", "/page/{file:path}", asset, summary="The page's files")


def _assets() -> dict[str, _Asset]:
    """Every file of the page, read once: it is small, and a request never names a path on disk."""
    found = {}
    for path in sorted(_FOLDER.rglob("*")):
        if path.suffix in _TYPES:
            content = path.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
            found[path.relative_to(_FOLDER).as_posix()] = _Asset(content, _TYPES[path.suffix], etag)
    return found


def _file(request: Request, asset: _Asset, headers: dict[str, str]) -> Response:
    own = {"etag": asset.etag, "cache-control": "no-cache", "content-security-policy": _POLICY, **headers}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=own)
    return Response(asset.content, headers={**own, "content-type": asset.media_type})


def _wants_html(request: Request) -> bool:
    """Browsers name text/html; curl and client libraries take anything, and get JSON."""
    return "text/html" in request.headers.get("accept", "")


def _summary(service: Service) -> dict[str, object]:
    return {
        "name": "andon",
        "version": __version__,
        "models": [
            {"name": one.manifest.name, "version": one.manifest.version, "task": one.manifest.task}
            for one in service.models
        ],
        "routes": {
            "predict": "POST /predict",
            "models": "GET /models",
            "health": ["GET /livez", "GET /readyz"],
            "metrics": "GET /metrics",
            "openapi": "GET /openapi.json",
        },
    }
