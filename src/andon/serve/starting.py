"""From bundles to a running server, with the slow parts side by side."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

from andon.serve.listening import bind
from andon.serve.settings import ServeSettings


def start(
    bundles: Sequence[Path], settings: ServeSettings, *, address: tuple[str, int], on_ready: Callable[[str], None]
) -> None:
    """Serves `bundles` until a stop signal, then returns.

    The port is taken first, so that a taken one is said at once; the web framework is imported while the models load.

    Args:
        bundles: the first answers requests that name no model.
        settings: the limits.
        address: host and port; port 0 takes any free one.
        on_ready: called with the URL once requests are answered.

    Raises:
        UserError: the port is taken, or a bundle is refused.
    """
    listener = bind(*address)
    try:
        with ThreadPoolExecutor(1) as beside:
            framework = beside.submit(_import_framework)
            from andon.runtime.predictor import Predictor
            from andon.serve.served_models import ServedModels

            models = ServedModels([Predictor.open(bundle, purpose="throughput") for bundle in bundles])
            framework.result()
        from andon.serve.app import create_app
        from andon.serve.server import run_server

        run_server(create_app(models, settings), listener, on_ready=on_ready)
    finally:
        listener.close()


def _import_framework() -> None:
    for module in ("uvicorn.protocols.http.httptools_impl", "fastapi", "prometheus_client", "python_multipart"):
        import_module(module)
