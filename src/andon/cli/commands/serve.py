"""`andon serve`."""

from pathlib import Path
from typing import Annotated

import typer

from andon.cli.output import JsonFlag, emit


def serve(
    bundles: Annotated[
        list[Path], typer.Argument(help="Bundles (.andon); the first answers unless a request names a model.")
    ],
    *,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")] = 8892,
    max_megapixels: Annotated[float, typer.Option(help="The largest image accepted.")] = 64.0,
    max_megabytes: Annotated[float, typer.Option(help="The largest request body accepted.")] = 32.0,
    json: JsonFlag = False,
) -> None:
    """Serve bundles over HTTP, with a page for people."""
    from andon.serve.settings import ServeSettings
    from andon.serve.starting import start

    settings = ServeSettings(max_pixels=round(max_megapixels * 1e6), max_bytes=round(max_megabytes * 2**20))

    def say_ready(url: str) -> None:
        emit({"url": url}, as_json=json, text=f"Ready: {url}   (stop with Ctrl-C)")

    start(bundles, settings, address=(host, port), on_ready=say_ready)
