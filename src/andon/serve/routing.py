"""Routes that FastAPI documents and does not touch."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

Endpoint = Callable[[Request], Awaitable[Response]]


class RawRoute(APIRoute):
    """A route whose endpoint takes the bare request and gives the finished response.

    FastAPI's own handler would parse bodies (answering 422 to clients that send no Content-Type) and resolve
    dependencies on every call; here it only writes the OpenAPI document.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint as it is."""
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


def add_route(
    app: FastAPI,
    method: str,
    path: str,
    endpoint: Endpoint,
    *,
    summary: str,
    operation: Mapping[str, object] | None = None,
) -> None:
    """Adds a documented raw route; a GET route answers HEAD as well.

    Args:
        app: where to.
        method: `GET` or `POST`.
        path: with `{name}` for path parameters.
        endpoint: takes the request, gives the response.
        summary: one line of the OpenAPI document.
        operation: more of the OpenAPI operation, merged into it.
    """
    name = f"{method.lower()}_{path.strip('/').replace('/', '_') or 'root'}"
    app.router.add_api_route(
        path,
        endpoint,
        methods=[method],
        summary=summary,
        operation_id=name,
        response_class=Response,
        response_model=None,
        route_class_override=RawRoute,
        openapi_extra=dict(operation) if operation else None,
    )
    if method == "GET":
        app.router.add_api_route(
            path,
            endpoint,
            methods=["HEAD"],
            include_in_schema=False,
            response_model=None,
            route_class_override=RawRoute,
        )
