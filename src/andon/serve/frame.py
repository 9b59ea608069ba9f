"""What is the same for every request: its id, safe headers, errors in one form, the books."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from andon.errors import AndonError, InternalError
from andon.serve.answers import error_answer
from andon.serve.metrics import ServerMetrics
from andon.serve.request_ids import request_id
from andon.serve.uploads import ClientGone

_log = logging.getLogger(__name__)
_SAFE_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]


class Frame:
    """ASGI middleware around every route.

    Args:
        app: what it frames.
        metrics: where requests are counted.
    """

    def __init__(self, app: ASGIApp, metrics: ServerMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_at = time.perf_counter()
        identity = scope["request_id"] = request_id(scope["headers"])
        own_headers = [(b"x-request-id", identity.encode("ascii")), *_SAFE_HEADERS]
        status = 0

        async def framed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *own_headers]
            await send(message)

        try:
            await self._app(scope, receive, framed_send)
        except ClientGone:
            self._metrics.clients_gone.inc()
            return
        except Exception as error:
            _log.exception("request %s failed", identity)
            if status:
                raise  # the answer has begun: the connection is cut, which is all that can still be told
            known = error if isinstance(error, AndonError) else InternalError(str(error))
            await error_answer(known, identity)(scope, receive, framed_send)
        route = _route(scope)
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.request_seconds.labels(route).observe(time.perf_counter() - began_at)


def _route(scope: Scope) -> str:
    route = scope.get("route")
    return getattr(route, "path", "other") if route is not None else "other"
