"""How long until Andon answers: `andon --help`, and `andon serve` from start to ready.

`serve` is started on a trained MobileNetV2 bundle with an empty cache (engines are measured) and then again (the choice
is remembered); ready is the moment `/readyz` answers 200. The median of several starts counts.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from bench._mobilenet_bundle import mobilenet_bundle
from bench.serve_throughput import photo_of_size

HELP_TIMES, FIRST_TIMES, AGAIN_TIMES = 15, 3, 7
MOST_S = 60.0


def run() -> dict[str, object]:
    """Median seconds of each kind of start, with its target."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = mobilenet_bundle(Path(folder) / "mobilenet.andon", photo_of_size(250_000))
        first = [_serve(bundle, Path(folder) / f"cache{number}") for number in range(FIRST_TIMES)]
        again = [_serve(bundle, Path(folder) / "cache0") for _ in range(AGAIN_TIMES)]
    asked_s = [_help() for _ in range(HELP_TIMES)]
    return {
        "help_s": {"median": round(statistics.median(asked_s), 3), "target": 0.150},
        "serve_first_s": {"median": round(statistics.median(first), 2), "target": 10.0},
        "serve_remembered_s": {"median": round(statistics.median(again), 2), "target": 2.0},
    }


def _andon() -> str:
    return str(Path(sys.executable).with_name("andon"))


def _help() -> float:
    began = time.perf_counter()
    subprocess.run([_andon(), "--help"], capture_output=True, check=True)
    return time.perf_counter() - began


def _serve(bundle: Path, cache: Path) -> float:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    began = time.perf_counter()
    server = subprocess.Popen(
        [_andon(), "serve", str(bundle), "--port", str(port)],
        env={**os.environ, "ANDON_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not _ready(port):
            if server.poll() is not None or time.perf_counter() - began > MOST_S:
                raise RuntimeError("the server did not become ready")
            time.sleep(0.005)
        return time.perf_counter() - began
    finally:
        server.terminate()
        server.wait(timeout=30)


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
